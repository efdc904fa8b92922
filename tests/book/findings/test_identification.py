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


TABLE = pd.DataFrame(
    {
        "kind": ["specific", "specific", "specific", "related"],
        "first_p": [0.9, 0.8, 0.7, 1.0],
        "first_low": [0.85, 0.6, np.nan, 0.9],
        "second_p": [0.5, 0.7, 0.6, 0.95],
        "second_high": [0.55, 0.75, np.nan, 1.0],
        "near": [False, True, False, True],
        "sure": [1.0, 0.5, 0.2, np.nan],
    }
)


def test_opening():
    assert findings.opening(types_of("en de fr", "en,en,en de,en de fr,-"), TABLE) == (
        "**Of this model's 5 neurons 2 are specific to one language, 1 related to several and 1 general.**\n\n**The "
        "median specific neuron fires at 80% of the tokens of its language and at 60% of those of the next one.**"
    )
    assert findings.opening(types_of("en de", "-,en de"), TABLE[3:]) == (
        "**Of this model's 2 neurons 0 are specific to one language, 0 related to several and 1 general.**\n\n**There "
        "is no specific neuron whose languages could be compared.**"
    )


MOST = (
    " *Specific* says that a neuron fires *most* often for one language, and hardly ever that it is silent for the "
    "others."
)


def test_how_specific_specific_neurons_are():
    near = "have a second language within 0.05 of tau: a little more or less text could make them related"
    assert findings.specific(TABLE) == (
        f"Of 3 specific neurons 1 (33%) {near}; of 1 the 95 % intervals of the first and the second probability "
        f"overlap.{MOST}"
    )
    assert findings.specific(TABLE[2:]) == (
        f"Of 1 specific neuron 0 (0%) {near}; with fewer than four shards no probability has an interval.{MOST}"
    )
    assert findings.specific(TABLE[3:]) == "This run has no specific neuron."


def test_how_sure_types_are():
    assert findings.sure(TABLE) == (
        "The median specific neuron has its type in 50% of the halves, and 1 of 3 (33%) have it in nine of ten."
    )
    assert findings.sure(TABLE.assign(sure=1.0)) == (
        "The median specific neuron has its type in 100% of the halves, and 3 of 3 (100%) have it in nine of ten. The "
        "median related neuron has its type in 100% of the halves, and 1 of 1 (100%) have it in nine of ten."
    )
    assert findings.sure(TABLE[3:]) == (
        "How sure types are cannot be told: halves of the text could not be classified."
    )


def test_this_run():
    found = types_of("en de fr", "en,en,en de,en de fr,-,")
    said = findings.this_run(found, found, None)
    assert said == (
        "**This run**: tiny on text&#58;x, 6 neurons, 3 languages. At a top rate of 5.0%, with lambda solved as 0.1250 "
        "and tau 0.2500: 2 specific, 1 related, 1 general and 2 unclassified. (N = 0, above tau in no language: 1 "
        "of the selected neurons.) At the paper's top rate of 1.0%, lambda 0.1250 gives 2 specific and 1 related; "
        "where the authors' search ends, no lambda fits."
    )
    starved = np.array([[False, False, False, False, True, False]])
    changes = {"starved": starved, "min_tokens": 20, "solved": False, "scaled": False}
    assert findings.this_run(types_of("en de fr", "en,en,en de,en de fr,-,", **changes), None, None) == (
        said.split("lambda solved")[0]
        + "lambda given"
        + said.split("lambda solved")[1].split("At the paper's")[0]
        + "Unclassified, and taking no part, for their experts saw fewer than 20 tokens of a language: 1 neuron. "
        "At the paper's top rate of 1.0%, no lambda fits."
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


PAPER = " (the paper's table 3: English 46 specific and 603 related, the others 613 and 2,006). "


def test_summary_of_many():
    assert summary(types_of("en de fr", "en,en,en de,en de fr,-,de fr,fr", lam=0.3), HALVES) == (
        "English has 2 specific neurons, not the fewest (German has 0); the others have 0 on average; and 1 related "
        "neuron, as few as French; the others have 2 on average" + PAPER + "The Jaccard overlaps of the "
        "types found in half of the text with those in the other are: specific 0.50, related 0.25; a list of single "
        "neurons from this much text is not to be taken to the letter where that is low. The solved lambda, 0.300, "
        "lies beyond 0.2, where the authors' search ends; their code would have taken 0.2 here. "
    )


def test_the_pivot_may_have_as_few_as_another():
    assert "no specific neurons, as few as German; " in summary(types_of("en de fr", "en de,fr,-"), NO_HALVES)


def test_the_pivot_may_have_fewest_of_one_type_only():
    assert summary(types_of("en de fr", "en,en,de,fr,de fr,de fr,-"), NO_HALVES) == (
        "English has 2 specific neurons, not the fewest (German has 1); the others have 1 on average; and no related "
        f"neurons, the fewest; the others have 2 on average{PAPER}"
    )
    assert summary(types_of("de fr", "-,-"), HALVES.assign(one=0, other=0, jaccard=np.nan)) == ""
