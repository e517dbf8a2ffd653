"""A teacher writes new examples; what it writes waits for people, costs what it may cost, and copies nothing."""

import json
import re

import pytest
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, says
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.examples import Example, Message
from tunesmith.core.splits import Split
from tunesmith.workspace.synthesize import latest_time

NEW = [
    "my kettle leaks and i would rather have my money",
    "the total on friday was eleven more than the shelf said",
    "nobody rang, yet a card says we were out",
    "a stranger signed for our mirror",
    "could the carpet go back if i only unrolled it once",
]


@pytest.fixture
def desk(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"})
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    return workspace


def reach(desk, server, usd=0.0, **prices):
    write_settings(desk.home.root, teacher={"base_url": server.url, **prices}, budget={"usd": usd})


def synthesize(desk, count, *more):
    return typed("-C", desk.home.root, "synthesize", "--teacher", "t", "--count", str(count), *more)


def obeying(body, number):
    """Writes a new message with the label it is asked for."""
    label = re.search(r"topic is '(\w+)'", body["messages"][-1]["content"]).group(1)
    return says(json.dumps({"prompt": f"{NEW[number % len(NEW)]} {number * 7919}", "completion": label}), prompt=200)


def test_new_examples_wait_for_people_with_their_lineage_and_are_learnt_only_after(desk):
    with FakeServer(obeying) as server:
        reach(desk, server)
        ended = synthesize(desk, 5, "--json")
        asked = [body["messages"] for body in server.bodies]
    assert ended.status == 0
    report = ended.json
    assert (report["made"], report["queued"], report["usd"]) == (5, 5, None)
    assert (report["accepted"], report["corrected"], report["rejected"]) == (0, 0, 0)
    split = desk.home.latest("split", "split", Split)[0]
    by_id = {e.id: e for e in desk.home.examples()}
    made = [e for e in by_id.values() if e.source == "synthetic"]
    assert len(made) == 5
    assert all(set(e.lineage) <= set(split.train) for e in made)
    tested = {by_id[i].prompt for i in (*split.test, *split.validation)}
    assert not any(prompt in message["content"] for prompt in tested for turns in asked for message in turns)
    assert desk.extend_split().set_aside == 5
    review = desk.review("ann")
    for _ in range(2):
        review.next()
        review.accept()
    grown = desk.extend_split()
    assert (grown.set_aside, grown.train) == (3, len(split.train) + 2)


def test_copies_and_replies_that_cannot_be_used_are_refused_and_counted(desk):
    there = desk.home.examples()[0].prompt

    def answer(body, number):
        if number % 3 == 0:
            return says(json.dumps({"prompt": there.upper(), "completion": "returns"}))
        return says("I cannot do that.") if number % 3 == 1 else obeying(body, 0)

    with FakeServer(answer) as server:
        reach(desk, server)
        report = synthesize(desk, 4, "--json").json
    assert report["made"] <= 1  # the one message it writes is a copy of itself the next time
    assert report["made"] + sum(report["refused"].values()) == report["asked"]
    assert {"not readable as JSON", "a near copy of an example that is there"} <= set(report["refused"])
    assert "were refused" in report["stopped"]


def test_the_budget_ends_it_and_what_was_paid_for_is_kept(desk):
    # one request may cost at most some 2,500 bytes of prompt and 200 tokens: 0.0027 USD at these prices
    with FakeServer(obeying) as server:
        reach(desk, server, usd=0.012, usd_per_million_input_tokens=1.0, usd_per_million_output_tokens=1.0)
        report = synthesize(desk, 60, "--json").json
    assert "spending cap" in report["stopped"]
    assert 0 < report["made"] < 60
    assert report["usd"] == pytest.approx(report["asked"] * 205e-6)
    assert report["usd"] <= 0.012
    assert sum(e.source == "synthetic" for e in desk.home.examples()) == report["made"]


def test_without_a_split_or_a_teacher_nothing_is_asked(desk, tmp_path):
    assert synthesize(desk, 2).status == 2
    Workspace.init(tmp_path / "new", source=write_csv(tmp_path / "more.csv"))
    with FakeServer(obeying) as server:
        reach(Workspace(tmp_path / "new"), server)
        ended = typed("-C", tmp_path / "new", "synthesize", "--teacher", "t", "--count", "2")
        assert (ended.status, server.bodies) == (2, [])
    assert "tunesmith split" in ended.err


def test_what_was_made_from_examples_is_as_old_as_the_latest_of_them_if_all_have_a_time():
    message = (Message(role="user", content="where is it"),)
    early, late, without = (Example.make(message, "x", time=time) for time in ("2026-01-01", "2026-02-01", None))
    assert latest_time((early, late)) == "2026-02-01"
    assert latest_time((early, without)) is None
