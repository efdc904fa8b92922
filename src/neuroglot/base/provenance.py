"""What a result was made of and by: one record in every file, and one table of it."""

import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import pandas as pd

from .files import json_text
from .versions import __version__


def versions(*libraries: str) -> dict[str, str]:
    """Of this package and of libraries, in this order; ``"python"`` is one."""
    return {"neuroglot": __version__} | {
        name: platform.python_version() if name == "python" else version(name) for name in libraries
    }


def record(*parts: Mapping[str, Any], libraries: tuple[str, ...] = (), **own: Any) -> dict[str, Any]:
    """A provenance, as it will be read again from a file: the parts, what is given by name, the versions.

    The order is that of the file. What decides a result belongs in here: a file is taken as finished if its record
    is the one that is asked for.

    Args:
        *parts: such as :func:`neuroglot.model.loading.model_record` and :meth:`neuroglot.Corpus.record`.
        libraries: whose versions matter.
        **own: settings, hashes of inputs ...
    """
    whole = {key: value for part in (*parts, own, {"versions": versions(*libraries)}) for key, value in part.items()}
    said: dict[str, Any] = json.loads(json_text(whole))
    return said


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The keys in which two provenances differ; that one was made on another ``machine`` is no difference."""
    missing = object()  # unlike any value
    keys = (key for key in dict.fromkeys([*one, *other]) if key != "machine")
    return [key for key in keys if one.get(key, missing) != other.get(key, missing)]


def table(provenance: Mapping[str, Any], rows: Mapping[str, str] | None = None) -> pd.DataFrame:
    """A provenance for reading, and further rows: ``what`` and ``value``; hashes by their first digits."""
    whole = [*_flat(provenance), *(rows or {}).items()]
    return pd.DataFrame([[_written(each) for each in row] for row in whole], columns=["what", "value"])


def _written(text: str) -> str:
    """Half a character, which tables cannot hold, by its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key} ")
        elif value not in ("", None, []):
            shown = f"{value[:16]}…" if key.endswith("sha256") and isinstance(value, str) else str(value)
            yield f"{prefix}{key}".replace("_", " "), shown
