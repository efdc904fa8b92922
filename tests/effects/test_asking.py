"""Which questions are posed, how, and what is written where none are."""

from dataclasses import replace

import pandas as pd
import pytest

from neuroglot import Corpus, Example, NeuroglotError, load_corpus
from neuroglot.base.records import write_lines
from neuroglot.effects import asking, matrix
from neuroglot.effects.asking import as_in, ask_under, by_group, easiest, room_for, shots_for, solve, solved_questions
from neuroglot.effects.measuring import only_in_their_own
from neuroglot.effects.removals import AS_IT_IS, BOTH, removals, zeroing
from neuroglot.model.sampling import read_settings

from ..conftest import tiny_model
from ..made import types_of

EXAMPLES = [
    Example(f"q{i}", code, f"question {i}? ", "x" * (10 + i), answer=str(i), group=f"level {1 + i // 3}")
    for code in ("en", "de")
    for i in range(6)
]
QUESTIONS = Corpus("text:x", ("en", "de"), tuple(EXAMPLES))


def test_the_easiest_are_posed_in_every_language():
    held = QUESTIONS.take(["q1", "q2", "q4"])
    posed = easiest(QUESTIONS, held, 2)
    assert {e.document for e in posed.examples} == {e.document for e in held.spread(2).examples}
    assert len(posed.examples) == 4 and posed.languages == ("en", "de")


def test_no_question_where_none_is_wanted_or_one_has_no_answer():
    assert easiest(QUESTIONS, QUESTIONS, 0) is None
    plain = Corpus("text:x", ("en", "de"), (*EXAMPLES, Example("q7", "en", "Why? ", "Because.")))
    assert easiest(plain, plain, 2) is None


def test_room_is_a_quarter_more_than_the_longest_solution(tokenizer):
    longest = len(tokenizer("x" * 15)["input_ids"])
    assert room_for(tokenizer, QUESTIONS) == round(1.25 * longest)
    bare = Corpus("text:x", ("en",), tuple(Example(e.id, "en", e.prompt, "") for e in EXAMPLES[:3]))
    assert room_for(tokenizer, bare) == asking.ROOM


def test_questions_are_asked_greedily_and_once(tokenizer, tmp_path, monkeypatch):
    def accuracy(*given, **options):
        return given, options

    monkeypatch.setattr(asking, "accuracy", accuracy)
    options = {"n": 3, "temperature": 1.0, "shots": 2}
    given, said = solve("model", tokenizer, QUESTIONS, tmp_path / "asked", tmp_path / "solved", **options)
    assert given == ("model", tokenizer, QUESTIONS, tmp_path / "solved")
    room = room_for(tokenizer, QUESTIONS)
    assert said == {"overwrite": False, "max_new_tokens": room, "n": 1, "temperature": 0, "shots": 2}
    assert Corpus.load(tmp_path / "asked").hash == QUESTIONS.hash
    assert solve("model", tokenizer, QUESTIONS, tmp_path / "a", "b", max_new_tokens=7)[1]["max_new_tokens"] == 7


def test_without_questions_the_files_are_empty(tmp_path):
    asked, solved = tmp_path / "asked", tmp_path / "solved"
    score = solve(None, None, None, asked, solved)
    assert score.empty and {"language", "group", "accuracy"} <= set(score)
    assert asked.read_bytes() == solved.read_bytes() == b""
    solved.write_text("kept")
    solve(None, None, None, asked, solved)
    assert solved.read_text() == "kept"
    solve(None, None, None, asked, solved, overwrite=True)
    assert solved.read_bytes() == b""


def test_accuracies_by_group_have_a_row_for_every_language():
    score = pd.DataFrame({"language": ["de", "de", "en"], "group": ["1", "all", "1"], "accuracy": [0.5, 0.25, 1.0]})
    table = by_group(score, ["en", "fr", "de"])
    assert table.index.tolist() == ["en", "fr", "de"] and table.loc["de", "all"] == 0.25
    assert table.loc["fr"].isna().all() and table.loc["en", "1"] == pytest.approx(1)


SAID = {"en": "Together they have {} apples in the basket.", "de": "Zusammen haben sie {} Äpfel in dem Korb."}


def answered(path, corpus, right):
    """A file of answers to a corpus, right in these documents of each language."""
    rows = [
        {
            "id": e.id,
            "language": e.language,
            "prompt": e.prompt,
            "answer": e.answer,
            "group": e.group,
            "cluster": e.cluster,
        }
        | {
            "response": SAID[e.language].format(e.answer if e.document in right[e.language] else "many"),
            "cut_off": False,
        }
        for e in corpus.examples
    ]
    write_lines(path, "responses", {"provenance": {"model": "tiny"}}, rows)
    return path


def test_questions_that_were_answered_rightly_the_easiest_first(tmp_path):
    later = replace(QUESTIONS, examples=QUESTIONS.examples[::-1])
    solved = answered(tmp_path / "solved", later, {"en": {"q1", "q2", "q5"}, "de": {"q4"}})
    chosen = solved_questions(QUESTIONS, solved, 2)
    assert [(e.language, e.document) for e in chosen.examples] == [("en", "q1"), ("en", "q2"), ("de", "q4")]
    one = solved_questions(QUESTIONS, solved, 1)
    assert {(e.language, e.document) for e in one.examples} == {("en", "q2"), ("de", "q4")}, "in the file's order"


def test_solved_questions_are_of_different_wordings_first(tmp_path):
    """Three right ones of one wording, one of another and harder one: the second is the harder one."""
    named = {"q0": "apples", "q1": "apples", "q2": "apples", "q5": "wages"}
    worded = [replace(e, cluster=named.get(e.document, e.document)) for e in EXAMPLES if e.language == "en"]
    corpus = Corpus("text:x", ("en",), tuple(worded))
    solved = answered(tmp_path / "solved", corpus, {"en": set(named)})
    assert [e.document for e in solved_questions(corpus, solved, 2).examples] == ["q0", "q5"]
    assert [e.document for e in solved_questions(corpus, solved, 3).examples] == ["q0", "q1", "q5"]


def test_more_is_asked_where_the_model_can_do_some_and_was_asked_too_few(tmp_path):
    """German is right in a third of the easiest ones, English in all; no wording is asked that was counted."""
    text = load_corpus("problems", "en de", n=60)
    kept, held = text.split(0.4)
    easy = [e.document for e in held.examples if e.language == "en" and e.group == "level 1"]
    hard = [e.document for e in held.examples if e.language == "en" and e.group == "level 4"]
    solved = answered(tmp_path / "solved", held, {"en": set(easy), "de": {*easy[: len(easy) // 3], *hard}})
    more = asking.further("problems", {"n": 60, "seed": 3, "levels": "1"}, held, solved, 20)
    assert more.languages == ("en",) and {e.group for e in more.examples} == {"level 1"} and len(more.examples) > 10
    assert {e.unit for e in more.examples} == {e.unit for e in held.examples if e.group == "level 1"}
    assert not {e.unit for e in more.examples} & {e.unit for e in kept.examples}
    assert not {e.document for e in more.examples} & {e.document for e in text.examples}
    # The same draw again has the held-out questions themselves, which are not asked twice.
    again = asking.further("problems", {"n": 60, "seed": 0, "levels": "1"}, held, solved, 20)
    assert not {e.prompt for e in again.examples} & {e.prompt for e in held.examples}
    enough = len(easy)
    assert asking.further("problems", {"n": 60, "levels": "1"}, held, solved, enough) is None, "as many are right"
    assert asking.further("problems", None, held, solved, 20) is None
    assert asking.further("problems", {"n": 60}, held, solved, 0) is None
    other = replace(held, examples=tuple(replace(e, cluster=f"other {e.cluster}") for e in held.examples))
    assert asking.further("problems", {"n": 60}, other, solved, 20) is None, "none of these wordings"
    (tmp_path / "empty").touch()
    assert asking.further("problems", {"n": 60}, held, tmp_path / "empty", 20) is None


def test_more_answers_are_taken_after_the_first(tmp_path):
    more = Corpus("text:x", ("en",), tuple(replace(e, id=f"more-{e.id}") for e in EXAMPLES if e.language == "en"))
    answers = [
        {"intervention": AS_IT_IS, "id": e.id, "language": "en", "prompt": e.prompt, "answer": e.answer}
        | {"group": e.group, "cluster": "", "cut_off": False}
        | {"response": SAID["en"].format(e.answer if e.id in ("more-q1", "more-q4") else "many")}
        for e in more.examples
    ]
    solved = answered(tmp_path / "solved", QUESTIONS, {"en": {"q2"}, "de": {"q4"}})
    documents = lambda number: [  # noqa: E731
        (e.language, e.document) for e in solved_questions(QUESTIONS, solved, number, more, answers).examples
    ]
    assert documents(1) == [("en", "q2"), ("de", "q4")]
    assert documents(20) == [("en", "q2"), ("de", "q4"), ("en", "more-q1"), ("en", "more-q4")]


def test_no_question_where_none_was_solved_or_none_is_wanted(tmp_path):
    solved = answered(tmp_path / "solved", QUESTIONS, {"en": {"q1"}, "de": set()})
    assert solved_questions(QUESTIONS, solved, 0) is None
    assert solved_questions(QUESTIONS, solved, 1).languages == ("en",)
    assert solved_questions(QUESTIONS, answered(tmp_path / "none", QUESTIONS, {"en": (), "de": ()}), 3) is None
    (tmp_path / "empty").touch()
    assert solved_questions(QUESTIONS, tmp_path / "empty", 3) is None


def test_worked_examples_only_where_there_are_some():
    assert shots_for(QUESTIONS, ["en", "de"], 3) == 3 and shots_for(QUESTIONS, ["en", "xx"], 3) == 0
    assert shots_for(replace(QUESTIONS, name="responses:problems"), ["en"], 3) == 0
    assert shots_for(replace(QUESTIONS, options={"chat_template_sha256": "a"}), ["en"], 3) == 0


def test_questions_are_asked_again_as_they_were(tokenizer, tmp_path):
    """All of chapter 05's answers, on a model that answers anything: own sets everywhere, draws in their language."""
    types = types_of("en de", "en,de,en de,-", "en,en,de,-", "-,en,de,en de", top_rate=0.1)
    model = tiny_model("llama", intermediate_size=4, max_position_embeddings=4096)
    held = load_corpus("problems", "en de", n=5, levels=1)
    documents = [e.document for e in held.examples if e.language == "en"]
    solved = answered(tmp_path / "solved", held, {"en": documents[:1], "de": documents[:2]})
    asked = solved_questions(held, solved, 2)
    assert len(asked.examples) == 3 and as_in(solved) == read_settings(solved)
    answering = [r for r in removals(types, draws=1, seed=1) if r.set == BOTH]
    only = only_in_their_own(answering, BOTH)
    assert only == {"en, specific + related, random 1": ["en"], "de, specific + related, random 1": ["de"]}
    path, how = tmp_path / "deactivated", {"shots": 1, "max_new_tokens": 4, "only": only}
    rows = ask_under(model, tokenizer, asked, zeroing(answering), path, **how)
    names = [AS_IT_IS, *(r.name for r in answering)]
    expected = [(n, c) for n in zeroing(answering) for c in ("en", "de", "de") if c in only.get(n, ("en", "de"))]
    assert [(row["intervention"], row["language"]) for row in rows] == expected and path.exists()
    assert set(names) == {row["intervention"] for row in rows}
    assert ask_under(model, tokenizer, asked, zeroing(answering), path, **how) == rows
    with pytest.raises(NeuroglotError):  # asked otherwise, these are other answers
        ask_under(model, tokenizer, asked, zeroing(answering), path, **how | {"only": {}})
    assert ask_under(None, None, None, zeroing(answering), tmp_path / "no", **how) == []
    assert not (tmp_path / "no").exists()
    assert len(matrix.of_answers(rows, asked, answering).table()) == 2 * 2 * 2
