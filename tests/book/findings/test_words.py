import pandas as pd

from neuroglot.book.findings.words import counted, holding, interval, number, rows_by

NAN = float("nan")


def test_a_number_or_that_there_is_none():
    assert number(0.125, "{:.1%}") == "12.5%" and number(0, "{:.2f}") == "0.00"
    assert number(NAN, "{:.1%}") == number(None, "{:.1%}") == "no number"


def test_what_rounds_to_zero_is_not_below_it():
    assert [number(value, "{:+.2f}") for value in (-0.004, -0.006, 0.004)] == ["0.00", "-0.01", "+0.00"]
    assert number(-0.0004, "{:.1%}") == "0.0%" and number(-10, "{:.0f} points") == "-10 points"
    assert interval(-0.3, 1.2, "{:+.0f}") == "0 to +1"


def test_one_and_many():
    assert [counted(n, "question") for n in (0, 1, 2, 1200)] == [
        "no questions",
        "1 question",
        "2 questions",
        "1,200 questions",
    ]


def test_an_interval_or_that_there_is_none():
    assert interval(-0.5, 1, "{:+.2f}") == "-0.50 to +1.00"
    assert interval(NAN, 1, "{:.2f}") == interval(1, None, "{:.2f}") == "no interval"


def test_one_holds_and_many_hold():
    assert [holding(n) for n in (0, 1, 2)] == ["0 hold", "1 holds", "2 hold"]


def test_rows_by_what_stands_in_them():
    table = pd.DataFrame([{"a": "x", "b": 1, "c": 0.5}, {"a": "y", "b": 1, "c": NAN}])
    assert rows_by(table, "a", "b")["x", 1] == {"a": "x", "b": 1, "c": 0.5}
    assert list(rows_by(table, "a")) == [("x",), ("y",)] and rows_by(table[:0], "a") == {}
