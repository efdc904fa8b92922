"""Charts of which languages share neurons."""

import itertools
from collections.abc import Sequence

import altair as alt
import pandas as pd

from ...text.languages import family, language_name, script
from .theme import KIND_COLORS, finish

_FAINT = "#99999955"

# Numbers are written into the cells as long as they fit.
_MOST_NUMBERS = 16


def upset(sets: pd.DataFrame, languages: Sequence[str], most: int = 18) -> alt.VConcatChart:
    """The largest sets of languages that share neurons: how many, by chance how many, and which languages.

    Args:
        sets: from :func:`neuroglot.neurons.sharing.sets`.
        languages: the rows, from the top, for instance from :func:`neuroglot.neurons.sharing.order`.
        most: number of sets shown.
    """
    shown = sets.head(most).round(2).assign(place=lambda t: range(1, len(t) + 1))
    own = [set(names.split()) for names in sets["languages"]]
    rows = [
        {"place": i + 1, "language": code, "within": code in own[i], "languages": row.languages, "neurons": row.neurons}
        for i, row in enumerate(shown.itertuples())
        for code in languages
    ]
    dots = pd.DataFrame(rows, columns=["place", "language", "within", "languages", "neurons"])
    totals = pd.DataFrame(
        {
            "language": list(languages),
            "name": [language_name(code) for code in languages],
            "neurons": [int(sets["neurons"][[code in names for names in own]].sum()) for code in languages],
        }
    )
    color, width = KIND_COLORS["related"], min(22 * len(shown), 400)
    tips = [
        alt.Tooltip("languages:N"),
        alt.Tooltip("neurons:Q", format=","),
        alt.Tooltip("expected:Q", title="by chance", format=",.1f"),
    ]
    x = alt.X("place:O", axis=None)
    heights = alt.Chart(shown).encode(x=x, tooltip=tips)
    bars = heights.mark_bar(color=color).encode(y=alt.Y("neurons:Q", title="neurons"))
    chance = heights.mark_rule(strokeWidth=2).encode(
        x=alt.X("place:O", axis=None, bandPosition=0), x2=alt.X2("place:O", bandPosition=1), y="expected:Q"
    )
    y = alt.Y("language:N", sort=list(languages), title=None)
    base = alt.Chart(dots).encode(x=x)
    lines = base.transform_filter("datum.within").mark_line(color=color, strokeWidth=2).encode(y=y, detail="place:O")
    points = base.mark_circle(size=70, opacity=1).encode(
        y=y,
        color=alt.condition("datum.within", alt.value(color), alt.value(_FAINT)),
        tooltip=["language:N", "languages:N", alt.Tooltip("neurons:Q", format=",")],
    )
    sizes = (
        alt.Chart(totals)
        .mark_bar(color=color, opacity=0.55, height=10)
        .encode(
            x=alt.X("neurons:Q", title="neurons in all", axis=alt.Axis(tickCount=3)),
            y=alt.Y("language:N", sort=list(languages), title=None, axis=alt.Axis(ticks=False, domain=False)),
            tooltip=[alt.Tooltip("name:N", title="language"), alt.Tooltip("neurons:Q", format=",")],
        )
    )
    return finish(
        alt.vconcat(
            (bars + chance).properties(width=width, height=160),
            alt.hconcat(
                (lines + points).properties(width=width, height=18 * len(languages)),
                sizes.properties(width=90, height=18 * len(languages)),
                spacing=8,
            ),
            spacing=6,
        ),
        "Which languages share neurons?",
        f"The {len(shown)} largest of {len(sets):,} sets. Line: by chance, each language and neuron keeping its number",
        "Bars: neurons of each set of languages, with the number expected by chance; below, the languages of each.",
    )


def similarity(similarity: pd.DataFrame, order: Sequence[str]) -> alt.LayerChart:
    """Languages x languages: the overlap of their neurons, those that share most beside each other.

    Args:
        similarity: from :func:`neuroglot.neurons.sharing.similarity`.
        order: of rows and columns, from :func:`neuroglot.neurons.sharing.order`.
    """
    order = list(order)
    groups = {code: (family(code), script(code)) for code in order}
    said = {code: ", ".join(filter(None, [language_name(code), *groups[code]])) for code in order}
    rows = [
        {"one": a, "other": b, "similarity": similarity.loc[a, b], "one_is": said[a], "other_is": said[b]}
        | {"kin": groups[a][0] is not None and groups[a][0] == groups[b][0]}
        for a, b in itertools.permutations(order, 2)
    ]
    data = pd.DataFrame(rows, columns=["one", "other", "similarity", "one_is", "other_is", "kin"]).round(4)
    most = data["similarity"].max()
    top = float(most) if most > 0 else 1.0
    base = alt.Chart(data).encode(
        x=alt.X("other:N", sort=order, title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y("one:N", sort=order, title=None),
        tooltip=[
            alt.Tooltip("one_is:N", title="language"),
            alt.Tooltip("other_is:N", title="and"),
            alt.Tooltip("similarity:Q", title="of the neurons of either, both have", format=".1%"),
        ],
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "similarity:Q",
            scale=alt.Scale(domain=[0, top], range=["#eef6f2", "#00583f"], interpolate="rgb"),
            legend=None,
        ),
        stroke=alt.condition("datum.kin", alt.value("#e69f00"), alt.value("#00000000")),
        strokeWidth=alt.value(2),
    )
    numbers = (
        base.transform_filter("isValid(datum.similarity)")
        .mark_text(fontSize=11)
        .encode(
            text=alt.Text("similarity:Q", format=".2f"),
            color=alt.condition(f"datum.similarity > {0.6 * top:.4f}", alt.value("#ffffff"), alt.value("#222222")),
        )
    )
    return finish(
        alt.layer(cells, *([numbers] if len(order) <= _MOST_NUMBERS else [])),
        "Do languages of one family share neurons?",
        "Neurons of both over neurons of either (Jaccard), related ones. Framed: one branch of a family",
        "Heatmap: overlap of every two languages' neurons, in the order of a hierarchical clustering.",
        width=min(560, 46 * len(order)),
        height=26 * len(order) if len(order) <= _MOST_NUMBERS else 560,
    )
