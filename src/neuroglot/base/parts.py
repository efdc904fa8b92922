"""What is finished of a result that is not: kept beside it, gone on with, and gone once the result is there."""

import contextlib
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .artifacts import load_artifact, save_artifact
from .errors import NeuroglotError
from .files import explained
from .records import content_hash, kept_part


class Parts:
    """The folder ``PATH.parts``, a file for each part; without a path nothing is kept.

    Args:
        path: the result.
        provenance: of the result; parts of another one are none of these. The ``machine`` may be another.
        spills: whether :meth:`zeros` are on disk; without a path they are in memory.

    Raises:
        NeuroglotError: a file is where the folder would be.
    """

    def __init__(self, path: Path | None, provenance: Mapping[str, Any], spills: bool = False) -> None:
        self.there, self.spills = path is not None, spills and path is not None
        self.folder = path.with_name(path.name + ".parts") if path is not None else Path()
        self.key = content_hash({name: value for name, value in provenance.items() if name != "machine"})
        if self.there and self.folder.exists() and not self.folder.is_dir():
            raise NeuroglotError(f"{self.folder} is in the way of unfinished work; move it or give another file.")

    def keep(self, name: str, arrays: Mapping[str, np.ndarray] | None = None, **said: Any) -> None:
        """Keep a part: arrays, and what JSON holds, whole or not at all."""
        if self.there:
            save_artifact(self._file(name), "part", arrays or {}, {**said, "key": self.key})

    def kept(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """The arrays and the rest of a part, or ``None`` where it is to be made; a damaged one is thrown away."""

        def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
            arrays, said = load_artifact(path, "part", ())
            return (arrays, said) if said["key"] == self.key else None

        return kept_part(self._file(name), read) if self.there else None

    def zeros(self, shape: Sequence[int], dtype: npt.DTypeLike) -> np.ndarray:
        """An array of zeros to work with, in memory or in a file of the folder without a name, gone with the array.

        Raises:
            NeuroglotError: the disk is full.
        """
        size = math.prod(shape) * np.dtype(dtype).itemsize
        if not self.spills or not size:
            return np.zeros(shape, dtype)
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as file:
                if hasattr(os, "posix_fallocate"):  # or a full disk would kill the process as it writes to memory
                    os.posix_fallocate(file.fileno(), 0, size)
                return np.memmap(file, dtype, "w+", shape=tuple(shape)).view(np.ndarray)

    def discard(self, name: str) -> None:
        """Without this part, if there is one."""
        if self.there:
            self._file(name).unlink(missing_ok=True)

    def remove_own(self) -> None:
        """Without those of this very result, which is there: what was stopped last may have left them.

        Those of another result, which replaces it once it is finished, stay.
        """
        if self.there and self.folder.is_dir():
            for file in self.folder.glob("*.safetensors"):
                if self.kept(file.stem) is not None:
                    file.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.folder.rmdir()

    def remove(self) -> None:
        """Without any, and without the folder."""
        if self.there:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"
