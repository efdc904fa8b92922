"""Which neurons are removed: the paper's sets, parts of them in order, and random ones of the same numbers."""

from dataclasses import replace

import numpy as np
import pytest

from neuroglot import ActivationStats, NeuroglotError, NeuronTypes
from neuroglot.effects.removals import (
    AS_IT_IS,
    SETS,
    doses,
    empty_sets,
    match_report,
    of_others,
    removals,
    zeroing,
)
from neuroglot.neurons.drawing import generator, matched_like, random_like


@pytest.fixture
def types():
    """Of 2 layers with 40 neurons and three languages, made up so that every type has some neurons."""
    rng = np.random.default_rng(3)
    active = rng.random((2, 40, 3)) < 0.4
    score = rng.permutation(80).reshape(2, 40).astype(float)
    selected = (score < 40) & ~active.all(-1)
    return NeuronTypes(("en", "de", "zh"), 0.5, 0.1, 0.95, True, False, 0.2, score, selected, active)


def flat(neurons):
    return {(layer, index) for layer, some in enumerate(neurons) for index in some.tolist()}


def test_sets_are_those_of_the_types(types):
    found = {(r.set, r.language): r for r in removals(types)}
    assert len(found) == 9
    n = types.active.sum(-1)
    for k, code in enumerate(types.languages):
        of_k = types.active[..., k]
        expected = {
            "specific": types.selected & (n == 1) & of_k,
            "specific + related": types.selected & (n < 3) & of_k,
            "specific + related + general": (types.selected & (n < 3) & of_k) | (n == 3),
        }
        for set_, mask in expected.items():
            removal = found[set_, code]
            assert flat(removal.neurons) == set(zip(*map(np.ndarray.tolist, np.nonzero(mask)), strict=True))
            assert removal.size == mask.sum() > 0 and removal.draw == 0


def test_random_ones_are_as_many_in_every_layer(types):
    found = removals(types, draws=4, seed=7)
    own = {(r.set, r.language): r for r in found if not r.draw}
    drawn = [r for r in found if r.draw]
    assert len(drawn) == 9 * 4 and len({r.name for r in found}) == len(found)
    for removal in drawn:
        like = own[removal.set, removal.language]
        assert [len(a) for a in removal.neurons] == [len(a) for a in like.neurons]
        assert all(len(set(a.tolist())) == len(a) and (np.diff(a) > 0).all() for a in removal.neurons)
    different = {frozenset(flat(r.neurons)) for r in drawn if r.size > 8}
    assert len(different) == sum(r.size > 8 for r in drawn)
    again = removals(types, draws=4, seed=7)
    assert all(flat(a.neurons) == flat(b.neurons) for a, b in zip(found, again, strict=True))
    assert flat(drawn[4].neurons) != flat([r for r in removals(types, draws=4, seed=8) if r.draw][4].neurons)
    # A draw is the same whatever else is drawn.
    alone = removals(types, {"specific": SETS["specific"]}, draws=1, seed=7)
    assert {r.name: flat(r.neurons) for r in alone}.items() <= {r.name: flat(r.neurons) for r in found}.items()


def test_any_neuron_of_a_layer_can_be_drawn():
    hit = np.zeros(20, dtype=int)
    for draw in range(2000):
        (index,) = random_like([np.arange(5)], 20, (draw,))
        hit[index] += 1
    assert hit.sum() == 10_000 and hit.min() > 400 and hit.max() < 600


def test_a_seed_s_type_decides_nothing(types):
    for number in (0, 7):
        wanted = generator(number, "a").integers(10**6, size=4).tolist()
        for same in (np.int64(number), np.int32(number), np.uint8(number), np.array(number)):
            assert generator(same, np.str_("a")).integers(10**6, size=4).tolist() == wanted
    assert generator(0).integers(10**6) != generator(1).integers(10**6) != generator("1").integers(10**6)
    # The drawn neurons of every earlier run.
    assert [index.tolist() for index in random_like([np.arange(3)], 50, (0, "specific", "de", 1))] == [[1, 32, 41]]
    found = [removals(types, draws=2, seed=seed) for seed in (3, np.int64(3))]
    assert [flat(r.neurons) for r in found[0]] == [flat(r.neurons) for r in found[1]]
    with pytest.raises(TypeError):
        generator(0.5)


def test_doses_grow_by_score(types):
    found = doses(types, steps=3, draws=2)
    for code in types.languages:
        own = types.neurons(code, ("specific", "related"))
        every = sorted(flat(own), key=lambda place: types.score[place])
        by_score = [r for r in found if r.language == code and r.order == "score"]
        assert [r.dose for r in by_score] == [0.25, 0.5, 1.0]
        for removal in by_score:
            number = round(len(every) * removal.dose)
            assert flat(removal.neurons) == set(every[:number]) and removal.size == number
        for order in ("shuffled", "random"):
            for draw in (1, 2):
                mine = [r for r in found if (r.language, r.order, r.draw) == (code, order, draw)]
                assert [r.size for r in mine] == [r.size for r in by_score]
                if order == "shuffled":
                    assert flat(mine[0].neurons) < flat(mine[1].neurons) < flat(mine[2].neurons) == set(every)
                else:
                    layers = [[len(a) for a in r.neurons] for r in mine]
                    assert layers == [[len(a) for a in r.neurons] for r in by_score]
    assert len({r.name for r in found}) == len(found) == 3 * 3 * (1 + 2 * 2)


def test_interventions_set_to_zero_by_name(types):
    found = removals(types, draws=1)
    made = zeroing(found)
    assert list(made) == [AS_IT_IS, *(r.name for r in found)] and made[AS_IT_IS] is None
    assert all(made[r.name].values == 0 and made[r.name].neurons is r.neurons for r in found)


def test_removals_of_nothing_are_named_and_not_made(types):
    assert empty_sets(removals(types, draws=2)) == {}
    of_de = types.selected & (types.n_languages == 1) & types.active[..., 1]
    found = removals(replace(types, selected=types.selected & ~of_de), draws=2)
    assert empty_sets(found) == {"specific": ["de"]}
    made = zeroing(found)
    assert set(made) == {AS_IT_IS} | {r.name for r in found if (r.set, r.language) != ("specific", "de")}
    steps = doses(replace(types, selected=types.selected & False), steps=2)
    assert {r.size for r in steps} == {0} and list(zeroing(steps)) == [AS_IT_IS]


def test_bad_requests_are_named(types):
    for call, message in [
        (lambda: removals(types, draws=-1), "draws=-1"),
        (lambda: removals(types, draws=1.5), r"draws=1\.5"),
        (lambda: removals(types, {"x": ("odd",)}), "no neuron type 'odd'"),
        (lambda: doses(types, "odd"), "no set 'odd'"),
        (lambda: doses(types, steps=0), "steps=0"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            call()


# --- fair nulls --------------------------------------------------------------------------------


@pytest.fixture
def counts(types):
    """Two shards of counts with moments, whose rates have nothing to do with the types."""
    rng = np.random.default_rng(5)
    shape = 2, 2, 40, 3
    provenance = {"quantity": "product"}
    sums, squares = rng.normal(size=shape[1:]), rng.random(shape[1:]) * 50
    return ActivationStats(
        rng.integers(0, 101, size=shape), np.full((2, 3), 100), types.languages, provenance, sums=sums, squares=squares
    )


def test_matched_draws_are_outside_the_set_and_near_in_rate(types, counts):
    rates = counts.probabilities()
    found = removals(types, {"specific": ("specific",)}, draws=3, matched="firing rate", stats=counts, seed=1)
    again = removals(types, {"specific": ("specific",)}, draws=3, matched="firing rate", stats=counts, seed=1)
    assert all(
        np.array_equal(a, b)
        for x, y in zip(found, again, strict=True)
        for a, b in zip(x.neurons, y.neurons, strict=True)
    )
    own = {r.language: r for r in found if not r.draw}
    names = set()
    for removal in (r for r in found if r.draw):
        mine, k = own[removal.language], types.languages.index(removal.language)
        assert (
            removal.order == "matched" and removal.size == mine.size and not flat(removal.neurons) & flat(mine.neurons)
        )
        names.add(tuple(sorted(flat(removal.neurons))))
        at_random = random_like(mine.neurons, 40, [removal.draw])
        apart, apart_at_random = (
            sum(
                np.abs(np.sort(r[a]) - np.sort(r[b])).sum()
                for a, b, r in zip(mine.neurons, other, rates[..., k], strict=True)
            )
            for other in (removal.neurons, at_random)
        )
        assert apart < apart_at_random
    assert len(names) > 3  # the draws of a language differ


def test_a_draw_has_the_rates_of_the_set_where_there_are_such_neurons():
    rates = np.repeat(np.linspace(0, 1, 10), 10)[None]  # ten neurons of each rate
    neurons = [np.array([3, 95, 98])]
    drawn = matched_like(neurons, rates, ["x"])
    assert np.array_equal(np.sort(rates[0][drawn[0]]), [0, 1, 1]) and not set(drawn[0]) & set(neurons[0])
    assert matched_like(neurons, rates, ["y"])[0].tolist() != drawn[0].tolist()
    # Where a layer has too few near enough, some are short; what was hardly seen is not drawn.
    rates[0, 90:95] = np.nan
    within = matched_like(neurons, rates, ["x"], width=0.01)[0]
    assert set(within[1:]) <= {96, 97, 99} and len(within) == 3
    rates[0, 96:98] = np.nan
    assert len(matched_like(neurons, rates, ["x"], width=0.01)[0]) == 2
    among = [np.array([3, 50, 51])]  # those of the set are never drawn
    assert matched_like(neurons, rates, ["x"], among=among)[0].tolist() == [50, 51]


def test_the_report_says_how_well_they_match(types, counts):
    found = removals(types, {"specific": ("specific",)}, draws=1, matched="firing rate", stats=counts)
    report = match_report(found, types, counts)
    assert len(report) == 3 and (report["short"] == 0).all()
    rates, squares = counts.probabilities(), counts.second_moments()
    own, drawn = found[:2]
    for name, removal in (("", own), ("drawn_", drawn)):
        for what, values in (("rate", rates), ("square", squares)):
            by_hand = np.mean([values[layer, index, 0] for layer, index in flat(removal.neurons)])
            assert report[name + what][0] == pytest.approx(by_hand)
    widest = max(
        abs(a - b)
        for mine, other, rate in zip(own.neurons, drawn.neurons, rates[..., 0], strict=True)
        for a, b in zip(np.sort(rate[mine]), np.sort(rate[other]), strict=True)
    )
    assert report["farthest"][0] == pytest.approx(widest)
    fewer = match_report(removals(types, draws=1, matched="firing rate", stats=counts, width=1e-9), types, counts)
    assert fewer["short"].sum() > 0 and fewer["farthest"].isna().equals(fewer["short"] > 0)


def test_other_languages_sets_are_as_many_in_every_layer(types):
    for set_, kinds in SETS.items():
        own = {code: types.neurons(code, kinds) for code in types.languages}
        for removal in of_others(types, {set_: kinds}, draws=2):
            every = set().union(*(flat(some) for code, some in own.items() if code != removal.language))
            pool = every - flat(own[removal.language])
            assert removal.order == "others" and flat(removal.neurons) <= pool
            for layer, (mine, drawn) in enumerate(zip(own[removal.language], removal.neurons, strict=True)):
                assert len(drawn) == min(len(mine), sum(place[0] == layer for place in pool))


def test_doses_stand_beside_matched_ones(types, counts):
    found = doses(types, steps=2, draws=1, stats=counts)
    assert {r.order for r in found} == {"score", "shuffled", "matched"}
    sizes = {(r.language, r.dose, r.order): r.size for r in found}
    for code in types.languages:
        assert sizes[code, 0.5, "matched"] == sizes[code, 0.5, "score"] > 0


def test_what_cannot_be_matched_is_said(types, counts):
    with pytest.raises(NeuroglotError, match="random neurons are matched by layer or by firing rate"):
        removals(types, draws=1, matched="size")
    with pytest.raises(NeuroglotError, match="with the counts of the types; give stats"):
        removals(types, draws=1, matched="firing rate")
    with pytest.raises(NeuroglotError, match="not those that the types were identified on"):
        removals(types, draws=1, matched="firing rate", stats=replace(counts, provenance={"input_sha256": "x"}))
