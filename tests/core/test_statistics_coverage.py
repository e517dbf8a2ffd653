"""How often intervals hold the truth, and tests raise a false alarm, in simulated test sets. Seeded, so never flaky."""

import numpy as np
import pytest

from tunesmith.core.statistics import (
    Tally,
    bootstrap_interval,
    correlation,
    group_codes,
    mean_tally,
    paired_interval,
    swap_test,
    tally_interval,
)

PAIRS = np.repeat(np.arange(30), 2)
ALONE = group_codes([None] * 60)


TIMES = 1000
ENOUGH = 0.95 - 3 * (0.95 * 0.05 / TIMES) ** 0.5
"""95 % less three standard errors of the simulation: 0.929."""


def _held(draw, truth, times=TIMES):
    """Share of simulated sets whose interval holds the truth."""
    held = 0
    for seed in range(times):
        low, high = draw(np.random.default_rng(seed))
        held += low <= truth <= high
    return held / times


def _grouped_rate(random, rate, alike):
    """30 groups of two, right with ``rate``; ``alike`` is the correlation within a group."""
    share = random.beta(rate * (1 / alike - 1), (1 - rate) * (1 / alike - 1), 30)
    return mean_tally((random.random(60) < share[PAIRS]).astype(float))


@pytest.mark.parametrize(("rate", "alike"), [(0.7, 0.5), (0.9, 0.1), (0.9, 0.95), (0.97, 0.5)])
def test_the_interval_of_a_rate_in_groups_holds_the_truth(rate, alike):
    held = _held(lambda r: tally_interval(_grouped_rate(r, rate, alike), PAIRS, rate=True), rate)
    assert held >= ENOUGH


def test_the_bootstrap_of_a_rate_in_groups_does_not_near_the_top():
    """Why it is not what `tally_interval` does."""
    held = _held(lambda r: bootstrap_interval(_grouped_rate(r, 0.97, 0.5), PAIRS, resamples=500), 0.97, times=200)
    assert held < 0.85


def _mean_f1(sums):
    found, said, true = np.split(sums, 3, axis=-1)
    both = said + true
    return (2 * found / np.where(both > 0, both, 1)).sum(axis=-1) / np.maximum((both > 0).sum(axis=-1), 1)


def _macro_f1(truth, wrong, random):
    """Counts of a contender over three labels."""
    said = np.where(wrong, (truth + random.integers(1, 3, 60)) % 3, truth)
    counts = np.zeros((60, 9))
    counts[np.arange(60), 3 + said] = counts[np.arange(60), 6 + truth] = 1
    counts[np.arange(60), said] = said == truth
    return Tally(counts, _mean_f1)


def _drawn_f1(random, accuracy):
    return _macro_f1(random.integers(3, size=60), random.random(60) > accuracy, random)


@pytest.mark.parametrize("accuracy", [0.6, 0.85, 0.98])
def test_the_interval_of_macro_f1_holds_the_truth(accuracy):
    # balanced labels and even mistakes: the true macro F1 is the accuracy
    held = _held(lambda r: tally_interval(_drawn_f1(r, accuracy), ALONE), accuracy)
    assert held >= ENOUGH


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_the_bootstrap_of_macro_f1_does_not_near_the_top(method):
    held = _held(lambda r: bootstrap_interval(_drawn_f1(r, 0.98), ALONE, method=method, resamples=500), 0.98, times=200)
    assert held < 0.8


@pytest.mark.parametrize(("better", "worse"), [(0.6, 0.6), (0.95, 0.85)])
def test_the_interval_of_a_paired_difference_of_macro_f1_holds_the_truth(better, worse):
    def draw(random):
        truth, shared, own = random.integers(3, size=60), random.random(60), random.random(60)
        a = _macro_f1(truth, shared > better, random)
        b = _macro_f1(truth, np.where(random.random(60) < 0.5, shared, own) > worse, random)
        around_a, around_b = tally_interval(a, ALONE), tally_interval(b, ALONE)
        return paired_interval(
            a.value(), around_a, b.value(), around_b, correlation(a.influence(), b.influence(), ALONE)
        )

    assert _held(draw, better - worse) >= ENOUGH


def test_swapping_whole_groups_raises_no_more_false_alarms_than_it_says():
    alarms = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        share = random.beta(0.7, 0.3, (2, 30))  # two contenders equally good, each alike within a group
        a, b = (mean_tally((random.random(60) < s[PAIRS]).astype(float)) for s in share)
        alarms += swap_test(a, b, PAIRS, resamples=400, seed=seed) <= 0.05
    assert alarms / 300 <= 0.075  # 0.05 and two standard errors
