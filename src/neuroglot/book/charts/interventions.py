"""Charts of what removing and driving up neurons does."""

import altair as alt
import pandas as pd

from .theme import DONE_COLORS, choice, drawn, finish, seen, told_apart, unit_legend


def effects(table: pd.DataFrame) -> alt.VConcatChart:
    """Languages x languages: what removing a language's neurons changes, and random neurons beside it.

    Args:
        table: from :meth:`neuroglot.effects.matrix.Effects.table`.
    """
    order, removed = (list(dict.fromkeys(table[name])) for name in ("language", "removed"))
    chosen_set = choice(table, "set", "neurons", min(1, table["set"].nunique() - 1))
    measure = choice(table, "measure", "measure")
    columns = ["set", "measure", "removed", "language", "neurons", "size", "before", "after", "effect", "low", "high"]
    columns += ["harm", "random", "random_low", "random_high", "draws", "beside", "verdict"]
    # Numbers as the page shows them keep it small; a missing verdict is no verdict.
    data = table[columns].round(4).assign(verdict=table["verdict"].astype(object).fillna("cannot be told"))
    base = alt.Chart(data).transform_filter("datum.set == set_ && datum.measure == measure_")
    tips = [
        alt.Tooltip("removed:N", title="neurons removed of"),
        alt.Tooltip("language:N", title="measured in"),
        alt.Tooltip("neurons:Q", title="neurons removed", format=","),
        alt.Tooltip("size:Q", title="tokens, questions or answers", format=","),
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
        color=alt.condition(
            "isValid(datum.effect)",  # what was not measured is no effect of 0
            alt.Color(
                "level:Q",
                scale=alt.Scale(domain=[-1, 0, 1], range=["#0072b2", "#f4f1ea", "#c24e00"]),
                legend=None,
            ),
            alt.value("#ffffff"),
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
    own = base.transform_filter("datum.removed == datum.language")
    others, there = drawn(base.transform_filter("datum.removed != datum.language"), "effect", "effect")
    y = alt.Y("removed:N", title="neurons removed of", sort=removed)
    draws, both = drawn(own, "effect", "random_low", "random_high")
    # The stroke shows it where its ends are one.
    random = draws.mark_bar(color=DONE_COLORS["random"], stroke=DONE_COLORS["random"], strokeWidth=4, height=14).encode(
        x=alt.X("random_low_drawn:Q", title="change"),
        x2="random_high_drawn:Q",
        y=y,
        opacity=seen(both, 0.35),
        tooltip=tips,
    )
    elsewhere = others.mark_tick(color=DONE_COLORS["random"], thickness=1.5, size=12).encode(
        x=alt.X("effect_drawn:Q", title="change"), y=y, opacity=seen(there), tooltip=tips
    )
    ends, _ = drawn(own, "effect", "low", "high")  # without length it is not seen
    spans = ends.mark_rule(color=DONE_COLORS["language"], strokeWidth=1.5).encode(
        x=alt.X("low_drawn:Q", title="change"), x2="high_drawn:Q", y=y
    )
    mine, there = drawn(own, "effect", "effect")
    points = mine.mark_point(filled=True, size=70, color=DONE_COLORS["language"]).encode(
        x=alt.X("effect_drawn:Q", title="change"), y=y, opacity=seen(there), tooltip=tips
    )
    dots = (random + elsewhere + spans + points + unit_legend(own, data)).properties(
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
    return finish(
        alt.vconcat(heat, dots, spacing=24).add_params(chosen_set, measure).resolve_scale(color="independent"),
        "What does removing one language's neurons do to each language?",
        "Framed: more harm than random neurons do. Orange is for the worse, blue for the better.",
        "Heatmap: effect of removing each language's neurons on each language; below, the diagonal.",
    )


def doses(table: pd.DataFrame) -> alt.LayerChart:
    """Own log-perplexity against the number of neurons removed, by score, shuffled and at random.

    Args:
        table: from :func:`neuroglot.effects.matrix.of_doses`.
    """
    names = {"score": "lowest score first", "shuffled": "the same set, shuffled", "random": "random neurons"}
    by_draw = ["language", "order", "dose", "neurons"]
    measured = table.dropna(subset="effect")
    mean = measured.groupby(by_draw, sort=False, as_index=False)["effect"].mean()
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
        **told_apart("order", list(names.values()), colors, [[1, 0], [6, 3], [2, 2]]),
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
    return finish(
        chart,
        "How much does a language suffer as its neurons go?",
        "In the language itself; lines: means of the draws",
        "Lines: change in a language's log-perplexity against the number of its neurons removed.",
        width="container",
        height=260,
    )
