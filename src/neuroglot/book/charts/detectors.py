"""Charts of several detectors beside one another."""

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ...base.uncertainty import LESS, MORE, NOT_KNOWN, SAME, verdict_words
from .theme import DONE_COLORS, choice, drawn, finish, seen

_VERDICT_COLORS = {MORE: DONE_COLORS["language"], LESS: "#d55e00", SAME: DONE_COLORS["random"], NOT_KNOWN: "#b8b8b8"}
_VERDICT_SHAPES = {MORE: "circle", LESS: "square", SAME: "diamond", NOT_KNOWN: "cross"}

_WHAT = {
    "own": "in the language itself",
    "own less matched": "more than random neurons as often active",
    "own less as many of theirs": "more than as many of other languages'",
}


def detectors(table: pd.DataFrame) -> alt.FacetChart:
    """What each detector's neurons do when they are removed, and how much more than random and than others' neurons.

    Args:
        table: from :func:`neuroglot.effects.comparing.side_by_side`.
    """
    names = list(dict.fromkeys(table["detector"]))
    data = table.assign(verdict=verdict_words(table["verdict"]), against=table["what"].map(_WHAT)).round(5)
    menus = [choice(data, "budget", "neurons")]
    menus += [choice(data, "text", "text")] if data["text"].nunique() > 1 else []
    tips = [
        alt.Tooltip("detector:N"),
        alt.Tooltip("budget:N", title="neurons"),
        alt.Tooltip("text:N"),
        alt.Tooltip("against:N", title="harm"),
        alt.Tooltip("effect:Q", title="nats per token", format="+.3f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
        alt.Tooltip("high:Q", title="to", format="+.3f"),
        alt.Tooltip("verdict:N", title="told apart from 0"),
        alt.Tooltip("detectable:Q", title="would have been found", format=".3f"),
        alt.Tooltip("units:Q", title="wordings"),
    ]
    verdicts = list(_VERDICT_COLORS)
    where: dict[str, Any] = {
        "y": alt.Y("detector:N", title=None, sort=names),
        "color": alt.Color("verdict:N", scale=alt.Scale(domain=verdicts, range=[_VERDICT_COLORS[v] for v in verdicts])),
        "tooltip": tips,
    }
    chosen = " && ".join(f"datum.{menu.name.removesuffix('_')} == {menu.name}" for menu in menus)
    chart = alt.Chart(data).transform_filter(chosen)
    ends, both = drawn(chart, "effect", "low", "high")
    points, there = drawn(chart, "effect", "effect")
    axis: dict[str, Any] = {"title": "nats per token", "axis": alt.Axis(tickCount=4)}
    spans = ends.mark_rule(strokeWidth=2).encode(
        x=alt.X("low_drawn:Q", **axis), x2="high_drawn:Q", opacity=seen(both), **where
    )
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=verdicts, range=[_VERDICT_SHAPES[v] for v in verdicts]))
    dots = points.mark_point(filled=True, size=90).encode(
        x=alt.X("effect_drawn:Q", **axis), opacity=seen(there), shape=shape, **where
    )
    zero = alt.Chart(data).mark_rule(strokeDash=[4, 4]).encode(x=alt.datum(0))
    each = alt.layer(zero, spans, dots, data=data).properties(width=185, height=max(80, 28 * len(names)))
    column = alt.Column("against:N", title="change in log-perplexity, mean over languages", sort=list(_WHAT.values()))
    return finish(
        each.facet(column=column).resolve_scale(x="independent").add_params(*menus),
        "Whose neurons does a language need more than random ones?",
        "Each detector's neurons removed, with 95 % intervals over wordings",
        "Points: harm of removing each detector's neurons, alone and beside random and other languages' neurons.",
    )


def agreements(table: pd.DataFrame, names: Sequence[str]) -> alt.LayerChart:
    """How far every two detectors find the same neurons.

    Args:
        table: from :func:`neuroglot.neurons.agreement.agreement`.
        names: the detectors, in order.
    """
    keys = ["one", "other"]
    means = table.groupby(keys, sort=False, as_index=False)[["jaccard", "chance"]].mean()
    turned = means.rename(columns={"one": "other", "other": "one"})
    data = pd.concat([means, turned], ignore_index=True).round(4)
    place: dict[str, Any] = {
        "x": alt.X("other:N", title=None, sort=list(names), axis=alt.Axis(labelAngle=-40, orient="bottom")),
        "y": alt.Y("one:N", title=None, sort=list(names)),
    }
    tips = [
        alt.Tooltip("one:N", title="detector"),
        alt.Tooltip("other:N", title="and"),
        alt.Tooltip("jaccard:Q", title="in both / in either", format=".1%"),
        alt.Tooltip("chance:Q", title="random sets", format=".1%"),
    ]
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    cells = (
        alt.Chart(data)
        .mark_rect(stroke="#99999944")
        .encode(
            color=alt.Color("jaccard:Q", scale=scale, title="in both / in either", legend=None), tooltip=tips, **place
        )
    )
    ink = alt.condition("datum.jaccard > 0.5", alt.value("white"), alt.value("#222222"))
    words = alt.Chart(data).mark_text(fontSize=12).encode(
        text=alt.Text("jaccard:Q", format=".0%"), color=ink, tooltip=tips, **place
    )  # fmt: skip
    size = 46 * max(len(names), 2)
    return finish(
        cells + words,
        "Do two detectors find the same neurons?",
        "Neurons in both sets as a share of those in either, mean over languages",
        "Cells: Jaccard overlap of every two detectors' neurons, mean over languages.",
        width=size,
        height=size,
    )


def where_they_look(table: pd.DataFrame) -> alt.Chart:
    """In which layers each detector's neurons lie.

    Args:
        table: from :func:`neuroglot.neurons.agreement.by_layer`.
    """
    return finish(
        _by_layer(table, "share", [alt.Tooltip("neurons:Q", format=","), _percent("share", "of its neurons")]),
        "Where do detectors look?",
        "Share of a detector's neurons in each layer; darker is more",
        "Cells: share of each detector's neurons by layer.",
        width="container",
        height=28 * table["set"].nunique(),
    )


def where_they_agree(table: pd.DataFrame) -> alt.Chart:
    """In which layers each detector's neurons are other detectors' too.

    Args:
        table: from :func:`neuroglot.neurons.agreement.agreement_by_layer`.
    """
    tips = [_percent("jaccard", "in both / in either"), _percent("chance", "random sets")]
    return finish(
        _by_layer(table, "jaccard", tips),
        "In which layers do detectors agree?",
        "Neurons shared with the other detectors, of those in either; darker is more",
        "Cells: Jaccard overlap of each detector's neurons with the others', by layer.",
        width="container",
        height=28 * table["set"].nunique(),
    )


def _percent(column: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(f"{column}:Q", title=title, format=".1%")


def _by_layer(table: pd.DataFrame, shade: str, tips: Sequence[alt.Tooltip]) -> alt.Chart:
    """A cell for each detector and layer, shaded by one column."""
    last = int(table["layer"].max())
    return (
        alt.Chart(table.round(4))
        .mark_rect(stroke="#99999944")
        .encode(
            x=alt.X("layer:O", title="layer", axis=alt.Axis(values=list(range(0, last + 1, max(1, last // 12))))),
            y=alt.Y("set:N", title=None, sort=list(dict.fromkeys(table["set"]))),
            color=alt.Color(f"{shade}:Q", scale=alt.Scale(scheme="blues"), legend=None),
            tooltip=[alt.Tooltip("set:N", title="detector"), "layer:O", *tips],
        )
    )
