"""What chapter 05 says in words; its tables are those of :class:`neuroglot.effects.matrix.Effects`."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...base.uncertainty import LESS, MORE, SAME
from ...effects.choices import LANGUAGE, NUMBER, RESULT
from ...effects.matrix import ALL, AS_MANY, MATCHED, MIDDLE, OTHERS, OWN, in_nats
from ...effects.removals import BOTH
from ...model.likelihood import Losses
from ...text.corpora import Corpus
from ..markup import language, myst
from .words import counted, interval, number, rows_by

Row = Mapping[Hashable, Any]  # of a table, by the names of its columns

_BESIDE = {
    MATCHED: "random neurons that are as often active",
    OTHERS: "the other languages' neurons",
    AS_MANY: "as many of the other languages' neurons",
}


def not_measured(empty: Mapping[str, Sequence[str]]) -> str:
    """Which languages have no neuron in a set, as :func:`neuroglot.effects.removals.empty_sets` has it; or nothing."""
    each = [f"{set_} ({myst(', '.join(having_none))})" for set_, having_none in empty.items()]
    return f"No neuron to remove, so not measured and in no mean: {'; '.join(each)}." if each else ""


def opening(contrasts: pd.DataFrame) -> str:
    """What removing a language's specific and related neurons does to it, beside random and other languages' ones."""
    rows = _of_all(contrasts, BOTH)
    if OWN not in rows:
        return "**What removing a language's specific and related neurons does to it is not known here.**"
    own, middle = rows[OWN], rows_by(contrasts, "set", "what", "language").get((BOTH, OWN, MIDDLE), {})
    way = "lowers" if own["effect"] < 0 else "raises"
    low, high = _ends(own)
    lines = [
        f"**Switching off a language's specific and related neurons {way} its own log-perplexity by "
        f"{abs(own['effect']):.2f} nats per token ({interval(low, high, '{:.2f}')}).**"
    ]
    beside = _beside(rows)
    if beside:
        lines.append(f"**That is {', and '.join(_less(what, row) for what, row in beside.items())}.**")
    asides = [f"In the language in the middle it is {number(middle.get('effect'), '{:+.2f}')}", *_asides(beside)]
    return "\n\n".join([*lines, f"*{'; '.join(asides)}.*"])


def found(contrasts: pd.DataFrame, summary: pd.DataFrame, pivot: str) -> str:
    """A list: in which languages each set does more than what stands beside it, the matrix, and the pivot.

    Args:
        contrasts, summary: of :class:`neuroglot.effects.matrix.Effects`.
        pivot: the language looked at apart.
    """
    items = [_of_set(contrasts, set_) for set_ in dict.fromkeys(contrasts["set"])]
    items += [_of_matrix(summary), _of_general(summary), _of_pivot(summary, pivot)]
    return "\n".join(f"- {item}" for item in items if item)


def matches(report: pd.DataFrame) -> str:
    """How well random neurons match the sets that they stand beside.

    Args:
        report: from :func:`neuroglot.effects.removals.match_report`.
    """
    drawn = report[(report["order"] == "matched") & (report["neurons"] > 0)]
    if drawn.empty:
        return "No random neurons stand beside."
    rates = [number(drawn[name].mean(), "{:.1%}") for name in ("rate", "drawn_rate")]
    squares = drawn["drawn_square"].mean() / drawn["square"].mean() if drawn["square"].notna().any() else np.nan
    square = (
        "" if np.isnan(squares) else f" The mean square of what they pass on is {squares:.2f} times that of theirs."
    )
    short = int(drawn["short"].sum())
    lacking = f" {counted(short, 'random neuron')} could not be found." if short else ""
    return (
        f"A language's specific and related neurons are active on {rates[0]} of its tokens, their random stand-ins "
        f"on {rates[1]}; the farthest two in a layer are {number(drawn['farthest'].max(), '{:.2f}')} apart.{square}"
        f"{lacking}"
    )


def half(doses: pd.DataFrame) -> str:
    """How much of the harm half of the neurons do; nothing where all of them do hardly any.

    Args:
        doses: from :func:`neuroglot.effects.matrix.of_doses`.
    """
    mean = doses[doses["language"] == ALL]
    full, part = (mean[mean["dose"] == dose].set_index("order")["effect"] for dose in (1, 0.5))
    if part.empty or not (full.reindex(["score", "shuffled"]) > 0.05).all():
        return ""
    scored, shuffled = (number(part.get(order, np.nan) / full[order], "{:.0%}") for order in ("score", "shuffled"))
    return (
        f"Half of the neurons, the lowest scores first, do {scored} of the harm of all, half in one random order "
        f"{shuffled} (of means over languages)."
    )


def rests_on(measured: Losses, few: Losses, draws: int) -> str:
    """On how much text, and on how many random draws; and what harm does not prove."""
    if len(measured.rows) < 2:  # the model as it is
        return "No neuron was removed, so nothing stands beside the model as it is."
    return (
        f"All this rests on {measured.tokens.sum():,} scored tokens of "
        f"{counted(len(measured.units), 'different wording')} and {counted(draws, 'draw')} of random neurons; the "
        f"whole matrices of the other two sets on {counted(len(few.units), 'wording')}. A neuron set to zero also "
        "gives the layers above values they never see otherwise, so harm is not proof of a function."
    )


def of_other_text(contrasts: pd.DataFrame, name: str) -> str:
    """The same contrasts on text of another kind."""
    rows = _of_all(contrasts, BOTH)
    beside = _beside(rows)
    if OWN not in rows or not beside:
        return f"On {myst(name)} nothing is known."
    asides = "; ".join(_asides(beside))
    return (
        f"On {myst(name)}, text of another kind that was not counted either, they change a language's own "
        f"log-perplexity by {_nats(rows[OWN])}: {', and '.join(_less(what, row) for what, row in beside.items())}"
        f".{f' There, {asides}.' if asides else ''}"
    )


def chosen(choices: pd.DataFrame) -> str:
    """In how many languages a removal moves each forced choice more than random neurons do.

    Args:
        choices: from :func:`neuroglot.effects.choices.of_choices`.
    """
    if choices.empty:
        return "*Forced choices are not measured: this text has no solutions to choose among.*"
    said = []
    for measure, rows in choices.groupby("measure", sort=False):
        asked = counted(int(rows["questions"].sum()), "choice")
        parts = [f"{len(rows)} languages, {asked}, right in {rows['share'].mean():.0%} of them"]
        for verdict, words in ((LESS, "less sure than with random neurons"), (MORE, "surer")):
            codes = rows.loc[rows["verdict"] == verdict, "language"]
            parts += [f"{words} in {myst(', '.join(codes))}"] if len(codes) else []
        same = rows[rows["verdict"] == SAME]
        if len(same):
            parts.append(
                f"not told apart from random neurons in {len(same)} (a change of {same['detectable'].median():.1f} "
                "nats would have been found in half of them)"
            )
        said.append(f"- **{_NAMES.get(str(measure), measure)}**: {'; '.join(parts)}.")
    return "\n".join(said)


_NAMES = {
    RESULT: "The right result (reckoning)",
    NUMBER: "The right last number (consistency)",
    LANGUAGE: "The right language",
}


def left_out(answers: pd.DataFrame) -> str:
    """How many answers the change in fidelity lacks; nothing where it lacks none."""
    lost = int(answers.loc[answers["measure"] == "change in language fidelity", "left_out"].sum())
    if not lost:
        return ""
    return f"Left out of the change in fidelity, for lack of a letter before or after: {counted(lost, 'answer')}."


def of_questions(contrasts: pd.DataFrame, answers: pd.DataFrame, asked: Corpus) -> str:
    """What removals change in accuracy and language fidelity.

    Args:
        contrasts, answers: contrasts and table of :func:`neuroglot.effects.matrix.of_answers`.
        asked: the questions.
    """
    own = answers[(answers["measure"] == "change in accuracy") & (answers["removed"] == answers["language"])]
    again = round(float((own["before"] * own["size"]).sum()))
    numbers = Counter(example.language for example in asked.examples)
    each = ", ".join(f"{myst(code)} {size}" for code, size in numbers.items())
    parts = []
    for measure in ("accuracy", "language fidelity"):
        rows = _of_all(contrasts[contrasts["measure"] == f"change in {measure}"], BOTH)
        if OWN not in rows:
            parts.append(f"{measure}: no number")
            continue
        beside = [
            f"{number(100 * rows[what]['effect'], '{:+.0f}')} with {_BESIDE[what]}"
            for what in (MATCHED, OTHERS)
            if what in rows
        ]
        parts.append(f"{measure} changes by {_points(rows[OWN])} in the language itself ({', '.join(beside)})")
    return (
        f"{counted(len(asked.examples), 'question')} that the model had answered rightly ({each}) were asked again "
        f"under the same conditions, and {again} were right again. In percentage points: {'; '.join(parts)}."
    )


def _of_all(contrasts: pd.DataFrame, set_: str) -> dict[str, Row]:
    rows = contrasts[(contrasts["set"] == set_) & (contrasts["language"] == ALL)]
    return {row["what"]: row for row in rows.to_dict("records")}


def _ends(row: Row) -> tuple[float, float]:
    sign = -1 if row["effect"] < 0 else 1
    low, high = sorted([sign * row["low"], sign * row["high"]])
    return low, high


def _less(what: str, row: Row) -> str:
    """How far own and others are apart, in words."""
    ends = interval(row["low"], row["high"], "{:+.2f}")
    if row["verdict"] in (MORE, LESS):
        return f"{abs(row['effect']):.2f} {row['verdict']} than with {_BESIDE[what]} ({ends})"
    if row["verdict"] == SAME:
        return f"not told apart from {_BESIDE[what]} ({number(row['effect'], '{:+.2f}')}, {ends})"
    return f"{number(row['effect'], '{:+.2f}')} beside {_BESIDE[what]} ({ends})"


def _beside(rows: Mapping[str, Row]) -> dict[str, Row]:
    """The contrasts of a headline."""
    return {what: rows[f"own less {what}"] for what in (MATCHED, OTHERS) if f"own less {what}" in rows}


def _asides(beside: Mapping[str, Row]) -> list[str]:
    """How small a difference would have been found, and how many deals of the sets to the languages give as much."""
    said = [
        f"beside {_BESIDE[what]} {row['detectable']:.2f} would have been found"
        for what, row in beside.items()
        if row["verdict"] == SAME
    ]
    if OTHERS in beside and not pd.isna(beside[OTHERS]["p"]):
        said.append(f"dealt to the languages at random, {beside[OTHERS]['p']:.2g} of the deals give as much")
    return said


def _of_set(contrasts: pd.DataFrame, set_: str) -> str:
    """In which languages a set does more than what stands beside it."""
    rows = contrasts[(contrasts["set"] == set_) & ~contrasts["language"].isin([ALL, MIDDLE])]
    parts = []
    for what in (MATCHED, OTHERS, AS_MANY):
        mine = rows[rows["what"] == f"own less {what}"]
        if mine.empty or mine["verdict"].isna().all():
            continue
        more, less, same = (mine.loc[mine["verdict"] == v, "language"] for v in (MORE, LESS, SAME))
        said = [f"more harm in {_codes(more)}"] + ([f"less in {_codes(less)}"] if len(less) else [])
        said += [f"not told apart in {_codes(same)}"] if len(same) else []
        parts.append(f"beside {_BESIDE[what]}, {', '.join(said)}")
    all_ = _of_all(contrasts, set_)
    mean = f" {_nats(all_[OWN])} on average." if OWN in all_ else ""
    beside = f" By language, {'; '.join(parts)}." if parts else " No verdict is possible on what stands beside it."
    return f"**{set_}**, in the language itself:{mean}{beside}"


def _codes(codes: "pd.Series[str]") -> str:
    return myst(", ".join(codes)) if len(codes) else "none"


def _of_matrix(summary: pd.DataFrame) -> str:
    rows = _in_nats(summary, BOTH)
    own = rows.get("own language")
    if own is None or pd.isna(own["effect"]):
        return ""
    of = f"{own['rows']} language{'' if own['rows'] == 1 else 's'}"
    return (
        f"In the matrix of {BOTH} neurons, the largest effect of a removal is on the language itself in "
        f"{own['own_largest']} of {of}, and in {own['own_worst']} the removal of its own neurons harms a language most."
    )


def _of_general(summary: pd.DataFrame) -> str:
    rows = _in_nats(summary, f"{BOTH} + general")
    own, others = rows.get("own language"), rows.get("other languages")
    if own is None or others is None or pd.isna(own["effect"]):
        return ""
    return (
        f"With the general neurons gone too, log-perplexity changes by {_nats(own)} in the language itself and by "
        f"{_nats(others)} in the others: that is the end of the model, not of a language."
    )


def _of_pivot(summary: pd.DataFrame, pivot: str) -> str:
    rows = _in_nats(summary, BOTH)
    which = ("pivot, own", "pivot removed, others", "others removed, pivot")
    if not set(which) <= set(rows) or pd.isna(rows[which[0]]["effect"]):
        return ""
    own, others, by_others = (_nats(rows[cells]) for cells in which)
    return (
        f"{language(pivot)}: removing its neurons changes its own log-perplexity by {own} and the others' by {others}; "
        f"removing theirs changes it by {by_others}. (The paper finds that deactivating English hardly matters.)"
    )


def _in_nats(summary: pd.DataFrame, set_: str) -> dict[str, Row]:
    return {row["cells"]: row for row in in_nats(summary[summary["set"] == set_]).to_dict("records")}


def _nats(row: Row) -> str:
    return f"{number(row['effect'], '{:+.2f}')} ({interval(row['low'], row['high'], '{:+.2f}')})"


def _points(row: Row) -> str:
    return f"{number(100 * row['effect'], '{:+.0f}')} ({interval(100 * row['low'], 100 * row['high'], '{:+.0f}')})"
