"""Rows of a file or a table: found once in order, and each read again where it stands."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from ..base.errors import NeuroglotError, in_a_line
from ..base.files import open_plain
from .delimited import MOST

#: A row: what it is called in messages, the language that its file is named after, and its content.
Row = tuple[str, str | None, Any]


class RowFile(Protocol):
    """What rows can be read from, again and again.

    Attributes:
        size: bytes.
    """

    size: int

    def rows(self) -> Iterator[tuple[int, int, Row]]:
        """All rows in order: the place of each, its number from 1, and itself."""

    def read(self, wanted: Iterable[tuple[int, int]]) -> Iterator[Row]:
        """The rows of these places and numbers, in this order.

        Raises:
            NeuroglotError: the file was changed since.
        """


class JsonLines:
    """A file of JSON lines; a row's place is the byte at which it starts.

    Args:
        path: the file, in UTF-8.
        language: what it is named after, if it is.
    """

    def __init__(self, path: Path, language: str | None) -> None:
        self._path, self._language, self._was = path, language, _state(path)
        self.size = self._was[0]

    def rows(self) -> Iterator[tuple[int, int, Row]]:
        """All lines that are not empty."""
        path = self._path
        try:
            with open_plain(path) as file:
                offset = 0
                for row, line in enumerate(iter(lambda: file.readline(MOST), b""), start=1):
                    if len(line) == MOST:
                        raise NeuroglotError(
                            f"{path.name}, row {row}: it has more than {MOST:,} bytes; give one example a row."
                        )
                    if line.strip(b"\xef\xbb\xbf \t\r\n"):
                        yield offset, row, self._parsed(row, line)
                    offset += len(line)
        except OSError as error:
            raise NeuroglotError(f"{path} cannot be read: {error.strerror}; check its name.") from error

    def read(self, wanted: Iterable[tuple[int, int]]) -> Iterator[Row]:
        """The lines that start there; the file is opened once."""
        with open_plain(self._path) as file:
            _require_same(self._path, self._was)
            for offset, row in wanted:
                file.seek(offset)
                yield self._parsed(row, file.readline())

    def _parsed(self, row: int, line: bytes) -> Row:
        path, what = self._path, f"{self._path}, row {row}"
        try:
            content = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            raise NeuroglotError(f"{what}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from error
        except (ValueError, RecursionError) as error:
            why = in_a_line(error, 100)
            raise NeuroglotError(f"{what}: not valid JSON ({why}); write one object a line.") from error
        return f"{path.name}, row {row}", self._language, content


class ParquetFile:
    """A Parquet file; a row's place is its number from 0. Some thousand rows of it are in memory at a time.

    Args:
        path: the file.
        language: what it is named after, if it is.
    """

    def __init__(self, path: Path, language: str | None) -> None:
        self._path, self._language, self._was = path, language, _state(path)
        self.size = self._was[0]

    def rows(self) -> Iterator[tuple[int, int, Row]]:
        """All rows."""
        from ..base import parquet

        with parquet.Rows(self._path) as rows:
            for place in range(len(rows)):
                yield place, place + 1, self._row(place, rows[place])

    def read(self, wanted: Iterable[tuple[int, int]]) -> Iterator[Row]:
        """These rows; in ascending order each row group is read once, if at all."""
        from ..base import parquet

        _require_same(self._path, self._was)
        with parquet.Rows(self._path) as rows:
            for place, _ in wanted:
                yield self._row(place, rows[place])

    def _row(self, place: int, content: Any) -> Row:
        return f"{self._path.name}, row {place + 1}", self._language, content


class DataSet:
    """A data set of ``datasets``, which lies in files that are mapped; a row's place is its number from 0.

    Args:
        table: a ``datasets.Dataset``.
        what: its name in messages.
        language: what its configuration is named after, if it is.
    """

    def __init__(self, table: Any, what: str, language: str | None) -> None:
        self._table, self._what, self._language = table, what, language
        self.size = int(table.data.nbytes)

    def rows(self) -> Iterator[tuple[int, int, Row]]:
        """All rows.

        Raises:
            NeuroglotError: a row that ``datasets`` cannot read.
        """
        for place in range(len(self._table)):
            yield place, place + 1, self._row(place)

    def read(self, wanted: Iterable[tuple[int, int]]) -> Iterator[Row]:
        """These rows."""
        for place, _ in wanted:
            yield self._row(place)

    def _row(self, place: int) -> Row:
        origin = f"{self._what}, row {place + 1}"
        try:
            return origin, self._language, self._table[place]
        except Exception as error:  # of many types, by what a column holds
            raise NeuroglotError(f"{origin}: cannot be read ({in_a_line(error, 200)}).") from error


def _state(path: Path) -> tuple[int, int]:
    """What differs once a file was written again."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _require_same(path: Path, was: tuple[int, int]) -> None:
    if _state(path) != was:
        raise NeuroglotError(f"{path} was changed since it was read first; start again.")
