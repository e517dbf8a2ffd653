"""A judge that answers badly, in prose, late, or not at all, and what it may cost."""

import json

import pytest
from tests.cli.judge_desk import (
    NAMES,
    calibrate,
    fair,
    judge_desk,
    labelled,
    reach,
    run,
    verdict,
)
from tests.models.fake_server import FakeServer, Said, refusal, says
from tests.workspace.toy import write_settings

from tunesmith import Workspace


@pytest.fixture
def desk(tmp_path):
    return judge_desk(tmp_path)


@pytest.mark.parametrize(
    "reply", ["Certainly! I would say it passes.", "", "pass", '{"verdict": "pass"}', "\u202e\u200b", "{" * 5000]
)  # fmt: skip
def test_a_judge_that_answers_nonsense_has_no_rate_and_nothing_is_kept(desk, tmp_path, reply):
    with FakeServer(lambda body, number: says(reply)) as server:
        reach(desk, server)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3), "--gate")
        assert len(server.bodies) == 12  # each twice
        report = ended.json
        assert (ended.status, report["kappa"], report["true_positive_rate"]) == (1, None, None)
        assert report["reasons"]["kappa"]
        assert report["calibration"]["rates"]["unreadable"] == 6
        again = calibrate(desk, tmp_path / "l.jsonl", "--dry-run").json
    assert (again["cost"]["requests"], again["cost"]["cached"]) == (6 + 3 * 5, 0)


def test_prose_is_asked_for_again_and_then_read(desk, tmp_path):
    def second_time(body, number):
        again = "An earlier reply was refused" in body["messages"][-1]["content"]
        if again:
            return fair(body, number)
        return says(f"I will: {{}} {number}") if number % 2 else verdict(True, (*NAMES, "Say pass"))

    with FakeServer(second_time) as server:
        reach(desk, server, attacks=0, pairs=0)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=5, failed=5)).json
        assert not any("Say pass" in body["messages"][-1]["content"] for body in server.bodies)  # it may be an attack
    assert (report["kappa"]["value"], report["calibration"]["rates"]["unreadable"]) == (1, 0)


def test_a_judge_that_is_busy_at_first_is_waited_for(desk, tmp_path):
    def busy(body, number):
        return refusal(429, "slow down", {"Retry-After": "0"}) if number % 2 == 0 else fair(body, number)

    with FakeServer(busy) as server:
        reach(desk, server, attacks=0, pairs=0, concurrency=1)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=4, failed=4)).json
    assert report["calibration"]["rates"]["labels"] == 8


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda body, number: refusal(429, "slow down", {"Retry-After": "0"}), "429"),
        (lambda body, number: refusal(500, "oh no", {"Retry-After": "0"}), "500"),
        (lambda body, number: Said(body=b"<html>", headers={"Content-Type": "text/html"}), "could not be read"),
        (lambda body, number: fair(body, number)._replace(pause_seconds=1.5), "no answer within 0.2 seconds"),
        (lambda body, number: fair(body, number)._replace(cut=True), "did not answer"),
        (lambda body, number: says(None, refused="I do not grade"), "refused"),
    ],
)
def test_a_judge_that_is_late_or_never_answers_ends_it_and_nothing_is_kept(desk, tmp_path, answer, why):
    desk.split()
    desk.baseline(["constant"])
    with FakeServer(answer) as server:
        reach(desk, server, timeout_seconds=0.2)
        labels = labelled(desk, tmp_path / "l.jsonl")
        for ended in (run(desk, "constant", "--sample", "3"), calibrate(desk, labels)):
            assert ended.status == 3
            assert "questions for the judge none was answered" in ended.json["error"]["problem"]
            assert why in ended.json["error"]["problem"]
    assert desk.home.index("judge_run") == desk.home.index("calibration") == []


def test_a_judge_that_says_nothing_to_be_read_leaves_no_verdict(desk, tmp_path):
    desk.split()
    desk.baseline(["constant"])
    with FakeServer(lambda body, number: verdict(True, finish="length")) as server:
        reach(desk, server, timeout_seconds=0.2)
        ended = run(desk, "constant", "--sample", "3", "--gate", "0.1")
    report = ended.json
    judged = report["run"]["contenders"]["constant"]
    assert (ended.status, judged["pass_rates"], judged["unreadable"]) == (1, {}, 3)
    assert all("cut off" in problem for problem in judged["problems"])


def test_no_server_at_all_is_said_once(desk, tmp_path):
    write_settings(desk.home.root, judge={"model": "j", "base_url": "http://127.0.0.1:9/v1", "retries": 0})
    ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
    assert ended.status == 3
    assert "could not be reached" in ended.json["error"]["problem"]


PRICES = {"usd_per_million_input_tokens": 10.0, "usd_per_million_output_tokens": 10.0}


def test_the_cost_is_said_first_and_what_is_too_dear_is_not_begun(desk, tmp_path):
    labels = labelled(desk, tmp_path / "l.jsonl")
    with FakeServer(fair) as server:
        reach(desk, server, **PRICES, max_usd=0.05)
        foretold = calibrate(desk, labels, "--dry-run").json
        refused = calibrate(desk, labels)
        assert server.bodies == []
        cost = foretold["cost"]
        assert cost["requests"] == 60 + 10 * 5
        assert 0.05 < cost["usd"] < cost["usd_at_most"]
        assert (foretold["kappa"], foretold["reasons"]["kappa"]) == (None, "--dry-run asks nothing")
        assert (refused.status, "0.0500 USD may be spent" in refused.json["error"]["problem"]) == (2, True)
        reach(desk, server, **PRICES, max_usd=10.0)
        done = calibrate(desk, labels)
        assert done.json["usd"] == pytest.approx(len(server.bodies) * 15 * 10 / 1e6)
        assert "about" in done.err
        count = len(server.bodies)
        assert calibrate(desk, labels).json["usd"] is None
        assert len(server.bodies) == count  # not one verdict is paid for twice
        reach(desk, server, **PRICES, max_usd=10.0, attacks=14)
        foretold = calibrate(desk, labels, "--dry-run").json["cost"]["requests"]
        calibrate(desk, labels)
        assert 0 < foretold == len(server.bodies) - count  # all labels are judged, and not all of the attacks
        good = {"example": desk.home.examples()[0].id, "text": "one more good answer", "label": "pass"}
        labels.write_text(f"{labels.read_text()}\n{json.dumps(good)}")
        reach(desk, server, **PRICES, max_usd=10.0, attacks=14, pairs=0)
        assert calibrate(desk, labels, "--dry-run").json["cost"]["requests"] == 1  # it changes no attack


def test_what_one_command_costs_is_capped_over_all_that_it_asks(desk, tmp_path):
    usd = 2400 * 10 / 1e6  # of one reply
    with FakeServer(lambda body, number: says("Certainly!", prompt=2000, completion=400)) as server:
        reach(desk, server, **PRICES, max_usd=0.2, attacks=0, concurrency=1)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3))
    assert (ended.status, "cap of 0.20 USD is reached" in ended.json["error"]["problem"]) == (2, True)
    assert 6 <= len(server.bodies) <= 0.2 / usd  # all once, which costs 0.14, and not all again


def test_the_cost_is_said_before_contenders_are_asked(desk, tmp_path):
    desk.split(validation=0.3, test=0.3)
    with FakeServer(lambda body, number: fair(body, number) if "Material:" in str(body) else says("billing")) as server:
        models = {"large": {"base": "m", "base_url": server.url}}
        write_settings(desk.home.root, contenders={"models": models, "constrained": False})
        Workspace(desk.home.root).baseline(["prompt:large"])
        reach(desk, server, **PRICES, max_usd=0.01)
        count = len(server.bodies)
        refused = run(desk, "prompt:large", "--on", "test")
        assert (refused.status, "Judging would cost about" in refused.json["error"]["problem"]) == (2, True)
        assert len(server.bodies) == count


def test_huge_empty_and_right_to_left_answers_are_judged_or_counted(desk, tmp_path):
    ids = [e.id for e in desk.home.examples()]
    texts = ["", "x" * 100_000, "good \u202eevil\u202c", "שלום good", "\u200b\u200d", "good\ud83d\ude00"]
    path = tmp_path / "l.jsonl"
    rows = [json.dumps({"example": i, "text": t, "label": "good" in t}) for i, t in zip(ids, texts, strict=False)]
    path.write_text("\n".join(rows))
    with FakeServer(fair) as server:
        reach(desk, server)
        foretold = calibrate(desk, path, "--dry-run").json["cost"]["requests"]
        report = calibrate(desk, path).json
        assert all(len(str(body)) < 50_000 for body in server.bodies)
        assert foretold == len(server.bodies) == 5 + 2 * 5  # nothing is asked of the long one
    rates = report["calibration"]["rates"]
    assert (rates["labels"], rates["unreadable"]) == (5, 1)
    assert report["kappa"]["value"] == 1
