"""What chapter 04 says of no specific neuron, one and many."""

from types import SimpleNamespace

import numpy as np

from neuroglot import ActivationStats, Corpus, Example
from neuroglot.book.findings import neurons as findings

from ...made import types_of

COUNTS = np.array([[[90, 10, 0], [60, 20, 10], [50, 50, 5]]])
STATS = ActivationStats(COUNTS[None], np.full((1, 3), 100), ("en", "de", "fr"))
LOWEST = "The neuron of lowest score is neuron 0 of layer 0: it fires at 90% of the tokens of English."


def test_passages():
    text = Corpus("x", ("en",), tuple(Example(str(i), "en", "", "x") for i in range(1200)))
    kept = SimpleNamespace(neurons=np.zeros((2, 2)), passage=np.array([[[0, -1]], [[3, 4]]]))
    assert findings.passages(kept, text) == "Kept of 2 neurons: 3 passages of 1,200 texts."
    nothing = SimpleNamespace(neurons=np.zeros((1, 2)), passage=np.array([[[-1]]]))
    assert findings.passages(nothing, text) == "Kept of 1 neuron: no passages of 1,200 texts."


def test_opening():
    assert findings.opening(types_of("en de fr", "en,en,en de"), STATS) == (
        "**Specific neurons fire at 75% of their own language's tokens and at 15% of the next language's (medians over "
        f"2 neurons).** {LOWEST}"
    )
    assert findings.opening(types_of("en de fr", "en,-,-"), STATS) == (
        "**Specific neurons fire at 90% of their own language's tokens and at 10% of the next language's (medians over "
        f"1 neuron).** {LOWEST}"
    )
    assert findings.opening(types_of("en de fr", "-,-,-"), STATS) == f"**This run has no specific neuron.** {LOWEST}"
