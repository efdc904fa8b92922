"""How long counting takes beside the bare forward pass, the whole model, and nnsight.

Run it with ``make benchmark`` (or ``python benchmarks/collect.py --articles 31 --rounds 5`` for the
whole Declaration). Every contender counts the same neurons on the same tokens; rounds are
interleaved, and ratios are taken within a round, so that a machine that slows down slows them all.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import neuroglot
from neuroglot.activations import Collection
from neuroglot.models import neuron_gates


def padded(collection: Collection):
    """Every batch that collect runs: ids, attention mask (which only the peers take), weights."""
    k = len(collection.languages)
    for unit in collection.units:
        for batch in unit.batches:
            inputs = batch.tensors(collection.pad, k)
            mask = torch.zeros_like(inputs.ids)
            for row, text in enumerate(batch.texts):
                mask[row, : len(text.ids)] = 1
            weights = torch.zeros(k, inputs.ids.numel()).index_add_(0, inputs.groups % k, inputs.weights)
            yield inputs.ids, mask, weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--articles", type=int, default=12, help="documents of the Declaration per language")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model, tokenizer = neuroglot.load_model(arguments.model)
    corpus = neuroglot.load_corpus("udhr", articles=arguments.articles)
    prepared = Collection(model, tokenizer, corpus)
    gates, layers = neuron_gates(model), len(neuron_gates(model))
    batches = list(padded(prepared))
    languages, width = len(corpus.languages), prepared.run(progress=False).shape[1]
    ids = torch.cat([ids[mask.bool()] for ids, mask, _ in batches])
    print(f"{arguments.model}, {len(ids):,} tokens ({int(prepared.tokens.sum()):,} counted), "
          f"{layers} x {width} neurons, {languages} languages, {torch.get_num_threads()} threads")  # fmt: skip

    def forward(shape: tuple[int, int]) -> None:
        """The backbone alone over as many tokens in dense batches of one shape."""
        rows, length = shape
        for at in range(0, len(ids) - rows * length + 1, rows * length):
            model.base_model(input_ids=ids[at : at + rows * length].view(rows, length), use_cache=False)
        if rest := len(ids) % (rows * length):
            model.base_model(input_ids=ids[-rest:].view(1, -1)[:, :length], use_cache=False)

    def backbone_same_batches() -> None:
        for ids_, _, _ in batches:
            model.base_model(input_ids=ids_, use_cache=False)

    def collect() -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "counts.safetensors"
            return neuroglot.collect(model, tokenizer, corpus, path, progress=False).counts

    def whole_model() -> np.ndarray:
        """As the field's released code does it: the causal language model, sums per hooked layer."""
        totals, weights = torch.zeros(layers, languages, width), torch.empty(0)

        def hook(layer: int) -> Callable[..., None]:
            def add(_module, _inputs, output) -> None:
                totals[layer] += weights @ (output > 0).flatten(0, 1).float()

            return add

        handles = [gate.register_forward_hook(hook(i)) for i, gate in enumerate(gates)]
        for ids_, mask, groups in batches:
            weights = groups
            model(input_ids=ids_, attention_mask=mask)
        for handle in handles:
            handle.remove()
        return totals.permute(0, 2, 1).numpy().astype(np.int64)

    def with_nnsight() -> np.ndarray:
        totals = torch.zeros(layers, languages, width)
        for ids_, mask, weights in batches:
            with traced.trace(input_ids=ids_, attention_mask=mask):
                sums = nnsight.save([])
                for layer in traced.model.layers:
                    sums.append(weights @ (layer.mlp.gate_proj.output > 0).flatten(0, 1).float())
            totals += torch.stack(sums)
        return totals.permute(0, 2, 1).numpy().astype(np.int64)

    import nnsight

    traced = nnsight.NNsight(model)
    shapes = [(8, 64), (16, 64), (32, 64), (8, 128), (4, 256), (1, 1024)]
    with torch.inference_mode():
        speeds = {}
        for shape in shapes:
            start = time.perf_counter()
            model.base_model(input_ids=ids[: shape[0] * shape[1]].view(shape), use_cache=False)
            speeds[shape] = (time.perf_counter() - start) / (shape[0] * shape[1])
        best = min(speeds, key=speeds.get)
        contenders: dict[str, Callable] = {
            "backbone forward, the same batches": backbone_same_batches,
            "neuroglot.collect, end to end (tokenizing, hashing, counting, saving)": collect,
            "whole causal language model with hooks": whole_model,
            "nnsight": with_nnsight,
            f"backbone forward, no text kept whole: dense {best[0]} x {best[1]}, best of {len(shapes)}": (
                lambda: forward(best)
            ),
        }
        seconds = {name: [] for name in contenders}
        results = {}
        for _ in range(arguments.rounds):
            for name, contender in contenders.items():
                start = time.perf_counter()
                results[name] = contender()
                seconds[name].append(time.perf_counter() - start)
    first = next(iter(contenders))
    print(f"{'seconds':>8}  {'ratio to backbone':>17}  (medians of {arguments.rounds} interleaved rounds)")
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds[first], strict=True))
        print(f"{statistics.median(times):8.2f}  {ratio:17.3f}  {name}")
    ours, *peers = list(contenders)[1:4]
    for name in peers:
        speedup = statistics.median(a / b for a, b in zip(seconds[name], seconds[ours], strict=True))
        differing = int((results[name] != results[ours]).sum())
        print(f"collect is {speedup:.2f} times as fast as {name}; {differing} of {results[name].size:,} counts differ")


if __name__ == "__main__":
    main()
