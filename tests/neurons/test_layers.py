"""Layer profiles, the cut in four parts, and the claims checked on them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, NeuroglotError, classify, four_parts, layer_profile
from neuroglot.base.uncertainty import half_sampled, halves
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
    assert (opposite["here"], opposite["against"], opposite["margin"]) == (-7, 12, 7)
    assert row["margin"] == 14 - 4 / 3


def test_claims_can_fail():
    profile = profile_of([1, 1, 9, 9, 9, 1, 1, 2], [0, 0, 9, 9, 9, 0, 0, 1], [9, 9, 0, 0, 0, 9, 9, 3])
    claims = layers.part_claims(profile, four_parts(profile)).set_index("claim")
    assert not claims["holds"].any() and claims.loc["last layer: specific and related move opposite ways", "margin"] < 0


def test_three_layers_have_no_four_parts():
    profile = profile_of([1, 2, 3], [1, 2, 3], [1, 2, 3])
    parts = four_parts(profile)
    claims = layers.part_claims(profile, parts)
    assert parts.empty and list(parts) == ["part", "first", "last"]
    assert claims.empty and list(claims) == ["claim", "here", "against", "margin", "holds"]
    assert claims["holds"].dtype == bool
    profiles = pd.concat([profile.assign(split=0, half=half) for half in (0, 1)])
    assert layers.part_ranges(profiles).empty and layers.tested_claims(claims, profiles, 20).empty
    assert layers.segments(profiles, 20)["segments"].tolist() == [1, 2, 3]


def drawn(shards=10, deep=5, seed=0):
    rng = np.random.default_rng(seed)
    p = np.clip(rng.beta(0.3, 2, size=(deep, 40, 3)) + rng.normal(0, 0.05, size=(shards, deep, 40, 3)), 0, 1)
    return ActivationStats(rng.binomial(100, p), np.full((shards, 3), 100), ("en", "de", "sw"))


SETTINGS = {"top_rate": 0.2, "quantile": 0.7, "lam": 0.1}


def test_profiles_are_those_of_the_halves():
    stats = drawn()
    types = classify(stats, **SETTINGS)
    found = layers.half_profiles(stats, types, splits=3, seed=4)
    assert len(found) == 3 * 2 * 5 * 3
    for split, both in enumerate(halves(10, 3, 4)):
        for number, half in enumerate(both):
            own = layer_profile(classify(stats.merged(half), **SETTINGS))
            kept = found[(found["split"] == split) & (found["half"] == number)].drop(columns=["split", "half"])
            pd.testing.assert_frame_equal(kept.reset_index(drop=True), own)


def test_one_shard_has_no_halves(stats):
    with pytest.raises(NeuroglotError, match="one shard"):
        layers.half_profiles(stats.take([0]), classify(stats, **SETTINGS))


def test_splits_that_cannot_be_classified_are_left_out(monkeypatch):
    stats = drawn()
    types, calls = classify(stats, **SETTINGS), iter(range(99))
    whole = layers.half_profiles(stats, types, splits=4)

    def sometimes(*arguments, **settings):
        if next(calls) == 2:  # the second split's first half
            raise NeuroglotError("no lambda")
        return classify(*arguments, **settings)

    monkeypatch.setattr(layers, "classify", sometimes)
    with pytest.warns(UserWarning, match="no lambda fits 1 of 4 replicates"):
        kept = layers.half_profiles(stats, types, splits=4)
    left = whole[whole["split"] != 1]["neurons"]
    assert kept["split"].unique().tolist() == [0, 1, 2] and kept["neurons"].tolist() == left.tolist()

    def never(*_, **__):
        raise NeuroglotError("no lambda")

    monkeypatch.setattr(layers, "classify", never)
    with pytest.raises(NeuroglotError, match="of 4 replicates more than half cannot be classified: no lambda"):
        layers.half_profiles(stats, types, splits=4)


def test_depth_is_what_halves_say():
    stats = drawn()
    types = classify(stats, **SETTINGS)
    found = layers.depth(stats, types, splits=4, seed=3)
    profiles = layers.half_profiles(stats, types, 4, 3)
    pd.testing.assert_frame_equal(found.profile, layer_profile(types))
    pd.testing.assert_frame_equal(found.parts, four_parts(found.profile))
    pd.testing.assert_frame_equal(found.profiles, profiles)
    each = [half for _, half in profiles.groupby(["split", "half"])]
    for place in range(15):
        value = found.profile["neurons"][place]
        low, high = half_sampled(value, np.array([half["neurons"].iloc[place] for half in each], float), 10).interval()
        band = found.bands.iloc[place]
        assert [band["low"], band["high"]] == pytest.approx([np.maximum(low, 0), float(high)], nan_ok=True)
    assert found.bands["low"].notna().any()
    firsts = [four_parts(half)["first"][1] for half in each]
    assert found.ranges.loc[1, "low"] == pytest.approx(np.quantile(firsts, 0.025))
    assert list(found.tables()) == ["profile", "parts", "claims", "bands", "ranges", "segments"] and found.reason == ""
    low, high = found.ranges.loc[1, ["low", "high"]]
    assert found.parts_and_ranges()["range"].tolist()[::3] == ["fixed", "fixed"]
    assert found.parts_and_ranges()["range"][1] == f"{low:.0f} to {high:.0f}"


def test_claims_are_tested_on_the_other_half():
    stats = drawn()
    types = classify(stats, **SETTINGS)
    found = layers.depth(stats, types, splits=3, seed=3)
    margins = []
    for both in halves(10, 3, 3):
        one, other = (layer_profile(classify(stats.merged(half), **SETTINGS)) for half in both)
        for cut, seen in ((one, other), (other, one)):
            margins.append(layers.part_claims(seen, four_parts(cut))["margin"])
    assert found.claims["held_out"].tolist() == pytest.approx(np.mean(margins, axis=0).tolist())
    known = found.claims.dropna(subset=["low"])
    assert len(known) and (known["low"] < known["held_out"]).all() and (known["held_out"] < known["high"]).all()
    assert set(found.claims["verdict"].dropna()) <= {"more", "less", "not told apart"}


def halved(signal, noise, splits=6, seed=0):
    """Halves whose counts are a profile's, up to independent noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for split, half in itertools.product(range(splits), (0, 1)):
        counts = np.maximum(signal + noise * rng.normal(size=signal.shape), 0)
        rows.append(profile_of(*counts.T).assign(split=split, half=half))
    return pd.concat(rows)


def stepped(*sizes):
    return np.concatenate([np.tile(np.array([20, 30, 10]) * (4 if i % 2 else 1), (n, 1)) for i, n in enumerate(sizes)])


@pytest.mark.parametrize("sizes", [(5, 5), (4, 5, 5), (4, 4, 4, 4)])
def test_so_many_segments_are_found(sizes):
    found = layers.segments(halved(stepped(*sizes).astype(float), 4.0), 20)
    assert found.loc[found["chosen"], "segments"].tolist() == [len(sizes)]
    row = found.loc[len(sizes) - 1]
    assert row["verdict"] == "less" and row["error"] < row["curve_error"], "better than a curve of as many numbers"
    assert (found["numbers"] - found["curve_numbers"]).abs().max() <= 1


def test_a_smooth_profile_is_no_segments():
    depth = np.linspace(0, 1, 16)[:, None]
    found = layers.segments(halved(100 * (1 + depth) ** 2 * np.array([[1.0, 2.0, 0.5]]), 2.0), 20)
    assert (found["error"][1:] > found["curve_error"][1:]).all() and set(found["verdict"][1:]) == {"more"}


def test_errors_are_squared_differences_on_the_other_half():
    one, other = profile_of([4, 4, 9, 9], [1, 1, 1, 1], [16, 16, 4, 4]), profile_of(*np.full((3, 4), 4))
    found = layers._errors(one, other, [1, 2], [0, 1])
    specific, general = np.array([2, 2, 3, 3]), np.array([4, 4, 2, 2])
    seen = np.array([(2 - 2.5) / 0.5, 2 - 1, (2 - 3) / 1])
    cut = [(specific - 2.5) / 0.5, np.zeros(4), (general - 3) / 1]
    assert found[0] == pytest.approx([np.mean(seen**2), np.mean([(seen[k] - cut[k]) ** 2 for k in range(3)])])
    assert found[1][0] == pytest.approx(found[0][0])


def test_depth_of_one_shard_says_why_it_has_no_intervals():
    stats = drawn(shards=1)
    found = layers.depth(stats, classify(stats, **SETTINGS))
    assert "one shard" in found.reason and list(found.tables()) == ["profile", "parts", "claims"]
    assert "verdict" not in found.claims and found.parts_and_ranges() is found.parts


def test_depth_of_few_layers_has_no_parts():
    stats = drawn(deep=3)
    found = layers.depth(stats, classify(stats, **SETTINGS), splits=3)
    assert list(found.tables()) == ["profile", "bands", "segments"] and found.parts_and_ranges().empty


def test_counts_are_cut_as_they_are_scaled():
    profile = profile_of([0, 0, 0, 9, 9, 9, 9, 1], [0] * 8, [100, 900, 900, 900, 900, 400, 400, 1])
    raw, rooted, alike = (four_parts(profile, scaling)["first"].tolist() for scaling in layers.SCALINGS)
    assert raw == rooted == [0, 1, 5, 7] and alike != raw
