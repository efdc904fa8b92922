"""One picture of all neurons: a pixel each, layer under layer, coloured by type."""

import base64
import json
import math
import struct
import zlib

import numpy as np
from IPython.display import HTML

from ...counts.widths import in_words
from ...neurons.identification import KINDS, NeuronTypes
from ..markup import html
from .theme import KIND_COLORS

# CSS pixels: the widest the picture gets, and as high as it may be where its neurons allow.
_WIDTH, _HEIGHT = 720, 710
# Pixels of no neuron; in the palette after the types.
_NOTHING = len(KINDS)
# Pixels from one layer's number to the next; a phone shows half of them.
_LABEL_HEIGHT = 28
# How much of an unclassified neuron's colour is seen, of 255: enough to show where a layer is.
_FAINT = 36


def neuron_map(types: NeuronTypes, browser: str | None = None) -> HTML:
    """Every neuron as one block of pixels: layers from the top, each wrapped to rows.

    The figure's data attributes say where a neuron is: neuron j of layer i is in column ``j % columns`` of row
    ``i * (rows + gap) + j // columns``, and the picture has ``columns`` columns and ``layers * (rows + gap) - gap``
    rows, each ``cell`` CSS pixels wide and high at full width. ``width`` is the number of neurons in a layer, the most
    there are where layers differ, and then ``widths`` has them all; ``languages`` and ``neurons`` say what each is
    (see :func:`_packed`).

    Args:
        types: neurons of any model; beyond about half a million the picture is higher than a screen.
        browser: address of the page that shows one neuron, which a script opens at a click (``data-browser``).
    """
    layers, width = types.codes.shape
    columns, rows, cell, gap = _layout(layers, width)
    pixels = _pixels(np.where(types.real, types.codes, _NOTHING), columns, rows, gap)
    counts = types.sizes()
    shares = {kind: f"{counts[kind]:,} {kind}" for kind in (*KINDS[1:], KINDS[0])}
    size = f"All {types.n_neurons:,} neurons, {layers} layers of {in_words(types.layer_widths)}"
    alt = f"{size}, one block each: {', '.join(shares.values())}."
    data = {"columns": columns, "rows": rows, "layers": layers, "width": width, "cell": cell, "gap": gap}
    data |= {} if types.ragged is None else {"widths": json.dumps(types.layer_widths.tolist())}
    if browser is not None:
        data |= {"browser": html(browser), "languages": html(json.dumps(types.languages)), "neurons": _packed(types)}
    attributes = " ".join(f'data-{name}="{value}"' for name, value in data.items())
    picture = base64.b64encode(_png(pixels)).decode()
    legend = "".join(_legend(kind, text) for kind, text in shares.items())
    return HTML(
        f'<figure class="neuroglot-map" {attributes} style="margin:0;max-width:{columns * cell + 30}px">'
        f'<figcaption style="font-size:.8rem;margin:0 0 .5rem 30px">{legend}</figcaption>'
        '<div style="position:relative;padding-left:30px">'
        f'<div aria-hidden="true">{_labels(layers, rows, gap, cell, len(pixels))}</div>'
        f'<img alt="{html(alt)}" width="{columns * cell}" height="{len(pixels) * cell}" '
        'style="display:block;width:100%;height:auto;image-rendering:pixelated" '
        f'src="data:image/png;base64,{picture}"></div></figure>'
    )


def place(types: NeuronTypes, layer: np.ndarray, neuron: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of neurons in the picture."""
    columns, rows, _, gap = _layout(*types.codes.shape)
    return neuron % columns, layer * (rows + gap) + neuron // columns


def _layout(layers: int, width: int) -> tuple[int, int, int, int]:
    """Columns, rows of a layer, CSS pixels of a neuron, and rows between layers: blocks as large as fit."""
    for cell in (6, 5, 4, 3, 2, 1):
        gap = max(1, 2 // cell)
        rows = math.ceil(width / (_WIDTH // cell))
        if (layers * (rows + gap) - gap) * cell <= _HEIGHT or cell == 1:
            break
    return math.ceil(width / rows), rows, cell, gap


def _pixels(codes: np.ndarray, columns: int, rows: int, gap: int) -> np.ndarray:
    """Palette indices, uint8 ``[layers * (rows + gap) - gap, columns]``."""
    layers, width = codes.shape
    picture = np.full((layers, (rows + gap) * columns), _NOTHING, dtype=np.uint8)
    picture[:, :width] = codes
    return picture.reshape(-1, columns)[: layers * (rows + gap) - gap]


def _packed(types: NeuronTypes) -> str:
    """Deflated in base64: each neuron's type as a byte, then bits of the languages of those specific or related."""
    own = types.active & np.isin(types.kind, ["specific", "related"])[..., None]
    return base64.b64encode(zlib.compress(types.codes.tobytes() + np.packbits(own, axis=-1).tobytes(), 9)).decode()


def _png(pixels: np.ndarray) -> bytes:
    """An indexed PNG (ISO/IEC 15948) of palette indices ``[rows, columns]``, 8 bits each."""
    height, width = pixels.shape
    palette = bytes.fromhex("".join(KIND_COLORS[kind][1:] for kind in KINDS)) + bytes(3)
    opacity = bytes([_FAINT, *[255] * (len(KINDS) - 1), 0])
    lines = np.hstack([np.zeros((height, 1), dtype=np.uint8), pixels]).tobytes()  # each begins with its filter: none
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0),
        b"PLTE": palette,
        b"tRNS": opacity,
        b"IDAT": zlib.compress(lines, 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    )


def _labels(layers: int, rows: int, gap: int, cell: int, height: int) -> str:
    """Numbers of the layers beside the middle of their rows, as many as are not too close."""
    step = math.ceil(_LABEL_HEIGHT / ((rows + gap) * cell))
    style = (
        "position:absolute;left:0;width:24px;text-align:right;font-size:11px;line-height:1;transform:translateY(-50%)"
    )
    return "".join(
        f'<span style="{style};top:{100 * (layer * (rows + gap) + rows / 2) / height:.3f}%">{layer}</span>'
        for layer in range(0, layers, step)
    )


def _legend(kind: str, text: str) -> str:
    red, green, blue = bytes.fromhex(KIND_COLORS[kind][1:])
    ground = f"rgba({red},{green},{blue},{_FAINT / 255:.2f})" if kind == "unclassified" else KIND_COLORS[kind]
    box = f"display:inline-block;width:.75em;height:.75em;margin-right:.35em;background:{ground}"
    return f'<span style="display:inline-block;margin-right:1.1em"><span style="{box}"></span>{text}</span>'
