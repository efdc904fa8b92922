"""Charts of what removing and driving up neurons does."""

from collections.abc import Mapping

import altair as alt
import pandas as pd

from ...base.uncertainty import verdict_words
from ...effects.matrix import ALL, MATCHED, MIDDLE, OTHERS, OWN
from .theme import DONE_COLORS, choice, drawn, finish, on, seen, told_apart, unit_legend

# What stands in the chart of contrasts: what it is called there, and its colour.
_SETS_SHOWN = {OWN: ("its own neurons", DONE_COLORS["language"]), MATCHED: ("random, as often active", "#8a8a8a")}
_SETS_SHOWN |= {OTHERS: ("the other languages' neurons", "#e69f00")}
_LESS_SHOWN = {
    f"own less {MATCHED}": ("own less random", "#8a8a8a"),
    f"own less {OTHERS}": ("own less the others'", "#e69f00"),
}


def contrasts(table: pd.DataFrame) -> alt.HConcatChart:
    """In each language: what its own neurons do, random ones and the other languages'; and the differences.

    Args:
        table: from :meth:`neuroglot.effects.matrix.Effects.contrasts`.
    """
    shown = table[table["language"] != MIDDLE]
    order = [*(code for code in dict.fromkeys(shown["language"]) if code != ALL), ALL]
    chosen = choice(shown, "set", "neurons", min(1, shown["set"].nunique() - 1))
    panels = [
        _beside(shown, _SETS_SHOWN, order, "What does removing them change?"),
        _beside(shown, _LESS_SHOWN, order, "How much more do its own?"),
    ]
    return finish(
        alt.hconcat(*panels, spacing=30)
        .add_params(chosen)
        .resolve_scale(color="independent", fill="independent", y="shared"),
        "Do a language's own neurons matter more to it than others do?",
        "Change in the language's own log-perplexity; bars: 95 % intervals; filled: told apart from 0",
        "Points with intervals: effect of removing a language's own, random and other languages' neurons on it.",
    )


def _beside(table: pd.DataFrame, shown: Mapping[str, tuple[str, str]], order: list[str], title: str) -> alt.LayerChart:
    """One panel: points and intervals, a line each, in every language."""
    columns = ["set", "language", "what", "effect", "low", "high", "detectable", "p", "verdict", "units", "neurons"]
    some = table[table["what"].isin(shown)]
    names, colors = zip(*shown.values(), strict=True)
    data = (
        some[columns]
        .round(4)
        .assign(
            what=some["what"].map({what: name for what, (name, _) in shown.items()}),
            verdict=verdict_words(some["verdict"]),
        )
    )
    base = alt.Chart(data).transform_filter("datum.set == set_")
    tips: list[str | alt.Tooltip] = [
        "language",
        "what",
        alt.Tooltip("neurons:Q", format=",", title="its own neurons"),
        alt.Tooltip("effect:Q", format="+.3f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
        alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
        alt.Tooltip("detectable:Q", title="would have been found (80 %)", format=".3f"),
        alt.Tooltip("p:Q", format=".3g"),
        "verdict",
        alt.Tooltip("units:Q", title="wordings"),
    ]
    y = alt.Y("language:N", sort=order, title=None)
    offset = alt.YOffset("what:N", sort=list(names))
    color = alt.Color(
        "what:N",
        scale=alt.Scale(domain=list(names), range=list(colors)),
        legend=alt.Legend(orient="bottom", columns=1, labelLimit=300),
    )
    # Differences of many sizes are seen beside each other: even near 0, and by factors farther out.
    scale = alt.Scale(type="symlog", constant=0.2, nice=False)
    x = alt.X(
        "effect_drawn:Q",
        title="nats per token",
        scale=scale,
        axis=alt.Axis(values=[-1, -0.3, 0, 0.3, 1, 3, 10], format="~g"),
    )
    points, there = drawn(base, "effect", "effect")
    ends, _ = drawn(base, "effect", "low", "high")
    spans = ends.mark_rule(strokeWidth=1.5).encode(
        x=on(x, "low_drawn:Q"), x2="high_drawn:Q", y=y, yOffset=offset, color=color, tooltip=tips
    )
    apart = "datum.verdict == 'more' || datum.verdict == 'less'"
    where = {"x": x, "y": y, "yOffset": offset, "color": color, "tooltip": tips}
    hollow = points.mark_point(size=45, strokeWidth=1.5).encode(**where, opacity=seen(there))
    filled = points.mark_point(size=55, filled=True).encode(**where, opacity=seen(f"{there} && ({apart})"))
    zero = alt.Chart(pd.DataFrame({"at": [0]})).mark_rule(color="#999999", strokeDash=[2, 2]).encode(x="at:Q")
    return (zero + spans + hollow + filled).properties(width=240, height=alt.Step(8), title=title)


def effects(table: pd.DataFrame) -> alt.LayerChart:
    """Languages x languages: what removing a language's neurons changes in each.

    Args:
        table: from :meth:`neuroglot.effects.matrix.Effects.table`.
    """
    order, removed = (list(dict.fromkeys(table[name])) for name in ("language", "removed"))
    chosen_set = choice(table, "set", "neurons", min(1, table["set"].nunique() - 1))
    measure = choice(table, "measure", "measure")
    columns = ["set", "measure", "removed", "language", "neurons", "size", "units", "before", "after", "effect"]
    columns += ["low", "high", "detectable", "harm", "p", "verdict"]
    # Numbers as the page shows them keep it small; a missing verdict is no verdict.
    data = table[columns].round(4).assign(verdict=verdict_words(table["verdict"]))
    base = alt.Chart(data).transform_filter("datum.set == set_ && datum.measure == measure_")
    tips = [
        alt.Tooltip("removed:N", title="neurons removed of"),
        alt.Tooltip("language:N", title="measured in"),
        alt.Tooltip("neurons:Q", title="neurons removed", format=","),
        alt.Tooltip("size:Q", title="tokens, questions or answers", format=","),
        alt.Tooltip("units:Q", title="wordings"),
        alt.Tooltip("before:Q", format=".3f"),
        alt.Tooltip("after:Q", format=".3f"),
        alt.Tooltip("effect:Q", format="+.3f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
        alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
        alt.Tooltip("detectable:Q", title="would have been found (80 %)", format=".3f"),
        alt.Tooltip("p:Q", format=".3g"),
        alt.Tooltip("verdict:N"),
    ]
    cells = base.transform_joinaggregate(least="min(harm)", most="max(harm)").transform_calculate(
        top="max(abs(datum.least), abs(datum.most), 1e-9)", level="datum.harm / datum.top"
    ).encode(
        x=alt.X("language:N", title="measured in", sort=order, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("removed:N", title="neurons removed of", sort=removed),
    )  # fmt: skip
    ground = cells.mark_rect().encode(
        color=alt.condition(
            "isValid(datum.effect)",  # what was not measured is no effect of 0
            alt.Color(
                "level:Q",
                scale=alt.Scale(domain=[-1, 0, 1], range=["#0072b2", "#f4f1ea", "#c24e00"]),
                legend=None,
            ),
            alt.value("#ffffff"),
        ),
        stroke=alt.condition(
            "datum.verdict == 'more' || datum.verdict == 'less'", alt.value("#222222"), alt.value("#00000000")
        ),
        strokeWidth=alt.value(1.5),
        tooltip=tips,
    )
    known = cells.transform_filter("isValid(datum.effect)")
    numbers = known.mark_text(fontSize=11).encode(
        text=alt.Text("effect:Q", format=".2f"),
        color=alt.condition("abs(datum.level) > 0.6", alt.value("#ffffff"), alt.value("#222222")),
        tooltip=tips,
    )
    heat = (ground + numbers + unit_legend(base, data)).add_params(chosen_set, measure)
    return finish(
        heat.resolve_scale(color="independent"),
        "What does removing one language's neurons do to each language?",
        "Framed: told apart from no change. Orange is for the worse, blue for the better.",
        "Heatmap: effect of removing each language's neurons on each language.",
        width=560,
        height=26 * len(removed),
    )


# The orders of doses, as the chart names them.
_DOSES = {
    "score": ("lowest score first", DONE_COLORS["language"]),
    "shuffled": ("the same set, shuffled", "#56b4e9"),
    "matched": ("random, as often active", DONE_COLORS["random"]),
    "random": ("random neurons", DONE_COLORS["random"]),
}


def doses(table: pd.DataFrame) -> alt.LayerChart:
    """Own log-perplexity against the number of neurons removed, by score, shuffled and at random, with intervals.

    Args:
        table: from :func:`neuroglot.effects.matrix.of_doses`.
    """
    names = {order: shown for order, shown in _DOSES.items() if order in set(table["order"])}
    measured = table.dropna(subset="effect")
    data = measured.replace({"order": {order: name for order, (name, _) in names.items()}}).round(4)
    options = sorted(dict.fromkeys(data["language"]), key=lambda code: code != ALL)
    pick = alt.selection_point(
        fields=["language"], value=options[0], bind=alt.binding_select(options=options, name="language ")
    )
    labels, colors = zip(*names.values(), strict=True)
    x = alt.X("neurons:Q", title="neurons removed", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(format=",d"))
    tips: list[str | alt.Tooltip] = [
        "language",
        "order",
        alt.Tooltip("dose:Q", title="share of the set", format=".0%"),
        alt.Tooltip("neurons:Q", format=",.0f"),
        alt.Tooltip("effect:Q", format="+.3f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
        alt.Tooltip("high:Q", title="95 % to", format="+.3f"),
        alt.Tooltip("units:Q", title="wordings"),
    ]
    y = alt.Y("effect:Q", title="change in log-perplexity (nats per token)")
    lines = told_apart("order", list(labels), list(colors), [[1, 0], [6, 3], [2, 2]][: len(labels)])
    base = alt.Chart(data).encode(x=x, tooltip=tips, **lines)
    ends, both = drawn(base, "effect", "low", "high")
    spans = ends.mark_rule(strokeWidth=1.5).encode(
        y=on(y, "low_drawn:Q"), y2="high_drawn:Q", strokeDash=alt.value([1, 0]), opacity=seen(both, 0.6)
    )
    marks = base.mark_line().encode(y=y) + base.mark_point(filled=True, size=45, opacity=1).encode(y=y)
    return finish(
        (spans + marks).add_params(pick).transform_filter(pick),
        "How much does a language suffer as its neurons go?",
        "In the language itself; upright lines: 95 % intervals over wordings",
        "Lines: change in a language's log-perplexity against the number of its neurons removed.",
        width="container",
        height=260,
    )


def choices(table: pd.DataFrame) -> alt.LayerChart:
    """By how many nats a removal moves forced choices, beside random neurons.

    Args:
        table: from :func:`neuroglot.effects.choices.of_choices`.
    """
    columns = ["measure", "set", "language", "questions", "share", "share_after", "before", "own", "low", "high"]
    columns += ["matched", "effect", "effect_low", "effect_high", "detectable", "verdict"]
    data = table[columns].round(4).assign(verdict=verdict_words(table["verdict"]))
    measure = choice(data, "measure", "choice")
    order = list(dict.fromkeys(data["language"]))
    base = alt.Chart(data).transform_filter("datum.measure == measure_")
    tips: list[str | alt.Tooltip] = [
        "language",
        "questions",
        alt.Tooltip("share:Q", title="right, unchanged", format=".0%"),
        alt.Tooltip("share_after:Q", title="right, without its neurons", format=".0%"),
        alt.Tooltip("before:Q", title="margin, unchanged", format="+.2f"),
        alt.Tooltip("own:Q", title="its change", format="+.2f"),
        alt.Tooltip("matched:Q", title="with random neurons", format="+.2f"),
        alt.Tooltip("effect:Q", title="own less random", format="+.2f"),
        alt.Tooltip("effect_low:Q", title="95 % from", format="+.2f"),
        alt.Tooltip("effect_high:Q", title="95 % to", format="+.2f"),
        alt.Tooltip("detectable:Q", title="would have been found (80 %)", format=".2f"),
        "verdict",
    ]
    y = alt.Y("language:N", sort=order, title=None)
    x = alt.X("own_drawn:Q", title="change of the margin (nats)")
    marks, layers = (("matched", DONE_COLORS["random"]), ("own", DONE_COLORS["language"])), []
    for name, color in marks:
        points, there = drawn(base, "own", name)
        layers.append(
            points.mark_point(filled=True, size=60, color=color).encode(
                x=on(x, f"{name}_drawn:Q"), y=y, opacity=seen(there), tooltip=tips
            )
        )
    ends, both = drawn(base, "own", "low", "high")
    span = ends.mark_rule(color=DONE_COLORS["language"], strokeWidth=1.5).encode(
        x=on(x, "low_drawn:Q"), x2="high_drawn:Q", y=y, opacity=seen(both), tooltip=tips
    )
    return finish(
        alt.layer(span, *layers).add_params(measure),
        "Does the model still choose rightly?",
        "Blue: without the language's own neurons, with a 95 % interval; grey: without random ones as often active",
        "Points: change of the margin of the right answer in each language, own neurons and random ones.",
        width="container",
        height=alt.Step(22),
    )
