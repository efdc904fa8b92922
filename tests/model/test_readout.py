"""The way from neurons to logits adds up to what the model computes, in every family, or is refused."""

import pytest
import torch
from torch import nn

from neuroglot import NeuroglotError
from neuroglot.model.readout import Readout

from ..conftest import CONFIGS, tiny_model

IDS = torch.tensor([[5, 90, 17, 201, 33, 64]])
MIXTURES = {"mixtral", "olmoe", "qwen3_moe"}


def seen(model, modules):
    """What enters and leaves some modules on a few tokens, ``[tokens, ...]``, and the logits."""
    found, handles = {}, []
    for module in modules:

        def keep(module, args, output):  # cloned, since some families go on in place
            found[module] = args[0].flatten(0, -2).clone(), output.flatten(0, -2).clone()

        handles.append(module.register_forward_hook(keep))
    with torch.no_grad():
        logits = model(input_ids=IDS, use_cache=False).logits[0]
    for handle in handles:
        handle.remove()
    return found, logits


@pytest.mark.parametrize("family", sorted(set(CONFIGS) - MIXTURES))
def test_neurons_add_up_to_what_the_mlp_adds_before_the_head(family):
    model = tiny_model(family)
    readout = Readout(model)
    for layer in readout.layers:
        if getattr(layer.down, "bias", None) is not None:
            nn.init.zeros_(layer.down.bias)
    norms = [post.module for post in readout.posts if post is not None]
    found, logits = seen(model, [*(layer.down for layer in readout.layers), *norms, readout.final.module])
    entered, left = found[readout.final.module]
    final = readout.final.over_scale(entered, left)
    for number, (layer, post) in enumerate(zip(readout.layers, readout.posts, strict=True)):
        values, written = found[layer.down]
        scale = final
        if post is not None:
            written = found[post.module][1]
            scale = final * post.over_scale(*found[post.module])
        ours = values.float() @ readout.columns(number) * scale[:, None]
        theirs = readout.final.unscaled(written.float()) * final[:, None]
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    # The final norm itself: gain, scale and bias give what the head sees, and the head's rows the logits.
    states = readout.final.unscaled(entered.float()) * final[:, None] + readout.final.bias
    torch.testing.assert_close(states, left.float(), rtol=1e-3, atol=1e-4)
    head = torch.cat(list(readout.slices(70)))
    ours, bias = states @ head.T, getattr(readout.head, "bias", None)
    ours = ours if bias is None else ours + bias.float()
    cap, scaled = getattr(model.config, "final_logit_softcapping", None), getattr(model.config, "logit_scale", None)
    ours = ours * scaled if family == "cohere" else cap * torch.tanh(ours / cap) if cap else ours
    torch.testing.assert_close(ours, logits.float(), rtol=1e-2, atol=1e-3)


def test_columns_by_hand():
    gemma = tiny_model("gemma3_text")
    layer = gemma.model.layers[1]
    gains = (1 + layer.post_feedforward_layernorm.weight) * (1 + gemma.model.norm.weight)
    torch.testing.assert_close(Readout(gemma).columns(1)[7], (layer.mlp.down_proj.weight[:, 7] * gains).float())
    gpt = tiny_model("gpt2")
    column = gpt.transformer.h[2].mlp.c_proj.weight[7]
    own = (column - column.mean()) * gpt.transformer.ln_f.weight
    torch.testing.assert_close(Readout(gpt).columns(2)[7], own.float())
    llama = tiny_model("llama")
    own = llama.model.layers[0].mlp.down_proj.weight[:, 7] * llama.model.norm.weight
    torch.testing.assert_close(Readout(llama).columns(0)[7], own.float())


def test_the_spread_of_logits(llama):
    readout = Readout(llama)
    u = torch.randn(readout.size).double()
    logits = llama.lm_head.weight.detach() @ u
    assert readout.vocabulary == len(logits) == 300
    assert u.numpy() @ readout.covariance() @ u.numpy() == pytest.approx(float(logits.var(correction=0)), rel=1e-4)
    torch.testing.assert_close(readout.embeddings([7, 2]), llama.lm_head.weight[[7, 2]].float())


def test_nothing_is_left_in_the_model(llama):
    before = [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in llama.modules()]
    Readout(llama)
    assert before == [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in llama.modules()]


@pytest.mark.parametrize("family", sorted(MIXTURES))
def test_mixtures_are_refused(family):
    with pytest.raises(NeuroglotError, match="is not known: its experts' weights are not read"):
        Readout(tiny_model(family))


def test_another_way_to_the_logits_is_refused(llama):
    with pytest.raises(NeuroglotError, match="layer 0 does more than add what its MLP writes"):
        Readout(tiny_model("granite", residual_multiplier=0.5))
    llama.lm_head.register_forward_pre_hook(lambda _module, args: (args[0] * 0.5,))
    with pytest.raises(NeuroglotError, match="between its last layer and its head is more than a norm"):
        Readout(llama)


def test_a_norm_of_another_kind_is_refused(llama):
    class Other(nn.Module):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

        def forward(self, x):
            return self.weight * x / x.abs().mean(-1, keepdim=True)

    llama.model.norm = Other(llama.model.norm.weight)
    with pytest.raises(NeuroglotError, match="Other is neither a root-mean-square nor a layer norm"):
        Readout(llama)
