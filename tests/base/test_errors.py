"""What is asked of arguments in many places."""

import pytest

from neuroglot import NeuroglotError
from neuroglot.base.errors import require_names


def test_names_are_words_or_a_list_each_once():
    assert require_names("x", "b a  b", ["a", "b"]) == ["b", "a"] == require_names("x", ("b", "a"), {"a": 1, "b": 2})
    assert require_names("x", None, ["a"]) == [] == require_names("x", "", ["a"])
    with pytest.raises(NeuroglotError, match=r"^x: there is no 'c' to try; use a, b\.$"):
        require_names("x", ["a", "c"], ["a", "b"], " to try")
