"""Which models are compared, and that their files are those that were measured."""

import json
from dataclasses import replace

import pytest

from neuroglot import NeuroglotError
from neuroglot.alignment import variants


def test_what_is_trained():
    found = variants.trained("base", ["zh,de", "sw,th"], [0, 3], "runs/x/aligned", chosen_only=True, steps=(8, 16))
    assert [v.name for v in found] == [
        f"{name}, seed {seed}"
        for on in ("zh de", "sw th")
        for seed, names in (
            (
                0,
                (
                    *(f"aligned on {on}", f"{on}, step 8", f"{on}, step 16"),
                    *(f"{on}, shuffled", f"{on}, step 8, shuffled", f"{on}, step 16, shuffled"),
                    f"{on}, chosen only",
                ),
            ),
            (3, (f"aligned on {on}", f"{on}, shuffled", f"{on}, chosen only")),
        )
        for name in names
    ]
    assert {v.model for v in found} == {"base"} and found[0].folder == "runs/x/aligned/zh-de-seed-0"
    first, step, _, control, early, _, chosen = found[:7]
    assert first.adapter == f"{first.folder}/adapter" and first.choice == "zh, de" and first.finished
    assert step.adapter == f"{first.adapter}/checkpoints/8" and step.step == 8 and not step.finished
    assert early.adapter == f"{control.adapter}/checkpoints/8" and (early.kind, early.step) == ("shuffled", 8)
    assert [v.kind for v in (first, step, control, chosen)] == ["trained", "trained", "shuffled", "chosen"]
    assert not control.finished and not chosen.finished and found[7].seed == 3 and found[7].finished
    assert len({v.folder for v in found}) == len({v.file("stats") for v in found}) == len(found)
    assert [v.name for v in variants.trained("base", ["de"], [5], "x", control=False)] == ["aligned on de"]


def test_what_is_compared_with_what():
    """Each training with those like it, up to the same step: of seeds the first, and the control is none of them."""
    plan = variants.trained("m", ["zh", "sw"], [3, 1], "x", chosen_only=True, steps=[8])
    names = [(name, one.name, beside) for name, one, beside in variants.comparisons(plan)]
    assert names[:4] == [
        ("aligned on zh", "aligned on zh, seed 3", "shuffled"),
        ("aligned on zh, less chosen only", "aligned on zh, seed 3", "chosen"),
        ("zh, step 8", "zh, step 8, seed 3", "shuffled"),
        ("zh, chosen only", "zh, chosen only, seed 3", "shuffled"),
    ]
    assert len(names) == 8 and [name for name, *_ in names[4:]] == [n.replace("zh", "sw") for n, *_ in names[:4]]
    lead, step = plan[0], plan[1]
    assert [v.name for v in variants.alike(plan, lead, "trained")] == ["aligned on zh, seed 1", "aligned on zh, seed 3"]
    assert [v.name for v in variants.alike(plan, step, "shuffled")] == ["zh, step 8, shuffled, seed 3"]
    assert variants.alike(plan, step, "chosen") == []
    given = variants.given("m", "x", after="a, seed 2", checkpoints=["b"])
    assert [(name, beside) for name, _, beside in variants.comparisons(given)] == [
        ("a, seed 2", "shuffled"),
        ("b", "shuffled"),
    ]
    assert [len(variants.alike(given, given[0], kind)) for kind in variants.KINDS] == [1, 0, 0]


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
    rows = json.loads(path.read_text())["variants"]
    assert [list(row["files"]) for row in rows] == [["stats"], ["stats"]]
    other = json.loads(path.read_text())
    other["variants"][0]["kind"] = "rewarded"
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(NeuroglotError, match="is not what chapter 07 writes"):
        variants.load(tmp_path / "other.json")
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
    for none in ([], [one for one in plan if one.kind == "shuffled"]):
        with pytest.raises(NeuroglotError, match="no finished model is among the variants"):
            variants.first(none)
