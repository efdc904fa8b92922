"""What chapter 05 measures, and where: no more than its contrasts need."""

from dataclasses import replace

import pandas as pd

from neuroglot import Corpus, Example
from neuroglot.effects import measuring
from neuroglot.effects.measuring import beside, forced_choices, only_in_their_own, other_text, own, shortest
from neuroglot.effects.removals import BOTH, doses, of_others, removals

from ..made import types_of

TYPES = types_of("en de", "en,de,en de,-", "en,en,de,-", "-,en,de,en de", top_rate=0.1)


def names(of):
    return [removal.name for removal in of]


def test_the_sets_with_general_neurons_stand_apart():
    assert list(measuring.NARROW) == ["specific", BOTH] and f"{BOTH} + general" == measuring.WITH_GENERAL


def test_draws_and_doses_are_measured_in_their_own_language():
    of = removals(TYPES, measuring.NARROW, draws=2) + of_others(TYPES, measuring.NARROW) + doses(TYPES, steps=2)
    everywhere = only_in_their_own(of, BOTH)
    assert {name: codes for name, codes in everywhere.items() if name in names(own(of, BOTH))} == {}
    assert everywhere["en, specific"] == everywhere["en, specific + related, dose 0.5"] == ["en"]
    assert set(names(r for r in of if r.size)) - set(everywhere) == set(names(own(of, BOTH)))
    assert set(only_in_their_own(of)) == set(names(r for r in of if r.size))
    assert names(own(of)) == [*names(own(of, "specific")), *names(own(of, BOTH))]


def test_a_few_draws_stand_beside_one_set():
    of = [replace(r, order="matched") if r.draw else r for r in removals(TYPES, measuring.NARROW, draws=3)]
    some = beside(of, 2)
    assert {r.set for r in some} == {BOTH} and [r.draw for r in some] == [0, 0, 1, 2, 1, 2]
    assert not [r for r in beside(of, 0) if r.draw]


def test_the_shortest_solutions_are_of_different_wordings():
    texts = {"a": "12345", "b": "123", "c": "1", "d": "12"}
    wordings = {"a": "w", "b": "x", "c": "w", "d": "y"}
    examples = tuple(Example(i, k, "?", t, cluster=wordings[i]) for i, t in texts.items() for k in ("en", "de"))
    corpus = Corpus("c", ("en", "de"), examples)
    assert {e.id for e in shortest(corpus, 2).examples} == {"c", "d"}
    assert {e.id for e in shortest(corpus, 9).examples} == {"b", "c", "d"}


def test_nothing_is_chosen_without_solutions():
    asked = Corpus("asked", ("en", "de"), tuple(Example("1", k, "?", "", "2") for k in ("en", "de")))
    bare = replace(asked, examples=tuple(replace(e, response="So 2.", answer="") for e in asked.examples))
    own_answers = replace(bare, name="responses:asked", examples=tuple(replace(e, answer="2") for e in bare.examples))
    for text in (asked, bare, own_answers):
        assert forced_choices(None, None, text, [], (), questions=1, solutions=1, pivot="en").empty
    assert isinstance(forced_choices(None, None, asked, [], (), questions=0, solutions=0, pivot="en"), pd.DataFrame)


def test_other_text_is_other_than_what_was_counted():
    types = replace(TYPES, provenance={"corpus": "problems"})
    assert other_text(None, {}, types) is None and other_text("problems", {}, types) is None
    found = other_text("problems", {"n": 2}, replace(TYPES, provenance={"corpus": "udhr"}))
    assert found.languages == ("en", "de") and len(found.examples) == 4
