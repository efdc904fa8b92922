import pandas as pd

from neuroglot.book.findings.stability import caveats, left_out, opening, summary, text_to_text

NAN = float("nan")
NAMES = "two halves, before", "before and after, same half", "before and after, two halves", "udhr, before"


def sizes(verdict="less", when=("before",)):
    """English with 50 specific and 100 related neurons, the others on average with 1,500 and 2,000."""
    rows = [("en", "specific", 50), ("en", "related", 100)]
    rows += [("mean of others", "specific", 1500), ("mean of others", "related", 2000)]
    rows += [("difference", "specific", -1450), ("difference", "related", -1900)]
    ends = {"low": -2000.0, "high": -1000.0} if verdict else {"low": NAN, "high": NAN}
    own = ends | {"detectable": 1234.0, "verdict": verdict}
    return pd.DataFrame(
        [{"place": p, "kind": k, "neurons": float(n), "when": one} | own for one in when for p, k, n in rows]
    )


def overlaps(verdict="less", names=NAMES, **values):
    """Overlaps of 80, 90, 70 and 20 per cent."""
    rows = []
    for name, jaccard in zip(names, (0.8, 0.9, 0.7, 0.2), strict=False):
        for kind in ("specific", "related", "general"):
            row = {"comparison": name, "kind": kind, "jaccard": jaccard, "halves": 0.75, "chance": 0.05}
            row |= {"difference_low": -0.12, "difference_high": -0.02, "detectable": 0.06, "verdict": verdict}
            rows.append(row | {"tokens": 1200.0, "halves_tokens": 1190.4} | values)
    return pd.DataFrame(rows)


def test_the_opening_says_both():
    assert opening(sizes(), overlaps(), "en") == (
        "**English has 50 specific neurons (fewer than the others' 1,500 on average) and 100 related ones (fewer than "
        "the others' 2,000 on average).**\n\n**Specific neurons found on other text (udhr) overlap by 20% with this "
        "text's, those found on as much of this text by 75% (less).**"
    )


def test_the_opening_says_what_is_missing():
    same = opening(sizes("not told apart"), overlaps("not told apart"), "en")
    assert "50 specific neurons (not told apart from the others' 1,500 on average)" in same
    assert same.endswith("by 75% (not told apart).**")
    unknown = opening(sizes(None), overlaps(None), "en")
    assert "50 specific neurons (unknown how sure, beside the others' 1,500 on average)" in unknown
    assert unknown.endswith("by 75% (not known).**")
    lacking = "How far specific neurons are found again in other text is not known"
    assert text_to_text(overlaps(jaccard=NAN)) == text_to_text(overlaps(names=NAMES[:3])) == lacking
    gone = sizes().query("place != 'difference'")
    assert opening(gone, overlaps(), "de").startswith("**German is not among the languages.**")


def test_why_text_is_left_out():
    assert left_out({}) == ""
    assert left_out({"udhr": "there is none."}) == "*udhr is left out: there is none&#46;*"
    assert left_out({"a*": "x", "b": "y"}) == "*a&#42; is left out: x*\n\n*b is left out: y*"


def test_the_summary_has_a_line_for_each_comparison():
    other = "(as much of the same text 75%: less (-12 to -2 points); random sets 5%)"
    assert summary(sizes(when=("before", "after")), overlaps(), "en", ["udhr"]).split("\n") == [
        *(
            f"- English, {when} alignment: 50 specific against 1,500 on average (difference -2,000 to -1,000: less); "
            "100 related against 2,000 on average (difference -2,000 to -1,000: less)."
            for when in ("before", "after")
        ),
        *(
            f"- {kind} neurons: overlap 90% before and after alignment on the same half of the text (random sets 5%); "
            "on different halves 70%, where the unchanged model's overlap is 75%: less (-12 to -2 points)."
            for kind in ("Specific", "Related")
        ),
        f"- Overlap with what is found in other text (udhr), before alignment: specific 20% {other}, related 20% "
        f"{other}, general 20% {other}.",
    ]


def test_the_summary_says_what_would_have_been_found_and_what_is_missing():
    same = "not told apart"
    within = summary(sizes(same), overlaps(same), "en", []).split("\n")
    assert len(within) == 3
    assert "(difference -2,000 to -1,000: not told apart; 1,234 would have been found with 80 % power)" in within[0]
    assert within[1].endswith(
        "is 75%: not told apart (-12 to -2 points; 6.0 points would have been found with 80 % power)."
    )
    ends = {"jaccard": NAN, "difference_low": NAN, "difference_high": NAN}
    missing = summary(sizes(None), overlaps(None, **ends), "en", []).split("\n")
    assert missing[0].startswith(
        "- English, before alignment: 50 specific against 1,500 on average (difference no interval: not known);"
    )
    assert missing[1].endswith(
        "on different halves unknown, where the unchanged model's overlap is 75%: not known (no interval points)."
    )
    assert summary(sizes(), overlaps(), "de", []).startswith("- Specific neurons")


def test_how_much_text_overlaps_rest_on():
    lead = (
        "All sets are of the lowest 5.0% of the scores, each with thresholds of its own. The first set of each pair "
        "rests on half of the text"
    )
    rest = (
        ". An overlap of small sets on little text is low whatever the model does, so the paper's percentages, from "
        "other amounts of text, are not to be compared with these one by one."
    )
    assert caveats(0.05, overlaps(names=NAMES[:3])) == f"{lead}{rest}"
    assert caveats(0.05, overlaps()) == (
        f"{lead}; the second one on tokens: udhr&#44;&#32;before 1,200 (of the same text 1,190){rest}"
    )
