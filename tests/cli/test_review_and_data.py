"""Reviews and the history of the data from the command line: exit statuses, words, and erasure to the last byte."""

import json

import pytest
from tests.cli.driving import typed
from tests.workspace.toy import write_csv

from tunesmith import Workspace


@pytest.fixture
def desk(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    return tmp_path / "desk"


def test_a_reviewer_goes_through_the_queue_and_takes_a_decision_back(desk):
    assert typed("-C", desk, "review", "add", "--sample", "2").status == 0
    lent = typed("-C", desk, "review", "next", "--by", "ann", "--json").json
    wrong = next(t for t in ("returns", "billing") if t != lent["fields"]["topic"])
    refused = typed("-C", desk, "review", "correct", "--by", "ann", "--set", "topic=cargo")
    assert (refused.status, refused.err.count("To mend it:")) == (2, 1)
    made = typed("-C", desk, "review", "correct", "--by", "ann", "--set", f"topic={wrong}", "--json").json
    assert (made["queued"], made["corrected"], made["review"]["effective"]) == (1, 1, True)
    shown = typed("-C", desk, "show", made["review"]["became"])
    assert f"ann corrected {lent['example']['id']}, which became" in shown.out
    back = typed("-C", desk, "review", "undo", "--by", "ann", "--json").json
    assert (back["corrected"], back["example"]["id"]) == (0, lent["example"]["id"])
    assert typed("-C", desk, "review", "agreement").status == 2
    assert "holds no example" in typed("-C", desk, "review", "accept", "--by", "eve").err


def test_what_is_erased_is_in_no_file_and_its_history_is(desk, tmp_path):
    path = tmp_path / "person.jsonl"
    secret = "Mrs Abernathy of 12 Quince Lane asks for parcel 4711-0815"
    path.write_text(json.dumps({"prompt": secret, "completion": "shipping"}) + "\n")
    row = typed("-C", desk, "add", path, "--licence", "LicenseRef-customers", "--json")
    assert row.json["added"] == 1
    typed("-C", desk, "check")
    (found,) = [e for e in Workspace(desk).home.examples() if e.prompt == secret]
    assert "LicenseRef-customers" in typed("-C", desk, "show", found.id).out
    erased = typed("-C", desk, "data", "erase", found.id, "--by", "ann", "--reason", "asked by letter")
    assert erased.status == 0
    assert "person.jsonl" in erased.err  # the file it came from is not ours to erase
    files = [p for p in (desk / ".tunesmith").rglob("*") if p.is_file()]
    assert [p for p in files if secret.encode() in p.read_bytes() or b"Abernathy" in p.read_bytes()] == []
    assert "asked by letter" in typed("-C", desk, "data", "history", found.id[:8]).out
    gone = typed("-C", desk, "show", found.id)
    assert (gone.status, "was erased on" in gone.err) == (2, True)
    assert typed("-C", desk, "data", "undo", Workspace(desk).history().changes[-1].batch).status == 2
    assert "1 of them erased since" in typed("-C", desk, "data", "snapshots").out
