"""One file format for every stage: safetensors with the provenance as JSON in the header."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .errors import NeuroglotError
from .files import write_bytes
from .languages import require_codes

FORMAT_VERSION = 1

T = TypeVar("T")


def save_artifact(path: str | Path, kind: str, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Write arrays and JSON metadata to one safetensors file, whole or not at all.

    The same input gives the same bytes: no time stamp is written and the order is fixed.
    """
    header = {"kind": kind, "version": FORMAT_VERSION, **metadata}
    text = json.dumps(header, ensure_ascii=False, allow_nan=False)
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_bytes(path, save(contiguous, metadata={"neuroglot": text}))


def load_artifact(path: str | Path, kind: str, names: tuple[str, ...]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what :func:`save_artifact` wrote.

    Raises:
        NeuroglotError: no such file, not safetensors, truncated, of another kind or version, or
            without one of the arrays ``names``.
    """
    path = Path(path)
    if not path.is_file():
        raise NeuroglotError(f"there is no file {path}; run the chapter that writes it first.")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get("neuroglot", "null"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError, ValueError) as error:
        raise NeuroglotError(
            f"{path} cannot be read ({error}); it is truncated or no safetensors file: make it again."
        ) from error
    if not isinstance(header, dict) or header.get("kind") != kind:
        found = header.get("kind") if isinstance(header, dict) else "a foreign file"
        raise NeuroglotError(f"{path} holds {found}, not {kind}; give the {kind} file.")
    if header.get("version") != FORMAT_VERSION:
        raise NeuroglotError(
            f"{path} has format version {header.get('version')}, this neuroglot reads "
            f"{FORMAT_VERSION}; make it again or install the matching neuroglot."
        )
    if missing := [name for name in names if name not in arrays]:
        raise NeuroglotError(f"{path} lacks {', '.join(missing)}; make it again.")
    if not isinstance(header.setdefault("provenance", {}), dict):
        raise NeuroglotError(f"{path} has a damaged provenance; make it again.")
    return arrays, header


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
    missing = object()  # unlike any value
    keys = (key for key in dict.fromkeys([*provenance, *found.provenance]) if key != "machine")
    differing = [key for key in keys if provenance.get(key, missing) != found.provenance.get(key, missing)]
    if not differing:
        return found
    if overwrite:
        return None
    raise NeuroglotError(
        f"{path} holds other {what} ({', '.join(differing)} differ); give another file or ask for it to be overwritten."
    )


def languages_of(header: Mapping[str, Any], path: str | Path) -> tuple[str, ...]:
    """The language codes in a header, in order.

    Raises:
        NeuroglotError: they are no list of different codes, or as in :func:`neuroglot.languages.require_codes`.
    """
    codes = header.get("languages")
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes) or len(set(codes)) < len(codes):
        raise NeuroglotError(f"{path} has no list of different languages; make it again.")
    require_codes(codes, str(path))
    return tuple(codes)


def flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A provenance as pairs of words for reading; hashes by their first digits."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key} ")
        elif value not in ("", None, []):
            shown = f"{value[:16]}…" if key.endswith("sha256") else str(value)
            yield f"{prefix}{key}".replace("_", " "), shown
