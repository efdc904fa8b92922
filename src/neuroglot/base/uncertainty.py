"""How sure a number is: intervals of shares and means, resampling of documents, where another random draw falls."""

import numpy as np
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
