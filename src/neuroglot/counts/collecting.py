"""Count activations: one pass over the backbone, in batches, resumable, by one process or many."""

import functools
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.artifacts import finished
from ..base.errors import NeuroglotError, is_number, quoted, require_whole
from ..base.locks import alone
from ..base.parts import Parts
from ..base.provenance import record
from ..base.words import counted
from ..model.batches import Batch, Portion, pieces_of, portions_of
from ..model.layers import most_neurons, parted, widths_of
from ..model.loading import evaluating, input_device, itself, longest_input, model_record
from ..model.processes import joined, unbroken
from ..model.sites import SITES, neuron_layers, neuron_site
from ..model.stores import Text, TextStore
from ..model.windows import window_length, windows_of
from ..text.corpora import Corpus
from .activations import ActivationStats
from .counting import LIMBS, Counter, Totals, require_rule
from .gathering import Gathered, Gatherer, Needs, Rows, Zeros, require_kinds


class Collection:
    """A run of :func:`collect`, prepared: what it will do is known before it does it."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        corpus: Corpus,
        *,
        quantity: str = "pre-activation",
        above: float = 0.0,
        moments: bool = False,
        gather: str | Iterable[str] | None = None,
        gather_memory: float = 2.0,
        shards: int = 20,
        batch_tokens: int = 1024,
        max_tokens: int | None = None,
        share_prefixes: bool = True,
        pack: bool | int | None = None,
    ) -> None:
        if corpus.questions_only:
            raise NeuroglotError(
                f"corpus {corpus.name} has questions and no responses to count; let the model answer them first "
                "(neuroglot sample, or neuroglot.sample in Python)."
            )
        for name, number in {"shards": shards, "batch_tokens": batch_tokens, "max_tokens": max_tokens}.items():
            if number is not None:
                require_whole(name, number, 1)
        if not is_number(gather_memory) or gather_memory < 0:
            raise NeuroglotError(f"gather_memory={quoted(gather_memory)}: give a number of GiB, 0 or more.")
        model = itself(model)
        site = neuron_site(model)
        # A family outside the table is proven for plain passes, not for those that go on from kept keys and values.
        share_prefixes = share_prefixes and model.config.model_type in SITES
        self.model, self.layers = model, neuron_layers(model, site)
        require_rule(self.layers, quantity, above)
        self.rule: dict[str, Any] = {"quantity": quantity, "above": float(above), "moments": moments}
        self.gather = require_kinds(gather)
        self.parted, self.neurons = parted(self.layers), most_neurons(self.layers)
        self.gather_memory = gather_memory
        longest = longest_input(model, max_tokens)
        window = None if pack is None or pack is False else window_length(pack, longest)
        if window is not None and corpus.prompts:
            raise NeuroglotError(
                f"pack: corpus {corpus.name} has prompts, and what follows one is of it; leave it out."
            )
        if window is not None and (of_texts := [name for name in self.gather if name != "histograms"]):
            raise NeuroglotError(f"pack: {of_texts[0]} are gathered of each text apart; leave one of the two out.")
        self.processes = joined()
        self.languages = corpus.languages
        self.split = 0
        texts = self._read(pieces_of(tokenizer, corpus, shards, longest))
        if window is not None:
            texts = windows_of(tokenizer, texts, window)
        self.texts = TextStore(texts, in_file=corpus.streamed)
        self.n_shards = int(self.texts.bins.max(initial=-1)) + 1
        self.tokens = np.zeros((self.n_shards, len(self.languages)), dtype=np.int64)
        np.add.at(self.tokens, (self.texts.bins, self.texts.languages), self.texts.counted)
        if not self.tokens.sum(0).all():
            code = self.languages[int(np.argmin(self.tokens.sum(0)))]
            raise NeuroglotError(f"corpus {corpus.name}: {code} has no token to count; give it text.")
        self.portions = portions_of(self.texts, batch_tokens, share_prefixes)
        inputs = hashlib.sha256()
        for text in self.texts:
            inputs.update(json.dumps([text.ids, text.counted, text.language, text.bin]).encode())
        self.provenance = record(
            model_record(model),
            {"neurons": site.neurons, "tokenizer": type(tokenizer).__name__},
            corpus.record(),
            input_sha256=inputs.hexdigest(),
            examples=len(corpus.examples),
            examples_split=self.split,
            settings={
                **self.rule,
                **({"gather": list(self.gather)} if self.gather else {}),
                "shards": shards,
                "batch_tokens": batch_tokens,
                "max_tokens": longest,
                "share_prefixes": share_prefixes,
                **({} if window is None else {"pack": window}),
            },
            machine={"device": str(input_device(model)), "threads": torch.get_num_threads()},
            libraries=("python", "torch", "transformers", "tokenizers", "numpy"),
        )

    # --- before ---

    def _read(self, pieces: Iterable[list[Text]]) -> Iterator[Text]:
        """The texts that have something to count; and how many examples were split."""
        for own in pieces:
            self.split += len(own) > 1
            yield from (text for text in own if any(text.counted))

    def _some(self) -> list[tuple[Portion, np.ndarray]]:
        """Blocks of texts, evenly spaced, that stand for all: all of them where there are few."""
        blocks = [(portion, block) for portion in self.portions for block in portion.blocks]
        return [blocks[i * len(blocks) // _SOME] for i in range(_SOME)] if len(blocks) > _SOME else blocks

    def estimate_seconds(self) -> float:
        """Time for the whole run, from timing one middling batch (run twice, the second counts)."""
        some = self._some()
        sizes = [sum(batch.size for batch in portion.batched(block)) for portion, block in some]
        whole = sum(sizes) * self.texts.lengths.sum() / sum(self.texts.lengths[block].sum() for _, block in some)
        portion, block = some[len(some) // 2]
        batches = sorted(portion.batched(block), key=lambda batch: batch.size)
        batch = batches[len(batches) // 2]
        for _ in range(2):
            start = time.perf_counter()
            self._count(portion, None, [batch])
            seconds = time.perf_counter() - start
        return float(seconds * whole / batch.size / self.processes.number)

    def memory(self) -> dict[str, int]:
        """What a run that is saved needs, in bytes: ``model``, ``batch`` (the largest), ``counts``, ``gathered``."""
        size = max(batch.size for portion, block in self._some() for batch in portion.batched(block))
        size = max(size, int(self.texts.lengths.max()))
        config = self.model.config.get_text_config()
        item = self.model.dtype.itemsize
        widest = max((mlp for layer in self.layers for mlp in layer.mlps), key=lambda mlp: mlp.width)
        # Of one layer: hidden states and attention's, the MLP's gate, up and product, and the mask as float32; of
        # experts what goes in and comes out for each; of histograms the bins of all values.
        mixed = widest.experts is not None
        rows = size * (getattr(config, "num_experts_per_tok", 1) if mixed else 1)
        batch = (5 * size + 2 * rows * mixed) * config.hidden_size * item + rows * widest.width * (3 * item + 4)
        batch += 8 * rows * widest.width * ("histograms" in self.gather)
        cells = len(self.layers) * self.neurons * len(self.languages)
        most = max(len(portion.shards) for portion in self.portions)
        # While a part is counted, and twice the result, as it is put together.
        counts = cells * (8 * most * (5 if self.rule["moments"] else 1) + 2 * self._smallest().itemsize * self.n_shards)
        gathered = self.needs()
        parameters = [*self.model.parameters(), *self.model.buffers()]
        return {
            "model": sum(parameter.numel() * parameter.element_size() for parameter in parameters),
            "batch": batch,
            "counts": counts,
            **({"gathered": gathered.least if self.spills() else gathered.memory} if self.gather else {}),
        }

    def needs(self) -> Needs:
        """What gathering needs."""
        parts = [(len(p.numbers), self._most(p)) for p in self.portions]
        shape = len(self.layers), self.neurons, len(self.languages)
        texts = len(np.unique(self.texts.examples))
        return Needs.of(self.gather, shape, texts, int(self.tokens.sum(axis=0).max()), parts)

    def spills(self) -> bool:
        """Whether what is gathered is held in files and not in memory."""
        return bool(self.gather) and self.needs().memory > self.gather_memory * 2**30

    def disk(self) -> dict[str, int]:
        """What a run needs on disk until it is done, in bytes.

        ``file``, ``parts``; ``scratch`` if it spills; ``tokens`` of text that is streamed, among the temporary files.
        """
        cells = len(self.layers) * self.neurons * len(self.languages)
        counts, moments = cells * self._smallest().itemsize * self.n_shards, 8 * cells * self.rule["moments"]
        gathered = self.needs()
        return {
            "file": counts + 2 * moments + gathered.result,
            "parts": counts + 4 * moments * len(self.portions) + gathered.parts,
            **({"scratch": gathered.scratch + 4 * moments} if self.spills() else {}),
            **({"tokens": self.texts.size} if self.texts.in_file else {}),
        }

    def _most(self, portion: Portion) -> int:
        """Counted tokens of the language that has most in some shards."""
        return int(self.tokens[portion.shards].sum(axis=0).max())

    def _smallest(self) -> np.dtype:
        return np.min_scalar_type(int(self.tokens.max()))

    # --- the run ---

    def _count(
        self,
        portion: Portion,
        bar: "tqdm[Any] | None" = None,
        batches: Iterable[Batch] | None = None,
        keep: Callable[[Totals, int], None] | None = None,
        zeros: Zeros = np.zeros,
    ) -> Totals:
        """Totals of some shards; a group is ``shard of the portion * languages + language``.

        What was counted is given to ``keep`` now and then, with the number of batches in it, and is not of the totals;
        so is what is whole at an interruption, which waits for the end of its pass.
        """
        k, done = len(self.languages), 0
        own = portion.numbers
        gatherer = Gatherer(len(self.layers), self.neurons, self.gather, len(own), k, zeros) if self.gather else None
        counter = Counter(self.layers, len(portion.shards) * k, **self.rule, gatherer=gatherer)
        with torch.inference_mode(), evaluating(self.model), counter.attached():
            try:
                for batch in portion.batches if batches is None else batches:
                    with unbroken():
                        if gatherer is not None:
                            gatherer.begin(_rows(batch, np.searchsorted(own, [text.number for text in batch.texts])))
                        counter.forward(self.model, batch.tensors(k, portion.shards[0] * k))
                        done += 1
                    if bar is not None:
                        bar.update(batch.counted)
                    if keep is not None and done == _KEPT and gatherer is None:  # what is gathered is too much for that
                        keep(counter.take(), done)
                        done = 0
            except KeyboardInterrupt:
                if keep is not None and done and counter.whole:
                    keep(counter.take(), done)
                raise
        return counter.take()

    def recounted(self, portion: Portion) -> np.ndarray:
        """Counts of some shards alone, in the very batches that they have in the whole.

        Returns:
            int64 ``[shards, layers, neurons, languages]``, of the portion's shards.
        """
        counts: np.ndarray = self._by_shard(portion, self._count(portion), np.zeros)["counts"].astype(np.int64)
        return counts

    def _arrays(self, portion: Portion, bar: "tqdm[Any]", parts: Parts) -> dict[str, np.ndarray]:
        """What a part holds: ``counts``, and ``routed``, ``moments`` and what was gathered where there are any."""
        before, single = bar.n, self.processes.number == 1
        name, batches = f"{_part_name(portion)}.begun", self.processes.mine(portion.batches)
        begun, said = (parts.kept(name) if single else None) or ({}, {"batches": 0})
        at = said["batches"]
        bar.update(sum(batch.counted for batch in islice(batches, at)))

        def by_now(totals: Totals) -> dict[str, np.ndarray]:
            """With what was counted before; all are whole numbers, so the order changes nothing."""
            arrays = self._by_shard(portion, totals, parts.zeros)
            for name, array in begun.items():
                arrays[name] += array
            return arrays

        def keep(totals: Totals, done: int) -> None:
            nonlocal begun, at
            begun, at = by_now(totals), at + done
            parts.keep(name, begun, batches=at)

        keeps = keep if single and parts.there else None
        own: list[Totals] = []
        self.processes.each(lambda: own.append(self._count(portion, bar, batches, keeps, parts.zeros)))
        arrays = by_now(own[0])
        bar.update(int(self.tokens[portion.shards].sum()) + before - bar.n)  # what the other processes counted
        return arrays

    def _by_shard(self, portion: Portion, totals: Totals, zeros: Zeros) -> dict[str, np.ndarray]:
        """Totals of all processes as a file has them, by shard."""

        def by_shard(tensor: torch.Tensor) -> torch.Tensor:
            """``[layers, groups, n]`` as ``[shards, layers, n, languages]``."""
            grouped: torch.Tensor = self.processes.total(tensor).unflatten(
                1, (len(portion.shards), len(self.languages))
            )
            return grouped.permute(1, 0, 3, 2)

        arrays = {"counts": by_shard(totals.counts).numpy().astype(self._smallest())}
        if totals.routed is not None:
            arrays["routed"] = by_shard(totals.routed).numpy()
        if totals.moments is not None:
            arrays["moments"] = torch.stack([by_shard(limb).sum(0) for limb in totals.moments]).numpy()
        smallest = np.min_scalar_type(self._most(portion))
        for name, found in totals.gathered.items():
            if isinstance(found, torch.Tensor):
                arrays[name], layers = found.numpy(), list(found) if self.processes.number > 1 else []
            else:
                arrays[name], layers = zeros((len(found), *found[0].shape), smallest), found
            # Layer by layer. A text was run by one process, so the sum over all is what that one has.
            for number, layer in enumerate(layers):
                arrays[name][number] = self.processes.total(layer).cpu().numpy()
        return arrays

    def run(
        self,
        path: str | Path | None = None,
        *,
        overwrite: bool = False,
        wait: bool = True,
        progress: bool = True,
    ) -> ActivationStats | None:
        """Count; see :func:`collect`."""
        with alone(path, wait=wait, once=self.processes.once):
            return self._run(path, overwrite, progress)

    def _run(self, path: str | Path | None, overwrite: bool, progress: bool) -> ActivationStats | None:
        path = Path(path) if path is not None else None
        once, first = self.processes.once, self.processes.first
        self.processes.require_alike(self.provenance)
        parts = Parts(path, self.provenance, self.spills())
        results: list[ActivationStats | None] = [None]  # what the first process has, and no other needs
        if path is not None:
            load = ActivationStats.load
            once(lambda: results.append(finished(path, load, self.provenance, "counts", overwrite)))
            if once(lambda: results[-1] is not None):
                once(parts.remove)
                return results[-1]
        total, held = int(self.tokens.sum()), {}
        if first:
            found = ((portion.shards[0], parts.kept(_part_name(portion))) for portion in self.portions)
            held = {shard: part[0] for shard, part in found if part is not None}
        have = once(lambda: set(held))
        if progress and first:
            what = f"{counted(total, 'token')} of {counted(len(self.languages), 'language')} in "
            what += counted(self.n_shards, "shard")
            place = f" into {path}" if path else ""
            print(f"counting {what}{place}, about {self.estimate_seconds():.0f} s", file=sys.stderr, flush=True)
        already = sum(int(self.tokens[portion.shards].sum()) for portion in self.portions if portion.shards[0] in have)
        collected: list[dict[str, np.ndarray]] = []
        summed: dict[str, np.ndarray] = {}
        shown = dict[str, Any](unit="tok", desc="counting", mininterval=1, file=sys.stderr)
        with tqdm(total=total, initial=already, disable=not (progress and first), **shown) as bar:
            for portion in self.portions:
                arrays = held.get(portion.shards[0], {})
                if portion.shards[0] not in have:
                    arrays = self._arrays(portion, bar, parts)
                    once(functools.partial(self._keep, portion, arrays, parts))
                    if first and parts.spills and (kept := parts.kept(_part_name(portion))) is not None:
                        arrays = kept[0]  # as they lie in the file, whose room they take anyway
                if first:  # what is of the whole is added up at once, so that no part of it stays
                    for name, kind in _SUMMED.items():
                        if (part := arrays.pop(name, None)) is not None:
                            if name not in summed:
                                summed[name] = parts.zeros(part.shape, kind)
                            summed[name] += part
                    collected.append(arrays)
        once(lambda: results.append(self._finish(path, collected, summed, parts)))
        return results[-1]

    def _keep(self, portion: Portion, arrays: dict[str, np.ndarray], parts: Parts) -> None:
        parts.keep(_part_name(portion), arrays)
        parts.discard(f"{_part_name(portion)}.begun")

    def _finish(
        self,
        path: Path | None,
        collected: list[dict[str, np.ndarray]],
        summed: dict[str, np.ndarray],
        parts: Parts,
    ) -> ActivationStats:
        counts = np.concatenate([arrays["counts"] for arrays in collected])
        routed = np.concatenate([a["routed"] for a in collected]) if "routed" in collected[0] else None
        sums = squares = None
        if "moments" in summed:
            whole, rest, whole2, rest2 = summed["moments"]
            sums, squares = (a * LIMBS[0] + b * LIMBS[1] for a, b in ((whole, rest), (whole2, rest2)))
        own = (counts, self.tokens, self.languages, self.provenance, routed, sums, squares)
        gathered = self._gathered(collected, summed, parts.zeros) if self.gather else None
        stats = ActivationStats(*own, gathered, widths_of(self.layers) if self.parted else None)
        if path is not None:
            # Made among the parts, so that whatever is interrupted leaves nothing beside the file.
            made = parts.folder / path.name
            stats.save(made)
            made.replace(path)
            parts.remove()
        return stats

    def _gathered(
        self, collected: list[dict[str, np.ndarray]], summed: dict[str, np.ndarray], zeros: Zeros
    ) -> Gathered:
        """Of all parts, layer by layer; pieces of one text are put together."""
        found = Gathered()
        if (histograms := summed.get("histograms")) is not None:
            layers, languages, bins, neurons = histograms.shape
            smallest = np.min_scalar_type(int(histograms.max(initial=0)))
            by_neuron = zeros((layers, neurons, languages, bins), smallest)
            for own, layer in zip(by_neuron, histograms, strict=True):
                own[...] = layer.transpose(2, 0, 1)
            found = replace(found, histograms=by_neuron)
        if not any(name in collected[0] for name in _PUT_TOGETHER):
            return found
        pieces = np.concatenate([portion.numbers for portion in self.portions])
        examples = self.texts.examples[pieces]
        order = np.argsort(examples, kind="stable")
        _, starts = np.unique(examples[order], return_index=True)
        whole = {}
        for name, together in _PUT_TOGETHER.items():
            if name in collected[0]:
                of_parts = [arrays.pop(name) for arrays in collected]
                whole[name] = zeros((len(of_parts[0]), len(starts), of_parts[0].shape[-1]), np.float32)
                for own, *layer in zip(whole[name], *of_parts, strict=True):
                    own[...] = together(np.concatenate(layer)[order], starts)
        first = pieces[order[starts]]
        places = {"text_languages": self.texts.languages[first], "text_shards": self.texts.bins[first]}
        return replace(found, **whole, **places)


# Batches after which what is counted of a part is kept.
_KEPT = 256

# Blocks of texts that stand for all where there are more.
_SOME = 32

#: What is of the whole, and as what kind of numbers it is added up.
_SUMMED: dict[str, type] = {"moments": np.float64, "histograms": np.uint32}

#: How the pieces of each text, which follow one another, become one.
_PUT_TOGETHER: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "maxima": lambda each, starts: np.maximum.reduceat(each, starts, axis=0),
    "absolute": lambda each, starts: np.add.reduceat(each, starts, axis=0),
    "last": lambda each, starts: each[np.append(starts[1:], len(each)) - 1],
}


def _rows(batch: Batch, places: NDArray[np.int64]) -> Rows:
    """What the rows of a batch are: texts at these places."""
    width = max(len(text.ids) for text in batch.texts) - batch.shared
    mask = torch.zeros(len(batch.texts), width, dtype=torch.bool)
    for row, text in enumerate(batch.texts):
        mask[row, : len(text.ids) - batch.shared] = torch.tensor(text.counted[batch.shared :])
    languages = torch.tensor([text.language for text in batch.texts])
    return Rows(mask, torch.from_numpy(places), languages, width - 1 - mask.flip(1).int().argmax(1))


def _part_name(portion: Portion) -> str:
    return f"shards-{portion.shards[0]:04d}"


def collect(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    quantity: str = "pre-activation",
    above: float = 0.0,
    moments: bool = False,
    gather: str | Iterable[str] | None = None,
    gather_memory: float = 2.0,
    shards: int = 20,
    batch_tokens: int = 1024,
    max_tokens: int | None = None,
    share_prefixes: bool = True,
    pack: bool | int | None = None,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> ActivationStats | None:
    """Count the activations of every neuron on a corpus, in one pass over the backbone.

    Only response tokens count; padding and special tokens never do. Attention is causal, so one
    pass over prompt and response gives what the released code gets from two runs and a difference.

    The model runs in evaluation mode, not compiled, and has its own modes again afterwards.

    Several processes started by ``torchrun`` or ``accelerate launch`` deal the batches out among
    them; the counts, and the file that the first one writes, are those of one process.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: the text, of two or more languages. Of one that is streamed (``load_corpus(..., stream=True)``) neither
            text nor tokens are held in memory: the tokens are in a temporary file, four bytes each.
        path: where to save. A file that already holds just these counts is returned without
            counting; an interrupted run goes on after its last pass, one that was killed (or that several
            processes shared) after its last finished shards, kept in ``PATH.parts`` (small shards are
            finished together, about eight batches at a time; of one process large ones are kept every 256 batches).
        quantity: what makes a neuron active: its ``"pre-activation"`` ``x W`` (whose sign is the
            activation's, as in the paper), its ``"activation"`` ``act_fn(x W)``, or the
            ``"product"`` of that with the up projection, which enters the down projection.
        above: the quantity must be above this.
        moments: also sum each neuron's value and its square over the counted tokens, per language
            (the activation, or the product if that is counted).
        gather: what else detectors of a language's neurons read of those values
            (:data:`neuroglot.counts.gathering.KINDS`): ``"histograms"`` of each neuron and language, and of each
            text its ``"maxima"``, sums of ``"absolute"`` values and ``"last"`` values. In a mixture of experts the
            value is 0 at a token that was not routed to a neuron's expert.
        gather_memory: where gathering needs more than so many GiB of memory and there is a ``path``, what it gathers is
            held in files in ``PATH.parts`` instead, as are the arrays of what is returned; the file is the same.
        shards: parts of the corpus whose counts are kept apart, for intervals. Examples are dealt
            out by cluster or document, so that translations, all answers to a question and
            all problems of one situation share a shard.
        batch_tokens: tokens per forward pass, padding included.
        max_tokens: split responses so that no input is longer; default: the model's context.
        share_prefixes: run what several texts begin with (a question with several answers, worked
            examples) once and keep its keys and values. The counts are those of separate runs
            but for pre-activations within rounding of zero (benchmarks/answers.py counts them).
        pack: join texts without prompts, of one language and one shard, into windows as long as the longest input, or
            of so many tokens, as in pre-training and in LAPE; default: each text is an input. Every token is counted
            once, in the shard that it is in without; the special token between two texts is not counted.
            Attention goes beyond a text to those before it in its window, so probabilities are others.
        overwrite: replace a file at ``path`` that holds other counts.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar with tokens per second and the time left.

    Returns:
        The counts; of several processes the first has them, the others get ``None``. Memory:
        ``shards * layers * neurons * languages`` times 2 bytes (4 where a shard has more than 65,535
        tokens of a language).

    Raises:
        NeuroglotError: a language without text, a prompt longer than the context, other counts at
            ``path``, a full disk, texts with prompts to be packed.

    Example:
        >>> stats = ng.collect(model, tokenizer, corpus, progress=False)
        >>> stats.shape, stats.languages
        ((4, 48, 3), ('de', 'en', 'ru'))
    """
    collection = Collection(
        model,
        tokenizer,
        corpus,
        quantity=quantity,
        above=above,
        moments=moments,
        gather=gather,
        gather_memory=gather_memory,
        shards=shards,
        batch_tokens=batch_tokens,
        max_tokens=max_tokens,
        share_prefixes=share_prefixes,
        pack=pack,
    )
    return collection.run(path, overwrite=overwrite, wait=wait, progress=progress)
