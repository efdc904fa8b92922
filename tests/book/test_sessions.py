"""Chapters in Jupyter: which run they go on with, and that papermill's stay as they are."""

import json
import os
import re
from pathlib import Path

import altair as alt
import pytest

from neuroglot import NeuroglotError
from neuroglot.book import chapters, sessions
from neuroglot.book.charts.live import LIVE

ROOT = Path(__file__).parents[2]
IN_JUPYTER = {"In": ["", "documents = 12"]}


def notebook(path, source, parameters=None):
    cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": source}
    metadata = {"papermill": {"parameters": parameters}} if parameters is not None else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": [cell], "metadata": metadata}))


SOURCE = 'held_out = "runs/default/held-out.jsonl"\ntypes = "runs/default/types.safetensors"\ndocuments = 12\n'
SOURCE += 'stats = "s"\nsolved = "v"\neffects = "e"\noverwrite = False\nstrengths = {"amplify": [0, 4]}\n'


def finished(root, run, chapter, parameters, key="k", files=()):
    own = root / "runs" / run
    notebook(own / "chapters" / f"{chapter}.ipynb", SOURCE, parameters)
    (own / "chapters" / f"{chapter}.json").write_text(json.dumps({"key": key, "outputs": {}}))
    for file in files:
        (own / file).write_text("")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A project without a run, worked on in JupyterLab."""
    (tmp_path / "_toc.yml").write_text("")
    notebook(tmp_path / "notebooks" / "05-deactivation.ipynb", SOURCE)
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "notebooks" / "05-deactivation.ipynb"))
    monkeypatch.setattr(sessions.live, "enable", lambda: alt.renderers.enable("neuroglot"))
    return tmp_path


def begun(**changed):
    """The parameters of chapter 05 after the first cell, some of them changed by its reader."""
    namespace = dict(IN_JUPYTER)
    exec(SOURCE, namespace)  # as the first cell does
    namespace |= changed
    sessions.begin("05-deactivation", namespace)
    return {name: namespace[name] for name in ("held_out", "types", "documents", "stats", "overwrite", "strengths")}


def test_whether_somebody_works_in_a_notebook(monkeypatch):
    for name in ("JPY_SESSION_NAME", "COLAB_RELEASE_TAG"):
        monkeypatch.delenv(name, raising=False)
    assert not sessions.is_live({}) and sessions.is_live({"__vsc_ipynb_file__": "a.ipynb"})
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    assert sessions.is_live(IN_JUPYTER)
    assert not sessions.is_live({"In": ["", "x = 1", "# Parameters\nx = 2\n"]}), "papermill gave it parameters"


def test_a_finished_run_is_gone_on_with(root, capsys):
    files = ("held-out.jsonl", "types.safetensors", "activations.safetensors", "solved.jsonl")
    own = {"held_out": "runs/x-quick/held-out.jsonl", "documents": 4, "stats": "runs/x-quick/activations.safetensors"}
    finished(root, "x-quick", "05-deactivation", {**own, "overwrite": True, "strengths": {}}, files=files)
    found = begun()
    assert Path.cwd() == root and alt.theme.active == "neuroglot"
    assert found["held_out"] == "runs/x-quick/held-out.jsonl" and found["documents"] == 4 and found["strengths"] == {}
    assert found["types"] == "runs/x-quick/types.safetensors", "the run's file, which papermill was not told of"
    assert found["overwrite"] is False, "whoever works here says so themselves"
    assert begun(documents=6)["documents"] == 6, "what was changed is kept"


def test_papermill_and_scripts_keep_their_parameters(root, monkeypatch):
    finished(root, "x", "05-deactivation", {"documents": 4})
    namespace = {"In": ["", "# Parameters\ndocuments = 12\n"]}
    exec(SOURCE, namespace)
    sessions.begin("05-deactivation", namespace)
    assert namespace["documents"] == 12 and alt.renderers.active == "neuroglot"
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert begun()["documents"] == 12


def test_before_a_run_one_sentence_says_what_to_do(root):
    said = "Chapter 05-deactivation reads s, and no run here has it: run `make book`"
    with pytest.raises(sessions.NotRunError, match=re.escape(said)):
        begun()
    finished(root, "x", "05-deactivation", {"documents": 4}, key=None)  # begun, and never finished
    with pytest.raises(NeuroglotError) as raised:
        begun()
    assert raised.value._render_traceback_() == [str(raised.value)] and "\n" not in str(raised.value)


def test_files_of_ones_own_need_no_run_and_are_not_mixed_with_one(root):
    finished(root, "x", "05-deactivation", {"documents": 4})
    for name in ("held_out", "types", "stats", "solved"):
        (root / name).write_text("")
    others = {"held_out": "held_out", "types": "types", "stats": "stats", "solved": "solved"}
    with pytest.raises(NeuroglotError, match="stats names another file, and effects is still the run's"):
        begun(**others)
    own = begun(**others, effects="mine.json")
    assert own["documents"] == 12 and own["stats"] == "stats"


def test_of_several_runs_that_with_this_chapter_and_then_the_newest(root):
    place = next(one for one in chapters.CHAPTERS if one.name == "05-deactivation")
    for number, (run, names) in enumerate(
        {
            "lead": ["01-activations", "05-deactivation"],
            "beside": ["01-activations"],
            "later": ["01-activations", "05-deactivation"],
        }.items()
    ):
        for name in names:
            finished(root, run, name, {"documents": number})
            record = root / "runs" / run / "chapters" / f"{name}.json"
            os.utime(record, ns=(number * 10**9, number * 10**9))
    assert sessions._newest(place, root).name == "later"
    os.utime(root / "runs/lead/chapters/01-activations.json", ns=(9 * 10**9, 9 * 10**9))
    assert sessions._newest(place, root).name == "lead"
    asis = sessions.defaults(root / "notebooks" / "05-deactivation.ipynb")
    name, taken = sessions.resumed(place, asis, "beside", root)
    assert (name, taken["documents"], taken["held_out"]) == ("beside", 1, "runs/beside/held-out.jsonl")
    assert sessions.resumed(place, {}, "none", root) is None


def test_what_is_said_of_the_run():
    assert sessions.gone_on_with("a*b", "quick").startswith(
        "*This goes on with the run a&#42;b, made with the quick preset."
    )
    assert ", made" not in sessions.gone_on_with("a", "")


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_chapter_begins_by_its_own_name(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert re.findall(r'sessions\.begin\("([^"]+)", globals\(\)\)', code) == [path.stem]
    chapter = next(one for one in chapters.CHAPTERS if one.name == path.stem)
    assert {*chapter.reads, *chapter.sees} <= set(sessions.defaults(path)), "a notebook has what its chapter reads"


def test_a_live_renderer_has_a_name_of_its_own():
    assert LIVE != "neuroglot"
