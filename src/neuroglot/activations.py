"""How often each neuron is active in each language: counted in one pass, saved with provenance."""

import contextlib
import copy
import hashlib
import json
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from . import __version__
from .artifacts import languages_of, load_artifact, save_artifact
from .corpora import Corpus
from .errors import NeuroglotError
from .languages import parse_languages
from .models import config_hash, context_length, model_source, neuron_gates, weights_hash

# --- the counts --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ActivationStats:
    """Activation counts of every neuron in every language, per shard of the corpus.

    Attributes:
        shard_counts: ``[shards, layers, neurons, languages]``, unsigned or int64: counted tokens
            for which the neuron was active (``act_fn(x W) > 0``).
        shard_tokens: ``[shards, languages]`` int64: counted (response) tokens.
        languages: codes, in the order of the last axis.
        provenance: what was counted on what, with which settings and versions.

    Raises:
        NeuroglotError: shapes that do not fit, or a count that is negative or above its tokens.
    """

    shard_counts: np.ndarray
    shard_tokens: np.ndarray
    languages: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "activations"

    def __post_init__(self) -> None:
        counts, tokens = self.shard_counts, self.shard_tokens
        k = len(self.languages)
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
        over = np.argwhere(counts.max(axis=(1, 2), initial=0) > tokens)
        if len(over):
            shard, language = over[0]
            raise NeuroglotError(
                f"counts of {self.languages[language]} in shard {shard} exceed its "
                f"{tokens[shard, language]} tokens; a neuron cannot be active more often than there are tokens."
            )

    @property
    def counts(self) -> np.ndarray:
        """Active tokens, ``[layers, neurons, languages]`` int64, summed over the shards."""
        return self.shard_counts.sum(axis=0, dtype=np.int64)

    @property
    def tokens(self) -> np.ndarray:
        """Counted tokens, ``[languages]`` int64."""
        return self.shard_tokens.sum(axis=0, dtype=np.int64)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(layers, neurons, languages)``."""
        _, layers, neurons, languages = self.shard_counts.shape
        return layers, neurons, languages

    def probabilities(self) -> np.ndarray:
        """Activation probabilities ``p[i, j, k]``, float64 ``[layers, neurons, languages]``.

        The share of language k's response tokens for which neuron j of layer i is active.

        Raises:
            NeuroglotError: a language without tokens has no probabilities.
        """
        tokens = self.tokens
        if not tokens.all():
            code = self.languages[int(np.argmin(tokens))]
            raise NeuroglotError(f"no token of {code} was counted, so it has no probabilities; give it text.")
        return self.counts / tokens

    def select(self, languages: str | Iterable[str] | None) -> "ActivationStats":
        """The same counts for some of the languages, in the order given."""
        codes = parse_languages(languages)
        if codes is None or codes == self.languages:
            return self
        index = [self._index(code) for code in codes]
        return ActivationStats(
            self.shard_counts[..., index],
            self.shard_tokens[:, index],
            tuple(self.languages[i] for i in index),
            self.provenance | {"selected_languages": [self.languages[i] for i in index]},
        )

    def _index(self, code: str) -> int:
        if code not in self.languages:
            raise NeuroglotError(f"there is no language {code!r} in the counts; they have {' '.join(self.languages)}.")
        return self.languages.index(code)

    def take(self, shards: Iterable[int]) -> "ActivationStats":
        """The same counts for some of the shards, for instance ``range(0, n, 2)`` for one half."""
        index = list(shards)
        if not index or not all(0 <= i < len(self.shard_tokens) for i in index):
            raise NeuroglotError(f"shards {index}: give some of the {len(self.shard_tokens)}, counted from 0.")
        provenance = self.provenance | {"selected_shards": index}
        return ActivationStats(self.shard_counts[index], self.shard_tokens[index], self.languages, provenance)

    def resampled(self, rng: np.random.Generator) -> "ActivationStats":
        """A bootstrap replicate: as many shards, drawn with replacement, merged into one.

        A draw in which a language has no token is drawn again.
        """
        shards = len(self.shard_tokens)
        self.probabilities()  # refuses a language without tokens, for which no draw would do
        while True:
            times = np.bincount(rng.integers(shards, size=shards), minlength=shards)
            tokens = times @ self.shard_tokens
            if tokens.all():
                break
        drawn = np.flatnonzero(times)
        counts = sum(times[s] * self.shard_counts[s].astype(np.int64) for s in drawn)
        return ActivationStats(counts[None], tokens[None], self.languages, self.provenance)

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same counts give the same bytes."""
        largest = int(self.shard_counts.max(initial=0))
        arrays = {
            "shard_counts": self.shard_counts.astype(np.min_scalar_type(largest)),
            "shard_tokens": self.shard_tokens.astype(np.int64),
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
            return cls(arrays["shard_counts"], arrays["shard_tokens"], languages, header["provenance"])
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``; hashes by their first digits."""
        layers, neurons, _ = self.shape
        tokens = ", ".join(f"{code} {count:,}" for code, count in zip(self.languages, self.tokens, strict=True))
        rows = {
            "neurons": f"{layers} layers x {neurons:,} = {layers * neurons:,}",
            "counted tokens": f"{int(self.tokens.sum()):,} ({tokens})",
            "shards": str(len(self.shard_tokens)),
        }
        return pd.DataFrame([*_flat(self.provenance), *rows.items()], columns=["what", "value"])


def _flat(nested: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key} ")
        elif value not in ("", None, []):
            shown = f"{value[:16]}…" if key.endswith("sha256") else str(value)
            yield f"{prefix}{key}".replace("_", " "), shown


# --- one batch ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Inputs:
    """One batch as tensors.

    ``ids`` [texts, width], padded on the right; ``weights`` [rows, texts * width] and ``groups``
    [rows] as :class:`_Counter` has them; where texts begin alike, ``prefixes`` [prefixes, tokens]
    and ``prefix_of`` [texts], which of them comes before each row of ``ids``.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    groups: torch.Tensor
    prefixes: torch.Tensor | None = None
    prefix_of: torch.Tensor | None = None


class _Counter:
    """Hooks on every gate that add, for each group of tokens, how often each neuron is active.

    A batch comes with a 0/1 matrix ``weights`` ``[rows, tokens]`` that says which tokens are summed
    together, and with the group each of its rows belongs to; a token in no row is not counted. One
    matrix product per layer then counts all rows at once: sums of zeros and ones in float32 are
    exact up to 2**24 tokens a batch.
    """

    def __init__(self, gates: Sequence[nn.Module], n_groups: int = 1) -> None:
        self.gates, self.n_groups = gates, n_groups
        self.weights: torch.Tensor | None = None
        self.groups = torch.empty(0, dtype=torch.long)
        self.totals: list[torch.Tensor | None] = [None] * len(gates)
        self.calls = 0
        self._active: dict[torch.device, torch.Tensor] = {}

    def _hook(self, layer: int) -> Any:
        def count(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            self.calls += 1
            if self.weights is None:
                return
            device, shape = output.device, (output.shape[:-1].numel(), output.shape[-1])
            if device not in self._active or self._active[device].shape != shape:
                self._active[device] = torch.empty(shape, device=device)
            active = torch.gt(output.detach().view(shape), 0, out=self._active[device])
            total = self.totals[layer]
            if total is None:
                total = torch.zeros(self.n_groups, shape[1], dtype=torch.int64, device=device)
                self.totals[layer] = total
            total.index_add_(0, self.groups.to(device), (self.weights.to(device) @ active).to(torch.int64))

        return count

    @contextlib.contextmanager
    def attached(self) -> Iterator["_Counter"]:
        handles = [gate.register_forward_hook(self._hook(i)) for i, gate in enumerate(self.gates)]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def take(self) -> torch.Tensor:
        """The counts so far, int64 ``[layers, groups, neurons]`` on the CPU; starts again at zero."""
        counts = torch.stack([total.cpu() for total in self.totals])
        self.totals = [None] * len(self.gates)
        return counts

    def forward(self, model: PreTrainedModel, inputs: "_Inputs") -> None:
        """One pass over the backbone: no head and no attention mask.

        Padding must be on the right: attention is causal, so nothing that is counted sees it, and
        without a mask attention takes its fastest path. Texts that begin alike get the keys and
        values of their beginning from one earlier pass over it.
        """
        device = model.get_input_embeddings().weight.device
        cache = None
        if inputs.prefixes is not None:
            self.weights = None  # nothing in a prefix is counted
            cache = model.base_model(input_ids=inputs.prefixes.to(device), use_cache=True).past_key_values
            cache.reorder_cache(inputs.prefix_of.to(device))
        weights, before = inputs.weights, self.calls
        self.weights, self.groups = weights, inputs.groups
        own = {"past_key_values": cache, "use_cache": True} if cache is not None else {"use_cache": False}
        output = model.base_model(input_ids=inputs.ids.to(device), **own)
        if self.calls - before != len(self.gates):
            raise NeuroglotError(
                f"{type(model).__name__} ran {self.calls - before} of its {len(self.gates)} gates as modules; "
                "load it without fused kernels."
            )
        # A hidden state that is not finite compares as "not active" and would pass for a count.
        counted = weights.any(0).to(output.last_hidden_state.device)
        if not output.last_hidden_state.flatten(0, 1)[counted].isfinite().all():
            raise NeuroglotError(f"the hidden states in {model.dtype} are not finite; load the model in float32.")


def count_activations(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    count_mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Count, for one batch, the tokens for which each neuron is active.

    Args:
        model: any causal language model of a known architecture.
        input_ids: ``[batch, tokens]`` int64.
        attention_mask: ``[batch, tokens]``, 1 for tokens and 0 for padding, on either side.
        count_mask: ``[batch, tokens]``, 1 for the tokens to count; default: all but the padding.

    Returns:
        int64 ``[layers, neurons]`` on the CPU: tokens with ``act_fn(x W) > 0``.

    Raises:
        NeuroglotError: shapes that differ, an unknown architecture, or hidden states not finite.
    """
    mask = attention_mask if count_mask is None else count_mask
    if not input_ids.shape == attention_mask.shape == mask.shape or input_ids.ndim != 2:
        raise NeuroglotError(
            f"input_ids {tuple(input_ids.shape)}, attention_mask {tuple(attention_mask.shape)} and count_mask "
            f"{tuple(mask.shape)} must have one shape [batch, tokens]."
        )
    # Padding goes to the right, where causal attention never sees it, whatever side it came on.
    order = attention_mask.bool().logical_not().int().argsort(dim=-1, stable=True)
    input_ids, attention_mask, mask = (part.gather(-1, order) for part in (input_ids, attention_mask, mask))
    weights = (mask.bool() & attention_mask.bool()).reshape(1, -1).float()
    counter = _Counter(neuron_gates(model))
    with torch.inference_mode(), counter.attached():
        counter.forward(model, _Inputs(input_ids, weights, torch.zeros(1, dtype=torch.long)))
    return counter.take()[:, 0]


# --- a corpus ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Text:
    """One tokenized example, or one piece of an example longer than the context."""

    ids: list[int]
    counted: list[bool]
    language: int
    shard: int


@dataclass(frozen=True)
class _Batch:
    """Texts run together; their first ``shared`` tokens once for all that begin alike."""

    texts: list[_Text]
    shared: int = 0

    @property
    def size(self) -> int:
        """Tokens run, padding included."""
        width = max(len(text.ids) for text in self.texts) - self.shared
        return len(self.texts) * width + len(self.prefixes) * self.shared

    @property
    def prefixes(self) -> list[tuple[int, ...]]:
        """The different beginnings, in order."""
        return list(dict.fromkeys(tuple(text.ids[: self.shared]) for text in self.texts)) if self.shared else []

    @property
    def counted(self) -> int:
        """Tokens that count."""
        return sum(sum(text.counted) for text in self.texts)

    def tensors(self, pad: int, languages: int, first: int = 0) -> _Inputs:
        """What :meth:`_Counter.forward` takes; a group is ``shard * languages + language - first``."""
        of_text = [text.shard * languages + text.language - first for text in self.texts]
        groups = sorted(set(of_text))
        start, width = self.shared, max(len(text.ids) for text in self.texts) - self.shared
        ids = torch.full((len(self.texts), width), pad)
        weights = torch.zeros(len(groups), *ids.shape)
        for row, text in enumerate(self.texts):
            ids[row, : len(text.ids) - start] = torch.tensor(text.ids[start:])
            kept = torch.tensor(text.counted[start:], dtype=torch.float)
            weights[groups.index(of_text[row]), row, : len(kept)] = kept
        inputs = (ids, weights.flatten(1), torch.tensor(groups))
        if not self.shared:
            return _Inputs(*inputs)
        prefixes = self.prefixes
        prefix_of = torch.tensor([prefixes.index(tuple(text.ids[:start])) for text in self.texts])
        return _Inputs(*inputs, torch.tensor(prefixes), prefix_of)


@dataclass(frozen=True)
class _Unit:
    """Consecutive shards that are batched together and saved together, so that none is too small."""

    shards: range
    batches: list[_Batch]


def _tokenize(tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> list[tuple[list[int], list[bool]]]:
    """Ids of ``prompt + response`` with the tokenizer's own special tokens, and what is counted.

    Counted is a token that carries text of the response and is not special. A token that spans
    the end of the prompt carries text of the response.
    """
    prompts = any(example.prompt for example in corpus.examples)
    if prompts and not tokenizer.is_fast:
        raise NeuroglotError("a slow tokenizer cannot tell prompt from response; load the fast one.")
    # Long texts are split further on, so the tokenizer's warning about its length says nothing.
    encoded = tokenizer(
        [example.prompt + example.response for example in corpus.examples],
        return_special_tokens_mask=True,
        return_offsets_mapping=prompts,
        verbose=False,
    )
    # An unknown token stands for text, so it counts.
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    special |= set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    result = []
    for i, example in enumerate(corpus.examples):
        ids = encoded["input_ids"][i]
        counted = [
            not added and token not in special
            for token, added in zip(ids, encoded["special_tokens_mask"][i], strict=True)
        ]
        if prompts:
            start = len(example.prompt)
            ends = (end for _, end in encoded["offset_mapping"][i])
            counted = [keep and end > start for keep, end in zip(counted, ends, strict=True)]
        result.append((ids, counted))
    return result


def _split(
    name: str, ids: list[int], counted: list[bool], longest: int | None
) -> Iterator[tuple[list[int], list[bool]]]:
    """Pieces of at most ``longest`` tokens, each with everything before the response in front.

    Every counted token is counted in exactly one piece.
    """
    if longest is None or len(ids) <= longest:
        yield ids, counted
        return
    start = counted.index(True) if True in counted else len(ids)
    room = longest - start
    if room < 1:
        raise NeuroglotError(
            f"{name}: its prompt has {start} tokens, the context {longest}; shorten the prompt or raise max_tokens."
        )
    for at in range(start, len(ids), room):
        yield ids[:start] + ids[at : at + room], counted[:start] + counted[at : at + room]


def _texts(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, shards: int, longest: int | None
) -> tuple[list[_Text], int]:
    """All texts to run, and how many examples were split."""
    together = [example.cluster or example.document for example in corpus.examples]
    ids = list(dict.fromkeys(together))
    shard_of = {id_: number % min(shards, len(ids)) for number, id_ in enumerate(ids)}
    language_of = {code: number for number, code in enumerate(corpus.languages)}
    texts, split = [], 0
    tokenized = _tokenize(tokenizer, corpus)
    for example, id_, (tokens, counted) in zip(corpus.examples, together, tokenized, strict=True):
        name = f"{corpus.name}, {example.place}"
        pieces = list(_split(name, tokens, counted, longest))
        split += len(pieces) > 1
        place = language_of[example.language], shard_of[id_]
        texts += [_Text(*piece, *place) for piece in pieces if any(piece[1])]
    return texts, split


# What a forward pass costs beside its tokens, in tokens: measured on the packaged model, where
# passes of 512 and 1024 tokens take as long as 64 more tokens would at the speed of long ones.
_PASS_COST = 64


def _batches(texts: Iterable[_Text], batch_tokens: int) -> list[_Batch]:
    """Texts of like length together, at most ``batch_tokens`` tokens a batch, padding included.

    Of all ways to cut the texts, sorted by length, into batches, the one with the least padding and
    the fewest passes, by dynamic programming.
    """
    ordered = sorted(texts, key=lambda text: -len(text.ids))  # stable, so the order is fixed
    cost, start = [0], [0]  # of the best batches up to each text; where the last of them starts
    for end in range(1, len(ordered) + 1):
        best = (cost[end - 1] + len(ordered[end - 1].ids) + _PASS_COST, end - 1)
        for first in range(end - 2, -1, -1):
            size = (end - first) * len(ordered[first].ids)
            if size > batch_tokens:
                break
            best = min(best, (cost[first] + size + _PASS_COST, first))
        cost.append(best[0])
        start.append(best[1])
    batches, end = [], len(ordered)
    while end:
        batches.append(_Batch(ordered[start[end] : end]))
        end = start[end]
    return batches[::-1]


def _beginnings(texts: Sequence[_Text]) -> tuple[dict[int, list[list[_Text]]], list[_Text]]:
    """Texts that begin alike, as groups by how many tokens they share; and all other texts.

    Shared is what comes before the first counted token, if it is at least half of that. Lengths
    are rounded down to a multiple of eight, so that different groups fit into one batch.
    """
    groups: dict[int, list[list[_Text]]] = {}
    others: list[_Text] = []

    def done(group: list[_Text], shared: int) -> None:
        if len(group) > 1:
            groups.setdefault(shared - shared % 8, []).append(group)
        else:
            others.extend(group)

    group: list[_Text] = []
    shared = limit = 0
    for text in sorted(texts, key=lambda text: text.ids):
        before = text.counted.index(True)
        if group:
            alike = zip(group[0].ids[: min(limit, before)], text.ids, strict=False)
            common = next((i for i, (one, two) in enumerate(alike) if one != two), min(limit, before))
            common = min(common, shared) if len(group) > 1 else common
            # Another text is welcome while the tokens saved do not become fewer.
            gains = common * len(group) >= shared * (len(group) - 1)
            if common >= max(8, min(limit, before) / 2) and gains:
                group.append(text)
                shared, limit = common, min(limit, before)
                continue
            done(group, shared)
        group, shared, limit = [text], 0, before
    done(group, shared)
    order = {id(text): number for number, text in enumerate(texts)}
    return groups, sorted(others, key=lambda text: order[id(text)])


def _shared_batches(groups: Mapping[int, list[list[_Text]]], batch_tokens: int) -> list[_Batch]:
    """Groups that share as many tokens together, at most ``batch_tokens`` tokens a batch."""
    batches = []
    for shared, alike in sorted(groups.items()):
        ordered = sorted(alike, key=lambda group: -max(len(text.ids) for text in group))
        texts: list[_Text] = []
        width = beginnings = 0
        for group in ordered:
            for number, text in enumerate(group):
                # What a batch with this text would run; a group's first text brings its beginning.
                wider, more = max(width, len(text.ids) - shared), beginnings + (not number or not texts)
                if texts and (len(texts) + 1) * wider + more * shared > batch_tokens:
                    batches.append(_Batch(texts, shared))
                    texts, wider, more = [], len(text.ids) - shared, 1
                texts, width, beginnings = [*texts, text], wider, more
        batches.append(_Batch(texts, shared))
    return batches


def tokens_per_language(tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> pd.DataFrame:
    """What the tokenizer makes of each language.

    Returns:
        One row per language: ``language``, ``examples``, ``characters`` (of the responses, or
        of the questions where there is none), ``tokens`` (those that will be counted), ``tokens_per_character``.
    """
    if corpus.questions_only:
        questions = (replace(example, prompt="", response=example.prompt) for example in corpus.examples)
        corpus = replace(corpus, examples=tuple(questions))
    rows = {code: {"language": code, "examples": 0, "characters": 0, "tokens": 0} for code in corpus.languages}
    for example, (_, counted) in zip(corpus.examples, _tokenize(tokenizer, corpus), strict=True):
        row = rows[example.language]
        row["examples"] += 1
        row["characters"] += len(example.response or example.prompt)
        row["tokens"] += sum(counted)
    frame = pd.DataFrame(list(rows.values()))
    return frame.assign(tokens_per_character=frame["tokens"] / frame["characters"])


class Collection:
    """A run of :func:`collect`, prepared: what it will do is known before it does it."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        corpus: Corpus,
        *,
        shards: int = 20,
        batch_tokens: int = 1024,
        max_tokens: int | None = None,
        share_prefixes: bool = True,
    ) -> None:
        if corpus.questions_only:
            raise NeuroglotError(
                f"corpus {corpus.name} has questions and no responses to count; let the model answer them first "
                "(neuroglot sample, or neuroglot.sample in Python)."
            )
        for name, number in {"shards": shards, "batch_tokens": batch_tokens, "max_tokens": max_tokens}.items():
            if number is not None and (not isinstance(number, int) or number < 1):
                raise NeuroglotError(f"{name}={number!r}: give a whole number from 1 on.")
        context = context_length(model)
        longest = min((n for n in (context, max_tokens) if n is not None), default=None)
        self.model, self.gates = model, neuron_gates(model)
        self.languages = corpus.languages
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        self.texts, self.split = _texts(tokenizer, corpus, shards, longest)
        self.n_shards = max(text.shard for text in self.texts) + 1 if self.texts else 0
        self.tokens = np.zeros((self.n_shards, len(self.languages)), dtype=np.int64)
        for text in self.texts:
            self.tokens[text.shard, text.language] += sum(text.counted)
        if not self.tokens.sum(0).all():
            code = self.languages[int(np.argmin(self.tokens.sum(0)))] if self.n_shards else self.languages[0]
            raise NeuroglotError(f"corpus {corpus.name}: {code} has no token to count; give it text.")
        self.units = self._units(batch_tokens, share_prefixes)
        inputs = hashlib.sha256()
        for text in self.texts:
            inputs.update(json.dumps([text.ids, text.counted, text.language, text.shard]).encode())
        self.provenance: dict[str, Any] = {
            **model_source(model),
            "weights_sha256": weights_hash(model),
            "config_sha256": config_hash(model),
            "tokenizer": type(tokenizer).__name__,
            "corpus": corpus.name,
            "corpus_source": corpus.source,
            "corpus_options": dict(corpus.options),
            "corpus_sha256": corpus.hash,
            "input_sha256": inputs.hexdigest(),
            "examples": len(corpus.examples),
            "examples_split": self.split,
            "settings": {
                "shards": shards,
                "batch_tokens": batch_tokens,
                "max_tokens": longest,
                "share_prefixes": share_prefixes,
            },
            "machine": {"device": str(model.device), "threads": torch.get_num_threads()},
            "versions": {
                "neuroglot": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "transformers", "tokenizers", "numpy")},
            },
        }

    def _units(self, batch_tokens: int, share_prefixes: bool) -> list[_Unit]:
        """Shards of fewer than eight batches share their batches with the next ones."""
        sizes = np.bincount([text.shard for text in self.texts], [len(text.ids) for text in self.texts])
        units, start, size = [], 0, 0
        for shard in range(self.n_shards):
            size += sizes[shard]
            if size >= 8 * batch_tokens or shard == self.n_shards - 1:
                shards = range(start, shard + 1)
                texts = [text for text in self.texts if text.shard in shards]
                groups, others = _beginnings(texts) if share_prefixes else ({}, texts)
                batches = [*_batches(others, batch_tokens), *_shared_batches(groups, batch_tokens)]
                units.append(_Unit(shards, batches))
                start, size = shard + 1, 0
        return units

    def estimate_seconds(self) -> float:
        """Time for the whole run, from timing one middling batch (run twice, the second counts)."""
        batches = sorted((b for unit in self.units for b in unit.batches), key=lambda b: b.size)
        batch = batches[len(batches) // 2]
        for _ in range(2):
            start = time.perf_counter()
            self._count(_Unit(range(self.n_shards), [batch]))
            seconds = time.perf_counter() - start
        return seconds * sum(b.size for b in batches) / batch.size

    def _count(self, unit: _Unit, bar: tqdm | None = None) -> np.ndarray:
        """Counts of some shards, int64 ``[shards, layers, neurons, languages]``."""
        k = len(self.languages)
        counter = _Counter(self.gates, len(unit.shards) * k)
        with torch.inference_mode(), counter.attached():
            for batch in unit.batches:
                counter.forward(self.model, batch.tensors(self.pad, k, unit.shards[0] * k))
                if bar is not None:
                    bar.update(batch.counted)
        counts = counter.take()
        return counts.unflatten(1, (len(unit.shards), k)).permute(1, 0, 3, 2).numpy()

    def run(self, path: str | Path | None = None, *, overwrite: bool = False, progress: bool = True) -> ActivationStats:
        """Count; see :func:`collect`."""
        path = Path(path) if path is not None else None
        if path is not None and path.is_dir():
            raise NeuroglotError(f"{path} is a folder; give the name of a file to write.")
        if path is not None and path.exists() and (done := self._already(path, overwrite)):
            return done
        parts = path.with_name(path.name + ".parts") if path else None
        shards: list[np.ndarray] = []
        total = int(self.tokens.sum())
        if progress:
            what = f"{total:,} tokens of {len(self.languages)} languages in {self.n_shards} shards"
            place = f" into {path}" if path else ""
            print(f"counting {what}{place}, about {self.estimate_seconds():.0f} s", file=sys.stderr, flush=True)
        smallest = np.min_scalar_type(int(self.tokens.max()))
        with tqdm(
            total=total, unit="tok", desc="counting", disable=not progress, mininterval=1, file=sys.stderr
        ) as bar:
            for unit in self.units:
                part = parts / f"shards-{unit.shards[0]:04d}.safetensors" if parts else None
                counts = self._part(part) if part else None
                if counts is None:
                    counts = self._count(unit, bar).astype(smallest)
                    if part:
                        save_artifact(part, "activations-part", {"counts": counts}, {"provenance": self.provenance})
                else:
                    bar.update(int(self.tokens[unit.shards].sum()))
                shards.append(counts)
        stats = ActivationStats(np.concatenate(shards), self.tokens, self.languages, self.provenance)
        if path is not None:
            stats.save(path)
            shutil.rmtree(parts)
        return stats

    def _already(self, path: Path, overwrite: bool) -> ActivationStats | None:
        """The finished file, if it holds just this; ``None`` if it is to be made (again)."""
        if overwrite:
            # What cannot be read, or holds something else, was given up by the caller.
            with contextlib.suppress(NeuroglotError):
                stats = ActivationStats.load(path)
                return stats if _same(stats.provenance, self.provenance) else None
            return None
        stats = ActivationStats.load(path)
        if _same(stats.provenance, self.provenance):
            return stats
        ours, theirs = (_identity(p, versions=False) for p in (self.provenance, stats.provenance))
        if differing := [key for key in ours if ours[key] != theirs.get(key)]:
            raise NeuroglotError(
                f"{path} holds other counts ({', '.join(differing)} differ); "
                "give another file or ask for it to be overwritten."
            )
        return None

    def _part(self, path: Path) -> np.ndarray | None:
        """Finished shards of an interrupted run of just this, else ``None``."""
        with contextlib.suppress(NeuroglotError):
            arrays, header = load_artifact(path, "activations-part", ("counts",))
            if _same(header["provenance"], self.provenance):
                return arrays["counts"]
        return None


def _identity(provenance: dict[str, Any], *, versions: bool = True) -> dict[str, Any]:
    """The part of a provenance that decides the counts; the machine may differ."""
    left_out = {"machine"} if versions else {"machine", "versions"}
    return {key: value for key, value in provenance.items() if key not in left_out}


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return _identity(one) == _identity(other)


def collect(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    shards: int = 20,
    batch_tokens: int = 1024,
    max_tokens: int | None = None,
    share_prefixes: bool = True,
    overwrite: bool = False,
    progress: bool = True,
) -> ActivationStats:
    """Count the activations of every neuron on a corpus, in one pass over the backbone.

    Only response tokens count; padding and special tokens never do. Attention is causal, so one
    pass over prompt and response gives what the released code gets from two runs and a difference.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: the text, of two or more languages.
        path: where to save. A file that already holds just these counts is returned without
            counting; an interrupted run goes on after its last finished shards, kept in
            ``PATH.parts`` (small shards are finished together, about eight batches at a time).
        shards: parts of the corpus whose counts are kept apart, for intervals. Examples are dealt
            out by cluster or document, so that translations, all answers to a question and
            all problems of one situation share a shard.
        batch_tokens: tokens per forward pass, padding included.
        max_tokens: split responses so that no input is longer; default: the model's context.
        share_prefixes: run what several texts begin with (a question with several answers, worked
            examples) once and keep its keys and values. The counts are those of separate runs
            but for pre-activations within rounding of zero (benchmarks/answers.py counts them).
        overwrite: replace a file at ``path`` that holds other counts.
        progress: show a bar with tokens per second and the time left.

    Returns:
        The counts. Memory: ``shards * layers * neurons * languages`` times 2 bytes (4 where a
        shard has more than 65,535 tokens of a language).

    Raises:
        NeuroglotError: a language without text, a prompt longer than the context, other counts at
            ``path``, a full disk.
    """
    sizes = {"shards": shards, "batch_tokens": batch_tokens, "max_tokens": max_tokens}
    collection = Collection(model, tokenizer, corpus, share_prefixes=share_prefixes, **sizes)
    return collection.run(path, overwrite=overwrite, progress=progress)


# --- others' counts ----------------------------------------------------------------------------


def read_njunlp(folder: str | Path, languages: str | Iterable[str] | None = None) -> ActivationStats:
    """Read the counts released with arXiv 2505.21505, response = full run minus prefix run.

    Args:
        folder: holds ``activation.LL.NAME.pt`` and ``prefix.activation.LL.NAME.pt`` of one model.
        languages: codes in the order wanted; default: all found, in alphabetical order.

    Returns:
        One shard. The released engine rounds differently in its two runs, which leaves a few
        differences below zero or above the tokens; they are taken as zero and as the tokens.

    Raises:
        NeuroglotError: files missing, of several models, unreadable, or of different shapes.
    """
    folder = Path(folder)
    full = sorted(folder.glob("activation.*.pt"))
    if not full:
        raise NeuroglotError(f"{folder} has no activation.LL.NAME.pt; give the folder of the released counts.")
    names = {path.name.split(".", 2)[2] for path in full}
    if len(names) > 1:
        raise NeuroglotError(f"{folder} holds counts of {len(names)} models; keep one model per folder.")
    name = names.pop()
    codes = parse_languages(languages) or tuple(path.name.split(".")[1] for path in full)
    counts, tokens = [], []
    for code in codes:
        whole, prefix = (_read_pt(folder / f"{kind}activation.{code}.{name}") for kind in ("", "prefix."))
        if whole[0].shape != prefix[0].shape or (counts and whole[0].shape != counts[0].shape):
            raise NeuroglotError(f"{folder}: the counts of {code} have another shape; give files of one model.")
        tokens.append(whole[1] - prefix[1])
        counts.append(np.clip(whole[0] - prefix[0], 0, tokens[-1]))
    provenance = {"model": name.removesuffix(".pt"), "corpus": "counts released with arXiv 2505.21505"}
    return ActivationStats(
        np.stack(counts, axis=-1)[None], np.array(tokens, dtype=np.int64)[None], codes, copy.deepcopy(provenance)
    )


def _read_pt(path: Path) -> tuple[np.ndarray, int]:
    if not path.is_file():
        raise NeuroglotError(f"there is no file {path}; the released counts have one per language and run.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        counts = content["over_zero"].to(torch.int64).numpy()
        return counts, int(content["total_tokens"])
    except Exception as error:  # torch raises many types for a damaged or foreign file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise NeuroglotError(f"{path} cannot be read as released counts ({reason[:200]}).") from error
