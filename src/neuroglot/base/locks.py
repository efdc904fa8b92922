"""One writer at a time: the lock of a file or folder that is made, by one process or by several together."""

import contextlib
import errno
import functools
import inspect
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

import filelock

from .errors import NeuroglotError
from .files import sha256_file, swept

P = ParamSpec("P")
Result = TypeVar("Result")


@contextlib.contextmanager
def alone(
    path: str | Path | None, *, wait: bool = True, once: Callable[[Callable[[], bool]], bool] = lambda do: do()
) -> Iterator[None]:
    """Hold the one lock of a file or folder while it is made.

    The lock is a hidden file beside ``path``, gone afterwards; that of a process that died holds nobody up. Within
    one thread it can be taken again. Where nobody can write there is nothing to hold.

    Args:
        path: what is made; ``None`` is kept nowhere and needs no lock.
        wait: for another process that makes it, saying for whom; otherwise it is refused.
        once: :meth:`neuroglot.model.processes.Processes.once`, where several processes make it together:
            the first holds it.

    Raises:
        NeuroglotError: another process has it and ``wait`` is false, or another user's.
    """
    if path is None:
        yield
        return
    path = Path(path).resolve()
    lock_file = path.with_name(f".{path.name}.lock")
    held: set[Path] = _HELD.__dict__.setdefault("locks", set())
    if once(lambda: lock_file in held):
        yield
        return
    lock = filelock.FileLock(lock_file)
    new = [folder for folder in path.parents if not folder.exists()]
    told: list[str] = []
    lost: list[OSError] = []

    def take() -> bool:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=_PATIENCE if told else 0)
        except filelock.Timeout:
            whose = _holder(lock_file)
            if not wait:
                raise NeuroglotError(
                    f"{path} is being written by {whose}; wait until it is done, or leave out --no-wait (wait=False)."
                ) from None
            if whose not in told:
                print(f"waiting for {whose}, which writes {path}", file=sys.stderr, flush=True)
                told.append(whose)
            return False
        except OSError as error:
            lost.append(error)
            # The folder was empty, and whoever had made it took it away; it is not so again and again.
            if isinstance(error, FileNotFoundError) and len(lost) < 100:
                return False
            if lock_file.exists():
                raise NeuroglotError(
                    f"{lock_file} cannot be opened ({error.strerror}), the lock of another user; wait, or ask for it "
                    "to be removed."
                ) from error
            if error.errno not in _NO_PLACE:
                print(f"no lock is kept beside {path} ({error.strerror}): let nothing else write it", file=sys.stderr)
            return True
        _sign(lock)
        held.add(lock_file)
        swept(path)
        return True

    # Asked again and again rather than once for long: processes that share a run give up on a silent one.
    while not once(take):
        pass
    try:
        yield
    finally:
        if lock.is_locked:
            held.discard(lock_file)
            if not isinstance(lock, filelock.SoftFileLock):
                with contextlib.suppress(OSError):  # on Windows the library removes it afterwards
                    lock_file.unlink()
            lock.release()
        for folder in new:  # what was refused leaves no empty folder
            with contextlib.suppress(OSError):
                folder.rmdir()


def one_writer(
    name: str = "path", once: Callable[[Callable[[], bool]], bool] = lambda do: do()
) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """Let a function run :func:`alone` on the path that its argument ``name`` gives, as its ``wait`` says.

    Args:
        name: of the argument.
        once: as for :func:`alone`, where several processes run the function together.
    """

    def decorate(function: Callable[P, Result]) -> Callable[P, Result]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Result:
            given = signature.bind(*args, **kwargs).arguments
            with alone(given.get(name), wait=given.get("wait", True), once=once):
                return function(*args, **kwargs)

        return run

    return decorate


_HELD = threading.local()
_PATIENCE = 20.0  # seconds
_NO_PLACE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def _sign(lock: filelock.BaseFileLock) -> None:
    """Write who holds a lock into its file, behind the byte that Windows locks; a soft lock has its own words there."""
    if isinstance(lock, filelock.SoftFileLock):
        return
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError), Path(lock.lock_file).open("r+b", buffering=0) as file:
        file.truncate(1)
        file.seek(1)
        file.write(json.dumps(who).encode())


def _holder(lock_file: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError), lock_file.open("rb", buffering=0) as file:
        file.seek(1)
        who = json.loads(file.read(1000))
        return f"process {int(who['pid'])} on {str(who['host'])[:100]}, since {str(who['since'])[:20]}"
    return "another process"


def write_kept(
    path: str | Path, write: Callable[[Path], object], *, overwrite: bool = False, wait: bool = True
) -> None:
    """Let ``write`` make a file; one that is there is replaced on demand only, or left as it is if it is the same.

    Raises:
        NeuroglotError: a folder, or a file of another kind or content; it is as it was.
    """
    path = Path(path)
    if path.is_dir():
        raise NeuroglotError(f"{path} is a folder; give the name of a file to write.")
    with alone(path, wait=wait):
        if overwrite or not path.exists():
            write(path)
            return
        with tempfile.TemporaryDirectory() as scratch:
            made = Path(scratch) / path.name
            write(made)
            if sha256_file(path) != sha256_file(made):
                raise NeuroglotError(f"{path} is there and holds something else; give another file, or --overwrite.")
