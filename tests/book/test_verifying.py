"""A run's manifest, what is found where a file was changed, and numbers measured anew."""

import json
import shutil

import numpy as np
import pytest

from neuroglot import ActivationStats, NeuroglotError
from neuroglot.book import chapters, manifest, verifying
from neuroglot.book.checking import FAILED, OK
from neuroglot.cli import main

from .conftest import PARAMETERS

pytestmark = pytest.mark.model

SMALL = {
    "documents": 2,
    "few_documents": 1,
    "random_draws": 1,
    "other_draws": 1,
    "dose_steps": 1,
    "choice_questions": 0,
}
SMALL |= {"choice_solutions": 0, "answer_questions": 0, "batch_tokens": 256, "shards": 4}


@pytest.fixture(scope="module")
def ran(project):
    some = chapters.chosen(["01", "02", "05"])
    for run in ("one", "two"):  # each from nothing
        chapters.run_chapters(PARAMETERS | SMALL, root=project, run=run, chapters=some)
    return project


@pytest.fixture
def copied(ran, tmp_path):
    """The first run, free to be changed."""
    shutil.copytree(ran, tmp_path / "project", dirs_exist_ok=True)
    return tmp_path / "project"


def verdicts(found):
    return {finding.about: finding.verdict for finding in found}


def test_the_manifest_has_every_file_and_chapter(ran):
    folder = ran / "runs" / "one"
    said = manifest.read(folder)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(said["files"]) == {name for name in there if not name.endswith(".lock")} - {"manifest.json"}
    assert list(said["chapters"]) == ["01-activations", "02-identification", "05-deactivation"]
    own = said["chapters"]["02-identification"]
    assert own["parameters"]["top_rate"] == 0.2 and list(own["inputs"]) == ["runs/one/activations.safetensors"]
    assert own["inputs"].items() <= said["chapters"]["01-activations"]["outputs"].items()
    assert {"torch", "numpy"} <= set(own["versions"]) and said["machine"]["cpus"]
    before = (folder / "manifest.json").stat().st_mtime_ns
    chapters.run_chapters(PARAMETERS | SMALL, root=ran, run="one", chapters=chapters.chosen(["01", "02"]))
    assert (folder / "manifest.json").stat().st_mtime_ns == before


def test_two_runs_from_nothing_are_the_same_and_come_out_again(ran, monkeypatch, capsys):
    found = verifying.verify("one", 3, like="two", root=ran)
    assert verdicts(found) == {"files": OK, "chapters": OK, "other run": OK, "counts": OK, "losses": OK}
    said = {finding.about: finding.said for finding in found}
    assert said["counts"].endswith("are the same.") and said["losses"].startswith(
        ("3 cells", "4 cells", "5 cells", "6")
    )
    monkeypatch.chdir(ran)
    assert main(["verify", "one"]) == 0
    assert capsys.readouterr().out.startswith("ok      files: ")


def test_what_was_changed_is_named(copied, monkeypatch, capsys):
    folder = copied / "runs" / "one"
    (folder / "types.safetensors").write_bytes((folder / "types.safetensors").read_bytes()[:-1] + b"x")
    (folder / "effects.json").unlink()
    (folder / "stray.txt").write_text("x")
    found = verifying.verify("one", 1, root=copied)
    assert [finding.said for finding in found if finding.verdict == FAILED] == [
        "'effects.json' is not there.",
        "'stray.txt' is not in the manifest.",
        "'types.safetensors' was changed.",
    ]
    assert found[-1].said == "nothing, since files are not as they were written."
    monkeypatch.chdir(copied)
    assert main(["verify", "one", "--like", "two"]) == 1 and "'effects.json' is not there." in capsys.readouterr().out


def rewritten(folder):
    """The manifest, as one who changed the files would write it."""
    said = manifest.read(folder)
    manifest.write(folder, said["preset"], said["chapters"])


def test_a_number_that_was_made_up_does_not_come_out_again(copied):
    folder = copied / "runs" / "one"
    stats = ActivationStats.load(folder / "activations.safetensors")
    counts = np.array(stats.shard_counts, dtype=np.int64)
    counts[:, 0, 0, 0] = np.where(counts[:, 0, 0, 0] > 0, 0, 1)
    ActivationStats(counts, stats.shard_tokens, stats.languages, stats.provenance).save(
        folder / "activations.safetensors"
    )
    rewritten(folder)
    found = verifying.verify("one", 2, root=copied)
    (counted,) = [finding for finding in found if finding.about == "counts"]
    assert counted.verdict == FAILED and " counts of " in counted.said and "differ, by" in counted.said


def test_a_chapter_that_read_something_else_is_named(copied):
    folder = copied / "runs" / "one"
    said = manifest.read(folder)
    said["chapters"]["02-identification"]["inputs"] = {"runs/one/activations.safetensors": "0" * 64}
    manifest.write(folder, said["preset"], said["chapters"])
    (wrong,) = [finding for finding in verifying.verify("one", root=copied) if finding.verdict == FAILED]
    assert wrong.said == (
        "chapter 02-identification read another 'activations.safetensors' than chapter 01-activations wrote; run it "
        "again."
    )


def test_a_cell_that_differs_is_named(copied):
    path = copied / "runs" / "two" / "chapters" / "02-identification.ipynb"
    notebook = json.loads(path.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    place = next(n for n, cell in enumerate(cells) if any("data" in output for output in cell["outputs"]))
    output = next(output for output in cells[place]["outputs"] if "data" in output)
    output["data"]["text/markdown"] = "something else"
    path.write_text(json.dumps(notebook))
    said = [finding.said for finding in verifying.verify("one", like="two", root=copied) if finding.verdict == FAILED]
    assert said == [f"chapter 02-identification: the outputs of code cell {place} differ."]


def test_what_cannot_be_verified_is_refused(ran, tmp_path):
    with pytest.raises(NeuroglotError, match=r"there is no .*manifest.json; make the run again"):
        verifying.verify("none", root=ran)
    for wrong in (-1, 1.5, True):
        with pytest.raises(NeuroglotError, match="again="):
            verifying.verify("one", wrong, root=ran)
    with pytest.raises(NeuroglotError, match="run"):
        verifying.verify("../one", root=ran)
    folder = tmp_path / "run"
    folder.mkdir()
    manifest.write(folder, "", {})
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text().replace('"run"', '"ran"'))
    with pytest.raises(NeuroglotError, match="not whole, or was changed"):
        manifest.read(folder)
