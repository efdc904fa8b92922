"""Are the same neurons found again, in other text or another model, and has one language fewer of them?"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..base.uncertainty import Estimate, half_sampled, halves, jackknife, verdicts
from ..counts.activations import ActivationStats
from ..neurons.identification import KINDS, NeuronTypes, overlap, replicated
from . import comparison

#: Shards are left out in so many groups for the intervals of overlaps.
GROUPS = 6

#: Where the second set of neurons is identified, while the first one is on a half of a text.
SAME_HALF, OTHER_HALF, OTHER_TEXT = "same half", "other half", "other text"

_TYPED = KINDS[1:]


def sizes(
    types: NeuronTypes, counts: Mapping[str, ActivationStats], pivot: str, *, splits: int = 25, seed: int = 0
) -> pd.DataFrame:
    """Specific and related neurons of each language, on average over all but the pivot, and how far it is from that.

    Args:
        types: whose settings, or thresholds where no lambda fits all of the counts, are used.
        counts: by when they were made, for instance ``"before"`` and ``"after"``.
        pivot: the language looked at apart.
        splits: of the shards into halves, each classified anew, for the intervals
            (:func:`neuroglot.base.uncertainty.half_sampled`).
        seed: of these.

    Returns:
        One row per language, one for the ``"mean of others"`` and one for the ``"difference"`` of the pivot from that,
        of each kind: ``place``, ``kind``, ``neurons``, ``low``, ``high``, ``detectable`` and ``verdict`` (of the
        difference only), ``when``.
    """
    thresholds = comparison.fitting(types, *counts.values())[-1]
    kinds, tables = ("specific", "related"), []
    others = [code for code in types.languages if code != pivot]
    places = [*types.languages, "mean of others", *(["difference"] if pivot in types.languages else [])]

    def of(found: NeuronTypes) -> np.ndarray:
        own = found.counts_per_language().pivot(index="language", columns="kind", values="neurons")[list(kinds)]
        rows = [*(own.loc[code] for code in types.languages), own.loc[others].mean()]
        return np.array([*rows, *([rows[types.languages.index(pivot)] - rows[-1]] if len(places) > len(rows) else [])])

    for when, stats in counts.items():
        stats = stats.select(types.languages)
        shards = len(stats.shard_tokens)
        parts = [half for split in halves(shards, splits, seed) for half in split]
        value = of(comparison.classified(types, stats, thresholds))
        found = _half_sampled(
            value, parts, lambda half, s=stats: of(comparison.classified(types, s.merged(half), thresholds)), shards
        )
        table = pd.DataFrame([{"place": place, "kind": kind} for place in places for kind in kinds])
        table["neurons"] = found.value.ravel()
        table["low"], table["high"] = (end.ravel() for end in found.interval())
        apart = (table["place"] == "difference").to_numpy()
        table["detectable"] = np.where(apart, found.detectable().ravel(), np.nan)
        only = np.where(apart.reshape(found.value.shape), found.p(), np.nan)  # the difference is what is judged
        table["verdict"] = verdicts(found, p=only).ravel()
        tables.append(table.assign(when=when))
    return pd.concat(tables, ignore_index=True)


def _half_sampled(value: np.ndarray, parts: Sequence[np.ndarray], of: Any, shards: int) -> Estimate:
    """How sure numbers are, where enough halves can be classified."""
    try:
        replicates = np.array(list(replicated(parts, of)))
    except NeuroglotError:
        replicates = np.zeros((0, *value.shape))
    if not len(replicates):
        return Estimate(value, np.full(value.shape, np.nan), np.ones(value.shape))
    return half_sampled(value, replicates, shards)


class _Sets:
    """Types of some shards of some counts, each identified once."""

    def __init__(self, types: NeuronTypes) -> None:
        self.types, self.found = types, dict[tuple[int, tuple[int, ...]], NeuronTypes | None]()

    def of(self, stats: ActivationStats, shards: Iterable[int]) -> NeuronTypes | None:
        """``None`` of no shards, of a language without tokens and where no lambda fits."""
        key = id(stats), tuple(sorted(int(shard) for shard in shards))
        if key not in self.found:
            try:
                self.found[key] = comparison.classified(self.types, stats.merged(key[1]), "solved") if key[1] else None
            except NeuroglotError:
                self.found[key] = None
        return self.found[key]


def _cut(stats: ActivationStats, shards: Sequence[int], tokens: int) -> list[int]:
    """The first of some shards, as many as have most nearly so many tokens, one at least."""
    sums = stats.shard_tokens[list(shards)].sum(axis=1).cumsum()
    return list(shards[: int(np.abs(sums - tokens).argmin()) + 1]) if len(sums) else []


def _jaccards(one: NeuronTypes | None, other: NeuronTypes | None) -> pd.DataFrame:
    """:func:`neuroglot.overlap` by kind, without a number where one of them is not there."""
    if one is None or other is None:
        return pd.DataFrame(np.nan, index=list(_TYPED), columns=["jaccard", "chance", "of_first"])
    table = overlap(one, other).set_index("kind")
    return table.assign(of_first=table["both"] / table["one"])[["jaccard", "chance", "of_first"]]


def stability(
    pairs: Mapping[str, tuple[ActivationStats, ActivationStats, str]],
    types: NeuronTypes,
    *,
    splits: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """How far the same types are found again: in other text, in another model, in the other half.

    All overlaps but ``whole`` are between a set identified on one random half of the first text and another one. Of
    the same text that is on the same or on the other half. Of other text it is identified on *as many tokens* as
    there are in the other half of the first text (or both on as many as the other text has): what the overlap is
    beside is always that of the first text's two halves on as many tokens, on the same splits. Every set has
    thresholds of its own, with the settings of ``types`` (a lambda that was given stays).

    Intervals are jackknifed over :data:`GROUPS` groups of shards, left out of all texts at once; splits share their
    text, so their own spread would be too narrow.

    Args:
        pairs: by name, two counts, and where the second set is from: :data:`SAME_HALF` or :data:`OTHER_HALF` of the
            same text, or :data:`OTHER_TEXT`. The first pair is what others on the same text are beside.
        types: whose settings are used.
        splits: of each text into halves; means over them are looked at.
        seed: of the splits.

    Raises:
        NeuroglotError: a pair on the same text that is not.

    Returns:
        One row per pair and type: ``comparison``, ``kind``, ``whole`` (Jaccard of the sets of all the text; none for
        the two halves of one), ``jaccard``, ``low``, ``high``, ``of_first`` (share of the first set found again),
        ``chance`` (Jaccard of random sets of these sizes in each layer), ``halves`` (Jaccard of two halves of the
        first text on as many tokens), ``difference`` (from that), ``difference_low``, ``difference_high``,
        ``detectable``, ``verdict`` (of the differences), ``tokens`` and ``halves_tokens`` (of the second set, and of
        that beside it, on average).
    """
    every = {id(stats): stats for pair in pairs.values() for stats in pair[:2]}
    some = {key: stats.select(types.languages) for key, stats in every.items()}  # one object each: sets are kept by it
    chosen = {name: (some[id(one)], some[id(other)], where) for name, (one, other, where) in pairs.items()}
    for one, other, where in chosen.values():
        if where != OTHER_TEXT:
            comparison.require_same_text(one, other)
    sets = _Sets(types)
    values = np.full((GROUPS + 1, splits, len(chosen), len(_TYPED), 6), np.nan)
    for split in range(splits):
        for group in range(GROUPS + 1):  # the last one leaves out nothing
            first: pd.DataFrame | None = None
            for number, (one, other, where) in enumerate(chosen.values()):
                found, first = _on_split(sets, one, other, where, first, (split, group, seed))
                values[group, split, number] = found
        sets.found.clear()
    return _table(chosen, values, sets)


def _sides(stats: ActivationStats, split: int, group: int, seed: int) -> tuple[list[int], list[int]]:
    """The shards of a split's two halves, without those of a group, in random order."""
    drawn = list(halves(len(stats.shard_tokens), split + 1, seed))
    rng = np.random.default_rng([seed, split, 2])
    one, other = (rng.permutation(half).tolist() for half in drawn[split]) if drawn else ([], [])
    return [i for i in one if i % GROUPS != group], [i for i in other if i % GROUPS != group]


def _on_split(
    sets: _Sets,
    one: ActivationStats,
    other: ActivationStats,
    where: str,
    first: pd.DataFrame | None,
    at: tuple[int, int, int],
) -> tuple[np.ndarray, pd.DataFrame]:
    """Of one pair on one split: its numbers ``[types, 6]``, and the first pair's overlaps."""
    (half, left), split = _sides(one, *at), at
    if where == OTHER_TEXT:
        rest = [i for side in _sides(other, *split) for i in side]
        tokens = min(int(stats.shard_tokens[part].sum()) for stats, part in ((one, left), (other, rest)))
        there, left = _cut(other, rest, tokens), _cut(one, left, tokens)
        beside: pd.DataFrame | None = _jaccards(sets.of(one, half), sets.of(one, left))
    else:
        there, beside = half if where == SAME_HALF else left, first
    table = _jaccards(sets.of(one, half), sets.of(other, there))
    amounts = [float(stats.shard_tokens[part].sum()) for stats, part in ((other, there), (one, left))]
    halved = (table if beside is None else beside)["jaccard"]
    columns = [*(table[name] for name in ("jaccard", "chance", "of_first")), halved]
    numbers = np.column_stack([column.to_numpy(float) for column in columns] + [np.full(3, n) for n in amounts])
    return numbers, table if first is None else first


def _table(
    pairs: Mapping[str, tuple[ActivationStats, ActivationStats, str]], values: np.ndarray, sets: _Sets
) -> pd.DataFrame:
    """The rows of :func:`stability` from numbers ``[groups and none, splits, pairs, types, 6]``."""
    # A split that gives nothing without some group is left out of all, so that replicates are of the same splits.
    known = ~np.isnan(values[..., [0, 3]]).any(axis=(0, -1))
    enough = 2 * known.sum(axis=0) >= len(known)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(known[..., None], values, 0).sum(axis=1) / known.sum(axis=0)[..., None]
    means = np.where(enough[..., None], means, np.nan)
    # A text of fewer shards than groups is as sure as these.
    fewest = np.array([min(len(stats.shard_tokens) for stats in pair[:2]) for pair in pairs.values()])
    present = np.broadcast_to(np.arange(GROUPS)[:, None, None] < fewest[:, None], means[:-1, ..., 0].shape)
    apart = means[..., 0] - means[..., 3]
    jaccard, difference = (jackknife(each[-1], each[:-1], present) for each in (means[..., 0], apart))
    said = verdicts(difference)
    (low, high), (least, most), detectable = jaccard.interval(), difference.interval(), difference.detectable()
    rows = []
    for i, (name, (one, other, _)) in enumerate(pairs.items()):
        every = [sets.of(stats, range(len(stats.shard_tokens))) for stats in (one, other)]
        whole = (
            _jaccards(*every)["jaccard"]
            if one is not other or (pairs[name][2] == SAME_HALF)
            else dict.fromkeys(_TYPED, np.nan)
        )
        for k, kind in enumerate(_TYPED):
            names = ("jaccard", "chance", "of_first", "halves", "tokens", "halves_tokens")
            row = {"comparison": name, "kind": kind, "whole": whole[kind]}
            row |= dict(zip(names, means[-1, i, k].tolist(), strict=True)) | {"low": low[i, k], "high": high[i, k]}
            row |= {"difference": difference.value[i, k], "difference_low": least[i, k], "difference_high": most[i, k]}
            rows.append(row | {"detectable": detectable[i, k], "verdict": said[i, k]})
    return pd.DataFrame(rows)


def found_again(
    types: NeuronTypes,
    before: ActivationStats,
    after: ActivationStats,
    null: ActivationStats | None,
    elsewhere: Mapping[tuple[str, str], ActivationStats],
    *,
    splits: int = 10,
    seed: int = 0,
) -> pd.DataFrame:
    """How far the same neurons are found again in the other half, after alignment, in the control and in other text.

    Args:
        types: whose settings are used.
        before, after: counts of the same text.
        null: of the control, if there is one.
        elsewhere: counts of other text, by its name and ``"before"`` or ``"after"``.
        splits, seed: as of :func:`stability`.

    Returns:
        As of :func:`stability`; the comparisons are named ``"two halves, before"``, ``"two halves, after"``,
        ``"before and after, same half"``, ``"before and after, two halves"``, the same two of ``control``, and
        ``"TEXT, before"`` and ``"TEXT, after"``.
    """
    pairs = {"two halves, before": (before, before, OTHER_HALF), "two halves, after": (after, after, OTHER_HALF)}
    for name, counts in {"after": after, "control": null}.items():
        if counts is not None:
            pairs[f"before and {name}, same half"] = (before, counts, SAME_HALF)
            pairs[f"before and {name}, two halves"] = (before, counts, OTHER_HALF)
    for (text, when), counts in elsewhere.items():
        pairs[f"{text}, {when}"] = (before if when == "before" else after, counts, OTHER_TEXT)
    return stability(pairs, types, splits=splits, seed=seed)
