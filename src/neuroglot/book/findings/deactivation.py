"""What chapter 05 says in words; its tables are those of :class:`neuroglot.effects.matrix.Effects`."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from ...effects.matrix import in_nats
from ...effects.removals import BOTH
from ...model.likelihood import Losses
from ...text.corpora import Corpus
from ..markup import language, myst
from .words import counted, interval, number

Row = Mapping[Hashable, Any]  # of a summary, by the names of its columns

_VERDICTS = {"more": "more harm than", "less": "less harm than", "within": "no more harm than"}


def not_measured(empty: Mapping[str, Sequence[str]]) -> str:
    """Which languages have no neuron in a set, as :func:`neuroglot.effects.removals.empty_sets` has it; or nothing."""
    each = [f"{set_} ({myst(', '.join(having_none))})" for set_, having_none in empty.items()]
    return f"No neuron to remove, so not measured and in no mean: {'; '.join(each)}." if each else ""


def opening(cells: pd.DataFrame, summary: pd.DataFrame, pivot: str) -> str:
    """What removing a language's specific and related neurons does to itself and to the others, and random ones do."""
    rows = _in_nats(summary, BOTH)
    own, others = rows["own language"], rows["other languages"]
    if not _any_neuron(cells, BOTH):
        lead = "There is no specific or related neuron to remove"
    elif pd.isna(own["effect"]):
        lead = "What removing a language's neurons does to it is not known here"
    else:
        way, size = _moves(own)
        lead = (
            f"Removing a language's specific and related neurons {way} its own log-perplexity (nats per token) {size}"
        )
        if pd.notna(others["effect"]):
            other_way, size = _moves(others)
            lead += f" and {'' if other_way == way else other_way + ' '}the others' {size}"
        apart = f"; {language(pivot)} is left out of these means" if "pivot, own" in rows else ""
        lead += f"; {_random_beside(own, others)}{apart}"
    return f"**{lead}.**"


def found(cells: pd.DataFrame, summary: pd.DataFrame, pivot: str) -> str:
    """A list: what each set does, and the pivot's neurons."""
    items = [_of_set(cells, summary, set_) for set_ in in_nats(summary)["set"].unique()]
    return "\n".join(f"- {item}" for item in [*items, _of_pivot(cells, summary, pivot)] if item)


def no_more_harm(cells: pd.DataFrame) -> str:
    """Where a language's own neurons do no more harm to it than random ones; nothing where that is not known."""
    own = in_nats(cells[cells["removed"] == cells["language"]])
    if own["verdict"].isna().all():
        return ""
    as_random = own[own["verdict"].isin(["within", "less"])]
    each = [f"{set_}: {myst(', '.join(part['removed']))}" for set_, part in as_random.groupby("set", sort=False)]
    return f"On the diagonal, no more harm than random neurons do: {'; '.join(each) or 'nowhere'}."


def half(doses: pd.DataFrame) -> str:
    """How much of the harm half of the neurons do; nothing where all of them do hardly any.

    Args:
        doses: from :func:`neuroglot.effects.matrix.of_doses`.
    """
    full, part = (doses[doses["dose"] == dose].groupby("order")["effect"].mean() for dose in (1, 0.5))
    if part.empty or not (full.reindex(["score", "shuffled"]) > 0.05).all():
        return ""
    scored, shuffled = (number(part[order] / full[order], "{:.0%}") for order in ("score", "shuffled"))
    return (
        f"Half of the neurons, the lowest scores first, do {scored} of the harm of all, half in one random order "
        f"{shuffled} (of means over languages, no intervals)."
    )


def rests_on(measured: Losses, random: Losses, draws: int) -> str:
    """On how much text, and on how many random draws; and what harm does not prove."""
    return (
        f"All this rests on {measured.tokens.sum():,} scored tokens of "
        f"{counted(len(measured.units), 'different wording')}, {counted(draws, 'random draw')} beside each cell on "
        f"{random.tokens.sum():,}. A neuron set to zero also gives the layers above values they never see otherwise, "
        "so harm is not proof of a function."
    )


def left_out(answers: pd.DataFrame) -> str:
    """How many answers the change in fidelity lacks; nothing where it lacks none."""
    lost = int(answers.loc[answers["measure"] == "change in language fidelity", "left_out"].sum())
    if not lost:
        return ""
    return f"Left out of the change in fidelity, for lack of a letter before or after: {counted(lost, 'answer')}."


def of_questions(summary: pd.DataFrame, asked: Corpus) -> str:
    """What removals change in accuracy and language fidelity.

    Args:
        summary: of :func:`neuroglot.effects.matrix.of_answers`.
        asked: the questions.
    """
    parts = []
    for measure in ("accuracy", "language fidelity"):
        rows = _by_cells(summary[summary["measure"] == f"change in {measure}"])
        own, others = rows["own language"], rows["other languages"]
        parts.append(
            f"{measure} changes by {_points(own)} in a language whose neurons are removed, by {_points(others)} in the "
            f"others, and by {number(100 * own['random'], '{:+.0f}')} with random neurons"
        )
    few = (
        " With so few questions only large differences would show."
        if len(asked.examples) < 20 * len(asked.languages)
        else ""
    )
    return f"On {counted(len(asked.examples), 'question')}, in percentage points: {'; '.join(parts)}.{few}"


def _by_cells(summary: pd.DataFrame) -> dict[str, Row]:
    return {row["cells"]: row for row in summary.to_dict("records")}


def _in_nats(summary: pd.DataFrame, set_: str) -> dict[str, Row]:
    return _by_cells(in_nats(summary[summary["set"] == set_]))


def _any_neuron(cells: pd.DataFrame, set_: str) -> bool:
    return bool(cells.loc[cells["set"] == set_, "neurons"].any())


def _moves(row: Row) -> tuple[str, str]:
    """Which way a removal moves log-perplexity, and by how much, with its interval."""
    sign = -1 if row["effect"] < 0 else 1
    low, high = sorted([sign * row["low"], sign * row["high"]])
    return "lowers" if sign < 0 else "raises", f"by {abs(row['effect']):.2f} ({interval(low, high, '{:.2f}')})"


def _random_beside(own: Row, others: Row) -> str:
    """What as many random neurons change, in the language itself and in the others."""
    beside: list[str] = []
    for whose, row in (("its own", own), ("the others'", others)):
        if pd.notna(row["effect"]) and pd.notna(row["random"]):
            harm = _VERDICTS.get(row["verdict"])
            harm = f" (the removal does {harm} another draw would)" if harm else ""
            beside.append(f"{whose} by {number(row['random'], '{:+.2f}')}{harm}")
    return f"as many random neurons change {' and '.join(beside)}" if beside else "no random neurons stand beside"


def _nats(row: Row) -> str:
    return f"{number(row['effect'], '{:+.2f}')} ({interval(row['low'], row['high'], '{:+.2f}')})"


def _points(row: Row) -> str:
    return f"{number(100 * row['effect'], '{:+.0f}')} ({interval(100 * row['low'], 100 * row['high'], '{:+.0f}')})"


def _of_set(cells: pd.DataFrame, summary: pd.DataFrame, set_: str) -> str:
    if not _any_neuron(cells, set_):
        return f"**{set_}**: there is no such neuron in any language, so nothing was measured."
    rows = _in_nats(summary, set_)
    own, others = rows["own language"], rows["other languages"]
    beside = "there is no interval of random draws to set beside it"
    if harm := _VERDICTS.get(own["verdict"]):
        beside = f"random neurons change it by {number(own['random'], '{:+.2f}')}: {harm} another such draw would do"
    return (
        f"**{set_}**: removing them changes a language's own log-perplexity (nats per token) by {_nats(own)} on "
        f"average and the others' by {_nats(others)}; {beside}. The largest effect of a removal is on the language "
        f"itself in {own['own_largest']} of {own['rows']} language{'' if own['rows'] == 1 else 's'}, and in "
        f"{own['own_worst']} of {own['rows']} the removal of its own neurons harms a language most."
    )


def _of_pivot(cells: pd.DataFrame, summary: pd.DataFrame, pivot: str) -> str:
    rows = _in_nats(summary, BOTH)
    if "pivot, own" not in rows or not _any_neuron(cells, BOTH):
        return ""
    which = ("pivot, own", "pivot removed, others", "others removed, pivot")
    own, others, by_others = (number(rows[cells_]["effect"], "{:+.2f}") for cells_ in which)
    return (
        f"{language(pivot)}: removing its neurons changes its own log-perplexity by {own} and the others' by {others}; "
        f"removing theirs changes it by {by_others}. (The paper finds that deactivating English hardly matters.)"
    )
