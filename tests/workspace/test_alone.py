"""How long one waits: answers asked for alone are timed where a limit is set, and the limit is held against those."""

import re

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.answered import answered, answered_desk
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.models.engine import Engine


@pytest.fixture
def desk(tmp_path):
    """A desk with a tiny model; `prompt` answers on the test side within no time, whatever it says."""
    model = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk",
        model={"base": str(model), "embedder": "ngrams"},
        contenders={"max_tokens": 3},
        bar={"metric": "valid_rate", "value": 0.0},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.check()
    workspace.split()
    workspace.baseline(["constant", "classifier", "prompt"])
    return tmp_path / "desk"


def test_answers_are_timed_one_by_one_where_there_is_a_limit(desk, monkeypatch):
    typed("-C", desk, "evaluate", "--on", "test")
    write_settings(desk, decision={"most_latency_seconds": 60})
    asked, answers = [], Engine.answers

    def counted(self, requests):
        asked.append(len(requests))
        return answers(self, requests)

    monkeypatch.setattr(Engine, "answers", counted)
    made = typed("-C", desk, "evaluate", "--on", "test", "--json").json
    assert all(scored["alone_seconds"] > 0 for scored in made["contenders"].values())
    assert asked == [1] * 20  # of prompt and prompt+schema, whose answers were there: nine each, and one to begin with
    told = typed("-C", desk, "evaluate", "--on", "test").out
    assert re.search(r"^seconds an answer takes alone: constant [\d.]+, classifier [\d.]+, prompt", told, re.MULTILINE)


def test_nothing_is_timed_without_a_limit(desk):
    made = typed("-C", desk, "evaluate", "--on", "test", "--json").json
    assert {scored["alone_seconds"] for scored in made["contenders"].values()} == {None}
    assert "alone" not in typed("-C", desk, "evaluate", "--on", "test").out


def test_a_limit_set_later_is_unproved_until_answers_were_timed(desk):
    typed("-C", desk, "evaluate", "--on", "test")
    write_settings(desk, decision={"most_latency_seconds": 60})
    before = typed("-C", desk, "decide", "--json").json
    assert before["recommendation"] == "too_early"
    assert "how long an answer asked for alone takes is not known" in before["because"][0]
    assert "`tunesmith evaluate --on test`" in before["because"][0]
    typed("-C", desk, "evaluate", "--on", "test")
    assert typed("-C", desk, "decide", "--json").json["recommendation"] == "ship:constant"
    write_settings(desk, decision={"most_latency_seconds": 0})
    slow = typed("-C", desk, "decide", "--json").json["because"][0]
    assert slow.startswith("No untuned contender within the limits")
    assert typed("-C", desk, "report").status == 0
    assert typed("-C", desk, "report", "--verify").status == 0


def test_a_call_to_a_model_behind_an_address_was_alone_already(tmp_path):
    address = "http://127.0.0.1:9/v1"  # nobody answers there
    models = {"large": {"base": "m", "base_url": address}}
    desk = answered_desk(tmp_path, contenders={"models": models}, decision={"most_latency_seconds": 1})
    answered(desk, "prompt:large", lambda n: True, model="m", address=address)
    made = typed("-C", desk.home.root, "evaluate", "--on", "test", "--json").json
    assert made["contenders"]["prompt:large"]["alone_seconds"] == 0.2
