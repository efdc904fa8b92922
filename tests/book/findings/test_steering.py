import pandas as pd

from neuroglot.book.findings.steering import by_way, fluency, lost, not_tried, opening

NAN = float("nan")
NOTHING = pd.DataFrame([])


def contrast(target, own, verdict, way="amplify", strength=4, random=0.05, draws=3):
    row = {"target": target, "way": way, "strength": strength, "own": own, "random": random, "draws": draws}
    row |= {"difference": own - random, "low": own - random - 0.1, "high": own - random + 0.1}
    return row | {"detectable": 0.3, "verdict": verdict}


MANY = pd.DataFrame(
    [
        contrast("de", 0.85, "more"),
        contrast("fr", 0.25, "not told apart"),
        contrast("de", 0.0, "less", "set", 1, random=0.5),
        contrast("x*", NAN, None, "set", 1, random=NAN),
    ]
)
ALONE = pd.DataFrame([contrast("de", 0.5, None, random=NAN, draws=0)])


def test_what_is_not_tried_is_named():
    assert not_tried([]) == ""
    assert not_tried(["de"]) == "*No neuron to change, so not tried: German.*"
    assert not_tried(["de", "x*"]) == "*No neuron to change, so not tried: German, x&#42;.*"


def test_the_opening_says_how_many_responses_come_out():
    assert opening(MANY, "en", 8) == (
        "**After 8 prompts in English, driving up another language's neurons brings that language out in 55% of the "
        "responses by *amplify 4* (random neurons 5%; more in 1 of 2 languages) and 0% of the responses by *set 1* "
        "(random neurons 50%; more in 0 of 1 language).**"
    )
    assert opening(ALONE, "en", 1) == (
        "**After 1 prompt in English, driving up another language's neurons brings that language out in 50% of the "
        "responses by *amplify 4*.**"
    )
    assert "an unknown share of the responses by *set 1* (random neurons an unknown share; no verdict)" in opening(
        MANY[3:], "en", 2
    )


def test_the_opening_where_nothing_was_tried():
    assert opening(NOTHING, "en", 0) == "**Nothing could be tried: the text has no question in English.**"
    assert opening(NOTHING, "en", 2) == (
        "**Nothing could be tried: no neuron would be changed, or at no strength fixed beforehand.**"
    )


def test_every_way_has_its_verdicts_and_what_could_be_found():
    assert by_way(MANY) == (
        "- *amplify 4*: more than random neurons in de (+80%, +70% to +90%); not told apart in fr (found would have "
        "been 30% or more, one by itself).\n"
        "- *set 1*: less than random neurons in de (-50%, -60% to -40%); not known in x&#42;: too few wordings or "
        "draws, all alike, or a language not detected."
    )
    assert by_way(ALONE) == "- *amplify 4*: no random neurons were drawn, so there is nothing to compare with."
    assert by_way(ALONE[:0]) == ""


def test_what_is_in_neither_language():
    kinds = {"target": 0.5, "looping": 0.25, "another language": 0.1, "no language": 0.0}
    rows = [{"neurons": "language", "output": kind, "share": share} for kind, share in kinds.items()]
    own = "At these strengths 25% go round in circles, 10% are in a third language, 0% in none"
    assert lost(NOTHING) == "" and lost(pd.DataFrame(rows)) == f"{own}."
    rows += [row | {"neurons": "random", "share": NAN} for row in rows]
    some = "an unknown share"
    assert lost(pd.DataFrame(rows)) == (
        f"{own}; with random neurons {some} go round in circles, {some} are in a third language, {some} in none."
    )


def test_how_likely_the_responses_are():
    rows = [
        {"strength": 0, "neurons": "language", "nats": 0.5, "target_nats": NAN},
        {"strength": 4, "neurons": "language", "nats": 2.0, "target_nats": 3.0},
        {"strength": 1, "neurons": "language", "nats": 3.0, "target_nats": NAN},
        {"strength": 4, "neurons": "random", "nats": 1.0, "target_nats": NAN},
    ]
    end = (
        "Text that goes round in circles is likely, so low is not the same as good, and being in a language is not the "
        "same as making sense in it."
    )
    assert fluency(NOTHING) == ""
    assert fluency(pd.DataFrame(rows)) == (
        "The unchanged model needs 0.50 nats per token for its own responses, 2.50 for those under steering, 1.00 "
        f"under that by random neurons; for those that are in the language steered to it needs 3.00. {end}"
    )
    assert fluency(pd.DataFrame(rows[2:3])) == (
        "The unchanged model needs no number nats per token for its own responses, 3.00 for those under steering; for "
        f"those that are in the language steered to it needs no number. {end}"
    )
