import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.statistics import (
    correlation,
    group_codes,
    mcnemar,
    mean_tally,
    paired_interval,
    phi,
    swap_test,
    wilson_interval,
)


@pytest.mark.parametrize(("wins", "losses"), [(7, 1), (1, 7), (12, 12), (0, 3), (40, 22), (500, 430)])
def test_exact_mcnemar_is_the_binomial_test(wins, losses):
    from scipy.stats import binomtest

    assert mcnemar(wins, losses, mid_p=False) == pytest.approx(binomtest(wins, wins + losses).pvalue)


def test_mid_p_gives_half_its_weight_to_what_was_seen():
    # seven to one: exact 2 * (1 + 8) / 256 = 0.0703; less P(1) = 8 / 256 makes 0.0391, as in Fagerland et al. (2013)
    assert mcnemar(1, 7) == pytest.approx(0.0390625)


def test_nothing_discordant_is_no_evidence():
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0


@given(st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None)
def test_mid_p_lies_in_range_below_the_exact_p_and_knows_no_sides(wins, losses):
    assert 0 < mcnemar(wins, losses) <= mcnemar(wins, losses, mid_p=False) <= 1
    assert mcnemar(wins, losses) == mcnemar(losses, wins)


def newcombe(both: int, only_a: int, only_b: int, neither: int):
    n = both + only_a + only_b + neither
    a, b = (both + only_a) / n, (both + only_b) / n
    return paired_interval(a, wilson_interval(a, n), b, wilson_interval(b, n), phi(both, only_a, only_b, neither))


def test_the_interval_is_newcombes_in_the_published_example():
    # airway reactivity, Bentur et al. (2009), as worked in Fagerland et al. (2014), table V: -0.507 to -0.026
    assert newcombe(1, 1, 7, 12) == pytest.approx((-0.507, -0.026), abs=5e-4)


def test_the_interval_of_equal_answers_has_room_on_both_sides():
    low, high = newcombe(80, 0, 0, 20)
    assert low == pytest.approx(-high)
    assert 0 < high < 0.05


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
@settings(deadline=None)
def test_newcombes_interval_turns_round_with_its_sides(both, only_a, only_b, neither):
    if both + only_a + only_b + neither == 0:
        return
    low, high = newcombe(both, only_a, only_b, neither)
    assert newcombe(both, only_b, only_a, neither) == pytest.approx((-high, -low))
    assert -1 <= low <= high <= 1
    assert -1 <= phi(both, only_a, only_b, neither) <= 1


def test_agreement_is_drawn_back_by_two_over_n():
    pull = np.array([0.5, -0.5, 0.5, -0.5])
    alone = group_codes([None] * 4)
    assert correlation(pull, pull, alone) == pytest.approx(1 - 2 / 4)
    assert correlation(pull, -pull, alone) == pytest.approx(-1)
    assert correlation(np.zeros(4), pull, alone) == 0.0


def test_all_swaps_are_tried_where_they_are_few():
    # a better on three examples of five: only none or all three swapped is as large, 2 of 2^3
    a, b = np.array([1.0, 1, 1, 0, 1]), np.array([0.0, 0, 0, 0, 1])
    assert swap_test(mean_tally(a), mean_tally(b), group_codes([None] * 5)) == 0.25


def test_a_group_is_swapped_whole():
    # the same three wins within one group are one piece of evidence: 2 of 2 ways
    a, b = np.array([1.0, 1, 1, 0, 1]), np.array([0.0, 0, 0, 0, 1])
    assert swap_test(mean_tally(a), mean_tally(b), group_codes(["x", "x", "x", None, None])) == 1.0


def test_equal_answers_are_no_evidence():
    answers = mean_tally(np.array([0.2, 0.9]))
    assert swap_test(answers, answers, group_codes([None, None])) == 1.0


def test_random_swaps_agree_with_the_exact_test():
    # 40 wins, 22 losses among 100: 2^62 swaps are not tried; the exact McNemar p is what all of them would give
    right_a = np.array([1.0] * 40 + [0.0] * 22 + [1.0] * 38)
    right_b = np.array([0.0] * 40 + [1.0] * 22 + [1.0] * 38)
    p = swap_test(mean_tally(right_a), mean_tally(right_b), group_codes([None] * 100), resamples=20_000)
    assert p == pytest.approx(mcnemar(40, 22, mid_p=False), abs=0.005)  # standard error 0.0013


def test_swaps_are_repeated_by_their_seed():
    random = np.random.default_rng(0)
    a, b, alone = mean_tally(random.random(60)), mean_tally(random.random(60)), group_codes([None] * 60)
    assert swap_test(a, b, alone, resamples=1000, seed=1) == swap_test(a, b, alone, resamples=1000, seed=1)


def test_the_swap_test_agrees_with_scipys_permutation_test():
    from scipy.stats import permutation_test

    random = np.random.default_rng(2)
    a = random.random(40)
    b = np.clip(a - 0.05 + random.normal(0, 0.15, 40), 0, 1)
    theirs = permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(3),
    )
    mine = swap_test(mean_tally(a), mean_tally(b), group_codes([None] * 40), resamples=20_000)
    assert mine == pytest.approx(theirs.pvalue, abs=0.012)  # two draws, standard error 0.0035 each at most
