"""Time by the command line: from a column to a split in its order, and what is refused on the way."""

import csv
import json
import shutil

import pytest
from tests.cli.driving import typed
from tests.workspace.toy import MESSAGES, write_csv

from tunesmith import Workspace
from tunesmith.core.store import Edit

TEXTS = [(text, label) for label, texts in MESSAGES.items() for text in texts.splitlines()]


def write_dated(path, *, column="sent", groups=()):
    """The sixty toy messages, one a day in turn of their labels; ``groups`` are pairs of rows of one customer."""
    turns = [TEXTS[n % 3 * 20 + n // 3] for n in range(60)]
    customer = {row: f"c{number}" for number, pair in enumerate(groups) for row in pair}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic", "customer", column])
        writer.writerows(
            [text, topic, customer.get(n, ""), f"2026-{1 + n // 28:02}-{1 + n % 28:02}"]
            for n, (text, topic) in enumerate(turns)
        )
    return path


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv", rows=1))
    (folder / "desk" / ".tunesmith" / "store.db").unlink()
    return folder / "desk"


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


def test_a_file_of_dated_rows_is_split_in_their_order_and_proved_again(desk, tmp_path):
    path = write_dated(tmp_path / "a.csv", groups=[(3, 57), (5, 8)])
    shown = typed("-C", desk, "add", path, "--map", "time=sent", "--dry-run", "--json")
    assert shown.json["mapping"]["time"] == "sent"
    assert typed("-C", desk, "add", path, "--map", "time=sent").status == 0
    ended = typed("-C", desk, "split", "--by-time", "--json")
    assert ended.status == 0, ended.err
    found = ended.json
    assert (found["train"], found["validation"], found["test"], found["set_aside"]) == (42, 6, 11, 1)
    order = found["certificate"]["time"]
    assert order["latest"]["train"] < order["earliest"]["validation"] <= order["latest"]["validation"]
    assert order["latest"]["validation"] < order["earliest"]["test"]
    assert order["latest"]["test"] == "2026-03-04"
    assert order["set_aside"] == {"it belongs together with a later row of test": 1}
    assert [row["reason"] for row in found["reasons"]] == ["it belongs together with a later row of test"]
    again = typed("-C", desk, "split", "--verify", "--json")
    assert again.status == 0
    assert again.json["certificate"] == found["certificate"]
    told = typed("-C", desk, "split", "--verify")
    assert "by time: train 2026-01-01 to " in told.out
    assert "set aside 1: it belongs together with a later row of test" in told.out


def test_settings_ask_for_time_and_a_flag_takes_it_back(desk, tmp_path):
    typed("-C", desk, "add", write_dated(tmp_path / "a.csv", column="date"))
    with (desk / "tunesmith.yaml").open("a") as file:
        file.write("split:\n  by_time: true\n")
    assert typed("-C", desk, "split", "--json").json["certificate"]["time"]
    assert typed("-C", desk, "split", "--no-by-time", "--json").json["certificate"]["time"] is None


def test_rows_that_come_later_do_not_join_train(desk, tmp_path):
    typed("-C", desk, "add", write_dated(tmp_path / "a.csv", column="time"))
    frozen = typed("-C", desk, "split", "--by-time", "--json").json
    more = tmp_path / "more.csv"
    more.write_text(
        "text,topic,time\nlamp came without a plug,returns,2026-01-02\nnew terms for parcels,shipping,2026-06-01\n"
    )
    assert typed("-C", desk, "add", more, "--json").json["added"] == 2
    grown = typed("-C", desk, "split", "--extend", "--json").json
    assert (grown["train"], grown["test"]) == (frozen["train"] + 1, frozen["test"])
    assert [row["reason"] for row in grown["reasons"]] == ["it is not earlier than all of test"]
    assert grown["certified"]


def test_a_stored_split_that_is_out_of_order_no_longer_certifies(desk, tmp_path):
    typed("-C", desk, "add", write_dated(tmp_path / "a.csv", column="time"))
    assert typed("-C", desk, "split", "--by-time").status == 0
    home = Workspace(desk).home
    (entry,) = home.index("split")
    path = desk / ".tunesmith" / "split" / f"{entry.hash}.json"
    split = json.loads(path.read_text())
    split["train"][0], split["test"][0] = split["test"][0], split["train"][0]
    path.write_text(json.dumps(split))
    ended = typed("-C", desk, "split", "--verify", "--json")
    assert ended.status == 1
    assert any("the latest train row is of" in problem for problem in ended.json["problems"])


def test_old_rows_take_their_time_from_the_file_when_it_is_added_again(desk, tmp_path):
    path = write_dated(tmp_path / "a.csv")
    assert typed("-C", desk, "add", path).status == 0
    ended = typed("-C", desk, "split", "--by-time")
    assert ended.status == 2
    assert "60 of 60 rows have no time" in ended.err
    assert "--map time=COLUMN" in ended.err
    again = typed("-C", desk, "add", path, "--map", "time=sent", "--json").json
    assert (again["added"], again["duplicates"], again["timed"]) == (0, 60, 60)
    assert typed("-C", desk, "split", "--by-time").status == 0


def test_the_time_is_shown_and_comes_back_from_a_file(desk, tmp_path):
    typed("-C", desk, "add", write_dated(tmp_path / "a.csv", column="time"))
    example = next(e for e in Workspace(desk).home.examples() if e.time == "2026-02-01")
    shown = typed("-C", desk, "show", example.id, "--json").json
    assert shown["example"]["time"] == shown["provenance"]["time"] == "2026-02-01"
    assert "time: 2026-02-01" in typed("-C", desk, "show", example.id).out
    plain = typed("-C", desk, "data", "export", tmp_path / "out.jsonl", "--json").json
    assert plain["left_out"]["time"] == 60
    typed("-C", desk, "data", "export", tmp_path / "out.jsonl", "--tags")
    shutil.rmtree(desk / ".tunesmith")
    typed("-C", desk, "add", tmp_path / "out.jsonl")
    assert {e.id: e.time for e in Workspace(desk).home.examples()}[example.id] == "2026-02-01"


def test_a_value_that_is_no_time_is_set_aside_with_its_line(desk, tmp_path):
    path = write_dated(tmp_path / "a.csv")
    path.write_text(path.read_text().replace("2026-01-03", "third of January"))
    ended = typed("-C", desk, "add", path, "--map", "time=sent", "--json")
    assert ended.status == 0
    assert ended.json["added"] == 59
    (row,) = ended.json["rejected"]
    assert (row["line"], "third of January" in row["problem"], bool(row["mend"])) == (4, True, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("split", "--by-time", "--train-per-label", "3"), "--train-per-label"),
        (("split", "--by-time", "--extend"), "take the frozen split as it is"),
        (("split", "--by-time", "--verify"), "take the frozen split as it is"),
        (("add", "a.csv", "--map", "time=when"), "There is no column 'when' to be the time"),
        (("add", "a.csv", "--map", "tiem=sent"), "'time'"),
    ],
)
def test_what_cannot_be_is_refused_with_one_message(desk, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    typed("-C", desk, "add", write_dated(tmp_path / "a.csv"), "--map", "time=sent")
    ended = typed("-C", desk, *arguments)
    assert ended.status == 2
    assert says in ended.err
    assert ended.err.count("To mend it:") == 1


def state_of(desk, station):
    stations = typed("-C", desk, "status", "--json").json["stations"]
    return next(found["state"] for found in stations if found["name"] == station)


def test_times_make_stale_only_what_was_split_by_them(desk, tmp_path):
    typed("-C", desk, "add", write_dated(tmp_path / "a.csv"))
    assert typed("-C", desk, "split").status == 0
    before = typed("-C", desk, "split", "--verify", "--json").json
    snapshot = Workspace(desk).snapshots()[-1].hash
    typed("-C", desk, "add", tmp_path / "a.csv", "--map", "time=sent")
    assert state_of(desk, "split") == "done"
    assert typed("-C", desk, "split", "--verify", "--json").json["certified"] is before["certified"] is True
    told = typed("-C", desk, "data", "diff", snapshot, "--json").json
    assert (told["counts"]["changed"], told["changed_fields"]) == (60, {"time": 60})
    typed("-C", desk, "split", "--by-time")
    moved = write_dated(tmp_path / "b.csv").read_text().replace("2026-03-04", "2026-01-01")
    (tmp_path / "b.csv").write_text(moved)
    typed("-C", desk, "add", tmp_path / "b.csv", "--map", "time=sent")
    assert state_of(desk, "split") == "stale"
    assert typed("-C", desk, "split", "--verify").status == 1


def test_rows_out_of_use_are_told_and_come_back_when_asked(desk, tmp_path):
    path = write_dated(tmp_path / "a.csv")
    typed("-C", desk, "add", path)
    removed, erased = (e.id for e in Workspace(desk).home.examples()[:2])
    Workspace(desk).home.store.changes.make("remove", "ann", [Edit(removed, None)])
    typed("-C", desk, "data", "erase", erased, "--by", "ann")
    dry = typed("-C", desk, "add", path, "--dry-run")
    assert "would add 0, 58 there already, 2 out of use" in dry.out
    assert "2 rows were taken out of use before, 1 of them erased" in dry.err
    told = typed("-C", desk, "add", path, "--json").json
    assert (told["added"], told["out_of_use"], told["erased"], told["back"]) == (0, 2, 1, 0)
    assert "brought back 2" in typed("-C", desk, "add", path, "--again").out
    assert len(Workspace(desk).home.examples()) == 60
    assert "brought" in typed("-C", desk, "data", "history", removed).out
