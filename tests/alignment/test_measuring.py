"""What is measured of the models of a plan, on a tiny one."""

from dataclasses import replace

import pytest

from neuroglot import ActivationStats, load_corpus, load_model
from neuroglot.alignment import measuring
from neuroglot.alignment.scorers import GivenReference
from neuroglot.alignment.variants import Variant

from ..conftest import byte_tokenizer, tiny_model


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a tiny model that has room for the packaged problems in bytes."""
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny_model("llama", max_position_embeddings=2048).float().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


def test_other_text_is_what_the_types_were_not_found_on(types):
    on = replace(types, provenance=types.provenance | {"corpus": "problems"})
    texts, left_out = measuring.other_texts(None, on)
    assert list(texts) == ["udhr"] and left_out == {} and texts["udhr"].languages == types.languages
    texts, _ = measuring.other_texts(None, replace(types, provenance={"corpus": "udhr:full"}))
    assert list(texts) == ["problems"]
    texts, left_out = measuring.other_texts({"problems": {"n": 2}, "jsonl:no/such.jsonl": {}}, on)
    assert texts == {} and left_out["problems"] == "it is the text that the run counts."
    assert "no/such.jsonl" in left_out["jsonl:no/such.jsonl"]
    assert measuring.other_texts({}, on) == ({}, {})


def test_other_text_is_counted_before_and_after(base, tmp_path):
    after = Variant("same", base, str(tmp_path))
    texts = {"problems": load_corpus("problems", "en de", n=2, levels="1")}
    how = {"model_options": {}, "settings": {"shards": 2}, "sampling": {"shots": 1, "max_new_tokens": 2}}
    found = measuring.count_elsewhere(texts, base, after, str(tmp_path), **how)
    assert list(found) == [("problems", "before"), ("problems", "after")]
    assert (found["problems", "before"].counts == found["problems", "after"].counts).all(), "the same model"
    saved = ActivationStats.load(tmp_path / "after-domain-0.safetensors")
    assert (saved.counts == found["problems", "after"].counts).all() and saved.languages == ("en", "de")
    assert measuring.count_elsewhere({}, base, after, str(tmp_path), **how) == {}


def test_questions_are_answered_before_they_are_counted(base, tmp_path):
    text = load_corpus("problems", "en de", n=2, levels="1")
    asked = replace(text, examples=tuple(replace(e, response="") for e in text.examples))
    assert asked.questions_only
    how = {"model_options": {}, "settings": {"shards": 2}, "sampling": {"shots": 0, "max_new_tokens": 4}}
    found = measuring.count_elsewhere({"asked": asked}, base, Variant("same", base, ""), str(tmp_path), **how)
    assert len((tmp_path / "before-domain-0.jsonl").read_text("utf-8").splitlines()) >= 4
    assert found["asked", "before"].tokens.sum() > 0


def test_only_models_that_answered_are_read(tmp_path, monkeypatch):
    row = {"id": "1", "language": "de", "prompt": "?", "response": "1", "answer": "1"}
    files = {"solved": [row], "x/solved.jsonl": [row, row | {"language": "en"}], "none": []}
    monkeypatch.setattr("neuroglot.model.sampling.read_rows", files.__getitem__)
    plan = [Variant("x", "m", "x", measured=("solved",)), Variant("y", "m", "y", measured=("stats",))]
    found = measuring.answers_of(plan, "solved")
    assert {name: [e.language for e in some] for name, some in found.items()} == {"before": ["de"], "x": ["de", "en"]}
    assert measuring.answers_of(plan, "none") == {"before": []}


def test_answers_are_scored_beside_the_pivots_response(base, tmp_path):
    held = load_corpus("problems", "en de zh", n=3, levels="1")
    bare = replace(held, examples=tuple(replace(e, response="") for e in held.examples))
    bare.save(tmp_path / "asked.jsonl")
    longer = [replace(e, prompt=f"worked example {e.prompt}") for e in held.examples]
    silent = [replace(e, response="" if e.language == "de" else e.response) for e in longer]
    plan = [Variant("other", base, str(tmp_path / "other"))]
    how = {"pivot": "en", "judge": "self", "model": base, "model_options": {}}
    given = {"before": longer, "other": silent}
    args = (plan, tmp_path / "asked.jsonl", held, tmp_path)
    scores, scored = measuring.score_answers(given, *args, questions=2, **how)
    assert scored == list(dict.fromkeys(e.document for e in longer))[:2]
    assert set(scores["before"]["language"]) == {"de", "zh"} and set(scores["before"]["document"]) == set(scored)
    assert set(scores["other"]["language"]) == {"zh"}, "an empty answer has no score"
    own = {(e.language, e.document): e for e in held.examples}
    some = [own[row.language, row.document] for row in scores["before"].itertuples()]
    wanted = GivenReference(*load_model(base))(some, [own["en", e.document] for e in some])
    assert list(scores["before"]["score"]) == pytest.approx(list(wanted)), "questions without worked examples"
    assert (tmp_path / "scores.safetensors").exists() and (tmp_path / "other/scores.safetensors").exists()
    assert measuring.score_answers({"before": longer}, *args, questions=2, **how) == ({}, [])
    assert measuring.score_answers(given, *args, questions=0, **how) == ({}, [])
    assert measuring.score_answers(given, *args, questions=2, **how | {"pivot": "fr"}) == ({}, [])
