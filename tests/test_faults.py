"""Every stage stopped at any moment: the old file or the new one, and a rerun to the same bytes with nothing left over.

A moment is one of the stage's own steps on files in its folder, as Python's audit events tell them, so what is drawn
happens again in the same way. ``FAULTS`` is the number of moments for each stage and fault; ``make test`` tries one.
"""

import errno
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

from neuroglot import ActivationStats, Corpus, cli, collect, load_corpus, load_model
from neuroglot.alignment.preferences import Pair, Preferences
from neuroglot.neurons.detection import Detection

from .conftest import byte_tokenizer, tiny_model, write_texts

FAULTS = int(os.environ.get("FAULTS", "1"))
pytestmark = [pytest.mark.model, pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]

#: Of each stage: its words, and its result. Small batches and parts make many moments.
STAGES = {
    "collect": ("collect --model {m} --corpus text:{t} --batch-tokens 64 --shards 4 --moments --out", "o.safetensors"),
    "losses": ("losses --model {m} --corpus text:{t} --batch-tokens 64 --out", "o.safetensors"),
    "sample": ("sample --model {m} --corpus {q} --shots 0 --max-new-tokens 3 --batch-size 2 --out", "o.jsonl"),
    "align": (
        "align --model {m} --pairs {p} --languages de --set steps 3 --set save_every 1 --set batch 1 "
        "--set micro_batch 1 --set rank 2 --out",
        "o",
    ),
    "detect": ("detect {c} --method lape --out", "o.safetensors"),
}
#: What makes a file of the same name that holds something else.
OTHERWISE = {
    "collect": "--above 0.1",
    "losses": "--response-tokens 2",
    "sample": "--max-new-tokens 2",
    "align": "--seed 1",
    "detect": "--languages en,de",
}
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
FAULTED = [*SIGNALS, "full", "read-only"]

#: Steps that a folder which became read-only refuses.
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
_STEPS = {*_CHANGES, "open", "os.listdir", "os.scandir", "shutil.rmtree"}


def _child(words: list[str], folder: str, fault: str, at: int, said) -> None:
    """A command, and its fault from its step number ``at`` on; the number of steps is sent in the end."""
    import torch

    torch.set_num_threads(1)
    for stream in (1, 2):
        os.dup2(said.fileno(), stream)
    done = 0
    armed = True

    def hear(event: str, given: tuple) -> None:
        nonlocal done
        if not armed or event not in _STEPS or not isinstance(given[0], str | bytes | os.PathLike):
            return
        if not os.fsdecode(given[0]).startswith(folder):
            return
        done += 1
        if done == at and fault in SIGNALS:
            os.kill(os.getpid(), SIGNALS[fault])
        elif done == at and fault == "full":
            resource.setrlimit(resource.RLIMIT_FSIZE, (50, resource.RLIM_INFINITY))
        elif done >= at and fault == "read-only":
            writes = isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR) if event == "open" else True
            if (event == "open" and writes) or event in _CHANGES:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fsdecode(given[0]))

    # What detects languages is large, and nothing here rests on it.
    Corpus.purity = lambda *_: pd.DataFrame()  # type: ignore[method-assign]
    sys.addaudithook(hear)
    code = cli.main(words)
    armed = False
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(1, f"\n{done} steps".encode())
    os._exit(code)


class Place:
    """What the stages read, and processes that run them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write_texts(folder / "texts")
        tiny_model("llama").float().save_pretrained(folder / "m")
        byte_tokenizer().save_pretrained(folder / "m")
        corpus = load_corpus(f"text:{folder / 'texts'}")
        rows = [f'{{"id": "{i}", "language": "{c}", "prompt": "{i}?"}}\n' for c in ("en", "de") for i in range(3)]
        (folder / "q.jsonl").write_text("".join(rows))
        pairs = tuple(Pair("de", str(i), f"Wie {i}?", f"So {i}.", "Nicht.", 1.0, 0.5) for i in range(3))
        Preferences(("de",), "en", pairs, {"scorer": "none"}).save(folder / "p.jsonl")
        collect(*load_model(str(folder / "m")), corpus, folder / "c.safetensors", progress=False)
        self.names = {"m": folder / "m", "t": folder / "texts", "q": f"jsonl:{folder / 'q.jsonl'}"}
        self.names |= {"p": folder / "p.jsonl", "c": folder / "c.safetensors"}
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(
            ["neuroglot.cli", "torch", "trl", "peft", "neuroglot.cli.aligning", __name__]
        )
        self.whole: dict[str, tuple[dict[str, bytes], int]] = {}

    def run(self, stage: str, folder: Path, more: str = "", fault: str = "", at: int = 0) -> tuple[int, str]:
        """The exit code, and what was said."""
        folder.mkdir(exist_ok=True)
        words, out = STAGES[stage]
        listed = [*words.format(**self.names).split(), str(folder / out), *more.split()]
        reader, writer = self.context.Pipe(duplex=False)
        child = self.context.Process(target=_child, args=(listed, str(folder), fault, at, writer))
        child.start()
        writer.close()
        said = b""
        while piece := os.read(reader.fileno(), 65536):
            said += piece
        child.join()
        return child.exitcode, said.decode(errors="replace")

    def undisturbed(self, stage: str) -> tuple[dict[str, bytes], int]:
        """What a stage writes, and in how many steps."""
        if stage not in self.whole:
            folder = self.folder / f"{stage}-whole"
            code, said = self.run(stage, folder)
            assert code == 0, said
            self.whole[stage] = tree(folder), int(said.split()[-2])
        return self.whole[stage]


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder, hidden files and empty folders too."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return Place(tmp_path_factory.mktemp("faults"))


READ = {"collect": ActivationStats.load, "detect": Detection.load, "sample": lambda path: load_corpus(f"jsonl:{path}")}


@pytest.mark.parametrize("fault", FAULTED)
@pytest.mark.parametrize("stage", STAGES)
def test_stopped_at_any_moment_it_has_the_old_file_or_the_new_and_goes_on(place, stage, fault, tmp_path):
    whole, steps = place.undisturbed(stage)
    out = STAGES[stage][1]
    rng = random.Random(f"{stage} {fault}")
    for number in range(FAULTS):
        folder, at = tmp_path / str(number), rng.randint(1, steps)
        old = {}
        if number % 2:  # there is an older result, to be replaced
            assert place.run(stage, folder, OTHERWISE[stage])[0] == 0
            old = tree(folder)
            assert old != whole
        more = "--overwrite" if old else ""
        code, said = place.run(stage, folder, more, fault, at)
        where = f"{stage}, {fault} at step {at} of {steps}: {said[-600:]}"
        if fault == "SIGKILL":
            assert code == -signal.SIGKILL or old, where
        elif code != 0:  # what came too late is no fault
            assert code == {"SIGINT": 130, "SIGTERM": 143}.get(fault, 2), where
            assert "Traceback" not in said, where
            sentences = [line for line in said.splitlines() if line.startswith("neuroglot: ")]
            assert len(sentences) == 1, where
        found = {name: content for name, content in tree(folder).items() if Path(name).parts[0] == out}
        kept = [{name: c for name, c in one.items() if Path(name).parts[0] == out} for one in (old, whole)]
        assert found in kept, where
        if found and stage in READ:
            READ[stage](folder / out)
        code, said = place.run(stage, folder, more)
        assert code == 0, f"{where}\n\nagain: {said}"
        assert tree(folder).keys() == whole.keys(), where
        assert tree(folder) == whole, where
        shutil.rmtree(folder)
