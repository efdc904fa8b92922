"""Single neurons that stand for others: the clearest of a type, and those that passages are kept of."""

import numpy as np
import numpy.typing as npt

from ..counts.activations import ActivationStats
from .contexts import chosen_neurons
from .identification import NeuronTypes


def clearest(types: NeuronTypes, stats: ActivationStats, kind: str) -> tuple[int, int] | None:
    """The neuron of a type with the lowest score; of general ones, that with the highest lowest probability.

    Args:
        types: from :func:`neuroglot.classify`.
        stats: the counts that they came from.
        kind: the type's name.

    Returns:
        Layer and neuron; ``None`` where there is no neuron of the type.
    """
    score = -stats.probabilities().min(axis=-1) if kind == "general" else types.score
    return _lowest(np.where(types.kind == kind, score, np.inf)) if (types.kind == kind).any() else None


def typical(types: NeuronTypes, stats: ActivationStats, kind: str) -> tuple[int, int] | None:
    """The neuron of a type whose probabilities, from the highest to the lowest, are nearest to the type's medians.

    Args, returns: as of :func:`clearest`.
    """
    own = types.kind == kind
    if not own.any():
        return None
    ranked = np.sort(stats.probabilities()[own], axis=-1)
    away = np.full(own.shape, np.inf)
    away[own] = ((ranked - np.median(ranked, axis=0)) ** 2).sum(axis=-1)
    return _lowest(away)


def lowest(types: NeuronTypes) -> tuple[int, int]:
    """Layer and number of the neuron with the lowest score of all."""
    return _lowest(types.score)


def _lowest(score: npt.NDArray[np.float64]) -> tuple[int, int]:
    layer, neuron = np.unravel_index(int(score.argmin()), score.shape)
    return int(layer), int(neuron)


def to_keep(types: NeuronTypes, stats: ActivationStats, general: int) -> npt.NDArray[np.int64]:
    """:func:`neuroglot.neurons.contexts.chosen_neurons`, or where no neuron has a type the one of lowest score."""
    chosen: npt.NDArray[np.int64] = chosen_neurons(types, stats, general=general)
    return chosen if len(chosen) else np.array([lowest(types)])


def own_and_next(types: NeuronTypes, stats: ActivationStats) -> tuple[float, float]:
    """At which share of tokens specific neurons fire in their own language, and in the next one: medians.

    Returns:
        The two shares; no numbers where there is no specific neuron.
    """
    ranked = np.sort(stats.probabilities()[types.kind == "specific"], axis=-1)[:, ::-1]
    if not len(ranked):
        return np.nan, np.nan
    own, other = np.median(ranked[:, :2], axis=0)
    return float(own), float(other)
