"""What a page carries: the exact counts, or roots whose error is known."""

import base64
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import ActivationStats, NeuroglotError, classify
from neuroglot.book.packing import Packed, classify_packed, pack


def stats_of(seed=0, layers=3, neurons=40, tokens=(90, 400, 7)):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 0.7, size=(layers, neurons, 1)) * rng.uniform(0.3, 1, size=(layers, neurons, len(tokens)))
    counts = rng.binomial(tokens, p)[None]
    return ActivationStats(counts, np.array([tokens]), ("en", "de", "zh", "th")[: len(tokens)])


def inflated(packed: Packed, data: bytes) -> np.ndarray:
    """The values again, number by number, as the docstring says they were coded."""
    flat = zlib.decompress(data)
    layers, neurons, k = packed.values.shape
    size = layers * neurons
    values = np.zeros((size, k), dtype=int)
    for language, scale in enumerate(packed.scales):
        for i in range(size):
            code = 256 * flat[language * size + i] + flat[(k + language) * size + i]
            difference = -(code + 1) // 2 if code % 2 else code // 2
            before, scales = int(values[i, :language].sum()), sum(packed.scales[:language])
            values[i, language] = ((before * scale // scales if scales else 0) + difference) % 2**16
    return values.reshape(layers, neurons, k)


def test_counts_are_packed_exactly():
    stats = stats_of()
    packed, data = pack(stats)
    assert not packed.roots and packed.scales == (90, 400, 7)
    assert (inflated(packed, data) == stats.counts).all()
    assert (packed.probabilities() == stats.probabilities()).all() and packed.error(stats) == 0
    types = classify(stats, top_rate=0.3, quantile=0.7, lam=0.2)
    assert (classify_packed(packed, top_rate=0.3, lam=0.2, quantile=0.7, scaled=True) == types.codes).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 65535), min_size=2, max_size=4))
def test_any_values_come_back(seed, scales):
    values = np.random.default_rng(seed).integers(0, np.array(scales) + 1, size=(2, 9, len(scales)))
    packed = Packed(values.astype(np.uint16), tuple(scales), False, tuple("abcd"[: len(scales)]))
    assert (inflated(packed, packed.deflated()) == values).all()


def test_what_does_not_fit_is_packed_in_roots():
    stats = stats_of(layers=8, neurons=500, tokens=(60000, 50000, 40000))
    whole = len(pack(stats)[1])
    packed, data = pack(stats, limit=whole)  # base64 takes a third more, so the counts do not fit
    assert packed.roots and len(set(packed.scales)) == 1
    assert (len(data) + 2) // 3 * 4 <= whole
    assert (inflated(packed, data) == packed.values).all()
    assert (packed.probabilities() == (packed.values / packed.scales[0]) ** 2).all()
    # Half a step of the root, at p = 1 twice as much of p.
    assert 0 < packed.error(stats) <= 1 / packed.scales[0]
    smaller, _ = pack(stats, limit=whole * 2 // 3)
    assert smaller.scales[0] < packed.scales[0]
    with pytest.raises(NeuroglotError, match="too many for a page of 100 characters"):
        pack(stats, limit=100)


def test_many_tokens_and_experts_are_roots():
    stats = stats_of(tokens=(65536, 10))
    packed, _ = pack(stats)
    assert packed.roots and packed.scales == (65535, 65535) and packed.error(stats) < 1 / 65535
    counts = np.array([[[[1, 2], [0, 4], [3, 1], [2, 2]]]])
    routed = np.array([[[[3, 4], [6, 5]]]])
    experts = ActivationStats(counts, np.array([[8, 8]]), ("en", "de"), shard_routed=routed)
    packed, _ = pack(experts, min_tokens=1)
    assert packed.roots and np.allclose(packed.probabilities()[0, 2], [3 / 6, 1 / 5], atol=1e-4)


def test_what_an_expert_hardly_saw_is_marked():
    rng = np.random.default_rng(1)
    routed = rng.integers(0, 40, size=(1, 2, 5, 3))
    counts = rng.binomial(np.repeat(routed, 4, axis=2), 0.4)
    stats = ActivationStats(counts, np.full((1, 3), 40), ("en", "de", "zh"), {}, routed)
    packed, _ = pack(stats, min_tokens=10)
    assert (packed.few == (routed[0] < 10)).all() and 0 < packed.few.sum() < packed.few.size
    assert (np.isnan(packed.probabilities()) == np.isnan(stats.probabilities(10))).all() and packed.error(stats) < 1e-4
    head = packed.head()
    bits = np.unpackbits(np.frombuffer(base64.b64decode(head["few"]), np.uint8), count=packed.few.size)
    assert (bits.reshape(3, 2, 5) == np.moveaxis(packed.few, -1, 0)).all()
    assert (head["experts"], head["minTokens"]) == (5, 10)
    types = classify(stats, top_rate=0.3, quantile=0.6, lam=0.2, min_tokens=10)
    assert (classify_packed(packed, top_rate=0.3, lam=0.2, quantile=0.6, scaled=True) == types.codes).all()
    assert "few" not in pack(stats_of())[0].head()
