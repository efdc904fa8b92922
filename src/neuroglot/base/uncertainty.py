"""How sure a number is: the one place that resamples, permutes, or makes an interval."""

import math
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats


def wilson(counts: np.ndarray, tokens: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % interval for shares ``counts / tokens``; everything where there is no token."""
    none, tokens = tokens == 0, np.maximum(tokens, 1)
    p = counts / tokens
    middle = (p + z**2 / (2 * tokens)) / (1 + z**2 / tokens)
    half = z * np.sqrt(p * (1 - p) / tokens + z**2 / (4 * tokens**2)) / (1 + z**2 / tokens)
    return np.where(none, 0, middle - half), np.where(none, 1, middle + half)


def bootstrap_weights(units: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each of ``units`` is drawn when as many are drawn with replacement, ``[resamples, units]``."""
    return np.random.default_rng(seed).multinomial(units, np.full(units, 1 / units), size=resamples).astype(float)


def redrawn(units: int, rng: np.random.Generator) -> np.ndarray:
    """As many of ``units``, by their numbers, drawn with replacement."""
    return rng.integers(units, size=units)


def bootstrap_draws(units: int, draws: int, seed: int = 0) -> list[np.ndarray]:
    """So many times :func:`redrawn`; not at all from one unit, which is nothing to resample."""
    rng = np.random.default_rng(seed)
    return [redrawn(units, rng) for _ in range(draws if units > 1 else 0)]


def halves(units: int, splits: int, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random splits of units into two halves; of an odd number, one is left out; of one unit, there are none."""
    rng, half = np.random.default_rng([seed, 1]), units // 2
    for _ in range(splits if half else 0):
        order = rng.permutation(units)
        yield np.sort(order[:half]), np.sort(order[half : 2 * half])


def bootstrap_mean(
    values: np.ndarray, resamples: int, rng: np.random.Generator, level: float = 0.95
) -> tuple[float, float]:
    """The percentile interval of the mean of values, drawn with replacement; no numbers where one of them is none."""
    means = values[rng.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return low, high


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


def of_several(replicates: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The replicates of languages that have several units; no number for the others: one has nothing to resample.

    Args:
        replicates: ``[..., languages]``.
        sizes: ``[languages, units]``.
    """
    return np.where((sizes > 0).sum(axis=-1) > 1, replicates, np.nan)


def percentiles(replicates: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The middle ``level`` of replicates, over the first axis; no number where there is none."""
    flat = replicates.reshape(len(replicates), -1)
    ends = np.full((2, flat.shape[1]), np.nan)
    some = ~np.isnan(flat).all(axis=0)
    ends[:, some] = np.nanquantile(flat[:, some], [(1 - level) / 2, (1 + level) / 2], axis=0)
    low, high = ends.reshape(2, *replicates.shape[1:])
    return low, high


def percentiles_by(replicates: pd.DataFrame, by: list[str], value: str, level: float = 0.95) -> pd.DataFrame:
    """The middle ``level`` of a column of replicates in each group of rows: the columns ``by``, ``low``, ``high``."""
    tail = (1 - level) / 2
    ends = replicates.groupby(by)[value].quantile(np.array([tail, 1 - tail])).unstack()
    return ends.set_axis(["low", "high"], axis=1).reset_index()


def prediction_interval(draws: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Where one more draw would fall, if they are normal: ``mean -+ t s sqrt(1 + 1/n)``.

    Args:
        draws: ``[n, ...]``, over the first axis; draws that are no number are left out.
        level: coverage.

    Returns:
        Lower and upper end; no number where there are fewer than two draws.
    """
    n = (~np.isnan(draws)).sum(axis=0)
    enough = n > 1
    known = np.where(enough, draws, 0.0)
    mean = np.nansum(known, axis=0) / np.maximum(n, 1)
    spread = np.sqrt(np.nansum((known - mean) ** 2, axis=0) / np.maximum(n - 1, 1))
    half = stats.t.ppf((1 + level) / 2, np.maximum(n - 1, 1)) * spread * np.sqrt(1 + 1 / np.maximum(n, 1))
    return np.where(enough, mean - half, np.nan), np.where(enough, mean + half, np.nan)


def mean_interval(values: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """The t interval of a mean over the first axis, ``mean -+ t s / sqrt(n)``; no numbers from fewer than two."""
    n = len(values)
    if n < 2:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return values.mean(axis=0) - half, values.mean(axis=0) + half


def sum_interval(total: float, parts: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The t interval of a number that is a sum over units, from what each adds to its deviation, ``[units]``.

    No numbers from fewer than two units, nor where all deviate alike from a total that is not zero: units that
    agree tell nothing of others.
    """
    n = len(parts)
    if n < 2:
        return np.nan, np.nan
    error = np.sqrt(n / (n - 1) * (parts**2).sum())
    if error < 1e-12 and abs(total) > 1e-12:
        return np.nan, np.nan
    half = stats.t.ppf((1 + level) / 2, n - 1) * error
    return total - half, total + half


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
