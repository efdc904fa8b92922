"""Charts of published numbers beside those that the released counts give."""

from typing import Any

import altair as alt
import pandas as pd

from ...neurons.published import SETTINGS
from .theme import finish, told_apart

# The published ones first, in the order of time; then what was found.
_COLORS = ["#0072b2", "#009e73", "#8a8a8a", "#d55e00"]
_DASHES = [[1, 0], [1, 0], [6, 3], [2, 2]]

_AXES = {"quantile": ("quantile that gives tau", ".1%"), "lam": ("lambda", ".4~f")}


def by_n(table: pd.DataFrame) -> alt.LayerChart:
    """Neurons shared by exactly N languages, a line for each source.

    Args:
        table: from :func:`neuroglot.neurons.published.histograms`.
    """
    names = list(dict.fromkeys(table["of"]))
    base = alt.Chart(table).encode(
        x=alt.X("N:O", title="N, number of languages"),
        y=alt.Y(
            "neurons:Q", title="neurons (scale of roots)", scale=alt.Scale(type="sqrt"), axis=alt.Axis(format="~s")
        ),
        tooltip=["of", "N", alt.Tooltip("neurons:Q", format=",")],
        **told_apart("of", names, _COLORS[: len(names)], _DASHES[: len(names)]),
    )
    color = base.encode(color=alt.Color("of:N", legend=alt.Legend(columns=2, labelLimit=300), sort=None))
    color.encoding.color["scale"] = base.encoding.color["scale"]
    return finish(
        alt.layer(color.mark_line(), color.mark_point(filled=True, size=45)),
        "How many neurons do exactly N languages share?",
        "The paper's figure 15, and what the released counts give where they are here.",
        "Lines: neurons by the number of languages in which they are active, published and found.",
        width="container",
        height=280,
    )


def sensitivity(plane: pd.DataFrame, axis: str) -> alt.LayerChart:
    """Language neurons at every pair of top rate and another setting; the published pair is framed.

    Args:
        plane: from :func:`neuroglot.neurons.published.plane`.
        axis: the other setting, as there.
    """
    title, form = _AXES[axis]
    wanted = {"top_rate": SETTINGS["top_rate"], axis: SETTINGS[axis]}
    stated = (plane[list(wanted)] == pd.Series(wanted)).all(axis=1)
    data = plane.rename(columns={"language neurons": "neurons", "general selected": "general"}).assign(stated=stated)
    data["table_3"], data["fig_15"] = plane["table 3"], plane["fig. 15, of a type"]
    top = float(max(data["neurons"].max(), 1))
    order: dict[str, Any] = {"sort": "descending"}
    kept = dict.fromkeys(["top_rate", axis, "lam", "neurons", "general", "stated", "table_3", "fig_15"])
    base = alt.Chart(data[list(kept)]).encode(
        x=alt.X("top_rate:O", title="top rate", axis=alt.Axis(format=".1%")),
        y=alt.Y(f"{axis}:O", title=title, axis=alt.Axis(format=form), **order),
        tooltip=[
            alt.Tooltip("top_rate:O", title="top rate", format=".1%"),
            alt.Tooltip(f"{axis}:O", title=title, format=form),
            alt.Tooltip("lam:Q", title="lambda used", format=".4f"),
            alt.Tooltip("neurons:Q", title="specific and related neurons", format=","),
            alt.Tooltip("general:Q", title="general neurons among the selected", format=","),
            alt.Tooltip("table_3:Q", title="from table 3", format=".1%"),
            alt.Tooltip("fig_15:Q", title="from figure 15", format=".1%"),
        ],
    )
    cells = base.mark_rect(strokeWidth=2.5).encode(
        color=alt.Color(
            "neurons:Q",
            scale=alt.Scale(type="sqrt", domain=[0, top], range=["#eef6f2", "#00583f"], interpolate="rgb"),
            legend=None,
        ),
        stroke=alt.condition("datum.stated", alt.value("#e69f00"), alt.value("#00000000")),
    )
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("neurons:Q", format=","),
        color=alt.condition(f"datum.neurons > {0.45 * top:.4f}", alt.value("#ffffff"), alt.value("#222222")),
    )
    how = "lambda solved at each" if axis == "quantile" else f"quantile {SETTINGS['quantile']:.0%}"
    return finish(
        alt.layer(cells, numbers),
        "How many language neurons are there at other settings?",
        f"Specific and related ones; {how}. Framed: the published settings.",
        f"Heatmap: specific and related neurons by top rate and {title}.",
        width="container",
        height=alt.Step(26),
    )
