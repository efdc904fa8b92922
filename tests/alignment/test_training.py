"""Training on a tiny model: what it leaves alone, what it writes, that it goes on, and that adapters fit their base."""

import inspect
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.version import Version
from safetensors.torch import load_file, save_file

from neuroglot import Alignment, NeuroglotError, align, collect, deactivate, load_corpus, load_model
from neuroglot.alignment.preferences import prefer
from neuroglot.alignment.scorers import Exact
from neuroglot.alignment.training import PRESETS, recipe_of
from neuroglot.base.parts import Parts
from neuroglot.model.loading import config_hash, weights_hash
from neuroglot.text.corruptions import corrupted

from ..conftest import byte_tokenizer, tiny_model, unsettled

SHORT = recipe_of(
    "small", {"steps": 4, "save_every": 2, "batch": 2, "micro_batch": 1, "learning_rate": 1e-2, "rank": 2}
)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A folder with a tiny model that has room for the packaged problems in bytes."""
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny_model("llama", max_position_embeddings=2048).float().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def preferences():
    corpus = load_corpus("problems", "en de zh", n=6, levels="1")
    return prefer(corrupted(corpus, ("zh", "de")), corpus, Exact())


@pytest.fixture(scope="module")
def trained(base, preferences, tmp_path_factory):
    lm, tokenizer = load_model(str(base))
    return align(lm, tokenizer, preferences, tmp_path_factory.mktemp("trained") / "a", SHORT, progress=False)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_papers_hyperparameters_are_a_preset():
    paper = PRESETS["paper"]
    assert (paper.rank, paper.alpha, paper.dropout, paper.learning_rate) == (64, 128, 0.05, 1e-6)
    assert (paper.batch, paper.steps, paper.save_every) == (16, 1000, 200)


def test_the_model_is_left_as_it_was(base, preferences, tmp_path):
    lm, tokenizer = load_model(str(base))
    lm.get_input_embeddings().weight.requires_grad_(False)
    before = weights_hash(lm), config_hash(lm), set(vars(lm)), [p.requires_grad for p in lm.parameters()], lm.training
    modules, state, pad = [*map(type, lm.modules())], torch.get_rng_state(), tokenizer.pad_token
    generation, others = lm.generation_config.to_dict(), (random.getstate(), np.random.random())
    np.random.seed(3)
    drawn = np.random.random()
    np.random.seed(3)
    align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    after = weights_hash(lm), config_hash(lm), set(vars(lm)), [p.requires_grad for p in lm.parameters()], lm.training
    assert after == before and [*map(type, lm.modules())] == modules
    assert torch.equal(torch.get_rng_state(), state) and tokenizer.pad_token == pad
    assert lm.generation_config.to_dict() == generation
    assert random.getstate() == others[0] and np.random.random() == drawn


def test_modes_checkpoints_and_compiled_code_change_no_training(trained, base, preferences, tmp_path):
    lm, tokenizer = load_model(str(base))
    with unsettled(lm):
        found = align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    assert files(found.folder)["adapter_model.safetensors"] == files(trained.folder)["adapter_model.safetensors"]


def test_what_is_written(trained, preferences, base):
    assert list(trained.checkpoints) == [2, 4] and trained.log["step"].tolist() == [1, 2, 3, 4]
    assert trained.log["loss"][0] == pytest.approx(math.log(2), abs=1e-6), "nothing is learned before the first step"
    assert trained.log["margin"].iloc[-1] > 0 == trained.log["margin"][0]
    assert trained.provenance["recipe"] == asdict(SHORT) and trained.provenance["aligned_on"] == ["zh", "de"]
    assert trained.provenance["preferences_sha256"] == preferences.hash
    said = json.loads((trained.folder / "base.json").read_text())
    assert said["model"] == str(base) and said["weights_sha256"] == weights_hash(load_model(str(base))[0])
    assert not list(trained.folder.parent.glob("*.parts")) and not list(trained.folder.rglob("*.pt*"))


def test_the_chosen_answers_alone_are_made_likelier(trained, base, preferences, tmp_path):
    """The loss is the mean over the chosen answers' tokens, and what the rejected ones are plays no part."""
    lm, tokenizer = load_model(str(base))
    how = replace(SHORT, learns="chosen")
    found = align(lm, tokenizer, preferences, tmp_path / "a", how, progress=False)
    turned = replace(preferences, pairs=tuple(replace(pair, rejected="no.") for pair in preferences.pairs))
    other = align(lm, tokenizer, turned, tmp_path / "b", how, progress=False)
    assert found.log["loss"].tolist() == pytest.approx(other.log["loss"].tolist(), rel=1e-4)
    assert found.log["loss"].iloc[-1] < found.log["loss"][0] and found.log["loss"][0] > math.log(2)
    assert found.log["margin"].tolist() != pytest.approx(other.log["margin"].tolist())
    assert found.provenance["recipe"]["learns"] == "chosen" and trained.provenance["recipe"]["learns"] == "preferences"
    with pytest.raises(NeuroglotError, match="learns='style': give preferences or chosen"):
        recipe_of("small", {"learns": "style"})


def test_the_adapter_is_merged_as_lora_says(trained, base):
    lm, _ = load_model(str(base))
    merged, tokenizer = load_model(str(trained.folder))
    assert merged.neuroglot_source[0] == str(trained.folder) and tokenizer.eos_token == "</s>"
    adapter = load_file(trained.folder / "adapter_model.safetensors")
    before, after = lm.state_dict(), merged.state_dict()
    assert before.keys() == after.keys()
    changed = 0
    for name, weight in before.items():
        place = f"base_model.model.{name.removesuffix('.weight')}"
        if f"{place}.lora_A.weight" in adapter:
            a, b = adapter[f"{place}.lora_A.weight"], adapter[f"{place}.lora_B.weight"]
            weight = weight + (b @ a) * SHORT.alpha / SHORT.rank
            changed += bool((b @ a).any())
        assert torch.allclose(after[name], weight, atol=1e-6), name
    assert changed == 3 * 7 == len(adapter) // 2, "every linear layer but the head"
    named, _ = load_model(str(base), adapter=str(trained.folder))
    assert weights_hash(named) == weights_hash(merged)
    early, _ = load_model(str(trained.checkpoints[2]))
    assert len({weights_hash(model) for model in (lm, merged, early)}) == 3


def test_training_again_gives_the_same_bytes_and_nothing_to_do(trained, base, preferences, tmp_path):
    lm, tokenizer = load_model(str(base))
    torch.manual_seed(7)  # whatever was drawn before
    again = align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    assert files(again.folder) == files(trained.folder)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False).log.equals(again.log)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps
    other = align(lm, tokenizer, preferences, tmp_path / "b", SHORT, seed=1, progress=False)
    assert files(other.folder)["adapter_model.safetensors"] != files(again.folder)["adapter_model.safetensors"]


KILLED = """
import os, signal, sys
from neuroglot import align, load_model
from neuroglot.alignment.training import Recipe, _Marked
from neuroglot.alignment.preferences import Preferences
ends = int(sys.argv[4])
def stop(self, args, state, control, **_):
    if state.global_step == ends:
        os.kill(os.getpid(), signal.SIGKILL)
_Marked.on_step_end = stop
lm, tokenizer = load_model(sys.argv[1])
align(lm, tokenizer, Preferences.load(sys.argv[2]), sys.argv[3], Recipe(**eval(sys.argv[5])), progress=False)
"""


def test_a_killed_training_goes_on_to_the_same_bytes(trained, base, preferences, tmp_path):
    preferences.save(tmp_path / "pairs.jsonl")
    arguments = [str(base), str(tmp_path / "pairs.jsonl"), str(tmp_path / "a")]
    for step in (1, 3):
        done = subprocess.run([sys.executable, "-c", KILLED, *arguments, str(step), repr(asdict(SHORT))])
        assert done.returncode == -signal.SIGKILL
    parts = tmp_path / "a.parts"
    assert (parts / "checkpoint-2").is_dir() and not (tmp_path / "a").exists()
    # One more that was not written to its end.
    (parts / "checkpoint-3").mkdir()
    (parts / "checkpoint-3" / "adapter_model.safetensors").write_bytes(b"half")
    lm, tokenizer = load_model(str(base))
    resumed = align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    assert files(resumed.folder) == files(trained.folder) and not parts.exists()


def test_what_was_trained_to_its_end_is_not_trained_again(trained, base, preferences, tmp_path, monkeypatch):
    from neuroglot.alignment import training

    def full(*_):
        raise NeuroglotError("the disk is full")

    lm, tokenizer = load_model(str(base))
    with monkeypatch.context() as patch:
        patch.setattr(training, "_keep_adapter", full)
        with pytest.raises(NeuroglotError, match="disk is full"):
            align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    monkeypatch.setattr(training, "_trainer", full)
    done = align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    assert files(done.folder) == files(trained.folder)


def test_a_loss_that_is_no_number_stops_at_once(base, preferences, tmp_path):
    lm, tokenizer = load_model(str(base))
    with torch.no_grad():
        lm.model.layers[0].mlp.up_proj.weight[0, 0] = float("inf")
    before = weights_hash(lm)
    with pytest.raises(NeuroglotError, match="the loss in step 1 is not a number"):
        align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    assert not (tmp_path / "a").exists() and weights_hash(lm) == before
    assert not list((tmp_path / "a.parts").glob("checkpoint-*"))


def test_an_adapter_stays_beside_weights_of_few_digits(trained, base, preferences, tmp_path):
    import peft

    with pytest.raises(NeuroglotError, match=r"does not fit .* float32"):
        load_model(str(base), dtype="bfloat16", adapter=str(trained.folder))
    foreign = tmp_path / "foreign"  # one that does not say of which weights it is
    shutil.copytree(trained.folder, foreign, ignore=shutil.ignore_patterns("base.json"))
    lm, tokenizer = load_model(str(base), dtype="bfloat16", adapter=str(foreign))
    plain, _ = load_model(str(base), dtype="bfloat16")
    before = plain(input_ids=torch.arange(1, 40)[None]).logits
    theirs = peft.PeftModel.from_pretrained(plain, str(trained.folder)).eval()
    with torch.no_grad():
        ours, wanted = (model(input_ids=torch.arange(1, 40)[None]).logits for model in (lm, theirs))
        assert torch.equal(ours, wanted) and not torch.equal(ours, before)
        with deactivate(lm, [[0], [], []]):
            assert not torch.equal(lm(input_ids=torch.arange(1, 40)[None]).logits, ours)
    corpus = load_corpus("problems", "en de", n=2)
    assert not np.array_equal(*(collect(m, tokenizer, corpus, progress=False).counts for m in (lm, theirs.unload())))
    theirs = peft.get_peft_model(load_model(str(base))[0], peft.IA3Config(task_type="CAUSAL_LM"))
    for model in (lm, theirs):
        with pytest.raises(NeuroglotError, match="has an adapter beside its weights"):
            align(model, tokenizer, preferences, tmp_path / "a", SHORT)


def test_a_revision_is_of_the_base(trained):
    with pytest.raises(NeuroglotError, match="is an adapter, and a revision is of its base"):
        load_model(str(trained.folder), revision="main")


def test_steps_without_a_checkpoint_are_named_before_anything_is_trained():
    recipe = recipe_of("small", {"steps": 25, "save_every": 10})
    assert recipe.saved == [10, 20, 25] and recipe.kept([10, 25]) == [10, 25]
    for steps in ([8], 10, "10"):
        with pytest.raises(NeuroglotError, match=r"steps .*: checkpoints are kept after 10, 20, 25"):
            recipe.kept(steps)


def test_several_processes_are_refused(base, preferences, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(NeuroglotError, match="alignment runs in one process"):
        align(*load_model(str(base)), preferences, tmp_path / "a", SHORT)


def test_parts_of_another_training_are_not_gone_on_with(trained, base, preferences, tmp_path):
    lm, tokenizer = load_model(str(base))
    parts = Parts(tmp_path / "a", {"model": "another"})
    parts.keep("begun")
    (parts.folder / "checkpoint-2").mkdir()
    assert files(align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False).folder) == files(
        trained.folder
    )


def test_another_training_there_is_kept(trained, base, preferences):
    lm, tokenizer = load_model(str(base))
    before = files(trained.folder)
    with pytest.raises(NeuroglotError, match=r"holds other training \(recipe differ\)"):
        align(lm, tokenizer, preferences, trained.folder, replace(SHORT, beta=0.2), progress=False)
    with pytest.raises(NeuroglotError, match=r"preferences_sha256, preferences differ"):
        align(lm, tokenizer, preferences.shuffled(), trained.folder, SHORT, progress=False)
    assert files(trained.folder) == before
    with pytest.raises(NeuroglotError, match="holds something else than an alignment"):
        align(lm, tokenizer, preferences, base, SHORT, progress=False)


def test_bad_recipes():
    for changes, said in {
        "steps": 0,
        "rank": 1.5,
        "batch": True,
        "learning_rate": float("nan"),
        "dropout": "0.1",
        "beta": -1,
    }.items():
        with pytest.raises(NeuroglotError, match=f"{changes}={said!r}: give"):
            recipe_of("small", {changes: said})
    with pytest.raises(NeuroglotError, match="dropout=1: give a share below 1"):
        recipe_of("small", {"dropout": 1})
    with pytest.raises(NeuroglotError, match="batch=4 is no multiple of micro_batch=3"):
        recipe_of("small", {"micro_batch": 3})
    with pytest.raises(NeuroglotError, match="there is no preset 'large'; use paper or small"):
        recipe_of("large")
    with pytest.raises(NeuroglotError, match="a recipe has no 'lr'"):
        recipe_of("small", {"lr": 1})


def test_texts_and_tokenizers_that_do_not_do(base, preferences, tmp_path):
    short = tiny_model("llama", max_position_embeddings=64).float()
    with pytest.raises(NeuroglotError, match=r"a pair has \d+ tokens, the context 64"):
        align(short, byte_tokenizer(), preferences, tmp_path / "a", SHORT)
    lm, tokenizer = load_model(str(base))
    tokenizer.eos_token = None
    with pytest.raises(NeuroglotError, match="has no end-of-text token"):
        align(lm, tokenizer, preferences, tmp_path / "a", SHORT)
    assert not list(tmp_path.iterdir())


def test_an_adapter_of_another_base(trained, tmp_path, base):
    other = tmp_path / "other"
    tiny_model("llama", max_position_embeddings=2048, hidden_size=64).float().save_pretrained(other)
    byte_tokenizer().save_pretrained(other)
    said = f"the adapter {trained.folder} does not fit the model {other}; give the base .* Its base is {base}"
    with pytest.raises(NeuroglotError, match=said):
        load_model(str(other), adapter=str(trained.folder))
    foreign = tmp_path / "foreign"  # as another program writes it: nothing says which weights it is of
    foreign.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (foreign / name).write_bytes((trained.folder / name).read_bytes())
    with pytest.raises(NeuroglotError, match=r"does not fit .*size mismatch"):
        load_model(str(other), adapter=str(foreign))
    weights_hash(load_model(str(base), adapter=str(foreign))[0])
    tiny_model("gpt2").float().save_pretrained(tmp_path / "gpt2")
    byte_tokenizer().save_pretrained(tmp_path / "gpt2")
    with pytest.raises(NeuroglotError, match="does not fit the model"):
        load_model(str(tmp_path / "gpt2"), adapter=str(foreign))


@pytest.mark.parametrize("layers", [[0, 1, 2, 3], [0, 1]], ids=["for a layer too many", "without the last layer"])
def test_an_adapter_that_does_not_cover_its_base(trained, base, tmp_path, layers):
    """Weights that find no place, or places that find none, must not be passed over in silence."""
    weights = load_file(trained.folder / "adapter_model.safetensors")
    first = {name: weight for name, weight in weights.items() if "layers.0." in name}
    chosen = {name.replace("layers.0.", f"layers.{layer}."): w.clone() for layer in layers for name, w in first.items()}
    save_file(chosen, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_bytes((trained.folder / "adapter_config.json").read_bytes())
    with pytest.raises(NeuroglotError, match="does not fit the model"):
        load_model(str(base), adapter=str(tmp_path))


def test_folders_that_hold_no_adapter(trained, base, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (damaged / name).write_bytes((trained.folder / name).read_bytes())
    (damaged / "base.json").write_text("{}")
    with pytest.raises(NeuroglotError, match=r"base\.json is damaged"):
        load_model(str(base), adapter=str(damaged))
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "adapter_config.json").write_bytes((trained.folder / "adapter_config.json").read_bytes())
    (pickled / "adapter_model.bin").write_bytes(b"never read")
    with pytest.raises(NeuroglotError, match=r"has no adapter_model\.safetensors, and other files are not read"):
        load_model(str(pickled))
    for text, said in {"no": "cannot be read", "[]": "cannot be read", "{}": "cannot be read"}.items():
        (pickled / "adapter_config.json").write_text(text)
        with pytest.raises(NeuroglotError, match=said):
            load_model(str(pickled))
    (pickled / "adapter_config.json").write_text('{"base_model_name_or_path": null}')
    with pytest.raises(NeuroglotError, match="names no base model"):
        load_model(str(pickled))
    with pytest.raises(NeuroglotError, match="holds no finished alignment"):
        Alignment.load(base)
    copied = tmp_path / "copied"
    copied.mkdir()
    for path in trained.folder.iterdir():
        if path.is_file():
            (copied / path.name).write_bytes(path.read_bytes())
    (copied / "adapter_model.safetensors").write_bytes(b"cut")
    with pytest.raises(NeuroglotError, match="is not the one it was written with"):
        Alignment.load(copied)


def test_nothing_of_trl_is_needed_to_read(trained):
    code = f"""
import sys
sys.modules['trl'] = None
from neuroglot import Alignment
Alignment.load({str(trained.folder)!r})
"""
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
    assert Path(trained.folder / "alignment.json").is_file()


def flipped(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


def test_damaged_checkpoints_are_made_again(trained, base, preferences, tmp_path, monkeypatch, capsys):
    """Whatever is damaged of an unfinished training, the result is the same, with every checkpoint."""
    from neuroglot.alignment import training

    def full(*_):
        raise NeuroglotError("the disk is full")

    lm, tokenizer = load_model(str(base))
    folder, parts, rng = tmp_path / "a", tmp_path / "a.parts", random.Random(1)
    with monkeypatch.context() as patch:
        patch.setattr(training, "_keep_adapter", full)
        with pytest.raises(NeuroglotError, match="disk is full"):
            align(lm, tokenizer, preferences, folder, SHORT, progress=False)
    shutil.copytree(parts, tmp_path / "kept")
    for place in (
        "checkpoint-2/adapter_model.safetensors",
        "checkpoint-4/trainer_state.json",
        "checkpoint-4/optimizer.pt",
        "checkpoint-4/whole.json",
        "begun.safetensors",
    ):
        shutil.rmtree(parts, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tmp_path / "kept", parts)
        (parts / place).write_bytes(flipped((parts / place).read_bytes(), rng))
        capsys.readouterr()
        done = align(lm, tokenizer, preferences, folder, SHORT, progress=False)
        assert files(done.folder) == files(trained.folder)
        named = parts / (place.partition("/")[0])
        assert f"{named} is damaged, or of another version; it is made again." in capsys.readouterr().err


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json", "base.json"])
def test_an_adapter_with_a_flipped_byte_is_not_loaded(trained, base, tmp_path, name):
    rng, copied = random.Random(name), tmp_path / "copied"
    shutil.copytree(trained.folder, copied)
    Alignment.load(copied)
    for folder in (copied, copied / "checkpoints" / "2"):
        data = (folder / name).read_bytes()
        for _ in range(10):
            (folder / name).write_bytes(changed := flipped(data, rng))
            if name == "base.json" and changed.split() == data.split():
                continue
            for load in (
                lambda: load_model(str(base), adapter=str(folder)),  # noqa: B023
                lambda: Alignment.load(copied),
            ):
                with pytest.raises(NeuroglotError, match=r"written with|is damaged"):
                    load()
        (folder / name).write_bytes(data)
    load_model(str(copied))


def test_a_record_with_other_numbers_is_refused(trained, tmp_path):
    shutil.copytree(trained.folder, copied := tmp_path / "copied")
    said = json.loads((copied / "alignment.json").read_text())
    said["log"][0]["loss"] = 0.5
    (copied / "alignment.json").write_text(json.dumps(said))
    with pytest.raises(NeuroglotError, match=r"alignment\.json is not what neuroglot align writes"):
        Alignment.load(copied)


def test_an_adapter_that_leads_back_to_itself(trained, tmp_path):
    """Chains of adapters end, or are refused."""
    for name, base_ in (("a", "a"), ("b", "c"), ("c", "b")):
        (tmp_path / name).mkdir()
        said = {"base_model_name_or_path": str(tmp_path / base_)}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(said))
    for name in ("a", "b"):
        with pytest.raises(NeuroglotError, match="leads back to"):
            load_model(str(tmp_path / name))
    (tmp_path / "a" / "adapter_config.json").write_text('{"base_model_name_or_path": ' + "[" * 100_000)
    with pytest.raises(NeuroglotError, match=r"adapter_config\.json cannot be read \(it is nested too deep\)"):
        load_model(str(tmp_path / "a"))


FULL = """
import resource, sys
from neuroglot import NeuroglotError, align, load_model
from neuroglot.alignment.training import Recipe
from neuroglot.alignment.preferences import Preferences
lm, tokenizer = load_model(sys.argv[1])
limit = int(sys.argv[5])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    align(lm, tokenizer, Preferences.load(sys.argv[2]), sys.argv[3], Recipe(**eval(sys.argv[4])), progress=False)
except NeuroglotError as error:
    print("said:", error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files as Linux does")
@pytest.mark.parametrize("limit", [8_000, 30_000], ids=["at the adapter", "at the optimizer"])
def test_a_disk_that_is_full_is_one_sentence(preferences, base, trained, tmp_path, limit):
    preferences.save(tmp_path / "pairs.jsonl")
    arguments = [str(base), str(tmp_path / "pairs.jsonl"), str(tmp_path / "a"), repr(asdict(SHORT)), str(limit)]
    done = subprocess.run([sys.executable, "-c", FULL, *arguments], capture_output=True, text=True)
    assert "said: could not write the checkpoint in" in done.stdout and done.returncode == 0, done.stderr
    lm, tokenizer = load_model(str(base))
    resumed = align(lm, tokenizer, preferences, tmp_path / "a", SHORT, progress=False)
    assert files(resumed.folder) == files(trained.folder)


def test_trl_still_asks_the_private_name_that_is_answered_for_it():
    """Renamed, it would do the same work in twice the time, and say nothing."""
    from trl.trainer import utils

    if Version(version("trl")) < Version("1.16"):
        pytest.skip("this trl does not ask yet")
    assert "_use_triton" in inspect.getsource(utils)
