"""Text left in its file is the text that memory would hold, down to its hash; and little of it is in memory."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import NeuroglotError, load_corpus
from neuroglot.text.streaming import FileExamples


def write(path, rows):
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


words = st.text(alphabet="aбぁ\u2028 ", min_size=1, max_size=4).filter(str.strip)
rows = st.fixed_dictionaries({"language": st.sampled_from(["de", "aa", "en"]), "prompt": words, "response": words})


@given(st.lists(rows, max_size=12), st.booleans(), st.sampled_from([None, 1, 2]), st.sampled_from([None, "en de"]))
def test_the_same_corpus_as_in_memory(tmp_path_factory, rows, named, n, languages):
    rows = [{"language": code, "prompt": "", "response": "Text."} for code in ("de", "en")] + rows
    columns = {"response": "Antwort"}
    rows = [
        {"language": row["language"], "Antwort": row["response"], "cluster": row["prompt"] or "c"}
        | ({"id": f"{number // 3}#{number}"} if named else {})
        for number, row in enumerate(rows)
    ]
    path = write(tmp_path_factory.mktemp("rows") / "rows.jsonl", rows)
    options = {"columns": columns, "n": n, "duplicates": "keep"}
    whole, stream = (load_corpus(f"jsonl:{path}", languages, stream=s, **options) for s in (False, True))
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


def test_a_file_that_is_written_again_is_noticed(tmp_path):
    path = write(tmp_path / "t.jsonl", [{"language": c, "response": c} for c in ("en", "de")])
    corpus = load_corpus(f"jsonl:{path}", stream=True)
    path.write_text(path.read_text() + "\n")
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
