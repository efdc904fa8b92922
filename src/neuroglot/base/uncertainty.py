"""How sure a number is: the one place that resamples, permutes, makes an interval or says a verdict.

Units are what a claim would be tried on again: wordings of the text, shards of what was counted, trainings. Fewer than
:data:`LEAST_UNITS` of them give no interval, and neither do units that all agree: they tell nothing of others.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, permutations

import numpy as np
import pandas as pd
from scipy import stats

#: Units below which there is no interval.
LEAST_UNITS = 4

#: How often intervals hold, which share of the differences said may be none, how often a difference is to be found.
LEVEL, RATE, POWER = 0.95, 0.05, 0.8

#: The verdicts of the whole book; where nothing can be said there is none, which is shown as :data:`NOT_KNOWN`.
MORE, LESS, ALIKE, SAME = "more", "less", "alike", "not told apart"
NOT_KNOWN = "not known"


@dataclass(frozen=True, eq=False)
class Estimate:
    """Numbers and how sure they are, in arrays of one shape.

    Attributes:
        value: what was found.
        error: standard error; no number where there is no interval.
        df: degrees of freedom of the t distribution that goes with it.
        shift: how far the interval's middle lies from the value (:func:`change_of_shares`).
        bound: no number can be larger, in size.
    """

    value: np.ndarray
    error: np.ndarray
    df: np.ndarray
    shift: np.ndarray | float = 0.0
    bound: np.ndarray | float = np.inf

    def __post_init__(self) -> None:
        parts = np.broadcast_arrays(*(np.asarray(getattr(self, name), float) for name in self.__match_args__))
        for name, part in zip(self.__match_args__, parts, strict=True):
            object.__setattr__(self, name, part)

    @property
    def middle(self) -> np.ndarray:
        """Of the interval."""
        return self.value + self.shift

    def interval(self, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
        """The t interval, ``middle -+ t error``."""
        half = np.asarray(stats.t.ppf((1 + level) / 2, self.df)) * self.error
        low: np.ndarray = np.clip(self.middle - half, -self.bound, self.bound)
        high: np.ndarray = np.clip(self.middle + half, -self.bound, self.bound)
        return low, high

    def p(self) -> np.ndarray:
        """Two-sided, by a t test of whether it is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(2 * stats.t.sf(np.abs(self.middle / self.error), self.df))

    def detectable(self, power: float = POWER, level: float = LEVEL) -> np.ndarray:
        """The smallest change that a design as sure as this one finds with this power, one comparison by itself."""
        return np.asarray((stats.t.ppf((1 + level) / 2, self.df) + stats.t.ppf(power, self.df)) * self.error)

    def scattered(self, draws: np.ndarray) -> "Estimate":
        """The same, when it is compared with *one more* random draw: less sure by the scatter of the draws.

        Measured on the same units, it is the difference of both that is jackknifed, and its own draws that scatter.

        Adds ``s^2 (1 + 1/D)`` to the squared error, with Satterthwaite's degrees of freedom, but at most ``2 (D - 1)``:
        of few draws ``s`` may be small by chance.

        Args:
            draws: ``[D, ...]``; those that are no number are left out, fewer than two give no interval.
        """
        n = (~np.isnan(draws)).sum(axis=0)
        known = np.where(n > 1, draws, 0.0)
        mean = np.nansum(known, axis=0) / np.maximum(n, 1)
        spread = np.nansum((known - mean) ** 2, axis=0) / np.maximum(n - 1, 1)
        own, other = self.error**2, np.where(n > 1, spread * (1 + 1 / np.maximum(n, 1)), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            df = (own + other) ** 2 / (own**2 / self.df + other**2 / np.maximum(n - 1, 1))
        return replace(self, error=np.sqrt(own + other), df=np.minimum(df, np.maximum(2 * (n - 1), 1)))


def together(estimates: Sequence[Estimate]) -> Estimate:
    """Several as one, along a new first axis, as :func:`verdicts` over all of them takes it."""
    return Estimate(*(np.stack([getattr(one, name) for one in estimates]) for name in Estimate.__match_args__))


def leave_one_out(units: int) -> np.ndarray:
    """Weights ``[units, units]`` for :func:`ratios`: in each row one unit is left out."""
    return 1 - np.eye(units)


def known_mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Over an axis, of those that are numbers; no number where none is."""
    n = (~np.isnan(values)).sum(axis=axis)
    return np.where(n > 0, np.nansum(values, axis=axis) / np.maximum(n, 1), np.nan)


def jackknife(value: np.ndarray | float, replicates: np.ndarray, present: np.ndarray | None = None) -> Estimate:
    """How sure a number made of units is, from what it is without each of them.

    Its variance is the sum of squared deviations of the replicates (the usual one, times ``n / (n - 1)``), and there
    are ``n - 2`` degrees of freedom: a little more and one less than usual, for with few units of unequal size and
    skewed effects the usual intervals are too narrow (``benchmarks/coverage.py``).

    Args:
        value: ``[...]``, from all units: a ratio of sums, or whatever is made of such ratios.
        replicates: ``[units, ...]``, the same with one unit left out each.
        present: ``[units, ...]``, which units say anything of the number; default: all.
    """
    value, there = np.asarray(value, float), np.ones(replicates.shape, bool)
    there = there if present is None else np.broadcast_to(present, replicates.shape)
    n = there.sum(axis=0)
    mean = np.where(there, replicates, 0).sum(axis=0) / np.maximum(n, 1)
    squares = np.where(there, (replicates - mean) ** 2, 0).sum(axis=0)
    return _sure(value, np.sqrt(squares), n, LEAST_UNITS, n - 2)


def half_sampled(value: np.ndarray | float, replicates: np.ndarray, units: int) -> Estimate:
    """How sure a number is that jumps, such as a number of neurons beyond a threshold, from what halves of it give.

    The scatter of the statistic over random halves of the units is that of the whole over other units (a delete-half
    jackknife; Shao and Wu, 1989). Leaving out one unit at a time would make such numbers look two to three times less
    sure than they are, and units drawn anew, some of them twice, would move them: here the interval's middle is the
    number itself. ``units / 2 - 1`` degrees of freedom.

    Args:
        value: ``[...]``, from all units.
        replicates: ``[halves, ...]``, the same from each half of :func:`halves`.
        units: how many there are in all.
    """
    error = np.sqrt(((replicates - replicates.mean(axis=0)) ** 2).mean(axis=0) * units / max(units - 1, 1))
    return _sure(np.asarray(value, float), error, np.asarray(units), 2 * LEAST_UNITS, np.asarray(units / 2 - 1))


def mean_of(values: np.ndarray, least: int = LEAST_UNITS) -> Estimate:
    """The mean of values ``[units, ...]`` that weigh alike; those that are no number are left out.

    Args:
        values: of each unit.
        least: units below which there is no interval.
    """
    n, mean = (~np.isnan(values)).sum(axis=0), known_mean(values)
    squares = np.nansum((values - mean) ** 2, axis=0)
    return _sure(mean, np.sqrt(squares / np.maximum(n * (n - 1), 1)), n, least, n - 1)


def _sure(value: np.ndarray, error: np.ndarray, n: np.ndarray, least: int, df: np.ndarray) -> Estimate:
    """Without an interval where there are too few units, or all agree."""
    agree = error <= 1e-12 * np.maximum(1, np.abs(value))
    return Estimate(value, np.where((n < least) | agree, np.nan, error), np.maximum(df, 1))


def change_of_shares(after: np.ndarray, before: np.ndarray, sizes: np.ndarray) -> Estimate:
    """How a share changes on the same units: paired, and honest where hardly a unit changes.

    As Agresti and Min (2005) do for pairs of yes and no, the interval is that of the units and two more of mean size,
    one of which changes all the way up and one down.

    Args:
        after, before: ``[..., units]``, sums over each unit of numbers from 0 to 1.
        sizes: ``[..., units]``, how many they are; units of 0 are left out.
    """
    there = sizes > 0
    n = there.sum(axis=-1)
    size = (sizes.sum(axis=-1) / np.maximum(n, 1))[..., None]
    differences = np.where(there, after - before, 0.0)
    more = np.concatenate([differences, size, -size], axis=-1)
    sizes = np.concatenate([np.where(there, sizes, 0), size, size], axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = differences.sum(axis=-1) / sizes[..., :-2].sum(axis=-1)
        middle = more.sum(axis=-1) / sizes.sum(axis=-1)
        without = (more.sum(axis=-1)[..., None] - more) / (sizes.sum(axis=-1)[..., None] - sizes)
    found = jackknife(middle, np.moveaxis(without, -1, 0), np.moveaxis(sizes > 0, -1, 0))
    return Estimate(value, np.where(n < LEAST_UNITS, np.nan, found.error), found.df, middle - value, 1.0)


def share_interval(
    share: np.ndarray | float, number: np.ndarray | float, level: float = LEVEL
) -> tuple[np.ndarray, np.ndarray]:
    """Clopper and Pearson's interval for a share of ``number`` independent units, each of which is in part or not.

    Units that are in it in part (a mean of several answers, a share of letters) vary less than this allows for.

    Args:
        share: from 0 to 1.
        number: of units, which may be a fraction (:func:`effective_number`); fewer than :data:`LEAST_UNITS` give none.
        level: coverage.
    """
    share, number = np.broadcast_arrays(np.asarray(share, float), np.asarray(number, float))
    hits, tail = share * number, (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(hits > 0, stats.beta.ppf(tail, hits, number - hits + 1), 0.0)
        high = np.where(hits < number, stats.beta.ppf(1 - tail, hits + 1, number - hits), 1.0)
    known = (number >= LEAST_UNITS) & ~np.isnan(share)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def effective_number(sums: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many independent draws would be as sure of a share as these units are (Korn and Graubard, 1998).

    ``p (1 - p)`` over the squared error of the ratio, times ``(z / t)^2``; at most the sizes' sum. Where the units all
    agree it is their number.

    Args:
        sums, sizes: ``[..., units]``.
    """
    sums, sizes = np.broadcast_arrays(sums, sizes)
    flat, total = np.moveaxis(sums, -1, 0), sizes.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = sums.sum(axis=-1) / total
        without = (flat.sum(axis=0) - flat) / (total - np.moveaxis(sizes, -1, 0))
        n = (sizes > 0).sum(axis=-1)
        found = jackknife(share, without, np.moveaxis(sizes > 0, -1, 0))
        exact = share * (1 - share) / found.error**2 * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, found.df)) ** 2
    return np.where(n < LEAST_UNITS, np.nan, np.where(np.isnan(found.error), n, np.minimum(exact, total)))


def verdicts(
    estimate: Estimate, *, rate: float = RATE, margin: float | None = None, p: np.ndarray | None = None
) -> np.ndarray:
    """:data:`MORE`, :data:`LESS` or not told apart from 0, for all numbers of one question together.

    Of what is said to differ, a share ``rate`` at most is expected not to (Benjamini and Hochberg, 1995, by scipy).

    Args:
        estimate: differences from whatever they are compared with.
        rate: of false discoveries.
        margin: what is too small to matter: a number of which the 90 % interval lies within it is :data:`ALIKE`.
        p: of other tests than t tests.

    Returns:
        Of the same shape; ``None`` where it cannot be known.
    """
    p = estimate.p() if p is None else np.asarray(p, float)
    known, said = ~np.isnan(p), np.full(p.shape, None, dtype=object)
    sure = np.zeros(p.shape, bool)
    if known.any():
        sure[known] = stats.false_discovery_control(p[known]) <= rate
    said[known] = SAME
    if margin is not None:
        low, high = estimate.interval(0.9)
        said[known & ~sure & (low > -margin) & (high < margin)] = ALIKE
    said[sure & (estimate.value > 0)], said[sure & (estimate.value < 0)] = MORE, LESS
    return said


def verdict_words(verdicts: pd.Series) -> pd.Series:
    """Verdicts as they are shown: where there is none, :data:`NOT_KNOWN`."""
    return verdicts.astype(object).where(verdicts.notna(), NOT_KNOWN)


def paired_p(differences: np.ndarray) -> float:
    """Two-sided and exact: how often signs dealt at random make a sum of paired differences as far from 0.

    Of pairs of yes and no this is McNemar's exact test. No number without a difference at all units.

    Args:
        differences: ``[units]``; those that are no number are left out.
    """
    moved = differences[~np.isnan(differences)]
    if len(moved) < 1:
        return np.nan
    moved = moved[np.abs(moved) > 1e-12]
    if len(moved) == 0:
        return 1.0
    if np.allclose(np.abs(moved), np.abs(moved[0])):
        return float(stats.binomtest(int((moved > 0).sum()), len(moved)).pvalue)
    found = stats.permutation_test(
        (moved,), lambda x, axis: x.sum(axis), permutation_type="samples", vectorized=True, n_resamples=9_999, rng=0
    )
    return float(found.pvalue)


def dealt_to_languages(matrix: np.ndarray, most: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Whether sets do more to their own language than to others: the contrast, and its ``p``.

    The contrast is the mean of the diagonal less that of the rest; ``p``, one-sided, is the share of ways to deal the
    sets to the languages in which it is as large. Exact up to 7 languages.

    Args:
        matrix: ``[sets, languages]``, each set in the place of its own language; a language without a set, or with
            one that was not measured in all, is left out.
        most: deals drawn where there are more ways.
        seed: of those.
    """
    known = ~np.isnan(np.diag(matrix))
    matrix = matrix[np.ix_(known, known)]
    n = len(matrix)
    if n < 2 or np.isnan(matrix).any():
        return np.nan, np.nan
    own = np.trace(matrix)
    contrast = float(own / n - (matrix.sum() - own) / (n * n - n))
    if math.factorial(n) <= most:
        dealt = np.array(list(permutations(range(n))))
        return contrast, float((matrix[dealt, np.arange(n)].sum(axis=1) >= own - 1e-12).mean())
    dealt = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (most, 1)), axis=1)
    hits = (matrix[dealt, np.arange(n)].sum(axis=1) >= own - 1e-12).sum()
    return contrast, float((hits + 1) / (most + 1))


def halves(units: int, splits: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random splits of units into two halves; of an odd number, one is left out; of one unit, there are none."""
    rng, half = np.random.default_rng([seed, 1]), units // 2
    for _ in range(splits if half else 0):
        order = rng.permutation(units)
        yield np.sort(order[:half]), np.sort(order[half : 2 * half])


def ratios(sums: np.ndarray, sizes: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sums over sizes, each added up over units first.

    Args:
        sums: ``[rows, languages, units]``; a row and language with a unit that is no number has no ratio.
        sizes: ``[rows, languages, units]`` or ``[languages, units]``.
        weights: ``[replicates, units]``, how often each unit counts; default: once.

    Returns:
        ``[rows, languages]``, or ``[replicates, rows, languages]`` with weights; no number where
        the size is 0.
    """
    w = np.ones((1, sums.shape[-1])) if weights is None else weights
    sizes = np.broadcast_to(sizes, sums.shape)
    missing = np.isnan(sums).any(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        result = np.einsum("rlu,bu->brl", np.nan_to_num(sums), w) / np.einsum("rlu,bu->brl", sizes, w)
    result = np.where(missing | ~np.isfinite(result), np.nan, result)
    return result[0] if weights is None else result


# --- permutation -------------------------------------------------------------------------------


def dealt_anew(groups: np.ndarray, of: Callable[[np.ndarray], float], most: int, seed: int = 0) -> float:
    """How often a statistic of groups is at least as large as it is when they are dealt anew to the same units: ``p``.

    All distinct deals are taken where they are at most ``most``; else so many are drawn and
    ``p = (hits + 1) / (n + 1)``.

    Args:
        groups: ``[units]``, the number of each one's group, from 0 on.
        of: the statistic; a deal for which it is no number is left out.
        most: deals.
        seed: of those drawn.
    """
    found, sizes = of(groups), np.bincount(groups)
    exact = _n_deals(sizes) <= most
    rng = np.random.default_rng(seed)
    deals = _deals(sizes) if exact else (rng.permutation(groups) for _ in range(most))
    others = np.array([of(deal) for deal in deals])
    hits, n = np.count_nonzero(others > found - 1e-12), np.count_nonzero(~np.isnan(others))
    return hits / n if exact else (hits + 1) / (n + 1)


def _n_deals(sizes: np.ndarray) -> int:
    """In how many ways units fall into groups of these sizes; groups of one size are interchangeable."""
    ways = math.factorial(int(sizes.sum()))
    for size, times in zip(*np.unique(sizes, return_counts=True), strict=True):
        ways //= math.factorial(int(size)) ** int(times) * math.factorial(int(times))
    return ways


def _deals(sizes: np.ndarray) -> Iterator[np.ndarray]:
    """All these ways, each as the number of every unit's group."""
    units = int(sizes.sum())
    for several in _partitions(tuple(range(units)), sorted((int(size) for size in sizes if size > 1), reverse=True)):
        groups = np.arange(units)  # alone, but for those that are put together
        for group in several:
            groups[list(group)] = group[0]
        yield groups


def _partitions(items: tuple[int, ...], sizes: list[int]) -> Iterator[list[tuple[int, ...]]]:
    if not sizes:
        yield []
        return
    for group in combinations(items, sizes[0]):
        left = tuple(item for item in items if item not in group)
        for others in _partitions(left, sizes[1:]):
            if not (others and len(others[0]) == sizes[0] and others[0] < group):  # each pair of equals once
                yield [group, *others]
