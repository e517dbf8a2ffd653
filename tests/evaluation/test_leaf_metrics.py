"""JSON inside a value: its entries one by one, the elements of lists paired."""

import json
import time
from itertools import permutations

import pytest
from hypothesis import strategies as st
from tests.evaluation.desk import answer
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.metrics import metric
from tunesmith.evaluation.metrics.leaves import leaves_agreed
from tunesmith.evaluation.scored import Scored

TASK = Task(name="order", fields=(Field(name="order", type="value", nullable=True),), format="json")


def value(name, *rows):
    """Of (true value, answered value), each a text or None."""
    examples = [
        Example.make((Message(role="user", content=str(i)),), json.dumps({"order": true}))
        for i, (true, _) in enumerate(rows)
    ]
    said = [answer(TASK, e, json.dumps({"order": s})) for e, (_, s) in zip(examples, rows, strict=True)]
    return metric[name](Scored.of(TASK, examples, said)).value


def agreed(truth, said):
    return leaves_agreed(json.dumps(truth), json.dumps(said))


def test_leaves_of_nested_json_worked_by_hand():
    true = json.dumps({"name": "Ann", "visits": [{"day": 1}, {"day": 2}], "notes": {}})
    said = json.dumps({"visits": [{"day": 2}, {"day": 3}], "name": "Ann"})
    # true: name, day 1, day 2, notes; said: name, day 2, day 3; right: name, day 2
    assert value("leaf_f1", (true, said)) == pytest.approx(2 * 2 / (3 + 4))
    assert value("leaf_precision", (true, said)) == pytest.approx(2 / 3)
    assert value("leaf_recall", (true, said)) == pytest.approx(2 / 4)
    assert value("leaf_f1", (true, true)) == 1
    assert value("leaf_f1", ("Ann", "Ann"), ("Ann", "Bob")) == pytest.approx(0.5)
    assert value("leaf_f1", ('{"a": 1}', '{"a": "1"}')) == 0
    assert value("leaf_f1", ('[{"n": 12}, 2.50, -0.0]', '[2.5, {"n": 12.0}, 0]')) == 1
    assert value("leaf_f1", ('[true, "12", 12.5]', "[1.0, 12.0, 12]")) == 0
    assert value("leaf_f1", ('{"a": "Zo\u00eb"}', '{"a": "Zoe\u0308"}')) == 1


def test_crossed_records_cost():
    # each record finds one of its two entries in its pair, whichever way they are paired
    true, crossed = [{"day": 1, "n": 2}, {"day": 3, "n": 4}], [{"day": 1, "n": 4}, {"day": 3, "n": 2}]
    assert agreed(true, crossed) == (2, 4, 4)
    assert value("leaf_f1", (json.dumps(true), json.dumps(crossed))) == 0.5


def test_elements_may_come_in_any_order():
    true = [{"day": 1, "tags": ["a", "b"]}, {"day": 2, "tags": []}, "x", 3]
    assert agreed(true, [3, {"tags": [], "day": 2}, "x", {"tags": ["b", "a"], "day": 1}]) == (7, 7, 7)


def test_the_pairs_are_those_that_agree_most():
    # in order, or by the first that fits, two entries agree: a with d. The best pairs are a-e and b-d
    true = [{"k": 1, "l": 1, "m": 1}, {"k": 1, "l": 2, "m": 2}]
    said = [{"k": 1, "l": 1, "m": 3}, {"k": 9, "l": 1, "m": 1}]
    assert agreed(true, said) == (3, 6, 6)
    nested = [[{"a": 1, "b": [1, 2]}], [{"a": 2, "b": [3]}]]
    assert agreed(nested, [[{"a": 2, "b": [3, 4]}], [{"a": 1, "b": [2]}]]) == (4, 5, 5)


def test_as_many_equal_elements_count_as_both_sides_have():
    assert agreed([1, 1, 2], [1, 2, 2]) == (2, 3, 3)
    assert agreed([1, 2], {"a": 1}) == (0, 1, 2)
    assert agreed([], {}) == (0, 1, 1)
    assert agreed(True, 1) == (0, 1, 1)


def test_null_for_null_says_nothing():
    with pytest.raises(NothingToMeasure, match="leaf_f1"):
        value("leaf_f1", (None, None))
    with pytest.raises(NothingToMeasure, match="leaf_precision"):
        value("leaf_precision", ("[1]", None))
    assert value("leaf_recall", ("[1]", None)) == 0


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(0, 2) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3),
    max_leaves=10,
)


def by_trying_all(one, other):
    """Leaves that agree, by every way to pair the elements of every two lists."""
    if isinstance(one, dict) and isinstance(other, dict) and one and other:
        return sum(by_trying_all(one[key], other[key]) for key in one.keys() & other.keys())
    if isinstance(one, list) and isinstance(other, list) and one and other:
        short, long = sorted((one, other), key=len)
        return max(
            sum(by_trying_all(a, b) for a, b in zip(short, chosen, strict=True))
            for chosen in permutations(long, len(short))
        )
    return int(json.dumps(one) == json.dumps(other))


@beside(NESTED, NESTED)
def test_no_other_way_to_pair_agrees_more(one, other):
    right, said, true = agreed(one, other)
    assert right == by_trying_all(one, other)
    assert agreed(other, one) == (right, true, said)
    assert agreed(one, one) == (true, true, true)


@pytest.mark.parametrize("nasty", ["[" * 100_000, "{", "NaN", "1" * 6000, "\u200b", "\u202e[1]", '{"a": 1, "a": 2}'])
def test_a_nasty_value_matches_itself(nasty):
    assert value("leaf_f1", (nasty, nasty)) == 1


@pytest.mark.parametrize("deep", [60, 70, 900, 50_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a": ', "}")])
def test_deep_nesting_is_measured(deep, begin, end):
    one, other = (begin * deep + leaf + end * deep for leaf in ("1", "2"))
    assert leaves_agreed(one, one) == (1, 1, 1)
    assert leaves_agreed(one, other) == (0, 1, 1)


def records(number, wrong=lambda i: False):
    rest = ({"n": -1 if wrong(i) else i * 7 % 1000, "who": f"guest {i}", "tags": ["a", i]} for i in range(number))
    return [{"day": i} | part for i, part in enumerate(rest)]


@pytest.mark.parametrize(
    ("truth", "said", "least"),
    [
        (list(range(20_000)), list(range(19_999, -1, -1)), 20_000),
        (records(2000), records(2000)[::-1], 10_000),
        (records(2000), records(2000, lambda i: i % 20 == 0)[::-1], 9900),  # 100 to be paired: all with all
        (records(2000), records(2000, lambda i: True), 8000),  # too many: neighbours
        ([[i, [i]] for i in range(6500)], [[i, [i + 1]] for i in range(6500)], 6000),
        ({str(i): [{"a": i}, {"b": i}] for i in range(3000)}, {str(i): [{"b": i, "a": i}] for i in range(3000)}, 3000),
    ],
)
def test_values_of_100_kb_take_seconds(truth, said, least):
    texts = json.dumps(truth), json.dumps(said)
    assert max(map(len, texts)) > 90_000
    begin = time.process_time()
    right, answered, true = leaves_agreed(*texts)
    assert time.process_time() - begin < 10
    assert least <= right <= min(answered, true)
    assert leaves_agreed(*texts[::-1]) == (right, true, answered)


def test_too_many_to_assign_miss_little_agreement_and_invent_none():
    """One record too many, and a fault in each of the 600 others: 1.4 million pairs of leaves."""
    true = [{"day": i, "who": f"guest {i}"} for i in range(1, 601)]
    said = [{"day": i, "who": "guest"} for i in range(601)]
    right, answered, leaves = agreed(true, said)
    assert (answered, leaves) == (1202, 1200)
    assert 590 <= right <= 600
    assert agreed(true[::-1], said[::-1]) == (right, answered, leaves)
    assert agreed(said, true) == (right, leaves, answered)
