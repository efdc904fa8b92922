"""Wrong answers are wrong in one respect only; equations are read as they are written."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError, load_corpus
from neuroglot.text.corruptions import GROUPS, corrupted
from neuroglot.text.numbers import equations, last_number, numbers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9 + 4 = 13, then 13 - 5 = 7.", [(13, True), (7, False)]),
        ("2 + 3 × 4 = 14 and 2 × 3 + 4 = 14", [(14, True), (14, False)]),
        ("100 × 20 ÷ 100 = 20（元）", [(20, True)]),
        ("7 ÷ 2 = 3.5; 1 ÷ 0 = 1", [(Decimal("3.5"), True), (1, False)]),
        ("১২ + ৩ = ১৫টি", [(15, True)]),
        ("8-5=3 and 1,200 − 200 = 1,000", [(3, True), (1000, True)]),
        ("2 + 3 = 5 + 1 = 6", [(5, True)]),
        ("There are 3 apples = fruit, and x = 5.", []),
    ],
)
def test_equations(text, found):
    got = equations(text)
    assert [(each.value, each.true) for each in got] == [(Decimal(value), true) for value, true in found]
    assert all(last_number(text[each.start : each.end]) == each.value for each in got)


@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(1, 99)), min_size=1, max_size=4), st.integers(0, 99))
def test_equations_agree_with_python(steps, first):
    from fractions import Fraction

    written = " ".join([str(first), *(f"{operator} {number}" for operator, number in steps)])
    value = eval(" ".join([f"Fraction({first})", *(f"{o} Fraction({n})" for o, n in steps)]), {"Fraction": Fraction})
    if value >= 0 and value.denominator == 1:
        for result in (int(value), int(value) + 1):
            ((_, _, found, true),) = equations(f"{written} = {result}")
            assert (found, true) == (result, result == value)


def test_every_corruption_of_the_problems_is_wrong_in_one_respect():
    corpus = load_corpus("problems", n=62)
    made = corrupted(corpus, ("zh", "bn"), seed=1)
    assert made.languages == ("zh", "bn")
    right = {(e.language, e.id): e for e in corpus.examples}
    kinds = {}
    for example in made.examples:
        true = right[example.language, example.document]
        kinds.setdefault((example.language, example.document), []).append(example.group)
        assert example.prompt == true.prompt and example.id.endswith(f"#{GROUPS.index(example.group) + 1}")
        same_answer = last_number(example.response) == Decimal(true.answer)
        steps = all(each.true for each in equations(example.response))
        if example.group == "right":
            assert example.response == true.response
        elif example.group == "wrong language":
            others = {e.response for e in corpus.examples if e.id == true.id and e.language != example.language}
            assert example.response in others and same_answer and steps
        else:
            changed = [i for i, (a, b) in enumerate(zip(example.response, true.response, strict=True)) if a != b]
            assert len(changed) == 1 and example.response[changed[0]].isdecimal()
            assert (same_answer, steps) == ((False, True) if example.group == "wrong number" else (True, False))
    assert all(found == list(GROUPS) for found in kinds.values()) and len(kinds) == 124
    assert corrupted(corpus, ("zh", "bn"), seed=1) == made != corrupted(corpus, ("zh", "bn"), seed=2)


def test_what_cannot_be_made_is_left_out():
    rows = [
        ("a", "No number here."),
        ("b", "It is 5."),
        ("c", "0"),
        ("d", "So 2 + 2 = 4"),
        ("e", "x = 5. 2 + 3 = 5, so 5."),
    ]
    corpus = Corpus("c", ("en",), tuple(Example(i, "en", "Q?", text, "5") for i, text in rows))
    made = {e.id: e.response for e in corrupted(corpus).examples}
    assert set(made) == {"a#1", "b#1", "b#2", "c#1", "c#2", "d#1", "d#2", "e#1", "e#2", "e#3"}, (
        "no other language, no step before the end"
    )
    assert made["e#3"].startswith("x = 5. 2 + 3 = ") and not equations(made["e#3"])[0].true
    assert numbers(made["b#2"])[0][2] not in (0, 5) and numbers(made["c#2"])[0][2] != 0


def test_bad_input():
    corpus = load_corpus("problems", "en de", n=4)
    with pytest.raises(NeuroglotError, match="there is no language 'sw'"):
        corrupted(corpus, ("sw",))
    bare = Corpus("q", ("en",), (Example("a", "en", "How much?", ""),))
    with pytest.raises(NeuroglotError, match="no right responses to corrupt"):
        corrupted(bare)
