import pytest
from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.core.store import Edit, open_store


def example(text: str, completion: str = "answer") -> Example:
    return Example.make((Message(role="user", content=text),), completion)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store.db")
    yield store
    store.close()


A, B, C = example("a"), example("b"), example("a", "better")


def test_a_corrected_example_takes_the_place_of_the_old_one_and_the_change_says_who_and_why(store):
    store.add_examples([A, B])
    batch = store.changes.make("correct", "ann", [Edit(A.id, C, "the answer was short")])
    assert {e.id for e in store.examples()} == {B.id, C.id}
    (change,) = store.changes.all()
    assert (change.batch, change.kind, change.by, change.old, change.new) == (batch, "correct", "ann", A.id, C.id)
    assert change.reason == "the answer was short"


def test_undo_brings_everything_back_and_is_itself_a_change_that_can_be_undone(store):
    store.add_examples([A, B])
    batch = store.changes.make("mend", "mend", [Edit(A.id, C), Edit(B.id, None)])
    undone = store.changes.undo(batch, "ann")
    assert {e.id for e in store.examples()} == {A.id, B.id}
    store.changes.undo(undone, "ann")
    assert {e.id for e in store.examples()} == {C.id}
    assert [c.kind for c in store.changes.all()] == ["mend", "mend", "undo", "undo", "undo", "undo"]


def test_what_was_changed_since_cannot_be_undone_and_nothing_is_half_done(store):
    store.add_examples([A, B])
    batch = store.changes.make("mend", "mend", [Edit(B.id, None), Edit(A.id, C)])
    store.changes.make("correct", "ann", [Edit(C.id, example("a", "best"))])
    with pytest.raises(TunesmithError, match="not in use any more"):
        store.changes.undo(batch, "ann")
    assert {e.prompt for e in store.examples()} == {"a"}  # b did not come back alone


def test_two_people_cannot_correct_the_same_example(store):
    store.add_examples([A])
    store.changes.make("correct", "ann", [Edit(A.id, C)])
    with pytest.raises(TunesmithError, match="another change was faster"):
        store.changes.make("correct", "bob", [Edit(A.id, B)])
    assert store.examples() == [C]


def test_a_correction_that_says_what_another_row_says_leaves_that_row_alone_also_when_undone(store):
    store.add_examples([A, C])
    batch = store.changes.make("correct", "ann", [Edit(A.id, C)])
    assert store.examples() == [replace(C, was=(A.id,))]  # and stands for both
    store.changes.undo(batch, "ann")
    assert {e.id for e in store.examples()} == {A.id, C.id}


def test_an_erased_example_leaves_its_id_and_nothing_of_what_it_said(store, tmp_path):
    store.add_examples([example("my secret is 4711"), B])
    secret = example("my secret is 4711").id
    batch = store.changes.erase([secret], "ann", "asked by the customer")
    assert store.examples() == [B]
    assert store.example(secret) is None
    with pytest.raises(TunesmithError, match="gone for good"):
        store.changes.undo(batch, "ann")
    assert store.add_examples([example("my secret is 4711")]).out_of_use == 1
    assert store.example(secret) is None
    assert store.add_examples([example("my secret is 4711")], again=True).back == 1  # brought back by hand, whole
    assert store.example(secret) == example("my secret is 4711")


def test_a_change_of_what_was_erased_since_cannot_be_undone(store):
    store.add_examples([A])
    batch = store.changes.make("correct", "ann", [Edit(A.id, C)])
    store.changes.erase([A.id], "ann")
    with pytest.raises(TunesmithError, match="was erased"):
        store.changes.undo(batch, "ann")


def test_the_history_of_an_example_follows_it_through_its_corrections(store):
    store.add_examples([A, B])
    store.changes.make("correct", "ann", [Edit(A.id, C)])
    last = example("a", "best")
    store.changes.make("correct", "bob", [Edit(C.id, last)])
    store.changes.make("remove", "bob", [Edit(B.id, None)])
    assert [(c.old, c.new) for c in store.changes.of(last.id)] == [(A.id, C.id), (C.id, last.id)]
    assert store.changes.of("nothing") == []


def test_the_successor_of_an_example_is_what_stands_in_its_place_after_all_changes(store):
    store.add_examples([A, B])
    best = example("a", "best")
    store.changes.make("correct", "ann", [Edit(A.id, C)])
    corrected = store.changes.make("correct", "ann", [Edit(C.id, best)])
    store.changes.make("remove", "ann", [Edit(B.id, None)])
    assert store.changes.successors() == {A.id: best.id, C.id: best.id, B.id: None}
    store.changes.undo(corrected, "ann")
    assert store.changes.successors() == {A.id: C.id, best.id: C.id, B.id: None}
