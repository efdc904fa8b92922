"""Which neurons are removed: the paper's sets, parts of them in order, and random ones of the same numbers."""

from dataclasses import replace

import numpy as np
import pytest

from neuroglot import NeuroglotError, NeuronTypes
from neuroglot.effects.removals import (
    AS_IT_IS,
    SETS,
    doses,
    empty_sets,
    generator,
    of_largest,
    random_like,
    removals,
    zeroing,
)


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


def test_a_few_draws_stand_beside_the_largest(types):
    found = removals(types, draws=3)
    sizes = {r.language: r.size for r in found if r.set == "specific + related" and not r.draw}
    one, other, _ = sorted(sizes, key=sizes.get, reverse=True)
    for draws, beside in ((0, set()), (1, {one}), (2, {one, other}), (9, set(sizes))):
        own, drawn = ([r for r in of_largest(found, draws) if bool(r.draw) == some] for some in (False, True))
        assert [r.language for r in own] == list(types.languages) and {r.set for r in own} == {"specific + related"}
        assert {r.language for r in drawn} == beside and {r.draw for r in drawn} <= {1}
    assert {r.set for r in of_largest(found, 1, "specific")} == {"specific"}
    assert not [r for r in of_largest(removals(types), 2) if r.draw]


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
