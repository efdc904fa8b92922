"""Several processes that share a run, and runs that are killed: really launched, really killed."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from neuroglot import collect, load_corpus, load_model
from neuroglot.counts.collecting import Collection
from neuroglot.counts.gathering import KINDS
from neuroglot.model.processes import Processes, joined

from ..conftest import byte_tokenizer, tiny_model

BIN = Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Tiny models and a text in languages that no detector knows, whose purity takes no time."""
    place = tmp_path_factory.mktemp("processes")
    for family in ("llama", "mixtral"):
        tiny_model(family).float().save_pretrained(place / family)
        byte_tokenizer().save_pretrained(place / family)
    (place / "texts").mkdir()
    for code in ("aa", "kl"):
        paragraphs = (f"{code} {i} " + "abcdefgh "[i % 5 :] * (i % 7 + 1) for i in range(40))
        (place / "texts" / f"{code}.txt").write_text("\n\n".join(paragraphs))
    return place


def launch(place, out, *launcher, family="llama", more=()):
    command = [*map(str, launcher), "collect", "--model", family, "--corpus", "text:texts", "--batch-tokens", "60"]
    gather = [word for kind in KINDS for word in ("--gather", kind)] if family != "mixtral" else []
    command += ["--moments", *gather, *more, "--out", out]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    return subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, timeout=120)


def torchrun(number, *what):
    return BIN / "torchrun", "--standalone", "--nproc_per_node", number, *what


@pytest.fixture(scope="module")
def alone(place):
    done = launch(place, "alone.safetensors", sys.executable, "-m", "neuroglot")
    assert done.returncode == 0, done.stderr
    return (place / "alone.safetensors").read_bytes()


def test_processes_share_streamed_text(place):
    """And write the bytes that one process writes of the text in memory, here with texts joined into windows."""
    lines = place / "lines.jsonl"
    with lines.open("w") as file:
        for code in ("aa", "kl"):
            for text in (place / "texts" / f"{code}.txt").read_text().split("\n\n"):
                file.write(json.dumps({"language": code, "response": text}) + "\n")
    asked = ["--corpus", "jsonl:lines.jsonl", "--pack", "40"]
    stream = ["-o", "stream", "true"]
    one = launch(place, "one", sys.executable, "-m", "neuroglot", family="mixtral", more=asked)
    two = launch(place, "two", *torchrun(2, "-m", "neuroglot"), family="mixtral", more=[*asked, *stream])
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert (place / "one").read_bytes() == (place / "two").read_bytes()
    assert "windows" in two.stdout and "not held in memory" in two.stdout


@pytest.mark.parametrize(("number", "more"), [(2, []), (3, ["--gather-memory", "0"])])
def test_several_processes_write_the_bytes_of_one(place, alone, number, more):
    out = f"{number}.safetensors"
    done = launch(place, out, *torchrun(number, "-m", "neuroglot"), more=more)
    assert done.returncode == 0, done.stderr
    assert (place / out).read_bytes() == alone
    assert done.stdout.count("tokens to count") == 1 and done.stdout.count(f"wrote {out}") == 1
    assert not (place / f"{out}.parts").exists()


def test_experts_in_several_processes(place):
    written = []
    for number, launcher in enumerate([(sys.executable, "-m", "neuroglot"), torchrun(2, "-m", "neuroglot")]):
        done = launch(place, f"experts-{number}.safetensors", *launcher, family="mixtral")
        assert done.returncode == 0, done.stderr
        written.append((place / f"experts-{number}.safetensors").read_bytes())
    assert written[0] == written[1]


HARMED = """
import os, signal, sys
from neuroglot import NeuroglotError, cli
from neuroglot.counts import collecting

count, calls = collecting.Collection._count, []

def harmed(self, *arguments):
    calls.append(1)
    if os.environ["RANK"] == "1" and len(calls) == 3:
        {harm}
    return count(self, *arguments)

collecting.Collection._count = harmed
code = cli.main(sys.argv[1:])
print(f"process {{os.environ['RANK']}} counted {{len(calls)}} times", flush=True)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        (
            "raise NeuroglotError('the second process fell over.')",
            "neuroglot (process 1): the second process fell over",
        ),
    ],
)
def test_a_process_that_dies_fails_the_run_and_the_next_one_goes_on(place, alone, harm, said, tmp_path):
    out = f"{said[:4]}.safetensors"
    script = tmp_path / "harmed.py"
    script.write_text(HARMED.format(harm=harm))
    done = launch(place, out, *torchrun(2, script))
    assert done.returncode != 0 and said in done.stderr
    parts = place / f"{out}.parts"
    finished = len(list(parts.glob("shards-*.safetensors")))
    assert finished == 2 and not (place / out).exists()
    script.write_text(HARMED.format(harm="pass"))
    done = launch(place, out, *torchrun(2, script))
    assert done.returncode == 0, done.stderr
    portions = Collection(
        *load_model(str(place / "llama")), load_corpus(f"text:{place / 'texts'}"), batch_tokens=60
    ).portions
    assert f"process 1 counted {len(portions) - finished} times" in done.stdout
    assert (place / out).read_bytes() == alone and not parts.exists()


def test_what_only_the_first_process_finds_ends_them_all(place, alone):
    done = launch(place, "alone.safetensors", *torchrun(2, "-m", "neuroglot"), more=["--above", "0.5"])
    assert done.returncode != 0 and (place / "alone.safetensors").read_bytes() == alone
    for said in ("neuroglot: alone.safetensors holds other counts (settings differ)", "neuroglot (process 1): alone"):
        assert said in done.stderr


def test_one_process_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = joined()
    assert alone == Processes() and alone.first and [*alone.mine([1, 2, 3])] == [1, 2, 3] and alone.once(lambda: 5) == 5
    assert [[*Processes(i, 3).mine(range(7))] for i in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]


# --- killed at any moment ----------------------------------------------------------------------


def count(place: Path, out: Path) -> None:
    import torch

    torch.set_num_threads(1)
    model, tokenizer = load_model(str(place / "llama"))
    corpus = load_corpus(f"text:{place / 'texts'}")
    collect(model, tokenizer, corpus, out, batch_tokens=8, moments=True, gather=KINDS, progress=False)


def test_killed_at_random_moments_and_rerun_gives_the_same_bytes(place, tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["neuroglot.counts.collecting", "neuroglot.text.readers", __name__])
    rng = random.Random(0)

    def run(out: Path, seconds: float | None) -> int:
        child = context.Process(target=count, args=(place, out))
        child.start()
        child.join(seconds)
        child.kill()
        child.join()
        return child.exitcode

    undisturbed = tmp_path / "undisturbed" / "counts.safetensors"
    assert run(undisturbed, None) == 0
    killed, resumed, longest = 0, 0, 0.4
    for number in range(6):
        out = tmp_path / str(number) / "counts.safetensors"
        while (code := run(out, rng.uniform(0, longest))) != 0:
            assert code == -signal.SIGKILL
            killed += 1
            resumed += any(out.parent.glob("*.parts/shards-*"))
            longest *= 1.2  # it must end at some time on a slow machine
        longest = max(0.4, longest / 2)
        assert out.read_bytes() == undisturbed.read_bytes()
        assert [path.name for path in out.parent.iterdir()] == ["counts.safetensors"]
    assert killed > 4 and resumed
