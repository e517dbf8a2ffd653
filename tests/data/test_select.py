"""The chosen rows are spread, balanced, clean where they can be, and each says why."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.select import Candidate, choose, quotas


def circle(*degrees):
    angles = np.radians(np.array(degrees, np.float32))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def candidates(count, label="a", **of_row):
    return [
        Candidate(str(n), label, of_row.get("certainty", {}).get(n), of_row.get("finding", {}).get(n, ""))
        for n in range(count)
    ]


def ids(chosen):
    return [one.example for one in chosen]


def test_the_first_is_the_most_typical_and_the_next_is_far_from_it():
    # three bunches at 0, 80 and 160 degrees: the middle one is nearest to all
    vectors = circle(0, 2, 4, 80, 82, 84, 160, 162, 164)
    chosen = choose(candidates(9), vectors, 3)
    assert {int(i) // 3 for i in ids(chosen)} == {0, 1, 2}
    assert chosen[0].reason.startswith("the most typical of 'a'")
    assert chosen[0].gain > chosen[1].gain >= chosen[2].gain >= 0


def test_copies_are_not_chosen_twice():
    chosen = choose(candidates(6), circle(10, 10, 10, 10, 90, 170), 3)
    assert sorted(int(i) for i in ids(chosen) if int(i) > 3) == [4, 5]


def test_rows_with_a_warning_come_last_and_say_so():
    vectors = circle(0, 1, 90, 91)
    chosen = choose(candidates(4, finding={0: "label_noise", 2: "consistency"}), vectors, 3)
    assert set(ids(chosen)[:2]) == {"1", "3"}
    assert "has a warning about it, but nothing better is left" in chosen[2].reason


def test_of_equals_the_surer_label_is_chosen():
    chosen = choose(candidates(2, certainty={0: 0.2, 1: 1.0}), circle(45, 45), 1)
    assert ids(chosen) == ["1"]
    assert chosen[0].reason.endswith("label sure")


def test_labels_get_as_much_as_each_other_where_there_is_enough():
    assert quotas({"a": 2, "b": 10, "c": 10}, 9) == {"a": 2, "b": 4, "c": 3}
    assert quotas({"a": 1, "b": 1}, 9) == {"a": 1, "b": 1}


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 30), min_size=1, max_size=6), st.integers(1, 100))
def test_quotas_give_all_there_is_to_give_and_never_more(sizes, count):
    share = quotas(sizes, count)
    assert sum(share.values()) == min(count, sum(sizes.values()))
    assert all(0 <= share[label] <= sizes[label] for label in sizes)
    smallest_open = min((share[label] for label in sizes if share[label] < sizes[label]), default=None)
    assert smallest_open is None or max(share.values()) <= smallest_open + 1


@pytest.mark.parametrize("count", [1, 4, 7, 50])
def test_the_same_rows_are_chosen_again(count):
    vectors = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    once, again = (choose(candidates(7), vectors, count) for _ in range(2))
    assert once == again
    assert len(set(ids(once))) == min(count, 7)


def test_blank_prompts_do_not_break_it():
    assert len(choose(candidates(3), np.zeros((3, 4), np.float32), 2)) == 2
