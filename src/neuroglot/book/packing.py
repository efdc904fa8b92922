"""Probabilities packed small enough for a page: exact counts, or roots in fewer digits, deflated."""

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..base.errors import NeuroglotError
from ..counts.activations import ActivationStats
from ..counts.widths import are_neurons
from ..neurons.identification import MIN_TOKENS, Identifier

#: Characters of base64 that a page may carry.
PAGE_LIMIT = 4_000_000

# Levels of the root of a probability: roots, since the sampling error of a root is the same everywhere.
_LEVELS = (65535, 16383, 4095, 2047, 1023, 511, 383, 255, 191, 159, 127, 111, 95, 79, 63)


@dataclass(frozen=True, eq=False)
class Packed:
    """Activation probabilities as whole numbers.

    Attributes:
        values: uint16 ``[layers, neurons, languages]``.
        scales: of each language, the value of probability 1: its tokens, or the levels of a root.
        roots: whether ``p = (value / scale) ** 2``, rounded, rather than ``value / scale``, exact.
        languages: codes.
        min_tokens: tokens of a language that a neuron of a mixture must have seen.
        few: bool ``[layers, experts, languages]``, whether an expert saw fewer; ``None`` where none did. In layers of
            several parts each neuron is an expert of its own here.
        widths: where layers differ, int64 ``[layers]``: how many neurons each has; after them values are 0.
    """

    values: np.ndarray
    scales: tuple[int, ...]
    roots: bool
    languages: tuple[str, ...]
    min_tokens: int = 1
    few: np.ndarray | None = None
    widths: np.ndarray | None = None

    def probabilities(self) -> np.ndarray:
        """What the values stand for, float64 ``[layers, neurons, languages]``.

        NaN where too few tokens were seen, and where a layer has no neuron.
        """
        share = self.values / np.array(self.scales, dtype=np.float64)
        share = share * share if self.roots else share
        if self.widths is not None:
            share[~are_neurons(self.widths, share.shape[1])] = np.nan
        if self.few is None:
            return share
        return np.where(np.repeat(self.few, share.shape[1] // self.few.shape[1], axis=1), np.nan, share)

    def identifier(self, index: Sequence[int] | slice = slice(None), *, scaled: bool = True) -> Identifier:
        """Of these probabilities, in the languages of these numbers."""
        return Identifier(self.probabilities()[..., index], scaled=scaled, widths=self.widths)

    def error(self, stats: ActivationStats) -> float:
        """The largest difference to the probabilities of the counts."""
        return float(np.nanmax(np.abs(self.probabilities() - stats.probabilities(self.min_tokens))))

    def deflated(self) -> bytes:
        """The values, language by language, as differences to what the languages before lead one to expect.

        Expected is ``floor(sum of the values before * scale / sum of the scales before)``. Differences
        are taken modulo 2**16 with alternating signs (0, -1, 1, -2, ...), their high bytes first.
        """
        values = self.values.reshape(-1, len(self.languages)).astype(np.int64)
        before, scale_before, planes = np.zeros(len(values), dtype=np.int64), 0, []
        for column, scale in zip(values.T, self.scales, strict=True):
            expected = before * scale // scale_before if scale_before else before
            signed = (column - expected + 2**15) % 2**16 - 2**15
            planes.append(np.where(signed >= 0, 2 * signed, -2 * signed - 1).astype(np.uint16))
            before, scale_before = before + column, scale_before + scale
        flat = np.concatenate(planes)
        return _smallest((flat >> 8).astype(np.uint8).tobytes() + (flat & 255).astype(np.uint8).tobytes())

    def head(self) -> dict[str, Any]:
        """What a reader of the deflated bytes needs to know, ready for JSON."""
        head = {
            "shape": list(self.values.shape),
            "scales": list(self.scales),
            "roots": self.roots,
            "languages": list(self.languages),
        }
        if self.widths is not None:
            head["widths"] = self.widths.tolist()
        if self.few is None:
            return head
        # A bit for each language, layer and expert, in this order, the highest of a byte first.
        bits = base64.b64encode(np.packbits(np.moveaxis(self.few, -1, 0)).tobytes()).decode()
        return head | {"experts": self.few.shape[1], "few": bits, "minTokens": self.min_tokens}


def _smallest(data: bytes) -> bytes:
    """The smaller of two ways to deflate; close to noise, looking for repetitions costs more than it saves."""
    ways = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        deflate = zlib.compressobj(9, strategy=strategy)
        ways.append(deflate.compress(data) + deflate.flush())
    return min(ways, key=len)


def pack(stats: ActivationStats, limit: int | None = None, min_tokens: int = MIN_TOKENS) -> tuple[Packed, bytes]:
    """Pack the probabilities of counts, as exactly as the limit allows.

    The counts themselves where they have at most 65,535 tokens a language, every neuron saw all
    of them (which most of those of a mixture's experts did not), and they fit; otherwise roots of the
    probabilities in as many levels as fit, :meth:`Packed.error` away from them at most.

    Args:
        stats: counts in one or more shards.
        limit: most characters of base64; ``None`` for no limit.
        min_tokens: as for :func:`neuroglot.classify`.

    Raises:
        NeuroglotError: too many neurons for the limit even in 63 levels, or a language without tokens.
    """
    p, most = stats.probabilities(min_tokens), math.inf if limit is None else limit
    if stats.tokens.max() <= 65535 and (stats.seen == stats.tokens)[stats.real].all():
        scales = tuple(map(int, stats.tokens))
        packed = Packed(stats.counts.astype(np.uint16), scales, False, stats.languages, min_tokens, widths=stats.ragged)
        data = packed.deflated()
        if base64_size(data) <= most:
            return packed, data
    few = None
    unknown = np.isnan(p) & stats.real[..., None]
    if stats.shard_routed is not None and unknown.any():
        step = 1 if stats.widths is not None else stats.shape[1] // stats.shard_routed.shape[2]
        few = unknown[:, ::step]
    p = np.nan_to_num(p)
    low, high = (
        0,
        1 if limit is None else len(_LEVELS),
    )  # fewer levels take less room, so the first that fits is found by halving
    fitting = None
    while low < high:
        middle = (low + high) // 2
        levels = _LEVELS[middle]
        values = np.floor(np.sqrt(p) * levels + 0.5).astype(np.uint16)
        packed = Packed(values, (levels,) * len(stats.languages), True, stats.languages, min_tokens, few, stats.ragged)
        data = packed.deflated()
        if base64_size(data) <= most:
            fitting, high = (packed, data), middle
        else:
            low = middle + 1
    if fitting is None:
        raise NeuroglotError(
            f"{stats.n_neurons:,} neurons in {len(stats.languages)} languages are too many for a page of {limit:,} "
            "characters; show them in Jupyter, or fewer languages."
        )
    return fitting


def pack_places(places: np.ndarray) -> str:
    """Places of neurons, deflated, in base64: four bytes each, the highest bytes of all neurons first."""
    planes = [(places.ravel() >> shift & 255).astype(np.uint8).tobytes() for shift in (24, 16, 8, 0)]
    return base64.b64encode(_smallest(b"".join(planes))).decode()


def classify_packed(packed: Packed, *, top_rate: float, lam: float | None, quantile: float, scaled: bool) -> np.ndarray:
    """The types that the page's explorer finds, as codes, uint8 ``[layers, neurons]``.

    Args:
        packed: from :func:`pack`, with its least number of tokens.
        top_rate, lam, quantile, scaled: as for :func:`neuroglot.classify`.
    """
    return packed.identifier(scaled=scaled).types(packed.languages, top_rate, lam, quantile).codes


def base64_size(data: bytes) -> int:
    """Characters that bytes take in base64."""
    return (len(data) + 2) // 3 * 4
