"""Several files at once: nothing is added before all are there, and what was added before one broke off is told."""

import json

from tests.cli.driving import typed
from tests.workspace.toy import write_csv

from tunesmith import Workspace


def test_a_file_that_is_not_there_is_told_before_any_is_added(tmp_path):
    first = write_csv(tmp_path / "first.csv", rows=4)
    desk, _ = Workspace.init(tmp_path / "desk", source=first)
    more = tmp_path / "more.csv"
    more.write_text("text,topic\nwhere is my lamp,shipping\n")
    before = len(desk.home.examples())
    ended = typed("-C", tmp_path / "desk", "add", more, tmp_path / "nowhere.csv")
    assert (ended.status, "There is no file" in ended.err) == (2, True)
    assert len(desk.home.examples()) == before


def test_what_was_added_before_a_file_broke_off_is_told_with_what_was_refused(tmp_path):
    desk, _ = Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "first.csv", rows=4))
    good, broken = tmp_path / "good.csv", tmp_path / "broken.csv"
    good.write_text("text,topic\nwhere is my lamp,shipping\nno topic,\n")
    broken.write_bytes(b"SQLite format 3\0" + b"\0" * 100)
    before = len(desk.home.examples())
    ended = typed("-C", tmp_path / "desk", "add", good, broken)
    assert ended.status == 2
    assert f"Before that, {good} was added; the rows of them that were refused stand in " in ended.err
    assert len(desk.home.examples()) == before + 1
    (kept,) = (desk.home.inside / "rejected").glob("*.jsonl")
    assert json.loads(kept.read_text().splitlines()[-1])["line"] == 3
