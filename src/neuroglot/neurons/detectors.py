"""Detectors: statistics of the neurons in, a score per neuron and language out.

Others add theirs by the entry point group ``neuroglot.detectors``.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any, Protocol

import numpy as np

from ..base import plugins
from ..base.errors import NeuroglotError, listed, quoted
from ..counts.activations import ActivationStats
from .identification import MIN_TOKENS, Identifier, require_thresholds

GROUP = "neuroglot.detectors"


class Statistics(Protocol):
    """What a detector reads; :class:`neuroglot.ActivationStats`, or other statistics of the same shape."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(layers, width, languages)``."""


#: A function ``(stats, **settings)`` that gives floats ``[layers, width, languages]``: the larger, the more the neuron
#: is that language's; NaN where it cannot be known.
Detector = Callable[..., np.ndarray]


def _lambda(stats: ActivationStats, *, lam: float, scaled: bool = True, min_tokens: int = MIN_TOKENS) -> np.ndarray:
    """``lam * p - entropy``, whose largest over the languages is minus the score of arXiv 2505.21505 (eq. 5)."""
    require_thresholds(lam=lam)
    found = Identifier.of(stats, min_tokens, scaled=scaled)
    score: np.ndarray = np.moveaxis(lam * (found.p / found.unit_peak) - found.entropy / found.unit_entropy, 0, -1)
    if found.idle is not None:
        score[found.idle] = np.nan
    return score


_OWN: dict[str, Detector] = {"lambda": _lambda}


def names() -> tuple[str, ...]:
    """All detectors: neuroglot's own, then those of installed packages."""
    return (*_OWN, *plugins.names(GROUP, _OWN))


def score(name: str, stats: Statistics, **settings: Any) -> np.ndarray:
    """How much each neuron is each language's, by one detector.

    Args:
        name: one of :func:`names`.
        stats: what the detector reads, for instance activation counts.
        **settings: of the detector; ``"lambda"`` knows ``lam``, ``scaled`` and ``min_tokens``.

    Returns:
        Float64 ``[layers, width, languages]``; the larger, the more that language's; NaN for what cannot be known.
        Scores of two detectors are not on one scale.

    Raises:
        NeuroglotError: no such detector or setting, or an installed one that gives something else.
    """
    point = plugins.find(GROUP, name, _OWN)
    if point is not None:
        found = plugins.call(point, plugins.load_function(point), stats, **settings)
        if not isinstance(found, np.ndarray) or not np.issubdtype(found.dtype, np.floating):
            kind = found.dtype if isinstance(found, np.ndarray) else type(found).__name__
            raise plugins.broken(point, f"gave {kind}, not an array of floats")
        if found.shape != stats.shape:
            raise plugins.broken(point, f"gave scores of shape {found.shape} for statistics of shape {stats.shape}")
        if np.isinf(found).any():
            raise plugins.broken(point, "gave an infinite score; what cannot be known is NaN")
        return found.astype(np.float64)
    if name not in _OWN:
        raise NeuroglotError(f"there is no detector {quoted(name)}; use {listed(names())}.")
    try:
        signature(_OWN[name]).bind(stats, **settings)
    except TypeError as error:
        raise NeuroglotError(f"the detector {name}: {error}; see neuroglot.neurons.detectors.score.") from error
    return _OWN[name](stats, **settings)
