"""`mend` shows first, changes in one batch, spreads nothing private, and can be undone."""

import json

import pytest
from msgspec.structs import replace
from tests.cli.driving import typed

from tunesmith.core.errors import TunesmithError
from tunesmith.data.kinship import kin_of
from tunesmith.workspace import Workspace


@pytest.fixture
def noisy(tmp_path):
    workspace, _ = Workspace.init(tmp_path / "desk", example="support-desk")
    workspace.add(tmp_path / "desk" / "noisy.jsonl")
    return workspace


def ids(workspace):
    return {example.id for example in workspace.home.examples()}


def test_showing_changes_nothing_and_applying_can_be_undone(noisy):
    before = ids(noisy)
    shown = noisy.mend()
    assert (shown.applied, shown.batch) == (False, None)
    assert ids(noisy) == before
    made = noisy.mend(apply=True)
    assert [(r.old, r.new) for r in made.changed] == [(r.old, r.new) for r in shown.changed]
    assert ids(noisy) == (before - {r.old for r in made.changed}) | {r.new for r in made.changed if r.new}
    assert noisy.mend().changed == ()
    noisy.undo_mend(made.batch)
    assert ids(noisy) == before
    with pytest.raises(TunesmithError, match="To mend it"):
        noisy.undo_mend(made.batch)


def test_one_mend_alone(noisy):
    assert {name for row in noisy.mend(["encoding"]).changed for name in row.mends} == {"encoding"}


def test_nothing_private_is_shown(noisy):
    told = str(noisy.mend())
    assert "[IBAN]" in told
    assert "▒" in told
    for row in noisy.mend(["personal_data", "secrets"]).changed:
        example = noisy.home.store.example(row.old)
        assert not any(word in line for line in row.lines for word in example.prompt.split() if "@" in word)


def test_what_no_rule_can_mend_is_named(noisy):
    assert any(line.startswith("completion_format: 4 examples") for line in noisy.mend().left)


def test_json_carries_what_changed(noisy):
    status, out, _ = typed("-C", str(noisy.home.root), "mend", "--apply", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["applied"] is True
    assert {"old", "new", "where", "mends", "reason", "lines"} <= told["changed"][0].keys()
    status, out, _ = typed("-C", str(noisy.home.root), "mend", "--undo", told["batch"], "--json")
    assert json.loads(out)["undone"] == told["batch"]
    status, _, said = typed("-C", str(noisy.home.root), "mend", "--undo", "nonsense")
    assert status == 2
    assert "There is no change 'nonsense'" in said


def rows(tmp_path, *texts, name="rows.csv", customers=None):
    lines = [
        "text,topic,customer",
        *(f"{text},billing,{who}" for text, who in zip(texts, customers or texts, strict=True)),
    ]
    (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path / name


@pytest.fixture
def desk(tmp_path):
    workspace, _ = Workspace.init(tmp_path / "desk", source=rows(tmp_path, "the lamp is broken", name="first.csv"))
    return workspace


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["dirty first", "clean first"])
def test_of_a_row_and_what_becomes_it_one_stays(desk, tmp_path, order):
    texts = ["Where is my card?\u200b", "Where is my card?"][order]
    desk.add(rows(tmp_path, *texts, customers=["", ""]))
    made = desk.mend(apply=True)
    (left,) = [e for e in desk.home.examples() if "card" in e.prompt]
    assert left.prompt == "Where is my card?"
    gone = next(e.id for e in desk.home.store.removed() if "card" in e.prompt)
    assert gone in left.was  # what was made from the other is its relative too
    desk.undo_mend(made.batch)
    assert len([e for e in desk.home.examples() if "card" in e.prompt]) == 2


def test_the_copy_that_a_split_goes_by_is_the_one_that_stays(desk, tmp_path):
    texts = [f"message number {n} about a bill" for n in range(8)]
    file = rows(tmp_path, *texts, customers=[f"c{n % 2}" for n in range(8)])
    desk.add(file)
    desk.add(file, group_by="customer")
    desk.mend(apply=True)
    assert [e.group for e in sorted(desk.home.examples(), key=lambda e: e.prompt) if "number" in e.prompt] == [
        f"c{n % 2}" for n in range(8)
    ]


def test_what_was_made_from_a_merged_row_stays_with_the_one_that_stands_for_it(desk, tmp_path):
    desk.add(rows(tmp_path, "Where is my card?", "where is my card", customers=["", ""]))
    first, second = [e for e in desk.home.examples() if "card" in e.prompt]
    desk.mend(apply=True)
    (kept,) = [e for e in desk.home.examples() if "card" in e.prompt]
    made = replace(kept, id="made", lineage=(({first.id, second.id} - {kept.id}).pop(),), was=())
    one, other = kin_of([kept, made], "group")
    assert set(one) & set(other)
