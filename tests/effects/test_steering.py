"""What a steering does to which neurons, and what generated text is counted as."""

from dataclasses import replace

import numpy as np
import pytest

from neuroglot import Corpus, Example, Intervention, NeuroglotError
from neuroglot.effects.removals import AS_IT_IS
from neuroglot.effects.steering import (
    OUTPUTS,
    Steering,
    apart_from,
    directions,
    driving,
    idle,
    outputs,
    prompts,
    respond,
    side_by_side,
    steerings,
)

from ..conftest import tiny_model
from ..made import types_of
from .test_removals import flat, types  # noqa: F401 - a fixture

MEANS = np.random.default_rng(0).normal(size=(2, 40, 3))
STRENGTHS = {"amplify": [0, 4], "set": [0, 1.5]}


def sets(types, code):  # noqa: F811
    return flat(types.neurons(code, ("specific", "related")))


def test_one_is_driven_up_and_the_other_switched_off(types):  # noqa: F811
    of = steerings("en", ["de", "zh"], STRENGTHS, draws=0)
    made = driving(types, of, MEANS)
    names = [f"en to {code}, {what}" for code in ("de", "zh") for what in ("amplify 4", "set 1.5")]
    assert list(made) == [AS_IT_IS, *names]
    assert made[AS_IT_IS] is None
    for k, code in enumerate(types.languages):
        if code == "en":
            continue
        up, down = sets(types, code) - sets(types, "en"), sets(types, "en") - sets(types, code)
        assert up and down and sets(types, code) & sets(types, "en"), "neurons of both languages are left alone"
        louder, fixed = made[f"en to {code}, amplify 4"], made[f"en to {code}, set 1.5"]
        assert flat(louder.neurons) == flat(fixed.neurons) == up | down
        assert all(louder.factor[place] == 4 and fixed.values[place] == 1.5 * MEANS[place][k] for place in up)
        assert all(louder.factor[place] == fixed.values[place] == 0 for place in down)
        assert louder.values is None and fixed.factor is None


def test_no_neuron_to_change_is_nothing_to_try(types):  # noqa: F811
    none = replace(types, selected=np.zeros_like(types.selected))
    assert idle(types, "en", ["de", "zh"]) == [] and idle(none, "en", ["de", "zh"]) == ["de", "zh"]
    only = types.selected & types.active[..., 1] & ~types.active[..., 0]  # Chinese ones are left for both or none
    assert idle(replace(types, selected=only & ~types.active[..., 2]), "en", ["de", "zh"]) == ["zh"]
    with pytest.raises(NeuroglotError, match="there is no set 'all'"):
        idle(types, "en", ["de"], "all")


def test_random_ones_are_as_many_and_never_both(types):  # noqa: F811
    of = steerings("en", ["de"], STRENGTHS, draws=2)
    made = driving(types, of, MEANS, seed=5)
    up, down = sets(types, "de") - sets(types, "en"), sets(types, "en") - sets(types, "de")
    seen = set()
    for draw in (1, 2):
        louder, fixed = (made[f"en to de, {way}, random {draw}"] for way in ("amplify 4", "set 1.5"))
        places = flat(louder.neurons)
        assert places == flat(fixed.neurons), "the same neurons at every strength and in either way"
        off = {place for place in places if louder.factor[place] == 0}
        for layer in (0, 1):
            for mine, theirs in ((off, down), (places - off, up)):
                assert sum(p[0] == layer for p in mine) == sum(p[0] == layer for p in theirs)
        assert all(fixed.values[place] == (0 if place in off else 1.5 * MEANS[place][1]) for place in places)
        seen.add(frozenset(places))
    assert len(seen) == 2
    again = driving(types, of, MEANS, seed=5)
    assert {k: v and v.hash for k, v in made.items()} == {k: v and v.hash for k, v in again.items()}
    assert isinstance(made[of[-1].name], Intervention)


def test_shares_are_of_letters_by_what_they_are():
    of = [Steering("en", "de", "set", 0), Steering("en", "de", "set", 2), Steering("en", "de", "set", 2, 1)]
    said = {
        AS_IT_IS: ["She buys seven red apples at the market.", "The two brothers have nine coins together."],
        of[1].name: ["Sie kauft sieben rote Äpfel auf dem Markt.", "The two brothers have nine coins together."],
        of[2].name: ["Il achète des pommes rouges au marché.", "7 + 8 = 15"],
    }
    rows = [
        {"intervention": name, "language": "en", "id": str(i), "response": text}
        for name, texts in said.items()
        for i, text in enumerate(texts)
    ]
    table = outputs(rows, of, resamples=400).set_index(["strength", "neurons", "output"])

    def letters(text):
        return sum(character.isalpha() for character in text)

    assert table.loc[(0, "language", "source"), "share"] == 1
    assert table.loc[(2, "language", "target"), "share"] == 0.5, "responses count alike"
    assert table.loc[(2, "language", "source"), "share"] == 0.5
    assert table.loc[(2, "random", "another language"), "share"] == 1
    assert table.loc[(2, "random", "source"), "letters"] == letters(said[of[2].name][0])
    assert table.loc[(2, "random", "source"), "responses"] == 1, "one without letters is left out"
    row = table.loc[(2, "language", "target")]
    assert (row["low"], row["high"], row["prompts"]) == (0, 1, 2)
    assert table.groupby(level=[0, 1])["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert set(table.index.get_level_values("output")) == set(OUTPUTS)
    for source, target in (("en", "km"), ("xx", "de"), ("zh-Hans", "zh-Hant")):
        rows = [{"intervention": f"{source} to {target}, set 1", "language": source, "id": "0", "response": "A text."}]
        unknown = outputs(rows, [Steering(source, target, "set", 1)])
        assert unknown["share"].isna().all() and (unknown["letters"] == 5).all()
    with pytest.raises(NeuroglotError, match="nothing was generated for 'en to zh, set 1'"):
        outputs(rows, [Steering("en", "zh", "set", 1)])


def test_an_endless_loop_counts_as_one_response():
    of = [Steering("en", "de", "set", 2)]
    said = ["Sie kauft sieben rote Äpfel auf dem Markt. " * 200, "The two brothers have nine coins together."]
    rows = [{"intervention": of[0].name, "language": "en", "id": "0", "response": text} for text in said]
    rows += [row | {"id": "1", "response": said[1]} for row in rows[:1]]
    table = outputs(rows, of, resamples=200).set_index("output")
    assert table["share"].to_dict() == pytest.approx(dict(zip(OUTPUTS, (1 / 3, 2 / 3, 0, 0), strict=True)))
    assert table.loc["target", ["low", "high", "responses"]].tolist() == [0, 0.5, 3], "prompts are drawn, not responses"


QUESTIONS = [Example(f"q{i}", code, f"question {i}? ", "7", "7") for code in ("fr", "de", "en") for i in range(3)]
HELD = Corpus("text:x", ("fr", "de", "en"), tuple(QUESTIONS))


def test_from_english_to_all_others_unless_said(types):  # noqa: F811
    assert directions(types, HELD) == ("en", ("de",)), "French has no types"
    assert directions(types, HELD, "de") == ("de", ("en",)) and directions(types, HELD, None, "zh de")[1] == (
        "zh",
        "de",
    )
    assert directions(types, HELD.only(["fr", "de"])) == ("de", ())
    with pytest.raises(NeuroglotError, match="none of its languages"):
        directions(types, HELD.only(["fr"]))


def test_prompts_are_the_first_questions_in_the_language():
    asked = prompts(HELD, "de", 2)
    documents = [e.document for e in HELD.spread(2).examples if e.language == "de"]
    assert [(e.language, e.document) for e in asked.examples] == [("de", d) for d in documents] and len(documents) == 2
    assert prompts(HELD, "xx", 2) is None
    plain = tuple(replace(e, prompt=" ") if e.language == "de" else e for e in QUESTIONS)
    assert prompts(replace(HELD, examples=plain), "de", 2) is None


def test_means_are_taken_apart_from_the_prompts_where_there_is_other_text():
    asked = prompts(HELD, "de", 2)
    rest = apart_from(HELD, asked)
    assert rest.languages == HELD.languages and len(rest.examples) == 3
    assert not {e.document for e in rest.examples} & {e.document for e in asked.examples}
    assert apart_from(HELD, None).hash == HELD.hash and apart_from(HELD, prompts(HELD, "de", 3)) is HELD


def test_responses_under_every_steering_side_by_side(tokenizer, tmp_path):
    types_ = types_of("en de", "en,de,en de,-", "en,en,de,-", "-,en,de,en de", top_rate=0.1)
    model = tiny_model("llama", intermediate_size=4, max_position_embeddings=4096)
    of = steerings("en", ["de"], {"amplify": [0, 4], "set": [0, 1, 2]}, draws=2)
    changes = driving(types_, of, np.ones((3, 4, 2)))
    questions, path, options = prompts(HELD, "en", 2), tmp_path / "steered", {"shots": 0, "max_new_tokens": 3}
    rows = respond(model, tokenizer, questions, changes, path, **options)
    assert len(rows) == 2 * len(changes) == 2 * (1 + 3 * 3) and path.exists()
    shown = side_by_side(rows, of)
    assert shown.drop(columns="response").to_numpy().tolist() == [
        ["", "as it is", ""],
        *(["de", how, neurons] for how in ("amplify 4", "set 2") for neurons in ("language", "random")),
    ]
    first = {row["intervention"]: row["response"] for row in rows if row["id"] == questions.examples[0].id}
    names = [AS_IT_IS, "amplify 4", "amplify 4, random 1", "set 2", "set 2, random 1"]
    assert shown["response"].tolist() == [first[n if n == AS_IT_IS else f"en to de, {n}"] for n in names]
    assert set(outputs(rows, of, resamples=3)["neurons"]) == {"language", "random"}


def test_without_questions_an_empty_file_is_left(tmp_path):
    path, options = tmp_path / "steered", {"shots": 0, "max_new_tokens": 3}
    assert respond(None, None, None, {}, path, **options) == [] and path.read_bytes() == b""
    path.write_text("kept")
    assert respond(None, None, None, {}, path, **options) == [] and path.read_text() == "kept"
    respond(None, None, None, {}, path, **options, overwrite=True)
    assert path.read_bytes() == b""
    assert outputs([], []).empty and side_by_side([], steerings("en", ["de"], {"set": [1]})).empty


def test_bad_requests_are_named(types):  # noqa: F811
    one = [Steering("en", "de", "set", 1)]
    for call, message in [
        (lambda: steerings("en", ["de"], {"shout": [1]}), "no way 'shout'"),
        (lambda: steerings("en", ["de"], {"set": [-1]}), "strength -1 is none"),
        (lambda: steerings("en", ["de"], {"set": ["2"]}), "strength '2' is none"),
        (lambda: driving(types, one), "no means"),
        (lambda: driving(types, one, MEANS[..., :2]), "means of shape"),
        (lambda: driving(types, one, MEANS, "odd"), "no set 'odd'"),
        (lambda: driving(types, [Steering("en", "en", "set", 1)], MEANS), "nothing to steer from en to itself"),
        (lambda: driving(types, [Steering("en", "fr", "set", 1)], MEANS), "no language 'fr'"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            call()
