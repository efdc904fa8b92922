"""Which questions are posed, how, and what is written where none are."""

import pandas as pd
import pytest

from neuroglot import Corpus, Example
from neuroglot.effects import asking
from neuroglot.effects.asking import by_group, easiest, room_for, solve

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
