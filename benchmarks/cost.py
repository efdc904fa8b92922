"""Seconds per million tokens by model size, measured here and computed for GPUs: ``make benchmark``."""

import argparse

from report import machine, table, write

import neuroglot
from neuroglot.counts.collecting import Collection

# Dense bfloat16 peak of the data sheets, and the share of it that a forward pass is taken to reach.
PEAKS = {"RTX 3090": 71e12, "A100": 312e12, "H100": 989e12}
USED = 0.4
SIZES = {"0.6B": 0.6e9, "1.7B": 1.7e9, "4B": 4e9, "8B": 8e9, "14B": 14e9, "32B": 32e9, "70B": 70e9}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=3, help="problems of each language")
    arguments = parser.parse_args()
    corpus = neuroglot.load_corpus("problems", n=arguments.problems)
    rows = [("measured, on a CPU", "parameters below the head", "seconds", "memory, float32")]
    for name in ("smollm2-135m", "gemma3-270m"):
        model, tokenizer = neuroglot.load_model(name)
        prepared = Collection(model, tokenizer, corpus)
        tokens = sum(len(text.ids) for text in prepared.texts)
        embedded = model.get_input_embeddings().weight.numel()
        size = sum(parameter.numel() for parameter in model.base_model.parameters()) - embedded
        seconds = min(prepared.estimate_seconds() for _ in range(3)) / tokens * 1e6
        rows.append(
            (f"`{name}`", f"{size / 1e6:.0f} M", f"{seconds:,.0f}", f"{prepared.memory()['model'] / 2**30:.1f} GiB")
        )
    computed = [("computed, on one GPU", *PEAKS, "memory, bfloat16")]
    for name, size in SIZES.items():
        seconds = (f"{2 * size * 1e6 / (peak * USED):,.0f}" for peak in PEAKS.values())
        computed.append((name, *seconds, f"{2 * size / 2**30:.0f} GiB"))
    write(
        "cost",
        "Seconds per million tokens (prompts and responses), measured by a short probe on "
        f"{machine()}:\n\n{table(rows)}\n\n"
        "The rest is **computed, not measured**: two operations per parameter and token at "
        f"{USED:.0%} of each GPU's bfloat16 peak. Where a model does not fit into one GPU's memory, its layers are "
        f"spread over several, which work in turn.\n\n{table(computed)}",
    )


if __name__ == "__main__":
    main()
