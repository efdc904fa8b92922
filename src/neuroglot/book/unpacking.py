"""An archive made a run again, and its pages built, without the model; nothing of it is run."""

import hashlib
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files as package_files
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.errors import NeuroglotError, in_a_line, quoted
from ..base.files import atomic, plain_name, read_json, require_file, sha256_file
from ..base.locks import alone
from . import manifest
from .archiving import inputs_elsewhere, is_inside, project_files
from .building import build as built
from .chapters import CHAPTERS, executed, project_root, run_folder

#: Files that an archive has at most.
MOST = 100_000

# Of a manifest, in bytes; another entry's size is what its manifest says.
_MANIFEST = 2**26


def unpack(file: str | Path, into: str | Path | None = None, *, build: bool = True, wait: bool = True) -> Path:
    """Put an archived run into a project and build its pages.

    Of the archive only the run is taken, each file checked by its hash. What the pages are built with, settings,
    templates and prose, is the project's own; an empty folder is made one with what this package has. The executed
    chapters must have the words and the code of the project's own: only outputs may be others, which are shown and not
    run.

    Args:
        file: from :func:`neuroglot.book.archiving.archive`.
        into: a project, or an empty folder; default: :func:`neuroglot.book.chapters.project_root`.
        build: whether to build the pages.
        wait: for another process that writes the same; otherwise it is refused.

    Returns:
        The first page, or the run's folder.

    Raises:
        NeuroglotError: no archive, one that is not whole, was changed or is of another version of the chapters; a run
            of that name is there. Nothing is unpacked then.
    """
    file = require_file(file, "give an archive that neuroglot archive wrote")
    root = (Path(into) if into is not None else project_root()).resolve()
    own = root if (root / "_toc.yml").is_file() else _of_package(root)
    with tempfile.TemporaryDirectory(prefix="neuroglot.") as scratch, _opened(file) as archive:
        whole = _Archive(file, archive)
        said = whole.manifest(Path(scratch))
        folder = run_folder(root, whole.run)
        if folder.exists():
            raise NeuroglotError(f"{folder} is there already; remove it, or unpack into an empty folder (--into).")
        others = _others(root, whole, said)
        for path, value in others.items():
            whole.take(path, Path(scratch) / path, value)
        with alone(folder, wait=wait), atomic(folder) as part:
            for name, known in said["files"].items():
                whole.take(f"runs/{whole.run}/{name}", part / name, known["sha256"], known["bytes"])
            shutil.copyfile(Path(scratch) / manifest.MANIFEST, part / manifest.MANIFEST)
            _require_chapters(part, own, file)
            new = {} if own == root else {path.relative_to(own): path for path in project_files(own)}
            for inside, source in (new | {Path(path): Path(scratch) / path for path in others}).items():
                with atomic(root / inside) as beside:
                    shutil.copyfile(source, beside)
    return built(whole.run, root=root, wait=wait) if build else folder


def _of_package(root: Path) -> Path:
    """A project as this package brings it, for an empty folder.

    Raises:
        NeuroglotError: the folder is not empty, or the package has none.
    """
    if root.is_file() or (root.is_dir() and any(root.iterdir())):
        raise NeuroglotError(f"{root} is neither a project of neuroglot nor empty; give another folder with --into.")
    package = Path(str(package_files("neuroglot")))
    for place in (package / "project", package.parents[1]):
        if (place / "_toc.yml").is_file():
            return place
    raise NeuroglotError("this package has no chapters and settings of its own; run this in a clone of neuroglot.")


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _foreign(file, f"it is no zip file: {in_a_line(error, 100)}") from error


def _foreign(file: Path, why: str) -> NeuroglotError:
    return NeuroglotError(f"{str(file)[:200]} is not what neuroglot archive writes ({why}); nothing was unpacked.")


class _Archive:
    """An open archive, whose entries are read as they are asked for.

    Raises:
        NeuroglotError: as :func:`unpack`.
    """

    def __init__(self, file: Path, archive: zipfile.ZipFile) -> None:
        self.file, self.archive = file, archive
        entries = archive.infolist()
        if len(entries) > MOST:
            raise self.foreign(f"it has {len(entries):,} files")
        self.entries = {entry.filename: entry for entry in entries}
        if len(self.entries) < len(entries):
            raise self.foreign("a file is in it twice")
        for name, entry in self.entries.items():
            self._require_plain(name, entry)
        runs = [name.split("/")[1] for name in self.entries if _names_a_manifest(name)]
        if len(runs) != 1:
            raise self.foreign(f"it has {len(runs)} manifests of a run and not one")
        self.run = plain_name(runs[0], "the run's name in the archive")

    def foreign(self, why: str) -> NeuroglotError:
        return _foreign(self.file, why)

    def _require_plain(self, name: str, entry: zipfile.ZipInfo) -> None:
        """An entry that leads nowhere else: no link, and of parts that any system can have as names."""
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG) or entry.is_dir() or entry.flag_bits & 1:
            raise self.foreign(f"{quoted(name)} is no plain file")
        if not is_inside(name):
            raise self.foreign(f"{quoted(name)} is no path within it")

    def manifest(self, scratch: Path) -> dict[str, Any]:
        """That of the run, if it names what can be there."""
        name = f"runs/{self.run}/{manifest.MANIFEST}"
        if self.entries[name].file_size > _MANIFEST:
            raise self.foreign("its manifest is too large")
        self.take(name, scratch / manifest.MANIFEST)
        said = manifest.read(scratch)
        try:
            sizes = [int(known["bytes"]) for known in said["files"].values()]
            hashes = [
                *(known["sha256"] for known in said["files"].values()),
                *inputs_elsewhere(self.run, said).values(),
            ]
            paths = [*(f"runs/{self.run}/{name}" for name in said["files"]), *inputs_elsewhere(self.run, said)]
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise self.foreign("its manifest names files in another way") from error
        for path in paths:
            if not is_inside(path) or PurePosixPath(path).parts[0] != "runs" or path not in self.entries:
                raise self.foreign(f"{quoted(path)}, which its manifest names, is not in it")
        if not all(isinstance(value, str) for value in hashes) or min(sizes, default=0) < 0:
            raise self.foreign("its manifest names files in another way")
        return said

    def take(self, name: str, target: Path, sha256: str | None = None, size: int | None = None) -> None:
        """Write an entry, if it is what it should be."""
        entry = self.entries[name]
        if size is not None and entry.file_size != size:
            raise self.foreign(f"{quoted(name)} was changed")
        target.parent.mkdir(parents=True, exist_ok=True)
        if entry.file_size > shutil.disk_usage(target.parent).free:
            raise NeuroglotError(f"{target.parent} has no room for {quoted(name)}; free some space.")
        digest, left = hashlib.sha256(), entry.file_size
        try:
            with self.archive.open(entry) as source, target.open("xb") as written:
                while block := source.read(min(2**20, left + 1)):
                    left -= len(block)
                    if left < 0:  # it holds more than it says
                        break
                    digest.update(block)
                    written.write(block)
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
            raise self.foreign(f"{quoted(name)} cannot be read: {in_a_line(error, 100)}") from error
        if left or (sha256 is not None and digest.hexdigest() != sha256):
            raise self.foreign(f"{quoted(name)} was changed")


def _names_a_manifest(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 3 and parts[0] == "runs" and parts[2] == manifest.MANIFEST


def _others(root: Path, whole: _Archive, said: Mapping[str, Any]) -> dict[str, str]:
    """The hashes of what belongs to runs beside this one and is not there yet.

    Raises:
        NeuroglotError: another file is there.
    """
    found = {}
    for path, value in inputs_elsewhere(whole.run, said).items():
        if not (root / path).exists():
            found[path] = value
        elif not (root / path).is_file() or sha256_file(root / path) != value:
            raise NeuroglotError(f"{root / path} is there and another one; unpack into an empty folder (--into).")
    return found


def _require_chapters(folder: Path, own: Path, file: Path) -> None:
    """The executed chapters, if they are the project's own but for what papermill and running them adds.

    Raises:
        NeuroglotError: one says or does something else, or would have its page built in another way.
    """
    for chapter in CHAPTERS:
        place = executed(folder, chapter.name)
        if not place.is_file():
            raise _foreign(file, f"chapter {chapter.name} is not in it")
        there, here = read_json(place), read_json(own / "notebooks" / place.name)
        try:
            same = _words(there) == _words(here) and {*there["metadata"]} <= {*here["metadata"], "papermill", "widgets"}
        except (TypeError, KeyError, AttributeError) as error:
            raise _foreign(file, f"chapter {chapter.name} is no notebook") from error
        if not same:
            raise NeuroglotError(
                f"{str(file)[:200]}: its chapter {chapter.name} is not the one of this version of neuroglot, or was "
                "changed; unpack it with the version that it was made by. Nothing was unpacked."
            )


def _words(notebook: Mapping[str, Any]) -> Sequence[Any]:
    """Of each cell all but its outputs, and what running it noted."""
    return [
        [cell["cell_type"], "".join(cell["source"]), cell.get("attachments") or {}, dict(_kept(cell["metadata"]))]
        for cell in notebook["cells"]
        if cell["cell_type"] != "code" or "injected-parameters" not in cell["metadata"].get("tags", ())
    ]


def _kept(said: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in said.items():
        if name not in ("papermill", "execution") and value not in ([], {}):
            yield name, value
