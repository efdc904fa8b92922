"""Responses sampled from a model, kept as a file, and graded."""

import json
from dataclasses import replace

import hypothesis
import pandas as pd
import pytest
import torch
from hypothesis import strategies as st
from scipy import stats

from neuroglot import (
    Corpus,
    Example,
    Intervention,
    NeuroglotError,
    accuracy,
    collect,
    grade,
    intervene,
    load_corpus,
    sample,
)
from neuroglot.base.parts import Parts
from neuroglot.effects.grading import summarize
from neuroglot.model import sampling as module
from neuroglot.model.batches import tokenize

from ..conftest import byte_tokenizer, tiny_model, unsettled
from .test_interventions import NONE, OTHER, SOME, hookless


@pytest.fixture
def questions():
    return load_corpus("problems", "en de", n=5, levels=1)


@pytest.fixture
def model():
    return tiny_model("llama", max_position_embeddings=4096)


SHORT = {"max_new_tokens": 6, "batch_size": 4, "progress": False}


def test_prompts_are_worked_examples_then_the_question(model, tokenizer, questions):
    seen = module._questions(tokenizer, questions, 4, None, False, 1)
    worked = [e for e in load_corpus("problems", "en de", n=128, seed=1).examples if e.group == "level 1"]
    for language in ("en", "de"):
        mine = [e for e in worked if e.language == language][:4]
        for example in (e for e in seen if e.language == language):
            question = next(e for e in questions.examples if (e.language, e.id) == (language, example.id))
            expected = "".join(e.prompt + e.response + "\n\n" for e in mine) + question.prompt
            assert example.prompt == expected and not example.response
    bare = module._questions(tokenizer, questions, 0, None, False, 1)
    assert [e.prompt for e in bare] == [e.prompt for e in questions.examples]
    # A worked example is never the question itself.
    own = Corpus("own", ("en", "de"), questions.examples)
    for example in module._questions(tokenizer, questions, 4, own, False, 1):
        question = next(e for e in questions.examples if (e.language, e.id) == (example.language, example.id))
        assert example.prompt.count(question.prompt) == 1 and example.prompt.endswith(question.prompt)


# Without worked examples, transformers makes Gemma 2 in float64 NaN where a batch is padded on the left.
@pytest.mark.parametrize(
    ("family", "shots"),
    [(family, 2) for family in ("llama", "gemma2", "gemma3_text", "gpt2", "olmo2")]
    + [(family, 0) for family in ("llama", "gemma3_text", "gpt2", "olmo2")],
)
def test_greedy_equals_one_question_at_a_time(family, shots, tokenizer, questions, monkeypatch):
    """In batches, whose worked examples are run once, as alone; Gemma 3 here sees 16 tokens back in some layers."""
    model = tiny_model(family, **{"n_positions" if family == "gpt2" else "max_position_embeddings": 4096})
    caches, original = [], module._Beginnings.cache
    monkeypatch.setattr(module._Beginnings, "cache", lambda *a: caches.append(original(*a)) or caches[-1])
    rows, _ = module.sample_rows(model, tokenizer, questions, shots=shots, **SHORT)
    assert len(rows) == 10 and all(cache is not None for cache in caches) == bool(shots)
    end = model.generation_config.eos_token_id
    for row in rows:
        ids = tokenizer(row["prompt"], return_tensors="pt")["input_ids"]
        settings = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
        alone = model.generate(ids, **settings, eos_token_id=257 if end is None else end)
        text = tokenizer.decode(alone[0, ids.shape[1] :], skip_special_tokens=True)
        assert row["response"] == text.strip().partition("\n\n")[0].rstrip()
    assert len({row["response"] for row in rows}) > 1 or family not in ("llama", "olmo2")


def test_training_mode_checkpoints_and_compiled_code_change_no_answer(tokenizer, questions):
    changes = {"as it is": None, "some": Intervention(SOME, values=0.0)}
    size, how = {"n_positions": 4096}, {"shots": 2, "interventions": changes, **SHORT}
    wanted, _ = module.sample_rows(tiny_model("gpt2", **size), tokenizer, questions, **how)
    with unsettled(tiny_model("gpt2", resid_pdrop=0.5, **size)) as model:
        found, _ = module.sample_rows(model, tokenizer, questions, **how)
    assert found == wanted
    answers = [[row["response"] for row in found if row["intervention"] == name] for name in changes]
    assert answers[0] != answers[1]


def test_draws_are_seeded_and_numbered(model, tokenizer, questions, tmp_path):
    drawn = {"n": 3, "temperature": 1.0, "shots": 0} | SHORT
    one, again, other = (sample(model, tokenizer, questions, seed=s, **drawn) for s in (5, 5, 6))
    assert one.examples == again.examples != other.examples
    documents = [e.document for e in questions.examples if e.language == "en"]
    assert [e.id for e in one.examples][:6] == [f"{d}#{i}" for d in documents[:2] for i in (1, 2, 3)]
    before = torch.rand(3, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    sample(model, tokenizer, questions, **drawn)
    assert torch.equal(torch.rand(3), before), "the caller's random state is left alone"


def test_a_file_that_goes_on(model, tokenizer, questions, tmp_path, monkeypatch):
    path, plain = tmp_path / "r" / "responses.jsonl", tmp_path / "plain.jsonl"
    drawn = {"n": 2, "temperature": 1.0, "shots": 1} | SHORT
    whole = sample(model, tokenizer, questions, plain, **drawn)
    original, calls = module._generate, []

    def breaks(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, "_generate", breaks)
    with pytest.raises(KeyboardInterrupt):
        sample(model, tokenizer, questions, path, **drawn)
    assert not path.exists()
    resumed = sample(model, tokenizer, questions, path, **drawn)
    assert len(calls) == 3 + 3  # 20 responses in 5 batches, two of them kept
    assert path.read_bytes() == plain.read_bytes() and resumed.examples == whole.examples
    assert not list(path.parent.glob("*.parts"))
    sample(model, tokenizer, questions, path, **drawn)
    assert len(calls) == 6, "a finished file is not made again"
    with pytest.raises(NeuroglotError, match="holds other responses"):
        sample(model, tokenizer, questions, path, **drawn | {"seed": 9})
    sample(model, tokenizer, questions, path, **drawn | {"seed": 9}, overwrite=True)
    assert len(calls) > 6
    head = json.loads(path.read_text().split("\n")[0])["provenance"]
    assert head["settings"]["seed"] == 9 and head["corpus_options"]["n"] == 5 and head["weights_sha256"]


def test_a_file_of_other_questions_is_never_taken(model, tokenizer, questions, tmp_path):
    path = tmp_path / "r.jsonl"
    module.sample_rows(model, tokenizer, questions, path, shots=0, **SHORT)
    for change in ({"answer": "999"}, {"group": "other"}, {"id": "x"}):
        first, *others = questions.examples
        other = replace(questions, examples=(replace(first, **change), *others))
        with pytest.raises(NeuroglotError, match="holds other responses"):
            module.sample_rows(model, tokenizer, other, path, shots=0, **SHORT)


@pytest.mark.parametrize("damage", ["cut", "row", "key", "list", "deep", "empty"])
def test_damaged_parts_are_made_again_and_damaged_files_refused(model, tokenizer, questions, tmp_path, damage):
    path, plain = tmp_path / "r.jsonl", tmp_path / "plain.jsonl"
    module.sample_rows(model, tokenizer, questions, plain, shots=0, **SHORT)

    def damaged(text: str) -> str:
        head, row, *rest = text.rstrip("\n").split("\n")
        change = {
            "cut": "\n".join([head, row, *rest])[:-30],
            "row": "\n".join([head, row]),
            "key": "\n".join([head, row.replace('"response"', '"said"'), *rest]),
            "list": "\n".join([head, "[1]", *rest]),
            "deep": "\n".join([head, "[" * 100_000, *rest]),
            "empty": "",
        }
        return change[damage]

    parts = Parts(path, json.loads(plain.read_text().split("\n")[0])["provenance"])
    by_id = {(r["language"], r["id"]): r for r in map(json.loads, plain.read_text().splitlines()[1:])}
    ordered = module._ordered(tokenizer, module._questions(tokenizer, questions, 0, None, False, 1))
    asked = [ordered[i : i + 4] for i in range(0, len(ordered), 4)]
    for number, batch in enumerate(asked):
        parts.keep(f"{number:05d}", rows=[by_id[q.language, q.id] for q, _ in batch])
    broken = parts.folder / "00000.safetensors"
    broken.write_bytes(broken.read_bytes()[:-30])
    module.sample_rows(model, tokenizer, questions, path, shots=0, **SHORT)
    assert path.read_bytes() == plain.read_bytes()
    path.write_text(damaged(path.read_text()))
    with pytest.raises(NeuroglotError, match=r"r\.jsonl (is damaged|holds other responses)"):
        module.sample_rows(model, tokenizer, questions, path, shots=0, **SHORT)
    module.sample_rows(model, tokenizer, questions, path, shots=0, overwrite=True, **SHORT)
    assert path.read_bytes() == plain.read_bytes()


def test_overwriting_with_the_same_runs_nothing(model, tokenizer, questions, tmp_path, monkeypatch):
    path = tmp_path / "r.jsonl"
    module.sample_rows(model, tokenizer, questions, path, shots=0, **SHORT)
    monkeypatch.setattr(module, "_generate", lambda *_: pytest.fail("nothing has changed"))
    module.sample_rows(model, tokenizer, questions, path, shots=0, overwrite=True, **SHORT)


def test_the_models_own_habits_of_generation_are_left_out(model, tokenizer, questions):
    plain, _ = module.sample_rows(model, tokenizer, questions, shots=0, **SHORT)
    model.generation_config.repetition_penalty, model.generation_config.num_beams = 5.0, 2
    assert module.sample_rows(model, tokenizer, questions, shots=0, **SHORT)[0] == plain
    assert model.generation_config.num_beams == 2


def test_scores_that_are_no_numbers_are_no_text(model, tokenizer, questions):
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(NeuroglotError, match=r"scores in torch\.float64 are not numbers; load it in float32"):
        sample(model, tokenizer, questions, shots=0, **SHORT)


def test_places_that_cannot_be_written_are_refused_before_running(model, tokenizer, questions, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_generate", lambda *_: pytest.fail("ran first"))
    with pytest.raises(NeuroglotError, match="is a folder"):
        sample(model, tokenizer, questions, tmp_path, shots=0, **SHORT)
    (tmp_path / "r.jsonl.parts").write_text("")
    with pytest.raises(NeuroglotError, match="in the way"):
        sample(model, tokenizer, questions, tmp_path / "r.jsonl", shots=0, **SHORT)


def test_responses_can_be_read_and_counted(model, tokenizer, questions, tmp_path):
    path = tmp_path / "responses.jsonl"
    made = sample(model, tokenizer, questions, path, n=2, temperature=1.0, shots=1, **SHORT)
    read = load_corpus(f"jsonl:{path}", "en de")
    assert [(e.id, e.language, e.prompt, e.response, e.answer, e.group) for e in read.examples] == [
        (e.id, e.language, e.prompt, e.response, e.answer, e.group) for e in made.examples
    ]
    assert "sampled from" in read.source
    stats = collect(model, tokenizer, read, progress=False)
    tokens = [sum(len(e.response.encode()) for e in read.examples if e.language == code) for code in ("en", "de")]
    assert stats.tokens.tolist() == tokens


def test_questions_alone_cannot_be_counted(model, tokenizer):
    corpus = Corpus("q", ("en", "de"), (Example("1", "en", "Why?", ""), Example("1", "de", "Warum?", "")))
    with pytest.raises(NeuroglotError, match="questions and no responses"):
        collect(model, tokenizer, corpus, progress=False)


def test_chat_template(model, questions):
    tokenizer = byte_tokenizer()
    with pytest.raises(NeuroglotError, match="no chat template"):
        sample(model, tokenizer, questions, chat=True, **SHORT)
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    made = module._questions(tokenizer, questions, 1, None, True, 1)
    assert made[0].prompt.startswith("[user]") and made[0].prompt.endswith("\n[assistant]")
    assert made[0].prompt.count("[user]") == 2 and made[0].prompt.count("[assistant]") == 2
    ((_, ids),) = module._ordered(tokenizer, made[:1])
    assert ids.count(256) == 1, "one beginning of sequence, not the template's and the tokenizer's"


@pytest.mark.parametrize(
    ("before", "beginning"),
    [("", True), ("\n", True), ("You are kind.\n", True), ("[system]", True), ("", False), ("You are kind.\n", False)],
)
def test_a_chat_has_the_beginning_that_its_template_writes(before, beginning, model, questions):
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = (
        f"{before}{'{{ bos_token }}' * beginning}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}[assistant]"
    )
    made = module._questions(tokenizer, questions, 1, None, True, 1)
    for question, ids in module._ordered(tokenizer, made):
        assert ids.count(256) == 1, "the template's or the tokenizer's, never both"
        assert ids.index(256) == (len(before) if beginning else 0)
        # What was given is what is counted.
        (counted, _), *_ = tokenize(tokenizer, Corpus("c", ("en",), (replace(question, language="en", response="x"),)))
        assert counted[:-1] == ids
    text = replace(made[0], prompt="as in <s>this</s>, why?")
    ((_, ids),) = module._ordered(tokenizer, [text])
    assert ids[0] == 256 and ids.count(256) == 2, "a question that mentions the token has the tokenizer's own too"


def test_questions_that_are_as_the_model_reads_them_are_asked_so(model, tokenizer):
    ids = tokenizer("2 + 2?")["input_ids"]
    asked = [Example("1", code, "2 + 2?", "", tokens=[ids[1:], []]) for code in ("en", "de")]
    questions = Corpus("q", ("en", "de"), tuple(asked))
    made = module._questions(tokenizer, questions, 0, None, False, 1)
    assert [own for _, own in module._ordered(tokenizer, made)] == [ids[1:]] * 2  # no beginning is added
    told = replace(questions, examples=(Example("1", "en", "[user]2 + 2?", ""), asked[1]))
    for corpus in (questions, replace(told, options={"chat_template_sha256": "a"})):
        for how in ({"shots": 1}, {"shots": 0, "chat": True}):
            with pytest.raises(NeuroglotError, match="corpus q: its questions are what the model reads"):
                sample(model, tokenizer, corpus, **SHORT | how)


def written(tokenizer, *texts):
    """A stand-in for ``model.generate`` that writes these texts, row by row, and asks the criteria after each token."""
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]

    def generate(ids, stopping_criteria, generation_config, **_):
        done = torch.zeros(len(ids), dtype=torch.bool)
        for step in range(generation_config.max_new_tokens):
            token = torch.tensor([257 if done[i] else row[step] for i, row in enumerate(rows[: len(ids)])])
            ids = torch.cat([ids, token[:, None]], 1)
            done = done | (token == 257) | stopping_criteria(ids, None)
            if done.all():
                break
        return ids

    return generate


@pytest.mark.parametrize(("shots", "expected"), [(0, "7.\n\nSo 12."), (1, "7.")])
def test_an_answer_ends_at_a_blank_line_after_worked_examples_only(
    shots, expected, model, tokenizer, questions, monkeypatch
):
    said = ["\n\n7.\n\nSo 12.</s>", "As long as this is it goes on"]
    monkeypatch.setattr(model, "generate", written(tokenizer, *said))
    model.generation_config.eos_token_id = 257
    asked = replace(questions, examples=(questions.examples[0], questions.examples[-1]))
    options = {"shots": shots, "progress": False, "max_new_tokens": 20}
    rows, provenance = module.sample_rows(model, tokenizer, asked, **options)
    rows = sorted(rows, key=lambda row: row["response"])
    assert [row["response"] for row in rows] == [expected, said[1][:20]]
    assert [row["cut_off"] for row in rows] == [False, True]
    assert provenance["ends_at"] == "\n\n" * bool(shots)
    # Prompts of sampled text hold their worked examples already.
    held = replace(asked, name="responses:problems", options={"shots": 4, "chat": False})
    assert module.sample_rows(model, tokenizer, held, **options | {"shots": 0})[1]["ends_at"] == "\n\n"
    table = accuracy(model, tokenizer, asked, **options)
    assert sorted(table["cut_off"]) == [0, 1]


@pytest.mark.parametrize("special", [{}, {"pad_token": "<s>"}])
def test_an_end_and_what_follows_it_are_no_text(special, model, questions, monkeypatch):
    """Of a tokenizer without an end of its own, the padding after a shorter answer is an ordinary token."""
    bare = byte_tokenizer(**special)
    bare.eos_token = None
    said = bare(["Seven.", "As long as this"], add_special_tokens=False)["input_ids"]
    padding = bare.pad_token_id or 0

    def generate(ids, **_):
        rows = [(said[i > 0] + [299 - i % 2] * (i == 0) + [padding] * 15)[:15] for i in range(len(ids))]
        return torch.cat([ids, torch.tensor(rows)], dim=1)

    monkeypatch.setattr(model, "generate", generate)
    model.generation_config.eos_token_id = [298, 299]
    asked = replace(questions, examples=(questions.examples[0], questions.examples[-1]))
    rows, _ = module.sample_rows(model, bare, asked, shots=0, progress=False, max_new_tokens=15)
    assert sorted((row["response"], row["cut_off"]) for row in rows) == [("As long as this", True), ("Seven.", False)]


def test_what_is_cut_off_is_kept(model, tokenizer, questions, tmp_path):
    path = tmp_path / "r.jsonl"
    made = sample(model, tokenizer, questions, path, shots=0, **SHORT)
    cut = [example.cut_off for example in made.examples]
    assert any(cut) and None not in cut
    made.save(tmp_path / "corpus.jsonl")
    for read in (load_corpus(f"jsonl:{path}", "en de"), Corpus.load(tmp_path / "corpus.jsonl")):
        assert [example.cut_off for example in read.examples] == cut
    unknown = replace(made, examples=tuple(replace(example, cut_off=None) for example in made.examples))
    assert unknown.hash != made.hash


def test_worked_examples_with_blank_lines_are_refused(model, tokenizer, questions):
    worked = replace(
        questions, examples=tuple(replace(e, response="One.\n\nTwo.", prompt="?") for e in questions.examples)
    )
    with pytest.raises(NeuroglotError, match=r"its response has a blank line, .* shots=0"):
        sample(model, tokenizer, questions, worked=worked, shots=1, **SHORT)


def test_the_bar_moves_with_every_token(model, tokenizer, questions, monkeypatch):
    moves = []

    class Bar(module.tqdm):
        def update(self, n=1):
            moves.append(n)
            self.n += n

    monkeypatch.setattr(module, "tqdm", Bar)
    module.sample_rows(model, tokenizer, questions, shots=0, **SHORT | {"progress": True, "batch_size": 10})
    assert moves[:6] == [10] * 6 and sum(moves) == 10 * 6
    monkeypatch.setattr(model, "generate", written(tokenizer, *["No.</s>"] * 10))
    moves.clear()
    module.sample_rows(model, tokenizer, questions, shots=0, **SHORT | {"progress": True, "batch_size": 10})
    assert moves == [10] * 4 + [20], "what was not needed is skipped"


FAMILIES = ("llama", "opt", "gpt2", "mixtral", "qwen3_moe", "gemma3_text", "mistral", "olmo2", "gpt_neox")


@pytest.mark.parametrize("family", FAMILIES)
@hypothesis.settings(deadline=None, max_examples=12)
@hypothesis.given(data=st.data())
def test_shared_beginnings_change_nothing(family, data):
    """Whatever the lengths of the beginnings and of the questions after them, one of a kind included."""
    sizes = {"gpt2": {"n_positions": 512}, "mistral": {"sliding_window": 16, "max_position_embeddings": 512}}
    sizes = sizes.get(family, {"max_position_embeddings": 512})
    model, tokenizer = tiny_model(family, **sizes), byte_tokenizer()
    examples = []
    for code, letter in (("en", "a"), ("de", "b"), ("sw", "c")):
        beginning = letter * data.draw(st.integers(0, 150))
        lengths = data.draw(st.lists(st.integers(1, 90), min_size=1, max_size=3))
        examples += [
            Example(str(n), code, f"{beginning}{n}{'xyz'[n] * length}", "") for n, length in enumerate(lengths)
        ]
    asked = Corpus("q", ("en", "de", "sw"), tuple(examples))
    options = {"shots": 0, "max_new_tokens": 4, "progress": False}
    options["batch_size"] = data.draw(st.sampled_from([2, 3, 16]))
    shared, _ = module.sample_rows(model, tokenizer, asked, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module._Beginnings, "cache", lambda *_: None)
        whole, _ = module.sample_rows(model, tokenizer, asked, **options)
    assert shared == whole


def test_bad_requests_are_named(model, tokenizer, questions):
    for settings, message in [
        ({"temperature": -1}, "temperature=-1"),
        ({"n": 2}, "would be all the same"),
        ({"n": 0}, "n=0"),
        ({"n": True}, "n=True"),
        ({"shots": -1}, "shots=-1"),
        ({"seed": 1.5}, "seed=1.5"),
        ({"temperature": "1"}, "temperature='1'"),
        ({"temperature": float("nan")}, "temperature=nan"),
        ({"worked": "problems"}, "worked='problems'"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"shots": 0, "max_new_tokens": 5000}, "leaves less than 5000 of the context of 4096"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            sample(model, tokenizer, questions, **SHORT | settings)
    other = Corpus("q", ("en", "te"), (Example("1", "en", "Why?", ""), Example("1", "te", "?", "")))
    with pytest.raises(NeuroglotError, match="no packaged worked examples in 'te'"):
        sample(model, tokenizer, other, **SHORT)
    with pytest.raises(NeuroglotError, match="fewer than 6 with a response in 'en'"):
        sample(model, tokenizer, questions, worked=questions, shots=6, **SHORT)
    text = Corpus("t", ("en", "de"), (Example("1", "en", "", "Hello."), Example("1", "de", "", "Hallo.")))
    with pytest.raises(NeuroglotError, match="en, 1: there is no question"):
        sample(model, tokenizer, text, shots=0, **SHORT)


CHANGES = {
    "as it is": None,
    "some": Intervention(SOME, factor=-4.0),
    "nothing": Intervention(NONE, values=0.0),
    "other": Intervention(OTHER, values=3.0),
}


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "mixtral"])
@pytest.mark.parametrize("shots", [0, 2])
def test_every_question_is_answered_under_every_intervention(family, shots, tokenizer, questions, tmp_path):
    """As one intervention at a time gives it, over the whole prompt and with no shared beginning."""
    model = tiny_model(family, max_position_embeddings=4096)
    path = tmp_path / "r.jsonl"
    options = {"shots": shots} | SHORT
    rows, provenance = module.sample_rows(model, tokenizer, questions, path, interventions=CHANGES, **options)
    assert [row["intervention"] for row in rows] == [name for name in CHANGES for _ in range(10)]
    asked = module._questions(tokenizer, questions, shots, None, False, 1)
    for row, (name, question) in zip(rows, ((n, q) for n in CHANGES for q in asked), strict=True):
        assert (row["language"], row["id"]) == (question.language, question.id)
        ids = torch.tensor([tokenizer(question.prompt)["input_ids"]])
        with intervene(model, [CHANGES[name]]), torch.no_grad():
            made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=6, do_sample=False)
        said = tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True).strip().partition("\n\n")[0].rstrip()
        assert row["response"] == said
    plain, _ = module.sample_rows(model, tokenizer, questions, **options)
    assert [row["response"] for row in plain] == [row["response"] for row in rows[:10]]
    assert provenance["interventions"]["as it is"] == provenance["interventions"]["nothing"]
    assert hookless(model)


def test_answers_under_interventions_go_on(model, tokenizer, questions, tmp_path, monkeypatch):
    path, plain = tmp_path / "r.jsonl", tmp_path / "plain.jsonl"
    options = {"shots": 1, "interventions": CHANGES} | SHORT
    module.sample_rows(model, tokenizer, questions, plain, **options)
    real, calls = module._generate, []

    def breaks(*arguments):
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "_generate", breaks)
    with pytest.raises(KeyboardInterrupt):
        module.sample_rows(model, tokenizer, questions, path, **options)
    assert hookless(model)
    module.sample_rows(model, tokenizer, questions, path, **options)
    assert len(calls) == 10 + 1 and path.read_bytes() == plain.read_bytes()
    module.sample_rows(model, tokenizer, questions, path, **options)
    assert len(calls) == 11
    for other in ({"some": Intervention(SOME, factor=4.0)}, {"fifth": None}):
        with pytest.raises(NeuroglotError, match="holds other responses"):
            module.sample_rows(model, tokenizer, questions, path, **options | {"interventions": CHANGES | other})
    with pytest.raises(NeuroglotError, match="no intervention to answer under"):
        module.sample_rows(model, tokenizer, questions, **options | {"interventions": {}})


def test_a_finished_file_answers_in_any_order(model, tokenizer, questions, tmp_path, monkeypatch):
    path, turned = tmp_path / "r.jsonl", dict(reversed(CHANGES.items()))
    rows, _ = module.sample_rows(model, tokenizer, questions, path, interventions=CHANGES, shots=0, **SHORT)
    before = path.read_bytes()
    monkeypatch.setattr(module, "_generate", None)  # nothing is run
    found, provenance = module.sample_rows(model, tokenizer, questions, path, interventions=turned, shots=0, **SHORT)
    assert [row["intervention"] for row in found] == [name for name in turned for _ in range(10)]
    assert found == [row for name in turned for row in rows if row["intervention"] == name]
    assert path.read_bytes() == before and list(provenance["interventions"]) == list(turned)
    # A row of an intervention that nobody asked for, or none where one is missing, is damage.
    lines = before.decode().splitlines()
    path.write_text("\n".join([*lines[:-1], lines[1]]) + "\n", encoding="utf-8")
    with pytest.raises(NeuroglotError, match="is damaged"):
        module.sample_rows(model, tokenizer, questions, path, interventions=turned, shots=0, **SHORT)


# --- grading -----------------------------------------------------------------------------------


def corpus_of(*rows):
    return Corpus("g", ("en", "de"), tuple(Example(*row) for row in rows))


def test_right_is_the_last_number_in_the_language_asked():
    questions = corpus_of(
        *(("abc"[i], "en", "How many?\n", "", "1,200", "a") for i in range(3)),
        *(("abcd"[i], "de", "Wie viele?\n", "", "12", "b" if i else "a") for i in range(4)),
    )
    responses = corpus_of(
        ("a", "en", "How many?\n", "The two gardens together have 1200 flowers.", "1,200", "a"),
        ("b", "en", "How many?\n", "There are 1200 flowers, of which red are 600.", "1,200", "a"),
        ("a", "de", "Wie viele?\n", "Zusammen haben die beiden Gärten 12 Blumen.", "12", "a"),
        ("b", "de", "Wie viele?\n", "The two gardens together have 12 flowers.", "12", "b"),
        ("c", "de", "Wie viele?\n", "Das weiß leider niemand von uns.", "12", "b"),
        ("d", "de", "Wie viele?\n", "Zusammen sind es genau ১২ schöne Blumen.", "12", "b"),
    )
    table = grade(responses, questions).set_index(["language", "document"])
    assert table["right_number"].to_dict() == {
        ("en", "a"): True, ("en", "b"): False, ("en", "c"): False,
        ("de", "a"): True, ("de", "b"): True, ("de", "c"): False, ("de", "d"): True,
    }  # fmt: skip
    assert table["correct"].to_dict() == table["right_number"].to_dict() | {("de", "b"): False}
    assert table.loc[("en", "c"), "found"] == "" and not table.loc[("en", "c"), "in_language"]
    shares = summarize(table.reset_index()).set_index(["language", "group"])
    assert shares.loc[("en", "a"), "accuracy"] == pytest.approx(1 / 3)
    assert shares.loc[("de", "b"), "accuracy"] == pytest.approx(1 / 3) and shares.loc[("de", "b"), "questions"] == 3
    assert shares.loc[("de", "all"), "accuracy"] == pytest.approx(0.5)
    assert shares.loc[("de", "b"), "right_number"] == pytest.approx(2 / 3)
    assert ("en", "all") not in shares.index
    row = shares.loc[("de", "all")]
    exact = stats.binomtest(2, 4).proportion_ci()
    assert [row["low"], row["high"]] == pytest.approx([exact.low, exact.high])
    assert shares.loc[("de", "a"), ["low", "high"]].isna().all(), "of one wording there is no interval"
    with pytest.raises(NeuroglotError, match="there is no answer"):
        grade(corpus_of(("a", "en", "?", "It is 3."), ("a", "de", "?", "Es ist 3.")))


def test_empty_responses_among_several_count_as_wrong():
    questions = corpus_of(("a", "en", "How many?", "", "5"), ("a", "de", "Wie viele?", "", "5"))
    responses = corpus_of(
        ("a#1", "en", "How many?", "There are 5 flowers in the garden.", "5"),
        ("a#1", "de", "Wie viele?", "Im Garten wachsen heute 5 Blumen.", "5"),
        ("a#3", "de", "Wie viele?", "Im Garten wachsen heute 6 Blumen.", "5"),
    )
    shares = summarize(grade(responses, questions)).set_index("language")
    assert shares["accuracy"].to_dict() == pytest.approx({"en": 1 / 3, "de": 1 / 3})
    assert shares["in_language"].to_dict() == pytest.approx({"en": 1 / 3, "de": 2 / 3})
    for bad in ({"level": 95}, {"level": 0}):
        with pytest.raises(NeuroglotError, match="give a share between 0 and 1"):
            summarize(grade(responses), **bad)


def test_intervals_cover_as_often_as_they_say():
    import numpy as np

    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        graded = pd.DataFrame({"language": "en", "document": range(60), "group": "", "correct": rng.random(60) < 0.4})
        graded["unit"] = graded["document"]
        row = summarize(graded.assign(right_number=True, in_language=True)).iloc[0]
        covered += row["low"] <= 0.4 <= row["high"]
    assert covered / 200 > 0.93


def test_accuracy_is_sampling_then_grading(model, tokenizer, questions, tmp_path):
    table = accuracy(model, tokenizer, questions, tmp_path / "a.jsonl", shots=0, **SHORT)
    by_hand = grade(load_corpus(f"jsonl:{tmp_path / 'a.jsonl'}"), questions)
    assert table["accuracy"].tolist() == by_hand.groupby("language", sort=False)["correct"].mean().tolist()
    assert table["questions"].tolist() == [5, 5]
