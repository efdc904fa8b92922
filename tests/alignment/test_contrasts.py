"""A change less its control's, over text and trainings, against arithmetic by hand."""

import numpy as np
import pytest
from scipy import stats

from neuroglot.alignment.contrasts import MARGIN, contrasts, judge, over_trainings
from neuroglot.base.uncertainty import Estimate, mean_of


def of_units(units):
    """``[models, rows]`` and how sure its sums are, from ``[units, models, rows]``."""
    return units.mean(axis=0), lambda weights: mean_of(np.einsum("m,umr->ur", weights, units))


def test_text_that_moves_all_models_alike_is_gone():
    rng = np.random.default_rng(0)
    text = rng.normal(0, 100, size=(8, 1, 2))  # what every model has of a shard
    units = 1000 + text + rng.normal(0, 1, size=(8, 3, 2)) + np.array([[0, 0], [-20, 5], [-2, 5]])
    values, sure = of_units(units)
    found = contrasts(values, 1, sure, "ab")
    assert found["change"] == pytest.approx(values[1] - values[0]) and found["null"] == pytest.approx(
        values[2] - values[0]
    )
    own = stats.ttest_rel(units[:, 1], units[:, 2])
    low, high = own.confidence_interval()
    assert found["contrast_low"] == pytest.approx(low) and found["contrast_high"] == pytest.approx(high)
    assert found["verdict"].tolist() == ["less", "not told apart"], "the control changes the second as much"
    assert found["high"][0] < -10 and found["low"][1] > 0, "and both change, against the model before"
    alone = contrasts(values[:2], 1, lambda w: sure(np.append(w, 0)), "ab")
    assert np.isnan(alone["null"]).all() and np.isnan(alone["contrast_low"]).all()
    assert alone["verdict"].tolist() == ["less", "more"] and alone["detectable"] == pytest.approx(
        sure(np.array([-1.0, 1, 0])).detectable()
    )


def test_the_papers_change_is_seen_where_text_is_noisy():
    """-4.8 % of 1,000, where another half of the text moves the number itself by a tenth."""
    rng = np.random.default_rng(1)
    text = rng.normal(0, 100 * np.sqrt(20), size=(20, 1, 1))
    units = 1000 + text + rng.normal(0, 20, size=(20, 3, 1)) + np.array([[0.0], [-48], [0]])
    values, sure = of_units(units)
    assert contrasts(values, 1, sure, "a")["verdict"].tolist() == ["less"]
    unpaired = mean_of(units[:, 0]).interval()
    assert unpaired[1] - unpaired[0] > 96, "the noise of the number itself would hide it"


def test_verdicts_over_trainings_cover_another_training():
    """Three trainings of each kind on one text: hits of the true contrast, another text and other trainings drawn."""
    rng = np.random.default_rng(2)
    hits, alone = [], []
    for _ in range(300):
        seeds = rng.normal(0, 3, size=(1, 7, 20))
        seeds[:, 0] = 0
        truth = np.array([0, 5, 5, 5, 1, 1, 1])[:, None]
        units = 100 + truth + seeds + rng.normal(0, 4, size=(12, 7, 20))
        values, sure = of_units(units)
        found = contrasts(values, 3, sure, ["a"] * 20)
        assert (found["trainings"] == 3).all()
        hits.append((found["contrast_low"] <= 4) & (found["contrast_high"] >= 4))
        low, high = sure(np.array([0, 1, 1, 1, -1, -1, -1]) / 3).interval()
        alone.append((low <= 4) & (high >= 4))
    assert 0.93 <= np.mean(hits) <= 0.99 and np.mean(alone) < 0.7, "of the text alone it is far too sure"


def test_few_or_unequal_trainings_say_nothing_of_trainings():
    units = np.random.default_rng(3).normal(size=(8, 7, 2))
    values, sure = of_units(units)
    full = lambda rows: lambda w: sure(np.bincount(rows, w, 7))  # noqa: E731
    for rows, trainings in (([0, 1, 2, 4, 5], 2), ([0, 1, 2, 3, 4], 3), ([0, 1], 1)):
        found = contrasts(values[rows], trainings, full(rows), "ab")
        assert (found["trainings"] == 1).all(), rows
    found = contrasts(values[[0, 1, 2, 3, 4]], 3, full([0, 1, 2, 3, 4]), "ab")
    low, _ = sure(np.array([0, 1 / 3, 1 / 3, 1 / 3, -1, 0, 0])).interval()
    assert found["contrast_low"] == pytest.approx(low), "of the text alone"
    assert (contrasts(values[:4], 3, full([0, 1, 2, 3]), "ab")["trainings"] == 3).all(), "three and no control"


def test_both_errors_by_hand():
    text = Estimate(np.array([2.0]), np.array([0.3]), np.array([10.0]))
    each = np.array([[1.0], [2.0], [3.0]])
    found = over_trainings(text, each)
    assert found.value[0] == 2 and found.error[0] == pytest.approx(np.sqrt(0.09 + 1 / 3))
    assert found.df[0] == pytest.approx((0.09 + 1 / 3) ** 2 / (0.09**2 / 10 + (1 / 3) ** 2 / 2))
    assert np.isnan(over_trainings(text, np.ones((3, 1))).error[0]), "trainings that all agree tell nothing of others"


def test_no_change_is_claimed_only_within_the_margin():
    sure = Estimate(np.array([5.0, 5.0, 30.0, -60.0, 0.0]), np.array([10.0, 30.0, 10.0, 10.0, 1.0]), np.full(5, 50.0))
    before = np.array([1000.0, 1000, 1000, 1000, 0])
    said = judge(sure, before, ["a"] * 5, MARGIN)
    assert said.tolist() == ["alike", "not told apart", "more", "less", "not told apart"]
    assert judge(sure, before, ["a"] * 5, None).tolist()[0] == "not told apart"


def test_families_are_judged_by_themselves():
    estimate = Estimate(np.array([2.2] * 1 + [0.1] * 39), np.ones(40), np.full(40, 1000.0))
    assert judge(estimate, np.ones(40), ["a"] * 40, None)[0] == "not told apart", "one of forty"
    assert judge(estimate, np.ones(40), ["a", *["b"] * 39], None)[0] == "more"
