"""How many neurons each layer has, where layers differ: in arrays ``[layers, neurons]`` some places are no neurons.

Such arrays are as wide as the widest layer. Whatever counts, ranks, draws or shows neurons asks here which places are
some, and never takes the array's size for their number.
"""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..base.errors import NeuroglotError

#: Neurons of a layer: of all layers alike, or a number for each.
Width = int | Sequence[int] | npt.NDArray[np.int64]


def each(width: Width, layers: int) -> npt.NDArray[np.int64]:
    """Neurons of every layer, int64 ``[layers]``.

    Raises:
        NeuroglotError: numbers of so many layers as there are not.
    """
    found = np.asarray(width, dtype=np.int64)
    if found.ndim > 1 or (found.ndim and len(found) != layers):
        raise NeuroglotError(f"widths of {found.shape} layers, of a model of {layers}; give one number for each layer.")
    return np.broadcast_to(found, layers)


def are_neurons(widths: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.bool_]:
    """Which places are neurons, bool ``[layers, most]``, of so many neurons in each layer."""
    found: npt.NDArray[np.bool_] = np.arange(most) < widths[:, None]
    return found


def in_words(widths: npt.NDArray[np.int64]) -> str:
    """``"1,024"``, or ``"48 to 1,024"`` where layers differ."""
    least, most = (int(end) for end in (widths.min(initial=widths.max(initial=0)), widths.max(initial=0)))
    return f"{most:,}" if least == most else f"{least:,} to {most:,}"


class Layers:
    """Of what is known of each neuron in arrays ``[layers, neurons]``: which of the places are neurons.

    Whoever inherits has :attr:`room`, and where layers differ :attr:`layer_widths` of its own.
    """

    @property
    def room(self) -> tuple[int, int]:
        """Layers, and places in each."""
        raise NotImplementedError

    @property
    def layer_widths(self) -> npt.NDArray[np.int64]:
        """How many neurons each layer has, int64 ``[layers]``; they come first, and places after them are none."""
        raise NotImplementedError

    @property
    def ragged(self) -> npt.NDArray[np.int64] | None:
        """:attr:`layer_widths` where some places are no neurons, ``None`` where all are."""
        widths = self.layer_widths
        return None if (widths == self.room[1]).all() else widths

    @functools.cached_property
    def real(self) -> npt.NDArray[np.bool_]:
        """Which places are neurons, bool ``[layers, neurons]`` (not to be changed)."""
        return are_neurons(self.layer_widths, self.room[1])

    @property
    def n_neurons(self) -> int:
        """Neurons of all layers."""
        return int(self.layer_widths.sum())

    def require_neuron(self, layer: int, neuron: int) -> None:
        """Whether there is this neuron.

        Raises:
            NeuroglotError: there is none.
        """
        layers, widths = self.room[0], self.layer_widths
        if not (0 <= layer < layers and 0 <= neuron < widths[layer]):
            raise NeuroglotError(
                f"there is no neuron {neuron} in layer {layer}; the model has {layers} x {in_words(widths)}."
            )


def same_neurons(one: Layers, other: Layers) -> bool:
    """Whether both are of models of one shape."""
    return one.room == other.room and bool((one.layer_widths == other.layer_widths).all())


def require_fit(widths: npt.NDArray[np.int64] | None, room: tuple[int, int]) -> None:
    """Whether numbers of neurons fit arrays of these layers and places.

    Raises:
        NeuroglotError: they do not.
    """
    if widths is None:
        return
    right = np.issubdtype(widths.dtype, np.integer) and widths.shape == room[:1]
    if not right or (widths < 0).any() or (widths > room[1]).any():
        raise NeuroglotError(
            f"widths of shape {widths.shape} are no numbers, up to {room[1]:,}, of the neurons of {room[0]} layers."
        )
