import numpy as np
import pytest
from tests.evaluation.desk import DESK, LABEL, TEXT, asked, failure, triage

from tunesmith.core.errors import NothingToMeasure, UnknownName
from tunesmith.core.statistics import mcnemar, paired_interval, phi, wilson_interval
from tunesmith.evaluation import compare, contrasts, metric, score


def topics(pattern, groups=()):
    """Answers of a and b: ``+`` both right, ``a`` or ``b`` only that one, ``-`` neither."""
    said = {"+": ("returns", "returns"), "a": ("returns", "billing"), "b": ("billing", "returns"), "-": ("?", "?")}
    examples, a = asked(LABEL, [("returns", said[c][0]) for c in pattern], groups)
    _, b = asked(LABEL, [("returns", said[c][1]) for c in pattern], groups)
    return examples, a, b


def test_a_rate_of_strangers_gets_newcombe_and_mcnemar():
    # 50 both right, 20 only a, 5 only b, 25 neither
    found = compare(LABEL, *topics("+" * 50 + "a" * 20 + "b" * 5 + "-" * 25), "accuracy", names=("tuned", "prompt"))
    expected = paired_interval(0.7, wilson_interval(0.7, 100), 0.55, wilson_interval(0.55, 100), phi(50, 20, 5, 25))
    assert found.difference == pytest.approx(0.15)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.p_value == mcnemar(20, 5)
    assert (found.a, found.b, found.metric, found.test) == ("tuned", "prompt", "accuracy", "McNemar mid-p")
    assert (found.n, found.wins, found.losses, found.skipped) == (100, 20, 5, 0)


def test_the_published_example_comes_out_of_whole_answers():
    # airway reactivity: 1 both, 1 only a, 7 only b, 12 neither (Fagerland et al. 2014, table V; 2013 for mid-p)
    found = compare(LABEL, *topics("+" + "a" + "b" * 7 + "-" * 12), "all_correct")
    assert (found.low, found.high) == pytest.approx((-0.507, -0.026), abs=5e-4)
    assert found.p_value == pytest.approx(0.0391, abs=5e-5)


def test_groups_make_the_same_answers_weaker_evidence():
    pattern = "+" * 50 + "a" * 20 + "b" * 4 + "-" * 26
    alone = compare(LABEL, *topics(pattern), "accuracy")
    grouped = compare(LABEL, *topics(pattern, [f"customer {i // 2}" for i in range(100)]), "accuracy")
    assert grouped.test == "swaps by group"
    assert grouped.difference == alone.difference
    assert grouped.low < alone.low < alone.high < grouped.high
    assert grouped.p_value > alone.p_value


def test_turning_the_sides_round_turns_everything_round():
    examples, a, b = topics("++aaaab--a", [f"c{i // 2}" for i in range(10)])
    one, other = compare(LABEL, examples, a, b, "macro_f1"), compare(LABEL, examples, b, a, "macro_f1")
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert (one.wins, one.losses, one.p_value) == (other.losses, other.wins, other.p_value)


NEEDS_MORE = {"brier", "calibration_error", "bertscore", "semantic_similarity"}
"""Metrics that need probabilities or an encoder: what they say has tests of its own."""


PRECISION = {"field_precision", "entity_precision", "leaf_precision"}
"""A contender that answers null always has none at all."""


@pytest.mark.parametrize("name", sorted(set(metric) - NEEDS_MORE - PRECISION))
def test_every_metric_can_be_compared(name):
    texts = ["We send a label.", "We look into it.", "Please wait a day."]
    true = [
        triage(c, f"1000{i}", t) for i, (c, t) in enumerate(zip(("returns", "billing", "shipping"), texts, strict=True))
    ]
    examples, right = asked(DESK, [(t, t) for t in true * 4])
    _, poor = asked(DESK, [(t, triage("returns", None, "No.") if i % 3 else "sorry?") for i, t in enumerate(true * 4)])
    if metric[name].of == "text":  # texts look at readable answers only
        _, poor = asked(DESK, [(t, triage("returns", None, "We send.")) for t in true * 4])
    found = compare(DESK, examples, right, poor, name)
    assert found.low <= found.difference <= found.high
    assert found.difference == pytest.approx(
        score(DESK, examples, right, metrics=[name]).metrics[name].value
        - score(DESK, examples, poor, metrics=[name]).metrics[name].value
    )
    assert found.wins > found.losses == 0
    assert found.p_value < 0.15  # valid_rate: 4 wins of 4, mid-p 1/16


@pytest.mark.parametrize("name", sorted(set(metric) - NEEDS_MORE - {"mcc"}))  # the truth has one label alone
def test_a_contender_does_not_differ_from_itself(name):
    rows = [
        (triage("returns", "10001", "Yes it is."), triage(c, "10001", "It is.")) for c in ("returns", "billing") * 5
    ]
    examples, answers = asked(DESK, rows)
    found = compare(DESK, examples, answers, answers, name)
    assert (found.difference, found.wins, found.losses, found.p_value) == (0, 0, 0, 1.0)
    assert found.low < 0 < found.high


def test_only_examples_that_both_answered_count():
    examples, a, b = topics("+ab-a".replace("-", "+"))
    a[0], b[4] = failure(examples[0]), failure(examples[4])
    found = compare(LABEL, examples, a, b[1:], "accuracy")
    assert (found.n, found.skipped, found.wins, found.losses) == (3, 2, 1, 1)


def test_what_one_lost_alone_is_counted_and_drawn_from_its_end_of_the_interval():
    examples, a, b = topics("+" * 20 + "a" * 20)
    a[0], b[1], a[2], b[2] = failure(examples[0]), failure(examples[1]), failure(examples[2]), failure(examples[2])
    found = compare(LABEL, examples, a, b, "accuracy")
    assert (found.n, found.skipped, found.lost_a, found.lost_b) == (37, 3, 1, 1)
    assert found.low_with_lost == pytest.approx((37 * found.low - 1) / 38)
    assert found.high_with_lost == pytest.approx((37 * found.high + 1) / 38)
    whole = compare(LABEL, examples[3:], a[3:], b[3:], "accuracy")
    assert (whole.lost_a, whole.low_with_lost, whole.high_with_lost) == (0, None, None)
    assert (whole.low, whole.high) == (found.low, found.high)


def test_a_lost_answer_costs_what_the_other_one_got_for_it():
    examples, a, b = topics("+" * 20 + "a" * 20)
    a[39], a[38] = failure(examples[39]), failure(examples[38])  # b is wrong there
    found = compare(LABEL, examples, a, b, "accuracy")
    assert (found.n, found.lost_a) == (38, 2)
    assert found.low_with_lost == pytest.approx(38 * found.low / 40)
    texts, said = asked(TEXT, [("Yes it is", "Yes it is"), ("No it is not", " "), ("We will see", "We will")])
    _, other = asked(TEXT, [("Yes it is", "Yes"), ("No it is not", "No"), ("We will see", "We will")])
    part = compare(TEXT, texts, said, other, "rouge_1")
    assert part.lost_a == 1
    assert part.low_with_lost == pytest.approx((2 * part.low - 2 * 0.25 / 1.25) / 3)  # one of four words: F1 0.4


def test_texts_leave_out_what_either_wrote_unreadably():
    examples, a = asked(TEXT, [("Yes it is", "Yes it is"), ("No it is not", " "), ("We will see", "We will")])
    _, b = asked(TEXT, [("Yes it is", "Yes"), ("No it is not", "No"), ("We will see", "We will")])
    found = compare(TEXT, examples, a, b, "rouge_l")
    assert (found.n, found.skipped, found.wins, found.losses) == (2, 1, 1, 0)
    assert found.difference == pytest.approx((1 - 0.5) / 2)
    turned = compare(TEXT, examples, b, a, "rouge_l")
    assert (turned.n, turned.skipped, turned.wins, turned.losses) == (2, 1, 0, 1)


def test_claiming_a_value_where_there_is_none_loses():
    examples, silent = asked(
        DESK, [(triage(order=None), triage(order=None)), (triage(order="10001"), triage(order="10001"))]
    )
    _, claiming = asked(
        DESK, [(triage(order=None), triage(order="99999")), (triage(order="10001"), triage(order="10001"))]
    )
    found = compare(DESK, examples, silent, claiming, "field_f1")
    assert (found.wins, found.losses, found.n) == (1, 0, 2)
    assert found.difference == pytest.approx(1 - 2 / 3)


def test_the_difference_of_chrf_is_in_its_own_unit():
    examples, a = asked(TEXT, [("a label", "a label"), ("a refund", "a refund")])
    _, b = asked(TEXT, [("a label", "zzz"), ("a refund", "qqq")])
    assert compare(TEXT, examples, a, b, "chrf").difference == pytest.approx(100)


def test_nothing_in_common_has_no_difference():
    examples, a, b = topics("ab")
    with pytest.raises(
        NothingToMeasure, match=r"tuned and prompt share no example of 2 on which accuracy(.|\n)*To mend it"
    ):
        compare(LABEL, examples, a[:1], b[1:], "accuracy", names=("tuned", "prompt"))
    examples, silent = asked(DESK, [(triage(), triage())] * 1)
    with pytest.raises(NothingToMeasure, match="on which field_f1 can be compared"):
        compare(DESK, examples, silent, silent, "field_f1")


def test_swaps_are_repeated_by_their_seed():
    random = np.random.default_rng(0)
    pattern = "".join(random.choice(list("+ab-"), 80))
    sides = topics(pattern, [f"g{i // 2}" for i in range(80)])
    assert compare(LABEL, *sides, "accuracy", seed=5) == compare(LABEL, *sides, "accuracy", seed=5)


def test_contrasts_are_corrected_for_their_number():
    examples, good, bad = topics("+" * 40 + "a" * 18 + "b" * 6)
    found = contrasts(
        LABEL,
        examples,
        {"tuned": good, "prompt": bad, "same": good},
        [("tuned", "prompt"), ("tuned", "same")],
        "accuracy",
    )
    assert [c.p_value for c in found] == [mcnemar(18, 6), 1.0]
    assert [c.p_holm for c in found] == [pytest.approx(2 * mcnemar(18, 6)), 1.0]
    assert [(c.a, c.b) for c in found] == [("tuned", "prompt"), ("tuned", "same")]


def test_a_contrast_with_a_stranger_lists_the_near_names():
    examples, a, b = topics("ab")
    with pytest.raises(UnknownName, match="did you mean 'tuned'"):
        contrasts(LABEL, examples, {"tuned": a, "prompt": b}, [("tund", "prompt")])


def test_no_pairs_have_no_contrasts():
    assert contrasts(LABEL, [], {}, []) == []
