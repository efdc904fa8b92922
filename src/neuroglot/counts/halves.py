"""How far probabilities depend on the choice of text: half of the shards against the other half."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .activations import ActivationStats


@dataclass(frozen=True, eq=False)
class Halves:
    """Two halves of the text, compared over the neurons and languages of which both saw a token.

    Attributes:
        means: float64 ``[2, languages]``, the mean probability in each half.
        apart: root mean square of the difference of a neuron's two probabilities.
        expected: the same where tokens are independent.
        correlation: of the two probabilities; no number where one half's are all the same.
    """

    means: NDArray[np.float64]
    apart: float
    expected: float
    correlation: float


def mean_probabilities(stats: ActivationStats) -> NDArray[np.float64]:
    """Of each language over all neurons (those that saw a token, in a mixture), float64 ``[languages]``."""
    means: NDArray[np.float64] = np.nanmean(stats.probabilities(), axis=(0, 1))
    return means


def compare_halves(stats: ActivationStats) -> Halves | None:
    """Every other shard against the rest; ``None`` for one shard, or where a half lacks a language."""
    shards = range(len(stats.shard_tokens))
    halves = [stats.take(half) for half in (shards[::2], shards[1::2]) if half]
    if len(halves) < 2 or not all(half.tokens.all() for half in halves):
        return None
    seen = [half.seen for half in halves]
    known = (seen[0] > 0) & (seen[1] > 0)
    p, q = (half.probabilities()[known] for half in halves)
    both = stats.probabilities()[known]
    chance = both * (1 - both) * (1 / seen[0][known] + 1 / seen[1][known])
    with np.errstate(divide="ignore", invalid="ignore"):
        correlation = np.corrcoef(p, q)[0, 1]
    return Halves(
        means=np.array([mean_probabilities(half) for half in halves]),
        apart=float(np.sqrt(((p - q) ** 2).mean())),
        expected=float(np.sqrt(chance.mean())),
        correlation=float(correlation),
    )
