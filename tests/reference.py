"""What a neuron is, spelled out a second time: names of weights, activations as formulas, loops."""

import math
from collections.abc import Callable

import torch


def gelu(z: torch.Tensor) -> torch.Tensor:
    return z * 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def gelu_tanh(z: torch.Tensor) -> torch.Tensor:
    return 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


def silu(z: torch.Tensor) -> torch.Tensor:
    return z / (1 + torch.exp(-z))


def relu(z: torch.Tensor) -> torch.Tensor:
    return z.clamp(min=0)


def relu2(z: torch.Tensor) -> torch.Tensor:
    return z.clamp(min=0) ** 2


#: Family -> the module with the gate's weight in layer {}, its activation, and how to get the neurons' product
#: with the up projection: "" there is none, else the up module's name; "half" is the second half of a fused one.
REFERENCE: dict[str, tuple[str, Callable[[torch.Tensor], torch.Tensor], str]] = {
    "bloom": ("transformer.h.{}.mlp.dense_h_to_4h", gelu_tanh, ""),
    "cohere": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "falcon": ("transformer.h.{}.mlp.dense_h_to_4h", gelu, ""),
    "gemma": ("model.layers.{}.mlp.gate_proj", gelu_tanh, "up_proj"),
    "gemma2": ("model.layers.{}.mlp.gate_proj", gelu_tanh, "up_proj"),
    "gemma3": ("model.language_model.layers.{}.mlp.gate_proj", gelu_tanh, "up_proj"),
    "gemma3_text": ("model.layers.{}.mlp.gate_proj", gelu_tanh, "up_proj"),
    "glm": ("model.layers.{}.mlp.gate_up_proj", silu, "half"),
    "gpt2": ("transformer.h.{}.mlp.c_fc", gelu_tanh, ""),
    "gpt_neox": ("gpt_neox.layers.{}.mlp.dense_h_to_4h", gelu, ""),
    "gptj": ("transformer.h.{}.mlp.fc_in", gelu_tanh, ""),
    "granite": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "llama": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "mistral": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "mixtral": ("model.layers.{}.mlp", silu, "experts"),
    "mpt": ("transformer.blocks.{}.ffn.up_proj", gelu, ""),
    "nemotron": ("model.layers.{}.mlp.up_proj", relu2, ""),
    "olmo2": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "olmoe": ("model.layers.{}.mlp", silu, "experts"),
    "opt": ("model.decoder.layers.{}.fc1", relu, ""),
    "phi": ("model.layers.{}.mlp.fc1", gelu_tanh, ""),
    "phi3": ("model.layers.{}.mlp.gate_up_proj", silu, "half"),
    "qwen2": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "qwen3": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "qwen3_moe": ("model.layers.{}.mlp", silu, "experts"),
    "smollm3": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "stablelm": ("model.layers.{}.mlp.gate_proj", silu, "up_proj"),
    "starcoder2": ("model.layers.{}.mlp.c_fc", gelu_tanh, ""),
    "xglm": ("model.layers.{}.fc1", gelu, ""),
}


def _linear(model, name: str, x: torch.Tensor) -> torch.Tensor:
    module = model.get_submodule(name)
    weight = module.weight if type(module).__name__ == "Conv1D" else module.weight.T  # Conv1D has [inputs, outputs]
    bias = getattr(module, "bias", None)
    return x @ weight + (0 if bias is None else bias)


def neurons(model, ids: list[int], family: str, only: int | None = None) -> list[list[dict[str, torch.Tensor]]]:
    """Per layer and token: every quantity of every neuron, ``nan`` in experts that did not see the token."""
    name, activation, up = REFERENCE[family]
    depth = model.config.get_text_config().num_hidden_layers
    numbers = range(depth) if only is None else [only]
    inputs: dict[int, torch.Tensor] = {}

    def keep(layer: int):
        return lambda _module, args: inputs.__setitem__(layer, args[0].detach().reshape(len(ids), -1))

    handles = [model.get_submodule(name.format(i)).register_forward_pre_hook(keep(i)) for i in numbers]
    with torch.no_grad():
        model(torch.tensor([ids]))
        for handle in handles:
            handle.remove()
        result = []
        for layer in numbers:
            here, x = name.format(layer), inputs[layer]
            if up == "experts":
                result.append([_experts(model.get_submodule(here), row, activation) for row in x])
                continue
            z = _linear(model, here, x)
            if up == "half":
                z, beside = z[:, : z.shape[1] // 2], z[:, z.shape[1] // 2 :]
            else:
                beside = _linear(model, f"{here.rpartition('.')[0]}.{up}", x) if up else 1
            a = activation(z)
            product = a * beside
            result.append(
                [{"pre-activation": z[t], "activation": a[t], "product": product[t]} for t in range(len(ids))]
            )
    return result


def _experts(block, x: torch.Tensor, activation) -> dict[str, torch.Tensor]:
    """One token in a mixture of experts: the two experts with the highest router logits see it."""
    chosen = (block.gate.weight @ x).topk(2).indices.tolist()
    weights = block.experts.gate_up_proj
    experts, width = weights.shape[0], weights.shape[1] // 2
    values = {kind: torch.full((experts * width,), torch.nan, dtype=x.dtype) for kind in ("z", "a", "p")}
    for expert in chosen:
        both = weights[expert] @ x
        own = slice(expert * width, (expert + 1) * width)
        values["z"][own] = both[:width]
        values["a"][own] = activation(both[:width])
        values["p"][own] = activation(both[:width]) * both[width:]
    return {"pre-activation": values["z"], "activation": values["a"], "product": values["p"]}


def brute_force(
    model, ids: list[int], counted: list[bool], quantity: str = "pre-activation", above: float = 0.0
) -> torch.Tensor:
    """int64 ``[layers, neurons]``: one text, unpadded, token by token."""
    rows = []
    for layer in neurons(model, ids, model.config.model_type):
        active = [token[quantity] > above for token, keep in zip(layer, counted, strict=True) if keep]
        rows.append(sum(active, torch.zeros(layer[0][quantity].shape, dtype=torch.int64)))
    return torch.stack(rows)


def brute_force_of_layers(model, ids: list[int], families: dict[int, str]) -> list[torch.Tensor]:
    """Active tokens of every neuron of one text, of layers of different families."""
    found = ((neurons(model, ids, family, number)[0]) for number, family in families.items())
    return [sum((token["pre-activation"] > 0).long() for token in layer) for layer in found]


def expert_tokens(model, ids: list[int], counted: list[bool], experts: int) -> torch.Tensor:
    """int64 ``[layers, experts]``: counted tokens that each expert saw."""
    layers = neurons(model, ids, model.config.model_type)
    seen = [
        sum(
            token["activation"].reshape(experts, -1)[:, 0].isfinite().long()
            for token, keep in zip(layer, counted, strict=True)
            if keep
        )
        for layer in layers
    ]
    return torch.stack(seen)
