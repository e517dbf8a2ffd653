"""A split in the order of time: train, then validation, then test; what belongs together still on one side."""

from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.test_split import APART, LABELS, TASK, apart, ask_togetherness, example, ids, where

from tunesmith.core.codec import encode
from tunesmith.core.errors import TunesmithError
from tunesmith.data.certificate import certify, verify
from tunesmith.data.config import SplitConfig
from tunesmith.data.split import extend_split, make_split

hard = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def day(number):
    return f"2026-{1 + number // 28:02}-{1 + number % 28:02}"


def timed(count, **rest):
    """Rows none of which is near another, one a day."""
    return [msgspec.structs.replace(row, time=day(n)) for n, row in enumerate(apart(count, **rest))]


def split_of(rows, **config):
    return make_split(rows, TASK, SplitConfig(by_time=True, **config), "snapshot")


@st.composite
def rows_in_time(draw, pins=(None,)):
    """Rows from few words at few moments, so that twins, groups, lineage and ties cross every boundary."""
    rows = timed(30)
    for n in range(draw(st.integers(10, 45))):
        words = draw(st.lists(st.sampled_from(APART[:12]), min_size=1, max_size=6))
        rows.append(
            example(
                " ".join(words),
                draw(st.sampled_from(LABELS)),
                group=draw(st.sampled_from([None, None, "g1", "g2", f"own-{n}"])),
                time=draw(st.none() | st.integers(0, 40).map(day) | st.just("2026-01-09T12:00:00+00:00")),
                side=draw(st.sampled_from(pins)),
                lineage=(rows[-1].id,) if draw(st.integers(0, 9)) == 0 else (),
            )
        )
    return list({row.id: row for row in rows}.values())


def ask_order_and_togetherness(split, rows):
    sides = split.side_of()
    times = {side: [r.time for r in rows if sides.get(r.id) == side] for side in ("train", "validation", "test")}
    assert all(all(held) for held in times.values())  # each side has rows, and each of them a time
    assert max(times["train"]) < min(times["validation"])
    assert max(times["validation"]) < min(times["test"])
    ask_togetherness(rows, sides)
    assert [p for p in split.certificate.problems if "cluster" not in p] == []  # few words make large clusters


def refused_for_good_reason(error, rows):
    """A pin may leave nothing to a side, and then the split is refused; rows without pins can always be split here."""
    assert any(row.side for row in rows)
    assert "By time no row can be" in str(error) or "No rows are left" in str(error) or "groups" in str(error)


@hard
@given(rows_in_time())
def test_order_and_togetherness_hold_at_once(rows):
    split = split_of(rows)
    ask_order_and_togetherness(split, rows)
    placed = [*split.train, *split.validation, *split.test, *(entry.example for entry in split.set_aside)]
    assert sorted(placed) == sorted(ids(rows))
    assert all(entry.reason for entry in split.set_aside)


@hard
@given(rows_in_time(pins=(None, None, None, None, "train", "validation", "test")))
def test_pinned_rows_are_respected_and_the_order_holds(rows):
    rows = [msgspec.structs.replace(r, time=day(20)) if r.side == "test" and not r.time else r for r in rows]
    try:
        split = split_of(rows)
    except TunesmithError as error:
        refused_for_good_reason(error, rows)
        return
    ask_order_and_togetherness(split, rows)
    placed = where(split)
    assert {placed[row.id] for row in rows if row.side == "test"} <= {"test"}
    assert {placed[row.id] for row in rows if row.side == "validation"} <= {"validation", "aside"}
    assert {placed[row.id] for row in rows if row.side == "train"} <= {"train", "aside"}


@hard
@given(rows_in_time(), st.data())
def test_a_split_that_grows_keeps_the_order(rows, data):
    count = data.draw(st.integers(30, len(rows)))
    frozen = split_of(rows[:count])
    grown = extend_split(frozen, rows, TASK, "later")
    ask_order_and_togetherness(grown, rows)
    assert (grown.test, grown.validation) == (frozen.test, frozen.validation)
    assert encode(extend_split(grown, rows, TASK, "later").train) == encode(grown.train)


@hard
@given(rows_in_time(), st.randoms())
def test_the_same_rows_in_another_order_give_the_same_bytes(rows, order):
    mixed = list(rows)
    order.shuffle(mixed)
    assert encode(split_of(rows)) == encode(split_of(mixed))


def test_the_latest_are_test_and_those_before_them_validation():
    rows = timed(100)  # 18 % and 10 % of them
    split = split_of(rows[::-1])
    assert set(split.test) == ids(rows[82:])
    assert set(split.validation) == ids(rows[72:82])
    assert set(split.train) == ids(rows[:72])
    order = split.certificate.time
    assert (order.earliest["train"], order.latest["train"]) == (day(0), day(71))
    assert (order.earliest["validation"], order.latest["validation"]) == (day(72), day(81))
    assert (order.earliest["test"], order.latest["test"]) == (day(82), day(99))
    assert order.set_aside == {}
    assert split.certificate.certified
    assert "train before validation before test in time" in split.certificate.method
    assert split.certificate.warnings == ()


def test_a_customer_with_old_and_new_rows_keeps_the_new_ones_in_test_and_loses_the_old():
    rows = timed(100)
    old, new = (msgspec.structs.replace(rows[n], group="ann", id=rows[n].id) for n in (5, 95))
    split = split_of([*rows[:5], old, *rows[6:95], new, *rows[96:]])
    assert new.id in split.test
    assert [(entry.example, entry.near) for entry in split.set_aside] == [(old.id, new.id)]
    assert split.set_aside[0].reason == "it belongs together with a later row of test"
    assert split.certificate.time.set_aside == {"it belongs together with a later row of test": 1}


def test_rows_of_one_moment_stand_on_one_side():
    # 10 rows a day for 10 days: 18 wanted, 20 is nearest; 10 wanted, 10 is there
    rows = [msgspec.structs.replace(row, time=day(n // 10)) for n, row in enumerate(apart(100))]
    split = split_of(rows)
    assert (len(split.train), len(split.validation), len(split.test)) == (70, 10, 20)
    assert any("many rows are of one moment" in warning for warning in split.certificate.warnings)


def test_a_moment_is_left_to_each_earlier_side():
    moments = [0] * 79 + [1] * 20 + [2]  # the last two days are nearer to 18 rows than the last one
    rows = [msgspec.structs.replace(row, time=day(n)) for n, row in zip(moments, apart(100), strict=True)]
    split = split_of(rows)
    assert (len(split.train), len(split.validation), len(split.test)) == (79, 20, 1)


def test_rows_without_a_time_are_set_aside_with_the_reason():
    rows = [*timed(60), *apart(80)[60:]]
    split = split_of(rows)
    assert {entry.example for entry in split.set_aside} == ids(rows[60:])
    assert {entry.reason for entry in split.set_aside} == {"it has no time"}
    assert split.certificate.time.set_aside == {"it has no time": 20}
    assert split.certificate.warnings == ()  # the shares are those of the rows with a time


def test_where_most_rows_have_no_time_the_split_is_refused_with_a_mend():
    with pytest.raises(TunesmithError, match=r"41 of 80 rows have no time(.|\n)*add the file again with --map time="):
        split_of([*timed(39), *apart(80)[39:]])


def test_too_few_moments_are_refused_with_a_mend():
    rows = [msgspec.structs.replace(row, time=day(n % 2)) for n, row in enumerate(apart(60))]
    with pytest.raises(TunesmithError, match=r"no row can be test.*later than 2026-01-02(.|\n)*tell more rows apart"):
        split_of(rows)


def test_few_per_label_does_not_go_with_time():
    with pytest.raises(TunesmithError, match=r"--train-per-label(.|\n)*leave out one of them"):
        split_of(timed(60), train_per_label=3)


def test_fewer_than_ten_groups_are_refused():
    rows = [msgspec.structs.replace(row, group=f"g{n // 20}") for n, row in enumerate(timed(100))]
    with pytest.raises(TunesmithError, match="groups"):
        split_of(rows)


def test_the_test_begins_with_its_earliest_pinned_row_and_later_rows_are_set_aside():
    rows = [*timed(60), *(example(f"{APART[n]} pinned", side="test", time=day(40 + n)) for n in range(8))]
    split = split_of(rows)
    assert set(split.test) == ids(rows[60:])
    reasons = Counter(entry.reason for entry in split.set_aside)
    assert reasons == {"it is not earlier than all of test": 20}
    assert max(row.time for row in rows if row.id in split.validation) == day(39)


def test_a_pinned_test_row_without_a_time_is_refused():
    with pytest.raises(TunesmithError, match="1 rows pinned to test have no time"):
        split_of([*timed(60), example("pinned", side="test")])


def test_test_is_later_than_pinned_validation():
    rows = [*timed(60), *(example(f"{APART[n]} pinned", side="validation", time=day(50 + n)) for n in range(4))]
    split = split_of(rows)
    assert set(split.validation) == ids(rows[60:])
    assert set(split.test) == ids(rows[54:60])
    assert Counter(entry.reason for entry in split.set_aside) == {"it is not earlier than all of validation": 4}
    with pytest.raises(TunesmithError, match=r"no row can be test.*the latest row pinned to validation"):
        split_of([*rows, example("last of all", side="validation", time=day(70))])


def test_a_new_row_from_after_the_cut_does_not_join_a_split_that_grows():
    rows = timed(60)
    frozen = split_of(rows)
    fresh = [example(f"{APART[n]} fresh", time=time) for n, time in enumerate((day(3), day(55), day(90), None))]
    grown = extend_split(frozen, [*rows, *fresh], TASK, "later")
    assert set(grown.train) == {*frozen.train, fresh[0].id}
    assert {entry.example: entry.reason for entry in grown.set_aside} == {
        fresh[1].id: "it is not earlier than all of test",
        fresh[2].id: "it is not earlier than all of test",
        fresh[3].id: "it has no time",
    }
    assert verify(grown, [*rows, *fresh], TASK, "later").certified


def test_a_split_that_grows_keeps_validation_too():
    rows = timed(60)
    fresh = example(f"{APART[0]} fresh", side="validation", time=day(3))
    with pytest.raises(TunesmithError, match=r"1 new rows are pinned to validation(.|\n)*without --side validation"):
        extend_split(split_of(rows), [*rows, fresh], TASK, "later")


def test_a_date_lasts_its_whole_day_beside_moments():
    moments = [f"{day(43)}T{hour:02}:00:00+00:00" for hour in range(1, 17)]
    rows = [msgspec.structs.replace(row, time=moments[n - 44]) if n >= 44 else row for n, row in enumerate(timed(60))]
    split = split_of(rows)
    time_of = {row.id: row.time for row in rows}
    assert any(len(time) > 10 for time in map(time_of.get, split.test))
    early = [time_of[i] for i in (*split.train, *split.validation)]
    begins = min(time_of[i] for i in split.test)
    assert all(time < begins if len(time) > 10 else time < begins[:10] for time in early)
    wrong = msgspec.structs.replace(split, train=(*split.train, rows[43].id), set_aside=())
    assert day(43) in time_of[rows[43].id]
    assert not verify(wrong, rows, TASK, "snapshot").certified


def test_a_row_moved_to_the_wrong_side_of_time_is_found_from_the_rows_alone():
    rows = timed(60)
    split = split_of(rows)
    early, late = split.train[0], split.test[0]
    swapped = msgspec.structs.replace(
        split, train=tuple({*split.train, late} - {early}), test=tuple({*split.test, early} - {late})
    )
    found = certify(swapped, rows, TASK)
    assert not found.certified
    assert any(problem.startswith("the latest train row is of") for problem in found.problems)
    forgot = [msgspec.structs.replace(row, time=None) if row.id == late else row for row in rows]
    assert any("1 rows on a side have no time" in problem for problem in certify(split, forgot, TASK).problems)


def test_a_split_that_does_not_ask_for_time_says_nothing_of_it():
    split = make_split(timed(60), TASK, SplitConfig(), "snapshot")
    assert split.certificate.time is None
    assert "by_time" not in split.settings
    assert b"by_time" not in encode(split)


def test_a_large_loss_to_relatives_is_told_with_the_way_out():
    rows = [msgspec.structs.replace(row, group=f"g{n % 40}") for n, row in enumerate(timed(120))]
    split = split_of(rows)
    assert any("set aside for later relatives" in w and "--by none" in w for w in split.certificate.warnings)
    assert not split_of(rows, by="none").certificate.time.set_aside
