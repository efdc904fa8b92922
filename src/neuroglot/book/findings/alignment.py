"""What chapter 07 says in words."""

from typing import Any

import pandas as pd

from ..markup import myst


def left_out(table: pd.DataFrame) -> str:
    """What :func:`neuroglot.alignment.comparison.measure_changes` left out; nothing where it left out nothing.

    Args:
        table: its rows, with ``measure`` and ``model``.
    """
    lost = table[(table["left_out"] > 0) & ~table["language"].str.startswith("mean of ")]
    if lost.empty:
        return ""
    each = [
        f"{myst(model)}, {str(measure).removeprefix('change in ')}: {', '.join(map(_lost, part.itertuples()))}"
        for (model, measure), part in lost.groupby(["model", "measure"], sort=False)
    ]
    return f"*Left out, since one of the models compared has no value there: {'; '.join(each)}.*"


def _lost(row: Any) -> str:
    return f"{row.left_out:,} of {row.left_out + row.units:,} in {myst(row.language)}"
