"""What chapter 07 says in words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...alignment.contrasts import LEAST_TRAININGS
from ...alignment.reading import in_words
from ...base.tables import first_rows
from ...base.uncertainty import LESS, MORE, NOT_KNOWN
from ..markup import language, myst
from .words import counted, interval, number

if TYPE_CHECKING:
    from ...alignment.training import Recipe

#: Said where no model is trained.
NO_TRAINING = "*No training here: the models compared were made elsewhere.*"

#: Said where thresholds cannot be solved again.
ONLY_KEPT = "*No lambda fits all of these models, so thresholds are only kept, and not solved again.*"


def pairs_seen(pairs: int) -> str:
    """How many pairs a training sees, before the first of all."""
    return f"The training sees {pairs} of them, drawn at random. The first one:"


def notes(other_tokenizer: Sequence[tuple[str, str]], answers: Mapping[str, str], table: pd.DataFrame) -> str:
    """What is not compared, what to know of the answers, and what is left out; nothing where there is nothing to say.

    Args:
        other_tokenizer: models, and measures that are not compared, from
            :func:`neuroglot.alignment.overview.model_changes`.
        answers: what to know of each model's, from :func:`neuroglot.effects.grading.caveats`.
        table: of :func:`left_out`.
    """
    said = [
        f"*{myst(name)} has another tokenizer, so its {what} is not to be compared.*" for name, what in other_tokenizer
    ]
    said += [f"*{myst(f'{name}: {words}')}*" for name, words in answers.items()]
    return "\n\n".join(filter(None, [*said, left_out(table)]))


def opening(changed: pd.DataFrame, on: Sequence[str]) -> str:
    """Whether alignment changes the numbers of specific and of related neurons, in the first model of the table.

    Args:
        changed: from :func:`neuroglot.alignment.overview.neuron_changes`.
        on: the languages that this model was trained on; none where that is not known.
    """
    first = _totals(changed)
    how = f"on {' and '.join(map(language, on))}" if on else f"(the model {myst(first['model'].iloc[0])})"
    two = first[first["kind"] != "general"]
    said = ", ".join(f"{kind} neurons {verdict}" for kind, verdict in zip(two["kind"], _said(two), strict=True))
    return f"**After alignment {how}: {said}.**\n\n{basis(first)}"


def basis(rows: pd.DataFrame) -> str:
    """What verdicts are against and what they hold for, of the rows of one model and thresholds; one clause each."""
    trainings, control = int(rows["trainings"].iloc[0]), rows["null"].notna().any()
    against = ("their controls" if trainings > 1 else "its control") if control else "the model before"
    models = f"{trainings} trainings" if trainings > 1 else "one training"
    holds = "another text and another training" if trainings > 1 else "another text, not for another training"
    return f"*That is {models} against {against}, thresholds {rows['thresholds'].iloc[0]}; it holds for {holds}.*"


def _totals(changed: pd.DataFrame) -> pd.DataFrame:
    """Neurons of each type, in the first model of the table with the first thresholds."""
    return _first(changed, "all")


def _first(changed: pd.DataFrame, what: str) -> pd.DataFrame:
    """What is said of one kind of number, in the first model and with the first thresholds."""
    first = first_rows(changed, "model", "thresholds")
    return first[first["what"] == what]


def _said(rows: pd.DataFrame) -> list[str]:
    return rows["verdict"].fillna(NOT_KNOWN).tolist()


def summary(changed: pd.DataFrame) -> str:
    """What was found of the types, in the first model of the table with the first thresholds.

    Args:
        changed: from :func:`neuroglot.alignment.overview.neuron_changes`.
    """
    totals, layers = _totals(changed), _first(changed, "layer")
    each = zip(totals["kind"], in_words(totals), strict=True)
    said = [f"- Neurons of each type: {'; '.join(f'{kind} {words}' for kind, words in each)}."]
    told = int(layers["verdict"].isin([MORE, LESS]).sum())
    known = int(layers["verdict"].notna().sum())
    said.append(f"- Types in layers: of {counted(known, 'change')} that can be judged, {told} are told apart.")
    return "\n".join([*said, _style(changed)])


def _style(changed: pd.DataFrame) -> str:
    """Whether preferring does more than training on the chosen answers alone."""
    lead, thresholds = changed[["model", "thresholds"]].iloc[0]
    mine = changed[(changed["model"] == f"{lead}, less chosen only") & (changed["thresholds"] == thresholds)]
    rows = mine[(mine["what"] == "all") & (mine["kind"] != "general")]
    if rows.empty:
        return (
            "- Style or preference: no model was trained on the chosen answers alone (`chosen_only`), so they are not "
            "told apart here."
        )
    ends = [interval(*pair, "{:+,.0f}") for pair in zip(rows["contrast_low"], rows["contrast_high"], strict=True)]
    each = [
        f"{kind} neurons {number(by, '{:+,.0f}')} ({span}), {verdict}"
        for kind, by, span, verdict in zip(rows["kind"], rows["contrast"], ends, _said(rows), strict=True)
    ]
    return f"- Style or preference: less the training on the chosen answers alone, {'; '.join(each)}."


def beside_paper(shared: pd.DataFrame) -> str:
    """The change in neurons of one language beside the paper's.

    Args:
        shared: from :func:`neuroglot.alignment.overview.shared_beside_paper`.
    """
    row = shared.loc[[1]].to_dict("records")[0]
    here = f"{number(row['change'], '{:+.1%}')} ({interval(row['low'], row['high'], '{:+.1%}')})"
    by = number(row["control"], "{:+.1%}")
    control = "" if pd.isna(row["control"]) else f", by {by} after the control's training"
    paper = f"; in the paper by {number(row['paper'], '{:+.1%}')}" if "paper" in shared else ""
    return f"Neurons active in one language change by {here}{control}{paper}."


def caveats(recipe: "Recipe | None", trainings: int, control: bool) -> str:
    """What all of it rests on.

    Args:
        recipe: how the models were trained; ``None`` where none was trained here.
        trainings: how many of each kind.
        control: whether there is one.
    """
    return f"{_training(recipe)}{_chance(trainings, control)}"


def _chance(trainings: int, control: bool) -> str:
    if trainings >= LEAST_TRAININGS:
        return f"Intervals cover the choice of text and, with {trainings} trainings of each kind, that of the training."
    said = "" if control else "There is no control, so a change may be any training's. "
    return (
        f"{said}Intervals cover the choice of text alone: another seed gives another model, and {LEAST_TRAININGS} "
        "trainings of each kind (`seeds`) say by how much."
    )


def _training(recipe: "Recipe | None") -> str:
    from ...alignment.training import PRESETS

    if recipe is None:
        return ""
    own = f"{counted(recipe.steps, 'step')} of {counted(recipe.batch, 'pair')}"
    small = (
        f"The training has {own}, the paper's has 1,000 of 16, on models of 7 billion parameters: nothing here "
        "contradicts or confirms what theirs did. "
    )
    wording = (
        "Its questions share no wording with the held-out text, but may with the text that neurons are counted on. "
    )
    return wording if recipe == PRESETS["paper"] else small + wording


def left_out(table: pd.DataFrame) -> str:
    """What :func:`neuroglot.alignment.answers.measure_changes` left out; nothing where it left out nothing.

    Args:
        table: its rows, with ``measure`` and ``model``.
    """
    lost = table[(table["left_out"] > 0) & ~table["language"].str.startswith("mean of ")]
    if lost.empty:
        return ""
    each = [
        f"{myst(model)}, {str(measure).removeprefix('change in ')}: {', '.join(map(_lost, part.itertuples()))}"
        for (model, measure), part in lost.groupby(["model", "measure"], sort=False)
    ]
    return f"*Left out, since one of the models compared has no value there: {'; '.join(each)}.*"


def _lost(row: Any) -> str:
    return f"{counted(row.left_out, 'text')} in {myst(row.language)}"
