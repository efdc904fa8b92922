import numpy as np
import pandas as pd
import pytest

from neuroglot import Detection
from neuroglot.book.findings.detectors import agree, best, between, depends, each, left_out, opening, rests_on, turned
from neuroglot.effects import comparing

NAN = float("nan")


def row(detector, what, effect, verdict, budget="100 a language"):
    ends = {"low": effect - 0.1, "high": effect + 0.1} if verdict else {"low": NAN, "high": NAN}
    return {"detector": detector, "what": what, "effect": effect, **ends, "detectable": 0.25, "verdict": verdict,
            "budget": budget, "text": "problems"}  # fmt: skip


TABLE = pd.DataFrame(
    [
        *(row(name, "own", 1.0, "more") for name in ("lape", "plnd", "x*")),
        row("lape", "own less matched", 0.4, "more"),
        row("plnd", "own less matched", -0.3, "less"),
        row("x*", "own less matched", 0.02, "not told apart"),
        row("lape", "own less as many of theirs", 0.5, "more"),
        row("plnd", "own less as many of theirs", 0.6, "more"),
        row("x*", "own less as many of theirs", 0.0, None),
        row("lape", "own", 2.0, "more", "its own choice"),
        row("lape", "own less matched", 0.7, "more", "its own choice"),
    ]
)


def test_the_opening_counts_detectors_at_the_first_budget():
    assert opening(TABLE) == (
        "**Of 3 detectors (100 a language), the neurons of 1 (lape) do more harm to a language than random neurons "
        "that are as often active; the neurons of 2 (lape, plnd) do more than as many of other languages' neurons.**"
    )
    alone = TABLE[TABLE["what"] == "own"]
    assert opening(alone) == (
        "**Whether the neurons of 3 detectors (100 a language) do more harm to a language than random ones is not "
        "known: too few wordings, or draws.**"
    )
    no_others = TABLE[TABLE["what"] != "own less as many of theirs"]
    assert "of none it can be said whether its neurons do more than as many" in opening(no_others)
    one = TABLE[(TABLE["detector"] == "plnd") & (TABLE["what"] == "own less matched")]
    assert opening(one).startswith("**Of 1 detector (100 a language), the neurons of none do more harm")
    assert opening(TABLE.iloc[:0]) == "**Nothing was compared: no detector whose neurons are removed found one.**"


def test_every_budget_has_its_verdicts():
    assert each(TABLE).splitlines() == [
        "- 100 a language, beside random neurons: more by lape (+0.40, +0.30 to +0.50); less by plnd (-0.30, -0.40 to "
        "-0.20); not told apart: x&#42; (0.25 nats would have been found).",
        "- 100 a language, beside as many of other languages': more by lape (+0.50, +0.40 to +0.60), plnd (+0.60, "
        "+0.50 to +0.70); not known: x&#42;.",
        "- its own choice, beside random neurons: more by lape (+0.70, +0.60 to +0.80).",
        "- its own choice, beside as many of other languages': not measured.",
    ]


def test_other_text_has_verdicts_of_its_own():
    both = pd.concat([TABLE, TABLE[TABLE["what"] == "own less matched"].assign(text="u*", verdict="more")])
    assert opening(both) == opening(TABLE)
    lines = each(both).splitlines()
    assert lines[:4] == [f"- On problems, {line[2:]}" for line in each(TABLE).splitlines()] and len(lines) == 8
    assert lines[4].startswith("- On u&#42;, 100 a language, beside random neurons: more by lape")
    assert lines[5] == "- On u&#42;, 100 a language, beside as many of other languages': not measured."


def pair(one, other, effect, verdict):
    return {"one": one, "other": other, "effect": effect, "detectable": 0.3, "verdict": verdict,
            "budget": "100 a language", "text": "problems"}  # fmt: skip


def test_pairs_that_are_told_apart_are_named():
    pairs = pd.DataFrame(
        [pair("lape", "plnd", 0.7, "more"), pair("lape", "x*", -0.2, "less"), pair("plnd", "x*", 0.1, "not told apart")]
    )
    assert between(pairs) == (
        "Of 3 pairs of detectors, 2 are told apart (a difference of 0.30 nats would have been found in half of them): "
        "lape above plnd (0.70, 100 a language); x&#42; above lape (0.20, 100 a language)."
    )
    assert between(pairs[2:]) == (
        "Of 1 pair of detectors, none are told apart (a difference of 0.30 nats would have been found in half of them)."
    )
    both = between(pd.concat([pairs, pairs[2:].assign(text="u*")]))
    assert both.split("\n\n") == [
        "On problems, of 3" + between(pairs).removeprefix("Of 3"),
        "On u&#42;, of 1" + between(pairs[2:]).removeprefix("Of 1"),
    ]
    assert between(pairs.iloc[:0]).startswith("Whether one detector's neurons do more")
    assert between(pairs.assign(verdict=None)).startswith("Whether one detector's neurons do more than another's is")


def test_agreement_with_each_other_and_with_themselves():
    table = pd.DataFrame(
        [
            {"one": a, "other": b, "language": code, "jaccard": value, "chance": 0.02}
            for a, b, value in (("a", "b*", 0.5), ("a", "c", 0.1), ("b*", "c", 0.2))
            for code in ("en", "de")
        ]
    )
    again = pd.DataFrame({"text": ["other wordings"] * 2, "detector": ["a", "b*"], "jaccard": [0.8, NAN]})
    itself = (
        "On two texts of different wordings a detector finds the same neurons in these shares: a 80%, b&#42; an "
        "unknown share."
    )
    assert agree(table, again) == (
        "Two detectors share 20% of their neurons in the middle of all pairs (random sets 2%), most a and b&#42; "
        f"(50%), least a and c (10%). {itself}"
    )
    there = pd.DataFrame({"text": ["u*"], "detector": ["a"], "jaccard": [0.3]})
    assert agree(table.iloc[:0], pd.concat([again, there])) == (
        f"{itself} On u&#42; beside this text a detector finds the same neurons in these shares: a 30%."
    )
    assert agree(table.iloc[:0], again) == itself and agree(table, again.iloc[:0]) == ""


def test_what_it_rests_on_and_what_is_left_out():
    said = rests_on(["lape"], ["lape"], 12345, 1, 2)
    assert "the same 12,345 tokens" in said and "on 1 wording that" in said and "2 draws of" in said
    assert "Attribution, which takes a pass forward and one back, is left out." in said
    every = ["lape", "plnd", "attribution"]
    assert "Attribution" not in rests_on(every, every, 1, 2, 2) and "not removed" not in rests_on(every, every, 1, 2, 2)
    assert "The neurons of plnd, attribution are not removed here (`removed`)." in rests_on(every, ["lape"], 1, 2, 2)
    assert left_out({}) == "" and left_out({"x*": "*why*"}) == "*x&#42; is left out: &#42;why&#42;*"


def test_whether_the_book_depends_on_the_detector():
    rows = [("a", 3, 3, 0), ("b", 3, 1, 1), ("c*", 3, 1, 0), ("d", 3, 0, 2), ("e", 1, 1, 0), ("f", 0, 0, 0)]
    claims = pd.DataFrame(rows, columns=["claim", "known", "holds", "contrary"])
    assert depends(claims) == (
        "Of 4 claims of this book, 1 holds under every detector, 2 under some, 1 under none. Under some the contrary "
        "of what others say holds for 1 of them: b."
    )
    assert depends(claims[2:3]).endswith("1 under some, none under none. Under some the contrary of what others say "
                                         "holds for none of them.")  # fmt: skip
    assert depends(claims[4:]).startswith("Whether the book's claims depend on the detector is not known")


def test_whether_one_detector_is_better_than_all():
    def with_ends(one, other, effect, verdict):
        return pair(one, other, effect, verdict) | {"low": effect - 0.1, "high": effect + 0.1}

    pairs = pd.DataFrame(
        [with_ends("a", "b", -0.7, "less"), with_ends("b", "c*", 0.2, "more"), with_ends("a", "c*", 0.1, None)]
    )
    assert comparing.best(pairs) == comparing.Best("b", 0.2, (0.1, pytest.approx(0.3)))
    assert best(pairs) == (
        "The neurons of b are needed more than those of every other detector, by at least 0.20 nats per token (0.10 to "
        "0.30)."
    )
    assert best(pairs.assign(verdict=["less", "not told apart", None])) == (
        "No detector's neurons are needed more than those of every other one (1 of 3 pairs told apart; 0.30 nats per "
        "token would have been found in half of them)."
    )
    elsewhere = pd.concat([pairs.assign(verdict="not told apart"), pairs.assign(text="u")])
    assert best(elsewhere).startswith("No detector's neurons are needed more")
    for nothing in (pairs.iloc[:0], pairs.assign(verdict=None)):
        assert best(nothing) == "Whether one detector is better than the others is not known."


def test_the_better_detector_is_turned():
    pairs = pd.DataFrame([pair("lape", "lambda-score", 0.4, "more") | {"low": 0.3, "high": 0.5}])
    found = Detection("lape", ("en", "de"), np.ones((1, 2, 2)), np.ones((1, 2, 2), bool))
    assert comparing.better(pairs, {"lape": found}) is found and comparing.better(pairs, {}) is None
    assert turned(pairs, found).endswith(
        "at the top rate and the quantile of chapter 02: a neuron is selected by its highest score of any language, "
        "and active where it is above tau."
    )
    usual = pairs.assign(verdict="less")  # lambda-score is the better one, whose types are turned elsewhere
    assert comparing.better(usual, {"lape": found}) is None
    assert turned(usual, None).endswith(
        "The thresholds of lambda-score are turned in [chapter 02](02-identification.html)."
    )
    assert comparing.better(pairs.iloc[:0], {"lape": found}) is None
