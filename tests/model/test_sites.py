"""Where the neurons sit: every family against formulas, families found by structure, and refusals."""

import copy

import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from neuroglot import NeuroglotError, count_activations
from neuroglot.model import experts
from neuroglot.model.finding import found
from neuroglot.model.sites import QUANTITIES, SITES, Site, keeps_sign, neuron_layers, neuron_site, observed

from ..conftest import CONFIGS, TINY, tiny_model, unsettled
from ..reference import REFERENCE, brute_force, brute_force_of_layers, neurons

EXPERTS = [family for family, site in SITES.items() if site.experts]


def test_every_known_architecture_is_tested():
    assert set(CONFIGS) == set(SITES) == set(REFERENCE)


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
    assert counts.dtype == torch.int64 and counts.shape == expected_all.shape and counts.any()
    assert torch.equal(counts, expected_all)
    assert torch.equal(count_activations(any_model, ids, mask, count), expected_masked)
    assert torch.equal(count_activations(any_model, ids, mask, torch.ones_like(ids)), expected_all)  # never padding


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_other_quantities_and_levels(any_model, quantity):
    ids = torch.randint(1, 256, (1, 9), generator=torch.Generator().manual_seed(2))
    for above in (0.0, 0.05):
        counts = count_activations(any_model, ids, torch.ones_like(ids), quantity=quantity, above=above)
        assert torch.equal(counts, brute_force(any_model, ids[0].tolist(), [True] * 9, quantity, above)), above


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_reading_leaves_logits_alone(any_model, quantity):
    ids = torch.arange(20).reshape(2, 10)
    layers, seen = neuron_layers(any_model), set()
    with torch.no_grad():
        plain = any_model(ids).logits
        with observed(layers, lambda layer, *_: seen.add(layer), quantity, values=True):
            hooked = any_model(ids).logits
        after = any_model(ids).logits
    assert seen == {0, 1, 2} and torch.equal(plain, hooked) and torch.equal(plain, after)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in any_model.modules())


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_values_are_the_activation_or_the_product(any_model, quantity):
    ids = [5, 77, 130, 9]
    read = {}

    def see(layer, mlp, counted, value, routing):
        width = mlp.width
        for expert, rows in routing.spans if routing else [(0, slice(None))]:
            tokens = routing.tokens[rows] if routing else range(len(counted))
            for token, a, b in zip(tokens, counted[rows], value[rows], strict=True):
                read[layer, int(token), expert] = a, b, slice(expert * width, (expert + 1) * width)

    layers = neuron_layers(any_model)
    with torch.no_grad(), observed(layers, see, quantity, values=True):
        any_model(torch.tensor([ids]))
    expected = neurons(any_model, ids, any_model.config.model_type)
    own = "product" if quantity == "product" else "activation"
    assert len(read) == 3 * 4 * (2 if layers[0].routed else 1)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if any_model.dtype == torch.float32 else {}
    for (layer, token, _), (counted, value, columns) in read.items():
        torch.testing.assert_close(counted, expected[layer][token][quantity][columns], **tolerance)
        torch.testing.assert_close(value, expected[layer][token][own][columns], **tolerance)


@pytest.mark.parametrize("family", EXPERTS)
@pytest.mark.parametrize("how", ["eager", "grouped_mm", "batched_mm"])
def test_every_implementation_of_experts_is_read_right(family, how):
    model = tiny_model(family).float()
    model.set_experts_implementation(how)
    ids = torch.randint(1, 256, (1, 40), generator=torch.Generator().manual_seed(3))
    for quantity in QUANTITIES:
        counts = count_activations(model, ids, torch.ones_like(ids), quantity=quantity)
        assert torch.equal(counts, brute_force(model, ids[0].tolist(), [True] * 40, quantity)), quantity


def test_an_unknown_implementation_of_experts_is_refused():
    model = tiny_model("mixtral")
    model.config._experts_implementation_internal = "sonicmoe"
    with pytest.raises(NeuroglotError, match="'sonicmoe'"):
        experts.routings(model.model.layers[0].mlp.experts, torch.arange(6).reshape(3, 2), 8)


def test_a_token_that_goes_to_one_expert_twice_is_refused():
    held = tiny_model("mixtral").model.layers[0].mlp.experts
    with pytest.raises(NeuroglotError, match="twice"):
        experts.routings(held, torch.tensor([[0, 1], [2, 2]]), 4)
    assert experts.routings(held, torch.tensor([[0, 5], [5, 5]]), 4)[0].tokens.tolist() == [0]  # without neurons


# --- families outside the table ----------------------------------------------------------------

OTHERS = {
    "olmo": TINY,
    "cohere2": TINY | {"head_dim": 8},
    "seed_oss": TINY | {"head_dim": 8},
    "glm4": TINY | {"head_dim": 8},
    "codegen": {"n_embd": 32, "n_inner": 48, "n_layer": 3, "n_head": 4, "vocab_size": 300, "rotary_dim": 8},
    "gpt_bigcode": {"n_embd": 32, "n_inner": 48, "n_layer": 3, "n_head": 4, "vocab_size": 300},
    "biogpt": TINY,
}


def other_model(family):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **OTHERS[family])
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize(
    ("family", "site"),
    [
        ("olmo", Site()),
        ("cohere2", Site()),
        ("seed_oss", Site()),
        ("glm4", Site(gate="mlp.gate_up_proj", activation="mlp.activation_fn", fused=True)),
        ("codegen", Site("h", "mlp.fc_in", "mlp.act", "mlp.fc_out")),
        ("gpt_bigcode", Site("h", "mlp.c_fc", "mlp.act", "mlp.c_proj")),
        ("biogpt", Site("layers", "fc1", "activation_fn", "fc2")),
    ],
)
def test_a_family_outside_the_table_is_found_by_structure(family, site):
    assert family not in SITES
    model = other_model(family)
    assert neuron_site(model) == site
    with unsettled(other_model(family)) as training:
        assert neuron_site(training) == site
    assert not any(module._forward_hooks for module in model.modules())
    ids = torch.arange(1, 21).reshape(2, 10)
    counts = count_activations(model, ids, torch.ones_like(ids))
    assert counts.shape[0] == 3 and counts.any()


def test_structure_alone_finds_what_the_table_says(any_model):
    assert found(any_model) == SITES[any_model.config.model_type]


def test_weights_lie_as_the_table_says(any_model):
    site = SITES[any_model.config.model_type]
    for layer in neuron_layers(any_model):
        (mlp,) = layer.mlps
        if mlp.experts is None:
            assert mlp.gate.weight.shape[1 if site.transposed else 0] == mlp.width * (2 if site.fused else 1)
            assert mlp.down.weight.shape[0 if site.transposed else 1] == mlp.width == layer.neurons
        else:
            assert mlp.experts.gate_up_proj.shape[:2] == (mlp.n_experts, 2 * mlp.width)


def test_unknown_architecture_is_named():
    model = tiny_model("llama")
    model.config.model_type = "martian"
    for layer in model.model.layers:
        layer.mlp.act_fn = nn.Hardswish()
        layer.mlp.forward = lambda x, mlp=layer.mlp: mlp.down_proj(mlp.gate_proj(x).sin() * mlp.up_proj(x))
    with pytest.raises(NeuroglotError, match=r"'martian' is not known.*what mlp\.gate_proj and mlp\.down_proj do"):
        neuron_layers(model)


@pytest.mark.parametrize(("family", "why"), [("mamba", "no MLP"), ("bert", "attends to both sides")])
def test_what_is_no_causal_transformer_is_refused(family, why):
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **TINY)).eval()
    with pytest.raises(NeuroglotError, match=f"'{family}' is not known.*{why}"):
        neuron_site(model)


def test_a_site_that_is_not_there_is_refused():
    model = tiny_model("llama")
    with pytest.raises(NeuroglotError, match="does not keep its neurons where"):
        neuron_layers(model, Site(gate="mlp.gate"))


def test_layers_that_differ_are_counted_each_as_it_is():
    model = tiny_model("qwen3_moe", mlp_only_layers=[0], intermediate_size=30)
    layers = neuron_layers(model)
    assert [layer.widths for layer in layers] == [(30,), (12,) * 4, (12,) * 4]
    ids = torch.randint(1, 256, (1, 9), generator=torch.Generator().manual_seed(2))
    counts = count_activations(model, ids, torch.ones_like(ids))
    expected = brute_force_of_layers(model, ids[0].tolist(), {0: "qwen3", 1: "qwen3_moe", 2: "qwen3_moe"})
    for own, right in zip(counts, expected, strict=True):
        assert torch.equal(own[: len(right)], right) and not own[len(right) :].any()
    model = tiny_model("llama")
    model.model.layers[1] = tiny_model("llama", intermediate_size=24).model.layers[1]
    assert [layer.neurons for layer in neuron_layers(model)] == [48, 24, 48]


def test_bidirectional_attention_is_refused():
    model = tiny_model("gemma3_text")
    model.config.use_bidirectional_attention = True
    with pytest.raises(NeuroglotError, match="both sides"):
        neuron_layers(model)


def test_a_configuration_that_is_not_causal_is_refused():
    model = tiny_model("llama")
    model.config.is_causal = False
    with pytest.raises(NeuroglotError, match="both sides"):
        neuron_layers(model)


class Looped(nn.Module):
    """Runs a layer's MLP twice, as models that share layers do."""

    def __init__(self, mlp):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj, self.act_fn = (
            mlp.gate_proj,
            mlp.up_proj,
            mlp.down_proj,
            mlp.act_fn,
        )

    def forward(self, x):
        for _ in range(2):
            x = x + self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
        return x


class Mixed(nn.Module):
    """A shared MLP, and experts of which every token sees one by its place."""

    def __init__(self, mlp):
        super().__init__()
        self.shared = mlp
        self.experts = nn.ModuleList([copy.deepcopy(mlp) for _ in range(4)])

    def forward(self, x):
        out = self.shared(x)
        for token in range(x.shape[1]):
            out[:, token] += self.experts[token % 2](x[:, token])
        return out


@pytest.mark.parametrize("mlp", [Looped, Mixed])
def test_structure_that_proves_nothing_is_refused(mlp):
    model = tiny_model("llama")
    model.config.model_type = "martian"
    assert neuron_site(model) == Site()
    for layer in model.model.layers:
        layer.mlp = mlp(layer.mlp)
    with pytest.raises(NeuroglotError, match="'martian' is not known"):
        neuron_site(model)


def test_an_activation_that_does_not_keep_the_sign():
    model = tiny_model("llama", hidden_act="sigmoid")
    assert not keeps_sign(neuron_layers(model)) and keeps_sign(neuron_layers(tiny_model("llama")))
    ids = torch.arange(1, 9)[None]
    with pytest.raises(NeuroglotError, match="does not keep the sign"):
        count_activations(model, ids, torch.ones_like(ids))
    counts = count_activations(model, ids, torch.ones_like(ids), quantity="activation")
    assert (counts == 8).all()  # a sigmoid is always positive
    half = count_activations(model, ids, torch.ones_like(ids), quantity="activation", above=0.5)
    assert torch.equal(
        half, count_activations(tiny_model("llama", hidden_act="sigmoid"), ids, torch.ones_like(ids), above=1e-300)
    )


# --- a package's architecture ------------------------------------------------------------------


def test_a_packages_site_is_proven_and_a_wrong_one_refused_by_name(install):
    sites_of = {"right": "mlp.main.act_fn", "wrong": "mlp.main.gate_proj", "absent": "mlp.act_fn"}
    install("stone", {"neuroglot.sites": {name: f"stone_sites:{name}" for name in (*sites_of, "none")}})
    lines = [
        f"{name} = Site(gate='mlp.main.gate_proj', activation='{path}', down='mlp.main.down_proj')"
        for name, path in sites_of.items()
    ]
    text = "\n".join(["from neuroglot.model.sites import Site", *lines, "none = 'mlp'", ""])
    (install.folder / "stone_sites.py").write_text(text)
    model = tiny_model("llama")
    for layer in model.model.layers:
        layer.mlp = Twofold(layer.mlp)
    model.config.model_type = "right"
    assert neuron_site(model).gate == "mlp.main.gate_proj"
    for name, why in {"wrong": "not where", "absent": "does not fit", "none": "is a str"}.items():
        model.config.model_type = name
        with pytest.raises(NeuroglotError, match=rf"{name} = stone_sites:{name} .* of stone 1\.0, .*{why}"):
            neuron_site(model)
    model.config.model_type = "martian"
    with pytest.raises(NeuroglotError, match="'martian' is not known"):
        neuron_site(model)


def test_a_packages_site_of_some_layers_only_is_refused(install):
    install("brick", {"neuroglot.sites": {"partly": "brick_sites:PART"}})
    (install.folder / "brick_sites.py").write_text("from neuroglot.model.sites import Site\nPART = Site('first')\n")
    model = tiny_model("llama")
    model.config.model_type, model.model.first = "partly", nn.ModuleList(model.model.layers[:2])
    with pytest.raises(NeuroglotError, match=r"of brick 1\.0, gives 2 layers of a model that has 3"):
        neuron_site(model)


def test_a_packages_site_counts_what_the_formulas_count(install, monkeypatch):
    install("griffin", {"neuroglot.sites": {"recurrent_gemma": "griffin_sites:ROW"}})
    paths = "'layers', 'mlp_block.gate_proj', 'mlp_block.act_fn', 'mlp_block.down_proj'"
    (install.folder / "griffin_sites.py").write_text(f"from neuroglot.model.sites import Site\nROW = Site({paths})\n")
    gate = "model.layers.{}.mlp_block.gate_proj"
    monkeypatch.setitem(REFERENCE, "recurrent_gemma", (gate, REFERENCE["gemma"][1], "up_proj"))
    torch.manual_seed(0)
    sizes = TINY | {"intermediate_size": 96, "num_key_value_heads": 1, "lru_width": 32}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("recurrent_gemma", **sizes)).eval()
    ids = torch.randint(1, 256, (1, 9), generator=torch.Generator().manual_seed(2))
    for quantity in QUANTITIES:
        counts = count_activations(model, ids, torch.ones_like(ids), quantity=quantity)
        assert torch.equal(counts, brute_force(model, ids[0].tolist(), [True] * 9, quantity)), quantity


class Twofold(nn.Module):
    """Two MLPs side by side: structure alone does not tell which is meant."""

    def __init__(self, mlp):
        super().__init__()
        self.main, self.memory = mlp, copy.deepcopy(mlp)

    def forward(self, x):
        return self.main(x) + self.memory(x)
