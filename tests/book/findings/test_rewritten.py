"""What is said of neurons found again on rewritten text, whichever way it goes."""

import pandas as pd

from neuroglot.book.findings import rewritten as findings

NAN = float("nan")


def rows(rewriting, *verdicts, unchanged=0.75, rewritten=0.25, languages=5):
    return [
        {"rewriting": rewriting, "detector": name, "unchanged": unchanged, "rewritten": rewritten, "chance": 0.01,
         "difference": rewritten - unchanged, "low": -0.6, "high": -0.4, "detectable": 0.1, "verdict": verdict,
         "languages": languages}
        for name, verdict in zip("abcdef", verdicts, strict=False)
    ]  # fmt: skip


def table(*some):
    return pd.DataFrame([row for each in some for row in each])


BOTH = table(rows("romanized", "less", "less"), rows("shuffled", "less", "not told apart", rewritten=0.5))
NONE = pd.DataFrame(columns=list(BOTH))


def test_the_opening_counts_detectors_and_names_languages():
    assert findings.opening(BOTH, ["ru", "x*"]) == (
        "**On average over 2 detectors and 5 languages, of a language's neurons 75% are found again on text of other "
        "wordings (of random ones 1%), 25% once that text is in Latin letters (less for 2 of 2 detectors), and 50% "
        "once its words are in random order (less for 1 of 2 detectors).** The languages are Russian, x&#42;."
    )
    one = table(rows("shuffled", "more", languages=1))
    said = findings.opening(one, ["en"])
    assert said.startswith("**On average over 1 detector and 1 language, of a") and "(more for 1 of 1 detector)" in said
    nothing = "**Nothing was rewritten, or no neuron was found on it.**"
    assert findings.opening(NONE, []) == nothing == findings.opening(BOTH.assign(unchanged=NAN), ["ru"])


def test_verdicts_of_any_kind():
    assert "(told apart for none of 2 detectors)" in findings.shares(table(rows("romanized", *["not told apart"] * 2)))
    assert "(less for 1 of 3 detectors, more for 1 of 3 detectors)" in findings.shares(
        table(rows("romanized", "less", "more", "not told apart", None))
    )
    unknown = findings.shares(table(rows("romanized", None, rewritten=NAN)))
    assert "no number once that text is in Latin letters (whether that is less by more than chance is" in unknown


def test_what_it_means_either_way():
    letters, order = findings.meaning(BOTH).split(". ")
    assert letters.startswith("Most of what detectors find goes with the letters") and order.startswith("Some of it")
    kept = table(rows("romanized", "less", rewritten=0.6), rows("shuffled", "less", rewritten=0.3))
    assert findings.meaning(kept) == (
        "Some of what detectors find goes with the letters, more stays without them. Most of it goes with the order of "
        "words, too."
    )
    same = table(rows("romanized", "not told apart", "more"), rows("shuffled", None))
    assert findings.meaning(same) == (
        "No detector is shown to lose neurons with the letters (a loss of 10% of a language's neurons would have been "
        "found in half of them). Whether neurons go with the order of words is not known: too few languages."
    )
    assert findings.meaning(NONE) == ""


def test_the_first_page_says_it_or_nothing():
    assert findings.first_page({"rewritten": BOTH}) == (
        f"**Language or script?** {findings.shares(BOTH)}. [Chapter 10](10-detectors.html)"
    )
    for tables in ({}, {"rewritten": pd.DataFrame()}, {"rewritten": NONE}, {"rewritten": BOTH.assign(unchanged=NAN)}):
        assert findings.first_page(tables) == ""


def test_the_table_names_its_columns():
    shown = findings.shown(BOTH)
    assert list(shown) == ["rewriting", "detector", "unchanged", "rewritten", "random neurons", "difference",
                           "95 % from", "to", "verdict"]  # fmt: skip
    assert shown["random neurons"].tolist() == [0.01] * 4 and len(findings.shown(NONE)) == 0
