"""A judge of pairs beside people: its rates, what moves it, the win rate that follows; figures worked by hand."""

import numpy as np
import pytest

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.judged_pairs import PairCalibration, PairLabel
from tunesmith.core.judging import Attacks, Criterion, Judge
from tunesmith.evaluation.judge.biases import Compared
from tunesmith.evaluation.judge.config import JudgeConfig
from tunesmith.evaluation.judge.gate import all_of, may_choose
from tunesmith.evaluation.judge.pairs import Beside, pair_length_bias, pair_rates, pair_self_preference
from tunesmith.evaluation.judge.win_rate import Contest, by_errors, by_labels

JUDGE = Judge(model="m", model_hash="h", criteria=(Criterion(name="tone"),))
TURNED = {"first": "second", "second": "first", "tie": "tie", None: None}
VOTES = {"first": (1, 0, 0), "second": (0, 1, 0), "tie": (0, 0, 1)}


def pair(number, people, judge, *, turned="same", texts=("one", "other"), votes=None, group=None):
    """What people say of a pair beside what the judge says of it, as it stands and turned round."""
    label = PairLabel(
        example=f"e{number}", contenders=("aa", "bb"), texts=texts, votes=votes or VOTES[people]
    )  # fmt: skip
    other = TURNED[judge] if turned == "same" else turned
    return Beside(label, Compared(judge, other, label.prefers, group or f"e{number}"))


def table(**counts):
    """So many pairs of each kind: `first_tie=3` are three where people say first and the judge a tie."""
    kinds = [tuple(kind.split("_")) for kind, count in counts.items() for _ in range(count)]
    return [pair(n, *kind) for n, kind in enumerate(kinds)]


def rates_of(rows):
    return pair_rates(("tuned", "prompt"), rows)


def test_rates_kappa_and_the_constant_judge_match_those_worked_by_hand():
    rates = rates_of(table(first_first=30, first_second=5, first_tie=5, second_second=18, second_first=2, tie_tie=20))
    # a tie counts one half: (30 + 2.5) / 40
    assert rates.true_positive_rate.value == pytest.approx(0.8125)
    assert rates.true_negative_rate.value == pytest.approx(0.9)
    assert rates.tied.value == 0.5
    assert rates.informedness.value == pytest.approx(0.7125)
    # agreement 68 / 80; people 40, 20, 20 and the judge 32, 23, 25 of 80: chance (40 x 32 + 20 x 23 + 20 x 25) / 6400
    assert (rates.agreement.value, rates.constant.value, rates.constant_choice) == (0.85, 0.5, "first")
    assert rates.kappa.value == pytest.approx((0.85 - 0.35) / (1 - 0.35))
    assert (rates.people.value, rates.judged.value) == ((40 + 10) / 80, (32 + 12.5) / 80)
    assert rates.table["first"] == {"first": 30, "second": 5, "tie": 5}


def test_orders_that_contradict_one_another_are_a_tie_and_half_a_verdict_is_none():
    rows = [pair(n, "first", "first", turned="first") for n in range(8)]
    rates = rates_of([*rows, pair(8, "first", "first", turned=None), pair(9, "second", None)])
    assert (rates.pairs, rates.unreadable, rates.true_positive_rate.value) == (8, 2, 0.5)
    assert rates.true_negative_rate is None
    assert "where people prefer prompt" in rates.reasons["true_negative_rate"]


def test_a_judge_that_takes_one_contenders_side_agrees_often_and_tells_nothing():
    rates = rates_of(table(first_first=90, second_first=10))
    assert rates.agreement.value == rates.constant.value == 0.9
    assert rates.informedness.value == 0
    assert rates.informedness.low < 0 < rates.informedness.high
    assert rates.kappa.value == pytest.approx(0, abs=1e-9)
    found = by_errors([Contest(f"g{n}", 1.0) for n in range(200)], rates)
    assert (found.value, found.low, found.high, found.informative) == (None, 0, 1, False)


def test_a_dispute_is_nobodys_error():
    rows = table(first_first=10, second_second=10)
    split = [pair(50 + n, "tie", "first", votes=(2, 2, 1)) for n in range(5)]
    rates = rates_of([*rows, *split])
    assert (rates.said("disputed"), rates.said("tie"), rates.agreement.n, rates.agreement.value) == (5, 0, 20, 1)
    assert (rates.tied.value, rates.tied.n) == (1, 5)  # what the judge makes of them counts in a win rate
    assert [PairLabel(example="e", contenders=("a", "b"), texts=("", ""), votes=v).prefers for v in (
        (2, 1, 0), (1, 2, 9), (0, 0, 3), (1, 1, 0)
    )] == ["first", "second", "tie", "tie"]  # fmt: skip


def test_pairs_of_one_group_are_worth_less_than_strangers():
    def rows(groups):
        return [pair(n, "first", "first" if n < 20 else "second", group=f"g{n % groups}") for n in range(40)]

    alike = [pair(n, "first", "first" if n < 20 else "second", group=f"g{n // 10}") for n in range(40)]
    assert rates_of(alike).worth[0] < 10 < rates_of(rows(40)).worth[0] == 40


def test_what_a_judge_likes_in_length_is_measured_against_people():
    # in 20 pairs the first is longer; people are of two minds, the judge takes the longer: 1 - 0.5
    liking = [pair(n, ("first", "second")[n % 2], "first", texts=("long long", "short")) for n in range(20)]
    assert pair_length_bias(liking).value == pytest.approx(0.5)
    assert pair_length_bias(liking).low > 0
    turned = [pair(n, ("first", "second")[n % 2], "second", texts=("short", "long long")) for n in range(20)]
    assert pair_length_bias(turned).value == pytest.approx(0.5)
    fair = [pair(n, p, p, texts=("long long", "short")) for n, p in enumerate(["first", "second"] * 10)]
    found = pair_length_bias(fair)
    assert found.low < 0 == found.value < found.high
    with pytest.raises(NothingToMeasure, match="0 of 3 compared pairs have a longer answer"):
        pair_length_bias([pair(n, "first", "first", texts=("same", "size")) for n in range(3)])


def test_what_a_judge_likes_of_its_own_model_is_measured_against_people():
    rows = [pair(n, "first", "second") for n in range(10)]
    assert pair_self_preference(rows, frozenset({"bb"})).value == 1
    assert pair_self_preference(rows, frozenset({"aa"})).value == -1
    with pytest.raises(NothingToMeasure, match="0 of 10"):
        pair_self_preference(rows, frozenset({"aa", "bb"}))


RATES = rates_of(table(first_first=90, first_second=10, second_second=80, second_first=20))


def contests(wins, losses, ties=0, identical=0, people=None):
    scores = [1.0] * wins + [0.0] * losses + [0.5] * ties
    made = [Contest(f"g{n}", score, people=people(n, score) if people else None) for n, score in enumerate(scores)]
    return [*made, *(Contest(f"i{n}", 0.5, identical=True) for n in range(identical))]


def test_a_win_rate_is_corrected_by_hand_and_the_other_way_round():
    found = by_errors(contests(410, 590), RATES)
    # 0.3 x 0.9 + 0.7 x 0.2 = 0.41
    assert (found.value, found.n, found.labels) == (pytest.approx(0.3), 1000, 200)
    assert found.low < 0.3 < found.high
    back = by_errors(contests(590, 410), RATES, turned=True)
    assert (back.value, back.low, back.high) == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low))


def test_the_same_text_twice_is_a_tie_by_whoever_judges():
    found = by_errors(contests(410, 590, identical=1000), RATES)
    assert (found.value, found.n) == (pytest.approx((0.3 + 0.5) / 2), 2000)


def test_what_people_said_of_these_very_pairs_needs_no_fair_judge():
    random = np.random.default_rng(0)
    prefers = random.choice([1.0, 0.5, 0.0], size=1000, p=[0.6, 0.2, 0.2])

    def one_sided(n, score):
        return float(prefers[n]) if n < 200 else None

    found = by_labels(contests(1000, 0, people=one_sided))
    assert (found.value, found.informative, found.labels) == (pytest.approx(prefers[:200].mean()), False, 200)
    keen = [Contest(f"g{n}", float(prefers[n]), people=float(prefers[n]) if n < 200 else None) for n in range(1000)]
    sharp = by_labels(keen)
    assert sharp.value == pytest.approx(prefers.mean(), abs=0.01)
    assert sharp.worth > 500 > found.worth
    with pytest.raises(NothingToMeasure, match="compared 9 of these pairs: 10 are needed"):
        by_labels(contests(20, 0, people=lambda n, score: 1.0 if n < 9 else None))


def test_pairs_without_a_verdict_have_no_win_rate():
    with pytest.raises(NothingToMeasure, match="No pair of different answers has a verdict"):
        by_errors([Contest("g", None), Contest("h", 0.5, identical=True)], RATES)


HELD = Attacks(tried=40, turned=0)


def calibration(rows, *, judge=JUDGE, attacks=HELD):
    return PairCalibration(judge=judge, rates=(rates_of(rows),), attacks=attacks)


def test_a_judge_of_pairs_that_does_well_may_choose_between_these_two_in_either_order():
    made = calibration(table(first_first=45, first_second=5, second_second=45, second_first=5))
    gates = [may_choose(JUDGE, made, JudgeConfig(), *both) for both in (("aa", "bb"), ("bb", "aa"))]
    assert all(gate.may for gate in gates)
    assert "100 compared pairs of tuned and prompt" in gates[0].because[0]
    other = may_choose(JUDGE, made, JudgeConfig(), "aa", "cc")
    assert not other.may
    assert all_of([gates[0], other]).because == other.because
    assert all_of(gates).may
    assert not all_of([]).may


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (None, "judge calibrate --ratings"),
        (calibration(table(first_first=90, second_second=10)), "in only 10 pairs that have a verdict"),
        (calibration(table(first_first=50, second_first=50)), "uninformative"),
        (calibration(table(first_first=30, first_second=20, second_second=30, second_first=20)), "its kappa is 0.20"),
        (calibration([*table(first_first=45, second_second=45), *(pair(200 + n, "first", None) for n in range(10))]),
         "10 of 100 compared pairs have no verdict"),
        (calibration(table(first_first=50, second_second=50), attacks=None), "no answer that people liked less"),
        (calibration(table(first_first=50, second_second=50), attacks=Attacks(tried=40, turned=3)), "3 times of 40"),
        (calibration(table(first_first=38, first_second=12, second_second=38, second_first=12)),
         "compared pairs more would show it"),
        (calibration(table(first_first=50, second_second=50), attacks=Attacks(tried=25, turned=0)),
         "label as many more answers that people liked less"),
        (calibration(table(first_first=50), judge=Judge(model="m", model_hash="i", criteria=JUDGE.criteria)), "model"),
    ],
)  # fmt: skip
def test_any_other_may_not_and_says_why(made, reason):
    gate = may_choose(JUDGE, made, JudgeConfig(), "aa", "bb")
    assert not gate.may
    assert any(reason in because for because in gate.because)
