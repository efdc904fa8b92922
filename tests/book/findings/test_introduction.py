"""What chapter 00 says of none, one and many neurons, and without halves."""

import numpy as np
import pandas as pd

from neuroglot import ActivationStats
from neuroglot.book.findings import introduction as findings

from ...made import types_of

HALVES = pd.DataFrame({"kind": ["specific", "related"], "jaccard": [0.5, 0.25], "chance": [0.01, 0.002]})
MANY = types_of("en de fr", "en,en,en de,en de fr,-")


def test_this_run():
    made = {"model": "some/model", "corpus": "text:x"}
    stats = ActivationStats(np.ones((1, 2, 1500, 2), dtype=int), np.array([[1000, 500]]), ("en", "de"), made)
    assert findings.this_run(stats) == (
        "**This run**: some&#47;model on text&#58;x, 1,500 tokens in 2 languages (en&#44;&#32;de), 2 layers of 1,500 "
        "neurons."
    )


def test_opening():
    start = (
        "**Of this model's 5 neurons 40.00% are language-specific, 20.00% language-related and 20.00% general, at a "
        "top rate of 5.0%.**\n\n**"
    )
    assert findings.opening(MANY, HALVES) == (
        f"{start}Of the specific ones, two halves of the text have 50% in common (random sets of that size would have "
        "1.0%).**"
    )
    unsure = f"{start}How many of the specific ones are found again in another half of the text cannot be told.**"
    assert findings.opening(MANY, HALVES[:0]) == findings.opening(MANY, HALVES.assign(jaccard=np.nan)) == unsure
    assert findings.opening(types_of("en de", "en de,-"), HALVES) == (
        "**Of this model's 2 neurons 0.00% are language-specific, 0.00% language-related and 50.00% general, at a top "
        "rate of 5.0%.**\n\n**There is no specific one whose activity could be shown.**"
    )


def test_no_neuron():
    assert findings.no_neuron("related") == "This run has no related neuron."


def test_summary():
    assert findings.summary(MANY) == (
        "At a top rate of 5.0%, 40.00% of this model's neurons are language-specific, 20.00% language-related and "
        "20.00% general; 20.0% are none of the three. The types are definitions on top of thresholds, not natural "
        "kinds: how many neurons are *specific* is decided by the top rate as much as by the model, which chapter 02 "
        "lets you try. An activation probability says how often a neuron fires, not what it does; nothing here is "
        "causal."
    )
