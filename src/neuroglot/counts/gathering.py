"""What detectors read beside counts: how a neuron's values are distributed, and what they are over each text."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ..base.errors import NeuroglotError, require_names

#: What can be gathered: a histogram of the values in each language; and over each text's counted tokens the largest
#: value, the sum of the absolute values, and the value at the last of them.
KINDS = ("histograms", "maxima", "absolute", "last")
_OF_TEXTS = KINDS[1:]

# Powers of two between which sizes are told apart; two bins to each power.
_LOWEST, _HIGHEST = -12, 8
_SIZES = 2 * (_HIGHEST - _LOWEST)
#: Bins of a histogram.
BINS = 2 * _SIZES + 1


def edges() -> np.ndarray:
    """The lower edges of a histogram's bins, float64 ``[BINS]``.

    A rule, the same for every neuron and model: sizes ``2**n`` and ``1.5 * 2**n`` from 2**-12 to 1.5 * 2**7, of
    either sign. The bin in the middle holds what is smaller, the outer ones all that is larger. The lower edge of a
    positive bin is in it, that of a negative one is not: there it is the edge nearer to zero that is.
    """
    sizes = np.ldexp(np.tile([1.0, 1.5], _HIGHEST - _LOWEST), np.repeat(np.arange(_LOWEST, _HIGHEST), 2))
    return np.concatenate([[-np.inf], -sizes[:0:-1], [-sizes[0]], sizes])


def bins_of(values: torch.Tensor) -> torch.Tensor:
    """The bin of every value, int32 of the same shape: read off the number's own sign, exponent and first digit."""
    bits = values.float().view(torch.int32)
    size = bits.bitwise_and(0x7FFFFFFF).bitwise_right_shift_(22)  # exponent and first digit of the fraction
    size = size.sub_(2 * (127 + _LOWEST) - 1).clamp_(0, _SIZES)
    negative = bits.bitwise_right_shift(31)  # -1 or 0: what follows turns the sign, where torch.where takes far longer
    return size.bitwise_xor_(negative).sub_(negative).add_(_SIZES)


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a pass gathered beside its counts; ``None`` where it was not asked for.

    The value is the activation, or what enters the down projection where that was counted. In a mixture of experts it
    is 0 at a token that was not routed to a neuron's expert, which writes nothing there; so it is where a layer of
    fewer neurons than the widest has none.

    Attributes:
        histograms: ``[layers, neurons, languages, BINS]``, whole numbers: counted tokens with the value in each bin.
        maxima, absolute, last: float32 ``[layers, texts, neurons]``: over a text's counted tokens the largest value,
            the sum of the absolute values, and the value at the last of them.
        text_languages, text_shards: int64 ``[texts]``: of each text the number of its language, and of its shard.

    Raises:
        NeuroglotError: shapes that do not fit each other, or values that cannot be.
    """

    histograms: np.ndarray | None = None
    maxima: np.ndarray | None = None
    absolute: np.ndarray | None = None
    last: np.ndarray | None = None
    text_languages: np.ndarray | None = None
    text_shards: np.ndarray | None = None

    def require_fit(self, shape: tuple[int, int, int], tokens: np.ndarray) -> None:
        """Whether this is of neurons and languages of this shape, and of so many counted tokens a language."""
        layers, neurons, languages = shape
        if (found := self.histograms) is not None:
            whole = np.issubdtype(found.dtype, np.integer)
            if found.shape != (*shape, BINS) or not whole or (found.size and found.min() < 0):
                raise NeuroglotError(f"histograms of shape {found.shape} do not fit the counts; count again.")
            if (found.sum(axis=-1, dtype=np.int64) != tokens).any():
                raise NeuroglotError("some histograms do not hold the tokens that were counted; count again.")
        per_text = [getattr(self, name) for name in _OF_TEXTS if getattr(self, name) is not None]
        if not per_text:
            return
        places = (self.text_languages, self.text_shards)
        if any(place is None or place.ndim != 1 or not np.issubdtype(place.dtype, np.integer) for place in places):
            raise NeuroglotError("values of texts come without the texts' languages and shards; count again.")
        assert self.text_languages is not None and self.text_shards is not None
        texts = len(self.text_languages)
        own = self.text_languages
        fits = len(self.text_shards) == texts and (not texts or (own.min() >= 0 and own.max() < languages))
        for array in per_text:
            real = np.issubdtype(array.dtype, np.floating)
            if not fits or array.shape != (layers, texts, neurons) or not real or not _all(np.isfinite, array):
                raise NeuroglotError(f"values of texts of shape {array.shape} do not fit, or are not finite.")
        if self.absolute is not None and not _all(lambda layer: layer >= 0, self.absolute):
            raise NeuroglotError("some sums of absolute values are negative; count again.")

    @property
    def kinds(self) -> tuple[str, ...]:
        """What there is, of :data:`KINDS`."""
        return tuple(name for name in KINDS if getattr(self, name) is not None)

    def arrays(self) -> dict[str, np.ndarray]:
        """What there is, by name, as a file holds it."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: array for name, array in own.items() if array is not None}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Gathered | None":
        """Of a file's arrays, ``None`` if it has none of these."""
        own = {field.name: arrays[field.name] for field in fields(cls) if field.name in arrays}
        return cls(**own) if own else None

    def select(self, index: Sequence[int]) -> "Gathered":
        """Some of the languages, by their numbers, in this order."""
        histograms = None if self.histograms is None else self.histograms[:, :, list(index)]
        if self.text_languages is None:
            return Gathered(histograms)
        place = {old: new for new, old in enumerate(index)}
        kept = np.flatnonzero(np.isin(self.text_languages, list(index)))
        languages = np.array([place[int(k)] for k in self.text_languages[kept]], dtype=np.int64)
        return self._texts(kept, histograms, languages)

    def take(self, shards: Iterable[int]) -> "Gathered | None":
        """The texts of some of the shards, which get new numbers in this order; histograms are of the whole only."""
        if self.text_shards is None or self.text_languages is None:
            return None
        index = list(shards)
        kept = np.flatnonzero(np.isin(self.text_shards, index))
        found = self._texts(kept, None, self.text_languages[kept])
        assert found.text_shards is not None
        numbers = np.array([index.index(int(shard)) for shard in found.text_shards], dtype=np.int64)
        return Gathered(**found.arrays() | {"text_shards": numbers})

    def in_one_shard(self) -> "Gathered":
        """The same texts, all of shard 0."""
        assert self.text_shards is not None
        return Gathered(**self.arrays() | {"text_shards": np.zeros_like(self.text_shards)})

    def joined(self, other: "Gathered", shards: int) -> "Gathered":
        """With what was gathered of other text, whose shards come after these, so many; both of the same kinds."""
        found: dict[str, Any] = {}
        for name, array in self.arrays().items():
            theirs = other.arrays()[name]
            if name == "histograms":
                found[name] = array.astype(np.int64) + theirs
                found[name] = found[name].astype(np.min_scalar_type(int(found[name].max(initial=0))))
            elif name == "text_shards":
                found[name] = np.concatenate([array, theirs + shards])
            else:
                found[name] = np.concatenate([array, theirs], axis=1 if array.ndim == 3 else 0)
        return Gathered(**found)

    def with_language(self, number: int, other: "Gathered", theirs: int) -> "Gathered":
        """With one language's values those of another's text, by their numbers; both of the same kinds.

        The texts of that language come last.
        """
        found: dict[str, Any] = {}
        if self.histograms is not None and other.histograms is not None:
            found["histograms"] = self.histograms.astype(np.result_type(self.histograms, other.histograms))
            found["histograms"][:, :, number] = other.histograms[:, :, theirs]
        if self.text_languages is None or other.text_languages is None:
            return Gathered(**found)
        kept, added = np.flatnonzero(self.text_languages != number), np.flatnonzero(other.text_languages == theirs)
        mine = self._texts(kept, None, self.text_languages[kept])
        more = other._texts(added, None, np.full(len(added), number))
        for name, array in mine.arrays().items():
            found[name] = np.concatenate([array, more.arrays()[name]], axis=1 if array.ndim == 3 else 0)
        return Gathered(**found)

    def _texts(self, kept: np.ndarray, histograms: np.ndarray | None, languages: np.ndarray) -> "Gathered":
        own: dict[str, Any] = {name: getattr(self, name) for name in _OF_TEXTS}
        own = {name: None if array is None else array[:, kept] for name, array in own.items()}
        shards = None if self.text_shards is None else self.text_shards[kept]
        return Gathered(histograms, **own, text_languages=languages, text_shards=shards)


def _all(true: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> bool:
    """Whether something is true of all numbers; asked layer by layer, since the whole may be larger than memory."""
    return all(bool(true(layer).all()) for layer in array)


#: ``zeros(shape, dtype)``: an array of zeros, wherever there is room for it.
Zeros = Callable[[Sequence[int], npt.DTypeLike], np.ndarray]


@dataclass(frozen=True)
class Rows:
    """What each row of a pass is, on one device.

    ``mask`` bool ``[texts, tokens]``: what counts; ``places`` int64 ``[texts]``: of each text; ``languages`` int64
    ``[texts]``; ``at`` int64 ``[texts]``: its last counted token.
    """

    mask: torch.Tensor
    places: torch.Tensor
    languages: torch.Tensor
    at: torch.Tensor

    def to(self, device: torch.device) -> "Rows":
        """The same on another device."""
        return Rows(*(getattr(self, field.name).to(device) for field in fields(self)))


class Gatherer:
    """Gathers as a model runs; each text, or piece of a text, is run once.

    Args:
        layers, width: of the model.
        kinds: what of :data:`KINDS`.
        texts: how many texts there are.
        languages: how many languages.
        zeros: makes the arrays of texts; histograms are in the memory of each layer's device.
    """

    def __init__(
        self, layers: int, width: int, kinds: Sequence[str], texts: int, languages: int, zeros: Zeros = np.zeros
    ) -> None:
        self.layers, self.width, self.kinds, self.texts, self.languages = layers, width, tuple(kinds), texts, languages
        self.zeros = zeros
        self._there: dict[torch.device, Rows] = {}
        self._rows: Rows | None = None
        self._clear()

    def _clear(self) -> None:
        self._of_texts: dict[str, torch.Tensor] = {}
        self._histograms: dict[int, torch.Tensor] = {}
        self._tokens = torch.zeros(self.languages, dtype=torch.int64)

    def _of_text(self, name: str) -> torch.Tensor:
        if name not in self._of_texts:
            shape = (self.layers, self.texts, self.width)
            self._of_texts[name] = torch.from_numpy(self.zeros(shape, np.float32))
        return self._of_texts[name]

    def begin(self, rows: Rows) -> None:
        """What the rows of the next pass are."""
        self._rows, self._there = rows, {}
        self._tokens.index_add_(0, rows.languages.cpu(), rows.mask.sum(1).cpu())

    def see(self, layer: int, value: torch.Tensor, columns: slice) -> None:
        """Values of some of a layer's neurons, ``[texts * tokens, neurons]``; those of no pass are 0."""
        assert self._rows is not None
        if value.device not in self._there:
            self._there[value.device] = self._rows.to(value.device)
        rows = self._there[value.device]
        mask, value = rows.mask, value.float().unflatten(0, rows.mask.shape)
        found = {}
        if "maxima" in self.kinds:
            bar = torch.zeros(mask.shape, device=value.device).masked_fill_(~mask, -torch.inf)
            found["maxima"] = value.add(bar[..., None]).amax(1)  # a fill of all values would take far longer
        if "absolute" in self.kinds:
            found["absolute"] = torch.bmm(mask[:, None].float(), value.abs())[:, 0]
        if "last" in self.kinds:
            # Some values are -0.0, which the sum over processes would make 0.0.
            found["last"] = value[torch.arange(len(value), device=value.device), rows.at].add(0.0)
        for name, array in found.items():
            self._of_text(name)[layer, rows.places.cpu(), columns] = array.cpu()
        if "histograms" in self.kinds:
            self._add(layer, rows, value, columns)

    def _add(self, layer: int, rows: Rows, value: torch.Tensor, columns: slice) -> None:
        if layer not in self._histograms:
            shape = (self.languages * BINS, self.width)
            self._histograms[layer] = torch.zeros(shape, dtype=torch.int32, device=value.device)
        own = (rows.languages[:, None] * BINS).expand(rows.mask.shape)[rows.mask]
        index = bins_of(value[rows.mask]).long() + own[:, None]
        self._histograms[layer][:, columns].scatter_add_(0, index, torch.ones_like(index, dtype=torch.int32))

    def take(self) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """What was gathered; starts again at nothing.

        ``histograms``: of each layer, on its device, int32 ``[languages, BINS, width]``; others float32
        ``[layers, texts, width]`` on the CPU, 0 where a text was not run.
        """
        found: dict[str, torch.Tensor | list[torch.Tensor]] = {
            name: self._of_text(name) for name in self.kinds if name in _OF_TEXTS
        }
        if "histograms" in self.kinds:
            shape = (self.languages * BINS, self.width)
            own = (self._histograms.get(n, torch.zeros(shape, dtype=torch.int32)) for n in range(self.layers))
            found["histograms"] = [self._with_zeros(layer.unflatten(0, (self.languages, BINS))) for layer in own]
        self._clear()
        return found

    def _with_zeros(self, histograms: torch.Tensor) -> torch.Tensor:
        """With 0 at every token that has no value of a neuron, in place."""
        with torch.inference_mode():  # they were made in one
            rest = self._tokens.to(histograms.device)[:, None] - histograms.sum(1, dtype=torch.int64)
            histograms[:, BINS // 2] += rest.to(torch.int32)
        return histograms


@dataclass(frozen=True)
class Needs:
    """Bytes that gathering needs.

    Attributes:
        memory: where all of it is held in memory.
        least: memory, where what does not have to be there is in files.
        scratch: of files without a name, where it is; they are gone with the run.
        parts, result: of the unfinished parts beside the file, and of the file.
    """

    memory: int
    least: int
    scratch: int
    parts: int
    result: int

    @classmethod
    def of(
        cls,
        kinds: Sequence[str],
        shape: tuple[int, int, int],
        texts: int,
        tokens: int,
        parts: Sequence[tuple[int, int]],
    ) -> "Needs":
        """Of a run.

        Args:
            kinds: what of :data:`KINDS`.
            shape: ``(layers, neurons, languages)``.
            texts: how many there are.
            tokens: counted in the language that has most.
            parts: the same two numbers of each part; there, a piece of a text is one.
        """
        layers, neurons, languages = shape
        bins = layers * neurons * languages * BINS * ("histograms" in kinds)
        row = 4 * layers * neurons * sum(name in kinds for name in _OF_TEXTS)
        pieces, largest = sum(n for n, _ in parts), max(n for n, _ in parts)
        size, *sizes = (np.min_scalar_type(most).itemsize for most in (tokens, *(most for _, most in parts)))
        together = bins * (4 + max(size, *sizes)) + row * (largest + texts)  # the sum, and a part or the result
        return cls(
            memory=4 * bins + together + row * pieces,
            least=4 * bins + (bins * (4 + size) + row * (2 * pieces + texts)) // layers,
            scratch=together,
            parts=bins * sum(sizes) + row * pieces,
            result=bins * size + row * texts,
        )


def require_kinds(gather: str | Iterable[str] | None) -> tuple[str, ...]:
    """What is to be gathered, in the order of :data:`KINDS`.

    Raises:
        NeuroglotError: something that cannot be gathered.
    """
    asked = require_names("gather", gather, KINDS)
    return tuple(name for name in KINDS if name in asked)
