import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import label_ranking_average_precision_score, ndcg_score

from tunesmith.core.errors import NothingToMeasure
from tunesmith.evaluation.ranking import RANKING_METRICS, Hits, compare_rankings, hits, measure_rankings

FOUND = hits(["x", "a", "y", "a", "b", "z"], frozenset("abc"))


def test_a_thing_counts_at_its_best_place_and_once():
    assert Hits((2, 5), 3) == FOUND


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("mrr", 1 / 2),
        ("hit@1", 0),
        ("hit@3", 1),
        ("recall@1", 0),
        ("recall@3", 1 / 3),
        ("recall@5", 2 / 3),
        # places 2 and 5 gain 1 / log2(3) + 1 / log2(6) = 1.017783; three at best 1 + 0.630930 + 0.5 = 2.130930
        ("ndcg@10", 0.477624),
    ],
)
def test_metrics_worked_by_hand(metric, value):
    assert RANKING_METRICS[metric](FOUND) == pytest.approx(value, abs=1e-6)


def test_what_was_not_found_scores_0_and_all_on_top_scores_1():
    nothing, best = hits(["x"], frozenset("a")), hits(["a", "b"], frozenset("ab"))
    assert {of(nothing) for of in RANKING_METRICS.values()} == {0}
    assert {RANKING_METRICS[name](best) for name in RANKING_METRICS if name != "recall@1"} == {1}
    assert RANKING_METRICS["recall@1"](best) == 1 / 2


def test_a_query_without_anything_relevant_has_no_score():
    with pytest.raises(NothingToMeasure, match="To mend it"):
        hits(["a"], frozenset())
    with pytest.raises(NothingToMeasure):
        measure_rankings([], [])
    with pytest.raises(NothingToMeasure):
        compare_rankings([], [], [], "mrr", ("a", "b"))


@given(st.permutations(range(12)), st.sets(st.integers(0, 11), min_size=1, max_size=11), st.integers(1, 12))
def test_metrics_are_those_of_scikit_learn(order, relevant, listed):
    found = hits([str(n) for n in order[:listed]], frozenset(map(str, relevant)))
    scores = np.zeros((1, 12))
    scores[0, list(order)] = range(12, 0, -1)
    if listed >= 10:
        truth = np.array([[float(n in relevant) for n in range(12)]])
        assert RANKING_METRICS["ndcg@10"](found) == pytest.approx(ndcg_score(truth, scores, k=10))
    first = next(n for n in order if n in relevant)
    alone = np.array([[float(n == first) for n in range(12)]])  # of one relevant thing it is the reciprocal rank
    rank = label_ranking_average_precision_score(alone, scores) if first in order[:listed] else 0
    assert RANKING_METRICS["mrr"](found) == pytest.approx(rank)
    for k in (1, 3, 5, 10):
        top = set(order[: min(k, listed)]) & relevant
        assert RANKING_METRICS[f"recall@{k}"](found) == pytest.approx(len(top) / len(relevant))
        assert RANKING_METRICS[f"hit@{k}"](found) == bool(top)


GOOD, BAD = Hits((1,), 1), Hits((4,), 1)


def test_means_have_intervals_that_know_of_groups():
    found = [GOOD, BAD] * 20
    strangers = measure_rankings(found, [None] * 40)["mrr"]
    resembling = measure_rankings(found, [str(n // 4) for n in range(40)])["mrr"]
    assert strangers.value == resembling.value == pytest.approx((1 + 1 / 4) / 2)
    assert strangers.low < strangers.value < strangers.high
    assert strangers.n == 40
    pure = measure_rankings([GOOD] * 20 + [BAD] * 20, [str(n // 10) for n in range(40)])["mrr"]
    assert pure.high - pure.low > 1.5 * (strangers.high - strangers.low)


def test_two_ways_are_compared_query_by_query():
    found = compare_rankings([GOOD] * 30, [GOOD] * 18 + [BAD] * 12, [None] * 30, "mrr", ("hybrid", "dense"))
    assert found.difference == pytest.approx(12 * 0.75 / 30)
    assert found.low < found.difference < found.high
    assert (found.wins, found.losses, found.n, found.a, found.b) == (12, 0, 30, "hybrid", "dense")
    assert found.p_value == pytest.approx(2 / 2**12)  # of all swaps of 12 queries that differ, two are as far apart
    same = compare_rankings([GOOD, BAD] * 9, [GOOD, BAD] * 9, [None] * 18, "hit@3", ("a", "b"))
    assert (same.difference, same.p_value) == (0, 1)
    assert same.low < 0 < same.high  # ways that agree on 18 queries may differ on others
