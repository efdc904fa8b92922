"""Agreement of sets of neurons against counting by hand and against chance."""

import numpy as np
import pytest

from neuroglot import NeuroglotError
from neuroglot.neurons.agreement import agreement, agreement_by_layer, by_layer, jaccard, mask
from neuroglot.neurons.detection import Detection


def made(selected, languages=("en", "de")):
    return Detection("x", languages, np.zeros(selected.shape), selected)


def test_two_sets_by_hand():
    one = mask([np.array([0, 1, 2]), np.array([5])], 10)
    other = mask([np.array([2, 3]), np.array([5, 6, 7])], 10)
    both, index, chance = jaccard(one, other)
    expected = 3 * 2 / 10 + 1 * 3 / 10
    assert (both, index, chance) == (2, pytest.approx(2 / 7), pytest.approx(expected / (9 - expected)))
    assert jaccard(one, one)[1] == 1 and np.isnan(jaccard(one & False, one & False)[1])


def test_chance_is_what_random_sets_share():
    rng = np.random.default_rng(0)
    sizes, width = [(8, 5), (0, 9), (20, 20)], 40
    found = []
    for _ in range(4000):
        one, other = (
            mask([rng.permutation(width)[: size[side]] for size in sizes], width) for side in (0, 1)
        )  # fmt: skip
        found.append(jaccard(one, other))
    assert np.mean([index for _, index, _ in found]) == pytest.approx(found[0][2], abs=0.005)


def test_every_pair_in_every_language():
    rng = np.random.default_rng(1)
    masks = {name: rng.random((3, 20, 2)) < 0.3 for name in "abc"}
    table = agreement({name: made(selected) for name, selected in masks.items()}, 20)
    assert table[["one", "other", "language"]].to_numpy().tolist() == [
        [one, other, code] for one, other in (("a", "b"), ("a", "c"), ("b", "c")) for code in ("en", "de")
    ]
    for row in table.to_dict("records"):
        k = ("en", "de").index(row["language"])
        one, other = masks[row["one"]][..., k], masks[row["other"]][..., k]
        assert (row["both"], row["jaccard"], row["chance"]) == jaccard(one, other)
        assert (row["size"], row["other_size"]) == (one.sum(), other.sum())
    with pytest.raises(NeuroglotError, match="different languages"):
        agreement({"a": made(masks["a"]), "b": made(masks["b"], ("en", "ru"))}, 20)
    assert len(agreement({"a": made(masks["a"])}, 20)) == 0


def test_agreement_in_each_layer_is_counted_pair_by_pair():
    rng = np.random.default_rng(2)
    masks = {name: rng.random((3, 20, 2)) < 0.3 for name in "abc"}
    masks["a"][2] = masks["b"][2] = masks["c"][2] = False
    table = agreement_by_layer({name: made(selected) for name, selected in masks.items()}, 20)
    assert len(table) == 9
    for row in table.to_dict("records"):
        mine, both, either, chance = masks[row["set"]][row["layer"]], 0, 0, 0.0
        for other in set("abc") - {row["set"]}:
            theirs = masks[other][row["layer"]]
            both += int((mine & theirs).sum())
            either += int((mine | theirs).sum())
            chance += sum(mine[:, k].sum() * theirs[:, k].sum() / 20 for k in range(2))
        assert (row["both"], row["either"]) == (both, either)
        if row["layer"] == 2:
            assert np.isnan(row["jaccard"]) and np.isnan(row["chance"])
        else:
            assert row["jaccard"] == both / either
            assert row["chance"] == pytest.approx(chance / (both + either - chance))
    assert len(agreement_by_layer({"a": made(masks["a"])}, 20)) == 0


def test_layers_count_a_neuron_once():
    selected = np.zeros((3, 4, 2), dtype=bool)
    selected[0, 1] = True  # both languages'
    selected[0, 2, 0] = selected[2, 3, 1] = True
    table = by_layer({"a": made(selected), "none": made(selected & False)}, 4)
    assert table["neurons"].tolist() == [2, 0, 1, 0, 0, 0]
    assert table["share"].tolist() == pytest.approx([2 / 3, 0, 1 / 3, 0, 0, 0])
