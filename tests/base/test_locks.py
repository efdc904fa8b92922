"""One writer at a time: real processes, told by pipes when to go on."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import filelock
import nbformat
import pytest

from neuroglot import NeuroglotError, align, collect, load_corpus, load_model, losses, top_contexts
from neuroglot.alignment.preferences import prefer
from neuroglot.alignment.scorers import Exact
from neuroglot.base.files import write_bytes
from neuroglot.base.locks import alone, write_kept
from neuroglot.book import building, chapters
from neuroglot.cli import main
from neuroglot.model.sampling import sample

HOLD = """
import sys
from neuroglot.base.locks import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def started(script, *arguments):
    """A Python process with pipes, ended whatever happens."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def held(path):
    """The lock of a path, in another process."""
    with started(HOLD, path) as holder:
        assert holder.stdout.readline() == "held\n"
        yield holder


def test_another_process_is_named_or_waited_for(tmp_path):
    path = tmp_path / "x.json"
    with held(path) as holder:
        said = rf"x\.json is being written by process {holder.pid} on {socket.gethostname()}, since 2\d\d\d-.*--no-wait"
        with pytest.raises(NeuroglotError, match=said), alone(path, wait=False):
            pytest.fail("held twice")
        with started(HOLD, path) as waiting:
            line = waiting.stderr.readline()
            assert line.startswith(f"waiting for process {holder.pid} on ") and line.endswith(
                f", which writes {path}\n"
            )
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert waiting.stdout.readline() == "held\n"
            with pytest.raises(NeuroglotError, match=f"process {waiting.pid} "), alone(path, wait=False):
                pass
            waiting.communicate("\n")
    with alone(path, wait=False):
        assert [each.name for each in tmp_path.iterdir()] == [".x.json.lock"]
    with alone(tmp_path / "a" / "b" / "x.json"):
        pass
    assert list(tmp_path.iterdir()) == [], "neither a lock nor an empty folder is left"


def test_a_dead_process_holds_nobody_up(tmp_path):
    path = tmp_path / "x.json"
    with held(path) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert [each.name for each in tmp_path.iterdir()] == [".x.json.lock"]
    with alone(path, wait=False), alone(tmp_path / "y.json", wait=False), alone(path, wait=False):
        pass  # taken again by what is called within
    assert list(tmp_path.iterdir()) == []


def test_where_nobody_can_write_there_is_no_lock(tmp_path, monkeypatch, capsys):
    def refused(number):
        def acquire(*_, **__):
            raise OSError(number, os.strerror(number))

        return acquire

    monkeypatch.setattr(filelock.FileLock, "acquire", refused(30))  # a read-only file system
    with alone(tmp_path / "x", wait=False):
        assert capsys.readouterr().err == ""
    monkeypatch.setattr(filelock.FileLock, "acquire", refused(5))
    with alone(tmp_path / "x", wait=False):
        assert "no lock is kept beside" in capsys.readouterr().err
    (tmp_path / ".x.lock").touch()
    with pytest.raises(NeuroglotError, match=r"\.x\.lock cannot be opened .* the lock of another user"):
        monkeypatch.setattr(filelock.FileLock, "acquire", refused(13))
        with alone(tmp_path / "x"):
            pass


SAMPLE = """
import sys
from neuroglot import load_corpus, load_model
from neuroglot.model import sampling

real = sampling._generate

def generate(*arguments):
    if sys.argv[1] == "second":
        sys.exit(9)  # it was to find the file
    print("begun", flush=True)
    sys.stdin.readline()
    return real(*arguments)

sampling._generate = generate
model, tokenizer = load_model(sys.argv[2])
corpus = load_corpus("problems", "de,en", n=1, levels="1")
settings = {"shots": 0, "max_new_tokens": 4, "temperature": 1.0, "progress": False}
print(len(sampling.sample_rows(model, tokenizer, corpus, sys.argv[3], **settings)[0]))
"""


@pytest.fixture
def roomy(tmp_path):
    from ..conftest import byte_tokenizer, tiny_model

    tiny_model("llama", max_position_embeddings=2048).float().save_pretrained(tmp_path / "roomy")
    byte_tokenizer().save_pretrained(tmp_path / "roomy")
    return tmp_path / "roomy"


def test_the_slower_of_two_finds_what_the_faster_made(roomy, tmp_path):
    path = tmp_path / "out" / "r.jsonl"
    with started(SAMPLE, "first", roomy, path) as first:
        assert first.stdout.readline() == "begun\n"
        with started(SAMPLE, "second", roomy, path) as second:
            assert f"waiting for process {first.pid} " in second.stderr.readline()
            assert first.communicate("\n")[0] == "2\n" and first.returncode == 0
            out, err = second.communicate()
            assert (out, err, second.returncode) == ("2\n", "", 0)
    assert [each.name for each in path.parent.iterdir()] == ["r.jsonl"]


def test_every_function_and_command_that_writes_holds_the_lock(roomy, tmp_path, capsys):
    from neuroglot.text.corruptions import corrupted

    model, tokenizer = load_model(str(roomy))
    corpus = load_corpus("problems", "de,en", n=4, levels="1")
    pairs = prefer(corrupted(corpus, ["de"]), corpus, Exact())
    path = tmp_path / "out"
    calls = {
        "sample": lambda: sample(model, tokenizer, corpus, path, wait=False),
        "collect": lambda: collect(model, tokenizer, corpus, path, wait=False, progress=False),
        "losses": lambda: losses(model, tokenizer, corpus, path=path, wait=False),
        "contexts": lambda: top_contexts(model, tokenizer, corpus, [[0, 1]], path, wait=False),
        "align": lambda: align(model, tokenizer, pairs, path, wait=False),
        "kept": lambda: write_kept(path, lambda place: write_bytes(place, b""), wait=False),
    }
    counts = tmp_path / "counts.safetensors"
    collect(model, tokenizer, corpus, counts, progress=False)
    # Told at once: before a model is loaded, and so whether there is one or not.
    text = ["--model", tmp_path / "none.gguf", "-o", "n", "4", "-o", "levels", "1", "--out", path, "--no-wait"]
    commands = [
        ["sample", *text, "--languages", "de,en"],
        ["collect", *text, "--languages", "de,en"],
        ["align", *text, "--languages", "de"],
        ["classify", counts, "--lam", "0.1", "--out", path, "--no-wait"],
    ]
    before = sorted(tmp_path.iterdir())
    with held(path) as holder:
        for name, call in calls.items():
            with pytest.raises(NeuroglotError, match=f"out is being written by process {holder.pid} "):
                pytest.fail(f"{name}: {call()}")
        for command in commands:
            assert main(list(map(str, command))) == 2, command
            assert f"out is being written by process {holder.pid} " in capsys.readouterr().err
        holder.communicate("\n")
    assert sorted(tmp_path.iterdir()) == before


def test_where_no_folder_can_be_made_nothing_is_waited_for(tmp_path, monkeypatch, capsys):
    def mkdir(path, **_):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with alone(tmp_path / "nowhere" / "x"):
        assert "no lock is kept beside" in capsys.readouterr().err


def test_several_processes_hold_it_once(tmp_path):
    """Under torchrun the first one asks for all; the others only hear of it."""
    asked = []

    def once(do):
        asked.append(do)
        return len(asked) > 2  # as the first one had it at its second try

    with held(tmp_path / "x"), alone(tmp_path / "x", wait=False, once=once):
        assert len(asked) == 3


# --- a run's folder --------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A project of one chapter, which reads a file and writes another, as a function of what the chapter does."""
    chapter = chapters.Chapter("02-identification", reads=("stats",), writes=("types",))
    monkeypatch.setattr(chapters, "CHAPTERS", (chapter,))
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "stats").write_text("counts")

    def write(*sources):
        cells = [nbformat.v4.new_code_cell('stats = ""  # a\ntypes = ""  # b', metadata={"tags": ["parameters"]})]
        cells += map(nbformat.v4.new_code_cell, sources)
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(
            nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / f"notebooks/{chapter.name}.ipynb"
        )
        return lambda **more: chapters.run_chapters(
            {"stats": "stats"} | more.pop("parameters", {}), root=tmp_path, run="x", chapters=chapters.CHAPTERS, **more
        )

    return write


COPY = "from pathlib import Path\nPath(types).write_text(Path(stats).read_text())"


def test_a_runs_folder_has_one_writer(small, tmp_path):
    run = small(COPY)
    with held(tmp_path / "runs" / "x") as holder:
        for call in (run, lambda wait: building.build("x", root=tmp_path, wait=wait)):
            with pytest.raises(NeuroglotError, match=f"runs/x is being written by process {holder.pid} "):
                call(wait=False)
        with pytest.raises(NeuroglotError, match=f"runs/x is being written by process {holder.pid} "):
            chapters.run_models([{"stats": "stats"}], root=tmp_path, run="x", wait=False)
        holder.communicate("\n")
    assert not (tmp_path / "runs").exists()
    assert run()["02-identification"] > 0 and run()["02-identification"] == 0
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["x"]


def test_inputs_that_change_while_a_chapter_runs_are_not_certified(small, tmp_path):
    run = small(COPY, "Path(stats).write_text('other counts')")
    with pytest.raises(NeuroglotError, match="chapter 02-identification: what it reads was changed while it ran"):
        run()
    run = small(COPY)
    assert run()["02-identification"] > 0 and (tmp_path / "runs/x/types.safetensors").read_text() == "other counts"


def test_chapters_run_in_the_interpreter_that_runs_the_book(small, tmp_path, monkeypatch):
    """A kernel of the same name that is found first is another Python, or none."""
    spec = tmp_path / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    wrong = {"argv": ["/nowhere/python", "{connection_file}"], "display_name": "another", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(wrong))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    small("import sys\nopen(types, 'w').write(sys.executable)")()
    assert (tmp_path / "runs/x/types.safetensors").read_text() == sys.executable


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_an_interpreter_that_dies_is_one_sentence(small, tmp_path, end):
    with pytest.raises(NeuroglotError, match=r"^chapter 02-identification: its process ended \(Kernel died\).*\.$"):
        small(COPY, f"import os\n{end}")()
    assert not (tmp_path / "runs/x/chapters/02-identification.ipynb").exists()
    assert small(COPY)()["02-identification"] > 0


def test_a_file_named_to_be_written_is_not_replaced(small, tmp_path):
    run = small(COPY)
    named = {"types": "mine/types"}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "types").write_text("of somebody else")
    with pytest.raises(NeuroglotError, match="mine/types is there and not of this run"):
        run(parameters=named)
    assert (tmp_path / "mine" / "types").read_text() == "of somebody else"
    (tmp_path / "mine" / "types").unlink()
    assert run(parameters=named)["02-identification"] > 0
    with pytest.raises(NeuroglotError, match="cell 3: ValueError"):
        small(COPY, "raise ValueError")(parameters=named)
    run = small(COPY + "\n")
    assert run(parameters=named)["02-identification"] > 0, "its own file, after a failure too"


BAD_NAMES = [
    "",
    ".",
    "..",
    "../../x",
    "a/b",
    "a\\b",
    "/tmp/x",
    "C:x",
    "x" * 300,
    "ж" * 150,
    "NUL",
    "com1.txt",
    "a.",
    ".x",
]


@pytest.mark.parametrize("name", [*BAD_NAMES, "a\nb", "a\u202eb", "x "])
def test_a_runs_name_is_no_path(small, tmp_path, name):
    small(COPY)
    before = sorted(tmp_path.rglob("*"))
    own = {"stats": "stats", "types": "t"}
    for call in (
        lambda: chapters.run_chapters(own, root=tmp_path, run=name),
        lambda: chapters.run_models([own], root=tmp_path, run=name),
        lambda: building.build(name, root=tmp_path),
    ):
        with pytest.raises(NeuroglotError, match=r"the run's name \(--run\) '.* is no name for a folder; give"):
            call()
    assert sorted(tmp_path.rglob("*")) == before


def test_no_folder_is_left_where_there_are_no_notebooks(tmp_path):
    for preset in ("", "quick"):
        with pytest.raises(NeuroglotError, match=r"there is no notebook .* run this in a clone of neuroglot"):
            chapters.run_models([{"model": "m", "corpus": "problems"}], root=tmp_path, preset=preset)
    assert list(tmp_path.iterdir()) == []
