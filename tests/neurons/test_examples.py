"""Which neurons stand for others."""

from dataclasses import replace

import numpy as np

from neuroglot import ActivationStats
from neuroglot.neurons.contexts import chosen_neurons
from neuroglot.neurons.examples import clearest, lowest, own_and_next, to_keep, typical

from ..made import types_of

TYPES = types_of("en de fr", "-,en de fr,en,en de", "en de fr,de,de fr,en")
COUNTS = np.array(
    [
        [[1, 1, 1], [70, 60, 50], [90, 10, 0], [50, 50, 5]],
        [[80, 70, 60], [20, 60, 10], [1, 50, 50], [80, 2, 1]],
    ]
)
STATS = ActivationStats(COUNTS[None], np.full((1, 3), 100), ("en", "de", "fr"))


def test_the_clearest_has_the_lowest_score():
    assert clearest(TYPES, STATS, "specific") == (0, 2)
    assert clearest(TYPES, STATS, "related") == (0, 3)
    other = replace(TYPES, score=-TYPES.score)
    assert clearest(other, STATS, "specific") == (1, 3)
    assert lowest(TYPES) == (0, 0) and lowest(other) == (1, 3)


def test_the_clearest_general_one_is_active_most_everywhere():
    assert clearest(TYPES, STATS, "general") == (1, 0)


def test_a_type_without_neurons_has_none():
    assert clearest(types_of("en de fr", "-,en"), STATS, "related") is None


def test_specific_neurons_in_their_own_language_and_the_next():
    own, other = own_and_next(TYPES, STATS)  # of (90, 10), (60, 20) and (80, 2) per cent
    assert (own, other) == (0.8, 0.1)
    assert np.isnan(own_and_next(types_of("en de fr", "-,-,-,-", "-,-,-,-"), STATS)).all()


def test_what_is_kept_has_a_type_or_the_lowest_score():
    assert np.array_equal(to_keep(TYPES, STATS, 1), chosen_neurons(TYPES, STATS, general=1))
    nothing = types_of("en de fr", "-,-,-,-", "-,-,-,-")
    assert to_keep(replace(nothing, score=-nothing.score), STATS, 3).tolist() == [[1, 3]]


def test_the_typical_one_is_nearest_to_the_medians():
    assert typical(TYPES, STATS, "specific") in [(0, 2), (1, 1), (1, 3)]
    assert typical(TYPES, STATS, "specific") == (1, 3)  # medians 80, 10, 1: it has 80, 2, 1
    assert typical(types_of("en de fr", "-,en"), STATS, "related") is None
