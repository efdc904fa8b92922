from dataclasses import replace

import numpy as np
import pandas as pd

from neuroglot import Corpus, Example, Losses
from neuroglot.book.findings.deactivation import (
    chosen,
    found,
    half,
    left_out,
    matches,
    not_measured,
    of_other_text,
    of_questions,
    opening,
    rests_on,
)

NAN = float("nan")
BOTH = "specific + related"
OWN = [0.5, 0.25, 0.75, 0.3, 0.01, "more"]
SAME = [0.125, -0.25, 0.5, 0.5, 0.3, "not told apart"]
LESS = [-0.25, -0.5, -0.125, 0.2, 0.02, "less"]
UNKNOWN = [0.25, NAN, NAN, NAN, NAN, None]


def contrasts_of(set_=BOTH, measure="change in log-perplexity", **rows):
    """``own__all=[...]``: what, and in which language (``all``, ``median`` or a code)."""
    names = {"all": "all languages", "median": "median of languages"}
    columns = ["effect", "low", "high", "detectable", "p", "verdict"]
    made = [
        dict(zip(columns, values, strict=True))
        | {"what": name.split("__")[0].replace("_", " "), "language": names.get(code := name.split("__")[1], code)}
        for name, values in rows.items()
    ]
    return pd.DataFrame(made).assign(set=set_, measure=measure)


def summary_of(set_=BOTH, **cells):
    columns = ["effect", "low", "high"]
    rows = [
        dict(zip(columns, values[:3], strict=True))
        | {"cells": name.replace("__", ", ").replace("_", " "), "own_largest": 2, "own_worst": 1, "rows": 3}
        for name, values in cells.items()
    ]
    return pd.DataFrame(rows).assign(measure="change in log-perplexity", set=set_)


ALL = contrasts_of(
    own__all=OWN, own__median=[0.375, *[NAN] * 4, None], own_less_matched__all=OWN, own_less_others__all=SAME
)


def test_a_set_without_neurons_is_named():
    assert not_measured({}) == ""
    assert not_measured({"specific": ["de", "x*"], BOTH: ["fr"]}) == (
        "No neuron to remove, so not measured and in no mean: specific (de&#44;&#32;x&#42;); specific + related (fr)."
    )


def test_the_opening_is_the_contrasts():
    lead = "**Switching off a language's specific and related neurons raises its own log-perplexity by 0.50 nats per "
    assert opening(ALL).split("\n\n") == [
        f"{lead}token (0.25 to 0.75).**",
        "**That is 0.50 more than with random neurons that are as often active (+0.25 to +0.75), and not told apart "
        "from the other languages' neurons (+0.12, -0.25 to +0.50).**",
        "*In the language in the middle it is +0.38; beside the other languages' neurons 0.50 would have been found; "
        "dealt to the languages at random, 0.3 of the deals give as much.*",
    ]
    fewer = contrasts_of(own__all=LESS, own_less_others__all=LESS)
    assert opening(fewer).split("\n\n") == [
        "**Switching off a language's specific and related neurons lowers its own log-perplexity "
        "by 0.25 nats per token (0.12 to 0.50).**",
        "**That is 0.25 less than with the other languages' neurons (-0.50 to -0.12).**",
        "*In the language in the middle it is no number; dealt to the languages at random, 0.02 of the deals give as "
        "much.*",
    ]
    few = contrasts_of(own__all=UNKNOWN, own_less_matched__all=UNKNOWN)
    assert "**That is +0.25 beside random neurons that are as often active (no interval).**" in opening(few)
    alone = opening(contrasts_of(own__all=OWN))
    assert alone.endswith("(0.25 to 0.75).**\n\n*In the language in the middle it is no number.*")
    assert opening(contrasts_of("specific", own__all=OWN)) == (
        "**What removing a language's specific and related neurons does to it is not known here.**"
    )


def test_every_set_is_an_item_by_language():
    table = contrasts_of(
        own__all=OWN, own_less_matched__de=OWN, own_less_matched__zh=SAME, own_less_others__de=LESS,
        own_less_others__zh=OWN,
    )  # fmt: skip
    empty = summary_of(own_language=[NAN] * 3)
    assert found(table, empty, "en") == (
        "- **specific + related**, in the language itself: +0.50 (+0.25 to +0.75) on average. By "
        "language, beside random "
        "neurons that are as often active, more harm in de, not told apart in zh; beside the other languages' neurons, "
        "more harm in zh, less in de."
    )
    assert found(contrasts_of(own__all=UNKNOWN, own_less_matched__de=UNKNOWN), empty, "en") == (
        "- **specific + related**, in the language itself: +0.25 (no interval) on average. No verdict is possible on "
        "what stands beside it."
    )
    none = found(contrasts_of(own__all=OWN, own_less_matched__de=SAME), empty, "en")
    assert none.endswith("more harm in none, not told apart in de.")


def test_the_matrix_the_general_neurons_and_the_pivot_are_items():
    pivot = {"pivot__own": OWN, "pivot_removed__others": SAME, "others_removed__pivot": UNKNOWN}
    summary = pd.concat(
        [
            summary_of(own_language=OWN, other_languages=SAME, **pivot),
            summary_of(f"{BOTH} + general", own_language=[13.5, 12, 15], other_languages=[13.25, 12, 15]),
        ]
    )
    assert found(ALL, summary, "en").splitlines()[1:] == [
        "- In the matrix of specific + related neurons, the largest effect of a removal is on the language itself in 2 "
        "of 3 languages, and in 1 the removal of its own neurons harms a language most.",
        "- With the general neurons gone too, log-perplexity changes by +13.50 (+12.00 to +15.00) "
        "in the language itself "
        "and by +13.25 (+12.00 to +15.00) in the others: that is the end of the model, not of a language.",
        "- English: removing its neurons changes its own log-perplexity by +0.50 (+0.25 to +0.75) and the others' by "
        "+0.12 (-0.25 to +0.50); removing theirs changes it by +0.25 (no interval). (The paper finds that deactivating "
        "English hardly matters.)",
    ]
    assert "in 2 of 1 language," in found(ALL, summary.assign(rows=1), "en")


def test_random_neurons_match_as_well_as_said():
    row = {
        "set": BOTH,
        "order": "matched",
        "neurons": 5,
        "short": 0,
        "rate": 0.96,
        "drawn_rate": 0.9,
        "farthest": 0.125,
    }
    report = pd.DataFrame([row | {"square": 4.0, "drawn_square": 1.0}, row | {"square": 4.0, "drawn_square": 3.0}])
    lead = (
        "A language's specific and related neurons are active on 96.0% of its tokens, their random stand-ins on 90.0%; "
        "the farthest two in a layer are 0.12 apart."
    )
    assert matches(report) == f"{lead} The mean square of what they pass on is 0.50 times that of theirs."
    short = report.assign(square=NAN, drawn_square=NAN, short=[0, 1])
    assert matches(short) == f"{lead} 1 random neuron could not be found."
    assert matches(report.assign(order="others")) == "No random neurons stand beside."


def test_half_of_the_neurons_and_their_share_of_the_harm():
    def doses_of(**effects):
        rows = [
            {"order": order, "dose": dose, "effect": effect, "language": "all languages"}
            for order, both in effects.items()
            for dose, effect in zip((0.5, 1), both, strict=True)
        ]
        return pd.DataFrame([*rows, {"order": "score", "dose": 1, "effect": 9, "language": "de"}])

    both = doses_of(score=[0.75, 1], shuffled=[0.25, 1], matched=[0, 0])
    assert half(both) == (
        "Half of the neurons, the lowest scores first, do 75% of the harm of all, half in one random order 25% (of "
        "means over languages)."
    )
    assert half(both[both["dose"] == 1]) == "" == half(both[both["order"] != "shuffled"])
    assert half(doses_of(score=[0.75, 0.04], shuffled=[0.25, 1])) == ""


def test_on_how_much_it_rests():
    tokens = np.array([[600, 0], [500, 400]])
    measured = Losses(("as it is", "de"), ("de", "fr"), ("a", "b"), np.stack([tokens * 1.0] * 2), tokens)
    few = replace(measured, units=("a",), nll=measured.nll[..., :1], tokens=tokens[:, :1])
    assert rests_on(measured, few, 3) == (
        "All this rests on 1,500 scored tokens of 2 different wordings and 3 draws of random "
        "neurons; the whole matrices "
        "of the other two sets on 1 wording. A neuron set to zero also gives the layers above values they never see "
        "otherwise, so harm is not proof of a function."
    )
    assert "1 different wording and 1 draw of random neurons" in rests_on(few, few, 1)
    alone = replace(measured, rows=("as it is",), nll=measured.nll[:1])
    assert rests_on(alone, few, 3) == "No neuron was removed, so nothing stands beside the model as it is."


def test_other_text_is_said_by_name():
    assert of_other_text(ALL, "udhr") == (
        "On udhr, text of another kind that was not counted either, they change a language's own log-perplexity by "
        "+0.50 (+0.25 to +0.75): 0.50 more than with random neurons that are as often active (+0.25 to +0.75), and not "
        "told apart from the other languages' neurons (+0.12, -0.25 to +0.50). There, beside the other languages' "
        "neurons 0.50 would have been found; dealt to the languages at random, 0.3 of the deals give as much."
    )
    sure = contrasts_of(own__all=OWN, own_less_matched__all=OWN)
    assert of_other_text(sure, "udhr").endswith("that are as often active (+0.25 to +0.75).")
    assert of_other_text(contrasts_of(own__all=OWN), "udhr") == "On udhr nothing is known."


def test_forced_choices_by_language():
    assert chosen(pd.DataFrame()) == ("*Forced choices are not measured: this text has no solutions to choose among.*")
    row = {"measure": "right result", "questions": 12, "share": 0.75, "detectable": 1.5}
    verdicts = {"de": "less", "zh": "less", "sw": "more", "en": "not told apart"}
    table = pd.DataFrame([row | {"language": code, "verdict": verdict} for code, verdict in verdicts.items()])
    assert chosen(table) == (
        "- **The right result (reckoning)**: 4 languages, 48 choices, right in 75% of them; less sure than with random "
        "neurons in de&#44;&#32;zh; surer in sw; not told apart from random neurons in 1 (a change of 1.5 nats would "
        "have been found in half of them)."
    )
    assert chosen(table.assign(verdict=None)[:1]) == (
        "- **The right result (reckoning)**: 1 languages, 12 choices, right in 75% of them."
    )


def test_answers_that_are_left_out_are_counted():
    lost = pd.DataFrame(
        {"measure": ["change in accuracy", *["change in language fidelity"] * 2], "left_out": [9, 0, 0]}
    )
    said = "Left out of the change in fidelity, for lack of a letter before or after: "
    assert left_out(lost) == "" and left_out(lost.assign(left_out=[9, 1, 1])) == f"{said}2 answers."


def test_answers_in_percentage_points():
    table = contrasts_of(
        measure="change in accuracy", own__all=[-0.5, -1, 0, 0.4, 0.1, "less"], matched__all=SAME, others__all=LESS
    )
    answers = pd.DataFrame(
        {"measure": "change in accuracy", "removed": ["de", "de"], "language": ["de", "en"], "before": [0.75, 1.0],
         "size": [4, 9]}
    )  # fmt: skip
    examples = tuple(Example(str(i), "en" if i == 3 else "de", "?", "2", "2") for i in range(4))
    assert of_questions(table, answers, Corpus("q", ("de", "en"), examples)) == (
        "4 questions that the model had answered rightly (de 3, en 1) were asked again under the same conditions, and "
        "3 were right again. In percentage points: accuracy changes by -50 (-100 to +0) in the language itself (+12 "
        "with random neurons that are as often active, -25 with the other languages' neurons); language fidelity: no "
        "number."
    )
