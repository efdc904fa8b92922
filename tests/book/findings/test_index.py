"""What the first page says of neurons, kin and claims, of none, one, many and what is missing."""

import numpy as np
import pandas as pd
import pytest

from neuroglot.book.findings import index as findings

from ...made import types_of

HALVES = pd.DataFrame({"kind": ["specific", "related"], "jaccard": [0.5, 0.25], "chance": [0.01, 0.002]})
KIN = pd.DataFrame(
    {
        "grouping": ["family", "script"],
        "pairs": [1, 1200],
        "within": [0.5, 0.25],
        "between": [0.25, 0.5],
        "difference": [0.25, -0.25],
        "p": [0.04, 0.9],
        "low": [0.125, -0.5],
        "high": [0.375, 0.25],
    }
)
END = (
    "The intervals cover the text and not the choice of languages; languages of one branch mostly share a script, too."
)
TYPES = (
    "How many neurons are specific or related is decided by the top rate as much as by the model, and a type says how "
    "often a neuron fires, not what for: the chapters on deactivation and steering test that, and each ends with what "
    "does not hold."
)


def test_opening():
    found = types_of("en de fr", "en,en,en de,en de fr,-")
    start = (
        "**Of tiny's 5 neurons, 2 are specific to one of 3 languages, 1 are related to several, 1 are general, and 1 "
        "are none of these**, at a top rate of 5.0%."
    )
    end = " Here they all are; a click on one opens it in the [neuron browser](04-neurons.html)."
    again = " Of the specific ones, two halves of the text have 50% in common (random sets of that size: 1.0%)."
    assert findings.opening(found, HALVES) == f"{start}{again}{end}"
    assert findings.opening(found, HALVES[:0]) == f"{start}{end}"
    assert findings.opening(found, HALVES.assign(jaccard=np.nan)) == f"{start}{end}"
    elsewhere = types_of("en de", "-,-", provenance={"model": "/a/b*"})
    assert findings.opening(elsewhere, HALVES[:0]) == (
        "**Of b&#42;'s 2 neurons, 0 are specific to one of 2 languages, 0 are related to several, 0 are general, and "
        f"2 are none of these**, at a top rate of 5.0%.{end}"
    )


def test_kinship():
    found = types_of("en de fr", "en de,-")
    assert findings.kinship(KIN, found) == (
        "Do families and scripts appear? Languages of one branch (such as Germanic or Romance) share 0.50 of their "
        "related neurons, others 0.25: +0.25 (+0.12 to +0.38 over choices of text). With the labels dealt to the "
        "languages at random, 4% of the deals give at least as much, so this is more than chance among these 3 "
        "languages (1 pair). Languages of one script share 0.25 of their related neurons, others 0.50: -0.25 (-0.50 to "
        "+0.25 over choices of text). With the labels dealt to the languages at random, 90% of the deals give at least "
        f"as much, so this is no more than chance may give among these 3 languages (1,200 pairs). {END}"
    )


def test_kinship_without_intervals_pairs_or_neurons():
    found = types_of("en de fr", "en de,-")
    script = KIN[1:].assign(low=np.nan, high=np.nan)
    assert "others 0.50: -0.25. With the labels" in findings.kinship(script, found)
    assert findings.kinship(script.assign(difference=np.nan), found) == (
        "Do families and scripts appear? No two of these languages are of one script, or all are, so nothing can be "
        f"said of it. {END}"
    )
    assert findings.kinship(KIN, types_of("en de fr", "en,-")) == (
        f"Do families and scripts appear? No neuron is related. {END}"
    )


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ([True, True], "2 hold for this model and text, 1 of them in at least 95 % of the bootstrap replicates."),
        (
            [True, False],
            "1 holds for this model and text, 1 of them in at least 95 % of the bootstrap replicates; these do "
            "**not**: “b&#58;&#32;&#60;”.",
        ),
        (
            [False, False],
            "0 hold for this model and text, 0 of them in at least 95 % of the bootstrap replicates; these do **not**: "
            "“a”, “b&#58;&#32;&#60;”.",
        ),
    ],
)
def test_summary(holds, said):
    claims = pd.DataFrame({"claim": ["a", "b: <"], "holds": holds, "replicates": [1.0, 0.5]})
    start = "Of the 2 comparisons that this book draws from the paper's figures, "
    assert findings.summary(claims) == f"{start}{said} {TYPES}"
    plain = said.replace(", 1 of them in at least 95 % of the bootstrap replicates", "")
    plain = plain.replace(", 0 of them in at least 95 % of the bootstrap replicates", "")
    assert findings.summary(claims.drop(columns="replicates")) == f"{start}{plain} {TYPES}"


def test_summary_without_parts():
    few = "The model has fewer than four layers, so there are no four parts to compare."
    assert findings.summary(None) == f"{few} {TYPES}"
    assert findings.summary(pd.DataFrame({"claim": [], "holds": []})) == f"{few} {TYPES}"
