"""How many examples would show the bar met: of all that it asks for, as it is set now."""

import pytest
from tests.workspace.answered import again, answered_desk
from tests.workspace.toy import write_settings

from tunesmith.core.estimates import Estimate
from tunesmith.core.statistics import wilson_interval
from tunesmith.evaluation import verdict
from tunesmith.workspace.scoring import examples_to_show


def rate(value, n=100):
    low, high = wilson_interval(value, n)
    return Estimate(value=value, low=low, high=high, n=n)


@pytest.fixture
def shown(tmp_path):
    """What it takes where the bar is accuracy of 0.85 and what is said beside it."""
    desk = answered_desk(tmp_path)

    def take(metrics, also=None, **decision):
        bar = {"metric": "accuracy", "value": 0.85, "also": also or {}}
        write_settings(desk.home.root, bar=bar, decision=decision)
        return examples_to_show(again(desk).home, metrics)

    return take


def test_the_metric_that_takes_most_says_how_many(shown):
    # 363: the sample size worked by hand in tests/core/test_statistics.py
    measured = {"accuracy": rate(0.9), "macro_f1": rate(0.9), "valid_rate": rate(1.0)}
    more = verdict(rate(0.9), 0.87).examples_needed
    assert more > 363
    assert shown(measured) == 363
    assert shown(measured, {"valid_rate": 0.9}) == 363
    assert shown(measured, {"macro_f1": 0.87}) == more
    assert shown(measured | {"accuracy": rate(1.0)}, {"macro_f1": 0.87}) == more
    assert shown(measured, {"weighted_f1": 0.87}) == 363  # was not measured, which is said by itself


def test_no_number_where_more_of_the_same_would_not_show_it(shown):
    measured = {"accuracy": rate(0.9), "macro_f1": rate(0.86)}
    assert shown(measured, {"macro_f1": 0.9}) is None
    assert shown(measured, met_by="value") is None
    assert shown({"accuracy": rate(1.0)}) is None


def test_rows_that_say_nothing_of_a_metric_are_counted(shown):
    assert shown({"accuracy": rate(0.9), "valid_rate": rate(1.0, 400)}) == 4 * 363
