"""Every figure of the book: one theme, one colour per neuron type."""

import json
import math
from collections.abc import Iterable
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import vl_convert

from .activations import ActivationStats
from .errors import NeuroglotError
from .identification import KINDS, Identifier, NeuronTypes

#: One colour per neuron type, told apart in colour-blind vision and on light and dark ground.
KIND_COLORS = {"unclassified": "#8a8a8a", "specific": "#d55e00", "related": "#009e73", "general": "#6a5acd"}
_SHAPES = {"specific": "circle", "related": "square", "general": "triangle-up"}

# Runs beside each other differ in shape; their colour stays that of the type.
_RUN_SHAPES = ("circle", "square", "triangle-up", "diamond")

_TYPED = [kind for kind in KINDS if kind != "unclassified"]


def _kind_scale(kinds: Iterable[str] = tuple(_TYPED)) -> alt.Scale:
    kinds = list(kinds)
    return alt.Scale(domain=kinds, range=[KIND_COLORS[kind] for kind in kinds])


def _embed(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show a chart as HTML: a static picture, and the specification that the book's script draws.

    The picture serves wherever that script is not: a live notebook, a printed or a script-less page.
    """
    text = json.dumps(spec, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    fixed = spec | {"width": 620} if spec.get("width") == "container" else spec
    picture = vl_convert.vegalite_to_svg(fixed)
    html = f'<div class="neuroglot-chart">{picture}</div><script type="application/json">{text}</script>'
    return {f"application/vnd.vegalite.v{alt.SCHEMA_VERSION[1]}+json": spec, "text/html": html}


@alt.theme.register("neuroglot", enable=False)
def _theme() -> alt.theme.ThemeConfig:
    font = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', sans-serif"
    # Text and grid are mid-grey: readable on white, and the page's style sheet lightens them on dark.
    ink, grid = "#555555", "#99999944"
    return {
        "config": {
            "background": "transparent",
            "font": font,
            "view": {"stroke": None, "continuousWidth": 620, "continuousHeight": 280},
            "title": {
                "anchor": "start",
                "fontSize": 15,
                "fontWeight": 600,
                "color": ink,
                "subtitleColor": ink,
                "offset": 10,
            },
            "axis": {
                "labelColor": ink,
                "titleColor": ink,
                "gridColor": grid,
                "domainColor": grid,
                "tickColor": grid,
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
            },
            "axisX": {"labelAngle": 0},
            "legend": {
                "symbolOpacity": 1,
                "labelColor": ink,
                "titleColor": ink,
                "labelFontSize": 12,
                "orient": "top",
                "title": None,
            },
            "header": {"labelColor": ink, "titleColor": ink},
            "rule": {"color": ink},
        }
    }


def enable() -> None:
    """Use the book's theme and renderer in this notebook."""
    alt.theme.enable("neuroglot")
    alt.renderers.register("neuroglot", _embed)
    alt.renderers.enable("neuroglot")
    alt.data_transformers.disable_max_rows()


def _finish(chart: alt.TopLevelMixin, title: str, subtitle: str, described: str, **size: Any) -> Any:
    lines = [subtitle] if subtitle else []
    return chart.properties(title=alt.Title(title, subtitle=lines), description=described, **size)


def _choice(data: pd.DataFrame, column: str, label: str, first: int = 0) -> alt.Parameter:
    """A menu of a column's values, as the parameter ``COLUMN_``; the one chosen to begin with is number ``first``."""
    options = list(dict.fromkeys(data[column]))
    return alt.param(f"{column}_", value=options[first], bind=alt.binding_select(options=options, name=f"{label} "))


def _lines(column: str, names: list[str], colors: list[str], dashes: list[list[int]]) -> dict[str, Any]:
    """Lines told apart by colour and by dash, as encodings."""
    return {
        "color": alt.Color(f"{column}:N", scale=alt.Scale(domain=names, range=colors)),
        "strokeDash": alt.StrokeDash(f"{column}:N", scale=alt.Scale(domain=names, range=dashes)),
    }


def tokens(table: pd.DataFrame) -> alt.Chart:
    """Counted tokens per language, from :func:`neuroglot.tokens_per_language`."""
    return _bars(table, "tokens", "counted tokens", "How much text is counted in each language?", "")


def fertility(table: pd.DataFrame) -> alt.Chart:
    """Tokens per character of each language, from :func:`neuroglot.tokens_per_language`."""
    subtitle = "A character is a syllable or a word in some scripts and a letter in others"
    title = "How many tokens does a character cost?"
    return _bars(table, "tokens_per_character", "tokens per character", title, subtitle)


def _bars(table: pd.DataFrame, column: str, axis: str, title: str, subtitle: str) -> alt.Chart:
    chart = (
        alt.Chart(table)
        .mark_bar(color=KIND_COLORS["general"])
        .encode(
            x=alt.X(f"{column}:Q", title=axis),
            y=alt.Y("language:N", sort=None, title="language"),
            tooltip=[
                "language",
                alt.Tooltip("tokens:Q", format=","),
                alt.Tooltip("characters:Q", format=","),
                alt.Tooltip("tokens_per_character:Q", title="tokens per character", format=".3f"),
            ],
        )
    )
    return _finish(chart, title, subtitle, f"Bars: {axis} per language.", width="container", height=alt.Step(22))


def solved(table: pd.DataFrame) -> alt.Chart:
    """Accuracy per language and group with its interval, from :func:`neuroglot.accuracy`."""
    groups = sorted(set(table["group"]) - {"all"})
    base = alt.Chart(table[table["group"].isin(groups)]).encode(
        y=alt.Y("language:N", sort=None, title="language"),
    )
    points = base.mark_point(filled=True, size=60, color=KIND_COLORS["general"]).encode(
        x=alt.X("accuracy:Q", title="accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1])),
        tooltip=[
            "language",
            "group",
            "questions",
            alt.Tooltip("accuracy:Q", format=".0%"),
            alt.Tooltip("low:Q", title="interval from", format=".0%"),
            alt.Tooltip("high:Q", title="to", format=".0%"),
            alt.Tooltip("right_number:Q", title="right number", format=".0%"),
            alt.Tooltip("in_language:Q", title="in the language asked", format=".0%"),
        ],
    )
    spans = base.mark_rule(color=KIND_COLORS["general"]).encode(
        x=alt.X("low:Q", title="accuracy"),
        x2="high:Q",
    )
    pick = alt.selection_point(
        fields=["group"], value=groups[0], bind=alt.binding_radio(options=groups, name="group: ")
    )
    chart = (spans + points).add_params(pick).transform_filter(pick) if len(groups) > 1 else spans + points
    return _finish(
        chart,
        "How many questions does the model get right, in the language asked?",
        "Right last number and right language; lines: bootstrap interval over questions",
        "Points: accuracy per language; lines: intervals.",
        width="container",
        height=alt.Step(22),
    )


def active_share(stats: ActivationStats) -> alt.Chart:
    """Mean activation probability of each layer, one line per language."""
    mean = stats.probabilities().mean(axis=1)
    rows = pd.DataFrame(mean, columns=list(stats.languages)).rename_axis("layer").reset_index()
    tidy = rows.melt("layer", var_name="language", value_name="probability")
    pick = alt.selection_point(fields=["language"], bind="legend")
    chart = (
        alt.Chart(tidy)
        .mark_line(point={"size": 25})
        .encode(
            x=alt.X("layer:O", title="layer"),
            y=alt.Y("probability:Q", title="mean activation probability", axis=alt.Axis(format="%")),
            color=alt.Color("language:N", sort=None, scale=alt.Scale(scheme="tableau10"), legend=alt.Legend(columns=5)),
            opacity=alt.condition(pick, alt.value(1), alt.value(0.12)),
            tooltip=["language", "layer", alt.Tooltip("probability:Q", format=".1%")],
        )
        .add_params(pick)
    )
    return _finish(
        chart,
        "How much of each layer is active?",
        "Click a language in the legend to single it out.",
        "Lines: mean activation probability of a layer's neurons, per language.",
        width="container",
    )


def neuron(stats: ActivationStats, types: NeuronTypes, layer: int, index: int) -> alt.LayerChart:
    """One neuron's activation probability in each language, with tau and 95 % Wilson intervals."""
    counts, tokens = stats.counts[layer, index], stats.seen[layer, index]
    low, high = _wilson(counts, tokens)
    rows = pd.DataFrame(
        {
            "language": stats.languages,
            "probability": counts / np.maximum(tokens, 1),
            "low": low,
            "high": high,
            "active": counts,
            "tokens": tokens,
            "above": np.where(types.active[layer, index], "above tau", "not above tau"),
        }
    )
    kind = types.kind[layer, index]
    base = alt.Chart(rows).encode(y=alt.Y("language:N", sort=None, title="language"))
    scale = alt.Scale(domain=[0, 1])
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=alt.X("probability:Q", title="activation probability", scale=scale, axis=alt.Axis(format="%")),
        color=alt.Color(
            "above:N",
            scale=alt.Scale(
                domain=["above tau", "not above tau"], range=[KIND_COLORS[kind], KIND_COLORS["unclassified"]]
            ),
        ),
        tooltip=[
            "language",
            alt.Tooltip("probability:Q", format=".2%"),
            alt.Tooltip("active:Q", title="active tokens", format=","),
            alt.Tooltip("tokens:Q", title="tokens", format=","),
            alt.Tooltip("low:Q", title="95 % from", format=".2%"),
            alt.Tooltip("high:Q", title="95 % to", format=".2%"),
        ],
    )
    errors = base.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    tau = alt.Chart(pd.DataFrame({"tau": [types.tau]})).mark_rule(strokeDash=[5, 4], strokeWidth=2)
    chart = bars + errors + tau.encode(x="tau:Q", tooltip=alt.Tooltip("tau:Q", format=".4f"))
    return _finish(
        chart,
        f"In which languages does neuron {index} of layer {layer} fire?",
        f"{kind}, N = {types.n_languages[layer, index]}; dashed: tau = {types.tau:.4f}",
        f"Bars: activation probability of neuron {index} of layer {layer} per language; dashed line: tau.",
        width="container",
        height=alt.Step(24),
    )


def _wilson(counts: np.ndarray, tokens: np.ndarray, z: float = 1.959964) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95 % interval for shares ``counts / tokens``; everything where there is no token."""
    none, tokens = tokens == 0, np.maximum(tokens, 1)
    p = counts / tokens
    middle = (p + z**2 / (2 * tokens)) / (1 + z**2 / tokens)
    half = z * np.sqrt(p * (1 - p) / tokens + z**2 / (4 * tokens**2)) / (1 + z**2 / tokens)
    return np.where(none, 0, middle - half), np.where(none, 1, middle + half)


def counts_per_language(types: NeuronTypes) -> alt.Chart:
    """Specific and related neurons of each language, side by side."""
    chart = (
        alt.Chart(types.counts_per_language())
        .mark_bar()
        .encode(
            x=alt.X("neurons:Q", title="neurons"),
            y=alt.Y("language:N", sort=None, title="language"),
            yOffset=alt.YOffset("kind:N", scale=alt.Scale(domain=["specific", "related"])),
            color=alt.Color("kind:N", scale=_kind_scale(["specific", "related"])),
            tooltip=["language", "kind", alt.Tooltip("neurons:Q", format=",")],
        )
    )
    return _finish(
        chart,
        "How many neurons belong to each language?",
        "A related neuron counts for each of its languages.",
        "Bars: number of specific and related neurons of each language.",
        width="container",
        height=alt.Step(14),
    )


def counts_per_n(types: NeuronTypes) -> alt.LayerChart:
    """Neurons by the number N of languages in which they are active, all and selected ones."""
    k = len(types.languages)
    table = types.counts_per_n()
    table["kind"] = [("specific" if n == 1 else "general" if n == k else "related") for n in table["n_languages"]]
    base = alt.Chart(table).encode(x=alt.X("n_languages:O", title="number of languages N in which p > tau"))
    tips = ["n_languages", alt.Tooltip("neurons:Q", format=","), alt.Tooltip("selected:Q", format=",")]
    every = base.mark_bar(filled=False, stroke=KIND_COLORS["unclassified"], strokeWidth=1.5).encode(
        y=alt.Y("neurons:Q", title="neurons"), tooltip=tips
    )
    # General neurons need no selection, so their whole bar is filled.
    chosen = base.transform_calculate(typed=f"datum.n_languages == {k} ? datum.neurons : datum.selected")
    filled = chosen.mark_bar().encode(y="typed:Q", color=alt.Color("kind:N", scale=_kind_scale()), tooltip=tips)
    return _finish(
        every + filled,
        "How many languages share a neuron?",
        "Outline: all neurons with this N; filled: those that are specific, related or general.",
        "Bars: number of neurons by number of languages in which they are active.",
        width="container",
    )


def layers(
    profile: pd.DataFrame, bands: pd.DataFrame | None = None, parts: pd.DataFrame | None = None
) -> alt.LayerChart:
    """Neurons of each type per layer, with intervals and the four parts where given.

    Args:
        profile: from :func:`neuroglot.layer_profile`.
        bands: from :func:`neuroglot.layers.intervals`.
        parts: from :func:`neuroglot.four_parts`.
    """
    pick = alt.selection_point(fields=["kind"], bind="legend")
    last = int(profile["layer"].max())
    x = alt.X(
        "layer:Q",
        title="layer",
        scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", grid=False),
    )
    color = alt.Color("kind:N", scale=_kind_scale())
    faded = alt.condition(pick, alt.value(1), alt.value(0.1))
    chart = []
    if parts is not None:
        spans = parts.assign(
            start=parts["first"] - 0.5, end=parts["last"] + 0.5, shade=[i % 2 for i in range(len(parts))]
        )
        ground = (
            alt.Chart(spans)
            .mark_rect(color="#888888")
            .encode(
                x=alt.X("start:Q"),
                x2="end:Q",
                opacity=alt.condition("datum.shade == 1", alt.value(0.12), alt.value(0.04)),
                tooltip=["part", "first", "last"],
            )
        )
        chart.append(ground)
    data = profile if bands is None else profile.merge(bands, on=["layer", "kind"])
    base = alt.Chart(data)
    tips = ["layer", "kind", "neurons", alt.Tooltip("share:Q", title="share of the layer", format=".2%")]
    if bands is not None:
        tips += [
            alt.Tooltip("low:Q", title="95 % from", format=".0f"),
            alt.Tooltip("high:Q", title="95 % to", format=".0f"),
        ]
        band = base.mark_area().encode(
            x=x, y="low:Q", y2="high:Q", color=color, opacity=alt.condition(pick, alt.value(0.3), alt.value(0.04))
        )
        chart.append(band)
    line = base.mark_line().encode(
        x=x, y=alt.Y("neurons:Q", title="neurons per layer"), color=color, opacity=faded, tooltip=tips
    )
    points = (
        base.mark_point(filled=True, size=55)
        .encode(
            x=x,
            y="neurons:Q",
            color=color,
            opacity=faded,
            tooltip=tips,
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=_TYPED, range=[_SHAPES[kind] for kind in _TYPED])),
        )
        .add_params(pick)
    )
    subtitle = "Click a type in the legend to single it out."
    if bands is not None:
        subtitle += " Bands: 95 % bootstrap intervals."
    if parts is not None:
        subtitle += " Shades: the four parts."
    return _finish(
        alt.layer(*chart, line, points),
        "Where in the model does each neuron type sit?",
        subtitle,
        "Lines: number of specific, related and general neurons per layer.",
        width="container",
        height=300,
    )


def depth(profiles: pd.DataFrame, kind: str) -> alt.LayerChart:
    """One neuron type over relative depth, a line per run with its interval.

    Args:
        profiles: from :func:`neuroglot.runs.depth_profiles`.
        kind: the type shown.
    """
    names = list(dict.fromkeys(profiles["run"]))
    pick = alt.selection_point(fields=["run"], bind="legend")
    base = alt.Chart(profiles[profiles["kind"] == kind])
    x = alt.X(
        "depth:Q",
        title="relative depth: first layer 0, last layer 1",
        axis=alt.Axis(format=".1f", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    )
    y = alt.Y("share:Q", title="share of the layer's neurons", axis=alt.Axis(format="%"))
    dashes = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3]]
    legend = alt.Legend(columns=2, labelLimit=300, symbolSize=200)
    dash = alt.StrokeDash(
        "run:N", legend=legend, scale=alt.Scale(domain=names, range=[dashes[i % 4] for i in range(len(names))])
    )
    tips = [
        "run",
        "layer",
        "neurons",
        alt.Tooltip("share:Q", title="share of the layer", format=".2%"),
        alt.Tooltip("low:Q", title="95 % from", format=".2%"),
        alt.Tooltip("high:Q", title="to", format=".2%"),
    ]
    band = base.mark_area(color=KIND_COLORS[kind]).encode(
        x=x, y=alt.Y("low:Q", title="share of the layer's neurons"), y2="high:Q", detail="run:N",
        opacity=alt.condition(pick, alt.value(0.18), alt.value(0.03)),
    )  # fmt: skip
    line = base.mark_line(color=KIND_COLORS[kind]).encode(
        x=x, y=y, strokeDash=dash, opacity=alt.condition(pick, alt.value(1), alt.value(0.12))
    )
    shape = alt.Shape("run:N", scale=alt.Scale(domain=names, range=[_RUN_SHAPES[i % 4] for i in range(len(names))]))
    points = (
        base.mark_point(filled=True, size=40, color=KIND_COLORS[kind])
        .encode(x=x, y=y, shape=shape, tooltip=tips, opacity=alt.condition(pick, alt.value(1), alt.value(0.12)))
        .add_params(pick)
    )
    return _finish(
        alt.layer(band, line, points),
        f"At what depth do {kind} neurons sit?",
        "Click a model in the legend to single it out. Bands: 95 % bootstrap intervals.",
        f"Lines: share of each layer's neurons that are {kind}, by relative depth, one line per model.",
        width="container",
        height=220,
    )


def languages_beside(table: pd.DataFrame) -> alt.LayerChart:
    """Language neurons of each language as a share of all, a point per run and type.

    Args:
        table: from :func:`neuroglot.runs.language_shares`.
    """
    names = list(dict.fromkeys(table["run"]))
    chart = (
        alt.Chart(table)
        .mark_point(size=70, filled=False, strokeWidth=2)
        .encode(
            x=alt.X("share:Q", title="share of all neurons", axis=alt.Axis(format=".2%")),
            y=alt.Y("language:N", sort=None, title="language"),
            color=alt.Color("kind:N", scale=_kind_scale(["specific", "related"])),
            shape=alt.Shape(
                "run:N",
                legend=alt.Legend(columns=2, labelLimit=300),
                scale=alt.Scale(domain=names, range=[_RUN_SHAPES[i % 4] for i in range(len(names))]),
            ),
            tooltip=["run", "language", "kind", "neurons", alt.Tooltip("share:Q", format=".3%")],
        )
    )
    return _finish(
        chart,
        "Which languages have many neurons, and in which model?",
        "A related neuron counts for each of its languages.",
        "Points: specific and related neurons of each language as a share of all neurons, per model.",
        width="container",
        height=alt.Step(26),
    )


def top_rates(table: pd.DataFrame) -> alt.Chart:
    """Neurons of each type as the share of neurons selected grows.

    Args:
        table: columns ``top_rate``, ``kind``, ``neurons``, ``lam``.
    """
    chart = (
        alt.Chart(table)
        .mark_line(point=True)
        .encode(
            x=alt.X("top_rate:Q", title="top rate: share of neurons selected", axis=alt.Axis(format=".0%")),
            y=alt.Y("neurons:Q", title="neurons"),
            color=alt.Color("kind:N", scale=_kind_scale()),
            tooltip=[
                alt.Tooltip("top_rate:Q", format=".1%"),
                "kind",
                alt.Tooltip("neurons:Q", format=","),
                alt.Tooltip("lam:Q", title="solved lambda", format=".4f"),
            ],
        )
    )
    return _finish(
        chart,
        "What does the top rate decide?",
        "Lambda is solved anew at every rate.",
        "Lines: number of specific, related and general neurons against the share selected.",
        width="container",
    )


# --- effects -----------------------------------------------------------------------------------

#: What was done on purpose, and what was done to random neurons beside it.
DONE_COLORS = {"language": "#0072b2", "random": "#8a8a8a"}
_OUTPUT_COLORS = {"target": "#0072b2", "source": "#e69f00", "another language": "#cc79a7", "no language": "#8a8a8a"}


def effects(table: pd.DataFrame) -> alt.VConcatChart:
    """Languages x languages: what removing a language's neurons changes, and random neurons beside it.

    Args:
        table: from :meth:`neuroglot.effects.Effects.table`.
    """
    order, removed = (list(dict.fromkeys(table[name])) for name in ("language", "removed"))
    chosen_set = _choice(table, "set", "neurons", min(1, table["set"].nunique() - 1))
    measure = _choice(table, "measure", "measure")
    columns = ["set", "measure", "removed", "language", "neurons", "size", "before", "after", "effect", "low", "high"]
    columns += ["harm", "random", "random_low", "random_high", "draws", "beside", "verdict"]
    # Numbers as the page shows them keep it small; a missing verdict is no verdict.
    data = table[columns].round(4).assign(verdict=table["verdict"].astype(object).fillna("cannot be told"))
    base = alt.Chart(data).transform_filter("datum.set == set_ && datum.measure == measure_")
    tips = [
        alt.Tooltip("removed:N", title="neurons removed of"),
        alt.Tooltip("language:N", title="measured in"),
        alt.Tooltip("neurons:Q", title="neurons removed", format=","),
        alt.Tooltip("size:Q", title="tokens, questions or letters", format=","),
        alt.Tooltip("before:Q", format=".3f"),
        alt.Tooltip("after:Q", format=".3f"),
        alt.Tooltip("effect:Q", format="+.3f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
        alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
        alt.Tooltip("random:Q", title="random neurons, mean", format="+.3f"),
        alt.Tooltip("random_low:Q", title="another random draw, from", format="+.3f"),
        alt.Tooltip("random_high:Q", title="to", format="+.3f"),
        alt.Tooltip("draws:Q", title="random draws"),
        alt.Tooltip("beside:Q", title="effect on the same text", format="+.3f"),
        alt.Tooltip("verdict:N", title="harm beside random neurons"),
    ]
    cells = base.transform_joinaggregate(least="min(harm)", most="max(harm)").transform_calculate(
        top="max(abs(datum.least), abs(datum.most), 1e-9)", level="datum.harm / datum.top"
    ).encode(
        x=alt.X("language:N", title="measured in", sort=order, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("removed:N", title="neurons removed of", sort=removed),
    )  # fmt: skip
    ground = cells.mark_rect().encode(
        color=alt.Color(
            "level:Q",
            scale=alt.Scale(domain=[-1, 0, 1], range=["#0072b2", "#f4f1ea", "#c24e00"]),
            legend=None,
        ),
        stroke=alt.condition("datum.verdict == 'more'", alt.value("#222222"), alt.value("#00000000")),
        strokeWidth=alt.value(1.5),
        tooltip=tips,
    )
    known = cells.transform_filter("isValid(datum.effect)")
    numbers = known.mark_text(fontSize=11).encode(
        text=alt.Text("effect:Q", format=".2f"),
        color=alt.condition("abs(datum.level) > 0.6", alt.value("#ffffff"), alt.value("#222222")),
        tooltip=tips,
    )
    heat = (ground + numbers).properties(width=560, height=26 * len(removed))
    own = base.transform_filter("datum.removed == datum.language && isValid(datum.effect)")
    others = base.transform_filter("datum.removed != datum.language && isValid(datum.effect)")
    y = alt.Y("removed:N", title="neurons removed of", sort=removed)
    x_title = "change: nats per token, or a share"
    random = own.mark_bar(color=DONE_COLORS["random"], opacity=0.35, height=14).encode(
        x=alt.X("random_low:Q", title=x_title), x2="random_high:Q", y=y, tooltip=tips
    )
    elsewhere = others.mark_tick(color=DONE_COLORS["random"], thickness=1.5, size=12).encode(
        x=alt.X("effect:Q", title=x_title), y=y, tooltip=tips
    )
    spans = own.mark_rule(color=DONE_COLORS["language"], strokeWidth=1.5).encode(x="low:Q", x2="high:Q", y=y)
    points = own.mark_point(filled=True, size=70, opacity=1, color=DONE_COLORS["language"]).encode(
        x=alt.X("effect:Q", title=x_title), y=y, tooltip=tips
    )
    dots = (random + elsewhere + spans + points).properties(
        width=560,
        height=20 * len(removed),
        title=alt.Title(
            "And in the language itself?",
            subtitle=[
                "Point: effect on the language whose neurons are removed, with its interval; ticks: on the others;",
                "grey bar: where another draw of random neurons would fall on that language",
            ],
        ),
    )
    return _finish(
        alt.vconcat(heat, dots, spacing=24).add_params(chosen_set, measure).resolve_scale(color="independent"),
        "What does removing one language's neurons do to each language?",
        "Framed: more harm than random neurons do. Orange is for the worse, blue for the better.",
        "Heatmap: effect of removing each language's neurons on each language; below, the diagonal.",
    )


def doses(table: pd.DataFrame) -> alt.LayerChart:
    """Own log-perplexity against the number of neurons removed, by score, shuffled and at random.

    Args:
        table: from :func:`neuroglot.effects.of_doses`.
    """
    names = {"score": "lowest score first", "shuffled": "the same set, shuffled", "random": "random neurons"}
    by_draw = ["language", "order", "dose", "neurons"]
    mean = table.groupby(by_draw, sort=False, as_index=False)["effect"].mean()
    every = mean.groupby(["order", "dose"], sort=False, as_index=False)[["neurons", "effect"]].mean()
    data = pd.concat([every.assign(language="mean of all"), mean], ignore_index=True).replace({"order": names}).round(4)
    options = list(dict.fromkeys(data["language"]))
    pick = alt.selection_point(
        fields=["language"], value=options[0], bind=alt.binding_select(options=options, name="language ")
    )
    colors = [DONE_COLORS["language"], "#56b4e9", DONE_COLORS["random"]]
    base = alt.Chart(data).encode(
        x=alt.X(
            "neurons:Q", title="neurons removed", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format=",d")
        ),
        y=alt.Y("effect:Q", title="change in log-perplexity (nats per token)"),
        **_lines("order", list(names.values()), colors, [[1, 0], [6, 3], [2, 2]]),
        tooltip=[
            "language",
            "order",
            alt.Tooltip("dose:Q", title="share of the set", format=".0%"),
            alt.Tooltip("neurons:Q", format=",.0f"),
            alt.Tooltip("effect:Q", format="+.3f"),
        ],
    )
    chart = (
        (base.mark_line() + base.mark_point(filled=True, size=45, opacity=1)).add_params(pick).transform_filter(pick)
    )
    return _finish(
        chart,
        "How much does a language suffer as its neurons go?",
        "In the language itself; lines: means of the draws",
        "Lines: change in a language's log-perplexity against the number of its neurons removed.",
        width="container",
        height=260,
    )


def steering(table: pd.DataFrame) -> alt.FacetChart:
    """What generated text is as a language's neurons are driven up, beside random neurons.

    Args:
        table: from :func:`neuroglot.steering.outputs`.
    """
    keys = ["way", "strength", "neurons", "output"]
    means = table.groupby(keys, sort=False, as_index=False)[["share", "letters", "prompts"]].mean()
    columns = [*keys, "share", "letters", "prompts", "target", "low", "high"]
    data = pd.concat([means.assign(target="mean of all"), table], ignore_index=True)[columns].round(4)
    data["place"] = data["output"].map({name: i for i, name in enumerate(_OUTPUT_COLORS)})
    target, way = _choice(data, "target", "steered to"), _choice(data, "way", "way", -1)
    bars = (
        alt.Chart(data)
        .transform_filter("datum.target == target_ && datum.way == way_")
        .mark_bar()
        .encode(
            x=alt.X("strength:O", title="strength (0: the model as it is)"),
            y=alt.Y(
                "share:Q",
                title="share of the letters",
                stack="zero",
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=alt.Color(
                "output:N", scale=alt.Scale(domain=list(_OUTPUT_COLORS), range=list(_OUTPUT_COLORS.values()))
            ),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("target:N", title="steered to"),
                "way",
                "strength",
                "neurons",
                "output",
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("low:Q", title="95 % from", format=".0%"),
                alt.Tooltip("high:Q", title="95 % to", format=".0%"),
                alt.Tooltip("letters:Q", format=",.0f"),
                alt.Tooltip("prompts:Q"),
            ],
        )
        .properties(width=250, height=230)
    )
    column = alt.Column("neurons:N", title="neurons driven up and switched off", sort=list(DONE_COLORS))
    return _finish(
        bars.facet(column=column).add_params(target, way),
        "In which language does the model go on?",
        "Shares of the letters of all responses",
        "Stacked bars: share of generated letters per language as steering grows stronger.",
    )


# --- before and after alignment ----------------------------------------------------------------

_CHANGE_TIPS = [
    alt.Tooltip("before:Q", format=",.4~g"),
    alt.Tooltip("after:Q", format=",.4~g"),
    alt.Tooltip("change:Q", format="+,.3~g"),
    alt.Tooltip("low:Q", title="95 % from", format="+,.3~g"),
    alt.Tooltip("high:Q", title="95 % to", format="+,.3~g"),
    alt.Tooltip("null:Q", title="control", format="+,.3~g"),
    alt.Tooltip("again_low:Q", title="other text, from", format="+,.3~g"),
    alt.Tooltip("again_high:Q", title="other text, to", format="+,.3~g"),
    alt.Tooltip("verdict:N"),
]


def _change_data(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as the page shows them, which keeps it small."""
    return table.assign(**{name: np.nan for name in ("again_low", "again_high") if name not in table}).round(4)


def _change_layers(
    base: alt.Chart, along: str, place: dict[str, Any], axis: alt.X | alt.Y, color: Any
) -> alt.LayerChart:
    """Noise behind, the change with its interval before it; filled where it is beyond noise.

    Args:
        base: the data.
        along: ``"x"`` or ``"y"``, where the change is read off.
        place: the encoding of the other channel.
        axis: of the change.
        color: of points and intervals.
    """
    size = {"height": 13} if along == "x" else {"width": 13}
    again = base.mark_bar(color=DONE_COLORS["random"], opacity=0.3, **size).encode(
        **place, **{along: _on(axis, "again_low:Q"), f"{along}2": "again_high:Q"}, tooltip=_CHANGE_TIPS
    )
    null = base.mark_tick(color=DONE_COLORS["random"], thickness=2.5, size=13).encode(
        **place, **{along: _on(axis, "null:Q")}, tooltip=_CHANGE_TIPS
    )
    spans = base.mark_rule(strokeWidth=1.5).encode(
        **place, **{along: _on(axis, "low:Q"), f"{along}2": "high:Q"}, color=color
    )
    points = base.mark_point(size=60, opacity=1, strokeWidth=1.8).encode(
        **place,
        **{along: _on(axis, "change:Q")},
        color=color,
        fillOpacity=alt.condition("datum.verdict == 'beyond noise'", alt.value(1), alt.value(0)),
        fill=color,
        tooltip=_CHANGE_TIPS,
    )
    return again + null + spans + points


def training(logs: dict[str, pd.DataFrame]) -> alt.Chart:
    """Loss per step of several trainings, from :attr:`neuroglot.alignment.Alignment.log`."""
    data = pd.concat([log.assign(training=name) for name, log in logs.items()], ignore_index=True).round(4)
    names = list(logs)
    colors = [DONE_COLORS["language"], DONE_COLORS["random"], "#56b4e9", "#009e73", "#e69f00", "#cc79a7"]
    dashes = [[1, 0], [2, 2], [6, 3], [4, 2], [8, 2, 2, 2], [1, 3]]
    ranges = [[values[i % len(values)] for i in range(len(names))] for values in (colors, dashes)]
    chart = (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("loss:Q", title="DPO loss", scale=alt.Scale(zero=True)),
            **_lines("training", names, *ranges),
            tooltip=[
                "training",
                "step",
                alt.Tooltip("loss:Q", format=".3f"),
                alt.Tooltip("accuracy:Q", title="chosen gains more, share of pairs", format=".0%"),
                alt.Tooltip("margin:Q", title="margin of the rewards", format="+.2f"),
            ],
        )
    )
    return _finish(
        chart,
        "Is there anything to learn in the preferences?",
        "Loss on each step's pairs; log 2 = 0.69 is where both responses gain alike",
        "Lines: loss per training step, of the preferences and of shuffled ones.",
        width="container",
        height=220,
    )


def layer_changes(table: pd.DataFrame) -> alt.FacetChart:
    """Change in the number of each type per layer, with its noise.

    Args:
        table: rows of :meth:`neuroglot.comparison.Changes.table` for layers, with ``model`` and ``thresholds``.
    """
    data = _change_data(table)
    picks = [_choice(data, "model", "model"), _choice(data, "thresholds", "tau and lambda")]
    last = int(data["place"].max())
    x = alt.X("place:O", title="layer", axis=alt.Axis(values=list(range(0, last + 1, max(1, (last + 1) // 20)))))
    y = alt.Y("change:Q", title="neurons")
    base = alt.Chart(data).transform_filter("datum.model == model_ && datum.thresholds == thresholds_")
    marks = _change_layers(base, "y", {"x": x}, y, alt.Color("kind:N", scale=_kind_scale(), legend=None))
    zero = base.mark_rule(strokeDash=[2, 2]).encode(y=alt.datum(0))
    chart = (
        (zero + marks)
        .properties(width=560, height=120)
        .facet(
            row=alt.Row("kind:N", title=None, sort=_TYPED, header=alt.Header(labelOrient="top", labelAnchor="start"))
        )
    )
    return _finish(
        chart.resolve_scale(y="independent").add_params(*picks),
        "Where in the model does the number of each type change?",
        "Point: change with its interval, filled if beyond noise. Tick: control. Grey: the model itself, other text",
        "Points: change in neurons of each type per layer, from before to after.",
    )


def shared_changes(table: pd.DataFrame) -> alt.VConcatChart:
    """Neurons active in exactly N languages, before and after, and the difference.

    Args:
        table: rows of :meth:`neuroglot.comparison.Changes.table` for ``"shared by"``, with ``model``, ``thresholds``.
    """
    data = _change_data(table)
    picks = [
        _choice(data, c, n) for c, n in (("model", "model"), ("thresholds", "tau and lambda"), ("kind", "neurons"))
    ]
    base = alt.Chart(data).transform_filter(
        "datum.model == model_ && datum.thresholds == thresholds_ && datum.kind == kind_"
    )
    x = alt.X("place:O", title="number of languages N in which p > tau")
    both = (
        base.transform_fold(["before", "after"], as_=["when", "neurons"])
        .mark_bar()
        .encode(
            x=x,
            xOffset=alt.XOffset("when:N", sort=["before", "after"]),
            y=alt.Y("neurons:Q", title="neurons"),
            color=alt.Color(
                "when:N",
                scale=alt.Scale(domain=["before", "after"], range=["#9aa0a6", DONE_COLORS["language"]]),
            ),
            tooltip=[alt.Tooltip("place:O", title="N"), "when:N", alt.Tooltip("neurons:Q", format=",.0f")],
        )
        .properties(width=560, height=170)
    )
    y = alt.Y("change:Q", title="difference")
    zero = base.mark_rule(strokeDash=[2, 2]).encode(y=alt.datum(0))
    marks = _change_layers(base, "y", {"x": x}, y, alt.value(DONE_COLORS["language"]))
    return _finish(
        alt.vconcat(both, (zero + marks).properties(width=560, height=130)).add_params(*picks),
        "Do more languages share a neuron afterwards?",
        "Below: the difference, filled if beyond noise. Tick: control. Grey: the model itself, other text",
        "Bars: neurons by number of languages, before and after; below, differences.",
    )


def transitions(table: pd.DataFrame) -> alt.VConcatChart:
    """Which types become which: a matrix, and the flow of neurons that belong to a type.

    Args:
        table: from :func:`neuroglot.comparison.transitions`, with ``model`` (several) and ``thresholds``.
    """
    data = table.round(4)
    picks = [_choice(data, "model", "model"), _choice(data, "thresholds", "tau and lambda")]
    chosen = "datum.model == model_ && datum.thresholds == thresholds_"
    kinds = [*_TYPED, "unclassified"]
    cells = (
        alt.Chart(data)
        .transform_filter(chosen)
        .encode(
            x=alt.X("after:N", title="after", sort=kinds, axis=alt.Axis(orient="top")),
            y=alt.Y("before:N", title="before", sort=kinds),
            tooltip=["before:N", "after:N", alt.Tooltip("neurons:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
        )
    )
    ground = cells.mark_rect().encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=["#f4f1ea", "#0072b2"]), legend=None)
    )
    numbers = cells.mark_text(fontSize=11).encode(
        text=alt.Text("neurons:Q", format=","),
        color=alt.condition("datum.share > 0.55", alt.value("#ffffff"), alt.value("#222222")),
    )
    matrix = (ground + numbers).properties(width=480, height=140)
    flow = (
        alt.Chart(_bands(data, kinds))
        .transform_filter(chosen)
        .mark_area(opacity=0.65, interpolate="linear")
        .encode(
            x=alt.X(
                "at:Q",
                title=None,
                axis=alt.Axis(values=[0, 1], labelExpr="datum.value ? 'after' : 'before'", grid=False),
            ),
            y=alt.Y("low:Q", title="neurons", scale=alt.Scale(reverse=True)),
            y2="high:Q",
            color=alt.Color("before:N", scale=_kind_scale(kinds)),
            detail="after:N",
            tooltip=["before:N", "after:N", alt.Tooltip("neurons:Q", format=",")],
        )
        .properties(width=480, height=220)
    )
    return _finish(
        alt.vconcat(matrix, flow).add_params(*picks).resolve_scale(color="independent"),
        "Which neurons become which?",
        "Colour of a cell: share of its row. The flow leaves out neurons that are unclassified before and after",
        "Matrix and flow: neurons of each type before by their type after.",
    )


def _bands(table: pd.DataFrame, kinds: list[str], points: int = 13) -> pd.DataFrame:
    """The edges of each band of a flow chart, from its place on the left to that on the right."""
    moving = table[~((table["before"] == "unclassified") & (table["after"] == "unclassified")) & (table["neurons"] > 0)]
    frames = []
    for keys, part in moving.groupby(["model", "thresholds"], sort=False):
        sides = []
        for first, second in (("before", "after"), ("after", "before")):
            order = part.assign(i=part[first].map(kinds.index), j=part[second].map(kinds.index)).sort_values(["i", "j"])
            sides.append(order["neurons"].cumsum() - order["neurons"])
        for number, row in part.iterrows():
            at = np.linspace(0, 1, points)
            bend = at * at * (3 - 2 * at)
            low = (1 - bend) * sides[0][number] + bend * sides[1][number]
            own = dict(zip(("model", "thresholds"), keys, strict=True)) | {
                n: row[n] for n in ("before", "after", "neurons")
            }
            frames.append(pd.DataFrame({"at": at, "low": low, "high": low + row["neurons"]}).assign(**own))
    columns = ["at", "low", "high", "model", "thresholds", "before", "after", "neurons"]
    return pd.concat(frames, ignore_index=True).round(2) if frames else pd.DataFrame(columns=columns)


def measure_changes(table: pd.DataFrame) -> alt.LayerChart:
    """What the models do, before and after, by language.

    Args:
        table: rows of :func:`neuroglot.comparison.measure_changes`, with ``measure`` and ``model``.
    """
    data = _change_data(table)
    picks = [_choice(data, "measure", "measure"), _choice(data, "model", "model")]
    base = alt.Chart(data).transform_filter("datum.measure == measure_ && datum.model == model_")
    y = alt.Y("language:N", title=None, sort=list(dict.fromkeys(data["language"])))
    zero = base.mark_rule(strokeDash=[2, 2]).encode(x=alt.datum(0))
    x = alt.X("change:Q", title="change: a share, or nats per token")
    marks = _change_layers(base, "x", {"y": y}, x, alt.value(DONE_COLORS["language"]))
    return _finish(
        (zero + marks).add_params(*picks),
        "Does the model do better afterwards?",
        "Point: change with its interval over questions or documents, filled if beyond noise. Tick: control",
        "Points: change of a measure in each language.",
        width="container",
        height=alt.Step(22),
    )


def language_changes(table: pd.DataFrame) -> alt.FacetChart:
    """Change in the specific and related neurons of each language, those trained on and the others.

    Args:
        table: rows of :meth:`neuroglot.comparison.Changes.table` for languages and their means, with ``model``,
            ``thresholds`` and ``group`` (``"trained on"``, ``"pivot"`` or ``"others"``).
    """
    data = _change_data(table)
    picks = [_choice(data, "model", "model"), _choice(data, "thresholds", "tau and lambda")]
    base = alt.Chart(data).transform_filter("datum.model == model_ && datum.thresholds == thresholds_")
    y = alt.Y("place:N", title=None, sort=list(dict.fromkeys(data["place"])))
    color = alt.Color(
        "group:N",
        scale=alt.Scale(domain=["trained on", "pivot", "others"], range=["#d55e00", "#cc79a7", "#0072b2"]),
    )
    zero = base.mark_rule(strokeDash=[2, 2]).encode(x=alt.datum(0))
    marks = _change_layers(base, "x", {"y": y}, alt.X("change:Q", title="change in neurons"), color)
    rows = data["place"].nunique()
    chart = (
        (zero + marks)
        .properties(width=255, height=22 * rows)
        .facet(column=alt.Column("kind:N", title=None, sort=["specific", "related"]))
    )
    return _finish(
        chart.resolve_scale(x="independent").add_params(*picks),
        "Do languages change that were not trained on?",
        "Point: change with its interval, filled if beyond noise. Tick: control. Grey: the model itself, other text",
        "Points: change in specific and related neurons of each language.",
    )


def language_sizes(table: pd.DataFrame, pivot: str) -> alt.FacetChart:
    """Specific and related neurons of each language, before and after, one language apart.

    Args:
        table: from :func:`neuroglot.comparison.language_sizes`, with ``when``; rows of languages only.
        pivot: the language drawn in another colour.
    """
    data = table.assign(apart=np.where(table["place"] == pivot, pivot, "others")).round(2)
    pick = _choice(data, "when", "model")
    base = alt.Chart(data).transform_filter("datum.when == when_")
    y = alt.Y("place:N", title=None, sort=list(dict.fromkeys(data["place"])))
    color = alt.Color("apart:N", scale=alt.Scale(domain=[pivot, "others"], range=["#cc79a7", "#0072b2"]))
    tips = ["place", "kind", *(alt.Tooltip(f"{n}:Q", format=",.1f") for n in ("neurons", "low", "high"))]
    x = alt.X("neurons:Q", title="neurons", scale=alt.Scale(zero=True))
    spans = base.mark_rule(strokeWidth=1.5).encode(x=_on(x, "low:Q"), x2="high:Q", y=y, color=color)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=color, tooltip=tips)
    rows = data["place"].nunique()
    chart = (spans + points).properties(width=255, height=22 * rows)
    return _finish(
        chart.facet(column=alt.Column("kind:N", title=None, sort=["specific", "related"]))
        .resolve_scale(x="independent")
        .add_params(pick),
        "Does one language have fewer neurons of its own?",
        "Lines: 95 % bootstrap intervals over shards, which need not contain their point",
        "Points: number of specific and related neurons of each language.",
    )


def overlaps(table: pd.DataFrame) -> alt.FacetChart:
    """How far the same types are found again, from :func:`neuroglot.comparison.stability`."""
    data = table.round(4)
    base = alt.Chart(data)
    y = alt.Y("comparison:N", title=None, sort=list(dict.fromkeys(data["comparison"])), axis=alt.Axis(labelLimit=260))
    color = alt.Color("kind:N", scale=_kind_scale(), legend=None)
    tips = [
        "comparison",
        "kind",
        alt.Tooltip("jaccard:Q", title="overlap, mean over splits", format=".1%"),
        alt.Tooltip("low:Q", title="95 % of splits from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip("whole:Q", title="overlap on all text", format=".1%"),
        alt.Tooltip("of_first:Q", title="share of the first found again", format=".1%"),
        alt.Tooltip("chance:Q", title="random sets", format=".1%"),
    ]
    x = alt.X(
        "jaccard:Q", title="in both / in either", axis=alt.Axis(format="%", tickCount=3), scale=alt.Scale(domain=[0, 1])
    )
    chance = base.mark_tick(color=DONE_COLORS["random"], thickness=2.5, size=13).encode(
        x=_on(x, "chance:Q"), y=y, tooltip=tips
    )
    spans = base.mark_rule(strokeWidth=1.5).encode(x=_on(x, "low:Q"), x2="high:Q", y=y, color=color)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=color, tooltip=tips)
    rows = data["comparison"].nunique()
    chart = (
        (chance + spans + points)
        .properties(width=130, height=24 * rows)
        .facet(column=alt.Column("kind:N", title=None, sort=_TYPED))
    )
    return _finish(
        chart,
        "Are the same neurons found again?",
        "On halves of the text; lines: 95 % of the splits; grey tick: random sets of these sizes",
        "Points: overlap of the sets of neurons in each comparison, by type.",
    )


def _on(axis: Any, field: str) -> Any:
    """The same axis for another column."""
    other = axis.copy()
    other["shorthand"] = field
    return other


# --- the explorer that works in a page without a kernel ----------------------------------------

#: More neurons than this would make the page too large; the live explorer has no such limit.
EXPLORER_LIMIT = 80_000


def explorer(stats: ActivationStats, types: NeuronTypes) -> alt.VConcatChart:
    """Sliders for top rate, lambda and quantile over every neuron, in the page itself.

    The page carries each neuron's exact counts, and recomputes scores, ranks and types in the
    browser in double precision. Quantiles are offered in steps of 0.005, since ``tau`` is looked up.

    Raises:
        NeuroglotError: more than :data:`EXPLORER_LIMIT` neurons.
    """
    n_layers, width, k = stats.shape
    if stats.shard_routed is not None:
        raise NeuroglotError(
            "the experts of a mixture see different tokens, which the page's sliders do not know; "
            "use neuroglot.ThresholdExplorer in Jupyter."
        )
    if n_layers * width > EXPLORER_LIMIT:
        raise NeuroglotError(
            f"{n_layers * width:,} neurons are too many for a page; use neuroglot.ThresholdExplorer in Jupyter."
        )
    if types.score.shape != (n_layers, width) or types.languages != stats.languages:
        raise NeuroglotError("types and counts are not of the same run; give the types made from these counts.")
    prepared = Identifier(stats.probabilities(), scaled=types.scaled)
    columns = {"layer": np.repeat(np.arange(n_layers), width)}
    columns |= {f"c{i}": stats.counts[..., i].ravel() for i in range(k)}
    csv = pd.DataFrame(columns).to_csv(index=False, lineterminator="\n")
    quantiles = sorted({round(0.8 + 0.005 * i, 3) for i in range(40)} | {types.quantile})
    taus = [prepared.tau(quantile) for quantile in quantiles]

    rate = alt.param(
        "rate", value=types.top_rate, bind=alt.binding_range(min=0.005, max=0.2, step=0.005, name="top rate ")
    )
    upper = max(1.0, math.ceil(2 * types.lam))
    lam = alt.param("lam", value=types.lam, bind=alt.binding_range(min=0, max=upper, step=upper / 1000, name="lambda "))
    quantile = alt.param(
        "quantile",
        value=quantiles.index(types.quantile),
        bind=alt.binding_range(min=0, max=len(quantiles) - 1, step=1, name="quantile (step) "),
    )
    tau = alt.param("tau", expr=f"{json.dumps(taus)}[quantile]")
    shown = alt.param("quantile_shown", expr=f"{json.dumps(quantiles)}[quantile]")

    # Python's round, which takes a half to the even neighbour; Vega's takes it up.
    exact = f"(rate * {n_layers * width})"
    chosen = alt.param("chosen", expr=f"{exact} % 1 == 0.5 ? 2 * round({exact} / 2) : round({exact})")

    p = [f"datum.c{i}/{tokens}" for i, tokens in enumerate(stats.tokens)]
    total = "+".join(p)
    data = alt.Data(values=csv, format=alt.CsvDataFormat(type="csv", parse=dict.fromkeys(columns, "number")))
    base = (
        alt.Chart(data)
        .transform_calculate(total=total)
        .transform_calculate(
            **{f"q{i}": f"datum.total > 0 ? max({p[i]}/datum.total, 1e-12) : {1 / k!r}" for i in range(k)}
        )
        .transform_calculate(
            entropy="-(" + "+".join(f"datum.q{i}*log(datum.q{i})" for i in range(k)) + f")/{prepared.unit_entropy!r}",
            peak=f"max({','.join(p)})/{prepared.unit_peak!r}",
        )
        .transform_calculate(
            score="datum.entropy - lam*datum.peak",
            n="+".join(f"({share} > tau ? 1 : 0)" for share in p),
        )
        .transform_window(
            rank="row_number()",
            sort=[alt.SortField("score")],
            frame=[None, 0],
        )
        .transform_calculate(
            selected="datum.rank <= chosen",
        )
        .transform_calculate(
            kind=f"datum.n == {k} ? 'general' : !datum.selected || datum.n == 0 ? 'unclassified' : "
            "datum.n == 1 ? 'specific' : 'related'",
        )
    )
    typed = base.transform_filter("datum.kind != 'unclassified'")
    color = alt.Color("kind:N", scale=_kind_scale())
    by_layer = (
        typed.transform_aggregate(neurons="count()", groupby=["layer", "kind"])
        .mark_bar()
        .encode(
            x=alt.X("layer:O", title="layer", scale=alt.Scale(domain=list(range(n_layers)))),
            y=alt.Y("neurons:Q", title="neurons"),
            color=color,
            tooltip=["layer:O", "kind:N", "neurons:Q"],
        )
        .properties(width=560, height=200, title="Where does each type sit?")
    )
    by_n = (
        typed.transform_aggregate(neurons="count()", groupby=["n", "kind"])
        .mark_bar()
        .encode(
            x=alt.X("n:O", title="number of languages N", scale=alt.Scale(domain=list(range(1, k + 1)))),
            y=alt.Y("neurons:Q", title="neurons"),
            color=color,
            tooltip=["n:O", "kind:N", "neurons:Q"],
        )
        .properties(width=250, height=160, title="How many languages share a neuron?")
    )
    per_language = (
        typed.transform_calculate(
            language="[" + ",".join(f"{p[i]} > tau ? {code!r} : ''" for i, code in enumerate(stats.languages)) + "]"
        )
        .transform_flatten(["language"])
        .transform_filter("datum.language != '' && datum.kind != 'general'")
    )
    by_language = (
        per_language.transform_aggregate(neurons="count()", groupby=["language", "kind"])
        .mark_bar()
        .encode(
            x=alt.X("language:N", title="language", scale=alt.Scale(domain=list(stats.languages))),
            y=alt.Y("neurons:Q", title="neurons"),
            color=color,
            tooltip=["language:N", "kind:N", "neurons:Q"],
        )
        .properties(width=250, height=160, title="How many belong to each language?")
    )
    title = alt.Title(
        alt.ExprRef(
            "'Types at top rate ' + format(rate, '.1%') + ', lambda ' + format(lam, '.4f') + ', quantile ' + "
            "format(quantile_shown, '.3f') + ' (tau ' + format(tau, '.4f') + ')'"
        )
    )
    return (
        alt.vconcat(by_layer, alt.hconcat(by_n, by_language))
        .add_params(rate, lam, quantile, tau, shown, chosen)
        .properties(title=title, description="Counts of neuron types at thresholds set by sliders.")
    )
