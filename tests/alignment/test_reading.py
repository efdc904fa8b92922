"""Tables and phrases of changes."""

import numpy as np
import pandas as pd

from neuroglot.alignment.reading import in_words, readable

ROW = {"what": "all", "before": 10.0, "after": 12.0, "change": 2.0, "low": 1.0, "high": 3.0, "trainings": 1}
NONE = dict.fromkeys(("null", "null_low", "null_high", "contrast", "contrast_low", "contrast_high"), np.nan)
CONTROL = NONE | {"null": 0.4, "contrast": 1.6, "contrast_low": -1.0, "contrast_high": 4.2}


def table(control=NONE, verdict=None, **changes):
    return pd.DataFrame([ROW | control | {"detectable": 3.25, "verdict": verdict} | changes])


def test_readable_tables():
    assert readable(table()).to_dict("records") == [
        {"what": "all", "before, after": "10, 12", "change": "+2 (+1 to +3)"}
        | {"verdict": "not known", "80 % would find": "3"}
    ]
    shown = readable(table(CONTROL, "not told apart"), "{:.1f}", ["verdict", "change"])
    assert list(shown) == [
        "verdict",
        "change",
        "what",
        "before, after",
        "control",
        "less the control",
        "80 % would find",
    ]
    assert shown.iloc[0, [4, 5, 6]].tolist() == ["+0.4", "+1.6 (-1.0 to +4.2)", "3.2"]


def test_phrases():
    assert in_words(table(verdict="more")) == ["+2 (+1 to +3): more"]
    assert in_words(table(change=np.nan, low=np.nan)) == ["no number: not known"]
    assert in_words(table(CONTROL, "not told apart", low=np.nan), "{:.2f}") == [
        "+2.00, the control +0.40: not told apart (80 % would find 3.25)"
    ]
    assert in_words(table(verdict="not told apart", detectable=np.nan)) == ["+2 (+1 to +3): not told apart"]


def test_what_rounds_to_zero_has_no_minus():
    shown = readable(table(change=-0.0004, low=-0.0001, high=0.6), "{:.2f}")
    assert shown["change"].tolist() == ["0.00 (0.00 to +0.60)"]
