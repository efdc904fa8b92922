"""Count one batch: how often each neuron is active, as a model runs."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import PreTrainedModel

from ..base.errors import NeuroglotError, is_number, quoted
from ..model.batches import Inputs
from ..model.experts import Routing
from ..model.layers import Layer, Mlp, most_neurons, parted
from ..model.loading import backbone, evaluating, input_device, itself
from ..model.sites import QUANTITIES, Seen, keeps_sign, neuron_layers, observed
from .gathering import Gatherer


@dataclass(frozen=True)
class Totals:
    """What a :class:`Counter` has counted, on the CPU but for ``gathered``.

    ``counts`` int64 ``[layers, groups, neurons]``; ``routed`` int64 ``[layers, groups, parts]``;
    ``moments`` int64 ``[4, layers, groups, neurons]``: sums of values in :data:`LIMBS`, then
    of squares; the last two ``None`` where every neuron sees all tokens, or no moments wanted. ``gathered``: what
    :meth:`neuroglot.counts.gathering.Gatherer.take` gives.
    """

    counts: torch.Tensor
    routed: torch.Tensor | None = None
    moments: torch.Tensor | None = None
    gathered: dict[str, torch.Tensor | list[torch.Tensor]] = field(default_factory=dict)


#: Moments are summed in two whole numbers, multiples of these, so that any order of batches gives the same.
LIMBS = (2.0**-16, 2.0**-60)


class Counter:
    """Adds up, for each group of tokens, how often each neuron is active, as a model runs.

    A batch comes with a 0/1 matrix ``weights`` ``[rows, tokens]`` that says which tokens are summed
    together, and with the group each of its rows belongs to; a token in no row is not counted. One
    matrix product per layer then counts all rows at once: sums of zeros and ones in float32 are
    exact up to 2**24 tokens a batch. Counts stay on each layer's device until :meth:`take`.

    Args:
        layers: from :func:`neuroglot.model.sites.neuron_layers`.
        n_groups: number of groups.
        quantity: what is compared, one of :data:`neuroglot.model.sites.QUANTITIES`.
        above: active is a neuron whose quantity is above this.
        moments: also sum values and their squares.
        gatherer: also gathers values.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        n_groups: int = 1,
        *,
        quantity: str = "pre-activation",
        above: float = 0.0,
        moments: bool = False,
        gatherer: Gatherer | None = None,
    ) -> None:
        self.layers, self.n_groups, self.quantity, self.above, self.moments = layers, n_groups, quantity, above, moments
        self.gatherer = gatherer
        self.neurons, self.parts = most_neurons(layers), max((len(layer.widths) for layer in layers), default=0)
        self._parted = parted(layers)
        # A pass ends with these neurons, where nothing that counts comes after them.
        full = [number for number, layer in enumerate(layers) if layer.mlps]
        self._last = full[-1] if full and layers[full[-1]].dense is not None else None
        self.weights: torch.Tensor | None = None
        self.groups = torch.empty(0, dtype=torch.long)
        self._finite, self._stops = True, False
        self.whole = True  # whether no pass is half counted
        self._seen: set[tuple[int, int]] = set()
        self._there: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}
        self._active: dict[torch.device, torch.Tensor] = {}
        self._clear()

    def _clear(self) -> None:
        self._counts: dict[int, torch.Tensor] = {}  # by layer, as are the others
        self._routed: dict[int, torch.Tensor] = {}
        self._moments: dict[int, torch.Tensor] = {}
        self._bound: list[torch.Tensor | float] = [0.0] * len(self.layers)

    def attached(self) -> contextlib.AbstractContextManager[None]:
        """While active, every forward pass of the model is counted."""
        wanted = self.moments or self.gatherer is not None
        return observed(self.layers, self._see, self.quantity, values=wanted)

    def count(self, weights: torch.Tensor | None, groups: torch.Tensor | None = None) -> None:
        """Which tokens of the next pass to sum, and to which groups; ``None`` counts nothing."""
        self.weights, self._there = weights, {}
        self.groups = torch.zeros(1, dtype=torch.long) if groups is None else groups

    def _see(
        self, number: int, mlp: Mlp, counted: torch.Tensor, value: torch.Tensor | None, routing: Routing | None
    ) -> None:
        self._seen.add((number, mlp.part))
        if self.weights is not None:
            with torch.autocast(counted.device.type, enabled=False):  # sums are exact in float32
                self._add(number, mlp, counted, value, routing)

    def _add(
        self, number: int, mlp: Mlp, counted: torch.Tensor, value: torch.Tensor | None, routing: Routing | None
    ) -> None:
        device = counted.device
        if self.above:  # compared as it was given, not as the model's numbers round it
            counted = counted.double()
        if device not in self._there:
            assert self.weights is not None  # or nothing would be added
            self._there[device] = self.weights.to(device), self.groups.to(device)
        weights, groups = self._there[device]
        if number not in self._counts:
            self._allocate(number, device)
        if device not in self._active or self._active[device].shape != counted.shape:
            self._active[device] = torch.empty(counted.shape, dtype=torch.float32, device=device)
        active = torch.gt(counted, self.above, out=self._active[device])
        if routing is None:
            self._counts[number][:, mlp.columns].index_add_(0, groups, (weights @ active).to(torch.int64))
            if self._parted:
                self._routed[number][:, mlp.part].index_add_(0, groups, weights.sum(1).to(torch.int64))
            if value is not None and self.moments:
                self._add_moments(number, mlp.columns, weights, groups, value)
            if value is not None and self.gatherer is not None:
                self.gatherer.see(number, value, mlp.columns)
            if self._stops and number == self._last:
                self._finite = bool(counted[weights.any(0)].isfinite().all())
                raise Seen
            return
        for expert, rows in routing.spans:
            own = weights[:, routing.tokens[rows]]
            columns = mlp.of_expert(expert)
            self._counts[number][:, columns].index_add_(0, groups, (own @ active[rows]).to(torch.int64))
            self._routed[number][:, mlp.part + expert].index_add_(0, groups, own.sum(1).to(torch.int64))
            if value is not None and self.moments:
                self._add_moments(number, columns, own, groups, value[rows])
            if value is not None and self.gatherer is not None:
                every = value.new_zeros(routing.total, value.shape[1])  # nothing is written to what it does not see
                every[routing.tokens[rows]] = value[rows]
                self.gatherer.see(number, every, columns)

    def _allocate(self, number: int, device: torch.device) -> None:
        whole: dict[str, Any] = {"dtype": torch.int64, "device": device}
        self._counts[number] = torch.zeros(self.n_groups, self.neurons, **whole)
        if self._parted or self.layers[number].routed:
            self._routed[number] = torch.zeros(self.n_groups, self.parts, **whole)
        if self.moments:
            self._moments[number] = torch.zeros(4, self.n_groups, self.neurons, **whole)

    def _add_moments(
        self, number: int, columns: slice, weights: torch.Tensor, groups: torch.Tensor, value: torch.Tensor
    ) -> None:
        precise = value if value.dtype == torch.float64 else value.float()
        weights, (large, small) = weights.to(precise.dtype), LIMBS
        for kind, powers in enumerate((precise, precise.square())):
            sums = (weights @ powers).double()
            self._bound[number] = self._bound[number] + sums.abs().max() * len(weights)
            whole = (sums / large).floor()
            rest = ((sums / large - whole) * (large / small)).round()
            for limb, part in enumerate((whole, rest)):
                self._moments[number][2 * kind + limb][:, columns].index_add_(0, groups, part.to(torch.int64))

    def take(self) -> Totals:
        """The counts so far; starts again at zero.

        Raises:
            NeuroglotError: values so large, or not finite, that their sums are not exact.
        """
        # Room is left for the sum over a hundred processes.
        if self.moments and not all(float(bound) < 2**56 * LIMBS[0] for bound in self._bound):
            raise NeuroglotError("the neurons' values are too large to be summed, or not finite; leave out moments.")
        numbers = range(len(self.layers))
        for number in numbers:
            if number not in self._counts:  # no batch came
                self._allocate(number, torch.device("cpu"))
        counts = torch.stack([self._counts[number].cpu() for number in numbers])
        routed = torch.stack([self._routed[number].cpu() for number in numbers]) if self._routed else None
        moments = torch.stack([self._moments[number].cpu() for number in numbers], dim=1) if self.moments else None
        self._clear()
        return Totals(counts, routed, moments, self.gatherer.take() if self.gatherer is not None else {})

    def forward(self, model: PreTrainedModel, inputs: Inputs) -> None:
        """One pass over the backbone, up to the last layer's neurons: no head and no attention mask.

        Padding must be on the right: attention is causal, so nothing that is counted sees it, and
        without a mask attention takes its fastest path. Texts that begin alike get the keys and
        values of their beginning from one earlier pass over it.
        """
        device = input_device(model)
        cache = None
        if inputs.prefixes is not None:
            assert inputs.prefix_of is not None
            self.count(None)  # nothing in a prefix is counted
            cache = backbone(model)(input_ids=inputs.prefixes.to(device), use_cache=True).past_key_values
            cache.reorder_cache(inputs.prefix_of.to(device))
        self.count(inputs.weights, inputs.groups)
        self._seen.clear()
        own = {"past_key_values": cache, "use_cache": True} if cache is not None else {"use_cache": False}
        self._stops, self.whole = True, False
        try:
            states = backbone(model)(input_ids=inputs.ids.to(device), **own).last_hidden_state.flatten(0, 1)
            self._finite = bool(states[inputs.weights.any(0).to(states.device)].isfinite().all())
        except Seen:
            pass
        finally:
            self._stops = False
        mlps = sum(len(layer.mlps) for layer in self.layers)
        if len(self._seen) != mlps:
            raise NeuroglotError(
                f"{type(model).__name__} ran {len(self._seen)} of its {mlps} MLPs as modules; "
                "load it without fused kernels."
            )
        # A state that is not finite compares as "not active" and would pass for a count.
        if not self._finite:
            raise NeuroglotError(f"the hidden states in {model.dtype} are not finite; load the model in float32.")
        self.whole = True


def require_rule(layers: Sequence[Layer], quantity: str, above: float) -> None:
    """What makes a neuron active must be something.

    Raises:
        NeuroglotError: an unknown quantity, a bar that is no number, or a non-linearity that does not keep signs.
    """
    if quantity not in QUANTITIES:
        raise NeuroglotError(f"quantity {quoted(quantity)} is unknown; use {', '.join(QUANTITIES)}.")
    if not is_number(above):
        raise NeuroglotError(f"above={quoted(above)}: give a finite number.")
    if quantity == "pre-activation" and above == 0 and not keeps_sign(layers):
        activation = next(mlp.activation for layer in layers for mlp in layer.mlps)
        raise NeuroglotError(
            f"the activation {activation} does not keep the sign of its input, so that the sign of the "
            'pre-activation says nothing; count on the activation (quantity="activation").'
        )


def count_activations(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    count_mask: torch.Tensor | None = None,
    *,
    quantity: str = "pre-activation",
    above: float = 0.0,
) -> torch.Tensor:
    """Count, for one batch, the tokens for which each neuron is active.

    Args:
        model: any causal language model whose neurons are found (:func:`neuroglot.model.sites.neuron_layers`).
        input_ids: ``[batch, tokens]`` int64.
        attention_mask: ``[batch, tokens]``, 1 for tokens and 0 for padding, on either side.
        count_mask: ``[batch, tokens]``, 1 for the tokens to count; default: all but the padding.
        quantity, above: what makes a neuron active; as for :func:`neuroglot.collect`.

    Returns:
        int64 ``[layers, neurons]`` on the CPU: tokens with ``act_fn(x W) > 0``.

    Raises:
        NeuroglotError: shapes that differ, an unknown architecture, or hidden states not finite.
    """
    mask = attention_mask if count_mask is None else count_mask
    if not input_ids.shape == attention_mask.shape == mask.shape or input_ids.ndim != 2:
        raise NeuroglotError(
            f"input_ids {tuple(input_ids.shape)}, attention_mask {tuple(attention_mask.shape)} and count_mask "
            f"{tuple(mask.shape)} must have one shape [batch, tokens]."
        )
    # Padding goes to the right, where causal attention never sees it, whatever side it came on.
    order = attention_mask.bool().logical_not().int().argsort(dim=-1, stable=True)
    input_ids, attention_mask, mask = (part.gather(-1, order) for part in (input_ids, attention_mask, mask))
    weights = (mask.bool() & attention_mask.bool()).reshape(1, -1).float()
    model = itself(model)
    layers = neuron_layers(model)
    require_rule(layers, quantity, above)
    counter = Counter(layers, quantity=quantity, above=above)
    with torch.inference_mode(), evaluating(model), counter.attached():
        counter.forward(model, Inputs(input_ids, weights, torch.zeros(1, dtype=torch.long)))
    return counter.take().counts[:, 0]
