"""The queue: who gets what, what a decision changes, what is taken back."""

import pytest
from sqlalchemy.dialects import postgresql

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.core.store import Edit, Queued, open_store, tables
from tunesmith.core.store.reviews import _waiting


def example(text, completion="answer"):
    return Example.make((Message(role="user", content=text),), completion)


A, B, BETTER = example("a"), example("b"), example("a", "better")


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store.db")
    store.add_examples([A, B])
    yield store
    store.close()


def test_two_reviewers_never_get_the_same_example_and_one_keeps_theirs(store):
    store.reviews.add([Queued(A.id, ""), Queued(B.id, "")])
    mine, theirs = store.reviews.next("ann", 30), store.reviews.next("bob", 30)
    assert {mine.example, theirs.example} == {A.id, B.id}
    assert store.reviews.next("ann", 30).id == mine.id
    assert store.reviews.next("eve", 30) is None
    assert store.reviews.counts()[:2] == (2, 2)


def test_a_claim_that_has_run_out_goes_to_another_and_the_first_is_told(store):
    store.reviews.add([Queued(A.id, "")])
    held = store.reviews.next("ann", 0)
    taken = store.reviews.next("bob", 30)
    assert taken.id == held.id
    with pytest.raises(TunesmithError, match="has run out, and bob took it"):
        store.reviews.decide(held, "ann", "accepted")
    assert store.reviews.decide(taken, "bob", "accepted").effective


def test_a_claim_that_has_run_out_still_counts_while_nobody_took_it(store):
    store.reviews.add([Queued(A.id, "")])
    held = store.reviews.next("ann", 0)
    assert store.reviews.decide(held, "ann", "accepted").outcome == "accepted"
    with pytest.raises(TunesmithError, match="Nothing was kept"):
        store.reviews.decide(held, "ann", "accepted")


def test_a_second_opinion_is_another_person_s_and_changes_nothing(store):
    store.reviews.add([Queued(A.id, "", 2)])
    first = store.reviews.next("ann", 30)
    store.reviews.decide(first, "ann", "corrected", edit=Edit(A.id, BETTER), completion="better")
    assert store.reviews.next("ann", 30) is None
    second = store.reviews.next("bob", 30)
    assert (second.example, second.opinion) == (A.id, 2)
    given = store.reviews.decide(second, "bob", "rejected", edit=Edit(A.id, None))
    assert (given.effective, given.batch) == (False, None)
    assert store.examples() == sorted([B, BETTER], key=lambda e: e.id)
    assert store.reviews.counts() == (0, 0, 0, 1, 0, 1)
    assert store.reviews.reviewed() == {BETTER.id}


def test_what_is_taken_back_is_undone_whole_and_asked_again(store):
    store.reviews.add([Queued(A.id, "")])
    store.reviews.decide(store.reviews.next("ann", 30), "ann", "corrected", edit=Edit(A.id, BETTER), completion="x")
    gone, again = store.reviews.undo("ann", 30)
    assert (gone.outcome, again.outcome, again.attempt) == ("corrected", None, 2)
    assert {e.id for e in store.examples()} == {A.id, B.id}
    assert store.reviews.next("ann", 30).id == again.id
    assert store.reviews.decide(again, "ann", "accepted").effective
    assert [r.undone_at is None for r in store.reviews.all(A.id)] == [False, True]
    with pytest.raises(TunesmithError, match="no opinion to take back"):
        store.reviews.undo("bob", 30)


def test_a_change_that_cannot_be_undone_leaves_the_opinion_standing(store):
    store.reviews.add([Queued(A.id, "")])
    store.reviews.decide(store.reviews.next("ann", 30), "ann", "corrected", edit=Edit(A.id, BETTER), completion="x")
    store.changes.make("correct", "bob", [Edit(BETTER.id, example("a", "best"))])
    with pytest.raises(TunesmithError, match="not in use any more"):
        store.reviews.undo("ann", 30)
    assert store.reviews.counts().corrected == 1


def test_undoing_the_change_takes_the_opinion_back_too(store):
    store.reviews.add([Queued(A.id, "")])
    made = store.reviews.decide(store.reviews.next("ann", 30), "ann", "rejected", edit=Edit(A.id, None))
    store.reviews.undo_batch(made.batch, "bob")
    assert store.in_use(A.id)
    assert store.reviews.counts()[:5] == (1, 0, 0, 0, 0)


def test_what_went_out_of_use_meanwhile_is_not_shown_and_not_decided(store):
    store.reviews.add([Queued(A.id, "")])
    held = store.reviews.next("ann", 30)
    store.changes.make("mend", "mend", [Edit(A.id, None)])
    with pytest.raises(TunesmithError, match="not in use any more"):
        store.reviews.decide(held, "ann", "accepted")
    assert store.reviews.next("ann", 30) is None
    assert store.reviews.counts().queued == 0


def test_what_was_skipped_goes_to_others(store):
    store.reviews.add([Queued(A.id, "")])
    store.reviews.skip(store.reviews.next("ann", 30), "ann")
    assert store.reviews.next("ann", 30) is None
    assert store.reviews.next("bob", 30).example == A.id


def test_an_example_is_asked_about_once(store):
    assert store.reviews.add([Queued(A.id, ""), Queued(A.id, "")]) == 1
    assert store.reviews.add([Queued(A.id, "", 2)]) == 1
    assert store.reviews.add([Queued(A.id, "", 2), Queued(B.id, "")]) == 1


def test_an_example_that_is_named_is_had_unless_another_holds_it(store):
    store.reviews.add([Queued(A.id, ""), Queued(B.id, "")])
    store.reviews.next("ann", 30)
    with pytest.raises(TunesmithError, match="ann holds example"):
        store.reviews.take("bob", A.id, 30)
    assert store.reviews.take("ann", B.id, 30).example == B.id
    assert store.reviews.take("bob", A.id, 30).example == A.id


def test_on_postgresql_two_who_ask_at_once_pass_over_each_other_s_rows():
    asked = _waiting().limit(1).with_for_update(of=tables.reviews, skip_locked=True)
    assert "FOR UPDATE OF reviews SKIP LOCKED" in str(asked.compile(dialect=postgresql.dialect()))
