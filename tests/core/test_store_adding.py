"""A file that is added again: what is there, what stays out of use, and whose times count."""

import sqlite3
from itertools import permutations

import pytest
from msgspec.structs import replace

from tunesmith.core.examples import Example, Message
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


def test_a_row_is_there_where_it_names_a_group_and_leaves_out_the_side(store):
    store.add_examples([example("a", group="c1", side="test")])
    assert store.add_examples([timed(GROUPED, 1)]) == Added(new=0, duplicates=1, timed=1)
    assert store.add_examples([example("a", group="c2")]) == Added(new=1, duplicates=0, twins=1)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("filler", [0, 2500])
def test_rows_of_one_file_are_apart_in_whatever_order_they_come(store, order, filler):
    rows = [A, GROUPED, example("a", group="c2")]
    between = [example(str(n)) for n in range(filler)]
    store.add_examples(row for number in order for row in (rows[number], *between))
    assert {row.id for row in rows} <= {row.id for row in store.examples()}


def test_erased_words_come_back_in_no_group_and_removed_ones_only_in_another(store):
    store.add_examples([A, example("b", group="c1")])
    store.changes.make("remove", "ann", [Edit(example("b", group="c1").id, None)])
    store.changes.erase([A.id], "ann")
    rows = [GROUPED, A, B, example("b", group="c2")]
    assert store.add_examples(rows) == Added(new=1, duplicates=0, out_of_use=3, erased=2)


def test_a_correction_takes_the_time_that_the_first_version_comes_with(store):
    store.add_examples([A, B])
    better = A.reworded(A.messages, "better")
    batch = store.changes.make("correct", "ann", [Edit(A.id, better), Edit(B.id, None)])
    assert store.add_examples([timed(A, 1), timed(B, 1)]) == Added(new=0, duplicates=0, timed=1, out_of_use=2)
    assert times(store) == {better.id: "2026-03-01"}
    store.changes.undo(batch, "ann")
    assert times(store) == {A.id: "2026-03-01", B.id: "2026-03-01"}


def test_again_brings_back_what_was_removed_as_it_was_and_can_be_undone(store):
    lone = example("a", group="c1", source="expert", category="x")
    store.add_examples([lone, B])
    store.changes.make("remove", "ann", [Edit(lone.id, None)])
    better = B.reworded(B.messages, "better")
    store.changes.make("correct", "ann", [Edit(B.id, better)])
    assert store.add_examples([A, B], again=True) == Added(new=0, duplicates=0, back=1, out_of_use=1)
    assert {e.id: e for e in store.examples()} == {lone.id: lone, better.id: better}
    back = store.changes.of(lone.id)[-1]
    assert (back.kind, back.old, back.new) == ("restore", None, lone.id)
    store.changes.undo(back.batch, "ann")
    assert store.examples() == [better]


def test_again_brings_back_what_was_erased_as_it_comes(store):
    store.add_examples([A])
    store.changes.erase([A.id], "ann")
    assert store.add_examples([timed(A, 1), timed(A, 2)], again=True) == Added(0, 1, back=1, other_times=1)
    assert times(store) == {A.id: "2026-03-01"}


def test_again_replaces_the_times_by_the_earliest_of_all_its_files(store):
    store.add_examples([timed(A, 1), timed(B, 1)])
    filler = [example(str(n)) for n in range(2500)]
    replaced = set()
    store.add_examples([timed(A, 9), *filler, timed(A, 8), timed(A, 7)], again=True, replaced=replaced)
    store.add_examples([timed(A, 8)], again=True, replaced=replaced)
    assert (times(store)[A.id], times(store)[B.id]) == ("2026-03-07", "2026-03-01")


def test_a_dry_run_tells_what_would_come_of_it_and_keeps_nothing(store):
    store.add_examples([A])
    assert store.add_examples([timed(A, 1), B], dry_run=True) == Added(new=1, duplicates=1, timed=1)
    assert times(store) == {A.id: None}


def test_what_was_erased_of_a_batch_stays_so_when_the_rest_is_undone(store):
    store.add_examples([A, B])
    better = [row.reworded(row.messages, "better") for row in (A, B)]
    batch = store.changes.make("mend", "mend", [Edit(A.id, better[0]), Edit(B.id, better[1])])
    store.changes.erase([A.id, better[0].id], "ann")
    store.changes.undo(batch, "ann")
    assert store.examples() == [B]


def test_rows_of_an_older_store_are_found_by_what_they_say(tmp_path):
    store = open_store(tmp_path / "store.db")
    store.add_examples([GROUPED, B])
    store.changes.erase([B.id], "ann")
    store.close()
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("DROP TABLE preferences")  # of later forms, as is the next
        connection.execute("DROP TABLE ratings")
        connection.execute("DROP INDEX examples_said")
        connection.execute("ALTER TABLE examples DROP COLUMN said")
        connection.execute("UPDATE alembic_version SET version_num = '0003'")
    store = open_store(tmp_path / "store.db")
    assert store.add_examples([A, B]) == Added(new=0, duplicates=1, out_of_use=1, erased=1)
    grouped = example("b", group="c1")
    assert store.add_examples([B], again=True).back == 1
    assert store.add_examples([grouped]) == Added(new=1, duplicates=0, twins=1)
    store.close()
