"""First and second language of a neuron, their intervals over shards, and how sure its type is."""

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, classify
from neuroglot.base.uncertainty import effective_number, halves, share_interval
from neuroglot.neurons import specificity

from ..made import types_of

pytestmark = pytest.mark.filterwarnings("ignore:every larger lambda", "ignore:no lambda fits")


def drawn(shards: int = 8, seed: int = 0) -> ActivationStats:
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 2, size=(3, 40, 3))
    p = np.clip(p + rng.normal(0, 0.1, size=(shards, 3, 40, 3)), 0, 1)
    tokens = rng.integers(50, 90, size=(shards, 3))
    return ActivationStats(rng.binomial(tokens[:, None, None], p), tokens, ("en", "de", "sw"))


def test_intervals_are_those_of_the_shards():
    stats = drawn()
    low, high = specificity.probability_intervals(stats, np.array([0, 2]), np.array([5, 7]))
    sums, sizes = stats.shard_counts[:, 2, 7, 1].astype(float), stats.shard_tokens[:, 1].astype(float)
    number = effective_number(sums, sizes)
    assert number < sizes.sum() / 2, "the shards differ by more than tokens that are independent would"
    assert (low[1, 1], high[1, 1]) == pytest.approx(tuple(map(float, share_interval(sums.sum() / sizes.sum(), number))))
    assert low.shape == high.shape == (2, 3)
    few = specificity.probability_intervals(stats.take([0, 1, 2]), np.array(0), np.array(5))
    assert np.isnan(few).all()


def test_a_neuron_of_an_expert_saw_its_expert_s_tokens():
    rng = np.random.default_rng(0)
    routed = rng.integers(20, 40, size=(6, 2, 2, 3))  # two experts of four neurons each
    counts = rng.binomial(np.repeat(routed, 4, axis=2), 0.3)
    stats = ActivationStats(counts, np.full((6, 3), 60), ("en", "de", "sw"), shard_routed=routed)
    low, high = specificity.probability_intervals(stats, np.array([1]), np.array([6]))
    sums, sizes = counts[:, 1, 6, 2].astype(float), routed[:, 1, 1, 2].astype(float)
    wanted = share_interval(sums.sum() / sizes.sum(), effective_number(sums, sizes))
    assert (low[0, 2], high[0, 2]) == pytest.approx(tuple(map(float, wanted)))


def test_agreement_is_the_share_of_halves_with_the_same_type():
    stats = drawn()
    types = classify(stats, top_rate=0.2, quantile=0.8, lam=0.1)
    sure = specificity.agreement(stats, types, splits=3, seed=4)
    others = [classify(stats.merged(half), **types.arguments()) for split in halves(8, 3, 4) for half in split]
    for layer, neuron in ((0, 0), *zip(*np.nonzero(types.selected), strict=True)):
        kind, own = types.kind[layer, neuron], types.active[layer, neuron]
        same = [other.kind[layer, neuron] == kind for other in others]
        if kind == "specific":  # of the same language
            same = [s and (o.active[layer, neuron] == own).all() for s, o in zip(same, others, strict=True)]
        assert sure[layer, neuron] == pytest.approx(np.mean(same))
    assert 0 <= sure.min() < sure.max() <= 1


def test_nothing_is_sure_without_halves():
    stats = drawn()
    types = classify(stats, top_rate=0.2, quantile=0.8, lam=0.1)
    assert np.isnan(specificity.agreement(stats.take([0]), types)).all()
    table = specificity.specificity(stats.take([0]), types)
    assert table["sure"].isna().all() and specificity.how_sure(table).empty


def test_every_selected_neuron_has_a_first_and_a_second_language():
    stats = drawn()
    types = classify(stats, top_rate=0.2, quantile=0.8, lam=0.1)
    table = specificity.specificity(stats, types, splits=2)
    assert list(table) == list(specificity.COLUMNS) and len(table) == types.selected.sum()
    for row in table.itertuples():
        p = stats.probabilities()[row.layer, row.neuron]
        ranked = sorted(zip(-p, range(3), stats.languages, strict=True))
        assert [(row.first, -row.first_p), (row.second, -row.second_p)] == [(c, q) for q, _, c in ranked[:2]]
        assert row.first_low < row.first_p < row.first_high or row.first_p in (0, 1)
        assert row.near == (abs(row.second_p - types.tau) <= 0.05) and row.kind == types.kind[row.layer, row.neuron]
    assert 0 < table["near"].sum() < len(table)


def test_no_selected_neuron_no_row():
    nothing = types_of("en de sw", "-,-")
    stats = ActivationStats(np.ones((4, 1, 2, 3), dtype=int), np.full((4, 3), 9), ("en", "de", "sw"))
    table = specificity.specificity(stats, nothing)
    assert table.empty and list(table) == list(specificity.COLUMNS)


def test_how_sure_counts_each_neuron_once():
    kinds = ["specific", "specific", "specific", "related", "unclassified"]
    table = pd.DataFrame({"kind": kinds, "sure": [1.0, 0.95, 0.3, 0.0, 0.5]})
    found = specificity.how_sure(table)
    assert found.groupby("kind")["neurons"].sum().to_dict() == {"specific": 3, "related": 1}
    specific = found[found["kind"] == "specific"].set_index("low")
    assert (specific.loc[0.9, "neurons"], specific.loc[0.3, "neurons"]) == (2, 1)
    assert specific.loc[0.9, "share"] == pytest.approx(2 / 3)


def test_halves_scatter_as_other_texts_do():
    """Seeded: the share of halves that agree is near the share of new texts of the same size that agree."""
    rng = np.random.default_rng(1)
    p = rng.beta(0.3, 2, size=(2, 30, 3))

    def text() -> ActivationStats:
        own = np.clip(p + rng.normal(0, 0.12, size=(20, 2, 30, 3)), 0, 1)
        return ActivationStats(rng.binomial(40, own), np.full((20, 3), 40), ("en", "de", "sw"))

    settings = {"top_rate": 0.3, "quantile": 0.8, "lam": 0.1}
    said, found = [], []
    for _ in range(12):
        stats = text()
        types = classify(stats, **settings)
        said.append(specificity.agreement(stats, types)[types.selected].mean())
        others = [classify(text(), **settings) for _ in range(6)]
        found.append(np.mean([(other.codes == types.codes)[types.selected].mean() for other in others]))
    assert np.mean(said) == pytest.approx(np.mean(found), abs=0.06)
    assert np.mean(found) < 0.9, "types do change from text to text"
