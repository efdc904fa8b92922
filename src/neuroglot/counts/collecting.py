"""Count activations: one pass over the backbone, in batches, resumable, by one process or many."""

import contextlib
import functools
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.artifacts import finished
from ..base.errors import NeuroglotError, is_number, quoted, require_whole
from ..base.locks import alone
from ..base.parts import Parts
from ..base.provenance import differing, record
from ..model.batches import Batch, Inputs, Portion, portions_of, texts_of
from ..model.loading import evaluating, input_device, itself, longest_input, model_record
from ..model.processes import joined, unbroken
from ..model.sites import QUANTITIES, SITES, Layer, Routing, Seen, keeps_sign, neuron_layers, neuron_site, observed
from ..text.corpora import Corpus
from .activations import ActivationStats

# --- one batch ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Totals:
    """What a :class:`Counter` has counted, on the CPU.

    ``counts`` int64 ``[layers, groups, neurons]``; ``routed`` int64 ``[layers, groups, experts]``;
    ``moments`` int64 ``[4, layers, groups, neurons]``: sums of values in :data:`LIMBS`, then
    of squares; the last two ``None`` where there are no experts, or no moments wanted.
    """

    counts: torch.Tensor
    routed: torch.Tensor | None = None
    moments: torch.Tensor | None = None


#: Moments are summed in two whole numbers, multiples of these, so that any order of batches gives the same.
LIMBS = (2.0**-16, 2.0**-60)


class Counter:
    """Adds up, for each group of tokens, how often each neuron is active, as a model runs.

    A batch comes with a 0/1 matrix ``weights`` ``[rows, tokens]`` that says which tokens are summed
    together, and with the group each of its rows belongs to; a token in no row is not counted. One
    matrix product per layer then counts all rows at once: sums of zeros and ones in float32 are
    exact up to 2**24 tokens a batch. Counts stay on each layer's device until :meth:`take`.

    Args:
        layers: from :func:`neuroglot.model.sites.neuron_layers`.
        n_groups: number of groups.
        quantity: what is compared, one of :data:`neuroglot.model.sites.QUANTITIES`.
        above: active is a neuron whose quantity is above this.
        moments: also sum values and their squares.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        n_groups: int = 1,
        *,
        quantity: str = "pre-activation",
        above: float = 0.0,
        moments: bool = False,
    ) -> None:
        self.layers, self.n_groups, self.quantity, self.above, self.moments = layers, n_groups, quantity, above, moments
        self.weights: torch.Tensor | None = None
        self.groups = torch.empty(0, dtype=torch.long)
        self._finite, self._stops = True, False
        self.whole = True  # whether no pass is half counted
        self._seen: set[int] = set()
        self._there: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}
        self._active: dict[torch.device, torch.Tensor] = {}
        self._clear()

    def _clear(self) -> None:
        self._counts: dict[int, torch.Tensor] = {}  # by layer, as are the others
        self._routed: dict[int, torch.Tensor] = {}
        self._moments: dict[int, torch.Tensor] = {}
        self._bound: list[torch.Tensor | float] = [0.0] * len(self.layers)

    def attached(self) -> contextlib.AbstractContextManager[None]:
        """While active, every forward pass of the model is counted."""
        return observed(self.layers, self._see, self.quantity, values=self.moments)

    def count(self, weights: torch.Tensor | None, groups: torch.Tensor | None = None) -> None:
        """Which tokens of the next pass to sum, and to which groups; ``None`` counts nothing."""
        self.weights, self._there = weights, {}
        self.groups = torch.zeros(1, dtype=torch.long) if groups is None else groups

    def _see(self, number: int, counted: torch.Tensor, value: torch.Tensor | None, routing: Routing | None) -> None:
        self._seen.add(number)
        if self.weights is not None:
            with torch.autocast(counted.device.type, enabled=False):  # sums are exact in float32
                self._add(number, counted, value, routing)

    def _add(self, number: int, counted: torch.Tensor, value: torch.Tensor | None, routing: Routing | None) -> None:
        device = counted.device
        if self.above:  # compared as it was given, not as the model's numbers round it
            counted = counted.double()
        if device not in self._there:
            assert self.weights is not None  # or nothing would be added
            self._there[device] = self.weights.to(device), self.groups.to(device)
        weights, groups = self._there[device]
        if number not in self._counts:
            self._allocate(number, device)
        if device not in self._active or self._active[device].shape != counted.shape:
            self._active[device] = torch.empty(counted.shape, dtype=torch.float32, device=device)
        active = torch.gt(counted, self.above, out=self._active[device])
        if routing is None:
            self._counts[number].index_add_(0, groups, (weights @ active).to(torch.int64))
            if value is not None:
                self._add_moments(number, slice(None), weights, groups, value)
            if self._stops and number == len(self.layers) - 1:
                self._finite = bool(counted[weights.any(0)].isfinite().all())
                raise Seen
            return
        width = self.layers[number].width
        for expert, rows in routing.spans:
            own = weights[:, routing.tokens[rows]]
            columns = slice(expert * width, (expert + 1) * width)
            self._counts[number][:, columns].index_add_(0, groups, (own @ active[rows]).to(torch.int64))
            self._routed[number][:, expert].index_add_(0, groups, own.sum(1).to(torch.int64))
            if value is not None:
                self._add_moments(number, columns, own, groups, value[rows])

    def _allocate(self, number: int, device: torch.device) -> None:
        layer = self.layers[number]
        whole: dict[str, Any] = {"dtype": torch.int64, "device": device}
        self._counts[number] = torch.zeros(self.n_groups, layer.neurons, **whole)
        if layer.experts is not None:
            self._routed[number] = torch.zeros(self.n_groups, layer.n_experts, **whole)
        if self.moments:
            self._moments[number] = torch.zeros(4, self.n_groups, layer.neurons, **whole)

    def _add_moments(
        self, number: int, columns: slice, weights: torch.Tensor, groups: torch.Tensor, value: torch.Tensor
    ) -> None:
        precise = value if value.dtype == torch.float64 else value.float()
        weights, (large, small) = weights.to(precise.dtype), LIMBS
        for kind, powers in enumerate((precise, precise.square())):
            sums = (weights @ powers).double()
            self._bound[number] = self._bound[number] + sums.abs().max() * len(weights)
            whole = (sums / large).floor()
            rest = ((sums / large - whole) * (large / small)).round()
            for limb, part in enumerate((whole, rest)):
                self._moments[number][2 * kind + limb][:, columns].index_add_(0, groups, part.to(torch.int64))

    def take(self) -> Totals:
        """The counts so far; starts again at zero.

        Raises:
            NeuroglotError: values so large, or not finite, that their sums are not exact.
        """
        # Room is left for the sum over a hundred processes.
        if self.moments and not all(float(bound) < 2**56 * LIMBS[0] for bound in self._bound):
            raise NeuroglotError("the neurons' values are too large to be summed, or not finite; leave out moments.")
        numbers = range(len(self.layers))
        for number in numbers:
            if number not in self._counts:  # no batch came
                self._allocate(number, torch.device("cpu"))
        counts = torch.stack([self._counts[number].cpu() for number in numbers])
        routed = torch.stack([self._routed[number].cpu() for number in numbers]) if self._routed else None
        moments = torch.stack([self._moments[number].cpu() for number in numbers], dim=1) if self.moments else None
        self._clear()
        return Totals(counts, routed, moments)

    def forward(self, model: PreTrainedModel, inputs: Inputs) -> None:
        """One pass over the backbone, up to the last layer's neurons: no head and no attention mask.

        Padding must be on the right: attention is causal, so nothing that is counted sees it, and
        without a mask attention takes its fastest path. Texts that begin alike get the keys and
        values of their beginning from one earlier pass over it.
        """
        device = input_device(model)
        cache = None
        if inputs.prefixes is not None:
            assert inputs.prefix_of is not None
            self.count(None)  # nothing in a prefix is counted
            cache = model.base_model(input_ids=inputs.prefixes.to(device), use_cache=True).past_key_values
            cache.reorder_cache(inputs.prefix_of.to(device))
        self.count(inputs.weights, inputs.groups)
        self._seen.clear()
        own = {"past_key_values": cache, "use_cache": True} if cache is not None else {"use_cache": False}
        self._stops, self.whole = True, False
        try:
            states = model.base_model(input_ids=inputs.ids.to(device), **own).last_hidden_state.flatten(0, 1)
            self._finite = bool(states[inputs.weights.any(0).to(states.device)].isfinite().all())
        except Seen:
            pass
        finally:
            self._stops = False
        if len(self._seen) != len(self.layers):
            raise NeuroglotError(
                f"{type(model).__name__} ran {len(self._seen)} of its {len(self.layers)} MLPs as modules; "
                "load it without fused kernels."
            )
        # A state that is not finite compares as "not active" and would pass for a count.
        if not self._finite:
            raise NeuroglotError(f"the hidden states in {model.dtype} are not finite; load the model in float32.")
        self.whole = True


def _checked(layers: Sequence[Layer], quantity: str, above: float) -> None:
    if quantity not in QUANTITIES:
        raise NeuroglotError(f"quantity {quoted(quantity)} is unknown; use {', '.join(QUANTITIES)}.")
    if not is_number(above):
        raise NeuroglotError(f"above={quoted(above)}: give a finite number.")
    if quantity == "pre-activation" and above == 0 and not keeps_sign(layers):
        raise NeuroglotError(
            f"the activation {layers[0].activation} does not keep the sign of its input, so that the sign of the "
            'pre-activation says nothing; count on the activation (quantity="activation").'
        )


def count_activations(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    count_mask: torch.Tensor | None = None,
    *,
    quantity: str = "pre-activation",
    above: float = 0.0,
) -> torch.Tensor:
    """Count, for one batch, the tokens for which each neuron is active.

    Args:
        model: any causal language model whose neurons are found (:func:`neuroglot.model.sites.neuron_layers`).
        input_ids: ``[batch, tokens]`` int64.
        attention_mask: ``[batch, tokens]``, 1 for tokens and 0 for padding, on either side.
        count_mask: ``[batch, tokens]``, 1 for the tokens to count; default: all but the padding.
        quantity, above: what makes a neuron active; as for :func:`collect`.

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
    model = itself(model)
    layers = neuron_layers(model)
    _checked(layers, quantity, above)
    counter = Counter(layers, quantity=quantity, above=above)
    with torch.inference_mode(), evaluating(model), counter.attached():
        counter.forward(model, Inputs(input_ids, weights, torch.zeros(1, dtype=torch.long)))
    return counter.take().counts[:, 0]


# --- a corpus ----------------------------------------------------------------------------------


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
            if number is not None:
                require_whole(name, number, 1)
        model = itself(model)
        site = neuron_site(model)
        # A family outside the table is proven for plain passes, not for those that go on from kept keys and values.
        share_prefixes = share_prefixes and model.config.model_type in SITES
        self.model, self.layers = model, neuron_layers(model, site)
        _checked(self.layers, quantity, above)
        self.rule: dict[str, Any] = {"quantity": quantity, "above": float(above), "moments": moments}
        longest = longest_input(model, max_tokens)
        self.processes = joined()
        self.languages = corpus.languages
        self.texts, self.split = texts_of(tokenizer, corpus, shards, longest)
        self.n_shards = max((text.bin for text in self.texts), default=-1) + 1
        self.tokens = np.zeros((self.n_shards, len(self.languages)), dtype=np.int64)
        for text in self.texts:
            self.tokens[text.bin, text.language] += sum(text.counted)
        if not self.tokens.sum(0).all():
            code = self.languages[int(np.argmin(self.tokens.sum(0)))]
            raise NeuroglotError(f"corpus {corpus.name}: {code} has no token to count; give it text.")
        self.portions = portions_of(self.texts, batch_tokens, share_prefixes)
        inputs = hashlib.sha256()
        for text in self.texts:
            inputs.update(json.dumps([text.ids, text.counted, text.language, text.bin]).encode())
        neurons = f"{site.layers}.*.{f'{site.experts}.' * bool(site.experts)}{site.gate}"
        self.provenance = record(
            model_record(model),
            {"neurons": neurons, "tokenizer": type(tokenizer).__name__},
            corpus.record(),
            input_sha256=inputs.hexdigest(),
            examples=len(corpus.examples),
            examples_split=self.split,
            settings={
                **self.rule,
                "shards": shards,
                "batch_tokens": batch_tokens,
                "max_tokens": longest,
                "share_prefixes": share_prefixes,
            },
            machine={"device": str(input_device(model)), "threads": torch.get_num_threads()},
            libraries=("python", "torch", "transformers", "tokenizers", "numpy"),
        )

    # --- before ---

    def estimate_seconds(self) -> float:
        """Time for the whole run, from timing one middling batch (run twice, the second counts)."""
        batches = sorted((b for portion in self.portions for b in portion.batches), key=lambda b: b.size)
        batch = batches[len(batches) // 2]
        for _ in range(2):
            start = time.perf_counter()
            shards = [text.bin for text in batch.texts]
            self._count(Portion(range(min(shards), max(shards) + 1), [batch]))
            seconds = time.perf_counter() - start
        return seconds * sum(b.size for b in batches) / batch.size / self.processes.number

    def memory(self) -> dict[str, int]:
        """What the run needs, in bytes: ``model``, ``batch`` (the largest one), ``counts``."""
        size = max(batch.size for portion in self.portions for batch in portion.batches)
        config = self.model.config.get_text_config()
        layer, item = self.layers[0], self.model.dtype.itemsize
        # Of one layer: hidden states and attention's, the MLP's gate, up and product, and the mask as float32.
        rows = size * (getattr(config, "num_experts_per_tok", 1) if layer.experts is not None else 1)
        batch = 8 * size * config.hidden_size * item + rows * layer.width * (3 * item + 4)
        cells = len(self.layers) * layer.neurons * len(self.languages)
        most = max(len(portion.shards) for portion in self.portions)
        # While a part is counted, and twice the result, as it is put together.
        counts = cells * (8 * most * (5 if self.rule["moments"] else 1) + 2 * self._smallest().itemsize * self.n_shards)
        parameters = [*self.model.parameters(), *self.model.buffers()]
        return {
            "model": sum(parameter.numel() * parameter.element_size() for parameter in parameters),
            "batch": batch,
            "counts": counts,
        }

    def _smallest(self) -> np.dtype:
        return np.min_scalar_type(int(self.tokens.max()))

    # --- the run ---

    def _count(
        self,
        portion: Portion,
        bar: "tqdm[Any] | None" = None,
        batches: Sequence[Batch] | None = None,
        keep: Callable[[Totals, int], None] | None = None,
    ) -> Totals:
        """Totals of some shards; a group is ``shard of the portion * languages + language``.

        An interruption waits for the end of its pass; what is whole then is given to ``keep``, with the number of
        batches in it.
        """
        k, done = len(self.languages), 0
        counter = Counter(self.layers, len(portion.shards) * k, **self.rule)
        with torch.inference_mode(), evaluating(self.model), counter.attached():
            try:
                for batch in portion.batches if batches is None else batches:
                    with unbroken():
                        counter.forward(self.model, batch.tensors(k, portion.shards[0] * k))
                        done += 1
                    if bar is not None:
                        bar.update(batch.counted)
            except KeyboardInterrupt:
                if keep is not None and done and counter.whole:
                    keep(counter.take(), done)
                raise
        return counter.take()

    def _arrays(self, portion: Portion, bar: "tqdm[Any]", parts: Parts) -> dict[str, np.ndarray]:
        """What a part holds: ``counts``, and ``routed`` and ``moments`` where there are any."""
        before, single = bar.n, self.processes.number == 1
        name, batches = f"{_part_name(portion)}.begun", self.processes.mine(portion.batches)
        begun, said = (parts.kept(name) if single else None) or ({}, {"batches": 0})
        at = said["batches"]
        bar.update(sum(batch.counted for batch in batches[:at]))

        def by_now(totals: Totals) -> dict[str, np.ndarray]:
            """With what was counted before; all are whole numbers, so the order changes nothing."""
            arrays = self._by_shard(portion, totals)
            return {name: array + begun[name] for name, array in arrays.items()} if begun else arrays

        def keep(totals: Totals, done: int) -> None:
            parts.keep(name, by_now(totals), batches=at + done)

        arrays = by_now(self._count(portion, bar, batches[at:], keep if single and parts.there else None))
        bar.update(int(self.tokens[portion.shards].sum()) + before - bar.n)  # what the other processes counted
        return arrays

    def _by_shard(self, portion: Portion, totals: Totals) -> dict[str, np.ndarray]:
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
        if keys := differing(self.provenance, once(lambda: self.provenance)):
            raise NeuroglotError(
                f"process {self.processes.index} has not what the first one has ({', '.join(keys)} differ); "
                "start all of them with the same model, text and settings."
            )
        parts = Parts(path, self.provenance)
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
            what = f"{total:,} tokens of {len(self.languages)} languages in {self.n_shards} shards"
            place = f" into {path}" if path else ""
            print(f"counting {what}{place}, about {self.estimate_seconds():.0f} s", file=sys.stderr, flush=True)
        already = sum(int(self.tokens[portion.shards].sum()) for portion in self.portions if portion.shards[0] in have)
        collected: list[dict[str, np.ndarray]] = []
        shown = dict[str, Any](unit="tok", desc="counting", mininterval=1, file=sys.stderr)
        with tqdm(total=total, initial=already, disable=not (progress and first), **shown) as bar:
            for portion in self.portions:
                arrays = held.get(portion.shards[0], {})
                if portion.shards[0] not in have:
                    arrays = self._arrays(portion, bar, parts)
                    once(functools.partial(self._keep, portion, arrays, parts))
                if first:
                    collected.append(arrays)
        once(lambda: results.append(self._finish(path, collected, parts)))
        return results[-1]

    def _keep(self, portion: Portion, arrays: dict[str, np.ndarray], parts: Parts) -> None:
        parts.keep(_part_name(portion), arrays)
        parts.discard(f"{_part_name(portion)}.begun")

    def _finish(self, path: Path | None, collected: list[dict[str, np.ndarray]], parts: Parts) -> ActivationStats:
        counts = np.concatenate([arrays["counts"] for arrays in collected])
        routed = np.concatenate([a["routed"] for a in collected]) if "routed" in collected[0] else None
        sums = squares = None
        if "moments" in collected[0]:
            moments = sum(arrays["moments"].astype(np.float64) for arrays in collected)
            whole, rest, whole2, rest2 = cast(np.ndarray, moments)
            sums, squares = (a * LIMBS[0] + b * LIMBS[1] for a, b in ((whole, rest), (whole2, rest2)))
        stats = ActivationStats(counts, self.tokens, self.languages, self.provenance, routed, sums, squares)
        if path is not None:
            # Made among the parts, so that whatever is interrupted leaves nothing beside the file.
            made = parts.folder / path.name
            stats.save(made)
            made.replace(path)
            parts.remove()
        return stats


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
    shards: int = 20,
    batch_tokens: int = 1024,
    max_tokens: int | None = None,
    share_prefixes: bool = True,
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
        corpus: the text, of two or more languages.
        path: where to save. A file that already holds just these counts is returned without
            counting; an interrupted run goes on after its last pass, one that was killed (or that several
            processes shared) after its last finished shards, kept in ``PATH.parts`` (small shards are
            finished together, about eight batches at a time).
        quantity: what makes a neuron active: its ``"pre-activation"`` ``x W`` (whose sign is the
            activation's, as in the paper), its ``"activation"`` ``act_fn(x W)``, or the
            ``"product"`` of that with the up projection, which enters the down projection.
        above: the quantity must be above this.
        moments: also sum each neuron's value and its square over the counted tokens, per language
            (the activation, or the product if that is counted).
        shards: parts of the corpus whose counts are kept apart, for intervals. Examples are dealt
            out by cluster or document, so that translations, all answers to a question and
            all problems of one situation share a shard.
        batch_tokens: tokens per forward pass, padding included.
        max_tokens: split responses so that no input is longer; default: the model's context.
        share_prefixes: run what several texts begin with (a question with several answers, worked
            examples) once and keep its keys and values. The counts are those of separate runs
            but for pre-activations within rounding of zero (benchmarks/answers.py counts them).
        overwrite: replace a file at ``path`` that holds other counts.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar with tokens per second and the time left.

    Returns:
        The counts; of several processes the first has them, the others get ``None``. Memory:
        ``shards * layers * neurons * languages`` times 2 bytes (4 where a shard has more than 65,535
        tokens of a language).

    Raises:
        NeuroglotError: a language without text, a prompt longer than the context, other counts at
            ``path``, a full disk.

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
        shards=shards,
        batch_tokens=batch_tokens,
        max_tokens=max_tokens,
        share_prefixes=share_prefixes,
    )
    return collection.run(path, overwrite=overwrite, wait=wait, progress=progress)
