"""Files that know whether they are whole: every kind damaged at many places, and unfinished work gone on with."""

import errno
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from neuroglot import (
    ActivationStats,
    Corpus,
    Example,
    NeuroglotError,
    NeuronTypes,
    classify,
    collect,
    load_corpus,
    losses,
    top_contexts,
)
from neuroglot.alignment import variants
from neuroglot.alignment.preferences import Pair, Preferences
from neuroglot.base import files as module
from neuroglot.base import records
from neuroglot.base.artifacts import save_artifact
from neuroglot.base.tables import read_tables, write_tables
from neuroglot.counts import collecting as counting_module
from neuroglot.model import likelihood as likelihood_module
from neuroglot.model import sampling
from neuroglot.model.likelihood import Losses

from ..conftest import tiny_model
from ..counts.test_activations import rewrite

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of every kind of file: what was written, how it is read, and how that is written again."""
    from ..conftest import byte_tokenizer, write_texts

    folder = tmp_path_factory.mktemp("made")
    texts = write_texts(folder / "texts")
    corpus, model, tokenizer = load_corpus(f"text:{texts}"), tiny_model("mixtral"), byte_tokenizer()
    stats = collect(model, tokenizer, corpus, moments=True, **QUIET)
    pairs = (Pair("de", "a", "Wie?", "So.", "Nicht.", 1.0, 0.5), Pair("ru", "a", "Как?", "Так.", "Нет.", 2.0, 0.25))
    row = {"id": "1", "language": "de", "prompt": "Wie viele?\n", "answer": "2", "group": "", "cluster": ""}
    things = {
        "activations": stats,
        "types": classify(stats, top_rate=0.2, lam=0.1),
        "losses": losses(model, tokenizer, corpus, **QUIET),
        "contexts": top_contexts(model, tokenizer, corpus, [[0, 1], [2, 3]], window=4, contexts=2, **QUIET),
        "corpus": corpus,
        "preferences": Preferences(("de", "ru"), "en", pairs, {"scorer": "none"}),
    }
    kinds = {name: (type(thing), folder / name) for name, thing in things.items()}
    for name, thing in things.items():
        thing.save(folder / name)
    ways = {name: (path, kind.load, lambda thing, to: thing.save(to)) for name, (kind, path) in kinds.items()}
    sampling._write_rows(folder / "responses", {"model": "m", "corpus": "c"}, [row | {"response": "Zwei: 2"}])
    ways["responses"] = folder / "responses", sampling._read, lambda said, to: sampling._write_rows(to, *said)
    tables = {"profile": pd.DataFrame({"layer": [0, 1], "share": [0.25, None]})}
    write_tables(folder / "tables", tables)
    ways["tables"] = folder / "tables", read_tables, lambda said, to: write_tables(to, said)
    variants.save(folder / "variants", variants.trained("base", ["de"], [0], "x"), ())
    ways["variants"] = folder / "variants", variants.load, lambda said, to: variants.save(to, said, ())
    return ways


KINDS = ["activations", "types", "losses", "contexts", "corpus", "preferences", "responses", "tables", "variants"]


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A byte changed, some left out, or the end cut off."""
    at = rng.randrange(len(data))
    match rng.randrange(4):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + rng.randrange(1, 9) :]
        case _:
            return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_passes_for_something_else(kind, made, tmp_path):
    path, read, write = made[kind]
    data, rng, refused = path.read_bytes(), random.Random(kind), 0
    write(read(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == data
    for _ in range(150):
        (tmp_path / "harmed").write_bytes(damaged(data, rng))
        try:
            found = read(tmp_path / "harmed")
        except NeuroglotError as error:
            assert "harmed" in str(error) and len(str(error)) < 600
            refused += 1
        else:  # nothing but what JSON does not care for
            write(found, tmp_path / "again")
            assert (tmp_path / "again").read_bytes() == data
    assert refused > 120


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_other_file_is_refused_in_a_sentence(kind, made, tmp_path):
    _, read, _ = made[kind]
    others = [other for name, (path, *_) in made.items() if name != kind for other in [path.read_bytes()]]
    deep, surrogate = b"[" * 100_000, json.dumps({"neuroglot": "\ud800", "version": 2}).encode()
    for content in (
        *others,
        b"\xff\xfe\x00",
        deep,
        surrogate,
        b"null",
        b"[]",
        b"{}",
        b"1",
        b'"a"',
        b"{}\n{}",
        b"\0" * 64,
    ):
        (tmp_path / "other").write_bytes(content)
        with pytest.raises(NeuroglotError, match="other"):
            read(tmp_path / "other")
    for nowhere in (tmp_path / "nothing", tmp_path, tmp_path / ("n" * 300)):
        with pytest.raises(NeuroglotError):
            read(nowhere)


# --- unfinished work ---------------------------------------------------------------------------


def interrupted(monkeypatch, owner, name, after):
    """A method that is interrupted at its call ``after``, until the patch is undone."""
    real, calls = getattr(owner, name), []

    def breaks(*arguments, **options):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, breaks)


def counted(path, tokenizer, corpus):
    collect(tiny_model("mixtral"), tokenizer, corpus, path, batch_tokens=32, moments=True, **QUIET)


def scored(path, tokenizer, corpus):
    losses(tiny_model("llama"), tokenizer, corpus, None, path, batch_tokens=40, **QUIET)


def sampled(path, tokenizer, corpus):
    asked = Corpus("asked", corpus.languages, tuple(Example(e.id, e.language, e.response, "") for e in corpus.examples))
    model = tiny_model("llama")
    sampling.sample_rows(model, tokenizer, asked, path, shots=0, max_new_tokens=3, batch_size=3, **QUIET)


UNFINISHED = {
    "counting": (counted, counting_module.Counter, "forward", 10),
    "losses": (scored, likelihood_module._Run, "_score", 4),
    "sampling": (sampled, sampling, "_generate", 2),
}


@pytest.mark.parametrize("kind", UNFINISHED)
def test_damaged_parts_are_thrown_away_and_made_again(kind, tokenizer, texts, tmp_path, monkeypatch, capsys):
    """Whatever happens to a part, the finished file is the same, byte by byte."""
    run, owner, name, after = UNFINISHED[kind]
    corpus, path, plain = load_corpus(f"text:{texts}"), tmp_path / "out", tmp_path / "plain"
    run(plain, tokenizer, corpus)
    interrupted(monkeypatch, owner, name, after)
    with pytest.raises(KeyboardInterrupt):
        run(path, tokenizer, corpus)
    monkeypatch.undo()
    kept = {part: part.read_bytes() for part in (tmp_path / "out.parts").iterdir()}
    assert len(kept) > 1
    rng = random.Random(kind)
    for number in range(12):
        for part, data in kept.items():
            part.parent.mkdir(exist_ok=True)
            part.write_bytes(data)
        part, data = rng.choice(sorted(kept.items()))
        part.write_bytes(damaged(data, rng) if number else b"")
        capsys.readouterr()
        run(path, tokenizer, corpus)
        assert path.read_bytes() == plain.read_bytes()
        said = capsys.readouterr().err
        assert f"{part} is damaged, or of another version; it is made again." in said or number
        assert said.count("is damaged") <= 1
        path.unlink()


def test_a_part_with_other_numbers_and_the_old_hash_is_not_believed(tokenizer, texts, tmp_path, monkeypatch, capsys):
    corpus, path, plain = load_corpus(f"text:{texts}"), tmp_path / "out", tmp_path / "plain"
    scored(plain, tokenizer, corpus)
    interrupted(monkeypatch, likelihood_module._Run, "_score", 3)
    with pytest.raises(KeyboardInterrupt):
        scored(path, tokenizer, corpus)
    monkeypatch.undo()
    part = tmp_path / "out.parts" / "00001.safetensors"
    arrays, head = load_file(part), safe_open(part, "numpy").metadata()
    arrays["nll"][0, 0] += 1
    save_file(arrays, part, head)
    scored(path, tokenizer, corpus)
    assert path.read_bytes() == plain.read_bytes() and "00001.safetensors is damaged" in capsys.readouterr().err


# --- places that cannot be written, words that cannot be encoded --------------------------------


def test_a_place_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NeuroglotError, match=r"could not write .*file/deep/down/x: Not a directory"):
        module.write_bytes(tmp_path / "file" / "deep" / "down" / "x", b"")

    def read_only(self, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(tmp_path / "cache"))

    monkeypatch.setattr(Path, "mkdir", read_only)
    with pytest.raises(NeuroglotError, match="Read-only file system"), module.atomic(tmp_path / "cache" / "a" / "b"):
        pass


def test_half_a_character_is_written_and_read_again(tmp_path):
    """A file's name may hold one, and is part of what is said of a text."""
    records.write_record(tmp_path / "r", "thing", {"source": "caf\udce9"})
    assert records.read_record(tmp_path / "r", "thing", "nobody")["source"] == "caf\udce9"
    stats = ActivationStats(np.zeros((1, 1, 2, 2), int), np.ones((1, 2), int), ("en", "de"), {"corpus": "caf\udce9"})
    stats.save(tmp_path / "s")
    assert ActivationStats.load(tmp_path / "s").provenance == {"corpus": "caf\udce9"}


def test_other_kinds_of_numbers_in_safetensors(tmp_path):
    """What NumPy has no name for is refused by the file's name."""
    import torch
    from safetensors.torch import save_file

    for dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.complex64, torch.float16, torch.bool):
        for kind, read in (("activations", ActivationStats), ("types", NeuronTypes), ("losses", Losses)):
            names = {"shard_counts", "shard_tokens", "score", "selected", "active", "nll", "tokens"}
            head = json.dumps({"kind": kind, "version": module.FORMAT_VERSION, "languages": ["en", "de"]})
            tensors = {name: torch.zeros(2, 2).to(dtype) for name in names}
            save_file(tensors, tmp_path / "odd", {"neuroglot": head})
            with pytest.raises(NeuroglotError, match="odd"):
                read.load(tmp_path / "odd")


# --- nonsense that is whole --------------------------------------------------------------------

HUGE = 2**62
NONSENSE = {
    "activations": [
        ("shard_tokens", lambda a: np.full_like(a, HUGE), "tokens in one place cannot be"),
        ("shard_tokens", lambda a: -a, "negative|exceed"),
        ("shard_tokens", lambda a: a.astype(np.float64), "must be integers"),
        ("shard_counts", lambda a: a + np.uint16(60_000), "exceed"),
        ("shard_routed", lambda a: a + 10_000, "more tokens than there are"),
        ("shard_routed", lambda a: a - 10_000, "fewer than none"),
        ("shard_routed", lambda a: a[..., :0, :], "do not fit"),
        ("sums", lambda a: a * np.inf, "not finite"),
        ("sums", lambda a: a.astype(np.int64), "not finite"),
        ("squares", lambda a: -a - 1, "squares are negative"),
        ("squares", None, "one is missing"),
        ("languages", lambda codes: [*codes[:-1], 3], "list of different languages"),
        ("provenance", lambda _: "none", "damaged provenance"),
    ],
    "types": [
        ("settings", lambda s: s | {"top_rate": "0.1"}, "top_rate='0.1'"),
        ("settings", lambda s: s | {"top_rate": 1.5}, r"top_rate=1\.5"),
        ("settings", lambda s: s | {"lam": None}, "lam=None"),
        ("settings", lambda s: s | {"lam": "x" * 5000}, "lam='xxx"),
        ("settings", lambda s: s | {"quantile": True}, "quantile=True"),
        ("settings", lambda s: s | {"tau": 1.01}, r"tau=1\.01"),
        ("settings", lambda s: s | {"tau": [0.5]}, r"tau=\[0\.5\]"),
        ("settings", lambda s: s | {"scaled": 1}, "scaled=1"),
        ("settings", lambda s: s | {"solved": "no"}, "solved='no'"),
        ("score", lambda a: a.astype(np.complex64), "score is not a number"),
        ("score", lambda a: a * np.inf, "score is not a number"),
    ],
    "losses": [
        ("tokens", lambda a: -a, "negative"),
        ("tokens", lambda a: np.full_like(a, HUGE), "tokens in one place cannot be"),
        ("tokens", lambda a: a.astype(np.float64), "must be whole"),
        ("nll", lambda a: -a, "losses are negative"),
        ("nll", lambda a: a * np.inf, "negative, infinite"),
        ("nll", lambda a: np.where(np.arange(a.shape[-1]) == 0, np.nan, a), "of a part of a language"),
        ("nll", lambda a: a.astype(np.int64), "real numbers"),
        ("units", lambda names: [1, *names[1:]], "no names"),
        ("units", lambda names: [names[1], *names[1:]], "the same twice"),
        ("rows", lambda _: "as it is", "lacks its names"),
    ],
    "contexts": [
        ("value", lambda a: a[..., ::-1] + np.float32(1), "no token that there is|in disorder"),
        ("value", lambda a: np.where(a > 0, np.float32(np.inf), a), "in disorder"),
        ("value", lambda a: a.astype(np.float64), "another type"),
        ("neurons", lambda a: a[::-1], "in disorder"),
        ("neurons", lambda a: a - 5, "in disorder"),
        ("neurons", lambda a: a.astype(np.float32), "another type"),
        ("token", lambda a: a + 1000, "no token"),
        ("passage", lambda a: a + 100, "no token"),
        ("shade", lambda a: a.astype(np.int64), "another type"),
        ("examples", lambda a: a - 100, "in disorder"),
        ("spans", lambda a: a[:, ::-1], "text in disorder"),
        ("spans", lambda a: a - 1000, "text in disorder"),
        ("spans", lambda a: a[::-1], "text in disorder"),
        ("starts", lambda a: a[::-1], "do not fit"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "name", "change", "message"), [(kind, *row) for kind, rows in NONSENSE.items() for row in rows]
)
def test_nonsense_is_refused_as_it_is_read(kind, name, change, message, made, tmp_path):
    """Files with the right hash of what cannot be."""
    path, read, _ = made[kind]
    (tmp_path / "odd").write_bytes(path.read_bytes())
    if change is None:
        arrays = load_file(path)
        del arrays[name]
        header = json.loads(safe_open(path, framework="numpy").metadata()["neuroglot"])
        save_artifact(tmp_path / "odd", kind, arrays, header)
    else:
        rewrite(tmp_path / "odd", **{name: change})
    with pytest.raises(NeuroglotError, match=message) as caught:
        read(tmp_path / "odd")
    assert "odd" in str(caught.value) and len(str(caught.value)) < 600


def test_numbers_that_wrap_around_are_no_probabilities():
    counts = np.full((4, 1, 1, 2), 2**61)
    with pytest.raises(NeuroglotError, match="cannot be"):  # four shards of 2**62 tokens would sum to 0
        ActivationStats(counts, np.full((4, 2), HUGE), ("en", "de"))


def sealed(path, kind, head, rows):
    records.write_lines(path, kind, head, rows)
    return path


ROW = {"id": "1", "language": "en", "prompt": "", "response": "a", "answer": "", "group": "", "cluster": ""}
PAIR = {"language": "de", "document": "a", "prompt": "?", "chosen": "a", "rejected": "b"} | {
    "chosen_score": 1.0,
    "rejected_score": 0.5,
    "kinds": "",
}


@pytest.mark.parametrize(
    "change",
    [{"id": 5}, {"response": None}, {"response": ["a"]}, {"group": 1.5}, {"prompt": "\ud800"}, {"more": 1}],
    ids=str,
)
def test_a_corpus_of_other_things_than_text(change, tmp_path):
    head = {"name": "x", "languages": ["en"], "source": "", "options": {}}
    assert Corpus.load(sealed(tmp_path / "c", "corpus", head, [ROW])).examples[0].response == "a"
    for found in (head, head | {"languages": [1]}, head | {"languages": ["en", "en"]}):
        with pytest.raises(NeuroglotError, match=str(tmp_path)):
            Corpus.load(sealed(tmp_path / "c", "corpus", found, [ROW | change]))


@pytest.mark.parametrize(
    ("head", "change", "message"),
    [
        ({}, {"chosen_score": float("nan")}, "chosen_score nan"),
        ({}, {"chosen_score": True}, "chosen_score True"),
        ({}, {"rejected_score": "1"}, "rejected_score '1'"),
        ({}, {"chosen": 1}, "chosen 1 of a pair"),
        ({}, {"rejected": "\udfff"}, "half a character"),
        ({}, {"language": "fr"}, "do not fit"),
        ({}, {"more": 1}, "is not what Preferences.save writes"),
        ({"pivot": "de"}, {}, "do not fit"),
        ({"pivot": 3}, {}, "do not fit"),
        ({"languages": ["de", "fr"]}, {}, "do not fit"),
        ({"languages": []}, {}, "languages"),
        ({"provenance": []}, {}, "provenance"),
    ],
)
def test_preferences_that_cannot_be(head, change, message, tmp_path):
    usual = {"languages": ["de"], "pivot": "en", "provenance": {}}
    path = sealed(tmp_path / "p", "preferences", usual, [PAIR])
    assert Preferences.load(path).pairs == (Pair(**PAIR),)
    with pytest.raises(NeuroglotError, match=message) as caught:
        Preferences.load(sealed(path, "preferences", usual | head, [PAIR | change]))
    assert str(path) in str(caught.value)


KILLED = """
import os, signal, sys
from neuroglot.base.files import atomic
with atomic(sys.argv[1]) as part:
    part.write_bytes(b"half")
    print("begun", flush=True)
    sys.stdin.read() if sys.argv[2] == "live" else os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="locks of POSIX")
def test_what_a_killed_writer_left_is_swept_and_nothing_else_is(tmp_path):
    path = tmp_path / "a.json"
    for name in ("b.json", "a.json"):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / name), "dead"], check=False)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path), "live"], **pipes) as live:
        assert live.stdout.readline() == "begun\n"
        held = set(tmp_path.glob(".a.json.*/a.json"))
        assert len(held) == 1, "the one that lives swept the one that was killed"
        others = [".a.json.abcd1234/another", ".config.settings/x", ".a.json.short/a.json"]
        for kept in others:
            (tmp_path / kept).parent.mkdir()
            (tmp_path / kept).write_text("kept")
        module.write_json(path, [1])
        assert held < set(tmp_path.glob(".a.json.*/a.json")) and len(list(tmp_path.glob(".b.json.*/b.json"))) == 1
        live.communicate("")
    assert path.read_bytes() == b"half" and live.returncode == 0
    module.swept(tmp_path)  # as a folder is by whoever writes in it
    assert {one.name for one in tmp_path.iterdir()} == {"a.json", *(Path(one).parent.name for one in others)}


def test_where_there_is_no_home_the_cache_must_be_named(monkeypatch):
    def nobody():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nobody)
    for name in ("NEUROGLOT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NeuroglotError, match="there is no home folder for downloads; set NEUROGLOT_CACHE to a folder"):
        module.cache_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", "/some")
    assert module.cache_dir() == Path("/some/neuroglot")
