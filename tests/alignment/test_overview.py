"""Which models, halves and languages the chapters compare."""

import pandas as pd

from neuroglot.alignment import comparison, overview


def test_sizes_before_and_after(before, types, changed):
    table = overview.sizes(types, {"before": before, "after": changed}, "en", draws=4)
    assert set(table["place"]) == {"en", "de", "zh", "sw", "mean of others"} and set(table["when"]) == {
        "before",
        "after",
    }
    rows = table.set_index(["when", "place", "kind"])["neurons"]
    own = comparison.classified(types, changed, "solved").counts_per_language().set_index(["language", "kind"])
    for kind in ("specific", "related"):
        each = [own["neurons"][code, kind] for code in ("de", "zh", "sw")]
        assert rows["after", "mean of others", kind] == sum(each) / 3
        assert rows["after", "en", kind] == own["neurons"]["en", kind]


def test_sizes_keep_thresholds_where_no_lambda_fits(before, types, changed, monkeypatch):
    monkeypatch.setattr(comparison, "fitting", lambda *_: ["kept"])
    table = overview.sizes(types, {"after": changed}, "en", draws=2).set_index(["place", "kind"])["neurons"]
    own = comparison.classified(types, changed, "kept").counts_per_language().set_index(["language", "kind"])
    assert table["en", "specific"] == own["neurons"]["en", "specific"]


def test_what_is_found_again(before, types, changed):
    none = overview.found_again(types, before, changed, None, {}, splits=2)
    assert list(dict.fromkeys(none["comparison"])) == [
        "two halves, before",
        "two halves, after",
        "before and after, same half",
        "before and after, two halves",
    ]
    other = {("udhr", "before"): changed, ("udhr", "after"): changed}
    many = overview.found_again(types, before, changed, before, other, splits=2)
    assert list(dict.fromkeys(many["comparison"]))[4:] == [
        "before and control, same half",
        "before and control, two halves",
        "udhr, before",
        "udhr, after",
    ]
    pd.testing.assert_frame_equal(many[: len(none)], none)
    rows = many.set_index(["comparison", "kind"])
    assert rows.loc[("before and control, same half", "general"), "jaccard"] == 1, "the same counts"
    assert (
        rows.loc[("udhr, before", "general"), "whole"]
        == none.set_index(["comparison", "kind"]).loc[("before and after, same half", "general"), "whole"]
    ), "of the two models' counts"
