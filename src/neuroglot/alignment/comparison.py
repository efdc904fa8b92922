"""The same neurons before and after, classified on the same shards: how many of each type, and how sure a change is."""

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError, quoted
from ..base.uncertainty import Estimate, half_sampled, halves
from ..counts.activations import ActivationStats
from ..counts.widths import same_neurons
from ..neurons.identification import KINDS, NeuronTypes, classify, keep_thresholds, replicated
from .contrasts import MARGIN, contrasts

#: How the second model's neurons are classified: with tau and lambda of the first, or with its own.
THRESHOLDS = ("kept", "solved")

_KEYS = ["what", "place", "kind"]

D = TypeVar("D")


def statistics(types: NeuronTypes) -> pd.Series:
    """What changes are looked for in: numbers of neurons, by ``what``, ``place`` and ``kind``.

    Returns:
        ``("all", "", type)``; ``("layer", layer, type)``; ``("shared by", N, "all")`` and ``"selected"``, the
        neurons active in exactly N languages; ``("language", code, type)`` for specific and related ones.
    """
    layers = np.stack([(types.codes == code).sum(axis=1) for code in range(1, len(KINDS))])
    index: list[tuple[str, str | int, str]] = [("all", "", kind) for kind in KINDS[1:]]
    index += [("layer", layer, kind) for kind in KINDS[1:] for layer in range(layers.shape[1])]
    shared = types.counts_per_n()
    index += [("shared by", n, of) for of in ("all", "selected") for n in shared["n_languages"]]
    own = types.counts_per_language()
    index += [("language", code, kind) for code, kind in zip(own["language"], own["kind"], strict=True)]
    values = [layers.sum(axis=1), layers.ravel(), shared["neurons"], shared["selected"], own["neurons"]]
    return pd.Series(
        np.concatenate(values).astype(float), index=pd.MultiIndex.from_tuples(index, names=_KEYS), name="neurons"
    )


@dataclass(frozen=True, eq=False)
class Changes:
    """Numbers of neurons in several models, on all of the text and on halves of it.

    Attributes:
        names: one row per statistic: ``what``, ``place``, ``kind``.
        values: float64 ``[models, statistics]``: the model before, then its trainings, then controls.
        replicates: the same on random halves of the shards, ``[halves, models, statistics]``.
        trainings: how many of the models these are.
        shards: of the text.
    """

    names: pd.DataFrame
    values: np.ndarray
    replicates: np.ndarray
    trainings: int
    shards: int

    def means(self, groups: Mapping[str, Sequence[tuple[str, object]]], kinds: Sequence[str]) -> "Changes":
        """Means over several places, for instance over the languages trained on.

        Args:
            groups: by name, the ``(what, place)`` to average over; one without any is left out.
            kinds: which kinds of each.
        """
        rows, weights = [], []
        places = list(zip(self.names["what"], self.names["place"], strict=True))
        for group, members in groups.items():
            for kind in kinds:
                mine = np.array([p in members for p in places]) & (self.names["kind"] == kind).to_numpy()
                if mine.any():
                    rows.append({"what": "mean", "place": group, "kind": kind})
                    weights.append(mine / mine.sum())
        matrix = np.array(weights).T.reshape(len(self.names), -1)
        names = pd.DataFrame(rows, columns=_KEYS)
        return replace(self, names=names, values=self.values @ matrix, replicates=self.replicates @ matrix)

    def table(self) -> pd.DataFrame:
        """One row per statistic.

        Each change is one between models on the same shards, and so is its interval, from halves of the shards
        (:func:`neuroglot.base.uncertainty.half_sampled`). Statistics of one ``what`` are judged together.

        Returns:
            ``what``, ``place``, ``kind``, and the columns of :func:`neuroglot.alignment.contrasts.contrasts`.
        """

        def sure(weights: np.ndarray) -> Estimate:
            return half_sampled(weights @ self.values, np.einsum("m,hms->hs", weights, self.replicates), self.shards)

        found = contrasts(self.values, self.trainings, sure, list(self.names["what"]), margin=MARGIN)
        return self.names.reset_index(drop=True).assign(**found)


def compare(
    types: NeuronTypes,
    before: ActivationStats,
    after: ActivationStats | Sequence[ActivationStats],
    null: ActivationStats | Sequence[ActivationStats] = (),
    *,
    thresholds: str = "kept",
    splits: int = 50,
    seed: int = 0,
) -> Changes:
    """Changes from one model's neurons to another's.

    Args:
        types: of ``before``, whose thresholds are kept or whose settings are used to solve anew.
        before, after: counts of the same text in the same shards; several ``after``: the same training with other
            seeds, whose mean is looked at.
        null: of a control trained the same way, or of one for each seed in the same order; none for no control.
        thresholds: ``"kept"``: lambda and tau of ``types`` throughout; ``"solved"``: those of every model and half
            anew, as :func:`classified` has it. Which splits are left out is
            :func:`neuroglot.neurons.identification.replicated`'s rule; too few give no intervals.
        splits: of the shards into two random halves, on which all models are classified again.
        seed: of the splits.

    Raises:
        NeuroglotError: counts of other neurons, languages or text.
    """
    if thresholds not in THRESHOLDS:
        raise NeuroglotError(f"thresholds={quoted(thresholds)}: give {' or '.join(THRESHOLDS)}.")
    afters = [after] if isinstance(after, ActivationStats) else list(after)
    nulls = [null] if isinstance(null, ActivationStats) else list(null)
    models = [stats.select(types.languages) for stats in (before, *afters, *nulls)]
    for other in models[1:]:
        require_same_text(models[0], other)

    def of(stats: ActivationStats) -> np.ndarray:
        return statistics(classified(types, stats, thresholds)).to_numpy()

    def on(split: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        return np.array([[of(stats.merged(half)) for stats in models] for half in split])

    names = statistics(types).index.to_frame(index=False)
    count = len(models[0].shard_tokens)
    found = _sample(list(halves(count, splits, seed)), on, (2, len(models), len(names)))
    values = np.array([of(stats) for stats in models])
    return Changes(names, values, found.reshape(-1, *values.shape), len(afters), count)


def _sample(draws: Sequence[D], of: Callable[[D], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """``[replicates, *shape]``, as :func:`replicated` has them; no numbers where they are none or no sample."""
    found: list[np.ndarray] = []
    with contextlib.suppress(NeuroglotError):
        found = list(replicated(draws, of))
    return np.array(found) if found else np.full((1, *shape), np.nan)


def classified(types: NeuronTypes, stats: ActivationStats, thresholds: str) -> NeuronTypes:
    """Other counts of the same neurons, classified with the thresholds of these types or anew with their settings.

    Args:
        types: whose lambda and tau are kept, or whose settings lambda and tau are found with anew; a lambda that
            was given stays.
        stats: in the same languages.
        thresholds: one of :data:`THRESHOLDS`.

    Raises:
        NeuroglotError: other languages or neurons, or no lambda fits.
    """
    if thresholds == "kept":
        return keep_thresholds(types, stats)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that lambda has no largest value is no news here
        return classify(stats, **types.arguments())


def fitting(types: NeuronTypes, *stats: ActivationStats) -> list[str]:
    """Those of :data:`THRESHOLDS` that can be used with all of these counts: no lambda fits some."""
    try:
        for each in stats:
            classified(types, each.select(types.languages), "solved")
    except NeuroglotError:
        return ["kept"]
    return list(THRESHOLDS)


def other_half(
    types: NeuronTypes, stats: ActivationStats, thresholds: str, seed: int = 0
) -> tuple[NeuronTypes, NeuronTypes] | None:
    """The types found on two random halves of the text; nothing where one of them has no fitting lambda."""
    stats = stats.select(types.languages)
    if len(stats.shard_tokens) < 2:
        return None
    try:
        one, other = (
            classified(types, stats.merged(half), thresholds) for half in next(halves(len(stats.shard_tokens), 1, seed))
        )
    except NeuroglotError:
        return None
    return one, other


def require_same_text(one: ActivationStats, other: ActivationStats) -> None:
    """Two models are compared on the same text, in the same shards.

    Raises:
        NeuroglotError: other neurons, languages, text, tokens (of another tokenizer, or split elsewhere) or shards.
    """
    if not same_neurons(one, other) or one.languages != other.languages:
        raise NeuroglotError(
            f"counts of shapes {one.shape} and {other.shape}, in {' '.join(one.languages)} and "
            f"{' '.join(other.languages)}, cannot be compared neuron by neuron; compare models of one architecture."
        )
    said = [each.provenance | each.provenance.get("settings", {}) for each in (one, other)]
    differing = [what for key, what in _SAME.items() if said[0].get(key) != said[1].get(key)]
    if differing or len(one.shard_tokens) != len(other.shard_tokens):
        what = ", ".join(differing) or "number of shards"
        raise NeuroglotError(f"the two models were not counted on the same text in the same way ({what} differ).")


# What of a provenance says on what was counted, and what that is.
_SAME = {
    "corpus_sha256": "corpus_sha256",
    "input_sha256": "tokens, by their input_sha256",
    "quantity": "quantity",
    "above": "above",
    "selected_shards": "selected_shards",
    "merged_shards": "merged_shards",
}


def transitions(before: NeuronTypes, after: NeuronTypes) -> pd.DataFrame:
    """Of the neurons of each type before, how many are of each type after.

    Returns:
        One row per pair of types: ``before``, ``after``, ``neurons``, ``share`` (of those of that type before).

    Raises:
        NeuroglotError: models of different shape.
    """
    if not same_neurons(before, after):
        raise NeuroglotError(f"types of shapes {before.score.shape} and {after.score.shape} are of different models.")
    pairs = (before.codes.astype(int) * len(KINDS) + after.codes)[before.real]
    joint = np.bincount(pairs, minlength=len(KINDS) ** 2)
    joint = joint.reshape(len(KINDS), -1)
    rows = [
        {"before": one, "after": other, "neurons": int(joint[i, j]), "share": joint[i, j] / max(joint[i].sum(), 1)}
        for i, one in enumerate(KINDS)
        for j, other in enumerate(KINDS)
    ]
    return pd.DataFrame(rows)
