"""Which neurons to remove: the paper's three sets of each language, whole or by dose, and random ones beside them."""

import hashlib
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..base.errors import NeuroglotError, quoted, require_whole
from ..model.interventions import Intervention
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
            order, ``"random"`` any neurons, equally many per layer.
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


def removals(
    types: NeuronTypes, sets: Mapping[str, Sequence[str]] = SETS, *, draws: int = 0, seed: int = 0
) -> list[Removal]:
    """Each set of each language, and ``draws`` times as many random neurons, layer by layer.

    A random draw takes any neurons of a layer, whatever their type.

    Raises:
        NeuroglotError: an unknown type in a set, or a number of draws that is none.
    """
    require_whole("draws", draws, 0)
    width = types.score.shape[1]
    result = []
    for set_, kinds in sets.items():
        for language in types.languages:
            own = types.neurons(language, kinds)
            result.append(Removal(set_, language, own))
            for draw in range(1, draws + 1):
                like = random_like(own, width, (seed, set_, language, draw))
                result.append(Removal(set_, language, like, "random", draw))
    return result


def doses(types: NeuronTypes, set_: str = BOTH, *, steps: int = 5, draws: int = 1, seed: int = 0) -> list[Removal]:
    """Growing parts of each language's neurons: half as many at each step down, by score and at random.

    By score, the lowest (most language-specific) come first; ``"shuffled"`` draws take as many of
    the same set in random order, ``"random"`` ones any neurons, as many per layer as by score.

    Raises:
        NeuroglotError: an unknown set, or a number of steps or draws that is none.
    """
    if set_ not in SETS:
        raise NeuroglotError(f"there is no set {quoted(set_)}; use {', '.join(SETS)}.")
    require_whole("steps", steps, 1)
    require_whole("draws", draws, 0)
    layers, width = types.score.shape
    result = []
    for language in types.languages:
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
                like = random_like(first, width, (seed, set_, language, draw))
                result.append(Removal(set_, language, like, "random", draw, dose))
    return result


def zeroing(of: Iterable[Removal]) -> dict[str, Intervention | None]:
    """By name, for :func:`neuroglot.losses` and for answers; the first leaves the model as it is.

    A removal of no neurons is left out: there is nothing to measure.
    """
    some = (removal for removal in of if removal.size)
    return {AS_IT_IS: None} | {removal.name: Intervention(removal.neurons, values=0.0) for removal in some}


def of_largest(of: Sequence[Removal], draws: int, set_: str = BOTH) -> list[Removal]:
    """The removals of one set, and the first random draw beside each of the largest: a few draws stand beside them all.

    Args:
        of: from :func:`removals`.
        draws: how many random draws; fewer where fewer languages have one.
        set_: which set.
    """
    mine = [removal for removal in of if removal.set == set_]
    own = [removal for removal in mine if not removal.draw]
    largest = {removal.language for removal in sorted(own, key=lambda removal: -removal.size)[:draws]}
    return own + [removal for removal in mine if removal.draw == 1 and removal.language in largest]


def empty_sets(of: Iterable[Removal]) -> dict[str, list[str]]:
    """By set, the languages that have no neuron to remove, in order; only sets with such languages."""
    found: dict[str, list[str]] = {}
    for removal in of:
        if removal.order == "score" and removal.dose == 1 and not removal.size:
            found.setdefault(removal.set, []).append(removal.language)
    return found


def random_like(neurons: Sequence[np.ndarray], width: int, seed: Iterable[str | int | np.integer]) -> list[np.ndarray]:
    """Random neurons, in each layer as many as ``neurons`` has there."""
    rng = generator("random", *seed)
    return [np.sort(rng.permutation(width)[: len(index)]) for index in neurons]


def _by_layer(flat: np.ndarray, layers: int, width: int) -> list[np.ndarray]:
    layer, index = np.divmod(np.sort(flat), width)
    return [index[layer == number] for number in range(layers)]


def generator(*seed: str | int | np.integer) -> np.random.Generator:
    """A random generator that depends on just these words and whole numbers, in any run, and not on their types."""
    plain = tuple(str(part) if isinstance(part, str) else operator.index(part) for part in seed)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(plain).encode()).digest()[:8]))
