"""A run in one file, an RO-Crate: its data and notebooks, what builds their pages, the pages, the locked versions."""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..base.errors import NeuroglotError, quoted
from ..base.files import atomic, plain_name, sha256_file
from ..base.locks import alone, write_kept
from . import manifest
from .building import build, not_run
from .chapters import chosen, project_root, run_folder
from .checking import FAILED
from .crate import METADATA, Contents, metadata
from .estimate import defaults
from .licences import of_texts, texts_of
from .verifying import verify

#: What of a project an archive has, beside the run: all that its pages are built from, and the locked versions.
PROJECT = ("_config.yml", "_toc.yml", "CITATION.cff", "LICENSE", "pyproject.toml", "book", "notebooks", "requirements")

# Made from the rest.
_MADE = ("book/vendor", "book/chapters")

# A zip file has no earlier one; with the time of packing, no two archives of a run would be the same.
_TIME = (1980, 1, 1, 0, 0, 0)


def archive(
    run: str,
    out: str | Path | None = None,
    *,
    text_licence: str | None = None,
    pages: bool = True,
    overwrite: bool = False,
    wait: bool = True,
    root: Path | None = None,
) -> Path:
    """Pack a run into one zip file: the same bytes for the same run.

    The pages are built from nothing but what is packed, so that they can be built again from it, without the model.

    Args:
        run: the name of its folder under ``runs/``.
        out: the file to write; default: ``RUN.crate.zip`` in the project.
        text_licence: of text that is not packaged, as for :func:`neuroglot.book.licences.of_texts`.
        pages: whether to build and pack them.
        overwrite: whether to replace a file that holds something else.
        wait: for another process that writes to the run's folder or the file; otherwise it is refused.
        root: the project; default: :func:`neuroglot.book.chapters.project_root`.

    Returns:
        The file.

    Raises:
        NeuroglotError: no such run, or one that :func:`neuroglot.book.verifying.verify` finds changed; a chapter that
            was not run; text of an unknown licence; a file there that holds something else.
    """
    root = (root or project_root()).resolve()
    folder = run_folder(root, run)
    out = Path(out) if out is not None else root / f"{folder.name}.crate.zip"
    with alone(folder, wait=wait):
        said = _unchanged(folder, root)
        licences = of_texts(_texts(root, said), text_licence)
        entries = _entries(folder, root, said)
        with tempfile.TemporaryDirectory(dir=root, prefix=".archive.") as scratch:
            content = metadata(Contents(root, folder, said, entries, licences, pages))
            path = Path(scratch) / METADATA
            path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
            whole = {METADATA: path, **entries, **(_pages(entries, run, root, Path(scratch)) if pages else {})}
            write_kept(out, lambda file: _pack(file, whole), overwrite=overwrite, wait=wait)
    return out


def _texts(root: Path, said: Mapping[str, Any]) -> list[str]:
    """The texts that the chapters were run on, each once."""
    own = (defaults(root, chosen([name])) | own["parameters"] for name, own in said["chapters"].items())
    return list(dict.fromkeys(text for parameters in own for text in texts_of(parameters)))


def _unchanged(folder: Path, root: Path) -> dict[str, Any]:
    """The manifest of a run that is whole, and as it was written."""
    said = manifest.read(folder)
    for finding in verify(folder.name, root=root):
        if finding.verdict == FAILED:
            raise NeuroglotError(f"runs/{folder.name} is not archived: {finding.said} See neuroglot verify.")
    if missing := not_run(folder.name, root=root):
        raise NeuroglotError(f"runs/{folder.name} is not archived: chapter {missing[0]} has not been run.")
    return said


def _entries(folder: Path, root: Path, said: Mapping[str, Any]) -> dict[str, Path]:
    """The file of each path in the archive, but for metadata and pages."""
    own = f"runs/{folder.name}"
    found = {f"{own}/{name}": folder / name for name in (manifest.MANIFEST, *said["files"])}
    for path, value in inputs_elsewhere(folder.name, said).items():
        if PurePosixPath(path).parts[0] != "runs" or ".." in PurePosixPath(path).parts:
            raise NeuroglotError(f"a chapter read {quoted(path)}, which is in no run's folder; copy it into one.")
        if not (root / path).is_file() or sha256_file(root / path) != value:
            raise NeuroglotError(f"{path} is not what a chapter read; run the chapters again (neuroglot book).")
        found[path] = root / path
    found |= {path.relative_to(root).as_posix(): path for path in project_files(root)}
    if odd := [name for name in found if not is_inside(name)]:
        raise NeuroglotError(f"{quoted(odd[0])} is no name that a file has on every system; give it another one.")
    return found


def is_inside(path: str) -> bool:
    """Whether each part of a path can be a name on any system, is not hidden, and leads nowhere else."""
    try:
        return all(plain_name(part, "a file's name") for part in path.split("/"))
    except NeuroglotError:
        return False


def inputs_elsewhere(run: str, said: Mapping[str, Any]) -> dict[str, str]:
    """Files of other runs that the chapters of a run read, which its manifest does not have: their hashes by path."""
    every = (item for own in said["chapters"].values() for item in own["inputs"].items())
    return {path: value for path, value in every if PurePosixPath(path).parts[:2] != ("runs", run)}


def project_files(root: Path) -> Iterator[Path]:
    """The files of :data:`PROJECT` that are there, in order; no hidden ones and no links."""
    for name in PROJECT:
        for path in sorted((root / name).rglob("*") if (root / name).is_dir() else [root / name]):
            inside = path.relative_to(root)
            hidden = any(part.startswith((".", "__pycache__")) for part in inside.parts)
            made = any(inside.is_relative_to(folder) for folder in _MADE)
            if path.is_file() and not path.is_symlink() and not hidden and not made:
                yield path


def _pages(entries: Mapping[str, Path], run: str, root: Path, scratch: Path) -> dict[str, Path]:
    """The pages, built in a project of its own that has what is archived and nothing else."""
    stage = scratch / "project"
    for name, source in entries.items():
        (stage / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, stage / name)
        except OSError:  # where there are no links
            shutil.copyfile(source, stage / name)
    if (root / "book" / "vendor").is_dir():  # these scripts are checked by their hashes
        shutil.copytree(root / "book" / "vendor", stage / "book" / "vendor")
    html = build(run, root=stage).parent
    found = {path.relative_to(html).as_posix(): path for path in html.rglob("*") if path.is_file()}
    return {f"pages/{name}": path for name, path in sorted(found.items()) if is_inside(name)}  # Sphinx's own are hidden


def _pack(file: Path, entries: Mapping[str, Path]) -> None:
    """Write a zip file of these files, sorted by their paths after the first one, without their times."""
    first, *others = entries
    with atomic(file) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name in (first, *sorted(others)):
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            with entries[name].open("rb") as source, packed.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 2**20)
