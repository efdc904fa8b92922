"""The reference: whether numbers agree with it, what is kept of a full run, and a sample computed again."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, Corpus, Example, Intervention, NeuroglotError, NeuronTypes, load_model, losses
from neuroglot.base.tables import write_tables
from neuroglot.book import headlines, presets, reference
from neuroglot.book.findings import reference as said
from neuroglot.effects.removals import AS_IT_IS, BOTH, Removal
from neuroglot.model.likelihood import Losses

ROOT = Path(__file__).parents[2]


@pytest.fixture
def types():
    active = np.zeros((1, 4, 2), bool)
    active[0, 0, 0] = active[0, 1, 1] = True
    score, selected = np.arange(4.0)[None], np.array([[True, True, False, False]])
    provenance = {"weights_sha256": "w", "corpus": "problems", "model": "tiny", "corpus_options": {"n": 160}}
    return NeuronTypes(("en", "sw"), 0.5, 0.1, 0.95, True, False, 0.2, score, selected, active, provenance)


def of(effects):
    rows = [(BOTH, *key, *numbers) for key, numbers in effects.items()]
    return {"contrasts": pd.DataFrame(rows, columns=["set", "language", "what", "effect", "low", "high"])}


HERE = {
    ("en", "own less matched"): (1.0, 0.5, 1.5),
    ("sw", "own less matched"): (3.0, 2.0, 4.0),
    ("en", "own less others"): (0.5, np.nan, np.nan),
    ("sw", "own less others"): (9.0, np.nan, np.nan),
    ("en", "own"): (7.0, 6.0, 8.0),  # not among the main numbers
}
THERE = {
    ("en", "own less matched"): (1.6, 1.2, 2.0),  # 0.6 apart, the root of 0.5^2 + 0.4^2 is 0.64
    ("sw", "own less matched"): (4.3, 3.9, 4.7),  # 1.3 apart, the root of 1 + 0.4^2 is 1.08
    ("en", "own less others"): (0.6, 0.4, 0.8),
}


@pytest.fixture
def here(tmp_path):
    write_tables(tmp_path / "here.json", of(HERE))
    return tmp_path / "here.json"


@pytest.fixture
def project(tmp_path, types):
    folder = tmp_path / "book" / "reference" / "tiny-problems"
    write_tables(folder / "effects.json", of(THERE))
    (folder / "about.json").write_text(json.dumps(reference._identity(types)))
    return tmp_path


def test_numbers_agree_if_their_intervals_say_so(project, types, here):
    found = reference.beside("effects", here, types, root=project)
    assert found["what"].tolist() == [
        "own less matched, en",
        "own less matched, sw",
        "own less others, en",
        "own less others, sw",
    ]
    assert found["verdict"].tolist() == ["agrees", "differs", "agrees", None]
    assert found["reference"].tolist()[:3] == [1.6, 4.3, 0.6] and np.isnan(found["reference"][3])
    assert said.agreement(found) == (
        "Of 3 numbers 2 agree with the reference; not: own less matched, sw. Of 1 number it cannot be said."
    )
    assert said.agreement(found[:1]) == "Of 1 number it agrees with the reference."
    assert said.agreement(found.iloc[[0, 2]]) == "Of 2 numbers all agree with the reference."
    assert said.agreement(found[3:]).startswith("None of these numbers can be set beside the reference's")
    shown = said.shown(found)
    assert shown.iloc[0].tolist() == [
        "own less matched, en",
        "1.00 (0.50 to 1.50)",
        "1.60 (1.20 to 2.00)",
        "agrees",
    ]
    assert shown.iloc[3].tolist() == ["own less others, sw", "9.00", "", "not known"]


def test_only_a_reference_of_the_same_model_text_and_languages_counts(project, types, here):
    for change in ({"weights_sha256": "other"}, {"corpus": "udhr"}):
        other = replace(types, provenance=types.provenance | change)
        assert reference.beside("effects", here, other, root=project) is None
    assert reference.beside("effects", here, replace(types, languages=("en", "de")), root=project) is None
    (project / "book/reference/tiny-problems/effects.json").unlink()
    found = reference.beside("effects", here, types, root=project)
    assert found is None and said.agreement(found) == said.NONE


def test_a_chapter_that_found_nothing_has_no_main_numbers(project, types, tmp_path):
    for tables in ({}, {"contrasts": pd.DataFrame()}):
        write_tables(tmp_path / "none.json", tables)
        found = reference.beside("effects", tmp_path / "none.json", types, root=project)
        assert found.empty and said.agreement(found).startswith("None of these numbers")
    for artifact in headlines.HEADLINES:
        assert headlines.of(artifact, {}).columns.tolist() == ["what", "value", "low", "high"]


def ran(folder, chapter, parameters, key="k"):
    """A chapter's record and its notebook, as papermill leaves them."""
    path = folder / "chapters" / f"{chapter}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"metadata": {"papermill": {"parameters": parameters}}}))
    path.with_suffix(".json").write_text(json.dumps({"key": key, "outputs": {}}))


@pytest.fixture
def full(tmp_path, types):
    """A finished run with the full preset, as far as it is kept."""
    folder = tmp_path / "runs" / "tiny-full"
    presets.keep(folder, "full")
    ran(folder, "05-deactivation", {"random_draws": 3, "model": "tiny"})
    types.save(folder / "types.safetensors")
    counts = np.zeros((1, 4, 2), dtype=np.int64)
    ActivationStats(counts[None], np.array([[40, 30]]), ("en", "sw")).save(folder / "activations.safetensors")
    write_tables(folder / "effects.json", of(THERE))
    rows = [
        Example(name, code, "Q? ", f"{name} {code}.", cluster=f"w{name}") for code in ("en", "sw") for name in "abcd"
    ]
    Corpus("problems", ("en", "sw"), tuple(rows)).save(folder / "held-out.jsonl")
    names = (
        AS_IT_IS,
        *(Removal(BOTH, code, types.neurons(code, ("specific", "related"))).name for code in ("en", "sw")),
    )
    nll = np.arange(3 * 2 * 4, dtype=float).reshape(3, 2, 4)
    Losses(names, ("en", "sw"), ("wa", "wb", "wc", "wd"), nll, np.full((2, 4), 5)).save(folder / "losses.safetensors")
    return tmp_path


def test_a_full_run_is_kept_with_a_sample_and_what_it_is_of(full, types, here):
    folder = reference.keep("tiny-full", root=full)
    assert folder == full / "book/reference/tiny-problems"
    about = json.loads((folder / "about.json").read_text())
    assert about["model"] == "tiny" and about["corpus_options"] == {"n": 160}
    made = about["made"]["effects"]  # as it was run, which is not what the preset says of a first run
    assert (made["chapter"], made["parameters"]) == ("05-deactivation", {"random_draws": 3})
    assert made["versions"]["torch"] and list(about["made"]) == ["effects"]
    assert about["tokens"] == {"en": 40, "sw": 30}
    sample = json.loads((folder / "sample.json").read_text())
    assert sample["neurons"] == {"en": [[0]], "sw": [[1]]} and len(sample["losses"]) == 2 * 2 * 3
    first = sample["losses"][0]
    assert first == {"language": "en", "removed": False, "texts": [["a", "Q? ", "a en."]], "tokens": 5, "nll": 0.0}
    assert [row["nll"] for row in sample["losses"] if row["removed"]] == [8, 9, 10, 20, 21, 22]
    assert reference.beside("effects", here, types, root=full)["verdict"].tolist()[0] == "agrees"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    reference.keep("tiny-full", root=full)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_sample_is_of_the_documents_that_were_measured(full):
    path = full / "runs" / "tiny-full" / "held-out.jsonl"
    held = Corpus.load(path)
    again = [replace(e, id=f"{e.id}2", response="Another.") for e in held.examples]  # two documents of each wording
    replace(held, examples=(*held.examples, *again)).save(path)
    found = json.loads((reference.keep("tiny-full", root=full) / "sample.json").read_text())
    assert [len(row["texts"]) for row in found["losses"]] == [2] * 12 and found["response_tokens"] is None
    measured = presets.PRESETS["full"] | {"documents": 4}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, "full", measured)
        found = json.loads((reference.keep("tiny-full", root=full) / "sample.json").read_text())
        assert [len(row["texts"]) for row in found["losses"]] == [1] * 12
        patch.setitem(presets.PRESETS, "full", measured | {"documents": 3})
        with pytest.raises(NeuroglotError, match="not of the documents that the full preset takes"):
            reference.keep("tiny-full", root=full)


def detected(folder, types):
    """A run of chapters 01, 02 and 10 alone."""
    presets.keep(folder, "full")
    ran(folder, "10-detectors", {"budgets": [100], "gathered": "somewhere"})
    types.save(folder / "types.safetensors")
    counts = np.zeros((1, 4, 2), dtype=np.int64)
    ActivationStats(counts[None], np.array([[40, 30]]), ("en", "sw")).save(folder / "activations.safetensors")
    row = {"what": "own less as many", "detector": "lape", "budget": "100", "text": "problems"}
    write_tables(
        folder / "detectors.json", {"detectors": pd.DataFrame([row | {"effect": 1.0, "low": 0.5, "high": 1.5}])}
    )


def test_a_run_of_one_chapter_adds_to_a_reference_of_the_same_neurons(full, types):
    detected(full / "runs" / "later", types)
    with pytest.raises(NeuroglotError, match="no reference of the same model, text and rule"):
        reference.keep("later", root=full)
    folder = reference.keep("tiny-full", root=full)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert reference.keep("later", root=full) == folder
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {name for name in after if after[name] != before.get(name)} == {"about.json", "detectors.json"}
    made = json.loads(after["about.json"])["made"]
    assert list(made) == ["detectors_found", "effects"] and made["detectors_found"]["parameters"] == {"budgets": [100]}
    # The first run kept again loses nothing of the other.
    reference.keep("tiny-full", root=full)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == after
    # On another amount of text another lambda is solved; that is said of what was made so, and of nothing else.
    replace(types, lam=0.3).save(full / "runs" / "later" / "types.safetensors")
    reference.keep("later", root=full)
    said = json.loads((folder / "about.json").read_text())
    assert said["made"]["detectors_found"]["settings"]["lam"] == 0.3 and "settings" not in said["made"]["effects"]
    assert said["settings"] == json.loads(before["about.json"])["settings"]
    # Neurons of other settings are no addition, and replace all that is there where they bring their losses.
    replace(types, top_rate=0.3).save(full / "runs" / "later" / "types.safetensors")
    with pytest.raises(NeuroglotError, match=r"\(settings differs\)"):
        reference.keep("later", root=full)
    replace(types, lam=0.3).save(full / "runs" / "tiny-full" / "types.safetensors")
    reference.keep("tiny-full", root=full)
    assert not (folder / "detectors.json").exists()
    assert list(json.loads((folder / "about.json").read_text())["made"]) == ["effects"]


def test_a_chapter_that_did_not_end_is_not_kept(full):
    ran(full / "runs" / "tiny-full", "05-deactivation", {}, key=None)
    with pytest.raises(NeuroglotError, match=r"chapter 05-deactivation of .* was not run to its end"):
        reference.keep("tiny-full", root=full)


def test_only_a_full_run_is_kept(full):
    presets.keep(full / "runs" / "tiny-full", "quick")
    with pytest.raises(NeuroglotError, match="runs/tiny-full holds no run with the full preset"):
        reference.keep("tiny-full", root=full)


# --- what is in the repository ------------------------------------------------------------------


KEPT = sorted((ROOT / "book" / "reference").glob("*/about.json"))


@pytest.mark.skipif(not KEPT, reason="the repository has no reference yet")
@pytest.mark.parametrize("about", KEPT, ids=lambda path: path.parent.name)
def test_the_repositorys_reference_is_whole_and_small(about):
    assert sum(path.stat().st_size for path in about.parent.rglob("*")) < 4e6
    for artifact in headlines.HEADLINES:
        path = about.parent / reference.ARTIFACTS[artifact]
        if path.exists():
            assert headlines.of(artifact, reference.read_tables(path))["value"].notna().any(), artifact


@pytest.mark.model
@pytest.mark.skipif(not KEPT, reason="the repository has no reference yet")
@pytest.mark.parametrize("about", KEPT, ids=lambda path: path.parent.name)
def test_a_sample_of_the_reference_is_computed_again(about):
    """Some held-out wordings in two languages, as the model is and without that language's neurons."""
    said = json.loads((about.parent / "sample.json").read_text())
    model, tokenizer = load_model(json.loads(about.read_text())["model"])
    for code, neurons in said["neurons"].items():
        rows = [row for row in said["losses"] if row["language"] == code]
        changes = {False: None, True: Intervention([np.array(index, dtype=int) for index in neurons], values=0.0)}
        for removed, change in changes.items():
            mine = [row for row in rows if row["removed"] == removed]
            texts = [
                Example(id_, code, prompt, response, cluster=str(n))
                for n, row in enumerate(mine)
                for id_, prompt, response in row["texts"]
            ]
            how = {"response_tokens": said["response_tokens"], "progress": False}
            found = losses(model, tokenizer, Corpus("sample", (code,), tuple(texts)), {"x": change}, **how)
            assert found.tokens[0].tolist() == [row["tokens"] for row in mine]
            np.testing.assert_allclose(found.nll[0, 0], [row["nll"] for row in mine], rtol=1e-3)
