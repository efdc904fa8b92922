"""Which languages share neurons, and whether they are those of one family or script."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform

from ..base.errors import NeuroglotError, quoted, require_whole
from ..base.uncertainty import dealt_anew
from ..text.languages import family, script
from .identification import KINDS, NeuronTypes

#: What languages are grouped by, and the function that names a language's group.
GROUPINGS = {"family": family, "script": script}

# Fitted odds are good to far more digits than any chart shows.
_SWEEPS, _TOLERANCE = 2000, 1e-12


def _members(types: NeuronTypes, kinds: str | Iterable[str]) -> np.ndarray:
    """Languages in which each neuron of these types is active, bool ``[neurons, languages]``."""
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    if unknown := [name for name in names if name not in KINDS]:
        raise NeuroglotError(f"there is no neuron type {quoted(unknown[0])}; use {', '.join(KINDS)}.")
    return types.active[np.isin(types.codes, [KINDS.index(name) for name in names])]


def sets(types: NeuronTypes, kind: str = "related") -> pd.DataFrame:
    """Sets of languages that share neurons, and how many they would share by chance.

    Chance keeps what a neuron's selection and a language's size decide: each neuron its number of languages, and
    each language its number of neurons. Which languages a neuron has is otherwise independent: of the neurons with n
    languages, a set S of that size is expected to hold a share proportional to the product of its languages' odds,
    fitted once for all n (maximum likelihood).

    Args:
        types: neurons of any model.
        kind: which of them.

    Returns:
        One row per set that occurs, the largest first: ``languages`` (codes in the types' order), ``n_languages``,
        ``neurons``, ``expected``.

    Raises:
        NeuroglotError: unknown type.
    """
    patterns, neurons = np.unique(_members(types, kind), axis=0, return_counts=True)
    places = [tuple(np.flatnonzero(row).tolist()) for row in patterns]
    order = sorted(range(len(places)), key=lambda i: (-neurons[i], places[i]))
    return pd.DataFrame(
        {
            "languages": pd.Series([" ".join(types.languages[k] for k in places[i]) for i in order], dtype="str"),
            "n_languages": patterns.sum(axis=1)[order].astype(np.int64),
            "neurons": neurons[order].astype(np.int64),
            "expected": _expected(patterns, neurons)[order],
        }
    )


def _expected(patterns: np.ndarray, neurons: np.ndarray) -> np.ndarray:
    totals = neurons @ patterns
    free = (totals > 0) & (totals < neurons.sum())  # a language in all or in none leaves nothing to chance
    patterns, totals = patterns[:, free], totals[free]
    sizes = patterns.sum(axis=1)
    by_size = np.bincount(sizes, weights=neurons, minlength=1)
    odds = np.ones(len(totals))
    for _ in range(_SWEEPS):
        sums = _symmetric_sums(odds)
        n = np.arange(1, len(by_size))
        fitted = totals / (sums[1:, n - 1] @ (by_size[n] / sums[0, n]))
        fitted /= np.exp(np.log(fitted).mean()) if len(fitted) else 1
        moved = np.abs(fitted / odds - 1).max(initial=0)
        odds = fitted
        if moved < _TOLERANCE:
            break
    expected: np.ndarray = (
        by_size[sizes] * np.prod(np.where(patterns, odds, 1), axis=1) / _symmetric_sums(odds)[0, sizes]
    )
    return expected


def _symmetric_sums(odds: np.ndarray) -> np.ndarray:
    """Sums over all sets of n languages of the product of their odds, ``[1 + languages, n]``.

    Row 0 takes all languages, row 1 + k all but language k.
    """
    k = len(odds)
    kept = np.vstack([np.ones(k), 1 - np.eye(k)])
    sums = np.zeros((k + 1, k + 1))
    sums[:, 0] = 1
    for j, odd in enumerate(odds):
        sums[:, 1:] += odd * kept[:, j, None] * sums[:, :-1]
    return sums


def similarity(types: NeuronTypes, kinds: str | Iterable[str] = ("related",)) -> pd.DataFrame:
    """Jaccard overlap of every two languages' neurons, languages x languages.

    Args:
        types: neurons of any model.
        kinds: which of them count.

    Returns:
        Shared by both over held by either; no number where neither language has any.

    Raises:
        NeuroglotError: unknown type.
    """
    members = _members(types, kinds).astype(float)
    both = members.T @ members
    either = np.diag(both)[:, None] + np.diag(both) - both
    shares = np.divide(both, either, out=np.full_like(both, np.nan), where=either > 0)
    return pd.DataFrame(shares, index=list(types.languages), columns=list(types.languages))


def linkage(similarity: pd.DataFrame) -> np.ndarray:
    """Average linkage of ``1 - similarity``, as SciPy's dendrogram takes it; no number counts as no overlap."""
    distance = 1 - similarity.fillna(0).to_numpy(copy=True)
    np.fill_diagonal(distance, 0)
    return hierarchy.linkage(squareform(distance, checks=False), "average", optimal_ordering=True)


def order(similarity: pd.DataFrame) -> list[str]:
    """The languages, those that share most beside each other: the leaves of :func:`linkage`."""
    return [similarity.index[int(i)] for i in hierarchy.leaves_list(linkage(similarity))]


def kinship(similarity: pd.DataFrame, permutations: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """Are languages of one family, or of one script, more similar than others?

    Languages whose family or script is not known are left out of that row. The test is one-sided: the groups are
    dealt anew to the languages, and ``p`` is the share of deals whose difference is at least as large. All distinct
    deals are taken where they are at most ``permutations``; else so many are drawn and ``p = (hits + 1) / (n + 1)``.

    Args:
        similarity: languages x languages, from :func:`similarity`.
        permutations: most deals.
        seed: of those drawn.

    Returns:
        ``grouping``, ``pairs`` (of one group), ``within`` and ``between`` (mean similarity of these and of the other
        pairs), ``difference``, ``p``; no number where there is no pair of the kind.

    Raises:
        NeuroglotError: no permutations.
    """
    require_whole("permutations", permutations, 1)
    return pd.DataFrame(
        [{"grouping": name} | _compared(similarity, name, permutations, seed) for name in GROUPINGS],
    )


def _grouped(similarity: pd.DataFrame, grouping: str) -> tuple[np.ndarray, np.ndarray]:
    """The similarities of languages whose group is known, and the number of each one's group."""
    names = [GROUPINGS[grouping](code) for code in similarity.index]
    known = [i for i, name in enumerate(names) if name is not None]
    groups = np.unique([names[i] for i in known], return_inverse=True)[1] if known else np.zeros(0, dtype=np.int64)
    return similarity.to_numpy()[np.ix_(known, known)], groups


def _means(values: np.ndarray, groups: np.ndarray) -> tuple[int, float, float]:
    """Pairs within a group, and mean similarity within and between."""
    one, other = np.triu_indices(len(groups), 1)
    pairs = values[one, other]
    known, same = ~np.isnan(pairs), groups[one] == groups[other]
    within, between = pairs[known & same], pairs[known & ~same]
    inside, outside = (float(part.mean()) if len(part) else np.nan for part in (within, between))
    return len(within), inside, outside


def _compared(similarity: pd.DataFrame, grouping: str, permutations: int, seed: int) -> dict[str, float]:
    values, groups = _grouped(similarity, grouping)
    pairs, within, between = _means(values, groups)
    difference = within - between
    row = {"pairs": pairs, "within": within, "between": between, "difference": difference, "p": np.nan}
    if np.isnan(difference):
        return row
    return row | {"p": dealt_anew(groups, lambda deal: np.subtract(*_means(values, deal)[1:]), permutations, seed)}
