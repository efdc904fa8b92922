"""Which neurons to remove: the paper's three sets of each language, whole or by dose, and random ones beside them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError, quoted, require_whole
from ..counts.activations import ActivationStats
from ..counts.widths import Width, same_neurons
from ..model.interventions import Intervention
from ..neurons.drawing import generator, matched_like, random_like
from ..neurons.identification import NeuronTypes

#: The paper's three sets of a language's neurons, by the types they hold.
SETS = {
    "specific": ("specific",),
    "specific + related": ("specific", "related"),
    "specific + related + general": ("specific", "related", "general"),
}

#: The set that doses, answers and steering are about.
BOTH = "specific + related"

#: Name of the intervention that changes nothing.
AS_IT_IS = "as it is"


@dataclass(frozen=True, eq=False)
class Removal:
    """Some neurons to be set to zero, and why these.

    Attributes:
        set: one of :data:`SETS`.
        language: whose neurons they are, or whose number a random draw copies.
        neurons: one index array per layer.
        order: ``"score"`` takes the lowest scores first, ``"shuffled"`` the same set in random
            order; equally many per layer, ``"random"`` takes any neurons, ``"matched"`` ones that are as often
            active in the language, ``"others"`` ones of the other languages' sets.
        draw: number of the random draw, from 1 on; 0 where nothing is drawn.
        dose: share of the set.
    """

    set: str
    language: str
    neurons: list[np.ndarray]
    order: str = "score"
    draw: int = 0
    dose: float = 1.0

    @property
    def name(self) -> str:
        """What tells it apart from all others of a run."""
        parts = [self.language, self.set]
        parts += [f"{self.order} {self.draw}"] if self.draw else []
        parts += [f"dose {self.dose:g}"] if self.dose != 1 else []
        return ", ".join(parts)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return sum(map(len, self.neurons))


#: How random neurons are chosen beside a set: by layer alone, or by layer and by how often they are active.
MATCHED = ("layer", "firing rate")


def removals(
    types: NeuronTypes,
    sets: Mapping[str, Sequence[str]] = SETS,
    *,
    draws: int = 0,
    matched: str = "layer",
    stats: ActivationStats | None = None,
    width: float | None = None,
    seed: int = 0,
) -> list[Removal]:
    """Each set of each language, and ``draws`` times as many random neurons, layer by layer.

    By layer alone, a random draw takes any neurons of a layer, whatever their type. Language neurons are active on
    most tokens of their language, most neurons are not: by firing rate, a draw takes neurons outside the set that are
    active with the same probability in that language (:func:`neuroglot.neurons.drawing.matched_like`).

    Args:
        types: whose neurons.
        sets: by name, the types in them.
        draws: random draws beside each set of each language.
        matched: one of :data:`MATCHED`.
        stats: the counts that the types were identified on, to match firing rates by.
        width: how far the probabilities may be apart; default: the nearest that there are.
        seed: of the draws.

    Raises:
        NeuroglotError: an unknown type in a set, a number of draws that is none, another way to match, or no counts
            to match by, or others'.
    """
    require_whole("draws", draws, 0)
    if matched not in MATCHED:
        raise NeuroglotError(f"matched={quoted(matched)}: random neurons are matched by {' or by '.join(MATCHED)}.")
    rates = firing_rates(types, stats) if matched == "firing rate" else None
    result = []
    for set_, kinds in sets.items():
        own = {language: types.neurons(language, kinds) for language in types.languages}
        result += beside(set_, own, draws=draws, size=types.layer_widths, rates=rates, width=width, seed=seed)
    return result


def beside(
    set_: str,
    own: Mapping[str, list[np.ndarray]],
    *,
    draws: int,
    size: Width,
    rates: np.ndarray | None,
    width: float | None = None,
    seed: int = 0,
) -> list[Removal]:
    """One set of each language, and ``draws`` times as many random neurons.

    Args:
        set_: its name.
        own: by language, in the order of the rates, one index array per layer.
        draws: beside each language's.
        size: neurons of a layer, or of each.
        rates: ``[layers, neurons, languages]``, firing rates to match by; ``None`` matches by layer alone.
        width: how far rates may be apart; default: the nearest that there are.
        seed: of the draws.
    """
    result = []
    for k, (language, neurons) in enumerate(own.items()):
        result.append(Removal(set_, language, neurons))
        for draw in range(1, draws + 1):
            key = (seed, set_, language, draw)
            if rates is None:
                result.append(Removal(set_, language, random_like(neurons, size, key), "random", draw))
            else:
                like = matched_like(neurons, rates[..., k], key, width=width)
                result.append(Removal(set_, language, like, "matched", draw))
    return result


def firing_rates(types: NeuronTypes, stats: ActivationStats | None) -> np.ndarray:
    """How often neurons are active, ``[layers, neurons, languages]``; no number where too little was seen.

    Args:
        types: whose languages.
        stats: the counts that they were identified on.

    Raises:
        NeuroglotError: no counts, or others.
    """
    if stats is None:
        raise NeuroglotError("random neurons are matched by firing rate with the counts of the types; give stats.")
    told = ("weights_sha256", "input_sha256")
    stats = stats.select(types.languages)
    if not same_neurons(stats, types) or any(stats.provenance.get(name) != types.provenance.get(name) for name in told):
        raise NeuroglotError("these counts are not those that the types were identified on; give theirs.")
    return stats.probabilities(types.min_tokens)


def of_others(
    types: NeuronTypes, sets: Mapping[str, Sequence[str]] = SETS, *, draws: int = 1, seed: int = 0
) -> list[Removal]:
    """Beside each set of each language, neurons of the other languages' sets, in each layer as many.

    They are drawn from all that are in some other language's set and not in the language's own; where a layer has
    fewer, fewer are drawn.

    Args:
        types: whose neurons.
        sets: by name, the types in them.
        draws: beside each set of each language.
        seed: of the draws.
    """
    require_whole("draws", draws, 0)
    result = []
    for set_, kinds in sets.items():
        own = {language: types.neurons(language, kinds) for language in types.languages}
        result += of_the_others(set_, own, draws=draws, seed=seed)
    return result


def of_the_others(set_: str, own: Mapping[str, list[np.ndarray]], *, draws: int, seed: int = 0) -> list[Removal]:
    """Beside one set of each language, neurons of the other languages' that are not its own, in each layer as many."""
    result = []
    for language, neurons in own.items():
        rest = [index for code, index in own.items() if code != language]
        pool = [
            np.setdiff1d(np.concatenate(layer), mine)
            for layer, mine in zip(zip(*rest, strict=True), neurons, strict=True)
        ]
        for draw in range(1, draws + 1):
            rng = generator("others", seed, set_, language, draw)
            some = [np.sort(rng.permutation(a)[: len(mine)]) for a, mine in zip(pool, neurons, strict=True)]
            result.append(Removal(set_, language, some, "others", draw))
    return result


def match_report(of: Iterable[Removal], types: NeuronTypes, stats: ActivationStats) -> pd.DataFrame:
    """How well random draws match the sets they stand beside, in the language concerned.

    Args:
        of: sets and draws, as :func:`removals` and :func:`of_others` give them.
        types: whose neurons they are.
        stats: the counts of the types; only with moments of what enters the down projection are there squares.

    Returns:
        One row per draw: ``set``, ``language``, ``order``, ``draw``, ``neurons`` (of the set), ``short`` (how many
        fewer the draw has), ``rate`` and ``drawn_rate`` (mean probability in the language), ``farthest`` (the largest
        distance between the sorted rates of a layer; missing where some are short), ``square`` and ``drawn_square``
        (mean square of the value that enters the down projection; missing without moments).
    """
    of = list(of)
    own = {(r.set, r.language): r for r in of if r.order == "score" and r.dose == 1}
    rates, stats = firing_rates(types, stats), stats.select(types.languages)
    moments = stats.squares is not None and stats.provenance.get("quantity") == "product"
    squares = stats.second_moments() if moments else np.full(rates.shape, np.nan)
    rows = []
    for draw in (r for r in of if r.draw):
        mine, k = own[draw.set, draw.language], types.languages.index(draw.language)
        row: dict[str, Any] = {"set": draw.set, "language": draw.language, "order": draw.order, "draw": draw.draw}
        row |= {"neurons": mine.size, "short": mine.size - draw.size}
        for prefix, removal in (("", mine), ("drawn_", draw)):
            for name, values in (("rate", rates), ("square", squares)):
                row[prefix + name] = _mean_over(removal.neurons, values[..., k])
        apart = [
            np.abs(np.sort(rate[a]) - np.sort(rate[b])).max(initial=0.0)
            for a, b, rate in zip(mine.neurons, draw.neurons, rates[..., k], strict=True)
            if len(a) == len(b)
        ]
        row["farthest"] = max(apart, default=0.0) if not row["short"] and mine.size else np.nan
        rows.append(row)
    columns = ["set", "language", "order", "draw", "neurons", "short", "rate", "drawn_rate", "farthest", "square"]
    return pd.DataFrame(rows, columns=[*columns, "drawn_square"])


def _mean_over(neurons: Sequence[np.ndarray], values: np.ndarray) -> float:
    """Of ``[layers, neurons]`` over some of them; no number over none."""
    some = np.concatenate([values[layer, index] for layer, index in enumerate(neurons)])
    return float(some.mean()) if len(some) else np.nan


def doses(
    types: NeuronTypes,
    set_: str = BOTH,
    *,
    steps: int = 5,
    draws: int = 1,
    stats: ActivationStats | None = None,
    seed: int = 0,
) -> list[Removal]:
    """Growing parts of each language's neurons: half as many at each step down, by score and at random.

    By score, the lowest (most language-specific) come first; ``"shuffled"`` draws take as many of
    the same set in random order, ``"random"`` ones any neurons, as many per layer as by score; with the counts of the
    types, ``stats``, these are ``"matched"`` by firing rate.

    Raises:
        NeuroglotError: counts of another text; an unknown set, or a number of steps or draws that is none.
    """
    if set_ not in SETS:
        raise NeuroglotError(f"there is no set {quoted(set_)}; use {', '.join(SETS)}.")
    require_whole("steps", steps, 1)
    require_whole("draws", draws, 0)
    layers, width = types.score.shape
    rates = None if stats is None else firing_rates(types, stats)
    result = []
    for k, language in enumerate(types.languages):
        own = types.neurons(language, SETS[set_])
        flat = np.concatenate([layer * width + index for layer, index in enumerate(own)])
        ordered = flat[np.argsort(types.score.ravel()[flat], kind="stable")]
        for step in reversed(range(steps)):
            dose = 2.0**-step
            number = round(len(flat) * dose)
            first = _by_layer(ordered[:number], layers, width)
            result.append(Removal(set_, language, first, dose=dose))
            for draw in range(1, draws + 1):
                rng = generator(seed, "shuffled", set_, language, draw)  # the same order at every dose
                some = _by_layer(rng.permutation(flat)[:number], layers, width)
                result.append(Removal(set_, language, some, "shuffled", draw, dose))
                key = (seed, set_, language, draw)
                if rates is None:
                    result.append(
                        Removal(set_, language, random_like(first, types.layer_widths, key), "random", draw, dose)
                    )
                else:
                    like = matched_like(first, rates[..., k], key)
                    result.append(Removal(set_, language, like, "matched", draw, dose))
    return result


def zeroing(of: Iterable[Removal]) -> dict[str, Intervention | None]:
    """By name, for :func:`neuroglot.losses` and for answers; the first leaves the model as it is.

    A removal of no neurons is left out: there is nothing to measure.
    """
    some = (removal for removal in of if removal.size)
    return {AS_IT_IS: None} | {removal.name: Intervention(removal.neurons, values=0.0) for removal in some}


def empty_sets(of: Iterable[Removal]) -> dict[str, list[str]]:
    """By set, the languages that have no neuron to remove, in order; only sets with such languages."""
    found: dict[str, list[str]] = {}
    for removal in of:
        if removal.order == "score" and removal.dose == 1 and not removal.size:
            found.setdefault(removal.set, []).append(removal.language)
    return found


def _by_layer(flat: np.ndarray, layers: int, width: int) -> list[np.ndarray]:
    layer, index = np.divmod(np.sort(flat), width)
    return [index[layer == number] for number in range(layers)]
