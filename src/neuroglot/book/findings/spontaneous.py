"""What chapter 08 says in words."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ...alignment.contrasts import LEAST_TRAININGS
from ...alignment.reading import in_words
from ...base.uncertainty import LESS, MORE, NOT_KNOWN
from ..markup import language, myst
from .alignment import basis


def opening(neurons: pd.DataFrame, on: Sequence[str], pivot: str) -> str:
    """Whether languages changed that were not trained on, in the first model of the table.

    Args:
        neurons: from :func:`neuroglot.alignment.overview.language_changes`.
        on: the languages that this model was trained on; none where that is not known.
        pivot: the language that others were aligned to.
    """
    first = _means(neurons)
    apart = f" ({language(pivot)} left out)" if pivot in set(neurons["place"]) else ""
    others = first[first["place"] != "mean of trained"]
    each = zip(others["kind"], others["verdict"].fillna(NOT_KNOWN), strict=True)
    said = ", ".join(f"{kind} neurons {verdict}" for kind, verdict in each)
    if not on:
        return f"**In a language on average{apart}: {said}.**\n\n{basis(first)}"
    trained = " and ".join(map(language, on))
    if others.empty:
        return f"**After training on {trained} there is no other language to look at.**\n\n{basis(first)}"
    return f"**After training on {trained}, in another language{apart}: {said}.**\n\n{basis(first)}"


def _means(neurons: pd.DataFrame) -> pd.DataFrame:
    """Means over groups of languages, of the first model with the first thresholds."""
    means = neurons[neurons["what"] == "mean"]
    first = (means[["model", "thresholds"]] == means[["model", "thresholds"]].iloc[0]).all(axis=1)
    return means[first]


def summary(neurons: pd.DataFrame, pivot: str) -> str:
    """What was found in the first model: means of neurons, with verdicts.

    Args:
        neurons: from :func:`neuroglot.alignment.overview.language_changes`.
        pivot: the language that others were aligned to.
    """
    but = f" but {language(pivot)}" if pivot in set(neurons["place"]) else ""
    whose = {"trained": "languages trained on", "others": f"other languages{but}", "all": f"all languages{but}"}
    whose = {f"mean of {group}": words for group, words in whose.items()}
    means = _means(neurons)
    notes = []
    for place, part in means.groupby("place", sort=False):
        each = zip(part["kind"], in_words(part, "{:,.1f}"), strict=True)
        notes.append(f"- Neurons in {whose[str(place)]}: {'; '.join(f'{kind} {words}' for kind, words in each)}.")
    return "\n".join([*notes, *_spread(means)])


def _spread(means: pd.DataFrame) -> list[str]:
    """Whether changes are told apart both in the languages trained on and in the others."""
    if set(means["place"]) != {"mean of trained", "mean of others"}:
        return []
    both = [str(kind) for kind, part in means.groupby("kind", sort=False) if part["verdict"].isin([MORE, LESS]).all()]
    if not both:
        return ["- Changes are told apart in both groups for no type, so nothing here shows that they spread."]
    return [f"- Changes are told apart in both groups for {' and '.join(both)} neurons."]


def caveats(
    choices: Sequence[Sequence[str]],
    trainings: int,
    controlled: bool,
    questions: int,
    scored: int,
    answers: Mapping[str, str],
) -> str:
    """What all of it rests on.

    Args:
        choices: of languages trained on; an only one of no language where that is not known.
        trainings: of each kind and choice.
        controlled: whether each has controls beside it.
        questions: of each language that accuracy rests on; 0 where none were answered.
        scored: questions that the alignment score rests on.
        answers: what to know of each model's, from :func:`neuroglot.effects.grading.caveats`.
    """
    said = ["The model was aligned elsewhere, so which languages it was trained on is not known here. "]
    if any(choices):
        few = trainings < LEAST_TRAININGS
        said = [
            f"{len(choices)} choice{'s' * (len(choices) > 1)} of languages, each with {trainings} training"
            f"{'s' * (trainings > 1)} and {'as many controls' if controlled else 'no control'}: "
            + ("verdicts are of the text, not of trainings. " if few else "verdicts are of text and trainings. ")
        ]
    if questions:
        said.append(f"Accuracy rests on {questions} question{'s' * (questions != 1)} of each language")
        said.append(f", the alignment score on {scored}. " if scored else ". ")
        said += [myst(f"{name}: {words} ") for name, words in answers.items()]
    said.append(
        "Languages share the top rate: a neuron that becomes one language's pushes another out of the selection."
    )
    return "".join(said)
