"""Charts of where in the model each type sits."""

import altair as alt
import pandas as pd

from .theme import KIND_COLORS, KIND_SHAPES, RUN_SHAPES, TYPED, drawn, finish, kind_scale

# A name is written where its part is at least as wide, in pixels, as its letters are at this size.
_PLOT_WIDTH, _LETTER_WIDTH = 560, 5.6
# Readable on light and on dark; the page's style sheet takes its own ink by the name of the view.
_INK = "#767676"


def layers(
    profile: pd.DataFrame,
    bands: pd.DataFrame | None = None,
    parts: pd.DataFrame | None = None,
    ranges: pd.DataFrame | None = None,
) -> alt.LayerChart:
    """Neurons of each type per layer, with intervals and the four parts where given.

    Args:
        profile: from :func:`neuroglot.layer_profile`.
        bands: from :func:`neuroglot.neurons.layers.intervals`.
        parts: from :func:`neuroglot.four_parts`.
        ranges: of the parts' first layers, from :func:`neuroglot.neurons.layers.part_ranges`; drawn only with
            ``parts``.
    """
    # Without an interval anywhere there is nothing to draw one from.
    bands = bands if bands is not None and bands["low"].notna().any() else None
    ranges = ranges if ranges is not None and ranges["low"].notna().any() else None
    pick = alt.selection_point(fields=["kind"], bind="legend")
    last = int(profile["layer"].max())
    x = alt.X(
        "layer:Q",
        title="layer",
        scale=alt.Scale(domain=[-0.5, last + 0.5], nice=False),
        axis=alt.Axis(tickMinStep=1, format="d", grid=False),
    )
    color = alt.Color("kind:N", scale=kind_scale())
    faded = alt.condition(pick, alt.value(1), alt.value(0.1))
    chart = []
    if parts is not None and len(parts):
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
        if ranges is not None:
            chart += _cuts(spans.merge(ranges, on="part", validate="one_to_one"), last + 1)
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
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=TYPED, range=[KIND_SHAPES[kind] for kind in TYPED])),
        )
        .add_params(pick)
    )
    ended = parts is not None and ranges is not None
    subtitle = "Click a type to single it out." if ended else "Click a type in the legend to single it out."
    if bands is not None:
        subtitle += " Bands: 95 % intervals."
    if parts is not None:
        subtitle += " Shades: the four parts."
    if ended:
        subtitle += " Bars: their ends in 95 % of halves."
    return finish(
        alt.layer(*chart, line, points),
        "Where in the model does each neuron type sit?",
        subtitle,
        "Lines: number of specific, related and general neurons per layer.",
        width="container",
        height=300,
    )


def _cuts(spans: pd.DataFrame, layers: int) -> list[alt.Chart]:
    """Where one part ends and the next begins, bars over where halves of the text put that, and the names that fit."""
    tips = [
        alt.Tooltip("part:N", title="part"),
        alt.Tooltip("first:Q", title="first layer"),
        alt.Tooltip("low:Q", title="95 % of halves of the text from", format=".1~f"),
        alt.Tooltip("high:Q", title="to", format=".1~f"),
    ]
    ends = spans.assign(low_at=spans["low"] - 0.5, high_at=spans["high"] - 0.5)
    chart = [alt.Chart(ends.iloc[1:]).mark_rule(strokeDash=[3, 3], strokeWidth=1).encode(x="start:Q", tooltip=tips)]
    for i, y in ((1, 5), (2, 15)):  # the last part is the last layer by definition; two bars may overlap
        one = alt.Chart(ends.iloc[[i]])
        chart.append(one.mark_rule(strokeWidth=2.5).encode(x="low_at:Q", x2="high_at:Q", y=alt.value(y), tooltip=tips))
        for end in ("low_at:Q", "high_at:Q"):
            whisker = one.mark_rule(strokeWidth=1.5)
            chart.append(whisker.encode(x=end, y=alt.value(y - 4), y2=alt.value(y + 4), tooltip=tips))
    fits = (spans["end"] - spans["start"]) * _PLOT_WIDTH / layers > _LETTER_WIDTH * spans["part"].str.len()
    names = alt.Chart(spans[fits].assign(middle=(spans["start"] + spans["end"]) / 2))
    written = names.mark_text(
        fontSize=11, color=_INK, baseline="top", opacity=alt.ExprRef("width < 480 ? 0 : 1")
    ).encode(x="middle:Q", y=alt.value(22), text="part:N")
    return [*chart, written.properties(name="ink_parts")]


def depth(profiles: pd.DataFrame, kind: str) -> alt.LayerChart:
    """One neuron type over relative depth, a line per run with its interval.

    Args:
        profiles: from :func:`neuroglot.book.runs.depth_profiles`.
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
    ends, _ = drawn(base, "share", "low", "high")  # without height it is not seen
    band = ends.mark_area(color=KIND_COLORS[kind]).encode(
        x=x, y=alt.Y("low_drawn:Q", title="share of the layer's neurons"), y2="high_drawn:Q", detail="run:N",
        opacity=alt.condition(pick, alt.value(0.18), alt.value(0.03)),
    )  # fmt: skip
    line = base.mark_line(color=KIND_COLORS[kind]).encode(
        x=x, y=y, strokeDash=dash, opacity=alt.condition(pick, alt.value(1), alt.value(0.12))
    )
    shape = alt.Shape("run:N", scale=alt.Scale(domain=names, range=[RUN_SHAPES[i % 4] for i in range(len(names))]))
    points = (
        base.mark_point(filled=True, size=40, color=KIND_COLORS[kind])
        .encode(x=x, y=y, shape=shape, tooltip=tips, opacity=alt.condition(pick, alt.value(1), alt.value(0.12)))
        .add_params(pick)
    )
    return finish(
        alt.layer(band, line, points),
        f"At what depth do {kind} neurons sit?",
        "Click a model in the legend to single it out. Bands: 95 % intervals.",
        f"Lines: share of each layer's neurons that are {kind}, by relative depth, one line per model.",
        width="container",
        height=220,
    )
