"""Text that stays in its file: rows are found once, and each is read where it stands whenever it is asked for."""

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..base.digests import as_array, digest, numbered, repeated
from ..base.errors import NeuroglotError, in_a_line
from ..base.files import open_plain
from .corpora import Example
from .delimited import MOST

#: A row: what it is called in messages, the language that its file is named after, and its content.
Row = tuple[str, str | None, Any]

#: Makes the example of a row; given how many of each language stand before it, it makes that again.
Maker = Callable[[Row, Mapping[str, int] | None], Example]

_FILE, _LANGUAGE, _OFFSET, _ROW, _BEFORE = range(5)


class FileExamples(Sequence[Example]):
    """Examples in files of JSON lines, of each of which 40 bytes are held (72 until they are :meth:`chosen`).

    Args:
        files: each with the language that it is named after, if it is.
        make: what makes the example of a row.

    Attributes:
        languages: codes of all rows, in the order in which they first appear.
        size: bytes of the files.

    Raises:
        NeuroglotError: a file that cannot be read, or a row that cannot be used, with its file and number.
    """

    def __init__(self, files: Sequence[tuple[Path, str | None]], make: Maker) -> None:
        self._files, self._make = list(files), make
        self._states = [_state(path) for path, _ in files]
        self.size = sum(size for size, _ in self._states)
        count: dict[str, int] = {}
        index, documents, texts = array("q"), bytearray(), bytearray()
        for number, (path, language) in enumerate(files):
            for offset, row, line in _lines(path):
                example = make(_parsed(path, language, row, line), None)
                code = example.language
                before = count.setdefault(code, 0)
                count[code] += 1
                index.extend((number, list(count).index(code), offset, row, before))
                documents += digest(example.document)
                # Several responses to one prompt may well be the same.
                several = example.document != example.id
                texts += digest(code, example.id) if several else digest(code, example.prompt, example.response)
        self.languages = tuple(count)
        self._index = np.frombuffer(index, dtype=np.int64).reshape(-1, 5)
        self._documents, self._texts = as_array(documents), as_array(texts)

    def require_unique(self) -> None:
        """Refuse the same text twice in a language.

        Raises:
            NeuroglotError: where it is again, and where it was first.
        """
        if twice := repeated(self._texts):
            first, second = (self[number].origin for number in twice)
            raise NeuroglotError(f"{second}: the same text as {first}; remove it or ask for duplicates='keep'.")

    def chosen(self, languages: Sequence[str], n: int | None = None) -> "FileExamples":
        """Language by language, the examples of its first ``n`` documents, or all."""
        kept = []
        for code in languages:
            own = np.flatnonzero(self._index[:, _LANGUAGE] == self.languages.index(code))
            kept.append(own if n is None else own[numbered(self._documents[own]) < n])
        some = object.__new__(FileExamples)
        some.__dict__ |= self.__dict__ | {"_index": self._index[np.concatenate(kept)]}
        some._documents = some._texts = as_array(b"")  # they have said what they are for
        return some

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Example, ...]: ...
    def __getitem__(self, index: int | slice) -> Example | tuple[Example, ...]:
        if isinstance(index, slice):
            return tuple(self._read(self._index[index]))
        return next(self._read(self._index[index][None]))

    def __iter__(self) -> Iterator[Example]:
        return self._read(self._index)

    def _read(self, index: np.ndarray) -> Iterator[Example]:
        """The examples at these places; of rows that follow one another in a file it is opened once."""
        for number, places in groupby(index, key=lambda place: int(place[_FILE])):
            path, language = self._files[number]
            with open_plain(path) as file:
                if _state(path) != self._states[number]:
                    raise NeuroglotError(f"{path} was changed since it was read first; start again.")
                for place in places:
                    file.seek(int(place[_OFFSET]))
                    row = _parsed(path, language, int(place[_ROW]), file.readline())
                    yield self._make(row, {self.languages[place[_LANGUAGE]]: int(place[_BEFORE])})


def _state(path: Path) -> tuple[int, int]:
    """What differs once a file was written again."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Lines that are not empty: where they start in the file, their numbers from 1, and their content."""
    try:
        with open_plain(path) as file:
            offset = 0
            for row, line in enumerate(iter(lambda: file.readline(MOST), b""), start=1):
                if len(line) == MOST:
                    raise NeuroglotError(
                        f"{path.name}, row {row}: it has more than {MOST:,} bytes; give one example a row."
                    )
                if line.strip(b"\xef\xbb\xbf \t\r\n"):
                    yield offset, row, line
                offset += len(line)
    except OSError as error:
        raise NeuroglotError(f"{path} cannot be read: {error.strerror}; check its name.") from error


def _parsed(path: Path, language: str | None, row: int, line: bytes) -> Row:
    origin = f"{path.name}, row {row}"
    try:
        content = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NeuroglotError(f"{path}, row {row}: not UTF-8 (byte {error.start}); save the file as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        what = in_a_line(error, 100)
        raise NeuroglotError(f"{path}, row {row}: not valid JSON ({what}); write one object a line.") from error
    return origin, language, content
