"""Ternary types by another detector's scores: its neurons in place of the paper's, typed by the same rule."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..base.errors import NeuroglotError, listed, quoted
from ..counts.activations import ActivationStats
from ..counts.widths import same_neurons
from .detection import Detection, detect
from .identification import ACTIVITIES, LAMBDA, Identifier, NeuronTypes
from .methods import ranks


@dataclass(frozen=True, eq=False)
class Scored:
    """Everything about another detector's types that does not depend on the thresholds, as :class:`Identifier`.

    Attributes:
        found: what the detector found.
        prepared: of the probabilities, which say where a neuron is active.
        best: float64 ``[layers, neurons]``, the highest score of any language; NaN where there is none, and for neurons
            that take no part.
    """

    found: Detection
    prepared: Identifier
    best: np.ndarray

    @classmethod
    def read(
        cls, stats: ActivationStats, detector: str | Detection, *, min_tokens: int, scaled: bool = True
    ) -> "Scored":
        """Of counts, by a detector's name or by what it found in these very statistics.

        Raises:
            NeuroglotError: random neurons, the paper's own score, or a detection of other neurons or languages.
        """
        name = detector.method if isinstance(detector, Detection) else detector
        if name in (LAMBDA, "random"):
            raise NeuroglotError(
                f"detector={quoted(name)}: give another detector to go by (activity is asked of such a one alone), or "
                "leave out both."
            )
        found = detector if isinstance(detector, Detection) else detect(stats, detector)
        if found.languages != stats.languages or not same_neurons(found, stats):
            raise NeuroglotError("detector: it was tried on other neurons or languages than these; detect on the same.")
        prepared = Identifier.of(stats, min_tokens, scaled=scaled)
        best = np.where(np.isnan(found.score), -np.inf, found.score).max(axis=-1)
        known = np.isfinite(best) if prepared.idle is None else np.isfinite(best) & ~prepared.idle
        return cls(found, prepared, np.where(known, best, np.nan))

    @cached_property
    def places(self) -> np.ndarray:
        """Each neuron's place among all, 1 the best score: int64 ``[layers, neurons]``; 0 without a score."""
        return ranks(self.best.reshape(-1, 1)).reshape(self.best.shape)

    def types(
        self, stats: ActivationStats, top_rate: float, quantile: float, min_tokens: int, activity: str = "tau"
    ) -> NeuronTypes:
        """The types at the given thresholds; arguments, result and errors as of :func:`by_scores`."""
        known = ~np.isnan(self.best)
        if activity == "tau":
            selected = (self.places > 0) & (self.places <= self.prepared.n_selected(top_rate))
            active = np.moveaxis(self.prepared.p > self.prepared.tau(quantile), 0, -1)
        else:
            if not self.found.selected.any():
                raise NeuroglotError(
                    f"activity='detector': {quoted(self.found.method)} selects no neuron by itself; use 'tau'."
                )
            active = self.found.selected & known[..., None]
            selected = active.any(axis=-1)
        worst = self.best[known].min() if known.any() else 0.0
        return NeuronTypes(
            languages=stats.languages,
            top_rate=top_rate,
            lam=None,
            quantile=quantile,
            scaled=self.prepared.scaled,
            solved=False,
            tau=self.prepared.tau(quantile),
            score=np.where(stats.real, -np.where(known, self.best, worst), np.inf),
            selected=selected,
            active=active,
            provenance=stats.provenance,
            min_tokens=min_tokens,
            starved=self.prepared.starved,
            widths=self.prepared.widths,
            detector=self.found.method,
            activity=activity,
        )


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
    if activity not in ACTIVITIES:
        raise NeuroglotError(f"activity={quoted(activity)}: use {listed(ACTIVITIES)}.")
    scored = Scored.read(stats, detector, min_tokens=min_tokens, scaled=scaled)
    return scored.types(stats, top_rate, quantile, min_tokens, activity)
