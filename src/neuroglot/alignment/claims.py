"""Does what is said of alignment depend on who found the neurons? The paper's claims under several detectors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from ..base.errors import NeuroglotError
from ..base.uncertainty import LESS, MORE
from ..counts.activations import ActivationStats
from ..neurons.identification import LAMBDA, NeuronTypes, classify
from ..neurons.robustness import COLUMNS, said_as, thresholds_of
from .overview import Models
from .variants import Variant, comparisons

# Which way the paper's numbers go (its figure 15), beside a control.
_PAPER = {"specific": ("fewer", LESS), "related": ("more", MORE), "general": ("more", MORE)}


def alignment_claims(
    before: ActivationStats,
    plan: Sequence[Variant],
    detectors: Iterable[str],
    like: NeuronTypes,
    *,
    splits: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether alignment leaves fewer specific and more related and general neurons than its control, by each detector.

    Of the first of the models compared, with tau kept; the verdicts are those of
    :meth:`neuroglot.alignment.comparison.Changes.table`.

    Args:
        before: counts of the model under study.
        plan: the models after; none where no model was aligned.
        detectors: names.
        like: types whose ``top_rate``, ``quantile`` and ``min_tokens`` are taken.
        splits, seed: as of :func:`neuroglot.alignment.comparison.compare`.

    Returns:
        ``claim``, ``detector``, ``verdict`` (:mod:`neuroglot.neurons.robustness`); none for a detector that reads what
        was not counted of these models.
    """
    if not plan:
        return pd.DataFrame(columns=COLUMNS)
    models, rows = Models.load(like, before, plan), []
    _, lead, beside = comparisons(plan)[0]
    for name in detectors:
        said: Mapping[Any, str | None] = {}
        try:
            own = name == LAMBDA == like.detector
            types = like if own else classify(before, detector=name, **thresholds_of(like))
            table = replace(models, types=types).change(lead, "kept", beside, splits=splits, seed=seed).table()
            said = table[table["what"] == "all"].set_index("kind")["verdict"].to_dict()
        except NeuroglotError:
            pass  # what it reads was not counted, or the models are others
        for kind, (direction, wanted) in _PAPER.items():
            claim = f"alignment leaves {direction} {kind} neurons than its control"
            rows.append((claim, name, said_as(said.get(kind), wanted)))
    return pd.DataFrame(rows, columns=COLUMNS)
