"""Ternary neuron identification: language-specific, language-related, general (arXiv 2505.21505)."""

import functools
import math
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd

from ..base.artifacts import load_artifact, save_artifact
from ..base.errors import NeuroglotError, is_number, quoted, require_whole
from ..counts.activations import ActivationStats
from ..counts.widths import Layers, are_neurons, each, require_fit, same_neurons
from ..text.languages import languages_of, require_codes
from .agreement import jaccard

if TYPE_CHECKING:
    from .detection import Detection

#: Neuron types, in the order of their codes; "unclassified" is none of the paper's three.
KINDS = ("unclassified", "specific", "related", "general")

#: Tokens of each language that a neuron must have seen to be classified, where there were as many: one that fires at
#: 15 % of a language's tokens is then hardly ever (1 in 25) seen to fire at none, and so taken for another language's.
MIN_TOKENS = 20

#: The detector whose score is the paper's (eq. 5): what :func:`classify` goes by if it is not told otherwise.
LAMBDA = "lambda-score"

#: What says in which languages a neuron is active: a probability over tau, or what another detector itself selects.
ACTIVITIES = ("tau", "detector")

# Upper end of the released search for lambda, in the scaled score's units.
_LAM_UNBOUNDED = 0.2
# A solved lambda is cut down to a multiple of this, so that it prints short and repeats exactly.
_LAM_STEP = 1e-6
# Scores are compared in whole numbers of this part: what differs only by how a machine rounds a
# logarithm is a tie, here and in the page's explorer.
SCORE_PARTS = 2.0**40


# Settings that files of before do not have.
_LATER = {"min_tokens", "detector", "activity"}

D = TypeVar("D")
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class NeuronTypes(Layers):
    """The type of every neuron, and the thresholds it follows from.

    Attributes:
        languages: codes, in the order of the last axis of ``active``.
        top_rate, lam, quantile, scaled: the settings, with the lambda used; none where another detector scored.
        solved: whether that lambda was solved rather than given.
        tau: the activity threshold; a neuron is active in a language if ``p > tau``.
        score: float64 ``[layers, neurons]``; the lowest ``top_rate`` of all are selected. Infinite where a layer has
            no neuron.
        selected: bool ``[layers, neurons]``.
        active: bool ``[layers, neurons, languages]``: ``p > tau``.
        provenance: of the counts, with the settings above.
        min_tokens: neurons of a mixture that saw fewer tokens of a language took no part.
        starved: bool ``[layers, neurons]``: which these are. They are unclassified, selected and active nowhere,
            and their scores say nothing. ``None`` where there are none, as in every dense model.
        detector: whose score it is (:func:`neuroglot.neurons.detection.methods`).
        activity: one of :data:`ACTIVITIES`. By ``"detector"`` a neuron is ``active`` in the languages that the detector
            gives it to, and selected where that are any; ``top_rate`` and ``tau`` have no say.
        widths: where layers differ, int64 ``[layers]``: how many neurons each has. Places after them are no neurons
            (:attr:`real`): no type, no row and no number is theirs. ``None`` where all places are neurons.

    Example:
        >>> len(types.neurons("de", "specific"))  # an index array for each layer
        4
        >>> types.table().columns[:4].tolist()
        ['layer', 'neuron', 'kind', 'n_languages']
    """

    languages: tuple[str, ...]
    top_rate: float
    lam: float | None
    quantile: float
    scaled: bool
    solved: bool
    tau: float
    score: np.ndarray
    selected: np.ndarray
    active: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)
    min_tokens: int = 1
    starved: np.ndarray | None = None
    detector: str = LAMBDA
    activity: str = "tau"
    widths: np.ndarray | None = None

    KIND = "types"

    def __post_init__(self) -> None:
        require_codes(self.languages, "languages")
        shape = self.score.shape
        if not (
            len(shape) == 2 and self.selected.shape == shape and self.active.shape == (*shape, len(self.languages))
        ):
            raise NeuroglotError("score, selected and active do not fit each other or the languages; classify again.")
        require_fit(self.widths, shape)
        number = np.issubdtype(self.score.dtype, np.floating) and np.isfinite(self.score[self.real]).all()
        if not (number and self.selected.dtype == self.active.dtype == bool):
            raise NeuroglotError("a score is not a number or a mask is not boolean; classify again.")
        require_thresholds(top_rate=self.top_rate, lam=self.lam, quantile=self.quantile)
        own = isinstance(self.detector, str) and (self.lam is None) != (self.detector == LAMBDA)
        if not own or self.activity not in ACTIVITIES:
            raise NeuroglotError(
                f"lam={quoted(self.lam)}, detector={quoted(self.detector)}, activity={quoted(self.activity)} do not "
                "fit each other; classify again."
            )
        if not is_number(self.tau) or not 0 <= self.tau <= 1:
            raise NeuroglotError(
                f"lam={quoted(self.lam)}, tau={quoted(self.tau)}: give a number and a share; classify again."
            )
        if not isinstance(self.scaled, bool) or not isinstance(self.solved, bool):
            raise NeuroglotError(
                f"scaled={quoted(self.scaled)}, solved={quoted(self.solved)}: give True or False; classify again."
            )
        if self.ragged is not None and (self.selected[~self.real].any() or self.active[~self.real].any()):
            raise NeuroglotError("something is selected or active where a layer has no neuron; classify again.")
        require_whole("min_tokens", self.min_tokens, 1)
        if (starved := self.starved) is not None and not (
            starved.shape == shape
            and starved.dtype == bool
            and not (self.selected[starved].any() or self.active[starved].any())
        ):
            raise NeuroglotError("neurons that took no part are no mask, or selected or active; classify again.")

    @property
    def room(self) -> tuple[int, int]:
        """Layers, and neurons of the widest one."""
        layers, width = self.score.shape
        return layers, width

    @property
    def layer_widths(self) -> np.ndarray:
        """How many neurons each layer has, int64 ``[layers]``."""
        return each(self.room[1] if self.widths is None else self.widths, self.room[0])

    @property
    def n_starved(self) -> int:
        """How many neurons saw too few tokens of a language to be classified."""
        return 0 if self.starved is None else int(self.starved.sum())

    @functools.cached_property
    def n_languages(self) -> np.ndarray:
        """``N``: in how many languages each neuron is active, int64 ``[layers, neurons]``."""
        planes = np.moveaxis(self.active, -1, 0)  # one addition per language, whatever the layout
        n: np.ndarray = sum((plane.astype(np.int64) for plane in planes[1:]), planes[0].astype(np.int64))
        return n

    @functools.cached_property
    def codes(self) -> np.ndarray:
        """Each neuron's type as an index into :data:`KINDS`, uint8 ``[layers, neurons]``; 0 where there is none."""
        return kind_codes(self.selected, self.n_languages, len(self.languages))

    @property
    def kind(self) -> np.ndarray:
        """Each neuron's type by name, ``[layers, neurons]``.

        specific: selected and N = 1; related: selected and 1 < N < K; general: N = K;
        everything else is unclassified.
        """
        names: np.ndarray = np.array(KINDS)[self.codes]
        return names

    def neurons(self, language: str, kinds: str | Iterable[str] | None = None) -> list[np.ndarray]:
        """The neurons of a language, one sorted int64 index array per layer.

        Args:
            language: one of :attr:`languages`.
            kinds: default: all selected neurons that are active in the language; else the neurons
                of this type or these types that are active in it (``"general"`` ones are in all).

        Raises:
            NeuroglotError: unknown language or type.
        """
        if language not in self.languages:
            raise NeuroglotError(f"there is no language {quoted(language)}; the types have {' '.join(self.languages)}.")
        if kinds is None:
            chosen = self.selected
        else:
            names = [kinds] if isinstance(kinds, str) else list(kinds)
            if unknown := [name for name in names if name not in KINDS]:
                raise NeuroglotError(f"there is no neuron type {quoted(unknown[0])}; use {', '.join(KINDS)}.")
            chosen = np.isin(self.codes, [KINDS.index(name) for name in names])
        chosen = chosen & self.active[..., self.languages.index(language)]
        return [np.flatnonzero(layer) for layer in chosen]

    def table(self) -> pd.DataFrame:
        """One row per neuron: layer, neuron, kind, n_languages, score, selected, languages.

        ``layer`` and ``neuron`` count from 0; ``languages`` lists those with ``p > tau``.
        """
        layer, neuron = np.nonzero(self.real)
        patterns, inverse = np.unique(np.packbits(self.active[self.real], axis=1), axis=0, return_inverse=True)
        bits = np.unpackbits(patterns, axis=1, count=len(self.languages)).astype(bool)
        names = [" ".join(np.array(self.languages)[row]) for row in bits]
        return pd.DataFrame(
            {
                "layer": layer,
                "neuron": neuron,
                "kind": pd.Categorical.from_codes(self.codes[self.real].astype(np.int8), pd.Index(KINDS)),
                "n_languages": self.n_languages[self.real],
                "score": self.score[self.real],
                "selected": self.selected[self.real],
                "languages": pd.Categorical.from_codes(inverse.ravel(), pd.Index(names)),
            }
        )

    def sizes(self) -> dict[str, int]:
        """Neurons of each type, by its name, in the order of :data:`KINDS`."""
        return dict(zip(KINDS, np.bincount(self.codes[self.real], minlength=len(KINDS)).tolist(), strict=True))

    def counts_per_language(self) -> pd.DataFrame:
        """Specific and related neurons of each language: columns ``language, kind, neurons``."""
        rows = [
            {"language": code, "kind": kind, "neurons": int((self.active[..., k] & (self.codes == c)).sum())}
            for k, code in enumerate(self.languages)
            for c, kind in enumerate(KINDS)
            if kind in ("specific", "related")
        ]
        return pd.DataFrame(rows)

    def counts_per_n(self) -> pd.DataFrame:
        """Neurons by number of languages: columns ``n_languages`` (1 to K), ``neurons``.

        ``selected`` counts the selected ones among them.
        """
        size = len(self.languages) + 1
        every = np.bincount(self.n_languages.ravel(), minlength=size)
        chosen = np.bincount(self.n_languages[self.selected], minlength=size)
        n = np.arange(1, size)
        return pd.DataFrame({"n_languages": n, "neurons": every[1:], "selected": chosen[1:]})

    def settings(self) -> dict[str, Any]:
        """The thresholds, as they are saved; of another detector, which that is."""
        other = {} if self.detector == LAMBDA else {"detector": self.detector, "activity": self.activity}
        return {
            "top_rate": self.top_rate,
            "lam": self.lam,
            "quantile": self.quantile,
            "scaled": self.scaled,
            "solved": self.solved,
            "tau": self.tau,
            "min_tokens": self.min_tokens,
            **other,
        }

    def arguments(self) -> dict[str, Any]:
        """What :func:`classify` was asked for: lambda only where it was given."""
        lam = None if self.solved else self.lam
        settings = {"top_rate": self.top_rate, "lam": lam, "quantile": self.quantile, "scaled": self.scaled}
        settings |= {"min_tokens": self.min_tokens}
        return (
            settings if self.detector == LAMBDA else settings | {"detector": self.detector, "activity": self.activity}
        )

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same types give the same bytes."""
        arrays = {"score": self.score, "selected": self.selected, "active": self.active}
        optional = {"starved": self.starved, "widths": self.widths}
        arrays |= {name: array for name, array in optional.items() if array is not None}
        metadata = {"languages": list(self.languages), "settings": self.settings(), "provenance": self.provenance}
        save_artifact(path, self.KIND, arrays, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "NeuronTypes":
        """Read what :meth:`save` wrote; a file without ``min_tokens`` left no neuron out, which is 1.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("score", "selected", "active"))
        settings, wanted = header.get("settings"), {"top_rate", "lam", "quantile", "scaled", "solved", "tau"}
        if not isinstance(settings, dict) or set(settings) - _LATER != wanted:
            raise NeuroglotError(f"{path} lacks its settings; make it again.")
        try:
            return cls(
                languages=languages_of(header, path),
                **settings,
                score=arrays["score"],
                selected=arrays["selected"],
                active=arrays["active"],
                provenance=header["provenance"],
                starved=arrays.get("starved"),
                widths=arrays.get("widths"),
            )
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error


def kind_codes(selected: np.ndarray, n_languages: np.ndarray, languages: int) -> np.ndarray:
    """Index into :data:`KINDS` from selection, N and K, uint8 of the same shape."""
    codes = np.zeros(n_languages.shape, dtype=np.uint8)
    codes[selected & (n_languages == 1)] = KINDS.index("specific")
    codes[selected & (n_languages > 1) & (n_languages < languages)] = KINDS.index("related")
    codes[n_languages == languages] = KINDS.index("general")
    return codes


def require_thresholds(*, top_rate: float = 1, lam: float | None = None, quantile: float = 0.5) -> None:
    """Each threshold that is given is one.

    Raises:
        NeuroglotError: it is out of range.
    """
    if not is_number(top_rate) or not 0 < top_rate <= 1:
        raise NeuroglotError(f"top_rate={quoted(top_rate)}: give a share above 0 and up to 1, for instance 0.01.")
    if lam is not None and not is_number(lam):
        raise NeuroglotError(f"lam={quoted(lam)}: give a finite number, or None to solve it.")
    if not is_number(quantile) or not 0 < quantile < 1:
        raise NeuroglotError(f"quantile={quoted(quantile)}: give a number between 0 and 1, for instance 0.95.")


class Identifier:
    """Everything about a set of probabilities that does not depend on the thresholds.

    Prepared once, it answers any thresholds quickly; :func:`classify` is one such answer.

    Args:
        probabilities: float64 ``[layers, neurons, languages]``. A neuron without a number (NaN) in a language
            takes no part: not in tau, not in the share selected, and it is active nowhere.
        scaled: see :func:`classify`.
        widths: where layers differ, how many neurons each has, int64 ``[layers]``; places after them are none.

    Attributes:
        starved: which neurons have no number in some language, bool ``[layers, neurons]``; ``None`` where all have.
        idle: which places take no part: these, and where there is no neuron; ``None`` where all do.
    """

    def __init__(self, probabilities: np.ndarray, *, scaled: bool = True, widths: np.ndarray | None = None) -> None:
        p = np.asarray(probabilities, dtype=np.float64)
        if p.ndim != 3 or p.shape[-1] < 2 or not p.size:
            raise NeuroglotError(
                f"probabilities of shape {p.shape}: give [layers, neurons, languages] of two languages or more."
            )
        k = p.shape[-1]
        self.scaled, self.k, self.shape, self.widths = scaled, k, p.shape[:2], widths
        require_fit(widths, p.shape[:2])
        self._nowhere = None if widths is None else ~are_neurons(widths, p.shape[1])
        # One plane per language: reductions over languages then run along whole planes.
        self.p = np.ascontiguousarray(np.moveaxis(p, -1, 0))
        total = self.p.sum(axis=0)
        self.starved: np.ndarray | None = np.isnan(total)
        self.idle: np.ndarray | None = self.starved
        if self._nowhere is not None:
            self.idle, self.starved = self.starved | self._nowhere, self.starved & ~self._nowhere
        if self.idle.all():
            raise NeuroglotError(
                "every neuron has a probability that is not a number; count more text, or lower min_tokens."
            )
        if self.idle.any():
            self.p, total = np.where(self.idle, 0.0, self.p), np.where(self.idle, 0.0, total)
        self.starved, self.idle = (mask if mask.any() else None for mask in (self.starved, self.idle))
        # A neuron that never fires counts as uniform: the highest entropy there is.
        share = np.divide(self.p, total, out=np.full_like(self.p, 1 / k), where=total > 0)
        np.maximum(share, 1e-12, out=share)
        self.entropy = -np.einsum("kij,kij->ij", share, np.log(share))
        self.peak = self.p.max(axis=0)
        if not (np.isfinite(self.entropy).all() and np.isfinite(self.peak).all()):
            raise NeuroglotError("some probabilities are not a number; count again.")
        # Both terms scaled to at most 1 and K / H_K, as in the authors' released code.
        self.unit_entropy, self.unit_peak = 1.0, 1.0
        if scaled:
            self.unit_entropy = math.log(k)
            self.unit_peak = sum(1 / n for n in range(1, k + 1)) / k
        self._tau: dict[float, float] = {}

    @classmethod
    def of(cls, stats: ActivationStats, min_tokens: int = 1, *, scaled: bool = True) -> "Identifier":
        """Of counts, whose probabilities of ``min_tokens`` are taken."""
        return cls(stats.probabilities(min_tokens), scaled=scaled, widths=stats.ragged)

    def score(self, lam: float) -> np.ndarray:
        """``entropy(p / sum p) - lam * max p`` (eq. 5), scaled or not, ``[layers, neurons]``; infinite of no neuron."""
        score: np.ndarray = self.entropy / self.unit_entropy - lam * (self.peak / self.unit_peak)
        if self._nowhere is not None:
            score[self._nowhere] = np.inf
        return score

    def tau(self, quantile: float) -> float:
        """The ``round(quantile * n)``-th smallest of all n probabilities (of neurons that take part)."""
        require_thresholds(quantile=quantile)
        if quantile not in self._tau:
            p = self.p if self.idle is None else self.p[:, ~self.idle]
            rank = min(max(round(quantile * p.size), 1), p.size)
            self._tau[quantile] = float(np.partition(p, rank - 1, axis=None)[rank - 1])
        return self._tau[quantile]

    def n_selected(self, top_rate: float) -> int:
        """``round(top_rate * neurons)``, of those that take part."""
        require_thresholds(top_rate=top_rate)
        taking_part = self.entropy.size if self.idle is None else np.count_nonzero(~self.idle)
        return round(top_rate * taking_part)

    def select(self, top_rate: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
        """Scores, and which neurons are the lowest ``top_rate``, both ``[layers, neurons]``.

        Of equal scores at the limit (to 2**-40), those of lower layer and then lower index are taken.
        """
        score, n = self.score(lam), self.n_selected(top_rate)
        if n == 0:
            return score, np.zeros(score.shape, dtype=bool)
        flat = np.floor(score.ravel() * SCORE_PARTS + 0.5)
        if self.idle is not None:
            flat[self.idle.ravel()] = np.inf
        limit = np.partition(flat, n - 1)[n - 1]
        selected = flat < limit
        ties = np.flatnonzero(flat == limit)
        selected[ties[: n - np.count_nonzero(selected)]] = True
        return score, selected.reshape(score.shape)

    def solve_lam(self, top_rate: float, general: np.ndarray) -> float:
        """The largest lambda >= 0 for which no neuron of ``general`` is selected.

        A neuron's score falls linearly with lambda, and the lowest score of any general neuron is
        a concave function of it, so each other neuron is below all general ones on one interval
        of lambda. Lambda fits where at least as many intervals overlap as neurons are selected:
        an exact sweep over the intervals' ends instead of a bisection, which may miss the largest.
        (A neuron with the very entropy and peak of the lowest general one is taken to rank after it.)

        Returns:
            That lambda, cut down to a multiple of 1e-6. Where every larger lambda fits as well
            (for instance because no neuron is general), 0.2 in the scaled score's units, the
            upper end of the released search, or the lowest fitting one above it; with a warning.

        Raises:
            NeuroglotError: no lambda fits.
        """
        n, mask = self.n_selected(top_rate), general.ravel()
        e, m = self.entropy.ravel() / self.unit_entropy, self.peak.ravel() / self.unit_peak
        others = ~mask if self.idle is None else ~(mask | self.idle.ravel())
        lower, upper = _below(e[others], m[others], *_envelope(e[mask], m[mask]))
        keep = upper > np.maximum(lower, 0)
        lower, upper = np.maximum(lower[keep], 0), upper[keep]
        endless = np.isinf(upper)
        if n == 0 or np.count_nonzero(endless) >= n:
            usual = _LAM_UNBOUNDED * (1 if self.scaled else _scaled_lam_unit(self.k))
            start = np.partition(lower[endless], n - 1)[n - 1] if n else 0.0
            lam = max(usual, float(start) + _LAM_STEP)
            warnings.warn(
                f"every larger lambda keeps general neurons out of the lowest {top_rate:.2%} as well, so "
                f"lambda has no largest value; {lam:.6g} is taken (the released search ends at {usual:.6g}).",
                stacklevel=5,
            )
            return lam

        def fits(lam: float) -> bool:
            return not (self.select(top_rate, lam)[1] & general).any()

        # Sweep down from infinity: one more interval at its upper end, one less at its lower.
        ends = np.concatenate([upper, lower])
        steps = np.repeat([1, -1], [len(upper), len(lower)])
        order = np.lexsort((steps, -ends))  # at one place, leave before entering: intervals are open
        ends, cover = ends[order], np.cumsum(steps[order])
        for at in np.flatnonzero(cover >= n):
            top, bottom = ends[at], ends[at + 1]
            for lam in (round((math.ceil(top / _LAM_STEP) - 1) * _LAM_STEP, 6), float(top + bottom) / 2):
                if bottom < lam < top and fits(lam):
                    return lam
        if fits(0.0):
            return 0.0
        raise NeuroglotError(
            f"no lambda keeps general neurons out of the lowest {top_rate:.2%}; "
            "lower top_rate, raise quantile or give lam."
        )

    def classify(
        self, top_rate: float, lam: float | None, quantile: float
    ) -> tuple[float, float, np.ndarray, np.ndarray, np.ndarray]:
        """``lam, tau, score, selected, active`` at the given thresholds."""
        tau = self.tau(quantile)
        active = self.p > tau
        require_thresholds(lam=lam)
        if lam is None:
            lam = self.solve_lam(top_rate, np.all(active, axis=0))
        return lam, tau, *self.select(top_rate, lam), np.moveaxis(active, 0, -1)

    def types(
        self,
        languages: tuple[str, ...],
        top_rate: float,
        lam: float | None,
        quantile: float,
        provenance: dict[str, Any] | None = None,
        min_tokens: int = 1,
    ) -> NeuronTypes:
        """The types at the given thresholds, of these languages, with this provenance and least number of tokens."""
        found, tau, score, selected, active = self.classify(top_rate, lam, quantile)
        return NeuronTypes(
            languages=languages,
            top_rate=top_rate,
            lam=float(found),
            quantile=quantile,
            scaled=self.scaled,
            solved=lam is None,
            tau=tau,
            score=score,
            selected=selected,
            active=active,
            provenance={} if provenance is None else provenance,
            min_tokens=min_tokens,
            starved=self.starved,
            widths=self.widths,
        )


def _scaled_lam_unit(k: int) -> float:
    """Factor from a lambda of the scaled score to the unscaled one's, for k languages."""
    return math.log(k) * k / sum(1 / n for n in range(1, k + 1))


def _envelope(e: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lines ``e - lam * m`` that are lowest somewhere on ``lam >= 0``, steepest last."""
    order = np.lexsort((e, m))
    e, m = e[order], m[order]
    first = np.ones(len(m), dtype=bool)
    first[1:] = m[1:] != m[:-1]  # of lines of equal slope only the lowest
    hull: list[tuple[float, float]] = []
    for line in zip(e[first], m[first], strict=True):
        while hull and line[0] <= hull[-1][0]:  # lower at 0 and falling faster: lower everywhere
            hull.pop()
        while len(hull) > 1 and _crossing(hull[-2], line) <= _crossing(hull[-2], hull[-1]):
            hull.pop()
        hull.append(line)
    lines = np.array(hull).reshape(-1, 2)
    return lines[:, 0], lines[:, 1]


def _crossing(flat: tuple[float, float], steep: tuple[float, float]) -> float:
    """The lambda from which the steeper line is the lower one."""
    return (steep[0] - flat[0]) / (steep[1] - flat[1])


def _below(e: np.ndarray, m: np.ndarray, lines_e: np.ndarray, lines_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each neuron the open interval of lambda on which it is below all the lines."""
    lower, upper = np.full(e.shape, -np.inf), np.full(e.shape, np.inf)
    for line_e, line_m in zip(lines_e, lines_m, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            crossing = (e - line_e) / (m - line_m)
        np.maximum(lower, np.where(m > line_m, crossing, -np.inf), out=lower)
        np.minimum(upper, np.where(m < line_m, crossing, np.inf), out=upper)
        upper[(m == line_m) & (e >= line_e)] = -np.inf
    return lower, upper


def classify(
    stats: ActivationStats,
    *,
    top_rate: float = 0.01,
    lam: float | None = None,
    quantile: float = 0.95,
    scaled: bool = True,
    min_tokens: int = MIN_TOKENS,
    detector: "str | Detection" = LAMBDA,
    activity: str = "tau",
) -> NeuronTypes:
    """Identify language-specific, language-related and general neurons.

    The score is ``entropy(p / sum p) - lam * max p`` (eq. 5); with ``scaled``, as in the released
    code that reproduces the published masks, ``entropy / ln K - lam * max p / (H_K / K)``. The
    lowest ``top_rate`` of all neurons are selected. ``tau`` is the ``quantile`` of all
    probabilities, N the number of languages with ``p > tau``.

    Args:
        stats: activation counts of two or more languages.
        top_rate: share of neurons selected.
        lam: weight of the highest probability; ``None`` takes the largest value for which no
            selected neuron is active in all languages.
        quantile: of all ``layers * neurons * languages`` probabilities.
        scaled: scale both terms of the score.
        min_tokens: a neuron of a mixture of experts that saw fewer tokens of a language than this, though there were
            more, takes no part: it is unclassified, and the shares above are of the others. Such neurons are
            :attr:`NeuronTypes.starved`. In a dense model every neuron sees all tokens.
        detector: whose scores to go by in place of that score (:func:`neuroglot.detect`): its name, or what it found in
            these statistics. Selected is the ``top_rate`` of all neurons with its highest score of any language, as
            far as neurons have one; of equal scores the first. There is no ``lam`` then.
        activity: ``"tau"``, as above; or ``"detector"``: N is the number of languages to which another detector itself
            gives the neuron, and selected are all that it gives to any.

    Raises:
        NeuroglotError: a threshold out of range, a language without tokens, no fitting lambda, no
            neuron that saw enough tokens; another detector's statistics that are missing, or lambda beside it.

    Example:
        >>> types = ng.classify(stats, top_rate=0.2, quantile=0.7, lam=0.1)
        >>> list(types.sizes()), sum(types.sizes().values())
        (['unclassified', 'specific', 'related', 'general'], 192)
    """
    require_whole("min_tokens", min_tokens, 1)
    if detector != LAMBDA or activity != "tau":
        from .scored import by_scores  # detectors are above this: one of them is this rule

        if lam is not None:
            raise NeuroglotError(f"lam={quoted(lam)}: only {LAMBDA} has a lambda; leave out lam or detector.")
        how: dict[str, Any] = {"top_rate": top_rate, "quantile": quantile, "min_tokens": min_tokens, "scaled": scaled}
        return by_scores(stats, detector, activity, **how)
    prepared = Identifier.of(stats, min_tokens, scaled=scaled)
    return prepared.types(stats.languages, top_rate, lam, quantile, stats.provenance, min_tokens)


def keep_thresholds(types: NeuronTypes, stats: ActivationStats) -> NeuronTypes:
    """Classify other counts of the same neurons with the lambda and tau of these types; the top rate is a share.

    Another detector scores anew, and by its own activity it alone decides. Which neurons of a mixture take part is
    decided anew: those that saw enough tokens in these counts.

    Args:
        types: whose thresholds are kept.
        stats: counts in the same languages.

    Raises:
        NeuroglotError: other languages, or a model of another shape.
    """
    if stats.languages != types.languages or not same_neurons(stats, types):
        raise NeuroglotError(
            f"counts of {stats.shape[:2]} neurons in {' '.join(stats.languages)} and types of {types.score.shape} in "
            f"{' '.join(types.languages)} are not of the same neurons and languages."
        )
    prepared = Identifier.of(stats, types.min_tokens, scaled=types.scaled)
    active = np.moveaxis(prepared.p > types.tau, 0, -1)
    if types.lam is None:
        anew = classify(stats, **types.arguments())
        score, selected = anew.score, anew.selected
        active = active if types.activity == "tau" else anew.active
    else:
        score, selected = prepared.select(types.top_rate, types.lam)
    return replace(
        types,
        solved=False,
        provenance=stats.provenance,
        score=score,
        selected=selected,
        active=active,
        starved=prepared.starved,
        widths=stats.ragged,
    )


def overlap(one: NeuronTypes, other: NeuronTypes) -> pd.DataFrame:
    """How far two identifications of the same neurons agree, type by type, against chance.

    Returns:
        One row per type: ``kind``, ``one`` and ``other`` (neurons of that type), ``both``,
        ``jaccard`` (both / either), ``chance`` (Jaccard expected of two independent random sets of
        these sizes that keep each layer's numbers).

    Raises:
        NeuroglotError: models of different shape.

    Example:
        >>> ng.overlap(types, types)["jaccard"].tolist()
        [1.0, 1.0, 1.0]
    """
    if not same_neurons(one, other):
        raise NeuroglotError(f"types of shapes {one.score.shape} and {other.score.shape} are of different models.")
    rows = []
    for code, kind in enumerate(KINDS):
        if kind == "unclassified":
            continue
        a, b = one.codes == code, other.codes == code
        both, index, chance = jaccard(a, b, one.layer_widths)
        row = {"kind": kind, "one": int(a.sum()), "other": int(b.sum())}
        rows.append(row | {"both": both, "jaccard": index, "chance": chance})
    return pd.DataFrame(rows)


def replicated(draws: Collection[D], of: Callable[[D], T]) -> Iterator[T]:
    """What each of some draws of the text gives, in order: the one rule for draws that give nothing.

    A draw for which no lambda fits, or that lacks a language, is left out, with a warning in the end. It is not drawn
    again: what is left are the first draws, whatever came of the others, and models that share draws stay paired.

    Args:
        draws: shards, or whatever ``of`` takes.
        of: classifies one draw; raises NeuroglotError where that cannot be done.

    Raises:
        NeuroglotError: more than half of the draws give nothing; the others would be no sample of all.
    """
    failed = 0
    for draw in draws:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that lambda has no largest value is no news in a replicate
                found = of(draw)
        except NeuroglotError as error:
            failed += 1
            if 2 * failed > len(draws):
                raise NeuroglotError(
                    f"of {len(draws)} replicates more than half cannot be classified: {error}"
                ) from error
            continue
        yield found
    if failed:
        warnings.warn(
            f"no lambda fits {failed} of {len(draws)} replicates (or they lack a language), which are left out.",
            stacklevel=2,
        )


def overlap_of_halves(stats: ActivationStats, **settings: Any) -> pd.DataFrame:
    """Do two halves of the text give the same types: :func:`overlap` of every other shard with the others.

    Args:
        stats: counts in two shards or more.
        **settings: of :func:`classify`.

    Raises:
        NeuroglotError: one shard, a half without a language, or no lambda fits.
    """
    shards = range(len(stats.shard_tokens))
    return overlap(*(classify(stats.take(half), **settings) for half in (shards[::2], shards[1::2])))
