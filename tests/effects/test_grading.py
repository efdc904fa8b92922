"""In which language a response is: shares of letters, by sentence."""

from dataclasses import replace

import numpy as np
import pytest

from neuroglot import ActivationStats, Corpus, Example, NeuroglotError, classify, grade, language_fidelity
from neuroglot.base.uncertainty import share_interval
from neuroglot.effects.grading import caveats, summarize
from neuroglot.text.languages import (
    is_detectable,
    is_language,
    language_key,
    languages_of,
    letters_by_language,
    require_codes,
)

ENGLISH = "The two children have seven apples together."
GERMAN = "Die beiden Kinder haben zusammen sieben Äpfel."


def letters(text):
    return sum(character.isalpha() for character in text)


def test_letters_are_counted_by_the_language_of_their_sentence():
    found = letters_by_language(f"{ENGLISH} {GERMAN}\n3 + 4 = 7.")
    assert found == {"en": letters(ENGLISH), "de": letters(GERMAN)}
    assert not letters_by_language("3 + 4 = 7") and not letters_by_language("")
    assert (language_key("zh_hans"), language_key("no"), language_key("swh")) == ("zh", "nb", "sw")


def test_fidelity_is_the_mean_share_of_a_response_s_letters():
    rows = [
        ("a", "en", ENGLISH),
        ("b", "en", GERMAN),
        ("c", "en", ""),
        ("a", "de", f"{GERMAN} {ENGLISH}"),
        ("a", "xx", ENGLISH),
    ]
    table = language_fidelity([Example(i, code, "?", text, "7") for i, code, text in rows])
    table = table.set_index("language")
    assert table.loc["en", "fidelity"] == 0.5
    assert table.loc["de", "fidelity"] == pytest.approx(letters(GERMAN) / (letters(ENGLISH) + letters(GERMAN)))
    assert table[["low", "high"]].isna().all(axis=None), "fewer than four wordings have no interval"
    assert table["questions"].to_dict() == {"en": 2, "de": 1, "xx": 1}
    assert np.isnan(table.loc["xx", ["fidelity", "low", "high"]].astype(float)).all()
    corpus = Corpus("c", ("en",), (Example("a", "en", "?", ENGLISH, "7"),))
    assert language_fidelity(corpus)["fidelity"].tolist() == [1]


def test_an_endless_loop_is_one_response():
    rows = [Example(str(i), "en", "?", text, "7") for i, text in enumerate((ENGLISH, ENGLISH, GERMAN, GERMAN * 50))]
    assert language_fidelity(rows)["fidelity"].tolist() == [0.5]


def test_several_answers_to_a_question_are_drawn_together():
    rows = [Example(f"a#{n}", "en", "?", text, "7") for n, text in enumerate((ENGLISH, GERMAN), 1)]
    table = language_fidelity(rows)
    assert table["questions"].tolist() == [1] and table["fidelity"].tolist() != [1]


def test_intervals_are_over_wordings():
    """Twelve wordings of two questions that are answered alike; and the same questions, each of its own wording."""
    rows = [
        Example(f"{w}{q}", "en", "?", f"{ENGLISH} It is {7 if w in 'abcd' else 9}.", "7", cluster=w)
        for w in "abcdefghijkl"
        for q in (1, 2)
    ]
    clustered = summarize(grade(rows))
    assert clustered["accuracy"].tolist() == [pytest.approx(1 / 3)] and clustered["questions"].tolist() == [24]
    low, high = share_interval(1 / 3, 12)
    assert (clustered["low"][0], clustered["high"][0]) == (pytest.approx(float(low)), pytest.approx(float(high)))
    alone = summarize(grade(replace(row, cluster="") for row in rows))
    assert alone["high"][0] - alone["low"][0] < clustered["high"][0] - clustered["low"][0]
    fidelity = language_fidelity(Example(str(i), "en", "?", ENGLISH, "7") for i in range(12))
    assert fidelity["fidelity"].tolist() == [1] and fidelity["high"].tolist() == [1] and 0.5 < fidelity["low"][0] < 0.8


def test_nothing_graded_is_an_empty_table():
    assert grade([]).empty and {"correct", "language", "group", "document"} <= set(grade([]).columns)


@pytest.mark.model  # of languages
@pytest.mark.parametrize(
    ("code", "key"),
    [
        *(("arb", "ar"), ("pes", "fa"), ("zsm", "ms"), ("lvs", "lv"), ("ekk", "et"), ("swh", "sw"), ("cmn", "zh")),
        *(("iw", "he"), ("in", "id"), ("no", "nb"), ("nb", "nb"), ("nob", "nb"), ("nn", "nn"), ("tl", "tl")),
        *(("fil", "tl"), ("deu_Latn", "de"), ("arb_Arab", "ar"), ("zh-Hant", "zh"), ("zho_Hans", "zh")),
        *(("pt-BR", "pt"), ("EN", "en"), ("sr-Cyrl", "sr"), ("ja", "ja")),
        *((code, None) for code in ("npi", "yue", "xx", "und", "sr-Latn", "hi-Latn", "pa_Arab", "km", "x-own")),
        *((code, None) for code in ("", "constructor", "__proto__", "a.b", "x[0]", "de_x", "Old Norse", "é")),
    ],
)
def test_codes_are_those_of_the_detector_or_unknown(code, key):
    assert is_detectable(code) == (key is not None)
    assert key is None or language_key(code) == key
    assert is_language(ENGLISH, code) is (None if key is None else key == "en")


def test_what_no_detector_knows_is_never_right():
    said = f"{ENGLISH} The answer is 12."
    codes = ["arb_Arab", "npi", "en", "xx"]
    graded = grade(Example("q", code, "?", said, "12") for code in codes).set_index("language")
    assert graded["right_number"].all()
    for column in ("in_language", "correct"):
        assert graded[column].isna().to_dict() == {"arb_Arab": False, "npi": True, "en": False, "xx": True}
        assert graded.loc["en", column] and not graded.loc["arb_Arab", column]
    table = summarize(graded.reset_index()).set_index("language")
    assert table["accuracy"].dropna().to_dict() == {"arb_Arab": 0, "en": 1}
    assert table.loc[["npi", "xx"], ["low", "high", "in_language"]].isna().all(axis=None)
    assert "does not know the language of npi, xx, so accuracy" in caveats(graded.reset_index())
    purity = Corpus("c", ("npi", "en"), tuple(Example("1", c, "", ENGLISH) for c in ("npi", "en"))).purity()
    assert np.isnan(purity["purity"][0]) and purity["purity"][1] == 1


def test_answers_that_were_cut_off_are_counted():
    rows = [Example(str(n), "en", "?", ENGLISH, "7", cut_off=cut) for n, cut in enumerate((True, False, False, False))]
    graded = grade(rows)
    assert graded["cut_off"].tolist() == [True, False, False, False]
    assert summarize(graded)["cut_off"].tolist() == [0.25]
    assert caveats(graded) == "25% of the answers were cut off at the limit of tokens."
    assert caveats(grade(rows[1:])) == "No answer was cut off."
    assert "was not recorded" in caveats(grade([Example("a", "en", "?", ENGLISH, "7")]))


@pytest.mark.parametrize("code", ["e\nn", "\x00", "\u202een", "\ud800", "x" * 65, " en", "Old  Norse", 3, "e\x7fn"])
def test_what_cannot_name_a_language_is_refused_where_it_enters(code):
    codes, counts = ("de", code), np.ones((1, 2, 3, 2), dtype=np.int64)
    stats = ActivationStats(counts, np.full((1, 2), 4), ("de", "en"))
    for call in (
        lambda: require_codes(codes, "here"),
        lambda: ActivationStats(counts, np.full((1, 2), 4), codes),
        lambda: replace(classify(stats, top_rate=1, lam=0, quantile=0.5), languages=codes),
        lambda: languages_of({"languages": list(codes)}, "a file"),
        lambda: Corpus("c", codes, tuple(Example("1", c, "", "Text.") for c in codes)),
    ):
        with pytest.raises(NeuroglotError, match=r"cannot name a language|no list of different") as said:
            call()
        assert str(said.value).isprintable() and len(str(said.value)) < 250
    require_codes(["en", "zh-Hant", "Old Norse", "constructor", "__proto__", "x[0]", "日本語"], "here")
