"""Windows: every counted token once and in its place, no language beside another, and no longer than asked for."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import NeuroglotError
from neuroglot.model.stores import Text
from neuroglot.model.windows import window_length, windows_of

from ..conftest import byte_tokenizer

BEGIN, END = 256, 257


def text(words: str, language: int = 0, shard: int = 0, example: int = 0, begins: bool = True) -> Text:
    ids = [BEGIN] * begins + list(words.encode())
    return Text(ids, [False] * begins + [True] * len(words), language, shard, example)


drawn = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2), st.integers(0, 1)), min_size=1, max_size=30)


@given(drawn, st.integers(1, 30), st.booleans())
def test_every_token_is_in_one_window_of_its_language_and_shard(drawn, length, begins):
    texts = [text(chr(97 + i % 26) * size, k, shard, i, begins) for i, (size, k, shard) in enumerate(drawn)]
    windows = list(windows_of(byte_tokenizer(), iter(texts), length))
    for place in {(each.language, each.bin) for each in texts}:
        own = [each for each in texts if (each.language, each.bin) == place]
        joined = [window for window in windows if (window.language, window.bin) == place]
        counted = [i for window in joined for i, keep in zip(window.ids, window.counted, strict=True) if keep]
        assert counted == [i for each in own for i, keep in zip(each.ids, each.counted, strict=True) if keep]
        longest = {each.example: len(each.ids) for each in own}
        assert all(len(window.ids) <= max(length, longest[window.example]) for window in joined)
        for one, after in itertools.pairwise(joined):  # the first text of the next one found no room
            assert len(one.ids) + (not begins) + longest[after.example] > length
    between = sum(token in (BEGIN, END) for window in windows for token in window.ids)
    assert between == (len(texts) if begins else len(texts) - len(windows))


def test_what_stands_between():
    tokenizer, own = byte_tokenizer(), [text("ab", begins=False), text("c", begins=False), text("def", begins=False)]
    assert [w.ids for w in windows_of(tokenizer, own, 7)] == [[97, 98, END, 99], [100, 101, 102]]
    assert [w.counted for w in windows_of(tokenizer, own, 4)] == [[True, True, False, True], [True] * 3]
    assert [w.ids for w in windows_of(tokenizer, [text("ab"), text("c")], 5)] == [[BEGIN, 97, 98, BEGIN, 99]]
    assert own[0].ids == [97, 98]  # the texts themselves are as they were
    tokenizer.eos_token = None
    assert next(w.ids for w in windows_of(tokenizer, own, 4)) == [97, 98, BEGIN, 99]
    tokenizer.bos_token = None
    assert len(list(windows_of(tokenizer, own, 3))) == 3
    with pytest.raises(NeuroglotError, match="no token to stand between two texts"):
        list(windows_of(tokenizer, own, 4))


def test_how_long_a_window_is():
    assert window_length(True, 16) == 16 and window_length(8, 16) == 8 == window_length(8, None)
    for pack, longest, message in [
        (True, None, "does not say how long its context is"),
        (17, 16, "pack=17: an input has at most 16 tokens"),
        (0, 16, "pack=0"),
        ("8", 16, "pack='8'"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            window_length(pack, longest)
