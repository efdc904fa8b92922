"""Where a model keeps its MLP neurons, per architecture, and how to read them as it runs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import EntryPoint
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, ref

import torch
from torch import nn
from transformers import PreTrainedModel

from ..base import plugins
from ..base.errors import NeuroglotError, quoted
from .experts import Do, Ran, Routing, at_experts
from .finding import UnprovenError, found, proves
from .layers import Layer, Mlp, Site, Sites, blocks, layer_of, mlp_at, parted
from .loading import itself

# --- the table ---------------------------------------------------------------------------------


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


def neuron_layers(model: PreTrainedModel, site: "Site | Sites | None" = None) -> list[Layer]:
    """Where each layer of a model keeps its neurons, first layer first.

    ``site`` is where to look; by default :func:`neuron_site`.

    Raises:
        NeuroglotError: an architecture that :func:`neuron_site` refuses, or layers that are not as it says.
    """
    model = itself(model)
    site = site or neuron_site(model)
    inside = list(blocks(model, site))
    rows = [(site,)] * len(inside) if isinstance(site, Site) else site.mlps
    try:
        return [layer_of([mlp_at(block, mlp) for mlp in row]) for block, row in zip(inside, rows, strict=True)]
    except AttributeError as error:
        raise NeuroglotError(
            f"this {quoted(model.config.model_type)} does not keep its neurons where neuroglot looks for them "
            f"({error}); its layers may be of several kinds, or its code of another version."
        ) from error


def neuron_site(model: PreTrainedModel) -> Site | Sites:
    """The row of :data:`SITES` for a model's architecture, or what is found in its place.

    That is the :class:`Site` which an installed package gives under ``config.model_type`` or the name of the model's
    class (entry points ``neuroglot.sites``), or what the model's structure shows (:mod:`neuroglot.model.finding`).
    Either is proven on a few tokens, in every layer, and so is that no token sees a later one. So is a model of the
    table whose layers are not all as its row says. A model is proven once, as long as it has the same modules.

    Raises:
        NeuroglotError: an architecture that is neither known nor found so, or that attends to both
            sides; a package's site that is none, or that the check does not prove.
    """
    model = itself(model)
    family, config = model.config.model_type, model.config.get_text_config()
    if getattr(config, "use_bidirectional_attention", False) or getattr(config, "is_causal", True) is False:
        raise NeuroglotError(f"this {quoted(family)} attends to both sides; counting needs a causal model.")
    if (given := _given(model)) is not None:
        return given
    if family in SITES and _fits(model, SITES[family]):
        return SITES[family]
    try:
        return _once(model, None, lambda: found(model))
    except UnprovenError as error:
        raise NeuroglotError(
            f"the architecture {quoted(family)} is not known to neuroglot, and its neurons were not found by a check "
            f"on a few tokens: {error}. Known: {', '.join(SITES)} (a package may add it as an entry point of "
            "neuroglot.sites)."
        ) from error


#: What was proven of a model: of which site (none: it was found), which modules and experts' code it had then, and what
#: came of it.
_PROVEN: WeakKeyDictionary[PreTrainedModel, tuple[Site | None, list[ref[nn.Module]], Any, Any]] = WeakKeyDictionary()

P = TypeVar("P")


def _once(model: PreTrainedModel, site: Site | None, prove: Callable[[], P]) -> P:
    """What ``prove`` says of a model, asked once for the modules that it has."""
    modules, experts = list(model.modules()), getattr(model.config, "_experts_implementation", None)
    if (kept := _PROVEN.get(model)) is not None and (kept[0], len(kept[1]), kept[2]) == (site, len(modules), experts):
        same = all(known() is module for known, module in zip(kept[1], modules, strict=True))
        if same:
            result: P = kept[3]
            return result
    said = prove()
    _PROVEN[model] = site, [ref(module) for module in modules], experts, said
    return said


def _fits(model: PreTrainedModel, site: Site) -> bool:
    """Whether all layers are of the kind and the width that a row says."""
    try:
        return not parted(neuron_layers(model, site))
    except (AttributeError, NeuroglotError):
        return False


# Where an activation's sign is its input's sign; compared on this grid of inputs.
_PROBE = torch.cat([-torch.logspace(-3, 1, 200).flip(0), torch.zeros(1), torch.logspace(-3, 1, 200)])


def keeps_sign(layers: Sequence[Layer]) -> bool:
    """Whether the non-linearity is positive just where its input is, so that the sign of ``x W`` tells."""
    return all(_keeps_sign(activation) for activation in {mlp.activation for layer in layers for mlp in layer.mlps})


def _keeps_sign(activation: Callable[[torch.Tensor], torch.Tensor]) -> bool:
    learned = list(activation.parameters()) if isinstance(activation, nn.Module) else []
    probe = _PROBE.to(learned[0]) if learned else _PROBE
    with torch.inference_mode():
        return torch.equal(activation(probe[None])[0] > 0, probe > 0)


# --- reading them ------------------------------------------------------------------------------

#: What can be read of a neuron: ``x W``, ``act_fn(x W)``, and what enters the down projection (the
#: activation, times the up projection where there is one).
QUANTITIES = ("pre-activation", "activation", "product")


#: ``see(layer, mlp, counted, value, routing)``: see :func:`observed`.
See = Callable[[int, Mlp, torch.Tensor, torch.Tensor | None, Routing | None], None]


class Seen(Exception):  # noqa: N818 - no error: what is left of a pass is not wanted
    """Raised by what observes a forward pass to end it; whoever started the pass catches it."""


@contextlib.contextmanager
def observed(
    layers: Sequence[Layer], see: See, quantity: str = "pre-activation", *, values: bool = False
) -> Iterator[None]:
    """While active, call ``see`` at every MLP of every forward pass; the model computes what it would anyway.

    Args:
        layers: from :func:`neuron_layers`.
        see: is given the layer's number; the MLP; the quantity, ``[rows, width]`` (one row per token, or per
            token and expert in a mixture); with ``values`` the neuron's value, the same but for
            pre-activations, where it is the activation; and in a mixture the :class:`Routing`.
        quantity: one of :data:`QUANTITIES`.
        values: whether values are wanted.
    """
    handles: list[Any] = []
    try:
        for number, layer in enumerate(layers):
            for mlp in layer.mlps:
                handles += _read(number, mlp, see, quantity, values)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _read(number: int, mlp: Mlp, see: See, quantity: str, values: bool) -> list[Any]:
    if mlp.experts is not None:
        return at_experts(mlp, _experts_hook(number, mlp, see, quantity, values))
    if quantity == "product":
        assert mlp.down is not None
        return [mlp.down.register_forward_pre_hook(_product_hook(number, mlp, see, values))]
    assert mlp.gate is not None
    return [mlp.gate.register_forward_hook(_gate_hook(number, mlp, see, quantity, values))]


def _gate_hook(number: int, mlp: Mlp, see: See, quantity: str, values: bool) -> Callable[..., None]:
    def hook(_module: nn.Module, _args: Any, output: torch.Tensor) -> None:
        z = output.detach().flatten(0, -2)
        z = z[:, : mlp.width] if mlp.fused else z
        z = mlp.before(z) if mlp.before is not None else z
        if quantity == "activation":
            z = mlp.activation(z)
        see(number, mlp, z, (z if quantity == "activation" else mlp.activation(z)) if values else None, None)

    return hook


def _product_hook(number: int, mlp: Mlp, see: See, values: bool) -> Callable[..., None]:
    def hook(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        product = args[0].detach().flatten(0, -2)
        see(number, mlp, product, product if values else None, None)

    return hook


def _experts_hook(number: int, mlp: Mlp, see: See, quantity: str, values: bool) -> Do:
    def read(ran: Ran, routing: Routing) -> None:
        counted = ran.product if quantity == "product" else ran.activation if quantity == "activation" else ran.z
        value = (ran.activation if quantity == "pre-activation" else counted) if values else None
        see(number, mlp, counted, value, routing)

    return read


# --- a package's architecture ------------------------------------------------------------------


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
    if parted(layers) or not _once(model, site, lambda: proves(model, site)):
        raise plugins.broken(point, f"is not where this {quoted(model.config.model_type)} computes its neurons")
    return site
