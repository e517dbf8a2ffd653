"""Bradley-Terry strengths against closed forms, another optimizer, and simulated truth."""

import math

import numpy as np
import pytest

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import bradley_terry


def fit(names, counts):
    """From {(i, j): (wins of i, wins of j)}."""
    pairs, won = [], []
    for pair, (one, other) in counts.items():
        pairs += [pair] * (one + other)
        won += [1.0] * one + [0.0] * other
    return bradley_terry(names, pairs, np.array(won), np.arange(len(pairs)))


def test_two_contenders_are_apart_by_the_log_odds_of_the_win_rate():
    made = fit("ab", {("a", "b"): (30, 10)})
    assert made["a"].value - made["b"].value == pytest.approx(math.log(3))
    # the sandwich of a mean-only logistic fit: variance of the log odds 1 / (n p q), here times n / (n - 1), and half
    # of it for each end's distance from their mean
    half = 2.0227 * math.sqrt(40 / 39 / (40 * 0.75 * 0.25)) / 2
    assert made["a"].high - made["a"].value == pytest.approx(half, rel=1e-3)


def test_three_contenders_equal_what_a_general_optimizer_finds():
    from scipy.optimize import minimize

    counts = {("a", "b"): (14, 6), ("b", "c"): (9, 11), ("a", "c"): (13, 8)}

    def loss(free):
        s = dict(zip("abc", [*free, -sum(free)], strict=True))
        return sum(
            one * math.log1p(math.exp(s[j] - s[i])) + other * math.log1p(math.exp(s[i] - s[j]))
            for (i, j), (one, other) in counts.items()
        )

    best = minimize(loss, [0.0, 0.0], tol=1e-12).x
    made = fit("abc", counts)
    assert [made["a"].value, made["b"].value] == pytest.approx(list(best), abs=1e-5)
    assert sum(made[name].value for name in "abc") == pytest.approx(0)


def test_all_ties_leave_nobody_stronger():
    pairs = [("a", "b"), ("b", "c"), ("a", "c")] * 5
    made = bradley_terry("abc", pairs, np.full(15, 0.5), np.arange(15) // 3)
    assert [made[name].value for name in "abc"] == pytest.approx([0, 0, 0])


def test_a_weight_of_two_is_the_same_comparison_twice_in_its_group():
    pairs = [("a", "b"), ("b", "c"), ("a", "c"), ("b", "a")] * 5
    won, groups, weights = np.tile([1.0, 0.5, 1.0, 1.0], 5), np.arange(20) // 2, np.tile([2, 1, 1, 2], 5)
    made = bradley_terry("abc", pairs, won, groups, weights.astype(float))
    twice = [n for n, weight in enumerate(weights) for _ in range(weight)]
    written_out = bradley_terry("abc", [pairs[n] for n in twice], won[twice], groups[twice])
    for name in "abc":
        assert (made[name].value, made[name].low) == pytest.approx((written_out[name].value, written_out[name].low))


def test_one_that_never_lost_has_no_finite_strength():
    with pytest.raises(NothingToMeasure, match="a never lost"):
        fit("abc", {("a", "b"): (5, 0), ("b", "c"): (3, 2), ("a", "c"): (4, 0)})
    with pytest.raises(NothingToMeasure, match="never compared"):
        fit("abc", {("a", "b"): (5, 3)})
    with pytest.raises(NothingToMeasure, match="at least two groups"):
        bradley_terry("ab", [("a", "b")], np.array([1.0]), np.array([0]))


def test_intervals_hold_the_truth_also_where_ratings_of_one_example_resemble_each_other():
    # 300 repetitions of 60 examples, each with all three pairs and a leaning of its own towards one contender
    random, held = np.random.default_rng(5), 0
    truth = np.array([0.6, 0.0, -0.6])
    pairs = [(0, 1), (1, 2), (0, 2)] * 60
    groups = np.arange(180) // 3
    for _ in range(300):
        leaning = np.repeat(random.normal(0, 0.5, (60, 3)), 3, axis=0)
        apart = [truth[i] + row[i] - truth[j] - row[j] for (i, j), row in zip(pairs, leaning, strict=True)]
        won = (random.random(180) < 1 / (1 + np.exp(-np.array(apart)))).astype(float)
        made = bradley_terry([0, 1, 2], pairs, won, groups)
        # what is estimated is the marginal strength, drawn a little towards 0 by the leanings: of the middle one 0
        held += made[1].low <= 0 <= made[1].high
    assert 0.92 <= held / 300 <= 0.98
