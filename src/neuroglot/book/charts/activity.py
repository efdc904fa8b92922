"""Charts of the text, of answers, and of how often neurons fire."""

import itertools

import altair as alt
import numpy as np
import pandas as pd

from ...counts.activations import ActivationStats
from ...neurons.identification import NeuronTypes
from ...neurons.specificity import probability_intervals
from .theme import KIND_COLORS, finish, language_scale


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
    return finish(chart, title, subtitle, f"Bars: {axis} per language.", width="container", height=alt.Step(22))


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
            alt.Tooltip("cut_off:Q", title="cut off at the limit", format=".0%"),
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
    return finish(
        chart,
        "How many questions does the model get right, in the language asked?",
        "Right last number and right language; lines: exact 95 % intervals over wordings",
        "Points: accuracy per language; lines: intervals.",
        width="container",
        height=alt.Step(22),
    )


def active_share(stats: ActivationStats) -> alt.Chart:
    """Mean activation probability of each layer, one line per language."""
    # A layer of a mixture of which no neuron saw a language has no mean there.
    mean = np.ma.masked_invalid(stats.probabilities()).mean(axis=1).filled(np.nan)
    places = itertools.product(enumerate(stats.languages), range(len(mean)))
    rows = [(layer, code, mean[layer, k]) for (k, code), layer in places]
    tidy = pd.DataFrame(rows, columns=["layer", "language", "probability"])
    pick = alt.selection_point(fields=["language"], bind="legend")
    chart = (
        alt.Chart(tidy)
        .mark_line(point={"size": 25})
        .encode(
            x=alt.X("layer:O", title="layer"),
            y=alt.Y("probability:Q", title="mean activation probability", axis=alt.Axis(format="%")),
            color=alt.Color("language:N", scale=language_scale(stats.languages), legend=alt.Legend(columns=5)),
            opacity=alt.condition(pick, alt.value(1), alt.value(0.12)),
            tooltip=["language", "layer", alt.Tooltip("probability:Q", format=".1%")],
        )
        .add_params(pick)
    )
    return finish(
        chart,
        "How much of each layer is active?",
        "Click a language in the legend to single it out.",
        "Lines: mean activation probability of a layer's neurons, per language.",
        width="container",
    )


def neuron(
    stats: ActivationStats, types: NeuronTypes, layer: int, index: int, browser: str | None = None
) -> alt.LayerChart:
    """One neuron's activation probability in each language, with tau and 95 % intervals over shards.

    Args:
        stats: activation counts.
        types: the types made from them.
        layer, index: the neuron.
        browser: address of the page that shows single neurons, which a click on a bar opens.
    """
    counts, tokens = stats.counts[layer, index], stats.seen[layer, index]
    low, high = probability_intervals(stats, layer, index)
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
    if browser is not None:
        rows["address"] = f"{browser}#layer={layer}&neuron={index}"
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
    if browser is not None:
        bars = bars.encode(href="address:N")
    errors = base.transform_filter("isValid(datum.low)").mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q")
    tau = alt.Chart(pd.DataFrame({"tau": [types.tau]})).mark_rule(strokeDash=[5, 4], strokeWidth=2)
    chart = bars + errors + tau.encode(x="tau:Q", tooltip=alt.Tooltip("tau:Q", format=".4f"))
    return finish(
        chart,
        f"In which languages does neuron {index} of layer {layer} fire?",
        f"{kind}, N = {types.n_languages[layer, index]}; dashed: tau = {types.tau:.4f}",
        f"Bars: activation probability of neuron {index} of layer {layer} per language; dashed line: tau.",
        width="container",
        height=alt.Step(24),
    )
