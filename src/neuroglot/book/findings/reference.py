"""What each chapter says of the reference beside which its numbers stand."""

import pandas as pd

from ..reference import AGREES, DIFFERS
from .words import counted

#: Said where the repository has no reference for a run.
NONE = (
    "*There is no reference for this model and text: the full run (`make full`) has not been made of them, or not by "
    "this version.*"
)


def agreement(beside: pd.DataFrame | None) -> str:
    """How many of a chapter's main numbers agree with the reference's, and which do not.

    Args:
        beside: from :func:`neuroglot.book.reference.beside`.
    """
    if beside is None:
        return NONE
    said = beside["verdict"].value_counts()
    known = int(said.sum())
    if not known:
        return "None of these numbers can be set beside the reference's: they lack intervals, or it lacks the numbers."
    differing = beside.loc[beside["verdict"] == DIFFERS, "what"]
    unknown = len(beside) - known
    rest = f" Of {counted(unknown, 'number')} it cannot be said." if unknown else ""
    if differing.empty:
        return f"Of {counted(known, 'number')} {'all agree' if known > 1 else 'it agrees'} with the reference.{rest}"
    return (
        f"Of {counted(known, 'number')} {int(said.get(AGREES, 0))} agree with the reference; not: "
        f"{'; '.join(differing)}.{rest}"
    )


def shown(beside: pd.DataFrame, form: str = "{:,.2f}") -> pd.DataFrame:
    """The same as a page shows it: ``what``, ``here``, ``reference`` (numbers with their intervals), ``verdict``."""

    def text(row: "pd.Series[float]", value: str, low: str, high: str) -> str:
        if pd.isna(row[value]):
            return ""
        ends = "" if pd.isna(row[low]) else f" ({form.format(row[low])} to {form.format(row[high])})"
        return form.format(row[value]) + ends

    here = beside.apply(text, axis=1, args=("value", "low", "high"))
    theirs = beside.apply(text, axis=1, args=("reference", "reference_low", "reference_high"))
    said = beside["verdict"].fillna("not known")
    return pd.DataFrame({"what": beside["what"], "here": here, "reference": theirs, "verdict": said})
