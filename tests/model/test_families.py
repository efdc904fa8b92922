"""Every family of transformers' causal language models, as tiny random models: counted as plain arithmetic does."""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch import nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from neuroglot import (
    ActivationStats,
    NeuroglotError,
    amplify,
    classify,
    collect,
    count_activations,
    deactivate,
    detect,
    layer_profile,
    load_corpus,
    losses,
    set_to,
)
from neuroglot.book.packing import pack
from neuroglot.effects.removals import removals, zeroing
from neuroglot.model import finding
from neuroglot.model.layers import blocks
from neuroglot.model.loading import backbone
from neuroglot.model.sites import keeps_sign, neuron_layers, neuron_site

from .. import families, plain

PAGE = Path(__file__).parents[2] / "book" / "models.md"

IDS = torch.randint(2, 256, (1, 12), generator=torch.Generator().manual_seed(4))

_HELD: dict[str, tuple[str, str]] = {}


@pytest.fixture(scope="module", autouse=True)
def quiet():
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    transformers.logging.set_verbosity_warning()


def _kept(family):
    """A tiny model, what becomes of it, and whether one of the same class was before it."""
    model = families.built(family)
    if isinstance(model, str):
        _HELD[family] = families.UNBUILT, model
        return None
    _HELD[family] = families.state(model)
    return model if _HELD[family][0] in (families.KNOWN, families.FOUND, families.RAGGED) else None


@pytest.mark.parametrize("family", families.NAMES)
def test_counts_are_those_of_plain_arithmetic(family):
    model = _kept(family)
    if model is None:
        return
    layers, inside = neuron_layers(model), blocks(model, neuron_site(model))
    if not keeps_sign(layers):
        with pytest.raises(NeuroglotError, match="count on the activation"):
            count_activations(model, IDS, torch.ones_like(IDS))
        return
    watched = plain.Watched(inside)
    with torch.no_grad():
        backbone(model)(input_ids=IDS, use_cache=False)
    watched.remove()
    counts = count_activations(model, IDS, torch.ones_like(IDS))
    for number, layer in enumerate(layers):
        if not layer.neurons:
            assert not counts[number].any()
            continue
        z = watched.values(number)
        assert z.shape == (IDS.numel(), layer.neurons)
        sure, open_ = (z > 1e-5).sum(0), (z.abs() <= 1e-5).sum(0)
        own = counts[number, : layer.neurons]
        assert ((own >= sure) & (own <= sure + open_)).all()
        assert open_.sum() <= 2 + z.numel() / 1e4 and own.any()


def test_shared_and_routed_experts_are_counted_together(tokenizer, texts, tmp_path):
    model, corpus = families.tiny("qwen2_moe"), load_corpus(f"text:{texts}")
    stats = collect(model, tokenizer, corpus, tmp_path / "counts.safetensors", shards=4, progress=False)
    assert stats.shape[:2] == (4, 60) and stats.widths.tolist() == [[12] * 5] * 4
    again = ActivationStats.load(tmp_path / "counts.safetensors")
    both = again.joined(again).merged(range(8))
    assert np.array_equal(both.counts, 2 * stats.counts) and np.array_equal(both.seen, 2 * stats.seen)
    assert (stats.seen[:, :12] == stats.tokens).all() and (stats.seen[:, 12:] <= stats.tokens).all()
    assert stats.seen[:, 12::12].sum() == 2 * 4 * stats.tokens.sum()  # two experts a token, in four layers
    everywhere = [np.arange(60)] * 4
    with torch.no_grad():
        plain_logits = model(IDS).logits
        with deactivate(model, everywhere):
            without = model(IDS).logits
        for layer in model.model.layers:
            layer.mlp.shared_expert.down_proj.weight.zero_()
            layer.mlp.experts.down_proj.zero_()
        assert torch.allclose(without, model(IDS).logits, atol=1e-6) and not torch.allclose(without, plain_logits)


def written(layer):
    """What each part of a layer writes, as views ``[outputs, neurons]`` of its weights, by the names they have."""
    block = next(getattr(layer, name) for name in ("mlp", "feed_forward") if hasattr(layer, name))
    parts = [each.down_proj.weight for each in block.modules() if hasattr(each, "gate_proj")]
    parts += [
        each.down_proj.weight for each in block.modules() if isinstance(getattr(each, "gate_up_proj", None), nn.Linear)
    ]
    if hasattr(block, "receptance"):
        parts.append(block.value.weight)
    if hasattr(block, "output_linear"):
        parts += list(block.output_linear.weight)
    if hasattr(block, "experts"):
        by_columns = "Llama4" in type(block.experts).__name__
        parts += [weight.T if by_columns else weight for weight in block.experts.down_proj]
    return parts


def times(model, index, factor):
    """The model's copy, with what some neurons write multiplied by hand."""
    changed = copy.deepcopy(model)
    inside = changed.rwkv.blocks if hasattr(changed, "rwkv") else backbone(changed).layers
    for layer, own in zip(inside, index, strict=True):
        place = 0
        for weight in written(layer) if len(own) else ():
            with torch.no_grad():
                weight[:, own[(own >= place) & (own < place + weight.shape[1])] - place] *= factor
            place += weight.shape[1]
        assert not len(own) or own.max() < place
    return changed


@pytest.mark.parametrize("family", ["llama4_text", "jetmoe", "rwkv", "minimax_m3_vl_text", "mllama", "inkling2_text"])
def test_neurons_are_changed_as_by_hand(family):
    model = families.tiny(family)
    numbers = [layer.neurons for layer in neuron_layers(model)]
    rng = np.random.default_rng(0)
    index = [np.sort(rng.permutation(n)[: n // 2]) for n in numbers]
    with torch.no_grad():
        before = model(IDS, use_cache=False).logits
        for factor, change in ((0, deactivate(model, index)), (2.5, amplify(model, index, 2.5))):
            with change:
                found = model(IDS, use_cache=False).logits
            assert torch.allclose(found, times(model, index, factor)(IDS, use_cache=False).logits, atol=1e-5)
            assert not torch.allclose(found, before, atol=1e-3)
        assert torch.equal(model(IDS, use_cache=False).logits, before)


@pytest.mark.parametrize("family", ["llama4_text", "jetmoe"])
def test_a_value_is_written_for_the_tokens_that_an_expert_sees(family):
    model = families.tiny(family)
    number, layer = next((i, layer) for i, layer in enumerate(neuron_layers(model)) if layer.routed)
    mlp, block = layer.mlps[-1], blocks(model, neuron_site(model))[number]
    made: list[torch.Tensor] = []
    handle = mlp.experts.register_forward_hook(lambda _m, _a, output: made.append(output.flatten(0, -2)))
    neurons = [np.array([mlp.start + 2 * mlp.width + 5] if i == number else [], dtype=int) for i in range(4)]
    with torch.no_grad():
        for value in (0.0, 3.0):
            with set_to(model, neurons, value):
                model(IDS, use_cache=False)
    handle.remove()
    rows = (made[1] - made[0]) / written(block)[len(layer.widths) - mlp.n_experts + 2][:, 5]  # share times value
    assert torch.allclose(rows, rows[:, :1].expand_as(rows), atol=1e-3)
    seen = rows[:, 0].abs() > 1e-4
    assert 0 < seen.sum() < len(rows) and (rows[seen, 0] <= 3.0 + 1e-3).all()
    if family == "llama4_text":  # the share is in what the expert is given
        assert torch.allclose(rows[seen, 0], torch.tensor(3.0), atol=1e-3)


@pytest.mark.parametrize(("family", "widths"), [("deepseek_v3", {48, 60}), ("jamba", {48, 192})])
def test_layers_of_different_width_go_all_the_way(family, widths, tokenizer, texts, tmp_path):
    model, corpus = families.tiny(family), load_corpus(f"text:{texts}")
    stats = collect(model, tokenizer, corpus, tmp_path / "counts.safetensors", shards=4, moments=True, progress=False)
    layers = neuron_layers(model)
    assert stats.layer_widths.tolist() == [layer.neurons for layer in layers] and set(stats.layer_widths) == widths
    assert stats.n_neurons == sum(layer.neurons for layer in layers) < stats.counts[..., 0].size
    again = ActivationStats.load(tmp_path / "counts.safetensors")
    assert np.array_equal(again.counts, stats.counts) and np.array_equal(again.real, stats.real)
    types = classify(again, top_rate=0.3, quantile=0.7, lam=0.1, min_tokens=1)
    assert sum(types.sizes().values()) == stats.n_neurons and types.n_starved < stats.n_neurons
    profile = layer_profile(types)
    assert (profile.groupby("layer")["neurons"].sum().to_numpy() <= stats.layer_widths).all()
    assert detect(again, "lape").selected[~stats.real].sum() == 0
    pack(again)
    of = removals(types, draws=1, matched="firing rate", stats=again) + removals(types, draws=1)
    some = [each for each in of if each.size][:6]
    assert {each.order for each in some} >= {"score", "matched"}
    measured = losses(model, tokenizer, corpus, zeroing(some), progress=False)
    for removal in some:
        row = list(zeroing(some)).index(removal.name)
        by_hand = losses(times(model, removal.neurons, 0), tokenizer, corpus, progress=False)
        assert np.allclose(measured.nll[row], by_hand.nll[0], rtol=1e-5, equal_nan=True)
        assert not np.allclose(measured.nll[row], measured.nll[0], rtol=1e-6, equal_nan=True)


def test_a_model_is_proven_once(monkeypatch):
    passes = []
    own = finding._run
    monkeypatch.setattr(finding, "_run", lambda *given: (passes.append(1), own(*given)))
    model = families.tiny("olmo")
    site = neuron_site(model)
    first = len(passes)
    assert first
    with deactivate(model, [np.arange(3)] * 4):
        model(IDS)
    assert neuron_site(model) == site and len(passes) == first
    model.model.layers[1].mlp.act_fn = torch.nn.Tanh()  # another model now
    neuron_site(model)
    assert len(passes) == 2 * first
    neuron_site(families.tiny("olmo"))
    assert len(passes) == 3 * first


def test_the_page_says_what_becomes_of_each():
    for family in set(families.NAMES) - set(_HELD):  # those that were not looked at before
        _kept(family)
    assert set(_HELD) == set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    refused = [name for name, (kind, _) in _HELD.items() if kind == families.REFUSED]
    assert len(refused) <= 5, refused
    assert families.table(_HELD) in PAGE.read_text(encoding="utf-8")
    counted = sum(kind in (families.KNOWN, families.FOUND, families.RAGGED) for kind, _ in _HELD.values())
    said = f"{len(_HELD)} families of causal language models in transformers {transformers.__version__}"
    readme = " ".join((PAGE.parents[1] / "README.md").read_text(encoding="utf-8").split())
    assert f"of the {said}, {counted} are counted" in readme
