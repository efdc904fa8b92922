"""Every reader of files from elsewhere: how a healthy file of its kind is made, and how it is read."""

import functools
import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from neuroglot import (
    ActivationStats,
    NeuroglotError,
    NeuronTypes,
    classify,
    collect,
    detect,
    load_corpus,
    load_model,
    losses,
    top_contexts,
)
from neuroglot.alignment import variants
from neuroglot.alignment.preferences import Pair, Preferences
from neuroglot.alignment.training import Alignment
from neuroglot.base.artifacts import save_artifact
from neuroglot.base.files import read_json, sha256_file
from neuroglot.base.records import mark_whole, whole_folder, write_record
from neuroglot.base.tables import read_tables, write_tables
from neuroglot.book import chapters, pages, runs
from neuroglot.cli import given
from neuroglot.counts.reading import read_counts, read_njunlp, write_counts
from neuroglot.effects.choices import Choices
from neuroglot.model import sampling
from neuroglot.model.attribution import Attributions, attributions
from neuroglot.model.likelihood import Losses
from neuroglot.model.loading import ADAPTER, ADAPTER_BASE, ADAPTER_CONFIG
from neuroglot.neurons.contexts import TopContexts
from neuroglot.neurons.detection import Detection
from neuroglot.neurons.sets import NeuronSet, read_neurons, write_neurons
from neuroglot.text.corpora import Corpus

from ..conftest import TEXTS, byte_tokenizer, tiny_model, write_texts
from ..model.test_loading import write_gguf

QUIET: dict[str, Any] = {"progress": False}
PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reader:
    """``make`` fills a folder with healthy files; ``read`` reads what is in a folder, and shows it as pages do.

    ``names`` are words besides those of files that a sentence may name what was wrong by; of ten cases it gets
    ``weight``, since loading a model takes longer; ``seconds`` are those after which it counts as not ending.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    names: tuple[str, ...] = ()
    weight: int = 10
    seconds: float = 60.0


@functools.cache
def _things() -> dict[str, Any]:
    """Of every kind of artefact one, of a tiny mixture of experts (attributions of a dense model)."""
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        corpus = load_corpus(f"text:{write_texts(Path(scratch) / 'texts')}")
    model, tokenizer = tiny_model("mixtral"), byte_tokenizer()
    stats = collect(model, tokenizer, corpus, moments=True, shards=3, **QUIET)
    types = classify(stats, top_rate=0.2, lam=0.1)
    dense = tiny_model("llama")
    return {
        "stats": stats,
        "types": types,
        "losses": losses(model, tokenizer, corpus, **QUIET),
        "contexts": top_contexts(model, tokenizer, corpus, [[0, 1], [2, 3]], window=4, contexts=2, **QUIET),
        "detection": detect(stats, "lape"),
        "neurons": NeuronSet.of(types),
        "attributions": attributions(dense, tokenizer, corpus, **QUIET),
        "corpus": corpus,
        "gathered": collect(dense, tokenizer, corpus, gather="histograms maxima absolute last", shards=2, **QUIET),
    }


# --- our own files ---------------------------------------------------------------------------------


def _artifact(kind: str, cls: Any) -> Reader:
    """A file that a thing of ours saves; it is read and described."""

    def read(folder: Path) -> object:
        found = cls.load(folder / f"{kind}.safetensors")
        return found.describe() if hasattr(found, "describe") else found

    return Reader(lambda folder: _things()[kind].save(folder / f"{kind}.safetensors"), read)


def _choices(folder: Path) -> None:
    shape = 2, 3, 2, 4
    arrays = {"margin": np.ones(shape), "preferred": np.ones(shape), "questions": np.ones((2, 2, 4), np.int64)}
    head = {"kinds": ["a", "b"], "rows": ["x", "y", "z"], "languages": ["en", "de"], "units": list("1234")}
    save_artifact(folder / "choices.safetensors", "choices", arrays, head | {"provenance": {}})


def _preferences(folder: Path) -> None:
    pairs = (Pair("de", "a", "Wie?", "So.", "Nicht.", 1.0, 0.5), Pair("ru", "a", "Как?", "Так.", "Нет.", 2.0, 0.25))
    Preferences(("de", "ru"), "en", pairs, {"scorer": "none"}).save(folder / "preferences.jsonl")


def _responses(folder: Path) -> None:
    row = {"language": "de", "prompt": "Wie viele?\n", "answer": "2", "group": "", "cluster": "", "response": "Zwei: 2"}
    other = row | {"language": "en", "prompt": "How many?\n", "response": "Two: 2"}
    rows = [one | {"id": "1"} for one in (row, other)]
    sampling._write_rows(folder / "responses.jsonl", {"model": "m", "corpus": "c"}, rows)


def _tables(folder: Path) -> None:
    profile = pd.DataFrame({"layer": [0, 1], "share": [0.25, None]})
    write_tables(folder / "tables.json", {"profile": profile, "claims": pd.DataFrame({"claim": ["a"], "holds": [1]})})


def _variants(folder: Path) -> None:
    found = variants.trained("base", ["de"], [0], str(folder))
    variants.save(folder / "variants.json", found, ())


def _marked(folder: Path) -> None:
    (folder / "part").write_text("what was made", encoding="utf-8")
    mark_whole(folder, "this")


def _run(folder: Path) -> None:
    """A finished run with the three files that others are set beside, and an executed chapter."""
    _things()["stats"].save(folder / "activations.safetensors")
    _things()["types"].save(folder / "types.safetensors")
    kinds = ("specific", "related", "general", "unclassified")
    rows = [
        {"layer": layer, "kind": kind, "neurons": 12, "share": 0.25, "depth": layer / 2}
        for layer in range(3)
        for kind in kinds
    ]
    claims = pd.DataFrame({"claim": ["a"], "holds": [True]})
    write_tables(folder / "layers.json", {"profile": pd.DataFrame(rows), "claims": claims})
    (folder / "chapters").mkdir()
    given_ = {"stats": "activations.safetensors", "types": "types.safetensors"}
    notebook = {"cells": [], "metadata": {"papermill": {"parameters": given_}}, "nbformat": 4, "nbformat_minor": 5}
    name = "01-activations"
    executed = folder / "chapters" / f"{name}.ipynb"
    executed.write_text(json.dumps(notebook), encoding="utf-8")
    record = {"key": "k", "outputs": {f"chapters/{name}.ipynb": sha256_file(executed)}}
    executed.with_suffix(".json").write_text(json.dumps(record), encoding="utf-8")


def _read_run(folder: Path) -> object:
    said = read_json(folder / "chapters" / "01-activations.ipynb")
    facts = pages.facts_of(pages.parameters_of(said), run=folder.name, root=folder)
    return facts, chapters.is_finished(folder, "01-activations"), runs.side_by_side(runs.load_runs([folder]))


# --- others' files ---------------------------------------------------------------------------------


def _lape(folder: Path) -> None:
    write_counts(folder / "counts", _things()["gathered"])
    for path in sorted((folder / "counts").iterdir()):
        path.rename(folder / path.name)
    (folder / "counts").rmdir()


def _released(folder: Path) -> None:
    stats = _things()["gathered"]
    for k, code in enumerate(stats.languages):
        for kind, number in (("", 1), ("prefix.", 0)):
            counts = torch.from_numpy(stats.counts[..., k] * number)
            said = {"n": int(stats.tokens[k]) * number, "over_zero": counts}
            torch.save(said, folder / f"{kind}activation.{code}.tiny.pt")


def _masks(folder: Path) -> None:
    write_neurons(folder / "found.neuron.pth", _things()["types"])


def _columns(ending: str) -> Reader:
    """A table of counts and one of neurons."""

    def make(folder: Path) -> None:
        write_counts(folder / f"counts.{ending}", _things()["gathered"])
        write_neurons(folder / f"found.{ending}", _things()["types"])

    return Reader(make, lambda at: (read_counts(at / f"counts.{ending}"), read_neurons(at / f"found.{ending}")))


# --- text ------------------------------------------------------------------------------------------

ROWS = [
    {"id": str(number), "language": code, "prompt": f"{text} ({number})", "response": f"{text} {number}", "answer": "7"}
    for code, texts in TEXTS.items()
    for number, text in enumerate(texts)
]


def _mgsm(folder: Path) -> None:
    for code, texts in TEXTS.items():
        lines = [f"{text}\t{number}" for number, text in enumerate(texts)]
        (folder / f"mgsm_{code}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _msvamp(folder: Path) -> None:
    for code, texts in TEXTS.items():
        rows = [{"m_query": text, "response": number} for number, text in enumerate(texts)]
        (folder / f"test_{code}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def _generations(folder: Path) -> None:
    rows = [
        {"lang": code, "instruction": text, "answers": [{"generated": "7"}, {"generated": "8"}]}
        for code, texts in TEXTS.items()
        for text in texts
    ]
    (folder / "answers.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def _jsonl(folder: Path) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (folder / "text.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _turns(folder: Path) -> None:
    """A file for each language, one of ids and one of messages."""
    for number, row in enumerate(ROWS):
        messages = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
        ids = {"input_ids": [number, 3, 4], "response_ids": [5, 6]}
        for place, own in (("turns", {"messages": messages}), ("ids", ids)):
            (folder / place).mkdir(exist_ok=True)
            with (folder / place / f"{row['language']}.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(own, ensure_ascii=False) + "\n")


CHAT = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


def _read_turns(folder: Path) -> object:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = CHAT
    return [load_corpus(f"jsonl:{folder / name}", tokenizer=tokenizer) for name in ("turns", "ids")]


def _delimited(folder: Path) -> None:
    pd.DataFrame(ROWS).to_csv(folder / "text.csv", index=False)


def _tsv(folder: Path) -> None:
    for code in TEXTS:
        rows = [row for row in ROWS if row["language"] == code]
        pd.DataFrame(rows).to_csv(folder / f"{code}.tsv", index=False, sep="\t")


def _parquet(folder: Path) -> None:
    pd.DataFrame(ROWS).to_parquet(folder / "text.parquet", index=False)


def _declaration(folder: Path) -> None:
    (folder / "declaration").mkdir()
    for code, (iso, texts) in {"en": ("eng", TEXTS["en"]), "ru": ("rus", TEXTS["ru"])}.items():
        articles = "".join(
            f'<article data-number="{number}"><h2>{number}</h2><p>{text}</p></article>'
            for number, text in enumerate(texts, 1)
        )
        page = f'<main data-iso6393="{iso}" dir="ltr" lang="{code}">{articles}</main>'
        (folder / "declaration" / f"{iso}.html").write_text(page, encoding="utf-8")


def _plain(folder: Path) -> None:
    for code, texts in TEXTS.items():
        (folder / f"{code}.txt").write_text("\n\n".join(texts), encoding="utf-8")


def _flores(folder: Path) -> None:
    for code, texts in {"eng_Latn": TEXTS["en"], "deu_Latn": TEXTS["de"]}.items():
        (folder / f"{code}.devtest").write_text("\n".join(texts) + "\n", encoding="utf-8")


def _corpus(source: str, make: Callable[[Path], object], name: str = "", **options: Any) -> Reader:
    """A source of text; only those that many can be read of are named by a file."""

    def read(folder: Path) -> object:
        found = load_corpus(f"{source}:{folder / name if name else folder}", **options)
        return found.hash, len(list(found.examples)), found.side_by_side()

    return Reader(make, read, (source, "language"))


# --- models ----------------------------------------------------------------------------------------


def _model(folder: Path) -> None:
    tiny_model("llama").float().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)


def _adapter(folder: Path) -> None:
    """An adapter and its base."""
    import peft

    _model(folder / "base")
    config = peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, target_modules=["down_proj"], r=2)
    wrapped = peft.get_peft_model(load_model(str(folder / "base"))[0], config)
    wrapped.save_pretrained(folder / "adapter")
    (folder / "adapter" / "README.md").unlink(missing_ok=True)


def _alignment(folder: Path) -> None:
    _adapter(folder)
    shutil.rmtree(folder / "base")
    for path in sorted((folder / "adapter").iterdir()):
        path.rename(folder / path.name)
    (folder / "adapter").rmdir()
    files = {name: sha256_file(folder / name) for name in (ADAPTER, ADAPTER_CONFIG)}
    base = {"model": "m", "revision": None, "dtype": "float32", "weights_sha256": "0"}
    write_record(folder / ADAPTER_BASE, "adapter", base | {"files": files})
    log = [{"step": 1, "loss": 0.5, "accuracy": 0.5, "margin": 0.1}]
    write_record(folder / "alignment.json", "alignment", {"provenance": {"model": "m"}, "log": log})


# --- parameters ------------------------------------------------------------------------------------


#: What ``-p NAME VALUE`` gives, as the words of a command.
GIVEN = {
    "model": "gemma3-270m",
    "corpus": "problems",
    "corpus_options": '{"n": 3}',
    "model_options": '{"dtype": "float32"}',
    "languages": "en,zh",
    "shards": "2",
    "held_out": "held-out.jsonl",
    "neurons": "neurons.csv",
    "released": "released",
    "domains": '{"udhr": {"articles": 2}}',
    "checkpoints": "[]",
    "detectors": "lape",
    "recipe": '{"steps": 2}',
}


def _parameters(folder: Path) -> None:
    (folder / "parameters.json").write_text(json.dumps(GIVEN), encoding="utf-8")


def _outdated(folder: Path) -> object:
    """What a book would run with these."""
    try:
        said = read_json(folder / "parameters.json")
        words = {str(name)[:10_000]: value for name, value in said.items()}
    except (ValueError, AttributeError):
        return None  # words of a command are what this reads, not the file
    parameters = {name: given.literal(value) if isinstance(value, str) else value for name, value in words.items()}
    return chapters.outdated([{"model": "m", "corpus": "problems"} | parameters], root=PROJECT)


# --- all of them -----------------------------------------------------------------------------------

READERS: dict[str, Reader] = {
    "stats": _artifact("stats", ActivationStats),
    "gathered": _artifact("gathered", ActivationStats),
    "types": _artifact("types", NeuronTypes),
    "losses": _artifact("losses", Losses),
    "contexts": _artifact("contexts", TopContexts),
    "detection": _artifact("detection", Detection),
    "neurons": _artifact("neurons", NeuronSet),
    "attributions": _artifact("attributions", Attributions),
    "choices": Reader(_choices, lambda folder: Choices.load(folder / "choices.safetensors")),
    "corpus": Reader(
        lambda folder: _things()["corpus"].save(folder / "corpus.jsonl"),
        lambda folder: Corpus.load(folder / "corpus.jsonl").hash,
    ),
    "preferences": Reader(_preferences, lambda folder: Preferences.load(folder / "preferences.jsonl").describe()),
    "responses": Reader(_responses, lambda folder: sampling._read(folder / "responses.jsonl")),
    "tables": Reader(_tables, lambda folder: read_tables(folder / "tables.json")),
    "variants": Reader(_variants, lambda folder: variants.load(folder / "variants.json")),
    "marked": Reader(_marked, lambda folder: whole_folder(folder, "this")),
    "run": Reader(_run, _read_run, ("layers.json",)),
    "lape": Reader(_lape, read_counts),
    "released": Reader(_released, read_njunlp),
    "masks": Reader(_masks, lambda folder: read_neurons(folder / "found.neuron.pth", "en de ru"), ("languages",)),
    "csv of neurons": _columns("csv"),
    "parquet of neurons": _columns("parquet"),
    "mgsm": _corpus("mgsm", _mgsm),
    "msvamp": _corpus("msvamp", _msvamp),
    "generations": _corpus("generations", _generations, "answers.json"),
    "jsonl": _corpus("jsonl", _jsonl, "text.jsonl"),
    "streamed": _corpus("jsonl", _jsonl, "text.jsonl", stream=True),
    "sampled": _corpus("jsonl", _responses, "responses.jsonl"),
    "turns and ids": Reader(_turns, _read_turns, ("jsonl",)),
    "csv": _corpus("csv", _delimited, "text.csv"),
    "tsv": _corpus("csv", _tsv),
    "parquet": _corpus("parquet", _parquet, "text.parquet"),
    "streamed parquet": _corpus("parquet", _parquet, "text.parquet", stream=True),
    "declaration": _corpus("udhr", _declaration, languages="en ru"),
    "text": _corpus("text", _plain),
    "lines": _corpus("text", _flores, lines=True),
    "adapter": Reader(
        _adapter,
        lambda folder: load_model(str(folder / "base"), adapter=str(folder / "adapter"))[0],
        weight=2,
    ),
    "alignment": Reader(_alignment, lambda folder: Alignment.load(folder).describe()),
    "model": Reader(_model, lambda folder: load_model(str(folder)), weight=1),
    "gguf": Reader(
        lambda folder: write_gguf(folder / "tiny.gguf"), lambda folder: load_model(str(folder / "tiny.gguf")), weight=2
    ),
    "parameters": Reader(_parameters, _outdated, ("parameter", "run", "option", *GIVEN)),
}


def _waits(folder: Path) -> None:
    while True:
        pass


def _unpickles(folder: Path) -> None:
    class Code:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (folder.parent / "canary",)

    pickle.loads(pickle.dumps(Code()))


def _swallows(folder: Path) -> None:
    """Takes a want of memory for a bad file."""
    try:
        bytearray(2**60)
    except MemoryError as error:
        raise NeuroglotError(f"{folder} is bad.") from error


def _speaks(folder: Path) -> None:
    raise NeuroglotError("something is wrong")


#: Readers that do what none may, and what must be found to be wrong of them.
FAULTY: dict[str, tuple[Reader, str]] = {
    "waits": (Reader(_masks, _waits, seconds=0.2), "hung"),
    "unpickles": (Reader(_masks, _unpickles), "code was run"),
    "fills memory": (Reader(_masks, lambda folder: len(b"x" * 5 * 2**28)), "took 1.2 GB"),
    "swallows": (Reader(_masks, _swallows), "memory ran out"),
    "raises": (Reader(_masks, lambda folder: {}["key"]), "raw error"),
    "names nothing": (Reader(_masks, _speaks), "names neither file nor argument"),
    "no sentence": (Reader(_masks, _speaks), "no plain sentence"),
    "writes": (Reader(_masks, lambda folder: (folder.parent / "x").write_text("x")), "open"),
    "changes": (Reader(_masks, lambda folder: (folder.parent / "outside" / "secret").unlink()), "os.remove"),
    "starts": (Reader(_masks, lambda folder: subprocess.run(["true"])), "subprocess.Popen"),
    "dies": (Reader(_masks, lambda folder: os._exit(9)), "died"),
}
