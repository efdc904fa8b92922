"""A corpus as batches of tokens: what is counted, what is padded, what texts begin alike."""

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from ..base.errors import NeuroglotError
from ..text.corpora import Corpus, Example, Tokens
from ..text.turns import decoded
from .stores import Text, TextStore


@dataclass(frozen=True)
class Inputs:
    """One batch as tensors.

    ``ids`` [texts, width], padded on the right; ``weights`` [rows, texts * width] and ``groups``
    [rows] as :class:`neuroglot.counts.counting.Counter` has them; where texts begin alike, ``prefixes``
    [prefixes, tokens] and ``prefix_of`` [texts], which of them comes before each row of ``ids``.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    groups: torch.Tensor
    prefixes: torch.Tensor | None = None
    prefix_of: torch.Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """Texts run together; their first ``shared`` tokens once for all that begin alike."""

    texts: list[Text]
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

    def tensors(self, languages: int, first: int = 0) -> Inputs:
        """For the counter's ``forward``; a group is ``bin * languages + language - first``."""
        of_text = [text.bin * languages + text.language - first for text in self.texts]
        groups = sorted(set(of_text))
        start, width = self.shared, max(len(text.ids) for text in self.texts) - self.shared
        ids = torch.zeros(len(self.texts), width, dtype=torch.long)  # padding is neither seen nor counted
        weights = torch.zeros(len(groups), *ids.shape, dtype=torch.float32)
        for row, text in enumerate(self.texts):
            ids[row, : len(text.ids) - start] = torch.tensor(text.ids[start:])
            kept = torch.tensor(text.counted[start:], dtype=torch.float)
            weights[groups.index(of_text[row]), row, : len(kept)] = kept
        inputs = (ids, weights.flatten(1), torch.tensor(groups))
        if not self.shared:
            return Inputs(*inputs)
        prefixes = self.prefixes
        prefix_of = torch.tensor([prefixes.index(tuple(text.ids[:start])) for text in self.texts])
        return Inputs(*inputs, torch.tensor(prefixes), prefix_of)


@dataclass(frozen=True, eq=False)
class Portion:
    """Consecutive shards that are batched together and saved together, so that none is too small.

    The numbers of their texts, int64, in blocks that are batched one after another, so that none is too large.
    """

    shards: range
    blocks: tuple[NDArray[np.int64], ...]
    texts: TextStore
    batch_tokens: int
    share_prefixes: bool

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Of all its texts."""
        return np.concatenate(self.blocks)

    @property
    def batches(self) -> Iterator[Batch]:
        """One after another: those of one block are in memory."""
        return itertools.chain.from_iterable(map(self.batched, self.blocks))

    def batched(self, block: NDArray[np.int64]) -> list[Batch]:
        """Those of one block."""
        texts = [self.texts[int(number)] for number in block]
        groups, others = _beginnings(texts) if self.share_prefixes else ({}, texts)
        return [*batches_of(others, self.batch_tokens), *_shared_batches(groups, self.batch_tokens)]


def tokenize(tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> list[tuple[list[int], list[bool]]]:
    """Ids of ``prompt + response`` with the tokenizer's own special tokens, and what is counted.

    Counted is a token that carries text of the response and is not special. A token that spans
    the end of the prompt carries text of the response. Ids that the source of an example gives are taken as they are.
    """
    return [own for _, own in _tokenized(tokenizer, corpus)]


# Characters that the tokenizer is given at once.
_AT_ONCE = 2**17


def _tokenized(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus
) -> Iterator[tuple[Example, tuple[list[int], list[bool]]]]:
    """Each example with what :func:`tokenize` makes of it; few are in memory."""
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, *tokenizer.all_special_ids}
    special |= {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    if tokenizer.unk_token_id not in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        special.discard(tokenizer.unk_token_id)  # an unknown token stands for text, so it counts
    for examples in _parts(corpus.examples):
        yield from zip(examples, _together(tokenizer, examples, special), strict=True)


def _parts(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Examples in their order, so many together as the tokenizer is given at once."""
    part, size = list[Example](), 0
    for example in examples:
        part.append(example)
        size += len(example.prompt) + len(example.response)
        if size >= _AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _together(
    tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], special: Collection[int | None]
) -> list[tuple[list[int], list[bool]]]:
    own = [example for example in examples if example.tokens is None]
    prompts = any(example.prompt for example in own)
    if prompts and not tokenizer.is_fast:
        raise NeuroglotError("a slow tokenizer cannot tell prompt from response; load the fast one.")
    # Long texts are split further on, so the tokenizer's warning about its length says nothing.
    encoded = tokenizer(
        [example.prompt + example.response for example in own] or [""],
        return_special_tokens_mask=True,
        return_offsets_mapping=prompts,
        verbose=False,
    )
    result, row = [], itertools.count()
    for example in examples:
        if example.tokens is not None:
            ids = given_ids(tokenizer, example, example.tokens)
            before = len(example.tokens.prompt)
            result.append((ids, [at >= before and token not in special for at, token in enumerate(ids)]))
            continue
        i = next(row)
        ids = encoded["input_ids"][i]
        counted = [
            not added and token not in special
            for token, added in zip(ids, encoded["special_tokens_mask"][i], strict=True)
        ]
        if prompts:
            start = len(example.prompt)
            ends = (end for _, end in encoded["offset_mapping"][i])
            counted = [keep and end > start for keep, end in zip(counted, ends, strict=True)]
        start = begins_twice(tokenizer, example.prompt + example.response, ids)
        result.append((ids[start:], counted[start:]))
    return result


def given_ids(tokenizer: PreTrainedTokenizerBase, example: Example, tokens: Tokens) -> list[int]:
    """Ids that an example's source gives, all of them.

    Raises:
        NeuroglotError: they stand for another text than the example's, so they are another tokenizer's.
    """
    ids = [*tokens.prompt, *tokens.response]
    if max(ids, default=0) >= len(tokenizer) or decoded(tokenizer, ids) != example.prompt + example.response:
        raise NeuroglotError(
            f"{example.place}: its token ids are of another tokenizer than {tokenizer.name_or_path or 'this'}, which "
            "has other text for them; read the text with the model's own."
        )
    return ids


#: Tokens in front that decide what a token adds to a text: no character has more bytes than half as many.
_BEFORE = 8


def spans_of_ids(tokenizer: PreTrainedTokenizerBase, example: Example, tokens: Tokens) -> list[tuple[int, int]]:
    """Where in an example's text each of the ids stands that its source gives: first character, and that after it."""
    ids, spans, end = given_ids(tokenizer, example, tokens), [], 0
    most = len(example.prompt) + len(example.response)
    for at in range(len(ids)):
        near = ids[max(0, at - _BEFORE) : at + 1]
        more = len(decoded(tokenizer, near)) - len(decoded(tokenizer, near[:-1]))
        start, end = end, min(most, max(end, end + more))
        spans.append((start, end))
    return spans


def begins_twice(tokenizer: PreTrainedTokenizerBase, text: str, ids: Sequence[int]) -> bool:
    """Whether the first of a text's ids is to be left out: the text has a beginning token of its own.

    It stands first, or after what the tokenizer's chat template writes before it, as in
    ``"You are kind.<s>[user]..."``.
    """
    first = tokenizer.bos_token_id
    if first is None or not ids or ids[0] != first:
        return False
    if first in ids[1:2]:
        return True
    if not tokenizer.chat_template or first not in ids[1:]:
        return False
    with contextlib.suppress(Exception):  # templates are programs of others
        asked = cast(str, tokenizer.apply_chat_template([{"role": "user", "content": "?"}], tokenize=False))
        before, written, _ = asked.partition(tokenizer.bos_token)
        return bool(before and written) and text.startswith(before + written)
    return False


def split_text(
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


def pieces_of(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, bins: int, longest: int | None
) -> Iterator[list[Text]]:
    """Of each example the texts to run, dealt out to ``bins`` by its unit: one, or pieces where it is too long."""
    bin_of = corpus.units % min(bins, int(corpus.units.max()) + 1)
    language_of = {code: number for number, code in enumerate(corpus.languages)}
    for number, (example, own) in enumerate(_tokenized(tokenizer, corpus)):
        place = language_of[example.language], int(bin_of[number]), number
        yield [Text(*piece, *place) for piece in split_text(f"{corpus.name}, {example.place}", *own, longest)]


def texts_of(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, bins: int, longest: int | None
) -> tuple[list[Text], int]:
    """All texts to run that have a token to count, as :func:`pieces_of` has them, and how many examples were split."""
    pieces = list(pieces_of(tokenizer, corpus, bins, longest))
    return [text for own in pieces for text in own if any(text.counted)], sum(len(own) > 1 for own in pieces)


# What a forward pass costs beside its tokens, in tokens: measured on the packaged model, where
# passes of 512 and 1024 tokens take as long as 64 more tokens would at the speed of long ones.
_PASS_COST = 64


def batches_of(texts: Iterable[Text], batch_tokens: int) -> list[Batch]:
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
        batches.append(Batch(ordered[start[end] : end]))
        end = start[end]
    return batches[::-1]


def _beginnings(texts: Sequence[Text]) -> tuple[dict[int, list[list[Text]]], list[Text]]:
    """Texts that begin alike, as groups by how many tokens they share; and all other texts.

    Shared is what comes before the first counted token, if it is at least half of that. Lengths
    are rounded down to a multiple of eight, so that different groups fit into one batch.
    """
    groups: dict[int, list[list[Text]]] = {}
    others: list[Text] = []

    def done(group: list[Text], shared: int) -> None:
        if len(group) > 1:
            groups.setdefault(shared - shared % 8, []).append(group)
        else:
            others.extend(group)

    group: list[Text] = []
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


def _shared_batches(groups: Mapping[int, list[list[Text]]], batch_tokens: int) -> list[Batch]:
    """Groups that share as many tokens together, at most ``batch_tokens`` tokens a batch."""
    batches = []
    for shared, alike in sorted(groups.items()):
        ordered = sorted(alike, key=lambda group: -max(len(text.ids) for text in group))
        texts: list[Text] = []
        width = beginnings = 0
        for group in ordered:
            for number, text in enumerate(group):
                # What a batch with this text would run; a group's first text brings its beginning.
                wider, more = max(width, len(text.ids) - shared), beginnings + (not number or not texts)
                if texts and (len(texts) + 1) * wider + more * shared > batch_tokens:
                    batches.append(Batch(texts, shared))
                    texts, wider, more = [], len(text.ids) - shared, 1
                texts, width, beginnings = [*texts, text], wider, more
        batches.append(Batch(texts, shared))
    return batches


def tokens_per_language(tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> pd.DataFrame:
    """What the tokenizer makes of each language.

    Returns:
        One row per language: ``language``, ``examples``, ``characters`` (of the responses, or
        of the questions where there is none), ``tokens`` (those that will be counted), ``tokens_per_character``.

    Example:
        >>> ng.tokens_per_language(tokenizer, corpus)[["language", "examples", "tokens"]]
          language  examples  tokens
        0       de         4      95
        1       en         4      93
        2       ru         4     145
    """
    if corpus.questions_only:
        questions = (replace(example, prompt="", response=example.prompt) for example in corpus.examples)
        corpus = replace(corpus, examples=tuple(questions))
    rows = {code: dict[str, Any](language=code, examples=0, characters=0, tokens=0) for code in corpus.languages}
    for example, (_, counted) in zip(corpus.examples, tokenize(tokenizer, corpus), strict=True):
        row = rows[example.language]
        row["examples"] += 1
        row["characters"] += len(example.response or example.prompt)
        row["tokens"] += sum(counted)
    frame = pd.DataFrame(list(rows.values()))
    return frame.assign(tokens_per_character=frame["tokens"] / frame["characters"])


# Tokens that are batched together at least, where a shard has more: some megabytes.
_BLOCK = 2**18


def portions_of(texts: TextStore, batch_tokens: int, share_prefixes: bool) -> list[Portion]:
    """Shards of fewer than eight batches share their batches with the next ones; those of very many are cut."""
    n_shards = int(texts.bins.max(initial=-1)) + 1
    sizes = np.bincount(texts.bins, texts.lengths, n_shards)
    by_shard = np.split(np.argsort(texts.bins, kind="stable"), np.cumsum(np.bincount(texts.bins))[:-1])
    most = max(_BLOCK, 32 * batch_tokens)
    portions, start, size = [], 0, 0
    for shard in range(n_shards):
        size += sizes[shard]
        if size >= 8 * batch_tokens or shard == n_shards - 1:
            numbers = np.sort(np.concatenate(by_shard[start : shard + 1]))
            block = (np.cumsum(texts.lengths[numbers]) - 1) // most
            blocks = np.split(numbers, np.flatnonzero(np.diff(block)) + 1)
            portions.append(Portion(range(start, shard + 1), tuple(blocks), texts, batch_tokens, share_prefixes))
            start, size = shard + 1, 0
    return portions
