"""Other thresholds and halves of the text: what is given, and what is left out where nothing fits."""

import numpy as np
import pytest

from neuroglot import ActivationStats, classify, overlap_of_halves
from neuroglot.neurons import published, thresholds
from neuroglot.neurons.layers import SCALINGS, four_parts, layer_profile

from ..made import types_of

pytestmark = pytest.mark.filterwarnings("ignore:every larger lambda")


@pytest.fixture(scope="module")
def stats() -> ActivationStats:
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 2, size=(5, 40, 3))
    return ActivationStats(rng.binomial(400, p, size=(4, 5, 40, 3)), np.full((4, 3), 400), ("en", "de", "sw"))


@pytest.fixture(scope="module")
def everywhere() -> ActivationStats:
    """Every neuron is active everywhere, about alike: no lambda keeps general neurons out."""
    rng = np.random.default_rng(0)
    counts = rng.integers(40, 61, size=(4, 4, 40, 3))
    return ActivationStats(counts, np.full((4, 3), 100), ("de", "en", "ru"))


def test_other_thresholds_keep_the_rest(stats):
    found = classify(stats, top_rate=0.2, quantile=0.7, lam=0.1)
    other = thresholds.fitted(stats, found, top_rate=0.1)
    assert other.arguments() == found.arguments() | {"top_rate": 0.1}
    assert thresholds.fitted(stats, found, lam=None).solved


def test_halves_are_those_of_the_settings_or_it_is_said_why_not(stats):
    found = classify(stats, top_rate=0.2, quantile=0.7, lam=0.1)
    table, reason = thresholds.halves(stats, found)
    assert table.equals(overlap_of_halves(stats, **found.arguments())) and reason == ""
    nothing, reason = thresholds.halves(stats.take([0]), found)
    assert nothing.empty and list(nothing) == list(table) and "shard" in reason


def test_cuts_at_other_rates(stats):
    found = classify(stats, top_rate=0.2, quantile=0.9)
    table, without = thresholds.cuts_at_rates(stats, found)
    assert without == [] and table["top rate"].tolist()[::6] == ["1.0%", "20.0%"] and len(table) == 7
    assert list(table)[1:] == list(SCALINGS)
    for scaling in SCALINGS:
        firsts = four_parts(layer_profile(found), scaling)["first"][1:]
        assert table[scaling].iloc[-1] == ", ".join(map(str, firsts))


def test_cuts_of_few_layers_have_no_parts(stats):
    shallow = ActivationStats(stats.shard_counts[:, :2], stats.shard_tokens, stats.languages)
    table, _ = thresholds.cuts_at_rates(shallow, classify(shallow, top_rate=0.2, quantile=0.9))
    assert not table[list(SCALINGS)].any().any()


def test_what_no_lambda_fits_is_left_out(everywhere):
    """At the types' own lambda all is well; at the top rates beside it every selection has a general neuron."""
    found = classify(everywhere, top_rate=0.2, quantile=0.01, lam=0.1)
    assert thresholds.fitted(everywhere, found, lam=None) is None
    cuts, without = thresholds.cuts_at_rates(everywhere, found)
    assert {0.1, 0.2} <= set(without) and "10.0%" not in list(cuts.get("top rate", []))


def test_numbers_beside_the_papers():
    few = thresholds.by_n_beside_paper(types_of("en de", "en,en de,de,-"))
    assert few.to_dict("list") == {"N": [1, 2], "all neurons": [2, 1], "selected neurons": [2, 0]}
    ten = thresholds.by_n_beside_paper(types_of("a b c d e f g h i j", "a,a b c,-"))
    assert ten["published, Mistral-7B (fig. 15)"].tolist() == list(published.BY_N)
