"""End to end on the real packaged models and the real Declaration."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from neuroglot import accuracy, classify, collect, count_activations, load_corpus, load_model, losses, perplexity
from neuroglot.effects import matrix, removals
from neuroglot.model.loading import PACKAGED
from neuroglot.model.sites import neuron_layers

from .conftest import fetched


@pytest.fixture(scope="module")
def gemma():
    return fetched(load_model, "gemma3-270m")


@pytest.fixture(scope="module")
def declaration():
    return fetched(load_corpus, "udhr", "en zh sw", articles=5)


def test_gemma_is_the_real_model(gemma):
    model, tokenizer = gemma
    assert (model.config.num_hidden_layers, model.config.intermediate_size, model.config.vocab_size) == (
        18,
        2048,
        262144,
    )
    with torch.inference_mode():
        ids = tokenizer("The capital of France is", return_tensors="pt")
        best = model(**ids).logits[0, -1].topk(5).indices
    assert " Paris" in [tokenizer.decode(token) for token in best]


def test_gemma_counts_equal_counting_text_by_text(gemma, declaration):
    """Batches of many texts against one text at a time: only rounding near zero may differ."""
    model, tokenizer = gemma
    stats = collect(model, tokenizer, declaration, shards=3, progress=False)
    single = np.zeros((18, 2048, 3), dtype=np.int64)
    for example in declaration.examples:
        ids = tokenizer(example.response, return_tensors="pt")
        mask = torch.ones_like(ids["input_ids"])
        mask[0, 0] = 0  # <bos>
        counts = count_activations(model, ids["input_ids"], ids["attention_mask"], mask)
        single[..., declaration.languages.index(example.language)] += counts.numpy()
    decisions = int(stats.tokens.sum()) * 18 * 2048
    assert np.abs(stats.counts - single).sum() <= decisions * 1e-6
    again = collect(model, tokenizer, declaration, shards=3, progress=False)
    assert np.array_equal(stats.shard_counts, again.shard_counts)


def test_gemma_counts_equal_its_activations(gemma):
    """The gate's sign against the activation function's own output, on the real weights."""
    model, tokenizer = gemma
    ids = tokenizer("Alle Menschen sind frei und gleich an Würde und Rechten geboren.", return_tensors="pt")
    seen = []
    handles = [
        layer.mlp.act_fn.register_forward_hook(lambda *arguments: seen.append((arguments[2][0] > 0).sum(0)))
        for layer in model.model.layers
    ]
    with torch.inference_mode():
        model.base_model(**ids)
    for handle in handles:
        handle.remove()
    assert torch.equal(count_activations(model, **ids), torch.stack(seen))


def test_gemma_counts_shared_questions_as_separate_ones(gemma):
    model, tokenizer = gemma
    corpus = load_corpus("problems", "en th", n=12)
    of = {(e.language, e.id): e for e in corpus.examples}
    ids = [e.id for e in corpus.examples if e.language == "en"]
    answers = tuple(
        replace(of[code, id_], id=f"{id_}#{i}", response=of[code, ids[-i]].response)
        for code in corpus.languages
        for id_ in ids[:4]
        for i in range(1, 5)
    )
    several = replace(corpus, examples=answers)
    shared, apart = (
        collect(model, tokenizer, several, shards=2, share_prefixes=share, progress=False) for share in (True, False)
    )
    decisions = int(shared.tokens.sum()) * 18 * 2048
    assert np.array_equal(shared.tokens, apart.tokens)
    assert np.abs(shared.shard_counts.astype(int) - apart.shard_counts).sum() <= max(decisions * 1e-6, 2)


def test_gemma_reasons_a_little(gemma, tmp_path):
    """Some of the easiest problems come out right, each written out in the language asked."""
    model, tokenizer = gemma
    corpus = load_corpus("problems", "en de", n=6, levels=1)
    table = accuracy(model, tokenizer, corpus, tmp_path / "a.jsonl", max_new_tokens=80, progress=False)
    assert table["questions"].tolist() == [6, 6] and table["accuracy"].sum() > 0
    assert (table["in_language"] == 1).all()
    assert (table["low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["high"]).all()


def test_a_language_needs_its_own_neurons(gemma):
    """On held-out text: removing Thai's or German's neurons harms it more than the other's, and than random ones."""
    model, tokenizer = gemma
    counted, held = load_corpus("problems", "en th de", n=40).split(0.2)
    types = classify(collect(model, tokenizer, counted.spread(8), progress=False), top_rate=0.05)
    both = {"specific + related": removals.SETS["specific + related"]}
    removed = removals.removals(types, both, draws=1)
    text = held.spread(1)
    found = losses(model, tokenizer, text, removals.zeroing(removed), progress=False)
    effects = matrix.of_losses(found, removed)
    change = matrix.in_nats(effects.table()).set_index(["removed", "language"])["effect"]
    beside = effects.contrasts()
    random = matrix.in_nats(beside[beside["what"] == matrix.MATCHED]).set_index("language")["effect"]
    for own, other in (("th", "de"), ("de", "th")):
        assert change[own, own] > 2 * max(change[other, own], random[own], 0.05)
    plain = perplexity(model, tokenizer, text, progress=False).set_index("language")["perplexity"]
    for code, value in plain.items():
        example = next(e for e in text.examples if e.language == code)
        ids = tokenizer(example.prompt + example.response, return_tensors="pt")["input_ids"]
        start = len(tokenizer(example.prompt)["input_ids"])
        with torch.inference_mode():
            whole = torch.nn.functional.cross_entropy(model(ids).logits[0, start - 1 : -1], ids[0, start:])
        assert value == pytest.approx(whole.exp().item(), rel=1e-4)


def test_smollm_is_another_model():
    model, tokenizer = fetched(load_model, "smollm2-135m")
    assert [layer.neurons for layer in neuron_layers(model)] == [1536] * 30
    assert PACKAGED["smollm2-135m"].package in model.neuroglot_source[1]
    corpus = load_corpus("udhr", "en fr", articles=2)
    stats = collect(model, tokenizer, corpus, progress=False)
    assert stats.shape == (30, 1536, 2) and (stats.counts <= stats.tokens).all() and stats.counts.any(axis=(0, 1)).all()
