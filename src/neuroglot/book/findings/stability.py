"""What chapter 09 says in words."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ...base.uncertainty import LESS, MORE, SAME
from ..markup import language, myst
from .words import interval, number, rows_by

Rows = Mapping[tuple[Any, ...], Mapping[str, Any]]

# The kinds of neurons that a language has of its own.
_OWN = ("specific", "related")

_THAN = {LESS: "fewer than", MORE: "more than", SAME: "not told apart from"}


def opening(sizes: pd.DataFrame, overlaps: pd.DataFrame, pivot: str) -> str:
    """Whether the pivot has fewer neurons than the others, and how far the specific ones are found in other text.

    Args:
        sizes: from :func:`neuroglot.alignment.stability.sizes`.
        overlaps: from :func:`neuroglot.alignment.stability.found_again`.
        pivot: the language looked at apart.
    """
    return f"**{_pivot(sizes, pivot)}.**\n\n**{text_to_text(overlaps)}.**"


def _pivot(sizes: pd.DataFrame, pivot: str) -> str:
    """In a clause: how many more or fewer of each kind than the others have."""
    rows = rows_by(sizes[sizes["when"] == "before"], "place", "kind")
    if ("difference", "specific") not in rows:
        return f"{language(pivot)} is not among the languages"
    each = [
        f"{rows[pivot, kind]['neurons']:,.0f} {kind} {'neurons' if kind == _OWN[0] else 'ones'} "
        f"({_THAN.get(rows['difference', kind]['verdict'], 'unknown how sure, beside')} the others' "
        f"{rows['mean of others', kind]['neurons']:,.0f} on average)"
        for kind in _OWN
    ]
    return f"{language(pivot)} has {' and '.join(each)}"


def text_to_text(overlaps: pd.DataFrame) -> str:
    """In a clause: the overlap of specific neurons with those of other text, beside that of as much of the same text.

    Args:
        overlaps: from :func:`neuroglot.alignment.stability.found_again`.
    """
    rows = overlaps[(overlaps["kind"] == "specific") & _of_other_text(overlaps)]
    if rows.empty or pd.isna(rows["jaccard"].iloc[0]):
        return "How far specific neurons are found again in other text is not known"
    row = rows.iloc[0]
    return (
        f"Specific neurons found on other text ({myst(row['comparison'].removesuffix(', before'))}) overlap by "
        f"{row['jaccard']:.0%} with this text's, those found on as much of this text by {row['halves']:.0%} "
        f"({_verdict(row['verdict'])})"
    )


def _of_other_text(overlaps: pd.DataFrame) -> "pd.Series[bool]":
    """Rows of the model before, on other text."""
    own = ("two halves", "before and ")
    return overlaps["comparison"].str.endswith(", before") & ~overlaps["comparison"].str.startswith(own)


def _verdict(verdict: str | None) -> str:
    return "not known" if pd.isna(verdict) else str(verdict)


def left_out(reasons: Mapping[str, str]) -> str:
    """Why other text is left out, by its name."""
    return "\n\n".join(f"*{myst(name)} is left out: {myst(why)}*" for name, why in reasons.items())


def summary(sizes: pd.DataFrame, overlaps: pd.DataFrame, pivot: str, texts: Collection[str]) -> str:
    """What was found, and what does not hold; arguments as of :func:`opening`, and the names of the other text."""
    table = rows_by(overlaps, "comparison", "kind")
    return "\n".join(
        [
            *(_sizes(rows, pivot) for _, rows in sizes.groupby("when", sort=False) if pivot in set(rows["place"])),
            *(_alignment(table, kind) for kind in _OWN),
            *(_elsewhere(table, name) for name in texts),
        ]
    )


def _sizes(rows: pd.DataFrame, pivot: str) -> str:
    """The pivot beside the mean of the others, of one model."""
    table, each = rows_by(rows, "place", "kind"), []
    for kind in _OWN:
        apart = table["difference", kind]
        each.append(
            f"{table[pivot, kind]['neurons']:,.0f} {kind} against {table['mean of others', kind]['neurons']:,.0f} on "
            f"average (difference {interval(apart['low'], apart['high'], '{:+,.0f}')}: {_verdict(apart['verdict'])}"
            f"{_found(apart, '{:,.0f}')})"
        )
    return f"- {language(pivot)}, {rows['when'].iloc[0]} alignment: {'; '.join(each)}."


def _found(row: Mapping[str, Any], form: str) -> str:
    """Beside a difference that is not told apart, the one that would have been found."""
    if row["verdict"] != SAME:
        return ""
    return f"; {number(row['detectable'], form)} would have been found with 80 % power"


def _alignment(table: Rows, kind: str) -> str:
    """The overlap before and after alignment, beside that of two halves."""
    same, apart = table["before and after, same half", kind], table["before and after, two halves", kind]
    return (
        f"- {kind.capitalize()} neurons: overlap {_share(same['jaccard'])} before and after alignment on the same "
        f"half of the text (random sets {_share(same['chance'])}); on different halves {_share(apart['jaccard'])}, "
        f"where the unchanged model's overlap is {_share(apart['halves'])}: {_apart(apart)}."
    )


def _apart(row: Mapping[str, Any]) -> str:
    """How far an overlap is from that of two halves, in points of percentage."""
    low, high = (100 * row[f"difference_{end}"] for end in ("low", "high"))
    found = _found({**row, "detectable": 100 * row["detectable"]}, "{:.1f} points")
    return f"{_verdict(row['verdict'])} ({interval(low, high, '{:+.0f}')} points{found})"


def _share(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.0%}"


def _elsewhere(table: Rows, name: str) -> str:
    """The overlap with what is found in other text, beside that of as much of the same text and of random sets."""
    each = []
    for kind in (*_OWN, "general"):
        row = table[f"{name}, before", kind]
        each.append(
            f"{kind} {_share(row['jaccard'])} (as much of the same text {_share(row['halves'])}: {_apart(row)}; random "
            f"sets {_share(row['chance'])})"
        )
    return f"- Overlap with what is found in other text ({myst(name)}), before alignment: {', '.join(each)}."


def caveats(top_rate: float, overlaps: pd.DataFrame) -> str:
    """How much text the overlaps rest on.

    Args:
        top_rate: share of the scores selected.
        overlaps: as of :func:`opening`.
    """
    rows = overlaps[overlaps["kind"] == "specific"].set_index("comparison")
    sums = [
        f"{myst(name)} {row['tokens']:,.0f} (of the same text {row['halves_tokens']:,.0f})"
        for name, row in rows[~rows.index.str.startswith(("two halves", "before and "))].iterrows()
        if pd.notna(row["tokens"])
    ]
    return (
        f"All sets are of the lowest {top_rate:.1%} of the scores, each with thresholds of its own. The first set of "
        f"each pair rests on half of the text{'; the second one on tokens: ' + ', '.join(sums) if sums else ''}. An "
        "overlap of small sets on little text is low whatever the model does, so the paper's percentages, from other "
        "amounts of text, are not to be compared with these one by one."
    )
