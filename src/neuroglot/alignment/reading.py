"""Tables of changes in few columns of text, and their rows as phrases."""

from collections.abc import Sequence

import pandas as pd

from ..base.uncertainty import NOT_KNOWN
from ..base.words import no_minus_zero

_NUMBERS = (
    *("before", "after", "change", "low", "high", "null", "null_low", "null_high"),
    *("contrast", "contrast_low", "contrast_high", "detectable", "trainings", "verdict"),
)


def readable(table: pd.DataFrame, number: str = "{:,.0f}", first: Sequence[str] = ()) -> pd.DataFrame:
    """A table of changes in few columns of text, for reading.

    Args:
        table: from :meth:`neuroglot.alignment.comparison.Changes.table` or
            :func:`neuroglot.alignment.answers.measure_changes`, with any columns beside.
        number: how one is written; changes get a sign.
        first: columns that come first.

    Returns:
        The columns beside, ``before, after``, ``change`` with its interval, where there is any ``control`` and ``less
        the control`` with its interval, ``verdict``, and beside one of not told apart what would have been found.
    """
    signed = number.replace("{:", "{:+")
    shown = table.drop(columns=[name for name in _NUMBERS if name in table])
    both = zip(_text(table["before"], number), _text(table["after"], number), strict=True)
    shown["before, after"] = [", ".join(each) for each in both]
    shown["change"] = _spans(table, "change", "", signed)
    if table["null"].notna().any():
        shown["control"] = _text(table["null"], signed)
        shown["less the control"] = _spans(table, "contrast", "contrast_", signed)
    shown["verdict"] = table["verdict"].fillna(NOT_KNOWN)
    shown["80 % would find"] = _text(table["detectable"], number)
    return shown[[*first, *shown.columns.difference(list(first), sort=False)]]


def _text(values: pd.Series, form: str) -> list[str]:
    return ["" if pd.isna(value) else no_minus_zero(form.format(value)) for value in values]


def _spans(table: pd.DataFrame, value: str, prefix: str, form: str) -> list[str]:
    """A number and its interval, as far as they are known."""
    parts = zip(*(_text(table[name], form) for name in (value, f"{prefix}low", f"{prefix}high")), strict=True)
    return [f"{one} ({low} to {high})" if low and high else one for one, low, high in parts]


def in_words(table: pd.DataFrame, number: str = "{:,.0f}") -> list[str]:
    """Each row of :func:`readable` as a phrase: the change, the control's, and the verdict on what lies between."""
    shown = readable(table, number)
    shown["change"] = shown["change"].replace("", "no number")
    controls = shown["control"] if "control" in shown else [""] * len(shown)
    said = [_verdict(*row) for row in zip(shown["verdict"], shown["80 % would find"], strict=True)]
    return [
        f"{change}, the control {control}: {verdict}" if control else f"{change}: {verdict}"
        for change, control, verdict in zip(shown["change"], controls, said, strict=True)
    ]


def _verdict(said: str, found: str) -> str:
    """A difference that was not found stands beside the one that would have been."""
    return f"{said} (80 % would find {found})" if said == "not told apart" and found else said
