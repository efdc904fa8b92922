"""Active tokens of every neuron by plain arithmetic in float64, for families that no formulas were written for.

MLPs are told by the names of their weights alone, in the order of the layer's modules, experts last; what enters them
is read as the model runs. Nothing here is neuroglot's.
"""

import re

import torch
from torch import nn

#: Names of an MLP's first weight, of which those that output a gate and an up projection come with ``True``.
_FIRST = {"gate_up_proj": True, "input_linear": True, "Wi": True}
_FIRST |= dict.fromkeys(("gate_proj", "w1", "dense_h_to_4h", "fc_in", "c_fc", "fc1", "proj_up_gate"), False)
_NOT = re.compile(r"norm\.|router|adapter|attn|self_att\b|compressor|indexer|(^|\.)gate\.")


def _names(block: nn.Module) -> list[tuple[str, bool]]:
    """Paths of the first weights of a layer's MLPs, and whether they are fused."""
    found = []
    for path, module in block.named_modules():
        children = dict(module.named_children())
        linear = {name for name, child in children.items() if getattr(getattr(child, "weight", None), "ndim", 0) == 2}
        first = next((name for name in _FIRST if name in linear), "up_proj" if "up_proj" in linear else None)
        if path.endswith("ffn") and {"0", "2"} <= linear:
            first = "0"
        if path.endswith("intermediate") and "dense" in linear:
            first = "dense"
        if path.endswith("w_in") and linear == {"w_0", "w_1"}:
            first = "w_0"
        if path.endswith("feed_forward") and linear == {"key", "value", "receptance"}:
            first = "key"
        name = f"{path}.{first}".lstrip(".")
        if first is not None and not _NOT.search(name):
            fused = _FIRST.get(first, False) or (first == "fc1" and linear == {"fc1", "fc2"} and _halved(children))
            found.append((name, fused))
    return found


def _halved(children: dict[str, nn.Module]) -> bool:
    return children["fc1"].weight.shape[0] == 2 * children["fc2"].weight.shape[1]


class Watched:
    """Counts, of each layer, of one pass over some tokens, all of them counted."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        self.layers: list[list[torch.Tensor]] = []
        self._handles = []
        for block in blocks:
            parts: list[list[torch.Tensor]] = []
            for name, fused in _names(block):
                own: list[torch.Tensor] = []
                parts.append(own)
                module, owner = block.get_submodule(name), block.get_submodule(name.rpartition(".")[0])
                sparsity = getattr(owner, "activation_sparsity", 0.0)
                self._handles.append(module.register_forward_pre_hook(self._dense(module, fused, own, sparsity)))
            for _, module in block.named_modules():
                if hasattr(module, "input_linear") and hasattr(module, "activation") and hasattr(module, "router"):
                    own = []
                    parts.append(own)
                    self._handles.append(module.register_forward_pre_hook(self._sorted(own)))
                if isinstance(getattr(module, "down_proj", None), nn.Parameter) and module.down_proj.ndim == 3:
                    own = []
                    parts.append(own)
                    self._handles.append(module.register_forward_pre_hook(self._experts(module, own), with_kwargs=True))
            self.layers.append(parts)

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def values(self, layer: int) -> torch.Tensor:
        """Pre-activations ``[tokens, neurons]``, ``nan`` where an expert does not see a token."""
        return torch.cat([part for own in self.layers[layer] for part in own], dim=1)

    @staticmethod
    def _dense(module: nn.Module, fused: bool, own: list[torch.Tensor], sparsity: float):
        def hook(_module, args):
            weight = module.weight.double()
            weight = weight if type(module).__name__ == "Conv1D" else weight.T
            z = args[0].flatten(0, -2).double() @ weight
            z = z if module.bias is None else z + module.bias.double()
            z = z[:, : z.shape[1] // 2] if fused else z
            if sparsity:  # Gemma 3n's: of each token the largest are kept, as far as they are above
                bar = torch.distributions.Normal(0, 1).icdf(torch.tensor(sparsity, dtype=torch.float64))
                z = z - z.mean(1, keepdim=True) - bar * z.std(1, keepdim=True, unbiased=False)
            own.append(z)

        return hook

    @staticmethod
    def _sorted(own: list[torch.Tensor]):  # JetMoe's
        def hook(module, args):
            x = args[0].flatten(0, -2)
            chosen = (x @ module.router.layer.weight.T).topk(module.router.top_k, dim=1).indices
            for expert, weight in enumerate(module.input_linear.weight.double()):
                z = (x.double() @ weight.T)[:, : weight.shape[0] // 2]
                own.append(z.where((chosen == expert).any(1, keepdim=True), torch.nan))

        return hook

    @staticmethod
    def _experts(module: nn.Module, own: list[torch.Tensor]):
        def hook(_module, args, kwargs):
            x, *rest = (*args, *kwargs.values())
            number = len(module.down_proj)
            each = x.unflatten(0, (number, -1)) if not rest else x.expand(number, *x.shape)  # Llama 4 has scaled ones
            chosen = next((one for one in rest if not one.is_floating_point()), None)
            weights = module.gate_up_proj if hasattr(module, "gate_up_proj") else module.up_proj
            biases = getattr(module, "gate_up_proj_bias", None)
            for expert, own_x in enumerate(each):
                weight = weights[expert].double()
                by_columns = module.is_transposed if hasattr(module, "is_transposed") else not rest
                weight = weight if by_columns else weight.T
                z = own_x.double() @ weight
                z = z if biases is None else z + biases[expert].double()
                if type(module).__name__ == "GptOssExperts":
                    z = z[:, ::2]
                elif hasattr(module, "gate_up_proj"):
                    z = z[:, : z.shape[1] // 2]
                sees = (chosen == expert).any(1) if rest else own_x.any(1)
                own.append(z.where(sees[:, None], torch.nan))

        return hook
