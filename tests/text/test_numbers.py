"""The number a text ends with, in any script."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot.text.numbers import as_number, last_number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("so 3 + 4 = 7.", "7"),
        ("It is 1,234.", "1234"),
        ("Es sind 1.234,50 Euro.", "1234.50"),
        ("about 1,234.5 metres", "1234.5"),
        ("1 234 €", "1234"),
        ("12\u202f345\u202f678 francs", "12345678"),
        ("1,23,456 in all", "123456"),
        ("12’345", "12345"),
        ("a half is 0.125", "0.125"),
        ("2,5 kg", "2.5"),
        ("12,50", "12.50"),
        ("= -7", "-7"),
        ("-5", "-5"),
        ("12-5", "5"),
        ("page 3-4", "4"),
        ("3 and 5", "5"),
        ("মোট ৪২টি আপেল।", "42"),
        ("ทั้งหมด ๔๒ ผล", "42"),
        ("合わせて４２個です。", "42"),
        ("۱२৩", "123"),
        ("١٬٢٣٤٫٥", "1234.5"),
        ("１，２３４円", "1234"),
        ("1.5 or 20%", "20"),
        ("version 1.2.3", "3"),
        ("sides are 3,4,5", "5"),
        ("on 12.05.2024", "2024"),
        ("In 2024 100 people", "100"),
        ("it costs $.50", "0.50"),
        ("1234,567", "1234.567"),
        ("1.234.567,8", "1234567.8"),
        ("0,125", "0.125"),
        ("at 10:30", "30"),
        ("$1,000.00.", "1000.00"),
    ],
)
def test_last_number(text, number):
    assert last_number(text) == Decimal(number)


def test_texts_without_a_number():
    assert last_number("none") is None and last_number("") is None and last_number("十二") is None


def test_only_a_number_is_a_number():
    assert as_number(" 2,125 ") == 2125 and as_number("-3") == -3 and as_number("৪২") == 42
    for text in ("", "12 apples", "a12", "3 4", "3/4", "=7", "nan", "1e5", "1,2,3", "--5"):
        assert as_number(text) is None, text


@given(st.integers(-(10**9), 10**9), st.sampled_from(["{}", "{:,}"]), st.sampled_from(["0", "০", "๐", "०", "٠", "０"]))
def test_any_digits_and_thousands(number, layout, zero):
    digits = str.maketrans("0123456789", "".join(chr(ord(zero) + i) for i in range(10)))
    written = layout.format(number).translate(digits)
    assert last_number(f"a 7, then {written}.") == number == as_number(written)


@given(st.decimals(0, 10**6, places=2))
def test_decimals_with_point_or_comma(number):
    assert last_number(f"= {number}") == number == last_number(f"= {str(number).replace('.', ',')}")
