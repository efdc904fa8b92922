"""Charts of what comes out when one language's neurons are driven up."""

from typing import Any

import altair as alt
import pandas as pd

from ...base.uncertainty import verdict_words
from .theme import DONE_COLORS, choice, drawn, finish, seen

_OUTPUT_COLORS = {
    "target": "#0072b2",
    "source": "#e69f00",
    "another language": "#cc79a7",
    "looping": "#56b4e9",
    "no language": "#8a8a8a",
}

_NAMES = {"own": "its own neurons", "random": "matched random neurons"}


def steered(table: pd.DataFrame) -> alt.FacetChart:
    """Per language steered to: how many responses come out in it, by its own neurons and by random ones.

    Args:
        table: from :func:`neuroglot.effects.steering.contrasts`.
    """
    targets, ways = (list(dict.fromkeys(table[name])) for name in ("target", "way"))
    shared = table[["target", "way", "strength", "difference", "low", "high", "verdict", "prompts", "draws"]]
    parts = []
    for name, said in _NAMES.items():
        its = {"share": table[name], "from": table[f"{name}_low"], "to": table[f"{name}_high"]}
        parts.append(shared.assign(**its, neurons=said))
    data = pd.concat(parts, ignore_index=True).round(4)
    data["by"] = [f"{way} {strength:g}" for way, strength in zip(data["way"], data["strength"], strict=True)]
    data["verdict"] = verdict_words(data["verdict"])
    tips = [
        alt.Tooltip("target:N", title="steered to"),
        alt.Tooltip("by:N", title="way and strength"),
        alt.Tooltip("neurons:N"),
        alt.Tooltip("share:Q", title="responses in it", format=".0%"),
        alt.Tooltip("from:Q", title="95 % from", format=".0%"),
        alt.Tooltip("to:Q", title="to", format=".0%"),
        alt.Tooltip("difference:Q", title="own less random", format="+.0%"),
        alt.Tooltip("low:Q", title="95 % from", format="+.0%"),
        alt.Tooltip("high:Q", title="to", format="+.0%"),
        alt.Tooltip("verdict:N", title="own beside random"),
        alt.Tooltip("prompts:Q"),
        alt.Tooltip("draws:Q", title="random draws"),
    ]
    color = alt.Color(
        "neurons:N",
        scale=alt.Scale(domain=list(_NAMES.values()), range=[DONE_COLORS[n] for n in ("language", "random")]),
    )
    where: dict[str, Any] = {
        "y": alt.Y("target:N", title="steered to", sort=targets),
        "yOffset": alt.YOffset("neurons:N", sort=list(_NAMES.values())),
        "color": color,
    }
    axis: dict[str, Any] = {"axis": alt.Axis(format="%"), "scale": alt.Scale(domain=[0, 1])}
    ends, both = drawn(alt.Chart(data), "share", "from", "to")
    points, there = drawn(alt.Chart(data), "share", "share")
    x = {
        name: alt.X(f"{name}_drawn:Q", title="responses in the language steered to", **axis)
        for name in ("from", "share")
    }
    spans = ends.mark_rule(strokeWidth=2).encode(
        x=x["from"], x2="to_drawn:Q", opacity=seen(both), tooltip=tips, **where
    )
    dots = points.mark_point(filled=True, size=90).encode(x=x["share"], opacity=seen(there), tooltip=tips, **where)
    each = alt.layer(spans, dots, data=data).properties(width=250, height=max(60, 34 * len(targets)))
    order = [f"{way} {table.loc[table['way'] == way, 'strength'].iloc[0]:g}" for way in ways]
    return finish(
        each.facet(column=alt.Column("by:N", title="way and strength, fixed beforehand", sort=order)),
        "Do a language's neurons bring its language out?",
        "Share of responses, with 95 % intervals over wordings of prompts",
        "Points: share of responses in the language steered to, by its own neurons and by random ones.",
    )


def outcomes(table: pd.DataFrame) -> alt.FacetChart:
    """What each response is, as a language's neurons are driven up more and more.

    Args:
        table: from :func:`neuroglot.effects.steering.outputs`.
    """
    keys = ["way", "strength", "neurons", "output"]
    # The model as it is has no neurons of either kind: it stands at 0 of both.
    plain = table[table["strength"] == 0]
    others = [plain.assign(neurons=name) for name in dict.fromkeys(table["neurons"]) if name != "language"]
    table = pd.concat([table, *others], ignore_index=True)
    means = table.groupby(keys, sort=False, as_index=False)[["share", "responses", "prompts"]].mean()
    columns = [*keys, "share", "responses", "prompts", "target", "low", "high"]
    data = pd.concat([means.assign(target="mean of all"), table], ignore_index=True)[columns].round(4)
    data["place"] = data["output"].map({name: i for i, name in enumerate(_OUTPUT_COLORS)})
    target, way = choice(data, "target", "steered to"), choice(data, "way", "way")
    bars = (
        alt.Chart(data)
        .transform_filter("datum.target == target_ && datum.way == way_")
        .mark_bar()
        .encode(
            x=alt.X("strength:O", title="strength (0: the model as it is)"),
            y=alt.Y(
                "share:Q",
                title="share of responses",
                stack="zero",
                axis=alt.Axis(format="%"),
                scale=alt.Scale(domain=[0, 1]),
            ),
            color=alt.Color(
                "output:N", scale=alt.Scale(domain=list(_OUTPUT_COLORS), range=list(_OUTPUT_COLORS.values()))
            ),
            order=alt.Order("place:Q"),
            tooltip=[
                alt.Tooltip("target:N", title="steered to"),
                "way",
                "strength",
                "neurons",
                "output",
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("low:Q", title="95 % from", format=".0%"),
                alt.Tooltip("high:Q", title="95 % to", format=".0%"),
                alt.Tooltip("responses:Q", format=",.0f"),
                alt.Tooltip("prompts:Q", title="wordings of prompts"),
            ],
        )
        .properties(width=250, height=230)
    )
    column = alt.Column("neurons:N", title="neurons driven up and switched off", sort=list(DONE_COLORS))
    return finish(
        bars.facet(column=column).add_params(target, way),
        "What are the responses at every strength?",
        "Every response is one of the five",
        "Stacked bars: share of responses that are in the target, the source, another language, loops or no language.",
    )
