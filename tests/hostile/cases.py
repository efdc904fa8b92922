"""Run hostile cases in this process and say of each how it ended: ``python -m tests.hostile.cases HEALTHY run``.

A process of its own, so that one that hangs or is killed for its memory is lost alone. A line of JSON for each case.
"""

import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Bytes that reading a file may take.
MEMORY = 2**30

# Where a case's folder is written to, for the audit: nothing else may be.
_ALLOWED: list[str] = []
_BROKEN: list[str] = []
_RUNS = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "socket.connect",
    "pickle.find_class",
)
_CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what runs something, or writes outside of the case's folders."""
    if not _ALLOWED:
        return
    if event in _RUNS:
        _BROKEN.append(f"{event} {str(arguments)[:200]}")
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if (writes or event in _CHANGES) and isinstance(arguments[0], str | bytes | os.PathLike):
        place = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100 (links are not to be followed)
        if not place.startswith((*_ALLOWED, "/dev/null")):
            _BROKEN.append(f"{event} {place}")


class HangError(BaseException):
    """A case that did not end; no ``except Exception`` takes it for a bad file."""


def _rang(*_: Any) -> None:
    raise HangError


def _peak() -> int:
    """The most memory that this process had since :func:`_forget`, in bytes."""
    said = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", said)
    assert found is not None
    return int(found[1]) * 1024


def _forget() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _listing(folder: Path) -> list[tuple[str, int, int]]:
    found = [(path, path.lstat()) for path in sorted(folder.rglob("*"))]
    return [(str(path), state.st_size, state.st_mtime_ns) for path, state in found]


def _in_memory(error: BaseException | None) -> bool:
    """Whether memory ran out somewhere below an error, whatever it was made of."""
    while error is not None:
        if isinstance(error, MemoryError) or re.search("DefaultCPUAllocator|malloc of|[Oo]ut of memory", str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _escaped(name: str) -> str:
    """A file's name as messages have it."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)


def outcome(name: str, number: int, healthy: Path, scratch: Path) -> dict[str, Any]:
    """One case: what was done, how it ended, and what is wrong with that."""
    from neuroglot import NeuroglotError

    from .harms import harm
    from .readers import FAULTY, READERS

    reader, rng = READERS[name] if name in READERS else FAULTY[name][0], random.Random(f"{name}/{number}")
    case = scratch / "case"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(healthy / name, case)
    done, path = harm(case, rng)
    said: dict[str, Any] = {"reader": name, "number": number, "harm": done, "file": path.name, "wrong": []}
    outside = _listing(scratch / "outside")
    _forget()
    before = _peak()
    signal.setitimer(signal.ITIMER_REAL, reader.seconds)
    _ALLOWED[:] = [str(case), str(scratch / "cache"), str(scratch / "tmp")]
    _BROKEN.clear()
    try:
        reader.read(case)
        said["end"] = "read"
    except NeuroglotError as error:
        text = str(error)
        said["end"] = "refused"
        said["said"] = text
        if "\n" in text or len(text) > 800 or not text.isprintable() or text[-1:] not in ".!?":
            said["wrong"].append("no plain sentence")
        files = {word for each in (path, *case.rglob("*")) for word in (_escaped(each.name), _escaped(each.stem))}
        if not any(word in text for word in (*files, case.name, *reader.names)):
            said["wrong"].append("names neither file nor argument")
        if _in_memory(error):
            said["wrong"].append("memory ran out")
    except HangError:
        said |= {"end": "hung", "wrong": ["hung"]}
    except BaseException as error:
        trace = traceback.format_exc(limit=-6)
        said |= {"end": "raw", "said": f"{type(error).__name__}: {str(error)[:300]}", "trace": trace}
        said["wrong"].append("raw error")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _ALLOWED.clear()
    said["memory"] = _peak() - before
    if said["memory"] > MEMORY:
        said["wrong"].append(f"took {said['memory'] / 2**30:.1f} GB")
    if (scratch / "canary").exists():
        (scratch / "canary").unlink()
        said["wrong"].append("code was run")
    if _listing(scratch / "outside") != outside:
        said["wrong"].append("something outside was changed")
    said["wrong"] += dict.fromkeys(_BROKEN)
    return said


def make(folder: Path) -> None:
    """A healthy folder for every reader."""
    from .readers import FAULTY, READERS

    for name, reader in (READERS | {name: reader for name, (reader, _) in FAULTY.items()}).items():
        (folder / name).mkdir(parents=True)
        reader.make(folder / name)


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as made:
        scratch = Path(made)
        for name in ("outside", "cache", "tmp", "home"):
            (scratch / name).mkdir()
        (scratch / "outside" / "secret").write_text("secret", encoding="utf-8")
        os.environ |= {"NEUROGLOT_CACHE": str(scratch / "cache"), "HOME": str(scratch / "home"), "HF_HUB_OFFLINE": "1"}
        os.environ |= {"HF_HOME": str(scratch / "cache"), "TMPDIR": str(scratch / "tmp")}
        yield scratch


def main(healthy: Path, cases: list[tuple[str, int]]) -> None:
    """Run some cases, each by its reader and number."""
    with _place() as scratch:
        from . import readers  # noqa: F401 (what it imports is none of a case's memory)

        tempfile.tempdir = str(scratch / "tmp")
        resource.setrlimit(resource.RLIMIT_DATA, (_limit(), resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, _rang)
        sys.addaudithook(_audit)
        warnings.simplefilter("ignore")
        told = os.fdopen(os.dup(1), "w", encoding="utf-8")
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(null, stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for name, number in cases:
            print(json.dumps([name, number]), file=told, flush=True)
            print(json.dumps(outcome(name, number, healthy, scratch)), file=told, flush=True)


def _limit() -> int:
    """Bytes of its own that this process may have: what it has now, and four times what a case may take."""
    said = re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())
    assert said is not None
    return int(said[1]) * 1024 + 4 * MEMORY


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if len(sys.argv) == 2:
        make(place)
    else:
        main(place, [(name, int(number)) for name, number in json.loads(sys.stdin.read())])
