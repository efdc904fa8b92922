"""The number a text answers with: the last one, in any script's digits and with any separators."""

import re
import unicodedata
from decimal import Decimal

# Digits, with marks between them that a writer may use inside one number: . , and their Arabic
# and full-width kin, apostrophes, and a space of any width before groups of exactly three digits.
_DECIMAL, _MARKS = "٫", ".,，．'’٬٫_"
_INNER = rf"(?:[{_MARKS}]\d+|[ \u00a0\u2009\u202f]\d{{3}}(?!\d))*"
_NUMBER = re.compile(rf"(?<!\w)[-−－]?\d+{_INNER}|\d+{_INNER}")


def last_number(text: str) -> Decimal | None:
    """The last number in a text, or ``None`` where there is none.

    Any Unicode decimal digits count (``42``, ``৪২``, ``๔๒``, ``４２``). Of two kinds of separator
    the last is the decimal one; a separator that repeats, or stands once before exactly three
    digits (``1,234``, ``1.234``, ``1 234``), groups thousands; any other is the decimal one.

    >>> last_number("3 + 4 = 7, so 1,207 in all.")
    Decimal('1207')
    """
    found = _NUMBER.findall(text)
    return _value(found[-1]) if found else None


def as_number(text: str) -> Decimal | None:
    """The value of a text that is one number and nothing else, or ``None``."""
    match = _NUMBER.fullmatch(text.strip())
    return _value(match[0]) if match else None


def _value(written: str) -> Decimal:
    digits = re.sub(r"\d", lambda match: str(unicodedata.decimal(match[0])), written)
    negative, digits = not digits[0].isdigit(), digits.lstrip("-−－")
    digits = digits.replace("，", ",").replace("．", ".")
    marks = re.findall(r"\D", digits)
    point = None
    if marks:
        last = marks[-1]
        whole, _, fraction = digits.rpartition(last)
        thousands = len(fraction) == 3 and len(re.sub(r"\D", "", whole)) <= 3 and not whole.startswith("0")
        if last == _DECIMAL or (marks.count(last) == 1 and last in ".," and (len(set(marks)) > 1 or not thousands)):
            point = len(fraction)
    plain = re.sub(r"\D", "", digits)
    value = Decimal(plain) if point is None else Decimal(f"{plain[:-point]}.{plain[-point:]}")
    return -value if negative else value
