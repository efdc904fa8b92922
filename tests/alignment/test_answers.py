"""Measures of models on the same texts: pairs, wordings, and intervals against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neuroglot import Example, NeuroglotError
from neuroglot.alignment import answers
from neuroglot.alignment.answers import Measured, measure_changes
from neuroglot.base.uncertainty import change_of_shares
from neuroglot.model.likelihood import Losses


def measured(sums, sizes=None, languages=("en", "de"), **more):
    sums = np.array(sums, dtype=float)
    sizes = np.ones_like(sums) if sizes is None else np.array(sizes, dtype=float)
    return Measured(languages, sums, sizes, tuple(f"t{i}" for i in range(sums.shape[1])), **more)


def test_measures_change_by_language_and_on_average():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2, 6))
    before, after, null = measured(base), measured(base + rng.normal(1, 0.2, (2, 6))), measured(base + 0.01 * base**2)
    table = measure_changes(before, after, null).set_index("language")
    assert list(table.index) == ["en", "de", "mean of all"] and table["units"].tolist() == [6, 6, 6]
    assert table["size"].tolist() == [6, 6, 12] and (table["left_out"] == 0).all()
    for k, code in enumerate(("en", "de")):  # of texts of one size the jackknife is a t interval, but for n / (n - 1)
        differences = after.sums[k] - null.sums[k]
        half = stats.t.ppf(0.975, 4) * differences.std(ddof=1) / np.sqrt(5)
        assert table.loc[code, "contrast"] == pytest.approx(differences.mean())
        assert table.loc[code, "contrast_high"] == pytest.approx(differences.mean() + half)
    both = (after.sums - before.sums).mean(axis=0)
    half = stats.t.ppf(0.975, 4) * both.std(ddof=1) / np.sqrt(5)
    assert table.loc["mean of all", ["low", "high"]].tolist() == pytest.approx([both.mean() - half, both.mean() + half])
    assert set(table["verdict"]) == {"more"} and (table["detectable"] > 0).all()
    same = measure_changes(before, before)
    assert (same["change"] == 0).all() and same["verdict"].isna().all() and same["low"].isna().all()


def test_measures_are_ratios_of_sums():
    before, after = measured([[10, 1]], [[10, 1]], ("en",)), measured([[30, 2]], [[10, 1]], ("en",))
    table = measure_changes(before, after, groups={})
    assert table["before"].tolist() == [1] and table["after"].tolist() == [32 / 11]
    assert table["low"].isna().all() and table["verdict"].isna().all(), "two wordings"
    with pytest.raises(NeuroglotError, match="same languages"):
        measure_changes(before, measured([[1, 1], [1, 1]]))
    with pytest.raises(NeuroglotError, match="same tokens"):
        measure_changes(before, measured([[30, 2]], [[9, 1]], ("en",)))
    nothing = measured([[np.nan, np.nan], [1, 0]])
    table = measure_changes(nothing, nothing).set_index("language")
    assert np.isnan(table.loc["en", "change"]) and table.loc["mean of all", "before"] == 0.5
    assert table.loc["mean of all", "size"] == 2


def test_wordings_are_the_units_not_texts():
    """Three texts of each of five wordings, all of which change alike within one."""
    change = np.repeat([1.0, 2, 3, 4, 5], 3)[None]
    units = tuple(f"w{i // 3}" for i in range(15))
    before, after = (measured(sums, languages=("en",), units=units) for sums in (np.zeros((1, 15)), change))
    row = measure_changes(before, after, groups={}).iloc[0]
    half = stats.t.ppf(0.975, 3) * np.std([1, 2, 3, 4, 5], ddof=1) / np.sqrt(4)
    assert (row["units"], row["change"]) == (5, 3) and row["high"] - 3 == pytest.approx(half)


def test_shares_have_the_interval_of_shares():
    before = measured([[1, 1, 1, 1, 1, 0], [1, 0, 1, 1, 0, 0]], share=True)
    after = measured([[0, 1, 1, 0, 1, 0], [1, 1, 0, 1, 0, 1]], share=True)
    table = measure_changes(before, after).set_index("language")
    for k, code in enumerate(("en", "de")):
        low, high = change_of_shares(after.sums[k], before.sums[k], np.ones(6)).interval()
        assert table.loc[code, ["low", "high"]].tolist() == pytest.approx([float(low), float(high)])
    low, high = change_of_shares(after.sums.mean(0), before.sums.mean(0), np.ones(6)).interval()
    assert table.loc["mean of all", ["low", "high"]].tolist() == pytest.approx([float(low), float(high)])
    # Languages weigh alike, whatever the number of their texts.
    some = [replace(m, sizes=np.array([[1.0] * 6, [1, 1, 0, 0, 0, 0]])) for m in (before, after)]
    assert measure_changes(*some).set_index("language").loc["mean of all", "change"] == pytest.approx(
        (-2 / 6 + 0.5) / 2
    )
    unchanged = measure_changes(before, before)
    assert (unchanged["low"] < 0).all() and (unchanged["high"] > 0).all(), "no interval of no width"


def test_a_text_that_one_model_lacks_is_left_out_of_all():
    """Models that score alike: one leaves the hardest text unanswered, which is no gain."""
    scores = pd.DataFrame({"language": "de", "document": list("abcd"), "score": [-1.0, -2.0, -3.0, -10.0]})
    scores["unit"] = ["u", "u", "v", "w"]
    models = [scores, scores[scores["document"] != "d"], scores[scores["document"] != "a"]]
    before, after, null = (answers.by_text(table, "score", languages=["de", "zh"]) for table in models)
    assert before.texts == tuple("abcd") and after.texts == tuple("abc")
    row = measure_changes(before, after, groups={}).set_index("language").loc["de"]
    assert (row["before"], row["after"], row["change"]) == (-2, -2, 0)
    assert (row["units"], row["left_out"], row["size"]) == (2, 1, 3)
    row = measure_changes(before, after, null, groups={}).set_index("language").loc["de"]
    assert (row["before"], row["after"], row["null"], row["units"], row["left_out"]) == (-2.5, -2.5, 0, 2, 2)
    # Texts are paired by their names, in whatever order and number the models have them.
    moved = replace(after, **{name: getattr(after, name)[..., ::-1] for name in ("sums", "sizes")})
    moved = replace(moved, texts=after.texts[::-1], units=after.units[::-1])
    assert measure_changes(before, moved, groups={}).equals(measure_changes(before, after, groups={}))
    apart = answers.by_text(scores.assign(document=list("efgh")), "score", languages=["de", "zh"])
    table = measure_changes(before, apart)
    assert table["change"].isna().all() and table["left_out"].tolist() == [8, 0, 8]


def test_several_seeds_are_averaged():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2, 8))
    trained = [measured(base + rng.normal(1, 0.1, (2, 8)) + shift) for shift in (-0.2, 0, 0.2)]
    controls = [measured(base + rng.normal(0, 0.1, (2, 8))) for _ in range(3)]
    table = measure_changes(measured(base), trained, controls)
    assert (table["trainings"] == 3).all()
    assert table["contrast"].iloc[0] == pytest.approx(
        np.mean([m.sums[0].mean() for m in trained]) - np.mean([m.sums[0].mean() for m in controls])
    )
    one = measure_changes(measured(base), trained[1:2], controls[:1])
    assert (table["high"] - table["low"] > one["high"] - one["low"]).all(), "trainings differ, too"


def test_where_no_text_was_answered_nothing_changes():
    nothing = measured(np.zeros((2, 0)))
    table = measure_changes(nothing, nothing)
    assert (
        (table["units"] == 0).all() and table[["change", "low"]].isna().all(axis=None) and table["verdict"].isna().all()
    )


def test_losses_are_of_the_same_tokens():
    tokens = np.array([[3, 4]])
    one = Losses(("as it is",), ("en",), ("a", "b"), tokens[None] * 1.0, tokens, {"input_sha256": "x"})
    found = answers.of_losses(one)
    assert found.sums.tolist() == found.sizes.tolist() == [[3, 4]] and found.texts == ("a", "b") and not found.share
    assert answers.same_tokens(one, replace(one, nll=one.nll * 2))
    for other in (
        replace(one, provenance={"input_sha256": "y"}),
        replace(one, tokens=tokens + 1),
        replace(one, units=("a", "c")),
        Losses(("as it is",), ("en",), ("a",), np.ones((1, 1, 1)), np.array([[3]]), {"input_sha256": "x"}),
    ):
        assert not answers.same_tokens(one, other)


@pytest.mark.model  # of languages
def test_responses_become_measures():
    rows = pd.DataFrame(
        [("de", "b", True), ("de", "a", False), ("en", "a", True), ("de", "a", True)],
        columns=["language", "document", "right"],
    ).assign(unit="u")
    found = answers.by_text(rows, "right", share=True)
    assert found.languages == ("de", "en") and found.share and found.units == ("u", "u")
    assert found.sums.tolist() == [[0.5, 1], [1, 0]] and found.sizes.tolist() == [[1, 1], [1, 0]], "means of responses"
    unknown = answers.by_text(rows.assign(right=[np.nan, np.nan, 1.0, np.nan]), "right")
    assert np.isnan(unknown.sums[0]).all() and unknown.sums[1, 0] == 1
    said = [
        Example(i, "de", "?", text, "7", cluster="w") for i, text in (("a", "Sie hat 7 Birnen im Korb."), ("b", "7"))
    ]
    right, own = answers.of_answers(said).values()
    assert right.texts == ("a", "b") and own.texts == ("a",) and right.units == ("w", "w") and right.share and own.share
    assert right.sizes.tolist() == [[1, 1]] and own.sums.tolist() == own.sizes.tolist() == [[1]]
    wider = answers.of_answers(said, ["de", "en"])["change in accuracy"]
    assert wider.languages == ("de", "en") and wider.sizes.tolist() == [[1, 1], [0, 0]]
