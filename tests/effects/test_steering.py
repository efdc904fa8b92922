"""What a steering does to which neurons, and what generated text is counted as."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from neuroglot import Corpus, Example, Intervention, NeuroglotError, losses
from neuroglot.base.uncertainty import change_of_shares
from neuroglot.effects.removals import AS_IT_IS
from neuroglot.effects.steering import (
    OUTPUTS,
    Steering,
    apart_from,
    contrasts,
    directions,
    driving,
    fluencies,
    fluency,
    idle,
    matches,
    of_different_scripts,
    outcome,
    outputs,
    prompts,
    respond,
    responses,
    side_by_side,
    steerings,
)

from ..conftest import tiny_model
from ..made import types_of
from .test_removals import counts, flat, types  # noqa: F401 - fixtures

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


def rows_of(said, cluster=""):
    return [
        {"intervention": name, "language": "en", "id": str(i), "cluster": cluster, "prompt": "", "response": text}
        for name, texts in said.items()
        for i, text in enumerate(texts)
    ]


DE, EN, FR = "Sie kauft sieben rote Äpfel auf dem Markt.", "She buys seven apples.", "Il achète des pommes rouges."


def test_every_response_has_one_outcome():
    for text, is_ in {
        DE: "target",
        EN: "source",
        "Ze koopt zeven rode appels op de markt.": "another language",
        "好好好好好好好好": "looping",
        DE * 4: "looping",
        "7 + 8 = 15": "no language",
        "": "no language",
    }.items():
        assert outcome(text, "en", "de") == is_, text
    assert outcome("好好好好", "en", "zh") == "looping" and outcome(
        "Ela compra sete maçãs no mercado.", "en", "es"
    ) == ("another language")
    for source, target in (("en", "km"), ("xx", "de"), ("zh-Hans", "zh-Hant")):
        assert outcome("A text.", source, target) is None


def test_shares_are_of_responses_and_intervals_of_wordings():
    of = [Steering("en", "de", "set", 0), *(Steering("en", "de", "set", 2, draw) for draw in range(3))]
    said = {
        AS_IT_IS: [EN] * 4,
        of[1].name: [DE, DE, DE, EN],
        of[2].name: [DE, FR, "", "ja " * 9],
        of[3].name: [EN, EN, EN, EN],
    }
    found = responses(rows_of(said), of)
    assert len(found) == 16 and found["tokens"].eq(0).all() and found["nats"].isna().all()
    table = outputs(found).set_index(["strength", "neurons", "output"])
    assert table.loc[(0, "language", "source"), "share"] == 1
    assert table.loc[(2, "language"), "share"].to_dict() == dict(zip(OUTPUTS, (0.75, 0.25, 0, 0, 0), strict=True))
    assert table.loc[(2, "random"), "share"].tolist() == [1 / 8, 1 / 2, 1 / 8, 1 / 8, 1 / 8], "one of its five each"
    row = table.loc[(2, "language", "target")]
    exact = binomtest(3, 4).proportion_ci(method="exact")
    assert (row["low"], row["high"]) == pytest.approx((exact.low, exact.high)) and row["prompts"] == 4
    assert table.loc[(2, "random", "target"), "responses"] == 8
    alike = outputs(responses(rows_of(said, "one wording"), of))
    assert (alike["prompts"] == 1).all() and alike["low"].isna().all(), "one wording is one unit"
    unknown = [Steering("en", "km", "set", 2)]
    table = outputs(responses(rows_of({unknown[0].name: [EN]}), unknown))
    assert table["share"].isna().all() and table["low"].isna().all()
    with pytest.raises(NeuroglotError, match="nothing was generated for 'en to zh, set 1'"):
        responses(rows_of(said), [Steering("en", "zh", "set", 1)])


def test_own_neurons_beside_random_ones_prompt_by_prompt():
    of = steerings("en", ["de", "fr"], {"amplify": [0, 4, 8]}, draws=5)
    said = {s.name: [EN] * 8 for s in of}
    said["en to de, amplify 4"] = [DE] * 8
    said["en to de, amplify 4, random 2"] = [DE] + [EN] * 7
    said["en to de, amplify 8"] = [FR] * 8  # not what the finding is about
    table = contrasts(responses(rows_of(said), of), {"amplify": 4, "set": 1}).set_index("target")
    assert table["own"].tolist() == [1, 0] and table["before"].tolist() == [0, 0] and (table["strength"] == 4).all()
    assert table["random"].tolist() == pytest.approx([1 / 40, 0]) and (table["draws"] == 5).all()
    assert table["difference"].tolist() == pytest.approx([39 / 40, 0])
    own, drawn = np.ones(8), np.zeros((5, 8))
    drawn[1, 0] = 1
    hand = change_of_shares(own, drawn.mean(axis=0), np.ones(8)).scattered(drawn.mean(axis=1))
    assert table.loc["de", ["low", "high"]].tolist() == pytest.approx([float(end) for end in hand.interval()])
    assert table.loc["de", "detectable"] == pytest.approx(float(hand.detectable()))
    assert table["verdict"].tolist() == ["more", "not told apart"]
    alone = [s for s in of if not s.draw]
    table = contrasts(responses(rows_of(said), alone), {"amplify": 4})
    assert table["own"].tolist() == [1, 0] and table[["random", "difference", "low", "detectable"]].isna().all(
        axis=None
    )
    assert table["verdict"].isna().all() and (table["draws"] == 0).all()
    assert contrasts(responses([], []), {"amplify": 4}).empty
    assert contrasts(responses(rows_of(said), of), {"amplify": 5}).empty


def test_strengths_that_the_finding_is_not_about_have_one_draw():
    of = steerings("en", ["de"], {"amplify": [0, 4, 8], "set": [1]}, draws=3, headline={"amplify": 4})
    names = [f"en to de, amplify 4, random {draw}" for draw in (1, 2, 3)]
    assert [s.name for s in of if s.strength and s.draw] == [
        *names,
        "en to de, amplify 8, random 1",
        "en to de, set 1, random 1",
    ]
    assert not [s for s in steerings("en", ["de"], {"set": [1]}, draws=0, headline={}) if s.draw]


def test_contrasts_of_no_difference_are_rarely_said_to_be_one():
    """Own and random neurons with one chance of the target: at most about a twentieth of the runs says otherwise."""
    rng, wrong, held, runs = np.random.default_rng(3), 0, 0, 60
    of = steerings("en", ["de"], {"set": [2]}, draws=3)
    for _ in range(runs):
        said = {s.name: [DE if hit else EN for hit in rng.random(8) < 0.4] for s in of}
        row = contrasts(responses(rows_of(said), of), {"set": 2}).iloc[0]
        wrong += row["verdict"] != "not told apart"
        held += row["low"] <= 0 <= row["high"]
    assert wrong <= 4 and held >= 0.93 * runs


QUESTIONS = [Example(f"q{i}", code, f"question {i}? ", "7", "7") for code in ("fr", "de", "en") for i in range(3)]
HELD = Corpus("text:x", ("fr", "de", "en"), tuple(QUESTIONS))


def test_from_english_to_all_others_unless_said(types):  # noqa: F811
    assert directions(types, HELD) == ("en", ("de",)), "French has no types"
    assert directions(types, HELD, "de") == ("de", ("en",)) and directions(types, HELD, None, "zh de")[1] == (
        "zh",
        "de",
    )
    assert directions(types, HELD.only(["fr", "de"])) == ("de", ())
    with pytest.raises(NeuroglotError, match="corpus text:x has no language of these types; give text in en"):
        directions(types, HELD.only(["fr"]))
    for unknown in (("fr",), ("en", "de fr")):
        with pytest.raises(NeuroglotError, match="there is no language 'fr'; the types have en de zh"):
            directions(types, HELD, *unknown)


def test_some_languages_are_of_different_scripts_first():
    every = ("ru", "es", "fr", "zh", "x-own", "th")
    assert of_different_scripts(every, 3) == ("ru", "es", "zh") and of_different_scripts(every, 9) == every
    assert of_different_scripts(("es", "fr", "zh"), 3) == ("es", "fr", "zh")
    assert of_different_scripts(("es", "fr", "de", "zh"), 3) == ("es", "fr", "zh") and of_different_scripts((), 3) == ()


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
    scored = fluency(model, tokenizer, rows, tmp_path / "losses")
    found = responses(rows, of, scored)
    headline = {"amplify": 4, "set": 2}
    shown = side_by_side(found, headline)
    assert shown[["to", "how", "neurons"]].to_numpy().tolist() == [
        ["", "as it is", ""],
        *(["de", how, neurons] for how in ("amplify 4", "set 2") for neurons in ("language", "random")),
    ]
    first = {row["intervention"]: row["response"] for row in rows if row["id"] == questions.examples[0].id}
    names = [AS_IT_IS, "amplify 4", "amplify 4, random 1", "set 2", "set 2, random 1"]
    assert shown["response"].tolist() == [first[n if n == AS_IT_IS else f"en to de, {n}"] for n in names]
    assert set(outputs(found)["neurons"]) == {"language", "random"}
    assert len(scored.units) == len({(row["id"], row["response"]) for row in rows}), "equal responses are scored once"
    for row in (rows[0], rows[-1]):
        alone = Corpus("one", ("en",), (Example("x", "en", row["prompt"], row["response"]),))
        its = found[(found["prompt"] == row["id"]) & (found["response"] == row["response"])].iloc[0]
        theirs = losses(model, tokenizer, alone, progress=False)
        assert its["tokens"] == theirs.tokens.sum() and its["nats"] == pytest.approx(theirs.nll.sum(), rel=1e-5)
    table = fluencies(found, headline).set_index(["way", "neurons"])
    assert table.index[0] == (AS_IT_IS, "language") and len(table) == 5 and table["low"].isna().all()
    some = found[(found["way"] == "set") & (found["strength"] == 2) & (found["draw"] > 0)]
    assert table.loc[("set", "random"), "nats"] == pytest.approx(some["nats"].sum() / some["tokens"].sum())
    assert table.loc[("set", "random"), "responses"] == 4


def test_random_ones_are_as_often_active_and_of_neither_set(types, counts):  # noqa: F811
    of = steerings("en", ["de"], STRENGTHS, draws=2)
    made = driving(types, of, MEANS, stats=counts, seed=5)
    mine = sets(types, "de") | sets(types, "en")
    for draw in (1, 2):
        louder, fixed = (made[f"en to de, {way}, random {draw}"] for way in ("amplify 4", "set 1.5"))
        assert flat(louder.neurons) == flat(fixed.neurons) and not flat(louder.neurons) & mine
        assert all(louder.factor[place] in (0, 4) for place in flat(louder.neurons))
    table = matches(types, of, counts, seed=5).set_index("role")
    up = sets(types, "de") - sets(types, "en")
    rates = counts.probabilities()[..., 1]
    assert table.loc["driven up", "neurons"] == len(up)
    assert table.loc["driven up", "rate"] == pytest.approx(np.mean([rates[place] for place in up]))
    drawn = [
        [rates[place] for place in flat(made[f"en to de, amplify 4, random {draw}"].neurons)
         if made[f"en to de, amplify 4, random {draw}"].factor[place] == 4]
        for draw in (1, 2)
    ]  # fmt: skip
    assert table.loc["driven up", "drawn_rate"] == pytest.approx(np.mean([np.mean(each) for each in drawn]))
    assert matches(types, [s for s in of if not s.draw], counts).empty


def test_without_questions_an_empty_file_is_left(tmp_path):
    path, options = tmp_path / "steered", {"shots": 0, "max_new_tokens": 3}
    assert respond(None, None, None, {}, path, **options) == [] and path.read_bytes() == b""
    path.write_text("kept")
    assert respond(None, None, None, {}, path, **options) == [] and path.read_text() == "kept"
    respond(None, None, None, {}, path, **options, overwrite=True)
    assert path.read_bytes() == b""
    nothing, path = responses([], []), tmp_path / "losses"
    assert outputs(nothing).empty and side_by_side(nothing, {"set": 1}).empty and fluencies(nothing, {"set": 1}).empty
    assert fluency(None, None, [{"response": " "}], path) is None and path.read_bytes() == b""


def test_bad_requests_are_named(types):  # noqa: F811
    one = [Steering("en", "de", "set", 1)]
    for call, message in [
        (lambda: steerings("en", ["de"], {"shout": [1]}), "no way 'shout'"),
        (lambda: steerings("en", ["de"], {"set": [-1]}), "strength -1 is none"),
        (lambda: steerings("en", ["de"], {"set": ["2"]}), "strength '2' is none"),
        (lambda: steerings("en", ["de"], {"set": [0, 1]}, headline={"set": 2}), "headline: set 2 is not among the"),
        (lambda: driving(types, one), "no means"),
        (lambda: driving(types, one, MEANS[..., :2]), "means of shape"),
        (lambda: driving(types, one, MEANS, "odd"), "no set 'odd'"),
        (lambda: driving(types, [Steering("en", "en", "set", 1)], MEANS), "nothing to steer from en to itself"),
        (lambda: driving(types, [Steering("en", "fr", "set", 1)], MEANS), "no language 'fr'"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            call()
