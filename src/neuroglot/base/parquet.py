"""Parquet files of others: whole or some rows at a time, and never more of them than there is room for."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pyarrow import types

from .errors import NeuroglotError, in_a_line
from .files import UNREADABLE
from .words import counted

#: How a Parquet file begins.
MAGIC = b"PAR1"

# Bytes that a Parquet file may take once it is read: so many, or so many times its size. Text and counts are five to
# twenty times smaller there; one value repeated by the million, which nobody keeps, thousands of times.
_ROOM, _RATIO = 2**28, 200

# What a row and a value of it take as Python has them.
_ROW, _VALUE = 1000, 64

# Rows that are read at a time where not all are: so many, fewer of a file in which one word may be long.
_BATCH = 128

# Bytes of a column that are read at a time.
_BUFFER = 2**16

Read = TypeVar("Read")


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, by column; of text that is repeated no more is made than there is room for.

    Raises:
        NeuroglotError: a file that cannot be read, or one that is far larger once it is read than it is.
    """

    def read() -> list[dict[str, Any]]:
        with opened(path) as file:
            values = sum(chunk.num_values for chunk in _chunks(file))
            need = file.metadata.num_rows * _ROW + values * _VALUE
            require_room(path, need + stored(file))
            table = file.read()
            require_room(path, need + sum(_spelt(part) for column in table.columns for part in column.chunks))
            return list(table.to_pylist())

    return _readable(path, read)


class Rows:
    """Rows of a file, of which some hundred are in memory at a time.

    Args:
        path: the file, which is held open until it is closed.

    Raises:
        NeuroglotError: a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Each word is made where it stands: words kept once are all of a row group at a time.
        self._file = _readable(path, lambda: pyarrow.parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False))
        said = self._file.metadata
        sizes = [said.row_group(number).num_rows for number in range(said.num_row_groups)]
        # The first row of each group, and how many rows there are.
        self._firsts = np.cumsum([0, *sizes])
        self._group, self._batches = -1, iter(list[Any]())
        self._held, self._rows = range(0), list[dict[str, Any]]()

    def __len__(self) -> int:
        return int(self._firsts[-1])

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getitem__(self, place: int) -> dict[str, Any]:
        """The row of this number, from 0; asked for in ascending order, each row group is read once, if at all.

        Raises:
            NeuroglotError: a file that cannot be read, or rows that there is no room for.
        """
        if place not in self._held:
            self._hold(place)
        return self._rows[place - self._held.start]

    def _hold(self, place: int) -> None:
        group = int(np.searchsorted(self._firsts, place, side="right")) - 1
        if group != self._group or place < self._held.start:
            longest: int = max((chunk.total_uncompressed_size for chunk in _chunks(self._file, [group])), default=0)
            require_room(self._path, longest)
            at_once = min(_BATCH, max(1, _ROOM // max(1, longest)))
            self._group, self._batches = group, self._file.iter_batches(at_once, [group])
            self._held = range(int(self._firsts[group]), int(self._firsts[group]))
        batch: Any = None
        while place not in self._held:
            batch = _readable(self._path, lambda: next(self._batches, None))
            if batch is None:
                raise NeuroglotError(f"{self._path} has fewer rows than it says; write it again.")
            self._held = range(self._held.stop, self._held.stop + batch.num_rows)
        need = batch.num_rows * _ROW + sum(map(_spelt, batch.columns))
        if need > _ROOM:
            raise NeuroglotError(
                f"{self._path}: {counted(batch.num_rows, 'row')} from row {self._held.start + 1} on would take "
                f"{need:,} bytes; write it as JSON lines."
            )
        self._rows = _readable(self._path, batch.to_pylist)


def _readable(path: Path, read: Callable[[], Read]) -> Read:
    """What is read, or one sentence on a damaged file, or on what Python has no value for."""
    try:
        return read()
    except NeuroglotError:
        raise
    except (pyarrow.ArrowException, *UNREADABLE) as error:
        raise NeuroglotError(f"{path} cannot be read as Parquet ({in_a_line(error, 200)}).") from error


def opened(path: Path) -> Any:
    """A file of pyarrow's, whose text is kept as it is there: each repeated word once."""
    said = pyarrow.parquet.read_metadata(path)
    leaves = [said.schema.column(number) for number in range(len(said.schema))]
    words = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    return pyarrow.parquet.ParquetFile(path, metadata=said, read_dictionary=words)


def _chunks(file: Any, groups: Iterable[int] | None = None) -> Iterator[Any]:
    said = file.metadata
    for group in map(said.row_group, range(said.num_row_groups) if groups is None else groups):
        yield from map(group.column, range(group.num_columns))


def stored(file: Any) -> int:
    """Bytes of what a file holds before it was compressed, as it says."""
    return sum(max(0, chunk.total_uncompressed_size) for chunk in _chunks(file))


def _spelt(array: Any) -> int:
    """Bytes of an array in which each word is written wherever it stands."""
    if types.is_dictionary(array.type):
        lengths = pyarrow.compute.binary_length(array.dictionary).take(array.indices)
        return pyarrow.compute.sum(lengths).as_py() or 0
    if types.is_struct(array.type) or types.is_list(array.type) or types.is_large_list(array.type):
        return sum(map(_spelt, array.flatten() if types.is_struct(array.type) else [array.flatten()]))
    size: int = array.nbytes
    return size


def require_room(path: Path, need: int) -> None:
    """Refuse what takes so many bytes once it is read, if that is far more than its file has."""
    if need > max(_ROOM, _RATIO * path.stat().st_size):
        raise NeuroglotError(
            f"{path} would take {need:,} bytes once it is read, far more than it has; write it as JSON lines or CSV."
        )
