"""The packaged problems: the same problem in every language, rightly solved, in the right language."""

import hashlib
import json
import re
import unicodedata

import pytest

from neuroglot import NeuroglotError, load_corpus
from neuroglot.text import problems
from neuroglot.text.languages import detect_language, split_sentences
from neuroglot.text.problems import LANGUAGES, SITUATIONS, Problem, draw, plural_form

# Solved again from the numbers of the question alone, by other formulas than the package's where there are any.
SOLVERS = {
    "apples": lambda a, b: a + b,
    "shelves": lambda a, b: a + b,
    "birds": lambda a, b: a - b,
    "fishing": lambda a, b: a + b,
    "eggs": lambda a, b: a + b,
    "bus": lambda a, b: a + b,
    "flowers": lambda a, b: a + b,
    "pencils": lambda a, b: a - b,
    "chairs": lambda a, b: a + b,
    "goals": lambda a, b: a + b,
    "cookies": lambda a, b: a - b,
    "birthday": lambda a, b: a + b,
    "walk": lambda a, b: a + b,
    "shells": lambda a, b: a + b,
    "windows": lambda a, b: a - b,
    "crayons": lambda a, b: a * b,
    "sweets": lambda a, b: a / b,
    "orchard": lambda a, b: a * b,
    "cinema": lambda b, a: a * b,
    "change": lambda b, a: a - b,
    "piggybank": lambda a, b: a * b,
    "pages": lambda a, b: a - b,
    "crates": lambda a, b: a / b,
    "brother": lambda a, b: a - b,
    "carriages": lambda a, b: a * b,
    "rope": lambda a, b: a / b,
    "queue": lambda a, b: sum([a, b, 1]),
    "cakes": lambda a, b: a * b,
    "temperature": lambda a, b: a + b,
    "mushrooms": lambda a: a + a,
    "clothes": lambda a, x, b, y: sum([x] * a) + sum([y] * b),
    "drive": lambda t, v, k: t * v + k,
    "biscuits": lambda a, b, c: a * b / c,
    "teams": lambda a, b, c: (a + b) / c,
    "garden": lambda a, b: a + b + a + b,
    "meadow": lambda a, b, c: a * b - c,
    "bicycle": lambda p, s, w: (p - s) / w,
    "stickers": lambda a, b: a / 2 + b,
    "cousins": lambda a: 3 * a,
    "rice": lambda k, g, n: g * n / k,
    "novel": lambda p, r, d: p - r * d,
    "tram": lambda a, b, c: a + c - b,
    "hens": lambda a, b, c: c * b * a,
    "taps": lambda a, b, t: a * t + b * t,
    "zoo": lambda x, y, a: y + x * a,
    "jacket": lambda p, d, a: a * p * (100 - d) / 100,
    "museum": lambda n, p, x: n * x * (100 - p) / 100,
    "farm": lambda a: a * 5 / 12,
    "cyclists": lambda d, v, w, t: d - v * t - w * t,
    "workshop": lambda r, h, d, x: d * h * r - x,
    "wages": lambda w, h, s: w * (h + 2 * s),
    "family": lambda a, k, c, b: k * a + b + c,
    "average": lambda a, b, c, k: (a + b + c) / k,
    "trader": lambda n, x, y: n * (y - x),
    "beads": lambda a: a / 3,
    "fence": lambda a, b, c: (2 * a + 2 * b) * c,
    "fuel": lambda f, d, p: f * p * d / 100,
    "library": lambda a, b, c, d, e: a * b + d * e - c,
    "salary": lambda s, p, q: s * (100 - p) / 100 - q,
    "excursion": lambda n, t, k, p: p * (n + t) / k,
    "printer": lambda c, m, x: c * 60 / m - x,
    "tiles": lambda a, b, c, k: a * b * c / k,
}

DRAWN = draw(250, 0) + draw(372, 7)
EQUATION = re.compile(r"\d+(?: [-+×÷] \d+)+ = \d+")


def numbers(text: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"[0-9]+", text)]


def test_at_least_sixty_situations_of_four_levels():
    assert len({situation.name for situation in SITUATIONS}) == len(SITUATIONS) >= 60
    assert {situation.level for situation in SITUATIONS} == {1, 2, 3, 4}
    topics = {situation.topic for situation in SITUATIONS}
    wanted = "shopping sharing journeys ages recipes savings fields queues rates fractions percentages"
    assert set(wanted.split()) <= topics


def test_every_answer_again_from_the_question_alone():
    assert set(SOLVERS) == {situation.name for situation in SITUATIONS}
    for problem in DRAWN:
        solver = SOLVERS[problem.situation.name]
        given = [problem.numbers[name] for name in solver.__code__.co_varnames]
        assert solver(*given) == problem.numbers["answer"], problem
        # The numbers the solver used are those of the question, and no others.
        constants = [100] if problem.situation.name == "fuel" else []
        constants += [] if "k" in problem.situation.ranges or problem.situation.name != "average" else [3]
        assert sorted(numbers(problem.text("en")[0])) == sorted(given + constants)


@pytest.mark.parametrize("language", LANGUAGES)
def test_solutions_are_right_and_the_same_in_every_language(language):
    for problem in DRAWN:
        question, solution = problem.text(language)
        english_question, english_solution = problem.text("en")
        assert sorted(numbers(question)) == sorted(numbers(english_question))
        assert numbers(solution)[-1] == problem.numbers["answer"], solution
        assert EQUATION.findall(solution) == EQUATION.findall(english_solution)
        assert len(solution.split("\n")) == len(english_solution.split("\n"))
        for equation in EQUATION.findall(solution):
            left, right = equation.replace("×", "*").replace("÷", "/").split(" = ")
            assert eval(left) == int(right), equation
        for line in solution.split("\n")[:-1]:
            assert len(EQUATION.findall(line)) == 1, line
        assert all(2 <= number <= 999 for number in numbers(question))
        for text in (question, solution):
            assert not re.search(r"[{}|]|  |\d[.,]\d", text) and unicodedata.is_normalized("NFC", text), text


@pytest.mark.model  # of languages
@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_in_their_language(language):
    wrong = []
    for problem in DRAWN[:372]:
        for text in problem.text(language):
            if len(text) > 40 and detect_language(text) != language:
                wrong.append((detect_language(text), text))
    assert not wrong


def test_no_sentence_stands_under_two_languages():
    owner: dict[str, str] = {}
    for language in LANGUAGES:
        for problem in DRAWN:
            for text in problem.text(language):
                for sentence in split_sentences(text):
                    assert owner.setdefault(sentence, language) == language, sentence


def test_names_and_words_are_whole():
    for language in LANGUAGES:
        words = problems._words(language)
        assert list(words) == ["people", *(situation.name for situation in SITUATIONS)]
        for kind in "fm":
            people = [person if isinstance(person, str) else person["nom"] for person in words["people"][kind]]
            assert len(set(people)) == 8
        for situation in SITUATIONS:
            english, mine = (problems._words(code)[situation.name] for code in ("en", language))
            for one, two in zip([english["question"]], [mine["question"]], strict=True):
                # Pronouns may stand for people, but nobody is added.
                assert _people(two) <= _people(one) | _people("".join(english["solution"]))


def _people(text: str) -> set[str]:
    return set(re.findall(r"\{([fm][12])", text))


def test_the_draw_is_fixed():
    drawn = [(problem.id, dict(problem.numbers), dict(problem.people)) for problem in draw(250, 0)]
    digest = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()
    assert digest[:16] == "018845ac7f7a0d75", "another draw means other problems under the ids people have cited"
    assert draw(100, 0) == draw(250, 0)[:100]
    assert [p.numbers for p in draw(62, 0)] != [p.numbers for p in draw(62, 1)]
    assert {problem.situation.level for problem in draw(30, 0, (2, 3))} == {2, 3}
    assert {problem.situation.name for problem in draw(62, 0)} == set(SOLVERS)


def test_any_number_of_different_problems():
    many = draw(5000, 3)
    assert len({problem.text("en")[0] for problem in many}) == 5000
    assert len({problem.id for problem in many}) == 5000
    with pytest.raises(NeuroglotError, match=r"there are only \d+ different problems; n=9000"):
        draw(9000, 0, (1,))


def test_as_a_corpus():
    corpus = load_corpus("problems")
    assert corpus.languages == LANGUAGES and len(corpus.examples) == 2500
    by_language = [[e for e in corpus.examples if e.language == code] for code in LANGUAGES]
    for row in zip(*by_language, strict=True):
        assert len({(e.id, e.answer, e.group) for e in row}) == 1
    assert corpus.hash == load_corpus("problems", n=250, seed=0).hash != load_corpus("problems", seed=1).hash
    first = load_corpus("problems", "sw en", n=4, levels="1,2").examples
    assert [e.language for e in first] == ["sw"] * 4 + ["en"] * 4
    assert [e.group for e in first[:4]] == ["level 1", "level 2"] * 2
    assert all(e.prompt.endswith("?\n") for e in first[4:])
    with pytest.raises(NeuroglotError, match="not written in 'te'"):
        load_corpus("problems", "en te")
    for levels in ("5", "one", []):
        with pytest.raises(NeuroglotError, match="choose among 1, 2, 3, 4"):
            load_corpus("problems", levels=levels)
    with pytest.raises(NeuroglotError, match="n=0"):
        load_corpus("problems", n=0)
    with pytest.raises(NeuroglotError, match="give a whole number"):
        load_corpus("problems", seed="x")


def test_digits_of_the_script():
    plain, native = (load_corpus("problems", "bn th en", n=8, native_digits=native) for native in (False, True))
    for one, two in zip(plain.examples, native.examples, strict=True):
        assert (one.prompt != two.prompt) == (one.language != "en")
        assert bool(re.search("[0-9]", two.response)) == (two.language == "en")
        back = "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in two.response)
        assert back == one.response


def test_forms_follow_the_number():
    from babel import Locale

    names = {"one": 0, "few": 1, "many": 2}
    rule = Locale("ru").plural_form
    assert all(plural_form("ru", number) == names[rule(number)] for number in range(2000))
    text = Problem("x", SITUATIONS[1], {"a": 21, "b": 12, "answer": 33}, {}).text("ru")[0]
    assert "21 книга" in text and "12 книг." in text
