"""Types by another detector's scores, against the rule written out and against chapters' needs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import ActivationStats, NeuroglotError, NeuronTypes, classify, detect
from neuroglot.counts.gathering import Gathered
from neuroglot.neurons.detection import Detection
from neuroglot.neurons.identification import keep_thresholds
from neuroglot.neurons.layers import half_profiles

CODES = ("en", "de", "ru")


def counted(seed=4, shards=1, layers=3, width=40):
    rng = np.random.default_rng(seed)
    rates = np.clip(rng.beta(0.4, 1.5, size=(layers, width, 3)) + rng.beta(0.5, 3, size=(layers, width, 1)), 0, 1)
    counts = rng.binomial(100, rates, size=(shards, layers, width, 3))
    texts = rng.normal(size=(layers, 3 * shards, width)).astype(np.float32)
    of = {"text_languages": np.tile(np.arange(3), shards), "text_shards": np.repeat(np.arange(shards), 3)}
    return ActivationStats(counts, np.full((shards, 3), 100), CODES, gathered=Gathered(maxima=texts, **of))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.9), st.floats(0.1, 0.9))
def test_the_best_of_any_language_are_selected_and_tau_says_where_they_are_active(seed, top_rate, quantile):
    rng = np.random.default_rng(seed)
    stats = counted(seed, layers=2, width=9)
    score = rng.integers(0, 4, size=stats.shape).astype(float)  # ties
    score[rng.random(stats.shape) < 0.4] = np.nan
    selected = rng.random(stats.shape) < 0.2
    found = Detection("other", CODES, score, selected)
    types = classify(stats, detector=found, top_rate=top_rate, quantile=quantile)
    best = {}
    for at in np.ndindex(2, 9):
        known = [value for value in score[at] if not np.isnan(value)]
        if known:
            best[at] = max(known)
    ranked = sorted(best, key=lambda at: (-best[at], at))[: round(top_rate * 18)]
    assert sorted(map(tuple, np.argwhere(types.selected))) == sorted(ranked)
    p = stats.probabilities()
    tau = sorted(p.ravel())[max(round(quantile * p.size), 1) - 1]
    assert types.tau == tau and (types.active == (p > tau)).all()
    assert all(types.score[at] == -value for at, value in best.items())
    worst = max((-value for value in best.values()), default=0)
    assert all(types.score[at] == worst for at in np.ndindex(2, 9) if at not in best)
    if selected.any() and not np.isnan(score[selected]).any():
        own = classify(stats, detector=found, activity="detector", quantile=quantile)
        assert (own.active == selected).all() and (own.n_languages == selected.sum(-1)).all()
        kinds = {0: "unclassified", 1: "specific", 2: "related", 3: "general"}
        assert (own.kind == np.vectorize(kinds.get)(selected.sum(-1))).all()


def test_by_name_it_is_what_is_detected():
    stats = counted()
    by_name, by_hand = (classify(stats, detector=one, top_rate=0.1) for one in ("lape", detect(stats, "lape")))
    assert by_name.detector == by_hand.detector == "lape" and by_name.lam is None and not by_name.solved
    assert (by_name.codes == by_hand.codes).all() and by_name.selected.sum() <= 12
    assert (by_name.codes != classify(stats, top_rate=0.1, lam=0.1).codes).any()


def test_they_are_saved_and_made_again_on_other_counts(tmp_path):
    stats, other = counted(), counted(5)
    types = classify(stats, detector="average-precision", top_rate=0.2, quantile=0.8)
    types.save(tmp_path / "types.safetensors")
    again = NeuronTypes.load(tmp_path / "types.safetensors")
    assert again.settings() == types.settings() and again.detector == "average-precision"
    assert again.arguments() == types.arguments() and (again.codes == types.codes).all()
    assert (classify(stats, **types.arguments()).codes == types.codes).all()
    kept = keep_thresholds(types, other)
    anew = classify(other, **types.arguments())
    assert (kept.selected == anew.selected).all() and kept.tau == types.tau != anew.tau
    assert (kept.active == (other.probabilities() > types.tau)).all()
    own = classify(stats, detector="lape", activity="detector")
    assert (keep_thresholds(own, other).active == classify(other, **own.arguments()).active).all()


def test_files_of_lambda_score_stay_as_they_were(tmp_path):
    types = classify(counted(), top_rate=0.2, lam=0.1)
    assert "detector" not in types.settings() and "detector" not in types.arguments()
    types.save(tmp_path / "types.safetensors")
    assert NeuronTypes.load(tmp_path / "types.safetensors").detector == "lambda-score"


def test_halves_are_classified_by_the_same_detector():
    stats = counted(shards=4)
    for name in ("lape", "average-precision"):
        types = classify(stats, detector=name, top_rate=0.2, quantile=0.8)
        assert len(half_profiles(stats, types, splits=2)) == 2 * 2 * 3 * 3
    both = stats.merged([0, 2])
    assert both.gathered.text_shards.tolist() == [0] * 6
    np.testing.assert_array_equal(both.gathered.maxima, stats.gathered.maxima[:, [0, 1, 2, 6, 7, 8]])
    assert stats.merged([0, 0]).gathered is None


def test_what_does_not_fit_is_refused():
    stats = counted()
    for given_, message in (
        ({"detector": "lape", "lam": 0.1}, "lam=0.1: only lambda-score has a lambda"),
        ({"detector": "none"}, "there is no method 'none'"),
        ({"detector": "plnd"}, "absolute"),
        ({"detector": "random"}, "detector='random'"),
        ({"activity": "detector"}, "detector='lambda-score': give another detector"),
        ({"detector": "lape", "activity": "both"}, "activity='both': use tau, detector"),
        ({"detector": detect(stats.select("en de"), "lape")}, "other neurons or languages"),
        ({"detector": "lape", "top_rate": 2}, "top_rate=2"),
    ):
        with pytest.raises(NeuroglotError, match=message):
            classify(stats, **given_)
    nothing = Detection("other", CODES, np.zeros(stats.shape), np.zeros(stats.shape, dtype=bool))
    with pytest.raises(NeuroglotError, match="'other' selects no neuron by itself"):
        classify(stats, detector=nothing, activity="detector")
    types = classify(stats, detector="lape")
    with pytest.raises(NeuroglotError, match="do not fit each other"):
        replace(types, detector="lambda-score")
