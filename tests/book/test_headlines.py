"""The main numbers of chapters in one form."""

import pandas as pd

from neuroglot.book.headlines import alignment, of, spontaneous

ROW = {"before": 200.0, "change": -4.0, "low": -6.0, "high": -2.0, "contrast": -3.0, "contrast_low": -5.0}
ROW |= {"contrast_high": None, "model": "m", "thresholds": "kept"}
ALONE = {"contrast": None, "contrast_low": None, "contrast_high": None}


def test_alignment_less_its_control():
    rows = [ROW | {"what": what, "kind": "specific", "place": ""} for what in ("all", "layer")]
    rows += [rows[0] | {"kind": "related"} | ALONE, rows[0] | {"model": "other"}, rows[0] | {"thresholds": "solved"}]
    measures = [ROW | {"measure": "change in accuracy", "language": language} for language in ("de", "mean of all")]
    found = alignment({"changes": pd.DataFrame(rows), "measures": pd.DataFrame(measures)})
    assert found.astype(object).fillna("").to_dict("records") == [
        {"what": "change in specific neurons, %", "value": -1.5, "low": -2.5, "high": ""},
        {"what": "change in related neurons, %", "value": -2.0, "low": -3.0, "high": -1.0},
        {"what": "change in accuracy, all languages", "value": -3.0, "low": -5.0, "high": ""},
    ]


def test_spontaneous_alignment_by_group():
    rows = [ROW | {"what": "mean", "kind": "specific", "place": f"mean of {group}"} for group in ("trained", "others")]
    found = spontaneous({"neurons": pd.DataFrame([*rows, rows[0] | {"what": "language"}])})
    assert found["what"].tolist() == [f"change in specific neurons, %, {group}" for group in ("trained", "others")]
    assert found["value"].tolist() == [-1.5, -1.5]


def test_detectors_on_rewritten_text_where_there_is_any():
    removed = {"what": "own less matched", "detector": "lape", "budget": "100 a language", "effect": 0.5}
    removed["text"] = "problems"
    removed |= {"low": 0.25, "high": 0.75}
    tables = {"detectors": pd.DataFrame([removed, removed | {"what": "own"}])}
    lost = {"rewriting": "romanized", "detector": "lape", "difference": -0.5, "low": -0.75, "high": -0.25}
    for more, wanted in (({}, 1), ({"rewritten": pd.DataFrame()}, 1), ({"rewritten": pd.DataFrame([lost])}, 2)):
        found = of("detectors_found", tables | more)
        assert len(found) == wanted and found["what"][0] == "own less matched, lape, 100 a language, on problems"
    assert found.iloc[1].to_dict() == {
        "what": "found again, romanized less unchanged, lape",
        "value": -0.5,
        "low": -0.75,
        "high": -0.25,
    }
