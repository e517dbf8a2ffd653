"""Rounds of ratings in the store: who gets what, on which side, what a lease and a change of mind do."""

from collections import Counter

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.store import Asked, open_store

ROUND = "r1"


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store.db")
    yield store
    store.close()


def asked(items, attention=(), every=1, seed=0):
    return Asked(ROUND, seed, dict.fromkeys(items, "a-b") if not isinstance(items, dict) else items, attention, every)


def rate_all(store, rater, what, choice="left"):
    """All that the rater gets, in order."""
    got = []
    while (row := store.ratings.next(rater, what, 30)) is not None:
        got.append(row)
        store.ratings.answer(ROUND, rater, row.item, choice)
    return got


def test_two_raters_never_hold_the_same_rating_and_each_rates_an_item_once(store):
    items = [f"i{n}" for n in range(6)]
    store.ratings.add(ROUND, items, 2)
    what = asked(items)
    ann, bob = store.ratings.next("ann", what, 30), store.ratings.next("bob", what, 30)
    assert ann.id != bob.id
    assert store.ratings.next("ann", what, 30).id == ann.id
    assert {row.item for row in rate_all(store, "ann", what)} == set(items)
    assert {row.item for row in rate_all(store, "bob", what)} == set(items)
    assert store.ratings.next("eve", what, 30) is None


def test_a_round_is_asked_for_once(store):
    assert store.ratings.add(ROUND, ["i", "j"], 2) == 4
    assert store.ratings.add(ROUND, ["i", "j"], 2) == 0


def test_what_a_rater_who_left_held_goes_to_another(store):
    store.ratings.add(ROUND, ["i"], 1)
    what = asked(["i"])
    left = store.ratings.next("ann", what, 0)
    taken = store.ratings.next("bob", what, 30)
    assert taken.id == left.id
    with pytest.raises(TunesmithError, match="time has run out and another rater took it"):
        store.ratings.answer(ROUND, "ann", "i", "left")
    assert store.ratings.answer(ROUND, "bob", "i", "tie").choice == "tie"


def test_a_lease_that_has_run_out_counts_while_nobody_took_it(store):
    store.ratings.add(ROUND, ["i"], 1)
    store.ratings.next("ann", asked(["i"]), 0)
    assert store.ratings.answer(ROUND, "ann", "i", "right").choice == "right"


def test_each_rater_sees_each_contender_on_the_left_as_often_within_each_pair(store):
    items = {f"i{n}": f"pair{n % 3}" for n in range(60)}
    store.ratings.add(ROUND, items, 2)
    for rater in ("ann", "bob"):
        rows = rate_all(store, rater, asked(items))
        sides = Counter((items[row.item], row.swapped) for row in rows)
        assert set(sides.values()) == {10}
    both = {}
    for row in store.ratings.all(ROUND):
        both.setdefault(row.item, set()).add(row.swapped)
    assert sum(len(sides) == 2 for sides in both.values()) > 20  # the second rater tends to see the other side


def test_raters_have_orders_of_their_own_that_the_seed_repeats(store, tmp_path):
    items = [f"i{n}" for n in range(30)]
    store.ratings.add(ROUND, items, 2)
    orders = {rater: [row.item for row in rate_all(store, rater, asked(items))] for rater in ("ann", "bob")}
    assert orders["ann"] != orders["bob"] != sorted(items)
    other = open_store(tmp_path / "other.db")
    other.ratings.add(ROUND, items, 2)
    assert [row.item for row in rate_all(other, "ann", asked(items))] == orders["ann"]
    other.close()


def test_attention_items_are_mixed_in_at_random_places_for_every_rater(store):
    items, watched = [f"i{n}" for n in range(40)], [f"w{n}" for n in range(8)]
    store.ratings.add(ROUND, items, 2)
    places = {}
    for rater in ("ann", "bob"):
        rows = rate_all(store, rater, asked(items, watched, every=5))
        places[rater] = [n for n, row in enumerate(rows) if row.attention]
        assert len(rows) == 48
        assert len({row.item for row in rows}) == 48
    assert places["ann"] != places["bob"]
    late = rate_all(store, "eve", asked(items, watched, every=5))
    assert late == []  # nothing is left to rate, so there is nothing to watch


def test_a_choice_is_changed_only_when_that_is_said_and_the_first_one_is_kept(store):
    store.ratings.add(ROUND, ["i"], 1)
    store.ratings.next("ann", asked(["i"]), 30)
    store.ratings.answer(ROUND, "ann", "i", "left")
    with pytest.raises(TunesmithError, match="rated i already"):
        store.ratings.answer(ROUND, "ann", "i", "right")
    again = store.ratings.answer(ROUND, "ann", "i", "right", why="misread", change=True)
    assert (again.choice, again.attempt, again.why) == ("right", 2, "misread")
    assert [row.choice for row in store.ratings.all(ROUND)] == ["right"]


def test_an_id_that_nobody_lent_is_refused(store):
    store.ratings.add(ROUND, ["i"], 1)
    with pytest.raises(TunesmithError, match="no comparison 'x'"):
        store.ratings.answer(ROUND, "ann", "x", "left")
    with pytest.raises(TunesmithError, match="not lent to them"):
        store.ratings.answer(ROUND, "ann", "i", "left")
