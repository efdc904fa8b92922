"""Files and folders that say what they are and whether they are whole, and parts kept of unfinished work."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from .errors import NeuroglotError
from .files import (
    FORMAT_VERSION,
    UNREADABLE,
    json_text,
    read_whole,
    reason_of,
    remove,
    sha256_file,
    write_bytes,
    write_json,
)

T = TypeVar("T")

# --- files ---------------------------------------------------------------------------------------


def content_hash(*content: Any) -> str:
    """SHA-256 of what JSON holds, however it is laid out."""
    digest = hashlib.sha256()
    for each in content:
        digest.update(json.dumps(each, default=lambda number: number.item()).encode() + b"\n")
    return digest.hexdigest()


def _sealed(kind: str, content: Mapping[str, Any], *rows: Any) -> dict[str, Any]:
    head = {"neuroglot": kind, "version": FORMAT_VERSION, **content}
    return head | {"sha256": content_hash(head, *rows)}


def _opened(path: str | Path, head: Any, kind: str, maker: str, *rows: Any) -> dict[str, Any]:
    """A header without its hash, if that is the hash of this header and these rows."""
    reason = "it is not whole, or was changed"
    if not isinstance(head, dict) or head.get("neuroglot") != kind or head.get("version") != FORMAT_VERSION:
        reason = f"it holds no {kind} of this version"
    elif head.pop("sha256", None) == content_hash(head, *rows):
        return head
    raise NeuroglotError(f"{path} is not what {maker} writes ({reason}); make it again.")


@contextlib.contextmanager
def as_written(path: str | Path, maker: str) -> Iterator[None]:
    """While something is made of what a file holds: whatever that ends in is one sentence that names the file."""
    try:
        yield
    except NeuroglotError as error:
        raise NeuroglotError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
    except UNREADABLE as error:
        raise NeuroglotError(f"{path} is not what {maker} writes ({reason_of(error)}); make it again.") from error


def write_record(path: str | Path, kind: str, content: Mapping[str, Any]) -> None:
    """Write a JSON object that says what it is and carries its hash, whole or not at all."""
    write_json(path, _sealed(kind, content))


def read_record(path: str | Path, kind: str, maker: str) -> dict[str, Any]:
    """What :func:`write_record` wrote.

    Args:
        path: the file.
        kind: what it must hold.
        maker: who writes such files, for messages.

    Raises:
        NeuroglotError: there is no such file, another one, or one that is not as it was written.
    """
    with as_written(path, maker):
        head = json.loads(read_whole(path).decode())
    return _opened(path, head, kind, maker)


def write_lines(path: str | Path, kind: str, head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a header, which carries the hash of all, and rows as JSON lines, whole or not at all."""
    rows = list(rows)
    lines = [json_text(line) for line in (_sealed(kind, head, *rows), *rows)]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def read_lines(path: str | Path, kind: str, maker: str) -> tuple[dict[str, Any], list[Any]]:
    """The header and the rows that :func:`write_lines` wrote.

    Raises:
        NeuroglotError: as :func:`read_record`.
    """
    with as_written(path, maker):
        text = read_whole(path).decode()
        head, *rows = (json.loads(line) for line in text.split("\n") if line)
    return _opened(path, head, kind, maker, *rows), rows


# --- folders and parts ---------------------------------------------------------------------------

_WHOLE = "whole.json"


def mark_whole(folder: Path, maker: str) -> None:
    """Say in a folder, which was written to its end, what is in it."""
    write_record(folder / _WHOLE, "folder", {"maker": maker, "files": _hashes(folder)})


def whole_folder(folder: Path, maker: str) -> Path:
    """The folder, if it is as :func:`mark_whole` found it.

    Raises:
        NeuroglotError: it was not written to its end, or was changed.
    """
    if read_record(folder / _WHOLE, "folder", maker).get("files") != _hashes(folder):
        raise NeuroglotError(f"{folder} is not as it was written by {maker}; make it again.")
    return folder


def is_marked(folder: Path) -> bool:
    """Whether a folder says what is in it."""
    return (folder / _WHOLE).is_file()


def _hashes(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / _WHOLE)
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in found}


def kept_folder(folder: Path, maker: str) -> Path | None:
    """:func:`kept_part` of a folder that :func:`mark_whole` marks."""
    return kept_part(folder, lambda kept: whole_folder(kept, maker))


def kept_part(path: Path, read: Callable[[Path], T]) -> T | None:
    """A part of unfinished work, or ``None`` where it is to be made; a damaged one is thrown away, and that is said."""
    if not path.exists():
        return None
    try:
        return read(path)
    except NeuroglotError:
        tqdm.write(f"{path} is damaged, or of another version; it is made again.", file=sys.stderr)
        remove(path)
        return None
