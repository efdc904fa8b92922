"""Where in the depth of the model each neuron type sits, and the four parts read off it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import ruptures
from tqdm import tqdm

from ..base.errors import NeuroglotError
from ..base.uncertainty import bootstrap_draws, percentiles_by
from ..counts.activations import ActivationStats
from .identification import KINDS, NeuronTypes, classify, replicated

#: The paper's names for the four parts, from the first layer to the last.
PARTS = ("understanding", "reasoning", "output transformation", "vocabulary output")


def layer_profile(types: NeuronTypes) -> pd.DataFrame:
    """Neurons of each type in each layer.

    Returns:
        Tidy: ``layer`` (from 0), ``kind`` (specific, related, general), ``neurons``, ``share`` (of
        the layer's neurons).

    Example:
        >>> ng.layer_profile(types).columns.tolist()
        ['layer', 'kind', 'neurons', 'share']
    """
    width = types.codes.shape[1]
    frame = pd.DataFrame(
        [
            {"layer": layer, "kind": kind, "neurons": int(np.count_nonzero(row == code))}
            for layer, row in enumerate(types.codes)
            for code, kind in enumerate(KINDS)
            if kind != "unclassified"
        ]
    )
    return frame.assign(share=frame["neurons"] / width)


def _by_layer(profile: pd.DataFrame) -> pd.DataFrame:
    return profile.pivot(index="layer", columns="kind", values="neurons")[list(KINDS[1:])]


def four_parts(profile: pd.DataFrame) -> pd.DataFrame:
    """Read the paper's four parts off a layer profile.

    The last layer is the part that outputs the vocabulary. The layers before it are cut in three
    where the counts of the three types are fitted best by three constants each (least squares,
    exact by dynamic programming). Counts enter by their square root, which gives counts of any
    size the same noise, and every type is standardized over those layers, so that each weighs
    the same.

    Args:
        profile: from :func:`layer_profile`.

    Returns:
        One row per part: ``part``, ``first`` and ``last`` layer; none where there are fewer than four layers.

    Example:
        >>> parts = ng.four_parts(ng.layer_profile(types))
        >>> parts["last"].tolist()
        [0, 1, 2, 3]
    """
    counts = _by_layer(profile).to_numpy(dtype=float)
    layers = len(counts)
    if layers < 4:
        return pd.DataFrame({"part": [], "first": [], "last": []}).astype({"part": str, "first": int, "last": int})
    signal = np.sqrt(counts[:-1])
    spread = signal.std(axis=0)
    signal = (signal - signal.mean(axis=0)) / np.where(spread > 0, spread, 1)
    ends = ruptures.Dynp(model="l2", min_size=1, jump=1).fit(signal).predict(n_bkps=2)
    firsts = [0, *ends]
    lasts = [*(end - 1 for end in ends), layers - 1]
    return pd.DataFrame({"part": PARTS, "first": firsts, "last": lasts})


def part_claims(profile: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """What the paper says of the four parts, and whether this profile agrees.

    Returns:
        One row per claim: ``claim`` (its key), ``here`` and ``against`` (the two numbers compared:
        neurons per layer, or changes in neurons), ``holds``. None where there are no parts.
    """
    if parts.empty:
        return pd.DataFrame({"claim": [], "here": [], "against": [], "holds": []}).astype({"claim": str, "holds": bool})
    counts = _by_layer(profile)
    language = counts["specific"] + counts["related"]
    general = counts["general"]
    where = {part: slice(first, last) for part, first, last in parts.itertuples(index=False)}
    mean = {
        (name, part): float(values.loc[span].mean())
        for name, values in (("language", language), ("general", general))
        for part, span in where.items()
    }
    step = counts.iloc[-1] - counts.iloc[-2]
    first, middle, late, _ = PARTS
    comparisons = [
        ("language neurons: understanding > reasoning", mean["language", first], mean["language", middle]),
        ("language neurons: output transformation > reasoning", mean["language", late], mean["language", middle]),
        ("general neurons: reasoning > understanding", mean["general", middle], mean["general", first]),
        ("general neurons: reasoning > output transformation", mean["general", middle], mean["general", late]),
        ("general neurons: understanding > output transformation", mean["general", first], mean["general", late]),
        ("general neurons: last layer > every other", float(general.iloc[-1]), float(general.iloc[:-1].max())),
    ]
    rows = [{"claim": name, "here": a, "against": b, "holds": a > b} for name, a, b in comparisons]
    specific, related = float(step["specific"]), float(step["related"])
    opposite = {"claim": "last layer: specific and related move opposite ways", "here": specific, "against": related}
    return pd.DataFrame([*rows, opposite | {"holds": specific * related < 0}])


def replicate_types(
    stats: ActivationStats, draws: int = 100, seed: int = 0, *, progress: bool = False, **settings: Any
) -> Iterator[NeuronTypes]:
    """Types of bootstrap replicates: shards of the corpus drawn with replacement, and classified.

    Which replicates are left out is :func:`neuroglot.neurons.identification.replicated`'s rule.

    Args:
        stats: counts in several shards.
        draws: number of replicates.
        seed: of the random draws.
        **settings: of :func:`neuroglot.classify`; lambda is solved anew where it is ``None``.

    Raises:
        NeuroglotError: one shard only, or more than half of the replicates cannot be classified.
    """
    if len(stats.shard_tokens) < 2:
        raise NeuroglotError("the counts have one shard, so no interval can be computed; collect with more shards.")
    drawn = bootstrap_draws(len(stats.shard_tokens), draws, seed)
    shown = tqdm(drawn, desc="bootstrap", disable=not progress)
    yield from replicated(shown, lambda shards: classify(stats.merged(shards), **settings))


def bootstrap_profiles(
    stats: ActivationStats, draws: int = 100, seed: int = 0, *, progress: bool = False, **settings: Any
) -> pd.DataFrame:
    """Layer profiles of bootstrap replicates; arguments and errors as of :func:`replicate_types`.

    Returns:
        The rows of :func:`layer_profile`, with ``draw``.
    """
    replicates = replicate_types(stats, draws, seed, progress=progress, **settings)
    profiles = [layer_profile(types).assign(draw=draw) for draw, types in enumerate(replicates)]
    return pd.concat(profiles, ignore_index=True)


def intervals(profiles: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Percentile intervals of the replicates' counts: ``layer, kind, low, high`` (neurons)."""
    return percentiles_by(profiles, ["layer", "kind"], "neurons", level)


def replicate_parts(profiles: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Parts and claims read off every replicate by itself.

    Returns:
        The parts of all replicates (with ``draw``), and for each claim the share of replicates in
        which it holds.
    """
    parts, claims = [], []
    for draw, profile in profiles.groupby("draw"):
        own = four_parts(profile)
        parts.append(own.assign(draw=draw))
        claims.append(part_claims(profile, own).set_index("claim")["holds"])
    return pd.concat(parts, ignore_index=True), pd.concat(claims, axis=1).mean(axis=1).rename("replicates")


def part_ranges(own_parts: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Where the middle ``level`` of replicates put each part's first layer.

    Args:
        own_parts: the parts of all replicates, from :func:`replicate_parts`.
        level: share of the replicates.

    Returns:
        One row per part, from the first layer to the last: ``part``, ``low``, ``high``.
    """
    if own_parts.empty:
        return pd.DataFrame({"part": [], "low": [], "high": []})
    return percentiles_by(own_parts, ["part"], "first", level).set_index("part").loc[list(PARTS)].reset_index()


@dataclass(frozen=True, eq=False)
class Depth:
    """Where the neurons of each type sit, and how sure that is.

    Attributes:
        profile: from :func:`layer_profile`.
        parts: from :func:`four_parts`; none of fewer than four layers.
        claims: from :func:`part_claims`; with intervals also ``replicates``, the share of these in which each holds.
        replicates, bands, ranges: from :func:`bootstrap_profiles`, :func:`intervals` and :func:`part_ranges`; ``None``
            where there are no intervals.
        reason: why that is; empty where there are.
    """

    profile: pd.DataFrame
    parts: pd.DataFrame
    claims: pd.DataFrame
    replicates: pd.DataFrame | None = None
    bands: pd.DataFrame | None = None
    ranges: pd.DataFrame | None = None
    reason: str = ""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Those that are kept in a run's ``layers.json``; none without a row."""
        kept = {"profile": self.profile, "parts": self.parts, "claims": self.claims}
        kept |= {name: table for name, table in (("bands", self.bands), ("ranges", self.ranges)) if table is not None}
        return {name: table for name, table in kept.items() if len(table)}

    def parts_and_ranges(self) -> pd.DataFrame:
        """The parts, with the ``range`` of each one's first layer in words where there are intervals."""
        if self.ranges is None or self.parts.empty:
            return self.parts
        ends = zip(self.ranges["low"], self.ranges["high"], strict=True)
        _, *inner, _ = [f"{low:.0f} to {high:.0f}" for low, high in ends]
        return self.parts.assign(range=["fixed", *inner, "fixed"])


def depth(stats: ActivationStats, types: NeuronTypes, draws: int = 100, seed: int = 0) -> Depth:
    """The layers of these types, their parts and the paper's claims, with bootstrap intervals where there are any.

    Args:
        stats: the counts that the types came from.
        types: whose settings the replicates take.
        draws: number of replicates.
        seed: of their random draws.
    """
    profile = layer_profile(types)
    parts = four_parts(profile)
    claims = part_claims(profile, parts)
    try:
        replicates = bootstrap_profiles(stats, draws, seed, **types.arguments())
    except NeuroglotError as error:  # one shard, or too many replicates for which no lambda fits
        return Depth(profile, parts, claims, reason=str(error))
    own_parts, share = replicate_parts(replicates)
    claims = claims.join(share, on="claim")
    return Depth(profile, parts, claims, replicates, intervals(replicates), part_ranges(own_parts))
