"""Charts of how many neurons are of which type."""

import altair as alt
import pandas as pd

from ...neurons.identification import NeuronTypes
from .theme import KIND_COLORS, RUN_SHAPES, finish, kind_scale


def counts_per_language(types: NeuronTypes) -> alt.Chart:
    """Specific and related neurons of each language, side by side."""
    chart = (
        alt.Chart(types.counts_per_language())
        .mark_bar()
        .encode(
            x=alt.X("neurons:Q", title="neurons"),
            y=alt.Y("language:N", sort=None, title="language"),
            yOffset=alt.YOffset("kind:N", scale=alt.Scale(domain=["specific", "related"])),
            color=alt.Color("kind:N", scale=kind_scale(["specific", "related"])),
            tooltip=["language", "kind", alt.Tooltip("neurons:Q", format=",")],
        )
    )
    return finish(
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
    filled = chosen.mark_bar().encode(y="typed:Q", color=alt.Color("kind:N", scale=kind_scale()), tooltip=tips)
    return finish(
        every + filled,
        "How many languages share a neuron?",
        "Outline: all neurons with this N; filled: those that are specific, related or general.",
        "Bars: number of neurons by number of languages in which they are active.",
        width="container",
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
            color=alt.Color("kind:N", scale=kind_scale()),
            tooltip=[
                alt.Tooltip("top_rate:Q", format=".1%"),
                "kind",
                alt.Tooltip("neurons:Q", format=","),
                alt.Tooltip("lam:Q", title="solved lambda", format=".4f"),
            ],
        )
    )
    return finish(
        chart,
        "What does the top rate decide?",
        "Lambda is solved anew at every rate.",
        "Lines: number of specific, related and general neurons against the share selected.",
        width="container",
    )


def languages_beside(table: pd.DataFrame) -> alt.LayerChart:
    """Language neurons of each language as a share of all, a point per run and type.

    Args:
        table: from :func:`neuroglot.book.runs.language_shares`.
    """
    names = list(dict.fromkeys(table["run"]))
    chart = (
        alt.Chart(table)
        .mark_point(size=70, filled=False, strokeWidth=2)
        .encode(
            x=alt.X("share:Q", title="share of all neurons", axis=alt.Axis(format=".2%")),
            y=alt.Y("language:N", sort=None, title="language"),
            color=alt.Color("kind:N", scale=kind_scale(["specific", "related"])),
            shape=alt.Shape(
                "run:N",
                legend=alt.Legend(columns=2, labelLimit=300),
                scale=alt.Scale(domain=names, range=[RUN_SHAPES[i % 4] for i in range(len(names))]),
            ),
            tooltip=["run", "language", "kind", "neurons", alt.Tooltip("share:Q", format=".3%")],
        )
    )
    return finish(
        chart,
        "Which languages have many neurons, and in which model?",
        "A related neuron counts for each of its languages.",
        "Points: specific and related neurons of each language as a share of all neurons, per model.",
        width="container",
        height=alt.Step(26),
    )
