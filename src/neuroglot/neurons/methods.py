"""The published ways to find a language's neurons: each gives a score of every neuron and language, and its choice."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..base.errors import NeuroglotError, is_number, quoted, require_whole
from ..counts.activations import ActivationStats
from ..counts.gathering import Gathered
from ..model.attribution import Attributions
from . import detectors
from .agreement import Selection
from .drawing import generator, matched_like
from .identification import MIN_TOKENS, SCORE_PARTS, classify

#: Scores and own choice, both ``[layers, neurons, languages]``.
Found = tuple[np.ndarray, np.ndarray]


def ranks(score: np.ndarray) -> np.ndarray:
    """Each neuron's place for each language, 1 the highest score: int64 ``[neurons, languages]``, as ``score``.

    Of equal scores the first neuron comes first; of NaN it is 0.
    """
    order = np.argsort(np.where(np.isnan(score), np.inf, -score), axis=0, kind="stable")
    found = np.zeros(score.shape, dtype=np.int64)
    np.put_along_axis(found, order, np.arange(1, len(score) + 1)[:, None], axis=0)
    found[np.isnan(score)] = 0
    return found


def highest(score: np.ndarray, number: int) -> np.ndarray:
    """The neurons of the highest scores, as many of each language: bool ``[neurons, languages]``, as ``score``.

    Of equal scores the first is taken, of NaN none.
    """
    rank = ranks(score)
    chosen: np.ndarray = (rank > 0) & (rank <= number)
    return chosen


def _top(stats: ActivationStats, score: np.ndarray, top_rate: float) -> Found:
    """With the ``top_rate`` of all neurons chosen for every language; no score where there is no neuron."""
    _require_rate("top_rate", top_rate)
    score = np.where(stats.real[..., None], score, np.nan)
    flat = score.reshape(-1, score.shape[-1])
    return score, highest(flat, round(top_rate * stats.n_neurons)).reshape(score.shape)


def _require_rate(name: str, rate: float) -> None:
    if not is_number(rate) or not 0 <= rate <= 1:
        raise NeuroglotError(f"{name}={quoted(rate)}: give a share from 0 to 1.")


def _less_others(values: np.ndarray) -> np.ndarray:
    """Each language's value less the mean of the others'."""
    others = (values.sum(axis=-1, keepdims=True) - values) / (values.shape[-1] - 1)
    result: np.ndarray = values - others
    return result


# --- of counts ---------------------------------------------------------------------------------


def lambda_score(
    stats: ActivationStats,
    *,
    top_rate: float = 0.01,
    lam: float | None = None,
    quantile: float = 0.95,
    scaled: bool = True,
    min_tokens: int = MIN_TOKENS,
) -> Found:
    """The paper's rule (arXiv 2505.21505): selected are its specific and related neurons.

    Scores are :func:`neuroglot.neurons.detectors.score`'s ``lambda``, with the lambda that is solved, where the
    probability is over the quantile: what they say of a neuron is nearly the same in every language.
    """
    types = classify(stats, top_rate=top_rate, lam=lam, quantile=quantile, scaled=scaled, min_tokens=min_tokens)
    score = detectors.score("lambda", stats, lam=types.lam, scaled=scaled, min_tokens=min_tokens)
    narrow = types.selected & (types.n_languages < len(types.languages))
    return np.where(types.active, score, np.nan), types.active & narrow[..., None]


def lape(
    stats: ActivationStats,
    *,
    top_rate: float = 0.01,
    filter_rate: float = 0.95,
    bar_rate: float = 0.95,
    min_tokens: int = MIN_TOKENS,
) -> Found:
    """Language activation probability entropy (arXiv 2402.16438, ``identify.py``).

    A neuron without a probability over the ``filter_rate`` quantile of all is left out before the lowest ``top_rate``
    of all neurons by entropy are chosen; a neuron is the language's where its probability is over the ``bar_rate``
    quantile. The released code's order among equal entropies is its sort's; here the first neuron comes first. Scores
    are the entropy with its sign turned, where the probability is over the bar.
    """
    for name, rate in {"top_rate": top_rate, "filter_rate": filter_rate, "bar_rate": bar_rate}.items():
        _require_rate(name, rate)
    p = stats.probabilities(min_tokens)
    known = ~np.isnan(p).any(axis=-1)
    p = np.where(known[..., None], p, 0.0)
    every = np.sort(p[known], axis=None)

    def over(rate: float) -> np.ndarray:
        above: np.ndarray = p > every[max(round(rate * every.size), 1) - 1]
        return above

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


# --- of values ---------------------------------------------------------------------------------


def mean_difference(stats: ActivationStats, *, top_rate: float = 0.001, absolute: bool = False) -> Found:
    """Mean value in a language less the mean of the other languages' means (as of SAE latents, arXiv 2505.05111).

    Selected are the ``top_rate`` of all neurons with the highest, for every language. The statistics need ``moments``,
    or with ``absolute``, for the means of the absolute values, ``gather="absolute"``.
    """
    if not absolute:
        return _top(stats, _less_others(stats.means()), top_rate)
    gathered, values = _gathered(stats, "absolute")
    assert gathered.text_languages is not None
    of = gathered.text_languages
    sums = [values[:, of == k].sum(axis=1, dtype=np.float64) for k in range(len(stats.languages))]
    return _top(stats, _less_others(np.stack(sums, axis=-1) / stats.tokens), top_rate)


def _gathered(stats: ActivationStats, kind: str) -> tuple[Gathered, np.ndarray]:
    gathered = stats.gathered
    values = None if gathered is None else getattr(gathered, kind)
    if gathered is None or values is None:
        raise NeuroglotError(f"these counts hold no {kind}; collect them with gather={kind!r} (--gather {kind}).")
    return gathered, values


def average_precision(stats: ActivationStats, *, number: int = 1000) -> Found:
    """How well a neuron's largest value in a text tells the language's texts from others (arXiv 2404.02431).

    The average precision, as scikit-learn's ``average_precision_score`` has it, of that value as a score for the
    language. Selected are the ``number`` neurons with the highest and as many with the lowest, together at most all.
    The statistics need ``gather="maxima"``. There: 500 texts of the language and 2,500 others; here all texts.
    """
    require_whole("number", number, 0)
    gathered, values = _gathered(stats, "maxima")
    assert gathered.text_languages is not None
    of = gathered.text_languages
    score = np.stack([average_precisions(layer, of, len(stats.languages)) for layer in values])
    score[~stats.real] = np.nan
    flat = score.reshape(-1, score.shape[-1])
    return score, (highest(flat, number) | highest(-flat, number)).reshape(score.shape)


def average_precisions(values: np.ndarray, of: np.ndarray, languages: int) -> np.ndarray:
    """Average precision of every column as a score for each class of rows.

    Args:
        values: ``[rows, columns]``.
        of: ``[rows]``, the class of each row, a number below ``languages``.
        languages: how many classes there are.

    Returns:
        Float64 ``[columns, languages]``: the sum over distinct values, from the highest, of the precision there times
        the gain of recall; NaN for a class without rows.
    """
    order = np.argsort(-values, axis=0, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, _last_of_equal(np.take_along_axis(values, order, axis=0)), axis=0)
    found = np.full((values.shape[1], languages), np.nan)
    for k in range(languages):
        own = np.sort(place[of == k], axis=0)
        if len(own):
            found[:, k] = (_last_of_equal(own) / own).sum(axis=0) / len(own)
    return found


def _last_of_equal(ranked: np.ndarray) -> np.ndarray:
    """In sorted columns ``[rows, columns]``, the place from 1 on of the last row that has each one's value."""
    places = np.repeat(np.arange(1, len(ranked) + 1)[:, None], ranked.shape[1], axis=1)
    places[:-1][ranked[:-1] == ranked[1:]] = len(ranked)
    last: np.ndarray = np.minimum.accumulate(places[::-1], axis=0)[::-1]
    return last


def plnd(stats: ActivationStats, *, top_rate: float = 0.01, share: float = 0.9) -> Found:
    """Neurons that are among the strongest in nearly all of a language's texts (arXiv 2402.18815).

    The strongest of a text: the ``top_rate`` of all neurons with the largest sums of absolute values over its tokens.
    A language's are those that are that in a ``share`` of its texts, less those that are every language's. Scores are
    the share less the mean share of the others, which is ours: there neurons are in or out. The statistics need
    ``gather="absolute"``. The paper and its code differ in how many are the strongest.
    """
    for name, rate in {"top_rate": top_rate, "share": share}.items():
        _require_rate(name, rate)
    gathered, values = _gathered(stats, "absolute")
    assert gathered.text_languages is not None
    layers, _, width = values.shape
    number = round(top_rate * stats.n_neurons)
    strong = np.zeros((len(stats.languages), layers * width))
    for text, k in enumerate(gathered.text_languages):
        strong[k] += highest(np.where(stats.real, values[:, text], np.nan).reshape(-1, 1), number)[:, 0]
    of = np.bincount(gathered.text_languages, minlength=len(stats.languages))
    shares = np.divide(strong, of[:, None], out=np.full(strong.shape, np.nan), where=of[:, None] > 0).T
    # Whole texts: a share that is no binary number is not missed by a rounding.
    whole = np.ceil(np.round(share * of, 9)) <= strong.T
    chosen = whole & ~whole.all(axis=-1, keepdims=True)
    shares[~stats.real.ravel()] = np.nan
    return _less_others(shares).reshape(layers, width, -1), chosen.reshape(layers, width, -1)


def percentile(stats: ActivationStats, *, percentile: float = 0.95, top_rate: float = 0.00125) -> Found:
    """Where a neuron exceeds a percentile of its own values more often than elsewhere (arXiv 2503.17456).

    The threshold is the first edge of the histogram's bins with no more than ``1 - percentile`` of the neuron's
    values, all languages' together, at or above it. Scores are the share of a language's tokens there, of the sum of
    all languages' shares. Selected are the ``top_rate`` of all neurons with the highest. The statistics need
    ``gather="histograms"``; there the percentile is of the values, here of bins.
    """
    for name, rate in {"percentile": percentile, "top_rate": top_rate}.items():
        _require_rate(name, rate)
    shares = np.empty(stats.shape)
    for layer, histograms in enumerate(_gathered(stats, "histograms")[1]):
        pooled = histograms.sum(axis=1, dtype=np.int64)[:, ::-1].cumsum(axis=-1)[:, ::-1]
        allowed = np.floor(np.round((1 - percentile) * pooled[:, :1], 9))
        first = (pooled > allowed).sum(axis=-1)  # the first bin of those that hold few enough
        above = np.arange(pooled.shape[-1]) >= first[:, None]
        shares[layer] = np.einsum("nkb,nb->nk", histograms, above, dtype=np.int64, casting="unsafe") / stats.tokens
    total = shares.sum(axis=-1, keepdims=True)
    return _top(stats, np.divide(shares, total, out=np.full(shares.shape, np.nan), where=total > 0), top_rate)


def overlap(stats: ActivationStats, *, bottom_rate: float = 0.01) -> Found:
    """Where a neuron's values in some languages hardly overlap with those in the others (DLN, EMNLP 2026).

    ``S[k, l]``, the overlap of two languages, sums the smaller of the two shares over the histogram's bins. Of all
    ways to part the languages in two, the one whose largest S across is smallest is taken (single linkage); where
    several are, of the groups that hang together by a larger S the one of fewest languages is apart, of these the one
    with the first language. Selected are neurons whose largest S across is no more than the ``bottom_rate`` quantile
    of all S of all neurons; they are the languages' apart. Scores are 1 less that S, of the languages apart alone.
    The statistics need ``gather="histograms"``. There: 400 bins between the neuron's own extremes and two outer ones;
    here the bins of :func:`neuroglot.counts.gathering.edges`, the same for all.
    """
    _require_rate("bottom_rate", bottom_rate)
    histograms, k = _gathered(stats, "histograms")[1], len(stats.languages)
    shape = histograms.shape[:2]
    if k < 2:
        raise NeuroglotError("overlap needs two languages or more; count more.")
    across, apart, pairs = np.empty(shape), np.empty((*shape, k), dtype=bool), []
    upper = np.triu_indices(k, 1)
    for layer, found in enumerate(histograms):
        share = found / stats.tokens[:, None]
        overlaps = np.ones((len(found), k, k))
        for one, other in zip(*upper, strict=True):
            between = np.minimum(share[:, one], share[:, other]).sum(axis=-1)
            overlaps[:, one, other] = overlaps[:, other, one] = np.round(between, 12)  # equal ones are ties
        across[layer], apart[layer] = _parted(overlaps)
        apart[layer] &= stats.real[layer, :, None]
        pairs.append(overlaps[stats.real[layer]][:, *upper])
    every = np.sort(np.concatenate(pairs), axis=None)
    number = round(bottom_rate * every.size)
    lowest = every[number - 1] if number else -1.0
    return np.where(apart, 1 - across[..., None], np.nan), apart & (across <= lowest)[..., None]


def _parted(overlaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest overlap across the best parting in two ``[neurons]``, and which are apart ``[neurons, languages]``.

    Args:
        overlaps: ``[neurons, languages, languages]``, symmetric.
    """
    neurons, k, _ = overlaps.shape
    rows = np.arange(neurons)
    # A largest spanning tree, grown from the first language; its weakest branch is what must be cut.
    inside = np.zeros((neurons, k), dtype=bool)
    inside[:, 0] = True
    reach, weakest = overlaps[:, 0].copy(), np.full(neurons, np.inf)
    for _ in range(k - 1):
        candidate = np.where(inside, -np.inf, reach)
        joins = candidate.argmax(axis=-1)
        weakest = np.minimum(weakest, candidate[rows, joins])
        inside[rows, joins] = True
        reach = np.maximum(reach, overlaps[rows, joins])
    linked = overlaps > weakest[:, None, None]
    linked[:, np.arange(k), np.arange(k)] = True
    for _ in range(max(k - 1, 1).bit_length()):
        linked = np.einsum("nij,njk->nik", linked, linked)
    sizes = linked.sum(axis=-1)
    smallest = sizes.argmin(axis=-1)  # the first of those, so of equal groups the one with the first language
    return weakest, linked[rows, smallest]


# --- of gradients ------------------------------------------------------------------------------


def attribution(stats: ActivationStats, *, attributions: Attributions, top_rate: float = 0.001) -> Found:
    """What switching a neuron off would do to a language's loss, less the mean of the others' (attribution patching).

    First-order estimates, of :func:`neuroglot.attributions`. A relevance-based ranking for languages is arXiv
    2601.04664. Selected are the ``top_rate`` of all neurons with the highest, for every language.
    """
    if attributions.languages != stats.languages or attributions.values.shape != stats.shape:
        raise NeuroglotError("attributions are not of these statistics' neurons and languages; estimate on the same.")
    return _top(stats, _less_others(attributions.values), top_rate)


# --- of chance ---------------------------------------------------------------------------------


def random(stats: ActivationStats, *, like: Selection, matched: str | None = "firing rate", seed: int = 0) -> Found:
    """Random neurons, in each language and layer as many as another detection selects, none of them that language's.

    Args:
        stats: the counts, for firing rates.
        like: the other detection, or neuron types.
        matched: ``"firing rate"``: each is active in the language about as often as one of those; ``None``: any.
        seed: of the draw.
    """
    if like.languages != stats.languages:
        raise NeuroglotError("like is not of these statistics' languages; detect on the same.")
    if matched not in (None, "firing rate"):
        raise NeuroglotError(f"matched={quoted(matched)}: give 'firing rate', or None for any neurons.")
    selected = np.zeros(stats.shape, dtype=bool)
    p = stats.probabilities()
    for k, code in enumerate(stats.languages):
        own, key = like.neurons(code), ("detection", getattr(like, "method", "") or "", code, seed)
        if len(own) != len(p) or any(
            index.size and index.max() >= width for index, width in zip(own, stats.layer_widths, strict=True)
        ):
            raise NeuroglotError("like is not of these statistics' neurons; detect on the same.")
        if matched is None:
            rest = [np.setdiff1d(np.arange(n), index) for n, index in zip(stats.layer_widths, own, strict=True)]
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


#: By name: what is found in statistics. Those of packages (``neuroglot.detectors``) give scores alone.
METHODS: dict[str, Callable[..., Found]] = {
    method.__name__.replace("_", "-"): method
    for method in (
        lambda_score,
        lape,
        average_precision,
        plnd,
        percentile,
        overlap,
        mean_difference,
        attribution,
        random,
    )
}

#: What each reads beside counts: ``moments``, what is gathered (:data:`neuroglot.counts.gathering.KINDS`), or
#: ``attributions``.
NEEDS: dict[str, tuple[str, ...]] = {
    "average-precision": ("maxima",),
    "plnd": ("absolute",),
    "percentile": ("histograms",),
    "overlap": ("histograms",),
    "mean-difference": ("moments",),
    "attribution": ("attributions",),
}
