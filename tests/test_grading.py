"""In which language a response is: shares of letters, by sentence."""

import numpy as np
import pytest

from neuroglot import Corpus, Example, grade, language_fidelity
from neuroglot.languages import language_key, letters_by_language

ENGLISH = "The two children have seven apples together."
GERMAN = "Die beiden Kinder haben zusammen sieben Äpfel."


def letters(text):
    return sum(character.isalpha() for character in text)


def test_letters_are_counted_by_the_language_of_their_sentence():
    found = letters_by_language(f"{ENGLISH} {GERMAN}\n3 + 4 = 7.")
    assert found == {"en": letters(ENGLISH), "de": letters(GERMAN)}
    assert not letters_by_language("3 + 4 = 7") and not letters_by_language("")
    assert (language_key("zh_hans"), language_key("no"), language_key("swh")) == ("zh", "nb", "sw")


def test_fidelity_is_a_share_of_all_letters():
    rows = [
        ("a", "en", ENGLISH),
        ("b", "en", GERMAN),
        ("c", "en", ""),
        ("a", "de", f"{GERMAN} {ENGLISH}"),
        ("a", "xx", ENGLISH),
    ]
    table = language_fidelity([Example(i, code, "?", text, "7") for i, code, text in rows], resamples=400)
    table = table.set_index("language")
    assert table.loc["en", "fidelity"] == pytest.approx(letters(ENGLISH) / (letters(ENGLISH) + letters(GERMAN)))
    assert table.loc["de", "fidelity"] == pytest.approx(letters(GERMAN) / (letters(ENGLISH) + letters(GERMAN)))
    assert (table.loc["en", "low"], table.loc["en", "high"]) == (0, 1)
    assert table.loc["de", "low"] == table.loc["de", "high"] == table.loc["de", "fidelity"]
    assert table["questions"].to_dict() == {"en": 3, "de": 1, "xx": 1}
    assert np.isnan(table.loc["xx", ["fidelity", "low", "high"]].astype(float)).all()
    corpus = Corpus("c", ("en",), (Example("a", "en", "?", ENGLISH, "7"),))
    assert language_fidelity(corpus)["fidelity"].tolist() == [1]


def test_several_answers_to_a_question_are_drawn_together():
    rows = [Example(f"a#{n}", "en", "?", text, "7") for n, text in enumerate((ENGLISH, GERMAN), 1)]
    table = language_fidelity(rows, resamples=50)
    assert table["questions"].tolist() == [1] and table["low"].tolist() == table["fidelity"].tolist() != [1]


def test_nothing_graded_is_an_empty_table():
    assert grade([]).empty and {"correct", "language", "group", "document"} <= set(grade([]).columns)
