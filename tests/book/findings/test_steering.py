import pandas as pd

from neuroglot.book.findings.steering import by_way, in_neither, no_pivot, not_tried, opening, place

NAN = float("nan")
NOTHING = pd.DataFrame([])


def outputs_of(targets, ways=("amplify",), random=True, **changes):
    """What is reached by target, at strength 2; half as much at strength 1, by random neurons a tenth of it."""
    rows = [
        {"way": way, "target": target, "strength": strength, "neurons": neurons, "output": output}
        | {"share": {"target": reached * strength / 2 / (10 if neurons == "random" else 1)}.get(output, 0.125)}
        for target, reached in targets.items()
        for way in ways
        for strength in (0, 1, 2)
        for neurons in ("language", *["random"] * random)
        for output in ("target", "source", "another language", "no language")
    ]
    return pd.DataFrame(rows).assign(**changes)


MANY = outputs_of({"de": 0.8, "fr": 0.4}, ("amplify", "set"))
ONE = outputs_of({"de": 0.5}, random=False)


def test_what_is_not_tried_is_named():
    assert not_tried([]) == ""
    assert not_tried(["de"]) == "*No neuron to change, so not tried: German.*"
    assert not_tried(["de", "x*"]) == "*No neuron to change, so not tried: German, x&#42;.*"


def test_the_opening_says_how_much_is_reached():
    each = "60% of the letters by *{}* (least in French, 40%; most in German, 80%; random neurons 6%)"
    assert opening(MANY, "en", 2) == (
        "**Steering from English by another language's neurons, at the greatest strength and on 2 prompts, brings into "
        f"that language on average {each.format('amplify')}, {each.format('set')}.**"
    )
    assert opening(ONE, "en", 1) == (
        "**Steering from English by another language's neurons, at the greatest strength and on 1 prompt, brings into "
        "that language 50% of the letters by *amplify*.**"
    )
    assert opening(outputs_of({"de": NAN, "fr": NAN}), "en", 2) == (
        "**Steering from English by another language's neurons, at the greatest strength and on 2 prompts, brings into "
        "that language on average an unknown share of the letters by *amplify* (random neurons an unknown share).**"
    )


def test_the_opening_where_nothing_was_tried():
    assert opening(NOTHING, "en", 2) == "**Nothing could be tried: no neuron would be changed.**"
    assert opening(NOTHING, "en", 0) == "**Nothing could be tried: the text has no question in English.**"


def test_every_way_and_where_it_switches():
    assert by_way(NOTHING) == ""
    assert by_way(ONE) == (
        "*amplify*: at the greatest strength, 2, 50% of the letters are on average in the language steered to; at some "
        "strength half or more in 1 of 1 language (de)."
    )
    each = (
        "at the greatest strength, 2, 60% of the letters are on average in the language steered to, with random "
        "neurons 6%; at some strength half or more in 1 of 2 languages (de)."
    )
    assert by_way(MANY) == f"*amplify*: {each} *set*: {each}"
    # The greatest strength need not be the best one.
    weaker = MANY.assign(share=MANY["share"].where(MANY["strength"] < 2, 0.25), strength=MANY["strength"] / 2)
    assert by_way(weaker[weaker["way"] == "set"]) == (
        "*set*: at the greatest strength, 1, 25% of the letters are on average in the language steered to, with random "
        "neurons 25%; at some strength half or more in 0 of 2 languages (none)."
    )
    assert "an unknown share of the letters are on average" in by_way(outputs_of({"de": NAN}))
    assert by_way(outputs_of({"de": 0.5, "x*": 0.5})).endswith("in 2 of 2 languages (de&#44;&#32;x&#42;).")


def test_what_is_in_neither_language():
    end = (
        "Being in a language is not the same as making sense in it: read the responses above before calling it a "
        "success. "
    )
    assert in_neither(NOTHING, 2) == ""
    assert in_neither(MANY, 2) == (
        "Where the model is steered, 25% of the letters are in neither language (with random neurons 25%). "
        f"{end}2 prompts show what can happen, not how often."
    )
    assert in_neither(ONE, 1) == (
        f"Where the model is steered, 25% of the letters are in neither language. {end}1 prompt shows what can happen, "
        "not how often."
    )
    missing = ONE.assign(share=ONE["share"].where(ONE["output"] != "no language"))
    for unknown in (missing, ONE[ONE["strength"] == 0]):
        assert in_neither(unknown, 1).startswith(
            "Where the model is steered, an unknown share of the letters are in neither language. Being"
        )


def test_without_the_pivot_nothing_is_known():
    assert no_pivot("e*") == "*No other language's change by the removal of e&#42; is known here.*"


def others_of(**effects):
    """By language removed, its effects on two others; as many neurons as the name's place, in thousands."""
    rows = [
        {"measure": "change in log-perplexity", "removed": code, "effect": effect, "neurons": 1000 * place_}
        for place_, (code, both) in enumerate(effects.items(), 1)
        for effect in both
    ]
    return pd.DataFrame([*rows, rows[0] | {"measure": "change in accuracy", "effect": 9}])


def test_the_pivot_s_place_in_harm():
    assert place(others_of(en=[0.25, 0.5], de=[1, 1], fr=[0, 0.25]), "en") == (
        "Removing English's neurons changes the other languages' log-perplexity by +0.38 on average, place 2 of 3 in "
        "harm done to others (the mean of all is +0.50). A pivot would come first if all removals were of one size; "
        "they take 1,000 neurons of English and 2,500 of another language on average, and a smaller removal tends to "
        "do less harm whatever it removes. A pivot may still sit in neurons that are general, or not in the MLPs at "
        "all."
    )
    assert ", place 1 of 3 in" in place(others_of(en=[2], de=[1], fr=[2]), "en"), "a tie is no worse"
    assert place(others_of(en=[2], de=[1]), "en") == "" == place(others_of(de=[1], fr=[1], zh=[1]), "en")
    assert place(others_of(en=[2], de=[1], fr=[2])[:0], "en") == ""
