"""Interventions against weights changed by hand, row by row against one at a time, and nothing left behind."""

import copy

import numpy as np
import pytest
import torch

from neuroglot import (
    Corpus,
    Example,
    NeuroglotError,
    align,
    amplify,
    count_activations,
    deactivate,
    intervene,
    losses,
    set_to,
)
from neuroglot.model.interventions import Intervention, _Table, hashes
from neuroglot.model.layers import Layer, Mlp
from neuroglot.model.loading import config_hash, model_source
from neuroglot.model.sites import SITES, neuron_layers

from ..conftest import CONFIGS, tiny_model, unsettled

NONE = [np.array([], dtype=int)] * 3
SOME = [np.array([0, 5, 17]), np.array([], dtype=int), np.array([2, 3, 30, 47])]
OTHER = [np.array([1]), np.array([5, 6, 7]), np.array([], dtype=int)]


def logits(model, rows=2, length=7, seed=1):
    ids = torch.randint(1, 256, (rows, length), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model(ids).logits


def mlps(model):
    """The one of each layer."""
    return [layer.mlps[0] for layer in neuron_layers(model)]


def by_hand(model, neurons, factor):
    """A copy whose down projections have the neurons' weights multiplied: what a neuron gives on is changed alike."""
    changed = copy.deepcopy(model)
    site = SITES[model.config.model_type]
    with torch.no_grad():
        for layer, index in zip(mlps(changed), neurons, strict=True):
            for neuron in index:
                if layer.experts is not None:
                    layer.experts.down_proj[neuron // layer.width, :, neuron % layer.width] *= factor
                elif site.transposed:
                    layer.down.weight[neuron] *= factor
                else:
                    layer.down.weight[:, neuron] *= factor
    return changed


def close(one, other):
    exact = one.dtype == torch.float64
    torch.testing.assert_close(one, other, rtol=1e-9 if exact else 1e-4, atol=1e-12 if exact else 1e-5)


def hookless(model):
    return not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_nothing_changes_no_bit(any_model):
    plain = logits(any_model)
    for context in (deactivate(any_model, NONE), amplify(any_model, NONE, 3.0), set_to(any_model, NONE, 1.0)):
        with context:
            assert torch.equal(logits(any_model), plain)
    with amplify(any_model, SOME, 1.0):
        assert torch.equal(logits(any_model), plain)
    with intervene(any_model, [None, Intervention(SOME, values=0.0)]):
        mixed = logits(any_model)
    assert torch.equal(mixed[0], plain[0]) and not torch.equal(mixed[1], plain[1])
    assert hookless(any_model) and torch.equal(logits(any_model), plain)


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.5])
def test_factors_are_those_of_the_weights_behind(any_model, factor):
    with deactivate(any_model, SOME) if factor == 0 else amplify(any_model, SOME, factor):
        found = logits(any_model)
    close(found, logits(by_hand(any_model, SOME, factor)))
    assert not torch.allclose(found, logits(any_model))


def test_everything_in_a_layer_is_the_down_projection_of_zeros(any_model):
    width = neuron_layers(any_model)[0].neurons
    with deactivate(any_model, [NONE[0], np.arange(width), NONE[0]]):
        found = logits(any_model)
    emptied = copy.deepcopy(any_model)
    layer = mlps(emptied)[1]
    with torch.no_grad():
        (layer.down.weight if layer.experts is None else layer.experts.down_proj).zero_()
    assert torch.equal(found, logits(emptied))


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "phi3", "bloom", "mixtral", "olmoe"])
def test_values_are_set(family):
    """What the down projection adds for a constant: its weights times the constant."""
    model = tiny_model(family)
    values = np.random.default_rng(0).normal(size=(3, neuron_layers(model)[0].neurons))
    with set_to(model, SOME, values):
        found = logits(model)
    slow = by_hand(model, SOME, 0.0)
    for layer, original, index, row in zip(mlps(slow), mlps(model), SOME, values, strict=True):
        if not len(index):
            continue
        if layer.experts is None:
            weight = original.down.weight.T if not SITES[family].transposed else original.down.weight
            added = sum(row[j] * weight[j].detach() for j in index)
            layer.down.register_forward_hook(lambda _m, _a, output, added=added: output + added)
        else:
            layer.experts.register_forward_hook(_added(original, index, row))
    close(found, logits(slow))


def _added(layer, index, row):
    """Each token gets, from every expert that saw it, the expert's weights times the constants times its routing."""

    def hook(_module, args, output):
        _, chosen, weights = args
        extra = torch.zeros_like(output)
        for token in range(len(output)):
            for expert, share in zip(chosen[token].tolist(), weights[token], strict=True):
                for j in index:
                    if j // layer.width == expert:
                        extra[token] += share.double() * row[j] * layer.experts.down_proj[expert, :, j % layer.width]
        return output + extra

    return hook


@pytest.mark.parametrize("family", ["llama", "gpt2", "opt", "phi3", "mpt", "mixtral", "qwen3_moe"])
def test_every_row_has_its_own(family):
    model = tiny_model(family)
    values = np.random.default_rng(0).normal(size=(3, neuron_layers(model)[0].neurons))
    rows = [Intervention(SOME, values=0.0), None, Intervention(OTHER, factor=3.0), Intervention(OTHER, values=values)]
    ids = torch.randint(1, 256, (1, 9), generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        with intervene(model, rows):
            together = model(ids.repeat(4, 1)).logits
        for number, row in enumerate(rows):
            with intervene(model, [row]):
                close(together[number : number + 1], model(ids).logits)


@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt2", "mixtral"])
def test_generation_with_a_cache(family):
    model = tiny_model(family)
    ids = torch.randint(1, 256, (2, 6), generator=torch.Generator().manual_seed(5))
    options = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "attention_mask": torch.ones_like(ids)}
    plain = model.generate(ids, **options)
    with amplify(model, SOME, -4.0):
        found = model.generate(ids, **options)
    assert torch.equal(found, by_hand(model, SOME, -4.0).generate(ids, **options))
    with intervene(model, [None, Intervention(SOME, factor=-4.0)]):
        mixed = model.generate(ids, **options)
    assert torch.equal(mixed[0], plain[0]) and torch.equal(mixed[1], found[1])


@pytest.mark.parametrize("family", ["llama", "olmoe"])
def test_one_inside_another(family):
    model = tiny_model(family)
    with amplify(model, SOME, 2.0), amplify(model, SOME, 3.0):
        nested = logits(model)
    close(nested, logits(by_hand(model, SOME, 6.0)))
    with deactivate(model, SOME), amplify(model, OTHER, 2.0):
        both = logits(model)
    close(both, logits(by_hand(by_hand(model, SOME, 0.0), OTHER, 2.0)))
    with set_to(model, SOME, 0.7), amplify(model, SOME, 2.0):
        doubled = logits(model)
    with set_to(model, SOME, 1.4):
        close(doubled, logits(model))


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_every_neuron_has_its_own_factor(family):
    model = tiny_model(family)
    factors = np.random.default_rng(1).normal(size=(3, neuron_layers(model)[0].neurons))
    slow = model
    for number, index in enumerate(SOME):
        for neuron in index:
            one = [np.array([neuron]) if layer == number else NONE[0] for layer in range(3)]
            slow = by_hand(slow, one, factors[number, neuron])
    with intervene(model, [Intervention(SOME, factor=factors)]):
        close(logits(model), logits(slow))


def test_what_is_kept_of_a_change_grows_with_its_neurons_alone():
    layer = Layer((Mlp(None, torch.relu, None, fused=False, width=2**40),))  # of numbers for all there were no room
    chosen = np.arange(0, 2**40, 2**33)
    changes = [Intervention([chosen], factor=0.5), None, Intervention([chosen], values=0.0)] * 21
    table = _Table(layer, 0, changes)
    kept = [tensor for each in (table.scaled, table.put) for tensor in (each.rows, each.neurons, each.numbers)]
    assert sum(tensor.nbytes for tensor in kept) == 42 * len(chosen) * 24 and not table.empty
    assert _Table(layer, 0, [Intervention([chosen], factor=1.0)]).empty


def test_of_a_neuron_that_is_named_twice_the_last_counts(llama):
    twice = [np.array([3, 5, 3]), *NONE[1:]]
    numbers = np.zeros((3, 48))
    numbers[0, [3, 5]] = 2.0, 0.5
    with intervene(llama, [Intervention(twice, factor=numbers)]):
        found = logits(llama)
    with intervene(llama, [Intervention([np.array([3, 5]), *NONE[1:]], factor=numbers)]):
        assert torch.equal(found, logits(llama))


def test_a_hash_tells_interventions_apart():
    factors = np.ones((3, 48))
    same = [Intervention(SOME, factor=1.0), Intervention(SOME, factor=factors)]
    others = [Intervention(SOME, values=1.0), Intervention(SOME, factor=2.0), Intervention(OTHER, factor=1.0)]
    others.append(Intervention(SOME, factor=factors * np.arange(48)))
    assert same[0].hash == same[1].hash and len({each.hash for each in same + others}) == 5
    assert Intervention(NONE, values=0.0).hash == Intervention(NONE, factor=3.0).hash


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, NeuroglotError])
@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_nothing_is_left_after_an_error(family, error):
    model = tiny_model(family)
    plain = logits(model)
    with pytest.raises(error), deactivate(model, SOME):
        raise error("stop")
    assert hookless(model) and torch.equal(logits(model), plain)
    with pytest.raises(IndexError), deactivate(model, SOME):
        model(torch.tensor([[9999]]))
    assert hookless(model) and torch.equal(logits(model), plain)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"neurons": SOME[:2]}, "neurons of 2 layers, the model has 3"),
        ({"neurons": [np.array([48]), *NONE[:2]]}, "neurons 0 to 47; 48 is not one"),
        ({"neurons": [np.array([-1]), *NONE[:2]]}, "is not one"),
        ({"neurons": [np.array([0.5]), *NONE[:2]]}, "no list of whole numbers"),
        ({"neurons": [np.ones(48, dtype=bool), *NONE[:2]]}, "no list of whole numbers"),
        ({"factor": float("nan"), "values": None}, "not finite"),
        ({"factor": 1.0}, "either a factor or values"),
        ({"values": np.zeros(48)}, "values of shape"),
        ({"factor": np.zeros(48), "values": None}, "values of shape"),
    ],
)
def test_bad_input(llama, arguments, message):
    intervention = Intervention(**({"neurons": SOME, "values": 0.0} | arguments))
    with pytest.raises(NeuroglotError, match=message), intervene(llama, [intervention]):
        pass
    assert hookless(llama)


def test_rows_that_do_not_fit_the_batch(llama):
    with (
        pytest.raises(NeuroglotError, match="2 rows and there are 3"),
        intervene(llama, [None, None, Intervention(SOME, values=0.0)]),
    ):
        logits(llama)
    with pytest.raises(NeuroglotError, match="there is no intervention"), intervene(llama, []):
        pass
    assert hookless(llama)


@pytest.mark.parametrize("family", CONFIGS)
def test_rows_are_known_in_every_family(family):
    """Also where an MLP sees tokens without rows; and where the model is given embeddings."""
    model = tiny_model(family)
    for rows in (4, 1, 3):
        with (
            pytest.raises(NeuroglotError, match=f"the batch has {rows} rows and there are 2 interventions"),
            intervene(model, [Intervention(SOME, values=0.0), None]),
        ):
            logits(model, rows)
    embedded = model.get_input_embeddings()(torch.arange(1, 9)[None].repeat(2, 1))
    with torch.no_grad():
        plain = model(inputs_embeds=embedded).logits
        with intervene(model, [Intervention(SOME, values=0.0), None]):
            changed = model(inputs_embeds=embedded).logits
    assert torch.equal(changed[1], plain[1]) and not torch.allclose(changed[0], plain[0])
    assert hookless(model)


# --- proof that it was done ---------------------------------------------------------------------


def compiled(model):
    model.compile(backend="eager")
    return model


def compiled_whole(model):
    model.compile(backend="eager", fullgraph=True)
    return model


def compiled_layers(model):
    for layer in model.model.layers:
        layer.compile(backend="eager")
    return model


def compiled_beside(model):
    return torch.compile(model, backend="eager")


COMPILED = [compiled, compiled_whole, compiled_layers, compiled_beside]


@pytest.mark.parametrize("how", COMPILED)
def test_a_compiled_model_is_changed_and_is_itself_again(llama, how):
    plain = logits(llama)
    with deactivate(llama, SOME):
        wanted = logits(llama)
    ran = how(llama)
    close(logits(ran), plain)  # what was compiled runs from here on
    for handed in (ran, llama):
        with deactivate(handed, SOME):
            assert torch.equal(logits(ran), wanted)
    close(logits(ran), plain)
    assert not torch.allclose(wanted, plain)


@pytest.mark.parametrize("how", COMPILED)
def test_compiling_while_neurons_are_changed_keeps_nothing_of_it(llama, how):
    plain = logits(llama)
    with deactivate(llama, SOME):
        wanted = logits(llama)
        ran = how(llama)
        assert torch.equal(logits(ran), wanted)
    close(logits(ran), plain)


def test_a_pass_that_is_not_seen_is_refused(llama):
    another = copy.deepcopy(llama)
    with pytest.raises(NeuroglotError, match="no pass through its layers was seen"), deactivate(llama, SOME):
        logits(another)
    compiled(llama)
    with (
        pytest.raises(NeuroglotError, match="no pass through its layers was seen"),
        deactivate(llama, SOME),
        torch.compiler.set_stance("default"),
    ):
        logits(llama)
    assert hookless(llama)
    with deactivate(llama, NONE):  # nothing to change, nothing to prove
        pass


def test_what_is_made_while_neurons_are_changed_is_not_taken_for_the_model_as_it_is(llama, tokenizer, tmp_path):
    corpus, path = Corpus("own", ("en",), (Example("a", "en", "What? ", "A house."),)), tmp_path / "l.safetensors"
    plain, by_name = losses(llama, tokenizer, corpus, progress=False), {"a": Intervention(SOME, values=0.0)}
    known = config_hash(llama), model_source(llama)
    with deactivate(llama, NONE):
        assert (config_hash(llama), model_source(llama)) == known
    with deactivate(llama, SOME):
        changed = losses(llama, tokenizer, corpus, path=path, progress=False)
        assert len({config_hash(llama), *_hashes_of_others(llama)}) == 4
    assert (config_hash(llama), model_source(llama)) == known
    assert np.array_equal(changed.nll, losses(llama, tokenizer, corpus, by_name, progress=False).nll)
    assert changed.provenance["model"] == plain.provenance["model"] + " + changed neurons"
    with pytest.raises(NeuroglotError, match="holds other losses"):
        losses(llama, tokenizer, corpus, path=path, progress=False)
    with deactivate(llama, SOME):  # found again, so that no pass need be seen
        assert np.array_equal(losses(llama, tokenizer, corpus, path=path, progress=False).nll, changed.nll)
    with pytest.raises(NeuroglotError, match="outside of that block"), deactivate(llama, SOME):
        align(llama, tokenizer, None, tmp_path / "adapter", progress=False)


def _hashes_of_others(model):
    with deactivate(model, OTHER):
        yield config_hash(model)
    with intervene(model, [None, Intervention(SOME, values=0.0)]):
        yield config_hash(model)
    with amplify(model, SOME, 2.0):
        yield config_hash(model)


def test_a_layer_that_does_not_run_as_modules_is_refused(llama):
    mlp = llama.model.layers[2].mlp
    mlp.forward = lambda x: torch.nn.functional.linear(
        mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x), mlp.down_proj.weight
    )
    with pytest.raises(NeuroglotError, match="without the MLP of layer 2 as a module"), deactivate(llama, SOME):
        logits(llama)
    with deactivate(llama, [SOME[0], NONE[0], NONE[0]]):  # of no concern where that layer is left alone
        assert logits(llama).isfinite().all()
    assert hookless(llama)


def test_experts_that_do_not_use_their_activation_are_refused():
    model = tiny_model("mixtral")
    model.model.layers[2].mlp.experts.forward = lambda states, *_: states
    with pytest.raises(NeuroglotError, match="without their activation's module"), deactivate(model, SOME):
        logits(model)


def test_passes_that_end_early_and_experts_that_see_no_token():
    """Counting ends a pass before the last layer's neurons are changed; a token runs two experts of four."""
    model, ids = tiny_model("llama"), torch.arange(1, 9)[None]
    with deactivate(model, SOME):
        inside = count_activations(model, ids, torch.ones_like(ids))
    assert torch.equal(inside, count_activations(by_hand(model, SOME, 0.0), ids, torch.ones_like(ids)))
    mixture = tiny_model("mixtral")
    every = [np.arange(48)] * 3
    with deactivate(mixture, every):
        found = logits(mixture, rows=1, length=1)
    close(found, logits(by_hand(mixture, every, 0.0), rows=1, length=1))


def test_by_hand_a_model_keeps_its_mode():
    model = tiny_model("gpt2", resid_pdrop=0.5)
    model.train()
    with deactivate(model, SOME):
        assert model.training and not torch.equal(logits(model), logits(model))
    with unsettled(model), deactivate(model, SOME):
        logits(model)


def test_neither_factor_nor_values_has_no_hash():
    with pytest.raises(NeuroglotError, match="give either a factor or values"):
        _ = Intervention(SOME).hash
    assert Intervention([[], []]).hash == Intervention(()).hash  # nothing is changed


@pytest.mark.parametrize(
    "given",
    [
        {"neurons": [["1"], [], []]},
        {"neurons": [[1.5], [], []]},
        {"neurons": [[True], [], []]},
        {"neurons": [[None], [], []]},
        {"neurons": [[[1], [2, 3]], [], []]},
        {"neurons": [3, 4, 5]},
        {"neurons": 7},
        {"values": "much"},
        {"values": [[1], [2, 3]]},
        {"values": 1j},
    ],
    ids=str,
)
def test_neurons_and_values_that_are_no_numbers(llama, given):
    """Neither what they would change nor their hash is made of them."""
    intervention = Intervention(**({"neurons": SOME, "values": 0.0} | given))
    with pytest.raises(NeuroglotError, match=r"whole numbers|no number"):
        hashes({"x": intervention})
    with pytest.raises(NeuroglotError, match=r"whole numbers|no number"), intervene(llama, [intervention]):
        pass
    assert hookless(llama)
