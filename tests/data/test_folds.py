"""Folds keep together what a split keeps together."""

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.data.config import SplitConfig
from tunesmith.data.folds import make_folds

TASK = Task(name="desk", format="plain", fields=(Field(name="topic", type="label", labels=("a", "b")),))
WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "frost", "grove", "heath",
    "inlet", "jade", "knoll", "larch", "maple", "north", "ochre", "pearl",
)  # fmt: skip


def _example(number, group=None):
    text = " ".join(WORDS[(number * k + k) % 16] + str(number % (k + 2)) for k in range(1, 9)) + f" {number}"
    return Example.make((Message(role="user", content=text),), "ab"[number % 2], group=group)


def _rows(groups):
    return [_example(n, f"customer {n // 4}" if groups else None) for n in range(80)]


@pytest.mark.parametrize("groups", [True, False])
def test_each_row_is_held_out_once_and_no_group_stands_on_both_sides(groups):
    rows = _rows(groups)
    folds = list(make_folds(rows, TASK, SplitConfig(), 5))
    assert len(folds) == 5
    assert sorted(e.id for f in folds for e in f.held_out) == sorted(e.id for e in rows)
    for fold in folds:
        assert not {e.id for e in fold.train} & {e.id for e in fold.held_out}
        if groups:
            assert not {e.group for e in fold.train} & {e.group for e in fold.held_out}
        assert 10 <= len(fold.held_out) <= 22


def test_twins_stay_in_one_fold():
    rows = _rows(False)
    twin = Example.make((Message(role="user", content=rows[0].messages[0].content + " please"),), "a")
    for fold in make_folds([*rows, twin], TASK, SplitConfig(), 4):
        held = {e.id for e in fold.held_out}
        assert (rows[0].id in held) == (twin.id in held)


def test_another_seed_deals_anew_and_the_same_seed_alike():
    def dealt(seed):
        return [tuple(e.id for e in f.held_out) for f in make_folds(_rows(True), TASK, SplitConfig(seed=seed), 5)]

    assert dealt(1) == dealt(1) != dealt(2)


def test_too_few_groups_and_time_are_refused():
    with pytest.raises(TunesmithError, match=r"3 groups(.|\n)*fewer folds"):
        list(make_folds([_example(n, f"g{n % 3}") for n in range(12)], TASK, SplitConfig(), 5))
    with pytest.raises(TunesmithError, match="by time"):
        list(make_folds(_rows(True), TASK, SplitConfig(by_time=True), 5))
