"""What is measured of the models of a plan, on a tiny one."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from neuroglot import ActivationStats, Losses, NeuroglotError, collect, load_corpus, load_model
from neuroglot.alignment import measuring, variants
from neuroglot.alignment.preferences import Preferences
from neuroglot.alignment.scorers import GivenReference
from neuroglot.alignment.training import recipe_of
from neuroglot.alignment.variants import Variant
from neuroglot.model.loading import tokenizer_later

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


def test_other_text_may_be_token_ids(types, base, tmp_path):
    ids = byte_tokenizer()("Hello.")["input_ids"]
    rows = [{"language": code, "input_ids": ids} for code in types.languages]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    name = f"jsonl:{tmp_path / 'a.jsonl'}"
    texts, left_out = measuring.other_texts({name: {}}, types, tokenizer_later(base, dtype="float32"))
    assert not left_out and texts[name].examples[0].tokens.response == tuple(ids)
    _, left_out = measuring.other_texts({name: {}}, types)
    assert "input_ids are read with the model's tokenizer" in left_out[name]


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
    unasked = row | {"id": "2"}
    files = {"solved": [row, unasked], "x/solved.jsonl": [row, row | {"language": "en"}], "none": []}
    monkeypatch.setattr("neuroglot.model.sampling.read_rows", files.__getitem__)
    plan = [Variant("x", "m", "x", measured=("solved",)), Variant("y", "m", "y", measured=("stats",))]
    found = measuring.answers_of(plan, "solved")
    assert {name: [e.language for e in some] for name, some in found.items()} == {"before": ["de"], "x": ["de", "en"]}
    assert [e.id for e in found["before"]] == ["1"]  # what only the model under study was asked is left out
    assert [e.id for e in measuring.answers_of(plan[1:], "solved")["before"]] == ["1", "2"]
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
    assert list(scores["before"]) == ["language", "document", "unit", "score"]
    assert set(scores["before"]["unit"]) == {e.unit for e in longer if e.document in scored}
    assert set(scores["other"]["language"]) == {"zh"}, "an empty answer has no score"
    own = {(e.language, e.document): e for e in held.examples}
    some = [own[row.language, row.document] for row in scores["before"].itertuples()]
    wanted = GivenReference(*load_model(base))(some, [own["en", e.document] for e in some])
    assert list(scores["before"]["score"]) == pytest.approx(list(wanted)), "questions without worked examples"
    assert (tmp_path / "scores.safetensors").exists() and (tmp_path / "other/scores.safetensors").exists()
    assert measuring.score_answers({"before": longer}, *args, questions=2, **how) == ({}, [])
    assert measuring.score_answers(given, *args, questions=0, **how) == ({}, [])
    assert measuring.score_answers(given, *args, questions=2, **how | {"pivot": "fr"}) == ({}, [])


SHORT = recipe_of(
    "small", {"steps": 2, "save_every": 1, "batch": 2, "micro_batch": 1, "learning_rate": 1e-2, "rank": 2}
)


def test_models_are_given_or_trained():
    made = measuring.plan_of("m", "x", SHORT, choices=["zh"], chosen_only=True, steps=[1])
    assert [one.name for one in made] == [
        *("aligned on zh", "zh, step 1", "zh, shuffled", "zh, step 1, shuffled", "zh, chosen only")
    ]
    given = measuring.plan_of("m", "x", SHORT, after="a", checkpoints=["b"], choices=["zh"], steps=[99])
    assert [one.name for one in given] == ["a", "b"], "steps of a training that is not made"
    assert measuring.plan_of("m", "x", SHORT, adapter="a")[0].adapter == "a"
    with pytest.raises(NeuroglotError, match="checkpoints are kept after"):
        measuring.plan_of("m", "x", SHORT, choices=["zh"], steps=[99])


ASKED = {"practice": "problems", "practice_options": {"n": 6, "seed": 2, "levels": "1"}, "sampling": {}}


def test_each_choice_has_its_preferences(base, tmp_path):
    plan = measuring.plan_of(base, str(tmp_path), SHORT, choices=["zh", "de,zh"], steps=[1])
    lm, tokenizer = load_model(base)
    held = load_corpus("problems", "en de zh", n=2, levels="1")
    made = measuring.preferences_for(plan, lm, tokenizer, held, tmp_path, **ASKED)
    assert list(made) == [("zh",), ("de", "zh")] and made["zh",].languages == ("zh",)
    assert Preferences.load(tmp_path / "de-zh.preferences.jsonl").hash == made["de", "zh"].hash
    table = measuring.pairs_table(made)
    assert set(table.index.get_level_values("choice")) == {"zh", "de, zh"}
    pair = made["zh",].pairs[0]
    assert measuring.first_pair(made).to_dict("records") == [
        {"question": pair.prompt.strip(), "chosen": pair.chosen, "rejected": pair.rejected}
    ]
    assert measuring.preferences_for([], lm, tokenizer, held, tmp_path, **ASKED | {"practice": "no such"}) == {}
    with pytest.raises(NeuroglotError, match="candidates='other': give corrupted or sampled"):
        measuring.preferences_for(plan, lm, tokenizer, held, tmp_path, **ASKED, candidates="other")


def test_models_are_trained_and_measured(base, tmp_path):
    plan = measuring.plan_of(base, str(tmp_path), SHORT, choices=["de"], chosen_only=True, steps=[1])
    trainings = [one for one in plan if one.step is None]
    lm, tokenizer = load_model(base)
    text = load_corpus("problems", "en de", n=2, levels="1")
    made = measuring.preferences_for(trainings, lm, tokenizer, text, tmp_path, **ASKED)
    done = measuring.train(trainings, made, lm, tokenizer, SHORT, seed=3)
    assert list(done) == ["aligned on de", "de, shuffled", "de, chosen only"]
    hashes = [one.provenance["preferences_sha256"] for one in done.values()]
    assert hashes[0] == hashes[2] == made["de",].hash and hashes[1] == made["de",].shuffled(3).hash
    assert [one.provenance["recipe"]["learns"] for one in done.values()] == ["preferences", "preferences", "chosen"]
    second = [replace(one, seed=4, adapter=f"{one.adapter}-4") for one in trainings[1:2]]
    (other,) = measuring.train(second, made, lm, tokenizer, SHORT, seed=3).values()
    assert other.provenance["preferences_sha256"] == made["de",].shuffled(7).hash, "each control is shuffled anew"
    assert len(done["aligned on de"].log) == 2

    before = collect(lm, tokenizer, text, shards=2)
    asked = replace(text, examples=tuple(replace(e, response="") for e in text.examples))
    how = {"model_options": {}, "asked": asked, "answering": {"shots": 0, "max_new_tokens": 2}}
    own = variants.before(plan)
    found = measuring.likelihoods(own, lm, tokenizer, text, "en")
    assert found == ("losses", "number_choices", "translation_losses") and own.folder == str(tmp_path / "before")
    assert all(Path(own.file(name)).exists() for name in found)
    assert measuring.measure(plan, text, text, before, pivot="en", **how) == ("stats", *found, "solved")
    for one in plan:
        assert ActivationStats.load(one.file("stats")).counts.shape == before.counts.shape
    assert [Losses.load(one.file("losses")).languages for one in trainings] == [("en", "de")] * 3
    has = [[Path(one.file(name)).exists() for name in ("losses", "solved")] for one in plan]
    assert has == [[one.step is None] * 2 for one in plan], "of checkpoints neurons only"
    assert measuring.measure(plan[:1], text, text, before, pivot="en", model_options={}) == ("stats", *found)
    no_pivot, no_answers = (tmp_path / name for name in ("a", "b"))
    assert measuring.likelihoods(replace(own, folder=str(no_pivot)), lm, tokenizer, text, "fr") == (
        "losses",
        "number_choices",
    )
    plain = replace(text, examples=tuple(replace(e, answer="") for e in text.examples))
    assert measuring.likelihoods(replace(own, folder=str(no_answers)), lm, tokenizer, plain, "en") == ("losses",)


def test_models_counted_otherwise_are_not_compared(base, tmp_path):
    lm, tokenizer = load_model(base)
    text = load_corpus("problems", "en de", n=2, levels="1")
    before = collect(lm, tokenizer, text, shards=2)
    before = replace(before, provenance=before.provenance | {"input_sha256": "other"})
    plan = measuring.plan_of(base, str(tmp_path), SHORT, after=base)
    with pytest.raises(NeuroglotError, match="not counted on the same text"):
        measuring.measure(plan, text, text, before, pivot="en", model_options={})
