"""The chart of how many neurons languages have in which model."""

import altair as alt
import pandas as pd

from .theme import RUN_SHAPES, finish, kind_scale


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
