"""Read and change the neurons of a mixture's experts as they run, whatever implementation runs them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from ..base.errors import NeuroglotError, quoted
from .formulas import Formula, own_formula
from .layers import Mlp


@dataclass(frozen=True)
class Routing:
    """Which token and which expert each row of a mixture's values belongs to.

    ``tokens`` int64 ``[rows]``; ``spans``: for each expert that saw a token, its number and the
    rows that are its own (a slice, or their indices); ``total``: tokens of the batch.
    """

    tokens: torch.Tensor
    spans: list[tuple[int, slice | torch.Tensor]]
    total: int


class Ran:
    """What experts made in one call: a row for each token in each expert.

    Attributes:
        z: pre-activations ``[rows, width]``.
        activation: ``act_fn(z)``, ``[rows, width]``.
        result: what the experts go on with instead of what they made, once something was changed.
    """

    z: torch.Tensor
    activation: torch.Tensor
    result: torch.Tensor | None = None

    @property
    def product(self) -> torch.Tensor:
        """What enters the down projection."""
        raise NotImplementedError

    def scale(self, rows: slice | torch.Tensor, factors: torch.Tensor) -> None:
        """Multiply the products of some rows."""
        result = self._begun()
        result[rows] = result[rows] * factors

    def put(self, rows: slice | torch.Tensor, where: torch.Tensor, values: torch.Tensor) -> None:
        """Replace products of some rows."""
        result = self._begun()
        result[rows] = torch.where(where, values, result[rows])

    def _begun(self) -> torch.Tensor:
        raise NotImplementedError


class _Activated(Ran):
    """Of experts that call their non-linearity as a module, and multiply by the up projection after it."""

    def __init__(self, z: torch.Tensor, activation: torch.Tensor, gated: bool) -> None:
        self.z, self.activation, self._gated = z, activation, gated

    @property
    def product(self) -> torch.Tensor:
        return self.activation * up_output(self.z) if self._gated else self.activation

    def put(self, rows: slice | torch.Tensor, where: torch.Tensor, values: torch.Tensor) -> None:
        super().put(rows, where, values)
        if self._gated:  # what comes next is a product with the up projection: made one where a value is replaced
            up = up_output(self.z)
            up[rows] = torch.where(where, 1.0, up[rows])

    def _begun(self) -> torch.Tensor:
        if self.result is None:
            self.result = self.activation.clone()
        return self.result


class _Gated(Ran):
    """Of experts with a formula of their own for gate and up projection."""

    def __init__(self, gate_up: torch.Tensor, product: torch.Tensor, formula: Formula) -> None:
        self.z, self._product, self._formula = formula.gate(gate_up), product, formula

    @property
    def activation(self) -> torch.Tensor:  # type: ignore[override]
        return self._formula.activation(self.z)

    @property
    def product(self) -> torch.Tensor:
        return self._product

    def _begun(self) -> torch.Tensor:
        if self.result is None:
            self.result = self._product.clone()
        return self.result


class _Sorted(Ran):
    """Of experts whose tokens come sorted, through one module each for gate and up projection and for what follows."""

    def __init__(
        self, both: torch.Tensor, product: torch.Tensor, activation: Callable[[torch.Tensor], torch.Tensor]
    ) -> None:
        self.z, self._product, self._activation = both[:, : product.shape[-1]], product, activation

    @property
    def activation(self) -> torch.Tensor:  # type: ignore[override]
        return self._activation(self.z)

    @property
    def product(self) -> torch.Tensor:
        return self._product

    def _begun(self) -> torch.Tensor:
        if self.result is None:
            self.result = self._product.clone()
        return self.result


def sorted_(experts: nn.Module) -> bool:
    """Whether experts are such: as JetMoe's, with ``router``, ``input_linear``, ``activation``, ``output_linear``."""
    parts = (getattr(experts, name, None) for name in ("router", "input_linear", "activation", "output_linear"))
    return all(isinstance(part, nn.Module) for part in parts)


#: ``do(ran, routing)``, see :func:`at_experts`.
Do = Callable[[Ran, Routing], None]


def at_experts(mlp: Mlp, do: Do) -> list[Any]:
    """Call ``do`` whenever a mixture's experts have run their non-linearity; it may change what they made.

    Whatever implementation runs the experts, their activation, or their own formula for gate and up projection, is
    called on rows of which each is one token in one expert; in which order is part of each implementation.
    """
    pending: list[Routing] = []
    experts = mlp.experts
    assert experts is not None
    if sorted_(experts):
        return _at_sorted(experts, mlp, do)

    def routed(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = given_to(module, args, kwargs)
        if given.apart:
            tokens = torch.arange(len(given.chosen), device=given.chosen.device)
            seen = ((expert, tokens[given.sees(expert)]) for expert in range(mlp.n_experts))
            spans = [(expert, expert * len(tokens) + own) for expert, own in seen if len(own)]
            pending[:] = [Routing(tokens.repeat(mlp.n_experts), list(spans), len(tokens))]
        else:
            pending[:] = routings(module, given.chosen, mlp.n_experts)

    def done(ran: Ran, rows: int) -> Ran:
        if not pending or len(pending[0].tokens) != rows:
            raise NeuroglotError("the experts ran in an order that neuroglot does not know; load them as eager.")
        do(ran, pending.pop(0))
        return ran

    def activated(_module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor | None:
        z, made = (each.detach().flatten(0, -2) for each in (args[0], output))
        result = done(_Activated(z, made, getattr(experts, "has_gate", True)), len(z)).result
        return None if result is None else result.view(output.shape)

    def ran(*_: Any) -> None:
        if pending:
            raise NeuroglotError("the experts ran without their activation's module; load them as eager.")

    before = experts.register_forward_pre_hook(routed, with_kwargs=True)
    after = experts.register_forward_hook(ran)
    if own_formula(experts):
        return [before, _Wrapped(experts, done), after]
    if isinstance(mlp.activation, nn.Module):
        return [before, mlp.activation.register_forward_hook(activated), after]
    return [before, _Called(experts, activated), after]


def _at_sorted(experts: Any, mlp: Mlp, do: Do) -> list[Any]:
    """:func:`at_experts` of experts whose tokens come sorted."""
    seen: dict[str, Any] = {}

    def routed(_module: nn.Module, _args: Any, output: tuple[Any, ...]) -> None:
        _, tokens, _, sizes, logits = output
        ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
        spans: list[tuple[int, slice | torch.Tensor]] = [
            (expert, slice(ends[expert], ends[expert + 1])) for expert, size in enumerate(sizes) if size
        ]
        seen["routing"] = Routing(tokens, spans, len(logits))

    def first(_module: nn.Module, _args: Any, output: torch.Tensor) -> None:
        seen["both"] = output.detach()

    def second(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if seen.keys() != {"routing", "both"} or len(args[0]) != len(seen["routing"].tokens):
            raise NeuroglotError("the experts ran in an order that neuroglot does not know; load them as eager.")
        ran = _Sorted(seen.pop("both"), args[0].detach(), mlp.activation)
        do(ran, seen.pop("routing"))
        return None if ran.result is None else (ran.result, *args[1:])

    return [
        experts.router.register_forward_hook(routed),
        experts.input_linear.register_forward_hook(first),
        experts.output_linear.register_forward_pre_hook(second),
    ]


class _Called:
    """In place of a function that is experts' non-linearity, until it is removed: calls it, shows what it made."""

    def __init__(self, experts: Any, activated: Callable[..., torch.Tensor | None]) -> None:
        self._experts, inner = experts, experts.act_fn
        self._inner: Callable[[torch.Tensor], torch.Tensor] = inner

        def apply(z: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = inner(z)
            changed = activated(experts, (z,), made)
            return made if changed is None else changed

        experts.act_fn = apply

    def remove(self) -> None:
        """The function is as it was."""
        self._experts.act_fn = self._inner


class _Wrapped:
    """In place of experts' own formula, until it is removed: calls it, and shows what it made."""

    def __init__(self, experts: nn.Module, done: Callable[[Ran, int], Ran]) -> None:
        self._experts, self._formula = experts, Formula(experts)
        self._outer: Any = vars(experts).get("_apply_gate")
        inner = experts._apply_gate
        assert callable(inner)

        def apply(gate_up: torch.Tensor) -> torch.Tensor:
            product: torch.Tensor = inner(gate_up)
            result = done(_Gated(gate_up.detach(), product.detach(), self._formula), len(gate_up)).result
            return product if result is None else result

        object.__setattr__(experts, "_apply_gate", apply)

    def remove(self) -> None:
        """The formula is as it was."""
        if self._outer is None:
            vars(self._experts).pop("_apply_gate", None)
        else:
            object.__setattr__(self._experts, "_apply_gate", self._outer)


@dataclass(frozen=True)
class Given:
    """What experts are called with.

    Attributes:
        x: hidden states ``[tokens, size]``; or of each expert its own ``[experts * tokens, size]``, in order.
        chosen: for each token the numbers of its experts, ``[tokens, k]``.
        shares: float, of the same shape.
        apart: whether each expert is given its own hidden states.
        bias: what is added to what leaves them all, ``[size]``.
    """

    x: torch.Tensor
    chosen: torch.Tensor
    shares: torch.Tensor
    apart: bool
    bias: torch.Tensor | None = None

    def sees(self, expert: int) -> torch.Tensor:
        """Which tokens an expert sees, bool ``[tokens]``."""
        return (self.chosen == expert).any(-1)

    def share(self, expert: int) -> torch.Tensor:
        """Each token's share of an expert, ``[tokens]``."""
        return torch.where(self.chosen == expert, self.shares, 0).sum(-1)

    def of(self, expert: int, tokens: torch.Tensor) -> torch.Tensor:
        """What some tokens are for an expert, ``[tokens, size]``."""
        return self.x[expert * len(self.chosen) + tokens] if self.apart else self.x[tokens]

    def together(self, output: torch.Tensor) -> torch.Tensor:
        """What leaves the experts, of each token ``[tokens, size]``."""
        if self.bias is not None:
            return output.flatten(0, -2) - self.bias
        return output.unflatten(0, (-1, len(self.chosen))).sum(0) if self.apart else output


def given_to(experts: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Given:
    """What experts are called with: tokens and where they go, or, as in Llama 4, for each expert all tokens.

    There a token that an expert does not see is zero for it, and no token that it sees is.

    Raises:
        NeuroglotError: something else.
    """
    tensors = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)]
    if sorted_(experts) and tensors:
        own: Any = experts
        x = tensors[0].flatten(0, -2)
        logits, chosen = own.router.layer(x).float().topk(own.router.top_k, dim=1)
        return Given(x, chosen, logits.softmax(dim=1).type_as(x), False, own.bias)
    number = len(cast(Any, experts).down_proj)
    if len(tensors) == 1 and tensors[0].ndim == 2 and len(tensors[0]) % number == 0:
        seen = tensors[0].detach().unflatten(0, (number, -1)).any(-1).T
        every = torch.arange(number, device=seen.device)
        return Given(tensors[0], torch.where(seen, every, number), seen.to(tensors[0].dtype), True)
    chosen, shares = routed_to(args, kwargs)
    return Given(tensors[0], chosen, shares, False)


def routed_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    """Of what experts are called with: the chosen experts ``[tokens, k]``, and their shares, likewise."""
    given = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Tensor)]
    chosen = [each for each in given if not each.is_floating_point()]
    if len(given) != 3 or len(chosen) != 1 or chosen[0].ndim != 2:
        raise NeuroglotError("the experts are not called with tokens, the experts chosen for them, and their shares.")
    shares = next((each for each in given[1:] if each.is_floating_point()), None)
    if shares is None or shares.shape != chosen[0].shape:
        raise NeuroglotError("the experts are not called with the shares of the experts chosen for each token.")
    return chosen[0], shares


def routings(experts: nn.Module, index: torch.Tensor, n_experts: int) -> list[Routing]:
    """What each call of the experts' activation will hold, from ``index`` ``[tokens, k]`` of chosen experts.

    Numbers from ``n_experts`` on are of experts without neurons.

    Raises:
        NeuroglotError: a token goes to one expert twice, or an implementation whose order is not known.
    """
    how = getattr(getattr(experts, "config", None), "_experts_implementation", None) or "eager"
    k, flat = index.shape[1], index.reshape(-1)
    ordered = index.sort(dim=1).values
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] < n_experts)).any():
        raise NeuroglotError("a token is routed to one expert twice, and would be counted twice; this is not known.")
    if how == "eager":  # a call per expert, in their order
        routings = []
        for expert in flat.unique().tolist():
            if expert < n_experts:
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
