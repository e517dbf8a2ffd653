"""The README's commands run, and what it says of files and verbs holds."""

from __future__ import annotations

import csv
import json
import re

import pytest
from tests.house.source import PACKAGE, ROOT
from tests.house.test_docs import stand_ins
from tests.house.walking import Reader, blocks

from tunesmith.cli.main import VERBS

README = ROOT / "README.md"
ROWS = 200


@pytest.fixture
def folder(tmp_path):
    """A reader's folder, with the tickets.csv that the README takes for granted: 200 messages and their category."""
    with (PACKAGE / "examples/support_desk/messages.jsonl").open(encoding="utf-8") as source:
        rows = [json.loads(next(source)) for _ in range(ROWS)]
    with (tmp_path / "tickets.csv").open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(["text", "category"])
        writer.writerows([row["prompt"], row["completion"]["category"]] for row in rows)
    return tmp_path


def test_every_command_of_the_readme_runs(folder, tmp_path_factory):
    assert Reader(folder, stand_ins(tmp_path_factory.mktemp("home"))).read(README) > 5


def test_the_quick_start_is_two_commands():
    first = next(block for block in blocks(README) if block.kind in ("console", "sh"))
    lines = [line.removeprefix("$ ").split("  #")[0].strip() for line in first.text.splitlines()]
    assert lines == ["make demo", "make test"]


def test_the_make_targets_that_pages_name_are_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        name
        for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
        for name in re.findall(r"(?:`|^|\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }
    assert {"demo", "test"} <= named
    assert named <= targets


def test_the_table_of_the_road_names_every_verb():
    text = README.read_text(encoding="utf-8")
    table = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    assert [verb for verb in VERBS if f"`tunesmith {verb}`" not in table] == []
