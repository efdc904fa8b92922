"""What is measured of the models of a plan, on a tiny one."""

from dataclasses import replace

import pytest

from neuroglot import ActivationStats, load_corpus
from neuroglot.alignment import measuring
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
