"""The one error a reader of a traceback is meant to act on, and what is said in it often."""

import re
import sys
import unicodedata
from collections.abc import Iterable


class NeuroglotError(ValueError):
    """Bad input: the message is one sentence that names the file or argument and what to do.

    What cannot be shown in a line, such as a line break or half a character in a file's name, stands there by its
    escape.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(_shown(str(message)))


def _shown(text: str) -> str:
    """Text in a line; spaces of other widths are as good as letters."""
    return "".join(
        each if each.isprintable() or unicodedata.category(each) == "Zs" else each.encode("unicode_escape").decode()
        for each in text
    )


def require_whole(name: str, number: object, least: int) -> None:
    """A whole number from ``least`` on.

    Raises:
        NeuroglotError: another one, or none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise NeuroglotError(f"{name}={quoted(number)}: give a whole number from {least} on.")


def require_names(name: str, given: str | Iterable[str] | None, known: Iterable[str], to: str = "") -> list[str]:
    """Some names, each once, as they are given: words of a text, or several; ``None`` gives none.

    Args:
        name: of the argument, for messages.
        given: what was asked for.
        known: all that there are.
        to: what they are to do, for messages, as in ``" to compare"``.

    Raises:
        NeuroglotError: one that there is not.
    """
    found, every = list(dict.fromkeys(given.split() if isinstance(given, str) else given or ())), list(known)
    for one in found:
        if one not in every:
            raise NeuroglotError(f"{name}: there is no {quoted(one)}{to}; use {listed(every)}.")
    return found


# Lone surrogates, which UTF-8 has no bytes for and tokenizers do not take.
_HALVES = re.compile("[\ud800-\udfff]")


def require_characters(text: str, what: str) -> None:
    """Text of whole characters.

    Raises:
        NeuroglotError: there is half of one; the message begins with ``what``.
    """
    if not text.isascii() and _HALVES.search(text):
        raise NeuroglotError(f"{what} holds half a character (a lone surrogate); mend it.")


def is_number(value: object) -> bool:
    """Whether it is a finite number that files can hold as it is; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def quoted(value: object, most: int = 100) -> str:
    """A value from outside as messages show it: text in quotation marks, not much more than ``most`` characters."""
    try:
        said = repr(value[: most + 1] if isinstance(value, str | bytes) else value)
    except RecursionError:
        said = f"a deep {type(value).__name__}"
    return said if len(said) <= most + 2 else f"{said[:most]}…"


def listed(values: Iterable[object], most: int = 200) -> str:
    """Names from outside, one after the other, as far as they go into ``most`` characters."""
    said, rest = "", "…"
    for value in values:
        text = str(value)[: most + 1]
        if len(said) + len(text) > most:
            return f"{said}, {rest}" if said else f"{text[:most]}{rest}"
        said = f"{said}, {text}" if said else text
    return said


def in_a_line(error: Exception, most: int = 300) -> str:
    """The beginning of what another library's error says, without line breaks."""
    return re.sub(r"\s+", " ", str(error)).strip()[:most]
