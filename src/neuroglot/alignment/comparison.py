"""The same neurons before and after: what changed, and whether that is more than noise."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError, quoted
from ..base.uncertainty import bootstrap_draws, halves, mean_interval, percentiles, ratios, sum_interval
from ..counts.activations import ActivationStats
from ..effects.grading import grade, own_shares
from ..model.likelihood import Losses
from ..neurons.identification import KINDS, NeuronTypes, classify, keep_thresholds, replicated
from ..text.corpora import Example

#: How the second model's neurons are classified: with tau and lambda of the first, or with its own.
THRESHOLDS = ("kept", "solved")

_KEYS = ["what", "place", "kind"]

D = TypeVar("D")


def statistics(types: NeuronTypes) -> pd.Series:
    """What changes are looked for in: numbers of neurons, by ``what``, ``place`` and ``kind``.

    Returns:
        ``("all", "", type)``; ``("layer", layer, type)``; ``("shared by", N, "all")`` and ``"selected"``, the
        neurons active in exactly N languages; ``("language", code, type)`` for specific and related ones.
    """
    layers = np.stack([(types.codes == code).sum(axis=1) for code in range(1, len(KINDS))])
    index: list[tuple[str, str | int, str]] = [("all", "", kind) for kind in KINDS[1:]]
    index += [("layer", layer, kind) for kind in KINDS[1:] for layer in range(layers.shape[1])]
    shared = types.counts_per_n()
    index += [("shared by", n, of) for of in ("all", "selected") for n in shared["n_languages"]]
    own = types.counts_per_language()
    index += [("language", code, kind) for code, kind in zip(own["language"], own["kind"], strict=True)]
    values = [layers.sum(axis=1), layers.ravel(), shared["neurons"], shared["selected"], own["neurons"]]
    return pd.Series(
        np.concatenate(values).astype(float), index=pd.MultiIndex.from_tuples(index, names=_KEYS), name="neurons"
    )


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes in some statistics, with their noise.

    Attributes:
        names: one row per statistic: ``what``, ``place``, ``kind``.
        before, after: float64 ``[statistics]``; after: the mean of the models trained with several seeds.
        seeds: the change of each of these, ``[seeds, statistics]``.
        replicates: changes with the shards of the text drawn anew, the same for both, ``[draws, statistics]``.
        null: the change that a control makes (the same training on shuffled preferences), if there is one.
        null_replicates: as ``replicates``, of the control.
        again: changes of the unchanged model from one half of the text to the other, ``[splits, statistics]``.
        level: coverage of all intervals.
    """

    names: pd.DataFrame
    before: np.ndarray
    after: np.ndarray
    seeds: np.ndarray
    replicates: np.ndarray
    null: np.ndarray | None
    null_replicates: np.ndarray | None
    again: np.ndarray
    level: float

    def means(self, groups: Mapping[str, Sequence[tuple[str, object]]], kinds: Sequence[str]) -> "Changes":
        """Means over several places, for instance over the languages trained on.

        Args:
            groups: by name, the ``(what, place)`` to average over; one without any is left out.
            kinds: which kinds of each.
        """
        rows, weights = [], []
        places = list(zip(self.names["what"], self.names["place"], strict=True))
        for group, members in groups.items():
            for kind in kinds:
                mine = np.array([p in members for p in places]) & (self.names["kind"] == kind).to_numpy()
                if mine.any():
                    rows.append({"what": "mean", "place": group, "kind": kind})
                    weights.append(mine / mine.sum())
        matrix = np.array(weights).T.reshape(len(self.names), -1)
        fields = ("before", "after", "seeds", "replicates", "null", "null_replicates", "again")
        arrays: dict[str, Any] = {name: None if (a := getattr(self, name)) is None else a @ matrix for name in fields}
        return replace(self, names=pd.DataFrame(rows, columns=_KEYS), **arrays)

    def table(self) -> pd.DataFrame:
        """One row per statistic.

        Returns:
            ``what``, ``place``, ``kind``, ``before``, ``after``, ``change`` with its interval ``low`` to ``high``
            (shards drawn anew), of several seeds ``seeds_low`` to ``seeds_high`` (t interval of their mean),
            ``null`` (change of the control) with ``null_low`` to ``null_high``, ``again_low`` to ``again_high``
            (the same model on other text) and ``verdict``, from :func:`verdicts`.
        """
        change = self.after - self.before
        low, high = percentiles(self.replicates, self.level)
        again_low, again_high = percentiles(self.again, self.level)
        seeds_low, seeds_high = mean_interval(self.seeds, self.level)
        missing = np.full(len(change), np.nan)
        null_low = null_high = apart_low = apart_high = missing
        if self.null is not None and self.null_replicates is not None:
            null_low, null_high = percentiles(self.null_replicates, self.level)
            apart_low, apart_high = percentiles(self.replicates - self.null_replicates, self.level)
        columns = {
            **{"before": self.before, "after": self.after, "change": change, "low": low, "high": high},
            **{"seeds_low": seeds_low, "seeds_high": seeds_high},
            **{"null": missing if self.null is None else self.null, "null_low": null_low, "null_high": null_high},
            **{"again_low": again_low, "again_high": again_high},
            "verdict": verdicts(
                change,
                (low, high),
                (again_low, again_high),
                None if self.null is None else (apart_low, apart_high),
                None if len(self.seeds) < 2 else (seeds_low, seeds_high),
            ),
        }
        return self.names.reset_index(drop=True).assign(**columns)


def readable(table: pd.DataFrame, number: str = "{:,.0f}", first: Sequence[str] = ()) -> pd.DataFrame:
    """A table of changes in few columns of text, for reading.

    Args:
        table: from :meth:`Changes.table` or :func:`measure_changes`, with any columns beside.
        number: how one is written; changes get a sign.
        first: columns that come first.

    Returns:
        The columns beside, ``before, after``, ``change`` with its interval, where there are any ``over seeds``, ``other
        text`` and ``control``, and ``verdict``.
    """
    signed = number.replace("{:", "{:+")
    names = ("before", "after", "change", "low", "high", "seeds_low", "seeds_high", "null", "null_low", "null_high")
    shown = table.drop(columns=[name for name in (*names, "again_low", "again_high", "verdict") if name in table])
    shown["before, after"] = [
        ", ".join(each) for each in zip(*(_text(table[n], number) for n in names[:2]), strict=True)
    ]
    spans = _spans(table, "low", "high", signed)
    shown["change"] = [
        f"{one} ({ends})" if ends else one for one, ends in zip(_text(table["change"], signed), spans, strict=True)
    ]
    for title, ends in {"over seeds": ("seeds_low", "seeds_high"), "other text": ("again_low", "again_high")}.items():
        if ends[0] in table and table[ends[0]].notna().any():
            shown[title] = _spans(table, *ends, signed)
    if table["null"].notna().any():
        shown["control"] = _text(table["null"], signed)
    shown = shown.assign(verdict=table["verdict"])
    return shown[[*first, *shown.columns.difference(list(first), sort=False)]]


def _text(values: pd.Series, form: str) -> list[str]:
    return ["" if pd.isna(value) else form.format(value) for value in values]


def _spans(table: pd.DataFrame, low: str, high: str, form: str) -> list[str]:
    ends = zip(_text(table[low], form), _text(table[high], form), strict=True)
    return [f"{one} to {other}" if one and other else "" for one, other in ends]


def in_words(table: pd.DataFrame, number: str = "{:,.0f}") -> list[str]:
    """Each row of :func:`readable` as a phrase: the change with its interval, the control's change, the verdict."""
    shown = readable(table, number)
    shown["change"] = shown["change"].replace("", "no number")
    controls = shown["control"] if "control" in shown else [""] * len(shown)
    return [
        f"{change}, control {control}: {verdict}" if control else f"{change}: {verdict}"
        for change, control, verdict in zip(shown["change"], controls, shown["verdict"], strict=True)
    ]


def verdicts(
    change: np.ndarray,
    interval: tuple[np.ndarray, np.ndarray],
    again: tuple[np.ndarray, np.ndarray] | None,
    apart: tuple[np.ndarray, np.ndarray] | None,
    seeds: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """``"beyond noise"`` or ``"not beyond noise"``; ``"cannot be told"`` where a number is missing.

    A change is beyond noise if its interval leaves out zero, if it is outside ``again`` (what another
    text of the kind changes) and if two more intervals leave out zero: ``apart``, of its difference from the control's
    change, and ``seeds``, of its mean over trainings. A test that is not given is not made.
    """
    beyond, known = _nonzero(*interval), ~np.isnan(change + interval[0])
    if again is not None:
        beyond, known = beyond & ~((again[0] <= change) & (change <= again[1])), known & ~np.isnan(again[0])
    if apart is not None:
        beyond, known = beyond & _nonzero(*apart), known & ~np.isnan(apart[0])
    if seeds is not None:
        beyond, known = beyond & _nonzero(*seeds), known & ~np.isnan(seeds[0])
    return np.where(known, np.where(beyond, "beyond noise", "not beyond noise"), "cannot be told")


def _nonzero(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return (low > 0) | (high < 0)


def compare(
    types: NeuronTypes,
    before: ActivationStats,
    after: ActivationStats | Sequence[ActivationStats],
    null: ActivationStats | Sequence[ActivationStats] = (),
    *,
    thresholds: str = "kept",
    draws: int = 50,
    splits: int = 50,
    seed: int = 0,
    level: float = 0.95,
) -> Changes:
    """Changes from one model's neurons to another's.

    Args:
        types: of ``before``, whose thresholds are kept or whose settings are used to solve anew.
        before, after: counts of the same text in the same shards (of one shard there are no intervals); several
            ``after``: the same training with other seeds, whose mean is looked at.
        null: of a control trained the same way, or of several; none for no control.
        thresholds: ``"kept"``: lambda and tau of ``types`` throughout; ``"solved"``: those of every model, replicate
            and half anew, as :func:`classified` has it. Which replicates are left out is
            :func:`neuroglot.neurons.identification.replicated`'s rule; too few give no intervals.
        draws: bootstrap replicates: the shards drawn with replacement, the same for all models.
        splits: into two random halves of the shards, between which the unchanged model is compared.
        seed: of both.
        level: coverage of all intervals.

    Raises:
        NeuroglotError: counts of other neurons, languages or text.
    """
    if thresholds not in THRESHOLDS:
        raise NeuroglotError(f"thresholds={quoted(thresholds)}: give {' or '.join(THRESHOLDS)}.")
    afters = [after] if isinstance(after, ActivationStats) else list(after)
    nulls = [null] if isinstance(null, ActivationStats) else list(null)
    before, *others = (stats.select(types.languages) for stats in (before, *afters, *nulls))
    for other in others:
        require_same_text(before, other)

    def of(stats: ActivationStats) -> pd.Series:
        return statistics(classified(types, stats, thresholds))

    def on(shards: Iterable[int], stats: Sequence[ActivationStats]) -> np.ndarray:
        """``[models, statistics]`` on some shards (drawn with replacement, or a half)."""
        return np.array([of(each.merged(shards)).to_numpy() for each in stats])

    def again(half: tuple[Iterable[int], Iterable[int]]) -> np.ndarray:
        one, other = (on(shards, [before])[0] for shards in half)
        difference: np.ndarray = other - one
        return difference

    def change(shards: Iterable[int]) -> np.ndarray:
        found = on(shards, [before, *others])
        differences: np.ndarray = found[1:] - found[:1]
        return differences

    first = of(before)
    every = np.array([of(each).to_numpy() for each in others]).reshape(len(others), -1) - first.to_numpy()
    count = len(before.shard_tokens)
    drawn = bootstrap_draws(count, draws, seed)
    n = len(afters)
    changes = _sample(drawn, change, (len(others), len(first)))
    return Changes(
        names=first.index.to_frame(index=False),
        before=first.to_numpy(),
        after=first.to_numpy() + every[:n].mean(axis=0),
        seeds=every[:n],
        replicates=changes[:, :n].mean(axis=1),
        null=every[n:].mean(axis=0) if nulls else None,
        null_replicates=changes[:, n:].mean(axis=1) if nulls else None,
        again=_sample(list(halves(count, splits, seed)), again, (len(first),)),
        level=level,
    )


def _sample(draws: Sequence[D], of: Callable[[D], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """``[replicates, *shape]``, as :func:`replicated` has them; no numbers where they are none or no sample."""
    found: list[np.ndarray] = []
    with contextlib.suppress(NeuroglotError):
        found = list(replicated(draws, of))
    return np.array(found) if found else np.full((1, *shape), np.nan)


def classified(types: NeuronTypes, stats: ActivationStats, thresholds: str) -> NeuronTypes:
    """Other counts of the same neurons, classified with the thresholds of these types or anew with their settings.

    Args:
        types: whose lambda and tau are kept, or whose settings lambda and tau are found with anew; a lambda that
            was given stays.
        stats: in the same languages.
        thresholds: one of :data:`THRESHOLDS`.

    Raises:
        NeuroglotError: other languages or neurons, or no lambda fits.
    """
    if thresholds == "kept":
        return keep_thresholds(types, stats)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that lambda has no largest value is no news here
        return classify(stats, **types.arguments())


def fitting(types: NeuronTypes, *stats: ActivationStats) -> list[str]:
    """Those of :data:`THRESHOLDS` that can be used with all of these counts: no lambda fits some."""
    try:
        for each in stats:
            classified(types, each.select(types.languages), "solved")
    except NeuroglotError:
        return ["kept"]
    return list(THRESHOLDS)


def other_half(
    types: NeuronTypes, stats: ActivationStats, thresholds: str, seed: int = 0
) -> tuple[NeuronTypes, NeuronTypes] | None:
    """The types found on two random halves of the text; nothing where one of them has no fitting lambda."""
    stats = stats.select(types.languages)
    if len(stats.shard_tokens) < 2:
        return None
    try:
        one, other = (
            classified(types, stats.merged(half), thresholds) for half in next(halves(len(stats.shard_tokens), 1, seed))
        )
    except NeuroglotError:
        return None
    return one, other


def require_same_text(one: ActivationStats, other: ActivationStats) -> None:
    """Two models are compared on the same text, in the same shards.

    Raises:
        NeuroglotError: other neurons, languages, text, tokens (of another tokenizer, or split elsewhere) or shards.
    """
    if one.shape != other.shape or one.languages != other.languages:
        raise NeuroglotError(
            f"counts of shapes {one.shape} and {other.shape}, in {' '.join(one.languages)} and "
            f"{' '.join(other.languages)}, cannot be compared neuron by neuron; compare models of one architecture."
        )
    said = [each.provenance | each.provenance.get("settings", {}) for each in (one, other)]
    differing = [what for key, what in _SAME.items() if said[0].get(key) != said[1].get(key)]
    if differing or len(one.shard_tokens) != len(other.shard_tokens):
        what = ", ".join(differing) or "number of shards"
        raise NeuroglotError(f"the two models were not counted on the same text in the same way ({what} differ).")


# What of a provenance says on what was counted, and what that is.
_SAME = {
    "corpus_sha256": "corpus_sha256",
    "input_sha256": "tokens, by their input_sha256",
    "quantity": "quantity",
    "above": "above",
    "selected_shards": "selected_shards",
    "merged_shards": "merged_shards",
}


def transitions(before: NeuronTypes, after: NeuronTypes) -> pd.DataFrame:
    """Of the neurons of each type before, how many are of each type after.

    Returns:
        One row per pair of types: ``before``, ``after``, ``neurons``, ``share`` (of those of that type before).

    Raises:
        NeuroglotError: models of different shape.
    """
    if before.score.shape != after.score.shape:
        raise NeuroglotError(f"types of shapes {before.score.shape} and {after.score.shape} are of different models.")
    joint = np.bincount((before.codes.astype(int) * len(KINDS) + after.codes).ravel(), minlength=len(KINDS) ** 2)
    joint = joint.reshape(len(KINDS), -1)
    rows = [
        {"before": one, "after": other, "neurons": int(joint[i, j]), "share": joint[i, j] / max(joint[i].sum(), 1)}
        for i, one in enumerate(KINDS)
        for j, other in enumerate(KINDS)
    ]
    return pd.DataFrame(rows)


# --- what the models do ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Measured:
    """A measure that is a sum over a size, by language and unit.

    Attributes:
        languages: in order.
        sums, sizes: float64 ``[languages, units]``; a unit of size 0 was not measured.
        units: their names; where there are none, units at the same place are the same.
    """

    languages: tuple[str, ...]
    sums: np.ndarray
    sizes: np.ndarray
    units: tuple[str, ...] = ()

    def of(self, units: Sequence[str]) -> "Measured":
        """On these units, in this order; one that it lacks has the size 0."""
        if self.units == tuple(units):
            return self
        at = {unit: i for i, unit in enumerate(self.units)}
        sums, sizes = np.zeros((2, len(self.languages), len(units)))
        for i, unit in enumerate(units):
            if unit in at:
                sums[:, i], sizes[:, i] = self.sums[:, at[unit]], self.sizes[:, at[unit]]
        return replace(self, sums=sums, sizes=sizes, units=tuple(units))


def by_question(
    table: pd.DataFrame,
    value: str,
    size: str | None = None,
    *,
    languages: Sequence[str] | None = None,
    documents: Sequence[str] | None = None,
) -> Measured:
    """A column of one row per response as :class:`Measured`; questions are the units.

    Args:
        table: has ``language``, ``document`` and the columns named.
        value: summed.
        size: summed below it; default: the number of responses.
        languages, documents: those there should be, where some may have no row; default: those of the table.
    """
    table = table.assign(_value=table[value].astype(float), _size=1.0 if size is None else table[size].astype(float))
    # What has no value (a language that cannot be detected) stays without one; what has no row counts nothing.
    sums = table.groupby(["language", "document"])[["_value", "_size"]].sum(min_count=1)
    order = list(languages or dict.fromkeys(table["language"]))
    units = list(documents or sorted(set(table["document"])))
    cells = pd.MultiIndex.from_product([order, units])
    values, sizes = sums.reindex(cells).to_numpy(float).T.reshape(2, len(order), len(units))
    missing = np.isnan(sizes)
    return Measured(tuple(order), np.where(missing, 0, values), np.where(missing, 0, sizes), tuple(units))


def of_answers(answers: Sequence[Example]) -> dict[str, Measured]:
    """What answers tell of a model, by name: accuracy, and language fidelity on those that have a letter."""
    right = by_question(grade(answers), "correct")
    own = by_question(own_shares(answers), "share", languages=right.languages, documents=right.units)
    return {"change in accuracy": right, "change in language fidelity": own}


def measure_changes(
    before: Measured,
    after: Measured,
    null: Measured | None = None,
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Change of a measure in every language, and in means over groups of them, with paired intervals.

    Intervals are t intervals over units of the linearized change of the ratio, since units are few: with ``n`` of them
    the bootstrap would leave out zero far too often. Units in which all changes are equal tell nothing of others,
    so a change that they agree on has no interval. A unit that was not measured in one of the models (an answer it
    did not give) is left out of all.

    Args:
        before, after, null: of the two models and of the control, on units of the same text.
        groups: languages averaged, by name; default: all.
        level: coverage.

    Returns:
        ``language`` (or the group's name), ``before``, ``after``, ``change``, ``low``, ``high``, ``null``,
        ``null_low``, ``null_high``, ``size`` (of ``after``, in languages that have a value), ``units``,
        ``left_out`` (measured in some of the models only; a unit of several languages counts for each), ``verdict``
        from :func:`verdicts`; a language with one unit has no interval.

    Raises:
        NeuroglotError: measures of different languages or units.
    """
    models = [before, after] + ([] if null is None else [null])
    if all(m.units for m in models):
        units = tuple(dict.fromkeys(unit for m in models for unit in m.units))
        models = [m.of(units) for m in models]
    if any(m.languages != before.languages or m.sums.shape != models[0].sums.shape for m in models):
        raise NeuroglotError("before, after and null were not measured in the same languages on the same text.")
    there = np.array([m.sizes > 0 for m in models])
    everywhere, left_out = np.all(there, axis=0), np.any(there, axis=0) & ~np.all(there, axis=0)
    models = [replace(m, sums=np.where(everywhere, m.sums, 0), sizes=np.where(everywhere, m.sizes, 0)) for m in models]
    groups = {"mean of all": before.languages} if groups is None else groups
    rows = {code: [k] for k, code in enumerate(before.languages)}
    rows |= {name: [before.languages.index(c) for c in codes] for name, codes in groups.items() if codes}
    point = np.array([ratios(m.sums[None], m.sizes)[0] for m in models])  # [models, languages]
    with np.errstate(invalid="ignore", divide="ignore"):  # what each unit adds to its language's ratio
        parts = np.array(
            [(m.sums - r[:, None] * m.sizes) / m.sizes.sum(axis=1)[:, None] for m, r in zip(models, point, strict=True)]
        )
    found = []
    for name, members in rows.items():
        known = [k for k in members if not np.isnan(point[:, k]).any()]
        seen = np.flatnonzero(everywhere[known].any(axis=0))
        mean = point[:, known].mean(axis=1) if known else np.full(len(models), np.nan)
        own = parts[:, known][:, :, seen].mean(axis=1) if known else np.zeros((len(models), 0))
        row = {"language": name, "before": mean[0], "after": mean[1], "change": mean[1] - mean[0]}
        row["low"], row["high"] = sum_interval(row["change"], own[1] - own[0], level)
        row |= {"null": np.nan, "null_low": np.nan, "null_high": np.nan, "apart_low": np.nan, "apart_high": np.nan}
        if null is not None:
            row["null"] = mean[2] - mean[0]
            row["null_low"], row["null_high"] = sum_interval(row["null"], own[2] - own[0], level)
            row["apart_low"], row["apart_high"] = sum_interval(mean[1] - mean[2], own[1] - own[2], level)
        size = float(np.nansum(models[1].sizes[known or members]))
        found.append(row | {"size": int(size), "units": len(seen), "left_out": int(left_out[members].sum())})
    table = pd.DataFrame(found)
    ends = {name: table[name].to_numpy(float) for name in ("change", "low", "high", "apart_low", "apart_high")}
    apart = None if null is None else (ends["apart_low"], ends["apart_high"])
    said = verdicts(ends["change"], (ends["low"], ends["high"]), None, apart)
    return table.drop(columns=["apart_low", "apart_high"]).assign(verdict=said)


def same_tokens(one: Losses, other: Losses) -> bool:
    """Whether two losses are of the same tokens: of one text, tokenized alike."""
    said = [each.provenance.get("input_sha256") for each in (one, other)]
    same = one.units == other.units and np.array_equal(one.tokens, other.tokens)
    return same and said[0] == said[1]
