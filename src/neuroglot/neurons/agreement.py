"""How far sets of neurons agree, against chance, and in which layers they lie."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..counts.widths import Width, each


class Selection(Protocol):
    """Neurons by language, as :class:`neuroglot.neurons.detection.Detection` and the neuron types have them."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes."""

    def neurons(self, language: str) -> Sequence[np.ndarray]:
        """One index array per layer."""


def jaccard(one: np.ndarray, other: np.ndarray, width: Width | None = None) -> tuple[int, float, float]:
    """How many neurons two sets share, their Jaccard index, and that expected by chance.

    Args:
        one, other: bool ``[layers, neurons]``.
        width: neurons of a layer, or of each; default: all places.

    Returns:
        ``both``; both / either; and the same of two independent random sets that have each layer's numbers. Of two
        empty sets there is no index (NaN).
    """
    total, both = int(one.sum() + other.sum()), int((one & other).sum())
    expected = float(expected_both(one, other, width).sum())
    index, chance = ((shared / (total - shared) if total else float("nan")) for shared in (both, expected))
    return both, index, chance


def expected_both(one: np.ndarray, other: np.ndarray, width: Width | None = None) -> np.ndarray:
    """How many neurons of each layer independent random sets of these numbers share, float64 ``[layers]``."""
    widths = each(one.shape[1] if width is None else width, len(one))
    expected: np.ndarray = one.sum(axis=1) * other.sum(axis=1) / np.maximum(widths, 1)
    return expected


def mask(neurons: Sequence[np.ndarray], width: Width) -> np.ndarray:
    """One index array per layer as bool ``[layers, neurons]``, as wide as the widest layer."""
    found = np.zeros((len(neurons), int(np.max(width))), dtype=bool)
    for layer, index in enumerate(neurons):
        found[layer, index] = True
    return found


def agreement(sets: Mapping[str, Selection], width: Width) -> pd.DataFrame:
    """How far every two of several detections agree, language by language.

    Args:
        sets: by name, of one model and the same languages.
        width: neurons of a layer, or of each.

    Returns:
        One row per pair and language: ``one``, ``other`` (names), ``language``, ``size``, ``other_size`` (neurons),
        ``both``, ``jaccard``, ``chance`` (:func:`jaccard`).

    Raises:
        NeuroglotError: sets of different languages.
    """
    masks = _masks(sets, width)
    rows = []
    for one, other in combinations(sets, 2):
        for code in sets[one].languages:
            a, b = masks[one, code], masks[other, code]
            both, index, chance = jaccard(a, b, width)
            row: dict[str, Any] = {"one": one, "other": other, "language": code, "size": int(a.sum())}
            rows.append(row | {"other_size": int(b.sum()), "both": both, "jaccard": index, "chance": chance})
    columns = ["one", "other", "language", "size", "other_size", "both", "jaccard", "chance"]
    return pd.DataFrame(rows, columns=columns)


def agreement_by_layer(sets: Mapping[str, Selection], width: Width) -> pd.DataFrame:
    """In which layers each of several detections agrees with the others.

    Args:
        sets: by name, of one model and the same languages.
        width: neurons of a layer, or of each.

    Returns:
        One row per set and layer: ``set``, ``layer``, ``both`` (neurons shared with another set, summed over the other
        sets and the languages), ``either`` (in one or both), ``jaccard`` (their ratio; NaN where there is none) and
        ``chance`` (that of independent random sets of the same numbers in that layer).
    """
    masks = _masks(sets, width)
    rows = []
    for name, one in sets.items():
        pairs = [(masks[name, code], masks[other, code]) for other in sets if other != name for code in one.languages]
        if not pairs:
            continue
        both = sum((a & b).sum(axis=1) for a, b in pairs)
        total = sum(a.sum(axis=1) + b.sum(axis=1) for a, b in pairs)
        expected = np.sum([expected_both(a, b, width) for a, b in pairs], axis=0)
        for layer, (shared, every, chance) in enumerate(zip(both, total, expected, strict=True)):
            either = int(every - shared)
            row: dict[str, Any] = {"set": name, "layer": layer, "both": int(shared), "either": either}
            row["jaccard"] = shared / either if either else float("nan")
            rows.append(row | {"chance": chance / (every - chance) if every else float("nan")})
    return pd.DataFrame(rows, columns=["set", "layer", "both", "either", "jaccard", "chance"])


def by_layer(sets: Mapping[str, Selection], width: Width) -> pd.DataFrame:
    """Where the neurons of several detections lie.

    Returns:
        One row per set and layer: ``set``, ``layer``, ``neurons`` (of any language, each counted once), ``share`` (of
        the set's).
    """
    masks = _masks(sets, width)
    rows = []
    for name, one in sets.items():
        each = np.any([masks[name, code] for code in one.languages], axis=0).sum(axis=1)
        total = max(int(each.sum()), 1)
        rows += [{"set": name, "layer": i, "neurons": int(n), "share": n / total} for i, n in enumerate(each)]
    return pd.DataFrame(rows, columns=["set", "layer", "neurons", "share"])


def _masks(sets: Mapping[str, Selection], width: Width) -> dict[tuple[str, str], np.ndarray]:
    if len({one.languages for one in sets.values()}) > 1:
        raise NeuroglotError("these sets of neurons are of different languages; detect on the same.")
    return {(name, code): mask(one.neurons(code), width) for name, one in sets.items() for code in one.languages}
