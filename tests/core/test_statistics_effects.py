import math

import numpy as np
import pytest

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import (
    best_of,
    clopper_pearson,
    cohen_h,
    cross_validated_interval,
    discordant_odds_ratio,
    group_codes,
    mean_tally,
    resampled_difference,
    standardized_difference,
    swap_test,
)


@pytest.mark.parametrize(("hits", "n"), [(8, 10), (0, 5), (7, 7), (120, 300)])
def test_clopper_pearson_is_scipys_exact_interval(hits, n):
    from scipy.stats import binomtest

    theirs = binomtest(hits, n).proportion_ci(method="exact")
    assert clopper_pearson(hits, n) == pytest.approx((theirs.low, theirs.high))


def test_no_example_has_no_exact_interval():
    with pytest.raises(NothingToMeasure, match="To mend it"):
        clopper_pearson(0, 0)


def test_the_odds_ratio_of_discordant_pairs_knows_where_it_is_unbounded():
    assert discordant_odds_ratio(0, 0) is None
    only_wins = discordant_odds_ratio(6, 0)
    assert (only_wins.value, only_wins.high) == (None, None)
    # of 6 wins in 6 the exact interval begins at 0.025 ** (1 / 6) = 0.5407, which is odds of 1.177
    assert only_wins.low == pytest.approx(1.177, abs=1e-3)
    assert discordant_odds_ratio(4, 10).value == pytest.approx(0.4)


def test_effect_sizes_by_hand():
    assert cohen_h(1.0, 0.0) == pytest.approx(math.pi)
    assert cohen_h(0.3, 0.6) == -cohen_h(0.6, 0.3)
    assert standardized_difference(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)
    assert standardized_difference(np.array([0.5, 0.5])) is None


def test_the_best_of_tries_is_the_mean_of_the_largest_of_as_many_normal_numbers():
    random = np.random.default_rng(0)
    for tries in (2, 5, 20):
        assert best_of(tries) == pytest.approx(random.normal(size=(200_000, tries)).max(axis=1).mean(), abs=0.03)


def test_mid_p_of_swaps_of_strangers_is_that_of_mcnemar():
    # wins 7, losses 1, tried in full: P(7 or 8 of one kind) both ways less half of P(7) both ways = 0.0390625
    a = np.array([1.0] * 7 + [0.0] + [1.0] * 4)
    b = np.array([0.0] * 7 + [1.0] + [1.0] * 4)
    alone = group_codes([None] * 12)
    assert swap_test(mean_tally(a), mean_tally(b), alone, mid_p=True) == pytest.approx(0.0390625)
    assert swap_test(mean_tally(a), mean_tally(b), alone) == pytest.approx(0.0703125)


def test_the_corrected_resampled_t_by_hand():
    # two folds: mean 0.1, variance 0.02 between them, times 1/2 + 1/1
    difference, low, high, p = resampled_difference(np.array([[0.0, 0.2]]))
    assert (difference, (low + high) / 2) == pytest.approx((0.1, 0.1))
    assert (high - low) / 2 == pytest.approx(12.7062 * math.sqrt(0.02 * 1.5), rel=1e-4)
    assert 0.5 < p < 1
    # three such repeats: the variance is 0.012 times 1/6 + 1/1, and the quantile still that of two folds
    _, low, high, _ = resampled_difference(np.array([[0.0, 0.2]] * 3))
    assert (high - low) / 2 == pytest.approx(12.7062 * math.sqrt(0.012 * 7 / 6), rel=1e-4)


@pytest.mark.parametrize("same", [0.0, 0.1, -0.25])
def test_folds_that_all_differ_alike_prove_nothing(same):
    with pytest.raises(NothingToMeasure, match="in each of 15 folds"):
        resampled_difference(np.full((3, 5), same))


def test_a_cross_validated_interval_of_a_score_that_may_be_below_0_goes_below_it():
    low, high = cross_validated_interval(np.zeros((10, 5)), 0.0, 40, bottom=-1.0)
    assert low == pytest.approx(-high) and -1 < low < -0.2
    share = cross_validated_interval(np.full((10, 5), 0.5), 0.5, 40)
    assert (low + 1) / 2 == pytest.approx(share.low)


def test_a_cross_validated_interval_never_counts_an_example_twice():
    # no fold has a fault: as many successes as there are groups, however often they were scored
    low, high = cross_validated_interval(np.ones((10, 5)), 1.0, 40)
    assert high == 1.0
    assert low == pytest.approx(40 / (40 + 2.0096**2), abs=1e-3)  # Wilson's at 1, Student's quantile for 49 degrees
    with pytest.raises(NothingToMeasure, match="two folds"):
        cross_validated_interval(np.ones((3, 1)), 1.0, 40)
