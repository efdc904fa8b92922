"""What removing neurons changes, language by language: effects with intervals, beside random neurons and other sets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from ..base.errors import NeuroglotError, quoted
from ..base.uncertainty import (
    LEVEL,
    Estimate,
    change_of_shares,
    dealt_to_languages,
    jackknife,
    known_mean,
    leave_one_out,
    paired_p,
    ratios,
    together,
    verdicts,
)
from ..model.likelihood import Losses
from ..model.loading import weights_hash
from ..model.sampling import as_examples
from ..text.corpora import Corpus, Example
from ..text.languages import own_letters
from .grading import grade
from .removals import AS_IT_IS, SETS, Removal

#: The change that weighs languages alike, in nats per token.
LOG_PERPLEXITY = "change in log-perplexity"

#: The mean over languages, and the one in the middle, in a table of contrasts.
ALL, MIDDLE = "all languages", "median of languages"

#: What is contrasted in a language: its own set, random neurons of the same firing rates, the other languages' sets,
#: as many of these sets' neurons.
OWN, MATCHED, OTHERS, AS_MANY = "own", "matched", "others", "as many of theirs"


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
    """One set and measure, on one text.

    ``change`` and ``draws`` hold the number from all units first, then without each: ``[1 + units, removed, measured]``
    and, by order, ``[1 + units, draws, removed]`` (in the language whose numbers a draw copies). Where nothing is
    removed, and what was not measured, is no number. ``before`` and ``sizes`` are ``[removed, measured]``, ``present``
    (whether a unit says anything of a language) ``[units, measured]``; ``cells`` and ``p`` are the cells' own intervals
    and tests, where they are not the jackknife's.
    """

    measure: str
    of: tuple[Removal, ...]
    languages: tuple[str, ...]
    before: np.ndarray
    after: np.ndarray
    change: np.ndarray
    draws: Mapping[str, np.ndarray]
    sizes: np.ndarray
    present: np.ndarray
    left_out: np.ndarray
    cells: Estimate | None = None
    p: np.ndarray | None = None

    def estimate(self) -> Estimate:
        """Of the cells, ``[removed, measured]``."""
        if self.cells is not None:
            return self.cells
        return jackknife(self.change[0], self.change[1:], self.present[:, None])

    def mean(self, where: np.ndarray) -> Estimate:
        """Of some cells, those of them that are numbers; a single number."""
        known = where & ~np.isnan(self.change[0])
        if not known.any():
            return Estimate(np.array(np.nan), np.array(np.nan), np.array(1.0))
        each = known_mean(self.change[:, known], -1)
        return jackknife(each[0], each[1:], _any(self.present[:, known.any(axis=0)]))

    @property
    def known(self) -> list[tuple[int, int]]:
        """Of the languages whose own set was removed and measured in them: the places of set and language."""
        pairs = [(r, self.languages.index(x.language)) for r, x in enumerate(self.of) if x.language in self.languages]
        return [(r, c) for r, c in pairs if not np.isnan(self.change[0, r, c])]

    def contrasts(self) -> list[dict[str, Any]]:
        """Rows of :meth:`Effects.contrasts`."""
        if not self.known:
            return []
        at = np.array(self.known)
        rows, columns = at.T
        matrix = self.change[:, rows][..., columns]  # [1 + units, sets, languages], each set in its language's place
        away = np.where(np.eye(len(at), dtype=bool), np.nan, matrix)
        found = {OWN: self.change[:, rows, columns], OTHERS: known_mean(away, 1)}
        found |= {order: known_mean(draws[..., rows], 1) for order, draws in self.draws.items()}
        scatter = {order: draws[0][:, rows] for order, draws in self.draws.items()}
        found |= {f"own less {what}": found[OWN] - value for what, value in found.items() if what != OWN}
        _, dealt = dealt_to_languages(matrix[0])
        rows_: list[dict[str, Any]] = []
        for what, value in found.items():
            if np.isnan(value[0]).all():
                continue
            drawn = scatter.get(what.removeprefix("own less "))
            rows_ += self._rows(what, value, drawn, columns, dealt)
        return rows_

    def own_less(self, what: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """A language's own set less its draws: ``[1 + units, languages]``, the draws themselves, and the languages."""
        rows, columns = np.array(self.known, dtype=int).reshape(-1, 2).T
        drawn = self.draws[what][..., rows]
        value = self.change[:, rows, columns] - known_mean(drawn, 1)
        return value, drawn[0], [self.languages[c] for c in columns]

    def _rows(
        self, what: str, value: np.ndarray, drawn: np.ndarray | None, columns: np.ndarray, dealt: float
    ) -> list[dict[str, Any]]:
        """Of one ``value`` ``[1 + units, languages]``: each language, their mean, and the one in the middle."""
        each = _scattered(jackknife(value[0], value[1:], self.present[:, columns]), drawn)
        mean = known_mean(value, -1)
        together = None if drawn is None else known_mean(drawn, -1)
        every = _scattered(jackknife(mean[0], mean[1:], _any(self.present[:, columns])), together)
        p = self.p[[r for r, _ in self.known], columns] if self.p is not None and what == OWN else each.p()
        names = [self.languages[c] for c in columns]
        units = self.present[:, columns].sum(axis=0).tolist()
        verdict = verdicts(each, p=p).tolist()
        rows = _table(names, each, p, verdict, units)
        p_of_all = dealt if what == f"own less {OTHERS}" else float(every.p())
        whole = int(self.present[:, columns].any(axis=1).sum())
        rows += _table([ALL], every, [p_of_all], verdicts(every).tolist(), [whole])
        middle = {"language": MIDDLE, "effect": float(np.nanmedian(value[0])), "units": whole}
        sizes = {x.language: x.size for x in self.of}
        head = {"set": self.of[0].set, "measure": self.measure, "what": what}
        return [head | row | {"neurons": sizes.get(row["language"])} for row in (*rows, middle)]


def _any(present: np.ndarray) -> np.ndarray:
    """Whether a unit says anything of some language; ``[units, languages]``."""
    return np.asarray(present.any(axis=1))


def _scattered(estimate: Estimate, draws: np.ndarray | None) -> Estimate:
    """Less sure by the scatter of draws ``[draws, ...]`` (of a single one nothing is known); of no draws, as it is."""
    return estimate if draws is None else estimate.scattered(draws)


def _table(
    names: Sequence[str], estimate: Estimate, p: Iterable[float], verdict: Any, units: Iterable[int]
) -> list[dict[str, Any]]:
    """One row per name."""
    low, high = estimate.interval(LEVEL)
    columns = (estimate.value, low, high, estimate.detectable(), p)
    numbers = [np.atleast_1d(np.asarray(column, float)).tolist() for column in columns]
    said = np.atleast_1d(np.array(verdict, dtype=object)).tolist()
    keys = ("language", "effect", "low", "high", "detectable", "p", "verdict", "units")
    return [dict(zip(keys, row, strict=True)) for row in zip(names, *numbers, said, units, strict=True)]


@dataclass(frozen=True, eq=False)
class Effects:
    """What removals change, in all languages.

    Attributes:
        languages: those measured.
        blocks: one per set, measure and text.
    """

    languages: tuple[str, ...]
    blocks: tuple[_Block, ...]

    def table(self) -> pd.DataFrame:
        """One row per set, measure, removed and measured language.

        Returns:
            ``set``, ``measure``, ``removed``, ``language``, ``neurons`` (removed), ``size`` (tokens,
            questions or answers measured), ``units`` (wordings), ``left_out`` (answers without a letter before or
            after, which are left out of both), ``before``, ``after``, ``effect`` with its interval
            ``low`` to ``high`` (jackknife over wordings), ``detectable`` (the smallest change that would have been
            found with 80 % power), ``harm`` (the effect, positive where it is for the worse), ``p`` and
            ``verdict`` (:func:`neuroglot.base.uncertainty.verdicts`, over all cells of a set and measure together).
            Where a set has no neuron, or nothing was measured, all but ``before`` is missing. ``before`` and ``after``
            are log-perplexities (of both measures of it), or shares.
        """
        rows = []
        for block in self.blocks:
            estimate = block.estimate()
            low, high = estimate.interval(LEVEL)
            p = estimate.p() if block.p is None else block.p
            columns = {"before": block.before, "after": block.after, "effect": block.change[0], "low": low}
            columns |= {"high": high, "detectable": estimate.detectable(), "p": p}
            columns["harm"] = block.change[0] * MEASURES[block.measure].harm
            verdict = verdicts(estimate, p=p)
            for r, removal in enumerate(block.of):
                for c, language in enumerate(self.languages):
                    row: dict[str, Any] = {"set": removal.set, "measure": block.measure, "removed": removal.language}
                    row |= {"language": language, "neurons": removal.size, "size": int(block.sizes[r, c])}
                    row |= {"units": int(block.present[:, c].sum()), "left_out": int(block.left_out[r, c])}
                    row |= {name: float(values[r, c]) for name, values in columns.items()}
                    rows.append(row | {"verdict": verdict[r, c]})
        found = pd.DataFrame(rows)
        keys = ["set", "measure", "removed", "language"]
        # A cell that several texts have is that of the first on which it was measured.
        known = found.assign(unknown=found["effect"].isna()).sort_values("unknown", kind="stable")
        return known.drop_duplicates(keys).drop(columns="unknown").sort_index().reset_index(drop=True)

    def contrasts(self) -> pd.DataFrame:
        """In each language, its own set beside random neurons and beside the other languages' sets.

        Returns:
            One row per set, measure, language (or :data:`ALL`, their mean; :data:`MIDDLE`, their median, a number
            alone) and ``what``: :data:`OWN`; :data:`MATCHED` (the mean of random draws of the same firing rates in that
            language); :data:`OTHERS` (the mean of the other languages' whole sets, removed and measured in this
            language); :data:`AS_MANY` (neurons drawn from these sets, as many per layer); and ``own less ...`` each.
            Columns ``effect``, ``low``, ``high``, ``detectable``, ``p``, ``verdict``, ``units`` (wordings), ``neurons``
            (of the own set). Intervals are a jackknife over wordings; beside draws they allow for the scatter of
            another one, and beside a single draw there is none. ``verdict`` is over the languages of a row's
            set, measure and ``what`` together; that of the mean stands alone. ``p`` is of a t test (of answers in the
            own language, exact), but for own less others over all languages: how many of the ways to deal the sets to
            the languages give as much (:func:`neuroglot.base.uncertainty.dealt_to_languages`).
        """
        columns = ["set", "measure", "what", "language", "effect", "low", "high", "detectable", "p", "verdict"]
        blocks = (block for block in self.blocks if block.measure != _OF_LOSSES[1])
        found = pd.DataFrame(
            [row for block in blocks for row in block.contrasts()], columns=[*columns, "units", "neurons"]
        )
        return found.drop_duplicates(["set", "measure", "what", "language"]).reset_index(drop=True)

    def between(self, what: str = MATCHED) -> pd.DataFrame:
        """Every two sets: how much more one does in its languages than the other, each beside its own draws.

        Args:
            what: :data:`MATCHED` or :data:`AS_MANY`, the draws that each set stands beside.

        Returns:
            One row per pair of sets: ``one``, ``other``, ``effect`` (nats per token, mean over the languages that both
            have: own less draws of ``one``, less that of ``other``), ``low``, ``high``, ``detectable``, ``p``,
            ``verdict`` (over all pairs together), ``units``. Both are measured on the same wordings, so it is their
            difference that is jackknifed; the draws of both scatter.
        """
        blocks = [block for block in self.blocks if block.measure == LOG_PERPLEXITY and what in block.draws]
        found, names = [], []
        for one, other in combinations(blocks, 2):
            sides, codes = [], [code for code in one.own_less(what)[2] if code in other.own_less(what)[2]]
            for block in (one, other):
                value, drawn, known = block.own_less(what)
                some = [known.index(code) for code in codes]
                sides.append((known_mean(value[:, some], -1), known_mean(drawn[:, some], -1)))
            (mine, drawn), (theirs, theirs_drawn) = sides
            units = _any(one.present[:, [self.languages.index(code) for code in codes]])
            estimate = jackknife((mine - theirs)[0], (mine - theirs)[1:], units)
            found.append(estimate.scattered(drawn).scattered(theirs_drawn))
            names.append((one.of[0].set, other.of[0].set, int(units.sum())))
        columns = ["one", "other", "effect", "low", "high", "detectable", "p", "verdict", "units"]
        if not found:
            return pd.DataFrame(columns=columns)
        every = together(found)
        rows = _table([""] * len(found), every, every.p(), verdicts(every).tolist(), [units for *_, units in names])
        pairs = pd.DataFrame([(one, other) for one, other, _ in names], columns=columns[:2])
        return pd.concat([pairs, pd.DataFrame(rows).drop(columns="language")], axis=1)[columns]

    def summary(self, pivot: str | None = "en") -> pd.DataFrame:
        """Each set and measure in a few numbers; one language, the ``pivot``, is looked at apart.

        Returns:
            One row per set, measure and ``cells``: ``own language`` (the diagonal without the pivot),
            ``other languages`` (off it, without the pivot), and, where there is a pivot, ``pivot, own``,
            ``pivot removed, others`` and ``others removed, pivot``. Columns ``effect`` (mean over the
            cells), ``low``, ``high``, ``detectable``, ``p``, ``verdict``, ``units``; and, in the first row, of ``rows``
            languages without the pivot, ``own_largest``: for how many that are removed is the largest harm in
            their own language (a row's largest cell), and ``own_worst``: for how many that are
            measured does removing their own do the largest harm (a column's largest cell).
        """
        rows = []
        # Of several texts, first the one on which most cells were measured.
        for block in sorted(self.blocks, key=lambda block: int(np.isnan(block.change[0]).sum())):
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
                mean = block.mean(where)
                units = [int(block.present[:, where.any(axis=0)].any(axis=1).sum())]
                row: dict[str, Any] = {"set": block.of[0].set, "measure": block.measure, "cells": name}
                row |= _table([""], mean, [float(mean.p())], verdicts(mean).tolist(), units)[0]
                del row["language"]
                if name == "own language":
                    harm = block.change[0] * MEASURES[block.measure].harm
                    row["rows"] = int((where & ~np.isnan(harm)).sum())
                    row["own_largest"], row["own_worst"] = _own_largest(harm, where), _own_largest(harm.T, where.T)
                rows.append(row)
        whole = {"rows": "Int64", "own_largest": "Int64", "own_worst": "Int64"}
        found = pd.DataFrame(rows).astype(whole).drop_duplicates(["set", "measure", "cells"])
        sets = list(dict.fromkeys(block.of[0].set for block in self.blocks))
        return found.sort_values("set", key=lambda each: each.map(sets.index), kind="stable").reset_index(drop=True)


def _own_largest(harm: np.ndarray, own: np.ndarray) -> int:
    """In how many rows the cell of ``own`` is greater than every other one, where there is another."""
    others = np.where(own | np.isnan(harm), -np.inf, harm).max(axis=1)
    mine = np.where(own & ~np.isnan(harm), harm, -np.inf).max(axis=1)
    return int(((mine > others) & (others > -np.inf)).sum())


def of_losses(found: Losses | Sequence[Losses], removals: Sequence[Removal]) -> Effects:
    """Effects on perplexity, with jackknife intervals over wordings.

    Args:
        found: losses of :data:`neuroglot.effects.removals.AS_IT_IS` and of the removals by name; several, of one
            language order, where some removals were measured on other text: each set is taken from all that have it.
        removals: from :func:`neuroglot.effects.removals.removals` and
            :func:`neuroglot.effects.removals.of_others`. A draw needs to be measured in its own language only; one of
            no neurons, not at all.

    Raises:
        NeuroglotError: losses that lack a removal.
    """
    every = [found] if isinstance(found, Losses) else list(found)
    blocks = []
    for set_ in dict.fromkeys(removal.set for removal in removals):
        mine = [removal for removal in removals if removal.set == set_ and removal.dose == 1]
        own = tuple(removal for removal in mine if removal.order == "score")
        having = [each for each in every if any(removal.name in each.rows for removal in own if removal.size)]
        for losses in having or every[:1]:
            blocks += [_of_losses(losses, own, mine, measure) for measure in _OF_LOSSES]
    return Effects(every[0].languages, tuple(blocks))


def _of_losses(found: Losses, own: tuple[Removal, ...], removals: Sequence[Removal], measure: str) -> _Block:
    at, languages = _places(found.rows), found.languages
    weights = np.vstack([np.ones(len(found.units)), leave_one_out(len(found.units))])
    point, change = found.log_perplexity(weights), MEASURES[measure].change
    base = point[:, at(None)]
    rows = [at(removal) for removal in own]
    some = np.array([removal.size > 0 for removal in own])[:, None]
    draws = {}
    for order in (MATCHED, AS_MANY):
        drawn = _drawn(removals, own, order, found.rows)
        if drawn:
            draws[order] = _changes(
                drawn, languages, len(weights), lambda draw, k: change(point[:, at(draw), k], base[:, k])
            )
    shape = len(own), len(languages)
    return _Block(
        measure,
        own,
        languages,
        np.broadcast_to(base[0], shape),
        np.where(some, point[0, rows], np.nan),
        np.where(some, change(point[:, rows], base[:, None]), np.nan),
        draws,
        np.broadcast_to(found.tokens.sum(axis=1), shape),
        found.tokens.T > 0,
        np.zeros(shape, dtype=int),
    )


def _changes(
    drawn: Sequence[Sequence[Removal | None]],
    languages: Sequence[str],
    replicates: int,
    change: Callable[[Removal, int], np.ndarray],
) -> np.ndarray:
    """What random draws do to the language they stand in for, ``[replicates, draws, sets]``; no number where nothing.

    Args:
        drawn: from :func:`_drawn`.
        languages: those measured.
        replicates: all units, and without one of them each.
        change: of a draw in a language, by its place, ``[replicates]``.
    """
    values = np.full((replicates, len(drawn), len(drawn[0])), np.nan)
    for d, draw in enumerate(drawn):
        for r, removal in enumerate(draw):
            if removal is not None and removal.language in languages:
                values[:, d, r] = change(removal, languages.index(removal.language))
    return values


#: What draws are called that stand in a table of contrasts.
_ORDERS = {MATCHED: ("matched", "random"), AS_MANY: ("others",)}


def _drawn(
    removals: Sequence[Removal], own: Sequence[Removal], what: str, names: Sequence[str]
) -> list[list[Removal | None]]:
    """By draw, the random one beside each language's own set; ``None`` where it was not measured."""
    found = {(r.draw, r.language): r for r in removals if r.order in _ORDERS[what] and r.size and r.name in names}
    return [[found.get((draw, r.language)) for r in own] for draw in sorted({draw for draw, _ in found})]


def of_answers(rows: Iterable[Mapping[str, str]], questions: Corpus, removals: Sequence[Removal]) -> Effects:
    """Effects on accuracy and on language fidelity, paired by question, with intervals over wordings.

    A cell's interval is :func:`neuroglot.base.uncertainty.change_of_shares`, its ``p`` exact
    (:func:`neuroglot.base.uncertainty.paired_p`). An accuracy that was 0 before cannot fall, and has no number.

    Args:
        rows: answers to the same questions under :data:`neuroglot.effects.removals.AS_IT_IS` and each
            removal, as :func:`neuroglot.model.sampling.sample_rows` gives them; under draws, at least those in the
            language whose numbers they copy.
        questions: what was asked.
        removals: whose answers they are.

    Raises:
        NeuroglotError: answers that lack a removal.
    """
    languages, units = questions.languages, tuple(dict.fromkeys(e.unit for e in questions.examples))
    rows = list(rows)
    answers: dict[str, list[Example]] = {}
    for row, example in zip(rows, as_examples(rows), strict=True):
        answers.setdefault(row["intervention"], []).append(example)
    right, asked, own, answered = np.zeros((4, len(answers), len(languages), len(units)))
    for number, examples in enumerate(answers.values()):
        graded = grade(examples)
        for example, correct in zip(examples, graded["correct"].astype(float), strict=True):
            cell = number, languages.index(example.language), units.index(example.unit)
            right[cell], asked[cell] = right[cell] + correct, asked[cell] + 1
            in_language, in_all = own_letters(example.response, example.language)
            if in_all:  # each answer counts as one, however long it goes on
                own[cell], answered[cell] = own[cell] + in_language / in_all, answered[cell] + 1
    at = _places(tuple(answers))
    none = ~(right[at(None)].sum(axis=-1) > 0)  # right nowhere: what cannot fall has no number
    asked[:, none] = 0
    blocks = []
    for set_ in dict.fromkeys(removal.set for removal in removals):
        mine = [removal for removal in removals if removal.set == set_ and removal.dose == 1]
        for measure, sums, sizes in zip(_OF_ANSWERS, (right, own), (asked, answered), strict=True):
            blocks.append(_of_answers(measure, sums, sizes, mine, languages, at, tuple(answers)))
    return Effects(languages, tuple(blocks))


def _of_answers(
    measure: str,
    sums: np.ndarray,
    sizes: np.ndarray,
    removals: Sequence[Removal],
    languages: tuple[str, ...],
    at: Callable[[Removal | None], int],
    names: tuple[str, ...],
) -> _Block:
    own = tuple(removal for removal in removals if removal.order == "score")
    base, rows = at(None), [at(removal) for removal in own]
    after, before, there = _paired(sums, sizes, rows, base)
    weights = np.vstack([np.ones(sums.shape[-1]), leave_one_out(sums.shape[-1])])
    change = ratios(after, there, weights) - ratios(before, there, weights)
    some = np.array([removal.size > 0 for removal in own])[:, None]
    cells = change_of_shares(after, before, there)
    known = some & ~np.isnan(change[0])
    cells = Estimate(np.where(known, cells.value, np.nan), cells.error, cells.df, cells.shift, cells.bound)
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = (after - before) / np.where(there > 0, there, np.nan)
    p = np.array([[paired_p(cell) for cell in row] for row in differences])
    draws = {}
    drawn = _drawn(removals, own, MATCHED, names)

    def of_draw(draw: Removal, k: int) -> np.ndarray:
        one, two, both = (part[:, [k]] for part in _paired(sums, sizes, [at(draw)], base))
        moved: np.ndarray = (ratios(one, both, weights) - ratios(two, both, weights))[:, 0, 0]
        return moved

    if drawn:
        draws[MATCHED] = _changes(drawn, languages, len(weights), of_draw)
    return _Block(
        measure,
        own,
        languages,
        ratios(before, there),
        np.where(some, ratios(after, there), np.nan),
        np.where(some, change, np.nan),
        draws,
        there.sum(axis=-1).astype(int),
        sizes[base].T > 0,
        ((sizes[rows] > 0) ^ (sizes[base] > 0)).sum(axis=-1),
        cells,
        np.where(known & ~np.isnan(cells.error), p, np.nan),
    )


def _paired(
    sums: np.ndarray, sizes: np.ndarray, rows: Sequence[int], base: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums of some rows and of the base beside each, and their sizes, on the units that both have.

    Of a unit with several answers, of which one lacks a letter, the mean stands for as many as the base has.
    """
    places = np.asarray(rows, dtype=int)
    both = (sizes[places] > 0) & (sizes[base] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        after = np.where(both, sums[places] / sizes[places] * sizes[base], 0)
    return after, np.where(both, sums[base], 0), np.where(both, sizes[base], 0)


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


def of_doses(found: Losses, doses: Sequence[Removal]) -> pd.DataFrame:
    """Change in a language's own log-perplexity as more and more of its neurons are removed.

    Args:
        found: losses of the unchanged model and of the doses, each at least on its own language.
        doses: from :func:`neuroglot.effects.removals.doses`.

    Returns:
        One row per language (and :data:`ALL`, the mean of those with neurons at a dose), order and dose (mean of the
        draws): ``language``, ``order``, ``dose`` (share of the set), ``neurons`` (their number), ``effect`` (missing
        where that is none), ``low``, ``high`` (jackknife over wordings; of these very draws), ``units``.
    """
    at, units = _places(found.rows), len(found.units)
    point = found.log_perplexity(np.vstack([np.ones(units), leave_one_out(units)]))
    change = point - point[:, [at(None)]]
    taken: dict[tuple[str, float], dict[str, list[Removal]]] = {}
    for dose in doses:
        taken.setdefault((dose.order, dose.dose), {}).setdefault(dose.language, []).append(dose)
    rows = []
    for (order, share), by_language in taken.items():
        head, values, of = {"order": order, "dose": share}, [], []
        for language, draws in by_language.items():
            k, number = found.languages.index(language), draws[0].size
            places = [at(dose) for dose in draws]
            value = change[:, places, k].mean(axis=1) if number else np.full(units + 1, np.nan)
            rows.append({"language": language} | head | {"neurons": number} | _ends(value, found.tokens[k] > 0))
            if number:
                values.append(value)
                of.append(k)
        if values:
            number = round(np.mean([by_language[found.languages[k]][0].size for k in of]))
            mean, there = np.mean(values, axis=0), _any(found.tokens[of].T > 0)
            rows.append({"language": ALL} | head | {"neurons": number} | _ends(mean, there))
    columns = ["language", "order", "dose", "neurons", "effect", "low", "high", "units"]
    return pd.DataFrame(rows, columns=columns)


def _ends(value: np.ndarray, present: np.ndarray) -> dict[str, Any]:
    """A number, ``[1 + units]`` with those that lack one unit, and its interval."""
    estimate = jackknife(value[0], value[1:], present)
    low, high = estimate.interval(LEVEL)
    return {"effect": float(value[0]), "low": float(low), "high": float(high), "units": int(present.sum())}


def in_nats(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table or summary that are changes in log-perplexity."""
    return table[table["measure"] == LOG_PERPLEXITY]


def unchanged(found: Losses, removals: Sequence[Removal]) -> pd.DataFrame:
    """The model as it is: a row per language with ``tokens scored``, ``perplexity`` and the neurons of each set."""
    own = [removal for removal in removals if not removal.draw]
    sizes = pd.DataFrame({set_: {r.language: r.size for r in own if r.set == set_} for set_ in SETS})
    perplexity = np.exp(found.log_perplexity()[found.rows.index(AS_IT_IS)])
    measured = pd.DataFrame({"tokens scored": found.tokens.sum(axis=1), "perplexity": perplexity}, found.languages)
    return measured.join(sizes)


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
