"""What chapter 09 says in words."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from ..markup import language, myst
from .words import interval, rows_by

Rows = Mapping[tuple[Any, ...], Mapping[str, Any]]


def opening(sizes: pd.DataFrame, overlaps: pd.DataFrame, pivot: str) -> str:
    """How many neurons the pivot has beside the others, and how far the specific ones are found again.

    Args:
        sizes: from :func:`neuroglot.alignment.overview.sizes`.
        overlaps: from :func:`neuroglot.alignment.overview.found_again`.
        pivot: the language looked at apart.
    """
    return f"**{_pivot(sizes, pivot)}; {_again(overlaps)}.**"


def _pivot(sizes: pd.DataFrame, pivot: str) -> str:
    if pivot not in set(sizes["place"]):
        return f"{language(pivot)} is not among the languages"
    rows = rows_by(sizes[sizes["when"] == "before"], "place", "kind")
    its, others = (
        [
            f"{row['neurons']:,.0f} ({interval(row['low'], row['high'], '{:,.0f}')})"
            for row in (rows[place, kind] for kind in ("specific", "related"))
        ]
        for place in (pivot, "mean of others")
    )
    return (
        f"{language(pivot)} has {its[0]} specific and {its[1]} related neurons, the other languages on average "
        f"{others[0]} and {others[1]}"
    )


def _again(overlaps: pd.DataFrame) -> str:
    table = rows_by(overlaps, "comparison", "kind")
    halves, apart = (table[name, "specific"] for name in ("two halves, before", "before and after, two halves"))
    if pd.isna(halves["jaccard"]) or pd.isna(apart["jaccard"]):
        return "how far the specific neurons found on two halves of the text overlap cannot be told"
    noise = ", less than noise gives" if apart["below_low"] > 0 else ", which noise alone could give"
    return (
        f"the specific neurons found on two halves of the text overlap by {_share(halves['jaccard'])} in the model as "
        f"it is, and by {_share(apart['jaccard'])} if one half is taken from before alignment and one from after"
        f"{noise if pd.notna(apart['below_low']) else ''}"
    )


def _share(value: float) -> str:
    return "unknown" if pd.isna(value) else f"{value:.0%}"


def left_out(reasons: Mapping[str, str]) -> str:
    """Why other text is left out, by its name."""
    return "\n\n".join(f"*{myst(name)} is left out: {myst(why)}*" for name, why in reasons.items())


def summary(sizes: pd.DataFrame, overlaps: pd.DataFrame, pivot: str, texts: Collection[str]) -> str:
    """What was found, and what does not hold; arguments as of :func:`opening`, and the names of the other text."""
    table = rows_by(overlaps, "comparison", "kind")
    return "\n".join(
        [
            *(_sizes(rows, pivot) for _, rows in sizes.groupby("when", sort=False) if pivot in set(rows["place"])),
            *(_alignment(table, kind) for kind in ("specific", "related")),
            *(_elsewhere(table, name) for name in texts),
        ]
    )


def _sizes(rows: pd.DataFrame, pivot: str) -> str:
    """The pivot beside the mean of the others, of one model."""
    table, each = rows_by(rows, "place", "kind"), []
    for kind in ("specific", "related"):
        one, many = table[pivot, kind], table["mean of others", kind]
        apart = one["high"] < many["low"] or one["low"] > many["high"]
        said = "the intervals are apart" if apart else "not beyond noise"
        said = said if pd.notna(one["low"]) and pd.notna(many["low"]) else "noise unknown"
        each.append(
            f"{one['neurons']:.0f} {kind} ({interval(one['low'], one['high'], '{:.0f}')}) against "
            f"{many['neurons']:.0f} on average ({interval(many['low'], many['high'], '{:.0f}')}; {said})"
        )
    return f"- {language(pivot)}, {rows['when'].iloc[0]} alignment: {'; '.join(each)}."


def _alignment(table: Rows, kind: str) -> str:
    """The overlap before and after alignment, beside that of two halves."""
    names = "two halves, before", "before and after, same half", "before and after, two halves"
    halves, same, apart = (table[name, kind] for name in names)
    verdict = "beyond the noise of the text" if apart["below_low"] > 0 else "not beyond noise"
    return (
        f"- {kind.capitalize()} neurons: overlap {_share(same['jaccard'])} before and after alignment on the same "
        f"half of the text (random sets {_share(same['chance'])}); on different halves {_share(apart['jaccard'])}, "
        f"where the unchanged model's overlap is {_share(halves['jaccard'])} ({_share(halves['low'])} to "
        f"{_share(halves['high'])}): {verdict if pd.notna(apart['below_low']) else 'noise unknown'}."
    )


def _elsewhere(table: Rows, name: str) -> str:
    """The overlap with what is found in other text, beside that of two halves and of random sets."""
    each = []
    for kind in ("specific", "related", "general"):
        there, halves = (table[which, kind] for which in (f"{name}, before", "two halves, before"))
        each.append(
            f"{kind} {_share(there['jaccard'])} (halves of one text {_share(halves['jaccard'])}, random sets "
            f"{_share(there['chance'])})"
        )
    return f"- Overlap with what is found in other text ({myst(name)}), before alignment: {', '.join(each)}."


def caveats(top_rate: float, text: str, tokens: int, others: Mapping[tuple[str, str], int]) -> str:
    """How much text the overlaps rest on.

    Args:
        top_rate: share of the scores selected.
        text: the name of the text that was counted.
        tokens: in it.
        others: in other text, by its name and when it was counted.
    """
    sums = [f"{n // 2:,} ({myst(name)}, {when})" for (name, when), n in others.items()]
    return (
        f"All sets are of the lowest {top_rate:.1%} of the scores, each with thresholds of its own. Halves of "
        f"{myst(text)} have about {tokens // 2:,} tokens"
        + (f", of other text {', '.join(sums)}" if sums else "")
        + ": an overlap of small sets on little text is low whatever the model does, so the paper's percentages, from "
        "other amounts of text, are not to be compared with these one by one. Splits share their text, so their spread "
        "is no interval in the strict sense."
    )
