"""Intervals against arithmetic by hand, and how often they cover."""

import numpy as np
import pandas as pd
import pytest

from neuroglot.base.uncertainty import (
    bootstrap_draws,
    bootstrap_mean,
    bootstrap_weights,
    dealt_anew,
    percentiles,
    percentiles_by,
    prediction_interval,
    ratios,
)


def test_weights_are_draws_with_replacement():
    weights = bootstrap_weights(5, 4000, 1)
    assert (weights.sum(axis=1) == 5).all() and weights.min() == 0
    assert weights.mean(axis=0) == pytest.approx(np.ones(5), abs=0.06) and weights.var() == pytest.approx(0.8, abs=0.05)
    assert np.array_equal(weights, bootstrap_weights(5, 4000, 1))
    assert not np.array_equal(weights, bootstrap_weights(5, 4000, 2))


def test_ratios_add_up_units_first():
    sums = np.array([[[1.0, 2, 3], [4, 0, 5]], [[np.nan, 1, 1], [0, 0, 6]]])
    sizes = np.array([[2, 2, 4], [1, 0, 9]])
    np.testing.assert_allclose(ratios(sums, sizes), [[6 / 8, 9 / 10], [np.nan, 6 / 10]])
    weights = np.array([[0.0, 3, 0], [1, 1, 1], [2, 0, 1]])
    expected = [
        [[6 / 6, np.nan], [np.nan, np.nan]],
        [[6 / 8, 9 / 10], [np.nan, 6 / 10]],
        [[5 / 8, 13 / 11], [np.nan, 6 / 11]],
    ]
    np.testing.assert_allclose(ratios(sums, sizes, weights), expected)


def test_percentiles_leave_out_what_is_no_number():
    replicates = np.stack([np.arange(101.0), np.full(101, np.nan), np.where(np.arange(101) < 51, np.nan, 7.0)], axis=1)
    low, high = percentiles(replicates, 0.9)
    np.testing.assert_allclose(low, [5, np.nan, 7])
    np.testing.assert_allclose(high, [95, np.nan, 7])
    assert percentiles(np.arange(101.0), 0.5) == (25, 75)


def test_prediction_interval_by_hand():
    low, high = prediction_interval(np.array([[1.0, 5, 2], [2, 5, np.nan], [6, 5, np.nan]]))
    # mean 3, s = sqrt(7), t(2, 0.975) = 4.302653: half = t * s * sqrt(4/3)
    half = 4.302653 * np.sqrt(7) * np.sqrt(4 / 3)
    np.testing.assert_allclose([low[0], high[0]], [3 - half, 3 + half], rtol=1e-6)
    assert low[1] == high[1] == 5 and np.isnan(low[2]) and np.isnan(high[2])
    assert np.isnan(prediction_interval(np.zeros((0, 2)))[0]).all()


@pytest.mark.parametrize("draws", [3, 10])
def test_prediction_intervals_cover_as_often_as_they_say(draws):
    values = np.random.default_rng(0).normal(2, 3, size=(draws + 1, 20_000))
    low, high = prediction_interval(values[:-1], 0.9)
    assert ((low <= values[-1]) & (values[-1] <= high)).mean() == pytest.approx(0.9, abs=0.01)


def test_draws_are_the_same_from_the_same_seed_and_none_from_one_unit():
    rng = np.random.default_rng(3)
    expected = [rng.integers(5, size=5).tolist() for _ in range(4)]
    assert [draw.tolist() for draw in bootstrap_draws(5, 4, 3)] == expected
    assert bootstrap_draws(1, 4, 3) == []


def test_the_interval_of_a_mean_is_that_of_means_of_draws():
    values = np.array([0.0, 0.5, 1.0, 1.0, 0.25])
    rng = np.random.default_rng(7)
    means = [values[row].mean() for row in rng.integers(5, size=(200, 5))]
    assert bootstrap_mean(values, 200, np.random.default_rng(7), 0.9) == tuple(np.quantile(means, [0.05, 0.95]))
    assert np.isnan(bootstrap_mean(np.append(values, np.nan), 200, np.random.default_rng(7))).any()


def test_percentiles_by_groups_are_those_of_each_group():
    rows = pd.DataFrame({"layer": [1, 0] * 50, "kind": "x", "neurons": np.arange(100.0) ** 2})
    found = percentiles_by(rows, ["layer", "kind"], "neurons", 0.8)
    assert list(found.columns) == ["layer", "kind", "low", "high"] and found["layer"].tolist() == [0, 1]
    for layer, mine in rows.groupby("layer"):
        assert found.loc[layer, ["low", "high"]].tolist() == pytest.approx(np.quantile(mine["neurons"], [0.1, 0.9]))


def test_groups_dealt_anew_by_hand():
    values = np.array([5.0, 6.0, 0.0, 1.0])
    apart = lambda groups: abs(values[groups == groups[0]].mean() - values[groups != groups[0]].mean())  # noqa: E731
    # Of the three ways to halve four units only this one sets them as far apart.
    assert dealt_anew(np.array([0, 0, 1, 1]), apart, most=3) == 1 / 3
    drawn = dealt_anew(np.array([0, 0, 1, 1]), apart, most=2, seed=1)
    rng = np.random.default_rng(1)
    hits = sum(apart(rng.permutation([0, 0, 1, 1])) > 5 - 1e-12 for _ in range(2))
    assert drawn == (hits + 1) / 3
