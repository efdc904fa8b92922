"""Sets of neurons wherever they were found: one open format, and the files of others read and written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..base.artifacts import is_safetensors, kind_of, load_artifact, save_artifact
from ..base.columns import read_columns, require_once, write_columns
from ..base.errors import NeuroglotError, in_a_line, is_number, listed, quoted
from ..base.files import open_plain, require_file
from ..base.provenance import table as provenance_table
from ..base.tensors import MAGIC, read_tensors, whole_numbers, write_tensors
from ..counts.activations import ActivationStats
from ..counts.widths import Width, each, in_words
from ..text.languages import languages_of, parse_languages, require_codes
from .agreement import Selection, mask
from .detection import Detection, selection
from .identification import NeuronTypes

#: What the numbers of layers and neurons are below.
BELOW = {"layer": 10_000, "neuron": 2**31}


@dataclass(frozen=True, eq=False)
class NeuronSet:
    """Which neurons are each language's, and who says so.

    A neuron may be several languages'; a language without neurons keeps its place.

    Attributes:
        languages: codes.
        indices: for each language one sorted int64 index array per layer.
        layers, width: of the model, and neurons of a layer, or where layers differ a number for each; ``None`` where
            that is not known. Where the number of layers is not, there are arrays up to the last layer that has a
            neuron.
        method: that found them; ``None`` where that is not known.
        settings: of the method.
        provenance: what is known of model (``model``, ``revision``) and text (``corpus``), as counts say it.

    Raises:
        NeuroglotError: languages that are none or named twice, or indices that are not sorted or not the model's.

    Example:
        >>> one = NeuronSet(("en", "de"), (([3, 7], []), ([], [7])), layers=2, width=48)
        >>> one.sizes()
        {'en': 2, 'de': 1}
    """

    languages: tuple[str, ...]
    indices: Sequence[Sequence[np.ndarray]]
    layers: int | None = None
    width: int | tuple[int, ...] | None = None
    method: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "neurons"

    def __post_init__(self) -> None:
        if parse_languages(self.languages, least=1) != tuple(self.languages):
            raise NeuroglotError(f"languages {listed(self.languages)}: give codes without spaces around them.")
        for name, below in zip(("layers", "width"), BELOW.values(), strict=True):
            number = getattr(self, name)
            if name == "width" and isinstance(number, list | tuple):
                self._require_widths(tuple(number))
            elif number is not None and not (type(number) is int and 0 < number <= below):
                raise NeuroglotError(f"{name}={quoted(number)}: give a whole number up to {below:,}, or None.")
        if self.method is not None and not isinstance(self.method, str):
            raise NeuroglotError(f"method={quoted(self.method)}: give a name, or None.")
        if len(self.indices) != len(self.languages):
            raise NeuroglotError(f"there are {len(self.languages)} languages and neurons of {len(self.indices)}.")
        own = tuple(
            tuple(_index(code, layer, index, self._width_of(layer)) for layer, index in enumerate(layers))
            for code, layers in zip(self.languages, self.indices, strict=True)
        )
        numbers = {len(layers) for layers in own}
        if len(numbers) > 1 or (self.layers is not None and numbers != {self.layers}):
            raise NeuroglotError(
                f"there are neurons of {listed(sorted(numbers))} layers, of {self.layers or 'one number'}; give every "
                "language an index array per layer."
            )
        object.__setattr__(self, "languages", tuple(self.languages))
        object.__setattr__(self, "indices", own)

    def _require_widths(self, widths: tuple[Any, ...]) -> None:
        right = all(type(number) is int and 0 <= number <= BELOW["neuron"] for number in widths)
        if not right or len(widths) != self.layers or not any(widths):
            raise NeuroglotError(
                f"width={quoted(list(widths))}: give one whole number for each of {self.layers} layers."
            )
        same = len(set(widths)) == 1
        object.__setattr__(self, "width", widths[0] if same else widths)

    def _width_of(self, layer: int) -> int | None:
        """Neurons of a layer, where that is known."""
        if isinstance(self.width, tuple):
            return self.width[layer] if layer < len(self.width) else 0
        return self.width

    @classmethod
    def of(cls, found: Selection) -> "NeuronSet":
        """What a detection selects, the specific and related neurons of types, or any other selection."""
        if isinstance(found, NeuronSet):
            return found
        indices = [found.neurons(code) for code in found.languages]
        said: dict[str, Any] = {"layers": len(indices[0])}
        if isinstance(found, NeuronTypes):
            said |= {"method": "lambda-score", "settings": found.settings()}
        elif isinstance(found, Detection):
            said |= {"method": found.method, "settings": found.settings}
        if isinstance(found, Detection | NeuronTypes):
            said |= {"width": tuple(found.layer_widths.tolist()), "provenance": found.provenance}
        return cls(found.languages, indices, **said)

    def neurons(self, language: str) -> Sequence[np.ndarray]:
        """The neurons of a language, one sorted int64 index array per layer.

        Raises:
            NeuroglotError: unknown language.
        """
        if language not in self.languages:
            known = " ".join(self.languages)
            raise NeuroglotError(f"there is no language {quoted(language)}; the set has {known}.")
        return self.indices[self.languages.index(language)]

    def sizes(self) -> dict[str, int]:
        """Neurons of each language."""
        return {code: sum(map(len, each)) for code, each in zip(self.languages, self.indices, strict=True)}

    def table(self) -> pd.DataFrame:
        """One row per neuron and language: language, layer, neuron, in this order."""
        language, layer, neuron = self._columns()
        return pd.DataFrame(
            {"language": np.array(self.languages, dtype=object)[language], "layer": layer, "neuron": neuron}
        )

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of each neuron and language the language's place, the layer and the neuron, int64."""
        rows = [(k, layer, index) for k, each in enumerate(self.indices) for layer, index in enumerate(each)]
        sizes = [len(index) for *_, index in rows]
        language, layer = (np.repeat(np.array([row[i] for row in rows], dtype=np.int64), sizes) for i in (0, 1))
        neuron = np.concatenate([np.empty(0, np.int64), *(index for *_, index in rows)])
        return language, layer, neuron

    def select(self, languages: str | Iterable[str] | None) -> "NeuronSet":
        """The same for some of the languages, in the order given."""
        codes = parse_languages(languages, least=1)
        if codes is None or codes == self.languages:
            return self
        return replace(self, languages=codes, indices=[self.neurons(code) for code in codes])

    def fitted(self, layers: int, width: Width) -> "NeuronSet":
        """The same, of a model with so many layers of so many neurons, all alike or each with its own number.

        Raises:
            NeuroglotError: they are of another model, or some are not in it.
        """
        there, known = each(width, layers), self.layers in (None, layers)
        last = max((number for own in self.indices for number, index in enumerate(own, 1) if len(index)), default=0)
        most = max((int(index[-1]) for own in self.indices for index in own if len(index)), default=-1)
        outside = any(
            len(index) and index[-1] >= n for own in self.indices for index, n in zip(own, there, strict=False)
        )
        other = known and self.width is not None and (each(self.width, layers) != there).any()
        if not known or other or last > layers or outside:
            own = self.layers or f"{last} or more", self._widths_in_words() or f"{most + 1:,} or more"
            raise NeuroglotError(
                f"these neurons are of a model of {own[0]} layers of {own[1]} neurons, this one has {layers} of "
                f"{in_words(there)}; give neurons of this model."
            )
        none = [np.empty(0, np.int64)] * layers
        indices = [[*own[:layers], *none[len(own) :]] for own in self.indices]
        return replace(self, indices=indices, layers=layers, width=tuple(there.tolist()))

    def _widths_in_words(self) -> str:
        return "" if self.width is None else in_words(np.atleast_1d(np.array(self.width, dtype=np.int64)))

    def describe(self) -> pd.DataFrame:
        """What is known of it, as a table of two columns, ``what`` and ``value``."""
        width = self._widths_in_words() if isinstance(self.width, tuple) else self.width
        shape = f"{self.layers or 'unknown'} layers x {width or 'unknown'}"
        rows = {"method": self.method or "unknown", "layers x neurons": shape}
        rows |= {name: str(value) for name, value in self.settings.items()}
        rows |= {name: "unknown" for name in ("model", "corpus") if not self.provenance.get(name)}
        sizes = ", ".join(f"{code} {number:,}" for code, number in self.sizes().items())
        return provenance_table(self.provenance, rows | {"neurons": sizes})

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same set gives the same bytes."""
        said = {name: getattr(self, name) for name in ("layers", "width", "method", "settings", "provenance")}
        arrays = dict(zip(("language", "layer", "neuron"), self._columns(), strict=True))
        arrays = {name: array.astype(np.int32) for name, array in arrays.items()}
        save_artifact(path, self.KIND, arrays, {"languages": list(self.languages)} | said)

    @classmethod
    def load(cls, path: str | Path) -> "NeuronSet":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("language", "layer", "neuron"))
        languages = languages_of(header, path)
        columns = [arrays[name] for name in ("language", "layer", "neuron")]
        below = len(languages), *BELOW.values()
        if any(one.ndim != 1 or one.dtype.kind not in "iu" or len(one) != len(columns[0]) for one in columns) or any(
            one.size and not 0 <= int(one.min()) <= int(one.max()) < most
            for one, most in zip(columns, below, strict=True)
        ):
            raise NeuroglotError(f"{path}: languages, layers and neurons are no whole numbers of one length; mend it.")
        said = {name: header.get(name) for name in ("layers", "width", "method")}
        if not isinstance(header.get("settings"), dict):
            raise NeuroglotError(f"{path} lacks its settings; make it again.")
        try:
            language, layer, neuron = (one.astype(np.int64) for one in columns)
            indices = _indices(len(languages), language, layer, neuron, said["layers"])
            return cls(languages, indices, **said, settings=header["settings"], provenance=header["provenance"])
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error


def _index(code: str, layer: int, index: Any, width: int | None) -> np.ndarray:
    """One layer's neurons as an array."""
    found = np.asarray(index)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise NeuroglotError(f"{code}, layer {layer}: the neurons are no list of whole numbers.")
    found = found.astype(np.int64)
    most = BELOW["neuron"] if width is None else width
    if found.size and not most:
        raise NeuroglotError(f"{code}, layer {layer}: there are no neurons in this layer.")
    if found.size and not 0 <= int(found.min()) <= int(found.max()) < most:
        wrong = found[(found < 0) | (found >= most)][0]
        raise NeuroglotError(f"{code}, layer {layer}: there is no neuron {wrong}; they are 0 to {most - 1:,}.")
    if (np.diff(found) <= 0).any():
        raise NeuroglotError(f"{code}, layer {layer}: a neuron is named twice or out of order; sort them, each once.")
    return found


def _indices(
    languages: int, language: np.ndarray, layer: np.ndarray, neuron: np.ndarray, layers: Any = None
) -> list[list[np.ndarray]]:
    """Index arrays by language and layer, of columns of one length."""
    number = int(layer.max(initial=-1)) + 1
    if is_number(layers) and number <= layers <= BELOW["layer"]:
        number = int(layers)
    order = np.lexsort((neuron, layer, language))
    bins = (language * number + layer)[order]
    ends = np.searchsorted(bins, np.arange(1, languages * number))
    parts = np.split(neuron[order], ends) if number else []
    return [parts[k * number : (k + 1) * number] for k in range(languages)]


# --- files of others -----------------------------------------------------------------------------


def read_neurons(path: str | Path, languages: str | Iterable[str] | None = None) -> NeuronSet:
    """Read which neurons are each language's, from what others publish or from our own files.

    Args:
        path: LAPE's ``*.neuron.pth`` or the masks released with arXiv 2505.21505 (a list over languages of a list over
            layers of index tensors); CSV or Parquet with columns ``layer``, ``neuron``, ``language``, whatever else
            they have; or a file of ours: a set, a detection, or types, whose specific and related neurons are taken.
        languages: codes. Of masks, which do not name theirs, all, in the order of the file. Of a table all, in the
            order wanted, also those without a row; default: those with one. Of our files some, in the order wanted.

    Raises:
        NeuroglotError: an unreadable file, a language too many or too few, or a neuron that is none or named twice.
    """
    path = require_file(path, "give one that is there")
    if is_safetensors(path):
        ours = {one.KIND: one for one in (Detection, NeuronTypes)}
        return NeuronSet.of(ours.get(kind_of(path), NeuronSet).load(path)).select(languages)
    codes = parse_languages(languages, least=1)
    with open_plain(path) as file:
        start = file.read(len(MAGIC))
    if start == MAGIC:
        return _of_masks(path, codes)
    if start.startswith(b"\x80"):
        raise NeuroglotError(f"{path} is a pickle, which could run code; save it with torch 1.6 or later.")
    return _of_table(path, codes)


def _of_masks(path: Path, codes: tuple[str, ...] | None) -> NeuronSet:
    what = "masks of neurons, a list over languages of a list over layers of index tensors"
    content = read_tensors(path, what)
    if not isinstance(content, list) or not all(isinstance(each, list) for each in content):
        raise NeuroglotError(f"{path} holds no {what}; give such a file.")
    if codes is None or len(codes) != len(content):
        given = " and does not name them" if codes is None else f", not {len(codes)}"
        raise NeuroglotError(
            f"{path} has neurons of {len(content)} languages{given}; give their codes in its order (languages=; "
            "neuroglot neurons --languages writes a file that has them)."
        )
    tensors = [one for each in content for one in each]
    if sum(one.numel() for one in tensors if isinstance(one, torch.Tensor)) > path.stat().st_size:
        raise NeuroglotError(f"{path} names more neurons than it can hold; give another file.")
    if max(map(len, content)) > BELOW["layer"]:
        raise NeuroglotError(f"{path} has neurons of {max(map(len, content)):,} layers; give those of one model.")
    try:
        numbers = [[whole_numbers(one) for one in each] for each in content]
    except (ValueError, RuntimeError) as error:
        raise NeuroglotError(f"{path} holds no {what} ({in_a_line(error, 100)}); give such a file.") from error
    try:
        indices = [[np.sort(one) if one.ndim == 1 else one for one in each] for each in numbers]
        return NeuronSet(codes, indices, layers=len(content[0]) or None)
    except NeuroglotError as error:
        raise NeuroglotError(f"{path}: {error}") from error


def _of_table(path: Path, codes: tuple[str, ...] | None) -> NeuronSet:
    table = read_columns(path, BELOW, ["language"])
    require_once(path, table, ["layer", "neuron", "language"])
    there = tuple(dict.fromkeys(table["language"]))
    require_codes(there, str(path))
    if not (codes := codes or there):
        raise NeuroglotError(f"{path} has no row, so it names no language; give the codes (languages=).")
    if unknown := [code for code in there if code not in codes]:
        row = table.index[(table["language"] == unknown[0]).to_numpy()][0]
        raise NeuroglotError(
            f"{path}: row {row}, column language: {quoted(unknown[0])} is none of {' '.join(codes)}; name it, too."
        )
    place = table["language"].map({code: k for k, code in enumerate(codes)}).to_numpy(dtype=np.int64)
    return NeuronSet(codes, _indices(len(codes), place, table["layer"].to_numpy(), table["neuron"].to_numpy()))


def write_neurons(path: str | Path, found: Selection) -> None:
    """Write which neurons are each language's, for whoever reads such files.

    Args:
        path: its ending says how: ``.safetensors`` the open format, with all that is known; ``.csv`` or ``.parquet`` a
            table (``language``, ``layer``, ``neuron``); ``.pth`` or ``.pt`` LAPE's list over languages of a list over
            layers of index tensors. The last three say nothing of model and method; a table says nothing of a language
            without neurons or of layers after the last neuron's, tensors name no language.
        found: a set, a detection, types (their specific and related neurons), or any other selection.

    Raises:
        NeuroglotError: another ending.
    """
    one, ending = NeuronSet.of(found), Path(path).suffix
    if ending == ".safetensors":
        one.save(path)
    elif ending in (".csv", ".parquet"):
        write_columns(path, one.table())
    elif ending in (".pth", ".pt"):
        write_tensors(path, [[torch.from_numpy(index.copy()) for index in each] for each in one.indices])
    else:
        raise NeuroglotError(f"{path}: use .safetensors, .csv, .parquet or .pth.")


# --- in a chapter --------------------------------------------------------------------------------


def read_fitting(path: str | Path, languages: Sequence[str], layers: int, width: Width) -> NeuronSet:
    """Neurons of a file, for a run: of its languages, in its order, and of its model's shape.

    Raises:
        NeuroglotError: an unreadable file, one of other languages or that does not name them, or of another model.
    """
    found = read_neurons(path)
    if set(found.languages) != set(languages):
        raise NeuroglotError(
            f"{path} has neurons of {' '.join(found.languages)}, this run is of {' '.join(languages)}; take the same "
            "(neuroglot neurons --languages names them)."
        )
    try:
        return found.select(languages).fitted(layers, width)
    except NeuroglotError as error:
        raise NeuroglotError(f"{path}: {error}") from error


def stood_in_for(path: str | Path, stats: ActivationStats) -> Selection:
    """What random neurons stand in for (``like`` of :func:`~neuroglot.neurons.methods.random`).

    Args:
        path: a detection or neuron types, or whatever :func:`read_neurons` reads and that names its languages.
        stats: of the same model and languages.

    Raises:
        NeuroglotError: an unreadable file, or one of other languages or of another model.
    """
    if is_safetensors(path) and kind_of(path) != NeuronSet.KIND:
        return selection(path)
    return read_fitting(path, stats.languages, stats.room[0], stats.layer_widths)


def in_place_of(types: NeuronTypes, path: str | Path | None) -> NeuronTypes:
    """Types whose language neurons are those of a file, at the scores of the run; the types themselves without one.

    A neuron of the file is specific where it is one language's, related where it is several's, general where it is
    all languages'; all others are unclassified. Lambda and tau say nothing of them.

    Args:
        types: of the run.
        path: whatever :func:`read_neurons` reads and that names its languages, of the same model and languages.
    """
    if path is None:
        return types
    found = read_fitting(path, types.languages, types.room[0], types.layer_widths)
    active = np.stack([mask(found.neurons(code), types.room[1]) for code in types.languages], axis=-1)
    said = {"file": Path(path).name, "method": found.method, "model": found.provenance.get("model")}
    provenance = types.provenance | {"outside": said}
    selected: np.ndarray = np.any(active, axis=-1)
    return replace(types, selected=selected, active=active, starved=None, provenance=provenance)
