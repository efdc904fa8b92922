"""Plain tables of others, CSV or Parquet: some columns of them, checked row by row."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
import pyarrow.csv
from pyarrow import types

from . import parquet
from .errors import NeuroglotError, in_a_line, listed, quoted
from .files import atomic, open_plain, require_file, write_bytes

#: Rows that are read at most: all neurons of a model of 70 billion parameters in twenty languages. A Parquet file of
#: a few bytes can say that it has any number.
MOST_ROWS = 50_000_000

# What a row of a table takes at the most while it is read.
_ROW = 100


def read_columns(path: str | Path, whole: Mapping[str, int], words: Sequence[str] = ()) -> pd.DataFrame:
    """Some columns of a CSV file (commas, or tabs, below a header) or of a Parquet file; other columns are left out.

    Args:
        path: the file; which of the two it is, its content says.
        whole: columns of whole numbers from 0 on, each with what they are below; floats that are whole will do.
        words: columns of text.

    Returns:
        Int64, and text as categories, by row number as a reader counts: of CSV the header is row 1, of Parquet the
        first row is.

    Raises:
        NeuroglotError: no such file or column, a file that is neither, or a number that is none, by row and column.
    """
    path = require_file(path, "give one that is there")
    names = [*whole, *words]
    try:
        with open_plain(path) as file:
            is_parquet = file.read(4) == parquet.MAGIC
        table = _parquet(path, names) if is_parquet else _csv(path, names)
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, NeuroglotError):
            raise
        raise NeuroglotError(
            f"{str(path)[:200]} cannot be read as a table ({in_a_line(error, 100)}); give CSV or Parquet."
        ) from error
    rows = pd.RangeIndex(1, 1 + len(table)) if is_parquet else pd.RangeIndex(2, 2 + len(table))
    found = {name: _plain(path, name, table[name], name in words).set_axis(rows) for name in names}
    numbers = {name: _whole(path, name, found[name], below) for name, below in whole.items()}
    return pd.DataFrame(numbers | {name: _words(path, name, found[name]) for name in words}, index=rows)


def _require_names(path: Path, names: Sequence[str], there: Sequence[str]) -> None:
    for name in names:
        if (times := list(there).count(name)) != 1:
            what = "no column" if not times else f"{times} columns"
            raise NeuroglotError(f"{path} has {what} {quoted(name)}, only {listed(there)}; give it {listed(names)}.")


def _parquet(path: Path, names: Sequence[str]) -> Any:
    with parquet.opened(path) as file:
        _require_names(path, names, file.schema_arrow.names)
        if file.metadata.num_rows > MOST_ROWS:
            raise NeuroglotError(f"{path} says that it has {file.metadata.num_rows:,} rows; give a table of neurons.")
        parquet.require_room(path, file.metadata.num_rows * _ROW + parquet.stored(file))
        return file.read(columns=names)


def _csv(path: Path, names: Sequence[str]) -> Any:
    with path.open("rb") as file:
        header = file.readline(10_000)
    delimiter = "\t" if b"\t" in header and b"," not in header else ","
    text = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=False)
    parsing = pyarrow.csv.ParseOptions(delimiter=delimiter)
    table = pyarrow.csv.read_csv(path, parse_options=parsing, convert_options=text)
    _require_names(path, names, table.column_names)
    return table


def _plain(path: Path, name: str, column: Any, words: bool) -> pd.Series:
    """As pandas has it, text as categories: of many rows there are few."""
    kind = column.type.value_type if types.is_dictionary(column.type) else column.type
    text = types.is_string(kind) or types.is_large_string(kind)
    if not (text or types.is_null(kind) or (not words and (types.is_integer(kind) or types.is_floating(kind)))):
        raise NeuroglotError(f"{path}: the column {name} holds {quoted(str(kind))}; give {_WANTED[words]}.")
    if text and (longest := _longest(column)) > _LONGEST:
        raise NeuroglotError(f"{path}: the column {name} has {longest:,} bytes in a row; give {_WANTED[words]}.")
    encoded = column.dictionary_encode() if words and column.type == kind and text else column
    series: pd.Series = encoded.to_pandas()
    return series if words or not text else series.astype(object)


_WANTED = {True: "text", False: "numbers"}

# Bytes of a number or of a language's name as text; of longer ones each row would take its time.
_LONGEST = 1000


def _longest(column: Any) -> int:
    """Bytes of the longest word of a column."""
    parts = [part.dictionary if types.is_dictionary(part.type) else part for part in column.chunks]
    lengths = [pyarrow.compute.max(pyarrow.compute.binary_length(part)).as_py() or 0 for part in parts]
    return max(lengths, default=0)


def _whole(path: Path, name: str, column: pd.Series, below: int) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    right = (np.floor(numbers) == numbers) & (numbers >= 0) & (numbers < below)
    _require(path, name, column, right, f"no whole number from 0 to {below - 1:,}")
    return pd.Series(numbers.astype(np.int64), index=column.index)


def _words(path: Path, name: str, column: pd.Series) -> pd.Series:
    words = pd.Categorical(column)
    blank = [not isinstance(word, str) or not word.strip() for word in words.categories]
    right = ~np.isin(words.codes, [-1, *np.flatnonzero(blank)])
    _require(path, name, column, right, "no text")
    return pd.Series(words, index=column.index)


def _require(path: Path, name: str, column: pd.Series, right: np.ndarray, why: str) -> None:
    if not right.all():
        first = int(np.argmin(right))
        value = quoted(column.astype(object).iloc[first], 40)
        raise NeuroglotError(f"{path}: row {column.index[first]}, column {name}: {value} is {why}; mend it.")


def require_once(path: str | Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """No two rows that are alike in these columns.

    Raises:
        NeuroglotError: there are; the message names both rows.
    """
    again = table.duplicated(list(columns)).to_numpy()
    if again.any():
        second = table.index[int(np.argmax(again))]
        same = (table[list(columns)] == table.loc[second, list(columns)]).all(axis=1).to_numpy()
        first = table.index[int(np.argmax(same))]
        raise NeuroglotError(f"{path}: row {second} has the {listed(columns)} of row {first}; name each once.")


def write_columns(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV or, by its name, as Parquet, whole or not at all."""
    if Path(path).suffix == ".parquet":
        with atomic(path) as part:
            table.to_parquet(part, index=False)
    else:
        write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())
