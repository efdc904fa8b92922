"""One theme, one colour per neuron type, and what all charts share."""

import json
import re
from collections.abc import Iterable
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from ...neurons.identification import KINDS
from ..markup import NO_FORMULAS

#: One colour per neuron type, told apart in colour-blind vision and on light and dark ground.
KIND_COLORS = {"unclassified": "#8a8a8a", "specific": "#d55e00", "related": "#009e73", "general": "#6a5acd"}

#: And one shape.
KIND_SHAPES = {"specific": "circle", "related": "square", "general": "triangle-up"}

#: What was done on purpose, and what was done to random neurons beside it.
DONE_COLORS = {"language": "#0072b2", "random": "#8a8a8a"}

#: Runs beside each other differ in shape; their colour stays that of the type.
RUN_SHAPES = ("circle", "square", "triangle-up", "diamond")

#: One colour per language of the paper; as far apart as they can be in normal and colour-blind vision while each has a
#: contrast of 3 to white and to near-black ground (tests measure both).
LANGUAGE_COLORS = {
    "en": "#86939b",
    "ru": "#f10058",
    "es": "#ec7113",
    "fr": "#6938f9",
    "de": "#0c8357",
    "zh": "#ab02ba",
    "ja": "#e95ed0",
    "bn": "#a04b0a",
    "th": "#af6eff",
    "sw": "#785485",
}

#: The three types.
TYPED = [kind for kind in KINDS if kind != "unclassified"]


def kind_scale(kinds: Iterable[str] = tuple(TYPED)) -> alt.Scale:
    """The colours of some types, as a scale."""
    kinds = list(kinds)
    return alt.Scale(domain=kinds, range=[KIND_COLORS[kind] for kind in kinds])


def language_scale(languages: Iterable[str]) -> alt.Scale:
    """The colours of some languages, as a scale; others than the paper's take what these leave, in order."""
    languages = list(languages)
    left = [color for code, color in LANGUAGE_COLORS.items() if code not in languages] or list(LANGUAGE_COLORS.values())
    others = [code for code in sorted(languages) if code not in LANGUAGE_COLORS]
    colors = LANGUAGE_COLORS | {code: left[place % len(left)] for place, code in enumerate(others)}
    return alt.Scale(domain=languages, range=[colors[code] for code in languages])


def data_script(content: Any) -> str:
    """Content as JSON in a script element, for a page's own scripts; no text ends it, or begins a comment in it."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'


# What every object of JavaScript has, also those that Vega keeps values in by name.
_PROPERTIES = (
    "constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf "
    "__defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__"
)


# What no XML may hold, and so no picture of a chart, as what Unicode has for showing it; drawing it would abort.
_UNDRAWN = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"} | {0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD}
_ESCAPED = re.compile(r"\\(u00[01]|ufff[ef]|[bf])")


def drawable(spec: dict[str, Any]) -> dict[str, Any]:
    """A specification whose texts can be drawn, whatever a token or a code is.

    What is a name of JavaScript's own is set apart by a space without width; a control character is shown as its sign.
    """
    text = json.dumps(spec, separators=(",", ":"))
    changed = re.sub(rf'"({_PROPERTIES.replace(" ", "|")})"(?!:)', r'"\1\\u200b"', text)
    named = spec if changed == text else json.loads(changed)
    return _signed(named) if _ESCAPED.search(text) else named


def _signed(value: Any) -> Any:
    if isinstance(value, str):
        return value.translate(_UNDRAWN)
    if isinstance(value, dict):
        return {_signed(key): _signed(content) for key, content in value.items()}
    return [_signed(each) for each in value] if isinstance(value, list) else value


def embed(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show a chart as HTML: a static picture, and the specification that the book's script draws.

    The picture serves wherever that script is not: a live notebook, a printed or a script-less page.
    """
    spec = drawable(spec)
    fixed = spec | {"width": 620} if spec.get("width") == "container" else spec
    picture = vl_convert.vegalite_to_svg(fixed).replace('class="', f'class="{NO_FORMULAS} ', 1)
    html = f'<div class="neuroglot-chart">{picture}</div>{data_script(spec)}'
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
    alt.renderers.register("neuroglot", embed)
    alt.renderers.enable("neuroglot")
    alt.data_transformers.disable_max_rows()


def finish(chart: alt.TopLevelMixin, title: str, subtitle: str, described: str, **size: Any) -> Any:
    """A chart with its question, a line below it, what a screen reader says of it, and its size."""
    lines = [subtitle] if subtitle else []
    return chart.properties(title=alt.Title(title, subtitle=lines), description=described, **size)


def choice(data: pd.DataFrame, column: str, label: str, first: int = 0) -> alt.Parameter:
    """A menu of a column's values, as the parameter ``COLUMN_``; the one chosen to begin with is number ``first``."""
    options = list(dict.fromkeys(data[column]))
    return alt.param(f"{column}_", value=options[first], bind=alt.binding_select(options=options, name=f"{label} "))


#: Units of the changes in a measure, by its name.
MEASURED_IN = {
    "change in log-perplexity": "nats per token",
    "change in accuracy": "share of questions",
    "change in language fidelity": "share of a response's letters",
    "change in margin of the right result": "nats",
    "change in margin of the right last number": "nats",
    "change in margin of the right language": "nats a solution",
    "change in alignment score": "nats per token",
}


def unit_legend(chart: alt.Chart, data: pd.DataFrame) -> alt.Chart:
    """A layer without marks whose legend names the chosen measure (see :func:`choice`) and its unit."""
    names = {
        name: f"{name} ({MEASURED_IN[name]})" if name in MEASURED_IN else name
        for name in dict.fromkeys(data["measure"])
    }
    color = alt.Color(
        "unit:N",
        scale=alt.Scale(range=[DONE_COLORS["language"]]),
        legend=alt.Legend(orient="bottom", labelLimit=400),
    )
    named = chart.transform_calculate(unit=f"{json.dumps(names)}[datum.measure]")
    return named.mark_point(filled=True, opacity=0, aria=False).encode(x=alt.value(0), color=color)


def drawn(chart: alt.Chart, beside: str, *fields: str) -> tuple[alt.Chart, str]:
    """Fields that may be missing, as ``FIELD_drawn``: where they are, the value beside them, which hides their mark.

    A scale over fields that are missing from all rows would have no end.

    Returns:
        The chart with these fields, and the condition under which its mark is shown.
    """
    safe = f"isValid(datum.{beside}) ? datum.{beside} : 0"
    filled = {f"{field}_drawn": f"isValid(datum.{field}) ? datum.{field} : ({safe})" for field in fields}
    return chart.transform_calculate(**filled), " && ".join(f"isValid(datum.{field})" for field in fields)


def seen(known: str, opacity: float = 1) -> Any:
    """The opacity of marks that :func:`drawn` gives a place: what is known is seen, and the rest is not."""
    return alt.condition(known, alt.value(opacity), alt.value(0))


def told_apart(column: str, names: list[str], colors: list[str], dashes: list[list[int]]) -> dict[str, Any]:
    """Lines told apart by colour and by dash, as encodings."""
    return {
        "color": alt.Color(f"{column}:N", scale=alt.Scale(domain=names, range=colors)),
        "strokeDash": alt.StrokeDash(f"{column}:N", scale=alt.Scale(domain=names, range=dashes)),
    }


def on(axis: Any, field: str) -> Any:
    """The same axis for another column."""
    other = axis.copy()
    other["shorthand"] = field
    return other
