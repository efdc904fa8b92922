"""The tables of the chapters on alignment: which models, halves and languages are compared with which."""

from collections.abc import Mapping

import pandas as pd

from ..counts.activations import ActivationStats
from ..neurons.identification import NeuronTypes
from . import comparison


def sizes(
    types: NeuronTypes, counts: Mapping[str, ActivationStats], pivot: str, *, draws: int = 50, seed: int = 0
) -> pd.DataFrame:
    """Specific and related neurons of each language, and on average over all but the pivot, with intervals.

    Args:
        types: whose settings, or thresholds where no lambda fits all of the counts, are used.
        counts: by when they were made, for instance ``"before"`` and ``"after"``.
        pivot: the language looked at apart.
        draws, seed: as of :func:`comparison.language_sizes`.

    Returns:
        As of :func:`comparison.language_sizes` (its group is ``"mean of others"``), with ``when``.
    """
    thresholds = comparison.fitting(types, *counts.values())[-1]
    groups = {"mean of others": [code for code in types.languages if code != pivot]}
    tables = []
    for when, stats in counts.items():
        own = comparison.classified(types, stats.select(types.languages), thresholds)
        table = comparison.language_sizes(own, stats, groups, thresholds=thresholds, draws=draws, seed=seed)
        tables.append(table.assign(when=when))
    return pd.concat(tables, ignore_index=True)


def found_again(
    types: NeuronTypes,
    before: ActivationStats,
    after: ActivationStats,
    null: ActivationStats | None,
    elsewhere: Mapping[tuple[str, str], ActivationStats],
    *,
    splits: int = 50,
    seed: int = 0,
) -> pd.DataFrame:
    """How far the same neurons are found again in the other half, after alignment, in the control and in other text.

    Args:
        types: whose settings are used.
        before, after: counts of the same text.
        null: of the control, if there is one.
        elsewhere: counts of other text, by its name and ``"before"`` or ``"after"``.
        splits, seed: as of :func:`comparison.stability`.

    Returns:
        As of :func:`comparison.stability`; the comparisons are named ``"two halves, before"``, ``"two halves, after"``,
        ``"before and after, same half"``, ``"before and after, two halves"``, the same two of ``control``, and
        ``"TEXT, before"`` and ``"TEXT, after"``.
    """
    pairs = {"two halves, before": (before, before, False), "two halves, after": (after, after, False)}
    for name, counts in {"after": after, "control": null}.items():
        if counts is not None:
            pairs[f"before and {name}, same half"] = (before, counts, True)
            pairs[f"before and {name}, two halves"] = (before, counts, False)
    for (text, when), counts in elsewhere.items():
        pairs[f"{text}, {when}"] = (before if when == "before" else after, counts, False)
    return comparison.stability(pairs, types, splits=splits, seed=seed)
