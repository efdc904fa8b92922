"""Charts of how specific specific neurons are, and how sure their types."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from .theme import KIND_SHAPES, finish, kind_scale, language_scale, on

# More points than this only hide each other, and a page would carry them all.
_MOST = 2000

_PERCENT = alt.Axis(format="%")


def first_and_second(
    table: pd.DataFrame, tau: float, named: Mapping[str, tuple[int, int]], browser: str | None = None
) -> alt.LayerChart:
    """Every specific neuron's probability in its language against that in the next one.

    Args:
        table: from :func:`neuroglot.neurons.specificity.specificity`.
        tau: the threshold, drawn on both axes.
        named: neurons (layer and number) whose intervals are drawn, by what they are called, for instance
            ``"typical"``.
        browser: address of the page that shows single neurons, which a click on a point opens.
    """
    own = table[table["kind"] == "specific"].drop(columns=["kind", "near"])
    step = -(-len(own) // _MOST) or 1
    numbers = own.select_dtypes("float").columns
    shown = own.iloc[::step].assign(**{name: own[name].astype(float).round(4) for name in numbers})
    if browser is not None:
        places = zip(shown["layer"], shown["neuron"], strict=True)
        shown["address"] = [f"{browser}#layer={layer}&neuron={neuron}" for layer, neuron in places]
    tips = [*("layer", "neuron"), *_said("first"), *_said("second")]
    tips.append(alt.Tooltip("sure:Q", title="share of halves of the text with this type", format=".0%"))
    chosen = _chosen(own, named)
    least = min([tau, *chosen["first_low"].dropna()]) - 0.02  # other neurons' intervals are in their tooltips
    x = alt.X("second_p:Q", title="probability in the next language", scale=alt.Scale(domain=[0, 1]), axis=_PERCENT)
    own_scale = alt.Scale(domain=[max(least, 0), 1], nice=False, zero=False)
    y = alt.Y("first_p:Q", title="in its own language", scale=own_scale, axis=_PERCENT)
    color = alt.Color("first:N", scale=language_scale(sorted(set(own["first"]))), legend=alt.Legend(columns=5))
    brush = alt.selection_interval(name="brush")
    seen = alt.condition(brush, alt.value(0.6), alt.value(0.1))
    points = alt.Chart(shown).mark_point(filled=True, size=28).encode(x=x, y=y, color=color, opacity=seen, tooltip=tips)
    points = points.add_params(brush)
    if browser is not None:
        points = points.encode(href="address:N")
    rule = alt.Chart(pd.DataFrame({"tau": [tau]})).mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    tip = alt.Tooltip("tau:Q", format=".4f")
    lines = rule.encode(x="tau:Q", tooltip=tip), rule.encode(y=on(y, "tau:Q"), tooltip=tip)
    of_all = "" if step == 1 else f" One point in {step} is drawn."
    return finish(
        alt.layer(*lines, points, *_crosses(chosen, y)),
        "How specific is a specific neuron?",
        f"Each point is one neuron; dashed: tau = {tau:.4f}. Crosses: 95 % intervals over shards.{of_all}",
        "Points: every specific neuron's activation probability in its language against that in the next one; "
        "dashed lines: tau.",
        width="container",
        height=300,
    )


def _said(place: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{place}:N", title=f"{place} language"),
        alt.Tooltip(f"{place}_p:Q", title=f"{place} probability", format=".1%"),
        alt.Tooltip(f"{place}_low:Q", title="95 % from", format=".1%"),
        alt.Tooltip(f"{place}_high:Q", title="to", format=".1%"),
    ]


def _chosen(own: pd.DataFrame, named: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """The rows of single neurons, with the ``name`` of each."""
    places = pd.MultiIndex.from_frame(own[["layer", "neuron"]])
    rows = [own[places == place].assign(name=name) for name, place in named.items()]
    return pd.concat(rows) if rows else own.iloc[:0].assign(name="")


def _crosses(chosen: pd.DataFrame, y: alt.Y) -> list[alt.Chart]:
    """Crosses and names of single neurons."""
    base = alt.Chart(chosen).transform_filter("isValid(datum.first_low) && isValid(datum.second_low)")
    across = base.mark_rule(strokeWidth=2).encode(x="second_low:Q", x2="second_high:Q", y=y)
    along = base.mark_rule(strokeWidth=2).encode(x="second_p:Q", y=on(y, "first_low:Q"), y2="first_high:Q")
    text = alt.Chart(chosen).mark_text(align="left", dx=6, dy=14, fontWeight=600, color="#767676")
    return [across, along, text.encode(x="second_p:Q", y=y, text="name:N").properties(name="ink_named")]


def how_sure(table: pd.DataFrame) -> alt.Chart:
    """How many neurons keep their type in how many halves of the text.

    Args:
        table: from :func:`neuroglot.neurons.specificity.how_sure`.
    """
    kinds = ["specific", "related"]
    shapes = alt.Scale(domain=kinds, range=[KIND_SHAPES[kind] for kind in kinds])
    chart = (
        alt.Chart(table.assign(middle=(table["low"] + table["high"]) / 2))
        .mark_line(point={"size": 45, "filled": True})
        .encode(
            x=alt.X(
                "middle:Q",
                title="share of the halves in which a neuron has its type",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%"),
            ),
            y=alt.Y("share:Q", title="share of the type's neurons", axis=alt.Axis(format="%")),
            color=alt.Color("kind:N", scale=kind_scale(kinds)),
            shape=alt.Shape("kind:N", scale=shapes),
            tooltip=[
                "kind",
                alt.Tooltip("low:Q", title="in this share of halves, from", format=".0%"),
                alt.Tooltip("high:Q", title="to", format=".0%"),
                alt.Tooltip("neurons:Q", format=","),
                alt.Tooltip("share:Q", title="share of the type", format=".1%"),
            ],
        )
    )
    return finish(
        chart,
        "How sure is a neuron's type?",
        "Each half of the text is classified on its own, many times; on the right are types that do not depend on it.",
        "Lines: distribution of the share of halves of the text in which a neuron has its type, specific and related.",
        width="container",
        height=220,
    )
