"""Charts of what a language's neurons add to the logits."""

from typing import Any

import altair as alt
import pandas as pd

from ...base.uncertainty import verdict_words
from ...text.languages import language_name
from .theme import DONE_COLORS, choice, drawn, finish, language_scale, seen

#: What is compared, in words, with its colour and shape.
_OF = {
    "own": ("the language's own neurons", DONE_COLORS["language"], "circle"),
    "others": ("other languages' neurons, at equal numbers", "#cc79a7", "diamond"),
    "matched": ("random neurons that fire as often", DONE_COLORS["random"], "square"),
    "all": ("all neurons", "#8c6d1f", "cross"),
}


def written_tokens(tokens: pd.DataFrame) -> alt.FacetChart:
    """For each language the tokens that its neurons raise most, as text.

    Args:
        tokens: from ``tokens`` of :class:`neuroglot.Writing`.
    """
    order = list(dict.fromkeys(tokens["language"]))
    named = {code: f"{language_name(code)} ({code})" for code in order}
    data = tokens.assign(name=tokens["language"].map(named)).round(3)
    words = (
        alt.Chart(data)
        .mark_text(align="left", limit=112, fontSize=12)
        .encode(
            x=alt.value(4),
            y=alt.Y("rank:O", axis=None),
            text="token:N",
            color=alt.Color("language:N", scale=language_scale(order), legend=None),
            tooltip=["token", "language", "rank", alt.Tooltip("logits:Q", title="added to its logit", format="+.2f")],
        )
        .properties(width=116, height=15 * int(data["rank"].max()))
    )
    facet = alt.Facet("name:N", title=None, sort=list(named.values()))
    return finish(
        words.facet(facet, columns=5, spacing=8),
        "Which tokens do a language's neurons raise most?",
        "By their mean values on its text, through the norms and the head; the highest first",
        "Lists of tokens, one for each language: those whose logits its specific and related neurons raise most.",
    )


def writing(numbers: pd.DataFrame) -> alt.LayerChart:
    """How far each language's neurons raise its own tokens above the others' own, and what stands beside them.

    Args:
        numbers: from ``numbers`` of :class:`neuroglot.Writing`.
    """
    order = list(dict.fromkeys(numbers["language"]))
    data = numbers.assign(what=numbers["of"].map({key: words for key, (words, _, _) in _OF.items()})).round(3)
    text = choice(data, "text", "tokens of")
    names, colors, shapes = (list(each) for each in zip(*_OF.values(), strict=True))
    legend = alt.Legend(columns=2, labelLimit=300)
    base = alt.Chart(data).transform_filter("datum.text == text_").encode(
        y=alt.Y("language:N", title=None, sort=order),
        yOffset=alt.YOffset("what:N", sort=names),
        color=alt.Color("what:N", scale=alt.Scale(domain=names, range=colors), legend=legend),
        tooltip=[
            "language",
            alt.Tooltip("what:N", title="what writes"),
            alt.Tooltip("number:Q", title="own tokens above others' (standard deviations)", format="+.2f"),
            alt.Tooltip("low:Q", title="95 % from", format="+.2f"),
            alt.Tooltip("high:Q", title="to", format="+.2f"),
            alt.Tooltip("logits:Q", title="in logits", format="+.2f"),
            alt.Tooltip("neurons:Q", title="neurons of the language", format=","),
            alt.Tooltip("tokens:Q", title="own tokens", format=","),
            alt.Tooltip("units:Q", title="wordings", format=","),
        ],
    )  # fmt: skip
    axis = alt.X("number_drawn:Q", title="own tokens above the others' own (standard deviations over the vocabulary)")
    points, there = drawn(base, "number", "number")
    marks = points.mark_point(filled=True, size=55).encode(
        x=axis, shape=alt.Shape("what:N", scale=alt.Scale(domain=names, range=shapes)), opacity=seen(there)
    )
    ends, both = drawn(base, "number", "low", "high")
    spans = ends.mark_rule(strokeWidth=2).encode(
        x=alt.X("low_drawn:Q", title=axis["title"]), x2="high_drawn:Q", opacity=seen(both)
    )
    zero = alt.Chart(pd.DataFrame({"at": [0]})).mark_rule(color="#99999988", strokeDash=[3, 3]).encode(x="at:Q")
    return finish(
        (zero + spans + marks).add_params(text),
        "Do a language's neurons write its language?",
        "Lines: 95 % intervals over wordings; of random neurons, where another draw would fall",
        "Points by language: how far its neurons, other languages', random and all neurons raise its own tokens.",
        width="container",
        height=46 * len(order),
    )


def writing_by_layer(layers: pd.DataFrame) -> alt.LayerChart:
    """What each layer adds to the number, beside random neurons that fire as often, in the mean over languages.

    Args:
        layers: from ``layers`` of :class:`neuroglot.Writing`.
    """
    data = layers.assign(verdict=verdict_words(layers["verdict"])).round(4)
    tips: list[Any] = [
        "layer",
        alt.Tooltip("neurons:Q", title="neurons, mean over languages", format=".1f"),
        alt.Tooltip("own:Q", title="the language's own", format="+.3f"),
        alt.Tooltip("matched:Q", title="random ones", format="+.3f"),
        alt.Tooltip("number:Q", title="own less random", format="+.3f"),
        alt.Tooltip("low:Q", title="95 % from", format="+.3f"),
        alt.Tooltip("high:Q", title="to", format="+.3f"),
        alt.Tooltip("detectable:Q", title="found with 80 % power", format=".3f"),
        "verdict",
    ]
    base = alt.Chart(data).encode(x=alt.X("layer:O", title="layer"), tooltip=tips)
    title = "standard deviations, own less random neurons"
    sure = alt.condition("datum.verdict == 'more'", alt.value(1), alt.value(0.35))
    heights, _ = drawn(base, "number", "number")  # without height it is not seen
    bars = heights.mark_bar(color=DONE_COLORS["language"]).encode(y=alt.Y("number_drawn:Q", title=title), opacity=sure)
    ends, both = drawn(base, "number", "low", "high")
    spans = ends.mark_rule(strokeWidth=1.5).encode(
        y=alt.Y("low_drawn:Q", title=title), y2="high_drawn:Q", opacity=seen(both)
    )
    return finish(
        bars + spans,
        "In which layers does a language's writing happen?",
        "Mean over languages; pale: not more than random neurons of the same layer that fire as often",
        "Bars by layer: what a language's neurons add to the number, less what random neurons add.",
        width="container",
        height=220,
    )
