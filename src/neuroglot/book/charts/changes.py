"""Charts of the same neurons before and after alignment, and on other text."""

from itertools import cycle, islice
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ...alignment.contrasts import MARGIN
from ...base.uncertainty import LESS, MORE, NOT_KNOWN
from .theme import DONE_COLORS, TYPED, choice, drawn, finish, kind_scale, on, seen, told_apart, unit_legend

_CHANGE_TIPS = [
    alt.Tooltip("before:Q", format=",.4~g"),
    alt.Tooltip("after:Q", format=",.4~g"),
    alt.Tooltip("change:Q", format="+,.3~g"),
    alt.Tooltip("low:Q", title="95 % from", format="+,.3~g"),
    alt.Tooltip("high:Q", title="95 % to", format="+,.3~g"),
    alt.Tooltip("null:Q", title="control", format="+,.3~g"),
    alt.Tooltip("contrast:Q", title="less the control", format="+,.3~g"),
    alt.Tooltip("contrast_low:Q", title="95 % from", format="+,.3~g"),
    alt.Tooltip("contrast_high:Q", title="95 % to", format="+,.3~g"),
    alt.Tooltip("detectable:Q", title="80 % would find", format=",.3~g"),
    alt.Tooltip("verdict:N"),
]

#: What is said below charts of changes.
_MARKS = "Point: change with its 95 % interval, filled if told apart from the control's (grey: tick and interval)"


def _change_data(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers as the page shows them, which keeps it small."""
    return table.assign(verdict=table["verdict"].fillna(NOT_KNOWN)).round(4)


def _change_layers(
    base: alt.Chart, along: str, place: dict[str, Any], axis: alt.X | alt.Y, color: Any
) -> alt.LayerChart:
    """The control's change behind, the change before it, both with intervals; filled where they are told apart.

    Args:
        base: the data.
        along: ``"x"`` or ``"y"``, where the change is read off.
        place: the encoding of the other channel.
        axis: of the change.
        color: of points and intervals.
    """
    size: dict[str, Any] = {"height": 13} if along == "x" else {"width": 13}
    noise, known = drawn(base, "change", "null_low", "null_high")
    # The stroke shows it where its ends are one.
    spread = noise.mark_bar(color=DONE_COLORS["random"], stroke=DONE_COLORS["random"], strokeWidth=4, **size).encode(
        **place,
        **{along: on(axis, "null_low_drawn:Q"), f"{along}2": "null_high_drawn:Q"},
        opacity=seen(known, 0.3),
        tooltip=_CHANGE_TIPS,
    )
    beside, known = drawn(base, "change", "null")
    null = beside.mark_tick(color=DONE_COLORS["random"], thickness=2.5, size=13).encode(
        **place,
        **{along: on(axis, "null_drawn:Q")},
        opacity=seen(known),
        tooltip=_CHANGE_TIPS,
    )
    ends, _ = drawn(base, "change", "low", "high")  # without length it is not seen
    spans = ends.mark_rule(strokeWidth=1.5).encode(
        **place, **{along: on(axis, "low_drawn:Q"), f"{along}2": "high_drawn:Q"}, color=color
    )
    mine, known = drawn(base, "change", "change")
    points = mine.mark_point(size=60, strokeWidth=1.8).encode(
        **place,
        **{along: on(axis, "change_drawn:Q")},
        opacity=seen(known),
        color=color,
        fillOpacity=alt.condition(
            f"datum.verdict == '{MORE}' || datum.verdict == '{LESS}'", alt.value(1), alt.value(0)
        ),
        fill=color,
        tooltip=_CHANGE_TIPS,
    )
    return spread + null + spans + points


#: What models were trained on, as the chart at a glance names it, with its colour and shape.
_WHO = {
    "preferences": (DONE_COLORS["language"], "circle"),
    "chosen answers only": ("#e69f00", "square"),
    "shuffled (control)": (DONE_COLORS["random"], "diamond"),
}


def alignment_at_a_glance(table: pd.DataFrame) -> alt.LayerChart:
    """How many per cent more or fewer neurons there are after each training, of the first thresholds.

    Args:
        table: rows of totals of :func:`neuroglot.alignment.overview.neuron_changes`, or of means of
            :func:`neuroglot.alignment.overview.language_changes`.
    """
    data = _by_training(table)
    edge = 100 * MARGIN
    base = alt.Chart(data)
    y = alt.Y("of:N", title=None, sort=list(dict.fromkeys(data["of"])), axis=alt.Axis(labelLimit=260))
    who = alt.YOffset("who:N", sort=list(_WHO))
    scale = alt.Scale(domain=list(_WHO), range=[color for color, _ in _WHO.values()])
    shapes = alt.Scale(domain=list(_WHO), range=[shape for _, shape in _WHO.values()])
    x = alt.X("change:Q", title="change in neurons, per cent of the number before")
    tips = ["of:N", "who:N", *(alt.Tooltip(f"{n}:Q", format="+.1f") for n in ("change", "low", "high"))]
    tips += [alt.Tooltip("neurons:Q", format="+,.1~f"), "verdict:N"]
    band = alt.Chart(pd.DataFrame([{"low": -edge, "high": edge}])).mark_rect(color="#0072b2", opacity=0.08)
    zero = base.mark_rule(strokeDash=[2, 2]).encode(x=alt.datum(0))
    color, shape = alt.Color("who:N", scale=scale), alt.Shape("who:N", scale=shapes)
    ends, _ = drawn(base, "change", "low", "high")
    spans = ends.mark_rule(strokeWidth=2).encode(
        y=y, yOffset=who, x=on(x, "low_drawn:Q"), x2="high_drawn:Q", color=color
    )
    marks, there = drawn(base, "change", "change")
    points = marks.mark_point(filled=True, size=80).encode(
        y=y, yOffset=who, x=on(x, "change_drawn:Q"), tooltip=tips, shape=shape, color=color, opacity=seen(there)
    )
    return finish(
        band.encode(x=on(x, "low:Q"), x2="high:Q") + zero + spans + points,
        "Are there more or fewer neurons of a type after alignment?",
        f"Lines: 95 % intervals. Pale: less than {edge:.1f} %, the paper's change in neurons of one language",
        "Points: change in the number of neurons of each type, after alignment and after its control.",
        width="container",
        height=alt.Step(20),
    )


def _by_training(table: pd.DataFrame) -> pd.DataFrame:
    """One row for each training and number: changes in per cent of the number before, of the first model's kinds."""
    first = table[table["thresholds"] == table["thresholds"].iloc[0]]
    first = first[first["before"] > 0] if (first["before"] > 0).any() else first
    lead = str(table["model"].iloc[0])
    chosen = f"{lead.removeprefix('aligned on ')}, chosen only"
    parts = []
    for name, model, prefix in (
        ("preferences", lead, ""),
        ("chosen answers only", chosen, ""),
        ("shuffled (control)", lead, "null_"),
    ):
        rows = first[first["model"] == model]
        value = rows["null" if prefix else "change"]
        whose = rows["place"].astype(str).str.removeprefix("mean of ").map(lambda place: f", {place}" if place else "")
        said = rows["verdict"].fillna(NOT_KNOWN) if not prefix else ""
        part = pd.DataFrame({"of": rows["kind"] + whose, "who": name, "neurons": value, "verdict": said})
        share = {"change": value, "low": rows[f"{prefix}low"], "high": rows[f"{prefix}high"]}
        before = rows["before"].where(rows["before"] > 0)  # of none there is no percentage
        parts.append(part.assign(**{column: 100 * part_ / before for column, part_ in share.items()}))
    return pd.concat(parts, ignore_index=True).dropna(subset="neurons").round(2)


def training(logs: dict[str, pd.DataFrame]) -> alt.Chart:
    """How far several trainings have come after each step, from the ``log`` of :class:`neuroglot.Alignment`."""
    data = pd.concat([log.assign(training=name) for name, log in logs.items()], ignore_index=True).round(4)
    names = list(logs)
    colors = cycle([DONE_COLORS["language"], DONE_COLORS["random"], "#56b4e9", "#009e73", "#e69f00", "#cc79a7"])
    dashes = cycle([[1, 0], [2, 2], [6, 3], [4, 2], [8, 2, 2, 2], [1, 3]])
    told = told_apart("training", names, list(islice(colors, len(names))), list(islice(dashes, len(names))))
    chart = (
        alt.Chart(data)
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="step", axis=alt.Axis(tickMinStep=1, format="d")),
            y=alt.Y("margin:Q", title="chosen gains more by, nats x beta"),
            **told,
            tooltip=[
                "training",
                "step",
                alt.Tooltip("loss:Q", format=".3f"),
                alt.Tooltip("accuracy:Q", title="chosen gains more, share of pairs", format=".0%"),
                alt.Tooltip("margin:Q", title="margin of the rewards", format="+.2f"),
            ],
        )
    )
    return finish(
        chart,
        "Is there anything to learn in the preferences?",
        "By how much the chosen response gains more than the rejected one, on each step's pairs (0: both gain alike)",
        "Lines: margin of the chosen responses per training step, of preferences and of shuffled ones.",
        width="container",
        height=220,
    )


def layer_changes(table: pd.DataFrame) -> alt.FacetChart:
    """Change in the number of each type per layer, with its noise.

    Args:
        table: rows of :meth:`neuroglot.alignment.comparison.Changes.table` for layers, with ``model`` and
            ``thresholds``.
    """
    data = _change_data(table)
    picks = [choice(data, "model", "model"), choice(data, "thresholds", "tau and lambda")]
    last = int(data["place"].max())
    x = alt.X("place:O", title="layer", axis=alt.Axis(values=list(range(0, last + 1, max(1, (last + 1) // 20)))))
    y = alt.Y("change:Q", title="neurons")
    base = alt.Chart(data).transform_filter("datum.model == model_ && datum.thresholds == thresholds_")
    marks = _change_layers(base, "y", {"x": x}, y, alt.Color("kind:N", scale=kind_scale(), legend=None))
    zero = base.mark_rule(strokeDash=[2, 2]).encode(y=alt.datum(0))
    chart = (
        (zero + marks)
        .properties(width=560, height=120)
        .facet(row=alt.Row("kind:N", title=None, sort=TYPED, header=alt.Header(labelOrient="top", labelAnchor="start")))
    )
    return finish(
        chart.resolve_scale(y="independent").add_params(*picks),
        "Where in the model does the number of each type change?",
        _MARKS,
        "Points: change in neurons of each type per layer, from before to after.",
    )


def shared_changes(table: pd.DataFrame) -> alt.VConcatChart:
    """Neurons active in exactly N languages, before and after, and the difference.

    Args:
        table: rows of :meth:`neuroglot.alignment.comparison.Changes.table` for ``"shared by"``, with ``model``,
            ``thresholds``.
    """
    data = _change_data(table)
    picks = [choice(data, c, n) for c, n in (("model", "model"), ("thresholds", "tau and lambda"), ("kind", "neurons"))]
    base = alt.Chart(data).transform_filter(
        "datum.model == model_ && datum.thresholds == thresholds_ && datum.kind == kind_"
    )
    x = alt.X("place:O", title="number of languages N in which p > tau")
    both = (
        base.transform_fold(["before", "after"], as_=["when", "neurons"])
        .mark_bar()
        .encode(
            x=x,
            xOffset=alt.XOffset("when:N", sort=["before", "after"]),
            y=alt.Y("neurons:Q", title="neurons"),
            color=alt.Color(
                "when:N",
                scale=alt.Scale(domain=["before", "after"], range=["#9aa0a6", DONE_COLORS["language"]]),
            ),
            tooltip=[alt.Tooltip("place:O", title="N"), "when:N", alt.Tooltip("neurons:Q", format=",.0f")],
        )
        .properties(width=560, height=170)
    )
    y = alt.Y("change:Q", title="difference")
    zero = base.mark_rule(strokeDash=[2, 2]).encode(y=alt.datum(0))
    marks = _change_layers(base, "y", {"x": x}, y, alt.value(DONE_COLORS["language"]))
    return finish(
        alt.vconcat(both, (zero + marks).properties(width=560, height=130)).add_params(*picks),
        "Do more languages share a neuron afterwards?",
        "Below: the difference with its 95 % interval, filled if told apart from the control's (grey)",
        "Bars: neurons by number of languages, before and after; below, differences.",
    )


def transitions(table: pd.DataFrame) -> alt.VConcatChart:
    """Which types become which: a matrix, and the flow of neurons that belong to a type.

    Args:
        table: from :func:`neuroglot.alignment.comparison.transitions`, with ``model`` (several) and ``thresholds``.
    """
    data = table.round(4)
    picks = [choice(data, "model", "model"), choice(data, "thresholds", "tau and lambda")]
    chosen = "datum.model == model_ && datum.thresholds == thresholds_"
    kinds = [*TYPED, "unclassified"]
    cells = (
        alt.Chart(data)
        .transform_filter(chosen)
        .encode(
            x=alt.X("after:N", title="after", sort=kinds, axis=alt.Axis(orient="top")),
            y=alt.Y("before:N", title="before", sort=kinds),
            tooltip=["before:N", "after:N", alt.Tooltip("neurons:Q", format=","), alt.Tooltip("share:Q", format=".1%")],
        )
    )
    ground = cells.mark_rect().encode(
        color=alt.Color("share:Q", scale=alt.Scale(domain=[0, 1], range=["#f4f1ea", "#0072b2"]), legend=None)
    )
    numbers = cells.mark_text(fontSize=11).encode(
        text=alt.Text("neurons:Q", format=","),
        color=alt.condition("datum.share > 0.55", alt.value("#ffffff"), alt.value("#222222")),
    )
    matrix = (ground + numbers).properties(width=480, height=140)
    flow = (
        alt.Chart(_bands(data, kinds))
        .transform_filter(chosen)
        .mark_area(opacity=0.65, interpolate="linear")
        .encode(
            x=alt.X(
                "at:Q",
                title=None,
                axis=alt.Axis(values=[0, 1], labelExpr="datum.value ? 'after' : 'before'", grid=False),
            ),
            y=alt.Y("low:Q", title="neurons", scale=alt.Scale(reverse=True)),
            y2="high:Q",
            color=alt.Color("before:N", scale=kind_scale(kinds)),
            detail="after:N",
            tooltip=["before:N", "after:N", alt.Tooltip("neurons:Q", format=",")],
        )
        .properties(width=480, height=220)
    )
    return finish(
        alt.vconcat(matrix, flow).add_params(*picks).resolve_scale(color="independent"),
        "Which neurons become which?",
        "Colour of a cell: share of its row. The flow leaves out neurons that are unclassified before and after",
        "Matrix and flow: neurons of each type before by their type after.",
    )


def _bands(table: pd.DataFrame, kinds: list[str], points: int = 13) -> pd.DataFrame:
    """The edges of each band of a flow chart, from its place on the left to that on the right."""
    still = (table["before"] == "unclassified") & (table["after"] == "unclassified")
    frames = []
    for keys, every in table.groupby(["model", "thresholds"], sort=False):
        pair: dict[str, Any] = dict(zip(("model", "thresholds"), keys, strict=True))
        part = every[~still[every.index] & (every["neurons"] > 0)]
        if part.empty:  # a band without width: scales of no rows would have no end
            nothing = {"before": "unclassified", "after": "unclassified", "neurons": 0, "low": 0.0, "high": 0.0}
            frames.append(pd.DataFrame({"at": [0.0, 1.0], **nothing, **pair}))
        sides = []
        for first, second in (("before", "after"), ("after", "before")):
            order = part.assign(i=part[first].map(kinds.index), j=part[second].map(kinds.index)).sort_values(["i", "j"])
            sides.append((order["neurons"].cumsum() - order["neurons"]).to_dict())
        for number, row in part.iterrows():
            at = np.linspace(0, 1, points)
            bend = at * at * (3 - 2 * at)
            low = (1 - bend) * sides[0][number] + bend * sides[1][number]
            own = pair | {n: row[n] for n in ("before", "after", "neurons")}
            frames.append(pd.DataFrame({"at": at, "low": low, "high": low + row["neurons"], **own}))
    return pd.concat(frames, ignore_index=True).round(2)


def measure_changes(table: pd.DataFrame) -> alt.LayerChart:
    """What the models do, before and after, by language.

    Args:
        table: rows of :func:`neuroglot.alignment.answers.measure_changes`, with ``measure`` and ``model``.
    """
    data = _change_data(table)
    picks = [choice(data, "measure", "measure"), choice(data, "model", "model")]
    base = alt.Chart(data).transform_filter("datum.measure == measure_ && datum.model == model_")
    y = alt.Y("language:N", title=None, sort=list(dict.fromkeys(data["language"])))
    zero = base.mark_rule(strokeDash=[2, 2]).encode(x=alt.datum(0))
    marks = _change_layers(base, "x", {"y": y}, alt.X("change:Q", title="change"), alt.value(DONE_COLORS["language"]))
    return finish(
        (zero + marks + unit_legend(base, data)).add_params(*picks),
        "Does the model do better afterwards?",
        _MARKS,
        "Points: change of a measure in each language.",
        width="container",
        height=alt.Step(22),
    )


def language_changes(table: pd.DataFrame) -> alt.FacetChart:
    """Change in the specific and related neurons of each language, those trained on and the others.

    Args:
        table: rows of :meth:`neuroglot.alignment.comparison.Changes.table` for languages and their means, with
            ``model``, ``thresholds`` and ``group`` (``"trained on"``, ``"pivot"`` or ``"others"``).
    """
    data = _change_data(table)
    picks = [choice(data, "model", "model"), choice(data, "thresholds", "tau and lambda")]
    base = alt.Chart(data).transform_filter("datum.model == model_ && datum.thresholds == thresholds_")
    y = alt.Y("place:N", title=None, sort=list(dict.fromkeys(data["place"])))
    color = alt.Color(
        "group:N",
        scale=alt.Scale(domain=["trained on", "pivot", "others"], range=["#d55e00", "#cc79a7", "#0072b2"]),
    )
    zero = base.mark_rule(strokeDash=[2, 2]).encode(x=alt.datum(0))
    marks = _change_layers(base, "x", {"y": y}, alt.X("change:Q", title="change in neurons"), color)
    rows = data["place"].nunique()
    chart = (
        (zero + marks)
        .properties(width=255, height=22 * rows)
        .facet(column=alt.Column("kind:N", title=None, sort=["specific", "related"]))
    )
    return finish(
        chart.resolve_scale(x="independent").add_params(*picks),
        "Do languages change that were not trained on?",
        _MARKS,
        "Points: change in specific and related neurons of each language.",
    )


def language_sizes(table: pd.DataFrame, pivot: str) -> alt.FacetChart:
    """Specific and related neurons of each language, before and after, one language apart.

    Args:
        table: from :func:`neuroglot.alignment.stability.sizes`; rows of languages only.
        pivot: the language drawn in another colour.
    """
    data = table.assign(apart=np.where(table["place"] == pivot, pivot, "others")).round(2)
    pick = choice(data, "when", "model")
    base = alt.Chart(data).transform_filter("datum.when == when_")
    y = alt.Y("place:N", title=None, sort=list(dict.fromkeys(data["place"])))
    color = alt.Color("apart:N", scale=alt.Scale(domain=[pivot, "others"], range=["#cc79a7", "#0072b2"]))
    tips = ["place", "kind", *(alt.Tooltip(f"{n}:Q", format=",.1f") for n in ("neurons", "low", "high"))]
    x = alt.X("neurons:Q", title="neurons", scale=alt.Scale(zero=True))
    ends, _ = drawn(base, "neurons", "low", "high")  # without length it is not seen
    spans = ends.mark_rule(strokeWidth=1.5).encode(x=on(x, "low_drawn:Q"), x2="high_drawn:Q", y=y, color=color)
    points = base.mark_point(filled=True, size=60, opacity=1).encode(x=x, y=y, color=color, tooltip=tips)
    rows = data["place"].nunique()
    chart = (spans + points).properties(width=255, height=22 * rows)
    return finish(
        chart.facet(column=alt.Column("kind:N", title=None, sort=["specific", "related"]))
        .resolve_scale(x="independent")
        .add_params(pick),
        "Does one language have fewer neurons of its own?",
        "Lines: 95 % intervals, from halves of the text",
        "Points: number of specific and related neurons of each language.",
    )


def overlaps(table: pd.DataFrame) -> alt.FacetChart:
    """How far the same types are found again, from :func:`neuroglot.alignment.stability.stability`."""
    data = table.round(4)
    base = alt.Chart(data)
    y = alt.Y("comparison:N", title=None, sort=list(dict.fromkeys(data["comparison"])), axis=alt.Axis(labelLimit=260))
    color = alt.Color("kind:N", scale=kind_scale(), legend=None)
    tips = [
        "comparison",
        "kind",
        alt.Tooltip("jaccard:Q", title="overlap, mean over splits", format=".1%"),
        alt.Tooltip("low:Q", title="95 % from", format=".1%"),
        alt.Tooltip("high:Q", title="to", format=".1%"),
        alt.Tooltip("halves:Q", title="two halves of one text, as much of it", format=".1%"),
        alt.Tooltip("verdict:N", title="beside that"),
        alt.Tooltip("whole:Q", title="overlap on all text", format=".1%"),
        alt.Tooltip("of_first:Q", title="share of the first found again", format=".1%"),
        alt.Tooltip("chance:Q", title="random sets", format=".1%"),
    ]
    x = alt.X(
        "jaccard:Q", title="in both / in either", axis=alt.Axis(format="%", tickCount=3), scale=alt.Scale(domain=[0, 1])
    )
    marks = {name: drawn(base, "jaccard", name) for name in ("chance", "halves", "jaccard")}
    where = {
        name: {"x": on(x, f"{name}_drawn:Q"), "y": y, "tooltip": tips, "opacity": seen(there)}
        for name, (_, there) in marks.items()
    }
    chance = marks["chance"][0].mark_tick(color=DONE_COLORS["random"], thickness=2.5, size=13).encode(**where["chance"])
    ends, both = drawn(base, "jaccard", "low", "high")
    spans = ends.mark_rule(strokeWidth=1.5).encode(
        x=on(x, "low_drawn:Q"), x2="high_drawn:Q", y=y, color=color, opacity=seen(both)
    )
    points = marks["jaccard"][0].mark_point(filled=True, size=60).encode(**where["jaccard"], color=color)
    ring = marks["halves"][0].mark_point(size=110, strokeWidth=1.5, color=DONE_COLORS["random"])
    halves = ring.encode(**where["halves"])
    rows = data["comparison"].nunique()
    chart = (
        (chance + halves + spans + points)
        .properties(width=130, height=24 * rows)
        .facet(column=alt.Column("kind:N", title=None, sort=TYPED))
    )
    return finish(
        chart,
        "Are the same neurons found again?",
        "Lines: 95 % intervals over shards. Grey ring: two halves of one text, of as many tokens; tick: random sets",
        "Points: overlap of the sets of neurons in each comparison, by type.",
    )
