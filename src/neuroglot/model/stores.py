"""Texts as tokens, packed: four bytes a token, in memory or in a file without a name."""

import io
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from ..base.files import explained


@dataclass(frozen=True, slots=True)
class Text:
    """One tokenized example, or one piece of an example longer than the context.

    ``bin`` is the number of what it is added up in: a shard of the counts, a unit of the losses, or itself alone;
    ``example`` that of the example in its corpus, ``number`` its own among the texts of a :class:`TextStore`, where
    these matter.
    """

    ids: list[int]
    counted: list[bool]
    language: int
    bin: int
    example: int = 0
    number: int = 0


class TextStore(Sequence[Text]):
    """Texts, each made anew when it is asked for: as lists, ten times the room is needed.

    Args:
        texts: read once, one after another.
        in_file: whether tokens are held in a file among the temporary ones (``TMPDIR``), gone with the store.

    Attributes:
        lengths, counted: int64 ``[texts]``: tokens of each text, and those of them that count.
        size: bytes that the tokens take.
        languages, bins, examples: int64 ``[texts]``, as a :class:`Text` has them.

    Raises:
        NeuroglotError: the disk is full.
    """

    def __init__(self, texts: Iterable[Text], in_file: bool = False) -> None:
        table = array("q")
        with explained(Path(tempfile.gettempdir())), tempfile.TemporaryFile() if in_file else io.BytesIO() as file:
            for text in texts:
                ids, counted = np.array(text.ids, dtype=np.int32), np.array(text.counted, dtype=bool)
                file.write(np.where(counted, ids, ~ids).tobytes())  # of what does not count, below zero
                table.extend((len(ids), counted.sum(), text.language, text.bin, text.example))
            self._tokens = _whole(file, in_file)
        self.in_file, self.size = in_file, self._tokens.nbytes
        columns = np.array(table, dtype=np.int64).reshape(-1, 5).T.copy()
        self.lengths, self.counted, self.languages, self.bins, self.examples = columns
        self._starts = np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> Text: ...
    @overload
    def __getitem__(self, index: slice) -> list[Text]: ...
    def __getitem__(self, index: int | slice) -> Text | list[Text]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        number = range(len(self))[index]
        start = self._starts[number]
        tokens = self._tokens[start : start + self.lengths[number]]
        counted = tokens >= 0
        language, bin_, example = (int(column[number]) for column in (self.languages, self.bins, self.examples))
        ids = np.where(counted, tokens, ~tokens).tolist()
        return Text(ids, counted.tolist(), language, bin_, example, number)

    def __iter__(self) -> Iterator[Text]:
        return (self[number] for number in range(len(self)))


def _whole(file: BinaryIO, in_file: bool) -> NDArray[np.int32]:
    """All that was written."""
    if not in_file:
        assert isinstance(file, io.BytesIO)
        return np.frombuffer(file.getvalue(), dtype=np.int32)
    file.flush()
    size = file.tell()
    return np.memmap(file, np.int32, "r").view(np.ndarray) if size else np.empty(0, np.int32)
