"""The tables of the chapters on alignment: which models, halves and languages are compared with which."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..base.errors import NeuroglotError
from ..counts.activations import ActivationStats
from ..effects.choices import Choices, language_choices
from ..model.likelihood import Losses
from ..neurons.identification import NeuronTypes
from ..neurons.published import BY_N, BY_N_AFTER
from ..text.corpora import Example
from . import answers, comparison
from .reading import readable
from .variants import Variant, alike, before, comparisons


@dataclass(frozen=True, eq=False)
class Models:
    """Models counted on one text, beside the one under study.

    Attributes:
        types: of the model under study.
        before: its counts.
        plan: the other models.
        counts: theirs, by name.
    """

    types: NeuronTypes
    before: ActivationStats
    plan: tuple[Variant, ...]
    counts: Mapping[str, ActivationStats]

    @classmethod
    def load(cls, types: NeuronTypes, before: ActivationStats, plan: Sequence[Variant]) -> "Models":
        """With the counts that the models' folders have."""
        return cls(types, before, tuple(plan), {one.name: ActivationStats.load(one.file("stats")) for one in plan})

    @functools.cached_property
    def modes(self) -> list[str]:
        """Thresholds that can be used with all of them, from :func:`comparison.fitting`."""
        return comparison.fitting(self.types, self.before, *self.counts.values())

    @property
    def leads(self) -> dict[tuple[str, ...], Variant]:
        """The first finished model of each choice of languages; where that is not known, of none."""
        return {one.aligned_on: one for one in reversed(self.plan) if one.finished}

    @property
    def trainings(self) -> int:
        """How many trainings with controls the choice with the fewest has; 1 is said of one without a control."""
        each = [[len(alike(self.plan, one, kind)) for kind in ("trained", "shuffled")] for one in self.leads.values()]
        return min(min(some) or some[0] for some in each)

    @property
    def controlled(self) -> bool:
        """Whether each choice has a control, trained on answers that were not preferred."""
        return all(alike(self.plan, one, "shuffled") for one in self.leads.values())

    def change(self, one: Variant, thresholds: str, beside: str, *, splits: int, seed: int) -> comparison.Changes:
        """From the model under study to the trainings like this one, less those of another kind beside them."""
        counts = [[self.counts[other.name] for other in alike(self.plan, one, kind)] for kind in (one.kind, beside)]
        return comparison.compare(self.types, self.before, *counts, thresholds=thresholds, splits=splits, seed=seed)


def language_changes(models: Models, pivot: str, *, splits: int = 50, seed: int = 0) -> pd.DataFrame:
    """Changes in each language's specific and related neurons, for each choice of languages and thresholds.

    Args:
        models: those.
        pivot: the language that others were aligned to, in no mean.
        splits, seed: as of :func:`comparison.compare`.

    Returns:
        As of :meth:`comparison.Changes.table`, means (``"mean of trained"`` and ``"mean of others"``, or ``"mean of
        all"`` where it is not known which languages were trained on) before languages, with ``model``, ``thresholds``
        and ``group``.
    """
    tables = []
    for name, one, beside in comparisons(models.plan):
        if one.step is not None:
            continue
        groups = _groups(one, models.types.languages, pivot)
        places = {place: [("language", code) for code in codes] for place, codes in groups.items()}
        group_of = {"mean of trained": "trained on", pivot: "pivot"} | dict.fromkeys(one.aligned_on, "trained on")
        for thresholds in models.modes:
            change = models.change(one, thresholds, beside, splits=splits, seed=seed)
            table = change.table()
            rows = pd.concat(
                [change.means(places, ["specific", "related"]).table(), table[table["what"] == "language"]]
            )
            group = [group_of.get(place, "others") for place in rows["place"]]
            tables.append(rows.assign(model=name, thresholds=thresholds, group=group))
    return pd.concat(tables, ignore_index=True)


def _groups(one: Variant, languages: Sequence[str], pivot: str) -> dict[str, list[str]]:
    """The languages that a model was trained on, and the others but the pivot; of an unknown training, all but it."""
    codes = [code for code in languages if code != pivot]
    trained = [code for code in codes if code in one.aligned_on]
    rest = "mean of others" if one.aligned_on else "mean of all"
    return {"mean of trained": trained, rest: [code for code in codes if code not in trained]}


def readable_means(neurons: pd.DataFrame) -> pd.DataFrame:
    """The means of :func:`language_changes` for reading."""
    means = neurons[neurons["what"] == "mean"].drop(columns=["what", "group"])
    shown = readable(means, "{:,.1f}", ["model", "thresholds"]).rename(columns={"place": "languages"})
    return shown.assign(languages=shown["languages"].str.removeprefix("mean of "))


def neuron_changes(models: Models, *, splits: int = 50, seed: int = 0) -> pd.DataFrame:
    """Changes in all statistics, of each of :func:`variants.comparisons` and with each of the thresholds.

    Args:
        models: those.
        splits, seed: as of :func:`comparison.compare`.

    Returns:
        As of :meth:`comparison.Changes.table`, with ``model`` and ``thresholds``.
    """
    return pd.concat(
        [
            models.change(one, thresholds, beside, splits=splits, seed=seed)
            .table()
            .assign(model=name, thresholds=thresholds)
            for thresholds in models.modes
            for name, one, beside in comparisons(models.plan)
        ],
        ignore_index=True,
    )


def readable_totals(changed: pd.DataFrame) -> pd.DataFrame:
    """How many neurons of each type there are, before and after, of :func:`neuron_changes`, for reading."""
    totals = changed[changed["what"] == "all"].drop(columns=["what", "place"])
    return readable(totals, first=["model", "thresholds"])


def shared_beside_paper(changed: pd.DataFrame, languages: int) -> pd.DataFrame:
    """By which share the neurons of exactly N languages change, and the paper's where its languages are as many.

    Args:
        changed: from :func:`neuron_changes`; the first of its models and thresholds is shown.
        languages: how many there are.

    Returns:
        By N: ``change`` with ``low`` and ``high``, ``control``, ``paper``, all of the number before.
    """
    lines = changed[(changed["what"] == "shared by") & (changed["kind"] == "all")]
    first = lines[["model", "thresholds"]].iloc[0]
    ours = lines[(lines[["model", "thresholds"]] == first).all(axis=1)].set_index("place").rename_axis("N")
    shown = ours[["change", "low", "high", "null"]].div(ours["before"], axis=0).rename(columns={"null": "control"})
    if languages != 10:
        return shown
    return shown.assign(paper=[after / before - 1 for before, after in zip(BY_N, BY_N_AFTER, strict=True)])


def moves(models: Models, seed: int = 0) -> pd.DataFrame:
    """Which types become which, in each model but checkpoints, and from one half of the text to the other.

    Args:
        models: those.
        seed: of the halves.

    Returns:
        As of :func:`comparison.transitions`, with ``model`` and ``thresholds``.
    """
    types, tables = models.types, []
    for thresholds in models.modes:
        first = comparison.classified(types, models.before.select(types.languages), thresholds)
        for one in models.plan:
            if one.step is None:
                counts = models.counts[one.name].select(types.languages)
                table = comparison.transitions(first, comparison.classified(types, counts, thresholds))
                tables.append(table.assign(model=one.name, thresholds=thresholds))
        if halves := comparison.other_half(types, models.before, thresholds, seed):
            unchanged = comparison.transitions(*halves)
            tables.append(unchanged.assign(model="unchanged, other half", thresholds=thresholds))
    return pd.concat(tables, ignore_index=True)


def measures(one: Variant, said: Sequence[Example], beside: Losses) -> dict[str, answers.Measured]:
    """What is measured of one model, by name.

    Args:
        one: the model; its losses and, where there are any, its forced choices are read.
        said: its answers, if it was asked.
        beside: losses that it is compared with; those of other tokens are nats of another kind, and left out.
    """
    found, measured = Losses.load(one.file("losses")), {}
    if answers.same_tokens(found, beside):
        measured["change in log-perplexity"] = answers.of_losses(found)
        if Path(one.file("number_choices")).is_file():
            measured |= answers.of_choices(Choices.load(one.file("number_choices")))
        if Path(one.file("translation_losses")).is_file():
            measured |= answers.of_choices(language_choices(found, Losses.load(one.file("translation_losses"))))
    return measured | (answers.of_answers(said) if said else {})


def model_changes(
    plan: Sequence[Variant],
    answered: Mapping[str, Sequence[Example]],
    pivot: str,
    scores: Mapping[str, pd.DataFrame] | None = None,
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Changes in what models do, beside their controls.

    Args:
        plan: the models; the one under study is :func:`variants.before`.
        answered: answers by name of the model, and ``"before"``; empty where none were asked.
        pivot: the language that others were aligned to, in no mean but that of all.
        scores: from :func:`neuroglot.alignment.measuring.score_answers`.

    Returns:
        As of :func:`answers.measure_changes`, with ``measure`` and ``model``, and means ``"mean of all"``, ``"mean of
        trained"`` and ``"mean of others"``; and what is left out, by model and measure, since its tokenizer is another.
    """
    own = before(plan)
    beside_losses = Losses.load(own.file("losses"))
    of = {one.name: measures(one, answered.get(one.name, ()), beside_losses) for one in (own, *_finished(plan))}
    if scores and not any(table.empty for table in scores.values()):
        codes = [code for code in beside_losses.languages if code != pivot]
        for name, table in scores.items():
            of[name]["change in alignment score"] = answers.by_text(table, "score", languages=codes)
    tables, left_out = [], []
    for name, one, beside in comparisons(_finished(plan)):
        for measure, value in of["before"].items():
            mine, null = ([of[v.name].get(measure) for v in alike(plan, one, kind)] for kind in (one.kind, beside))
            known = [[each for each in some if each is not None] for some in (mine, null)]
            if len(known[0]) < len(mine):
                left_out.append((name, measure))
                continue
            groups = {"mean of all": list(value.languages)} | _groups(one, value.languages, pivot)
            table = answers.measure_changes(value, *known, groups=groups)
            tables.append(table.assign(measure=measure, model=name))
    if not tables:
        raise NeuroglotError("no model can be compared with the one under study: their tokenizers differ.")
    return pd.concat(tables, ignore_index=True), left_out


def _finished(plan: Sequence[Variant]) -> list[Variant]:
    """All but checkpoints."""
    return [one for one in plan if one.step is None]


def readable_measures(done: pd.DataFrame, means: Sequence[str]) -> pd.DataFrame:
    """Some means of :func:`model_changes` for reading, as ``"mean of all"``."""
    rows = done[done["language"].isin(means)].dropna(subset="change").drop(columns=["size", "left_out"])
    shown = readable(rows, "{:.3f}", ["model", "measure"]).rename(columns={"language": "languages"})
    shown["languages"] = shown["languages"].str.removeprefix("mean of ")
    return shown.assign(measure=shown["measure"].str.removeprefix("change in "))
