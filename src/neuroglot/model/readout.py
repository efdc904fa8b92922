"""The straight way from a layer's neurons to the logits: down projection, norm after it, final norm, head.

Found in a model as it runs, not by its name, and proven on a few tokens: in every layer, what leaves the MLP must be
added to the stream as it is, the last layer's stream must enter the final norm, and what leaves that the head.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate.utils import align_module_device
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ..base.errors import NeuroglotError
from .interventions import Intervention, intervene
from .layers import Mlp, blocks
from .loading import backbone, evaluating, input_device, itself
from .sites import neuron_layers, neuron_site


@dataclass(frozen=True, eq=False)
class Norm:
    """What a norm does but for its scale: ``y = gain * x / scale + bias``, ``x`` less its mean where ``centred``.

    Attributes:
        module: the norm.
        gain, bias: ``[size]`` float32, on the CPU; the gain is what it multiplies by, a 1 that its code adds included.
        centred: whether it is a layer norm.
    """

    module: nn.Module
    gain: torch.Tensor
    bias: torch.Tensor
    centred: bool

    def unscaled(self, x: torch.Tensor) -> torch.Tensor:
        """``[..., size]``, what it makes of ``x`` at scale 1, without the bias."""
        x = x - x.mean(dim=-1, keepdim=True) if self.centred else x
        return x * self.gain.to(x)

    def over_scale(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """``1 / scale``, float32 ``[...]``, of what entered and left it."""
        one = self.unscaled(x.float())
        two = y.float() - self.bias.to(one)
        return (one * two).sum(-1) / one.square().sum(-1).clamp_min(torch.finfo(torch.float32).tiny)


class Readout:
    """A model's way from its neurons to its logits, of which only the norms' scales depend on the token.

    A factor or soft cap on the logits after the head, and the head's bias, are left out.

    Attributes:
        layers: where the neurons are.
        posts: of each layer the norm after its MLP, or ``None``.
        final: the norm before the head.
        head: a linear layer, ``[vocabulary, size]``.

    Raises:
        NeuroglotError: a mixture of experts, or a way that the check does not prove.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = itself(model)
        self.name = type(self.model).__name__
        site = neuron_site(self.model)
        layers = neuron_layers(self.model, site)
        if any(layer.routed for layer in layers):
            raise self._unknown("its experts' weights are not read")
        self.layers = [layer.dense for layer in layers if layer.dense is not None]
        if len(self.layers) < len(layers) or len({mlp.width for mlp in self.layers}) > 1:
            raise self._unknown("its layers are not each one MLP, of one width")
        if not all(_is_linear(mlp) for mlp in self.layers):
            raise self._unknown("what its neurons make is normed before the down projection")
        head = self.model.get_output_embeddings()
        if type(head) is not nn.Linear:
            raise self._unknown("its head is no plain linear layer")
        self.head: nn.Linear = head
        self._blocks = list(blocks(self.model, site))
        with torch.inference_mode(), evaluating(self.model):
            self.posts, self.final = self._found()
            self._prove()

    def _unknown(self, why: str) -> NeuroglotError:
        return NeuroglotError(f"what the neurons of {self.name} write is not known: {why}.")

    # --- what it is ---

    @property
    def size(self) -> int:
        """Of the hidden states."""
        return len(self.final.gain)

    @property
    def vocabulary(self) -> int:
        """Words that have a logit."""
        return self.head.out_features

    def columns(self, layer: int) -> torch.Tensor:
        """Neurons' columns as they arrive at the head, float32 ``[neurons, size]``: at value 1, norms at scale 1."""
        columns = _weight(self.layers[layer]).T
        post = self.posts[layer]
        return self.final.unscaled(columns if post is None else post.unscaled(columns))

    def embeddings(self, words: Sequence[int] | np.ndarray) -> torch.Tensor:
        """The head's rows of some words, float32 ``[words, size]``."""
        with align_module_device(self.head):
            index = torch.as_tensor(np.asarray(words, dtype=np.int64), device=self.head.weight.device)
            return self.head.weight.detach()[index].float().cpu()

    def slices(self, words: int = 2**15) -> Iterator[torch.Tensor]:
        """All the head's rows, float32 ``[up to words, size]``, one slice of the vocabulary after the other."""
        for start in range(0, self.vocabulary, words):
            yield self.embeddings(range(start, min(start + words, self.vocabulary)))

    def covariance(self) -> np.ndarray:
        """``C`` of the head's rows, float64 ``[size, size]``: the logits ``head @ u`` have variance ``u @ C @ u``."""
        total, products = torch.zeros(self.size, dtype=torch.float64), torch.zeros(self.size, self.size).double()
        for rows in self.slices():
            total += rows.double().sum(0)
            products += (rows.T @ rows).double()
        mean = total / self.vocabulary
        covariance: np.ndarray = (products / self.vocabulary - torch.outer(mean, mean)).numpy()
        return covariance

    def watch(self, see: Callable[[int, torch.Tensor, torch.Tensor], None]) -> list[Any]:
        """Hooks that call ``see(number, 1 / scale, output)`` at norms of a pass: a layer's, or -1 for the final one."""

        def hook(number: int, norm: Norm) -> Any:
            def look(_module: nn.Module, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
                see(number, norm.over_scale(args[0].detach(), output.detach()), output.detach())

            return norm.module.register_forward_hook(look)

        posts = [hook(number, post) for number, post in enumerate(self.posts) if post is not None]
        return [*posts, hook(-1, self.final)]

    # --- how it is found ---

    def _found(self) -> tuple[list[Norm | None], Norm]:
        seen: dict[nn.Module, tuple[torch.Tensor, torch.Tensor]] = {}

        def keep(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            output = output[0] if isinstance(output, tuple) else output
            if args and isinstance(args[0], torch.Tensor) and isinstance(output, torch.Tensor):
                seen[module] = args[0].detach().flatten(0, -2).clone(), output.detach().flatten(0, -2).clone()

        downs = [layer.down for layer in self.layers]
        norms = [module for module in backbone(self.model).modules() if _may_be_norm(module)]
        watched = {*norms, *downs, *self._blocks, self.head}
        handles = [module.register_forward_hook(keep) for module in watched if module is not None]
        try:
            self.model(input_ids=self._ids(), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        if any(module is not None and module not in seen for module in (*downs, *self._blocks, self.head)):
            raise self._unknown("its layers do not run as modules on hidden states")
        posts: list[Norm | None] = []
        for block, down in zip(self._blocks, downs, strict=True):
            assert down is not None
            inside = set(block.modules())
            after = [m for m in norms if m in inside and m in seen and _same(seen[m][0], seen[down][1])]
            posts.append(self._norm(after[0], seen[after[0]][0]) if after else None)
        stream, entering = seen[self._blocks[-1]][1], seen[self.head][0]
        last = [m for m in norms if m in seen and _same(seen[m][0], stream) and _same(seen[m][1], entering)]
        if not last:
            raise self._unknown("between its last layer and its head is more than a norm")
        return posts, self._norm(last[0], stream)

    def _ids(self) -> torch.Tensor:
        return torch.arange(1, 9, device=input_device(self.model))[None] % self.head.out_features

    def _norm(self, module: nn.Module, like: torch.Tensor) -> Norm:
        """Which norm a module is, by what it makes of random numbers of the size of ``like``."""
        made = torch.randn(8, like.shape[-1], generator=torch.Generator().manual_seed(0))
        with align_module_device(module):
            x = made.to(like)
            y, bias = module(x).double().cpu(), module(torch.zeros_like(x[:1]))[0].double().cpu()
        x = x.double().cpu()
        tolerance = 1e-2 if like.dtype in (torch.float16, torch.bfloat16) else 1e-4
        for centred in (False, True):
            own = x - x.mean(-1, keepdim=True) if centred else x
            own = own / own.square().mean(-1, keepdim=True).sqrt()
            gain = ((y - bias) * own).sum(0) / own.square().sum(0)
            if torch.allclose(gain * own + bias, y, rtol=tolerance, atol=tolerance * float(y.abs().max())):
                return Norm(module, gain.float(), bias.float(), centred)
        raise self._unknown(f"{type(module).__name__} is neither a root-mean-square nor a layer norm")

    def _prove(self) -> None:
        """In one pass, a row as it is and one without each layer's neurons: what is lacking is what they wrote."""
        every = np.arange(self.layers[0].neurons)
        nothing = [np.zeros(0, dtype=np.int64)] * len(self.layers)
        without = [[*nothing[:i], every, *nothing[i + 1 :]] for i in range(len(self.layers))]
        rows = [None, *(Intervention(neurons, values=0.0) for neurons in without)]
        streams: dict[int, torch.Tensor] = {}
        written: dict[int, torch.Tensor] = {}
        shape = len(rows), -1, self.size

        def keep(number: int, into: dict[int, torch.Tensor]) -> Callable[..., None]:
            def hook(_module: nn.Module, _args: Any, output: Any) -> None:
                stream = output[0] if isinstance(output, tuple) else output
                parts = stream.detach().reshape(shape)
                into[number] = (parts[0] - parts[number + 1]).double().cpu()
                largest[number] = max(largest.get(number, 0.0), float(parts[0].abs().max()))

            return hook

        largest: dict[int, float] = {}
        handles = []
        for number, (layer, block, post) in enumerate(zip(self.layers, self._blocks, self.posts, strict=True)):
            last = layer.down if post is None else post.module
            assert last is not None
            handles.append(last.register_forward_hook(keep(number, written)))
            handles.append(block.register_forward_hook(keep(number, streams)))
        try:
            with intervene(self.model, rows):
                backbone(self.model)(input_ids=self._ids().expand(len(rows), -1), use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        rounding = torch.finfo(self.model.dtype).eps
        for number in range(len(self.layers)):
            off = float((streams[number] - written[number]).abs().max())
            if not off <= 16 * rounding * largest[number] + 1e-3 * float(written[number].abs().max()):
                raise self._unknown(f"its layer {number} does more than add what its MLP writes to the stream")


def _is_linear(mlp: Mlp) -> bool:
    return mlp.down is not None and not _may_be_norm(mlp.down)


def _weight(mlp: Mlp) -> torch.Tensor:
    """Of the down projection, float32 ``[size, neurons]`` on the CPU."""
    down: Any = mlp.down
    with align_module_device(down):
        weight = down.weight.detach()
        if not isinstance(weight, torch.Tensor) or not weight.is_floating_point() or weight.ndim != 2:
            raise NeuroglotError("the weights of the down projection are packed, which is not known; load them whole.")
        weight = weight.float().cpu()
    return weight.T if isinstance(down, Conv1D) else weight


def _may_be_norm(module: nn.Module) -> bool:
    """Whether it has no parts, and vectors of weights only."""
    parameters = list(module.parameters())
    return bool(parameters) and not list(module.children()) and all(parameter.ndim == 1 for parameter in parameters)


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)
