"""What joining short texts into windows saves, and how far it moves probabilities.

Run it with ``make benchmark`` (or ``python benchmarks/packing.py --problems 16``). Sentences of the problems' solutions
are counted each by itself and joined; rounds are interleaved, and the ratio is taken within a round. How far a
neuron's probability moves is set beside how far it moves from one half of the text to the other.
"""

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
from report import table, write

import neuroglot
from neuroglot.counts.halves import compare_halves
from neuroglot.text.languages import split_sentences


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--problems", type=int, default=6, help="problems of each language")
    parser.add_argument("--pack", type=int, default=512, help="tokens of a window")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    model, tokenizer = neuroglot.load_model(arguments.model)
    problems = neuroglot.load_corpus("problems", n=arguments.problems)
    solutions = tuple(replace(example, prompt="") for example in problems.examples)
    sentences = tuple(
        replace(example, id=f"{example.id}#{number}", response=sentence)
        for example in solutions
        for number, sentence in enumerate(split_sentences(example.response), start=1)
    )
    rows = []
    for name, examples in {"sentences": sentences, "solutions": solutions}.items():
        corpus = replace(problems, examples=examples)
        seconds, stats = {True: [], False: []}, {}
        for _ in range(arguments.rounds):
            for joined in seconds:
                start = time.perf_counter()
                own = {"pack": arguments.pack if joined else None, "shards": 2, "progress": False}
                stats[joined] = neuroglot.collect(model, tokenizer, corpus, **own)
                seconds[joined].append(time.perf_counter() - start)
        tokens = int(stats[False].tokens.sum())
        faster = statistics.median(a / b for a, b in zip(seconds[False], seconds[True], strict=True))
        apart, joined = (stats[key].probabilities() for key in (False, True))
        moved = float(np.sqrt(np.mean((apart - joined) ** 2)))
        correlation = np.corrcoef(apart.ravel(), joined.ravel())[0, 1]
        halves = compare_halves(stats[False])
        speeds = (f"{tokens / statistics.median(seconds[key]):,.0f}" for key in (False, True))
        size = f"{tokens / len(examples):.0f}"
        changes = (f"{moved:.3f}", f"{halves.apart:.3f}", f"{correlation:.3f}")
        rows.append((name, size, *speeds, f"{faster:.2f}", *changes))
    title = (
        f"`{arguments.model}`, {len(problems.languages)} languages, windows of {arguments.pack} tokens; moved: root "
        "mean square over neurons and languages, joined against apart, beside one half of the text against the other"
    )
    head = (
        *("texts", "tokens each", "tokens/s apart", "tokens/s joined", "ratio"),
        *("moved", "between halves", "correlation"),
    )
    write("packing", f"{title}:\n\n{table([head, *rows])}")


if __name__ == "__main__":
    main()
