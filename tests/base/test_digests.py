"""Names by digests are told apart, numbered and found again as the names themselves would be."""

from hypothesis import given
from hypothesis import strategies as st

from neuroglot.base.digests import as_array, digest, numbered, repeated

names = st.lists(st.text(max_size=3), min_size=1, max_size=30)


def of(words):
    return as_array(b"".join(map(digest, words)))


@given(names)
def test_numbers_follow_the_first_appearance(words):
    order = list(dict.fromkeys(words))
    assert numbered(of(words)).tolist() == [order.index(word) for word in words]


@given(names)
def test_the_first_name_that_is_there_again(words):
    again = [number for number, word in enumerate(words) if word in words[:number]]
    assert repeated(of(words)) == ((words.index(words[again[0]]), again[0]) if again else None)


def test_words_are_not_run_together():
    assert len({digest("ab", "c"), digest("a", "bc"), digest("abc"), digest("abc", ""), digest("", "abc")}) == 5
    assert repeated(of([])) is None and numbered(of([])).tolist() == []
