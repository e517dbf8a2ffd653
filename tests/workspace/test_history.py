"""What became of the examples can be told, compared, taken back, and had again."""

import json

import pytest
from tests.workspace.toy import write_csv

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.store import Edit


@pytest.fixture
def desk(tmp_path):
    workspace, _ = Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    return workspace


def corrected(example, completion):
    return Example.make(example.messages, completion, origin=example.origin, source=example.source)


def correct(desk, example, completion, by="ann", reason="wrong topic"):
    new = corrected(example, completion)
    return new, desk.home.store.changes.make("correct", by, [Edit(example.id, new, reason)])


def test_an_example_tells_where_it_comes_from_and_what_became_of_it(desk, tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"prompt": "the lift is broken", "completion": "shipping", "customer": "c1"}) + "\n")
    desk.add(path, as_="expert", licence="CC-BY-4.0")
    (row,) = [e for e in desk.home.examples() if e.source == "expert"]
    new, _ = correct(desk, row, "billing")
    told = desk.provenance(row.id)
    assert (told.source, told.licence, told.group, told.origin.line) == ("expert", "CC-BY-4.0", "c1", 1)
    assert told.added_at <= told.removed_at
    assert [(c.by, c.new, c.reason) for c in told.changes] == [("ann", new.id, "wrong topic")]


def test_a_licence_has_the_form_of_spdx(desk, tmp_path):
    path = write_csv(tmp_path / "again.csv")
    for licence in ("MIT", "(Apache-2.0 OR MIT) AND CC-BY-4.0", "GPL-2.0-only WITH Classpath-exception-2.0"):
        assert desk.add(path, licence=licence).duplicates == 60
    with pytest.raises(TunesmithError, match="is no SPDX expression"):
        desk.add(path, licence="as we agreed, see mail")


def test_a_difference_tells_field_by_field_what_the_journal_ties_together(desk, tmp_path):
    desk.check()
    before = desk.snapshots()[-1].hash
    rows = desk.home.examples()
    once, _ = correct(desk, rows[0], "billing" if rows[0].completion != "billing" else "returns")
    new, _ = correct(desk, once, "shipping" if rows[0].completion != "shipping" else "returns", by="bob")
    desk.home.store.changes.make("remove", "ann", [Edit(rows[1].id, None)])
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"prompt": "the lift is broken", "completion": "shipping"}) + "\n")
    desk.add(path)
    found = desk.diff(before)
    assert found.counts == {"added": 1, "removed": 1, "changed": 1, "unchanged": 58, "erased": 0}
    (change,) = found.changed
    assert (change.old, change.new, change.by) == (rows[0].id, new.id, "bob")
    assert [(f.field, f.old, f.new) for f in change.fields] == [("topic", rows[0].completion, new.completion)]
    assert found.removed == (rows[1].id,)
    assert desk.diff("now", before).counts["added"] == 1


def test_a_snapshot_is_had_again_whatever_became_of_its_rows(desk):
    desk.check()
    rows = desk.home.examples()
    (taken,) = desk.snapshots()
    assert (taken.examples, taken.used_by, taken.erased) == (60, ("check",), 0)
    correct(desk, rows[0], "shipping" if rows[0].completion != "shipping" else "returns")
    assert list(desk.snapshot(taken.hash[:6]).examples) == rows
    with pytest.raises(TunesmithError, match="There is no snapshot"):
        desk.snapshot("no-such")


def test_a_day_in_the_past_is_now_with_all_since_taken_back(desk):
    rows = desk.home.examples()
    correct(desk, rows[0], "shipping" if rows[0].completion != "shipping" else "returns")
    store = desk.home.store
    with store.writing() as connection:  # as if the rows had come in March and the change in May
        connection.exec_driver_sql("UPDATE examples SET added_at = '2026-03-01T10:00:00+00:00' WHERE id != 'x'")
        connection.exec_driver_sql("UPDATE changes SET at = '2026-05-02T10:00:00+00:00'")
    assert {e.id for e in desk.snapshot("added:2026-05-01").examples} == {e.id for e in rows}
    assert desk.diff("added:2026-05-01", "added:2026-05-02").counts["changed"] == 1
    assert desk.snapshot("added:2026-02-28").examples == ()
    with pytest.raises(TunesmithError, match="is no date"):
        desk.snapshot("added:May")


def test_a_change_is_taken_back_by_the_beginning_of_its_name(desk):
    rows = desk.home.examples()
    _, batch = correct(desk, rows[0], "shipping" if rows[0].completion != "shipping" else "returns")
    done = desk.undo(batch[:8], by="bob")
    assert (done.undone, done.restored, done.removed) == (batch, 1, 1)
    assert desk.home.examples() == rows
    assert [c.kind for c in desk.history(rows[0].id).changes] == ["correct", "undo"]
    with pytest.raises(TunesmithError, match="There is no change"):
        desk.undo("no-such")
