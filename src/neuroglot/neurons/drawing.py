"""Random neurons that stand in for a set: any of the same layers, or those that fire as often."""

import hashlib
import operator
from collections.abc import Iterable, Sequence

import numpy as np

from ..counts.widths import Width, each

# Of so many neurons with the nearest firing rates one is drawn.
_NEAREST = 5


def generator(*seed: str | int | np.integer) -> np.random.Generator:
    """A random generator that depends on just these words and whole numbers, in any run, and not on their types."""
    plain = tuple(str(part) if isinstance(part, str) else operator.index(part) for part in seed)
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(plain).encode()).digest()[:8]))


def random_like(
    neurons: Sequence[np.ndarray], width: Width, seed: Iterable[str | int | np.integer]
) -> list[np.ndarray]:
    """Random neurons, in each layer as many as ``neurons`` has there, of layers of ``width`` neurons."""
    rng = generator("random", *seed)
    widths = each(width, len(neurons))
    return [np.sort(rng.permutation(int(n))[: len(index)]) for n, index in zip(widths, neurons, strict=True)]


def matched_like(
    neurons: Sequence[np.ndarray],
    rates: np.ndarray,
    seed: Iterable[str | int | np.integer],
    *,
    width: float | None = None,
    among: Sequence[np.ndarray] | None = None,
) -> list[np.ndarray]:
    """Random neurons outside a set, in each layer as many, each with the firing rate of one of the set.

    For every neuron of the set, in random order, one is drawn of the five not yet taken whose rates are nearest.

    Args:
        neurons: the set, one index array per layer.
        rates: ``[layers, neurons]``, how often each is active in the language; what is no number is not drawn.
        seed: words and whole numbers that the draw depends on.
        width: only neurons whose rates are at most this far apart; where there is none, one is short.
        among: draw from these alone, one index array per layer.

    Returns:
        One index array per layer; with fewer neurons than the set where a layer has too few.
    """
    rng = generator("matched", *seed)
    found = []
    for layer, index in enumerate(neurons):
        rate = rates[layer]
        free = np.isfinite(rate)
        if among is not None:
            free &= np.isin(np.arange(len(rate)), among[layer])
        free[index] = False
        taken = []
        for neuron in rng.permutation(index):
            apart = np.where(free, np.abs(rate - rate[neuron]), np.inf)
            near = np.argsort(apart, kind="stable")[:_NEAREST]
            near = near[apart[near] <= (np.finfo(float).max if width is None else width)]
            if len(near):
                taken.append(rng.choice(near))
                free[taken[-1]] = False
        found.append(np.sort(np.array(taken, dtype=np.int64)))
    return found
