"""Text left in its file is the text that memory would hold, down to its hash; and little of it is in memory."""

import json
import os
import subprocess
import sys
import tracemalloc

import pandas as pd
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import NeuroglotError, load_corpus
from neuroglot.base import parquet
from neuroglot.text.streaming import FileExamples


def write(path, rows):
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path, row_group_size=5)
        return path
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


words = st.text(alphabet="aбぁ\u2028 ", min_size=1, max_size=4).filter(str.strip)
rows = st.fixed_dictionaries({"language": st.sampled_from(["de", "aa", "en"]), "prompt": words, "response": words})


@pytest.fixture(scope="module", autouse=True)
def few_at_a_time():
    """Rows of Parquet, so that a handful of them is several batches of several groups."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet, "_BATCH", 3)
        yield


@given(
    st.sampled_from(["jsonl", "parquet"]),
    st.lists(rows, max_size=12),
    st.booleans(),
    st.sampled_from([None, 1, 2]),
    st.sampled_from([None, "en de"]),
)
def test_the_same_corpus_as_in_memory(tmp_path_factory, kind, rows, named, n, languages):
    rows = [{"language": code, "prompt": "", "response": "Text."} for code in ("de", "en")] + rows
    columns = {"response": "Antwort"}
    rows = [
        {"language": row["language"], "Antwort": row["response"], "cluster": row["prompt"] or "c"}
        | ({"id": f"{number // 3}#{number}"} if named else {})
        for number, row in enumerate(rows)
    ]
    path = write(tmp_path_factory.mktemp("rows") / f"rows.{kind}", rows)
    options = {"columns": columns, "n": n, "duplicates": "keep"}
    whole, stream = (load_corpus(f"{kind}:{path}", languages, stream=s, **options) for s in (False, True))
    assert stream.record() == whole.record() and stream.languages == whole.languages
    assert tuple(stream.examples) == whole.examples == stream.examples[:]
    assert [e.origin for e in stream.examples] == [e.origin for e in whole.examples]
    assert [stream.examples[-1 - i] for i in range(len(whole.examples))] == list(whole.examples[::-1])
    assert stream.units.tolist() == whole.units.tolist() and stream.streamed and not whole.streamed
    order = list(dict.fromkeys(example.unit for example in whole.examples))
    assert whole.units.tolist() == [order.index(example.unit) for example in whole.examples]


def test_a_folder_with_a_file_for_each_language(tmp_path):
    for code in ("de", "en"):
        path = tmp_path / f"{code}.jsonl"
        path.write_bytes(b"\xef\xbb\xbf" + f'{{"response": "{code} 1"}}\r\n\n{{"response": "{code} 2"}}'.encode())
    whole, stream = (load_corpus(f"jsonl:{tmp_path}", stream=s) for s in (False, True))
    assert stream.record() == whole.record() and tuple(stream.examples) == whole.examples
    assert [e.origin for e in stream.examples] == [f"{c}.jsonl, row {n}" for c in ("en", "de") for n in (1, 3)]


def test_parts_of_it_are_in_memory(tmp_path):
    path = write(
        tmp_path / "t.jsonl", [{"language": c, "response": f"{c} {i}"} for i in range(9) for c in ("en", "de")]
    )
    whole, stream = (load_corpus(f"jsonl:{path}", stream=s) for s in (False, True))
    assert stream.spread(2) == whole.spread(2) and stream.only(["de"]) == whole.only(["de"])
    assert stream.split(0.5) == whole.split(0.5) and not stream.split(0.5)[0].streamed


def test_row_groups_are_read_once_and_only_those_asked_for(tmp_path, monkeypatch):
    rows = [{"language": c, "response": f"{c} {i}"} for c in ("en", "de") for i in range(20)]
    path, read = write(tmp_path / "t.parquet", rows), []
    stream = load_corpus(f"parquet:{path}", "en de", stream=True)
    original = pyarrow.parquet.ParquetFile.iter_batches
    monkeypatch.setattr(
        pyarrow.parquet.ParquetFile,
        "iter_batches",
        lambda self, size, groups: read.extend(groups) or original(self, size, groups),
    )
    assert [example.response for example in stream.examples] == [row["response"] for row in rows] and read == [
        *range(8)
    ]
    read.clear()
    assert stream.examples[33].response == "de 13" and read == [6]
    assert load_corpus(f"parquet:{path}", "de en", n=1, stream=True).examples[:][0].response == "de 0"


def test_rows_too_large_to_hold_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "t.parquet", [{"language": c, "response": c * 3000} for c in ("en", "de")])
    monkeypatch.setattr(parquet, "_ROOM", 4000)
    with pytest.raises(
        NeuroglotError, match=r"t\.parquet: 1 row from row 1 on would take 7,\d{3} bytes; write it as J"
    ):
        load_corpus(f"parquet:{path}", stream=True)


def test_what_is_no_parquet_is_one_sentence(tmp_path):
    path = write(tmp_path / "t.parquet", [{"language": c, "response": c} for c in ("en", "de")])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(NeuroglotError, match=r"t\.parquet cannot be read as Parquet \("):
        load_corpus(f"parquet:{path}", stream=True)


def test_a_data_set_of_the_hub_stays_in_its_files(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    for code in ("en", "de"):
        (folder / code).mkdir(parents=True)
        write(folder / code / "test.jsonl", [{"response": f"{code} {i}"} for i in range(3)])
    configs = [f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}/test.jsonl\n" for c in ("en", "de")]
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n")
    whole, stream = (load_corpus(f"hub:{folder}/{{language}}", "en de", n=2, stream=s) for s in (False, True))
    assert stream.record() == whole.record() and tuple(stream.examples) == whole.examples and stream.streamed
    assert [e.origin for e in stream.examples] == [e.origin for e in whole.examples]
    folder = folder.rename(tmp_path / "questions")
    for code in ("en", "de"):
        write(folder / code / "test.jsonl", [{"response": code, "answer": "1"}])
    with pytest.raises(NeuroglotError, match="questions with answers, language by language, are read whole"):
        load_corpus(f"hub:{folder}/{{language}}", "en de", stream=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], r"there is no row in it"),
        (['[{"response": "a"}]'], r"row 1: not an object with named columns"),
        (['{"response": "a"}'], r"row 1: there is no column 'language'"),
        (['{"language": "en", "response": "a"}', "{"], r"row 2: not valid JSON .*; write one object a line"),
        (['{"language": "en", "response": "a"}', "", '{"language": "en", "response": ""}'], "row 3: the response is e"),
        (['{"language": "en", "response": "a"}', '{"language": "en"}'], "row 2: there is no column 'response'"),
        (['{"language": "en", "response": "a"}'] * 2, "row 2: the same text as t.jsonl, row 1"),
        (['{"language": "en", "id": "1", "response": "a"}', '{"language": "en", "id": "1", "response": "b"}'],
         r"the id '1' occurs twice in en \(t.jsonl, row 1 and t.jsonl, row 2\)"),
        (['{"neuroglot": "responses"}'], "row 1: sampled responses are read whole; leave out stream"),
        (['{"id": "1", "answer": "1", "language": "en", "response": "a"}',
          '{"id": "1", "answer": "2", "language": "de", "response": "a"}'], "row 2: the answer is 2 but 1 in"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_used(tmp_path, lines, message):
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(f"jsonl:{path}", stream=True)


def test_other_refusals(tmp_path):
    path = write(tmp_path / "t.jsonl", [{"language": c, "response": c} for c in ("en", "de")])
    with pytest.raises(NeuroglotError, match="no row of the language 'fr'"):
        load_corpus(f"jsonl:{path}", "en fr", stream=True)
    with pytest.raises(NeuroglotError, match="stream='yes': give True or False"):
        load_corpus(f"jsonl:{path}", stream="yes")
    path.write_bytes(b'{"language": "en", "response": "a"}\n{"language": "en", "response": "\xff"}')
    with pytest.raises(NeuroglotError, match=r"t\.jsonl, row 2: not UTF-8 \(byte 32\)"):
        load_corpus(f"jsonl:{path}", stream=True)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_file_that_is_written_again_is_noticed(tmp_path, kind):
    path = write(tmp_path / f"t.{kind}", [{"language": c, "response": c} for c in ("en", "de")])
    corpus = load_corpus(f"{kind}:{path}", stream=True)
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(NeuroglotError, match="was changed since it was read first"):
        corpus.examples[0]


def test_memory_is_bounded(tmp_path):
    """50 MB of rows; 72 bytes of index for each are nothing beside."""
    path, text = tmp_path / "t.jsonl", "Ein Satz von vielen. " * 500
    with path.open("w") as file:
        for number in range(5000):
            file.write(f'{{"language": "{"de" if number % 2 else "en"}", "response": "{number} {text}"}}\n')
    assert path.stat().st_size > 50e6
    tracemalloc.start()
    try:
        corpus = load_corpus(f"jsonl:{path}", stream=True)
        length = sum(len(example.response) for example in corpus.examples)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(corpus.examples, FileExamples) and corpus.examples.size == path.stat().st_size
    assert length == sum(len(f"{number} {text}") for number in range(5000)) and peak < 4e6


READ = """
import sys, tracemalloc
import pyarrow
from neuroglot import load_corpus
corpus = load_corpus(f"parquet:{sys.argv[1]}", stream=True)
next(iter(corpus.examples))
tracemalloc.start()
length = sum(len(example.response) for example in corpus.examples)
print(length, tracemalloc.get_traced_memory()[1], pyarrow.default_memory_pool().max_memory())
"""


def test_memory_for_parquet_is_bounded(tmp_path):
    """80 MB of rows in one group, of which there are some at a time."""
    path, text = tmp_path / "t.parquet", "Ein Satz von vielen. " * 500
    texts = [f"{number} {text}" for number in range(8000)]
    table = pd.DataFrame({"language": ["en", "de"] * 4000, "response": texts})
    table.to_parquet(path, compression=None, use_dictionary=False)
    assert path.stat().st_size > 80e6
    environment = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    said = subprocess.run([sys.executable, "-c", READ, path], env=environment, capture_output=True, check=True)
    length, python, arrow = map(int, said.stdout.split())
    assert length == sum(map(len, texts)) and python < 4e6 and 0 < arrow < 40e6
