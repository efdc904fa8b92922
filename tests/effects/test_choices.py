"""Forced choices against the model's own logits, and what a removal changes in them against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroglot import Corpus, Example, Intervention, NeuroglotError, losses
from neuroglot.base.uncertainty import LESS, SAME, jackknife, share_interval
from neuroglot.effects.choices import (
    LANGUAGE,
    NUMBER,
    RESULT,
    Choices,
    language_choices,
    number_choices,
    of_choices,
    translated,
)
from neuroglot.effects.removals import AS_IT_IS, Removal
from neuroglot.text.corruptions import wrong_first_result, wrong_last_number

from ..conftest import byte_tokenizer, tiny_model
from ..model.test_interventions import SOME, by_hand

QUIET = {"progress": False}


@pytest.fixture
def corpus():
    rows = [
        ("a", "en", "How many? ", "That is 9 + 4 = 13. So there are 13 in all.", "w1"),
        ("b", "en", "And of those? ", "There are 7.", "w2"),  # no equation
        ("c", "en", "Left? ", "Some are left.", "w3"),  # no number
        ("d", "en", "More? ", "First 2 × 6 = 12, then 12 - 5 = 7. It is 7.", "w1"),
        ("a", "de", "Wie viele? ", "Das sind 9 + 4 = 13. Zusammen sind es 13.", "w1"),
    ]
    return Corpus("asked", ("en", "de"), tuple(Example(*row[:4], cluster=row[4]) for row in rows))


def by_logits(model, tokenizer, example, wrong):
    """The margin from the logits of the two whole texts, up to the token in which they differ."""
    right, other = (tokenizer(example.prompt + text)["input_ids"] for text in (example.response, wrong))
    at = next(i for i, (a, b) in enumerate(zip(right, other, strict=True)) if a != b)
    with torch.no_grad():
        logits = model(torch.tensor([right[:at]])).logits[0, -1].log_softmax(-1)
    return float(logits[right[at]] - logits[other[at]])


@pytest.mark.parametrize("batch_tokens", [40, 2000])
def test_margins_are_those_of_the_models_own_logits(corpus, batch_tokens, tmp_path):
    model, tokenizer = tiny_model("gemma3").double(), byte_tokenizer()
    changes = {AS_IT_IS: None, "off": Intervention(SOME, values=0.0)}
    path = tmp_path / "choices.safetensors"
    found = number_choices(
        model, tokenizer, corpus, changes, path, batch_tokens=batch_tokens, only={"off": ["en"]}, **QUIET
    )
    assert (found.kinds, found.rows, found.units) == ((RESULT, NUMBER), (AS_IT_IS, "off"), ("w1", "w2", "w3"))
    assert found.questions.tolist() == [[[2, 0, 0], [1, 0, 0]], [[2, 1, 0], [1, 0, 0]]]
    models = {AS_IT_IS: model, "off": by_hand(model, SOME, 0.0)}
    makers = {RESULT: wrong_first_result, NUMBER: wrong_last_number}
    for kind, name in enumerate(found.kinds):
        for row, change in enumerate(found.rows):
            for code in corpus.languages if change == AS_IT_IS else ["en"]:
                expected, preferred = np.zeros(3), np.zeros(3)
                for e in (e for e in corpus.examples if e.language == code):
                    wrong = makers[name](e.response, f"{name}/{code}/{e.id}")
                    if wrong is not None:
                        margin = by_logits(models[change], tokenizer, e, wrong)
                        expected[found.units.index(e.unit)] += margin
                        preferred[found.units.index(e.unit)] += margin > 0
                k = corpus.languages.index(code)
                np.testing.assert_allclose(found.margin[kind, row, k], expected, rtol=1e-5, atol=1e-6)
                assert np.array_equal(found.preferred[kind, row, k], preferred)
    assert np.isnan(found.margin[:, 1, 1]).all()
    again = Choices.load(path)
    assert np.array_equal(again.margin, found.margin, equal_nan=True) and again.provenance == found.provenance
    stamp = path.stat().st_mtime_ns
    number_choices(model, tokenizer, corpus, changes, path, batch_tokens=batch_tokens, only={"off": ["en"]}, **QUIET)
    assert path.stat().st_mtime_ns == stamp
    with pytest.raises(NeuroglotError, match="holds other choices"):
        number_choices(model, tokenizer, corpus, changes, path, **QUIET)


def test_what_cannot_be_chosen_is_said(corpus):
    model, tokenizer = tiny_model("llama"), byte_tokenizer()
    questions = replace(corpus, examples=tuple(replace(e, response="") for e in corpus.examples))
    with pytest.raises(NeuroglotError, match="no solutions to choose among"):
        number_choices(model, tokenizer, questions, **QUIET)
    with pytest.raises(NeuroglotError, match="there is no intervention 'x'"):
        number_choices(model, tokenizer, corpus, only={"x": ["en"]}, **QUIET)
    with pytest.raises(NeuroglotError, match="there is no solution of it in de; give parallel text"):
        translated(corpus, "en")
    with pytest.raises(NeuroglotError, match="fr and another language are needed"):
        translated(corpus, "fr")


def test_the_right_language_is_chosen_between_two_whole_solutions(corpus):
    parallel = corpus.take(["a"])
    model, tokenizer = tiny_model("llama"), byte_tokenizer()
    other = translated(parallel, "en")
    assert [e.response for e in other.examples] == [e.response for e in parallel.examples[::-1]]
    both = [losses(model, tokenizer, text, **QUIET) for text in (parallel, other)]
    found = language_choices(*both)
    np.testing.assert_allclose(found.margin[0], both[1].nll - both[0].nll)
    assert found.kinds == (LANGUAGE,) and np.array_equal(found.preferred[0], found.margin[0] > 0)
    with pytest.raises(NeuroglotError, match="not of the same interventions and text"):
        language_choices(both[0], replace(both[1], units=("z",)))


def test_what_a_removal_changes_by_hand():
    rng, units = np.random.default_rng(0), 8
    own, *draws = (
        Removal("specific", "en", [np.array([n])], *how) for n, how in enumerate([(), ("matched", 1), ("matched", 2)])
    )
    none = Removal("specific", "de", [np.array([], int)])
    rows = (AS_IT_IS, own.name, *(draw.name for draw in draws))
    questions = np.array([[[1, 2, 1, 1, 1, 3, 1, 1], [1] * 8]])
    per_question = rng.normal([[4.0], [1.0], [3.9], [4.1]], 0.3, size=(4, units))
    margin = np.stack([per_question * questions[0, 0], np.full((4, units), np.nan)], axis=1)[None]
    preferred = np.broadcast_to(questions[:, None] * 1.0, margin.shape).copy()
    preferred[0, 0, 0, 0] = 0
    found = Choices((RESULT,), rows, ("en", "de"), tuple("abcdefgh"), margin, preferred, questions)
    table = of_choices([found], [own, *draws, none])
    assert len(table) == 1  # German has no neuron to remove
    row = table.iloc[0]
    means = margin[0, :, 0].sum(axis=1) / questions[0, 0].sum()
    assert row["before"] == pytest.approx(means[0]) and row["own"] == pytest.approx(means[1] - means[0])
    assert row["matched"] == pytest.approx(means[2:].mean() - means[0])
    assert row["effect"] == pytest.approx(row["own"] - row["matched"])
    assert (row["questions"], row["units"], row["share"]) == (11, 8, 10 / 11)
    assert [row["share_low"], row["share_high"]] == pytest.approx([float(end) for end in share_interval(10 / 11, 8)])
    without = [
        (margin[0, 1, 0].sum() - margin[0, 1, 0, u] - margin[0, 0, 0].sum() + margin[0, 0, 0, u])
        / (11 - questions[0, 0, u])
        for u in range(units)
    ]
    assert [row["low"], row["high"]] == pytest.approx(
        [float(end) for end in jackknife(row["own"], np.array(without)).interval()]
    )
    assert row["verdict"] == LESS and row["effect_low"] < row["effect"] < row["effect_high"] and row["detectable"] > 0
    alike = replace(found, margin=np.broadcast_to(margin[:, :1], margin.shape) + rng.normal(0, 0.1, margin.shape))
    assert of_choices([alike], [own, *draws])["verdict"].tolist() == [SAME]
    assert of_choices([], [own]).empty
