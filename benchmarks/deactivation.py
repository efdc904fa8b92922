"""What a matrix of deactivations costs beside its plain forward passes.

Run it with ``make benchmark`` (or ``python benchmarks/deactivation.py --tokens 250``). The same passes are run,
pass by pass in turn, by ``neuroglot.losses`` with its interventions, and plainly, without any: the
backbone, the head on the positions that predict a response, and cross-entropy.
"""

import argparse
import time
from collections import defaultdict

import torch
from report import machine, table, write
from torch.nn import functional

import neuroglot
from neuroglot.effects import removals
from neuroglot.model import likelihood


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--tokens", type=int, default=250, help="response tokens of each language, about")
    arguments = parser.parse_args()
    model, tokenizer = neuroglot.load_model(arguments.model)
    counted, held = neuroglot.load_corpus("problems", n=60).split(0.25)
    stats = neuroglot.collect(model, tokenizer, counted.spread(8), progress=False)
    types = neuroglot.classify(stats, top_rate=0.05)
    set_ = {"specific + related": removals.SETS["specific + related"]}
    removed = removals.removals(types, set_)
    text = next(
        text
        for text in map(held.spread, range(1, 99))
        if neuroglot.tokens_per_language(tokenizer, text)["tokens"].min() >= arguments.tokens
    )
    seconds: dict[str, float] = defaultdict(float)
    score = likelihood._Run._score

    def timed(run: likelihood._Run, one: likelihood._Pass, head: likelihood._Head, positions: str) -> torch.Tensor:
        inputs = likelihood.Batch(one.texts).tensors(1)
        keep = inputs.weights.sum(0).reshape(inputs.ids.shape).bool()[:, 1:]
        targets = inputs.ids[:, 1:][keep]
        with torch.inference_mode():
            start = time.perf_counter()
            states = model.base_model(
                input_ids=inputs.ids.repeat(len(one.changes), 1), use_cache=False
            ).last_hidden_state
            states = states.unflatten(0, (len(one.changes), -1))[:, :, :-1][:, keep].flatten(0, 1)
            functional.cross_entropy(model.lm_head(states), targets.repeat(len(one.changes)), reduction="none")
            seconds["plain"] += time.perf_counter() - start
        start = time.perf_counter()
        nll = score(run, one, head, positions)
        seconds[positions] += time.perf_counter() - start
        return nll

    likelihood._Run._score = timed
    start = time.perf_counter()
    found = neuroglot.losses(model, tokenizer, text, removals.zeroing(removed))
    spent = time.perf_counter() - start
    around = spent - sum(seconds.values())  # what is not forward passes: tokens, hashes, the proof of the head
    likelihood._Run._score = score
    start = time.perf_counter()
    neuroglot.losses(model, tokenizer, text, removals.zeroing(removed), positions="response")
    response = time.perf_counter() - start
    matrix, rows = seconds["all"] + around, [("", "seconds", "ratio")]
    for what, value in (
        ("the plain forward passes: backbone, head on the response, cross-entropy", seconds["plain"]),
        ("the matrix, all of `losses`", matrix),
        ("the matrix with neurons changed in the response only", response),
    ):
        rows.append((what, f"{value:.1f}", f"{value / seconds['plain']:.3f}"))
    each = found.tokens.sum(axis=1)
    write(
        "deactivation",
        f"A matrix of {len(found.rows)} interventions x {len(found.languages)} languages, {each.min()} to {each.max()} "
        f"response tokens a language, on {machine()}:\n\n{table(rows)}\n\n"
        "The matrix can cost less than its plain passes because the head runs some thousand words of the vocabulary at "
        "a time, which stay in the processor's cache.",
    )


if __name__ == "__main__":
    main()
