"""One file format for every stage: safetensors with the provenance as JSON in the header."""

import contextlib
import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from .errors import NeuroglotError, in_a_line, listed, quoted
from .files import FORMAT_VERSION, UNREADABLE, atomic, json_text, require_file
from .provenance import differing


class Made(Protocol):
    """A result that says how it was made."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Model, text, settings, versions."""


T = TypeVar("T", bound=Made)

#: The arrays of files of so many bytes or more are not read into memory but mapped to it.
MAPPED = 2**24


def save_artifact(path: str | Path, kind: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays and JSON metadata to one safetensors file, whole or not at all.

    The same input gives the same bytes: no time stamp is written and the order is fixed. Arrays that lie in memory
    as in the file are not copied.
    """
    header = {"kind": kind, "version": FORMAT_VERSION, **metadata}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header["sha256"] = _hash(header, contiguous)
    said = {"neuroglot": json_text(header, allow_nan=False)}
    with atomic(path) as part:
        try:
            save_file(contiguous, part, metadata=said)
        except SafetensorError as error:
            reason = in_a_line(error, 200).removeprefix("Error while serializing: ")
            raise NeuroglotError(
                f"could not write {str(path)[:200]}: {reason}; free some space or choose another place."
            ) from error


def _hash(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the header without its hash, and every array's name, type, shape and bytes."""
    said = {name: value for name, value in header.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(said).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode("utf-8", "backslashreplace"))
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def load_artifact(path: str | Path, kind: str, names: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`save_artifact` wrote.

    The arrays of a large file (:data:`MAPPED`) stay in it and come to memory where they are used, and can leave it
    again; what is changed in them is changed in memory alone.

    Raises:
        NeuroglotError: no such file, not safetensors, of another kind or version, without one of the
            arrays ``names``, or not as it was written: truncated, or a byte of it changed.
    """
    path = require_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("neuroglot", "null"))
            _require_kind(path, header, kind)
            arrays = {name: _read(file, path, name) for name in file.keys()}  # noqa: SIM118
        whole = header.get("sha256") == _hash(header, arrays)
    except NeuroglotError:
        raise
    except (SafetensorError, *UNREADABLE) as error:
        raise NeuroglotError(
            f"{str(path)[:200]} cannot be read ({in_a_line(error, 100)}); it is truncated or no safetensors file: "
            "make it again."
        ) from error
    if not whole:
        raise NeuroglotError(f"{path} is damaged: its hash is not that of its content; make it again.")
    if missing := [name for name in names if name not in arrays]:
        raise NeuroglotError(f"{path} lacks {', '.join(missing)}; make it again.")
    if not isinstance(header.setdefault("provenance", {}), dict):
        raise NeuroglotError(f"{path} has a damaged provenance; make it again.")
    return arrays, header


def is_safetensors(path: str | Path) -> bool:
    """Whether a file is called so, or begins as such files do."""
    path = require_file(path, "give one that is there")
    with path.open("rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"


def header_of(path: str | Path) -> dict[str, Any]:
    """What a file of :func:`save_artifact` says of itself, unchecked; nothing where it says nothing.

    Raises:
        NeuroglotError: no such file.
    """
    path = require_file(path)
    with contextlib.suppress(SafetensorError, *UNREADABLE), safe_open(path, framework="numpy") as file:
        header = json.loads((file.metadata() or {}).get("neuroglot", "null"))
        return header if isinstance(header, dict) else {}
    return {}


def kind_of(path: str | Path) -> str:
    """What a file of :func:`save_artifact` says that it holds; nothing where it says nothing.

    Raises:
        NeuroglotError: no such file.
    """
    return str(header_of(path).get("kind", ""))


def _read(file: Any, path: Path, name: str) -> np.ndarray:
    """An array of an open file, which has been found to be one."""
    said, shape = file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()
    kind = np.dtype(bool if said == "BOOL" else f"<{said[0].lower()}{int(said[1:]) // 8}")
    if path.stat().st_size < MAPPED or not math.prod(shape):
        array: np.ndarray = file.get_tensor(name)
        return array
    with path.open("rb") as raw:
        length = int.from_bytes(raw.read(8), "little")
        start, _ = json.loads(raw.read(length))[name]["data_offsets"]
    return np.memmap(path, kind, "c", 8 + length + start, tuple(shape)).view(np.ndarray)


def _require_kind(path: Path, header: Any, kind: str) -> None:
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = quoted(header.get("kind")).strip("'") if isinstance(header, dict) else "a foreign file"
        raise NeuroglotError(f"{path} holds {found}, not {kind}; give the {kind} file.")
    if header.get("version") != FORMAT_VERSION:
        raise NeuroglotError(
            f"{path} has format version {quoted(header.get('version'))}, this neuroglot reads "
            f"{FORMAT_VERSION}; make it again or install the matching neuroglot."
        )


def finished(
    path: Path, load: Callable[[Path], T], provenance: Mapping[str, Any], what: str, overwrite: bool
) -> T | None:
    """The file at ``path``, if it holds just what is asked for; ``None`` if it is to be made (again).

    Args:
        path: where the result of a run is kept.
        load: reads it; what it returns has a ``provenance``.
        provenance: what is asked for; that it was made on another ``machine`` is no difference.
        what: the result in a word, for messages.
        overwrite: whether another result there was given up, one that cannot be read too.

    Raises:
        NeuroglotError: a folder, or another result.
    """
    if path.is_dir():
        raise NeuroglotError(f"{path} is a folder; give the name of a file to write.")
    if not path.exists():
        return None
    try:
        found = load(path)
    except NeuroglotError:
        if overwrite:
            return None
        raise
    if not (keys := differing(provenance, found.provenance)):
        return found
    if overwrite:
        return None
    raise NeuroglotError(
        f"{path} holds other {what} ({listed(keys)} differ); give another file or ask for it to be overwritten."
    )


def require_tokens(tokens: np.ndarray, axis: int) -> None:
    """Numbers of tokens whose sums over an axis are exact, also as float64.

    Raises:
        NeuroglotError: some are negative, or too many.
    """
    if tokens.size and tokens.min() < 0:
        raise NeuroglotError("some numbers of tokens are negative; count again.")
    if int(tokens.max(initial=0)) * tokens.shape[axis] >= 2**53:
        raise NeuroglotError(f"{int(tokens.max()):,} tokens in one place cannot be; count again.")
