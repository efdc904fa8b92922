"""What is gathered beside counts, against plain arithmetic of every value."""

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from neuroglot import ActivationStats, NeuroglotError, collect, load_corpus
from neuroglot.base import artifacts
from neuroglot.counts import collecting, gathering
from neuroglot.counts.collecting import Collection
from neuroglot.counts.gathering import BINS, KINDS, Needs, bins_of, edges
from neuroglot.model.batches import texts_of

from ..conftest import tiny_model


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=50))
@settings(deadline=None)
def test_every_value_is_between_its_bins_edges(values):
    lower = edges()
    middle = BINS // 2
    for value, bin_ in zip(values, bins_of(torch.tensor(values, dtype=torch.float32)).tolist(), strict=True):
        upper = lower[bin_ + 1] if bin_ + 1 < BINS else np.inf
        if bin_ < middle:
            assert lower[bin_] < value <= upper or (bin_ == 0 and value == -np.inf)
        elif bin_ == middle:
            assert lower[bin_] < value < upper
        else:
            assert lower[bin_] <= value < upper or (bin_ == BINS - 1 and value == np.inf)


def test_the_edges_are_a_rule():
    lower = edges()
    assert len(lower) == BINS and (np.diff(lower) > 0).all()
    assert lower[BINS // 2 + 1] == 2.0**-12 and lower[BINS // 2] == -(2.0**-12) and lower[-1] == 1.5 * 2**7
    assert bins_of(torch.tensor([0.0, -0.0, 1.0, 1.4999, 1.5, -1.5, -1.0])).tolist() == [
        40, 40, 65, 65, 66, 14, 15,
    ]  # fmt: skip


def entered(seen, _module, args):
    seen.append(args[0][0])


def activated(seen, act, _module, _args, output):
    seen.append(act(output[0]))


def routed(seen, module, args):
    """Mixtral's own arithmetic, of every expert at every token; 0 where the router did not send it."""
    states, width = args[0][0], module.experts.down_proj.shape[-1]
    chosen = (states @ module.gate.weight.T).softmax(-1).topk(2).indices
    values = [
        torch.nn.functional.silu(states @ weight[:width].T) * (chosen == expert).any(-1, keepdim=True)
        for expert, weight in enumerate(module.experts.gate_up_proj)
    ]
    seen.append(torch.cat(values, dim=-1))


def slow(model, tokenizer, corpus, quantity, shards=20, longest=None):
    """By language the values of each neuron at every counted token, and by example too; one text after the other."""
    texts, _ = texts_of(tokenizer, corpus, shards, longest)
    values = {}
    for text in texts:
        seen = []
        mlps = [block.mlp for block in model.model.layers]
        if model.config.model_type == "mixtral":
            handles = [mlp.register_forward_pre_hook(partial(routed, seen)) for mlp in mlps]
        elif quantity == "product":
            handles = [mlp.down_proj.register_forward_pre_hook(partial(entered, seen)) for mlp in mlps]
        else:
            handles = [mlp.gate_proj.register_forward_hook(partial(activated, seen, mlp.act_fn)) for mlp in mlps]
        with torch.inference_mode():
            model(torch.tensor([text.ids]))
        for handle in handles:
            handle.remove()
        kept = torch.stack(seen)[:, torch.tensor(text.counted)].float().numpy()  # [layers, tokens, width]
        values.setdefault((text.example, text.language, text.bin), []).append(kept)
    return {place: np.concatenate(pieces, axis=1) for place, pieces in sorted(values.items())}


@pytest.mark.parametrize(
    ("family", "quantity", "longest", "batch_tokens"),
    [
        ("llama", "pre-activation", None, 1024),
        ("llama", "product", 24, 64),
        ("llama", "product", None, 90),
        ("mixtral", "pre-activation", 24, 64),
        ("mixtral", "pre-activation", None, 1024),
    ],
)
def test_gathered_is_what_every_value_gives(tokenizer, texts, family, quantity, longest, batch_tokens):
    corpus, model = load_corpus(f"text:{texts}"), tiny_model(family)
    stats = collect(
        model, tokenizer, corpus, quantity=quantity, gather=KINDS, max_tokens=longest, batch_tokens=batch_tokens,
        shards=3, progress=False,
    )  # fmt: skip
    wanted = slow(model, tokenizer, corpus, quantity, 3, longest)
    found = stats.gathered
    assert found.kinds == KINDS and found.maxima.shape == (stats.shape[0], len(corpus.examples), stats.shape[1])
    assert [(int(k), int(s)) for k, s in zip(found.text_languages, found.text_shards, strict=True)] == [
        place[1:] for place in wanted
    ]
    for row, values in enumerate(wanted.values()):
        close = {"rtol": 1e-5, "atol": 1e-6}
        np.testing.assert_allclose(found.maxima[:, row], values.max(axis=1), **close)
        np.testing.assert_allclose(found.absolute[:, row], np.abs(values).sum(axis=1), **close)
        np.testing.assert_allclose(found.last[:, row], values[:, -1], **close)
    histograms = np.zeros(found.histograms.shape, dtype=int)
    for (_, language, _), values in wanted.items():
        for layer, rows in enumerate(bins_of(torch.tensor(values)).numpy()):
            for neurons in rows:
                histograms[layer, np.arange(stats.shape[1]), language, neurons] += 1
    assert np.abs(histograms - found.histograms.astype(int)).sum() <= 4, "values next to an edge"
    assert (found.histograms.sum(axis=-1) == stats.tokens).all()


def test_counts_and_moments_do_not_change(llama, tokenizer, texts, tmp_path):
    corpus = load_corpus(f"text:{texts}")
    alone = collect(llama, tokenizer, corpus, moments=True, progress=False)
    beside = collect(llama, tokenizer, corpus, tmp_path / "a.safetensors", moments=True, gather="last", progress=False)
    for name in ("shard_counts", "shard_tokens", "sums", "squares"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(beside, name))
    assert alone.gathered is None and beside.gathered.kinds == ("last",)
    assert beside.provenance["settings"]["gather"] == ["last"] and "gather" not in alone.provenance["settings"]
    again = ActivationStats.load(tmp_path / "a.safetensors")
    for name, array in beside.gathered.arrays().items():
        np.testing.assert_array_equal(getattr(again.gathered, name), array)
    with pytest.raises(NeuroglotError, match="settings"):
        collect(llama, tokenizer, corpus, tmp_path / "a.safetensors", moments=True, progress=False)


def test_an_interrupted_pass_goes_on_to_the_same_bytes(llama, tokenizer, texts, tmp_path, monkeypatch):
    corpus = load_corpus(f"text:{texts}")
    how = {"gather": KINDS, "batch_tokens": 64, "shards": 2, "progress": False}
    collect(llama, tokenizer, corpus, tmp_path / "whole.safetensors", **how)
    forward, passes = collecting.Counter.forward, []

    def until(self, *of):
        forward(self, *of)
        passes.append(1)
        if len(passes) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(collecting.Counter, "forward", until)
    with pytest.raises(KeyboardInterrupt):
        collect(llama, tokenizer, corpus, tmp_path / "begun.safetensors", **how)
    assert list((tmp_path / "begun.safetensors.parts").iterdir())
    monkeypatch.setattr(collecting.Counter, "forward", forward)
    collect(llama, tokenizer, corpus, tmp_path / "begun.safetensors", **how)
    assert (tmp_path / "begun.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize("interrupted", [False, True])
def test_what_is_held_in_files_is_written_alike(llama, tokenizer, texts, tmp_path, monkeypatch, interrupted):
    corpus = load_corpus(f"text:{texts}")
    how = {"gather": KINDS, "moments": True, "batch_tokens": 64, "max_tokens": 24, "shards": 3, "progress": False}
    collect(llama, tokenizer, corpus, tmp_path / "memory", **how)
    monkeypatch.setattr(artifacts, "MAPPED", 0)
    if interrupted:
        finish, kept = Collection._finish, []

        def stop(self, path, collected, summed, parts):
            kept.extend(sorted(file.name for file in parts.folder.iterdir()))
            raise KeyboardInterrupt

        monkeypatch.setattr(Collection, "_finish", stop)
        with pytest.raises(KeyboardInterrupt):
            collect(llama, tokenizer, corpus, tmp_path / "files", gather_memory=0, **how)
        assert kept and all(name.startswith("shards-") for name in kept)
        monkeypatch.setattr(Collection, "_finish", finish)
    stats = collect(llama, tokenizer, corpus, tmp_path / "files", gather_memory=0, **how)
    assert (tmp_path / "files").read_bytes() == (tmp_path / "memory").read_bytes()
    assert all(isinstance(getattr(stats.gathered, name).base, np.memmap) for name in KINDS)
    assert not (tmp_path / "files.parts").exists() and (stats.gathered.histograms.sum(axis=-1) == stats.tokens).all()
    again = ActivationStats.load(tmp_path / "files")
    assert isinstance(again.gathered.maxima.base, np.memmap)
    again.gathered.maxima[:] = 0  # of this process alone
    np.testing.assert_array_equal(ActivationStats.load(tmp_path / "files").gathered.maxima, stats.gathered.maxima)


def test_no_more_than_one_layer_is_worked_on_where_memory_is_short():
    """Two layers of 5 neurons in 3 languages, 81 bins each; 7 texts in two parts, of 10 tokens and 300."""
    needs = Needs.of(KINDS, (2, 5, 3), 7, 310, [(4, 10), (4, 300)])
    bins, row = 2 * 5 * 3 * 81, 3 * 2 * 5 * 4
    assert needs.result == 2 * bins + 7 * row
    assert needs.parts == (1 + 2) * bins + 8 * row
    assert needs.scratch == (4 + 2) * bins + (4 + 7) * row
    assert needs.memory == 4 * bins + needs.scratch + 8 * row
    assert needs.least == 4 * bins + (6 * bins + 23 * row) // 2
    of_texts = Needs.of(["last"], (2, 5, 3), 7, 310, [(4, 10), (4, 300)])
    assert of_texts.result == 7 * row / 3 and of_texts.least == 23 * row / 3 / 2


def test_the_page_says_what_is_computed():
    page = (Path(__file__).parents[2] / "book" / "scale.md").read_text()
    for what, kinds in (
        ("histograms", KINDS[:1]),
        ("one kind of texts' values", KINDS[3:]),
        ("histograms, maxima, absolute and last", KINDS),
    ):
        needs = Needs.of(kinds, (32, 11008, 10), 1000, 15_000, [(50, 750)] * 20)
        each = (needs.memory, needs.least, needs.scratch, needs.parts, needs.result)
        assert " | ".join([f"| {what}", *(f"{size / 2**30:.1f}" for size in each)]) + " |\n" in page


@pytest.mark.parametrize("kinds", [KINDS, ["histograms"], ["last"]])
def test_what_a_run_is_said_to_need_on_disk_is_what_it_writes(llama, tokenizer, texts, tmp_path, monkeypatch, kinds):
    corpus, written = load_corpus(f"text:{texts}"), []
    collection = Collection(llama, tokenizer, corpus, gather=kinds, moments=True, shards=3, batch_tokens=64)
    finish = Collection._finish

    def weigh(self, path, collected, summed, parts):
        written.append(sum(array.nbytes for file in parts.folder.iterdir() for array in load_file(file).values()))
        return finish(self, path, collected, summed, parts)

    monkeypatch.setattr(Collection, "_finish", weigh)
    collection.run(tmp_path / "counts", progress=False)
    arrays = load_file(tmp_path / "counts")
    beside = sum(
        array.nbytes for name, array in arrays.items() if name in ("shard_tokens", "text_languages", "text_shards")
    )
    said = collection.disk()
    assert said == {"file": sum(array.nbytes for array in arrays.values()) - beside, "parts": written[0]}


def test_parts_of_what_is_gathered(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    stats = collect(llama, tokenizer, corpus, gather=KINDS, shards=4, progress=False)
    some = stats.select("ru de")
    codes = [stats.languages.index(code) for code in ("ru", "de")]
    np.testing.assert_array_equal(some.gathered.histograms, stats.gathered.histograms[:, :, codes])
    kept = np.isin(stats.gathered.text_languages, codes)
    np.testing.assert_array_equal(some.gathered.last, stats.gathered.last[:, kept])
    assert [codes[k] for k in some.gathered.text_languages] == stats.gathered.text_languages[kept].tolist()
    half = stats.take([3, 1])
    kept = np.isin(stats.gathered.text_shards, [1, 3])
    assert half.gathered.histograms is None
    np.testing.assert_array_equal(half.gathered.maxima, stats.gathered.maxima[:, kept])
    assert [[3, 1][s] for s in half.gathered.text_shards] == stats.gathered.text_shards[kept].tolist()
    both, kept = stats.merged([0, 1]).gathered, np.isin(stats.gathered.text_shards, [0, 1])
    assert both.histograms is None and not both.text_shards.any()
    np.testing.assert_array_equal(both.maxima, stats.gathered.maxima[:, kept])
    assert stats.merged([0, 0]).gathered is None


def test_what_cannot_be_gathered_is_said(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    with pytest.raises(NeuroglotError, match="gather: there is no 'histogram'; use histograms, maxima"):
        collect(llama, tokenizer, corpus, gather="histogram", progress=False)
    for wrong in (-1, float("nan"), "2"):
        with pytest.raises(NeuroglotError, match="gather_memory="):
            collect(llama, tokenizer, corpus, gather="last", gather_memory=wrong, progress=False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"histograms": lambda a: a[..., :-1]}, "histograms of shape"),
        ({"histograms": lambda a: a * 2}, "do not hold the tokens"),
        ({"maxima": lambda a: a[:, 1:]}, "values of texts of shape"),
        ({"last": lambda a: a * np.nan}, "not finite"),
        ({"absolute": lambda a: -a}, "negative"),
        ({"text_languages": lambda a: a + 3}, "do not fit"),
        ({"text_shards": lambda a: None}, "come without"),
    ],
)
def test_what_does_not_fit_is_refused(llama, tokenizer, texts, changed, said):
    stats = collect(llama, tokenizer, load_corpus(f"text:{texts}"), gather=KINDS, progress=False)
    own = stats.gathered.arrays()
    own |= {name: change(own[name]) for name, change in changed.items()}
    with pytest.raises(NeuroglotError, match=said):
        ActivationStats(
            stats.shard_counts, stats.shard_tokens, stats.languages, gathered=gathering.Gathered(**own)
        )  # fmt: skip


def test_a_pass_that_never_began_is_nothing():
    gatherer = gathering.Gatherer(2, 3, KINDS, 4, 2)
    found = gatherer.take()
    assert [layer.shape for layer in found["histograms"]] == [(2, BINS, 3)] * 2 and found["maxima"].shape == (2, 4, 3)
    assert not any(layer.any() for layers in found.values() for layer in layers)


def test_a_negative_zero_is_zero_as_in_a_sum_over_processes():
    gatherer, one = gathering.Gatherer(1, 2, KINDS[1:], 1, 1), torch.tensor([0])
    gatherer.begin(gathering.Rows(torch.ones(1, 1, dtype=torch.bool), one, one, one))
    gatherer.see(0, torch.full((1, 2), -0.0), slice(0, 2))
    for name, values in gatherer.take().items():
        assert not values.any() and not values.signbit().any(), name


def parted(corpus, number):
    """Its first wordings, and the others."""
    units = sorted({example.unit for example in corpus.examples})
    groups = units[:number], units[number:]
    return [replace(corpus, examples=tuple(e for e in corpus.examples if e.unit in some)) for some in groups]


def test_two_texts_joined_are_one(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    parts = parted(corpus, 2)
    how = {"gather": KINDS, "moments": True, "shards": 2, "progress": False}
    one, other = (collect(llama, tokenizer, part, **how) for part in parts)
    both, whole = one.joined(other), collect(llama, tokenizer, corpus, **how)
    np.testing.assert_array_equal(both.counts, whole.counts)
    np.testing.assert_array_equal(both.gathered.histograms, whole.gathered.histograms)
    np.testing.assert_allclose(both.means(), whole.means(), rtol=1e-9)
    for name in ("maxima", "absolute", "last"):
        mine, theirs = (
            np.sort(getattr(stats.gathered, name)[:, stats.gathered.text_languages == 1], axis=1)
            for stats in (both, whole)
        )
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)
    halves = [both.take(shards) for shards in ([0, 1], [2, 3])]
    assert [half.tokens.tolist() for half in halves] == [one.tokens.tolist(), other.tokens.tolist()]
    np.testing.assert_array_equal(halves[1].gathered.last, other.gathered.last)
    assert both.provenance["joined"] == [part.provenance["input_sha256"] for part in (one, other)]
    assert both.provenance["input_sha256"] not in both.provenance["joined"]
    alone = collect(llama, tokenizer, parts[1], shards=2, moments=True, progress=False)
    for wrong, said in (
        (alone, "settings differ"),
        (other.select("en de"), "other languages"),
        (replace(other, gathered=None), "gathered other values"),
        (replace(other, sums=None, squares=None), "moments"),
    ):
        with pytest.raises(NeuroglotError, match=said):
            one.joined(wrong)


def test_one_language_from_other_text(llama, tokenizer, texts):
    """Its column is that text's, the others' are untouched; shards that one text lacks are empty."""
    corpus = load_corpus(f"text:{texts}")
    parts = parted(corpus, 1)
    how = {"gather": KINDS, "moments": True, "shards": 3, "progress": False}
    one, other = (collect(llama, tokenizer, part, **how) for part in (parts[0], parts[1].only(["ru", "de"])))
    assert len(one.shard_tokens) < len(other.shard_tokens)
    for mine, theirs in ((one, other), (other, one)):
        made = mine.with_language("de", theirs)
        assert made.languages == mine.languages and len(made.shard_tokens) == len(other.shard_tokens)
        at, there = mine.languages.index("de"), theirs.languages.index("de")
        kept = [k for k in range(len(mine.languages)) if k != at]
        for name in ("counts", "tokens", "sums", "squares"):
            np.testing.assert_array_equal(getattr(made, name)[..., at], getattr(theirs, name)[..., there])
            np.testing.assert_array_equal(getattr(made, name)[..., kept], getattr(mine, name)[..., kept])
        np.testing.assert_array_equal(
            made.gathered.histograms[:, :, [*kept, at]],
            np.concatenate([mine.gathered.histograms[:, :, kept], theirs.gathered.histograms[:, :, [there]]], axis=2),
        )
        for name in ("maxima", "absolute", "last"):
            for k in range(len(mine.languages)):
                whose, number = (theirs, there) if k == at else (mine, k)
                wanted = getattr(whose.gathered, name)[:, whose.gathered.text_languages == number]
                np.testing.assert_array_equal(
                    getattr(made.gathered, name)[:, made.gathered.text_languages == k], wanted
                )
        inputs = [part.provenance["input_sha256"] for part in (mine, theirs)]
        assert made.provenance["replaced"] == {"de": inputs[1]} and made.provenance["input_sha256"] not in inputs
    with pytest.raises(NeuroglotError, match="no language 'en'"):
        one.with_language("en", other)
    with pytest.raises(NeuroglotError, match="no language 'sw'"):
        one.with_language("sw", other)
    with pytest.raises(NeuroglotError, match="moments"):
        one.with_language("de", replace(other, sums=None, squares=None))
    smaller = replace(other, shard_counts=other.shard_counts[:, :1], sums=None, squares=None, gathered=None)
    with pytest.raises(NeuroglotError, match="other languages or neurons"):
        one.with_language("de", smaller)


def test_one_language_of_a_mixture(tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    model = tiny_model("mixtral")
    one, other = (collect(model, tokenizer, text, shards=2, progress=False) for text in (corpus, corpus.only(["ru"])))
    np.testing.assert_array_equal(one.with_language("ru", other).shard_routed, one.shard_routed)
