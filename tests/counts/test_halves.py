"""Half of the text against the other half, beside plain arithmetic."""

import numpy as np

from neuroglot import ActivationStats
from neuroglot.counts.halves import compare_halves, mean_probabilities

COUNTS = np.array([[[[1, 4], [3, 2]]], [[[3, 6], [5, 0]]], [[[2, 1], [0, 1]]]])
TOKENS = np.array([[5, 10], [10, 10], [5, 5]])
STATS = ActivationStats(COUNTS, TOKENS, ("en", "de"))


def test_halves_are_every_other_shard():
    found = compare_halves(STATS)
    p = np.array([[3 / 10, 5 / 15], [3 / 10, 3 / 15]])  # shards 0 and 2
    q = np.array([[3 / 10, 6 / 10], [5 / 10, 0]])  # shard 1
    both = np.array([[6 / 20, 11 / 25], [8 / 20, 3 / 25]])
    assert np.allclose(found.means, [p.mean(axis=0), q.mean(axis=0)])
    assert np.isclose(found.apart, np.sqrt(((p - q) ** 2).mean()))
    chance = both * (1 - both) * (1 / np.array([10, 15]) + 1 / np.array([10, 10]))
    assert np.isclose(found.expected, np.sqrt(chance.mean()))
    assert np.isclose(found.correlation, np.corrcoef(p.ravel(), q.ravel())[0, 1])
    assert np.allclose(mean_probabilities(STATS), both.mean(axis=0))


def test_no_halves_of_one_shard_or_without_a_language():
    assert compare_halves(STATS.take([0])) is None
    lacking = COUNTS.copy()
    lacking[1, :, :, 1] = 0
    assert compare_halves(ActivationStats(lacking, TOKENS * [[1, 1], [1, 0], [1, 1]], ("en", "de"))) is None


def test_halves_that_are_all_the_same_have_no_correlation():
    same = compare_halves(ActivationStats(np.full((2, 1, 2, 2), 5), np.full((2, 2), 10), ("en", "de")))
    assert same.apart == 0 and np.isnan(same.correlation)


def test_neurons_that_a_half_did_not_see_take_no_part():
    """Two experts of a neuron each; in the second shard the second saw nothing of one language."""
    counts = np.array([[[[1, 1], [2, 2]]], [[[3, 1], [0, 1]]]])
    routed = np.array([[[[4, 4], [4, 4]]], [[[6, 4], [0, 4]]]])
    found = compare_halves(ActivationStats(counts, np.full((2, 2), 8), ("en", "de"), shard_routed=routed))
    difference = np.array([1 / 4 - 3 / 6, 1 / 4 - 1 / 4, 2 / 4 - 1 / 4])
    assert np.isclose(found.apart, np.sqrt((difference**2).mean()))
