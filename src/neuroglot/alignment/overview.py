"""The tables of the chapters on alignment: which models, halves and languages are compared with which."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from ..counts.activations import ActivationStats
from ..model.likelihood import Losses
from ..neurons.identification import NeuronTypes
from ..neurons.thresholds import PUBLISHED_BY_N
from ..text.corpora import Example
from . import comparison
from .variants import Variant


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
    def controls(self) -> dict[tuple[str, ...], Variant]:
        """The control of each choice of languages, where there is one."""
        return {one.aligned_on: one for one in self.plan if one.control}

    @property
    def seeds(self) -> int:
        """How many trainings the choice with the most has."""
        return max(sum(one.finished and one.aligned_on == on for one in self.plan) for on in self.leads)

    def change(self, one: Variant, thresholds: str, draws: int, seed: int) -> comparison.Changes:
        """From the model under study to this one; to a finished one, the mean over its seeds, beside its control."""
        mine, null = [one], []
        if one.finished:
            mine = [other for other in self.plan if other.finished and other.aligned_on == one.aligned_on]
            null = [other for other in self.plan if other.control and other.aligned_on == one.aligned_on]
        counts = [[self.counts[other.name] for other in some] for some in (mine, null)]
        return comparison.compare(
            self.types, self.before, *counts, thresholds=thresholds, draws=draws, splits=draws, seed=seed
        )


def _of_all_seeds(one: Variant) -> str:
    """A finished model's name without its seed."""
    return one.name.partition(", seed")[0] if one.finished else one.name


def language_changes(models: Models, pivot: str, *, draws: int = 50, seed: int = 0) -> pd.DataFrame:
    """Changes in each language's specific and related neurons, for each choice of languages and thresholds.

    Args:
        models: those.
        pivot: the language that others were aligned to, in no mean.
        draws, seed: as of :func:`comparison.compare`.

    Returns:
        As of :meth:`comparison.Changes.table`, means (``"mean of trained"`` and ``"mean of others"``, or ``"mean of
        all"`` where it is not known which languages were trained on) before languages, with ``model``, ``thresholds``
        and ``group``.
    """
    rest, tables = _rest(models), []
    for on, lead in models.leads.items():
        trained = [code for code in on if code in models.types.languages]
        others = [code for code in models.types.languages if code not in (*on, pivot)]
        groups = {
            name: [("language", c) for c in some] for name, some in (("mean of trained", trained), (rest, others))
        }
        group_of = {"mean of trained": "trained on", pivot: "pivot"} | dict.fromkeys(trained, "trained on")
        for thresholds in models.modes:
            change = models.change(lead, thresholds, draws, seed)
            rows = pd.concat([change.means(groups, ["specific", "related"]).table(), change.table()])
            rows = rows[rows["what"].isin(["mean", "language"])]
            group = [group_of.get(place, "others") for place in rows["place"]]
            tables.append(rows.assign(model=_of_all_seeds(lead), thresholds=thresholds, group=group))
    return pd.concat(tables, ignore_index=True)


def _rest(models: Models) -> str:
    """What the languages that were not trained on are called."""
    return "mean of others" if any(models.leads) else "mean of all"


def readable_means(neurons: pd.DataFrame) -> pd.DataFrame:
    """The means of :func:`language_changes` for reading."""
    means = neurons[neurons["what"] == "mean"].drop(columns=["what", "group"])
    shown = comparison.readable(means, "{:,.1f}", ["model", "thresholds"]).rename(columns={"place": "languages"})
    return shown.assign(languages=shown["languages"].str.removeprefix("mean of "))


def answer_changes(
    models: Models, graded: Mapping[str, pd.DataFrame], scores: Mapping[str, pd.DataFrame], pivot: str
) -> pd.DataFrame | None:
    """Changes in accuracy and in the alignment score, for each choice of languages.

    Args:
        models: those.
        graded: from :func:`neuroglot.grade`, ``correct`` as a number, by name of the model, and ``"before"``.
        scores: from :func:`neuroglot.alignment.measuring.score_answers`.
        pivot: the language that others were aligned to, in no mean.

    Returns:
        As of :func:`comparison.measure_changes`, with ``measure`` and ``model``; nothing where no other model answered.
    """
    tables, languages = [], models.types.languages
    for on, lead in models.leads.items() if len(graded) > 1 else ():
        control = models.controls[on].name if on in models.controls else ""
        for measure, rows, column in (("accuracy", graded, "correct"), ("alignment score", scores, "score")):
            if not rows or any(table.empty for table in rows.values()):
                continue
            codes = [code for code in languages if measure == "accuracy" or code != pivot]
            measured = {name: comparison.by_question(table, column, languages=codes) for name, table in rows.items()}
            groups = {"mean of trained": [code for code in on if code in codes]}
            groups[_rest(models)] = [code for code in codes if code not in (*on, pivot)]
            change = comparison.measure_changes(
                measured["before"], measured[lead.name], measured.get(control), groups=groups
            )
            tables.append(change.assign(measure=f"change in {measure}", model=lead.name))
    return pd.concat(tables, ignore_index=True) if tables else None


#: The paper's accuracies on MGSM (its table 1), in per cent.
PAPER_ACCURACIES = pd.DataFrame(
    {
        "paper, base": [43.6, 53.2, 50.4, 55.6, 59.6, 59.2, 61.2, 62.8, 56.8, 75.6],
        "paper, zh, de => en": [46.4, 55.6, 59.2, 56.8, 64.0, 71.2, 66.8, 71.2, 69.2, 75.2],
        "paper, sw, th => en": [48.8, 58.8, 59.2, 56.4, 68.4, 68.4, 69.2, 69.6, 70.4, 77.6],
    },
    index=["bn", "th", "sw", "ja", "zh", "ru", "de", "es", "fr", "en"],
).T


def beside_paper_accuracies(answers: pd.DataFrame | None) -> pd.DataFrame:
    """The paper's accuracies and this run's, in per cent, by language, with a mean where all ten are known.

    Args:
        answers: from :func:`answer_changes`.
    """
    table = PAPER_ACCURACIES.copy()
    if answers is not None:
        accuracies = answers[answers["measure"] == "change in accuracy"]
        for name, part in accuracies.groupby("model", sort=False):
            own = part.set_index("language").reindex(table.columns)
            for row, when in (("here, before", "before"), (f"here, {name}", "after")):
                table.loc[row] = own[when] * 100
    return table.assign(mean=table.mean(axis=1, skipna=False))


def neuron_changes(models: Models, *, draws: int = 50, seed: int = 0) -> pd.DataFrame:
    """Changes in all statistics, for each choice of languages, each checkpoint, and each of the thresholds.

    Args:
        models: those; of several seeds the mean is looked at, and controls stand beside.
        draws, seed: as of :func:`comparison.compare`.

    Returns:
        As of :meth:`comparison.Changes.table`, with ``model`` and ``thresholds``.
    """
    leads = models.leads.values()
    return pd.concat(
        [
            models.change(one, thresholds, draws, seed).table().assign(model=_of_all_seeds(one), thresholds=thresholds)
            for thresholds in models.modes
            for one in models.plan
            if one in leads or one.step is not None
        ],
        ignore_index=True,
    )


def readable_totals(changed: pd.DataFrame) -> pd.DataFrame:
    """How many neurons of each type there are, before and after, of :func:`neuron_changes`, for reading."""
    totals = changed[changed["what"] == "all"].drop(columns=["what", "place"])
    return comparison.readable(totals, first=["model", "thresholds"])


#: The paper's numbers of neurons shared by exactly 1 to 10 languages (its figure 15).
PAPER_SHARED = {
    "paper, before": list(PUBLISHED_BY_N),
    "paper, after": [9566, 4395, 2804, 2011, 1555, 1106, 891, 878, 1054, 17774],
}


def shared_beside_paper(changed: pd.DataFrame, languages: int) -> pd.DataFrame:
    """Neurons shared by exactly N languages, before and after, beside the paper's where its languages are as many.

    Args:
        changed: from :func:`neuron_changes`; the first of its models is shown.
        languages: how many there are.
    """
    lines = changed[(changed["what"] == "shared by") & (changed["kind"] == "all")]
    ours = lines[lines["model"] == changed["model"].iloc[0]]
    beside = {}
    for thresholds, part in ours.groupby("thresholds", sort=False):
        for when in ("before", "after"):
            beside[f"{when} ({thresholds})"] = part.set_index("place")[when]
    table = pd.DataFrame(beside).rename_axis("N")
    return table.assign(**PAPER_SHARED) if languages == 10 else table


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


def measures(losses: str, answers: Sequence[Example], beside: Losses) -> dict[str, comparison.Measured]:
    """What is measured of one model, by name.

    Args:
        losses: the file with its losses.
        answers: its answers, if it was asked.
        beside: losses that it is compared with; those of other tokens are nats of another kind, and left out.
    """
    found = Losses.load(losses)
    measured = {}
    if comparison.same_tokens(found, beside):
        own = comparison.Measured(found.languages, found.nll[0], found.tokens, found.units)
        measured["change in log-perplexity"] = own
    return measured | (comparison.of_answers(answers) if answers else {})


def model_changes(
    plan: Sequence[Variant], before: str, answered: Mapping[str, Sequence[Example]]
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Changes in what finished models do, beside their controls.

    Args:
        plan: the models.
        before: the file with the losses of the model under study.
        answered: answers by name of the model, and ``"before"``; empty where none were asked.

    Returns:
        As of :func:`comparison.measure_changes`, with ``measure`` and ``model``; and what is left out, by model and
        measure, since its tokenizer is another.
    """
    beside = Losses.load(before)
    own = measures(before, answered.get("before", ()), beside)
    of = {v.name: measures(v.file("losses"), answered.get(v.name, ()), beside) for v in plan if v.step is None}
    controls = {one.aligned_on: of[one.name] for one in plan if one.control}
    tables, left_out = [], []
    for one in plan:
        for measure, value in own.items() if one.finished else ():
            if measure not in of[one.name]:
                left_out.append((one.name, measure))
                continue
            trained = [code for code in one.aligned_on if code in value.languages]
            groups = {"mean of all": value.languages, "mean of trained": trained}
            null = controls.get(one.aligned_on, {}).get(measure)
            table = comparison.measure_changes(value, of[one.name][measure], null, groups=groups)
            tables.append(table.assign(measure=measure, model=one.name))
    return pd.concat(tables, ignore_index=True), left_out


def readable_measures(done: pd.DataFrame) -> pd.DataFrame:
    """The means of :func:`model_changes` for reading."""
    means = done[done["language"].str.startswith("mean")].dropna(subset="change").drop(columns=["size", "left_out"])
    shown = comparison.readable(means, "{:.3f}", ["model", "measure"]).rename(columns={"language": "languages"})
    return shown.assign(measure=shown["measure"].str.removeprefix("change in "))
