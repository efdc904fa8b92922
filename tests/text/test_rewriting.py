"""Text in Latin letters and in random order: what must stay, what must change, and what is said of it."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import Corpus, NeuroglotError, load_corpus
from neuroglot.text.corpora import Example
from neuroglot.text.rewriting import not_latin, romanized, shuffled, words

ALPHABETS = {
    "ru": "абвгдежзиклмнопрстуыэюяёйъьАБВ",
    "zh": "小明有五个苹果他吃了请问还剩下多少",
    "ja": "たろうはりんごをもっていますトーキョー個持",
    "bn": "কখগতদনমরলসআমিওকাকে",
    "th": "กขคงจชดตนปมรลวสาิีเแ",
    "el": "αβγδεζηθικλμνξοπρστυφχψως",
    "ar": "ابتثجحخدذرزسشصضطظعغ",
}


def corpus_of(*texts, code="en"):
    examples = tuple(Example(str(n), code, prompt, response) for n, (prompt, response) in enumerate(texts))
    return Corpus("c", (code,), examples, "s", {"n": len(texts)})


def prose(code):
    return st.text(ALPHABETS[code] + " 1.,\n" if code in ALPHABETS else "abc äß1.,\n", max_size=60)


@st.composite
def some_text(draw, codes=tuple(ALPHABETS)):
    code = draw(st.sampled_from(codes))
    return code, draw(prose(code)), draw(prose(code).filter(str.strip))


@pytest.mark.parametrize(
    ("text", "code", "wanted"),
    [
        ("太郎はリンゴを五個持っています。", "ja", ["太郎は", "リンゴを", "五個", "持っています。"]),
        ("他吃了13个苹果。", "zh", ["他", "吃", "了", "13", "个", "苹果。"]),
        ("ราคาเงิน", "th", ["ราคา", "เงิน"]),
        ("дом,", "ru", ["дом,"]),
        ("", "zh", [""]),
        ("漢字", "x name", ["漢字"]),
    ],
)
def test_words_of_scripts_with_and_without_spaces(text, code, wanted):
    assert words(text, code) == wanted


def test_romanization_by_example():
    known = {
        "ru": ("Привет, мир!\n", "Privet, mir!\n"),
        "el": ("Νεπάλ", "Nepal"),
        "zh": ("北京。", "beijing."),
        "ko": ("한국어 문장", "hangugeo munjang"),
        "bn": ("১২টি", "12tti"),
    }
    for code, (text, wanted) in known.items():
        made = romanized(corpus_of(("x\n", text), code=code), [code]).examples[0]
        assert (made.prompt, made.response) == ("x\n", wanted)
    made = romanized(corpus_of(("", "他吃了13个苹果。"), code="zh")).examples[0]
    assert made.response == "ta chi le 13 ge pingguo.", "a space between words"


@settings(max_examples=60, deadline=None)
@given(some_text())
def test_letters_become_latin_and_lines_stay(made):
    code, prompt, response = made
    (found,) = romanized(corpus_of((prompt, response), code=code), [code]).examples
    for text, before in ((found.prompt, prompt), (found.response, response)):
        assert text == before or all(letter.isascii() for letter in text if letter.isalnum())
        assert text.count("\n") == before.count("\n") and bool(text.strip()) == bool(before.strip())


def test_marks_that_are_not_read_go_but_never_a_whole_text():
    found = romanized(corpus_of(("ー", "ー か"), code="ja")).examples[0]
    assert (found.prompt, found.response) == ("ー", " ka")


@settings(max_examples=100, deadline=None)
@given(some_text((*ALPHABETS, "de")), st.integers(0, 5))
def test_shuffling_keeps_words_spaces_and_lines(made, seed):
    code, prompt, response = made
    corpus = corpus_of((prompt, response), code=code)
    (found,) = shuffled(corpus, seed=seed).examples
    assert found == shuffled(corpus, seed=seed).examples[0]
    for text, before in ((found.prompt, prompt), (found.response, response)):
        assert len(text) == len(before) and "".join(words(before, code)) == before
        for line, was in zip(text.split("\n"), before.split("\n"), strict=True):
            assert Counter(line) == Counter(was)
            if code not in ("zh", "ja", "th"):
                assert Counter(line.split()) == Counter(was.split())
                assert [len(gap) for gap in re.findall(r"\s+", line)] == [len(gap) for gap in re.findall(r"\s+", was)]


def test_orders_are_all_dealt_alike():
    """Of three words the six orders, over many seeds about equally often."""
    corpus = corpus_of(("", "a b c"))
    found = Counter(shuffled(corpus, seed=seed).examples[0].response for seed in range(600))
    assert len(found) == 6 and min(found.values()) > 70 and max(found.values()) < 135


def test_texts_and_lines_have_orders_of_their_own():
    line = " ".join(map(str, range(20)))
    one, other = shuffled(corpus_of((line, f"{line}\n{line}"), (line, line))).examples
    orders = [one.prompt, *one.response.split("\n"), other.prompt, other.response]
    assert len({*orders, line}) == 6


def test_the_packaged_problems():
    corpus = load_corpus("problems", "en ru zh ja bn th", n=4)
    assert not_latin(corpus) == ("ru", "zh", "ja", "bn", "th")
    latin, dealt = romanized(corpus), shuffled(corpus, ["ru", "th"], seed=3)
    for made, changed in ((latin, not_latin(corpus)), (dealt, ("ru", "th"))):
        assert made.languages == corpus.languages
        for before, after in zip(corpus.examples, made.examples, strict=True):
            assert (after.id, after.unit, after.language, after.answer) == (
                before.id,
                before.unit,
                before.language,
                before.answer,
            )
            assert ((after.prompt, after.response) != (before.prompt, before.response)) == (before.language in changed)
    assert all(letter.isascii() for example in latin.examples for letter in example.response if letter.isalpha())
    assert not_latin(latin) == () and romanized(latin).examples == latin.examples
    assert latin.name == "problems, romanized" and dealt.name == "problems, shuffled"
    assert re.fullmatch(r"neuroglot, CC0, automatically romanized \(uroman [\d.]+, budoux [\d.]+\)", latin.source)
    assert latin.options["romanized"] == ["ru", "zh", "ja", "bn", "th"] and dealt.options["seed_of_order"] == 3
    assert len({corpus.hash, latin.hash, dealt.hash, shuffled(corpus, ["ru", "th"], seed=4).hash}) == 4


def test_languages_of_any_name_and_of_two_scripts():
    mixed = corpus_of(("", "abc где"), code="my own")
    assert not_latin(mixed) == ("my own",), "half of its letters"
    assert not_latin(corpus_of(("", "abcd где"), code="my own")) == () == not_latin(corpus_of(("", "1 + 1")))
    assert romanized(mixed).examples[0].response == "abc gde"


@pytest.mark.parametrize("rewrite", [romanized, shuffled])
def test_bad_input(rewrite):
    with pytest.raises(NeuroglotError, match="corpus c: there is no language 'sw'"):
        rewrite(corpus_of(("", "a b")), ["sw"])
