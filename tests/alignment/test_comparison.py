"""Changes against plain counting, and noise that is called noise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import Example, NeuroglotError, classify
from neuroglot.alignment import comparison as cmp
from neuroglot.model.likelihood import Losses

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
    table = cmp.compare(types, before, changed, thresholds=thresholds, draws=5, splits=5).table()
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


def test_a_model_beside_itself_changes_nothing(before, types):
    for thresholds in cmp.THRESHOLDS:
        table = cmp.compare(types, before, before, before, thresholds=thresholds, draws=8, splits=8).table()
        for column in ("change", "low", "high", "null"):
            assert (table[column] == 0).all(), column
        assert set(table["verdict"]) == {"not beyond noise"}
        assert (table["again_low"] < table["again_high"]).any(), "other text is not the same text"


def test_what_is_beyond_noise(before, types, changed):
    """Neurons that are silent in layer 0, against other draws of the same probabilities."""
    redrawn = counts(before.probabilities(), seed=2)
    with_null = cmp.compare(types, before, changed, redrawn, draws=40, splits=40).table()
    place = with_null.set_index(["what", "place", "kind"])
    assert place.loc[("shared by", 1, "all"), "verdict"] == "beyond noise"
    assert place.loc[("shared by", 1, "all"), "change"] <= -8 and place.loc[("layer", 0, "related"), "change"] <= -3
    assert place.loc[("layer", 0, "specific"), "verdict"] == "beyond noise"
    noise = cmp.compare(types, before, redrawn, redrawn, draws=40, splits=40).table()
    assert set(noise["verdict"]) == {"not beyond noise"}, "a control beside itself"
    same = cmp.compare(types, before, changed, changed, draws=40, splits=40).table()
    assert set(same["verdict"]) == {"not beyond noise"}, "a change that the control makes as well"


def test_the_same_seed_gives_the_same_noise(before, types, changed):
    one, other, third = (cmp.compare(types, before, changed, draws=6, splits=6, seed=s).table() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, other)
    assert not one["low"].equals(third["low"])


def test_several_seeds_are_averaged(before, types, changed):
    redrawn = counts(before.probabilities(), seed=2)
    each = [cmp.compare(types, before, model, draws=4, splits=4).table()["change"] for model in (changed, redrawn)]
    table = cmp.compare(types, before, [changed, redrawn], draws=4, splits=4).table()
    assert np.allclose(table["change"], sum(each) / 2)
    half = 12.706204736 * abs(each[0] - each[1]) / np.sqrt(2) / np.sqrt(2)  # t of one degree of freedom
    assert np.allclose(table["seeds_high"] - table["change"], half)
    assert cmp.compare(types, before, changed, draws=4, splits=4).table()["seeds_low"].isna().all()


def test_means_over_languages(before, types, changed):
    found = cmp.compare(types, before, changed, before, draws=6, splits=6)
    table = found.table().set_index(["what", "place", "kind"])
    groups = {"two": [("language", "de"), ("language", "zh")], "none": []}
    means = found.means(groups, ["specific", "related"]).table().set_index(["place", "kind"])
    assert list(means.index) == [("two", "specific"), ("two", "related")]
    for kind in ("specific", "related"):
        each = table.loc[[("language", code, kind) for code in ("de", "zh")]]
        assert means.loc[("two", kind), "change"] == each["change"].mean()
        assert means.loc[("two", kind), "null"] == 0
    # The interval is of the mean, not the mean of intervals.
    rows = [
        found.names.query(f"what == 'language' and kind == 'specific' and place == '{c}'").index[0]
        for c in ("de", "zh")
    ]
    low, high = np.quantile(found.replicates[:, rows].mean(axis=1), [0.025, 0.975])
    assert means.loc[("two", "specific"), ["low", "high"]].tolist() == pytest.approx([low, high])


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
    table = cmp.compare(types, *whole, whole[0], draws=4, splits=4).table()
    assert table["change"].tolist() == cmp.compare(types, before, changed, draws=1, splits=1).table()["change"].tolist()
    assert table[["low", "high", "again_low", "null_low"]].isna().all().all() and set(table["verdict"]) == {
        "cannot be told"
    }


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


# --- what the models do ------------------------------------------------------------------------


def measured(sums, sizes=None, languages=("en", "de")):
    sums = np.array(sums, dtype=float)
    return cmp.Measured(languages, sums, np.ones_like(sums) if sizes is None else np.array(sizes, dtype=float))


def test_measures_change_by_language_and_on_average():
    before = measured([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    after = measured([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    table = cmp.measure_changes(before, after).set_index("language")
    assert table["before"].tolist() == [0.4, 0, 0.2] and table["change"].tolist() == pytest.approx([0.4, 1, 0.7])
    assert table["size"].tolist() == [5, 5, 10] and table["units"].tolist() == [5, 5, 5] and table["null"].isna().all()
    # A mean rests on the languages that have a value, and so does its size.
    unknown = [replace(one, sums=np.where([[False], [True]], np.nan, one.sums)) for one in (before, after)]
    part = cmp.measure_changes(*unknown).set_index("language").loc["mean of all"]
    assert (part["change"], part["size"]) == (pytest.approx(0.4), 5)
    # The classical paired t interval, since every unit has one response.
    differences = np.array([0, 1, 1, 0, 0])
    half = 2.7764451052 * differences.std(ddof=1) / np.sqrt(5)
    assert table.loc["en", ["low", "high"]].tolist() == pytest.approx([0.4 - half, 0.4 + half])
    both = (differences + 1) / 2
    half = 2.7764451052 * both.std(ddof=1) / np.sqrt(5)
    assert table.loc["mean of all", "low"] == pytest.approx(0.7 - half)
    assert table.loc["de", "verdict"] == "cannot be told", "five units that agree say nothing of others"
    assert table["verdict"].tolist() == ["not beyond noise", "cannot be told", "beyond noise"]
    null = cmp.measure_changes(before, after, after)
    assert set(null["verdict"]) <= {"not beyond noise", "cannot be told"} and null["null"].tolist() == pytest.approx(
        [0.4, 1, 0.7]
    )
    same = cmp.measure_changes(before, before)
    assert (same[["change", "low", "high"]] == 0).all().all() and set(same["verdict"]) == {"not beyond noise"}


def test_measures_are_ratios_of_sums():
    before, after = measured([[10, 1]], [[10, 1]], ("en",)), measured([[30, 2]], [[10, 1]], ("en",))
    table = cmp.measure_changes(before, after, groups={})
    assert table["before"].tolist() == [1] and table["after"].tolist() == [32 / 11]
    single = cmp.measure_changes(measured([[1]], languages=("en",)), measured([[0]], languages=("en",)), groups={})
    assert single["low"].isna().all() and single["verdict"].tolist() == ["cannot be told"]
    with pytest.raises(NeuroglotError, match="same languages on the same text"):
        cmp.measure_changes(before, measured([[1, 1], [1, 1]]))
    nothing = measured([[np.nan, np.nan], [1, 0]])
    table = cmp.measure_changes(nothing, nothing).set_index("language")
    assert np.isnan(table.loc["en", "change"]) and table.loc["mean of all", "before"] == 0.5


def test_counts_of_other_tokens_are_of_other_text(before, types):
    """One text under two tokenizers, or parts of it that differ."""
    tokens = counts(before.probabilities(), input_sha256="a"), counts(before.probabilities(), input_sha256="b")
    cmp.require_same_text(tokens[0], tokens[0])
    for one, other in [tokens, tokens[::-1], (before, tokens[0]), (tokens[0], before)]:
        with pytest.raises(NeuroglotError, match="tokens, by their input_sha256 differ"):
            cmp.require_same_text(one, other)
    with pytest.raises(NeuroglotError, match="input_sha256"):
        cmp.compare(types, *tokens, draws=2, splits=2)
    for part in (before.take([0, 1]), before.merged([0, 1]).take([0])):
        cmp.require_same_text(part, part)
        with pytest.raises(NeuroglotError, match="shards"):
            cmp.require_same_text(part, before)
    with pytest.raises(NeuroglotError, match="selected_shards differ"):
        cmp.require_same_text(before.take([0, 1]), before.take([0, 2]))
    with pytest.raises(NeuroglotError, match="merged_shards differ"):
        cmp.require_same_text(before.merged([0, 1]), before.merged([0, 2]))


def test_a_unit_that_one_model_lacks_is_left_out_of_all():
    """Models that score alike: one leaves the hardest text unanswered, which is no gain."""
    scores = pd.DataFrame({"language": "de", "document": list("abcd"), "score": [-1.0, -2.0, -3.0, -10.0]})
    models = [scores, scores[scores["document"] != "d"], scores[scores["document"] != "a"]]
    before, after, null = (cmp.by_question(table, "score", languages=["de", "zh"]) for table in models)
    assert before.units == tuple("abcd") and after.units == tuple("abc")
    row = cmp.measure_changes(before, after, groups={}).set_index("language").loc["de"]
    assert (row["before"], row["after"], row["change"]) == (-2, -2, 0)
    assert (row["units"], row["left_out"], row["size"]) == (3, 1, 3)
    row = cmp.measure_changes(before, after, null, groups={}).set_index("language").loc["de"]
    assert (row["before"], row["after"], row["null"], row["units"], row["left_out"]) == (-2.5, -2.5, 0, 2, 2)
    assert (row["null_low"], row["null_high"]) == (0, 0)
    # Units are paired by their names, in whatever order and number the models have them.
    moved = replace(after, sums=after.sums[:, ::-1], sizes=after.sizes[:, ::-1], units=after.units[::-1])
    assert cmp.measure_changes(before, moved, groups={}).equals(cmp.measure_changes(before, after, groups={}))
    apart = cmp.measure_changes(
        before, cmp.by_question(scores.assign(document=list("efgh")), "score", languages=["de", "zh"])
    )
    assert np.isnan(apart["change"]).all() and apart["left_out"].tolist() == [8, 0, 8]


def test_losses_are_of_the_same_tokens():
    tokens = np.array([[3, 4]])
    one = Losses(("as it is",), ("en",), ("a", "b"), tokens[None] * 1.0, tokens, {"input_sha256": "x"})
    assert cmp.same_tokens(one, replace(one, nll=one.nll * 2))
    for other in (
        replace(one, provenance={"input_sha256": "y"}),
        replace(one, tokens=tokens + 1),
        replace(one, units=("a", "c")),
        Losses(("as it is",), ("en",), ("a",), np.ones((1, 1, 1)), np.array([[3]]), {"input_sha256": "x"}),
    ):
        assert not cmp.same_tokens(one, other)


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


def test_intervals_of_few_units_cover_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(400):
        sizes = rng.integers(20, 60, size=(1, 6)).astype(float)
        base, noise = rng.normal(2, 0.5, size=(1, 6)), rng.normal(0, 0.2, size=(1, 6))
        models = [cmp.Measured(("en",), values * sizes, sizes) for values in (base, base + noise)]
        row = cmp.measure_changes(*models, groups={}).iloc[0]
        hits.append(row["low"] <= 0 <= row["high"])
    assert 0.92 <= np.mean(hits) <= 0.98


@pytest.mark.model  # of languages
def test_responses_become_measures():
    rows = pd.DataFrame(
        [("de", "b", True, 4), ("de", "a", False, 2), ("en", "a", True, 1), ("de", "a", True, 2)],
        columns=["language", "document", "right", "letters"],
    )
    found = cmp.by_question(rows, "right")
    assert found.languages == ("de", "en")
    assert found.sums.tolist() == [[1, 1], [1, 0]] and found.sizes.tolist() == [[2, 1], [1, 0]]
    unknown = rows.assign(right=[np.nan, np.nan, 1.0, np.nan])
    assert (
        np.isnan(cmp.by_question(unknown, "right").sums[0]).all() and cmp.by_question(unknown, "right").sums[1, 0] == 1
    )
    sized = cmp.by_question(rows, "right", "letters", languages=["en", "de", "zh"], documents=["b", "a"])
    assert sized.sizes.tolist() == [[0, 1], [4, 4], [0, 0]] and sized.languages == ("en", "de", "zh")
    answers = [Example(i, "de", "?", text, "7") for i, text in (("a", "Sie hat 7 Birnen im Korb."), ("b", "7"))]
    right, own = cmp.of_answers(answers).values()
    assert right.units == own.units == ("a", "b") and right.sizes.tolist() == [[1, 1]]
    assert own.sizes.tolist() == own.sums.tolist() == [[1, 0]]
    silent = cmp.by_question(rows[:0], "right", languages=["en", "de"], documents=["a", "b"])
    assert silent.sizes.tolist() == silent.sums.tolist() == [[0, 0], [0, 0]] and silent.units == ("a", "b")


@pytest.mark.parametrize(
    ("change", "interval", "again", "apart", "said"),
    [
        (5, (1, 9), (-2, 2), (1, 8), "beyond noise"),
        (-5, (-9, -1), (-2, 2), (-8, -1), "beyond noise"),
        (5, (-1, 9), (-2, 2), (1, 8), "not beyond noise"),
        (5, (1, 9), (-6, 6), (1, 8), "not beyond noise"),
        (5, (1, 9), (-2, 2), (-1, 8), "not beyond noise"),
        (5, (1, 9), None, None, "beyond noise"),
        (5, (np.nan, np.nan), (-2, 2), (1, 8), "cannot be told"),
        (5, (1, 9), (np.nan, np.nan), (1, 8), "cannot be told"),
        (np.nan, (1, 9), None, None, "cannot be told"),
    ],
)
def test_verdicts(change, interval, again, apart, said):
    arrays = [
        None if each is None else tuple(np.array([end], float) for end in each) for each in (interval, again, apart)
    ]
    assert cmp.verdicts(np.array([change], float), *arrays).tolist() == [said]
    if said == "beyond noise":
        spread = tuple(np.array([end], float) for end in (-1, 9))
        assert cmp.verdicts(np.array([change], float), *arrays, seeds=spread).tolist() == ["not beyond noise"]


def test_only_thresholds_that_fit_are_offered(before, types, changed, monkeypatch):
    assert cmp.fitting(types, before, changed) == ["kept", "solved"]
    monkeypatch.setattr(cmp, "classify", lambda *_, **__: (_ for _ in ()).throw(NeuroglotError("no lambda")))
    assert cmp.fitting(types, before) == ["kept"]


def test_readable_tables():
    row = {"what": "all", "before": 10.0, "after": 12.0, "change": 2.0, "low": 1.0, "high": 3.0, "null": np.nan}
    table = pd.DataFrame([row | {"again_low": -1.0, "again_high": 1.0, "verdict": "cannot be told"}])
    shown = cmp.readable(table)
    assert shown.to_dict("records") == [
        {"what": "all", "before, after": "10, 12", "change": "+2 (+1 to +3)"}
        | {"other text": "-1 to +1", "verdict": "cannot be told"}
    ]
    assert cmp.in_words(table) == ["+2 (+1 to +3): cannot be told"]
    assert cmp.in_words(table.assign(change=np.nan, low=np.nan)) == ["no number: cannot be told"]
    assert list(cmp.readable(table, first=["verdict", "change"]))[:3] == ["verdict", "change", "what"]
    with_control = table.assign(null=0.4, low=np.nan)
    assert cmp.in_words(with_control, "{:.1f}") == ["+2.0, control +0.4: cannot be told"]
