"""How many decisions (neuron x token) fall otherwise with other batches, threads or numbers: ``make benchmark``."""

import argparse

import numpy as np
import torch
from report import table, write

import neuroglot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--problems", type=int, default=4, help="problems of each language")
    arguments = parser.parse_args()
    corpus = neuroglot.load_corpus("problems", n=arguments.problems)
    threads = torch.get_num_threads()

    def counts(dtype: str = "auto", batch_tokens: int = 1024, number: int = threads) -> np.ndarray:
        torch.set_num_threads(number)
        model, tokenizer = neuroglot.load_model(arguments.model, dtype=dtype)
        settings = {"batch_tokens": batch_tokens, "shards": 4096, "progress": False}
        stats = neuroglot.collect(model, tokenizer, corpus, **settings)
        torch.set_num_threads(threads)
        return stats.shard_counts.astype(np.int64), int(stats.tokens.sum())

    usual, tokens = counts()
    decisions = tokens * usual.shape[1] * usual.shape[2]
    others = {
        "the same again": {},
        "batches of 512 tokens instead of 1,024": {"batch_tokens": 512},
        "every text by itself": {"batch_tokens": 1},
        f"{1 if threads > 1 else 2} thread(s) instead of {threads}": {"number": 1 if threads > 1 else 2},
        "bfloat16 instead of float32": {"dtype": "bfloat16"},
    }
    rows = [("what was changed", "decisions that differ", "in a million")]
    for name, change in others.items():
        differing = int(abs(counts(**change)[0] - usual).sum())
        rows.append((name, f"{differing:,}", f"{differing / decisions * 1e6:.3f}"))
    said = (
        f"`{arguments.model}`, {tokens:,} counted tokens, {decisions:,} decisions (neuron x token). Differences that "
        "cancel out within a neuron, language and situation are not seen."
    )
    write("rounding", f"{said}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
