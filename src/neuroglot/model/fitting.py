"""Whether a model's files can be what they say, before a loader makes room for it: sizes are claims of a few bytes."""

import os
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig

from ..base.errors import NeuroglotError
from ..base.files import MOST_WHOLE, open_plain
from ..base.tensors import require_stored

#: Layers of a model, at most: four times those of the deepest that there are.
MOST_LAYERS = 2000

# Numbers that a byte of a file stands for at the most: the smallest quantization takes more than a bit for each.
_OF_A_BYTE = 8

_WEIGHTS, _WHOLE = (".safetensors", ".bin"), (".json", ".txt", ".model", ".jinja")


def require_fit(folder: Path) -> None:
    """The files of a folder that loaders read are plain ones, and its configuration is of what is stored there.

    Raises:
        NeuroglotError: a pipe, a device, a configuration of gigabytes, compressed weights, or weights of a far smaller
            model than the configuration says.
    """
    stored = 0
    for path in sorted(folder.iterdir()):
        if path.suffix in (*_WEIGHTS, *_WHOLE) and path.exists() and not path.is_dir():
            with open_plain(path) as file:
                size = os.fstat(file.fileno()).st_size
            if path.suffix in _WHOLE and size > MOST_WHOLE:
                raise NeuroglotError(f"{path} has {size:,} bytes, too many for what it is; give the model's own.")
            if path.suffix == ".bin":
                require_stored(path)
            stored += size if path.suffix in _WEIGHTS else 0
    require_room(AutoConfig.from_pretrained(folder), stored, folder)


def require_room(config: PretrainedConfig, stored: int, place: Path) -> None:
    """A configuration of no more numbers than ``stored`` bytes can be.

    Raises:
        NeuroglotError: it is of more, or of more than :data:`MOST_LAYERS` layers.
    """
    text = config.get_text_config()
    layers, width = (getattr(text, name, None) for name in ("num_hidden_layers", "hidden_size"))
    sizes = [size for size in (layers, width) if size is not None]
    if not all(isinstance(size, int) and size > 0 for size in sizes) or (layers or 0) > MOST_LAYERS:
        raise NeuroglotError(f"{place} says that it has {layers} layers of {width}, which cannot be; give a model.")
    with torch.device("meta"):  # shapes alone, which take no memory
        model = AutoModelForCausalLM.from_config(config)
    numbers = sum(one.numel() for one in (*model.parameters(), *model.buffers()))
    if numbers > max(_OF_A_BYTE * stored, 2**20):
        raise NeuroglotError(
            f"{place} says that it has {numbers:,} numbers, more than {stored:,} bytes can hold; give all of its files."
        )
