"""Warnings about intervals: of which metrics, of whom, and when there is none."""

import pytest

from tunesmith.core.estimates import Estimate
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.cautions import cautions

TASK = Task(name="topics", fields=(Field(name="topic", type="label", labels=("a", "b")),))


def found(value, low, high, n=200):
    return Estimate(value=value, low=low, high=high, n=n)


def told(measured, asked, **more):
    return list(cautions(TASK, (), measured, asked, **more))


MET, MISSED = found(0.85, 0.81, 0.89), found(0.5, 0.43, 0.57)


def test_several_contenders_at_a_bar_that_one_meets_are_told_what_their_intervals_come_to():
    measured = {"constant": {"accuracy": MISSED}, "prompt": {"accuracy": MET}, "tuned": {"accuracy": MET}}
    (line,) = told(measured, {"accuracy": 0.8})
    assert line.startswith("3 contenders are held against the bar, each by a 95 % interval of its own")
    assert line.endswith("up to 2.5 % for each, 7.5 % in all.")


@pytest.mark.parametrize(
    ("measured", "asked", "more"),
    [
        ({"prompt": {"accuracy": MET}}, {"accuracy": 0.8}, {}),
        ({"prompt": {"accuracy": MET}, "tuned": {}}, {"accuracy": 0.8}, {}),  # one of them was not measured
        ({"prompt": {"accuracy": MISSED}, "tuned": {"accuracy": MISSED}}, {"accuracy": 0.8}, {}),
        ({"prompt": {"accuracy": MET}, "tuned": {"accuracy": MET}}, {"accuracy": None}, {}),
        ({"prompt": {"accuracy": MET}, "tuned": {"accuracy": MET}}, {"accuracy": 0.8}, {"by": "value"}),
    ],
)
def test_else_nothing_is_said_of_their_number(measured, asked, more):
    assert told(measured, asked, **more) == []


def test_a_metric_of_the_users_own_that_is_not_known_here_is_a_rate_where_it_was_one():
    measured = {"prompt": {"polite": found(0.99, 0.96, 1.0)}}
    (line,) = told(measured, {"polite": 0.95}, own_rates=("polite",))
    assert line.startswith("Fewer than 5 answers are wrong, or right, of prompt")
    assert told(measured, {"polite": 0.95}) == []


def test_macro_averages_and_rates_near_the_end_are_rough_wherever_the_bar_asks_for_them():
    rough, far = found(0.99, 0.96, 1.0), found(0.99, 0.96, 1.0)
    measured = {"prompt": {"macro_f1": MET, "macro_recall": MET, "valid_rate": rough, "accuracy": far}}
    lines = told(measured, {"macro_f1": 0.8, "macro_recall": 0.7, "valid_rate": 0.95, "accuracy": 0.5})
    assert [line.partition(":")[0] for line in lines] == [
        "The interval of macro F1 is approximate",
        "The interval of macro_recall is approximate",
        "Fewer than 5 answers are wrong, or right by valid_rate, of prompt",
    ]
