"""The one error a reader of a traceback is meant to act on, and what is said in it often."""

import re


class NeuroglotError(ValueError):
    """Bad input: the message is one sentence that names the file or argument and what to do."""


def require_whole(name: str, number: object, least: int) -> None:
    """A whole number from ``least`` on.

    Raises:
        NeuroglotError: another one, or none.
    """
    if isinstance(number, bool) or not isinstance(number, int) or number < least:
        raise NeuroglotError(f"{name}={number!r}: give a whole number from {least} on.")


def in_a_line(error: Exception, most: int = 300) -> str:
    """The beginning of what another library's error says, without line breaks."""
    return re.sub(r"\s+", " ", str(error)).strip()[:most]
