"""The charts of the explorer and of the neuron browser: specifications whose rows the front end fills in."""

from collections.abc import Sequence
from typing import Any, cast

import altair as alt

from .theme import KIND_COLORS, TYPED, drawable, finish, kind_scale


def explorer_panels(layers: int, languages: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Neurons of each type per layer, by the number of languages that share them, and per language.

    Returns:
        Vega-Lite specifications by the name of their rows: ``layers`` (``layer, kind, neurons``),
        ``shared`` (``n, kind, neurons``) and ``languages`` (``language, kind, neurons``).
    """
    step = max(1, layers // 16)
    layer = alt.X("layer:O", title="layer", axis=alt.Axis(values=list(range(0, layers, step))))
    shared = alt.X("n:O", title="number of languages N in which p > tau")
    language = alt.X("language:N", title="language", sort=list(languages))
    return {
        "layers": _panel("layers", layer, "Where does each type sit?", 200),
        "shared": _panel("shared", shared, "How many languages share a neuron?", 150),
        "languages": _panel("languages", language, "How many belong to each language?", 150, TYPED[:2]),
    }


def _panel(name: str, x: alt.X, title: str, height: int, kinds: Sequence[str] = tuple(TYPED)) -> dict[str, Any]:
    field = cast(dict[str, str], x.to_dict())["field"]
    bars = (
        alt.Chart(alt.NamedData(name=name))
        .mark_bar(cursor="pointer")
        .encode(
            x=x,
            y=alt.Y("neurons:Q", title="neurons"),
            color=alt.Color("kind:N", scale=kind_scale(kinds)),
            tooltip=[f"{field}:N", "kind:N", alt.Tooltip("neurons:Q", format=",")],
        )
    )
    described = f"Stacked bars: neurons of each type by {field}, at the thresholds of the sliders."
    return _spec(finish(bars, title, "Click a bar to list its neurons.", described, width="container", height=height))


def neuron_panel(languages: Sequence[str]) -> dict[str, Any]:
    """One neuron's probability in each language with tau.

    Returns:
        A Vega-Lite specification with the rows ``probabilities`` (``language, probability, kind``, the
        neuron's type where it is above tau and ``unclassified`` elsewhere) and ``tau`` (``tau``).
    """
    x = alt.X(
        "probability:Q",
        title="activation probability",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", tickCount=5),
    )
    bars = (
        alt.Chart(alt.NamedData(name="probabilities"))
        .mark_bar(height={"band": 0.7})
        .encode(
            x=x,
            y=alt.Y("language:N", title="language", sort=list(languages)),
            color=alt.Color("kind:N", scale=kind_scale(KIND_COLORS), legend=None),
            tooltip=["language:N", alt.Tooltip("probability:Q", format=".2%"), alt.Tooltip("above:N", title="active")],
        )
    )
    rule = alt.Chart(alt.NamedData(name="tau")).mark_rule(strokeDash=[5, 4], strokeWidth=2)
    chart = bars + rule.encode(x="tau:Q", tooltip=alt.Tooltip("tau:Q", format=".4f"))
    described = "Bars: the neuron's activation probability per language; dashed line: tau."
    title = "In which languages does it fire?"
    return _spec(finish(chart, title, "Dashed: tau", described, width="container", height=22 * len(languages)))


def _spec(chart: alt.TopLevelMixin) -> dict[str, Any]:
    with alt.theme.enable("neuroglot"):
        return drawable(chart.to_dict())
