"""The files of a run, by the name of their parameter, and the tables among them."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from .errors import NeuroglotError
from .files import read_json, require_file, write_json
from .records import as_written, content_hash

#: What chapters write into a run's folder, by the name of their parameter.
ARTIFACTS = {
    "stats": "activations.safetensors",
    "types": "types.safetensors",
    "layers": "layers.json",
    "contexts": "contexts.safetensors",
    "values": "values.safetensors",
    "written": "written.json",
    "responses": "responses.jsonl",
    "asked": "asked.jsonl",
    "solved": "solved.jsonl",
    "counted": "counted.jsonl",
    "held_out": "held-out.jsonl",
    "losses": "losses.safetensors",
    "few_losses": "few-losses.safetensors",
    "second_losses": "second-losses.safetensors",
    "number_choices": "number-choices.safetensors",
    "solution_losses": "solution-losses.safetensors",
    "translation_losses": "translation-losses.safetensors",
    "more_solved": "more-solved.jsonl",
    "deactivated": "deactivated.jsonl",
    "effects": "effects.json",
    "means": "means.safetensors",
    "steered": "steered.jsonl",
    "steered_losses": "steered-losses.safetensors",
    "steering": "steering.json",
    "aligned": "aligned",
    "variants": "variants.json",
    "changes": "changes.json",
    "spontaneous": "spontaneous.json",
    "stability": "stability.json",
    "gathered": "gathered",
    "detector_losses": "detector-losses.safetensors",
    "detectors_found": "detectors.json",
}


def write_tables(path: str | Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Write a chapter's tables as JSON: by name a list of rows each (what is missing is null), and their ``sha256``."""
    rows = {name: table.astype(object).where(table.notna(), None).to_dict("records") for name, table in tables.items()}
    write_json(path, rows | {"sha256": content_hash(rows)})


def read_tables(path: str | Path) -> dict[str, pd.DataFrame]:
    """What :func:`write_tables` wrote.

    Raises:
        NeuroglotError: there is no such file, or it holds something else.
    """
    said = read_json(require_file(path))
    if not isinstance(said, dict) or said.pop("sha256", None) != content_hash(said):
        raise NeuroglotError(f"{path} holds no tables as a chapter of this version writes them; run it again.")
    tables = said.values()
    if not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in tables):
        raise NeuroglotError(f"{path} holds no tables of a chapter; run it again.")
    with as_written(path, "a chapter"):
        return {name: pd.DataFrame(rows) for name, rows in said.items()}


def first_rows(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The rows that have what the first one has in some columns; of a table without rows, none."""
    found: pd.DataFrame = table[(table[[*columns]] == table[[*columns]].head(1).to_numpy()).all(axis=1)]
    return found


def tables_if_any(path: str | Path) -> dict[str, pd.DataFrame]:
    """What :func:`write_tables` wrote; no table where there is no such file."""
    return read_tables(path) if Path(path).is_file() else {}
