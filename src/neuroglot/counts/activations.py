"""How often each neuron is active in each language: the counts, saved with their provenance."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from ..base.artifacts import load_artifact, require_tokens, save_artifact
from ..base.errors import NeuroglotError, listed, quoted
from ..base.provenance import table
from ..base.records import content_hash
from ..text.languages import languages_of, parse_languages, require_codes
from .gathering import Gathered
from .widths import Layers, in_words

# --- the counts --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ActivationStats(Layers):
    """Activation counts of every neuron in every language, per shard of the corpus.

    Attributes:
        shard_counts: ``[shards, layers, neurons, languages]``, unsigned or int64: counted tokens
            for which the neuron was active (``act_fn(x W) > 0``).
        shard_tokens: ``[shards, languages]`` int64: counted (response) tokens.
        languages: codes, in the order of the last axis.
        provenance: what was counted on what, with which settings and versions. Of a part of some counts it says which:
            ``selected_languages``, ``selected_shards``, or, where shards were added up, ``merged_shards``, each shard
            as often as it went in, by its number in what was counted.
        shard_routed: in a mixture of experts, ``[shards, layers, experts, languages]`` int64: counted
            tokens that each expert saw. The neurons of a layer are those of its experts, one
            expert after the other. ``None`` in a dense model. With ``widths``, of each part of a layer instead.
        sums, squares: where moments were asked for, float64 ``[layers, neurons, languages]``: the
            sum over all counted tokens of the neuron's value, and of its square.
        gathered: where it was asked for, what detectors read of the values.
        widths: where layers have parts of different kinds or widths, int64 ``[layers, parts]``: how many neurons each
            part of each layer has, one part after the other. A part is an MLP that every token goes through, or an
            expert. Where a layer has fewer neurons than others, or none, the last columns of its counts are no neurons:
            they are 0, and no probability stands there (:attr:`real`). ``None`` where all layers are alike.

    Raises:
        NeuroglotError: shapes that do not fit, or a count that is negative or above its tokens.

    Example:
        >>> stats.tokens.tolist()
        [95, 93, 145]
        >>> stats.probabilities().shape
        (4, 48, 3)
    """

    shard_counts: np.ndarray
    shard_tokens: np.ndarray
    languages: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    shard_routed: np.ndarray | None = None
    sums: np.ndarray | None = None
    squares: np.ndarray | None = None
    gathered: Gathered | None = None
    widths: np.ndarray | None = None

    KIND = "activations"

    def __post_init__(self) -> None:
        counts, tokens, routed = self.shard_counts, self.shard_tokens, self.shard_routed
        k = len(self.languages)
        require_codes(self.languages, "languages")
        if counts.ndim != 4 or counts.shape[::3] != tokens.shape:
            raise NeuroglotError(
                f"counts of shape {counts.shape} and tokens of shape {tokens.shape} do not fit; they must "
                "be [shards, layers, neurons, languages] and [shards, languages]."
            )
        if counts.shape[-1] != k:
            raise NeuroglotError(f"counts of {counts.shape[-1]} languages but {k} language names; give one name each.")
        if not all(np.issubdtype(array.dtype, np.integer) for array in (counts, tokens)):
            raise NeuroglotError(f"counts are {counts.dtype} and tokens {tokens.dtype}; both must be integers.")
        if counts.size and counts.min() < 0:
            raise NeuroglotError("some counts are negative; count again.")
        require_tokens(tokens, axis=0)
        if (self.sums is None) != (self.squares is None):
            raise NeuroglotError("of the moments one is missing; count again.")
        for moment in (self.sums, self.squares):
            if moment is None:
                continue
            real = np.issubdtype(moment.dtype, np.floating)
            if moment.shape != counts.shape[1:] or not real or not np.isfinite(moment).all():
                raise NeuroglotError(f"moments of shape {moment.shape} do not fit the counts, or are not finite.")
        if self.squares is not None and (self.squares < 0).any():
            raise NeuroglotError("some sums of squares are negative; count again.")
        if self.widths is not None:
            self._check_parts(self.widths)
            if any(moment is not None and moment[~self.real].any() for moment in (self.sums, self.squares)):
                raise NeuroglotError("some moments stand where a layer has no neuron; count again.")
        elif routed is not None:
            self._check_routed(routed)
        if self.gathered is not None:
            self.gathered.require_fit(self.shape, self.tokens)
        over = np.argwhere(counts.max(axis=(1, 2), initial=0) > tokens)
        if len(over):
            shard, language = over[0]
            raise NeuroglotError(
                f"counts of {self.languages[language]} in shard {shard} exceed its "
                f"{tokens[shard, language]} tokens; a neuron cannot be active more often than there are tokens."
            )

    def _check_routed(self, routed: np.ndarray) -> None:
        counts, tokens = self.shard_counts, self.shard_tokens
        shards, layers, neurons, k = counts.shape
        fits = routed.ndim == 4 and routed.shape[::3] == (shards, k) and routed.shape[1] == layers
        if not fits or not routed.shape[2] or neurons % routed.shape[2] or not np.issubdtype(routed.dtype, np.integer):
            raise NeuroglotError(
                f"routed tokens of shape {routed.shape} do not fit counts of shape {counts.shape}; they must be "
                "integers [shards, layers, experts, languages]."
            )
        if routed.size and (routed.min() < 0 or (routed.max(axis=(1, 2), initial=0) > tokens).any()):
            raise NeuroglotError("an expert saw more tokens than there are, or fewer than none; count again.")
        if (counts.reshape(shards, layers, routed.shape[2], -1, k).max(axis=3, initial=0) > routed).any():
            raise NeuroglotError("some counts exceed the tokens that their expert saw; count again.")

    def _check_parts(self, widths: np.ndarray) -> None:
        routed, (shards, layers, neurons, k) = self.shard_routed, self.shard_counts.shape
        fits = np.issubdtype(widths.dtype, np.integer) and widths.ndim == 2 and len(widths) == layers
        if not fits or not widths.size or widths.min() < 0 or widths.sum(axis=1).max() > neurons:
            raise NeuroglotError(
                f"widths of shape {widths.shape} do not fit counts of shape {self.shard_counts.shape}."
            )
        if (
            routed is None
            or routed.shape != (shards, layers, widths.shape[1], k)
            or not np.issubdtype(routed.dtype, np.integer)
        ):
            raise NeuroglotError("tokens of each part of the layers do not fit the parts; count again.")
        if routed.min(initial=0) < 0 or (routed.max(axis=(1, 2), initial=0) > self.shard_tokens).any():
            raise NeuroglotError("a part of a layer saw more tokens than there are, or fewer than none; count again.")
        if any((own > self._spread(seen)).any() for own, seen in zip(self.shard_counts, routed, strict=True)):
            raise NeuroglotError("some counts exceed the tokens that their part of the layer saw; count again.")

    def _spread(self, of_parts: np.ndarray) -> np.ndarray:
        """``[layers, parts, ...]`` as ``[layers, neurons, ...]``; 0 where a layer has no neuron."""
        assert self.widths is not None
        spread = np.zeros((*self.shape[:2], *of_parts.shape[2:]), of_parts.dtype)
        for own, parts, widths in zip(spread, of_parts, self.widths, strict=True):
            own[: widths.sum()] = np.repeat(parts, widths, axis=0)
        return spread

    @property
    def layer_widths(self) -> np.ndarray:
        """How many neurons each layer has, int64 ``[layers]``."""
        layers, neurons, _ = self.shape
        return np.full(layers, neurons) if self.widths is None else self.widths.sum(axis=1, dtype=np.int64)

    @property
    def room(self) -> tuple[int, int]:
        """Layers, and neurons of the widest one."""
        return self.shape[:2]

    def shard_seen(self, layer: np.ndarray, neuron: np.ndarray) -> np.ndarray:
        """Tokens of each shard that some neurons saw, ``[shards, ..., languages]``, 1 long where all saw the same."""
        shards, k = self.shard_tokens.shape
        if self.shard_routed is None:
            return self.shard_tokens.reshape(shards, *(1 for _ in layer.shape), k)
        if self.widths is None:
            return self.shard_routed[:, layer, neuron // (self.shape[1] // self.shard_routed.shape[2])]
        part = (neuron[..., None] >= self.widths.cumsum(axis=1)[layer]).sum(axis=-1)
        return self.shard_routed[:, layer, part]

    @property
    def counts(self) -> np.ndarray:
        """Active tokens, ``[layers, neurons, languages]`` int64, summed over the shards."""
        counts: np.ndarray = self.shard_counts.sum(axis=0, dtype=np.int64)
        return counts

    @property
    def tokens(self) -> np.ndarray:
        """Counted tokens, ``[languages]`` int64."""
        tokens: np.ndarray = self.shard_tokens.sum(axis=0, dtype=np.int64)
        return tokens

    @property
    def routed(self) -> np.ndarray | None:
        """Tokens that each expert, or part, saw, ``[layers, experts, languages]`` int64; ``None`` in a dense model."""
        return None if self.shard_routed is None else self.shard_routed.sum(axis=0, dtype=np.int64)

    @property
    def seen(self) -> np.ndarray:
        """Counted tokens that each neuron saw, ``[layers, neurons, languages]`` int64 (read only).

        All of a language's, or in a mixture those that were routed to the neuron's expert.
        """
        if (routed := self.routed) is None:
            return np.broadcast_to(self.tokens, self.shape)
        return (
            np.repeat(routed, self.shape[1] // routed.shape[1], axis=1) if self.widths is None else self._spread(routed)
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(layers, neurons, languages)``."""
        _, layers, neurons, languages = self.shard_counts.shape
        return layers, neurons, languages

    def probabilities(self, min_tokens: int = 1) -> np.ndarray:
        """Activation probabilities ``p[i, j, k]``, float64 ``[layers, neurons, languages]``.

        The share of language k's response tokens for which neuron j of layer i is active; in a
        mixture of experts, of those routed to its expert.

        Args:
            min_tokens: in a mixture, no number stands (NaN) where the neuron saw fewer tokens of the
                language than this and than there were. A share of no tokens is never a number.

        Raises:
            NeuroglotError: a language without tokens has no probabilities.
        """
        tokens = self._tokens_of_all()
        if self.shard_routed is None:
            p: np.ndarray = self.counts / tokens
            return p
        return np.where(self.few(min_tokens), np.nan, self._shares(self.counts))

    def _tokens_of_all(self) -> np.ndarray:
        tokens = self.tokens
        if not tokens.all():
            code = self.languages[int(np.argmin(tokens))]
            raise NeuroglotError(f"no token of {code} was counted, so it has no probabilities; give it text.")
        return tokens

    def few(self, min_tokens: int) -> np.ndarray:
        """Where a neuron saw fewer tokens of a language than ``min_tokens`` and than there were; as :attr:`seen`.

        In a dense model nowhere: there every neuron sees all tokens.
        """
        few: np.ndarray = self.seen < np.minimum(min_tokens, self.tokens)
        return few

    def means(self) -> np.ndarray:
        """Mean value of each neuron over the tokens it saw, float64 ``[layers, neurons, languages]``; 0 over none.

        The value is ``act_fn(x W)``, or what enters the down projection where that was counted.

        Raises:
            NeuroglotError: moments were not asked for.
        """
        return self._moment(self.sums)

    def second_moments(self) -> np.ndarray:
        """Mean square of each neuron's value, as :meth:`means`; less the squared mean it is the variance."""
        return self._moment(self.squares)

    def _moment(self, total: np.ndarray | None) -> np.ndarray:
        if total is None:
            raise NeuroglotError("these counts hold no moments; collect them with moments=True (--moments).")
        return self._shares(total)

    def _shares(self, total: np.ndarray) -> np.ndarray:
        seen = self.seen
        shares: np.ndarray = np.divide(total, seen, out=np.zeros(total.shape), where=seen > 0)
        return shares

    def select(self, languages: str | Iterable[str] | None) -> "ActivationStats":
        """The same counts for some of the languages, in the order given."""
        codes = parse_languages(languages)
        if codes is None or codes == self.languages:
            return self
        index = [self._index(code) for code in codes]
        return ActivationStats(
            self.shard_counts[..., index],
            self.shard_tokens[:, index],
            codes,
            self.provenance | {"selected_languages": list(codes)},
            **{name: array[..., index] for name, array in self._optional().items()},
            gathered=None if self.gathered is None else self.gathered.select(index),
            widths=self.widths,
        )

    def _index(self, code: str) -> int:
        if code not in self.languages:
            raise NeuroglotError(
                f"there is no language {quoted(code)} in the counts; they have {' '.join(self.languages)}."
            )
        return self.languages.index(code)

    def _optional(self) -> dict[str, np.ndarray]:
        """The arrays that not all counts have."""
        arrays = {name: getattr(self, name) for name in _OPTIONAL}
        return {name: array for name, array in arrays.items() if array is not None}

    def take(self, shards: Iterable[int]) -> "ActivationStats":
        """The same counts for some of the shards, for instance ``range(0, n, 2)`` for one half.

        Moments and histograms are kept for the whole only, so a part has none.
        """
        index = [int(shard) for shard in shards]
        if not index or not all(0 <= i < len(self.shard_tokens) for i in index):
            raise NeuroglotError(f"shards {index}: give some of the {len(self.shard_tokens)}, counted from 0.")
        provenance = self.provenance
        if "merged_shards" not in provenance:  # what was merged is whole in every part
            provenance = provenance | {"selected_shards": self._numbers(index)}
        routed = None if self.shard_routed is None else self.shard_routed[index]
        gathered = None if self.gathered is None else self.gathered.take(index)
        own = (self.shard_counts[index], self.shard_tokens[index], self.languages, provenance, routed)
        return ActivationStats(*own, gathered=gathered, widths=self.widths)

    def merged(self, shards: Iterable[int]) -> "ActivationStats":
        """Some of the shards, counted from 0 and as often as they are named, as one; without moments and histograms.

        Values of single texts are kept where no shard is named twice.
        """
        index = [int(shard) for shard in shards]
        times = np.bincount(index, minlength=len(self.shard_tokens))
        some = np.flatnonzero(times)

        def total(arrays: np.ndarray) -> np.ndarray:
            return cast(np.ndarray, sum(times[s] * arrays[s].astype(np.int64) for s in some))[None]

        routed = None if self.shard_routed is None else total(self.shard_routed)
        own = {name: value for name, value in self.provenance.items() if name != "selected_shards"}
        own["merged_shards"] = self._numbers(index)
        gathered = None if self.gathered is None or times.max() > 1 else self.gathered.take(index)
        merged = None if gathered is None else gathered.in_one_shard()
        whole = total(self.shard_counts), total(self.shard_tokens)
        return ActivationStats(*whole, self.languages, own, routed, gathered=merged, widths=self.widths)

    def joined(self, other: "ActivationStats") -> "ActivationStats":
        """With the counts of other text, counted alike: its shards after these, moments and values of both together.

        Raises:
            NeuroglotError: counts of another model, of other languages, or counted or gathered in another way.
        """
        self._require_alike(other, self.languages == other.languages and self.shape == other.shape)
        mine, theirs = self.gathered, other.gathered
        together = dict[str, Any](self._optional())
        for name, array in other._optional().items():
            both = together[name], array
            together[name] = np.concatenate(both) if name == "shard_routed" else np.add(*both)
        together["gathered"] = None if mine is None or theirs is None else mine.joined(theirs, len(self.shard_tokens))
        inputs = [one.provenance.get("input_sha256") for one in (self, other)]
        return ActivationStats(
            np.concatenate([self.shard_counts, other.shard_counts]),
            np.concatenate([self.shard_tokens, other.shard_tokens]),
            self.languages,
            self.provenance | {"input_sha256": content_hash(inputs), "joined": inputs},
            **together,
            widths=self.widths,
        )

    def with_language(self, code: str, other: "ActivationStats") -> "ActivationStats":
        """With one language's counts, moments and values those of other text, counted alike; all others' stay.

        Where one has more shards than the other, those are empty in the other.

        Raises:
            NeuroglotError: a language that one of them lacks, or counts that :meth:`joined` would refuse.
        """
        at, there = self._index(code), other._index(code)
        self._require_alike(other, self.shape[:2] == other.shape[:2])

        def whole(array: np.ndarray, theirs: np.ndarray, by_shard: bool) -> np.ndarray:
            kept = max(len(array), len(theirs)) if by_shard else len(array)
            shape = (kept, *array.shape[1:])
            found = np.zeros(shape, np.result_type(array, theirs))
            found[: len(array)] = array
            found[..., at] = 0
            found[: len(theirs), ..., at] = theirs[..., there]
            return found

        arrays = {"shard_counts": self.shard_counts, "shard_tokens": self.shard_tokens, **self._optional()}
        made = {name: whole(array, getattr(other, name), name.startswith("shard_")) for name, array in arrays.items()}
        mine, theirs = self.gathered, other.gathered
        inputs = [one.provenance.get("input_sha256") for one in (self, other)]
        said = self.provenance | {"input_sha256": content_hash([*inputs, code]), "replaced": {code: inputs[1]}}
        both = None if mine is None or theirs is None else mine.with_language(at, theirs, there)
        return ActivationStats(**made, languages=self.languages, provenance=said, gathered=both, widths=self.widths)

    def _require_alike(self, other: "ActivationStats", same: bool) -> None:
        """Whether other counts, of the ``same`` shape as far as they must be, were counted and gathered alike."""
        if not same or not np.array_equal(self._widths(), other._widths()):
            raise NeuroglotError("counts of other languages or neurons cannot be joined; count the same.")
        alike = ("weights_sha256", "settings")
        if differ := [name for name in alike if self.provenance.get(name) != other.provenance.get(name)]:
            raise NeuroglotError(f"counts cannot be joined: {listed(differ)} differ; count alike.")
        if self._optional().keys() != other._optional().keys():
            raise NeuroglotError("of counts with moments and without none can be joined; count alike.")
        mine, theirs = self.gathered, other.gathered
        if (mine.kinds if mine is not None else ()) != (theirs.kinds if theirs is not None else ()):
            raise NeuroglotError("counts that gathered other values cannot be joined; count alike.")

    def _widths(self) -> np.ndarray:
        return np.zeros((0, 0)) if self.widths is None else self.widths

    def _numbers(self, index: list[int]) -> list[int]:
        """Which shards of what was counted some of these are."""
        merged: list[int] | None = self.provenance.get("merged_shards")
        if merged is not None:
            return merged * len(index)
        known = self.provenance.get("selected_shards")
        return index if known is None else [known[i] for i in index]

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same counts give the same bytes."""
        largest = int(self.shard_counts.max(initial=0))
        arrays = {
            "shard_counts": self.shard_counts.astype(np.min_scalar_type(largest)),
            "shard_tokens": self.shard_tokens.astype(np.int64),
            **self._optional(),
            **({} if self.widths is None else {"widths": self.widths}),
            **(self.gathered.arrays() if self.gathered is not None else {}),
        }
        metadata = {"languages": list(self.languages), "provenance": self.provenance}
        save_artifact(path, self.KIND, arrays, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "ActivationStats":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("shard_counts", "shard_tokens"))
        languages = languages_of(header, path)
        try:
            optional: dict[str, Any] = {name: arrays[name] for name in _OPTIONAL if name in arrays}
            optional |= {"gathered": Gathered.of(arrays), "widths": arrays.get("widths")}
            return cls(arrays["shard_counts"], arrays["shard_tokens"], languages, header["provenance"], **optional)
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``; hashes by their first digits."""
        layers, neurons, _ = self.shape
        tokens = ", ".join(f"{code} {count:,}" for code, count in zip(self.languages, self.tokens, strict=True))
        experts = 1 if self.shard_routed is None or self.widths is not None else self.shard_routed.shape[2]
        each = f"{experts} experts x {neurons // experts:,}" if experts > 1 else f"{neurons:,}"
        each = each if self.ragged is None else in_words(self.layer_widths)
        rows = {
            "neurons": f"{layers} layers x {each} = {self.n_neurons:,}",
            "counted tokens": f"{int(self.tokens.sum()):,} ({tokens})",
            "shards": str(len(self.shard_tokens)),
        }
        return table(self.provenance, rows)


_OPTIONAL = ("shard_routed", "sums", "squares")
