"""How long counting takes, and how much memory, beside the bare forward pass, the whole model, and nnsight.

Run it with ``make benchmark`` (or ``python benchmarks/collect.py --problems 250 --rounds 5`` for the
default text). Every contender counts the same neurons on the same tokens; rounds are interleaved,
and ratios are taken within a round, so that a machine that slows down slows them all.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import machine, table, write

import neuroglot
from neuroglot.counts.collecting import Collection
from neuroglot.counts.gathering import KINDS
from neuroglot.model.sites import neuron_layers

SIZES = [512, 1024, 2048]
SHAPES = [(16, 32), (16, 64), (8, 128), (32, 64), (4, 256)]


def padded(collection: Collection):
    """Every batch that collect runs: ids, attention mask (which only the peers take), weights."""
    k = len(collection.languages)
    for portion in collection.portions:
        for batch in portion.batches:
            inputs = batch.tensors(k)
            mask = torch.zeros_like(inputs.ids)
            for row, text in enumerate(batch.texts):
                mask[row, : len(text.ids)] = 1
            weights = torch.zeros(k, inputs.ids.numel()).index_add_(0, inputs.groups % k, inputs.weights)
            yield inputs.ids, mask, weights


def timed(contenders: dict[str, Callable[[], object]], rounds: int) -> tuple[dict[str, list[float]], dict]:
    """Seconds of each contender in each of the interleaved rounds, and what it gave last."""
    seconds, results = {name: [] for name in contenders}, {}
    for _ in range(rounds):
        for name, contender in contenders.items():
            start = time.perf_counter()
            results[name] = contender()
            seconds[name].append(time.perf_counter() - start)
    return seconds, results


def ratio(seconds: dict[str, list[float]], name: str, to: str) -> float:
    return statistics.median(a / b for a, b in zip(seconds[name], seconds[to], strict=True))


def peak(code: str) -> float:
    """Peak memory in GiB of a Python process of its own."""
    code += "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--problems", type=int, default=16, help="problems of each language")
    parser.add_argument("--peer-problems", type=int, default=6, help="of those the slower peers get")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    model, tokenizer = neuroglot.load_model(arguments.model)
    with torch.inference_mode():
        lines = [
            *against_forward(model, tokenizer, arguments),
            *against_peers(model, tokenizer, arguments),
            *gathering(model, tokenizer, arguments),
        ]
    lines += memory(arguments)
    write("collect", "\n\n".join(lines))


def against_forward(model, tokenizer, arguments) -> list[str]:
    corpus = neuroglot.load_corpus("problems", n=arguments.problems)
    prepared = Collection(model, tokenizer, corpus)
    ids = torch.cat([torch.tensor(text.ids) for text in prepared.texts])

    def dense(shape: tuple[int, int], tokens: int) -> None:
        """The backbone alone over as many tokens in batches of one shape, without padding."""
        rows, length = shape
        for at in range(0, tokens - rows * length + 1, rows * length):
            model.base_model(input_ids=ids[at : at + rows * length].view(rows, length), use_cache=False)
        if rest := tokens % (rows * length):
            model.base_model(input_ids=ids[-rest:].view(1, -1)[:, :length], use_cache=False)
            if rest > length:
                model.base_model(input_ids=ids[-rest + length :].view(1, -1), use_cache=False)

    def collect() -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "counts.safetensors"
            return neuroglot.collect(model, tokenizer, corpus, path, progress=False).counts

    def whole(batches: list[torch.Tensor]) -> None:
        """The backbone alone over the texts as they are."""
        for batch in batches:
            model.base_model(input_ids=batch, use_cache=False)

    few = neuroglot.load_corpus("problems", n=4)
    trials = {
        size: [ids for ids, _, _ in padded(Collection(model, tokenizer, few, batch_tokens=size))] for size in SIZES
    }
    speeds, _ = timed({str(size): lambda size=size: whole(trials[size]) for size in SIZES}, 2)
    size = min(SIZES, key=lambda size: min(speeds[str(size)]))
    speeds, _ = timed({str(shape): lambda shape=shape: dense(shape, 2048) for shape in SHAPES}, 2)
    best = min(SHAPES, key=lambda shape: min(speeds[str(shape)]))
    batches = [ids for ids, _, _ in padded(Collection(model, tokenizer, corpus, batch_tokens=size))]
    bare = f"backbone forward, whole texts in batches of {size:,} tokens (best of {len(SIZES)} sizes)"
    ours = "neuroglot.collect, end to end"
    contenders = {bare: lambda: whole(batches), ours: collect}
    cut = f"backbone forward, texts cut up into dense batches of {best[0]} x {best[1]} (best of {len(SHAPES)})"
    contenders[cut] = lambda: dense(best, len(ids))
    seconds, _ = timed(contenders, arguments.rounds)
    rows = [("", "seconds", "ratio")]
    rows += [
        (name, f"{statistics.median(times):.1f}", f"{ratio(seconds, name, bare):.3f}")
        for name, times in seconds.items()
    ]
    shape = f"{len(prepared.layers)} x {prepared.layers[0].neurons:,} neurons, {len(corpus.languages)} languages"
    return [
        f"`{arguments.model}`, {len(ids):,} tokens ({int(prepared.tokens.sum()):,} counted), {shape}; {machine()}. "
        f"Medians of {arguments.rounds} interleaved rounds, ratios taken within a round. End to end is tokenizing, "
        "hashing, batching, counting and saving. Cut-up texts need no padding and less attention, but they are not the "
        "texts that are counted.",
        table(rows),
    ]


def gathering(model, tokenizer, arguments) -> list[str]:
    """What detectors read beside counts, in the same pass."""
    corpus = neuroglot.load_corpus("problems", n=arguments.peer_problems)

    def collect(**more) -> int:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "counts.safetensors"
            neuroglot.collect(model, tokenizer, corpus, path, progress=False, **more)
            return path.stat().st_size

    alone = "counts alone"
    contenders = {
        alone: collect,
        "and histograms": lambda: collect(gather="histograms"),
        "and each text's maxima, absolute and last values": lambda: collect(gather=KINDS[1:]),
        "and all of these, and moments": lambda: collect(gather=KINDS, moments=True),
    }
    seconds, sizes = timed(contenders, arguments.rounds)
    rows = [("", "seconds", "times as long", "file, MB")]
    rows += [
        (name, f"{statistics.median(times):.1f}", f"{ratio(seconds, name, alone):.2f}", f"{sizes[name] / 1e6:.0f}")
        for name, times in seconds.items()
    ]
    return ["What detectors read beside counts, on as many tokens:", table(rows)]


def against_peers(model, tokenizer, arguments) -> list[str]:
    import nnsight

    corpus = neuroglot.load_corpus("problems", n=arguments.peer_problems)
    prepared = Collection(model, tokenizer, corpus)
    batches = list(padded(prepared))
    layers, languages, width = len(prepared.layers), len(corpus.languages), prepared.layers[0].neurons
    gates = [layer.gate for layer in neuron_layers(model)]

    def whole_model() -> np.ndarray:
        """As the field's released code does it: the causal language model, sums per hooked layer."""
        totals, weights = torch.zeros(layers, languages, width), torch.empty(0)

        def hook(layer: int) -> Callable[..., None]:
            def add(_module, _inputs, output) -> None:
                totals[layer] += weights @ (output > 0).flatten(0, 1).float()

            return add

        handles = [gate.register_forward_hook(hook(i)) for i, gate in enumerate(gates)]
        for ids, mask, groups in batches:
            weights = groups
            model(input_ids=ids, attention_mask=mask)
        for handle in handles:
            handle.remove()
        return totals.permute(0, 2, 1).numpy().astype(np.int64)

    traced = nnsight.NNsight(model)

    def with_nnsight() -> np.ndarray:
        totals = torch.zeros(layers, languages, width)
        for ids, mask, weights in batches:
            with traced.trace(input_ids=ids, attention_mask=mask):
                sums = nnsight.save([])
                for layer in traced.model.layers:
                    sums.append(weights @ (layer.mlp.gate_proj.output > 0).flatten(0, 1).float())
            totals += torch.stack(sums)
        return totals.permute(0, 2, 1).numpy().astype(np.int64)

    ours = "neuroglot.collect, end to end"
    contenders = {
        ours: lambda: neuroglot.collect(model, tokenizer, corpus, progress=False).counts,
        "the whole causal language model with hooks": whole_model,
        "nnsight": with_nnsight,
    }
    seconds, results = timed(contenders, arguments.rounds)
    rows = [("", "seconds", "times as long", "counts that differ")]
    for name, times in seconds.items():
        differing = int((results[name] != results[ours]).sum())
        times_ = f"{ratio(seconds, name, ours):.2f}"
        rows.append((name, f"{statistics.median(times):.1f}", times_, f"{differing} of {results[name].size:,}"))
    tokens = sum(len(text.ids) for text in prepared.texts)
    return [f"The same against others' ways to count, on {tokens:,} tokens:", table(rows)]


def memory(arguments) -> list[str]:
    load = f"import neuroglot, torch\nmodel, tokenizer = neuroglot.load_model({arguments.model!r})\n"
    batch = "with torch.inference_mode(): model.base_model(torch.arange(1024).view(8, 128), use_cache=False)"
    collect = f"neuroglot.collect(model, tokenizer, neuroglot.load_corpus('problems', n={arguments.problems}))"
    bare, ours = peak(load + batch), peak(load + collect)
    return [
        f"Peak memory: {bare:.2f} GiB for the model and one batch, {ours:.2f} GiB for collect, {ours / bare:.3f} times."
    ]


if __name__ == "__main__":
    main()
