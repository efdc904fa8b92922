"""Texts come out of a store as they went in, from memory or from a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import NeuroglotError
from neuroglot.model.stores import Text, TextStore

tokens = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.booleans()), max_size=9)


@given(st.lists(st.tuples(tokens, st.integers(0, 3), st.integers(0, 3)), max_size=9), st.booleans())
def test_what_went_in_comes_out(drawn, in_file):
    texts = [
        Text([i for i, _ in pairs], [keep for _, keep in pairs], language, shard, 2 * number, number)
        for number, (pairs, language, shard) in enumerate(drawn)
    ]
    store = TextStore(iter(texts), in_file)
    assert list(store) == texts == store[:] and len(store) == len(texts)
    assert [store[number] for number in range(-len(texts), 0)] == texts
    assert store.lengths.tolist() == [len(text.ids) for text in texts]
    assert store.counted.tolist() == [sum(text.counted) for text in texts]
    assert store.size == 4 * store.lengths.sum() and store.in_file == in_file
    with pytest.raises(IndexError):
        store[len(texts)]


def test_a_full_disk_is_said(small_files):
    texts = (Text([1] * 50_000, [True] * 50_000, 0, 0) for _ in range(10**6))
    with small_files(), pytest.raises(NeuroglotError, match=r"could not write .*File too large"):
        TextStore(texts, in_file=True)
