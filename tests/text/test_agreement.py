"""Grammar that depends on a number or a noun, in every drawn text of every language.

Word lists are in ``lexicon/``; Russian is checked against a morphological dictionary (pymorphy3).
"""

import functools
import re
import tomllib
from pathlib import Path

import pytest

from neuroglot.text import problems
from neuroglot.text.problems import SITUATIONS, draw

DRAWN = draw(250, 0) + draw(372, 7)
LEFT_SIDE = re.compile(r"\d+(?: [-+×÷] \d+)+ = ")


@functools.cache
def lexicon(language: str) -> dict:
    return tomllib.loads((Path(__file__).parents[1] / "lexicon" / f"{language}.toml").read_text(encoding="utf-8"))


@functools.cache
def texts(language: str) -> tuple[str, ...]:
    """Every question and every line of a solution, without the left sides of equations."""
    return tuple(
        LEFT_SIDE.sub("", line) for problem in DRAWN for text in problem.text(language) for line in text.split("\n")
    )


def after_numbers(language: str, but: str = "") -> list[tuple[str, str]]:
    """Every word that follows a number, with the words before it; ``but`` are no nouns."""
    skip = rf"(?:(?:{'|'.join(but.split())})\s)*" if but else ""
    found = []
    for text in texts(language):
        found += [(m[1], text[: m.start()]) for m in re.finditer(rf"\d+\s{skip}(\w+)", text)]
    assert len(found) > 2000
    return found


def test_english_nouns_are_plural():
    adjectives = "more new square such red yellow adult good times of"
    for word, _ in after_numbers("en", adjectives):
        assert word.endswith("s") or word in {"people", "fish", "children", "percent", "the", "them"}, word
    assert not any(re.search(r"\ban? \d", text) for text in texts("en")), "a or an depends on the number"


@pytest.mark.parametrize(("language", "determiners"), [
    ("es", {"m": "cuántos los todos unos otros estos muchos", "f": "cuántas las todas unas otras estas muchas"}),
    ("fr", {"m": "tous", "f": "toutes"}),
])  # fmt: skip
def test_nouns_are_plural_and_determiners_have_their_gender(language, determiners):
    words = lexicon(language)
    gender = words["counted"] | words["plurals"]
    for word, _ in after_numbers(language):
        assert word in words["counted"] and (word[-1] in "sx" or word in {"por", "pour"}), word
    seen = 0
    for kind, forms in determiners.items():
        pattern = re.compile(rf"\b({'|'.join(forms.split())}) (?:les )?(\w+)", re.IGNORECASE)
        for text in texts(language):
            for determiner, noun in pattern.findall(text):
                seen += noun in gender
                assert gender.get(noun, kind) == kind, f"{determiner} {noun}"
    assert seen > 30


def test_german_cases():
    """Dative after its prepositions (and ``diesen``), for nouns and for adjectives before them."""
    case = lexicon("de")["counted"]
    dative = re.compile(r"\b(mit|von|aus|bei|zu|nach|in|diesen)( je| \d+ \w+ und)? *$", re.IGNORECASE)
    strong = {"dat": "neuen", "nom": "rote gelbe neue solche gute"}
    seen = set()
    for text in texts("de"):
        for match in re.finditer(rf"\d+ ({'|'.join(' '.join(strong.values()).split())})? ?(\w+)", text):
            adjective, noun = match.groups()
            if noun in {"so", "der", "davon"}:  # particles: no noun follows
                continue
            wanted = "dat" if dative.search(text[: match.start()]) else "nom"
            assert case[noun] in (wanted, "both"), text
            assert adjective is None or adjective in strong[wanted].split(), text
            seen.add((wanted, adjective is not None))
    assert len(seen) == 4


def test_swahili_noun_classes():
    words = lexicon("sw")
    counted, concord = words["counted"], words["concord"]
    asked = 0
    for text in texts("sw"):
        for noun in re.findall(r"(\w+) \d+", text):
            assert noun in counted or noun == "ni", text
        for noun, how_many in re.findall(r"(\w+) (\w*ngapi)\b", text):
            assert concord[str(counted[noun])] == how_many, f"{noun} {how_many}"
            asked += 1
        # "more", which agrees as well
        more = {"2": "wengine", "4": "mingine", "6": "mengine", "8": "vingine", "10": "nyingine"}
        for noun, other in re.findall(r"(\w+) \d+ (\w*(?:ngine|engine))\b", text):
            assert more[str(counted[noun])] == other, f"{noun} {other}"
    assert asked > 300


@pytest.mark.parametrize("language", ["zh", "ja", "bn", "th"])
def test_every_number_has_a_measure_word(language):
    words = lexicon(language)
    classifiers = {c for list_ in words["counted"].values() for c in list_}
    known = sorted(classifiers | set(words["units"]), key=len, reverse=True)
    follows = re.compile(rf"\d+ ?（?({'|'.join(map(re.escape, known))})")
    # The result of an equation may stand alone at the end of its line.
    alone = re.compile(r"\d+[。।]?$")
    for text in texts(language):
        for match in re.finditer(r"\d+", text):
            rest = text[match.start() :]
            assert follows.match(rest) or alone.match(rest), f"{rest[:12]} in {text}"


@pytest.mark.parametrize(("language", "pattern"), [
    ("zh", r"\d+({measure})的?({noun})"),
    ("ja", r"({noun})を(?:もう|さらに)?\d+(?!人)({measure})"),
    ("bn", r"\d+ ?({measure}) ({noun})"),
    ("th", r"({noun}) \d+ ({measure})"),
])  # fmt: skip
def test_nouns_are_counted_with_their_own_measure_word(language, pattern):
    counted = lexicon(language)["counted"]
    measures = {c for list_ in counted.values() for c in list_}

    def either(strings):
        return "|".join(map(re.escape, sorted(strings, key=len, reverse=True)))

    found = re.compile(pattern.format(measure=either(measures), noun=either(counted)))
    pairs = {pair for text in texts(language) for pair in found.findall(text)}
    assert len(pairs) >= 15
    for one, two in pairs:
        noun, measure = (one, two) if one in counted else (two, one)
        assert measure in counted[noun], f"{noun} {measure}"


# --- Russian -----------------------------------------------------------------------------------


@functools.cache
def analyser():
    import pymorphy3

    return pymorphy3.MorphAnalyzer()


def parses(word: str):
    return analyser().parse(word.lower())


def test_russian_forms_are_those_of_one_few_and_many():
    """Every triple is one word in the three forms that its case asks for."""
    triples = set()
    for situation in SITUATIONS:
        entry = problems._words("ru")[situation.name]
        for text in (entry["question"], *entry["solution"]):
            triples |= {tuple(found.split("|")) for found in re.findall(r"\{\w+:([^}]*)\}", text)}
    assert len(triples) > 60
    for triple in triples:
        # An adjective before its noun: singular, then plural in the nominative or genitive.
        *adjectives, nouns = zip(*(form.split() for form in triple), strict=True)
        one, few, many = nouns
        if not all(any(p.tag.POS == "NOUN" for p in parses(form)) for form in nouns):
            # Verbs, participles and adjectives agree in number.
            assert any(p.tag.number == "sing" for p in parses(one)), triple
            assert all(any(p.tag.number in ("plur", "sing") for p in parses(form)) for form in (few, many))
            continue
        for singular, few_, many_ in adjectives:
            assert {p.tag.number for p in parses(singular)} >= {"sing"}, triple
            assert any(p.tag.number == "plur" and p.tag.case in ("nomn", "gent") for p in parses(few_)), triple
            assert any(p.tag.number == "plur" and p.tag.case == "gent" for p in parses(many_)), triple
        cases = {p.tag.case for p in parses(one) if p.tag.POS == "NOUN" and p.tag.number == "sing"}
        counted = _counted(few, many)
        direct = counted and cases & {"nomn", "accs"}
        distributive = counted and "datv" in cases  # по 21 рублю, по 22 рубля, по 25 рублей
        oblique = few == many and any(
            p.tag.number == "plur" and p.tag.case in cases & {"gent", "datv", "ablt", "loct"} for p in parses(few)
        )
        assert direct or distributive or oblique, triple


def _counted(few: str, many: str) -> bool:
    return any(p.tag.number == "sing" and p.tag.case == "gent" for p in parses(few)) and any(
        p.tag.number == "plur" and p.tag.case == "gent" for p in parses(many)
    )


def test_russian_nouns_after_numbers_are_never_fixed():
    """A noun or adjective after a number slot has forms, and they are that number's."""
    for situation in SITUATIONS:
        entry = problems._words("ru")[situation.name]
        for text in (entry["question"], *entry["solution"]):
            for slot, word in re.findall(r"\{(\w+)\} ([\w{][^ .,?]*)", text):
                if slot[:-1] in ("f", "m"):
                    continue
                if word.startswith("{"):
                    assert word.startswith(f"{{{slot}:"), f"{situation.name}: {slot} {word}"
                    continue
                if EQUATION_SIGN.match(word):
                    continue
                likely = parses(word)[0].tag.POS
                assert likely not in ("NOUN", "ADJF", "PRTF"), f"{situation.name}: {slot} {word}"


EQUATION_SIGN = re.compile(r"[-+×÷=]")
