from dataclasses import replace

import numpy as np
import pandas as pd

from neuroglot import Corpus, Example, Losses
from neuroglot.book.findings.deactivation import (
    found,
    half,
    left_out,
    no_more_harm,
    not_measured,
    of_questions,
    opening,
    rests_on,
)

NAN = float("nan")
BOTH = "specific + related"


def cells_of(neurons=5, **verdicts):
    """The diagonal by language, with its verdict, and a cell beside it."""
    rows = [
        {"set": BOTH, "measure": "change in log-perplexity", "removed": code, "language": measured, "verdict": verdict}
        for code, verdict in verdicts.items()
        for measured in (code, "xx")
    ]
    return pd.DataFrame(rows).assign(neurons=neurons)


def summary_of(measure="change in log-perplexity", set_=BOTH, **cells):
    """A summary of one set; ``own_language=[effect, low, high, random, verdict]``."""
    columns = ["effect", "low", "high", "random", "verdict"]
    rows = [
        dict(zip(columns, values, strict=True))
        | {"cells": name.replace("__", ", ").replace("_", " "), "own_largest": 2, "own_worst": 1, "rows": 3}
        for name, values in cells.items()
    ]
    return pd.DataFrame(rows).assign(measure=measure, set=set_)


CELLS = cells_of(de="more", fr="within")
OWN = [0.5, 0.25, 0.75, 0.125, "more"]
OTHERS = [-0.25, -0.5, -0.125, 0.0, "less"]
MISSING = [NAN, NAN, NAN, NAN, None]
SUMMARY = summary_of(own_language=OWN, other_languages=OTHERS)
PIVOT = {"pivot__own": OWN, "pivot_removed__others": [0.25, *OWN[1:]], "others_removed__pivot": [1, *OWN[1:]]}


def test_a_set_without_neurons_is_named():
    assert not_measured({}) == ""
    assert not_measured({"specific": ["de"]}) == ("No neuron to remove, so not measured and in no mean: specific (de).")
    assert not_measured({"specific": ["de", "x*"], BOTH: ["fr"]}) == (
        "No neuron to remove, so not measured and in no mean: specific (de&#44;&#32;x&#42;); specific + related (fr)."
    )


def test_the_opening_says_what_a_removal_does():
    lead = (
        "**Removing a language's specific and related neurons raises its own log-perplexity (nats per token) by 0.50 "
    )
    assert opening(CELLS, SUMMARY, "en") == (
        f"{lead}(0.25 to 0.75) and lowers the others' by 0.25 (0.12 to 0.50); as many random neurons change its own by "
        "+0.12 (the removal does more harm than another draw would) and the others' by +0.00 (the removal does less "
        "harm than another draw would).**"
    )
    same_way = summary_of(own_language=[*OWN[:3], 0.125, None], other_languages=[0.25, NAN, NAN, NAN, None], **PIVOT)
    assert opening(CELLS, same_way, "en") == (
        f"{lead}(0.25 to 0.75) and the others' by 0.25 (no interval); as many random neurons change its own by +0.12; "
        "English is left out of these means.**"
    )
    alone = summary_of(own_language=[0.5, NAN, NAN, NAN, None], other_languages=MISSING)
    assert opening(CELLS, alone, "en") == f"{lead}(no interval); no random neurons stand beside.**"


def test_the_opening_without_an_effect():
    missing = summary_of(own_language=MISSING, other_languages=OTHERS)
    assert opening(CELLS, missing, "en") == ("**What removing a language's neurons does to it is not known here.**")
    assert opening(cells_of(0, de=None), missing, "en") == "**There is no specific or related neuron to remove.**"


def test_every_set_is_an_item():
    general = summary_of(set_="specific", own_language=MISSING, other_languages=MISSING)
    cells = pd.concat([CELLS, cells_of(0, de=None).assign(set="specific")])
    assert found(cells, pd.concat([general, SUMMARY]), "en") == (
        "- **specific**: there is no such neuron in any language, so nothing was measured.\n"
        "- **specific + related**: removing them changes a language's own log-perplexity (nats per token) by +0.50 "
        "(+0.25 to +0.75) on average and the others' by -0.25 (-0.50 to -0.12); random neurons change it by +0.12: "
        "more harm than another such draw would do. The largest effect of a removal is on the language itself in 2 of "
        "3 languages, and in 1 of 3 the removal of its own neurons harms a language most."
    )


def test_one_language_and_missing_numbers_in_an_item():
    one = summary_of(own_language=[0.5, NAN, NAN, NAN, None], other_languages=MISSING)
    assert found(CELLS, one.assign(rows=1, own_largest=0), "en") == (
        "- **specific + related**: removing them changes a language's own log-perplexity (nats per token) by +0.50 (no "
        "interval) on average and the others' by no number (no interval); there is no interval of random draws to set "
        "beside it. The largest effect of a removal is on the language itself in 0 of 1 language, and in 1 of 1 the "
        "removal of its own neurons harms a language most."
    )


def test_the_pivot_is_an_item_of_its_own():
    last = found(CELLS, summary_of(own_language=OWN, other_languages=OTHERS, **PIVOT), "en").splitlines()[-1]
    assert last == (
        "- English: removing its neurons changes its own log-perplexity by +0.50 and the others' by +0.25; removing "
        "theirs changes it by +1.00. (The paper finds that deactivating English hardly matters.)"
    )
    unknown = summary_of(own_language=OWN, other_languages=OTHERS, **(PIVOT | {"pivot_removed__others": MISSING}))
    assert "and the others' by no number; removing" in found(CELLS, unknown, "en")
    nothing = found(cells_of(0, de=None), summary_of(own_language=MISSING, other_languages=MISSING, **PIVOT), "en")
    assert len(nothing.splitlines()) == 1


def test_where_random_neurons_do_as_much_harm():
    said = "On the diagonal, no more harm than random neurons do: "
    assert no_more_harm(cells_of(de=None)) == ""
    assert no_more_harm(cells_of(de="more", fr=None)) == f"{said}nowhere."
    assert no_more_harm(cells_of(de="less")) == f"{said}specific + related: de."
    two = pd.concat([cells_of(de="within", fr="less"), cells_of(fr="within").assign(set="specific")])
    assert no_more_harm(two) == f"{said}specific + related: de&#44;&#32;fr; specific: fr."


def doses_of(**effects):
    """Of two languages; ``score=[half, whole]``."""
    rows = [
        {"order": order, "dose": dose, "effect": effect + shift, "language": code}
        for order, both in effects.items()
        for dose, effect in zip((0.5, 1), both, strict=True)
        for code, shift in (("de", -0.01), ("fr", 0.01), ("zh", NAN))
    ]
    return pd.DataFrame(rows)


def test_half_of_the_neurons_and_their_share_of_the_harm():
    both = doses_of(score=[0.75, 1], shuffled=[0.25, 1], random=[0, 0])
    assert half(both) == (
        "Half of the neurons, the lowest scores first, do 75% of the harm of all, half in one random order 25% (of "
        "means over languages, no intervals)."
    )
    assert half(both[both["dose"] == 1]) == "" and half(both[both["order"] != "shuffled"]) == ""
    assert (
        half(doses_of(score=[0.75, 0.04], shuffled=[0.25, 1])) == "" == half(doses_of(score=[1, NAN], shuffled=[1, 1]))
    )
    assert "all, half in one random order no number" in half(doses_of(score=[1, 1], shuffled=[NAN, 1]))


def test_on_how_much_it_rests():
    tokens = np.array([[600, 0], [500, 400]])
    measured = Losses(("as it is",), ("de", "fr"), ("a", "b"), tokens[None] * 1.0, tokens)
    short = replace(measured, units=("a",), nll=measured.nll[..., :1], tokens=tokens[:, :1])
    end = (
        " A neuron set to zero also gives the layers above values they never see otherwise, so harm is not proof of a "
    )
    assert rests_on(measured, short, 3) == (
        f"All this rests on 1,500 scored tokens of 2 different wordings, 3 random draws beside each cell on 1,100.{end}"
        "function."
    )
    assert rests_on(short, short, 0).startswith(
        "All this rests on 1,100 scored tokens of 1 different wording, no random draws beside each cell on 1,100. A"
    )
    assert ", 1 random draw beside each cell" in rests_on(short, short, 1)


def test_answers_that_are_left_out_are_counted():
    lost = pd.DataFrame(
        {"measure": ["change in accuracy", *["change in language fidelity"] * 2], "left_out": [9, 0, 0]}
    )
    assert left_out(lost) == ""
    said = "Left out of the change in fidelity, for lack of a letter before or after: "
    assert left_out(lost.assign(left_out=[9, 1, 0])) == f"{said}1 answer."
    assert left_out(lost.assign(left_out=[9, 1, 1])) == f"{said}2 answers."


def test_answers_in_percentage_points():
    accuracy, fidelity = "change in accuracy", "change in language fidelity"
    summary = pd.concat(
        [
            summary_of(accuracy, own_language=[-0.5, -1, 0, -0.25, "more"], other_languages=[0.125, 0, 0.25, 0, None]),
            summary_of(fidelity, own_language=MISSING, other_languages=[0, NAN, NAN, 0, None]),
        ]
    )
    examples = tuple(Example(str(i), code, "?", "2", "2") for code in ("de", "fr") for i in range(20))
    said = (
        "in percentage points: accuracy changes by -50 (-100 to +0) in a language whose neurons are removed, by +12 "
        "(+0 to +25) in the others, and by -25 with random neurons; language fidelity changes by no number (no "
        "interval) in a language whose neurons are removed, by +0 (no interval) in the others, and by no number "
        "with random neurons."
    )
    many = Corpus("q", ("de", "fr"), examples)
    assert of_questions(summary, many) == f"On 40 questions, {said}"
    few = " With so few questions only large differences would show."
    assert of_questions(summary, replace(many, examples=examples[:39])) == f"On 39 questions, {said}{few}"
    one = Corpus("q", ("de",), examples[:1])
    assert of_questions(summary, one) == f"On 1 question, {said}{few}"
