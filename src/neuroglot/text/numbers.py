"""Numbers in texts, in any script's digits and with any separators: the one a text answers with, and its equations."""

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

# One to three digits, then groups behind one and the same mark, the last of three digits (those
# between may have two, as in 1,23,456); then perhaps decimals behind another mark.
_MARKS = (r"[,，]", r"[.．]", r"[’'٬_]", "[ \u00a0\u2009\u202f]")
_POINT = {_MARKS[0]: "[.．٫]", _MARKS[1]: "[,，٫]"}
_GROUPED = "|".join(
    rf"(?!0)\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}(?!\d|{mark}\d)(?:{_POINT.get(mark, '[.,．，٫]')}\d+)?"
    for mark in _MARKS
)
_PLAIN = r"\d+(?:[.,．，٫]\d+)?|(?<![\d.,])[.．]\d+"
_UNSIGNED = rf"(?<!\d)(?:{_GROUPED})|{_PLAIN}"
_NUMBER = re.compile(rf"(?<!\w)[-−－](?:{_UNSIGNED})|{_UNSIGNED}")
_THOUSANDS = re.compile(rf"(?:{_GROUPED})")
# What stands between two numbers of an equation. A hyphen before digits is a sign as well, so there it is read here.
_OPERATOR = re.compile(r"\s*([+＋*×xX÷/=＝-]|[−－])\s*")


def last_number(text: str) -> Decimal | None:
    """The last number in a text, or ``None`` where there is none.

    Any Unicode decimal digits count (``42``, ``৪২``, ``๔๒``, ``４２``). A mark that stands before
    groups of three digits (``1,234``, ``1.234``, ``1 234``, ``1,23,456``) groups thousands; any other
    point or comma is the decimal one. So ``1.125`` is a thousand and more: write ``1.1250``.

    >>> last_number("3 + 4 = 7, so 1,207 in all.")
    Decimal('1207')
    """
    found = _NUMBER.findall(text)
    return _value(found[-1]) if found else None


def as_number(text: str) -> Decimal | None:
    """The value of a text that is one number and nothing else, or ``None``."""
    match = _NUMBER.fullmatch(text.strip())
    return _value(match[0]) if match else None


def numbers(text: str) -> list[tuple[int, int, Decimal]]:
    """Where the numbers of a text stand, and their values: ``(start, end, value)``."""
    return [(match.start(), match.end(), _value(match[0])) for match in _NUMBER.finditer(text)]


class Equation(NamedTuple):
    """What an equation comes to as written, where that stands in the text, and whether it is true."""

    start: int
    end: int
    value: Decimal
    true: bool


def equations(text: str) -> list[Equation]:
    """The equations written in a text (``9 + 4 = 13``), in order.

    Multiplication and division come before addition and subtraction; a chain such as ``2 + 3 = 5 + 1 = 6``
    is two equations, ``2 + 3 = 5`` and ``1 = 6`` is none.

    >>> [(each.value, each.true) for each in equations("9 + 4 = 13, then 13 - 5 = 7.")]
    [(Decimal('13'), True), (Decimal('7'), False)]
    """
    found: list[Equation] = []
    terms: list[Any] = []
    unsigned = re.compile(_UNSIGNED)
    at = 0
    while match := unsigned.search(text, at):
        terms = [_value(match[0])]
        at = match.end()
        while (operator := _OPERATOR.match(text, at)) and (number := unsigned.match(text, operator.end())):
            terms += [operator[1], _value(number[0])]
            start, at = number.span()
            if operator[1] in "=＝":
                break
        if len(terms) > 3 and terms[-2] in "=＝":
            found.append(Equation(start, at, terms[-1], _evaluated(terms[:-2]) == Fraction(terms[-1])))
    return found


def _evaluated(terms: list[Any]) -> Fraction | None:
    """The value of ``number, operator, number, ...``; ``None`` where it divides by zero."""
    total, product, sign = Fraction(0), Fraction(terms[0]), 1
    for operator, number in zip(terms[1::2], terms[2::2], strict=True):
        if operator in "*×xX":
            product *= Fraction(number)
        elif operator in "÷/":
            if not number:
                return None
            product /= Fraction(number)
        else:
            total, product, sign = total + sign * product, Fraction(number), 1 if operator in "+＋" else -1
    return total + sign * product


def _value(written: str) -> Decimal:
    digits = re.sub(r"\d", lambda match: str(unicodedata.decimal(match[0])), written)
    digits = digits.translate(str.maketrans("，．−－٫", ",.--."))
    negative, digits = digits.startswith("-"), digits.removeprefix("-")
    whole, point, fraction = digits, "", ""
    if _THOUSANDS.fullmatch(digits):
        first = next(character for character in digits if not character.isdigit())
        last = re.search(r"[.,](\d+)$", digits)
        if last and last[0][0] != first:  # another mark than the one that groups
            whole, point, fraction = digits[: last.start()], ".", last[1]
    elif match := re.fullmatch(r"(\d*)[.,](\d+)", digits):
        whole, point, fraction = match[1], ".", match[2]
    value = Decimal(re.sub(r"\D", "", whole or "0") + point + fraction)
    return -value if negative else value
