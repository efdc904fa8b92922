"""Where in the depth of the model each neuron type sits, and the four parts read off it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import ruptures
from numpy.polynomial.polynomial import polyfit, polyval

from ..base.errors import NeuroglotError
from ..base.uncertainty import SAME, half_sampled, halves, verdicts
from ..counts.activations import ActivationStats
from .identification import KINDS, NeuronTypes, classify, replicated

#: The paper's names for the four parts, from the first layer to the last.
PARTS = ("understanding", "reasoning", "output transformation", "vocabulary output")


def layer_profile(types: NeuronTypes) -> pd.DataFrame:
    """Neurons of each type in each layer.

    Returns:
        Tidy: ``layer`` (from 0), ``kind`` (specific, related, general), ``neurons``, ``share`` (of
        the layer's neurons; 0 in a layer without).

    Example:
        >>> ng.layer_profile(types).columns.tolist()
        ['layer', 'kind', 'neurons', 'share']
    """
    frame = pd.DataFrame(
        [
            {"layer": layer, "kind": kind, "neurons": int(np.count_nonzero(row == code))}
            for layer, row in enumerate(types.codes)
            for code, kind in enumerate(KINDS)
            if kind != "unclassified"
        ]
    )
    return frame.assign(share=frame["neurons"] / np.maximum(types.layer_widths, 1)[frame["layer"]])


def _by_layer(profile: pd.DataFrame) -> pd.DataFrame:
    return profile.pivot(index="layer", columns="kind", values="neurons")[list(KINDS[1:])]


#: How counts enter a cut: as they are, by their root (which gives counts of any size the same noise), or by the root
#: and each type standardized, so that each weighs the same.
SCALINGS = ("raw", "rooted", "rooted and standardized")


def _scaled(counts: np.ndarray, scaling: str = SCALINGS[-1]) -> np.ndarray:
    signal = counts if scaling == "raw" else np.sqrt(counts)
    if scaling != SCALINGS[-1]:
        return signal
    spread = signal.std(axis=0)
    scaled: np.ndarray = (signal - signal.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return scaled


def _ends(signal: np.ndarray, segments: int) -> list[int]:
    """Where segments end that are fitted best by a constant each: least squares, exact by dynamic programming."""
    if segments == 1:
        return [len(signal)]
    ends: list[int] = ruptures.Dynp(model="l2", min_size=1, jump=1).fit(signal).predict(n_bkps=segments - 1)
    return ends


def four_parts(profile: pd.DataFrame, scaling: str = SCALINGS[-1]) -> pd.DataFrame:
    """Read the paper's four parts off a layer profile.

    The last layer is the part that outputs the vocabulary. The layers before it are cut in three
    where the counts of the three types are fitted best by three constants each (least squares,
    exact by dynamic programming).

    Args:
        profile: from :func:`layer_profile`.
        scaling: one of :data:`SCALINGS`.

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
    ends = _ends(_scaled(counts[:-1], scaling), 3)
    return pd.DataFrame({"part": PARTS, "first": [0, *ends], "last": [*(end - 1 for end in ends), layers - 1]})


def part_claims(profile: pd.DataFrame, parts: pd.DataFrame) -> pd.DataFrame:
    """What the paper says of the four parts, and whether this profile agrees.

    Returns:
        One row per claim: ``claim`` (its key), ``here`` and ``against`` (the two numbers compared: neurons per layer,
        or changes in neurons), ``margin`` (by how much it holds, below 0 by how much it does not: their difference,
        or for opposite moves the smaller of the two), ``holds``. None where there are no parts.
    """
    if parts.empty:
        nothing = pd.DataFrame({"claim": [], "here": [], "against": [], "margin": [], "holds": []})
        return nothing.astype({"claim": str, "holds": bool})
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
    rows = [{"claim": name, "here": a, "against": b, "margin": a - b} for name, a, b in comparisons]
    specific, related = float(step["specific"]), float(step["related"])
    opposite = {"claim": "last layer: specific and related move opposite ways", "here": specific, "against": related}
    opposite["margin"] = -np.sign(specific * related) * min(abs(specific), abs(related))
    claims = pd.DataFrame([*rows, opposite])
    return claims.assign(holds=claims["margin"] > 0)


def half_profiles(stats: ActivationStats, types: NeuronTypes, splits: int = 25, seed: int = 0) -> pd.DataFrame:
    """Layer profiles of random halves of the text, each with thresholds of its own.

    Args:
        stats: the counts that the types came from.
        types: whose settings are used.
        splits: of the shards, two halves each; a split with a half that cannot be classified is left out.
        seed: of the splits.

    Returns:
        The rows of :func:`layer_profile`, with ``split`` and ``half`` (0 or 1).

    Raises:
        NeuroglotError: one shard only, or more than half of the splits cannot be classified.
    """
    if len(stats.shard_tokens) < 2:
        raise NeuroglotError("the counts have one shard, so no interval can be computed; collect with more shards.")

    def of(split: tuple[np.ndarray, np.ndarray]) -> list[pd.DataFrame]:
        return [layer_profile(classify(stats.merged(half), **types.arguments())) for half in split]

    found = replicated(list(halves(len(stats.shard_tokens), splits, seed)), of)
    return pd.concat(
        [
            profile.assign(split=split, half=half)
            for split, both in enumerate(found)
            for half, profile in enumerate(both)
        ],
        ignore_index=True,
    )


def _halves(profiles: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Each half of each split, and the other one."""
    for _, split in profiles.groupby("split"):
        one, other = (half for _, half in split.groupby("half"))
        yield one, other
        yield other, one


def intervals(profile: pd.DataFrame, profiles: pd.DataFrame, shards: int) -> pd.DataFrame:
    """Intervals of the counts of each layer and type, from halves (:func:`half_profiles`) of so many shards.

    Returns:
        ``layer``, ``kind``, ``low``, ``high`` (neurons); no numbers of fewer than eight shards.
    """
    cells = [(layer, kind) for layer, kind in zip(profile["layer"], profile["kind"], strict=True)]
    each = profiles.pivot(index=["split", "half"], columns=["layer", "kind"], values="neurons")[cells]
    low, high = half_sampled(profile["neurons"].to_numpy(float), each.to_numpy(float), shards).interval()
    return profile[["layer", "kind"]].assign(low=np.maximum(low, 0), high=high)


def tested_claims(claims: pd.DataFrame, profiles: pd.DataFrame, shards: int) -> pd.DataFrame:
    """The claims tested on text that was not used to cut: the parts are cut on one half, and compared on the other.

    Args:
        claims: from :func:`part_claims`, of all the text.
        profiles: from :func:`half_profiles`.
        shards: how many there are in all.

    Returns:
        The same with ``held_out`` (mean margin on the other halves), ``low``, ``high``, ``detectable`` and
        ``verdict``: more where the claim holds, less where the contrary does.
    """
    if claims.empty:
        return claims.assign(held_out=[], low=[], high=[], detectable=[], verdict=[])
    margins = np.array([part_claims(other, four_parts(one))["margin"] for one, other in _halves(profiles)])
    found = half_sampled(margins.mean(axis=0), margins, shards)
    low, high = found.interval()
    tested = {"held_out": found.value, "low": low, "high": high, "detectable": found.detectable()}
    return claims.assign(**tested, verdict=verdicts(found))


def part_ranges(profiles: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Where the middle ``level`` of halves of the text put each part's first layer.

    Args:
        profiles: from :func:`half_profiles`.
        level: share of the halves.

    Returns:
        One row per part, from the first layer to the last: ``part``, ``low``, ``high``; none of few layers.
    """
    firsts = np.array([four_parts(one)["first"] for one, _ in _halves(profiles)])
    if not firsts.size:
        return pd.DataFrame({"part": [], "low": [], "high": []})
    low, high = np.quantile(firsts, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return pd.DataFrame({"part": PARTS, "low": low, "high": high})


#: Most segments that are tried.
MOST_SEGMENTS = 5


def segments(profiles: pd.DataFrame, shards: int) -> pd.DataFrame:
    """How many segments describe other text best, and whether better than a smooth curve of as many numbers.

    Counts of the three types (rooted and standardized) are cut on one half of the shards and looked at on the other:
    the error is the mean squared difference of its counts, scaled alike, from the first one's constants. The curve
    beside ``k`` segments, which have ``4 k - 1`` numbers (constants and cuts), is the polynomial over depth with most
    nearly as many. *Chosen* are the fewest segments whose error is not told apart from the lowest one.

    Args:
        profiles: from :func:`half_profiles`.
        shards: how many there are in all.

    Returns:
        One row per number of ``segments``, 1 to :data:`MOST_SEGMENTS`: ``numbers``, ``error``, ``degree``,
        ``curve_numbers`` and ``curve_error``; ``difference`` (of the error from the curve's), ``low``, ``high``,
        ``detectable``, ``verdict`` (less: the segments describe it better); ``chosen``.
    """
    layers = int(profiles["layer"].max()) + 1
    tried = range(1, min(MOST_SEGMENTS, layers) + 1)
    degrees = [min(round((4 * k - 1) / 3) - 1, layers - 1) for k in tried]
    errors = np.array([_errors(one, other, tried, degrees) for one, other in _halves(profiles)])  # [halves, 2, tried]
    mean = errors.mean(axis=0)
    best = int(mean[0].argmin())
    apart = errors[:, 0] - errors[:, 1]
    curve = half_sampled(apart.mean(axis=0), apart, shards)
    worse = errors[:, 0] - errors[:, 0, [best]]
    said = verdicts(half_sampled(worse.mean(axis=0), worse, shards))
    low, high = curve.interval()
    table = {"segments": list(tried), "numbers": [4 * k - 1 for k in tried], "error": mean[0], "degree": degrees}
    table |= {"curve_numbers": [3 * degree + 3 for degree in degrees], "curve_error": mean[1]}
    table |= {"difference": curve.value, "low": low, "high": high, "detectable": curve.detectable()}
    first = next(i for i in range(len(tried)) if i == best or said[i] == SAME)
    return pd.DataFrame(table).assign(verdict=verdicts(curve), chosen=[i == first for i in range(len(tried))])


def _errors(one: pd.DataFrame, other: pd.DataFrame, tried: Iterable[int], degrees: Iterable[int]) -> list[list[float]]:
    """Of segments and of curves, fitted to one profile, on the other."""
    fitted, seen = (np.sqrt(_by_layer(profile).to_numpy(dtype=float)) for profile in (one, other))
    spread = fitted.std(axis=0)
    mean, spread = fitted.mean(axis=0), np.where(spread > 0, spread, 1)
    fitted, seen = (fitted - mean) / spread, (seen - mean) / spread
    depth = np.linspace(-1, 1, len(fitted))
    constants = [_constants(fitted, _ends(fitted, k)) for k in tried]
    curves = [polyval(depth, polyfit(depth, fitted, degree)).T for degree in degrees]
    return [[float(((seen - line) ** 2).mean()) for line in lines] for lines in (constants, curves)]


def _constants(signal: np.ndarray, ends: list[int]) -> np.ndarray:
    """Each segment's mean in its layers."""
    parts = np.split(signal, ends[:-1])
    return np.concatenate([np.broadcast_to(part.mean(axis=0), part.shape) for part in parts])


@dataclass(frozen=True, eq=False)
class Depth:
    """Where the neurons of each type sit, and how sure that is.

    Attributes:
        profile: from :func:`layer_profile`.
        parts: from :func:`four_parts`; none of fewer than four layers.
        claims: from :func:`part_claims`, or :func:`tested_claims` where the text can be halved.
        profiles, bands, ranges, segments: from :func:`half_profiles`, :func:`intervals`, :func:`part_ranges` and
            :func:`segments`; ``None`` where the text cannot be halved.
        reason: why that is; empty where it can.
    """

    profile: pd.DataFrame
    parts: pd.DataFrame
    claims: pd.DataFrame
    profiles: pd.DataFrame | None = None
    bands: pd.DataFrame | None = None
    ranges: pd.DataFrame | None = None
    segments: pd.DataFrame | None = None
    reason: str = ""

    def tables(self) -> dict[str, pd.DataFrame]:
        """Those that are kept in a run's ``layers.json``; none without a row."""
        kept = {"profile": self.profile, "parts": self.parts, "claims": self.claims}
        more = {"bands": self.bands, "ranges": self.ranges, "segments": self.segments}
        kept |= {name: table for name, table in more.items() if table is not None}
        return {name: table for name, table in kept.items() if len(table)}

    def parts_and_ranges(self) -> pd.DataFrame:
        """The parts, with the ``range`` of each one's first layer in words where there are any."""
        if self.ranges is None or self.parts.empty:
            return self.parts
        ends = zip(self.ranges["low"], self.ranges["high"], strict=True)
        _, *inner, _ = [f"{low:.0f} to {high:.0f}" for low, high in ends]
        return self.parts.assign(range=["fixed", *inner, "fixed"])


def depth(stats: ActivationStats, types: NeuronTypes, splits: int = 25, seed: int = 0) -> Depth:
    """The layers of these types, their parts and the paper's claims, and what halves of the text say of them.

    Args:
        stats: the counts that the types came from.
        types: whose settings the halves take.
        splits, seed: as of :func:`half_profiles`.
    """
    profile, shards = layer_profile(types), len(stats.shard_tokens)
    parts = four_parts(profile)
    claims = part_claims(profile, parts)
    try:
        profiles = half_profiles(stats, types, splits, seed)
    except NeuroglotError as error:  # one shard, or too many splits for which no lambda fits
        return Depth(profile, parts, claims, reason=str(error))
    tested, bands = tested_claims(claims, profiles, shards), intervals(profile, profiles, shards)
    return Depth(profile, parts, tested, profiles, bands, part_ranges(profiles), segments(profiles, shards))
