"""CSV files: what is read, and what is refused with its row."""

import csv
import io
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError, load_corpus
from neuroglot.text import delimited
from neuroglot.text.delimited import delimited_rows

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1).filter(str.strip)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("csv")


def written(path, rows, delimiter=",", mark=""):
    """A file as spreadsheets write it."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    path.write_bytes((mark + out.getvalue()).encode())
    return path


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(text, text, text), min_size=1, max_size=4, unique_by=lambda row: row[2]),
    st.sampled_from(",\t;"),
    st.sampled_from(["", "\ufeff"]),
)
def test_a_corpus_written_as_csv_and_read_back_is_equal(folder, rows, delimiter, mark):
    examples = tuple(
        Example(f"{number}", code, prompt + "\n", response, cluster=f"of {number}")
        for code in ("en", "de")
        for number, (prompt, response, _) in enumerate(rows)
    )
    table = [[e.id, e.language, e.prompt, e.response, e.cluster] for e in examples]
    path = written(folder / "a.csv", [["id", "language", "prompt", "response", "cluster"], *table], delimiter, mark)
    back = load_corpus(f"csv:{path}", "en de", duplicates="keep", template="{prompt}")
    assert back.examples == examples
    assert back.hash == Corpus("any", ("en", "de"), examples).hash and back.source == "a.csv"


def test_columns_files_and_empty_rows(tmp_path):
    rows = [["Sprache", "Text", "note"], ["de", "Guten Tag,\nWelt", ""], ["", "", ""], [], ["en", 'He said "no"', ""]]
    path = written(tmp_path / "texts.csv", rows)
    corpus = load_corpus(f"csv:{path}", columns={"language": "Sprache", "response": "Text"})
    assert [(e.language, e.response, e.origin) for e in corpus.examples] == [
        ("en", 'He said "no"', "texts.csv, row 5"),
        ("de", "Guten Tag,\nWelt", "texts.csv, row 2"),
    ]
    assert corpus.source == "texts.csv (2 empty rows left out)" and corpus.name == "csv:texts"
    # A column that is empty throughout is not there.
    (row, *_), empty = delimited_rows(path)
    assert row == (2, {"Sprache": "de", "Text": "Guten Tag,\nWelt", "note": None}) and empty == 2


def test_a_file_for_each_language(tmp_path):
    written(tmp_path / "en.csv", [["response", "answer"], ["It is 4.", "4"]])
    written(tmp_path / "German.tsv", [["response", "answer"], ["Es sind 4.", "4"]], "\t")
    corpus = load_corpus(f"csv:{tmp_path}")
    assert [(e.language, e.response, e.answer) for e in corpus.examples] == [
        ("en", "It is 4.", "4"),
        ("de", "Es sind 4.", "4"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "row 1: there is no header"),
        (b"language,response,response\n", "row 1: two columns are called 'response'"),
        (b"language,response\nen\n", "row 2: it has 1 fields and the header 2"),
        (b"language,response\nen,a,b\n", "row 2: it has 3 fields and the header 2"),
        (b'language,response\nen,a\nde,"b\nfr,c\n', "row 3: not CSV that can be read .*close every quotation mark"),
        (b'language,response\nen,"a" b\n', "row 2: not CSV"),
        (b"language,response\nen,a\nde,\xff\n", r"line 3: not UTF-8 \(byte 3\)"),
        (b"language,response\nen,a\0b\n", "line 2: a zero byte"),
        ("language,response\nen,a\n".encode("utf-16"), "line 1: a zero byte"),
        (b"language,text\nen,a\nde,b\n", "row 2: there is no column 'response' .found: language, text"),
        (b"language,response,answer\nen,a,1\nde,b,\n", "row 3: the answer '' is no number"),
        (b"id,language,response\n1,en,a\n1,en,b\n2,de,c\n", "id '1' occurs twice in en .*row 2 and .*row 3"),
        (b"language,response\n", "there is no row in it"),
    ],
)
def test_wrong_files_are_named(tmp_path, content, message):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(NeuroglotError, match=message) as error:
        load_corpus(f"csv:{path}")
    assert "\n" not in str(error.value)


def test_what_is_too_long_or_no_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "MOST", 50)
    usual = csv.field_size_limit()
    path = tmp_path / "a.csv"
    for content, message in {
        'language,response\nen,"' + "a\n" * 40: "row 2: not CSV that can be read .field larger than field limit .50",
        "language,response\nen," + "a" * 60: "line 2: it has more than 50 bytes",
    }.items():
        path.write_text(content)
        with pytest.raises(NeuroglotError, match=message):
            load_corpus(f"csv:{path}")
    assert csv.field_size_limit() == usual
    os.mkfifo(tmp_path / "en.csv")
    for source in ("csv", "jsonl", "parquet"):
        with pytest.raises(NeuroglotError, match=r"en\.csv is no plain file"):
            load_corpus(f"{source}:{tmp_path / 'en.csv'}")
    path.unlink()
    with pytest.raises(NeuroglotError, match=r"en\.csv is no plain file"):
        load_corpus(f"csv:{tmp_path}")
    with pytest.raises(NeuroglotError, match="there is no such file or folder"):
        load_corpus(f"csv:{path}")
