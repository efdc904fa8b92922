"""Neurons found again on rewritten text: by hand on made counts, and a model from end to end."""

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, Corpus, NeuroglotError, detect
from neuroglot.base.uncertainty import LESS, SAME, mean_of
from neuroglot.effects import comparing, rewritten
from neuroglot.text.corpora import Example

CODES = ("en", "ru", "bn")


def counts_of(own, codes=CODES, tokens=200):
    """Counts in which each language's own neurons, of 40 in each of two layers, are always active, others seldom."""
    counts = np.full((1, 2, 40, len(codes)), 10)
    for k, neurons in enumerate(own):
        for layer, neuron in neurons:
            counts[0, layer, neuron, k] = tokens
    return ActivationStats(counts, np.full((1, len(codes)), tokens), codes)


OWN = [[(0, 0), (0, 1)], [(0, 2), (0, 3), (1, 4), (1, 5)], [(1, 6), (1, 7), (1, 8), (1, 9)]]
LOOSE = {"filter_rate": 0.9, "bar_rate": 0.9}


def found(stats):
    return {"lape": detect(stats, "lape", **LOOSE)}


@pytest.fixture
def table(monkeypatch):
    """Of Russian's neurons three of four stay on other wordings and one is left in Latin letters; Bengali keeps all."""
    monkeypatch.setattr(rewritten, "detected", lambda names, stats, slopes: (found(stats), {}))
    one = counts_of([OWN[0], [*OWN[1][:3], (1, 20)], OWN[2]])
    again = counts_of([[OWN[1][0], (0, 30), (0, 31), (1, 32)], OWN[2]], ("ru", "bn"))
    other = found(counts_of(OWN))
    return rewritten.found_again(other, found(one), (one, None), {"romanized": (again, None)}, 4)


def test_shares_by_hand(table):
    rows = table.set_index("language").to_dict("index")
    assert list(rows) == ["ru", "bn"] and set(table["detector"]) == {"lape"} and set(table["neurons"]) == {4}
    assert [rows["ru"][name] for name in ("unchanged", "rewritten", "difference")] == [0.75, 0.25, -0.5]
    assert [rows["bn"][name] for name in ("unchanged", "rewritten", "difference")] == [1.0, 1.0, 0.0]
    # Three of the first layer and one of the second, of 40 each, beside two and two; then four and four of the second.
    assert rows["ru"]["chance"] == pytest.approx((2 * 3 + 2 * 1) / 40 / 4)
    assert rows["bn"]["chance"] == pytest.approx(4 * 4 / 40 / 4)


def test_only_one_language_is_rewritten_at_a_time(monkeypatch):
    seen = []
    monkeypatch.setattr(rewritten, "detected", lambda names, stats, slopes: (seen.append(stats), ({}, {}))[1])
    one, again = counts_of(OWN), counts_of([OWN[2], OWN[1]], ("ru", "bn"), tokens=300)
    table = rewritten.found_again(found(one), found(one), (one, None), {"shuffled": (again, None)}, 4)
    assert [stats.tokens.tolist() for stats in seen] == [[200, 300, 200], [200, 200, 300]]
    np.testing.assert_array_equal(seen[0].counts[..., 1], again.counts[..., 0])
    np.testing.assert_array_equal(seen[1].counts[..., :2], one.counts[..., :2])
    assert table["rewritten"].isna().all() and (table["unchanged"] == 1).all(), "a detector that finds nothing there"
    assert rewritten.judged(table)["verdict"].tolist() == [None]


def test_over_languages_the_mean_and_its_interval():
    values = {"a": [-0.5, -0.6, -0.4, -0.55, -0.45], "b": [-0.5, 0.5, 0.1, -0.1, 0.02]}
    rows = [
        {"rewriting": "romanized", "detector": name, "language": str(k), "neurons": 9, "unchanged": 0.7, "chance": 0.01,
         "rewritten": 0.7 + difference, "difference": difference}
        for name, differences in values.items()
        for k, difference in enumerate(differences)
    ]  # fmt: skip
    found = rewritten.judged(pd.DataFrame(rows)).set_index("detector")
    assert found["verdict"].tolist() == [LESS, SAME] and found["languages"].tolist() == [5, 5]
    for name, differences in values.items():
        estimate = mean_of(np.array(differences))
        assert found.loc[name, "difference"] == pytest.approx(np.mean(differences))
        assert found.loc[name, "rewritten"] == pytest.approx(0.7 + np.mean(differences))
        assert (found.loc[name, "low"], found.loc[name, "high"]) == pytest.approx(estimate.interval())
    few = rewritten.judged(pd.DataFrame(rows[:3]))
    assert few["verdict"].tolist() == [None] and few["low"].isna().all() and few["difference"].item() == -0.5
    assert list(rewritten.judged(pd.DataFrame(rows[:0], columns=list(rows[0])))) == list(few)


def test_which_texts_are_rewritten():
    made = [Example("a", code, "", text) for code, text in {"en": "a b c d e f", "ru": "а б в г д е"}.items()]
    corpus = Corpus("c", ("en", "ru"), tuple(made))
    both = rewritten.texts(corpus, "shuffled romanized", seed=1)
    assert list(both) == ["shuffled", "romanized"] and [text.languages for text in both.values()] == [("ru",)] * 2
    assert both["romanized"].examples[0].response == "a b v g d ye"
    assert sorted(both["shuffled"].examples[0].response) == sorted("а б в г д е")
    latin = corpus.only(["en"])
    assert [(name, text.languages) for name, text in rewritten.texts(latin, "romanized shuffled").items()] == [
        ("shuffled", ("en",))
    ]
    assert rewritten.texts(corpus, None) == {} == rewritten.texts(corpus, "")
    with pytest.raises(NeuroglotError, match="rewritten: there is no 'upside-down'; use romanized, shuffled"):
        rewritten.texts(corpus, "upside-down")


def test_a_model_from_end_to_end(llama, tokenizer, tmp_path):
    lines = {
        "en": ["The house is small.", "She reads a long book.", "We walk to the river.", "Good day to you."],
        "ru": ["Дом очень маленький.", "Она читает книгу.", "Мы идём к реке.", "Добрый день вам."],
        "el": ["Το σπίτι είναι μικρό.", "Διαβάζει ένα βιβλίο.", "Πάμε στο ποτάμι.", "Καλή σας μέρα."],
    }
    examples = tuple(Example(str(n), code, "", line) for code, some in lines.items() for n, line in enumerate(some))
    one, other = comparing.two_texts(Corpus("c", tuple(lines), examples), 2)
    names = ["mean-difference", "average-precision", "percentile", "attribution"]
    read = [comparing.read(llama, tokenizer, text, tmp_path / str(n), names) for n, text in enumerate((one, other))]
    halves = [comparing.detected(names, *part)[0] for part in read]
    texts = rewritten.texts(one, "romanized shuffled")
    again = rewritten.read_each(llama, tokenizer, texts, tmp_path, names)
    assert (tmp_path / "romanized" / "attributions.safetensors").is_file()
    table = rewritten.found_again(halves[1], halves[0], read[0], again, 10)
    assert len(table) == 2 * 2 * len(halves[0]) and table["difference"].notna().all()
    # A language that is put in the place of itself changes nothing.
    same = {"shuffled": read[0]}
    nothing = rewritten.found_again(halves[1], halves[0], read[0], same, 10)
    assert (nothing["difference"] == 0).all() and set(nothing["language"]) == set(lines)
