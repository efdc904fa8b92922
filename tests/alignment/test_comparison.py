"""Changes against plain counting, and what is told apart from a control."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import NeuroglotError, classify
from neuroglot.alignment import comparison as cmp

from .conftest import SETTINGS, counts


def test_statistics_are_counts(types):
    found = cmp.statistics(types)
    kind = np.array(types.kind)
    for layer in range(3):
        for name in ("specific", "related", "general"):
            assert found["layer", layer, name] == (kind[layer] == name).sum()
            assert found["all", "", name] == (kind == name).sum()
    n = types.active.sum(axis=-1)
    for number in range(1, 5):
        assert found["shared by", number, "all"] == (n == number).sum()
        assert found["shared by", number, "selected"] == ((n == number) & types.selected).sum()
    for k, code in enumerate(types.languages):
        for name in ("specific", "related"):
            assert found["language", code, name] == ((kind == name) & types.active[..., k]).sum()
    assert len(found) == 3 + 9 + 8 + 8 and found.index.is_unique


@pytest.mark.parametrize("thresholds", cmp.THRESHOLDS)
def test_changes_are_differences_of_counts(before, types, changed, thresholds):
    table = cmp.compare(types, before, changed, thresholds=thresholds, splits=5).table()
    one = cmp.statistics(types)
    if thresholds == "kept":
        p = changed.probabilities()
        active = p > types.tau
        score = -(q := np.maximum(p / p.sum(-1, keepdims=True), 1e-12)) * np.log(q)
        score = score.sum(-1) / np.log(4) - types.lam * p.max(-1) / (25 / 12 / 4)
        lowest = np.argsort(score, axis=None, kind="stable")[: round(0.3 * 180)]
        selected = np.zeros(180, bool)
        selected[lowest] = True
        n = active.sum(-1)
        specific = selected.reshape(3, 60) & (n == 1)
        assert table.query("what == 'layer' and kind == 'specific'")["after"].tolist() == specific.sum(1).tolist()
    else:
        anew = cmp.statistics(classify(changed, **SETTINGS))
        assert table["after"].tolist() == anew.tolist()
    assert table["before"].tolist() == one.tolist()
    assert (table["change"] == table["after"] - table["before"]).all()
    assert list(zip(table["what"], table["place"], table["kind"], strict=True)) == list(one.index)


def test_a_model_beside_itself_changes_nothing_and_nothing_is_said_of_it(before, types):
    for thresholds in cmp.THRESHOLDS:
        table = cmp.compare(types, before, before, before, thresholds=thresholds, splits=4).table()
        assert (table[["change", "null", "contrast"]] == 0).all().all()
        assert table[["low", "null_low", "contrast_low", "detectable"]].isna().all().all(), "halves that all agree"
        assert table["verdict"].isna().all()


@pytest.fixture(scope="module")
def of_many(before, changed):
    """The model before, one in which neurons are silent, and one that only draws anew, in 20 shards."""
    chances = (before.probabilities(), changed.probabilities(), before.probabilities())
    return [counts(p, shards=20, seed=seed) for seed, p in enumerate(chances)]


def test_a_change_is_told_from_its_controls_on_the_same_shards(types, of_many):
    """Neurons that are silent in layer 0, against other draws of the same probabilities."""
    before, changed, redrawn = of_many
    place = cmp.compare(types, before, changed, redrawn, splits=20).table().set_index(["what", "place", "kind"])
    row = place.loc[("shared by", 1, "all")]
    assert row["verdict"] == "less" and row["change"] <= -8 and row["contrast"] == row["change"] - row["null"]
    assert row["contrast_low"] < row["contrast"] < row["contrast_high"] < 0
    assert place.loc[("layer", 0, "specific"), "verdict"] == "less"
    assert place.loc[("layer", 0, "related"), "change"] <= -3
    assert not set(place["verdict"]) & {"more"} or place.loc[place["verdict"] == "more", "contrast"].min() > 0
    same = cmp.compare(types, before, changed, changed, splits=20).table()
    assert (same["contrast"] == 0).all() and same["verdict"].isna().all(), "a change that the control makes as well"


def test_without_a_control_the_change_itself_is_judged(types, of_many):
    table = cmp.compare(types, *of_many[:2], splits=20).table()
    assert table[["null", "null_low", "contrast", "contrast_low"]].isna().all().all()
    row = table.set_index(["what", "place", "kind"]).loc[("shared by", 1, "all")]
    assert row["verdict"] == "less" and row["high"] < 0 and (table["trainings"] == 1).all()


def test_intervals_are_from_halves_of_the_shards(before, types, changed):
    redrawn = counts(before.probabilities(), seed=2)
    found = cmp.compare(types, before, changed, redrawn, splits=3, seed=4)
    halves = [half for pair in cmp.halves(10, 3, 4) for half in pair]
    models = (before, changed, redrawn)
    by_hand = np.array([[cmp.statistics(cmp.classified(types, m.merged(h), "kept")) for m in models] for h in halves])
    assert (found.replicates == by_hand).all() and found.shards == 10 and found.trainings == 1
    assert (found.values == [cmp.statistics(cmp.classified(types, m, "kept")) for m in models]).all()
    table = found.table()
    row = table.set_index(["what", "place", "kind"]).loc[("all", "", "specific")]
    at = table.index[(table["what"] == "all") & (table["kind"] == "specific")][0]
    error = (by_hand[:, 1, at] - by_hand[:, 2, at]).std() * np.sqrt(10 / 9)
    assert row["contrast_high"] - row["contrast"] == pytest.approx(2.776445 * error)  # t of four degrees of freedom
    assert row["detectable"] == pytest.approx((2.776445 + 0.940965) * error)


def test_the_same_seed_gives_the_same_halves(before, types, changed):
    one, other, third = (cmp.compare(types, before, changed, splits=6, seed=s).table() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, other)
    assert not one["low"].equals(third["low"])


def test_several_seeds_are_averaged(before, types, changed):
    others = [counts(changed.probabilities(), seed=s) for s in (1, 2, 3)]
    controls = [counts(before.probabilities(), seed=s) for s in (4, 5, 6)]
    found = cmp.compare(types, before, others, controls, splits=6)
    each = np.array([cmp.statistics(cmp.classified(types, m, "kept")) for m in (before, *others, *controls)])
    table = found.table()
    assert np.allclose(table["change"], each[1:4].mean(0) - each[0])
    assert np.allclose(table["contrast"], each[1:4].mean(0) - each[4:].mean(0))
    assert (table["trainings"] == 3).all()
    two = cmp.compare(types, before, others[:2], controls[:2], splits=6).table()
    assert (two["trainings"] == 1).all(), "two trainings say nothing of trainings"
    assert (cmp.compare(types, before, others, controls[:1], splits=2).table()["trainings"] == 1).all()


def test_means_over_languages(before, types, changed):
    redrawn = counts(before.probabilities(), seed=2)
    found = cmp.compare(types, before, changed, redrawn, splits=6)
    table = found.table().set_index(["what", "place", "kind"])
    groups = {"two": [("language", "de"), ("language", "zh")], "none": []}
    means = found.means(groups, ["specific", "related"]).table().set_index(["place", "kind"])
    assert list(means.index) == [("two", "specific"), ("two", "related")]
    for kind in ("specific", "related"):
        each = table.loc[[("language", code, kind) for code in ("de", "zh")]]
        assert means.loc[("two", kind), "change"] == each["change"].mean()
        assert means.loc[("two", kind), "null"] == each["null"].mean()
    # The interval is of the mean, not the mean of intervals.
    rows = [
        found.names.query(f"what == 'language' and kind == 'specific' and place == '{c}'").index[0]
        for c in ("de", "zh")
    ]
    of_mean = found.replicates[..., rows].mean(axis=-1)
    half = 2.776445 * (of_mean[:, 1] - of_mean[:, 0]).std() * np.sqrt(10 / 9)
    assert means.loc[("two", "specific"), "high"] == pytest.approx(means.loc[("two", "specific"), "change"] + half)


def test_what_cannot_be_compared(before, types, changed):
    other = counts(before.probabilities(), corpus_sha256="y")
    with pytest.raises(NeuroglotError, match=r"not counted on the same text .*corpus_sha256 differ"):
        cmp.compare(types, before, other)
    with pytest.raises(NeuroglotError, match="number of shards differ"):
        cmp.compare(types, before, counts(before.probabilities(), shards=4))
    with pytest.raises(NeuroglotError, match="cannot be compared neuron by neuron"):
        cmp.compare(types, before, counts(before.probabilities()[:2]))
    with pytest.raises(NeuroglotError, match="thresholds='new': give kept or solved"):
        cmp.compare(types, before, changed, thresholds="new")
    other = counts(before.probabilities(), settings={"quantity": "product"})
    with pytest.raises(NeuroglotError, match="quantity differ"):
        cmp.compare(types, counts(before.probabilities(), settings={"quantity": "activation"}), other)
    with pytest.raises(NeuroglotError, match="different models"):
        cmp.transitions(types, classify(counts(before.probabilities()[:2]), **SETTINGS))


def test_one_shard_has_changes_and_no_intervals(before, types, changed):
    whole = [stats.merged(range(10)) for stats in (before, changed)]
    table = cmp.compare(types, *whole, whole[0], splits=4).table()
    assert table["change"].tolist() == cmp.compare(types, before, changed, splits=1).table()["change"].tolist()
    assert table[["low", "high", "null_low", "contrast_low"]].isna().all().all() and table["verdict"].isna().all()


def test_shards_that_are_too_few_have_no_intervals(before, types, changed):
    few = [stats.take(range(7)) for stats in (before, changed)]
    assert cmp.compare(types, *few, splits=4).table()["low"].isna().all()


def test_transitions_count_every_neuron_once(types, changed):
    after = cmp.classified(types, changed, "kept")
    table = cmp.transitions(types, after)
    for row in table.itertuples():
        both = (np.array(types.kind) == row.before) & (np.array(after.kind) == row.after)
        assert row.neurons == both.sum()
    assert table["neurons"].sum() == 180 and len(table) == 16
    moved = table.set_index(["before", "after"])["share"]
    assert moved.groupby("before").sum().round(9).isin([0, 1]).all()


@given(st.integers(2, 30), st.integers(0, 5))
def test_halves_share_no_shard(shards, seed):
    for one, other in cmp.halves(shards, 3, seed):
        assert len(one) == len(other) == shards // 2 and not set(one) & set(other)


def test_counts_of_other_tokens_are_of_other_text(before, types):
    """One text under two tokenizers, or parts of it that differ."""
    tokens = counts(before.probabilities(), input_sha256="a"), counts(before.probabilities(), input_sha256="b")
    cmp.require_same_text(tokens[0], tokens[0])
    for one, other in [tokens, tokens[::-1], (before, tokens[0]), (tokens[0], before)]:
        with pytest.raises(NeuroglotError, match="tokens, by their input_sha256 differ"):
            cmp.require_same_text(one, other)
    with pytest.raises(NeuroglotError, match="input_sha256"):
        cmp.compare(types, *tokens, splits=2)
    for part in (before.take([0, 1]), before.merged([0, 1]).take([0])):
        cmp.require_same_text(part, part)
        with pytest.raises(NeuroglotError, match="shards"):
            cmp.require_same_text(part, before)
    with pytest.raises(NeuroglotError, match="selected_shards differ"):
        cmp.require_same_text(before.take([0, 1]), before.take([0, 2]))
    with pytest.raises(NeuroglotError, match="merged_shards differ"):
        cmp.require_same_text(before.merged([0, 1]), before.merged([0, 2]))


def test_a_given_lambda_is_not_solved_anew(before, changed):
    types = classify(before, **(SETTINGS | {"lam": 0.05}))
    for stats in (before, changed):
        anew = cmp.classified(types, stats, "solved")
        assert anew.lam == 0.05 and not anew.solved and (anew.codes == classify(stats, **types.arguments()).codes).all()
    assert (cmp.classified(types, before, "solved").codes == types.codes).all()
    half = next(cmp.halves(len(before.shard_tokens), 1, 0))
    one, other = cmp.other_half(types, before, "solved")
    assert [each.lam for each in (one, other)] == [0.05, 0.05]
    assert (one.codes == classify(before.merged(half[0]), **types.arguments()).codes).all()
    solved, kept = (cmp.compare(types, before, changed, thresholds=mode, splits=3) for mode in ("solved", "kept"))
    assert (solved.values[0] == cmp.statistics(types)).all(), "the model before has the types that it was given"
    anew = [classify(stats, **types.arguments()) for stats in (before, changed)]
    assert {each.lam for each in anew} == {0.05} and (solved.values[1] == cmp.statistics(anew[1])).all()
    for half, found in zip((h for pair in cmp.halves(10, 3, 0) for h in pair), solved.replicates, strict=True):
        assert (found[0] == cmp.statistics(classify(before.merged(half), **types.arguments()))).all()
    own = cmp.statistics(types)
    names = solved.names.assign(number=solved.values[0]).set_index(["what", "place", "kind"])["number"]
    low, high = (solved.table().set_index(["what", "place", "kind"])[end] for end in ("low", "high"))
    known = low.notna()
    assert (names == own).all() and ((low <= high)[known]).all() and kept.values[0].tolist() == own.tolist()


def test_only_thresholds_that_fit_are_offered(before, types, changed, monkeypatch):
    assert cmp.fitting(types, before, changed) == ["kept", "solved"]
    monkeypatch.setattr(cmp, "classify", lambda *_, **__: (_ for _ in ()).throw(NeuroglotError("no lambda")))
    assert cmp.fitting(types, before) == ["kept"]
