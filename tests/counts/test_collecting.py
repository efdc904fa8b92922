"""Counting: against brute force, one process against many, and files that are whole or absent."""

import json
import os
import signal
import tracemalloc

import numpy as np
import pytest
import torch

from neuroglot import (
    ActivationStats,
    Corpus,
    Example,
    NeuroglotError,
    collect,
    count_activations,
    load_corpus,
    load_model,
)
from neuroglot.base import provenance
from neuroglot.base.parts import Parts
from neuroglot.counts import collecting as module
from neuroglot.model import batches, sites

from ..conftest import byte_tokenizer, tiny_model, unsettled
from ..reference import brute_force, expert_tokens, neurons


def test_hooks_are_gone_after_an_error(llama):
    with pytest.raises(IndexError):
        count_activations(llama, torch.full((1, 4), 9999), torch.ones(1, 4, dtype=torch.long))
    assert not any(module._forward_hooks for module in llama.modules())


def test_head_is_never_run(llama, tokenizer, texts):
    llama.lm_head.register_forward_hook(lambda *_: pytest.fail("the head was run"))
    collect(llama, tokenizer, load_corpus(f"text:{texts}"), progress=False)


def test_shapes_that_differ_are_refused(llama):
    with pytest.raises(NeuroglotError, match="one shape"):
        count_activations(llama, torch.ones(2, 4, dtype=torch.long), torch.ones(2, 5, dtype=torch.long))


def test_hidden_states_that_are_not_finite_are_refused(llama):
    with torch.no_grad():
        llama.model.layers[0].mlp.down_proj.weight.fill_(float("nan"))
    with pytest.raises(NeuroglotError, match="not finite"):
        count_activations(llama, torch.ones(1, 4, dtype=torch.long), torch.ones(1, 4, dtype=torch.long))


@pytest.mark.parametrize(
    ("family", "dropout"),
    [
        ("llama", {"attention_dropout": 0.5}),
        ("gpt2", {"resid_pdrop": 0.5}),
        ("opt", {"dropout": 0.5, "layerdrop": 0.5}),
        ("mixtral", {"router_jitter_noise": 0.5}),
    ],
)
def test_training_mode_checkpoints_and_compiled_code_change_no_count(family, dropout, tokenizer):
    """And every part has its own mode again, after an error too."""
    corpus, ids = answers_to_questions(0, 3, 3), torch.randint(1, 256, (2, 20))
    wanted = collect(tiny_model(family), tokenizer, corpus, shards=2, moments=True, progress=False)
    with unsettled(tiny_model(family, **dropout)) as model:
        one = count_activations(model, ids, torch.ones_like(ids))
        for share in (True, False):
            prepared = module.Collection(
                model, tokenizer, corpus, shards=2, moments=True, share_prefixes=share, batch_tokens=300
            )
            assert any(batch.shared for portion in prepared.portions for batch in portion.batches) == share
            found = prepared.run(progress=False)
            assert np.array_equal(found.shard_counts, wanted.shard_counts)
            assert prepared.estimate_seconds() > 0
    assert torch.equal(one, count_activations(tiny_model(family), ids, torch.ones_like(ids)))
    with unsettled(tiny_model(family)) as model, pytest.raises(IndexError):
        count_activations(model, torch.full((1, 4), 9999), torch.ones(1, 4, dtype=torch.long))


def test_a_model_in_the_wrapper_of_the_compiler_is_the_model(llama, tokenizer, texts, tmp_path):
    corpus = load_corpus(f"text:{texts}")
    for name, model in {"a": llama, "b": torch.compile(llama, backend="eager")}.items():
        collect(model, tokenizer, corpus, tmp_path / name, progress=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with pytest.raises(NeuroglotError, match="Linear is no model of transformers"):
        collect(torch.nn.Linear(2, 2), tokenizer, corpus)


# --- a corpus ----------------------------------------------------------------------------------


def prompted() -> Corpus:
    rows = [("1", "en", "2 + 2? ", "It is 4."), ("1", "fr", "2 + 2 ? ", "C'est 4."), ("2", "en", "", "Good."),
            ("2", "fr", "Été : ", "Très bien."), ("3", "en", "Why? ", "Because I said so, and twice.")]  # fmt: skip
    examples = tuple(Example(id=i, language=code, prompt=p, response=r) for i, code, p, r in rows)
    return Corpus("prompted", ("en", "fr"), examples)


def expected_counts(model, tokenizer, corpus, shards):
    ids = list(dict.fromkeys(example.id for example in corpus.examples))
    counts = np.zeros((min(shards, len(ids)), 3, 48, len(corpus.languages)), dtype=np.int64)
    tokens = np.zeros((len(counts), len(corpus.languages)), dtype=np.int64)
    for example in corpus.examples:
        prompt = len(example.prompt.encode())
        encoded = tokenizer(example.prompt + example.response)["input_ids"]
        assert encoded[0] == 256
        counted = [position > prompt for position in range(len(encoded))]
        place = ids.index(example.id) % len(counts), corpus.languages.index(example.language)
        tokens[place] += sum(counted)
        counts[place[0], ..., place[1]] += brute_force(model, encoded, counted).numpy()
    return counts, tokens


@pytest.mark.parametrize("batch_tokens", [1, 40, 4096])
@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2"])
def test_collect_counts_response_tokens_per_language_and_shard(family, batch_tokens, tokenizer):
    model, corpus = tiny_model(family), prompted()
    stats = collect(model, tokenizer, corpus, shards=2, batch_tokens=batch_tokens, progress=False)
    counts, tokens = expected_counts(model, tokenizer, corpus, 2)
    assert np.array_equal(stats.shard_counts, counts)
    assert np.array_equal(stats.shard_tokens, tokens)
    assert stats.tokens.tolist() == [
        len(b"It is 4.Good.Because I said so, and twice."),
        len("C'est 4.Très bien.".encode()),
    ]
    assert np.array_equal(stats.counts, counts.sum(0)) and stats.counts.dtype == np.int64
    assert np.array_equal(stats.probabilities(), counts.sum(0) / tokens.sum(0))
    assert stats.shape == (3, 48, 2) and stats.languages == ("en", "fr")


def test_special_tokens_in_the_text_are_not_counted(llama):
    tokenizer = byte_tokenizer()
    corpus = Corpus("x", ("en", "fr"), (Example("1", "en", "", "a</s>b"), Example("1", "fr", "", "cd")))
    assert collect(llama, tokenizer, corpus, progress=False).tokens.tolist() == [2, 2]


def test_text_longer_than_the_context_is_split_and_all_counted(tokenizer):
    model = tiny_model("gpt2", n_positions=16)
    long = "".join(chr(97 + i % 26) for i in range(40))
    corpus = Corpus("long", ("en", "fr"), (Example("1", "en", "abc", long), Example("1", "fr", "", "bonjour")))
    stats = collect(model, tokenizer, corpus, progress=False)
    assert stats.tokens.tolist() == [40, 7]
    assert stats.provenance["examples_split"] == 1
    pieces = [long[at : at + 12] for at in range(0, 40, 12)]  # 16 less <s> and the prompt
    expected = 0
    for piece in pieces:
        ids = tokenizer("abc" + piece)["input_ids"]
        expected = expected + brute_force(model, ids, [position > 3 for position in range(len(ids))])
    assert np.array_equal(stats.counts[..., 0], expected.numpy())


def test_prompt_longer_than_the_context_is_refused(tokenizer):
    model = tiny_model("gpt2", n_positions=16)
    corpus = Corpus("p", ("en", "fr"), (Example("a", "en", "x" * 30, "yes"), Example("a", "fr", "", "oui")))
    with pytest.raises(NeuroglotError, match=r"p, en, a: its prompt has 31 tokens, the context 16"):
        collect(model, tokenizer, corpus, progress=False)


def test_batches_hold_like_lengths_within_the_limit(llama, tokenizer, texts):
    collection = module.Collection(llama, tokenizer, load_corpus(f"text:{texts}"), shards=2, batch_tokens=90)
    for portion in collection.portions:
        for batch in portion.batches:
            assert len(batch.texts) == 1 or batch.size <= 90
    assert sum(len(batch.texts) for portion in collection.portions for batch in portion.batches) == 12
    assert [shard for portion in collection.portions for shard in portion.shards] == [0, 1]


# --- texts that begin alike ---------------------------------------------------------------------


def answers_to_questions(seed: int, questions: int, answers: int, worked: str = "") -> Corpus:
    rng = np.random.default_rng(seed)
    examples = []
    for language in ("en", "de"):
        for q in range(questions):
            prompt = f"{worked}{language} {'x' * int(rng.integers(1, 40))} {q}?\n"
            for i in range(1, answers + 1):
                response = f"{language} {i} " + "y" * int(rng.integers(1, 40))
                examples.append(Example(f"{q:03d}#{i}", language, prompt, response))
    return Corpus("answers", ("en", "de"), tuple(examples))


@pytest.mark.parametrize("worked", ["", "An example that stands before every question of both languages.\n\n"])
def test_shared_prefixes_count_the_same(any_model, tokenizer, worked):
    corpus = answers_to_questions(0, 6, 4, worked)
    sizes = {"shards": 3, "batch_tokens": 500}
    shared, apart = (module.Collection(any_model, tokenizer, corpus, share_prefixes=s, **sizes) for s in (True, False))
    runs = [[batch for portion in c.portions for batch in portion.batches] for c in (shared, apart)]
    assert any(batch.shared for batch in runs[0]) and not any(batch.shared for batch in runs[1])
    assert sum(batch.size for batch in runs[0]) < 0.95 * sum(batch.size for batch in runs[1])
    assert all(len(batch.texts) == 1 or batch.size <= 500 for batch in runs[0])
    one, two = shared.run(progress=False), apart.run(progress=False)
    assert np.array_equal(one.shard_counts, two.shard_counts) and np.array_equal(one.shard_tokens, two.shard_tokens)


def test_answers_to_one_question_share_a_shard(llama, tokenizer):
    prepared = module.Collection(llama, tokenizer, answers_to_questions(1, 5, 3), shards=5)
    shards = {}
    for text in prepared.texts:
        shards.setdefault((text.language, tuple(text.ids[: text.counted.index(True)])), set()).add(text.bin)
    assert len(shards) == 10 and all(len(found) == 1 for found in shards.values())


def test_a_shared_prefix_holds_nothing_counted(llama, tokenizer):
    prepared = module.Collection(llama, tokenizer, answers_to_questions(2, 6, 4), shards=1)
    texts = [text for portion in prepared.portions for batch in portion.batches for text in batch.texts]
    assert len(texts) == len(prepared.texts) == 48
    for portion in prepared.portions:
        for batch in portion.batches:
            assert batch.shared % 8 == 0 and not any(any(text.counted[: batch.shared]) for text in batch.texts)
            assert batch.counted == int(batch.tensors(2).weights.sum())


def test_texts_that_only_begin_alike_by_chance_are_run_apart(llama, tokenizer):
    rng = np.random.default_rng(3)
    letters = np.array(list("abcdefgh"))
    corpus = Corpus("c", ("en", "de"), tuple(
        Example(str(i), code, "The " + "".join(rng.choice(letters, 30)) + "?\n", "Yes, it is.")
        for code in ("en", "de") for i in range(9)
    ))  # fmt: skip
    prepared = module.Collection(llama, tokenizer, corpus, shards=1)
    assert not any(batch.shared for portion in prepared.portions for batch in portion.batches)


# --- files, resuming, provenance ---------------------------------------------------------------


def test_same_input_same_bytes_and_round_trip(llama, tokenizer, texts, tmp_path):
    corpus = load_corpus(f"text:{texts}")
    one, two = tmp_path / "a" / "one.safetensors", tmp_path / "two.safetensors"
    stats = collect(llama, tokenizer, corpus, one, progress=False)
    collect(llama, tokenizer, corpus, two, progress=False)
    assert one.read_bytes() == two.read_bytes()
    loaded = ActivationStats.load(one)
    assert np.array_equal(loaded.counts, stats.counts) and loaded.languages == stats.languages
    assert loaded.provenance == json.loads(json.dumps(stats.provenance))
    loaded.save(tmp_path / "three.safetensors")
    assert (tmp_path / "three.safetensors").read_bytes() == one.read_bytes()
    assert {"model", "revision", "weights_sha256", "tokenizer", "corpus_sha256", "settings", "versions"} <= set(
        loaded.provenance
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "texts", "three.safetensors", "two.safetensors"]


def test_finished_counts_are_not_counted_again(llama, tokenizer, texts, tmp_path, monkeypatch):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    first = collect(llama, tokenizer, corpus, path, progress=False)
    monkeypatch.setattr(module.Collection, "_count", lambda *_: pytest.fail("counted again"))
    assert np.array_equal(collect(llama, tokenizer, corpus, path, progress=False).counts, first.counts)


def test_interrupted_counting_goes_on_after_the_last_shard(llama, tokenizer, texts, tmp_path, monkeypatch):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    whole = collect(llama, tokenizer, corpus, tmp_path / "whole.safetensors", progress=False, batch_tokens=8)
    real, done = module.Collection._count, []

    def two_then_stop(self, *arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(module.Collection, "_count", two_then_stop)
    with pytest.raises(KeyboardInterrupt):
        collect(llama, tokenizer, corpus, path, progress=False, batch_tokens=8)
    assert not path.exists()

    def later(self, *arguments):
        done.append(1)
        return real(self, *arguments)

    monkeypatch.setattr(module.Collection, "_count", later)
    stats = collect(llama, tokenizer, corpus, path, progress=False, batch_tokens=8)
    assert len(done) == len(whole.shard_tokens) == 4  # one portion a shard, none counted twice
    assert np.array_equal(stats.shard_counts, whole.shard_counts)
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not list(tmp_path.glob("*.parts"))


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_a_run_of_few_batches_goes_on_after_its_last_pass(family, tokenizer, texts, tmp_path, monkeypatch):
    """Ctrl-C waits for the pass that runs, and all passes until then are kept; the bytes are those of one run."""
    model, corpus, path = tiny_model(family), load_corpus(f"text:{texts}"), tmp_path / "s.safetensors"
    asked = {"batch_tokens": 128, "moments": True, "progress": False}
    collect(model, tokenizer, corpus, tmp_path / "whole.safetensors", **asked)
    real, passes = module.Counter.forward, []

    def forward(self, model, inputs):
        passes.append(inputs.ids.tolist())
        if len(passes) in (2, 3):
            os.kill(os.getpid(), signal.SIGINT)  # as this pass begins
        real(self, model, inputs)

    monkeypatch.setattr(module.Counter, "forward", forward)
    for number in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            collect(model, tokenizer, corpus, path, **asked)
        assert len(passes) == number
        assert [part.name for part in (tmp_path / "s.safetensors.parts").iterdir()] == ["shards-0000.begun.safetensors"]
    collect(model, tokenizer, corpus, path, **asked)
    assert len(passes) == 4 and len({str(ids) for ids in passes}) == 4  # each batch once
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not list(tmp_path.glob("*.parts")) and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interruption_does_not_wait_and_keeps_no_half_pass(llama, tokenizer, texts, tmp_path, monkeypatch):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    plain = collect(llama, tokenizer, corpus, batch_tokens=128, progress=False)
    real, seen = module.Counter._add, []

    def add(self, *arguments):
        real(self, *arguments)
        seen.append(1)
        if len(seen) == 5:  # in the second pass, after its second of three layers
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("went on")

    monkeypatch.setattr(module.Counter, "_add", add)
    with pytest.raises(KeyboardInterrupt):
        collect(llama, tokenizer, corpus, path, batch_tokens=128, progress=False)
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.parts/*"))
    assert np.array_equal(
        collect(llama, tokenizer, corpus, path, batch_tokens=128, progress=False).counts, plain.counts
    )


def test_shards_of_another_run_are_not_taken_over(llama, tokenizer, texts, tmp_path, monkeypatch):
    path = tmp_path / "s.safetensors"
    other = collect(tiny_model("gpt2"), tokenizer, load_corpus(f"text:{texts}"), progress=False)
    for shard in range(4):
        Parts(path, other.provenance).keep(f"shards-{shard:04d}", {"counts": other.shard_counts[shard:]})
    stats = collect(llama, tokenizer, load_corpus(f"text:{texts}"), path, progress=False)
    assert not np.array_equal(stats.counts, other.counts)
    assert np.array_equal(stats.counts, collect(llama, tokenizer, load_corpus(f"text:{texts}"), progress=False).counts)


def test_other_counts_are_not_overwritten_unasked(llama, tokenizer, texts, tmp_path):
    path = tmp_path / "s.safetensors"
    first = collect(llama, tokenizer, load_corpus(f"text:{texts}"), path, progress=False)
    fewer = load_corpus(f"text:{texts}", "en,ru")
    with pytest.raises(NeuroglotError, match="holds other counts"):
        collect(llama, tokenizer, fewer, path, progress=False)
    assert np.array_equal(ActivationStats.load(path).counts, first.counts)
    assert collect(llama, tokenizer, fewer, path, overwrite=True, progress=False).languages == ("en", "ru")
    assert ActivationStats.load(path).languages == ("en", "ru")


def test_changed_configuration_is_other_counts(llama, tokenizer, texts, tmp_path):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    collect(llama, tokenizer, corpus, path, progress=False)
    llama.config.rms_norm_eps = 0.5
    with pytest.raises(NeuroglotError, match="config_sha256"):
        collect(llama, tokenizer, corpus, path, progress=False)


def test_changed_weights_are_other_counts(llama, tokenizer, texts, tmp_path):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    collect(llama, tokenizer, corpus, path, progress=False)
    with torch.no_grad():
        llama.model.layers[1].mlp.gate_proj.weight[0, 0] += 1
    with pytest.raises(NeuroglotError, match="weights_sha256"):
        collect(llama, tokenizer, corpus, path, progress=False)


def test_a_disk_that_is_full_loses_nothing(llama, tokenizer, texts, tmp_path, small_files):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    stats = collect(llama, tokenizer, corpus, path, progress=False)
    before = path.read_bytes()
    with small_files(), pytest.raises(NeuroglotError, match=r"could not write .*s\.safetensors: .*File too large"):
        stats.save(path)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.safetensors", "texts"]


@pytest.mark.parametrize("name", ["shards", "batch_tokens", "max_tokens"])
def test_sizes_must_be_positive(llama, tokenizer, texts, name):
    with pytest.raises(NeuroglotError, match=name):
        collect(llama, tokenizer, load_corpus(f"text:{texts}"), **{name: 0})


# --- text that is streamed, and shards of many batches ------------------------------------------


@pytest.fixture
def lines(tmp_path):
    """Texts of two languages that take turns in one file of JSON lines."""
    rng = np.random.default_rng(0)
    path = tmp_path / "lines.jsonl"
    with path.open("w") as file:
        for number in range(120):
            row = {"language": ("aa", "kl")[number % 2], "response": f"{number} " + "abc " * int(rng.integers(1, 30))}
            file.write(json.dumps(row) + "\n")
    return path


@pytest.mark.parametrize("more", [{}, {"gather": ("histograms", "maxima", "absolute", "last")}])
@pytest.mark.parametrize("block", [400, batches._BLOCK])
def test_streamed_text_gives_the_bytes_of_text_in_memory(llama, tokenizer, lines, tmp_path, monkeypatch, block, more):
    monkeypatch.setattr(batches, "_BLOCK", block)
    asked = {"shards": 3, "batch_tokens": 30, "moments": True, "max_tokens": 70, "progress": False, **more}
    whole = collect(llama, tokenizer, load_corpus(f"jsonl:{lines}"), tmp_path / "whole", **asked)
    collect(llama, tokenizer, load_corpus(f"jsonl:{lines}", stream=True), tmp_path / "streamed", **asked)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "streamed").read_bytes()
    texts = [example.response for example in load_corpus(f"jsonl:{lines}").examples]
    assert whole.tokens.sum() == sum(map(len, texts)) and whole.provenance["examples_split"] > 0
    if more:
        assert whole.gathered.maxima.shape == (3, 120, 48)


def test_a_shard_of_many_batches_is_kept_as_it_grows(llama, tokenizer, lines, tmp_path, monkeypatch):
    """Of a run that is killed only what came after the last keeping is counted again; the bytes are those of one."""
    monkeypatch.setattr(batches, "_BLOCK", 400)
    corpus, asked = load_corpus(f"jsonl:{lines}", stream=True), {"batch_tokens": 30, "shards": 2, "moments": True}
    collect(llama, tokenizer, corpus, tmp_path / "whole", progress=False, **asked)
    monkeypatch.setattr(module, "_KEPT", 5)
    collection, ran = module.Collection(llama, tokenizer, corpus, **asked), []
    first, second = (len(list(portion.batches)) for portion in collection.portions)
    assert all(len(portion.blocks) > 1 for portion in collection.portions) and first > 20 and second > 20
    real = module.Counter.forward

    def forward(self, model, inputs):
        ran.append(inputs.ids.tolist())
        if len(ran) == first + 13:
            raise MemoryError  # as unforeseen as a kill
        real(self, model, inputs)

    monkeypatch.setattr(module.Counter, "forward", forward)
    with pytest.raises(MemoryError):
        collection.run(tmp_path / "counts", progress=False)
    names = sorted(part.name for part in (tmp_path / "counts.parts").iterdir())
    assert names == ["shards-0000.safetensors", "shards-0001.begun.safetensors"]
    collect(llama, tokenizer, corpus, tmp_path / "counts", progress=False, **asked)
    assert len(ran) == first + 13 + second - 10  # ten batches of the second shard were kept
    assert len({str(ids) for ids in ran}) == first + second
    assert (tmp_path / "counts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_memory_for_streamed_text_is_bounded(llama, tokenizer, tmp_path, monkeypatch):
    """0.6 million tokens, which as lists would take 10 MB; all of them are in batches."""
    monkeypatch.setattr(batches, "_BLOCK", 2**14)
    monkeypatch.setattr(batches, "_AT_ONCE", 2**14)
    path = tmp_path / "t.jsonl"
    with path.open("w") as file:
        for number in range(300):
            row = {"language": ("aa", "kl")[number % 2], "response": f"{number} " + "abcdefghi " * 200}
            file.write(json.dumps(row) + "\n")
    tracemalloc.start()
    try:
        corpus = load_corpus(f"jsonl:{path}", stream=True)
        collection = module.Collection(llama, tokenizer, corpus, shards=4)
        counted = sum(batch.counted for portion in collection.portions for batch in portion.batches)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counted == collection.tokens.sum() == sum(2001 + len(str(number)) for number in range(300))
    assert collection.disk()["tokens"] == 4 * (counted + len(collection.texts)) and peak < 3e6


# --- texts joined into windows -------------------------------------------------------------------


def test_joined_texts_are_counted_as_one_input(llama, tokenizer):
    examples = [Example(f"{i}", code, "", f"{code} {i} " + "abc" * i) for code in ("en", "fr") for i in range(8)]
    corpus = Corpus("c", ("en", "fr"), tuple(examples))
    stats = collect(llama, tokenizer, corpus, shards=2, pack=45, progress=False)
    apart = collect(llama, tokenizer, corpus, shards=2, progress=False)
    assert np.array_equal(stats.shard_tokens, apart.shard_tokens) and stats.provenance["settings"]["pack"] == 45
    assert "pack" not in apart.provenance["settings"]
    expected = np.zeros_like(stats.shard_counts, dtype=np.int64)
    for k, code in enumerate(corpus.languages):
        for shard in (0, 1):
            windows, ids = [], []
            for example in corpus.examples:
                if example.language == code and int(example.id) % 2 == shard:
                    own = tokenizer(example.response)["input_ids"]
                    if len(ids) + len(own) > 45:
                        windows, ids = [*windows, ids], []
                    ids = ids + own
            windows.append(ids)
            assert len(windows) == 2
            for ids in windows:
                expected[shard, ..., k] += brute_force(llama, ids, [token != 256 for token in ids]).numpy()
    assert np.array_equal(stats.shard_counts, expected) and not np.array_equal(stats.counts, apart.counts)


def test_joined_texts_that_are_streamed_and_longer_than_a_window(llama, tokenizer, lines, tmp_path):
    asked = {"shards": 3, "batch_tokens": 200, "max_tokens": 100, "pack": True, "progress": False, "moments": True}
    asked["gather"] = "histograms"
    whole = collect(llama, tokenizer, load_corpus(f"jsonl:{lines}"), tmp_path / "whole", **asked)
    collect(llama, tokenizer, load_corpus(f"jsonl:{lines}", stream=True), tmp_path / "streamed", **asked)
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "streamed").read_bytes()
    del asked["pack"]
    apart = collect(llama, tokenizer, load_corpus(f"jsonl:{lines}"), **asked)
    assert np.array_equal(whole.shard_tokens, apart.shard_tokens) and whole.provenance["settings"]["pack"] == 100
    assert whole.provenance["examples_split"] == apart.provenance["examples_split"] > 0


def test_what_cannot_be_joined(llama, tokenizer, texts):
    with pytest.raises(NeuroglotError, match=r"pack: corpus prompted has prompts, .*; leave it out"):
        collect(llama, tokenizer, prompted(), pack=True)
    with pytest.raises(NeuroglotError, match="pack: maxima are gathered of each text apart"):
        collect(llama, tokenizer, load_corpus(f"text:{texts}"), pack=True, gather=["histograms", "maxima"])


# --- other rules, moments, experts --------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"quantity": "sign"}, "quantity 'sign'"),
        ({"above": float("nan")}, "above=nan"),
        ({"above": np.float32(0.5)}, "above=np"),
    ],
)
def test_bad_rules(llama, tokenizer, texts, rule, message):
    with pytest.raises(NeuroglotError, match=message):
        collect(llama, tokenizer, load_corpus(f"text:{texts}"), **rule)


def values_of(model, tokenizer, corpus, quantity):
    """Every counted token's values: language -> float64 [tokens, layers, neurons]."""
    rows = {code: [] for code in corpus.languages}
    for example in corpus.examples:
        encoded, prompt = tokenizer(example.prompt + example.response)["input_ids"], len(example.prompt.encode())
        layers = neurons(model, encoded, model.config.model_type)
        for token in range(prompt + 1, len(encoded)):
            rows[example.language].append(torch.stack([layer[token][quantity] for layer in layers]))
    return {code: torch.stack(tokens).double().numpy() for code, tokens in rows.items()}


@pytest.mark.parametrize("quantity", ["pre-activation", "activation", "product"])
@pytest.mark.parametrize("family", ["llama", "opt", "phi3", "mixtral"])
def test_moments_and_levels_of_every_quantity(family, quantity, tokenizer):
    model, corpus = tiny_model(family), prompted()
    stats = collect(
        model, tokenizer, corpus, quantity=quantity, above=0.02, moments=True, batch_tokens=60, progress=False
    )
    compared = values_of(model, tokenizer, corpus, quantity)
    own = values_of(model, tokenizer, corpus, "product" if quantity == "product" else "activation")
    for k, code in enumerate(corpus.languages):
        assert np.array_equal(stats.counts[..., k], (compared[code] > 0.02).sum(0))
        seen = np.isfinite(own[code]).sum(0)
        assert np.array_equal(stats.seen[..., k], seen)
        values = np.nan_to_num(own[code])
        # each batch's sum is rounded to 2**-16 once
        assert np.allclose(stats.means()[..., k] * seen, values.sum(0), rtol=1e-12, atol=1e-15)
        assert np.allclose(stats.second_moments()[..., k] * seen, (values**2).sum(0), rtol=1e-12, atol=1e-15)
    assert stats.provenance["settings"]["quantity"] == quantity and stats.provenance["settings"]["above"] == 0.02


def test_counts_without_moments_say_so(llama, tokenizer, texts):
    stats = collect(llama, tokenizer, load_corpus(f"text:{texts}"), progress=False)
    with pytest.raises(NeuroglotError, match="moments=True"):
        stats.means()


def test_values_too_large_to_sum_are_refused(llama, tokenizer, texts):
    with torch.no_grad():
        llama.model.layers[1].mlp.gate_proj.weight.mul_(1e9)
    with pytest.raises(NeuroglotError, match="too large"):
        collect(llama, tokenizer, load_corpus(f"text:{texts}"), moments=True, progress=False)


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "olmoe"])
def test_experts_keep_the_tokens_they_saw(family, tokenizer, texts, tmp_path):
    model, corpus = tiny_model(family), load_corpus(f"text:{texts}")
    stats = collect(model, tokenizer, corpus, tmp_path / "s.safetensors", shards=2, moments=True, progress=False)
    routed = np.zeros((2, 3, 4, 3), dtype=np.int64)
    for number, example in enumerate(corpus.examples):
        encoded = tokenizer(example.response)["input_ids"]
        tokens = expert_tokens(model, encoded, [position > 0 for position in range(len(encoded))], 4)
        routed[number % 4 % 2, ..., corpus.languages.index(example.language)] += tokens.numpy()
    assert np.array_equal(stats.shard_routed, routed)
    assert np.array_equal(stats.routed.sum(1), np.broadcast_to(2 * stats.tokens, (3, 3)))  # two experts a token
    p = stats.probabilities()
    for expert in range(4):
        own = slice(12 * expert, 12 * expert + 12)
        seen = routed.sum(0)[:, expert, None]
        assert np.array_equal(
            p[:, own], np.where(seen > 0, stats.counts[:, own] / np.maximum(seen, 1), np.nan), equal_nan=True
        )
    loaded = ActivationStats.load(tmp_path / "s.safetensors")
    for name in ("shard_counts", "shard_tokens", "shard_routed", "sums", "squares"):
        assert np.array_equal(getattr(loaded, name), getattr(stats, name)), name
    half, two = loaded.take([1]), loaded.select("ru en")
    assert np.array_equal(half.routed, routed[1]) and half.sums is None
    assert np.array_equal(two.routed, routed.sum(0)[..., [2, 1]]) and np.array_equal(
        two.means(), stats.means()[..., [2, 1]]
    )
    again = loaded.merged([1, 1, 0])
    assert (again.counts.reshape(3, 4, 12, 3).max(2) <= again.routed).all()


# --- types of numbers, and where the weights are ------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3", "olmoe"])
def test_other_types_of_numbers(family, dtype, tokenizer):
    model = tiny_model(family).to(dtype)
    text = "One text, alone in its batch, is computed as it is by itself."
    corpus = Corpus("one", ("en", "fr"), (Example("1", "en", "", text), Example("2", "fr", "", "Un texte.")))
    stats = collect(model, tokenizer, corpus, batch_tokens=1, progress=False)
    gates = []  # in half precision only the model's own arithmetic tells the sign
    layers = sites.neuron_layers(model)
    with (
        torch.no_grad(),
        sites.observed(layers, lambda layer, _, z, __, routing: gates.append((layer, z.clone(), routing))),
    ):
        model(torch.tensor([tokenizer(text)["input_ids"]]))
    expected = np.zeros((3, 48), dtype=np.int64)
    for layer, z, routing in gates:
        for expert, rows in routing.spans if routing else [(0, slice(None))]:
            keep = routing.tokens[rows] > 0 if routing else torch.arange(len(z)) > 0
            width = layers[layer].mlps[0].width
            expected[layer, expert * width : (expert + 1) * width] += (z[rows][keep] > 0).sum(0).numpy()
    assert np.array_equal(stats.counts[..., 0], expected) and stats.provenance["dtype"] == str(dtype)[6:]


def test_rounding_may_only_flip_what_is_next_to_zero(tokenizer, texts):
    """Other batch shapes may round differently; a count may then differ by the tokens within rounding of zero."""
    model, corpus = tiny_model("llama").float(), load_corpus(f"text:{texts}")
    one, other = (collect(model, tokenizer, corpus, batch_tokens=size, progress=False).counts for size in (1, 2000))
    z = values_of(model, tokenizer, corpus, "pre-activation")
    near = np.stack([(np.abs(z[code]) < 1e-5).sum(0) for code in corpus.languages], axis=-1)
    assert (np.abs(one - other) <= near).all()


def test_a_level_is_compared_as_it_was_given(tokenizer, texts):
    """bfloat16 has 0.0500488 next to 0.05; that is above it."""
    model = tiny_model("llama").to(torch.bfloat16)
    ids = torch.randint(1, 256, (1, 64), generator=torch.Generator().manual_seed(0))
    read = []
    with torch.no_grad(), sites.observed(sites.neuron_layers(model), lambda layer, _, z, *__: read.append(z.double())):
        model.model(ids)
    expected = torch.stack([(z > 0.05).sum(0) for z in read])
    rounded = torch.stack([(z > torch.tensor(0.05).bfloat16().double()).sum(0) for z in read])
    assert torch.equal(count_activations(model, ids, torch.ones_like(ids), above=0.05), expected)
    assert not torch.equal(expected, rounded)


def test_counts_are_exact_whatever_the_surroundings(llama, tokenizer):
    text = "abcdefgh" * 31
    corpus = Corpus("long", ("en", "fr"), (Example("1", "en", "", text), Example("2", "fr", "", text[::-1])))
    usual = collect(llama, tokenizer, corpus, progress=False)
    assert (usual.counts % 2 == 1).any()
    torch.set_default_dtype(torch.bfloat16)
    try:
        other = collect(llama, tokenizer, corpus, progress=False)
    finally:
        torch.set_default_dtype(torch.float32)
    assert np.array_equal(other.counts, usual.counts)
    counter = module.Counter(sites.neuron_layers(llama))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = torch.ones(301, 48)
        counter.count(torch.ones(1, 301))
        counter._see(0, counter.layers[0].mlps[0], z, None, None)
    assert (counter.take().counts[0] == 301).all()


def test_moments_of_neurons_that_are_almost_silent(llama, tokenizer, texts):
    with torch.no_grad():
        for layer in llama.model.layers:
            layer.mlp.gate_proj.weight.mul_(1e-4)
    stats = collect(llama, tokenizer, load_corpus(f"text:{texts}"), moments=True, progress=False)
    variance = stats.second_moments() - stats.means() ** 2
    assert (stats.second_moments() > 0).all() and (stats.second_moments() < 1e-6).all()
    assert (variance > 0).all()


def test_a_pass_ends_at_the_last_neurons(llama, tokenizer, texts):
    llama.model.layers[2].mlp.down_proj.register_forward_hook(lambda *_: pytest.fail("ran on"))
    llama.model.norm.register_forward_hook(lambda *_: pytest.fail("ran on"))
    collect(llama, tokenizer, load_corpus(f"text:{texts}"), progress=False)


@pytest.mark.parametrize("family", ["llama", "mixtral"])
@pytest.mark.parametrize("quantity", ["pre-activation", "product"])
def test_states_that_are_not_finite_are_refused_for_every_quantity(family, quantity, tokenizer, texts):
    model = tiny_model(family)
    with torch.no_grad():
        model.model.layers[1].self_attn.o_proj.weight.fill_(float("inf"))
    with pytest.raises(NeuroglotError, match="not finite"):
        collect(model, tokenizer, load_corpus(f"text:{texts}"), quantity=quantity, progress=False)


def test_counts_of_other_versions_are_not_overwritten_unasked(llama, tokenizer, texts, tmp_path, monkeypatch):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    collect(llama, tokenizer, corpus, path, progress=False)
    before = path.read_bytes()
    monkeypatch.setattr(provenance, "__version__", "99")
    with pytest.raises(NeuroglotError, match=r"holds other counts \(versions differ\)"):
        collect(llama, tokenizer, corpus, path, progress=False)
    assert path.read_bytes() == before
    collect(llama, tokenizer, corpus, path, overwrite=True, progress=False)
    assert ActivationStats.load(path).provenance["versions"]["neuroglot"] == "99"


def test_weights_offloaded_to_disk_count_the_same(model_folder, texts, tmp_path):
    whole, tokenizer = load_model(str(model_folder))
    places = {"model.embed_tokens": "cpu", "model.norm": "cpu", "model.rotary_emb": "cpu", "lm_head": "cpu"}
    places |= {"model.layers.0": "cpu", "model.layers.1": "disk", "model.layers.2": "disk"}
    offloaded, _ = load_model(str(model_folder), device_map=places, offload_folder=str(tmp_path / "offload"))
    assert offloaded.model.layers[2].mlp.gate_proj.weight.device.type == "meta"
    corpus = load_corpus(f"text:{texts}")
    one, two = (collect(model, tokenizer, corpus, moments=True, progress=False) for model in (whole, offloaded))
    assert one.provenance == two.provenance  # the hash of the weights too
    assert np.array_equal(one.shard_counts, two.shard_counts) and np.array_equal(one.sums, two.sums)
