"""A run made of passes: dealt out among processes, kept beside the result, joined in one fixed order.

What is dealt out are whole passes, formed before and without regard to how many processes there are. So a batch has
the texts, the padding and the interventions that it has in one process, and what comes out the same bytes.
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..base.artifacts import Made, finished
from ..base.parts import Parts
from .processes import joined

T = TypeVar("T")
Result = TypeVar("Result", bound=Made)


class Part(NamedTuple):
    """What one pass gives: arrays, and what JSON holds."""

    arrays: Mapping[str, np.ndarray] = {}
    said: Mapping[str, Any] = {}


class Passes:
    """The passes of one result, shared by the processes that ``torchrun`` or ``accelerate launch`` started together.

    Every process calls the same things in the same order, and has the whole result in the end; the first one alone
    reads and writes files. Of one process alone nothing is exchanged.

    Args:
        path: the result; unfinished it is in ``PATH.parts``. ``None`` keeps nothing.
        provenance: of the result.

    Raises:
        NeuroglotError: another process is about to make something else.
    """

    def __init__(self, path: str | Path | None, provenance: Mapping[str, Any]) -> None:
        self.path, self.provenance = Path(path) if path is not None else None, provenance
        self.processes = joined()
        self.processes.require_alike(provenance)

    @property
    def first(self) -> bool:
        """Whether this process reads, writes and reports for all."""
        return self.processes.first

    @functools.cached_property
    def _parts(self) -> Parts:
        """Of the first process, which alone asks for them."""
        return Parts(self.path, self.provenance)

    def finished(self, load: Callable[[Path], Result], what: str, overwrite: bool) -> Result | None:
        """The result at ``path`` if it is what is asked for; see :func:`neuroglot.base.artifacts.finished`."""
        path = self.path
        if path is None:
            return None

        def there() -> Result | None:
            if (done := finished(path, load, self.provenance, what, overwrite)) is not None:
                self._parts.remove_own()
            return done

        return self.processes.once(there)

    def made(self, items: Sequence[T], make: Callable[[int, T], Part]) -> Iterator[Part]:
        """What each pass gives, in their order: read where it was kept, else made by one of the processes, and kept.

        Of every as many passes in a row as there are processes each makes one: the first process the first that is
        not kept, and so on. They wait for each other after each, so that what one of them ends in ends all.

        Args:
            items: what the passes are of.
            make: gives one of them, by its number; what it gives depends on nothing that other passes leave.

        Raises:
            NeuroglotError: what ``make`` raised in any process, a full disk, a file where the folder of parts would be.
        """
        for start in range(0, len(items), self.processes.number):
            yield from self._round(range(start, min(start + self.processes.number, len(items))), items, make)

    def _round(self, numbers: range, items: Sequence[T], make: Callable[[int, T], Part]) -> Iterator[Part]:
        found: dict[int, Part] = self.processes.once(lambda: self._kept(numbers))
        missing = [number for number in numbers if number not in found]
        if missing:
            own = list(self.processes.mine(missing))
            made = self.processes.each(lambda: {number: make(number, items[number]) for number in own})
            new = {number: part for some in made for number, part in some.items()}
            self.processes.once(lambda: self._keep(new))
            found |= new
        yield from (found[number] for number in numbers)

    def _kept(self, numbers: range) -> dict[int, Part]:
        found = ((number, self._parts.kept(_name(number))) for number in numbers)
        return {number: Part(*part) for number, part in found if part is not None}

    def _keep(self, made: Mapping[int, Part]) -> None:
        for number, part in made.items():
            self._parts.keep(_name(number), part.arrays, **part.said)

    def done(self, write: Callable[[Path], None]) -> None:
        """Let the first process write the result where it is kept; its parts are gone then."""
        path = self.path
        if path is None:
            return

        def last() -> None:
            write(path)
            self._parts.remove()

        self.processes.once(last)


def _name(number: int) -> str:
    return f"{number:05d}"
