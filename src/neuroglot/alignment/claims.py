"""Does what is said of alignment depend on who found the neurons? The paper's claims under several detectors."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..base.errors import NeuroglotError
from ..base.uncertainty import LESS, MORE
from ..counts.activations import ActivationStats
from ..neurons.identification import LAMBDA, NeuronTypes, classify
from ..neurons.robustness import COLUMNS, CONTRARY, HOLDS, OPEN
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
    how = {name: value for name, value in like.arguments().items() if name in ("top_rate", "quantile", "min_tokens")}
    rows = []
    for name in detectors if plan else ():
        _, lead, beside = comparisons(plan)[0]
        said: Mapping[Any, str | None] = {}
        try:
            types = like if name == LAMBDA == like.detector else classify(before, detector=name, **how)
            table = Models.load(types, before, plan).change(lead, "kept", beside, splits=splits, seed=seed).table()
            said = table[table["what"] == "all"].set_index("kind")["verdict"].to_dict()
        except NeuroglotError:
            pass  # what it reads was not counted, or the models are others
        for kind, (direction, verdict) in _PAPER.items():
            rows.append(
                (f"alignment leaves {direction} {kind} neurons than its control", name, _as(said.get(kind), verdict))
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _as(said: str | None, wanted: str) -> str | None:
    if not isinstance(said, str):
        return None
    return HOLDS if said == wanted else CONTRARY if said in (MORE, LESS) else OPEN
