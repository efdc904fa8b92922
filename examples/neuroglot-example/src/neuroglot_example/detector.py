"""A detector: the share of a neuron's activations that are each language's, of equally many tokens."""

import numpy as np

from neuroglot import ActivationStats


def share(stats: ActivationStats, *, least: float = 0.0) -> np.ndarray:
    """Float64 ``[layers, width, languages]``; NaN where the neuron is active at no more than ``least`` in sum."""
    p = stats.probabilities()
    total = p.sum(axis=-1, keepdims=True)
    return np.divide(p, total, out=np.full(p.shape, np.nan), where=total > least)
