"""Rows of CSV files: commas, tabs or semicolons below a header."""

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..base.errors import NeuroglotError, in_a_line, listed, quoted
from ..base.files import open_plain

#: Bytes of a line, and characters of a field, at most: a book of a million words has six million characters. Where a
#: quotation mark is never closed, all that follows is one field.
MOST = 16_000_000

_DELIMITERS = ",\t;"

Row = dict[str, str | None]


def delimited_rows(path: Path) -> tuple[list[tuple[int, Row]], int]:
    """Rows by the names in a file's header, and how many were left out because they are empty.

    Fields stand apart by what the header has most of: commas, tabs or semicolons.

    Args:
        path: a file in UTF-8, with or without a mark at its beginning.

    Returns:
        Each row with its number, where the header is row 1. Empty fields are empty text; those of a column that is
        empty in every row are ``None``, as if it were not there.

    Raises:
        NeuroglotError: a file that cannot be read, two columns of one name, a row of another length than the header,
            what is no text, a quotation mark that is not closed, or more than :data:`MOST` in one field.
    """
    rows, empty, number = list[tuple[int, Row]](), 0, 0
    usual = csv.field_size_limit(MOST)
    try:
        with open_plain(path) as file:
            lines = _lines(path, file)
            first = next(lines, "")
            delimiter = max(_DELIMITERS, key=first.count)
            reader = csv.reader(itertools.chain([first], lines), delimiter=delimiter, strict=True)
            header = _header(path, next(reader, []))
            number = 1
            for number, fields in enumerate(reader, start=2):
                if not any(field.strip() for field in fields):
                    empty += 1
                    continue
                if len(fields) != len(header):
                    raise NeuroglotError(
                        f"{path.name}, row {number}: it has {len(fields)} fields and the header {len(header)}; write "
                        "all of them, and text that holds the delimiter in quotation marks."
                    )
                rows.append((number, dict(zip(header, fields, strict=True))))
    except csv.Error as error:
        raise NeuroglotError(
            f"{path.name}, row {number + 1}: not CSV that can be read ({in_a_line(error, 100)}); close every quotation "
            "mark, and double those within a field."
        ) from error
    except OSError as error:
        raise NeuroglotError(f"{str(path)[:200]} cannot be read: {error.strerror}; check its name.") from error
    finally:
        csv.field_size_limit(usual)
    blank = [name for name in header if not any(row[name] for _, row in rows)]
    for _, row in rows:
        row.update(dict.fromkeys(blank))
    return rows, empty


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    for number in itertools.count(1):
        line = file.readline(MOST)
        if not line:
            return
        place = f"{path.name}, line {number}"
        if len(line) == MOST:
            raise NeuroglotError(f"{place}: it has more than {MOST:,} bytes; give one example a row.")
        if b"\0" in line:
            raise NeuroglotError(f"{place}: a zero byte, which no text holds; save the file as UTF-8.")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise NeuroglotError(f"{place}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from error


def _header(path: Path, names: list[str]) -> list[str]:
    names = [name.strip() for name in names]
    if not any(names):
        raise NeuroglotError(f"{path.name}, row 1: there is no header; name the columns there.")
    if twice := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
        raise NeuroglotError(
            f"{path.name}, row 1: two columns are called {quoted(twice[0])} (found: {listed(names)}); name each once."
        )
    return names
