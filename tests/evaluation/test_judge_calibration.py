"""A judge's errors, biases and the gate, against figures worked by hand."""

import re

import pytest

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.judging import OVERALL, Attacks, Calibration, Criterion, HumanLabel, Judge, Verdict
from tunesmith.evaluation.judge.biases import Attacked, Compared, attacks_of, length_bias, position_of, self_preference
from tunesmith.evaluation.judge.calibration import AS_REFERENCE, Labelled, agreed, rates_by_criterion, rates_of
from tunesmith.evaluation.judge.config import JudgeConfig
from tunesmith.evaluation.judge.gate import may_gate

JUDGE = Judge(model="m", model_hash="h", criteria=(Criterion(name="tone"), Criterion(name="truth")))


def pair(number, people, judge, *, criterion="tone", text="words", model=None, group=None):
    """One label beside a verdict; ``judge`` None: there is no verdict."""
    passed = {} if judge is None else {"tone": judge, "truth": judge}
    label = HumanLabel(example=f"e{number}", text=text, criterion=criterion, passes=people, model=model)
    return Labelled(label, Verdict(judge="j", example=f"e{number}", said="s", passed=passed), group or f"e{number}")


def table(tp, fn, tn, fp):
    """So many labels of each kind."""
    kinds = [(True, True)] * tp + [(True, False)] * fn + [(False, False)] * tn + [(False, True)] * fp
    return [pair(n, *kind) for n, kind in enumerate(kinds)]


def test_rates_kappa_and_the_constant_judge_match_those_worked_by_hand():
    rates = rates_of(table(36, 4, 32, 8))
    # Wilson of 36 of 40: centre (0.9 + 0.048018) / 1.096036 = 0.864952, half-width 0.095469
    found = rates.true_positive_rate
    assert (found.value, found.low, found.high) == pytest.approx((0.9, 0.76948, 0.96042), abs=1e-4)
    assert rates.true_negative_rate.value == 0.8
    # agreement 68 / 80; the judge passes 44 of 80, people 40: chance 0.5 x 0.55 + 0.5 x 0.45 = 0.5
    assert rates.kappa.value == pytest.approx((0.85 - 0.5) / 0.5)
    assert (rates.agreement.value, rates.constant.value) == (0.85, 0.5)
    assert rates.informedness.value == pytest.approx(0.7)
    assert 0.5 < rates.informedness.low < 0.7 < rates.informedness.high < 0.85


def test_a_judge_that_always_passes_is_no_better_than_the_constant_one():
    rates = rates_of(table(70, 0, 0, 10))
    assert rates.agreement.value == rates.constant.value == 0.875
    assert rates.constant_label == "pass"
    assert rates.informedness.value == 0
    assert rates.informedness.low < 0 < rates.informedness.high
    assert rates.kappa.value == pytest.approx(0, abs=1e-9)


def test_an_answer_without_a_verdict_counts_nowhere_else():
    rates = rates_of([*table(9, 1, 8, 2), pair(90, True, None), pair(91, False, None)])
    assert (rates.labels, rates.unreadable, rates.true_positive_rate.n) == (20, 2, 10)


def test_one_class_only_leaves_the_other_rate_and_kappa_unmeasured():
    rates = rates_of(table(10, 0, 0, 0))
    assert rates.true_positive_rate.value == 1
    assert rates.true_negative_rate is None
    assert {"true_negative_rate", "informedness", "kappa"} <= rates.reasons.keys()


def test_no_label_at_all_has_no_number():
    rates = rates_of([pair(1, True, None)])
    assert (rates.agreement, rates.kappa, rates.constant, rates.labels) == (None, None, None, 0)


def test_answers_of_one_group_are_worth_less_than_strangers():
    alike = [pair(n, True, n < 20, group=f"g{n // 10}") for n in range(40)]
    strangers = [pair(n, True, n < 20) for n in range(40)]
    assert rates_of(alike).worth[0] < 10 < rates_of(strangers).worth[0] == 40
    wide, narrow = rates_of(alike).true_positive_rate, rates_of(strangers).true_positive_rate
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_raters_are_counted_and_a_draw_is_left_out():
    def label(example, passes, rater):
        return HumanLabel(example=example, text="x", criterion="tone", passes=passes, rater=rater)

    three = [label("a", True, "1"), label("a", False, "2"), label("a", True, "3")]
    kept, disputed = agreed([*three, label("b", True, "1"), label("b", False, "2")])
    assert [(k.example, k.passes) for k in kept] == [("a", True)]
    assert disputed == 1


def test_a_rater_who_labels_an_answer_again_counts_once_as_they_said_last():
    def label(passes, rater):
        return HumanLabel(example="e", text="t", criterion="tone", passes=passes, rater=rater)

    ann = [label(True, "ann")]
    twice = [label(False, "bob"), label(False, "bob")]
    assert agreed([*ann, *twice]) == ([], 1)  # one against one, however often bob says it
    kept, disputed = agreed([label(False, "ann"), *ann, label(True, "cyd"), *twice])
    assert ([one.passes for one in kept], disputed) == ([True], 0)
    kept, _ = agreed([*(label(False, "") for _ in range(2)), *ann])  # without names they are two people
    assert [one.passes for one in kept] == [False]


def test_labels_by_every_criterion_make_one_of_the_whole():
    both = [pair(n, n % 2 == 0, n % 2 == 0, criterion=c) for n in range(8) for c in ("tone", "truth")]
    one = [pair(50, True, True, criterion="tone")]
    found = rates_by_criterion([*both, *one], JUDGE.names)
    assert (found["tone"].labels, found["truth"].labels, found[OVERALL].labels) == (9, 8, 8)


def test_a_judge_that_likes_length_shows_it_and_a_fair_one_does_not():
    liking = [pair(n, n % 2 == 0, n % 2 == 0 or n % 4 == 1, text="w" * (9 if n % 4 < 2 else 3)) for n in range(80)]
    # of the long ones (n % 4 in 0, 1) people pass half and the judge all: + 0.5; the short ones are judged right: 0
    found = length_bias(liking)
    assert found.value == pytest.approx(0.5)
    assert found.low > 0.2
    fair = [pair(n, n % 2 == 0, n % 2 == 0, text="w" * (9 if n % 4 < 2 else 3)) for n in range(80)]
    assert length_bias(fair).low < 0 == length_bias(fair).value < length_bias(fair).high


def test_self_preference_needs_answers_of_both_kinds():
    rows = [pair(n, False, n % 2 == 0, model="m" if n % 2 == 0 else "other") for n in range(40)]
    assert self_preference(rows, "m").value == 1
    with pytest.raises(NothingToMeasure, match="0 of 40"):
        self_preference(rows, "third")


def test_a_judge_that_always_takes_the_first_is_all_bias_and_decides_nothing():
    found = position_of([Compared("first", "first", "first", f"g{n}") for n in range(20)])
    assert (found.bias.value, found.consistent, found.agreement) == (1, 0, None)
    fair = position_of([Compared("first", "second", "first" if n else "second", f"g{n}") for n in range(20)])
    assert (fair.bias.value, fair.consistent, fair.agreement.value) == (0, 20, 0.95)
    assert position_of([Compared(None, "first", None, "g")]).unreadable == 1


def test_attacks_are_counted_by_kind_and_unreadable_ones_apart():
    found = attacks_of([Attacked("order", True, "a"), Attacked("order", False, "b"), Attacked("unseen", None, "a")])
    assert (found.tried, found.turned, found.unreadable, found.by_kind) == (2, 1, 1, {"order": (1, 2)})


OTHER_PROMPT = Judge(model="m", model_hash="h", criteria=JUDGE.criteria, prompt="p")


HELD = Attacks(tried=40, turned=0)


def calibration(rows, *, judge=JUDGE, attacks=HELD, **more):
    rates = rates_of(rows)
    return Calibration(judge=judge, rates=rates, criteria={OVERALL: rates}, attacks=attacks, **more)


def test_a_judge_that_was_measured_and_does_well_may_gate():
    gate = may_gate(JUDGE, calibration(table(45, 5, 45, 5)), JudgeConfig())
    assert gate.may
    assert "100 labels" in gate.because[0]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (None, "not calibrated"),
        (calibration(table(45, 5, 10, 1)), "only 11 answers that people failed have a verdict"),
        (calibration(table(0, 0, 45, 5), set_aside={AS_REFERENCE: 6}), "6 labels do not count, since the judge"),
        (calibration(table(50, 0, 0, 50)), "uninformative"),
        (calibration(table(30, 20, 30, 20)), "its kappa is 0.20"),
        (calibration(table(38, 12, 38, 12)), "its kappa is 0.52, but by the interval may be as low as 0.3"),
        (calibration(table(38, 12, 38, 12)), "labelled answers more would show it, if it stays so"),
        (calibration(table(45, 5, 45, 5), attacks=Attacks(tried=25, turned=0)), "raise judge.attacks by at least 3"),
        (calibration(table(45, 5, 45, 5), attacks=Attacks(tried=50, turned=1)), "leaves open that up to 0.11 would"),
        (calibration([*table(45, 5, 45, 5), *(pair(200 + n, True, None) for n in range(10))]), "have no verdict"),
        (calibration(table(45, 5, 45, 5), attacks=None), "not attacked"),
        (calibration(table(45, 5, 45, 5), attacks=Attacks(tried=40, turned=3)), "turned it 3 times of 40"),
        (calibration(table(45, 5, 45, 5), judge=Judge(model="m", model_hash="i", criteria=JUDGE.criteria)), "model"),
        (calibration(table(45, 5, 45, 5), judge=Judge(model="m", model_hash="h", criteria=())), "rubric"),
        (calibration(table(45, 5, 45, 5), judge=OTHER_PROMPT), "prompt"),
    ],
)  # fmt: skip
def test_any_other_may_not_and_says_why(made, reason):
    gate = may_gate(JUDGE, made, JudgeConfig())
    assert not gate.may
    assert any(reason in because for because in gate.because)


def test_a_criterion_without_labels_is_not_gated_by():
    assert "no answer by 'tone'" in may_gate(JUDGE, calibration(table(45, 5, 45, 5)), JudgeConfig(), "tone").because[0]


def test_attacks_on_one_answer_that_turn_the_judge_together_are_worth_less():
    def shares(together):
        return [Attacked("order", n in together, f"g{n // 5}") for n in range(600)]

    apart = attacks_of(shares(set(range(0, 600, 20))))
    alike = attacks_of(shares({*range(30)}))
    assert (apart.turned, alike.turned) == (30, 30)
    gates = [may_gate(JUDGE, calibration(table(45, 5, 45, 5), attacks=a), JudgeConfig()) for a in (apart, alike)]
    assert [gate.may for gate in gates] == [True, False]
    assert "judge.most_turned" in gates[1].because[0]


def test_one_attack_that_turned_it_says_nothing_of_others_on_the_same_answer():
    tried = attacks_of([Attacked("order", n == 0, f"g{n // 5}") for n in range(55)])
    assert tried.rate.high > 0.2
    assert may_gate(JUDGE, calibration(table(45, 5, 45, 5), attacks=tried), JudgeConfig()).may
    two = attacks_of([Attacked("order", n in (0, 9), f"g{n // 5}") for n in range(55)])
    (said,) = may_gate(JUDGE, calibration(table(45, 5, 45, 5), attacks=two), JudgeConfig()).because
    more = int(re.search(r"raise judge.attacks by at least (\d+)", said)[1])
    enough = attacks_of([Attacked("order", n % 28 == 0 and n < 2 * 28, f"g{n // 5}") for n in range(55 + 5 * more)])
    assert may_gate(JUDGE, calibration(table(45, 5, 45, 5), attacks=enough), JudgeConfig()).may


def test_attacks_without_a_verdict_are_said_as_such():
    lost = attacks_of([Attacked("order", None, f"g{n}") for n in range(10)])
    (said,) = may_gate(JUDGE, calibration(table(45, 5, 45, 5), attacks=lost), JudgeConfig()).because
    assert "none of 10 answers that give it orders got a verdict" in said


def test_how_many_more_attacks_it_takes_is_said_where_any_number_would_do():
    made = calibration(table(45, 5, 45, 5), attacks=Attacks(tried=100, turned=5))
    assert "raise judge.attacks by at least" in may_gate(JUDGE, made, JudgeConfig()).because[0]
    strict = may_gate(JUDGE, calibration(table(45, 5, 45, 5)), JudgeConfig(most_turned=0))
    assert "it takes a judge that is turned less often" in strict.because[0]
