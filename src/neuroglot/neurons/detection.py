"""Which neurons are a language's, by any detector: a score for each neuron and language, and its own choice."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.artifacts import load_artifact, save_artifact
from ..base.errors import NeuroglotError, listed, quoted, require_whole
from ..counts.activations import ActivationStats
from ..text.languages import languages_of, require_codes
from . import detectors
from .drawing import generator, matched_like
from .identification import MIN_TOKENS, SCORE_PARTS, classify


@dataclass(frozen=True, eq=False)
class Detection:
    """What a detector says.

    Attributes:
        method: its name.
        languages: codes, in the order of the last axis.
        score: float64 ``[layers, neurons, languages]``: the larger, the more the neuron is that language's; NaN where
            it is out of the question, or not known. Scores of two methods are not on one scale.
        selected: bool of the same shape: the method's own choice, at its settings.
        settings: of the method.
        provenance: of the statistics.
    """

    method: str
    languages: tuple[str, ...]
    score: np.ndarray
    selected: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "detection"

    def __post_init__(self) -> None:
        require_codes(self.languages, "languages")
        shape = self.score.shape
        if len(shape) != 3 or shape[-1] != len(self.languages) or self.selected.shape != shape:
            raise NeuroglotError("score and selected do not fit each other or the languages; detect again.")
        if not np.issubdtype(self.score.dtype, np.floating) or np.isinf(self.score).any():
            raise NeuroglotError("a score is infinite or not a number's kind; detect again.")
        if self.selected.dtype != bool:
            raise NeuroglotError("what is selected is not boolean; detect again.")

    def neurons(self, language: str) -> list[np.ndarray]:
        """The selected neurons of a language, one sorted int64 index array per layer.

        Raises:
            NeuroglotError: unknown language.
        """
        if language not in self.languages:
            known = " ".join(self.languages)
            raise NeuroglotError(f"there is no language {quoted(language)}; the detection has {known}.")
        return [np.flatnonzero(layer) for layer in self.selected[..., self.languages.index(language)]]

    def take(self, n: int | Sequence[int]) -> "Detection":
        """The same scores, and as many neurons selected for every language: those of the highest scores.

        Of equal scores the first neuron is taken. A neuron may be several languages'.

        Args:
            n: of each language; or, one number for each layer, of each language and layer.

        Returns:
            With fewer where fewer have a score.

        Raises:
            NeuroglotError: a number that is none, or not one for each layer.
        """
        layers, width, languages = self.score.shape
        if isinstance(n, int):
            require_whole("n", n, 0)
            blocks, numbers = self.score.reshape(1, layers * width, languages), [n]
        else:
            numbers = [int(one) for one in n]
            for one in numbers:
                require_whole("n", one, 0)
            if len(numbers) != layers:
                raise NeuroglotError(f"n has {len(numbers)} numbers and the model {layers} layers; give one for each.")
            blocks = self.score
        selected = np.zeros(blocks.shape, dtype=bool)
        order = np.argsort(np.where(np.isnan(blocks), np.inf, -blocks), axis=1, kind="stable")
        for block, number in enumerate(numbers):
            np.put_along_axis(selected[block], order[block, :number], True, axis=0)
        return replace(self, selected=(selected & ~np.isnan(blocks)).reshape(self.score.shape))

    def sizes(self) -> dict[str, int]:
        """Selected neurons of each language."""
        return dict(zip(self.languages, self.selected.sum(axis=(0, 1)).tolist(), strict=True))

    def table(self) -> pd.DataFrame:
        """One row per selected neuron and language, highest score first: language, layer, neuron, score."""
        layer, neuron, language = np.nonzero(self.selected)
        found = pd.DataFrame(
            {
                "language": np.array(self.languages)[language],
                "layer": layer,
                "neuron": neuron,
                "score": self.score[layer, neuron, language],
            }
        )
        place = found["language"].map(self.languages.index)
        return found.assign(place=place).sort_values(["place", "score"], ascending=[True, False], kind="stable").drop(
            columns="place"
        ).reset_index(drop=True)  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same detection gives the same bytes."""
        metadata = {"method": self.method, "languages": list(self.languages), "settings": self.settings}
        arrays = {"score": self.score, "selected": self.selected}
        save_artifact(path, self.KIND, arrays, metadata | {"provenance": self.provenance})

    @classmethod
    def load(cls, path: str | Path) -> "Detection":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("score", "selected"))
        method, settings = header.get("method"), header.get("settings")
        if not isinstance(method, str) or not isinstance(settings, dict):
            raise NeuroglotError(f"{path} lacks its method or settings; make it again.")
        try:
            languages = languages_of(header, path)
            return cls(method, languages, arrays["score"], arrays["selected"], settings, header["provenance"])
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error


#: Scores and own selection, both ``[layers, neurons, languages]``.
_Found = tuple[np.ndarray, np.ndarray]


def _lambda_score(
    stats: ActivationStats,
    *,
    top_rate: float = 0.01,
    lam: float | None = None,
    quantile: float = 0.95,
    scaled: bool = True,
    min_tokens: int = MIN_TOKENS,
) -> _Found:
    """The paper's rule (arXiv 2505.21505): selected are its specific and related neurons.

    Scores are :func:`neuroglot.neurons.detectors.score`'s ``lambda``, with the lambda that is solved.
    """
    types = classify(stats, top_rate=top_rate, lam=lam, quantile=quantile, scaled=scaled, min_tokens=min_tokens)
    score = detectors.score("lambda", stats, lam=types.lam, scaled=scaled, min_tokens=min_tokens)
    narrow = types.selected & (types.n_languages < len(types.languages))
    return score, types.active & narrow[..., None]


def _lape(
    stats: ActivationStats,
    *,
    top_rate: float = 0.01,
    filter_rate: float = 0.95,
    bar_rate: float = 0.95,
    min_tokens: int = MIN_TOKENS,
) -> _Found:
    """Language activation probability entropy (arXiv 2402.16438, ``identify.py``).

    A neuron without a probability over the ``filter_rate`` quantile of all is left out before the lowest ``top_rate``
    of all neurons by entropy are chosen; a neuron is the language's where its probability is over the ``bar_rate``
    quantile. The released code's order among equal entropies is its sort's; here the first neuron comes first. Scores
    are the entropy with its sign turned, where the probability is over the bar.
    """
    p = stats.probabilities(min_tokens)
    known = ~np.isnan(p).any(axis=-1)
    p = np.where(known[..., None], p, 0.0)
    every = np.sort(p[known], axis=None)

    def over(rate: float) -> np.ndarray:
        return p > every[max(round(rate * every.size), 1) - 1]

    total = p.sum(axis=-1, keepdims=True)
    share = np.divide(p, total, out=np.zeros_like(p), where=total > 0)
    entropy = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=-1)
    # What differs only by how a machine rounds a logarithm is a tie.
    ranked = np.where(known & over(filter_rate).any(axis=-1), np.round(entropy * SCORE_PARTS), np.inf)
    chosen = np.zeros(ranked.size, dtype=bool)
    chosen[np.argsort(ranked, axis=None, kind="stable")[: round(top_rate * int(known.sum()))]] = True
    chosen &= np.isfinite(ranked.ravel())
    bar = over(bar_rate) & known[..., None]
    score = np.where(bar & np.isfinite(ranked)[..., None], -entropy[..., None], np.nan)
    return score, bar & chosen.reshape(ranked.shape)[..., None]


def _mean_difference(stats: ActivationStats, *, top_rate: float = 0.001) -> _Found:
    """Mean value in a language less the mean of the other languages' means (as of SAE latents, arXiv 2505.05111).

    The statistics need ``moments``. Selected are the ``top_rate`` of all neurons with the highest, for every language.
    """
    means = stats.means()
    others = (means.sum(axis=-1, keepdims=True) - means) / (means.shape[-1] - 1)
    return _highest(means - others, top_rate)


def _random(stats: ActivationStats, *, like: Detection, matched: str | None = "firing rate", seed: int = 0) -> _Found:
    """Random neurons, in each language and layer as many as another detection selects, none of them that language's.

    Args:
        stats: the counts, for firing rates.
        like: the other detection.
        matched: ``"firing rate"``: each is active in the language about as often as one of those; ``None``: any.
        seed: of the draw.
    """
    if like.score.shape != stats.shape or like.languages != stats.languages:
        raise NeuroglotError("like is not of these statistics' neurons and languages; detect on the same.")
    if matched not in (None, "firing rate"):
        raise NeuroglotError(f"matched={quoted(matched)}: give 'firing rate', or None for any neurons.")
    selected = np.zeros(stats.shape, dtype=bool)
    p = stats.probabilities()
    for k, code in enumerate(stats.languages):
        own, key = like.neurons(code), ("detection", like.method, code, seed)
        if matched is None:
            rest = [np.setdiff1d(np.arange(stats.shape[1]), index) for index in own]
            drawn = [free[np.sort(order)] for free, order in zip(rest, _places(own, rest, key), strict=True)]
        else:
            drawn = matched_like(own, p[..., k], key)
        for layer, index in enumerate(drawn):
            selected[layer, index, k] = True
    return np.where(selected, 1.0, np.nan), selected


def _places(own: Sequence[np.ndarray], rest: Sequence[np.ndarray], key: Iterable[str | int]) -> list[np.ndarray]:
    """Random places among the rest, in each layer as many as the set has, as far as they go."""
    rng = generator("random", *key)
    return [rng.permutation(len(free))[: len(index)] for index, free in zip(own, rest, strict=True)]


def _highest(score: np.ndarray, top_rate: float) -> _Found:
    layers, width, _ = score.shape
    number = round(top_rate * layers * width)
    whole = Detection("", tuple(f"l{k}" for k in range(score.shape[-1])), score, np.zeros(score.shape, dtype=bool))
    return score, whole.take(number).selected


#: By name: what is found in statistics. Those of packages (``neuroglot.detectors``) give scores alone.
METHODS: dict[str, Callable[..., _Found]] = {
    "lambda-score": _lambda_score,
    "lape": _lape,
    "mean-difference": _mean_difference,
    "random": _random,
}


def detect(stats: ActivationStats, method: str, **settings: Any) -> Detection:
    """Which neurons are a language's, by one method.

    Args:
        stats: activation counts, with ``moments`` for ``"mean-difference"``.
        method: one of :data:`METHODS`, or the name of an installed detector, which selects none by itself:
            :meth:`Detection.take` does.
        **settings: of the method; see the functions in this module.

    Raises:
        NeuroglotError: no such method or setting, or statistics that lack what it needs.
    """
    if method in METHODS:
        function = METHODS[method]
        try:
            signature(function).bind(stats, **settings)
        except TypeError as error:
            raise NeuroglotError(f"the method {method}: {error}; see neuroglot.neurons.detection.") from error
        score, selected = function(stats, **settings)
    elif method in detectors.names():
        score = detectors.score(method, stats, **settings)
        selected = np.zeros(score.shape, dtype=bool)
    else:
        every = dict.fromkeys([*METHODS, *detectors.names()])
        raise NeuroglotError(f"there is no method {quoted(method)}; use {listed(every)}.")
    plain = {name: value.method if isinstance(value, Detection) else value for name, value in settings.items()}
    return Detection(method, stats.languages, score, selected, plain, dict(stats.provenance))
