"""Prefixes, packs and the order of examples."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunesmith.models.template import Encoded
from tunesmith.tuning.batches import Order, make_batch, make_packs, shared_prefix


def example(ids: list[int], learnt: int) -> Encoded:
    return Encoded(ids, [0.0] * (len(ids) - learnt) + [1.0] * learnt)


def test_the_prefix_ends_where_examples_differ():
    assert shared_prefix([example([1, 2, 3, 4, 9], 1), example([1, 2, 5, 9], 1)]) == 2


def test_the_prefix_leaves_the_token_that_predicts_the_first_learnt_one():
    # all share 1 2 3 and learn from the fourth on: 3 predicts it, so 3 belongs to the segment
    assert shared_prefix([example([1, 2, 3, 4, 5], 2), example([1, 2, 3, 4, 6], 2)]) == 2


def test_one_example_alone_shares_its_prompt_but_the_last_token():
    assert shared_prefix([example([1, 2, 3, 4, 5], 2)]) == 2


def test_a_batch_counts_the_prefix_once_and_what_is_learnt_whole():
    batch = make_batch([example([7, 7, 1, 2, 3], 2), example([7, 7, 4, 5], 1)], 2, 100)
    assert batch.prefix == [7, 7]
    assert [[s.ids for s in pack] for pack in batch.packs] == [[[1, 2, 3], [4, 5]]]
    assert (batch.examples, batch.tokens, batch.weight) == (2, 7, 3)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 120))
def test_packs_hold_every_segment_once_and_within_the_limit(lengths, limit):
    segments = [Encoded([number] * n, [1.0] * n) for number, n in enumerate(lengths)]
    packs = make_packs(segments, limit)
    assert sorted(s.ids[0] for pack in packs for s in pack) == list(range(len(lengths)))
    assert all(len(pack) == 1 or sum(len(s.ids) for s in pack) <= limit for pack in packs)


def test_packs_are_level_and_hold_like_lengths():
    segments = [Encoded([0] * n, [1.0] * n) for n in (40, 10, 41, 11, 39, 12, 42, 9)]  # 204 tokens, so 3 packs of 68
    packs = make_packs(segments, 90)
    assert [[len(s.ids) for s in pack] for pack in packs] == [[42, 41], [40, 39], [12, 11, 10, 9]]


def test_every_epoch_shows_each_example_once_in_a_new_order():
    order = Order(10, 4, 2, seed=5)
    assert (order.steps_per_epoch, order.steps) == (3, 6)
    epochs = [[n for step in steps for n in order.numbers(step)] for steps in (range(3), range(3, 6))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


def test_the_order_depends_on_seed_and_step_alone():
    forward, backward = Order(50, 8, 3, seed=1), Order(50, 8, 3, seed=1)
    steps = range(forward.steps)
    there, back = {s: forward.numbers(s) for s in steps}, {s: backward.numbers(s) for s in reversed(steps)}
    assert there == back
    assert there[0] != Order(50, 8, 3, seed=2).numbers(0)


@pytest.mark.parametrize(("epochs", "steps"), [(0.01, 1), (0.5, 2), (1, 3), (1.1, 4)])
def test_a_part_of_an_epoch_counts_up_to_a_whole_step(epochs, steps):
    assert Order(10, 4, epochs, seed=0).steps == steps
