"""Claims under several detectors, against claims by hand."""

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, NeuronTypes, classify, detect
from neuroglot.neurons.layers import four_parts, layer_profile, part_claims
from neuroglot.neurons.robustness import CONTRARY, HOLDS, OPEN, claims, summed, types_on_each

CODES = ("en", "de", "ru")


def counted(seed):
    rng = np.random.default_rng(seed)
    rates = np.clip(rng.beta(0.4, 1.5, size=(6, 50, 3)) + rng.beta(0.5, 3, size=(6, 50, 1)), 0, 1)
    return ActivationStats(rng.binomial(300, rates)[None], np.full((1, 3), 300), CODES)


def made(specific, related=(), codes=CODES):
    """Types with so many specific neurons of each language in each layer, ``[layers][languages]``."""
    layers, width = len(specific), 40
    active = np.zeros((layers, width, len(codes)), dtype=bool)
    for i, row in enumerate(specific):
        at = 0
        for k, n in enumerate(row):
            active[i, at : at + n, k] = True
            at += n
        for pair, n in related:
            active[i, at : at + n][:, list(pair)] = True
            at += n
    selected = active.any(-1)
    return NeuronTypes(codes, 0.1, 0.1, 0.9, True, False, 0.5, np.zeros((layers, width)), selected, active)


def test_types_are_by_each_detector_on_each_text():
    texts = [counted(1), counted(2)]
    like = classify(texts[0], top_rate=0.2, quantile=0.8, lam=0.1)
    found = [{"lape": detect(t, "lape"), "lambda-score": detect(t, "lambda-score", lam=0.1)} for t in texts]
    types = types_on_each(texts, found, like)
    assert list(types) == ["lape", "lambda-score"]
    for at, text in enumerate(texts):
        wanted = classify(text, top_rate=0.2, quantile=0.8, detector="lape")
        assert (types["lape"][at].codes == wanted.codes).all() and types["lape"][at].tau == wanted.tau
        assert (types["lambda-score"][at].codes == classify(text, top_rate=0.2, quantile=0.8).codes).all()
    assert list(types_on_each(texts, [found[0], {"lape": found[1]["lape"]}], like)) == ["lape", "lambda-score"]
    assert types_on_each(texts, [{"other": found[0]["lape"]}, {}], like) == {}


def test_a_claim_holds_only_where_it_does_on_each_text():
    one, other = (classify(counted(seed), top_rate=0.3, quantile=0.7, lam=0.05) for seed in (1, 2))
    table = claims({"a": [one, other]}).set_index("claim")["verdict"]
    profiles = [layer_profile(one), layer_profile(other)]
    margins = [part_claims(profiles[1 - i], four_parts(profiles[i])).set_index("claim")["margin"] for i in (0, 1)]
    for claim in margins[0].index:
        ends = [m[claim] for m in margins]
        wanted = HOLDS if min(ends) > 0 else CONTRARY if max(ends) < 0 else OPEN
        assert table[claim] == wanted
    same = claims({"a": [one, one]})  # of one text there is no other to compare on, and none is said to hold twice
    assert len(same) == len(table)


def test_the_fewest_neurons():
    few, many, even = [[1, 4, 4]] * 6, [[5, 4, 4]] * 6, [[4, 4, 4]] * 6
    said = {
        name: claims({"x": [made(a), made(b)]}).set_index("claim").loc["en has the fewest specific neurons", "verdict"]
        for name, (a, b) in {
            "both": (few, few),
            "none": (many, many),
            "one": (few, many),
            "as few": (even, even),
        }.items()
    }
    assert said == {"both": HOLDS, "none": CONTRARY, "one": OPEN, "as few": OPEN}
    assert not claims({"x": [made(few), made(few)]}, pivot="sw")["claim"].str.contains("fewest").any()


def test_sharing_by_script_needs_a_small_p_on_each_text():
    codes = ("en", "de", "fr", "es", "ru", "uk", "bg", "sr")
    flat = [[1] * 8] * 6
    pairs = [((a, b), 1) for a in range(8) for b in range(a) if (a < 4) == (b < 4)]
    mixed = [((a, (a + 4) % 8), 1) for a in range(8)]
    alike, apart = made(flat, pairs, codes), made(flat, mixed, codes)
    name = "languages of one script share more related neurons"
    said = [
        claims({"x": each}).set_index("claim").loc[name, "verdict"]
        for each in ([alike, alike], [alike, apart], [apart, apart])
    ]
    assert said == [HOLDS, OPEN, OPEN]


def test_they_are_counted():
    rows = [("a", "x", HOLDS), ("a", "y", CONTRARY), ("b", "x", None), ("b", "y", HOLDS), ("a", "z", HOLDS)]
    table = summed([pd.DataFrame(some, columns=["claim", "detector", "verdict"]) for some in (rows[:2], rows[2:])])
    assert table["claim"].tolist() == ["a", "b"]
    assert table[["known", "holds", "contrary"]].to_numpy().tolist() == [[3, 2, 1], [1, 1, 0]]
    assert table.loc[0, ["x", "y", "z"]].tolist() == [HOLDS, CONTRARY, HOLDS] and pd.isna(table.loc[1, "z"])


@pytest.mark.parametrize("layers", [2, 3])
def test_few_layers_have_no_parts(layers):
    table = claims({"x": [made([[1, 2, 3]] * layers)] * 2})
    assert not table["claim"].str.contains(">").any() and len(table) == 4
