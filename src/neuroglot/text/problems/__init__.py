"""Word problems in ten languages, drawn from a seed: the same problem, and the same ``id``, in each.

A :class:`Situation` says which numbers are drawn and what follows from them; ``LANGUAGE.toml`` says
it in words. In the words

- ``{a}`` is a number; ``{a:год|года|лет}`` is the form that number asks for: one, few and many in
  Russian, one and other elsewhere. Numbers are from 2 to 999, so most languages need the plural only.
- ``{f1}``, ``{f2}`` are women and girls, ``{m1}``, ``{m2}`` men and boys, from ``[people]``. Where
  names are declined a person is a table of forms, and ``{f1.gen}`` is one of them.
- every line of a solution but the last holds one equation, written alike in all languages; the last
  line says the answer, its last number.

Texts and numbers are CC0 1.0 (``LICENSE`` beside them); the code is the package's.
"""

import functools
import hashlib
import itertools
import math
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from ...base.errors import NeuroglotError


@dataclass(frozen=True)
class Situation:
    """One kind of problem.

    Attributes:
        name: of its entry in every ``LANGUAGE.toml``.
        topic: what it is about, in a word.
        level: 1 (one step, numbers to 9) to 4 (three or four steps, fractions, percentages, rates).
        ranges: values each variable is drawn from.
        solve: the other numbers of the problem, ``answer`` last; or ``None`` for a draw to reject.
    """

    name: str
    topic: str
    level: int
    ranges: Mapping[str, Sequence[int]]
    solve: Callable[..., dict[str, int] | None] = field(repr=False)


_DIGIT = range(2, 10)


def _add(a: int, b: int) -> dict[str, int]:
    return {"answer": a + b}


def _subtract(a: int, b: int) -> dict[str, int] | None:
    return {"answer": a - b} if a - b > 1 else None


def _multiply(a: int, b: int) -> dict[str, int]:
    return {"answer": a * b}


def _share(b: int, answer: int) -> dict[str, int]:
    return {"a": b * answer, "answer": answer}


def _clothes(a: int, x: int, b: int, y: int) -> dict[str, int]:
    return {"shirts": a * x, "caps": b * y, "answer": a * x + b * y}


def _biscuits(a: int, b: int, c: int) -> dict[str, int] | None:
    return {"all": a * b, "answer": a * b // c} if a * b % c == 0 and a * b > c else None


def _teams(c: int, answer: int, a: int) -> dict[str, int] | None:
    total = c * answer
    return {"b": total - a, "all": total, "answer": answer} if total - a > 5 else None


def _meadow(a: int, b: int, c: int) -> dict[str, int] | None:
    return {"area": a * b, "answer": a * b - c} if c * 2 < a * b else None


def _novel(r: int, d: int, answer: int) -> dict[str, int]:
    return {"p": r * d + answer, "read": r * d, "answer": answer}


def _tram(a: int, b: int, c: int) -> dict[str, int] | None:
    return {"rest": a - b, "answer": a - b + c} if a - b > 1 else None


def _farm(twelfths: int) -> dict[str, int]:
    a, wheat, potatoes = 12 * twelfths, 4 * twelfths, 3 * twelfths
    return {"a": a, "wheat": wheat, "potatoes": potatoes, "used": wheat + potatoes, "answer": 5 * twelfths}


def _museum(n: int, p: int, x: int) -> dict[str, int] | None:
    children = n * p // 100
    adults = n - children
    fits = n * p % 100 == 0 and adults * x < 1000
    return {"children": children, "adults": adults, "answer": adults * x} if fits else None


def _jacket(p: int, d: int, a: int) -> dict[str, int] | None:
    off = p * d // 100
    fits = p * d % 100 == 0 and off > 1
    return {"off": off, "price": p - off, "answer": (p - off) * a} if fits else None


def _cyclists(v: int, w: int, t: int, answer: int) -> dict[str, int] | None:
    both = v + w
    if v == w:
        return None
    return {"both": both, "ridden": both * t, "d": both * t + answer, "answer": answer}


def _workshop(r: int, h: int, d: int, x: int) -> dict[str, int] | None:
    made = r * h * d
    return {"day": r * h, "made": made, "answer": made - x} if made - x > 1 else None


def _wages(w: int, h: int, s: int) -> dict[str, int]:
    week, sunday = h * w, s * 2 * w
    return {"week": week, "double": 2 * w, "sunday": sunday, "answer": week + sunday}


def _family(a: int, k: int, c: int, b: int) -> dict[str, int] | None:
    mother = a * k
    if not a + 20 <= mother <= a + 40:
        return None
    return {"mother": mother, "father": mother + c, "answer": mother + c + b}


def _average(k: int, answer: int, a: int, b: int) -> dict[str, int] | None:
    c = k * answer - a - b
    fits = 9 < c < 41 and len({a, b, c}) == 3
    return {"c": c, "two": a + b, "all": k * answer, "answer": answer} if fits else None


def _trader(n: int, x: int, more: int) -> dict[str, int]:
    return {"y": x + more, "cost": n * x, "income": n * (x + more), "answer": n * more}


def _beads(sixths: int) -> dict[str, int]:
    return {"a": 6 * sixths, "half": 3 * sixths, "third": sixths, "answer": 2 * sixths}


def _fence(a: int, b: int, c: int) -> dict[str, int] | None:
    around = 2 * (a + b)
    return {"half": a + b, "round": around, "answer": around * c} if around * c < 1000 and a > b else None


def _fuel(f: int, times: int, p: int) -> dict[str, int]:
    return {"d": 100 * times, "times": times, "litres": times * f, "answer": times * f * p}


def _library(a: int, b: int, c: int, d: int, e: int) -> dict[str, int]:
    first, new = a * b, d * e
    return {"first": first, "rest": first - c, "new": new, "answer": first - c + new}


def _salary(s: int, p: int, q: int) -> dict[str, int]:
    rent = s * p // 100
    return {"rent": rent, "after": s - rent, "answer": s - rent - q}


def _excursion(k: int, buses: int, t: int, p: int) -> dict[str, int]:
    return {"n": k * buses - t, "all": k * buses, "buses": buses, "answer": buses * p}


def _printer(rate: int, m: int, x: int) -> dict[str, int]:
    return {"c": rate * m, "rate": rate, "hour": 60 * rate, "answer": 60 * rate - x}


def _tiles(a: int, b: int, c: int, k: int) -> dict[str, int] | None:
    tiles = a * b * c
    fits = a > b and tiles % k == 0 and k < tiles < 1000
    return {"area": a * b, "tiles": tiles, "answer": tiles // k} if fits else None


#: Every situation, by level.
SITUATIONS = (
    # One step, numbers to 9.
    Situation("apples", "sharing", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("shelves", "books", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("birds", "nature", 1, {"a": range(4, 10), "b": range(2, 8)}, _subtract),
    Situation("fishing", "nature", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("eggs", "farm", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("bus", "journeys", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("flowers", "home", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("pencils", "sharing", 1, {"a": range(4, 10), "b": range(2, 8)}, _subtract),
    Situation("chairs", "home", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("goals", "sport", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("cookies", "food", 1, {"a": range(4, 10), "b": range(2, 8)}, _subtract),
    Situation("birthday", "ages", 1, {"a": range(5, 10), "b": _DIGIT}, _add),
    Situation("walk", "journeys", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("shells", "nature", 1, {"a": _DIGIT, "b": _DIGIT}, _add),
    Situation("windows", "home", 1, {"a": range(4, 10), "b": range(2, 8)}, _subtract),
    # One step with larger numbers, or a multiplication or division.
    Situation("crayons", "school", 2, {"a": _DIGIT, "b": range(4, 13)}, _multiply),
    Situation("sweets", "sharing", 2, {"b": range(3, 10), "answer": range(2, 13)}, _share),
    Situation("orchard", "fields", 2, {"a": range(4, 13), "b": range(4, 13)}, _multiply),
    Situation("cinema", "shopping", 2, {"a": range(3, 7), "b": range(8, 16)}, _multiply),
    Situation("change", "shopping", 2, {"a": (50, 100), "b": range(12, 49)}, _subtract),
    Situation("piggybank", "savings", 2, {"a": range(3, 13), "b": range(3, 13)}, _multiply),
    Situation("pages", "books", 2, {"a": range(80, 201, 10), "b": range(15, 78)}, _subtract),
    Situation("crates", "shopping", 2, {"b": (6, 8, 10, 12), "answer": range(3, 13)}, _share),
    Situation("brother", "ages", 2, {"a": range(11, 19), "b": range(2, 8)}, _subtract),
    Situation("carriages", "journeys", 2, {"a": range(4, 11), "b": range(20, 61, 5)}, _multiply),
    Situation("rope", "home", 2, {"b": range(2, 10), "answer": range(3, 13)}, _share),
    Situation("queue", "queues", 2, {"a": range(4, 25), "b": range(4, 25)}, lambda a, b: {"answer": a + b + 1}),
    Situation("cakes", "recipes", 2, {"a": range(120, 241, 10), "b": range(2, 5)}, _multiply),
    Situation("temperature", "nature", 2, {"a": range(8, 19), "b": range(5, 16)}, _add),
    Situation("mushrooms", "nature", 2, {"a": range(12, 49)}, lambda a: {"answer": 2 * a}),
    # Two or three steps.
    Situation(
        "clothes",
        "shopping",
        3,
        {"a": range(2, 6), "x": range(15, 41), "b": range(2, 6), "y": range(5, 15)},
        _clothes,
    ),
    Situation(
        "drive",
        "journeys",
        3,
        {"t": range(2, 6), "v": range(80, 121, 5), "k": range(12, 60)},
        lambda t, v, k: {"far": v * t, "answer": v * t + k},
    ),
    Situation("biscuits", "sharing", 3, {"a": range(2, 7), "b": range(6, 13), "c": range(3, 9)}, _biscuits),
    Situation("teams", "sport", 3, {"c": range(4, 9), "answer": range(4, 11), "a": range(9, 31)}, _teams),
    Situation(
        "garden",
        "fields",
        3,
        {"a": range(20, 60), "b": range(8, 20)},
        lambda a, b: {"half": a + b, "answer": 2 * (a + b)},
    ),
    Situation("meadow", "fields", 3, {"a": range(20, 34), "b": range(10, 20), "c": range(30, 100, 5)}, _meadow),
    Situation(
        "bicycle",
        "savings",
        3,
        {"w": range(10, 31, 5), "answer": range(4, 13), "s": range(20, 121, 10)},
        lambda w, answer, s: {"p": s + w * answer, "need": w * answer, "answer": answer},
    ),
    Situation(
        "stickers",
        "sharing",
        3,
        {"half": range(8, 41), "b": range(5, 21)},
        lambda half, b: {"a": 2 * half, "half": half, "answer": half + b},
    ),
    Situation("cousins", "ages", 3, {"a": range(6, 21)}, lambda a: {"cousin": 2 * a, "answer": 3 * a}),
    Situation(
        "rice",
        "recipes",
        3,
        {"k": (2, 4, 5), "each": range(60, 101, 5), "n": range(6, 10)},
        lambda k, each, n: {"g": k * each, "each": each, "answer": each * n},
    ),
    Situation("novel", "books", 3, {"r": range(12, 41), "d": range(3, 10), "answer": range(20, 120)}, _novel),
    Situation("tram", "queues", 3, {"a": range(25, 60), "b": range(6, 24), "c": range(4, 24)}, _tram),
    Situation(
        "hens",
        "farm",
        3,
        {"a": range(6, 21), "b": range(3, 7), "c": range(2, 7)},
        lambda a, b, c: {"week": a * b, "answer": a * b * c},
    ),
    Situation(
        "taps",
        "rates",
        3,
        {"a": range(8, 21), "b": range(5, 16), "t": range(10, 26, 5)},
        lambda a, b, t: {"both": a + b, "answer": (a + b) * t},
    ),
    Situation(
        "zoo",
        "shopping",
        3,
        {"a": range(2, 6), "x": range(14, 31), "y": range(5, 13)},
        lambda a, x, y: {"adults": a * x, "answer": a * x + y},
    ),
    # Three or four steps: fractions, percentages, rates.
    Situation("jacket", "percentages", 4, {"p": range(40, 201, 20), "d": (10, 20, 25, 50), "a": (2, 3, 4)}, _jacket),
    Situation("museum", "percentages", 4, {"n": range(40, 161, 20), "p": (20, 25, 40, 50), "x": range(5, 13)}, _museum),
    Situation("farm", "fractions", 4, {"twelfths": range(2, 41)}, _farm),
    Situation(
        "cyclists",
        "journeys",
        4,
        {"v": range(14, 23), "w": range(14, 23), "t": range(2, 5), "answer": range(10, 61)},
        _cyclists,
    ),
    Situation(
        "workshop",
        "rates",
        4,
        {"r": range(3, 9), "h": range(6, 10), "d": range(3, 11), "x": range(20, 60)},
        _workshop,
    ),
    Situation("wages", "rates", 4, {"w": range(9, 17), "h": range(10, 31), "s": range(3, 8)}, _wages),
    Situation(
        "family",
        "ages",
        4,
        {"a": range(6, 16), "k": range(3, 7), "c": range(2, 8), "b": range(5, 16)},
        _family,
    ),
    Situation(
        "average",
        "sport",
        4,
        {"k": (3,), "answer": range(14, 31), "a": range(10, 41), "b": range(10, 41)},
        _average,
    ),
    Situation("trader", "shopping", 4, {"n": range(15, 61, 5), "x": range(3, 9), "more": range(2, 6)}, _trader),
    Situation("beads", "fractions", 4, {"sixths": range(4, 61)}, _beads),
    Situation("fence", "fields", 4, {"a": range(15, 41), "b": range(10, 31), "c": range(4, 10)}, _fence),
    Situation("fuel", "journeys", 4, {"f": range(6, 13), "times": range(2, 9), "p": range(2, 10)}, _fuel),
    Situation(
        "library",
        "books",
        4,
        {"a": range(6, 13), "b": range(20, 41), "c": range(30, 91), "d": range(3, 8), "e": range(10, 26)},
        _library,
    ),
    Situation(
        "salary",
        "percentages",
        4,
        {"s": range(400, 901, 50), "p": (20, 30, 40), "q": range(80, 161, 10)},
        _salary,
    ),
    Situation(
        "excursion",
        "queues",
        4,
        {"k": (12, 14, 15, 16, 18, 20), "buses": range(3, 9), "t": range(3, 8), "p": range(60, 121, 5)},
        _excursion,
    ),
    Situation("printer", "rates", 4, {"rate": range(4, 13), "m": range(3, 10), "x": range(12, 60)}, _printer),
    Situation(
        "tiles", "home", 4, {"a": range(5, 10), "b": range(3, 8), "c": (4, 6, 9, 12), "k": (6, 8, 10, 12, 20)}, _tiles
    ),
)

LANGUAGES = ("en", "ru", "es", "fr", "de", "zh", "ja", "bn", "th", "sw")
LEVELS = (1, 2, 3, 4)
#: Digits of the scripts that have their own.
NATIVE_DIGITS = {"bn": "০১২৩৪৫৬৭৮৯", "th": "๐๑๒๓๔๕๖๗๘๙"}

_SLOT = re.compile(r"\{(\w+)(?:\.(\w+))?(?::([^{}]*))?\}")
_PERSON = re.compile(r"([fm])([12])$")


@dataclass(frozen=True)
class Problem:
    """One drawn problem, in no language yet.

    Attributes:
        id: number in the draw and situation, ``"0007-goals"``; the same for any number drawn.
        situation: what it is about.
        numbers: every number of question and solution by name; ``answer`` among them.
        people: for each of ``f1 f2 m1 m2`` which of the language's names.
    """

    id: str
    situation: Situation
    numbers: Mapping[str, int]
    people: Mapping[str, int]

    def text(self, language: str, *, native_digits: bool = False) -> tuple[str, str]:
        """Question and worked solution in a language."""
        words = _words(language)
        entry = words[self.situation.name]

        def filled(match: re.Match[str]) -> str:
            name, form, forms = match.groups()
            if person := _PERSON.match(name):
                entry = words["people"][person[1]][self.people[name]]
                word: str = entry[form or "nom"] if isinstance(entry, dict) else entry
                return word
            number = self.numbers[name]
            return forms.split("|")[plural_form(language, number)] if forms else str(number)

        question, *lines = (_SLOT.sub(filled, text) for text in (entry["question"], *entry["solution"]))
        solution = "\n".join(lines)
        if native_digits and language in NATIVE_DIGITS:
            table = str.maketrans("0123456789", NATIVE_DIGITS[language])
            return question.translate(table), solution.translate(table)
        return question, solution


def plural_form(language: str, number: int) -> int:
    """Which form a whole number asks for: 0 one, 1 few (Russian) or other, 2 many."""
    if language == "ru":
        if number % 10 == 1 and number % 100 != 11:
            return 0
        return 1 if 2 <= number % 10 <= 4 and not 12 <= number % 100 <= 14 else 2
    return int(number != 1)


@functools.cache
def _words(language: str) -> dict[str, Any]:
    return tomllib.loads((files(__name__) / f"{language}.toml").read_text(encoding="utf-8"))


def _drawn(label: str, choices: int) -> int:
    """A number below ``choices`` from a hash, so that no release of any library changes the draw."""
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8]) % choices


def draw(n: int = 250, seed: int = 0, levels: Sequence[int] = LEVELS) -> list[Problem]:
    """The first ``n`` problems of a seed, no two alike: levels in turn, every situation once a round.

    Raises:
        NeuroglotError: more problems than there are different ones (thousands a level).
    """
    of_level = [[s for s in SITUATIONS if s.level == level] for level in levels]
    if n > (most := sum(map(_most, itertools.chain(*of_level)))):
        raise NeuroglotError(f"there are at most {most:,} different problems; n={n} is too many.")
    order = [s for row in itertools.zip_longest(*of_level) for s in row if s is not None]
    problems: list[Problem] = []
    seen: set[tuple[Any, ...]] = set()
    for number in itertools.count():
        if not order:
            raise NeuroglotError(f"there are only {len(problems)} different problems; n={n} is too many.")
        for situation in list(order):
            if len(problems) == n:
                return problems
            for attempt in range(2000):
                label = f"{seed}/{situation.name}/{number}/{attempt}"
                numbers = {
                    name: values[_drawn(f"{label}/{name}", len(values))] for name, values in situation.ranges.items()
                }
                solved, people = situation.solve(**numbers), _people(label)
                key = (situation.name, *numbers.values(), *(people[slot] for slot in _slots(situation.name)))
                if solved is not None and key not in seen:
                    seen.add(key)
                    id_ = f"{len(problems):04d}-{situation.name}"
                    problems.append(Problem(id_, situation, numbers | solved, people))
                    break
            else:
                order.remove(situation)  # all of its problems are drawn, or so nearly that it does not matter
    raise AssertionError("counting has no end")


def _most(situation: Situation) -> int:
    """More problems than this a situation does not have: with every number, and every two names of a list of eight."""
    people = Counter(slot[0] for slot in _slots(situation.name))
    numbers = math.prod(len(values) for values in situation.ranges.values())
    return numbers * math.prod(8 if number == 1 else 8 * 7 for number in people.values())


@functools.cache
def _slots(situation: str) -> tuple[str, ...]:
    """The people who occur in a situation."""
    entry = _words("en")[situation]
    names = {match[1] for text in (entry["question"], *entry["solution"]) for match in _SLOT.finditer(text)}
    return tuple(sorted(name for name in names if _PERSON.match(name)))


def _people(label: str) -> dict[str, int]:
    """Two different people of each list of eight."""
    people = {}
    for kind in "fm":
        first = _drawn(f"{label}/{kind}1", 8)
        people[f"{kind}1"] = first
        people[f"{kind}2"] = (first + 1 + _drawn(f"{label}/{kind}2", 7)) % 8
    return people
