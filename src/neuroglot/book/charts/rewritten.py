"""Charts of neurons found again on rewritten text."""

from typing import Any

import altair as alt
import pandas as pd

from .theme import DONE_COLORS, finish

_TEXTS = {"unchanged": "unchanged", "romanized": "in Latin letters", "shuffled": "words in random order"}
_COLORS = {"unchanged": DONE_COLORS["random"], "romanized": "#d55e00", "shuffled": DONE_COLORS["language"]}
_SHAPES = {"unchanged": "diamond", "romanized": "square", "shuffled": "circle"}


def rewritten(found: pd.DataFrame) -> alt.LayerChart:
    """Which share of a language's neurons each detector finds again on other wordings, unchanged and rewritten.

    Args:
        found: from :func:`neuroglot.effects.rewritten.found_again`.
    """
    keys = ["detector", "language"]
    same = found.drop_duplicates(keys).assign(
        text="unchanged", share=lambda rows: rows["unchanged"], chance=float("nan")
    )
    data = pd.concat([same, found.assign(text=found["rewriting"], share=found["rewritten"])], ignore_index=True)
    data = data[[*keys, "text", "share", "chance", "neurons"]].dropna(subset=["share"]).round(4)
    names, kinds = list(dict.fromkeys(data["detector"])), list(dict.fromkeys(data["text"]))
    data["text"] = data["text"].map(lambda name: _TEXTS.get(name, name))
    shown = [_TEXTS.get(kind, kind) for kind in kinds]
    place: dict[str, Any] = {
        "y": alt.Y("detector:N", title=None, sort=names),
        "yOffset": alt.YOffset("text:N", sort=shown),
        "color": alt.Color("text:N", sort=shown, scale=alt.Scale(domain=shown, range=[_COLORS[k] for k in kinds])),
        "shape": alt.Shape("text:N", sort=shown, scale=alt.Scale(domain=shown, range=[_SHAPES[k] for k in kinds])),
    }
    axis = alt.Axis(format=".0%", tickCount=5)
    share: dict[str, Any] = {
        "title": "share of a language's neurons found again",
        "axis": axis,
        "scale": alt.Scale(domain=[0, 1]),
    }
    tips = [alt.Tooltip("detector:N"), alt.Tooltip("text:N")]
    of_one = [alt.Tooltip("language:N"), alt.Tooltip("share:Q", title="found again", format=".0%")]
    of_one += [alt.Tooltip("chance:Q", title="random neurons", format=".1%")]
    means = [alt.Tooltip("mean(share):Q", title="mean over languages", format=".0%")]
    chart = alt.Chart(data)
    each = chart.mark_point(filled=True, size=28, opacity=0.35).encode(
        x=alt.X("share:Q", **share), tooltip=[*tips, *of_one], **place
    )
    mean = chart.mark_point(filled=True, size=95).encode(
        x=alt.X("mean(share):Q", **share), tooltip=[*tips, *means], **place
    )
    return finish(
        each + mean,
        "Language or script?",
        "Neurons found again on text of other wordings; small: each language, large: their mean",
        "Points: share of each detector's neurons found again on unchanged, romanized and shuffled text.",
        width="container",
        height=max(120, 16 * len(shown) * len(names)),
    )
