"""The least loss that is said to be seen is seen four times of five."""

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.core.statistics import (
    examples_needed_for_difference,
    mcnemar,
    smallest_difference_seen,
    smallest_loss_seen,
)


@pytest.mark.parametrize("level", [0.05, 0.0125])
@pytest.mark.parametrize(("n", "gained"), [(500, 0), (500, 10), (500, 40), (100, 5), (80, 0)])
def test_a_loss_of_the_size_told_is_seen_four_times_of_five(n, gained, level):
    loss = smallest_loss_seen(n, gained, level=level)
    random, back = np.random.default_rng(0), gained / n
    draws = random.multinomial(n, [back + loss, back, 1 - 2 * back - loss], size=2000)
    seen = np.mean([mcnemar(int(won), int(lost)) <= level for lost, won, _ in draws])
    assert 0.75 <= seen <= 0.93  # few discordant pairs: the test's steps are coarse


def test_the_least_loss_is_that_for_which_so_many_examples_are_needed():
    loss = smallest_loss_seen(469, 23)
    assert examples_needed_for_difference(loss, 2 * 23 / 469 + loss) == pytest.approx(469, abs=1)


def test_a_few_examples_see_nothing_short_of_all():
    assert smallest_loss_seen(3, 0) == 1.0


def test_a_difference_of_the_size_told_is_seen_four_times_of_five():
    random, n = np.random.default_rng(0), 30
    least = smallest_difference_seen(1 / np.sqrt(n), n - 1)
    drawn = random.normal(least, 1, size=(4000, n))
    from scipy.stats import ttest_1samp

    assert 0.78 <= np.mean(ttest_1samp(drawn, 0, axis=1).pvalue <= 0.05) <= 0.83
