"""The main numbers of each chapter in one form, so that one run can be set beside another."""

from collections.abc import Callable, Mapping

import pandas as pd

from ..base.tables import first_rows
from ..effects.removals import BOTH
from ..effects.writing import ALL_TEXT

Tables = Mapping[str, pd.DataFrame]

_COLUMNS = ["what", "value", "low", "high"]


def _rows(table: pd.DataFrame, what: "pd.Series[str]", value: str) -> pd.DataFrame:
    """A column of a table with its interval, each row by what it is."""
    found = table.assign(what=what, value=table[value])[_COLUMNS]
    return found.astype(dict.fromkeys(_COLUMNS[1:], float)).reset_index(drop=True)


def deactivation(tables: Tables) -> pd.DataFrame:
    """Own less matched and own less others of the specific and related neurons, in nats per token."""
    contrasts = tables["contrasts"]
    some = contrasts[(contrasts["set"] == BOTH) & contrasts["what"].isin(["own less matched", "own less others"])]
    return _rows(some, some["what"] + ", " + some["language"], "effect")


def writing(tables: Tables) -> pd.DataFrame:
    """Own less others and own less matched, in standard deviations over the vocabulary."""
    contrasts = tables["contrasts"]
    some = contrasts[contrasts["text"] == ALL_TEXT]
    return _rows(some, "own less " + some["against"] + ", " + some["language"], "number")


def alignment(tables: Tables) -> pd.DataFrame:
    """What alignment changes less its control: neurons of each type in per cent of those before, and what it does."""
    changed = first_rows(tables["changes"], "model", "thresholds")
    totals, done = changed[changed["what"] == "all"], tables["measures"]
    of_all = done[(done["language"] == "mean of all") & (done["model"] == done["model"].iloc[0])]
    measures = _rows(_judged(of_all), of_all["measure"] + ", all languages", "contrast")
    return pd.concat([_of_neurons(totals, ""), measures], ignore_index=True)


def spontaneous(tables: Tables) -> pd.DataFrame:
    """The same by group of languages, of specific and related neurons."""
    neurons = first_rows(tables["neurons"], "model", "thresholds")
    means = neurons[neurons["what"] == "mean"]
    return _of_neurons(means, ", " + means["place"].str.removeprefix("mean of "))


def _judged(table: pd.DataFrame) -> pd.DataFrame:
    """With the difference that the verdict is of as ``contrast``, ``low``, ``high``: the change, without a control."""
    alone = table["contrast"].isna()
    given = {"contrast": "change", "contrast_low": "low", "contrast_high": "high"}
    found = {of: table[of].astype(float).where(~alone, table[name]) for of, name in given.items()}
    return table.assign(contrast=found["contrast"], low=found["contrast_low"], high=found["contrast_high"])


def _of_neurons(table: pd.DataFrame, where: "str | pd.Series[str]") -> pd.DataFrame:
    judged = _judged(table)
    share = {of: 100 * judged[of] / judged["before"] for of in ("contrast", "low", "high")}
    return _rows(judged.assign(**share), "change in " + table["kind"] + " neurons, %" + where, "contrast")


def layers(tables: Tables) -> pd.DataFrame:
    """By how much each of the paper's claims about the parts holds on shards that did not cut, in neurons a layer."""
    claims = tables["claims"]
    return _rows(claims, claims["claim"], "held_out")


def steering(tables: Tables) -> pd.DataFrame:
    """Own less random neurons at the strengths fixed beforehand, in shares of responses."""
    contrasts = tables["contrasts"]
    return _rows(contrasts, contrasts["way"] + " to " + contrasts["target"], "difference")


def stability(tables: Tables) -> pd.DataFrame:
    """Overlaps (Jaccard) of each type's neurons before any training: of two halves, and with other text."""
    overlaps = tables["overlaps"]
    some = overlaps[overlaps["comparison"].str.endswith(", before")]
    return _rows(some, some["comparison"] + ", " + some["kind"], "jaccard")


def detectors(tables: Tables) -> pd.DataFrame:
    """What each detector's neurons do less random ones and less other languages', in nats per token.

    And which share of them is found again on rewritten text, less that on unchanged text.
    """
    table = tables["detectors"]
    some = table[table["what"] != "own"]
    what = some["what"] + ", " + some["detector"] + ", " + some["budget"] + ", on " + some["text"]
    removed = _rows(some, what, "effect")
    rewritten = tables.get("rewritten", pd.DataFrame())
    if rewritten.empty:
        return removed
    what = "found again, " + rewritten["rewriting"] + " less unchanged, " + rewritten["detector"]
    return pd.concat([removed, _rows(rewritten, what, "difference")], ignore_index=True)


#: What a chapter writes, by its name: its main numbers, and the tables that they are read from.
HEADLINES: dict[str, tuple[Callable[[Tables], pd.DataFrame], tuple[str, ...]]] = {
    "layers": (layers, ("claims",)),
    "written": (writing, ("contrasts",)),
    "effects": (deactivation, ("contrasts",)),
    "steering": (steering, ("contrasts",)),
    "changes": (alignment, ("changes", "measures")),
    "spontaneous": (spontaneous, ("neurons",)),
    "stability": (stability, ("overlaps",)),
    "detectors_found": (detectors, ("detectors",)),
}


def of(artifact: str, tables: Tables) -> pd.DataFrame:
    """The main numbers of what a chapter wrote: ``what``, ``value``, ``low``, ``high``; no row where it found nothing.

    Args:
        artifact: one of :data:`HEADLINES`.
        tables: of the chapter.
    """
    main, names = HEADLINES[artifact]
    if any(tables.get(name, pd.DataFrame()).empty for name in names):
        return pd.DataFrame({"what": pd.Series(dtype=str)} | {name: pd.Series(dtype=float) for name in _COLUMNS[1:]})
    return main(tables)
