"""The paper's claims on alignment under several detectors."""

import pandas as pd
import pytest

from neuroglot import classify
from neuroglot.alignment import comparison, variants
from neuroglot.alignment.claims import alignment_claims
from neuroglot.base.uncertainty import LESS, MORE
from neuroglot.neurons.robustness import CONTRARY, HOLDS, OPEN

from .conftest import SETTINGS, counts


@pytest.fixture
def changed(before):
    """Twelve neurons of every layer that preferred one language prefer none any more, ten others two."""
    p = before.probabilities().copy()
    p[:, :12] = 0.05
    for j in range(30, 40):
        p[:, j, [j % 4, (j + 1) % 4]] = 0.6
    return counts(p, seed=1)


@pytest.fixture
def plan(before, changed, tmp_path):
    """One training with its control, counted."""
    found = variants.trained("m", ["zh"], [0], str(tmp_path))
    for one in found:
        (tmp_path / one.file("stats")).parent.mkdir(parents=True, exist_ok=True)
        (changed if one.kind == "trained" else counts(before.probabilities(), seed=3)).save(one.file("stats"))
    return found


def test_verdicts_are_those_of_the_comparison(before, changed, types, plan):
    table = alignment_claims(before, plan, ["lambda-score", "lape", "overlap"], types, splits=10)
    assert len(table) == 9
    said = table.set_index(["claim", "detector"])["verdict"]
    lape = classify(before, detector="lape", top_rate=SETTINGS["top_rate"], quantile=SETTINGS["quantile"])
    null = counts(before.probabilities(), seed=3)
    directions = {"specific": ("fewer", LESS), "related": ("more", MORE), "general": ("more", MORE)}
    for name, one in {"lambda-score": types, "lape": lape}.items():
        whole = comparison.compare(one, before, changed, null, splits=10).table()
        verdicts = whole[whole["what"] == "all"].set_index("kind")["verdict"]
        for kind, (way, wanted) in directions.items():
            verdict, here = verdicts[kind], said[f"alignment leaves {way} {kind} neurons than its control", name]
            if pd.isna(verdict):  # as many in every half
                assert pd.isna(here)
            else:
                assert here == (HOLDS if verdict == wanted else CONTRARY if verdict in (MORE, LESS) else OPEN)
    assert said["alignment leaves fewer specific neurons than its control", "lambda-score"] == HOLDS
    assert table[table["detector"] == "overlap"]["verdict"].isna().all()


def test_without_an_aligned_model_nothing_is_said(before, types, tmp_path):
    assert variants.load_if_any(tmp_path / "variants.json") == []
    assert alignment_claims(before, [], ["lape"], types).empty
