"""Numbers in words, in sentences and tables of every room."""

import re


def counted(n: int, what: str) -> str:
    """How many of something, which has an s in the plural: ``no questions``, ``1 question``, ``1,200 questions``."""
    return f"{n:,} {what}" if n == 1 else f"{f'{n:,}' if n else 'no'} {what}s"


def no_minus_zero(said: str) -> str:
    """A number that is written already, without its minus where it was rounded to zero."""
    return said if re.search("[1-9]", said) else said.removeprefix("-")
