"""Change neurons' values while a model runs: deactivate, amplify, set; row by row where that is wanted.

Changed is what enters the down projection: the activation, times the up projection where there is one.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from ..base.errors import NeuroglotError
from .experts import Do, Ran, Routing, at_experts
from .layers import Layer, Mlp, blocks, most_neurons
from .loading import itself, uncompiled
from .sites import neuron_layers, neuron_site

#: One index array per layer, as :meth:`neuroglot.NeuronTypes.neurons` returns them.
Neurons = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Intervention:
    """What is done to some neurons.

    Attributes:
        neurons: one index array per layer.
        factor: their values are multiplied by this: one number for all, or an array ``[layers,
            neurons]`` of which the chosen neurons' are taken;
        values: or replaced by these, likewise.
    """

    neurons: Neurons
    factor: float | np.ndarray | None = None
    values: float | np.ndarray | None = None

    def require_numbers(self) -> None:
        """Neurons are whole numbers, and what is done to them numbers.

        Raises:
            NeuroglotError: they are something else.
        """
        try:
            kinds = {np.asarray(index).dtype.kind for index in self.neurons if len(index)}
            given = {np.asarray(each).dtype.kind for each in (self.factor, self.values) if each is not None}
        except (TypeError, ValueError) as error:
            raise NeuroglotError(
                "the neurons are no lists of whole numbers; give one index array per layer."
            ) from error
        if not kinds <= set("iu"):
            raise NeuroglotError("some neurons are no list of whole numbers; give their indices, layer by layer.")
        if not given <= set("iuf"):
            raise NeuroglotError("a factor or value is no number; give finite numbers.")

    @property
    def _given(self) -> float | np.ndarray:
        """The factors, or the values where these are given.

        Raises:
            NeuroglotError: neither is.
        """
        given = self.factor if self.values is None else self.values
        if given is None:
            raise NeuroglotError("give either a factor or values.")
        return given

    @property
    def hash(self) -> str:
        """SHA-256 of what is done to which neurons; the same for all that change none."""
        self.require_numbers()
        digest = hashlib.sha256()
        if any(map(len, self.neurons)):
            given = self._given
            digest.update(b"factor" if self.values is None else b"values")
            for number, index in enumerate(self.neurons):
                index = np.asarray(index, dtype=np.int64)
                done = np.asarray(given)[number][index] if np.ndim(given) else np.full(len(index), given)
                digest.update(index.tobytes() + done.astype(np.float64).tobytes() + b";")
        return digest.hexdigest()


def hashes(interventions: Mapping[str, Intervention | None]) -> dict[str, str]:
    """The hash of each, by its name; ``None`` has that of one that changes nothing."""
    return {name: (each or Intervention(())).hash for name, each in interventions.items()}


def deactivate(model: PreTrainedModel, neurons: Neurons) -> contextlib.AbstractContextManager[None]:
    """While active, the neurons' values are zero: ``with deactivate(model, types.neurons("de")): ...``.

    Args:
        model: any model whose neurons are found.
        neurons: one index array per layer.

    Raises:
        NeuroglotError: not one array per layer, or an index that is no neuron.

    Example:
        >>> with ng.deactivate(model, types.neurons("ru")):
        ...     changed = ng.perplexity(model, tokenizer, corpus, progress=False)
        >>> changed.columns.tolist()
        ['language', 'documents', 'tokens', 'perplexity', 'low', 'high']
    """
    return intervene(model, [Intervention(neurons, values=0.0)])


def amplify(model: PreTrainedModel, neurons: Neurons, factor: float) -> contextlib.AbstractContextManager[None]:
    """While active, the neurons' values are multiplied by ``factor``.

    Example:
        >>> with ng.amplify(model, types.neurons("ru"), 2.0):
        ...     said = model.generate(**tokenizer("Дом", return_tensors="pt"), max_new_tokens=2, do_sample=False)
        >>> said.shape[0]
        1
    """
    return intervene(model, [Intervention(neurons, factor=factor)])


def set_to(
    model: PreTrainedModel, neurons: Neurons, values: float | np.ndarray
) -> contextlib.AbstractContextManager[None]:
    """While active, the neurons' values are ``values``: one number, or an array ``[layers, neurons]``.

    A language's mean is ``stats.means()[..., k]`` of counts with ``quantity="product"`` and moments.

    Example:
        >>> with ng.set_to(model, types.neurons("ru"), 0.5):
        ...     changed = ng.losses(model, tokenizer, corpus, progress=False)
        >>> changed.languages
        ('de', 'en', 'ru')
    """
    return intervene(model, [Intervention(neurons, values=values)])


@contextlib.contextmanager
def intervene(model: PreTrainedModel, interventions: Sequence[Intervention | None]) -> Iterator[None]:
    """While active, every row of a batch has its own intervention, in one forward pass.

    Interventions inside one another add up, the outer one first. Nothing is left behind, whatever
    ends the block. Every pass proves that each layer's neurons were changed; compiled code, which
    would not change them, is not used inside the block. The model keeps its mode. What is made in the
    block says so in its provenance (``model``, ``config_sha256``), and is no result of the model as it is.

    Args:
        model: any model whose neurons are found.
        interventions: one for each row of the batches that will run, or a single one for all rows;
            ``None`` leaves a row as it is.

    Raises:
        NeuroglotError: not one index array per layer, an index that is no neuron, a value that is
            not finite; while running, a batch of another number of rows, or a layer that did not
            run as modules; and a block that ends without any pass of the model.
    """
    model = itself(model)
    site = neuron_site(model)
    layers = neuron_layers(model, site)
    if not interventions:
        raise NeuroglotError("there is no intervention; give one for each row, or one for all.")
    for intervention in interventions:
        if intervention is not None:
            _check(intervention, layers)
    made = (_Table(layer, number, interventions) for number, layer in enumerate(layers))
    tables = [table for table in made if not table.empty]
    passes = _Passes(type(model).__name__, tables, interventions)
    handles = passes.watched(blocks(model, site))
    outer = getattr(model, "neuroglot_changes", ())
    try:
        cast(Any, model).neuroglot_changes = (*outer, passes) if tables else outer
        for table in tables:
            handles += _hooks(layers[table.number], table)
        with uncompiled():
            yield
    finally:
        cast(Any, model).neuroglot_changes = outer
        for handle in handles:
            handle.remove()
    passes.prove()


def _check(intervention: Intervention, layers: Sequence[Layer]) -> None:
    intervention.require_numbers()
    if len(intervention.neurons) != len(layers):
        raise NeuroglotError(
            f"there are neurons of {len(intervention.neurons)} layers, the model has {len(layers)}; give one index "
            "array per layer."
        )
    for number, (index, layer) in enumerate(zip(intervention.neurons, layers, strict=True)):
        index = np.asarray(index)
        if index.size and (index.ndim != 1 or not np.issubdtype(index.dtype, np.integer)):
            raise NeuroglotError(f"the neurons of layer {number} are no list of whole numbers; give their indices.")
        if index.size and not 0 <= index.min() <= index.max() < layer.neurons:
            there = f"neurons 0 to {layer.neurons - 1}" if layer.neurons else "no neurons"
            raise NeuroglotError(f"layer {number} has {there}; {index.max()} is not one.")
    if (intervention.factor is None) == (intervention.values is None):
        raise NeuroglotError("give either a factor or values.")
    given = intervention._given
    shape = np.shape(given)
    if shape and shape != (len(layers), most_neurons(layers)):
        raise NeuroglotError(f"factors or values of shape {shape}: give one number, or an array [layers, neurons].")
    if not np.isfinite(given).all():
        raise NeuroglotError("a factor or value is not finite; give finite numbers.")


@dataclass(frozen=True, eq=False)
class _Changes:
    """Single neurons of single rows, and a number for each: int64 ``rows``, int64 ``neurons``, float64 ``numbers``."""

    rows: torch.Tensor
    neurons: torch.Tensor
    numbers: torch.Tensor

    @classmethod
    def of(cls, parts: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> "_Changes":
        """Of row, neurons and numbers."""
        rows = np.concatenate([np.zeros(0, np.int64), *(np.full(len(index), row) for row, index, _ in parts)])
        index = np.concatenate([np.zeros(0, np.int64), *(index for _, index, _ in parts)])
        numbers = np.concatenate([np.zeros(0), *(each for _, _, each in parts)])
        return cls(*map(torch.as_tensor, (rows, index, numbers)))

    def within(self, columns: slice, like: torch.Tensor) -> "_Changes":
        """Those of neurons from ``columns``, numbered from there on, where ``like`` is and in its numbers."""
        there = (self.neurons >= columns.start) & (self.neurons < columns.stop)
        rows, neurons = self.rows[there].to(like.device), (self.neurons[there] - columns.start).to(like.device)
        return _Changes(rows, neurons, self.numbers[there].to(like))

    def __len__(self) -> int:
        return len(self.rows)


class _Table:
    """What one layer does to each row: which neurons are multiplied by what, and which values are replaced by what.

    Kept are these neurons alone, not a number for each neuron of each row.
    """

    def __init__(self, layer: Layer, number: int, interventions: Sequence[Intervention | None]) -> None:
        self.number, self.rows = number, len(interventions)
        self.mlps = {mlp.part for mlp in layer.mlps}
        self.applied: set[int] = set()
        scaled, put = [], []
        for row, intervention in enumerate(interventions):
            if intervention is None or not len(intervention.neurons[number]):
                continue
            named = np.asarray(intervention.neurons[number], dtype=np.int64)
            every = np.asarray(intervention._given)
            given = np.asarray(every[number][named] if every.ndim else np.full(len(named), every), dtype=np.float64)
            index, last = np.unique(named[::-1], return_index=True)
            given = given[::-1][last]  # the last of a neuron that is named twice
            if intervention.values is not None:
                put.append((row, index, given))
            elif (given != 1).any():
                scaled.append((row, index[given != 1], given[given != 1]))
        self.scaled, self.put = _Changes.of(scaled), _Changes.of(put)
        self._there: dict[tuple[torch.device, torch.dtype, int], tuple[_Changes, _Changes]] = {}

    @property
    def empty(self) -> bool:
        return not (len(self.scaled) or len(self.put))

    def on(self, columns: slice, like: torch.Tensor) -> tuple[_Changes, _Changes]:
        """What is multiplied and what is replaced among some neurons, where ``like`` is and in its numbers."""
        key = like.device, like.dtype, columns.start
        if key not in self._there:
            self._there[key] = self.scaled.within(columns, like), self.put.within(columns, like)
        return self._there[key]


class _Passes:
    """Proves that every pass through a model's layers had as many rows as are changed, and was changed in each layer.

    A pass that something else ends early, as counting does, has nothing to prove.
    """

    def __init__(self, name: str, tables: Sequence[_Table], interventions: Sequence[Intervention | None]) -> None:
        self.name, self.tables, self.interventions, self.begun = name, tables, interventions, False
        self.rows = len(interventions)

    def recorded(self) -> list[str]:
        """What is done to each row, for a provenance; of what was kept under it before, no pass need be seen again."""
        self.begun = True
        return [(each or Intervention(())).hash for each in self.interventions]

    def watched(self, layers: nn.ModuleList) -> list[Any]:
        if not self.tables:
            return []
        # The last layer may be one that text does not go through; none of its neurons is changed.
        before = layers[0].register_forward_pre_hook(self._begin, with_kwargs=True)
        return [before, layers[self.tables[-1].number].register_forward_hook(self._end)]

    def _begin(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.begun = True
        for table in self.tables:
            table.applied.clear()
        # Inside a layer, some families have no rows: only tokens.
        rows = next((len(each) for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)), 0)
        if self.rows not in (1, rows):
            raise NeuroglotError(
                f"the batch has {rows} rows and there are {self.rows} interventions; give one per row."
            )

    def _end(self, *_: Any) -> None:
        if missing := [table.number for table in self.tables if table.applied != table.mlps]:
            raise NeuroglotError(
                f"{self.name} ran without the MLP of layer {missing[0]} as a module, so its neurons were not changed; "
                "load it without fused kernels."
            )

    def prove(self) -> None:
        if self.tables and not self.begun:
            raise NeuroglotError(
                f"neurons of {self.name} were to be changed, and no pass through its layers was seen; run this very "
                "model while they are, as modules."
            )


def _hooks(layer: Layer, table: _Table) -> list[Any]:
    handles: list[Any] = []
    for mlp in layer.mlps:
        if mlp.experts is not None:
            handles += at_experts(mlp, _mixed(mlp, table))
        else:
            assert mlp.down is not None
            handles.append(mlp.down.register_forward_pre_hook(_dense(mlp, table)))
    return handles


def _dense(mlp: Mlp, table: _Table) -> Any:
    def hook(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        value = args[0]
        table.applied.add(mlp.part)
        scaled, put = table.on(mlp.columns, value)
        if not (len(scaled) or len(put)):  # the layer's changes are in another MLP of it
            return None
        by_row = value.reshape(table.rows, -1, mlp.neurons).clone()
        if len(scaled):
            at = scaled.rows, slice(None), scaled.neurons
            by_row[at] = by_row[at] * scaled.numbers[:, None]
        if len(put):
            by_row[put.rows, :, put.neurons] = put.numbers[:, None]
        return by_row.reshape(value.shape), *args[1:]

    return hook


def _mixed(mlp: Mlp, table: _Table) -> Do:
    def change(ran: Ran, routing: Routing) -> None:
        table.applied.add(mlp.part)
        rows = routing.tokens // (routing.total // table.rows)
        for expert, own in routing.spans:
            scaled, put = table.on(mlp.of_expert(expert), ran.z)
            shape = table.rows, mlp.width  # of one expert alone
            if len(scaled):
                factors = ran.z.new_ones(shape)
                factors[scaled.rows, scaled.neurons] = scaled.numbers
                ran.scale(own, factors[rows[own]])
            if len(put):
                where, values = ran.z.new_zeros(shape, dtype=torch.bool), ran.z.new_zeros(shape)
                where[put.rows, put.neurons], values[put.rows, put.neurons] = True, put.numbers
                ran.put(own, where[rows[own]], values[rows[own]])

    return change
