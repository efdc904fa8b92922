"""Find a model's neurons by its structure, and prove them on a few tokens.

Of all linear modules of a layer, one must take as input just what a non-linearity of the layer makes of another's
output (times a third's, where there is a gate): that is an MLP, and a layer may have several, or none. Where the
layer runs experts, what leaves them must be what their weights make of the tokens that they are given. All is tried in
every layer, on values of usual size and on large ones, where limits show; no token may see a later one; and no other
part of a layer may look like an MLP.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..base.errors import NeuroglotError
from .experts import Ran, Routing, at_experts, given_to, sorted_
from .formulas import OWN, Formula, own_formula, swish, transposed
from .layers import FUNCTIONAL, SWISH, Mlp, Site, Sites, activation_at, layer_of, mlp_at, parted
from .loading import backbone, evaluating, input_device


class UnprovenError(Exception):
    """Why the neurons of a model are not found."""


def found(model: PreTrainedModel) -> Site | Sites:
    """Where a model keeps its neurons, proven in every layer.

    Raises:
        UnprovenError: why it is not known.
    """
    try:
        path, inside, runs = _stack(model)
        with torch.inference_mode():
            return _found(model, path, inside, runs)
    except UnprovenError:
        _require_causal(model)  # or that is the reason
        raise


def _found(model: PreTrainedModel, path: str, inside: list[nn.Module], runs: list[bool]) -> Site | Sites:
    seen = _Pass(model, inside).seen
    # A layer that text alone does not go through (it sees an image) has no neurons to count.
    rows = [_mlps(block, own, path) if run else () for block, own, run in zip(inside, seen, runs, strict=True)]
    _require_whole(*zip(*(each for *each, run in zip(inside, rows, runs, strict=True) if run), strict=True))
    rows = _with_limits(model, inside, rows)
    if len(set(rows)) == 1 and len(rows[0]) == 1:
        site = rows[0][0].site
        if not parted([layer_of([mlp_at(block, site)]) for block in inside]):
            return site
    return Sites(path, tuple(tuple(mlp.site for mlp in row) for row in rows))


def proves(model: PreTrainedModel, site: Site) -> bool:
    """Whether a few tokens prove a site, without experts, in every layer; other MLPs may be beside it."""
    inside = list(attrgetter(site.layers)(backbone(model)))
    try:
        seen = _Pass(model, inside).seen
    except UnprovenError:
        return False
    for block, own in zip(inside, seen, strict=True):
        if site.down not in own.inputs or site.gate not in own.outputs:
            return False
        activations = {site.activation: activation_at(block, site)}
        with torch.inference_mode():
            mlps = _proven(block, {site.down: own.inputs[site.down]}, own.outputs, activations, site.layers)
        if site not in {mlp.site for mlp in mlps}:
            return False
    return True


# --- which modules are the layers --------------------------------------------------------------


def _ids(model: PreTrainedModel) -> torch.Tensor:
    size = len(cast(torch.Tensor, model.get_input_embeddings().weight))
    return torch.arange(1, 9, device=input_device(model))[None] % size


def _run(model: PreTrainedModel, ids: torch.Tensor) -> None:
    """One pass.

    Raises:
        UnprovenError: the model needs more than tokens.
    """
    try:
        with torch.inference_mode(), evaluating(model):
            backbone(model)(input_ids=ids, use_cache=False)
    except UnprovenError:
        raise
    except Exception as error:
        said = str(error).strip().split("\n")[0]
        raise UnprovenError(f"it does not run on tokens alone ({type(error).__name__}: {said[:100]})") from error


def _stack(model: PreTrainedModel) -> tuple[str, list[nn.Module], list[bool]]:
    """The layers, their path in the backbone, and which of them text goes through."""
    depth = getattr(model.config.get_text_config(), "num_hidden_layers", None)
    every = {
        name: list(module)
        for name, module in backbone(model).named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and any(map(_is_linear, module.modules()))
    }
    # Where an encoder's depth is given, or twice the depth, no list is so long.
    stacks = {name: stack for name, stack in every.items() if len(stack) == depth} or every
    ran: list[nn.Module] = []
    handles = [
        block.register_forward_hook(lambda module, *_: ran.append(module))
        for stack in stacks.values()
        for block in stack
    ]
    with _removed(handles):
        _run(model, _ids(model))
    stacks = {name: stack for name, stack in stacks.items() if any(block in ran for block in stack)}
    stacks = {name: stack for name, stack in stacks.items() if not any(_inside(name, other) for other in stacks)}
    if len(stacks) != 1:
        raise UnprovenError("it has no list of layers, or several, that its configuration speaks of")
    ((path, blocks),) = stacks.items()
    own = [block for block in ran if block in blocks]
    if own != [block for block in blocks if block in own]:
        raise UnprovenError("its layers do not run one after the other and once")
    return path, blocks, [block in own for block in blocks]


def _require_causal(model: PreTrainedModel) -> None:
    """That what leaves the backbone at a token depends on no later one.

    Raises:
        UnprovenError: it does.
    """
    made: list[torch.Tensor] = []

    def keep(_module: nn.Module, _args: Any, output: Any) -> None:
        states = output[0] if isinstance(output, tuple) else getattr(output, "last_hidden_state", None)
        if isinstance(states, torch.Tensor):
            made.append(states)

    ids = _ids(model)
    with _removed([backbone(model).register_forward_hook(keep)]):
        for each in (ids, _changed(model, ids)):
            _run(model, each)
    if len(made) == 2 and made[0].shape[:2] == ids.shape and not _alike(made[0][:, :-1], made[1][:, :-1]):
        raise UnprovenError(_BOTH_SIDES)


_BOTH_SIDES = "it attends to both sides: a token sees later ones"


def _changed(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """The same tokens, of which the last is another."""
    changed = ids.clone()
    changed[0, -1] = 9 % len(cast(torch.Tensor, model.get_input_embeddings().weight))
    return changed


def _inside(name: str, other: str) -> bool:
    return name.startswith(f"{other}.")


@contextlib.contextmanager
def _removed(handles: list[Any]) -> Iterator[None]:
    """Without the hooks afterwards."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# --- what they do with a few tokens ------------------------------------------------------------


def _is_linear(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    plain = isinstance(weight, torch.Tensor) and weight.ndim == 2 and not list(module.children())
    return plain and not isinstance(module, nn.Embedding) and (hasattr(module, "in_features") or hasattr(module, "nf"))


def _may_be_norm(module: nn.Module) -> bool:
    parameters = list(module.parameters())
    return bool(parameters) and not list(module.children()) and all(p.ndim == 1 for p in parameters)


@dataclass
class _Seen:
    """What a layer's modules were given and made; of linear modules and norms that ran once, on all tokens."""

    inputs: dict[str, torch.Tensor] = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)
    norms: dict[str, torch.Tensor] = field(default_factory=dict)
    others: list[tuple[str, torch.Tensor, torch.Tensor]] = field(default_factory=list)


class _Pass:
    """Two passes over a few tokens, of which the last differs between them.

    Raises:
        UnprovenError: a token sees a later one.
    """

    def __init__(self, model: PreTrainedModel, inside: list[nn.Module]) -> None:
        ids = _ids(model)
        later, self.seen = self._once(model, inside, _changed(model, ids)), self._once(model, inside, ids)
        for own, other in zip(self.seen, later, strict=True):
            for name, output in own.outputs.items():
                if name in other.outputs and not _alike(output[:-1], other.outputs[name][:-1]):
                    raise UnprovenError(_BOTH_SIDES)

    def _once(self, model: PreTrainedModel, inside: list[nn.Module], ids: torch.Tensor) -> list[_Seen]:
        seen = [_Seen() for _ in inside]
        ran: set[tuple[int, str]] = set()

        def hook(number: int, name: str, linear: bool) -> Callable[..., None]:
            def keep(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
                given = args[0] if args else None
                if not isinstance(given, torch.Tensor) or not isinstance(output, torch.Tensor):
                    return
                own, (given, made) = seen[number], (x.detach().flatten(0, -2) for x in (given, output))
                whole = len(made) == ids.numel() and (number, name) not in ran
                ran.add((number, name))
                if not linear:
                    own.norms.update({name: given} if whole else {})
                elif whole:
                    own.inputs[name], own.outputs[name] = given, made
                else:
                    own.others.append((name, given, made))
                    if name in own.inputs:  # it ran before
                        own.others.append((name, own.inputs.pop(name), own.outputs.pop(name)))

            return keep

        handles = [
            module.register_forward_hook(hook(number, name, _is_linear(module)))
            for number, block in enumerate(inside)
            for name, module in block.named_modules()
            if _is_linear(module) or _may_be_norm(module)
        ]
        with _removed(handles):
            _run(model, ids)
        return seen


# --- the MLPs of a layer -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Proven:
    """An MLP: its site, and the up projection's module where that is one of its own."""

    site: Site
    up: str = ""


def _mlps(block: nn.Module, seen: _Seen, path: str) -> tuple[_Proven, ...]:
    """Those that all tokens go through, in the order of the layer's modules, then the routed experts."""
    activations = _candidates(block)
    order = [name for name, _ in block.named_modules()]
    seen = _without(seen, lambda name: _NO_NEURONS.search(name) is not None)
    dense = _proven(block, seen.inputs, seen.outputs, activations, path)
    norms = {name: x for name, x in seen.norms.items() if not any(_alike(x, y) for y in seen.inputs.values())}
    dense += _proven(block, norms, seen.outputs, activations, path)
    if any(
        list(_proven(block, {a: x}, {b: y}, activations, path)) for a, x, _ in seen.others for b, _, y in seen.others
    ):
        raise UnprovenError("an MLP of it runs more than once in a layer, or on some of the tokens")
    dense.sort(key=lambda mlp: order.index(mlp.site.gate))
    if len({mlp.site.gate for mlp in dense}) < len(dense) or len({mlp.site.down for mlp in dense}) < len(dense):
        raise UnprovenError("two of its modules could be the MLP's")
    return (*dense, *_experts(block, path))


#: Paths in a layer of networks that decide or scale, and write nothing to the stream: a mixture's router, the gate of a
#: norm, an adapter, what chooses the tokens that attention sees; and of attention's own experts, which are linear.
_NO_NEURONS = re.compile(r"norm\.|router|adapter|index|compress|(^|\.)gate\.|attention\.experts\.")


def _without(seen: _Seen, left_out: Callable[[str], bool]) -> _Seen:
    """The same of fewer modules; norms stay, since values may enter one."""
    inputs, outputs = (
        {name: x for name, x in part.items() if not left_out(name)} for part in (seen.inputs, seen.outputs)
    )
    return _Seen(inputs, outputs, seen.norms, [each for each in seen.others if not left_out(each[0])])


def _candidates(block: nn.Module) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Functions in a layer that may be its non-linearity: modules, plain functions, torch's own."""
    found: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {}
    for name, module in block.named_modules():
        ready = type(module).__module__.startswith(("transformers.activations", "torch.nn.modules.activation"))
        if name and not list(module.children()) and (ready or not list(module.parameters())):
            found[name] = module
            continue
        for key, value in vars(module).items():
            if callable(value) and not key.startswith("_") and not isinstance(value, type | nn.Module):
                found[f"{name}.{key}".lstrip(".")] = value
        slope = vars(module).get("swiglu_alpha")
        if isinstance(slope, float | int):
            found[f"{FUNCTIONAL}{SWISH}{name}.swiglu_alpha"] = swish(slope)
    plain = {name: getattr(functional, name) for name in ("silu", "gelu", "relu")} | OWN
    return found | {f"{FUNCTIONAL}{name}": function for name, function in plain.items()}


def _nearness(one: str, other: str) -> int:
    """Parts that two paths begin with alike."""
    pairs = zip(one.split("."), other.split("."), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(one.count("."), other.count(".")))


def _proven(
    block: nn.Module,
    inputs: dict[str, torch.Tensor],
    outputs: dict[str, torch.Tensor],
    activations: dict[str, Callable[[torch.Tensor], torch.Tensor]],
    path: str,
) -> list[_Proven]:
    """The MLPs for which the input of ``down`` is what a gated or plain MLP computes; of equal ones the nearest."""
    best: dict[tuple[str, str], tuple[int, _Proven]] = {}
    for down, value in inputs.items():
        for gate, output in outputs.items():
            fused = output.shape[-1] == 2 * value.shape[-1]
            if gate == down or len(output) != len(value) or not (fused or output.shape == value.shape):
                continue
            for (name, activation), (before, made) in itertools.product(
                activations.items(), _befores(block, gate).items()
            ):
                up = _fits(value, output, activation, {} if fused else outputs, gate, made)
                near = _nearness(name, gate)
                if up is not None and ((gate, down) not in best or best[gate, down][0] < near):
                    transposed = isinstance(block.get_submodule(gate), Conv1D)
                    site = Site(path, gate, name, down, fused=fused, transposed=transposed, before=before)
                    best[gate, down] = near, _Proven(site, up)
    return [mlp for _, mlp in best.values()]


def _befores(block: nn.Module, gate: str) -> dict[str, Callable[[torch.Tensor], torch.Tensor] | None]:
    """What may be done to the gate's output before the non-linearity: nothing, or a choice of the largest."""
    owner = gate.rpartition(".")[0]
    sparse = getattr(block.get_submodule(owner), "_gaussian_topk", None)
    return {"": None} | ({f"{owner}._gaussian_topk": sparse} if sparse is not None else {})


#: What is added to a fused up projection's output before the product.
_PLUS = (0.0, 1.0)


def _fits(
    value: torch.Tensor,
    output: torch.Tensor,
    activation: Callable[[torch.Tensor], torch.Tensor],
    ups: dict[str, torch.Tensor],
    gate: str,
    before: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> str | None:
    """The up projection (``""`` where there is none apart) with which ``output`` gives ``value``, or ``None``."""
    width = value.shape[-1]
    try:
        activated = activation(output[:, :width] if before is None else before(output[:, :width]))
    except Exception:  # not a function of one tensor
        return None
    if not isinstance(activated, torch.Tensor) or activated.shape != value.shape:
        return None
    if torch.equal(activated, output[:, :width]):  # dropout and the like
        return None
    if output.shape[-1] == 2 * width:
        return "" if any(_alike(activated * (output[:, width:] + plus), value) for plus in _PLUS) else None
    if _alike(activated, value):
        return ""
    others = (name for name, up in ups.items() if name != gate and up.shape == value.shape)
    return next((name for name in others if _alike(activated * ups[name], value)), None)


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or not other.any():
        return False
    tolerance = 1e-2 if other.dtype in (torch.float16, torch.bfloat16) else 1e-4
    scale = other.abs().max().item()
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * scale)


# --- experts -----------------------------------------------------------------------------------


def _experts(block: nn.Module, path: str) -> Iterator[_Proven]:
    """Modules with experts' weights as transformers keeps them; proven once they have run."""
    for name, module in block.named_modules():
        if sorted_(module):
            weights = "input_linear.weight", "output_linear.weight"
            yield _Proven(Site(path, weights[0], f"{name}.activation", weights[1], fused=True, experts=name))
            continue
        gate = "gate_up_proj" if getattr(module, "has_gate", True) else "up_proj"
        found = [getattr(module, each, None) for each in (gate, "down_proj")]
        if all(isinstance(weight, nn.Parameter) and weight.ndim == 3 for weight in found):
            fused = gate == "gate_up_proj"
            yield _Proven(Site(path, gate, f"{name}.act_fn", "down_proj", fused=fused, experts=name))


def _prove_experts(model: PreTrainedModel, inside: list[nn.Module], rows: list[tuple[_Proven, ...]]) -> None:
    """In one pass, all that experts read and write must be what their weights make."""
    proofs = []
    for block, row in zip(inside, rows, strict=True):
        for mlp in row:
            if mlp.site.experts:
                try:
                    proofs.append(_ExpertsProof(mlp_at(block, mlp.site), mlp.site))
                except (AttributeError, AssertionError, NeuroglotError) as error:
                    raise UnprovenError(f"its experts are not known ({error})") from error
    if proofs:
        with _removed([handle for proof in proofs for handle in proof.handles]):
            _run(model, _ids(model))
    if not all(proof.proven for proof in proofs):
        raise UnprovenError("its experts do something else with their weights than others do")


class _ExpertsProof:
    """That rows of a mixture's values are those of the tokens and experts that :func:`at_experts` says."""

    def __init__(self, mlp: Mlp, site: Site) -> None:
        self.mlp, self.site, self.proven = mlp, site, False
        self._made: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, Routing]] = []
        experts = mlp.experts
        assert experts is not None
        after = experts.register_forward_hook(self._ran, with_kwargs=True)
        self.handles = [*at_experts(mlp, self._see), after]

    def _see(self, ran: Ran, routing: Routing) -> None:
        self._made.append((ran.z.clone(), ran.activation.clone(), ran.product.clone(), routing))

    def _weights(self, name: str, expert: int) -> tuple[torch.Tensor, Any]:
        weight, bias = attrgetter(name)(self.mlp.experts)[expert], getattr(self.mlp.experts, f"{name}_bias", None)
        assert self.mlp.experts is not None
        return weight if transposed(self.mlp.experts) else weight.T, 0 if bias is None else bias[expert]

    def _ran(self, experts: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = given_to(experts, args, kwargs)
        x = given.x[: len(given.chosen)]
        total, right = torch.zeros_like(x), bool(self._made)
        width = self.mlp.width
        for z, a, product, routing in self._made:
            for expert, rows in routing.spans:
                tokens = routing.tokens[rows]
                weight, bias = self._weights(self.site.gate, expert)
                both = given.of(expert, tokens) @ weight + bias
                own = both if not self.site.fused else both[:, :width]
                if own_formula(experts):
                    formula = Formula(experts)
                    own, made = formula.gate(both), formula.product(both)
                else:
                    made = a[rows] * both[:, width:] if self.site.fused else a[rows]
                down, bias = self._weights(self.site.down, expert)
                written = made @ down + bias
                if getattr(experts, "has_post_expert_norm", False):
                    written = experts.post_expert_norm(written)  # type: ignore[operator]
                share = given.share(expert)[tokens, None]
                total[tokens] += (written * share).to(total.dtype)
                right &= _alike(own, z[rows]) and _alike(made, product[rows])
        idle = torch.where(given.chosen >= self.mlp.n_experts, given.shares, 0).sum(-1)[:, None]
        # Experts beyond hand on what they get.
        made = given.together(output[0] if isinstance(output, tuple) else output)
        self.proven = right and _alike(total + x * idle, made)
        self._made.clear()


# --- all of them -------------------------------------------------------------------------------

#: Paths in a layer that are of an MLP, by the names that are in use.
_MLP = re.compile(
    r"(^|[._])(mlps?|ffn?|feed_?forward|fc\d?|(shared_)?experts?|moe|intermediate|channel_mix\w*)($|[._])"
)


def _require_whole(inside: Sequence[nn.Module], rows: Sequence[tuple[_Proven, ...]]) -> None:
    """Whether no other part of a layer looks like an MLP, and there is one.

    Raises:
        UnprovenError: one does, or there is none.
    """
    for block, row in zip(inside, rows, strict=True):
        known = {name for mlp in row for name in (mlp.site.gate, mlp.site.down, mlp.up, mlp.site.experts) if name}
        inside_experts = tuple(f"{mlp.site.experts}." for mlp in row if mlp.site.experts)
        left = [
            (name, module)
            for name, module in block.named_modules()
            if name not in known and not name.startswith(inside_experts) and _MLP.search(name)
            if not _NO_NEURONS.search(name)
            if _is_linear(module) or _packed(module)
        ]
        if any(_packed(module) for _, module in left):
            raise UnprovenError(f"what {left[0][0]} does is not known")
        for name, one in left:
            for other, two in left:
                if one is not two and _follows(one, two):
                    raise UnprovenError(f"what {name} and {other} do is not known")
    if not any(rows):
        raise UnprovenError("its layers have no MLP, so it has no such neurons")


def _packed(module: nn.Module) -> bool:
    """Whether it has weights of three dimensions of its own, and is no convolution."""
    packed = any(p.ndim == 3 and p.shape[:2].numel() > 1 for p in module.parameters(recurse=False))
    return packed and not isinstance(module, nn.Conv1d)


def _follows(one: nn.Module, two: nn.Module) -> bool:
    """Whether the second's inputs are as many as the first's outputs, or half of them."""
    (many, _), (_, few) = (tuple(cast(Any, module).weight.shape) for module in (one, two))
    return few in (many, many / 2)


# --- large values ------------------------------------------------------------------------------

_LARGE = 50.0


def _with_limits(
    model: PreTrainedModel, inside: list[nn.Module], rows: list[tuple[_Proven, ...]]
) -> list[tuple[_Proven, ...]]:
    """The same MLPs, proven where their pre-activations are large, with the limits that show then.

    Raises:
        UnprovenError: what is done to large values is not known.
    """
    _prove_experts(model, inside, rows)
    large = _large(model, inside, rows)
    return [
        tuple(mlp if mlp.site.experts else _limited(block, mlp, seen) for mlp in row)
        for block, row, seen in zip(inside, rows, large, strict=True)
    ]


def _large(model: PreTrainedModel, inside: list[nn.Module], rows: list[tuple[_Proven, ...]]) -> list[_Seen]:
    """A pass in which gates and up projections put out numbers up to 50."""
    seen = [_Seen() for _ in inside]

    def enlarge(own: _Seen, name: str) -> Callable[..., torch.Tensor]:
        def hook(_module: nn.Module, _args: Any, output: torch.Tensor) -> torch.Tensor:
            larger = output * (_LARGE / output.abs().max().clamp_min(1e-6))
            own.outputs[name] = larger.detach().flatten(0, -2)
            return larger

        return hook

    def keep(own: _Seen, name: str) -> Callable[..., None]:
        return lambda _module, args: own.inputs.__setitem__(name, args[0].detach().flatten(0, -2))

    handles: list[Any] = []
    for block, row, own in zip(inside, rows, seen, strict=True):
        for mlp in row:
            if not mlp.site.experts:
                for name in filter(None, (mlp.site.gate, mlp.up)):
                    handles.append(block.get_submodule(name).register_forward_hook(enlarge(own, name)))
                down = block.get_submodule(mlp.site.down)
                handles.append(down.register_forward_pre_hook(keep(own, mlp.site.down)))
    if handles:
        with _removed(handles):
            _run(model, _ids(model))
    return seen


def _limited(block: nn.Module, mlp: _Proven, seen: _Seen) -> _Proven:
    """The MLP with its limit, if it has one."""
    site, value = mlp.site, seen.inputs[mlp.site.down]
    width = value.shape[-1]
    z = seen.outputs[site.gate]
    up = z[:, width:] if site.fused else seen.outputs[mlp.up] if mlp.up else None
    owner = site.gate.rpartition(".")[0]
    numbers = {
        f"{owner}.{name}".lstrip("."): float(number)
        for name, number in vars(block.get_submodule(owner)).items()
        if "limit" in name and isinstance(number, float | int) and number > 0
    }
    for path, limit in {"": torch.inf, **numbers}.items():
        tried = replace(site, limit=path)
        own = z[:, :width] if not site.before else attrgetter(site.before)(block)(z[:, :width])
        made = activation_at(block, tried)(own)
        ways = [made] if up is None else [made * (up.clamp(-limit, limit) + plus) for plus in _PLUS]
        if any(_alike(way, value) for way in ways):
            return replace(mlp, site=tried)
    raise UnprovenError(f"what {site.gate} does with large values is not known")
