import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Estimate
from tunesmith.core.statistics import mean_tally, tally_interval, wilson_interval
from tunesmith.evaluation import BarVerdict, verdict


def rate(value, n, top=1.0):
    low, high = wilson_interval(value, n)
    return Estimate(value=top * value, low=top * low, high=top * high, n=n)


def test_a_whole_interval_above_the_bar_meets_it():
    # 90 of 100: 0.826 to 0.945
    assert verdict(rate(0.9, 100), 0.82) == BarVerdict(verdict="met")
    assert verdict(rate(0.9, 100), 0.95) == BarVerdict(verdict="missed")


def test_what_is_not_shown_says_how_many_examples_it_takes():
    # 363: the sample size worked by hand in tests/core/test_statistics.py
    assert verdict(rate(0.9, 100), 0.85) == BarVerdict(verdict="not_shown", examples_needed=363)


def test_the_lower_end_on_the_bar_meets_it():
    estimate = Estimate(value=0.9, low=0.85, high=0.95, n=100)
    assert verdict(estimate, 0.85).verdict == "met"
    assert verdict(estimate, 0.95).verdict == "not_shown"


@pytest.mark.parametrize("name", ["reply.bertscore:roberta-large", "bertscore:./my.encoder", "bertscore"])
def test_a_bar_may_name_the_encoder_that_texts_are_compared_by(name):
    assert verdict(rate(0.9, 100), 0.85, name).examples_needed == 363


@pytest.mark.parametrize("bar", [0.9, 0.92])
def test_more_of_the_same_does_not_show_a_value_that_is_not_above_the_bar(bar):
    assert verdict(rate(0.9, 100), bar) == BarVerdict(verdict="not_shown", examples_needed=None)


def test_a_metric_that_goes_to_100_needs_as_many_as_the_share_does():
    assert verdict(rate(0.9, 100, top=100), 85, "reply.chrf").examples_needed == 363


def test_a_bar_may_be_on_a_field_with_a_colon_in_its_name():
    assert verdict(rate(0.9, 100), 0.85, "dc:type.accuracy").examples_needed == 363
    assert verdict(rate(0.9, 100, top=100), 85, "dc:title.chrf").examples_needed == 363


def test_examples_that_say_nothing_of_the_metric_are_needed_too():
    # 100 of 400 rows hold a value, so that 363 that do are among 4 * 363
    assert verdict(rate(0.9, 100), 0.85, rows=400).examples_needed == 4 * 363


def test_groups_need_more_examples():
    right = np.repeat([1.0] * 45 + [0.0] * 5, 2)  # 50 customers, both answers of each alike: worth about 50 strangers
    low, high = tally_interval(mean_tally(right), np.repeat(np.arange(50), 2), rate=True)
    needed = verdict(Estimate(value=0.9, low=low, high=high, n=100), 0.85).examples_needed
    assert needed == pytest.approx(2 * 363, rel=0.1)


@given(st.integers(1, 400), st.integers(1, 400), st.floats(0.01, 0.99))
@settings(deadline=None)
def test_it_takes_more_examples_than_did_not_show_it(n, right, bar):
    found = verdict(rate(min(right, n) / n, n), bar)
    assert found.examples_needed is None or found.examples_needed > n


@pytest.mark.parametrize(
    ("bar", "name", "mend"),
    [
        (85, "accuracy", r"accuracy is 85, but accuracy lies between 0 and 1\.\n  To mend it: write 0\.85 for 85 %"),
        (-0.1, "topic.macro_f1", r"between 0 and 1\.\n  To mend it: write a number from 0 to 1"),
        (120, "chrf", r"between 0 and 100\.\n  To mend it: write a number from 0 to 100"),
    ],
)
def test_a_bar_outside_the_range_says_what_to_write(bar, name, mend):
    with pytest.raises(TunesmithError, match=mend):
        verdict(rate(0.9, 100), bar, name)


def test_a_bar_on_an_unknown_metric_lists_the_near_ones():
    with pytest.raises(UnknownName, match="did you mean 'accuracy'"):
        verdict(rate(0.9, 100), 0.8, "topic.acuracy")


def test_one_group_alone_needs_no_number():
    # all rows are one group's, so the interval is everything: how many more it takes cannot be known
    assert verdict(Estimate(value=0.9, low=0.0, high=1.0, n=6), 0.8).examples_needed is None
