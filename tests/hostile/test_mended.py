"""What the hostile cases once found: one small example of each kind."""

import json
import mmap
import os
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import torch
from safetensors.numpy import save_file

from neuroglot import NeuroglotError, load_corpus, load_model
from neuroglot.base import artifacts, files
from neuroglot.base.artifacts import load_artifact, save_artifact
from neuroglot.base.columns import read_columns
from neuroglot.base.files import read_json, sha256_file
from neuroglot.base.provenance import table
from neuroglot.base.records import content_hash, read_lines, read_record, write_record
from neuroglot.base.tables import read_tables
from neuroglot.book import chapters, pages
from neuroglot.counts.reading import read_counts
from neuroglot.model.loading import ADAPTER_BASE, read_adapter_base
from neuroglot.neurons.sets import read_neurons
from neuroglot.text import problems, rows

from .harms import repacked

# --- what a file is ---------------------------------------------------------------------------------


def pipe(path: Path, content: str) -> Path:
    """A pipe into which somebody writes as soon as it is read, so that nobody waits."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes")
    os.mkfifo(path)

    def write() -> None:
        try:
            path.write_text(content, encoding="utf-8")
        except BrokenPipeError:
            return

    threading.Thread(target=write, daemon=True).start()
    return path


ROW = (
    json.dumps({"language": "en", "response": "a text"}) + "\n" + json.dumps({"language": "de", "response": "ein Text"})
)


@pytest.mark.parametrize(
    "read",
    [
        read_json,
        sha256_file,
        lambda path: read_record(path, "variants", "chapter 07"),
        lambda path: read_lines(path, "corpus", "Corpus.save"),
        lambda path: load_corpus("udhr:" + str(path.parents[1]), "en de"),
        lambda path: load_corpus({"en": path, "de": path}),
    ],
)
def test_a_pipe_is_no_file(read, tmp_path):
    (tmp_path / "declaration").mkdir()
    with pytest.raises(NeuroglotError, match=r"eng\.html.*is no plain file"):
        read(pipe(tmp_path / "declaration" / "eng.html", ROW))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no such device")
def test_a_link_to_an_endless_device_is_no_file(tmp_path):
    for name in ("en", "de"):
        (tmp_path / f"mgsm_{name}.tsv").symlink_to("/dev/zero")
    with pytest.raises(NeuroglotError, match=r"mgsm_en\.tsv is no plain file"):
        load_corpus(f"mgsm:{tmp_path}")


@pytest.mark.parametrize("read", [read_json, lambda path: load_corpus({"en": path, "de": path})])
def test_a_file_too_large_to_be_read_at_once_is_not_begun(read, tmp_path, monkeypatch):
    (tmp_path / "text").write_text('"1234567"', encoding="utf-8")
    monkeypatch.setattr(files, "MOST_WHOLE", 8)
    with pytest.raises(NeuroglotError, match="more than 8 bytes"):
        read(tmp_path / "text")


def test_lines_that_end_as_windows_or_old_macs_end_them_are_lines(tmp_path):
    (tmp_path / "en.txt").write_bytes("\ufeffone\r\n\r\ntwo".encode())
    (tmp_path / "de.txt").write_bytes(b"eins\r\rzwei")
    found = load_corpus(f"text:{tmp_path}")
    assert [example.response for example in found.examples] == ["eins", "zwei", "one", "two"]


def test_a_streamed_line_has_an_end(tmp_path, monkeypatch):
    (tmp_path / "text.jsonl").write_text(ROW, encoding="utf-8")
    monkeypatch.setattr(rows, "MOST", 30)
    with pytest.raises(NeuroglotError, match=r"text\.jsonl, row 1: it has more than 30 bytes"):
        load_corpus(f"jsonl:{tmp_path / 'text.jsonl'}", stream=True)


def test_a_message_is_one_line_whatever_a_file_is_called(tmp_path):
    for name in ("a\nb", "c\u202ed", "e\udcff"):
        with pytest.raises(NeuroglotError) as caught:
            read_json(tmp_path / f"{name}.json")
        assert str(caught.value).isprintable() and str(caught.value).encode()
    assert str(NeuroglotError("Größe 3\u202f% 日\u3000本")) == "Größe 3\u202f% 日\u3000本"


# --- our own files -----------------------------------------------------------------------------------


def test_the_arrays_of_a_large_file_are_mapped_however_small_each_is(tmp_path, monkeypatch):
    arrays = {str(number): np.full(100, number) for number in range(9)} | {"none": np.zeros((0, 3))}
    save_artifact(tmp_path / "large", "part", arrays, {})
    for size, mapped in ((2**30, False), (1000, True)):
        monkeypatch.setattr(artifacts, "MAPPED", size)
        found, _ = load_artifact(tmp_path / "large", "part", ())
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())
        assert {name for name, array in found.items() if in_its_file(array)} == (
            set(arrays) - {"none"} if mapped else set()
        )


def in_its_file(array: object) -> bool:
    """Whether an array's numbers are those of a file that is mapped to memory."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array is not None


def test_a_provenance_is_shown_whatever_it_holds():
    said = {"model": "a\ud800b", "weights_sha256": 7, "corpus_sha256": "0123456789abcdef0", "\udfff": 1}
    found = dict(table(said).itertuples(index=False))
    assert found == {"model": "a\\ud800b", "weights sha256": "7", "corpus sha256": "0123456789abcdef…", "\\udfff": "1"}


def test_a_table_with_half_a_character_is_none(tmp_path):
    rows = {"profile": [{"kind": "\ud800"}]}
    (tmp_path / "tables.json").write_text(json.dumps(rows | {"sha256": content_hash(rows)}), encoding="utf-8")
    with pytest.raises(NeuroglotError, match=r"tables\.json is not what a chapter writes"):
        read_tables(tmp_path / "tables.json")


@pytest.mark.parametrize("said", [{}, {"files": ["a"]}, {"files": {"../../secret": "0"}}])
def test_an_adapter_says_which_files_and_weights_it_is_of(said, tmp_path):
    write_record(tmp_path / ADAPTER_BASE, "adapter", said)
    with pytest.raises(NeuroglotError, match="does not name the two files of an adapter"):
        read_adapter_base(tmp_path)


# --- others' files -----------------------------------------------------------------------------------


def test_a_number_of_tokens_that_no_array_holds_is_none(tmp_path):
    torch.save({"n": 10**30, "over_zero": torch.ones(1, 2, dtype=torch.int64)}, tmp_path / "activation.en.train.tiny")
    with pytest.raises(NeuroglotError, match=r"activation\.en\.train\.tiny.*tokens cannot be"):
        read_counts(tmp_path)


@pytest.mark.parametrize("one", [torch.tensor(7), torch.tensor([1.5]), 3, "a"])
def test_masks_that_are_none_are_refused_in_a_sentence(one, tmp_path):
    torch.save([[one]], tmp_path / "found.pth")
    with pytest.raises(NeuroglotError, match=r"found\.pth.*\.$"):
        read_neurons(tmp_path / "found.pth", "en")


def repeated(words: list[str], rows: int) -> pyarrow.Array:
    """The first of some words in every row, which a file holds once."""
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, np.int32)), pyarrow.array(words))


@pytest.mark.parametrize(("word", "rows"), [("x" * 300_000, 1500), ("en", 3_000_000)])
def test_a_small_file_of_parquet_that_grows_is_not_read(word, rows, tmp_path):
    path = tmp_path / "text.parquet"
    one = repeated([word], rows)
    pyarrow.parquet.write_table(pyarrow.table({"language": repeated(["en"], rows), "prompt": one}), path)
    assert path.stat().st_size < 40_000
    with pytest.raises(NeuroglotError, match=r"text\.parquet would take [\d,]+ bytes once it is read"):
        load_corpus(f"parquet:{path}")


def test_what_is_repeated_in_reason_is_read(tmp_path):
    rows = [
        {"language": code, "messages": [{"content": "the same " * 50}]} for code in ("en", "de") for _ in range(500)
    ]
    pd.DataFrame(rows).to_parquet(tmp_path / "text.parquet", compression="zstd")
    from neuroglot.base import parquet

    assert parquet.rows(tmp_path / "text.parquet") == rows


def test_a_small_table_of_a_hundred_million_numbers_is_not_read(tmp_path):
    rows = 3_000_000
    table_ = pyarrow.table({"layer": pyarrow.array(np.zeros(rows, np.int64)), "language": repeated(["en"], rows)})
    pyarrow.parquet.write_table(table_, tmp_path / "found.parquet")
    with pytest.raises(NeuroglotError, match=r"found\.parquet would take"):
        read_columns(tmp_path / "found.parquet", {"layer": 10}, ["language"])


def test_a_number_of_two_thousand_letters_is_none(tmp_path):
    pd.DataFrame({"layer": ["x" * 2000]}).to_parquet(tmp_path / "found.parquet")
    with pytest.raises(NeuroglotError, match=r"found\.parquet: the column layer has 2,000 bytes in a row"):
        read_columns(tmp_path / "found.parquet", {"layer": 10})


# --- models ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocab_size": 10**7}, "numbers, more than"),
        ({"num_hidden_layers": 2001}, "says that it has 2001 layers of 32"),
    ],
)
def test_a_model_is_no_larger_than_its_files(change, said, model_folder):
    config = json.loads((model_folder / "config.json").read_text(encoding="utf-8"))
    (model_folder / "config.json").write_text(json.dumps(config | change), encoding="utf-8")
    with pytest.raises(NeuroglotError, match=said):
        load_model(str(model_folder))


def test_a_model_has_plain_files_that_are_not_compressed(model_folder, tmp_path):
    os.truncate(model_folder / "tokenizer_config.json", 2**30)
    with pytest.raises(NeuroglotError, match=r"tokenizer_config\.json has 1,073,741,824 bytes"):
        load_model(str(model_folder))
    (model_folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    (model_folder / "model.safetensors").unlink()
    torch.save({"a": torch.ones(3)}, model_folder / "pytorch_model.bin")
    repacked(model_folder / "pytorch_model.bin", lambda _, data: data, zipfile.ZIP_DEFLATED)
    with pytest.raises(NeuroglotError, match="it is compressed, as torch writes none"):
        load_model(str(model_folder))


# --- runs, pages, parameters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "notebook",
    [{}, {"metadata": []}, {"metadata": {"papermill": None}}, {"metadata": {"papermill": {"parameters": 3}}}],
)
def test_a_notebook_that_papermill_gave_nothing_has_no_parameters(notebook):
    assert pages.parameters_of(notebook) == {}


def headed(path: Path, header: object, **arrays: np.ndarray) -> Path:
    save_file(arrays or {"a": np.zeros(1)}, path, metadata={"neuroglot": json.dumps(header)})
    return path


def test_facts_of_a_run_are_what_its_files_say_in_earnest(tmp_path):
    def facts(header: object, **arrays: np.ndarray) -> dict[str, str]:
        place = headed(tmp_path / "types.safetensors", header, **arrays)
        return dict(pages.facts_of({"types": str(place)}, run="x", root=tmp_path))

    languages = {"languages": ["en", "de"]}
    other = {"top_rate": 0.01, "lam": None, "tau": "x", "solved": False}  # of another detector there is no lambda
    assert facts(languages | {"settings": other}) == {"run": "x", "languages": "en de", "top rate": "1 %"}
    for odd in ([], {"languages": [1, True]}, languages | {"provenance": [1]}, languages | {"settings": [3]}):
        assert facts(odd) == {"run": "x"}
    assert facts(languages, shard_tokens=np.array(3)) == {"run": "x"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stats", 0.5),
        ("neurons", ["a"]),
        ("runs", ["a", None]),
        ("corpus", "text:a\0b"),
        ("model_options", 3),
        ("corpus_options", "x"),
    ],
)
def test_parameters_of_another_kind_are_refused_before_anything_runs(name, value):
    given = {"model": "m", "corpus": "problems", name: value}
    for asked in (lambda: chapters.run_name(given), lambda: chapters.outdated([given], run="x")):
        with pytest.raises(NeuroglotError, match=f"{name}="):
            asked()


def test_a_model_s_name_that_no_file_can_have_ends_in_a_sentence():
    given = {"model": "m" * 5000, "corpus": "problems"}
    ((_, stale),) = chapters.outdated([given], run="x")
    assert stale[0] == "01-activations"
    source = chapters.project_root() / "notebooks" / "01-activations.ipynb"
    with pytest.raises(NeuroglotError, match=r"there is no model .mmm"):
        chapters._key(chapters.project_root(), chapters.CHAPTERS[0], source, given)


def test_more_problems_than_there_can_be_are_not_drawn():
    with pytest.raises(NeuroglotError, match=r"at most 9,096 different problems; n=1000000000000 is too many"):
        problems.draw(10**12, levels=[1])
