"""What a corpus gives parts of: halves without a common wording, a few documents, just some texts."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuroglot import Corpus, Example, NeuroglotError, load_corpus


@given(st.integers(2, 12), st.integers(1, 3), st.integers(1, 3), st.floats(0.01, 0.99))
def test_a_split_shares_no_document_and_no_wording(documents, groups, wordings, share):
    examples = [
        Example(f"d{i}", code, "", f"Text {i}.", "", f"g{i % groups}", f"w{i // wordings}" if wordings > 1 else "")
        for i in range(documents)
        for code in ("en", "de")
    ]
    corpus = Corpus("c", ("en", "de"), tuple(examples))
    try:
        kept, held = corpus.split(share)
    except NeuroglotError as error:
        assert "too little text" in str(error)
        return
    assert not {e.unit for e in kept.examples} & {e.unit for e in held.examples}
    both = sorted((e.id, e.language) for part in (kept, held) for e in part.examples)
    assert both == sorted((e.id, e.language) for e in corpus.examples)
    assert held.options["apart_from"] == kept.hash and kept.options["held_out"] == held.options["held_out"] == share
    assert corpus.split(share) == (kept, held)


def test_the_split_of_the_problems():
    corpus = load_corpus("problems", "en de")
    kept, held = corpus.split(0.1)
    units = [{e.unit for e in part.examples} for part in (kept, held)]
    assert not units[0] & units[1] and 5 <= len(units[1]) <= 8
    assert {e.group for e in held.examples} == {f"level {n}" for n in (1, 2, 3, 4)}
    # Whatever the languages and the order of the source, the same documents are held out.
    other = load_corpus("problems", "sw en")
    assert {e.document for e in other.split(0.1)[1].examples} == {e.document for e in held.examples}
    turned = replace(corpus, examples=corpus.examples[::-1])
    assert {e.document for e in turned.split(0.1)[1].examples} == {e.document for e in held.examples}


def test_translations_stay_together_whatever_their_clusters():
    rows = [Example(f"d{i}", code, "", "Text.", "", "", f"{code}{i}") for i in range(20) for code in ("en", "de")]
    kept, held = Corpus("c", ("en", "de"), tuple(rows)).split(0.3)
    assert len(held.examples) == 12 and not {e.id for e in kept.examples} & {e.id for e in held.examples}


def test_small_groups_are_held_out_in_turn():
    rows = [Example(f"d{i}", "en", "", "Text.", "", f"g{i % 10}") for i in range(40)]
    kept, held = Corpus("c", ("en",), tuple(rows)).split(0.1)
    assert len(held.examples) == 4 and len(kept.examples) == 36


@pytest.mark.parametrize("share", [0, 1, -0.1, "0.1", True, float("nan")])
def test_shares_that_are_none(share):
    with pytest.raises(NeuroglotError, match="give a share above 0 and below 1"):
        load_corpus("problems", "en de", n=4).split(share)


def test_too_little_text_for_a_split():
    one = Corpus("c", ("en", "de"), (Example("1", "en", "", "A."), Example("1", "de", "", "B.")))
    with pytest.raises(NeuroglotError, match="too little text to hold out 10% of it, en would have none"):
        one.split(0.1)


def test_a_few_documents_are_of_different_groups_and_wordings():
    groups = {"a1": "l2", "a2": "l2", "b1": "l2", "c1": "l1", "c2": "l1", "d1": "l1"}
    examples = [Example(i, code, "", "Text.", "", group, i[0]) for i, group in groups.items() for code in ("en", "de")]
    corpus = Corpus("c", ("en", "de"), tuple(e for e in examples if (e.id, e.language) != ("b1", "de")))

    def taken(number, code):
        return [e.id for e in corpus.spread(number).examples if e.language == code]

    assert taken(2, "en") == ["a1", "c1"] and taken(4, "en") == ["a1", "b1", "c1", "d1"]
    assert taken(4, "de") == ["a1", "a2", "c1", "d1"] or taken(4, "de") == ["a1", "c1", "c2", "d1"]
    assert taken(99, "de") == ["a1", "a2", "c1", "c2", "d1"]
    with pytest.raises(NeuroglotError, match="0 documents"):
        corpus.spread(0)
    assert [e.id for e in corpus.spread(1).examples if e.language == "en"] == ["c1"], "the first group by name"


def test_just_some_texts():
    corpus = load_corpus("problems", "en de zh", n=4)
    ids = [e.document for e in corpus.examples if e.language == "en"]
    kept = corpus.keep([("de", ids[0]), ("zh", ids[2]), ("de", ids[1])])
    assert kept.languages == ("de", "zh")
    wanted = {("de", ids[0]), ("de", ids[1]), ("zh", ids[2])}
    pairs = [(e.language, e.document) for e in corpus.examples]
    assert [(e.language, e.document) for e in kept.examples] == [pair for pair in pairs if pair in wanted]
    assert corpus.keep([("en", ids[0])]).languages == ("en",)
    with pytest.raises(NeuroglotError, match="none of the documents"):
        corpus.keep([("fr", ids[0])])


def test_a_corpus_is_saved_whole(tmp_path):
    _, held = load_corpus("problems", "en bn", n=12).split(0.2)
    path = tmp_path / "held.jsonl"
    held.save(path)
    read = Corpus.load(path)
    assert read == held and read.hash == held.hash and read.examples[1].origin.endswith("row 3")
    before = path.read_bytes()
    read.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[:-40],
        lambda text: text.replace('"corpus"', '"other"', 1),
        lambda text: text.replace('"version": 2', '"version": 1', 1),
        lambda text: text.replace('"response"', '"said"', 1),
        lambda text: "[]\n" + text,
        lambda text: text.split("\n")[0],
        lambda text: text[: text.rstrip().rfind("\n") + 1],
        lambda text: json.dumps({"neuroglot": "corpus"}) + "\n",
    ],
)
def test_damaged_corpora_are_refused(tmp_path, damage):
    path = tmp_path / "held.jsonl"
    load_corpus("problems", "en de", n=4).save(path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(NeuroglotError, match=r"held\.jsonl is not what Corpus\.save writes|there is no text"):
        Corpus.load(path)
    with pytest.raises(NeuroglotError, match="there is no file"):
        Corpus.load(tmp_path / "nothing")


def test_some_languages_of_a_corpus():
    corpus = load_corpus("problems", "en de sw", n=4)
    some = corpus.only(["sw", "en"])
    assert some.languages == ("sw", "en") and {e.language for e in some.examples} == {"sw", "en"}
    assert len(some.examples) == 8
    with pytest.raises(NeuroglotError, match="there is no language 'fr'"):
        corpus.only(["fr"])


def test_what_shares_wording_is_left_out():
    def row(id_, prompt, response="It is 1.", cluster=""):
        return [Example(id_, code, prompt, response, cluster=cluster) for code in ("en", "de")]

    corpus = Corpus(
        "c", ("en", "de"), (*row("a", "A?", "One."), *row("b", "B?", "Two.", "w"), *row("c", "C?", "Three."))
    )
    held = Corpus("h", ("en",), (Example("x", "en", "A?\n", "Uno."), Example("y", "en", "Y?", "Dos.", cluster="w")))
    left = corpus.apart_from(held)
    assert {e.id for e in left.examples} == {"c"} and left.options["apart_from"] == held.hash
    answers = Corpus("h", ("en",), (Example("z", "en", "Z?", "Three."),))
    assert {e.id for e in corpus.apart_from(answers).examples} == {"a", "b"}
    with pytest.raises(NeuroglotError, match="all of it in 'en' shares wording with c"):
        corpus.apart_from(corpus)
    _, held = load_corpus("problems", n=80).split(0.1)
    other = load_corpus("problems", n=96, seed=2).apart_from(held)
    assert not {e.unit for e in other.examples} & {e.unit for e in held.examples} and other.examples


def test_responses_take_the_bare_questions():
    questions = load_corpus("problems", "en de", n=3)
    sampled = [replace(e, id=f"{e.id}#2", prompt=f"shots\n\n{e.prompt}", response="5") for e in questions.examples]
    bare = replace(questions, examples=tuple(sampled)).with_prompts(questions)
    assert [e.prompt for e in bare.examples] == [e.prompt for e in questions.examples]
    assert {e.response for e in bare.examples} == {"5"} and bare.examples[0].id.endswith("#2")
    with pytest.raises(NeuroglotError, match="has no question"):
        replace(questions, examples=tuple(sampled)).with_prompts(questions.only(["en"]))
