"""What a chapter ends with: what its numbers were made of, with and by, in one table."""

from collections.abc import Mapping
from typing import Any, Protocol

import pandas as pd

from ..neurons.identification import NeuronTypes


class Described(Protocol):
    """Something saved, such as counts, losses or an alignment, that says what it was made of."""

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``."""


def described(*parts: NeuronTypes | Described | Mapping[str, Any], **used: Any) -> pd.DataFrame:
    """What a chapter used, one below the other: ``what`` and ``value``, as text.

    Args:
        *parts: types give their settings, or the file that their neurons are of; what else is saved its description,
            and a mapping a row for each key.
        **used: rows before these; ``random_draws=20`` is called ``random draws``.
    """
    named = {name.replace("_", " "): value for name, value in used.items()}
    return pd.concat([_rows(part) for part in (named, *parts)], ignore_index=True)


def _rows(part: NeuronTypes | Described | Mapping[str, Any]) -> pd.DataFrame:
    if isinstance(part, NeuronTypes):
        outside = part.provenance.get("outside")  # of these neurons the settings say nothing
        named = {f"neurons: {name}": value or "not known" for name, value in (outside or {}).items()}
        part = named or part.settings()
    if isinstance(part, Mapping):
        rows = [(name, str(value)) for name, value in part.items()]
        return pd.DataFrame(rows, columns=["what", "value"], dtype=str)
    return part.describe()


def side_by_side(parts: Mapping[str, Described]) -> pd.DataFrame:
    """Descriptions of several runs: ``what``, and a column for each run by its name, empty where it says nothing."""
    columns = [part.describe().set_index("what")["value"].rename(name) for name, part in parts.items()]
    return pd.concat(columns, axis=1).fillna("").rename_axis("what").reset_index()
