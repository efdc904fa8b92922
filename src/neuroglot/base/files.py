"""Files that are whole or absent, names that are no paths, and the cache directory."""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any

from .errors import NeuroglotError, in_a_line, quoted

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

#: Of every file of ours; those of version 1 carried no hash of what they hold.
FORMAT_VERSION = 2

#: Bytes of a file that is read whole, at most: text and tables are far below, and what a file of holes or a mistaken
#: name would bring is refused before it fills the memory.
MOST_WHOLE = 2**29

#: What reading a damaged or foreign file can end in, whatever it was taken for.
UNREADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


def cache_dir() -> Path:
    """Where downloads and conversions are kept: ``$NEUROGLOT_CACHE`` or ``~/.cache/neuroglot``.

    Raises:
        NeuroglotError: none is named, and there is no home folder.
    """
    if own := os.environ.get("NEUROGLOT_CACHE"):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "neuroglot"
    except RuntimeError as error:  # a user whom the system does not know, and no HOME
        raise NeuroglotError("there is no home folder for downloads; set NEUROGLOT_CACHE to a folder.") from error


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
            f"{what} {quoted(name)} is no name for a folder; give up to 200 letters, digits, hyphens and dots, no path."
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
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        swept(path)
        scratch, held = _scratch(path)
    part = scratch / path.name
    try:
        # Only a failure to write here is ours to explain; the block may read other files.
        with explained(path, path.parent):
            yield part
            if part.is_dir() and path.exists():  # another process was first
                return
            _flush(part)
            part.replace(path)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if held is not None:
            os.close(held)


def _scratch(path: Path) -> tuple[Path, int | None]:
    """A new folder beside ``path``, and what holds it as this process's own for as long as that lives."""
    while True:
        scratch = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name[:60]}."))
        held = None
        try:
            held = _held(scratch)
        except FileNotFoundError:  # another process took it for a dead one's before it was held
            continue
        except OSError:  # no system or place with such locks; then nobody sweeps here
            return scratch, None
        if scratch.exists():
            return scratch, held
        os.close(held)


def _held(folder: Path) -> int:
    """The lock of a folder, which ends with the process at the latest.

    Raises:
        OSError: another process has it, there is no such folder, or there are no such locks.
    """
    if fcntl is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise
    return held


def swept(path: Path) -> None:
    """Without what a killed process's :func:`atomic` left beside ``path``, or in it if it is a folder."""
    left = [one for one in _hidden(path.parent) if one.name[1:-9] == path.name[:60]]
    for scratch in [*left, *_hidden(path)]:
        with contextlib.suppress(OSError):
            # Of nobody else's folders: it holds what it is named for, or nothing.
            if all(one.name.startswith(scratch.name[1:-9]) for one in scratch.iterdir()):
                held = _held(scratch)
                shutil.rmtree(scratch, ignore_errors=True)
                os.close(held)


def _hidden(folder: Path) -> list[Path]:
    """The folders in a folder that are named as :func:`atomic` names its own."""
    with contextlib.suppress(OSError), os.scandir(folder) as there:
        return [Path(one) for one in there if re.fullmatch(r"\..+\.[a-z0-9_]{8}", one.name, re.S) and one.is_dir()]
    return []


@contextlib.contextmanager
def explained(path: Path, within: Path | None = None) -> Iterator[None]:
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


def open_plain(path: str | Path) -> BufferedReader:
    """Open a file to be read, and nothing that reading might never end of: no pipe and no device.

    Raises:
        OSError: there is none, or it cannot be opened.
        NeuroglotError: it is none.
    """
    # A pipe without a writer would hold up whoever opens it, were it not for O_NONBLOCK; of files that says nothing.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags | getattr(os, "O_CLOEXEC", 0)), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NeuroglotError(f"{str(path)[:200]} is no plain file; save what it gives in one.")
    return file


def read_whole(path: str | Path) -> bytes:
    """All bytes of a plain file.

    Raises:
        OSError: there is none, or it cannot be read.
        NeuroglotError: it is a pipe or a device, or larger than :data:`MOST_WHOLE`.
    """
    with open_plain(path) as file:
        data = file.read(MOST_WHOLE + 1) if os.fstat(file.fileno()).st_size <= MOST_WHOLE else None
    if data is None or len(data) > MOST_WHOLE:
        raise NeuroglotError(
            f"{str(path)[:200]} has more than {MOST_WHOLE:,} bytes, too many to be read at once; give it in parts."
        )
    return data


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write ``data`` whole or not at all."""
    with atomic(path) as part:
        part.write_bytes(data)


def write_json(path: str | Path, content: Any) -> None:
    """Write ``content`` as JSON, whole or not at all; NumPy numbers become plain ones."""
    write_bytes(path, (json_text(content, indent=1) + "\n").encode())


def read_json(path: str | Path) -> Any:
    """What a JSON file holds.

    Raises:
        NeuroglotError: there is no such file, or it is no JSON.
    """
    try:
        return json.loads(read_whole(path).decode())
    except NeuroglotError:
        raise
    except UNREADABLE as error:
        raise NeuroglotError(f"{str(path)[:200]} cannot be read ({reason_of(error)}); make it again.") from error


def json_text(content: Any, **options: Any) -> str:
    """JSON as it is written: NumPy numbers as plain ones; half a character, which UTF-8 lacks, by its escape."""
    text = json.dumps(content, ensure_ascii=False, default=lambda number: number.item(), **options)
    return text.encode("utf-8", "backslashreplace").decode()


def reason_of(error: Exception) -> str:
    """Why something could not be read, in up to 100 characters."""
    return "it is nested too deep" if isinstance(error, RecursionError) else in_a_line(error, 100) or repr(error)[:100]


def remove(path: Path) -> None:
    """A file or a folder, whatever there is."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256_file(path: str | Path) -> str:
    """The file's SHA-256, in hexadecimal.

    Raises:
        OSError: there is none, or it cannot be read.
        NeuroglotError: it is a pipe or a device.
    """
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
