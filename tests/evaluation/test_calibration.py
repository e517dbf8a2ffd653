"""Calibration of a contender that gives probabilities, worked by hand and against scikit-learn."""

import msgspec
import numpy as np
import pytest
from hypothesis import strategies as st
from tests.evaluation.desk import LABEL, LABELS, asked
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.evaluation.bar import verdict
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.metrics import metric
from tunesmith.evaluation.metrics.calibration import reliability
from tunesmith.evaluation.scored import Scored


def sure(rows):
    """Material from (truth, said, probabilities in the labels' order or None)."""
    examples, answers = asked(LABEL, [(true, said) for true, said, _ in rows])
    told = [
        msgspec.structs.replace(a, probabilities=chances and {"topic": dict(zip(LABELS, chances, strict=True))})
        for a, (_, _, chances) in zip(answers, rows, strict=True)
    ]
    return examples, told


def scored(rows):
    return Scored.of(LABEL, *sure(rows)).on(LABEL.fields[0])


ROWS = [
    ("returns", "returns", (0.9, 0.1, 0.0)),  # Brier 0.01 + 0.01
    ("billing", "returns", (0.85, 0.15, 0.0)),  # 0.7225 + 0.7225
    ("shipping", "shipping", (0.2, 0.2, 0.6)),  # 0.04 + 0.04 + 0.16
]


def test_brier_worked_by_hand():
    estimate = metric["brier"](scored(ROWS))
    assert estimate.value == pytest.approx((0.02 + 1.445 + 0.24) / 3)
    assert 0 <= estimate.low < estimate.value < estimate.high <= 2


def test_the_calibration_error_worked_by_hand():
    # bin (0.8, 0.9]: confidence 1.75, right 1; bin (0.5, 0.6]: confidence 0.6, right 1
    assert metric["calibration_error"](scored(ROWS)).value == pytest.approx((0.75 + 0.4) / 3)
    bins = reliability(scored(ROWS))
    assert [(b.count, b.right) for b in bins] == [(1, 1.0), (2, 0.5)]
    assert [b.confidence for b in bins] == pytest.approx([0.6, 0.875])


def test_what_is_left_of_the_probabilities_is_that_of_null_where_a_label_may_be_null():
    field = msgspec.structs.replace(LABEL.fields[0], nullable=True)
    task = msgspec.structs.replace(LABEL, fields=(field,), format="json")
    rows = [
        (None, "returns", (0.5, 0.0, 0.0)),  # Brier 0.25 + 0.25
        (None, "returns", (1.0, 0.0, 0.0)),  # 1 + 1
        ("billing", None, (0.1, 0.2, 0.0)),  # 0.01 + 0.64 + 0.49
    ]
    examples, answers = asked(task, [(task.render({"topic": t}), task.render({"topic": s})) for t, s, _ in rows])
    told = [
        msgspec.structs.replace(a, probabilities={"topic": dict(zip(LABELS, chances, strict=True))})
        for a, (_, _, chances) in zip(answers, rows, strict=True)
    ]
    there = Scored.of(task, examples, told).on(field)
    assert metric["brier"](there).value == pytest.approx((0.5 + 2.0 + 1.14) / 3)
    # bins (0.4, 0.5], (0.9, 1] and (0.6, 0.7]: each wrong
    assert metric["calibration_error"](there).value == pytest.approx((0.5 + 1.0 + 0.7) / 3)
    assert [b.count for b in reliability(there)] == [1, 1, 1]


CHANCES = st.tuples(*3 * [st.floats(0.001, 1)]).map(lambda v: tuple(x / sum(v) for x in v))


@beside(st.lists(st.tuples(st.sampled_from(LABELS), CHANCES), min_size=1, max_size=30))
def test_brier_is_the_squared_distance_to_one_hot_truth(rows):
    told = [(true, LABELS[int(np.argmax(chances))], chances) for true, chances in rows]
    chances = np.array([c for _, c in rows])
    truth = np.array([[label == true for label in LABELS] for true, _ in rows])
    assert metric["brier"](scored(told)).value == pytest.approx(((chances - truth) ** 2).sum(axis=1).mean())
    confidence, right = chances.max(axis=1), chances.argmax(axis=1) == truth.argmax(axis=1)
    place = np.digitize(confidence, np.linspace(0, 1, 11)[1:-1], right=True)
    gaps = [abs(confidence[place == b].sum() - right[place == b].sum()) for b in range(10)]
    assert metric["calibration_error"](scored(told)).value == pytest.approx(sum(gaps) / len(rows), abs=1e-9)


@pytest.mark.parametrize("name", ["brier", "calibration_error"])
def test_what_gives_no_probabilities_has_no_calibration(name):
    with pytest.raises(NothingToMeasure, match="gives no probabilities"):
        metric[name](scored([("returns", "returns", None)]))


def test_an_answer_without_probabilities_is_skipped():
    estimate = metric["brier"](scored([*ROWS, ("returns", "returns", None), ("returns", "no idea", (1.0, 0.0, 0.0))]))
    assert (estimate.n, estimate.skipped) == (3, 2)


def test_the_smaller_error_wins():
    examples, good = sure([("returns", "returns", (0.9, 0.1, 0.0))] * 5)
    _, bad = sure([("returns", "returns", (0.4, 0.3, 0.3))] * 5)
    bad = [msgspec.structs.replace(b, example=g.example) for b, g in zip(bad, good, strict=True)]
    found = compare(LABEL, examples, good, bad, "brier")
    assert found.difference < 0
    assert (found.wins, found.losses) == (5, 0)


def test_an_error_can_be_no_bar():
    with pytest.raises(TunesmithError, match="brier can be no bar: higher is not better"):
        verdict(Estimate(value=0.1, low=0.0, high=0.2, n=10), 0.1, "brier")
