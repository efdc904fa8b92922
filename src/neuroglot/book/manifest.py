"""One manifest in a run's folder: every file with its hash, and what each chapter was given, read and wrote."""

import contextlib
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import NeuroglotError
from ..base.files import FORMAT_VERSION, sha256_file
from ..base.records import read_record, write_record

#: Its name in the run's folder.
MANIFEST = "manifest.json"

_KIND, _MAKER = "manifest", "neuroglot book"

# What is no result: locks, the pages' settings and messages, a chapter that failed, parts of what is unfinished.
_PASSING = ("*.lock", "build.log", "build.yml", "*.failed.ipynb", "*.parts", "*.part*")


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """The results in a run's folder: by their path in it ``bytes`` and ``sha256``.

    A link is no result: what it leads to may lie anywhere.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or inside.as_posix() == MANIFEST:
            continue
        if not any(Path(part).match(pattern) for part in inside.parts for pattern in _PASSING):
            found[inside.as_posix()] = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
    return found


def write(folder: Path, preset: str, chapters: Mapping[str, Mapping[str, Any]]) -> None:
    """Say in a run's folder what is in it now.

    Args:
        folder: of the run.
        preset: that it was made with.
        chapters: of those that were run to their end: ``parameters``, ``inputs`` and ``outputs`` (hashes by path) and
            ``versions``.
    """
    machine = {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()}
    said = {"run": folder.name, "preset": preset, "machine": machine, "chapters": dict(chapters)}
    said["files"] = files_of(folder)
    with contextlib.suppress(NeuroglotError):  # what is there may be of another version, or damaged
        if read(folder) == {"neuroglot": _KIND, "version": FORMAT_VERSION, **said}:
            return
    write_record(folder / MANIFEST, _KIND, said)


def read(folder: Path) -> dict[str, Any]:
    """What :func:`write` wrote.

    Raises:
        NeuroglotError: there is none, or it is not as it was written.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NeuroglotError(f"there is no {path}; make the run again (neuroglot book), which writes it.")
    said = read_record(path, _KIND, _MAKER)
    if not all(isinstance(said.get(name), dict) for name in ("chapters", "files")):
        raise NeuroglotError(f"{path} is not what {_MAKER} writes; make the run again.")
    return said
