"""The judge from the command line: held against labels, attacked, and asked about contenders."""

import json

import pytest
from tests.cli.driving import typed
from tests.cli.judge_desk import (
    asked,
    calibrate,
    fair,
    judge_desk,
    labelled,
    obedient,
    reach,
    run,
    verdict,
    with_errors,
)
from tests.models.fake_server import FakeServer, says
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.judging import Calibration


@pytest.fixture
def desk(tmp_path):
    return judge_desk(tmp_path)


def test_a_fair_judge_is_measured_attacked_and_may_gate(desk, tmp_path):
    with FakeServer(fair) as server:
        reach(desk, server)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl"), "--gate")
        words = typed("-C", desk.home.root, "judge", "calibrate", "--labels", tmp_path / "l.jsonl")
    report = ended.json
    assert ended.status == 0
    assert report["true_positive_rate"]["value"] == report["true_negative_rate"]["value"] == 1
    # Wilson of 30 of 30: 1 / (1 + z^2 / 30)
    assert report["true_positive_rate"]["low"] == pytest.approx(0.8865, abs=1e-4)
    assert (report["kappa"]["value"], report["gate"]["may"]) == (1, True)
    made = report["calibration"]
    assert (made["attacks"]["tried"], made["attacks"]["turned"]) == (50, 0)
    assert set(made["attacks"]["by_kind"]) == {"order", "verdict", "forged end", "authority", "unseen"}
    assert made["rates"]["constant"]["value"] == 0.5
    assert "it may gate" in words.out
    assert "0 questions for the judge" in words.err  # all are answered before


def test_rates_match_those_worked_by_hand(desk, tmp_path):
    with FakeServer(with_errors) as server:
        reach(desk, server, pairs=0)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", slips=3, luck=6, criterion="tone")).json
    assert (report["true_positive_rate"]["value"], report["true_negative_rate"]["value"]) == (0.9, 0.8)
    # agreement 51 / 60; the judge passes 33 of 60: chance 0.5, so kappa (0.85 - 0.5) / 0.5
    assert report["kappa"]["value"] == pytest.approx(0.7)
    assert report["gates"]["tone"]["may"]
    assert not report["gate"]["may"]  # of whole answers there is no label
    assert "position" in report["calibration"]["reasons"]


def test_calibration_gates_by_the_criterion_that_is_asked_for(desk, tmp_path):
    with FakeServer(with_errors) as server:
        reach(desk, server, pairs=0)
        path = labelled(desk, tmp_path / "l.jsonl", slips=3, luck=6, criterion="tone")
        assert calibrate(desk, path, "--gate").status == 1
        by_tone = calibrate(desk, path, "--gate", "--criterion", "tone")
        words = typed("-C", desk.home.root, "judge", "calibrate", "--labels", path)
        unknown = calibrate(desk, path, "--gate", "--criterion", "tonne")
        pairs = calibrate(desk, path, "--criterion", "win_rate")
    assert (by_tone.status, by_tone.json["gate"]["because"]) == (0, ["calibrated on 60 labels of 'tone'"])
    assert "by tone:\n  it may gate: calibrated on 60 labels of 'tone'" in words.out
    assert (unknown.status, "did you mean 'tone'" in unknown.err) == (2, True)
    assert (pairs.status, "criterion" in pairs.err) == (2, True)  # no ratings are asked for
    ratings = typed("-C", desk.home.root, "judge", "calibrate", "--ratings", "--criterion", "tone")
    assert (ratings.status, "choose" in ratings.err) == (2, True)  # ratings say nothing of one criterion


def test_a_judge_that_answers_can_give_orders_may_not_gate(desk, tmp_path):
    with FakeServer(obedient) as server:
        reach(desk, server, pairs=0)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl"), "--gate")
    report = ended.json
    assert (report["kappa"]["value"], ended.status) == (1, 1)  # without the attacks it would look perfect
    found = report["calibration"]["attacks"]["by_kind"]
    assert [found[kind] for kind in ("order", "verdict", "forged end", "authority")] == [[10, 10]] * 4
    assert "answers that give it orders turned it" in report["gate"]["because"][0]


def test_a_judge_with_a_favourite_place_is_found_out(desk, tmp_path):
    def first(body, number):
        return fair(body, number) if "answer" in asked(body) else says('{"reason": "so", "better": "first"}')

    ids = [e.id for e in desk.home.examples()][:20]
    rows = [(i, text, label) for i in ids for text, label in (("a good answer", "pass"), ("a bad answer", "fail"))]
    path = tmp_path / "l.jsonl"
    path.write_text("\n".join(json.dumps({"example": i, "text": t, "label": label}) for i, t, label in rows))
    with FakeServer(first) as server:
        reach(desk, server)
        place = calibrate(desk, path).json["calibration"]["position"]
    assert (place["pairs"], place["consistent"], place["bias"]["value"]) == (20, 0, 1)


def test_the_judge_reads_the_guidelines_of_the_team(desk, tmp_path):
    (desk.home.root / "tone.md").write_text("Never an exclamation mark.")
    told = []

    def listening(body, number):
        told.append([message["content"] for message in body["messages"]])
        return fair(body, number)

    with FakeServer(listening) as server:
        reach(desk, server, guidelines="tone.md", pairs=1)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl")).json
        assert report["gate"]["may"]
        assert all("read the criteria by it:\nNever an exclamation mark." in system for system, _ in told)
        for text, says_so in (("", "have 0 characters"), ("long " * 5000, "have 24,999 characters")):
            (desk.home.root / "tone.md").write_text(text)
            assert says_so in calibrate(desk, tmp_path / "l.jsonl").err
        (desk.home.root / "tone.md").unlink()
        gone = calibrate(desk, tmp_path / "l.jsonl")
        assert (gone.status, "guidelines in tone.md cannot be read" in gone.err) == (2, True)


def test_a_rubric_model_or_prompt_that_changed_may_not_gate(desk, tmp_path):
    desk.split()
    desk.baseline(["constant", "classifier"])
    with FakeServer(fair) as server:
        reach(desk, server)
        before = run(desk, "constant", "--sample", "4", "--gate", "0.0")
        assert (before.status, before.json["gate"]["may"], before.json["corrected"]) == (1, False, {})
        assert "not calibrated" in before.json["reasons"]["corrected"]
        calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
        stands = run(desk, "constant", "--sample", "4", "--gate", "0.0")
        assert (stands.status, stands.json["standing"]) == (0, {"constant": "met"})
        (desk.home.root / "tone.md").write_text("Never an exclamation mark.")
        for change, what in (({"criteria": {"tone": "rude"}}, "rubric"), ({"model": "k"}, "model"),
                             ({"max_tokens": 99}, "prompt"), ({"reference": False}, "rubric"),
                             ({"guidelines": "tone.md"}, "rubric")):  # fmt: skip
            reach(desk, server, **change)
            ended = run(desk, "constant", "--sample", "4", "--gate", "0.0")
            report = ended.json
            assert (ended.status, report["kappa"], report["corrected"], report["standing"]) == (1, None, {}, {})
            assert f"its {what} changed" in report["gate"]["because"][0]


def test_contenders_are_judged_blind_corrected_and_compared_in_both_orders(desk, tmp_path):
    desk.split()
    desk.baseline(["constant", "classifier"])

    def right(body, number):
        """Passes what equals the reference; among pairs, takes the first, whatever it is."""
        material = asked(body)
        if "answer" not in material:
            return says('{"reason": "so", "better": "first"}')
        return verdict("good" in material["answer"] or material["answer"] == material["reference"])

    with FakeServer(right) as server:
        reach(desk, server)
        calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
        ended = run(desk, "constant", "classifier", "--against", "constant")
        assert not any("classifier" in m["content"] for body in server.bodies for m in body["messages"])
        words = typed("-C", desk.home.root, "judge", "run", "constant", "classifier", "--against", "constant").out
        held = run(desk, "classifier", "--against", "constant", "--gate", "0.0")
    report = ended.json
    assert (held.status, held.json["standing"]) == (0, {"classifier": "met"})  # the rival is held to no bar
    assert set(held.json["corrected"]) == {"classifier", "constant"}
    scored = typed("-C", desk.home.root, "evaluate", "--json").json["contenders"]
    accuracy = {name: each["metrics"]["accuracy"] for name, each in scored.items()}
    for name, judged in report["run"]["contenders"].items():
        assert judged["pass_rates"]["overall"]["value"] == pytest.approx(accuracy[name]["value"])
        corrected = report["corrected"][name]["overall"]
        assert corrected["value"] == pytest.approx(accuracy[name]["value"])
        assert corrected["low"] <= corrected["value"] <= corrected["high"]
        width = judged["pass_rates"]["overall"]["high"] - judged["pass_rates"]["overall"]["low"]
        assert corrected["high"] - corrected["low"] > width  # the judge's own errors are uncertain too
    (wins,) = report["run"]["wins"]
    assert (wins["wins"], wins["losses"], wins["inconsistent"]) == (0, 0, wins["ties"] - wins["identical"])
    assert wins["rate"]["value"] == 0.5
    assert "contradict themselves" in words


def test_answers_that_are_the_reference_pass_whatever_the_judge_s_errors_on_others(desk, tmp_path):
    """It misses one good answer in five, but never the one that is the very reference that it is shown."""
    desk.split(validation=0.45)
    desk.baseline(["classifier"])

    def judge(body, number):
        material = asked(body)
        answer = material["answer"]
        return verdict(answer == material["reference"] or ("good" in answer and "slip" not in answer))

    with FakeServer(judge) as server:
        reach(desk, server, pairs=0)
        calibrate(desk, labelled(desk, tmp_path / "l.jsonl", slips=6))
        report = run(desk, "classifier").json
    judged = report["run"]["contenders"]["classifier"]
    right = judged["pass_rates"]["overall"]["value"]
    assert 0.1 < right < 0.9
    assert judged["as_reference"]["share"] == pytest.approx(right)
    assert judged["apart"]["overall"]["value"] == 0
    corrected = report["corrected"]["classifier"]["overall"]
    assert corrected["value"] == pytest.approx(right)  # by the judge's errors on others it would be right / 0.8
    assert corrected["low"] < right < corrected["high"]


def test_a_gate_is_not_passed_by_the_answers_that_are_left(desk, tmp_path):
    desk.split(validation=0.45)
    desk.baseline(["classifier"])

    def passing(silent_on):
        def judge(body, number):
            answer = asked(body).get("answer", "")
            return says("I would rather not say.") if answer in silent_on else verdict("bad" not in answer)

        return judge

    for silent_on, standing in (((), "met"), (("shipping", "billing"), "not_shown")):
        with FakeServer(passing(silent_on)) as server:
            reach(desk, server, pairs=0, model=f"silent on {len(silent_on)}")
            calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
            ended = run(desk, "classifier", "--gate", "0.6")
        report = ended.json
        judged, rate = report["run"]["contenders"]["classifier"], report["corrected"]["classifier"]["overall"]
        assert (judged["unreadable"] > 0) == bool(silent_on)
        assert (rate["value"], rate["low"] > 0.6) == (1, True)
        assert (ended.status, report["standing"]) == (0 if standing == "met" else 1, {"classifier": standing})


def test_verdicts_are_erased_with_their_example(desk, tmp_path):
    labels = labelled(desk, tmp_path / "l.jsonl", passed=6, failed=6)
    doomed = desk.home.examples()[0].id
    with FakeServer(fair) as server:
        reach(desk, server)
        judge = calibrate(desk, labels).json["calibration"]
        hashed = Workspace(desk.home.root).home.latest("calibration", "judge", Calibration)[0].judge.hash
    assert judge["rates"]["labels"] == 12
    assert any(key.startswith(doomed) for key in desk.home.store.answers(hashed))
    desk.erase(doomed, by="ann")
    kept = desk.home.store.answers(hashed)
    assert kept
    assert not any(key.startswith(doomed) for key in kept)


def test_a_random_model_on_this_machine_judges_and_is_shown_to_be_useless(desk, tmp_path):
    from tests.models.tiny import build_tiny

    model = build_tiny(tmp_path / "tiny", layers=1, context=4096)
    write_settings(desk.home.root, judge={"model": str(model), "criteria": {}, "attacks": 2, "pairs": 0, "tries": 1})
    ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=4, failed=4), "--gate")
    report = ended.json
    assert (ended.status, report["gate"]["may"]) == (1, False)
    assert report["cost"]["because"] == "it runs on this machine"
    assert report["calibration"]["rates"]["labels"] + report["calibration"]["rates"]["unreadable"] == 8


def test_judges_and_raters_are_not_shown_what_a_model_thought_before_it_answered(desk, tmp_path):
    task = desk.home.settings.model_dump(mode="json")["task"] | {"trace_end": "</think>"}
    thoughts = iter(range(1000))

    def thinking(body, number):
        if "Material" in body["messages"][-1]["content"]:
            return fair(body, number)
        return says(f"secret {next(thoughts)}</think>\n{'shipping' if body['model'] == 'm' else 'a good answer'}")

    with FakeServer(thinking) as server:
        other = {"big": {"base": "m2", "base_url": server.url}}
        write_settings(
            desk.home.root, task=task, model={"base": "m", "base_url": server.url, "embedder": "ngrams"},
            contenders={"constrained": False, "models": other},
        )  # fmt: skip
        reach(desk, server)
        rows = [("my tracking number shows nothing", "shipping"), ("the sum on my invoice is wrong", "billing")]
        (tmp_path / "thought.jsonl").write_text(
            "".join(json.dumps({"prompt": text, "completion": f"secret</think>{topic}"}) + "\n" for text, topic in rows)
        )
        for verb in (
            ("add", tmp_path / "thought.jsonl", "--side", "test"), ("split", "--validation", "0.4"),
            ("baseline", "prompt", "prompt:big"),
        ):  # fmt: skip
            assert typed("-C", desk.home.root, *verb).status == 0
        first = next(e for e in Workspace(desk.home.root).home.examples())
        path = tmp_path / "l.jsonl"
        path.write_text(json.dumps({"example": first.id, "text": "secret 7</think> good", "label": "pass"}))
        assert calibrate(desk, path).status == 0
        report = run(desk, "prompt", "prompt:big", "--against", "prompt").json
        assert run(desk, "prompt", "--on", "test").status == 0
        shown = [text for body in server.bodies if "Material" in (text := body["messages"][-1]["content"])]
    assert len(shown) > 20
    assert all(any(text in material for material in shown) for text, _ in rows)
    assert not any("secret" in text for text in shown)
    (wins,) = report["run"]["wins"]
    assert wins["wins"] == report["run"]["examples"]
    assert typed("-C", desk.home.root, "rate", "plan", "prompt", "prompt:big", "--difference", "0.5").status == 0
    lent = typed("-C", desk.home.root, "rate", "next", "--rater", "ann", "--json").json
    assert {lent["left"], lent["right"]} == {"shipping", "a good answer"}
