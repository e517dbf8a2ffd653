"""A file that is added again: what is there, what stays out of use, and whose times count."""

import sqlite3

import pytest
from msgspec.structs import replace

from tunesmith.core.records import Example, Message
from tunesmith.core.store import Added, Edit, open_store


def example(text: str, completion: str = "answer", **rest) -> Example:
    return Example.make((Message(role="user", content=text),), completion, **rest)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store.db")
    yield store
    store.close()


A, B, GROUPED = example("a"), example("b"), example("a", group="c1")


def timed(row: Example, day: int) -> Example:
    return replace(row, time=f"2026-03-{day:02}")


def times(store):
    return {e.id: e.time for e in store.examples()}


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
@pytest.mark.parametrize("at_once", [True, False])
def test_the_earliest_time_counts_in_whatever_order_they_come(store, order, at_once):
    rows = [A, *(timed(A, day) for day in order)]
    for some in [rows] if at_once else [[row] for row in rows]:
        store.add_examples(some)
    assert times(store) == {A.id: "2026-03-01"}


def test_rows_that_came_with_another_time_are_counted_also_across_chunks(store):
    store.add_examples([B])
    filler = [example(str(n)) for n in range(2500)]
    added = store.add_examples([timed(A, 2), timed(A, 2), timed(B, 5), *filler, timed(A, 1), timed(B, 6)])
    assert added == Added(new=2501, duplicates=4, timed=1, other_times=2)
    assert (times(store)[A.id], times(store)[B.id]) == ("2026-03-01", "2026-03-05")


def test_a_row_without_group_is_the_grouped_one_that_says_the_same(store):
    store.add_examples([GROUPED, example("a", group="c2")])
    assert store.add_examples([timed(A, 1)]) == Added(new=0, duplicates=1, timed=2)
    assert set(times(store).values()) == {"2026-03-01"}


def test_rows_of_two_groups_that_say_the_same_are_two_examples(store):
    assert store.add_examples([A, GROUPED, example("a", group="c2"), example("a", side="test")]).new == 4


def test_a_row_out_of_use_does_not_come_back_in_another_group(store):
    store.add_examples([A])
    store.changes.erase([A.id], "ann")
    assert store.add_examples([GROUPED, A]) == Added(new=0, duplicates=0, out_of_use=2)


def test_a_correction_takes_the_time_that_the_first_version_comes_with(store):
    store.add_examples([A, B])
    better = A.reworded(A.messages, "better")
    store.changes.make("correct", "ann", [Edit(A.id, better), Edit(B.id, None)])
    assert store.add_examples([timed(A, 1), timed(B, 1)]) == Added(new=0, duplicates=0, timed=1, out_of_use=2)
    assert times(store) == {better.id: "2026-03-01"}


def test_again_replaces_the_times_by_the_earliest_of_this_source(store):
    store.add_examples([timed(A, 1), timed(B, 1)])
    filler = [example(str(n)) for n in range(2500)]
    store.add_examples([timed(A, 9), *filler, timed(A, 8), timed(A, 7)], again=True)
    assert (times(store)[A.id], times(store)[B.id]) == ("2026-03-07", "2026-03-01")


def test_a_row_that_another_one_became_stands_for_it_in_lineage(store):
    store.add_examples([A, B])
    merged = B.reworded(A.messages, A.completion)
    store.changes.make("correct", "ann", [Edit(B.id, merged)])
    assert [(e.id, e.was) for e in store.examples()] == [(A.id, (B.id,))]


def test_rows_of_an_older_store_are_found_by_what_they_say(tmp_path):
    store = open_store(tmp_path / "store.db")
    store.add_examples([GROUPED, B])
    store.changes.erase([B.id], "ann")
    store.close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("DROP INDEX examples_said")
        connection.execute("ALTER TABLE examples DROP COLUMN said")
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    store = open_store(tmp_path / "store.db")
    assert store.add_examples([A, B]) == Added(new=0, duplicates=1, out_of_use=1)
    store.close()
