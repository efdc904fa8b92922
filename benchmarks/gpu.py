"""Whether a GPU gives what the CPU gives, and how fast: ``python benchmarks/gpu.py`` on a machine that has one.

Everything is held against the CPU in float32, with the packaged model and text; ``--device cpu`` tries the script.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import report
import torch

import neuroglot
from neuroglot.counts.collecting import Collection
from neuroglot.effects import removals

#: Shapes of the matrix product that a device's peak is read off: enough rows to be bound by arithmetic.
PEAK = {"cuda": 8192, "cpu": 1024}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma3-270m")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16", "float16"])
    parser.add_argument("--problems", type=int, default=12, help="problems of each language")
    parser.add_argument("--languages", help="codes; default: all of them")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="tokens of a pass")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args(argv)
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; --device cpu tries the script.")
    name = torch.cuda.get_device_name(asked.device) if asked.device.startswith("cuda") else "no GPU, the CPU twice"
    said = [f"`{asked.model}` on {name} beside {report.machine()}.", counted(asked), the_same(asked)]
    said += [measured(asked), speed(asked), ways(asked)]
    report.write("gpu", "\n\n".join(said))


def load(asked: argparse.Namespace, device: str, dtype: str = "float32") -> tuple[Any, Any]:
    """A model on a device; ``device`` may be ``auto``."""
    return neuroglot.load_model(asked.model, dtype=dtype, device_map=device)


def text(asked: argparse.Namespace, most: int | None = None) -> neuroglot.Corpus:
    return neuroglot.load_corpus("problems", asked.languages, n=min(asked.problems, most or asked.problems))


def stats_of(asked: argparse.Namespace, device: str, dtype: str, **more: Any) -> neuroglot.ActivationStats:
    """Counts, each text a shard of its own, so that no difference cancels within a language."""
    settings = {"batch_tokens": asked.batch_tokens, "shards": 4096, "progress": False} | more
    return neuroglot.collect(*load(asked, device, dtype), text(asked), **settings)


def counted(asked: argparse.Namespace) -> str:
    """Decisions (neuron x token) that fall otherwise than on the CPU, by dtype."""
    usual = stats_of(asked, "cpu", "float32")
    decisions = int(usual.tokens.sum()) * usual.shape[0] * usual.shape[1]

    def differing(other: neuroglot.ActivationStats, than: neuroglot.ActivationStats) -> str:
        return f"{abs(other.shard_counts.astype(np.int64) - than.shard_counts).sum() / decisions * 1e6:.3f}"

    rows = [("counted in", "in a million otherwise than on the CPU in float32", "than on the CPU in the same")]
    for dtype in asked.dtypes:
        there, here = stats_of(asked, asked.device, dtype), stats_of(asked, "cpu", dtype)
        rows.append((dtype, differing(there, usual), differing(there, here)))
    return f"Of {decisions:,} decisions (neuron x token) fall otherwise:\n\n{report.table(rows)}"


def the_same(asked: argparse.Namespace) -> str:
    """Whether the file of counts has the same bytes: again, by ``device_map="auto"``, and by two processes."""
    with tempfile.TemporaryDirectory() as folder:

        def counts(name: str, launch: Sequence[str], *device: str) -> bytes:
            path = Path(folder) / f"{name}.safetensors"
            own = ["--model", asked.model, "--corpus", "problems", "-o", "n", str(asked.problems), *device]
            own += ["--languages", asked.languages] if asked.languages else []
            words = [*launch, "-m", "neuroglot", "collect", *own, "--dtype", "float32", "--out", str(path)]
            subprocess.run(words, check=True, capture_output=True)
            return path.read_bytes()

        alone, device = [sys.executable], ["--device-map", asked.device]
        two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        usual = counts("one", alone, *device)
        rows = [("", "the same bytes")]
        rows.append(("counted again", yes(counts("again", alone, *device) == usual)))
        rows.append(('`device_map="auto"`', yes(counts("auto", alone, "--device-map", "auto") == usual)))
        if asked.device.startswith("cuda") and torch.cuda.device_count() < 2:
            rows.append(("two processes", "not run: one GPU"))
        else:
            rows.append(("two processes", yes(counts("two", two) == usual)))
    return report.table(rows)


def yes(same: bool) -> str:
    return "yes" if same else "**no**"


def measured(asked: argparse.Namespace) -> str:
    """Losses with and without each language's neurons, and greedy answers, beside the CPU's."""
    corpus = text(asked, 4)
    types = neuroglot.classify(stats_of(asked, "cpu", "float32", shards=1), top_rate=0.05)
    changes = removals.zeroing(removals.removals(types, {"own": removals.SETS["specific + related"]}))
    questions = {"shots": 0, "max_new_tokens": 32, "progress": False}
    found = {}
    for device in ("cpu", asked.device):
        model, tokenizer = load(asked, device)
        losses = neuroglot.losses(model, tokenizer, corpus, changes, progress=False)
        answers = [one.response for one in neuroglot.sample(model, tokenizer, corpus, **questions).examples]
        found[device] = losses.log_perplexity(), answers
    (here, mine), (there, theirs) = found["cpu"], found[asked.device]
    same = sum(one == other for one, other in zip(mine, theirs, strict=True))
    return (
        f"Mean losses under {len(changes)} interventions differ from the CPU's by {np.nanmax(abs(there - here)):.1e} "
        f"nats per token at most (float32); {same} of {len(mine)} greedy answers of 32 tokens are the same."
    )


def seconds_of(asked: argparse.Namespace, contenders: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each in interleaved rounds, after one that is not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(asked.rounds + 1):
        for name, contender in contenders.items():
            settled(asked)
            start = time.perf_counter()
            contender()
            settled(asked)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def settled(asked: argparse.Namespace) -> None:
    if asked.device.startswith("cuda"):
        torch.cuda.synchronize()


def speed(asked: argparse.Namespace) -> str:
    """Counting beside the bare forward pass, and both beside the peak of a matrix product."""
    rows = [("", "bare pass, tokens/s", "share of the matrix peak", "counting, of the bare pass's speed")]
    corpus = text(asked)
    for dtype in asked.dtypes:
        model, tokenizer = load(asked, asked.device, dtype)
        prepared = Collection(model, tokenizer, corpus, batch_tokens=asked.batch_tokens)
        batches = [batch.tensors(1).ids for portion in prepared.portions for batch in portion.batches]
        tokens = sum(ids.numel() for ids in batches)
        size = PEAK[torch.device(asked.device).type]
        one = torch.randn(size, size, device=asked.device, dtype=getattr(torch, dtype))

        def bare(model: Any = model, batches: list[torch.Tensor] = batches) -> None:
            with torch.inference_mode():
                for ids in batches:
                    model.base_model(input_ids=ids.to(asked.device), use_cache=False)

        contenders = {
            "bare": bare,
            "counting": lambda prepared=prepared: prepared.run(progress=False),
            "peak": lambda one=one: one @ one,
        }
        seconds = seconds_of(asked, contenders)
        took = {name: statistics.median(times) for name, times in seconds.items()}
        share = statistics.median(a / b for a, b in zip(seconds["bare"], seconds["counting"], strict=True))
        weights = (
            sum(each.numel() for each in model.base_model.parameters()) - model.get_input_embeddings().weight.numel()
        )
        reached = 2 * weights * tokens / took["bare"] / (2 * size**3 / took["peak"])
        rows.append((dtype, f"{tokens / took['bare']:,.0f}", f"{reached:.2f}", f"{share:.2f}"))
    return (
        f"A bare pass is the backbone over the same padded batches of {asked.batch_tokens:,} tokens; its arithmetic is "
        f"taken as 2 x the weights but the embeddings per token. Counting is with tokenizing and hashing done.\n\n"
        f"{report.table(rows)}"
    )


def ways(asked: argparse.Namespace) -> str:
    """Ways to count one layer's batch: the matrix product that is used, and sums that read the values once."""
    tokens, width, groups = (asked.batch_tokens, 16384, 64) if asked.device.startswith("cuda") else (512, 2048, 8)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(tokens, width, generator=generator).to(asked.device, torch.bfloat16)
    own = torch.arange(tokens) * groups // tokens
    weights = torch.nn.functional.one_hot(own, groups).T.float().to(asked.device)
    ends = (torch.bincount(own, minlength=groups)).tolist()
    active = torch.empty(values.shape, dtype=torch.float32, device=asked.device)

    def product() -> torch.Tensor:
        return (weights @ torch.gt(values, 0, out=active)).to(torch.int64)

    def sums(values: torch.Tensor = values) -> torch.Tensor:
        return torch.stack([(part > 0).sum(0) for part in values.split(ends)])

    contenders: dict[str, Callable[[], torch.Tensor]] = {"a mask, and a matrix product (used)": product}
    contenders["sums of each text's own rows"] = sums
    compiled = torch.compile(sums)
    try:
        compiled()
        contenders["the same, through `torch.compile`"] = compiled
    except Exception as error:  # no compiler on this machine
        print(f"torch.compile: {type(error).__name__}", file=sys.stderr)
    usual, seconds = product(), seconds_of(asked, contenders)
    first = next(iter(seconds))
    rows = [("one layer's batch, counted by", "times as long", "the same counts")]
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds[first], strict=True))
        rows.append((name, f"{ratio:.2f}", yes(torch.equal(contenders[name](), usual))))
    return f"{tokens:,} tokens of {groups} texts x {width:,} neurons in bfloat16:\n\n{report.table(rows)}"


if __name__ == "__main__":
    main()
