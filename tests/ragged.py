"""Counts of layers that differ in width; the same neurons in a row, and with more places that are no neurons."""

from typing import Any

import numpy as np

from neuroglot import ActivationStats

LANGUAGES = ("en", "de", "ru", "zh")
SAID = {"weights_sha256": "w", "input_sha256": "i", "model": "a/tiny", "corpus": "b"}
PRODUCT = {"quantity": "product", "settings": {"quantity": "product"}}


def stats_of(routed: np.ndarray, widths: np.ndarray, seed: int, shards: int = 4) -> ActivationStats:
    """Random counts of parts that saw ``routed`` of 100 tokens, int ``[shards, layers, parts, languages]``."""
    rng, (_, k) = np.random.default_rng(seed), routed.shape[::3]
    layers, most = len(widths), int(widths.sum(axis=1).max())
    counts = np.zeros((shards, layers, most, k), dtype=np.int64)
    for layer, own in enumerate(widths):
        n = int(own.sum())
        p = rng.beta(0.5, 2, size=(n, 1)) * rng.beta(2, 1, size=(n, k))
        p[::7] = 0.95  # general ones
        p[3::5, 1:] = 0  # of one language only
        p[4::9] = 0  # of none: ties
        counts[:, layer, :n] = rng.binomial(np.repeat(routed[:, layer], own, axis=1), p)
    sums = counts.sum(axis=0) * rng.normal(size=(layers, most, k))
    squares = counts.sum(axis=0) * rng.random((layers, most, k))
    tokens = np.full((shards, k), 100)
    return ActivationStats(counts, tokens, LANGUAGES, SAID | PRODUCT, routed, sums, squares, None, widths)


def ragged(seed: int, layers: int = 5) -> ActivationStats:
    """Layers of dense and routed parts, of different numbers and widths; some layer has none, and one is the widest."""
    rng = np.random.default_rng(seed)
    widths = rng.integers(0, 12, size=(layers, 4))
    widths[rng.integers(layers - 1)] = 0
    widths[-1, 0] = 20
    routed = np.where(widths[None, :, :, None] > 0, rng.integers(1, 101, size=(4, layers, 4, 4)), 0)
    routed[:, :, 0] = 100 * (widths[:, 0] > 0)[None, :, None]  # the first part is dense
    return stats_of(routed, widths, seed)


def in_a_row(stats: ActivationStats) -> ActivationStats:
    """The same neurons as one layer without a gap, each seeing what it saw."""
    real, number = stats.real, stats.n_neurons
    layer, neuron = np.nonzero(real)
    seen = np.broadcast_to(stats.shard_seen(layer, neuron), (len(stats.shard_tokens), number, stats.shape[2]))
    return ActivationStats(
        stats.shard_counts[:, real][:, None],
        stats.shard_tokens,
        stats.languages,
        stats.provenance,
        seen[:, None],
        None if stats.sums is None else stats.sums[real][None],
        None if stats.squares is None else stats.squares[real][None],
        None,
        np.ones((1, number), dtype=np.int64),
    )


def rectangular(seed: int, layers: int = 4, width: int = 30) -> ActivationStats:
    """Dense counts."""
    made = stats_of(np.full((4, layers, 1, 4), 100), np.full((layers, 1), width), seed)
    own = made.shard_counts, made.shard_tokens, made.languages, made.provenance, None, made.sums, made.squares
    return ActivationStats(*own)


def padded(stats: ActivationStats, more: int) -> ActivationStats:
    """The same neurons, with places after them that are none."""
    layers, width, _ = stats.shape

    def wider(array: np.ndarray, axis: int) -> np.ndarray:
        return np.pad(array, [(0, more if i == axis else 0) for i in range(array.ndim)])

    routed = np.broadcast_to(stats.shard_tokens[:, None, None], (len(stats.shard_tokens), layers, 1, stats.shape[2]))
    arrays: dict[str, Any] = {"sums": stats.sums, "squares": stats.squares}
    return ActivationStats(
        wider(stats.shard_counts, 2),
        stats.shard_tokens,
        stats.languages,
        stats.provenance,
        routed,
        **{name: wider(array, 1) for name, array in arrays.items()},
        widths=np.full((layers, 1), width),
    )
