import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import (
    Interval,
    Tally,
    bootstrap_interval,
    design_effect,
    examples_needed_for_bar,
    examples_needed_for_difference,
    group_codes,
    holm,
    mean_tally,
    tally_interval,
    wilson_interval,
    wilson_size,
)

ALONE_10 = group_codes([None] * 10)


def rate(right: int, n: int) -> Tally:
    return mean_tally(np.array([1.0] * right + [0.0] * (n - right)))


def test_eight_of_ten_match_the_wilson_interval_worked_by_hand():
    # centre (0.8 + 0.19208) / 1.38416 = 0.71674, half-width 0.31362 / 1.38416 = 0.22658
    assert wilson_interval(0.8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 1), (37, 120), (998, 1000)])
def test_wilson_agrees_with_scipy(right, n):
    from scipy.stats import binomtest

    theirs = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@given(st.floats(0, 1), st.floats(0.1, 1e7))
@settings(deadline=None)
def test_wilson_stays_in_range_and_holds_the_value(value, n):
    low, high = wilson_interval(value, n)
    assert 0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1


def test_no_example_has_no_interval():
    with pytest.raises(NothingToMeasure, match=r"A share of 0 examples has no interval\.\n  To mend it"):
        wilson_interval(0.5, 0)
    with pytest.raises(NothingToMeasure, match="No example can be measured"):
        tally_interval(mean_tally(np.zeros(0)), group_codes([]))


def test_a_share_above_one_is_refused():
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.2"):
        wilson_interval(1.2, 10)


@given(st.floats(0.01, 0.99), st.floats(1, 1e5))
@settings(deadline=None)
def test_the_worth_of_an_interval_is_the_n_it_was_made_with(value, n):
    interval = wilson_interval(value, n)
    clipped = interval.low == 0 or interval.high == 1
    assert clipped or wilson_size(value, interval) == pytest.approx(n, rel=1e-4)


def test_groups_are_numbered_and_none_is_a_group_each():
    assert group_codes(["b", None, "a", "b", None]).tolist() == [0, 1, 2, 0, 3]


def test_a_rate_of_strangers_gets_wilson_as_it_stands():
    assert tally_interval(rate(8, 10), ALONE_10, rate=True) == wilson_interval(0.8, 10)


def test_influence_of_a_mean_is_the_distance_from_it():
    values = np.array([0.1, 0.4, 0.7])
    assert mean_tally(values).influence() == pytest.approx(values - 0.4)


def test_influence_is_the_same_whatever_the_block_size():
    values = np.random.default_rng(0).random(9000)  # three blocks of 4,096
    assert mean_tally(values).influence() == pytest.approx(values - values.mean())


def test_leaving_out_the_only_example_that_counts_is_no_pull():
    one_of_two = Tally(np.array([[1.0, 1.0], [0.0, 0.0]]), mean_tally(np.zeros(1)).of)
    assert one_of_two.influence().tolist() == [0.0, 0.0]


def test_pairs_that_always_agree_count_once_each():
    # 10 groups of two that are right or wrong together. Sum of group pulls squared 2^2 * 10 * 0.16 = 6.4, as strangers
    # 20 * 0.16 = 3.2; the ratio 2 * (10/9) / (20/19) = 2.1111. Two groups hold the rarer answer; worst case 2:
    # (2.1111 * 2 + 2) / 3 = 2.0741
    right = np.repeat([1.0] * 8 + [0.0] * 2, 2)
    groups = np.repeat(np.arange(10), 2)
    assert design_effect(mean_tally(right).influence(), groups) == pytest.approx(2.0741, abs=1e-4)


def test_groups_that_hold_opposites_are_not_worth_more_than_strangers():
    # one right and one wrong in each of ten groups: seen as 1, drawn by a tenth of the way to 2: (1 * 10 + 2) / 11
    pulls = np.tile([0.5, -0.5], 10)
    assert design_effect(pulls, np.repeat(np.arange(10), 2)) == pytest.approx(12 / 11)


def test_strangers_have_no_design_effect():
    assert design_effect(np.array([0.3, -0.3]), group_codes([None, None])) == 1.0


def test_without_a_wrong_answer_groups_count_as_one_example_each():
    # two groups of three: sum of squares 18 over 6 examples
    groups = group_codes(["a"] * 3 + ["b"] * 3)
    assert design_effect(np.zeros(6), groups) == 3.0


def test_one_wrong_answer_never_raises_the_lower_end():
    groups = np.repeat(np.arange(30), 2)
    lows = [tally_interval(rate(60 - wrong, 60), groups, rate=True).low for wrong in range(6)]
    assert lows == sorted(lows, reverse=True)


def test_groups_widen_the_interval_of_a_rate():
    right = np.repeat([1.0] * 24 + [0.0] * 6, 2)
    alone = tally_interval(mean_tally(right), group_codes([None] * 60), rate=True)
    paired = tally_interval(mean_tally(right), np.repeat(np.arange(30), 2), rate=True)
    # half as many strangers: about the square root of two wider
    assert (paired.high - paired.low) / (alone.high - alone.low) == pytest.approx(math.sqrt(2), rel=0.08)


def test_one_group_alone_tells_nothing():
    groups = group_codes(["the only customer"] * 10)
    assert tally_interval(rate(9, 10), groups, rate=True) == Interval(0.0, 1.0)
    assert tally_interval(rate(9, 10), groups, top=100.0) == Interval(0.0, 100.0)


def test_a_perfect_mean_keeps_an_interval_with_room():
    # no spread to see: Wilson at 10 with Student's 2.26216 for 9 degrees: 1 / (1 + 2.26216^2 / 10) = 0.6615
    assert tally_interval(mean_tally(np.ones(10)), ALONE_10) == pytest.approx((0.6615, 1.0), abs=1e-4)


def test_rounding_near_the_top_does_not_make_an_interval_of_no_width():
    nearly = np.full(10, 1 - 1e-16)
    nearly[3] = 1 - 3e-16
    low, high = tally_interval(mean_tally(nearly), ALONE_10)
    assert (low, high) == pytest.approx((0.6615, 1.0), abs=1e-4)


def test_far_from_the_ends_the_interval_agrees_with_students():
    values = np.random.default_rng(4).beta(4, 6, 400)
    from scipy.stats import t

    low, high = t.interval(0.95, 399, loc=values.mean(), scale=values.std(ddof=1) / 20)
    mine = tally_interval(mean_tally(values), group_codes([None] * 400))
    assert mine == pytest.approx((low, high), abs=5e-4)


def test_the_unit_does_not_change_the_interval():
    values = np.random.default_rng(5).random(50)
    groups = np.arange(50) // 2
    low, high = tally_interval(mean_tally(values), groups)
    assert tally_interval(mean_tally(100 * values), groups, top=100.0) == pytest.approx((100 * low, 100 * high))


def test_the_bootstrap_agrees_with_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(8).exponential(size=15)  # skewed: the plain percentiles are 0.42 and 1.22
    theirs = bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(1))
    mine = bootstrap_interval(mean_tally(values), group_codes([None] * 15), resamples=20_000)
    # 0.473 and 1.364; both are draws, whose own seeds move them by up to 0.015
    assert mine == pytest.approx(tuple(theirs.confidence_interval), abs=0.03)


def test_the_bootstrap_draws_whole_groups():
    values = np.repeat(np.random.default_rng(7).random(40), 5)  # five copies of each: worth 40, not 200
    groups = np.repeat(np.arange(40), 5)
    one_each = bootstrap_interval(mean_tally(values[::5]), group_codes([None] * 40), method="percentile")
    assert bootstrap_interval(mean_tally(values), groups, method="percentile") == pytest.approx(one_each)


def test_the_bootstrap_is_repeated_by_its_seed():
    tally, groups = mean_tally(np.random.default_rng(8).random(30)), group_codes([None] * 30)
    assert bootstrap_interval(tally, groups, seed=3) == bootstrap_interval(tally, groups, seed=3)
    assert bootstrap_interval(tally, groups, seed=3) != bootstrap_interval(tally, groups, seed=4)


def test_one_group_cannot_be_resampled():
    with pytest.raises(NothingToMeasure, match="One group alone"):
        bootstrap_interval(mean_tally(np.ones(3)), group_codes(["a"] * 3))


def test_holm_steps_down_and_never_turns_back():
    # sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, then 0.04 * 1 raised to the 0.06 before it
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_examples_for_a_bar_match_the_formula_worked_by_hand():
    # (1.95996 * sqrt(0.85 * 0.15) + 0.84162 * sqrt(0.9 * 0.1)) / 0.05 = 19.0468; squared 362.78
    assert examples_needed_for_bar(0.90, 0.85) == 363


@pytest.mark.parametrize(("value", "bar"), [(0.9, 0.85), (0.7, 0.6), (0.97, 0.9), (0.8, 0.9)])
def test_with_the_examples_needed_four_tests_of_five_show_it(value, bar):
    from scipy.stats import binom

    n = examples_needed_for_bar(value, bar)
    intervals = [wilson_interval(k / n, n) for k in range(n + 1)]
    shown = [low >= bar if value > bar else high < bar for low, high in intervals]
    # counts are whole, so the exact power steps up and down round 0.8
    assert binom.pmf(np.arange(n + 1), n, value)[shown].sum() == pytest.approx(0.8, abs=0.045)


def test_no_number_of_examples_tells_a_value_from_itself():
    assert examples_needed_for_bar(0.8, 0.8) is None
    assert examples_needed_for_difference(0.0, 0.2) is None


def test_examples_for_a_difference_match_the_formula_worked_by_hand():
    # (1.95996 * sqrt(0.15) + 0.84162 * sqrt(0.15 - 0.0025)) / 0.05 = 21.646; squared 468.57
    assert examples_needed_for_difference(0.05, 0.15) == 469
    assert examples_needed_for_difference(-0.05, 0.15) == 469


def test_a_difference_larger_than_the_discordance_is_refused():
    with pytest.raises(ValueError, match=r"between the difference 0\.2 and 1, not 0\.1"):
        examples_needed_for_difference(0.2, 0.1)
    with pytest.raises(ValueError, match="power is at least"):
        examples_needed_for_difference(0.1, 0.2, power=1.0)
