"""What language a response as a whole is in, and whether it goes round in circles."""

import pytest

from neuroglot import load_corpus
from neuroglot.text.languages import LOOPING, loops, main_language, repeated, short_code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Sie kauft sieben rote Äpfel auf dem Markt.", "de"),
        ("Ze koopt zeven rode appels op de markt.", "nl"),
        ("Hij heeft negen munten in zijn zak.", "nl"),
        ("Hon köper sju röda äpplen på torget.", "sv"),
        ("Ella compra siete manzanas rojas en el mercado.", "es"),
        ("Ela compra sete maçãs vermelhas no mercado.", "pt"),
        ("Compra sete mele rosse al mercato.", "it"),
        ("She buys seven red apples at the market.", "en"),
        ("她在市场上买了七个红苹果。", "zh"),
        ("Ok.", None),  # what many languages share
        ("taxi hotel radio", None),
        ("7 + 8 = 15", None),
        ("🍎🍎 !!", None),
        ("", None),
    ],
)
def test_a_near_relative_is_found_as_itself_and_what_is_not_clear_as_none(text, code):
    assert main_language(text) == code


def test_packaged_solutions_are_in_their_language_and_do_not_loop():
    corpus = load_corpus("problems", n=6)
    found = [(e.language, main_language(e.response[:100])) for e in corpus.examples]
    assert len(found) == 60 and all(own == said for own, said in found)
    assert max(repeated(e.response) for e in corpus.examples) < 0.36 < LOOPING


def test_half_of_the_4_grams_said_before_are_a_loop():
    assert repeated("abcd") == repeated("") == repeated("ab") == repeated("aa") == 0
    assert repeated("abcdabcd") == 1 - 4 / 5  # abcd bcda cdab dabc abcd
    assert repeated(" aaa ") == repeated("好" * 20) == 1
    assert not loops("abcdabcd") and loops("abcd" * 3) and loops("好好好") and not loops("她在市场上买了七个红苹果。")
    assert loops("Sie kauft sieben rote Äpfel. " * 3) and not loops("Sie kauft sieben rote Äpfel auf dem Markt.")
    assert loops("ja ja ja ja ja ja") and not loops("")


def test_short_codes():
    names = "eng_Latn zho_Hans zho_Hant srp_Cyrl srp_Latn pes_Arab npi_Deva en zh-Hant not-a-code! 7"
    assert [short_code(name) for name in names.split()] == [
        *("en", "zh", "zh-Hant", "sr", "sr-Latn", "fa", "ne", "en", "zh-Hant", "not-a-code!", "7")
    ]
