"""Several processes that share a run, and runs that are killed: really launched, really killed."""

import json
import multiprocessing
import os
import random
import signal
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from neuroglot import cli, collect, load_corpus, load_model
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
        paragraphs = [f"{code} {i} " + "abcdefgh "[i % 5 :] * (i % 7 + 1) for i in range(40)]
        (place / "texts" / f"{code}.txt").write_text("\n\n".join(paragraphs))
        with (place / "asked.jsonl").open("a") as file:
            for i, text in enumerate(paragraphs[:9]):
                row = {"id": str(i), "language": code, "prompt": f"{code} {i}?" * (i % 3 + 1), "response": text}
                file.write(json.dumps(row) + "\n")
    return place


def launch(place, out, *launcher, family="llama", more=()):
    command = [*map(str, launcher), "collect", "--model", family, "--corpus", "text:texts", "--batch-tokens", "60"]
    gather = [word for kind in KINDS for word in ("--gather", kind)] if family != "mixtral" else []
    return ran(place, [*command, "--moments", *gather, *more, "--out", out])


def ran(place, command):
    command = [*map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, cwd=place, env=surroundings(), timeout=120)


def surroundings(**own):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        environment.pop(name, None)
    return environment | own


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


# --- passes dealt out ---------------------------------------------------------------------------

PASSES = """
import hashlib, json, os, signal, sys
from pathlib import Path

import numpy as np

import neuroglot as ng
from neuroglot import NeuroglotError
from neuroglot.model import attribution, likelihood, sampling

rank, place, kinds = int(os.environ.get("RANK", "0")), Path(sys.argv[1]), sys.argv[2].split()
made, held = dict.fromkeys(kinds, 0), {{}}


def seen(where, name, kind):
    do = getattr(where, name)

    def once_more(*given, **more):
        made[kind] += 1
        if rank == 1:
            {harm}
        return do(*given, **more)

    setattr(where, name, once_more)


seen(likelihood._Run, "_score", "losses")
seen(sampling, "_generate", "responses")
seen(attribution, "_of_batch", "attributions")
model, tokenizer = ng.load_model("llama")
corpus = ng.load_corpus("jsonl:asked.jsonl")
neurons = [np.arange(4) for _ in model.model.layers]
changes = {{"as it is": None, "off": ng.Intervention(neurons, values=0.0), "up": ng.Intervention(neurons, factor=2.0)}}
if rank == 1:
    {first}
try:
    if "losses" in kinds:
        found = ng.losses(model, tokenizer, corpus, changes, place / "losses", batch_tokens=90, progress=False)
        held["losses"] = found.nll.tobytes()
    if "responses" in kinds:
        how = dict(n=2, temperature=1.0, shots=0, max_new_tokens=3, batch_size=5, interventions=changes, progress=False)
        rows, _ = sampling.sample_rows(model, tokenizer, corpus, place / "responses", **how)
        held["responses"] = json.dumps(rows).encode()
    if "attributions" in kinds:
        found = ng.attributions(model, tokenizer, corpus, place / "attributions", batch_tokens=90, progress=False)
        held["attributions"] = found.values.tobytes()
except NeuroglotError as error:
    print(f"process {{rank}}: {{error}}", file=sys.stderr, flush=True)
    sys.exit(2)
finally:
    hashes = {{kind: hashlib.sha256(each).hexdigest() for kind, each in held.items()}}
    sys.stdout.write(json.dumps({{"rank": rank, "made": made, "held": hashes}}) + "\\n")
    sys.stdout.flush()
"""
ALL = ("losses", "responses", "attributions")


def script(place, name, harm="pass", first="pass"):
    path = place / f"{name}.py"
    path.write_text(PASSES.format(harm=harm, first=first))
    return path


def said(stdout):
    found = [json.loads(line) for line in stdout.splitlines() if line.startswith("{")]
    return sorted(found, key=lambda one: one["rank"])


@pytest.fixture(scope="module")
def undivided(place):
    """What one process makes, and of how many passes."""
    done = ran(place, [sys.executable, script(place, "undivided"), "undivided", " ".join(ALL)])
    assert done.returncode == 0, done.stderr
    (one,) = said(done.stdout)
    assert min(one["made"].values()) > 6
    return one, {kind: (place / "undivided" / kind).read_bytes() for kind in ALL}


@pytest.mark.parametrize("number", [2, 3])
def test_passes_are_dealt_out_and_give_the_bytes_of_one_process(place, undivided, number):
    one, files = undivided
    done = ran(place, [*torchrun(number, script(place, "divided")), f"divided-{number}", " ".join(ALL)])
    assert done.returncode == 0, done.stderr
    several = said(done.stdout)
    for kind in ALL:
        whole = one["made"][kind]
        assert [each["made"][kind] for each in several] == [len(range(rank, whole, number)) for rank in range(number)]
        assert (place / f"divided-{number}" / kind).read_bytes() == files[kind]
        assert {each["held"][kind] for each in several} == {one["held"][kind]}  # not of the first process alone
    assert {path.name for path in (place / f"divided-{number}").iterdir()} == set(ALL)


def test_one_that_fails_ends_all_and_another_number_goes_on(place, undivided):
    one, files = undivided
    harm = "if made[kind] == 3: raise NeuroglotError('the second process fell over.')"
    done = ran(place, [*torchrun(2, script(place, "failing", harm)), "failed", "losses"])
    assert done.returncode != 0
    assert "process 1: the second process fell over." in done.stderr
    assert "process 0: process 1 ended the run: the second process fell over." in done.stderr
    parts = place / "failed" / "losses.parts"
    assert len(list(parts.iterdir())) == 4 and not (place / "failed" / "losses").exists()
    done = ran(place, [*torchrun(3, script(place, "going-on")), "failed", "losses"])
    assert done.returncode == 0, done.stderr
    assert sum(each["made"]["losses"] for each in said(done.stdout)) == one["made"]["losses"] - 4
    assert (place / "failed" / "losses").read_bytes() == files["losses"] and not parts.exists()


def by_hand(place, *command):
    """Two processes that nothing watches over, as ``srun`` starts them: exit codes and what they wrote."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    started = []
    for rank in ("0", "1"):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        started.append(
            subprocess.Popen(
                [*map(str, command)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=place,
                env=surroundings(**own),
            )
        )
    told = [one.communicate(timeout=120) for one in started]
    return [one.returncode for one in started], told


def test_one_that_is_killed_is_missed(place, undivided):
    harm = "if made[kind] == 2: os.kill(os.getpid(), signal.SIGKILL)"
    codes, told = by_hand(place, sys.executable, script(place, "killed", harm), "killed", "responses")
    assert codes == [2, -signal.SIGKILL]
    assert "process 0: another of the processes that share this run has ended" in told[0][1]
    assert "Traceback" not in told[0][1]
    assert len(list((place / "killed" / "responses.parts").iterdir())) == 2


@pytest.mark.parametrize(
    ("first", "why"),
    [
        # Its neurons would not be changed there, and only the pass itself can tell.
        ("model.model.layers[1].mlp.forward = lambda states: states", "without the MLP of layer 1 as a module"),
        ("corpus = corpus.only(['kl', 'aa'])", "process 1 has not what the first one has ("),
    ],
)
def test_what_only_another_process_finds_ends_all(place, undivided, first, why):
    out = f"wrong-{len(why)}"
    codes, told = by_hand(place, sys.executable, script(place, out, first=first), out, "losses")
    assert codes == [2, 2]
    assert all(why in stderr and "Traceback" not in stderr for _, stderr in told)
    assert not (place / out / "losses").exists()


def test_steering_is_shared_from_the_command_line(place, alone, monkeypatch, capsys):
    """It counts means and samples, and says what it found once."""
    monkeypatch.chdir(place)
    assert cli.main(["classify", "alone.safetensors", "--top-rate", "0.5", "--out", "types"]) == 0
    how = ["--model", "llama", "--types", "types", "--corpus", "jsonl:asked.jsonl", "--shots", "0", "--targets", "kl"]
    how += ["--source", "aa", "--max-new-tokens", "3"]
    capsys.readouterr()
    assert cli.main(["steer", *how, "--out", "steered"]) == 0
    single = capsys.readouterr().out
    done = ran(place, [*torchrun(2, "-m", "neuroglot"), "steer", *how, "--out", "steered-2"])
    assert done.returncode == 0, done.stderr
    assert done.stdout == single.replace("wrote steered", "wrote steered-2")
    for name in ("", ".means.safetensors"):
        assert (place / f"steered-2{name}").read_bytes() == (place / f"steered{name}").read_bytes()


@pytest.mark.parametrize("command", ["contexts", "book", "classify"])
def test_what_is_not_shared_says_so(monkeypatch, capsys, command):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert cli.main({"contexts": ["contexts", "--out", "a"], "classify": ["classify", "a"]}.get(command, ["book"])) == 2
    assert capsys.readouterr().err == (
        f"neuroglot (process 1): {command} runs in one process; start it without torchrun or accelerate launch.\n"
    )


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
