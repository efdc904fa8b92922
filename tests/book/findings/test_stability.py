import pandas as pd

from neuroglot.book.findings.stability import caveats, left_out, opening, summary

NAN = float("nan")
NAMES = "two halves, before", "before and after, same half", "before and after, two halves", "udhr, before"


def sizes(low=40, high=60, when=("before",)):
    """English with 50 specific and 100 related neurons, the others on average with 1,500 and 2,000."""
    rows = [("en", "specific", 50), ("en", "related", 100)]
    rows += [("mean of others", "specific", 1500), ("mean of others", "related", 2000)]
    ends = {"en": (low, high), "mean of others": (1400, 2100)}
    return pd.DataFrame(
        [
            {"place": p, "kind": k, "neurons": float(n), "low": ends[p][0], "high": ends[p][1], "when": one}
            for one in when
            for p, k, n in rows
        ]
    )


def overlaps(below_low=0.01, names=NAMES, **values):
    """Overlaps of 80, 90, 70 and 20 per cent."""
    rows = []
    for name, jaccard in zip(names, (0.8, 0.9, 0.7, 0.2), strict=False):
        for kind in ("specific", "related", "general"):
            row = {"comparison": name, "kind": kind, "jaccard": jaccard, "low": 0.75, "high": 0.85, "chance": 0.05}
            rows.append(row | {"below_low": below_low} | values)
    return pd.DataFrame(rows)


def test_the_opening_says_both():
    assert opening(sizes(), overlaps(), "en") == (
        "**English has 50 (40 to 60) specific and 100 (40 to 60) related neurons, the other languages on average "
        "1,500 (1,400 to 2,100) and 2,000 (1,400 to 2,100); the specific neurons found on two halves of the text "
        "overlap by 80% in the model as it is, and by 70% if one half is taken from before alignment and one from "
        "after, less than noise gives.**"
    )


def test_the_opening_says_what_is_missing():
    said = opening(sizes(NAN, NAN), overlaps(jaccard=NAN), "en")
    assert said.startswith("**English has 50 (no interval) specific and 100 (no interval) related neurons, the other")
    assert said.endswith("; how far the specific neurons found on two halves of the text overlap cannot be told.**")
    assert opening(sizes(), overlaps(0.0), "en").endswith("from after, which noise alone could give.**")
    assert opening(sizes(), overlaps(NAN), "en").endswith("from before alignment and one from after.**")
    assert opening(sizes(), overlaps(), "de").startswith("**German is not among the languages; the specific neurons")


def test_why_text_is_left_out():
    assert left_out({}) == ""
    assert left_out({"udhr": "there is none."}) == "*udhr is left out: there is none&#46;*"
    assert left_out({"a*": "x", "b": "y"}) == "*a&#42; is left out: x*\n\n*b is left out: y*"


def test_the_summary_has_a_line_for_each_comparison():
    assert summary(sizes(when=("before", "after")), overlaps(), "en", ["udhr"]).split("\n") == [
        *(
            f"- English, {when} alignment: 50 specific (40 to 60) against 1500 on average (1400 to 2100; the intervals "
            "are apart); 100 related (40 to 60) against 2000 on average (1400 to 2100; the intervals are apart)."
            for when in ("before", "after")
        ),
        *(
            f"- {kind} neurons: overlap 90% before and after alignment on the same half of the text (random sets 5%); "
            "on different halves 70%, where the unchanged model's overlap is 80% (75% to 85%): beyond the noise of the "
            "text."
            for kind in ("Specific", "Related")
        ),
        "- Overlap with what is found in other text (udhr), before alignment: specific 20% (halves of one text 80%, "
        "random sets 5%), related 20% (halves of one text 80%, random sets 5%), general 20% (halves of one text 80%, "
        "random sets 5%).",
    ]


def test_the_summary_says_what_noise_could_give_and_what_is_missing():
    within = summary(sizes(high=1500), overlaps(0.0), "en", []).split("\n")
    assert len(within) == 3 and within[0].count("not beyond noise)") == 2
    assert within[1].endswith("(75% to 85%): not beyond noise.")
    missing = summary(sizes(NAN, NAN), overlaps(NAN, jaccard=NAN, low=NAN, high=NAN), "en", []).split("\n")
    assert missing[0].startswith(
        "- English, before alignment: 50 specific (no interval) against 1500 on average (1400 to 2100; noise unknown);"
    )
    assert missing[1].endswith(
        "on different halves unknown, where the unchanged model's overlap is unknown (unknown to unknown): noise "
        "unknown."
    )
    assert summary(sizes(), overlaps(), "de", []).startswith("- Specific neurons")


def test_how_much_text_overlaps_rest_on():
    rest = (
        ": an overlap of small sets on little text is low whatever the model does, so the paper's percentages, from "
        "other amounts of text, are not to be compared with these one by one. Splits share their text, so their spread "
        "is no interval in the strict sense."
    )
    lead = "All sets are of the lowest 5.0% of the scores, each with thresholds of its own. Halves of problems have "
    assert caveats(0.05, "problems", 0, {}) == f"{lead}about 0 tokens{rest}"
    others = {("udhr", "before"): 2400, ("a*", "after"): 3}
    assert caveats(0.05, "problems", 4001, others) == (
        f"{lead}about 2,000 tokens, of other text 1,200 (udhr, before), 1 (a&#42;, after){rest}"
    )
