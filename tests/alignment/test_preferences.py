"""All pairs better > worse and no other, kept in a file that says when it is not whole."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError
from neuroglot.alignment.preferences import Preferences, prefer


class Table:
    """Scores by the response's text."""

    def __init__(self, scores):
        self.scores, self.seen, self.provenance = scores, [], {"scorer": "table"}

    def __call__(self, responses, references):
        self.seen += [(r.response, reference.response) for r, reference in zip(responses, references, strict=True)]
        return np.array([self.scores[response.response] for response in responses])


def corpora(scored, pivot="en"):
    """Per language and question a list of responses, and the pivot's response to each question."""
    rows = [
        Example(f"{question}#{n}", language, f"{question}?", text, group=f"kind {n}")
        for (language, question), texts in scored.items()
        for n, text in enumerate(texts, 1)
    ]
    languages = tuple(dict.fromkeys(language for language, _ in scored))
    questions = dict.fromkeys(question for _, question in scored)
    references = tuple(Example(q, pivot, f"{q}?", f"right {q}") for q in questions)
    return Corpus("responses", languages, tuple(rows)), Corpus("references", (pivot,), references)


texts = st.lists(st.sampled_from("abcdef"), min_size=2, max_size=5)


@given(st.dictionaries(st.tuples(st.sampled_from(["zh", "de"]), st.sampled_from(["q1", "q2"])), texts, min_size=1))
def test_all_pairs_better_than_worse(scored):
    scores = {"a": 1.0, "b": 2.0, "c": 2.0, "d": 0.5, "e": -1.0, "f": 3.0}
    responses, references = corpora(scored)
    wanted = {
        (language, question, max(pair, key=scores.get), min(pair, key=scores.get))
        for (language, question), given_ in scored.items()
        for pair in itertools.combinations(sorted(set(given_)), 2)
        if scores[pair[0]] != scores[pair[1]]
    }
    table = Table(scores)
    try:
        found = prefer(responses, references, table)
    except NeuroglotError as error:
        lacking = set(responses.languages) - {language for language, *_ in wanted}
        assert lacking and ("identical" in str(error) or "no response in" in str(error))
        return
    pairs = {(p.language, p.document, p.chosen, p.rejected) for p in found.pairs}
    assert pairs == wanted and len(pairs) == len(found.pairs)
    for pair in found.pairs:
        assert (pair.chosen_score, pair.rejected_score) == (scores[pair.chosen], scores[pair.rejected])
        assert pair.prompt == f"{pair.document}?" and pair.chosen_score > pair.rejected_score
    assert set(table.seen) == {(t, f"right {q}") for (_, q), some in scored.items() for t in some}


SCORED = {("zh", "q1"): ["good", "bad"], ("zh", "q2"): ["good", "bad"], ("de", "q1"): ["good", "bad", "bad"]}
SCORES = {"good": 1.0, "bad": 0.0}


@pytest.fixture
def preferences():
    return prefer(*corpora(SCORED), Table(SCORES))


def test_the_file_is_read_again_and_nothing_else_is(tmp_path, preferences):
    path = tmp_path / "pairs.jsonl"
    preferences.save(path)
    first = path.read_bytes()
    assert Preferences.load(path) == preferences and Preferences.load(path).hash == preferences.hash
    preferences.save(path)
    assert path.read_bytes() == first
    head, *rows = path.read_text().splitlines()
    for damaged, said in {
        "": "not enough values",
        "\n".join([head, *rows[:-1]]): "not whole",
        "\n".join([head, rows[0].replace("good", "better"), *rows[1:]]): "not whole",
        "\n".join([head, json.dumps({"language": "zh"}), *rows[1:]]): "not whole",
        "\n".join([head, rows[0], rows[1].replace("1.0", '"1.0"'), *rows[2:]]): "not whole",
        head.replace('"version": 2', '"version": 1') + "\n": "no preferences of this version",
        "[1, 2]": "no preferences of this version",
    }.items():
        path.write_text(damaged)
        with pytest.raises(NeuroglotError, match=f"{said}"):
            Preferences.load(path)
    with pytest.raises(NeuroglotError, match="there is no file"):
        Preferences.load(tmp_path / "none")


def test_shuffled_pairs_are_the_same_pairs(preferences):
    many = replace(preferences, pairs=preferences.pairs * 100)
    mixed = many.shuffled(3)
    turned = [a != b for a, b in zip(many.pairs, mixed.pairs, strict=True)]
    for pair, other, was_turned in zip(many.pairs, mixed.pairs, turned, strict=True):
        assert (other.chosen, other.rejected) == (
            (pair.rejected, pair.chosen) if was_turned else (pair.chosen, pair.rejected)
        )
        assert {other.chosen_score, other.rejected_score} == {1.0, 0.0} and other.prompt == pair.prompt
    assert 0.4 < np.mean(turned) < 0.6 and mixed == many.shuffled(3) != many.shuffled(4)
    assert mixed.hash != many.hash and mixed.provenance["shuffled_by_seed"] == 3
    assert set(mixed.table()["kinds"]) == {"kind 1 > kind 2", "kind 2 > kind 1"}


def test_the_table_counts(preferences):
    table = preferences.table()
    assert table.values.tolist() == [["zh", "kind 1 > kind 2", 2, 2, 1.0], ["de", "kind 1 > kind 2", 1, 1, 1.0]]


@pytest.mark.parametrize(
    ("scored", "options", "said"),
    [
        ({("zh", "q1"): ["good"]}, {}, "'zh' has one response only to each question"),
        ({("zh", "q1"): ["good", "good"]}, {}, "responses in 'zh' to each question are identical"),
        ({("zh", "q1"): ["good", "fine"]}, {}, "finds no response in 'zh' better than another"),
        ({("zh", "q1"): ["good", "odd"]}, {}, "zh, q1#2: its score is not a number"),
        (SCORED, {"languages": "zh,en"}, "'en' is what the others are aligned to"),
        (SCORED, {"languages": "fr"}, "no responses in 'fr'"),
        (SCORED, {"pivot": "fr"}, "no response in 'fr' to 'q1' to align to"),
    ],
)
def test_what_cannot_be_preferred(scored, options, said):
    scores = SCORES | {"fine": 1.0, "odd": float("nan")}
    with pytest.raises(NeuroglotError, match=said):
        prefer(*corpora(scored), Table(scores), **options)


def test_a_scorer_that_leaves_responses_out():
    class Some(Table):
        def __call__(self, responses, references):
            return super().__call__(responses, references)[1:]

    with pytest.raises(NeuroglotError, match=r"gives scores of shape \(\d+,\) for \d+ responses; it must give one"):
        prefer(*corpora(SCORED), Some(SCORES))


def test_a_question_without_the_pivots_response():
    responses, references = corpora(SCORED)
    without = replace(references, examples=references.examples[:1])
    with pytest.raises(NeuroglotError, match="zh, q2#1: there is no response in 'en' to 'q2'"):
        prefer(responses, without, Table(SCORES))
