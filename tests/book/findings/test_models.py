"""What chapter 11 says of one run and several, with and without parts and claims that hold."""

import pandas as pd

from neuroglot.book.findings import models as findings

PEAKS = pd.DataFrame(
    {
        "run": ["a", "b*"],
        "depth": [0.25, 1.0],
        "share": [0.125, 0.0],
        "general_depth": [0.5, 0.0],
        "general_share": [0.0625, 0.0],
    }
)
YES, NO, SAME = "holds", "the contrary does", "not told apart"
CLAIMS = pd.DataFrame({"claim": ["x", "y", "z"], "a": [YES, YES, NO], "b*": [YES, SAME, NO]})
DENSEST = "In relative depth, language neurons are densest at 0.25 in a"
OF_A = (
    "In a language neurons are densest at relative depth 0.25 (12.5% of that layer) and general ones densest at "
    "relative depth 0.50 (6.2% of that layer)."
)
OF_B = "In b&#42; language neurons are not found and general ones not found."
TOKENS = (
    "Tokens are each model's own: where a tokenizer cuts a script into bytes, its neurons are counted on fragments of "
    "characters, and a language then looks different for reasons that lie before the first layer."
)


def test_opening_of_several():
    end = f"{DENSEST}, nowhere in b&#42;.**"
    assert findings.opening(PEAKS, CLAIMS) == (
        "**Of the 3 comparisons drawn from the paper 1 holds in all of these 2 models, and the contrary of 1 does.**"
        f"\n\n**{end}"
    )
    assert findings.opening(PEAKS, CLAIMS[1:2]) == (
        "**Of the 1 comparisons drawn from the paper 0 hold in all of these 2 models, and the contrary of 0 does.**"
        f"\n\n**{end}"
    )


def test_opening_of_one():
    start = "**Only one run is here, so no models are compared: of the 3 comparisons drawn from the paper 2 hold in it"
    assert findings.opening(PEAKS[:1], CLAIMS[["claim", "a"]]) == f"{start}.**\n\n**{DENSEST}.**"


def test_opening_without_parts():
    nothing = pd.DataFrame({"claim": []})
    assert findings.opening(PEAKS[:1], nothing) == (
        "**Only one run is here, so no models are compared: of the 0 comparisons drawn from the paper 0 hold in it."
        f"**\n\n**{DENSEST}.**"
    )


def test_whether_the_text_is_the_same():
    assert findings.same_text(True) == "All of these runs were counted on the same text."
    assert findings.same_text(False) == (
        "**The runs were not counted on the same text**, or not on as much of it, so a difference between them is not "
        "the models' alone; the intervals cover the choice of text within a run only."
    )


def test_summary_of_several():
    assert findings.summary(PEAKS, CLAIMS) == (
        f"{OF_A} {OF_B} Of the 3 comparisons 1 holds in all of these models; the contrary holds in all of them of: "
        f"“z”. {TOKENS}"
    )
    assert findings.summary(PEAKS, CLAIMS[["claim", "a"]]) == (
        f"{OF_A} {OF_B} b&#42; has fewer than four layers, so no comparison is drawn. Of the 3 comparisons 2 hold in "
        f"all of these models; the contrary holds in all of them of: “z”. {TOKENS}"
    )


def test_summary_of_one():
    assert findings.summary(PEAKS[:1], CLAIMS[["claim", "a"]]) == (
        f"{OF_A} Only one run is here, so nothing is compared; name a second model to set beside it. {TOKENS}"
    )
