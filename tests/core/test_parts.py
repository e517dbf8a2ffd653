"""A part beside the rest, many contrasts at once, and words that set texts apart: against independent references."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tunesmith.core.statistics import (
    benjamini_hochberg,
    beside_rest,
    fisher_mid_p,
    group_codes,
    least_fisher_mid_p,
    log_odds,
    part_p_values,
)


def test_q_values_are_those_of_scipy():
    random = np.random.default_rng(1)
    for size in (1, 2, 7, 60):
        p_values = random.beta(0.5, 2, size).tolist()
        assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values))
    assert benjamini_hochberg([]) == []


@pytest.mark.parametrize("seed", range(5))
def test_fishers_mid_p_is_scipys_exact_p_less_half_of_what_was_seen(seed):
    random = np.random.default_rng(seed)
    for _ in range(40):
        n, other = (int(size) for size in random.integers(1, 40, 2))
        hits, other_hits = int(random.integers(0, n + 1)), int(random.integers(0, other + 1))
        exact = stats.fisher_exact([[hits, n - hits], [other_hits, other - other_hits]]).pvalue
        seen = stats.hypergeom.pmf(hits, n + other, hits + other_hits, n)
        assert fisher_mid_p(hits, n, other_hits, other) == pytest.approx(exact - seen / 2, abs=1e-9)


def test_the_least_p_value_is_the_least_of_all_tables():
    for hits, n, other in ((3, 5, 20), (10, 4, 9), (1, 3, 3), (25, 5, 20)):
        possible = range(max(0, hits - other), min(n, hits) + 1)
        assert least_fisher_mid_p(hits, n, other) == pytest.approx(
            min(fisher_mid_p(inside, n, hits - inside, other) for inside in possible)
        )


def test_the_difference_of_two_shares_has_newcombes_interval():
    # R. G. Newcombe, Stat. Med. 17 (1998) 873-890, table II, example (a), method 10: 56/70 less 48/80
    values = np.array([1.0] * 56 + [0.0] * 14 + [1.0] * 48 + [0.0] * 32)
    found = beside_rest(values, np.arange(150) < 70, np.arange(150), rate=True)
    assert (found.part, found.rest) == (0.8, 0.6)
    assert (round(found.around.low, 4), round(found.around.high, 4)) == (0.0524, 0.3339)


def test_scores_dealt_at_random_come_near_the_p_value_of_all_deals():
    values = np.array([0.1, 0.2, 0.35, 0.4, 0.8, 0.85, 0.9, 0.97])
    part = np.array([True, True, True, False, True, False, False, False])
    seen = abs(values[part].sum() - 4 * values.mean())
    deals = [abs(values[list(chosen)].sum() - 4 * values.mean()) for chosen in itertools.combinations(range(8), 4)]
    every = np.mean(np.array(deals) >= seen - 1e-9)
    (found,) = part_p_values(values, part[:, None], np.arange(8), rate=False)
    assert found == pytest.approx(every, abs=0.015)  # 10,000 deals: a standard error of 0.004


def test_groups_that_resemble_one_another_do_not_make_a_part_look_worse():
    """All of a customer's examples go alike: strangers' tests then see differences three times too often."""
    random = np.random.default_rng(7)
    naive, clustered, times = 0, 0, 400
    for _ in range(times):
        groups = np.repeat(np.arange(40), 6)
        values = np.repeat((random.random(40) < 0.8).astype(float), 6)
        part = np.isin(groups, random.choice(40, 12, replace=False))
        naive += part_p_values(values, part[:, None], np.arange(240), rate=True)[0] <= 0.05
        clustered += part_p_values(values, part[:, None], groups, rate=True)[0] <= 0.05
    assert naive / times > 0.15
    assert clustered / times < 0.075  # 5 %, and 2.3 standard errors of 400 tries


def test_a_part_that_cuts_through_groups_is_tested_within_them():
    random = np.random.default_rng(3)
    found = 0
    for _ in range(200):
        groups = np.repeat(np.arange(50), 4)
        values = (random.random(200) < 0.8).astype(float)
        found += part_p_values(values, (np.arange(200) % 4 == 0)[:, None], groups, rate=True)[0] <= 0.05
    assert found / 200 < 0.09
    values[np.arange(200) % 4 == 0] = 0.0
    assert part_p_values(values, (np.arange(200) % 4 == 0)[:, None], groups, rate=True)[0] < 1e-4
    found = beside_rest(values, np.arange(200) % 4 == 0, groups, rate=True)
    assert found.around.high < 0


def test_all_in_a_group_number_as_given():
    groups = group_codes(["a", "a", "b", "b", "c", "c"])
    found = beside_rest(np.array([1.0, 1, 0, 0, 1, 0]), np.array([True, True, False, False, False, False]), groups,
                        rate=True)  # fmt: skip
    assert (found.part, found.rest) == (1.0, 0.25)
    assert found.around_part == (0.0, 1.0)  # one group alone says nothing


def test_log_odds_are_those_of_the_paper():
    one, other = {"refund": 6, "the": 9}, {"refund": 1, "the": 60, "hello": 4}
    vocabulary = {*one, *other}
    weight = 15 / (15 + 65)
    prior = {word: (one.get(word, 0) + other.get(word, 0)) * weight for word in vocabulary}
    total = sum(prior.values())
    for word, z in log_odds(one, other).items():  # equations 16, 20 and 22, written out
        up = (one[word] + prior[word]) / (15 + total - one[word] - prior[word])
        down = (other[word] + prior[word]) / (65 + total - other[word] - prior[word])
        spread = 1 / (one[word] + prior[word]) + 1 / (other[word] + prior[word])
        assert z == pytest.approx((np.log(up) - np.log(down)) / np.sqrt(spread))
    assert log_odds({}, {"a": 1}) == {}
