"""Where a model keeps its MLP neurons, per architecture, and how to read them as it runs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from operator import attrgetter
from typing import Any, cast

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..base import plugins
from ..base.errors import NeuroglotError, quoted
from .loading import evaluating, input_device, itself

# --- the table ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """Where one architecture keeps a layer's neurons, as paths of attributes.

    Attributes:
        layers: the list of layers, inside the backbone.
        gate: inside a layer, the module that outputs the pre-activations ``x W``.
        activation: the non-linearity on them, a module or a function.
        down: the module that takes the neurons' values as its input.
        fused: ``gate`` outputs gate and up projection side by side; the first half is the gate.
        transposed: the weights are stored ``[inputs, neurons]``, as GPT-2's Conv1D does.
        experts: a mixture of experts: the module with the experts' weights as ``[experts, ...]``
            parameters named by ``gate`` and ``down``. Neuron ``e * width + j`` is column ``j`` of
            expert ``e``.
    """

    layers: str = "layers"
    gate: str = "mlp.gate_proj"
    activation: str = "mlp.act_fn"
    down: str = "mlp.down_proj"
    fused: bool = False
    transposed: bool = False
    experts: str = ""


_GATED = Site()
_FUSED = Site(gate="mlp.gate_up_proj", activation="mlp.activation_fn", fused=True)
_EXPERTS = Site(
    gate="gate_up_proj", activation="mlp.experts.act_fn", down="down_proj", fused=True, experts="mlp.experts"
)
_FC = Site(gate="mlp.fc1", activation="mlp.activation_fn", down="mlp.fc2")
_H_TO_4H = Site(gate="mlp.dense_h_to_4h", activation="mlp.act", down="mlp.dense_4h_to_h")

#: Architecture (``config.model_type``) -> where its neurons sit.
SITES: dict[str, Site] = {
    "bloom": Site("h", "mlp.dense_h_to_4h", "mlp.gelu_impl", "mlp.dense_4h_to_h"),
    "cohere": _GATED,
    "falcon": Site("h", _H_TO_4H.gate, _H_TO_4H.activation, _H_TO_4H.down),
    "gemma": _GATED,
    "gemma2": _GATED,
    "gemma3": Site("language_model.layers"),
    "gemma3_text": _GATED,
    "glm": _FUSED,
    "gpt2": Site("h", "mlp.c_fc", "mlp.act", "mlp.c_proj", transposed=True),
    "gpt_neox": _H_TO_4H,
    "gptj": Site("h", "mlp.fc_in", "mlp.act", "mlp.fc_out"),
    "granite": _GATED,
    "llama": _GATED,
    "mistral": _GATED,
    "mixtral": _EXPERTS,
    "mpt": Site("blocks", "ffn.up_proj", "ffn.act", "ffn.down_proj"),
    "nemotron": Site(gate="mlp.up_proj"),
    "olmo2": _GATED,
    "olmoe": _EXPERTS,
    "opt": Site("decoder.layers", "fc1", "activation_fn", "fc2"),
    "phi": _FC,
    "phi3": _FUSED,
    "qwen2": _GATED,
    "qwen3": _GATED,
    "qwen3_moe": _EXPERTS,
    "smollm3": _GATED,
    "stablelm": _GATED,
    "starcoder2": Site(gate="mlp.c_fc", activation="mlp.act", down="mlp.c_proj"),
    "xglm": Site(gate="fc1", activation="activation_fn", down="fc2"),
}

# --- in a loaded model -------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One layer's neurons in a loaded model.

    Attributes:
        gate: outputs the pre-activations; ``None`` in a mixture of experts, as is ``down``.
        activation: the non-linearity.
        down: takes the neurons' values.
        fused: only the first half of the gate's output are pre-activations.
        width: neurons of the layer, or of each of its experts.
        experts: the module that holds the experts, ``None`` in a dense layer.
        n_experts: 1 in a dense layer.
    """

    gate: nn.Module | None
    activation: Callable[[torch.Tensor], torch.Tensor]
    down: nn.Module | None
    fused: bool
    width: int
    experts: nn.Module | None = None
    n_experts: int = 1

    @property
    def neurons(self) -> int:
        """All neurons of the layer, those of every expert."""
        return self.width * self.n_experts


def neuron_layers(model: PreTrainedModel, site: "Site | None" = None) -> list[Layer]:
    """Where each layer of a model keeps its neurons, first layer first.

    ``site`` is where to look; by default :func:`neuron_site`.

    Raises:
        NeuroglotError: an architecture that :func:`neuron_site` refuses, or layers that differ in
            kind or width.
    """
    model = itself(model)
    family, site = model.config.model_type, site or neuron_site(model)
    try:
        layers = [_layer(block, site) for block in blocks(model, site)]
    except AttributeError as error:
        raise NeuroglotError(
            f"this {quoted(family)} does not keep its neurons where neuroglot looks for them ({error}); its layers may "
            "be of several kinds, or its code of another version."
        ) from error
    if len({(layer.width, layer.n_experts) for layer in layers}) != 1:
        widths = ", ".join(str(n) for n in sorted({layer.neurons for layer in layers}))
        raise NeuroglotError(
            f"the layers of this {quoted(family)} differ in width ({widths}); they cannot be compared."
        )
    return layers


def blocks(model: PreTrainedModel, site: Site) -> nn.ModuleList:
    """The model's layers, as modules that run one after the other on hidden states ``[rows, tokens, size]``."""
    layers: nn.ModuleList = attrgetter(site.layers)(itself(model).base_model)
    return layers


def neuron_site(model: PreTrainedModel) -> Site:
    """The row of :data:`SITES` for a model's architecture, or what is found in its place.

    That is the :class:`Site` which an installed package gives under ``config.model_type`` or the name of the model's
    class (entry points ``neuroglot.sites``), or the one that the model's structure shows. Either is proven: of all
    linear modules of a layer, one must take as input just what the layer's non-linearity makes of another's output
    (times a third's). That is tried on a few tokens, in every layer, and so is that no token sees a later one.

    Raises:
        NeuroglotError: an architecture that is neither known nor found so, or that attends to both
            sides; a package's site that is none, or that the check does not prove.
    """
    model = itself(model)
    family, config = model.config.model_type, model.config.get_text_config()
    if getattr(config, "use_bidirectional_attention", False) or getattr(config, "is_causal", True) is False:
        raise NeuroglotError(f"this {quoted(family)} attends to both sides; counting needs a causal model.")
    site = _given(model) or SITES.get(family) or _found(model)
    if site is None:
        raise NeuroglotError(
            f"the architecture {quoted(family)} is not known to neuroglot, and no MLP was found in it that a check on "
            f"a few tokens proves; known: {', '.join(SITES)} (a package may add it as an entry point of "
            "neuroglot.sites)."
        )
    return site


def _layer(block: nn.Module, site: Site) -> Layer:
    activation = attrgetter(site.activation)(block)
    if site.experts:
        experts = attrgetter(site.experts)(block)
        gate = getattr(experts, site.gate)
        return Layer(None, activation, None, site.fused, gate.shape[1] // 2, experts, gate.shape[0])
    gate, down = attrgetter(site.gate)(block), attrgetter(site.down)(block)
    width = _outputs(gate) // 2 if site.fused else _outputs(gate)
    return Layer(gate, activation, down, site.fused, width)


def _outputs(linear: Any) -> int:
    """How many outputs a linear module has; its weight's shape would not tell where it is quantized."""
    outputs: int = linear.out_features if hasattr(linear, "out_features") else linear.nf
    return outputs


# Where an activation's sign is its input's sign; compared on this grid of inputs.
_PROBE = torch.cat([-torch.logspace(-3, 1, 200).flip(0), torch.zeros(1), torch.logspace(-3, 1, 200)])


def keeps_sign(layers: Sequence[Layer]) -> bool:
    """Whether the non-linearity is positive just where its input is, so that the sign of ``x W`` tells."""
    with torch.inference_mode():
        return all(torch.equal(activation(_PROBE) > 0, _PROBE > 0) for activation in {x.activation for x in layers})


# --- reading them ------------------------------------------------------------------------------

#: What can be read of a neuron: ``x W``, ``act_fn(x W)``, and what enters the down projection (the
#: activation, times the up projection where there is one).
QUANTITIES = ("pre-activation", "activation", "product")


@dataclass(frozen=True)
class Routing:
    """Which token and which expert each row of a mixture's values belongs to.

    ``tokens`` int64 ``[rows]``; ``spans``: for each expert that saw a token, its number and the
    rows that are its own (a slice, or their indices); ``total``: tokens of the batch.
    """

    tokens: torch.Tensor
    spans: list[tuple[int, slice | torch.Tensor]]
    total: int


#: ``see(layer, counted, value, routing)``: see :func:`observed`.
See = Callable[[int, torch.Tensor, torch.Tensor | None, Routing | None], None]


class Seen(Exception):  # noqa: N818 - no error: what is left of a pass is not wanted
    """Raised by what observes a forward pass to end it; whoever started the pass catches it."""


@contextlib.contextmanager
def observed(
    layers: Sequence[Layer], see: See, quantity: str = "pre-activation", *, values: bool = False
) -> Iterator[None]:
    """While active, call ``see`` at every layer of every forward pass; the model computes what it would anyway.

    Args:
        layers: from :func:`neuron_layers`.
        see: is given the layer's number; the quantity, ``[rows, width]`` (one row per token, or per
            token and expert in a mixture); with ``values`` the neuron's value, the same but for
            pre-activations, where it is the activation; and in a mixture the :class:`Routing`.
        quantity: one of :data:`QUANTITIES`.
        values: whether values are wanted.
    """
    handles: list[RemovableHandle] = []
    try:
        for number, layer in enumerate(layers):
            if layer.experts is not None:
                handles += at_experts(layer, _experts_hook(number, see, quantity, values))
            elif quantity == "product":
                assert layer.down is not None
                handles.append(layer.down.register_forward_pre_hook(_product_hook(number, see, values)))
            else:
                assert layer.gate is not None
                handles.append(layer.gate.register_forward_hook(_gate_hook(number, layer, see, quantity, values)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _gate_hook(number: int, layer: Layer, see: See, quantity: str, values: bool) -> Callable[..., None]:
    def hook(_module: nn.Module, _args: Any, output: torch.Tensor) -> None:
        z = output.detach().flatten(0, -2)
        z = z[:, : layer.width] if layer.fused else z
        if quantity == "activation":
            z = layer.activation(z)
        see(number, z, (z if quantity == "activation" else layer.activation(z)) if values else None, None)

    return hook


def _product_hook(number: int, see: See, values: bool) -> Callable[..., None]:
    def hook(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        product = args[0].detach().flatten(0, -2)
        see(number, product, product if values else None, None)

    return hook


def _experts_hook(number: int, see: See, quantity: str, values: bool) -> "Do":
    def read(z: torch.Tensor, a: torch.Tensor, routing: Routing) -> None:
        counted = a * up_output(z) if quantity == "product" else a if quantity == "activation" else z
        see(number, counted, (a if quantity == "pre-activation" else counted) if values else None, routing)

    return read


#: ``do(z, a, routing)``, see :func:`at_experts`.
Do = Callable[[torch.Tensor, torch.Tensor, Routing], torch.Tensor | None]


def at_experts(layer: Layer, do: Do) -> list[RemovableHandle]:
    """Call ``do`` whenever the activation of a mixture's experts has run; what it returns, if anything, replaces it.

    Whatever implementation runs the experts, their activation is called on rows of which each is
    one token in one expert; in which order is part of each implementation. ``do`` is given the
    pre-activations, the activations, and the :class:`Routing`.
    """
    pending: list[Routing] = []

    def routed(module: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, Any]) -> None:
        index = kwargs["top_k_index"] if "top_k_index" in kwargs else args[1]
        pending[:] = _routings(module, index)

    def activated(_module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
        z, a = args[0].detach(), output.detach()
        if not pending or len(pending[0].tokens) != len(z):
            raise NeuroglotError("the experts ran in an order that neuroglot does not know; load them as eager.")
        return do(z, a, pending.pop(0))

    def ran(*_: Any) -> None:
        if pending:
            raise NeuroglotError("the experts ran without their activation's module; load them as eager.")

    assert layer.experts is not None and isinstance(layer.activation, nn.Module)
    before = layer.experts.register_forward_pre_hook(routed, with_kwargs=True)
    after = layer.experts.register_forward_hook(ran)
    return [before, layer.activation.register_forward_hook(activated), after]


def _routings(experts: nn.Module, index: torch.Tensor) -> list[Routing]:
    """What each call of the experts' activation will hold, from ``index`` ``[tokens, k]`` of chosen experts."""
    how = getattr(experts.config, "_experts_implementation", None) or "eager"
    k, flat = index.shape[1], index.reshape(-1)
    if how == "eager":  # a call per expert, in their order
        routings = []
        for expert in flat.unique().tolist():
            _, tokens = (expert == index.T).nonzero(as_tuple=True)
            routings.append(Routing(tokens, [(expert, slice(0, len(tokens)))], len(index)))
        return routings
    if how == "grouped_mm":  # one call, sorted by expert
        chosen, order = torch.sort(flat)
        which, lengths = (part.tolist() for part in chosen.unique_consecutive(return_counts=True))
        ends = torch.tensor(lengths).cumsum(0).tolist()
        spans: list[tuple[int, slice | torch.Tensor]] = [
            (e, slice(end - n, end)) for e, end, n in zip(which, ends, lengths, strict=True)
        ]
        return [Routing(order // k, spans, len(index))]
    if how == "batched_mm":  # one call, token by token
        spans = [(expert, (flat == expert).nonzero()[:, 0]) for expert in flat.unique().tolist()]
        return [Routing(torch.arange(len(flat), device=flat.device) // k, spans, len(index))]
    raise NeuroglotError(
        f"the experts run as {quoted(how)}, whose order of tokens is not known to neuroglot; load the model with "
        'experts_implementation="grouped_mm", "batched_mm" or "eager".'
    )


def up_output(gate: torch.Tensor) -> torch.Tensor:
    """The up projection's output, which a fused projection puts beside the gate's."""
    rows, width = gate.shape
    if gate.stride() != (2 * width, 1):
        raise NeuroglotError("the experts' gate and up projection are not side by side; count on the activation.")
    return gate.as_strided((rows, width), gate.stride(), gate.storage_offset() + width)


# --- a family outside the table ----------------------------------------------------------------


def entry_point(model: PreTrainedModel) -> EntryPoint | None:
    """The one by which an installed package gives the model's architecture, not loaded; ``None`` without one."""
    names = (model.config.model_type, type(model).__name__)
    point = next((point for name in names if (point := plugins.find("neuroglot.sites", name, SITES))), None)
    return None if model.config.model_type in SITES else point


def _given(model: PreTrainedModel) -> Site | None:
    """What an installed package gives for the architecture, proven in every layer over a few tokens."""
    point = entry_point(model)
    if point is None:
        return None
    site = plugins.load(point)
    if not isinstance(site, Site):
        raise plugins.broken(point, f"is a {type(site).__name__}, not a neuroglot.model.sites.Site")
    if site.experts:
        raise plugins.broken(point, "is a mixture of experts, which cannot be proven from outside")
    try:
        layers = neuron_layers(model, site)
    except NeuroglotError as error:
        raise plugins.broken(point, f"does not fit: {str(error).rstrip('.')}") from error
    inside, depth = list(blocks(model, site)), model.config.get_text_config().num_hidden_layers
    if len(inside) != depth:
        raise plugins.broken(point, f"gives {len(inside)} layers of a model that has {depth}")
    seen = _linears(model, inside)
    transposed = [isinstance(layer.gate, Conv1D) for layer in layers]
    row = (site.gate, site.activation, site.down, site.fused)
    proven = seen is not None and all(
        row in set(_proven(*ran, {site.activation: layer.activation})) for ran, layer in zip(seen, layers, strict=True)
    )
    if not proven or set(transposed) != {site.transposed}:
        raise plugins.broken(point, f"is not where this {quoted(model.config.model_type)} computes its neurons")
    return site


def _found(model: PreTrainedModel) -> Site | None:
    """The one site that a forward pass over a few tokens proves in every layer, or ``None``."""
    depth = model.config.get_text_config().num_hidden_layers
    stacks = {
        name: list(module)
        for name, module in model.base_model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    }
    if len(stacks) != 1:
        return None
    (path, blocks), *_ = stacks.items()
    # Weights of three dimensions are experts or convolutions: more than one MLP, or none.
    if any(parameter.ndim > 2 for block in blocks for parameter in block.parameters()):
        return None
    seen = _linears(model, blocks)
    if seen is None:
        return None
    proven = [set(_proven(*ran, _candidates(block))) for ran, block in zip(seen, blocks, strict=True)]
    if len(proven[0]) != 1 or any(layer != proven[0] for layer in proven):
        return None
    gate, activation, down, fused = proven[0].pop()
    return Site(path, gate, activation, down, fused=fused, transposed=isinstance(blocks[0].get_submodule(gate), Conv1D))


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and not list(module.children())


def _candidates(block: nn.Module) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Functions in a layer that may be its non-linearity: modules without parameters, plain functions."""
    found: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
    for name, module in block.named_modules():
        if name and not list(module.parameters()) and not list(module.children()):
            found[name] = module
            continue
        for key, value in vars(module).items():
            if callable(value) and not key.startswith("_") and not isinstance(value, type | nn.Module):
                found[f"{name}.{key}".lstrip(".")] = value
    return found


_Seen = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]


def _linears(model: PreTrainedModel, blocks: list[nn.Module]) -> list[_Seen] | None:
    """Inputs and outputs of each layer's linear modules over a few tokens.

    ``None`` where that proves nothing: a token sees later ones, or a module does not run just once
    and for all tokens (experts, layers that are run several times).
    """
    seen: list[_Seen] = [({}, {}) for _ in blocks]
    expected = sum(_is_linear(module) for block in blocks for module in block.modules())
    ran: list[str] = []
    size = len(cast(torch.Tensor, model.get_input_embeddings().weight))
    ids = torch.arange(1, 9)[None] % size

    def hook(number: int, name: str) -> Callable[..., None]:
        def keep(_module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            ran.append(name)
            if args and isinstance(output, torch.Tensor) and output.shape[:-1].numel() == ids.numel():
                for kept, tensor in zip(seen[number], (args[0], output), strict=True):
                    kept[name] = tensor.detach().flatten(0, -2)

        return keep

    handles = [
        module.register_forward_hook(hook(number, name))
        for number, block in enumerate(blocks)
        for name, module in block.named_modules()
        if _is_linear(module)
    ]
    try:
        with torch.inference_mode(), evaluating(model):
            changed = ids.clone()
            changed[0, -1] = 9 % size
            model.base_model(input_ids=changed.to(input_device(model)), use_cache=False)
            later = [{name: output.clone() for name, output in outputs.items()} for _, outputs in seen]
            ran.clear()
            model.base_model(input_ids=ids.to(input_device(model)), use_cache=False)
    except Exception:  # a model that needs more than tokens proves nothing
        return None
    finally:
        for handle in handles:
            handle.remove()
    if len(ran) != expected or sum(len(outputs) for _, outputs in seen) != expected:
        return None
    for (_, outputs), others in zip(seen, later, strict=True):
        for name, output in outputs.items():
            if not _alike(output[:-1], others[name][:-1]):
                return None
    return seen


def _proven(
    inputs: dict[str, torch.Tensor],
    outputs: dict[str, torch.Tensor],
    activations: dict[str, Callable[[torch.Tensor], torch.Tensor]],
) -> Iterator[tuple[str, str, str, bool]]:
    """``gate, activation, down, fused`` for which the input of ``down`` is what a gated or plain MLP computes."""
    for down, value in inputs.items():
        width = value.shape[-1]
        for gate, output in outputs.items():
            fused = output.shape[-1] == 2 * width
            if gate == down or (output.shape[-1] != width and not fused):
                continue
            for name, activation in activations.items():
                try:
                    activated = activation(output[:, :width])
                except Exception:  # not a function of one tensor
                    continue
                if not isinstance(activated, torch.Tensor) or activated.shape != value.shape:
                    continue
                if torch.equal(activated, output[:, :width]):  # dropout and the like
                    continue
                if fused:
                    proven = _alike(activated * output[:, width:], value)
                else:
                    others = (up for other, up in outputs.items() if other != gate and up.shape == value.shape)
                    proven = _alike(activated, value) or any(_alike(activated * up, value) for up in others)
                if proven:
                    yield gate, name, down, fused


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or not other.any():
        return False
    tolerance = 1e-2 if other.dtype in (torch.float16, torch.bfloat16) else 1e-4
    scale = other.abs().max().item()
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * scale)
