"""What an MLP makes of its gate and up projection, where that is more than a non-linearity and a product."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers.integrations import moe

from ..base.errors import NeuroglotError


class Formula:
    """What experts' own formula makes of gate and up projection: ``f(gate) * h(up)``, each neuron by itself.

    The activation is ``f(gate)``, scaled so that ``h`` is the up projection itself, or that plus one, about zero.

    Raises:
        NeuroglotError: it is no such product.
    """

    def __init__(self, experts: nn.Module) -> None:
        own: Any = type(experts)  # not the module's, which may be watched
        self._apply: Callable[[torch.Tensor], torch.Tensor] = own._apply_gate.__get__(experts)
        self._interleaved = getattr(experts, "is_concatenated", True) is False
        self.neutral = self._neutral()

    def product(self, both: torch.Tensor) -> torch.Tensor:
        """What enters the down projection, of what the fused projection outputs."""
        return self._apply(both)

    def gate(self, both: torch.Tensor) -> torch.Tensor:
        """The pre-activations among what the fused projection outputs."""
        return both[..., ::2] if self._interleaved else both[..., : both.shape[-1] // 2]

    def joined(self, gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
        """What the fused projection outputs."""
        return torch.stack([gate, up], -1).flatten(-2) if self._interleaved else torch.cat([gate, up], -1)

    def activation(self, z: torch.Tensor) -> torch.Tensor:
        """``f(z)``."""
        return self._apply(self.joined(z, torch.full_like(z, self.neutral)))

    def _neutral(self) -> float:
        """The up projection's output that leaves the activation as it is: 1, or 0 where one is added to it."""
        grid = torch.linspace(-20, 20, 81, dtype=torch.float64)
        gate, up = (part.flatten() for part in torch.meshgrid(grid, grid, indexing="ij"))
        made = self._apply(self.joined(gate[None], up[None]))[0].reshape(81, 81)
        by_up = made[50] / made[50, 40 if made[50, 40] else 42]  # at a gate of 5: relative to up 0, or 1
        product = torch.outer(made[:, 40 if made[50, 40] else 42], by_up)
        slope = by_up[41] - by_up[40]
        if not torch.allclose(product, made) or abs(float(slope) - 0.5) > 1e-3:
            raise NeuroglotError("the experts' formula is no product of an activation and the up projection.")
        return 0.0 if made[50, 40] else 1.0


def transposed(experts: nn.Module) -> bool:
    """Whether experts' weights are stored ``[experts, inputs, outputs]``."""
    said = getattr(experts, "is_transposed", None)
    if said is not None:
        return bool(said)
    fused, down = (getattr(experts, name, None) for name in ("gate_up_proj", "down_proj"))
    return fused is not None and down is not None and fused.shape[2] == 2 * down.shape[1]


#: Non-linearities that layers compute by themselves, by names that are none of torch's.
OWN: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"relu_squared": lambda z: functional.relu(z).square()}


def swish(slope: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """``z sigmoid(slope z)``."""
    return lambda z: z * torch.sigmoid(slope * z)


def own_formula(experts: nn.Module) -> bool:
    """Whether experts have a formula for gate and up projection that is not that of all others."""
    own = getattr(type(experts), "_apply_gate", None)
    return own is not None and own is not moe._default_apply_gate
