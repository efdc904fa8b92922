"""Intervals against arithmetic by hand, and how often they cover."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from neuroglot.base.uncertainty import (
    ALIKE,
    LESS,
    MORE,
    SAME,
    Estimate,
    change_of_shares,
    dealt_anew,
    dealt_to_languages,
    effective_number,
    half_sampled,
    halves,
    jackknife,
    leave_one_out,
    mean_of,
    paired_p,
    ratios,
    share_interval,
    together,
    verdict_words,
    verdicts,
)

from . import coverage


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


def test_groups_dealt_anew_by_hand():
    values = np.array([5.0, 6.0, 0.0, 1.0])
    apart = lambda groups: abs(values[groups == groups[0]].mean() - values[groups != groups[0]].mean())  # noqa: E731
    # Of the three ways to halve four units only this one sets them as far apart.
    assert dealt_anew(np.array([0, 0, 1, 1]), apart, most=3) == 1 / 3
    drawn = dealt_anew(np.array([0, 0, 1, 1]), apart, most=2, seed=1)
    rng = np.random.default_rng(1)
    hits = sum(apart(rng.permutation([0, 0, 1, 1])) > 5 - 1e-12 for _ in range(2))
    assert drawn == (hits + 1) / 3


# --- estimates ---------------------------------------------------------------------------------


def test_the_mean_of_units_is_that_of_a_t_test():
    values = np.random.default_rng(0).normal([0.5, 0, -2], [1, 1, 3], size=(7, 3))
    values[2, 1] = np.nan
    found = mean_of(values)
    for column in range(3):
        known = values[~np.isnan(values[:, column]), column]
        test = stats.ttest_1samp(known, 0)
        assert found.value[column] == pytest.approx(known.mean())
        assert found.p()[column] == pytest.approx(test.pvalue)
        low, high = test.confidence_interval(0.9)
        assert [end[column] for end in found.interval(0.9)] == pytest.approx([low, high])


def test_few_units_and_units_that_agree_have_no_interval():
    values = np.array([[1.0, 2, np.nan, 5], [2, 2, np.nan, 5], [4, 2, np.nan, np.nan], [5, 2, 3, 9]])
    low, high = mean_of(values).interval()
    assert np.isnan([low[1:], high[1:]]).all() and low[0] < 3 < high[0]
    assert np.isnan(mean_of(values[:3]).interval()[0]).all() and not np.isnan(mean_of(values[:3], 3).interval()[0][0])
    sums, sizes = np.array([2.0, 4, 6]), np.array([1.0, 2, 3])
    for units in (3, 1):  # a ratio that is the same in all, and too few
        again = ratios(sums[None, None, :units], sizes[None, :units], leave_one_out(units))[:, 0, 0]
        assert np.isnan(jackknife(2.0, again).interval()).all()


def test_the_jackknife_leaves_out_each_unit_that_is_there():
    sums, sizes = np.array([3.0, 1, 4, 1, 5, 9]), np.array([2.0, 1, 3, 0, 2, 7])
    present = sizes > 0
    again = ratios(sums[None, None] * present, sizes[None], leave_one_out(6))[:, 0, 0]
    found = jackknife((sums * present).sum() / sizes.sum(), again, present)
    by_hand = [(22 - s) / (15 - z) for s, z in zip(sums[present], sizes[present], strict=True)]
    error = np.sqrt(((np.array(by_hand) - np.mean(by_hand)) ** 2).sum())
    assert found.error == pytest.approx(error) and found.df == 3
    low, high = found.interval()
    assert [low, high] == pytest.approx([22 / 15 - 3.182446 * error, 22 / 15 + 3.182446 * error])


def test_what_is_detectable_is_found_as_often_as_said():
    rng, n = np.random.default_rng(0), 9
    true = Estimate(0.0, 1 / np.sqrt(n), n - 1)  # of a mean of n normal units
    values = rng.normal(true.detectable(), 1, size=(n, 20_000))
    assert (mean_of(values).p() < 0.05).mean() == pytest.approx(0.8, abs=0.02)


def test_scatter_of_random_draws_by_hand():
    own = Estimate(np.array([2.0, 4, 3]), 0.5, 10)
    draws = np.array([[1.0, 1, np.nan], [2, np.nan, np.nan], [6, np.nan, np.nan]])
    found = own.scattered(draws)
    np.testing.assert_array_equal(found.value, own.value)
    other = 7 * (1 + 1 / 3)  # the draws' variance is 7
    assert found.error[0] == pytest.approx(np.sqrt(0.25 + other)) and np.isnan(found.error[1:]).all()
    df = (0.25 + other) ** 2 / (0.25**2 / 10 + other**2 / 2)
    assert found.df[0] == pytest.approx(df) and df < 4
    many = own.scattered(np.zeros((3, 3)))  # draws that agree add nothing, and say little
    assert many.error[0] == 0.5 and many.df[0] == 4


def test_a_share_has_an_exact_interval():
    low, high = share_interval([0.25, 1, 0, 0.5, np.nan], [8, 12, 12, 3, 9])
    for place, (hits, number) in enumerate([(2, 8), (12, 12), (0, 12)]):
        exact = stats.binomtest(hits, number).proportion_ci()
        assert [low[place], high[place]] == pytest.approx([exact.low, exact.high])
    assert np.isnan([low[3:], high[3:]]).all()


def test_the_effective_number_is_that_of_tokens_where_they_are_independent_and_of_units_where_they_agree():
    rng = np.random.default_rng(0)
    sizes = np.full((4000, 20), 50)
    alone = effective_number(rng.binomial(50, 0.3, size=sizes.shape), sizes)
    assert alone.max() == 1000 and 600 < np.median(alone) < 1000  # less for (z / t)^2 and the conservative jackknife
    together = effective_number(np.where(rng.random(sizes.shape) < 0.3, 50, 0), sizes)
    assert 10 < np.median(together) < 20
    assert effective_number(np.zeros(20), np.full(20, 50)) == 20 and np.isnan(effective_number([1, 2], [3, 3]))


def test_a_change_of_shares_has_two_units_more():
    after, before = np.array([1.0, 0, 2, 1]), np.array([1.0, 1, 2, 0])
    sizes = np.array([1.0, 1, 2, 0])
    assert np.isnan(change_of_shares(after, before, sizes).interval()).all()  # three units
    sizes[3] = 1
    found = change_of_shares(after, np.array([1.0, 1, 2, 1]), sizes)
    assert found.value == pytest.approx(-1 / 5) and found.middle == pytest.approx(-1 / 7.5) and found.df == 4
    nothing = change_of_shares(np.ones(12), np.ones(12), np.ones(12))
    low, high = nothing.interval()
    assert nothing.value == 0 and -0.4 < low < -0.1 and high == -low
    assert change_of_shares(np.zeros(4), np.ones(4), np.ones(4)).interval()[0] == -1  # and no further


def test_paired_differences_have_an_exact_test():
    assert paired_p(np.array([1.0] * 8 + [0] * 5 + [-1])) == pytest.approx(stats.binomtest(8, 9).pvalue)
    assert paired_p(np.array([0.5, 1, 1.5, 2, 3])) == pytest.approx(2 / 32)
    assert paired_p(np.zeros(5)) == 1 and np.isnan(paired_p(np.array([np.nan])))


def test_verdicts_control_the_false_discoveries_of_all_together():
    found = Estimate(np.array([3.0, -3, 2.1, np.nan, 0.01, 0.1]), np.array([1, 1, 1, 1, 0.02, 0.2]), 1e6)
    assert list(verdicts(found)) == [MORE, LESS, SAME, None, SAME, SAME]  # 2.1 alone would be told apart
    assert list(verdicts(found, margin=0.1)) == [MORE, LESS, SAME, None, ALIKE, SAME]
    assert verdicts(Estimate(np.array([2.1]), np.array([1.0]), 1e6))[0] == MORE
    assert list(verdicts(found, p=np.array([1, 1, 1e-9, np.nan, 1, 1]))) == [SAME, SAME, MORE, None, SAME, SAME]
    none = np.random.default_rng(0).normal(size=(8, 400, 50))
    assert np.mean([(verdicts(mean_of(none[:, row])) != SAME).any() for row in range(400)]) == pytest.approx(
        0.05, abs=0.025
    )


def test_several_estimates_are_judged_as_one():
    parts = [Estimate(-2.1, 1.0, 1e6), change_of_shares(np.zeros(12), np.ones(12), np.ones(12)), Estimate(0.1, 0.2, 9)]
    found = together(parts)
    for end in range(2):
        assert found.interval()[end].tolist() == [float(one.interval()[end]) for one in parts]
    assert list(verdicts(found)) == [SAME, LESS, SAME]
    assert verdict_words(pd.Series([MORE, None, np.nan])).tolist() == [MORE, "not known", "not known"]


def test_sets_are_dealt_to_the_languages():
    assert dealt_to_languages(np.eye(4)) == (pytest.approx(1), pytest.approx(1 / 24))
    matrix = np.eye(5) + 1
    matrix[2] = np.nan  # a language without neurons
    assert dealt_to_languages(matrix) == (pytest.approx(1), pytest.approx(1 / 24))
    assert np.isnan(dealt_to_languages(np.eye(1))).all()
    noise = np.random.default_rng(0).normal(size=(300, 8, 8))
    ps = np.array([dealt_to_languages(each, 200)[1] for each in noise])
    assert (ps <= 0.1).mean() == pytest.approx(0.1, abs=0.04)


@pytest.mark.parametrize("kind", coverage.KINDS)
def test_every_kind_of_interval_holds_as_often_as_it_says(kind):
    found = {n: coverage.of(kind, n) for n in coverage.SIZES if n >= coverage.KINDS[kind][1]}
    assert min(found.values()) > 0.93, found


def test_halves_are_surer_of_what_moves_in_steps_than_leaving_one_out():
    """Of 40 neurons, those that fire at more than half of a language's tokens: the errors beside the scatter."""
    rng = np.random.default_rng(0)
    counts = rng.normal(rng.normal(0, 1, size=(40, 1, 1)), 3, size=(40, 500, 20))
    above = lambda shards: (counts[..., shards].mean(axis=-1) > 0).sum(axis=0).astype(float)  # noqa: E731
    value = above(np.arange(20))
    split = np.array([above(half) for pair in halves(20, 25) for half in pair])
    found, scatter = half_sampled(value, split, 20), value.std()
    assert found.error.mean() == pytest.approx(scatter, rel=0.15) and found.df[0] == 9
    assert found.error[0] == pytest.approx(split[:, 0].std() * np.sqrt(20 / 19)) and found.value[0] == value[0]
    without = np.array([above(np.delete(np.arange(20), i)) for i in range(20)])
    assert jackknife(value, without).error.mean() > 2 * scatter
    few = half_sampled(np.array([1.0, 2]), np.array([[1.0, 2], [3, 2]]), 9)
    assert few.error[0] == pytest.approx(np.sqrt(9 / 8)) and np.isnan(few.error[1]), "all agree on the second"
    assert np.isnan(half_sampled(np.ones(2), np.array([[1.0, 2], [3, 4]]), 7).error).all(), "of seven units"
