"""Does what is said of the neurons depend on who found them? The same claims under several detectors."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..base.uncertainty import LESS, MORE
from ..counts.activations import ActivationStats
from .detection import Detection
from .identification import LAMBDA, NeuronTypes, classify
from .layers import four_parts, layer_profile, part_claims
from .sharing import GROUPINGS, kinship, similarity

#: What is said of a claim under a detector; nothing where it is not known.
HOLDS, CONTRARY, OPEN = "holds", "the contrary", "not told apart"

#: The columns of a table of claims: one row per claim and detector.
COLUMNS = ["claim", "detector", "verdict"]

#: Up to this p a claim that has no interval is said to hold.
LEVEL = 0.05


def said_as(verdict: object, wanted: str = MORE) -> str | None:
    """What one of the book's verdicts says of a claim: :data:`HOLDS` where it is the wanted one; nothing of none."""
    if not isinstance(verdict, str):
        return None
    return HOLDS if verdict == wanted else CONTRARY if verdict in (MORE, LESS) else OPEN


def thresholds_of(like: NeuronTypes) -> dict[str, Any]:
    """The settings of some types that :func:`neuroglot.classify` also has for another detector."""
    return {name: getattr(like, name) for name in ("top_rate", "quantile", "min_tokens")}


def types_on_each(
    texts: Sequence[ActivationStats], detections: Sequence[Mapping[str, Detection]], like: NeuronTypes
) -> dict[str, list[NeuronTypes]]:
    """The types by every detector on each of several texts, with one share of neurons selected and one rule for tau.

    Args:
        texts: counts.
        detections: on each text, by the detector's name.
        like: whose ``top_rate``, ``quantile`` and ``min_tokens`` are taken.

    Returns:
        By detector, on each text; without those that find no types on some text.
    """
    found = {}
    for name in detections[0]:
        given = [LAMBDA if name == LAMBDA else each[name] for each in detections if name in (LAMBDA, *each)]
        if len(given) == len(texts):
            with contextlib.suppress(NeuroglotError):
                classified = zip(texts, given, strict=True)
                found[name] = [classify(text, detector=one, **thresholds_of(like)) for text, one in classified]
    return found


def claims(types: Mapping[str, Sequence[NeuronTypes]], pivot: str = "en", seed: int = 0) -> pd.DataFrame:
    """The book's claims about where neurons are and whose, under several detectors.

    A claim :data:`HOLDS` where it does on each text, its contrary where that does on each, and is :data:`OPEN` where
    texts differ. Parts are cut on one text and compared on another (:func:`neuroglot.neurons.layers.part_claims`), each
    way round. That languages of one family or script share more related neurons holds with p up to 0.05 on each text,
    and has no contrary. The pivot has fewer neurons of a type
    than any other language, or more than one.

    Args:
        types: by detector, on two texts or more (:func:`types_on_each`).
        pivot: the language of which the paper says that it has fewest.
        seed: of permutations.

    Returns:
        ``claim``, ``detector``, ``verdict``.
    """
    rows = [(claim, name, verdict) for name, every in types.items() for claim, verdict in _claims(every, pivot, seed)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _claims(types: Sequence[NeuronTypes], pivot: str, seed: int) -> Iterator[tuple[str, str | None]]:
    profiles = [layer_profile(one) for one in types]
    ways = [part_claims(other, four_parts(one)) for one in profiles for other in profiles if other is not one]
    for row, claim in enumerate(ways[0]["claim"]):
        yield claim, _of_margins([float(way["margin"].iloc[row]) for way in ways])
    kin = [kinship(similarity(one), seed=seed).set_index("grouping") for one in types]
    for grouping in GROUPINGS:
        p = np.array([each.loc[grouping, "p"] for each in kin], dtype=float)
        known = not np.isnan(p).any()
        yield f"languages of one {grouping} share more related neurons", _if(known, bool((p <= LEVEL).all()), OPEN)
    if pivot in types[0].languages:
        for kind in ("specific", "related"):
            tables = [
                one.counts_per_language().pivot(index="language", columns="kind", values="neurons") for one in types
            ]
            margins = [float(size[kind].drop(pivot).min() - size[kind][pivot]) for size in tables]
            yield f"{pivot} has the fewest {kind} neurons", _of_margins(margins)


def _if(known: bool, holds: bool, otherwise: str) -> str | None:
    return None if not known else HOLDS if holds else otherwise


def _of_margins(margins: Sequence[float]) -> str:
    if all(margin > 0 for margin in margins):
        return HOLDS
    return CONTRARY if all(margin < 0 for margin in margins) else OPEN


def summed(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Under how many detectors each claim holds.

    Args:
        tables: claims of any kind, in :data:`COLUMNS`.

    Returns:
        One row per claim: ``claim``, ``known`` (detectors under which something is said), ``holds`` and ``contrary``
        (under how many), and a column for each detector with its verdict.
    """
    table = pd.concat(tables, ignore_index=True)
    wide = table.pivot(index="claim", columns="detector", values="verdict")
    wide = wide.loc[table["claim"].unique(), table["detector"].unique()]
    numbers = {"known": wide.notna(), "holds": wide == HOLDS, "contrary": wide == CONTRARY}
    found = pd.DataFrame({name: each.sum(axis=1).astype(int) for name, each in numbers.items()}, index=wide.index)
    return pd.concat([found, wide], axis=1).reset_index()
