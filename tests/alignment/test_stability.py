"""The same neurons in the other half, another model and as much other text; one language beside the others."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neuroglot import NeuroglotError, classify
from neuroglot.alignment import comparison, stability
from neuroglot.base.uncertainty import half_sampled, halves
from neuroglot.neurons.identification import overlap

from .conftest import SETTINGS, counts

pytestmark = pytest.mark.filterwarnings("ignore:no lambda fits", "ignore:every larger lambda")
SAME, OTHER, TEXT = stability.SAME_HALF, stability.OTHER_HALF, stability.OTHER_TEXT


def jaccard(one, other, kind="general"):
    return overlap(one, other).set_index("kind")["jaccard"][kind]


def test_sizes_before_and_after(before, types, changed):
    table = stability.sizes(types, {"before": before, "after": changed}, "en", splits=4)
    places = {"en", "de", "zh", "sw", "mean of others", "difference"}
    assert set(table["place"]) == places and list(dict.fromkeys(table["when"])) == ["before", "after"]
    rows = table.set_index(["when", "place", "kind"])
    own = comparison.classified(types, changed, "solved").counts_per_language().set_index(["language", "kind"])
    for kind in ("specific", "related"):
        each = [own["neurons"][code, kind] for code in ("de", "zh", "sw")]
        assert rows.loc[("after", "mean of others", kind), "neurons"] == sum(each) / 3
        assert rows.loc[("after", "en", kind), "neurons"] == own["neurons"]["en", kind]
        apart = own["neurons"]["en", kind] - sum(each) / 3
        assert rows.loc[("after", "difference", kind), "neurons"] == pytest.approx(apart)
    assert set(table["verdict"][table["place"] == "difference"]) <= {"more", "less", "not told apart", None}
    assert table["verdict"][table["place"] != "difference"].isna().all()


def test_intervals_of_sizes_are_those_of_halves(before, types):
    table = stability.sizes(types, {"before": before}, "en", splits=3, seed=2).set_index(["place", "kind"])
    found = []
    for split in halves(10, 3, 2):
        for half in split:
            own = classify(before.merged(half), **types.arguments()).counts_per_language()
            found.append(own.set_index(["language", "kind"])["neurons"]["de", "specific"])
    low, high = half_sampled(table.loc[("de", "specific"), "neurons"], np.array(found, float), 10).interval()
    assert table.loc[("de", "specific"), ["low", "high"]].tolist() == pytest.approx([float(low), float(high)])


def test_sizes_keep_thresholds_where_no_lambda_fits(types, changed, monkeypatch):
    monkeypatch.setattr(comparison, "fitting", lambda *_: ["kept"])
    table = stability.sizes(types, {"after": changed}, "en", splits=2).set_index(["place", "kind"])["neurons"]
    own = comparison.classified(types, changed, "kept").counts_per_language().set_index(["language", "kind"])
    assert table["en", "specific"] == own["neurons"]["en", "specific"]


def test_without_the_pivot_there_is_no_difference_and_of_one_shard_no_interval(before, types):
    table = stability.sizes(types, {"before": before.merged(range(10))}, "fr", splits=2)
    assert "difference" not in set(table["place"]) and table["low"].isna().all()


def test_overlaps_on_the_same_text(before, types, changed):
    pairs = {"halves": (before, before, OTHER), "same": (before, before, SAME), "changed": (before, changed, SAME)}
    table = stability.stability(pairs, types, splits=4).set_index(["comparison", "kind"])
    assert (table.loc["same", "jaccard"].dropna() == 1).all(), "the same text and model, identified twice"
    assert table.loc["halves", "whole"].isna().all() and table.loc["changed", "whole"].notna().any()
    assert (table.loc["halves", "difference"] == 0).all() and table.loc["halves", "verdict"].isna().all()
    one, other = [], []
    for a, b in halves(10, 4, 0):
        first, second = (classify(before.merged(half), **SETTINGS) for half in (a, b))
        one.append(jaccard(first, second))
        other.append(jaccard(first, classify(changed.merged(a), **SETTINGS)))
    assert table.loc[("halves", "general"), "jaccard"] == pytest.approx(np.mean(one))
    assert table.loc[("changed", "general"), "difference"] == pytest.approx(np.mean(other) - np.mean(one))
    assert table.loc[("changed", "general"), "tokens"] == before.tokens.sum() / 2


def test_other_text_is_compared_at_equal_amounts(before, types):
    """Four shards of other text with a fourth of a half's tokens: two halves of the first text are cut to as many."""
    less = counts(before.probabilities(), shards=4, tokens=125, seed=5)  # 2,000 tokens; a half has 8,000
    table = stability.stability({"udhr": (before, less, TEXT)}, types, splits=3).set_index("kind")
    assert (table["tokens"] == 2000).all() and (table["halves_tokens"] == 1600).all(), "one shard is nearest"
    own, beside = [], []
    for split in range(3):
        half, left = stability._sides(before, split, stability.GROUPS, 0)
        first = classify(before.merged(half), **SETTINGS)
        own.append(jaccard(first, classify(less, **SETTINGS)))
        beside.append(jaccard(first, classify(before.merged(left[:1]), **SETTINGS)))
    assert table.loc["general", "jaccard"] == pytest.approx(np.mean(own))
    assert table.loc["general", "halves"] == pytest.approx(np.mean(beside))
    more = counts(before.probabilities(), shards=8, tokens=1000, seed=5)  # 4,000 tokens a shard
    table = stability.stability({"udhr": (before, more, TEXT)}, types, splits=3)
    assert (table["tokens"] == 8000).all() and (table["halves_tokens"] == 8000).all()


def test_other_text_is_told_apart_where_it_has_other_neurons(before, types):
    rng = np.random.default_rng(0)
    p = before.probabilities()[:, rng.permutation(60)]
    other = counts(p, shards=10, seed=7)
    table = stability.stability({"udhr": (before, other, TEXT)}, types, splits=3)
    assert set(table["verdict"].dropna()) == {"less"} and (table["difference"] < -0.3).all()
    same = counts(before.probabilities(), shards=10, seed=7, corpus_sha256="y")
    table = stability.stability({"udhr": (before, same, TEXT)}, types, splits=3)
    assert not set(table["verdict"]) & {"less", "more"}


def test_intervals_leave_out_groups_of_shards(before, types):
    other = counts(before.probabilities(), shards=3, seed=7)
    table = stability.stability({"a": (before, before, OTHER), "b": (before, other, TEXT)}, types, splits=2)
    table = table.set_index(["comparison", "kind"])
    assert table.loc[("b", "general"), "jaccard"] > 0 and table.loc["b", "low"].isna().all(), "of three shards"
    assert table.loc["b", "verdict"].isna().all()
    one, other = (stability._sides(before, 0, group, 0) for group in (2, stability.GROUPS))
    assert {*other[0], *other[1]} - {*one[0], *one[1]} == {2, 8} and set(one[0]) < set(other[0]) | {2, 8}


def test_of_one_shard_nothing_is_told(before, types):
    whole = before.merged(range(10))
    overlaps = stability.stability({"halves": (whole, whole, OTHER)}, types, splits=3)
    assert overlaps[["jaccard", "low", "difference"]].isna().all().all() and overlaps["verdict"].isna().all()


def test_pairs_on_the_same_text_are_of_the_same_text(before, types):
    tokens = counts(before.probabilities(), input_sha256="a"), counts(before.probabilities(), input_sha256="b")
    with pytest.raises(NeuroglotError, match="input_sha256"):
        stability.stability({"same half": (*tokens, SAME)}, types, splits=1)


def test_a_given_lambda_stays(before):
    types = classify(before, **(SETTINGS | {"lam": 0.05}))
    overlaps = stability.stability({"same": (before, before, SAME)}, types, splits=2)
    assert (overlaps["whole"] == 1).all()
    sets = stability._Sets(types)
    assert sets.of(before, [1, 0]).lam == 0.05 and sets.of(before, [0, 1]) is sets.of(before, [1, 0])
    assert sets.of(before, []) is None
    nothing = replace(before, shard_tokens=before.shard_tokens * [1, 1, 1, 0], shard_counts=before.shard_counts * 0)
    assert sets.of(nothing, [0]) is None


def test_what_is_found_again(before, types, changed):
    none = stability.found_again(types, before, changed, None, {}, splits=2)
    names = ["two halves, before", "two halves, after", "before and after, same half", "before and after, two halves"]
    assert list(dict.fromkeys(none["comparison"])) == names
    other = {("udhr", "before"): changed, ("udhr", "after"): changed}
    many = stability.found_again(types, before, changed, before, other, splits=2)
    assert list(dict.fromkeys(many["comparison"]))[4:] == [
        "before and control, same half",
        "before and control, two halves",
        "udhr, before",
        "udhr, after",
    ]
    numbers = ["whole", "jaccard", "low", "high", "difference"]
    pd.testing.assert_frame_equal(many.loc[: len(none) - 1, numbers], none[numbers])
    rows = many.set_index(["comparison", "kind"])
    assert rows.loc[("before and control, same half", "general"), "jaccard"] == 1, "the same counts"
