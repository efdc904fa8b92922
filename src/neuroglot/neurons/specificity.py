"""Is a specific neuron specific: its first two languages, how sure they are, and how sure its type is."""

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..base.uncertainty import effective_number, halves, share_interval
from ..counts.activations import ActivationStats
from .identification import KINDS, NeuronTypes, classify, replicated

#: Nearer to tau than this, as a share of tokens, the second language is all but one of the neuron's own.
NEAR = 0.05

#: Columns of :func:`specificity`.
COLUMNS = (
    *("layer", "neuron", "kind", "first", "first_p", "first_low", "first_high"),
    *("second", "second_p", "second_low", "second_high", "near", "sure"),
)


def probability_intervals(
    stats: ActivationStats, layer: np.ndarray | int, neuron: np.ndarray | int
) -> tuple[np.ndarray, np.ndarray]:
    """Intervals of some neurons' probabilities over shards of the text, low and high ``[..., languages]``.

    Tokens of a text are not independent, so they count for as many as the scatter over shards (a jackknife of the
    ratio) says; with fewer than four shards there is no interval.

    Args:
        stats: counts in shards.
        layer, neuron: ``[...]``, of one shape.
    """
    layer, neuron = np.asarray(layer), np.asarray(neuron)
    sums = np.moveaxis(stats.shard_counts[:, layer, neuron].astype(float), 0, -1)
    sizes = np.broadcast_to(np.moveaxis(stats.shard_seen(layer, neuron), 0, -1), sums.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = sums.sum(axis=-1) / sizes.sum(axis=-1)
    return share_interval(share, effective_number(sums, sizes))


def agreement(stats: ActivationStats, types: NeuronTypes, splits: int = 25, seed: int = 0) -> np.ndarray:
    """In which share of random halves of the text each neuron has the type it has, ``[layers, neurons]``.

    Halves, since a statistic scatters over them as it does over other texts of the whole's size; without one shard of
    twenty hardly a type would change, and with shards drawn anew, some of them twice, all probabilities move away from
    each other. Thresholds are found anew on each half, as on another text.

    Args:
        stats: the counts that the types came from.
        types: whose settings are used.
        splits: of the shards, two halves each.
        seed: of the splits.

    Returns:
        No number anywhere where halves cannot be classified (one shard, a language without tokens, no lambda).
    """
    parts = [half for split in halves(len(stats.shard_tokens), splits, seed) for half in split]
    agree, n = np.zeros(types.codes.shape), 0
    try:
        for other in replicated(parts, lambda half: classify(stats.merged(half), **types.arguments())):
            same = other.codes == types.codes
            # Specific to another language is not the same.
            agree += same & ((types.kind != "specific") | (other.active == types.active).all(axis=-1))
            n += 1
    except NeuroglotError:
        n = 0
    return agree / n if n else np.full(agree.shape, np.nan)


def specificity(stats: ActivationStats, types: NeuronTypes, splits: int = 25, seed: int = 0) -> pd.DataFrame:
    """The first and the second language of every selected neuron, and how sure its type is.

    Args:
        stats: the counts that the types came from.
        types: from :func:`neuroglot.classify`.
        splits, seed: of :func:`agreement`.

    Returns:
        One row per selected neuron: ``layer``, ``neuron``, ``kind``; ``first`` (the language with the highest
        probability), ``first_p``, ``first_low``, ``first_high`` (:func:`probability_intervals`); the same of the
        ``second``; ``near``, whether the second probability is within :data:`NEAR` of tau; ``sure``, from
        :func:`agreement`.
    """
    layer, neuron = np.nonzero(types.selected)
    if not len(layer):
        return pd.DataFrame(columns=list(COLUMNS))
    p = stats.counts[layer, neuron] / stats.seen[layer, neuron]
    low, high = probability_intervals(stats, layer, neuron)
    rows, order = np.arange(len(p)), np.argsort(-p, axis=1, kind="stable")
    table = {"layer": layer, "neuron": neuron, "kind": np.array(KINDS)[types.codes[layer, neuron]]}
    for name, k in (("first", order[:, 0]), ("second", order[:, 1])):
        table[name] = np.array(types.languages)[k]
        table |= {f"{name}_{end}": values[rows, k] for end, values in (("p", p), ("low", low), ("high", high))}
    table["near"] = np.abs(table["second_p"] - types.tau) <= NEAR
    return pd.DataFrame(table).assign(sure=agreement(stats, types, splits, seed)[layer, neuron])


def how_sure(table: pd.DataFrame) -> pd.DataFrame:
    """How many neurons of each type have it in so many of the halves.

    Args:
        table: from :func:`specificity`.

    Returns:
        ``kind`` (specific, related), ``low`` and ``high`` (share of the halves, ten bins of a tenth), ``neurons``,
        ``share`` (of the type); without a row where nothing can be told.
    """
    tenths, tables = np.linspace(0, 1, 11).round(1), []
    for kind in ("specific", "related"):
        sure = table["sure"][table["kind"] == kind].dropna().to_numpy(float)
        found = np.histogram(sure, tenths)[0]
        rows = {"kind": kind, "low": tenths[:-1], "high": tenths[1:], "neurons": found}
        tables += [pd.DataFrame(rows).assign(share=found / len(sure))] if len(sure) else []
    return (
        pd.concat(tables, ignore_index=True)
        if tables
        else pd.DataFrame(columns=["kind", "low", "high", "neurons", "share"])
    )
