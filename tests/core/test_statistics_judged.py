import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.statistics import (
    Interval,
    Share,
    Ties,
    group_codes,
    prediction_powered,
    rogan_gladen,
    score_share,
    share_of,
    wilson_interval,
    with_halves,
)


def test_a_perfect_judge_is_believed():
    found = rogan_gladen(Share(0.8, 1000), true_positive=Share(1.0, 10_000), true_negative=Share(1.0, 10_000))
    assert found.value == pytest.approx(0.8)
    assert (found.low, found.high) == pytest.approx(wilson_interval(0.8, 1000), abs=0.002)


def test_the_rate_is_the_one_that_explains_what_was_judged():
    # 0.3 * 0.9 + 0.7 * (1 - 0.8) = 0.41
    found = rogan_gladen(Share(0.41, 1000), true_positive=Share(0.9, 100), true_negative=Share(0.8, 100))
    assert found.value == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert found.youden == pytest.approx(0.7)


@pytest.mark.parametrize("rates", [(0.5, 0.5), (0.9, 0.1), (0.6, 0.45), (0.2, 0.3)])
def test_a_judge_that_guesses_is_called_uninformative_and_gives_no_number(rates):
    found = rogan_gladen(Share(0.5, 1000), true_positive=Share(rates[0], 100), true_negative=Share(rates[1], 100))
    assert not found.informative
    assert found.value is None
    assert (found.low, found.high) == (0.0, 1.0)
    assert found.youden_low <= 0


@given(
    st.floats(0, 1), st.integers(1, 5000), st.floats(0, 1), st.integers(1, 300), st.floats(0, 1), st.integers(1, 300)
)
@settings(deadline=None)
def test_a_corrected_rate_lies_in_its_interval_and_that_in_the_range(judged, n, tpr, positives, tnr, negatives):
    found = rogan_gladen(Share(judged, n), true_positive=Share(tpr, positives), true_negative=Share(tnr, negatives))
    assert 0 <= found.low < found.high <= 1
    assert found.informative == (found.value is not None)
    if found.value is not None:
        assert found.low <= found.value <= found.high


def test_more_labels_narrow_the_interval():
    def width(n):
        found = rogan_gladen(Share(0.7, 1000), true_positive=Share(0.9, n), true_negative=Share(0.8, n))
        return found.high - found.low

    assert width(1000) < width(100) < width(30)


def test_without_labels_of_a_class_there_is_no_correction():
    with pytest.raises(NothingToMeasure, match="true negative"):
        rogan_gladen(Share(0.5, 10), true_positive=Share(0.9, 10), true_negative=Share(0.0, 0))
    with pytest.raises(NothingToMeasure, match="0 examples"):
        share_of(np.zeros(0))


def test_labels_of_one_customer_are_worth_less():
    values = np.repeat([1.0, 0.0, 1.0, 1.0], 10)
    assert share_of(values) == Share(0.75, 40)
    assert share_of(values, np.repeat(np.arange(4), 10)).n < 10


def _drawn(random, n, rate, tpr, tnr):
    y = (random.random(n) < rate).astype(float)
    return y, (random.random(n) < np.where(y > 0, tpr, 1 - tnr)).astype(float)


def test_power_tuning_is_the_published_weight():
    random = np.random.default_rng(0)
    y, f = _drawn(random, 1200, 0.7, 0.9, 0.8)
    found = prediction_powered(y[:200], f[:200], f[200:])
    # arXiv:2311.01453, section 6.1, for a mean: cov(y, f) / ((1 + n / N) var(f))
    weight = np.cov(y[:200], f[:200])[0, 1] / (1.2 * f.var())
    assert found.weight == pytest.approx(weight)
    assert found.value == pytest.approx(y[:200].mean() + weight * (f[200:].mean() - f[:200].mean()))
    assert found.worth > 200


def test_a_judge_that_guesses_adds_next_to_nothing_to_the_labels():
    random = np.random.default_rng(1)
    y, f = _drawn(random, 2200, 0.7, 0.5, 0.5)
    found = prediction_powered(y[:200], f[:200], f[200:])
    assert found.weight < 0.2
    low, high = wilson_interval(y[:200].mean(), 200)
    assert found.high - found.low == pytest.approx(high - low, rel=0.1)


def test_a_judge_without_a_fault_in_few_labels_is_not_taken_for_perfect():
    y = np.repeat([1.0, 0.0], 15)
    found = prediction_powered(y, y, np.repeat([1.0, 0.0], 5000))
    assert found.high - found.low > 0.05


def test_groups_widen_the_interval():
    random = np.random.default_rng(2)
    y, f = _drawn(random, 60, 0.6, 0.9, 0.9)
    y, f = np.repeat(y, 5), np.repeat(f, 5)
    groups = np.repeat(np.arange(60), 5)
    alone = prediction_powered(y[:100], f[:100], f[100:])
    together = prediction_powered(y[:100], f[:100], f[100:], groups)
    assert together.value == alone.value
    assert together.high - together.low > 1.5 * (alone.high - alone.low)


def test_scores_keep_their_unit_and_no_more_verdicts_leave_the_labels():
    labels = np.array([1.0, 5, 3, 4, 5, 2])
    found = prediction_powered(labels, labels, np.zeros(0), top=5)
    assert found.value == pytest.approx(labels.mean())
    assert found.weight == 0
    assert 0 <= found.low < found.value < found.high <= 5


def test_too_few_labels_are_refused():
    with pytest.raises(NothingToMeasure, match="label more"):
        prediction_powered(np.ones(1), np.ones(1), np.ones(9))
    with pytest.raises(NothingToMeasure, match="label more"):
        prediction_powered(np.ones(3), np.ones(3), np.ones(1), group_codes(["a", "a", "a", "b"]))


@pytest.mark.parametrize(("tpr", "tnr", "rate"), [(0.95, 0.8, 0.7), (0.9, 0.9, 0.95), (0.7, 0.7, 0.3)])
def test_both_corrections_hold_the_truth_and_a_believed_judge_does_not(tpr, tnr, rate):
    random, times, held = np.random.default_rng(5), 600, np.zeros(3)
    for _ in range(times):
        judged = random.binomial(1000, rate * tpr + (1 - rate) * (1 - tnr)) / 1000
        shares = Share(random.binomial(100, tpr) / 100, 100), Share(random.binomial(100, tnr) / 100, 100)
        one = rogan_gladen(Share(judged, 1000), true_positive=shares[0], true_negative=shares[1])
        y, f = _drawn(random, 1200, rate, tpr, tnr)
        two = prediction_powered(y[:200], f[:200], f[200:])
        naive = wilson_interval(judged, 1000)
        held += [low <= rate <= high for low, high in ((one.low, one.high), (two.low, two.high), naive)]
    assert held[0] / times >= 0.93 - 2 * 0.0105
    assert held[1] / times >= 0.93 - 2 * 0.0105
    assert held[2] / times < 0.7


def tied(share, mean, n=100):
    return Ties(Share(share, n), Share(mean, max(1.0, share * n)))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_however_many_ties_a_judge_that_is_fair_to_them_gives_the_same_win_rate(share):
    # wins 0.7: 0.7 - h / 2 prefer the first, 0.3 - h / 2 the second; the judge's means: 0.9, on ties 0.5, and 0.1
    judged = (0.7 - share / 2) * 0.9 + share * 0.5 + (0.3 - share / 2) * 0.1
    rates = {"true_positive": Share(0.9, 100), "true_negative": Share(0.9, 100)}
    assert rogan_gladen(Share(judged, 1000), **rates).value == pytest.approx(0.7)
    assert rogan_gladen(Share(judged, 1000), **rates, ties=tied(0.3, 0.5)).value == pytest.approx(0.7)


def test_what_a_judge_makes_of_ties_is_taken_from_what_it_says():
    # half way between 0.9 and 0.2 is 0.55; on ties its mean is 0.75, so it gives 0.4 x 0.2 = 0.08 too much
    judged = 0.4 * 0.9 + 0.4 * 0.75 + 0.2 * 0.2
    rates = {"true_positive": Share(0.9, 100), "true_negative": Share(0.8, 100)}
    assert rogan_gladen(Share(judged, 1000), **rates).value == pytest.approx(0.6 + 0.08 / 0.7)
    found = rogan_gladen(Share(judged, 1000), **rates, ties=tied(0.4, 0.75, 300))
    assert found.value == pytest.approx(0.6)
    assert found.low < 0.6 < found.high


def test_few_ties_that_were_compared_widen_the_interval():
    rates = {"true_positive": Share(0.9, 100), "true_negative": Share(0.9, 100)}
    few, many = (rogan_gladen(Share(0.6, 1000), **rates, ties=Ties(Share(0.3, 300), Share(0.5, n))) for n in (5, 5000))
    assert few.high - few.low > many.high - many.low


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=60))
@settings(deadline=None)
def test_scores_of_yes_and_no_alone_are_a_share(values):
    found, plain = score_share(np.array(values)), share_of(np.array(values))
    assert (found.value, found.n) == (plain.value, pytest.approx(plain.n))


def test_ties_spread_less_and_are_worth_more_examples_but_are_no_certainty():
    # with a 0 and a 1 more: 40 ties and 31 of either end, mean 0.5, mean square 62 x 0.25 / 102
    found = score_share(np.array([0.5] * 40 + [0.0, 1.0] * 30))
    assert found == (0.5, pytest.approx(100 * 0.25 / (62 * 0.25 / 102)))
    assert wilson_interval(*score_share(np.full(100, 0.5))).low < 0.49
    alike = score_share(np.array([0.5] * 40 + [0.0, 1.0] * 30), group_codes([f"g{n // 10}" for n in range(100)]))
    assert alike.n < found.n


def test_pairs_of_the_same_text_are_ties_that_draw_the_rate_to_one_half():
    known = np.array([1.0] * 20 + [0.0] * 80)
    value, (low, high) = with_halves(0.8, Interval(0.7, 0.88), known, group_codes([None] * 100))
    # 0.2 x 0.5 + 0.8 x 0.8; 0.8 x 0.1 and 1.96 x 0.3 x sqrt(0.2 x 0.8 / 100) = 0.02352 below it
    assert value == pytest.approx(0.74)
    assert low == pytest.approx(0.74 - np.hypot(0.08, 0.02352), abs=1e-4)
    assert high == pytest.approx(0.74 + np.hypot(0.064, 0.02352), abs=1e-4)
    none = with_halves(0.8, Interval(0.7, 0.88), np.zeros(50), group_codes([None] * 50))
    assert none == (0.8, pytest.approx((0.7, 0.88)))
