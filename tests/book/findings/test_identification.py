"""What chapter 02 says of no neurons, of one, of many, and of what is missing."""

import numpy as np
import pandas as pd

from neuroglot import ActivationStats, NeuronTypes, classify
from neuroglot.book.findings import identification as findings
from neuroglot.book.markup import myst

from ...made import types_of

HALVES = pd.DataFrame(
    {
        "kind": ["specific", "related", "general"],
        "one": [10, 4, 0],
        "other": [8, 4, 0],
        "both": [6, 1, 0],
        "jaccard": [0.5, 0.25, np.nan],
        "chance": [0.01, 0.002, np.nan],
    }
)
NO_HALVES = HALVES[:0]
RULE = "The rule always selects its share of neurons: finding them is no evidence that the model needs them."


def test_opening_of_many():
    assert findings.opening(types_of("en de fr", "en,en,en de,en de fr,-"), HALVES) == (
        "**At a top rate of 5.0%, 2 of this model's 5 neurons are specific to one language, 1 related to several and "
        "1 general; English has the most language neurons (3), French the fewest (0); two halves of the text have 50% "
        "of the specific ones and 25% of the related ones in common (random sets: 1.0% and 0.2%).**"
    )


def test_opening_of_one_each_with_one_kind_in_halves():
    one = HALVES.assign(one=[3, 0, 2], other=[0, 0, 2])
    assert findings.opening(types_of("en de", "en,de"), one) == (
        "**At a top rate of 5.0%, 2 of this model's 2 neurons are specific to one language, 0 related to several and "
        "0 general; each language has 1 language neuron; two halves of the text have 50% of the specific ones in "
        "common (random sets: 1.0%).**"
    )


def test_opening_of_none_and_without_halves():
    nothing = types_of("en de", "-,en de")
    start = (
        "**At a top rate of 5.0%, 0 of this model's 2 neurons are specific to one language, 0 related to several and "
        "1 general; each language has no language neurons; whether another half of the text gives the same ones "
        "cannot be told"
    )
    assert findings.opening(nothing, NO_HALVES) == f"{start}.**"
    assert findings.opening(nothing, HALVES.assign(one=0, other=0)) == f"{start}, with none.**"


def test_this_run():
    found = types_of("en de fr", "en,en,en de,en de fr,-,")
    said = findings.this_run(found, found, None)
    assert said == (
        "**This run**: tiny on text&#58;x, 6 neurons, 3 languages. At a top rate of 5.0%, with lambda solved as 0.1250 "
        "and tau 0.2500: 2 specific, 1 related, 1 general and 2 unclassified neurons. (1 selected neurons have N = 0, "
        "above tau in no language.) At the paper's top rate of 1.0%, lambda 0.1250 gives 2 specific and 1 related "
        "neurons; where the authors' search ends, no lambda fits."
    )
    starved = np.array([[False, False, False, False, True, False]])
    changes = {"starved": starved, "min_tokens": 20, "solved": False, "scaled": False}
    assert findings.this_run(types_of("en de fr", "en,en,en de,en de fr,-,", **changes), None, None) == (
        said.split("lambda solved")[0]
        + "lambda given"
        + said.split("lambda solved")[1].split("At the paper's")[0]
        + "1 neurons belong to experts that saw fewer than 20 tokens of a language: they are unclassified and take no "
        "part. At the paper's top rate of 1.0%, no lambda fits."
    )


def test_rates_without_lambda():
    assert findings.no_lambda([]) == ""
    said = "*No lambda keeps general neurons out at a top rate of {}: left out.*"
    assert findings.no_lambda([0.01]) == said.format("1.0%")
    assert findings.no_lambda([0.01, 0.075]) == said.format("1.0%, 7.5%")


def test_why_halves_are_not_compared():
    assert findings.no_halves("a *b*") == f"*The halves cannot be compared: {myst('a *b*')}*"


def test_what_a_page_carries():
    rng = np.random.default_rng(0)
    few = ActivationStats(rng.integers(0, 900, (1, 2, 40, 3)), np.full((1, 3), 1000), ("en", "de", "fr"))
    assert findings.carried(classify(few, lam=0.1, top_rate=0.5), few) == "The page carries the exact counts."
    too_many = (
        "80 neurons in 3 languages are too many for a page of 10 characters; show them in Jupyter, or fewer languages."
    )
    assert findings.carried(classify(few, lam=0.1, top_rate=0.5), few, limit=10) == myst(too_many)
    many = ActivationStats(few.shard_counts * 100, few.shard_tokens * 100, few.languages)
    assert findings.carried(classify(many, lam=0.1, top_rate=0.5), many) == (
        "The page carries each probability in 65535 steps of its root, at most 0.0000 from the exact one; at this "
        "chapter's thresholds 0 of 80 neurons have another type."
    )


def summary(found: NeuronTypes, halves: pd.DataFrame) -> str:
    said = findings.summary(found, halves)
    assert said.endswith(RULE)
    return said.removesuffix(RULE)


def test_summary_of_many():
    assert summary(types_of("en de fr", "en,en,en de,en de fr,-", lam=0.3), HALVES) == (
        "English has the most language neurons (3) and French the fewest (0). English has 3, not fewer than the 0 that "
        "the other languages have on average (the paper's table 3, with the same caveat as its figure 15: 649 against "
        "2,619). The Jaccard overlaps of the types found in half of the text with those in the other are: specific "
        "0.50, related 0.25; a list of single neurons from this much text is not to be taken to the letter where that "
        "is low. The solved lambda, 0.300, lies beyond 0.2, where the authors' search ends; their code would have "
        "taken 0.2 here. "
    )


def test_summary_of_one_and_none():
    assert summary(types_of("en de", "de,-"), NO_HALVES) == (
        "German has the most language neurons (1) and English the fewest (0). English has 0, fewer than the 1 that the "
        "other languages have on average (the paper's table 3, with the same caveat as its figure 15: 649 against "
        "2,619). "
    )
    assert summary(types_of("de fr", "-,-"), HALVES.assign(one=0, other=0, jaccard=np.nan)) == ""
