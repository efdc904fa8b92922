"""What a model's layers are made of: MLPs, each with neurons of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from .formulas import OWN, Formula, own_formula, swish, transposed
from .loading import backbone, itself


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
        before: what is done to the gate's output first, a function: what it makes are the pre-activations then.
        limit: the largest number that the non-linearity is given; what is larger counts as that.
    """

    layers: str = "layers"
    gate: str = "mlp.gate_proj"
    activation: str = "mlp.act_fn"
    down: str = "mlp.down_proj"
    fused: bool = False
    transposed: bool = False
    experts: str = ""
    before: str = ""
    limit: str = ""

    @property
    def neurons(self) -> str:
        """Where a layer's neurons are, for a provenance."""
        return f"{self.layers}.*.{f'{self.experts}.' * bool(self.experts)}{self.gate}"


@dataclass(frozen=True)
class Sites:
    """Where a model keeps its neurons whose layers have several MLPs, or not the same.

    Attributes:
        layers: the list of layers, inside the backbone.
        mlps: of each layer its MLPs, in the order of their neurons: first those that every token goes through, as
            they stand in the layer (dense ones, shared experts), then the routed experts.
    """

    layers: str
    mlps: tuple[tuple[Site, ...], ...]

    @property
    def neurons(self) -> str:
        """As :attr:`Site.neurons`; of all kinds of MLPs, each once."""
        return " + ".join(dict.fromkeys(mlp.neurons for layer in self.mlps for mlp in layer))


@dataclass(frozen=True)
class Mlp:
    """Neurons of one layer that are at one place in a loaded model.

    Attributes:
        gate: outputs the pre-activations; ``None`` in a mixture of experts, as is ``down``.
        activation: the non-linearity, limits included.
        down: takes the neurons' values.
        fused: only the first half of the gate's output are pre-activations.
        width: neurons, or neurons of each of its experts.
        experts: the module that holds the experts, ``None`` where every token goes through.
        n_experts: 1 where there are no experts.
        start: the number of its first neuron in the layer.
        part: the number of its first part in the layer; a part is an MLP, or an expert.
        before: makes the pre-activations of the gate's output, where there is more than that.
    """

    gate: nn.Module | None
    activation: Callable[[torch.Tensor], torch.Tensor]
    down: nn.Module | None
    fused: bool
    width: int
    experts: nn.Module | None = None
    n_experts: int = 1
    start: int = 0
    part: int = 0
    before: Callable[[torch.Tensor], torch.Tensor] | None = None

    @property
    def neurons(self) -> int:
        """All of them, those of every expert."""
        return self.width * self.n_experts

    @property
    def columns(self) -> slice:
        """Their numbers in the layer."""
        return slice(self.start, self.start + self.neurons)

    def of_expert(self, expert: int) -> slice:
        """The numbers of one expert's neurons in the layer."""
        return slice(self.start + expert * self.width, self.start + (expert + 1) * self.width)


@dataclass(frozen=True)
class Layer:
    """One layer of a loaded model: its MLPs, in the order of their neurons; none in a layer without."""

    mlps: tuple[Mlp, ...]

    @property
    def neurons(self) -> int:
        """All neurons of the layer."""
        return sum(mlp.neurons for mlp in self.mlps)

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of each part: of each MLP that every token goes through, and of each expert."""
        return tuple(mlp.width for mlp in self.mlps for _ in range(mlp.n_experts))

    @property
    def routed(self) -> bool:
        """Whether some neurons see only the tokens that are routed to them."""
        return any(mlp.experts is not None for mlp in self.mlps)

    @property
    def dense(self) -> Mlp | None:
        """The one MLP of a layer that every token goes through, ``None`` where there are several, experts or none."""
        return self.mlps[0] if len(self.mlps) == 1 and not self.routed else None


def layer_of(mlps: Sequence[Mlp]) -> Layer:
    """A layer of these, which get their numbers here."""
    numbered, start, part = [], 0, 0
    for mlp in mlps:
        numbered.append(replace(mlp, start=start, part=part))
        start, part = start + mlp.neurons, part + mlp.n_experts
    return Layer(tuple(numbered))


def parted(layers: Sequence[Layer]) -> bool:
    """Whether the layers are neither each one MLP nor each so many experts, all of one width."""
    return len({layer.widths for layer in layers}) > 1 or any(len(layer.mlps) != 1 for layer in layers)


def most_neurons(layers: Sequence[Layer]) -> int:
    """Neurons of the widest layer."""
    return max((layer.neurons for layer in layers), default=0)


def widths_of(layers: Sequence[Layer]) -> np.ndarray:
    """Neurons of each layer's parts, int64 ``[layers, parts]``; 0 where a layer has fewer parts than others."""
    widths = np.zeros((len(layers), max((len(layer.widths) for layer in layers), default=0)), dtype=np.int64)
    for row, layer in zip(widths, layers, strict=True):
        row[: len(layer.widths)] = layer.widths
    return widths


def blocks(model: PreTrainedModel, site: Site | Sites) -> nn.ModuleList:
    """The model's layers, as modules that run one after the other on hidden states ``[rows, tokens, size]``."""
    layers: nn.ModuleList = attrgetter(site.layers)(backbone(itself(model)))
    return layers


def mlp_at(block: nn.Module, site: Site) -> Mlp:
    """What a site says, in one layer of a model.

    Raises:
        AttributeError: the layer has no such thing.
    """
    if site.experts:
        experts = attrgetter(site.experts)(block)
        down = attrgetter(site.down)(experts)
        width = down.shape[1 if transposed(experts) else 2]
        own = Formula(experts).activation if own_formula(experts) else attrgetter(site.activation)(block)
        return Mlp(None, own, None, site.fused, width, experts, down.shape[0])
    gate, down = attrgetter(site.gate)(block), attrgetter(site.down)(block)
    width = outputs(gate) // 2 if site.fused else outputs(gate)
    before = attrgetter(site.before)(block) if site.before else None
    return Mlp(gate, activation_at(block, site), down, site.fused, width, before=before)


#: Before the name of a function of torch that a layer's code calls by itself.
FUNCTIONAL = "functional."

#: After that, before the path of the slope in ``z sigmoid(slope z)``.
SWISH = "swish."


def activation_at(block: nn.Module, site: Site) -> Callable[[torch.Tensor], torch.Tensor]:
    """The non-linearity of a site without experts, with its limit."""
    name = site.activation.removeprefix(FUNCTIONAL)
    activation: Callable[[torch.Tensor], torch.Tensor]
    if name == site.activation:
        activation = attrgetter(name)(block)
    elif name.startswith(SWISH):
        activation = swish(float(attrgetter(name.removeprefix(SWISH))(block)))
    else:
        activation = OWN[name] if name in OWN else getattr(functional, name)
    if not site.limit:
        return activation
    limit = float(attrgetter(site.limit)(block))
    return lambda z: activation(z.clamp(max=limit))


def outputs(linear: Any) -> int:
    """How many outputs a linear module has; its weight's shape would not tell where it is quantized."""
    number: int = linear.out_features if hasattr(linear, "out_features") else linear.nf
    return number
