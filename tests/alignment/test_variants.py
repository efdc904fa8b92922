"""Which models are compared, and that their files are those that were measured."""

import json
from dataclasses import replace

import pytest

from neuroglot import NeuroglotError
from neuroglot.alignment import variants


def test_what_is_trained():
    found = variants.trained("base", ["zh,de", "sw,th"], [0, 3], "runs/x/aligned", steps=(8, 16))
    assert [v.name for v in found] == [
        name
        for on in ("zh de", "sw th")
        for name in (
            f"aligned on {on}, seed 0",
            f"{on}, step 8",
            f"{on}, step 16",
            f"{on}, shuffled",
            f"aligned on {on}, seed 3",
        )
    ]
    first, step, _, control, second = found[:5]
    assert {v.model for v in found} == {"base"} and first.folder == "runs/x/aligned/zh-de-seed-0"
    assert first.adapter == f"{first.folder}/adapter"
    assert step.adapter == f"{first.adapter}/checkpoints/8" and step.step == 8 and not step.finished
    assert control.control and not control.finished and control.adapter != first.adapter
    assert second.seed == 3 and second.finished and second.choice == "zh, de"
    assert len({v.folder for v in found}) == len({v.file("stats") for v in found}) == len(found)
    assert [v.name for v in variants.trained("base", ["de"], [5], "x", control=False)] == ["aligned on de"]


def test_what_is_given():
    found = variants.given("base", "x", after="some/model", checkpoints=["some/step-200", "some/step-400"])
    assert [(v.name, v.model, v.adapter, v.step) for v in found] == [
        ("some/model", "some/model", None, None),
        ("some/step-200", "some/step-200", None, 1),
        ("some/step-400", "some/step-400", None, 2),
    ]
    (one,) = variants.given("base", "x", adapter="lora")
    assert (one.model, one.adapter, one.finished) == ("base", "lora", True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: variants.trained("m", [], [0], "x"), "choices: name at least one"),
        (lambda: variants.trained("m", ["zh", "zh"], [0], "x"), "choices: name at least one, and each once"),
        (lambda: variants.trained("m", ["zh"], [0, 0], "x"), "seeds: name at least one, and each once"),
        (lambda: variants.trained("m", ["zh"], [-1], "x"), "seeds: -1 is no whole number"),
        (lambda: variants.trained("m", "zh,de", [0], "x"), "choices='zh,de': give a list"),
        (lambda: variants.trained("m", ["zh"], 3, "x"), "seeds=3: give a list"),
        (lambda: variants.given("base", "x", after="a", checkpoints="b"), "checkpoints='b': give a list"),
        (lambda: variants.given("base", "x"), "name one model to compare with"),
        (lambda: variants.given("base", "x", after="a", adapter="b"), "name one model to compare with"),
        (lambda: variants.given("base", "x", after="a/b", checkpoints=["a-b"]), "a model is named twice"),
    ],
)
def test_bad_input(make, said):
    with pytest.raises(NeuroglotError, match=said):
        make()


def test_the_list_knows_its_files(tmp_path):
    plan = [replace(v, folder=str(tmp_path / v.name)) for v in variants.trained("base", ["de"], [0], "x")]
    for number, variant in enumerate(plan):
        (tmp_path / variant.name).mkdir()
        (tmp_path / variant.name / "activations.safetensors").write_text(str(number))
    path = tmp_path / "variants.json"
    variants.save(path, plan, ("stats", "losses"))
    assert variants.load(path) == [replace(v, measured=("stats",)) for v in plan]
    assert [list(row["files"]) for row in json.loads(path.read_text())["variants"]] == [["stats"], ["stats"]]
    (tmp_path / plan[0].name / "activations.safetensors").write_text("other")
    with pytest.raises(NeuroglotError, match=r"is not the file that .*variants\.json names"):
        variants.load(path)
    for text in ("{}", "[]", "no", '{"neuroglot": "variants", "version": 1, "variants": [{"name": "x"}]}'):
        path.write_text(text)
        with pytest.raises(NeuroglotError, match="is not what chapter 07 writes"):
            variants.load(path)
    with pytest.raises(NeuroglotError, match="there is no file"):
        variants.load(tmp_path / "none.json")


def test_the_first_finished_model_and_its_control():
    plan = variants.trained("m", ["zh", "sw"], [0], "x", steps=[8])
    assert [one.name for one in variants.first(plan)] == ["aligned on zh", "zh, shuffled"]
    assert variants.first(variants.given("m", "x", after="a"))[1] is None
    for none in ([], [one for one in plan if one.control]):
        with pytest.raises(NeuroglotError, match="no finished model is among the variants"):
            variants.first(none)
