"""Text that stays in its file: rows are found once, and each is read where it stands whenever it is asked for."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np

from ..base.digests import as_array, digest, numbered, repeated
from ..base.errors import NeuroglotError
from .corpora import Example
from .rows import Row, RowFile

#: Makes the example of a row; given how many of each language stand before it, it makes that again.
Maker = Callable[[Row, Mapping[str, int] | None], Example]

_FILE, _LANGUAGE, _PLACE, _ROW, _BEFORE = range(5)


class FileExamples(Sequence[Example]):
    """Examples that stay in their files; of each 40 bytes are held (72 until they are :meth:`chosen`).

    Args:
        files: what gives their rows.
        make: what makes the example of a row.

    Attributes:
        languages: codes of all rows, in the order in which they first appear.
        size: bytes of the files.

    Raises:
        NeuroglotError: a file that cannot be read, or a row that cannot be used, with its file and number.
    """

    def __init__(self, files: Sequence[RowFile], make: Maker) -> None:
        self._files, self._make = list(files), make
        self.size = sum(file.size for file in files)
        count: dict[str, int] = {}
        index, documents, texts = array("q"), bytearray(), bytearray()
        for number, file in enumerate(files):
            for place, row, content in file.rows():
                example = make(content, None)
                code = example.language
                before = count.setdefault(code, 0)
                count[code] += 1
                index.extend((number, list(count).index(code), place, row, before))
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
        """The examples at these places."""
        # Rows of one file that follow one another are read together.
        for some in np.split(index, np.flatnonzero(np.diff(index[:, _FILE])) + 1) if len(index) else ():
            rows = self._files[some[0, _FILE]].read((int(one[_PLACE]), int(one[_ROW])) for one in some)
            for one, row in zip(some, rows, strict=True):
                yield self._make(row, {self.languages[one[_LANGUAGE]]: int(one[_BEFORE])})
