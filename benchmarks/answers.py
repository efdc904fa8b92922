"""What running a question once for all of its answers saves, and what it changes.

Run it with ``make benchmark`` (or ``python benchmarks/answers.py --questions 40``). The same
responses are counted with shared questions and with separate runs; rounds are interleaved, and the
ratio is taken within a round. The counts may differ only where a pre-activation is within rounding
of zero: how many of the decisions (neuron x token) fall otherwise is counted, but for those that
cancel each other out within a neuron, language and shard.
"""

import argparse
import statistics
import time
from dataclasses import replace

from report import table, write

import neuroglot


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--questions", type=int, default=4, help="questions of each language")
    parser.add_argument("--answers", type=int, default=4, help="answers to each question")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    model, tokenizer = neuroglot.load_model(arguments.model)
    problems = neuroglot.load_corpus("problems", n=arguments.questions * arguments.answers)
    # Every question forced with its own solution and with those of other problems of its level.
    of = {(example.language, example.id): example for example in problems.examples}
    ids = [example.id for example in problems.examples if example.language == problems.languages[0]]
    examples = tuple(
        replace(of[language, id_], id=f"{id_}#{i}", response=of[language, other].response)
        for language in problems.languages
        for at, id_ in enumerate(ids[: arguments.questions])
        for i, other in enumerate((ids[at], *ids[arguments.questions + at :: arguments.questions]), start=1)
    )
    corpus = replace(problems, examples=examples)
    seconds, stats = {True: [], False: []}, {}
    for _ in range(arguments.rounds):
        for shared in (True, False):
            start = time.perf_counter()
            stats[shared] = neuroglot.collect(model, tokenizer, corpus, share_prefixes=shared, progress=False)
            seconds[shared].append(time.perf_counter() - start)
    ratio = statistics.median(a / b for a, b in zip(seconds[True], seconds[False], strict=True))
    tokens = int(stats[True].tokens.sum())
    difference = abs(stats[True].shard_counts.astype(int) - stats[False].shard_counts).sum()
    layers, width, _ = stats[True].shape
    decisions = tokens * layers * width
    rows = [("", "seconds", "ratio")]
    rows.append(("every answer with its question", f"{statistics.median(seconds[False]):.1f}", "1.000"))
    rows.append(("the question once, for all its answers", f"{statistics.median(seconds[True]):.1f}", f"{ratio:.3f}"))
    write(
        "answers",
        f"Several answers to one question share its keys and values: {len(examples):,} responses, "
        f"{arguments.answers} to a question, {tokens:,} counted tokens; medians of {arguments.rounds} interleaved "
        f"rounds. {difference:,} of {decisions:,} decisions differ, {difference / decisions * 1e6:.3f} in a million."
        f"\n\n{table(rows)}",
    )


if __name__ == "__main__":
    main()
