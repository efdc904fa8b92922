import pandas as pd

from neuroglot.book.findings.alignment import left_out


def test_what_was_left_out_is_said():
    row = {"measure": "change in score", "model": "m", "left_out": 1, "units": 3}
    table = pd.DataFrame([row | {"language": "de"}, row | {"language": "mean of all"}, row | {"left_out": 0}])
    table["language"] = ["de", "mean of all", "fr"]
    assert left_out(table) == (
        "*Left out, since one of the models compared has no value there: m, score: 1 of 4 in de.*"
    )
    assert "m&#42;, score" in left_out(table.assign(model="m*"))
    assert "in &#60;b&#62;." in left_out(table.assign(language="<b>")[:1])
    assert left_out(table[table["left_out"] == 0]) == ""
