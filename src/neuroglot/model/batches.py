"""A corpus as batches of tokens: what is counted, what is padded, what texts begin alike."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedTokenizerBase

from ..base.errors import NeuroglotError
from ..text.corpora import Corpus, Example, Tokens
from ..text.turns import decoded


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


@dataclass(frozen=True, slots=True)
class Text:
    """One tokenized example, or one piece of an example longer than the context.

    ``bin`` is the number of what it is added up in: a shard of the counts, a unit of the losses, or itself alone;
    ``example`` that of the example in its corpus, where that matters.
    """

    ids: list[int]
    counted: list[bool]
    language: int
    bin: int
    example: int = 0


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


@dataclass(frozen=True)
class Portion:
    """Consecutive shards that are batched together and saved together, so that none is too small."""

    shards: range
    batches: list[Batch]


def tokenize(tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> list[tuple[list[int], list[bool]]]:
    """Ids of ``prompt + response`` with the tokenizer's own special tokens, and what is counted.

    Counted is a token that carries text of the response and is not special. A token that spans
    the end of the prompt carries text of the response. Ids that the source of an example gives are taken as they are.
    """
    own = [example for example in corpus.examples if example.tokens is None]
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
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, *tokenizer.all_special_ids}
    special |= {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    if tokenizer.unk_token_id not in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        special.discard(tokenizer.unk_token_id)  # an unknown token stands for text, so it counts
    result, row = [], itertools.count()
    for example in corpus.examples:
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


def texts_of(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, bins: int, longest: int | None
) -> tuple[list[Text], int]:
    """All texts to run, dealt out to ``bins`` by their unit, and how many examples were split."""
    together = [example.unit for example in corpus.examples]
    ids = list(dict.fromkeys(together))
    bin_of = {id_: number % min(bins, len(ids)) for number, id_ in enumerate(ids)}
    language_of = {code: number for number, code in enumerate(corpus.languages)}
    texts, split = [], 0
    tokenized = tokenize(tokenizer, corpus)
    for number, (example, id_, (tokens, counted)) in enumerate(zip(corpus.examples, together, tokenized, strict=True)):
        name = f"{corpus.name}, {example.place}"
        pieces = list(split_text(name, tokens, counted, longest))
        split += len(pieces) > 1
        place = language_of[example.language], bin_of[id_], number
        texts += [Text(*piece, *place) for piece in pieces if any(piece[1])]
    return texts, split


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


def portions_of(texts: Sequence[Text], batch_tokens: int, share_prefixes: bool) -> list[Portion]:
    """Shards of fewer than eight batches share their batches with the next ones."""
    n_shards = max((text.bin for text in texts), default=-1) + 1
    sizes = np.bincount([text.bin for text in texts], [len(text.ids) for text in texts], n_shards)
    portions, start, size = [], 0, 0
    for shard in range(n_shards):
        size += sizes[shard]
        if size >= 8 * batch_tokens or shard == n_shards - 1:
            shards = range(start, shard + 1)
            mine = [text for text in texts if text.bin in shards]
            groups, others = _beginnings(mine) if share_prefixes else ({}, mine)
            batches = [*batches_of(others, batch_tokens), *_shared_batches(groups, batch_tokens)]
            portions.append(Portion(shards, batches))
            start, size = shard + 1, 0
    return portions
