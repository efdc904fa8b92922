"""Ternary types by another detector's scores: its neurons in place of the paper's, typed by the same rule."""

import numpy as np

from ..base.errors import NeuroglotError, listed, quoted
from ..counts.activations import ActivationStats
from .detection import Detection, detect
from .identification import ACTIVITIES, LAMBDA, Identifier, NeuronTypes
from .methods import highest


def by_scores(
    stats: ActivationStats,
    detector: str | Detection,
    activity: str,
    *,
    top_rate: float,
    quantile: float,
    min_tokens: int,
    scaled: bool = True,
) -> NeuronTypes:
    """The types at the given thresholds, by another detector; see :func:`neuroglot.classify`.

    Args:
        stats: the counts, with what the detector reads.
        detector: its name, or what it found in these statistics.
        activity: one of :data:`neuroglot.neurons.identification.ACTIVITIES`.
        top_rate, quantile, min_tokens: as of :func:`neuroglot.classify`.
        scaled: kept with the types, for when they are classified by the paper's score again.

    Returns:
        Types whose ``score`` is minus the highest score of any language; that of a neuron without one is the worst
        there is.

    Raises:
        NeuroglotError: random neurons, a detection of other neurons or languages, no such activity, the paper's score
            by name with its own activity, or a detector that selects nothing by itself where its activity is asked for.
    """
    name = detector.method if isinstance(detector, Detection) else detector
    if activity not in ACTIVITIES:
        raise NeuroglotError(f"activity={quoted(activity)}: use {listed(ACTIVITIES)}.")
    if name in (LAMBDA, "random"):
        raise NeuroglotError(
            f"detector={quoted(name)}, activity={quoted(activity)}: give another detector to go by, or leave out both."
        )
    found = detector if isinstance(detector, Detection) else detect(stats, detector)
    if found.languages != stats.languages or found.score.shape != stats.shape:
        raise NeuroglotError("detector: it was tried on other neurons or languages than these; detect on the same.")
    prepared = Identifier(stats.probabilities(min_tokens), scaled=scaled)
    scored = np.where(np.isnan(found.score), -np.inf, found.score).max(axis=-1)
    known: np.ndarray = np.isfinite(scored)
    if prepared.starved is not None:
        known = known & ~prepared.starved
    best = np.where(known, scored, np.nan)
    if activity == "tau":
        selected = highest(best.reshape(-1, 1), prepared.n_selected(top_rate)).reshape(best.shape)
        active = np.moveaxis(prepared.p > prepared.tau(quantile), 0, -1)
    else:
        if not found.selected.any():
            raise NeuroglotError(f"activity='detector': {quoted(name)} selects no neuron by itself; use 'tau'.")
        active = found.selected & known[..., None]
        selected = active.any(axis=-1)
    worst = best[known].min() if known.any() else 0.0
    return NeuronTypes(
        languages=stats.languages,
        top_rate=top_rate,
        lam=None,
        quantile=quantile,
        scaled=scaled,
        solved=False,
        tau=prepared.tau(quantile),
        score=-np.where(known, best, worst),
        selected=selected,
        active=active,
        provenance=stats.provenance,
        min_tokens=min_tokens,
        starved=prepared.starved,
        detector=name,
        activity=activity,
    )
