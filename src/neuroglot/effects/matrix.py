"""What removing neurons changes, language by language: effects with intervals, beside random neurons."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from ..base.errors import NeuroglotError, quoted
from ..base.uncertainty import bootstrap_weights, of_several, percentiles, prediction_interval, ratios
from ..model.likelihood import Losses
from ..model.loading import weights_hash
from ..text.corpora import Corpus, Example
from ..text.languages import own_letters
from .grading import grade
from .removals import AS_IT_IS, BOTH, SETS, Removal

#: The change that weighs languages alike, in nats per token.
LOG_PERPLEXITY = "change in log-perplexity"

# Columns of a summary that a page shows, by their short names.
_BRIEF = {
    **{name: name for name in ("effect", "low", "high", "random")},
    "random_low": "draw from",
    "random_high": "draw to",
    "verdict": "verdict",
    "own_largest": "own largest",
    "own_worst": "own worst",
    "rows": "rows",
}


def _log_change(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The paper's log(1 + change in perplexity), of log-perplexities; mirrored where it falls."""
    change = np.exp(after) - np.exp(before)
    mirrored: np.ndarray = np.sign(change) * np.log1p(np.abs(change))
    return mirrored


@dataclass(frozen=True)
class _Measure:
    change: Callable[[np.ndarray, np.ndarray], np.ndarray]
    harm: int  # the sign of a change for the worse


#: What is compared before and after.
MEASURES = {
    LOG_PERPLEXITY: _Measure(np.subtract, 1),
    "log(1 + change in perplexity)": _Measure(_log_change, 1),
    "change in accuracy": _Measure(np.subtract, -1),
    "change in language fidelity": _Measure(np.subtract, -1),
}
_OF_LOSSES, _OF_ANSWERS = tuple(MEASURES)[:2], tuple(MEASURES)[2:]


@dataclass(frozen=True, eq=False)
class _Block:
    """One set and measure: values ``[languages removed, languages measured]``; no numbers where nothing is removed.

    ``draws`` is ``[draws, removed, measured]`` and ``replicates`` ``[replicates, removed, measured]``;
    ``beside`` is the effect on the text that the draws were measured on. ``before`` and ``sizes`` may be
    ``[measured]``, the same for all removals; ``left_out`` units are measured in one of the two only.
    """

    measure: str
    of: tuple[Removal, ...]
    before: np.ndarray
    after: np.ndarray
    effect: np.ndarray
    beside: np.ndarray
    replicates: np.ndarray
    draws: np.ndarray
    sizes: np.ndarray
    left_out: np.ndarray | int = 0

    def __post_init__(self) -> None:
        for name in ("before", "sizes", "left_out"):
            object.__setattr__(self, name, np.broadcast_to(getattr(self, name), np.shape(self.after)))
        removed = np.array([removal.size > 0 for removal in self.of])[:, None]
        for name in ("after", "effect", "beside", "replicates", "draws"):
            object.__setattr__(self, name, np.where(removed, getattr(self, name), np.nan))


@dataclass(frozen=True, eq=False)
class Effects:
    """What removals change, in all languages.

    Attributes:
        languages: those measured.
        blocks: one per set and measure.
        level: coverage of all intervals.
        shared_draws: whether all rows stand beside the same few random draws, of values that can
            be equal by chance; draws that are all equal then say nothing of where another would fall.
    """

    languages: tuple[str, ...]
    blocks: tuple[_Block, ...]
    level: float
    shared_draws: bool = False

    def _random(self, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = prediction_interval(draws, self.level)
        known = low < high if self.shared_draws else ~np.isnan(low)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)

    def table(self) -> pd.DataFrame:
        """One row per set, measure, removed and measured language.

        Returns:
            ``set``, ``measure``, ``removed``, ``language``, ``neurons`` (removed), ``size`` (tokens,
            questions or answers measured), ``left_out`` (answers without a letter before or after, which are
            left out of both), ``before``, ``after``, ``effect`` with its interval
            ``low`` to ``high`` (bootstrap over documents), ``harm`` (the effect, positive where it is
            for the worse), ``random`` (mean of the random draws), ``random_low`` to
            ``random_high`` (where one more random draw would fall), ``draws`` (their number), ``beside``
            (the effect on the text that the draws were measured on) and ``verdict``: ``"more"`` harm
            than that interval, ``"less"``, or ``"within"`` it; missing where it cannot be told. Where a set has no
            neuron (``neurons`` is 0) nothing was measured, and all but ``before`` is missing. ``before`` and
            ``after`` are log-perplexities (of both measures of it), or shares.
        """
        rows = []
        for block in self.blocks:
            low, high = percentiles(block.replicates, self.level)
            random_low, random_high = self._random(block.draws)
            verdict = _verdict(block, block.beside, random_low, random_high)
            mean = _mean(np.moveaxis(block.draws, 0, -1))
            for r, removal in enumerate(block.of):
                for c, language in enumerate(self.languages):
                    rows.append(
                        {
                            "set": removal.set,
                            "measure": block.measure,
                            "removed": removal.language,
                            "language": language,
                            "neurons": removal.size,
                            "size": int(block.sizes[r, c]),
                            "left_out": int(np.asarray(block.left_out)[r, c]),
                            "before": block.before[r, c],
                            "after": block.after[r, c],
                            "effect": block.effect[r, c],
                            "low": low[r, c],
                            "high": high[r, c],
                            "harm": block.effect[r, c] * MEASURES[block.measure].harm,
                            "random": mean[r, c],
                            "random_low": random_low[r, c],
                            "random_high": random_high[r, c],
                            "draws": len(block.draws),
                            "beside": block.beside[r, c],
                            "verdict": verdict[r, c],
                        }
                    )
        return pd.DataFrame(rows)

    def summary(self, pivot: str | None = "en") -> pd.DataFrame:
        """Each set and measure in a few numbers; one language, the ``pivot``, is looked at apart.

        Returns:
            One row per set, measure and ``cells``: ``own language`` (the diagonal without the pivot),
            ``other languages`` (off it, without the pivot), and, where there is a pivot, ``pivot, own``,
            ``pivot removed, others`` and ``others removed, pivot``. Columns ``effect`` (mean over the
            cells), ``low``, ``high`` (bootstrap over documents), ``random`` (of random neurons),
            ``random_low``, ``random_high``, ``beside``, ``verdict``; and, in the first row, of ``rows`` languages
            without the pivot, ``own_largest``: for how many that are removed is the largest harm in
            their own language (a row's largest cell), and ``own_worst``: for how many that are
            measured does removing their own do the largest harm (a column's largest cell); with
            ``random_largest`` and ``random_worst``, the means over random draws.
        """
        rows = []
        for block in self.blocks:
            codes = [removal.language for removal in block.of]
            same = np.array([[r == c for c in self.languages] for r in codes])
            removed = np.array([[r == pivot for _ in self.languages] for r in codes])
            measured = np.array([[c == pivot for c in self.languages] for _ in codes])
            cells = {"own language": same & ~removed, "other languages": ~same & ~removed & ~measured}
            if pivot in codes:
                cells["pivot, own"] = same & removed
                cells["pivot removed, others"] = ~same & removed
                cells["others removed, pivot"] = ~same & measured
            for name, where in cells.items():
                parts = block.effect, block.beside, block.replicates, block.draws
                effect, beside, replicates, draws = (_mean(part[..., where]) for part in parts)
                low, high = percentiles(replicates, self.level)
                random_low, random_high = self._random(draws)
                row: dict[str, Any] = {
                    "set": block.of[0].set,
                    "measure": block.measure,
                    "cells": name,
                    "effect": float(effect),
                    "low": float(low),
                    "high": float(high),
                    "random": float(_mean(draws)),
                    "random_low": float(random_low),
                    "random_high": float(random_high),
                    "beside": float(beside),
                    "verdict": _verdict(block, beside, random_low, random_high).item(),
                }
                if name == "own language":
                    row["rows"] = int((where & ~np.isnan(block.effect)).sum())
                    draws_apart = () if self.shared_draws else block.draws
                    harms = [MEASURES[block.measure].harm * each for each in (block.effect, *draws_apart)]
                    for way, turned in (("largest", np.asarray), ("worst", np.transpose)):
                        own, *at_random = (_own_largest(turned(harm), turned(where)) for harm in harms)
                        row[f"own_{way}"] = own
                        row[f"random_{way}"] = float(_mean(np.array(at_random, dtype=float)))
                rows.append(row)
        whole = {"rows": "Int64", "own_largest": "Int64", "own_worst": "Int64"}
        return pd.DataFrame(rows).astype(whole)


def _verdict(block: _Block, effect: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """``"more"`` or ``"less"`` harm than an interval, ``"within"`` it; ``None`` where it cannot be told."""
    harm = MEASURES[block.measure].harm
    least, most = np.minimum(harm * low, harm * high), np.maximum(harm * low, harm * high)
    known = ~(np.isnan(effect) | np.isnan(low))
    said = np.where(harm * effect > most, "more", np.where(harm * effect < least, "less", "within"))
    return np.where(known, said, cast(Any, None))


def _mean(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of those that are numbers; no number where none is."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean: np.ndarray = np.where(known, values, 0).sum(axis=-1) / known.sum(axis=-1)
    return mean


def _own_largest(harm: np.ndarray, own: np.ndarray) -> int:
    """In how many rows the cell of ``own`` is greater than every other one, where there is another."""
    others = np.where(own | np.isnan(harm), -np.inf, harm).max(axis=1)
    mine = np.where(own & ~np.isnan(harm), harm, -np.inf).max(axis=1)
    return int(((mine > others) & (others > -np.inf)).sum())


def of_losses(
    found: Losses,
    removals: Sequence[Removal],
    random: Losses | None = None,
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Effects:
    """Effects on perplexity, with bootstrap intervals over documents.

    Args:
        found: losses of :data:`neuroglot.effects.removals.AS_IT_IS` and of the removals by name.
        removals: from :func:`neuroglot.effects.removals.removals`; those drawn at random are looked up in
            ``random`` and compared with the unchanged model there. Of no neurons, none needs to be measured.
        random: losses of the random draws, if they were measured apart (on less text, say).
        resamples, level, seed: of the bootstrap.

    Raises:
        NeuroglotError: losses that lack a removal.
    """
    random = found if random is None else random
    weights = bootstrap_weights(len(found.units), resamples, seed)
    point, replicates, drawn = found.log_perplexity(), found.log_perplexity(weights), random.log_perplexity()
    replicates = of_several(replicates, found.tokens)
    beside = _on_the_text_of(random, found)
    at, at_random = _places(found.rows), _places(random.rows)
    blocks = []
    for own, draws in _by_set(removals):
        rows = [at(removal) for removal in own]
        of_draws = np.array([[at_random(removal) for removal in draw] for draw in draws], dtype=int).reshape(
            -1, len(own)
        )
        for measure in _OF_LOSSES:
            change = MEASURES[measure].change
            blocks.append(
                _Block(
                    measure,
                    own,
                    point[at(None)],
                    point[rows],
                    change(point[rows], point[at(None)]),
                    change(beside[rows], beside[at(None)]),
                    change(replicates[:, rows], replicates[:, [at(None)]]),
                    change(drawn[of_draws], drawn[at_random(None)]),
                    found.tokens.sum(axis=1),
                )
            )
    return Effects(found.languages, tuple(blocks), level)


def of_answers(
    rows: Iterable[Mapping[str, str]],
    questions: Corpus,
    removals: Sequence[Removal],
    *,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Effects:
    """Effects on accuracy and on language fidelity, with bootstrap intervals over questions.

    Args:
        rows: answers to the same questions under :data:`neuroglot.effects.removals.AS_IT_IS` and each
            removal, as :func:`neuroglot.model.sampling.sample_rows` gives them.
        questions: what was asked.
        removals: whose answers they are. Answers are few, so a cell's random interval rests on all
            random draws of its set, whichever language's numbers they copy.
        resamples, level, seed: of the bootstrap.

    Raises:
        NeuroglotError: answers that lack a removal.
    """
    languages, units = questions.languages, tuple(dict.fromkeys(e.unit for e in questions.examples))
    answers: dict[str, list[Example]] = {}
    for row in rows:
        fields: dict[str, Any] = {name: value for name, value in row.items() if name != "intervention"}
        answers.setdefault(row["intervention"], []).append(Example(**fields))
    shape = len(answers), len(languages), len(units)
    right, asked, own, answered = np.zeros((4, *shape))
    for number, examples in enumerate(answers.values()):
        graded = grade(examples)
        for example, correct in zip(examples, graded["correct"].astype(float), strict=True):
            cell = number, languages.index(example.language), units.index(example.unit)
            right[cell], asked[cell] = right[cell] + correct, asked[cell] + 1
            in_language, in_all = own_letters(example.response, example.language)
            if in_all:  # each answer counts as one, however long it goes on
                own[cell], answered[cell] = own[cell] + in_language / in_all, answered[cell] + 1
    weights, at = bootstrap_weights(len(units), resamples, seed), _places(tuple(answers))
    blocks = []
    for set_ in dict.fromkeys(removal.set for removal in removals):
        mine = tuple(r for r in removals if r.set == set_ and r.order == "score")
        chosen = [at(removal) for removal in mine]
        drawn = [at(removal) for removal in removals if removal.set == set_ and removal.draw and removal.size]
        for measure, sums, sizes in zip(_OF_ANSWERS, (right, own), (asked, answered), strict=True):
            one, other = _paired(sums, sizes, chosen, at(None)), _paired(sums, sizes, drawn, at(None))
            after, before = (ratios(*each) for each in one)
            replicates, base = (of_several(ratios(*each, weights), asked[at(None)]) for each in one)
            of_draws = ratios(*other[0]) - ratios(*other[1])
            blocks.append(
                _Block(
                    measure,
                    mine,
                    before,
                    after,
                    after - before,
                    after - before,
                    replicates - base,
                    np.repeat(of_draws[:, None], len(mine), axis=1),
                    one[1][1].sum(axis=-1),
                    ((sizes[chosen] > 0) ^ (sizes[at(None)] > 0)).sum(axis=-1),
                )
            )
    return Effects(languages, tuple(blocks), level, shared_draws=True)


def _paired(
    sums: np.ndarray, sizes: np.ndarray, rows: Sequence[int], base: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Sums and sizes of some rows, and of the base beside each, on the units that both have."""
    places = np.asarray(rows, dtype=int)
    both = (sizes[places] > 0) & (sizes[base] > 0)
    after, before = ([np.where(both, each[at], 0) for each in (sums, sizes)] for at in (places, base))
    return (after[0], after[1]), (before[0], before[1])


def _on_the_text_of(random: Losses, found: Losses) -> np.ndarray:
    """Log-perplexities of ``found`` on the units of ``random``; no number where those are not all in it."""
    at = [found.units.index(unit) if unit in found.units else -1 for unit in random.units]
    if found.languages != random.languages or -1 in at or not np.array_equal(found.tokens[:, at], random.tokens):
        return np.full(found.nll.shape[:2], np.nan)
    return ratios(found.nll[..., at], random.tokens)


def _places(names: Sequence[str]) -> Callable[[Removal | None], int]:
    """The row of a removal, or of the model as it is; that is also what a removal of nothing leaves."""

    def place(removal: Removal | None) -> int:
        name = removal.name if removal is not None and removal.size else AS_IT_IS
        if name not in names:
            raise NeuroglotError(
                f"nothing was measured for {quoted(name)}; measure all removals, and {quoted(AS_IT_IS)}."
            )
        return names.index(name)

    return place


def _by_set(removals: Sequence[Removal]) -> list[tuple[tuple[Removal, ...], list[tuple[Removal, ...]]]]:
    """For each set its languages' removals, and the random draws of the same languages."""
    result, by_name = [], {removal.name: removal for removal in removals}
    for set_ in dict.fromkeys(removal.set for removal in removals):
        own = tuple(r for r in removals if r.set == set_ and r.order == "score")
        numbers = sorted({r.draw for r in removals if r.set == set_ and r.order == "random"})
        wanted = [[replace(r, order="random", draw=number).name for r in own] for number in numbers]
        if missing := [name for names in wanted for name in names if name not in by_name]:
            raise NeuroglotError(f"there is no removal {quoted(missing[0])}; draw equally often for every language.")
        draws = [tuple(by_name[name] for name in names) for names in wanted]
        result.append((own, draws))
    return result


def of_doses(found: Losses, doses: Sequence[Removal]) -> pd.DataFrame:
    """Change in a language's own log-perplexity as more and more of its neurons are removed.

    Args:
        found: losses of the unchanged model and of the doses, each at least on its own language.
        doses: from :func:`neuroglot.effects.removals.doses`.

    Returns:
        One row per dose: ``language``, ``order``, ``draw``, ``dose`` (share of the set), ``neurons``
        (their number), ``effect`` (missing where that is none).
    """
    point, at = found.log_perplexity(), _places(found.rows)
    rows = []
    for dose in doses:
        k = found.languages.index(dose.language)
        effect = point[at(dose), k] - point[at(None), k] if dose.size else np.nan
        row = {"language": dose.language, "order": dose.order, "draw": dose.draw, "dose": dose.dose}
        rows.append(row | {"neurons": dose.size, "effect": effect})
    return pd.DataFrame(rows)


def in_nats(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table or summary that are changes in log-perplexity."""
    return table[table["measure"] == LOG_PERPLEXITY]


def brief(summary: pd.DataFrame, by: str) -> pd.DataFrame:
    """A summary as a page shows it, a row for each of ``by`` (``"set"`` or ``"measure"``) and ``cells``."""
    return summary.set_index([by, "cells"])[list(_BRIEF)].rename(columns=_BRIEF)


def unchanged(found: Losses, removals: Sequence[Removal]) -> pd.DataFrame:
    """The model as it is: a row per language with ``tokens scored``, ``perplexity`` and the neurons of each set."""
    own = [removal for removal in removals if not removal.draw]
    sizes = pd.DataFrame({set_: {r.language: r.size for r in own if r.set == set_} for set_ in SETS})
    perplexity = np.exp(found.log_perplexity()[found.rows.index(AS_IT_IS)])
    measured = pd.DataFrame({"tokens scored": found.tokens.sum(axis=1), "perplexity": perplexity}, found.languages)
    return measured.join(sizes)


def on_others(tables: Mapping[str, pd.DataFrame], set_: str = BOTH) -> pd.DataFrame:
    """What the removal of a language's neurons changes in the other languages, one row each where that is known.

    Args:
        tables: of chapter 05, by name: ``perplexity`` and, where questions were asked, ``answers``.
        set_: which set.
    """
    rows = [row for name in ("perplexity", "answers") if name in tables for row in tables[name].to_dict("records")]
    every = pd.DataFrame(rows)
    wanted = (every["set"] == set_) & (every["measure"] != "log(1 + change in perplexity)")
    return every[wanted & (every["removed"] != every["language"])].dropna(subset=["effect"])


def of_pivot(others: pd.DataFrame, pivot: str) -> pd.DataFrame:
    """The effect of removing one language on each other, beside the mean effect of removing another one.

    Args:
        others: from :func:`on_others`.
        pivot: the language.
    """
    columns = ["measure", "language", "effect", "low", "high", "random_low", "random_high"]
    mean = others[others["removed"] != pivot].groupby(["measure", "language"])["effect"].mean()
    beside = mean.rename("removing another one")
    return others[others["removed"] == pivot][columns].join(beside, on=["measure", "language"])


def require_own(provenance: Mapping[str, Any], model: PreTrainedModel) -> None:
    """Refuse neurons that were identified in another model; arguments as of :func:`require_unseen`.

    Raises:
        NeuroglotError: the model is another one.
    """
    if provenance.get("weights_sha256") != weights_hash(model):
        raise NeuroglotError(
            f"these neurons were identified in {provenance.get('model')}, whose weights are not those of the model "
            "given; load that model, or identify this one's neurons first."
        )


def require_unseen(provenance: Mapping[str, Any], corpus: Corpus, model: PreTrainedModel) -> None:
    """Refuse to measure effects on text that neurons were identified on, or on another model's neurons.

    Args:
        provenance: of the counts or types.
        corpus: the held-out part of :meth:`neuroglot.Corpus.split`.
        model: whose neurons they are.

    Raises:
        NeuroglotError: the text was not split from what was counted, or the model is another one.
    """
    require_own(provenance, model)
    counted = provenance.get("corpus_sha256")
    if not counted or corpus.options.get("apart_from") != counted:
        raise NeuroglotError(
            f"corpus {corpus.name} was not held out of the text that these neurons were identified on; "
            "run chapter 01 of this run again."
        )
