"""Layer profiles, the cut in four parts, and the claims checked on them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, NeuroglotError, classify, four_parts, layer_profile
from neuroglot.alignment import comparison
from neuroglot.neurons import layers


@pytest.fixture
def stats():
    rng = np.random.default_rng(5)
    counts = rng.binomial(30, rng.beta(0.4, 0.6, size=(7, 40, 3)), size=(6, 7, 40, 3))
    return ActivationStats(counts, np.full((6, 3), 30), ("a", "b", "c"))


def profile_of(specific, related, general):
    rows = zip(specific, related, general, strict=True)
    named = [dict(zip(("specific", "related", "general"), row, strict=True)) for row in rows]
    return pd.DataFrame([{"layer": i, "kind": k, "neurons": n} for i, row in enumerate(named) for k, n in row.items()])


def test_profile_counts_each_type(stats):
    types = classify(stats, top_rate=0.3, quantile=0.7)
    table = layer_profile(types)
    for row in table.itertuples():
        assert row.neurons == (types.kind[row.layer] == row.kind).sum() and row.share == row.neurons / 40
    assert len(table) == 7 * 3


def slow_parts(profile):
    """Try every pair of cuts."""
    counts = np.sqrt(profile.pivot(index="layer", columns="kind", values="neurons").to_numpy(float)[:-1])
    spread = counts.std(0)
    signal = (counts - counts.mean(0)) / np.where(spread > 0, spread, 1)

    def cost(cuts):
        pieces = np.split(signal, cuts)
        return sum(((piece - piece.mean(0)) ** 2).sum() for piece in pieces)

    return min(itertools.combinations(range(1, len(signal)), 2), key=cost)


@pytest.mark.parametrize("seed", range(8))
def test_parts_are_the_best_cut(seed):
    rng = np.random.default_rng(seed)
    profile = profile_of(*rng.integers(0, 90, size=(3, 12)))
    parts = four_parts(profile)
    assert parts["part"].tolist() == list(layers.PARTS)
    assert tuple(parts["first"][1:3]) == slow_parts(profile)
    assert parts["first"].tolist()[1:] == [last + 1 for last in parts["last"][:-1]]
    assert (parts["first"][0], parts["last"][3], parts["first"][3]) == (0, 11, 11)


def test_parts_of_a_clear_profile():
    profile = profile_of([9, 8, 1, 1, 1, 7, 9, 2], [5, 6, 0, 0, 1, 9, 8, 20], [1, 2, 40, 42, 39, 0, 0, 99])
    parts = four_parts(profile)
    assert list(zip(parts["first"], parts["last"], strict=True)) == [(0, 1), (2, 4), (5, 6), (7, 7)]
    claims = layers.part_claims(profile, parts).set_index("claim")
    assert claims["holds"].all()
    row = claims.loc["language neurons: understanding > reasoning"]
    assert (row["here"], row["against"]) == (14.0, 4 / 3)
    opposite = claims.loc["last layer: specific and related move opposite ways"]
    assert (opposite["here"], opposite["against"]) == (-7, 12)


def test_claims_can_fail():
    profile = profile_of([1, 1, 9, 9, 9, 1, 1, 2], [0, 0, 9, 9, 9, 0, 0, 1], [9, 9, 0, 0, 0, 9, 9, 3])
    assert not layers.part_claims(profile, four_parts(profile))["holds"].any()


def test_three_layers_have_no_four_parts():
    profile = profile_of([1, 2, 3], [1, 2, 3], [1, 2, 3])
    parts = four_parts(profile)
    claims = layers.part_claims(profile, parts)
    assert parts.empty and list(parts) == ["part", "first", "last"]
    assert claims.empty and list(claims) == ["claim", "here", "against", "holds"] and claims["holds"].dtype == bool
    every, share = layers.replicate_parts(pd.concat([profile.assign(draw=0), profile.assign(draw=1)]))
    assert every.empty and share.empty and layers.part_ranges(every).empty
    assert claims.join(share, on="claim").empty


def test_bootstrap_is_seeded_and_follows_the_shards(stats):
    settings = {"top_rate": 0.3, "quantile": 0.7, "lam": 0.1}
    one, two = (layers.bootstrap_profiles(stats, 5, seed=1, **settings) for _ in range(2))
    assert one.equals(two) and not one.equals(layers.bootstrap_profiles(stats, 5, seed=2, **settings))
    rng = np.random.default_rng(1)
    first = layer_profile(classify(stats.resampled(rng), **settings))
    assert one[one["draw"] == 0].drop(columns="draw").reset_index(drop=True).equals(first)
    bands = layers.intervals(one).set_index(["layer", "kind"])
    cell = one[(one["layer"] == 3) & (one["kind"] == "specific")]["neurons"]
    assert bands.loc[(3, "specific"), "low"] == np.quantile(cell, 0.025)
    assert bands.loc[(3, "specific"), "high"] == pytest.approx(np.quantile(cell, 0.975))
    parts, share = layers.replicate_parts(one)
    assert len(parts) == 20 and share.between(0, 1).all() and len(share) == 7


def test_one_shard_gives_no_interval(stats):
    with pytest.raises(NeuroglotError, match="one shard"):
        layers.bootstrap_profiles(stats.take([0]), 3)


def test_replicates_without_a_lambda_are_left_out(stats, monkeypatch):
    whole = list(layers.replicate_types(stats, 6, 3, top_rate=0.3, quantile=0.7))
    calls = iter(range(99))

    def sometimes(*arguments, **settings):
        if next(calls) in (1, 4):
            raise NeuroglotError("no lambda")
        return classify(*arguments, **settings)

    monkeypatch.setattr(layers, "classify", sometimes)
    with pytest.warns(UserWarning, match=r"no lambda fits 2 of 6 replicates \(or they lack a language\)"):
        kept = list(layers.replicate_types(stats, 6, 3, top_rate=0.3, quantile=0.7))
    assert [(a.codes == whole[i].codes).all() for a, i in zip(kept, (0, 2, 3, 5), strict=True)] == [True] * 4

    def never(*_, **__):
        raise NeuroglotError("no lambda")

    monkeypatch.setattr(layers, "classify", never)
    with pytest.raises(NeuroglotError, match="of 6 replicates more than half cannot be classified: no lambda"):
        list(layers.replicate_types(stats, 6, 3, top_rate=0.3, quantile=0.7))


def test_a_draw_without_a_language_is_left_out_and_not_drawn_again(stats):
    """Of two shards, one has no Chinese: draws of that one alone give nothing, here as in every comparison."""
    tokens = stats.shard_tokens[:4].copy()
    counts = stats.shard_counts[:4].copy()
    tokens[2:, -1] = counts[2:, ..., -1] = 0
    part = ActivationStats(counts, tokens, stats.languages)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(4, size=4) for _ in range(40)]
    whole = [shards for shards in drawn if (shards < 2).any()]
    assert 20 < len(whole) < 40
    settings = {"top_rate": 0.3, "quantile": 0.7, "lam": 0.1}
    with pytest.warns(UserWarning, match=f"fits {40 - len(whole)} of 40 replicates"):
        kept = list(layers.replicate_types(part, 40, 0, **settings))
    assert [types.provenance["merged_shards"] for types in kept] == [shards.tolist() for shards in whole]
    types = classify(part, **settings)
    with pytest.warns(UserWarning, match=f"fits {40 - len(whole)} of 40 replicates"):
        sizes = comparison.language_sizes(types, part, {}, draws=40, seed=0)
    each = pd.concat([own.counts_per_language() for own in kept]).groupby(["language", "kind"])["neurons"]
    low = each.quantile(0.025)
    for row in sizes.itertuples():
        assert row.low == pytest.approx(low[row.place, row.kind])


def drawn(shards=4, deep=5):
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 2, size=(deep, 40, 3))
    counts = rng.binomial(400, p, size=(shards, deep, 40, 3))
    return ActivationStats(counts, np.full((shards, 3), 400), ("en", "de", "sw"))


def test_depth_is_profile_parts_and_claims_with_their_intervals():
    stats = drawn()
    types = classify(stats, top_rate=0.2, quantile=0.7, lam=0.1)
    found = layers.depth(stats, types, draws=6, seed=3)
    replicates = layers.bootstrap_profiles(stats, 6, 3, **types.arguments())
    own, share = layers.replicate_parts(replicates)
    pd.testing.assert_frame_equal(found.profile, layers.layer_profile(types))
    pd.testing.assert_frame_equal(found.parts, layers.four_parts(found.profile))
    claims = layers.part_claims(found.profile, found.parts).assign(replicates=share.to_numpy())
    pd.testing.assert_frame_equal(found.claims, claims)
    pd.testing.assert_frame_equal(found.bands, layers.intervals(replicates))
    pd.testing.assert_frame_equal(found.ranges, layers.part_ranges(own))
    assert list(found.tables()) == ["profile", "parts", "claims", "bands", "ranges"] and found.reason == ""
    low, high = found.ranges.loc[1, ["low", "high"]]
    assert found.parts_and_ranges()["range"].tolist()[::3] == ["fixed", "fixed"]
    assert found.parts_and_ranges()["range"][1] == f"{low:.0f} to {high:.0f}"


def test_depth_of_one_shard_says_why_it_has_no_intervals():
    stats = drawn(shards=1)
    found = layers.depth(stats, classify(stats, top_rate=0.2, quantile=0.7, lam=0.1))
    assert "one shard" in found.reason and list(found.tables()) == ["profile", "parts", "claims"]
    assert "replicates" not in found.claims and found.parts_and_ranges() is found.parts


def test_depth_of_few_layers_has_no_parts():
    stats = drawn(deep=3)
    found = layers.depth(stats, classify(stats, top_rate=0.2, quantile=0.7, lam=0.1), draws=3)
    assert list(found.tables()) == ["profile", "bands"] and found.parts_and_ranges().empty
