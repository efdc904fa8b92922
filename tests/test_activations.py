"""Counts against brute force, one pass against many, and files that are whole or absent."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import neuroglot
from neuroglot import ActivationStats, Corpus, Example, NeuroglotError, collect, count_activations, load_corpus
from neuroglot import activations as module
from neuroglot.models import SITES, neuron_gates

from .conftest import CONFIGS, byte_tokenizer, tiny_model


def brute_force(model, ids: list[int], counted: list[bool]) -> torch.Tensor:
    """Run one unpadded text and recompute every gate from its MLP's input with plain arithmetic."""
    inputs = []
    layers = model.base_model.h if model.config.model_type == "gpt2" else model.base_model.layers
    handles = [layer.mlp.register_forward_pre_hook(lambda _, args: inputs.append(args[0])) for layer in layers]
    with torch.no_grad():
        model(torch.tensor([ids]))
    for handle in handles:
        handle.remove()
    rows = []
    for layer, x in zip(layers, inputs, strict=True):
        if model.config.model_type == "gpt2":
            value = layer.mlp.act(x[0] @ layer.mlp.c_fc.weight + layer.mlp.c_fc.bias)
        else:
            value = layer.mlp.act_fn(x[0] @ layer.mlp.gate_proj.weight.T)
        rows.append([sum(bool(value[t, j] > 0) for t in range(len(ids)) if counted[t]) for j in range(value.shape[1])])
    return torch.tensor(rows)


def test_every_known_architecture_is_tested():
    assert set(CONFIGS) == set(SITES)


@pytest.mark.parametrize("side", ["left", "right"])
def test_counts_equal_brute_force(any_model, side):
    rng = torch.Generator().manual_seed(1)
    lengths = [7, 12, 3]
    ids, mask = torch.zeros(3, 12, dtype=torch.long), torch.zeros(3, 12, dtype=torch.long)
    count = torch.zeros(3, 12, dtype=torch.long)
    expected_all, expected_masked = 0, 0
    for row, length in enumerate(lengths):
        text = torch.randint(1, 256, (length,), generator=rng)
        keep = torch.randint(0, 2, (length,), generator=rng)
        place = slice(12 - length, 12) if side == "left" else slice(0, length)
        ids[row, place], mask[row, place], count[row, place] = text, 1, keep
        expected_all = expected_all + brute_force(any_model, text.tolist(), [True] * length)
        expected_masked = expected_masked + brute_force(any_model, text.tolist(), keep.bool().tolist())
    counts = count_activations(any_model, ids, mask)
    assert counts.dtype == torch.int64 and counts.shape == (3, 48)
    assert torch.equal(counts, expected_all)
    assert torch.equal(count_activations(any_model, ids, mask, count), expected_masked)
    assert torch.equal(count_activations(any_model, ids, mask, torch.ones_like(ids)), expected_all)  # never padding


def test_counting_leaves_logits_and_model_alone(any_model):
    ids = torch.arange(20).reshape(2, 10)
    with torch.no_grad():
        plain = any_model(ids).logits
        with module._Counter(neuron_gates(any_model)).attached() as counter:
            counter.weights, counter.groups = torch.ones(1, 20), torch.zeros(1, dtype=torch.long)
            hooked = any_model(ids).logits
        after = any_model(ids).logits
    assert torch.equal(plain, hooked) and torch.equal(plain, after)
    assert not any(gate._forward_hooks for gate in neuron_gates(any_model))


def test_hooks_are_gone_after_an_error(llama):
    with pytest.raises(IndexError):
        count_activations(llama, torch.full((1, 4), 9999), torch.ones(1, 4, dtype=torch.long))
    assert not any(gate._forward_hooks for gate in neuron_gates(llama))


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


def test_an_activation_that_does_not_keep_the_sign_is_refused():
    with pytest.raises(NeuroglotError, match="sign"):
        neuron_gates(tiny_model("llama", hidden_act="sigmoid"))


def test_unknown_architecture_is_named(llama):
    llama.config.model_type = "martian"
    with pytest.raises(NeuroglotError, match="martian"):
        neuron_gates(llama)


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
    for unit in collection.units:
        for batch in unit.batches:
            assert len(batch.texts) == 1 or batch.size <= 90
    assert sum(len(batch.texts) for unit in collection.units for batch in unit.batches) == 12
    assert [shard for unit in collection.units for shard in unit.shards] == [0, 1]


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
    runs = [[batch for unit in c.units for batch in unit.batches] for c in (shared, apart)]
    assert any(batch.shared for batch in runs[0]) and not any(batch.shared for batch in runs[1])
    assert sum(batch.size for batch in runs[0]) < 0.95 * sum(batch.size for batch in runs[1])
    assert all(len(batch.texts) == 1 or batch.size <= 500 for batch in runs[0])
    one, two = shared.run(progress=False), apart.run(progress=False)
    assert np.array_equal(one.shard_counts, two.shard_counts) and np.array_equal(one.shard_tokens, two.shard_tokens)


def test_answers_to_one_question_share_a_shard(llama, tokenizer):
    prepared = module.Collection(llama, tokenizer, answers_to_questions(1, 5, 3), shards=5)
    shards = {}
    for text in prepared.texts:
        shards.setdefault((text.language, tuple(text.ids[: text.counted.index(True)])), set()).add(text.shard)
    assert len(shards) == 10 and all(len(found) == 1 for found in shards.values())


def test_a_shared_prefix_holds_nothing_counted(llama, tokenizer):
    prepared = module.Collection(llama, tokenizer, answers_to_questions(2, 6, 4), shards=1)
    texts = [text for unit in prepared.units for batch in unit.batches for text in batch.texts]
    assert len(texts) == len(prepared.texts) == 48
    for unit in prepared.units:
        for batch in unit.batches:
            assert batch.shared % 8 == 0 and not any(any(text.counted[: batch.shared]) for text in batch.texts)
            assert batch.counted == int(batch.tensors(0, 2).weights.sum())


def test_texts_that_only_begin_alike_by_chance_are_run_apart(llama, tokenizer):
    rng = np.random.default_rng(3)
    letters = np.array(list("abcdefgh"))
    corpus = Corpus("c", ("en", "de"), tuple(
        Example(str(i), code, "The " + "".join(rng.choice(letters, 30)) + "?\n", "Yes, it is.")
        for code in ("en", "de") for i in range(9)
    ))  # fmt: skip
    prepared = module.Collection(llama, tokenizer, corpus, shards=1)
    assert not any(batch.shared for unit in prepared.units for batch in unit.batches)


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
    assert len(done) == len(whole.shard_tokens) == 4  # one unit a shard, none counted twice
    assert np.array_equal(stats.shard_counts, whole.shard_counts)
    assert path.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert not list(tmp_path.glob("*.parts"))


def test_shards_of_another_run_are_not_taken_over(llama, tokenizer, texts, tmp_path, monkeypatch):
    path = tmp_path / "s.safetensors"
    other = collect(tiny_model("gpt2"), tokenizer, load_corpus(f"text:{texts}"), progress=False)
    for shard in range(4):
        part = path.with_name("s.safetensors.parts") / f"shards-{shard:04d}.safetensors"
        module.save_artifact(
            part, "activations-part", {"counts": other.shard_counts[shard:]}, {"provenance": other.provenance}
        )
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


def test_a_disk_that_is_full_loses_nothing(llama, tokenizer, texts, tmp_path, monkeypatch):
    path, corpus = tmp_path / "s.safetensors", load_corpus(f"text:{texts}")
    stats = collect(llama, tokenizer, corpus, path, progress=False)
    before = path.read_bytes()

    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(NeuroglotError, match=r"could not write .*s\.safetensors: No space left on device"):
        stats.save(path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.safetensors", "texts"]


@pytest.fixture
def saved(llama, tokenizer, texts, tmp_path):
    path = tmp_path / "s.safetensors"
    collect(llama, tokenizer, load_corpus(f"text:{texts}"), path, progress=False)
    return path


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_file_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(NeuroglotError, match="truncated"):
        ActivationStats.load(saved)


def rewrite(path, **changes):
    arrays = load_file(path)
    with module.load_artifact.__globals__["safe_open"](path, framework="numpy") as file:
        header = json.loads(file.metadata()["neuroglot"])
    for name, change in changes.items():
        if name in arrays:
            arrays[name] = change(arrays[name])
        else:
            header[name] = change(header.get(name))
    save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path, {"neuroglot": json.dumps(header)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": lambda v: v + 1}, "format version 2"),
        ({"kind": lambda _: "types"}, "holds types, not activations"),
        ({"languages": lambda names: names[:2]}, "3 languages but 2"),
        ({"languages": lambda _: None}, "list of different languages"),
        ({"shard_tokens": lambda t: t[:-1]}, "do not fit"),
        ({"shard_tokens": lambda t: t // 9}, "exceed"),
        ({"shard_counts": lambda c: c[..., 0]}, "do not fit"),
        ({"shard_counts": lambda c: c.astype(np.float32)}, "integers"),
        ({"shard_counts": lambda c: -c.astype(np.int64) - 1}, "negative"),
    ],
)
def test_wrong_file_is_refused_by_name(saved, changes, message):
    rewrite(saved, **changes)
    with pytest.raises(NeuroglotError, match=message) as caught:
        ActivationStats.load(saved)
    assert "s.safetensors" in str(caught.value)


def test_foreign_and_missing_files_are_refused(tmp_path):
    save_file({"x": np.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(NeuroglotError, match="foreign"):
        ActivationStats.load(tmp_path / "x.safetensors")
    with pytest.raises(NeuroglotError, match="there is no file"):
        ActivationStats.load(tmp_path / "nothing.safetensors")


def test_select_take_and_resample(saved):
    stats = ActivationStats.load(saved)
    two = stats.select("ru en")
    assert two.languages == ("ru", "en")
    assert np.array_equal(two.counts, stats.counts[..., [stats.languages.index("ru"), stats.languages.index("en")]])
    with pytest.raises(NeuroglotError, match="no language 'xx'"):
        stats.select("en xx")
    halves = [stats.take(range(i, 4, 2)) for i in (0, 1)]
    assert np.array_equal(halves[0].counts + halves[1].counts, stats.counts)
    with pytest.raises(NeuroglotError, match="counted from 0"):
        stats.take([9])
    rng = np.random.default_rng(3)
    drawn = np.random.default_rng(3).integers(4, size=4)
    again = stats.resampled(rng)
    assert np.array_equal(again.counts, stats.shard_counts[drawn].sum(0, dtype=np.int64))
    assert np.array_equal(again.tokens, stats.shard_tokens[drawn].sum(0))


def test_a_language_without_tokens_has_no_probabilities():
    stats = ActivationStats(np.zeros((1, 1, 2, 2), int), np.array([[5, 0]]), ("en", "fr"))
    with pytest.raises(NeuroglotError, match="no token of fr"):
        stats.probabilities()
    with pytest.raises(NeuroglotError, match="no token of fr"):
        stats.resampled(np.random.default_rng(0))


def test_tokens_per_language(tokenizer, texts):
    table = neuroglot.tokens_per_language(tokenizer, load_corpus(f"text:{texts}")).set_index("language")
    text = texts.joinpath("ru.txt").read_text().replace("\n\n", "")
    assert table.loc["ru", "characters"] == len(text)
    assert table.loc["ru", "tokens"] == len(text.encode())
    assert table.loc["ru", "tokens_per_character"] == pytest.approx(len(text.encode()) / len(text))


@pytest.mark.parametrize("name", ["shards", "batch_tokens", "max_tokens"])
def test_sizes_must_be_positive(llama, tokenizer, texts, name):
    with pytest.raises(NeuroglotError, match=name):
        collect(llama, tokenizer, load_corpus(f"text:{texts}"), **{name: 0})


# --- the released counts -----------------------------------------------------------------------


def write_released(folder, code, full, prefix, name="Tiny-1"):
    for kind, (counts, tokens) in {"": full, "prefix.": prefix}.items():
        content = {"total_tokens": tokens, "over_zero": torch.tensor(counts)}
        torch.save(content, folder / f"{kind}activation.{code}.{name}.pt")


def test_released_counts_are_full_minus_prefix(tmp_path):
    write_released(tmp_path, "en", ([[9, 4, 10]], 12), ([[2, 5, 1]], 4))
    write_released(tmp_path, "zh", ([[3, 3, 3]], 6), ([[0, 1, 2]], 2))
    stats = neuroglot.read_njunlp(tmp_path, "zh en")
    assert stats.languages == ("zh", "en") and stats.tokens.tolist() == [4, 8]
    assert stats.counts[..., 0].tolist() == [[3, 2, 1]]
    assert stats.counts[..., 1].tolist() == [[7, 0, 8]]  # 4 - 5 is zero, 10 - 1 is all 8 tokens
    assert neuroglot.read_njunlp(tmp_path).languages == ("en", "zh")


def test_released_counts_that_are_wrong_are_refused(tmp_path):
    with pytest.raises(NeuroglotError, match=r"has no activation\.LL"):
        neuroglot.read_njunlp(tmp_path)
    write_released(tmp_path, "en", ([[1]], 2), ([[0]], 1))
    with pytest.raises(NeuroglotError, match=r"no file .*activation\.fr"):
        neuroglot.read_njunlp(tmp_path, "en fr")
    write_released(tmp_path, "fr", ([[1, 2]], 2), ([[0, 0]], 0))
    with pytest.raises(NeuroglotError, match="another shape"):
        neuroglot.read_njunlp(tmp_path, "en fr")
    (tmp_path / "activation.fr.Tiny-1.pt").write_bytes(b"not a tensor")
    with pytest.raises(NeuroglotError, match="cannot be read"):
        neuroglot.read_njunlp(tmp_path, "en fr")
    write_released(tmp_path, "fr", ([[1]], 2), ([[0]], 1), name="Other")
    with pytest.raises(NeuroglotError, match="2 models"):
        neuroglot.read_njunlp(tmp_path)


def test_pickles_are_never_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    write_released(tmp_path, "en", ([[1]], 2), ([[0]], 1))
    write_released(tmp_path, "fr", ([[1]], 2), ([[0]], 1))
    torch.save(Harm(), tmp_path / "activation.en.Tiny-1.pt")
    with pytest.raises(NeuroglotError, match="cannot be read"):
        neuroglot.read_njunlp(tmp_path)
    assert not (tmp_path / "harmed").exists()
