"""Rows of a chapter's tables."""

import pandas as pd

from neuroglot.base.tables import first_rows


def test_rows_that_are_as_the_first():
    table = pd.DataFrame({"text": ["a", "b", "a", "a"], "budget": [1, 1, 1, 2], "n": range(4)})
    assert first_rows(table, "text", "budget")["n"].tolist() == [0, 2]
    assert first_rows(table, "text")["n"].tolist() == [0, 2, 3]
    assert first_rows(table.iloc[:0], "text", "budget").empty
