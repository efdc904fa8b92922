"""What models do before and after: likelihoods, right answers, letters in the right language, on the same texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..base.uncertainty import Estimate, change_of_shares, jackknife, leave_one_out, ratios
from ..effects.choices import Choices
from ..effects.grading import grade, own_shares
from ..model.likelihood import Losses
from ..text.corpora import Example
from .contrasts import contrasts


@dataclass(frozen=True, eq=False)
class Measured:
    """A measure that is a sum over a size, by language and text.

    Attributes:
        languages: in order.
        sums, sizes: float64 ``[languages, texts]``; a text of size 0 was not measured.
        texts: their names, by which models are paired.
        units: the wording of each text: what would be another one elsewhere; default: every text for itself.
        share: whether every part of the sums is from 0 to 1 of its size.
    """

    languages: tuple[str, ...]
    sums: np.ndarray
    sizes: np.ndarray
    texts: tuple[str, ...]
    units: tuple[str, ...] = ()
    share: bool = False

    @property
    def unit_of(self) -> dict[str, str]:
        """The wording of each text, by its name."""
        return dict(zip(self.texts, self.units or self.texts, strict=True))

    def of(self, texts: Mapping[str, str]) -> "Measured":
        """On these texts of these wordings, in this order; one that it lacks has the size 0."""
        at = {text: i for i, text in enumerate(self.texts)}
        sums, sizes = np.zeros((2, len(self.languages), len(texts)))
        for i, text in enumerate(texts):
            if text in at:
                sums[:, i], sizes[:, i] = self.sums[:, at[text]], self.sizes[:, at[text]]
        return replace(self, sums=sums, sizes=sizes, texts=tuple(texts), units=tuple(texts.values()))

    def only(self, there: np.ndarray) -> "Measured":
        """What is left of some texts ``[languages, texts]``, added up over each wording."""
        units = list(dict.fromkeys(self.units))
        deal = np.array([[unit == own for unit in units] for own in self.units], dtype=float).reshape(
            len(self.units), len(units)
        )
        sums, sizes = (np.where(there, part, 0) @ deal for part in (self.sums, self.sizes))
        return replace(self, sums=sums, sizes=sizes, texts=tuple(units), units=tuple(units))


def by_text(
    table: pd.DataFrame, value: str, *, languages: Sequence[str] | None = None, share: bool = False
) -> Measured:
    """A column of one row per response as :class:`Measured`; several responses to one text count as their mean.

    Args:
        table: ``language``, ``document``, ``unit`` (its wording) and the column named; a language with a value that is
            missing (since it cannot be detected) has none.
        value: the column.
        languages: those there should be, where some may have no row; default: those of the table.
        share: whether all values are from 0 to 1.
    """
    rows = table.assign(_value=table[value].astype(float)).groupby(["language", "document"])["_value"]
    order = list(languages or dict.fromkeys(table["language"]))
    texts = dict(sorted(zip(table["document"], table["unit"], strict=True)))
    cells = pd.MultiIndex.from_product([order, list(texts)])
    sizes = (rows.size().reindex(cells).fillna(0) > 0).to_numpy(float).reshape(len(order), len(texts))
    sums = rows.mean().reindex(cells).to_numpy(float).reshape(sizes.shape)
    return Measured(tuple(order), np.where(sizes, sums, 0), sizes, tuple(texts), tuple(texts.values()), share)


def of_answers(answers: Sequence[Example], languages: Sequence[str] | None = None) -> dict[str, Measured]:
    """What answers tell of a model, by name: accuracy, and language fidelity of those that have a letter."""
    units = {example.document: example.unit for example in answers}
    right, own = (table.assign(unit=table["document"].map(units)) for table in (grade(answers), own_shares(answers)))
    languages = languages or list(dict.fromkeys(right["language"]))
    return {
        "change in accuracy": by_text(right, "correct", languages=languages, share=True),
        "change in language fidelity": by_text(own, "share", languages=languages, share=True),
    }


def of_losses(losses: Losses) -> Measured:
    """Nats over tokens of the model as it is, by wording."""
    return Measured(losses.languages, losses.nll[0], losses.tokens.astype(float), losses.units)


def of_choices(choices: Choices) -> dict[str, Measured]:
    """By how many nats a question's right number or language is likelier than the wrong one, by name and wording."""
    parts = zip(choices.kinds, choices.margin[:, 0], choices.questions.astype(float), strict=True)
    return {
        f"change in margin of the {kind}": Measured(choices.languages, margin, questions, choices.units)
        for kind, margin, questions in parts
    }


def same_tokens(one: Losses, other: Losses) -> bool:
    """Whether two losses are of the same tokens: of one text, tokenized alike."""
    said = [each.provenance.get("input_sha256") for each in (one, other)]
    same = one.units == other.units and np.array_equal(one.tokens, other.tokens)
    return same and said[0] == said[1]


def measure_changes(
    before: Measured,
    after: Measured | Sequence[Measured],
    null: Measured | Sequence[Measured] = (),
    *,
    groups: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Change of a measure in every language, and in means over groups of them, paired by text, sure by wording.

    A text that one of the models lacks (an answer that it did not give) is left out of all, and counted. Changes of
    shares have the intervals of :func:`neuroglot.base.uncertainty.change_of_shares`, others are jackknifed.

    Args:
        before, after, null: of the model, of its trainings, of controls, as for
            :func:`neuroglot.alignment.comparison.compare`.
        groups: languages averaged, by name; default: all.

    Returns:
        ``language`` (or the group's name), the columns of :func:`neuroglot.alignment.contrasts.contrasts`, ``size``
        (of what was measured, in languages that have a value), ``units`` (wordings) and ``left_out`` (texts measured in
        some of the models only; one of several languages counts for each). Languages are judged together, and groups.

    Raises:
        NeuroglotError: measures of different languages.
    """
    afters = [after] if isinstance(after, Measured) else list(after)
    models = [before, *afters, *([null] if isinstance(null, Measured) else null)]
    if any(one.languages != before.languages for one in models):
        raise NeuroglotError("before, after and null were not measured in the same languages.")
    texts = {text: unit for one in models for text, unit in one.unit_of.items()}
    models = [one.of(texts) for one in models]
    there = np.array([one.sizes > 0 for one in models])
    everywhere = np.all(there, axis=0)
    left_out = (there.any(axis=0) & ~everywhere).sum(axis=1)
    models = [one.only(everywhere) for one in models]
    if any((one.sizes != models[0].sizes).any() for one in models):
        raise NeuroglotError("before, after and null were not measured on the same tokens.")
    groups = {"mean of all": before.languages} if groups is None else groups
    rows = {code: [k] for k, code in enumerate(before.languages)}
    rows |= {name: [before.languages.index(c) for c in codes] for name, codes in groups.items() if codes}
    own = _Rows(np.array([one.sums for one in models]), models[0].sizes, list(rows.values()))
    families = [name in before.languages for name in rows]
    sure = own.sure_of_shares if before.share else own.sure
    table = pd.DataFrame({"language": list(rows)}).assign(**contrasts(own.values, len(afters), sure, families))
    lost = [int(left_out[members].sum()) for members in rows.values()]
    return table.assign(size=own.size(), units=own.present.sum(axis=0), left_out=lost)


class _Rows:
    """Languages, and means over groups of them, of several models on the same wordings.

    Args:
        sums: ``[models, languages, units]``.
        sizes: ``[languages, units]``.
        rows: which languages each row is of; those without a value are left out.
    """

    def __init__(self, sums: np.ndarray, sizes: np.ndarray, rows: Sequence[Sequence[int]]) -> None:
        self.sums, self.sizes, ratio = sums, sizes, ratios(sums, sizes)
        unknown = np.isnan(ratio).any(axis=0)
        self.members = [[k for k in members if not unknown[k]] for members in rows]
        self.values = self._mean(ratio)
        self.present = np.nan_to_num(self._mean(sizes.T)) > 0  # [units, rows]

    def _mean(self, values: np.ndarray) -> np.ndarray:
        """``[..., languages]`` to ``[..., rows]``."""
        nothing = np.full(values.shape[:-1], np.nan)
        return np.stack([values[..., known].mean(axis=-1) if known else nothing for known in self.members], axis=-1)

    def sure(self, weights: np.ndarray) -> Estimate:
        """A sum of models, jackknifed over wordings."""
        again = self._mean(ratios(self.sums, self.sizes, leave_one_out(self.sizes.shape[1])))  # [units, models, rows]
        return jackknife(weights @ self.values, np.einsum("m,umr->ur", weights, again), self.present)

    def sure_of_shares(self, weights: np.ndarray) -> Estimate:
        """A sum of models' shares, in which languages weigh alike whatever their sizes."""
        total = self.sizes.sum(axis=1)[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            sums, sizes = (
                np.nan_to_num(self._mean(np.moveaxis(part / total, -2, -1))) for part in (self.sums, self.sizes)
            )
        up, down = (np.tensordot(np.maximum(sign * weights, 0), sums, 1).T for sign in (1, -1))
        found = change_of_shares(up, down, sizes.T)
        return replace(found, value=weights @ self.values)

    def size(self) -> list[int]:
        """How much was measured, of each row."""
        return [int(self.sizes[known].sum()) for known in self.members]
