"""What chapter 08 says in words."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from ...alignment.comparison import in_words
from ..markup import language, myst

#: What the means of :func:`neuroglot.alignment.overview.language_changes` are of, in the opening.
_ONE = {"mean of others": "another language", "mean of all": "a language", "mean of trained": "a language trained on"}


def opening(neurons: pd.DataFrame, on: Sequence[str], pivot: str) -> str:
    """Whether languages changed that were not trained on, and by how much, in the first model of the table.

    Args:
        neurons: from :func:`neuroglot.alignment.overview.language_changes`.
        on: the languages that this model was trained on; none where that is not known.
        pivot: the language that others were aligned to.
    """
    means = neurons[neurons["what"] == "mean"]
    model, thresholds = means[["model", "thresholds"]].iloc[0]
    first = means[(means["model"] == model) & (means["thresholds"] == thresholds)]
    words = pd.Series([each.replace(": ", ", ") for each in in_words(first, "{:,.1f}")], first.index, dtype=object)
    said = []
    for place, called in _ONE.items():
        its = first["place"] == place
        each = [f"{kind} neurons by {by}" for kind, by in zip(first.loc[its, "kind"], words[its], strict=True)]
        said += [f"in {called}, {', and '.join(each)}"] if each else []
    apart = f" ({language(pivot)} is left out)" if pivot in set(neurons["place"]) else ""
    return (
        f"**With the thresholds {thresholds}, {_spread(first, on)}. The numbers change on average: "
        f"{'; '.join(said)}{apart}.**"
    )


def _spread(first: pd.DataFrame, on: Sequence[str]) -> str:
    """Whether the others change, from the means of one model."""
    if not on:
        return f"which languages the model {myst(first['model'].iloc[0])} was trained on is not known here"
    trained = " and ".join(map(language, on))
    others = first[first["place"] == "mean of others"]
    if others.empty:
        return f"after training on {trained} there is no other language to look at"
    beyond = " and ".join(others.loc[others["verdict"] == "beyond noise", "kind"])
    changed = "do not change beyond noise"
    if beyond:
        changed = f"change in their {beyond} neurons beyond noise"
    elif (others["verdict"] != "not beyond noise").any():
        changed = "are not known to change"
    return f"after training on {trained} the other languages {changed}"


def summary(neurons: pd.DataFrame, answers: pd.DataFrame | None, pivot: str) -> str:
    """What was found: means of neurons, of accuracy and of the alignment score, with verdicts.

    Args:
        neurons: from :func:`neuroglot.alignment.overview.language_changes`.
        answers: from :func:`neuroglot.alignment.overview.answer_changes`.
        pivot: the language that others were aligned to.
    """
    but = f" but {language(pivot)}" if pivot in set(neurons["place"]) else ""
    whose = {"trained": "languages trained on", "others": f"other languages{but}", "all": f"all languages{but}"}
    whose = {f"mean of {group}": words for group, words in whose.items()}
    notes = []
    means = neurons[neurons["what"] == "mean"]
    for (name, thresholds), part in means.groupby(["model", "thresholds"], sort=False):
        each = zip(part["place"], part["kind"], in_words(part, "{:,.1f}"), strict=True)
        said = [f"{kind} neurons in {whose[place]} {words}" for place, kind, words in each]
        notes.append(f"- **{myst(name)}**, thresholds {thresholds}, means: {'; '.join(said)}.")
    if answers is not None:
        told = answers[answers["language"].str.startswith("mean")].dropna(subset="change")
        for row, words in zip(told.to_dict("records"), in_words(told, "{:.2f}"), strict=True):
            notes.append(f"- **{myst(row['model'])}**, mean {row['measure']} in {whose[row['language']]}: {words}.")
    return "\n".join(notes)


def caveats(
    neurons: pd.DataFrame,
    choices: Sequence[Sequence[str]],
    seeds: int,
    questions: int | None,
    scored: int,
    answers: Mapping[str, str],
) -> str:
    """Where changes are beyond noise in both groups, and what all of it rests on.

    Args:
        neurons: from :func:`neuroglot.alignment.overview.language_changes`.
        choices: of languages trained on; an only one of no language where that is not known.
        seeds: trainings of each.
        questions: of each language that accuracy rests on; ``None`` where none were answered.
        scored: questions that the alignment score rests on.
        answers: what to know of each model's, from :func:`neuroglot.effects.grading.caveats`.
    """
    said = []
    if alike := "; ".join(_in_both(neurons)):
        said.append(f"Beyond noise in both groups: {alike}. ")
    elif any(choices):
        said.append("In no case are changes beyond noise in both groups, so nothing here shows that they spread. ")
    if any(choices):
        said.append(
            f"{len(choices)} choice{'s' * (len(choices) > 1)} of languages and {seeds} seed{'s' * (seeds > 1)} were "
            "trained"
        )
        said.append(
            "; a training differs with its seed, and no interval here covers that (the parameters `choices` and "
            "`seeds` of chapter 07 give more), nor that the control is one training. "
            if seeds < 2
            else ". "
        )
    else:
        said.append("The model was aligned elsewhere, so which languages it was trained on is not known here. ")
    if questions is not None:
        said.append(f"Accuracy rests on {questions} question{'s' * (questions != 1)} of each language")
        said.append(f", the alignment score on {scored}. " if scored else ". ")
        said += [myst(f"{name}: {words} ") for name, words in answers.items()]
    said.append(
        "Languages share the top rate: a neuron that becomes one language's pushes another out of the selection."
    )
    return "".join(said)


def _in_both(neurons: pd.DataFrame) -> Iterator[str]:
    """Kinds of neurons that change beyond noise in the languages trained on and in the others."""
    means = neurons[neurons["what"] == "mean"]
    for (name, thresholds, kind), part in means.groupby(["model", "thresholds", "kind"], sort=False):
        change = dict(zip(part["place"], part["change"], strict=True))
        if set(change) == {"mean of trained", "mean of others"} and (part["verdict"] == "beyond noise").all():
            way = "as" if change["mean of trained"] * change["mean of others"] > 0 else "against"
            yield f"in {myst(name)} ({thresholds}), {kind} neurons of the others change {way} those of the trained"
