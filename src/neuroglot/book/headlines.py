"""The main numbers of each chapter in one form, so that one run can be set beside another."""

from collections.abc import Callable, Mapping

import pandas as pd

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


#: What a chapter writes, and its main numbers: ``what``, ``value``, ``low``, ``high``.
HEADLINES: dict[str, Callable[[Tables], pd.DataFrame]] = {"effects": deactivation, "written": writing}
