"""What each detector says of a neuron: looked up in the book's pages without a kernel, and live in Jupyter."""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anywidget
import numpy as np
import pandas as pd
import traitlets

from ..base.errors import NeuroglotError, quoted, require_whole
from ..counts.widths import Layers, same_neurons
from ..neurons.detection import Detection
from .charts.live import front_end
from .charts.theme import data_script
from .markup import NO_FORMULAS, html, myst
from .widgets import with_page

#: Characters of base64 that a page may carry for it; of more, only the first ranks are kept.
LIMIT = 2_000_000

# Bytes that a page may hold once they are inflated: of 458,752 neurons, ten languages and eight detectors, 37 MB.
_INFLATED = 64_000_000


@dataclass(frozen=True, eq=False)
class Said(Layers):
    """What detectors say of every neuron.

    Attributes:
        detectors: their names.
        languages: codes.
        number: how many neurons of a language are its first.
        scored: int64 ``[detectors, languages]``, neurons with a score.
        best: int64 ``[detectors, layers, neurons]``, the place of the language for which the neuron's rank is lowest;
            of several, the first.
        rank: int64 of the same shape, that rank; 0 without a score.
        first: bool ``[detectors, layers, neurons, languages]``, whether it is among the language's first.
        chosen: bool of the same shape, the detector's own choice.
        widths: how many neurons each layer has, int64 ``[layers]``.
    """

    detectors: tuple[str, ...]
    languages: tuple[str, ...]
    number: int
    scored: np.ndarray
    best: np.ndarray
    rank: np.ndarray
    first: np.ndarray
    chosen: np.ndarray
    widths: np.ndarray

    @property
    def room(self) -> tuple[int, int]:
        """Layers, and neurons of the widest one."""
        _, layers, width = self.rank.shape
        return layers, width

    @property
    def layer_widths(self) -> np.ndarray:
        """How many neurons each layer has, int64 ``[layers]``."""
        return self.widths

    @classmethod
    def read(cls, detections: Mapping[str, Detection], number: int) -> "Said":
        """From detections of the same neurons and languages, by name.

        Raises:
            NeuroglotError: none, some of other neurons or languages, or a number that is none.
        """
        require_whole("number", number, 1)
        if not detections:
            raise NeuroglotError("No detector found a neuron, so there is nothing to look up.")
        one = next(iter(detections.values()))
        for name, other in detections.items():
            if other.languages != one.languages or not same_neurons(other, one):
                raise NeuroglotError(
                    f"the detection {quoted(name)} is of other neurons or languages; detect on the same statistics."
                )
        scored, best, lowest, first = [], [], [], []
        for detection in detections.values():
            ranks = detection.ranks()
            known = np.where(ranks > 0, ranks, np.iinfo(ranks.dtype).max)
            place = known.argmin(axis=-1)
            scored.append((ranks > 0).sum(axis=(0, 1)))
            best.append(place)
            lowest.append(np.take_along_axis(ranks, place[..., None], axis=-1)[..., 0])
            first.append((ranks > 0) & (ranks <= number))
        chosen = [detection.selected for detection in detections.values()]
        parts = {"scored": scored, "best": best, "rank": lowest, "first": first, "chosen": chosen}
        arrays = {name: np.stack(part) for name, part in parts.items()}
        return cls(tuple(detections), one.languages, number, **arrays, widths=one.layer_widths)

    def of(self, layer: int, neuron: int) -> pd.DataFrame:
        """One row per detector.

        Returns:
            ``detector``; ``language`` with the lowest ``rank``, and of how many (``scored``), missing without a score;
            ``first``, the languages among whose first it is; ``chosen``, those that the detector chooses it for.
        """
        self.require_neuron(layer, neuron)
        rows = []
        for at, name in enumerate(self.detectors):
            best, rank = self.best[at, layer, neuron], int(self.rank[at, layer, neuron])
            rows.append(
                {
                    "detector": name,
                    "language": self.languages[best] if rank else None,
                    "rank": rank or None,
                    "scored": int(self.scored[at, best]) if rank else None,
                    "first": self._names(self.first[at, layer, neuron]),
                    "chosen": self._names(self.chosen[at, layer, neuron]),
                }
            )
        return pd.DataFrame(rows).astype({"rank": "Int64", "scored": "Int64"})

    def agreed(self) -> tuple[int, int]:
        """The neuron that most detectors have among the first of one language; of several, the first.

        Returns:
            Its layer and its number.
        """
        times = np.where(self.real, self.first.sum(axis=0).max(axis=-1), -1)
        layer, neuron = np.unravel_index(times.argmax(), times.shape)
        return int(layer), int(neuron)

    def packed(self, limit: int = LIMIT) -> tuple[dict[str, Any], str]:
        """For a page: what a reader of the bytes needs to know, ready for JSON, and the bytes, deflated, in base64.

        Of each detector, and of all neurons in order: two bytes of ``best`` and four of ``rank``, the highest bytes of
        all neurons first; then bits of ``first`` and of ``chosen``, whole bytes for each neuron. Where that is longer
        than ``limit``, ranks beyond ``kept`` are ``kept + 1``, and their language is 0.

        Raises:
            NeuroglotError: too many neurons.
        """
        detectors, layers, width, languages = self.first.shape
        size = detectors * layers * width * (6 + 2 * -(-languages // 8))
        kept = max(int(self.scored.max()), self.number)
        data = ""
        while size <= _INFLATED:
            data = _deflated(b"".join(self._bytes(at, kept) for at in range(detectors)))
            if len(data) <= limit or kept == self.number:
                break
            kept = max(kept // 2, self.number)
        if not data or len(data) > limit:
            raise NeuroglotError(
                f"What {detectors} detectors say of {self.n_neurons:,} neurons in {languages} languages is too much "
                "for a page; Detection.ranks() has it."
            )
        named = [
            {"name": name, "chooses": bool(chosen.any()), "scored": scored.tolist()}
            for name, chosen, scored in zip(self.detectors, self.chosen, self.scored, strict=True)
        ]
        head = {"shape": [layers, width], "languages": list(self.languages), "detectors": named}
        head |= {} if self.ragged is None else {"widths": self.widths.tolist()}
        return head | {"number": self.number, "kept": kept}, data

    def _bytes(self, at: int, kept: int) -> bytes:
        """Those of one detector."""
        rank = np.minimum(self.rank[at], kept + 1)
        best = np.where((rank > 0) & (rank <= kept), self.best[at], 0)
        numbers = best.astype(">u2"), rank.astype(">u4")
        planes = [part.reshape(-1, 1).view(np.uint8).T.tobytes() for part in numbers]
        bits = [np.packbits(part[at], axis=-1).tobytes() for part in (self.first, self.chosen)]
        return b"".join([*planes, *bits])

    def html(self, layer: int, neuron: int) -> str:
        """A sentence and a table, as lookup.js has them, for paper."""
        heads = ["detector", "best rank", f"among the first {self.number:,} of", "its own choice"]
        head = "".join(f'<th scope="col">{html(name)}</th>' for name in heads)
        rows = "".join(
            f'<tr><th scope="row">{html(first)}</th>{"".join(f"<td>{html(cell)}</td>" for cell in rest)}</tr>'
            for first, *rest in self._cells(layer, neuron)
        )
        said = f'<p class="neuroglot-status">{html(self.summary(layer, neuron))}</p>'
        return f"{said}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def summary(self, layer: int, neuron: int) -> str:
        """How many detectors have the neuron among the first of a language, and of which."""
        self.require_neuron(layer, neuron)
        first = self.first[:, layer, neuron]
        times = dict(zip(self.languages, first.sum(axis=0).tolist(), strict=True))
        most = sorted(((code, n) for code, n in times.items() if n), key=lambda one: -one[1])
        which = f" ({', '.join(f'{code} {n}' for code, n in most)})" if most else ""
        return (
            f"Layer {layer}, neuron {neuron}. Detectors that have it among the first {self.number:,} of a language: "
            f"{first.any(axis=-1).sum()} of {len(self.detectors)}{which}."
        )

    def _cells(self, layer: int, neuron: int) -> list[list[str]]:
        chooses = {name: bool(chosen.any()) for name, chosen in zip(self.detectors, self.chosen, strict=True)}
        found = []
        for row in self.of(layer, neuron).to_dict("records"):
            scored = not pd.isna(row["rank"])
            place = f"{row['rank']:,} of {row['scored']:,} ({row['language']})" if scored else "no score"
            own = (row["chosen"] or "none") if chooses[row["detector"]] else "makes none"
            found.append([row["detector"], place, row["first"] or "none", own])
        return found

    def _names(self, among: np.ndarray) -> str:
        return " ".join(code for code, there in zip(self.languages, among, strict=True) if there)


def _deflated(data: bytes) -> str:
    """In base64; beside ranks, which are close to noise, there are runs of one byte, and nothing else repeats."""
    deflate = zlib.compressobj(9, strategy=zlib.Z_RLE)
    return base64.b64encode(deflate.compress(data) + deflate.flush()).decode()


class NeuronLookup(anywidget.AnyWidget):
    """A layer, a neuron, and what each detector says of it.

    In a page it opens on the neuron in the address (``#layer=3&neuron=117``), and without a script it shows one neuron.

    Args:
        detections: by name, of the same statistics.
        number: how many neurons of each language are its first.
        browser: address of the page with a :class:`neuroglot.NeuronBrowser`, which the neuron is linked to; in pages
            only.
        layer, neuron: where to start; default: the neuron that most detectors give the same language.

    Raises:
        NeuroglotError: no detections, some of other neurons or languages, no such neuron, or too many for a page.
    """

    _esm = "\n".join(map(front_end, ("identify.js", "page.js", "lookup.js", "looked.js")))
    _css = front_end("neuroglot.css")
    given = traitlets.Dict().tag(sync=True)
    layer = traitlets.Int().tag(sync=True)
    neuron = traitlets.Int().tag(sync=True)

    def __init__(
        self,
        detections: Mapping[str, Detection],
        number: int = 100,
        *,
        browser: str | None = None,
        layer: int | None = None,
        neuron: int | None = None,
    ) -> None:
        self.said, self._browser = Said.read(detections, number), browser
        first = self.said.agreed()
        place = [own if given is None else given for given, own in zip((layer, neuron), first, strict=True)]
        self.said.require_neuron(*place)
        head, packed = self.said.packed()
        super().__init__(given={"head": head, "packed": packed}, layer=place[0], neuron=place[1])

    @property
    def table(self) -> pd.DataFrame:
        """What is said of the neuron on the screen: :meth:`Said.of`."""
        return self.said.of(self.layer, self.neuron)

    def html(self) -> str:
        """The same for a page: one neuron for paper, and what the book's script needs."""
        settings = {"layer": self.layer, "neuron": self.neuron}
        script = data_script({**self.given, "settings": settings, "browser": self._browser})
        shown = self.said.html(self.layer, self.neuron)
        return f'<div data-neuroglot="lookup" class="neuroglot-lookup {NO_FORMULAS}">{shown}{script}</div>'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return with_page(super()._repr_mimebundle_(**options), self.html())


def look_up(detections: Mapping[str, Detection], number: int, browser: str | None = None) -> Any:
    """A :class:`NeuronLookup`, or, in Markdown, why there is none."""
    from IPython.display import Markdown

    try:
        return NeuronLookup(detections, number, browser=browser)
    except NeuroglotError as error:
        return Markdown(f"*{myst(error)}*")
