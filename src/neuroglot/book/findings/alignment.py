"""What chapter 07 says in words."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from ...alignment.comparison import in_words
from ..markup import language, myst

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
    totals = _totals(changed)
    first = totals[(totals["thresholds"] == totals["thresholds"].iloc[0]) & (totals["kind"] != "general")]
    each = zip(first["kind"], first["before"], first["after"], in_words(first), strict=True)
    said = [f"{kind} from {was:,.0f} to {now:,.0f}, by {words.replace(': ', ', ')}" for kind, was, now, words in each]
    how = f"on {' and '.join(map(language, on))}" if on else f"(the model {myst(first['model'].iloc[0])})"
    return (
        f"**Alignment {how} {_answer(first)}, with the thresholds {first['thresholds'].iloc[0]}: {'; '.join(said)}.**"
    )


def _totals(changed: pd.DataFrame) -> pd.DataFrame:
    """Neurons of each type, in the first model of the table."""
    totals: pd.DataFrame = changed[(changed["what"] == "all") & (changed["model"] == changed["model"].iloc[0])]
    return totals


def _answer(first: pd.DataFrame) -> str:
    beyond = " and ".join(first.loc[first["verdict"] == "beyond noise", "kind"])
    if beyond:
        return f"changes the number{'s' * (' and ' in beyond)} of {beyond} neurons beyond noise"
    if (first["verdict"] != "not beyond noise").any():
        return "is not known to change the number of specific or of related neurons"
    return "changes neither the number of specific nor that of related neurons beyond noise"


def summary(changed: pd.DataFrame, done: pd.DataFrame, lead: str) -> str:
    """What was found: the types of the first model of the table, and what it does.

    Args:
        changed: from :func:`neuroglot.alignment.overview.neuron_changes`.
        done: from :func:`neuroglot.alignment.overview.model_changes`.
        lead: the name of the first finished model there.
    """
    said = []
    for thresholds, part in _totals(changed).groupby("thresholds", sort=False):
        each = zip(part["kind"], part["before"], part["after"], in_words(part), strict=True)
        types = [f"{kind} {was:,.0f} to {now:,.0f}, {words}" for kind, was, now, words in each]
        said.append(f"- **{myst(part['model'].iloc[0])}**, thresholds {thresholds}: {'; '.join(types)}.")
    told = done[(done["model"] == lead) & (done["language"] == "mean of all")].dropna(subset="change")
    for measure, words in zip(told["measure"], in_words(told, "{:.3f}"), strict=True):
        said.append(f"- {measure.capitalize()}, on average over languages: {words}.")
    return "\n".join(said)


def caveats(changed: pd.DataFrame, moves: pd.DataFrame, recipe: "Recipe | None") -> str:
    """How the signs compare with the paper's, where changes are beyond noise, and what all of it rests on.

    Args:
        changed: from :func:`neuroglot.alignment.overview.neuron_changes`.
        moves: from :func:`neuroglot.alignment.overview.moves`.
        recipe: how the models were trained; ``None`` where none was trained here.
    """
    layers = changed[(changed["what"] == "layer") & (changed["model"] == changed["model"].iloc[0])]
    each = [
        f"thresholds {thresholds}: {(part['verdict'] == 'beyond noise').sum()} of {len(part)} changes of a type in a "
        "layer are beyond noise"
        for thresholds, part in layers.groupby("thresholds", sort=False)
    ]
    mixed = moves[(moves["before"] == "specific") & (moves["after"] == "related") & (moves["thresholds"] == "kept")]
    turned = "; ".join(f"{myst(name)} {n:,}" for name, n in zip(mixed["model"], mixed["neurons"], strict=True))
    return (
        "The paper finds fewer specific and more related neurons after alignment: the signs here "
        f"{_signs(_totals(changed))}; the verdicts above say whether that is more than noise. "
        f"{'; '.join(each).capitalize()} (of so many, a few would be by chance). Specific neurons that became related "
        f"(thresholds kept): {turned}. {_training(recipe)}Intervals cover the choice of text; only repeated seeds "
        "cover a training's own chance, and the control is one."
    )


def _signs(totals: pd.DataFrame) -> str:
    """With which thresholds specific neurons become fewer and related ones more, as in the paper."""
    verbs: dict[str, list[str]] = {"agree": [], "do not agree": []}
    for thresholds, part in totals.groupby("thresholds", sort=False):
        change = dict(zip(part["kind"], part["change"], strict=True))
        verbs["agree" if change["specific"] < 0 < change["related"] else "do not agree"].append(str(thresholds))
    return ", and ".join(f"{verb} with thresholds {' and '.join(some)}" for verb, some in verbs.items() if some)


def _training(recipe: "Recipe | None") -> str:
    from ...alignment.training import PRESETS

    if recipe is None:
        return ""
    small = (
        f"The training has {recipe.steps} steps of {recipe.batch} pairs, the paper's has 1,000 of 16, on models of 7 "
        "billion parameters: nothing here contradicts or confirms what theirs did. "
    )
    wording = (
        "Its questions share no wording with the held-out text, but may with the text that neurons are counted on. "
    )
    return wording if recipe == PRESETS["paper"] else small + wording


def left_out(table: pd.DataFrame) -> str:
    """What :func:`neuroglot.alignment.comparison.measure_changes` left out; nothing where it left out nothing.

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
    return f"{row.left_out:,} of {row.left_out + row.units:,} in {myst(row.language)}"
