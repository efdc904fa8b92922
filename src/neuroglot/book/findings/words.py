"""Numbers in words, as the findings of all chapters say them."""

from typing import Any

import pandas as pd

from ...base.words import counted as counted
from ...base.words import no_minus_zero


def number(value: float | None, form: str) -> str:
    """A number in a format such as ``"{:.1%}"``, or that there is none; what rounds to zero is not below it."""
    if value is None or value != value:
        return "no number"
    return no_minus_zero(form.format(value))


def interval(low: float | None, high: float | None, form: str) -> str:
    """From one end to the other, each in a format such as ``"{:+.2f}"``, or that there is none."""
    ends = [number(end, form) for end in (low, high)]
    return "no interval" if number(None, form) in ends else " to ".join(ends)


def holding(n: int) -> str:
    """How many of some comparisons hold: ``1 holds``, ``2 hold``."""
    return f"{n} hold{'s' * (n == 1)}"


def rows_by(table: pd.DataFrame, *columns: str) -> dict[tuple[Any, ...], dict[Any, Any]]:
    """The rows of a table, by what stands in some of its columns."""
    return {tuple(row[column] for column in columns): row for row in table.to_dict("records")}
