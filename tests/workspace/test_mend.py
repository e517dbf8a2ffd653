"""`mend` shows first, changes in one batch, spreads nothing private, and can be undone."""

import json

import pytest
from tests.cli.driving import typed

from tunesmith.core.errors import TunesmithError
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
