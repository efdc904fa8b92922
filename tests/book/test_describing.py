from dataclasses import dataclass

import numpy as np
import pandas as pd

from neuroglot import ActivationStats, classify
from neuroglot.book import markup
from neuroglot.book.describing import described, side_by_side


@dataclass
class Made:
    rows: dict[str, str]

    def describe(self):
        return pd.DataFrame(self.rows.items(), columns=["what", "value"])


COUNTS = Made({"model": "m", "neurons": "12"})


def counted():
    counts = np.random.default_rng(0).integers(0, 50, size=(1, 2, 30, 2), dtype=np.int64)
    return ActivationStats(counts, np.full((1, 2), 50), ("en", "de"), {"model": "m", "corpus": "c"})


def test_settings_come_before_what_they_were_used_on_and_named_rows_first():
    stats = counted()
    types = classify(stats, top_rate=0.2, lam=0.1)
    found = described(types, stats, random_draws=20, seed=0)
    settings = {"random draws": 20, "seed": 0, **types.settings()}
    settings = pd.DataFrame(settings.items(), columns=["what", "value"]).astype(str)
    expected = pd.concat([settings, stats.describe()])
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))
    assert markup.table(found).to_html(table_uuid="x") == markup.table(expected).to_html(table_uuid="x")


def test_a_mapping_may_stand_anywhere_and_values_are_as_they_are_written():
    found = described(COUNTS, {"draws": 50, "level": 0.95, "judge": None}, Made({}))
    assert found["what"].tolist() == ["model", "neurons", "draws", "level", "judge"]
    assert found["value"].tolist() == ["m", "12", "50", "0.95", "None"]


def test_nothing_used_is_an_empty_table():
    assert list(described().columns) == ["what", "value"] and described().empty


def test_runs_stand_side_by_side_and_are_empty_where_one_says_nothing():
    found = side_by_side({"one": COUNTS, "other": Made({"neurons": "9", "seed": "1"})})
    assert found.to_dict("list") == {
        "what": ["model", "neurons", "seed"],
        "one": ["m", "12", ""],
        "other": ["", "9", "1"],
    }
