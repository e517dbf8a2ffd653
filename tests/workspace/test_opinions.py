"""A judge and people in the decision: they count where they were asked properly; else it is told why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, says
from tests.workspace.answered import again, answered, answered_desk, finished_run
from tests.workspace.toy import write_settings

from tunesmith.workspace.too_early import too_early

NAMES = ("relevance", "accuracy", "tone", "completeness")


@pytest.fixture
def desk(tmp_path):
    made = answered_desk(tmp_path)
    finished_run(made, "first")
    answered(made, "prompt", lambda n: n % 2 == 0)
    answered(made, "tuned", lambda n: n % 30 != 7, run="first")
    made.evaluate(on="test")
    return made


def right(body, number):
    """A judge that passes what the reference says, and what is called good."""
    rest = body["messages"][-1]["content"].split("Material:\n", 1)[1]
    shown = json.JSONDecoder().raw_decode(rest)[0]
    passes = "good" in shown["answer"] or shown["answer"] == shown.get("reference")
    word = "pass" if passes else "fail"
    return says(json.dumps({name: {"reason": "so", "verdict": word} for name in NAMES}))


def judged_by(desk, server, **settings):
    judge = {"model": "j", "base_url": server.url, "retries": 1, "pairs": 0, **settings}
    write_settings(desk.home.root, judge=judge)
    return again(desk)


def labels(desk, path, each=40):
    ids = [e.id for e in desk.home.examples()]
    rows = [
        {"example": ids[n % len(ids)], "text": f"a {word} answer {n}", "label": label, "criterion": "overall"}
        for word, label in (("good", "pass"), ("bad", "fail"))
        for n in range(each)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def run(desk, *line):
    ended = typed("-C", desk.home.root, *line, "--json")
    assert ended.status in (0, 1), ended.err
    return ended.json


def lines(decision, word):
    return [line for line in decision["because"] if word in line]


def test_a_judge_counts_once_it_is_calibrated_and_only_by_corrected_rates(desk, tmp_path):
    with FakeServer(right) as server:
        desk = judged_by(desk, server)
        run(desk, "judge", "run", "prompt", "tuned", "--on", "test")
        naive = run(desk, "decide")
        assert any("decides nothing and is not quoted: it is not calibrated" in line for line in naive["because"])
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        told = run(desk, "decide")
        (line,) = lines(told, "what tuned answers")
        assert "By the judge j, corrected for its errors, people would pass 0.97 of what tuned answers" in line
        kinds = {e["kind"] for e in told["evidence"] if e["because"] == told["because"].index(line)}
        assert kinds == {"judged", "calibration"}
        page = Path(told["dossier"]).read_text("utf-8").partition('<section id="opinions">')[2]
        assert "calibrated on 80 labels" in page
        assert again(desk).report(verify=True).verified


def test_a_pass_rate_that_is_asked_for_joins_the_bar_and_an_uncalibrated_judge_never_meets_it(desk, tmp_path):
    with FakeServer(right) as server:
        desk = judged_by(desk, server)
        write_settings(desk.home.root, decision={"least_pass_rate": 0.7})
        run(desk, "judge", "run", "prompt", "tuned", "--on", "test")
        before = run(desk, "decide")
        assert not before["passed"]
        assert "judge.overall was not measured, so it is not shown that it reaches 0.70" in " ".join(before["because"])
        assert before["next"].startswith("See to the judge first: it is not calibrated")
        assert "tuned meets the bar as far as it was measured, but the judge, who was asked" in before["because"][0]
        write_settings(desk.home.root, decision={"least_pass_rate": 0.7, "pass_rate_criterion": "tonne"})
        refused = typed("-C", desk.home.root, "decide")
        assert (refused.status, "did you mean 'tone'" in refused.err) == (2, True)
        write_settings(desk.home.root, decision={"least_pass_rate": 0.7})
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        after = run(desk, "decide")
        assert (after["recommendation"], after["quality_bar"]["also"]) == ("ship:tuned", {"judge.overall": 0.7})
        desk = judged_by(desk, server, criteria={"tone": "rude"})  # another rubric than the one that was calibrated
        changed = run(desk, "decide")
        assert not changed["passed"]
        assert any("changed since it judged" in line for line in changed["because"])


def test_a_pass_rate_is_not_met_by_the_answers_that_have_a_verdict(desk, tmp_path):
    def silent(body, number):
        return says("I would rather not say.") if '"answer": "shipping"' in str(body) else right(body, number)

    with FakeServer(silent) as server:
        desk = judged_by(desk, server, tries=1)
        write_settings(desk.home.root, decision={"least_pass_rate": 0.7})
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        run(desk, "judge", "run", "prompt", "tuned", "--on", "test")
        told = run(desk, "decide")
    assert not told["passed"]
    (line,) = lines(told, "tuned: accuracy is")
    assert "answers that failed or have no verdict (" in line
    assert "so it is not shown that the bar is met" in line


def test_a_judge_of_other_examples_says_nothing_of_the_test(desk, tmp_path):
    with FakeServer(right) as server:
        desk = judged_by(desk, server)
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        run(desk, "judge", "run", "prompt", "tuned")  # on validation
        told = run(desk, "decide")
    assert any("it judged other examples than are decided on" in line for line in told["because"])
    assert lines(told, "By the judge") == []


def test_a_later_run_of_some_contenders_a_sample_or_another_side_takes_nothing_away(desk, tmp_path):
    with FakeServer(right) as server:
        desk = judged_by(desk, server)
        write_settings(desk.home.root, decision={"least_pass_rate": 0.7})
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        run(desk, "judge", "run", "prompt", "tuned", "--on", "test")
        first = run(desk, "decide")
        assert first["recommendation"] == "ship:tuned"
        for further in (("prompt", "--on", "test"), ("tuned", "--on", "test", "--sample", "5"), ("tuned",)):
            run(desk, "judge", "run", *further)
            told = run(desk, "decide")
            assert (told["recommendation"], told["because"]) == ("ship:tuned", first["because"])
            assert again(desk).report(verify=True).verified
        (line,) = lines(told, "what tuned answers")
        (kept,) = [e for e in told["evidence"] if e["because"] == told["because"].index(line) and e["kind"] == "judged"]
        assert "tuned" in json.loads((desk.home.root / kept["path"]).read_text("utf-8"))["contenders"]


def test_of_samples_alone_the_first_that_was_drawn_counts(desk, tmp_path):
    with FakeServer(right) as server:
        desk = judged_by(desk, server)
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        run(desk, "judge", "run", "prompt", "--on", "test", "--sample", "9", "--seed", "1")
        first = lines(run(desk, "decide"), "what prompt answers")
        for seed in ("2", "3", "4"):
            run(desk, "judge", "run", "prompt", "--on", "test", "--sample", "9", "--seed", seed)
        assert lines(run(desk, "decide"), "what prompt answers") == first
        run(desk, "judge", "run", "prompt", "--on", "test", "--sample", "12", "--seed", "5")
        assert "n = 12" in lines(run(desk, "decide"), "what prompt answers")[0]


def test_what_meets_all_but_an_unasked_pass_rate_is_no_reason_to_tune(desk, tmp_path):
    answered(desk, "prompt", lambda n: True)
    desk.evaluate()
    desk.check()
    write_settings(desk.home.root, decision={"least_pass_rate": 0.5}, bar={"metric": "accuracy", "value": 0.5})
    (reason,) = too_early(again(desk).home)
    assert reason == (
        "prompt meets the bar as far as it was measured, and judge.overall never was (`tunesmith judge calibrate "
        "--labels FILE`, then `tunesmith judge run`)"
    )
    with FakeServer(right) as server:
        desk = judged_by(desk, server)
        run(desk, "judge", "calibrate", "--labels", labels(desk, tmp_path / "l.jsonl"))
        run(desk, "judge", "run", "prompt")
        (reason,) = too_early(again(desk).home)
    assert reason.startswith("prompt meets the bar already: accuracy 1.00")


def rate_all(desk, side):
    """Two people compare tuned with prompt, and take the one that is right."""
    desk.rate("boss").plan(["tuned", "prompt"], on=side, raters=2, per_example=2)
    truth = {e.prompt: e.completion for e in desk.home.examples()}
    rated = 0
    for rater in ("ann", "bob"):
        mine = desk.rate(rater)
        while (lent := mine.next()).id is not None:
            correct = truth[lent.prompt[-1].content]
            sides = ["left"] * (lent.left == correct) + ["right"] * (lent.right == correct)
            rated += 1
            choice = sides[0] if len(sides) == 1 else "tie"
            mine.answer(lent.id, choice)
    return rated


def test_people_count_once_the_round_was_told(desk):
    write_settings(desk.home.root, decision={"least_preference": 0.5})
    desk = again(desk)
    assert "people have not said blind" in desk.decide().because[0]
    assert rate_all(desk, "test")
    waiting = run(desk, "decide")
    assert (waiting["passed"], "`tunesmith rate agreement` has not told" in waiting["because"][0]) == (False, True)
    run(desk, "rate", "agreement")
    told = run(desk, "decide")
    assert told["recommendation"] == "ship:tuned"
    (line,) = lines(told, "people preferred tuned to prompt")
    assert "a preference is shown" in line
    assert "rating" in {e["kind"] for e in told["evidence"]}
    page = Path(told["dossier"]).read_text("utf-8").partition('<section id="opinions">')[2]
    assert "tuned is preferred" in page
    assert again(desk).report(verify=True).verified


def test_ratings_of_validation_do_not_decide_on_test(desk):
    rate_all(desk, "validation")
    run(desk, "rate", "agreement")
    told = run(desk, "decide")
    (line,) = lines(told, "blind ratings counts for nothing")
    assert "they were of validation examples, and test is decided on" in line


def test_a_bar_of_one_is_told_to_be_out_of_reach_as_it_is_set_when_it_is_decided(desk):
    bar = {"metric": "accuracy", "value": 0.8, "also": {"valid_rate": 1.0}}
    for also, by, told in ((1.0, "lower_end", True), (1.0, "value", False), (0.9, "lower_end", False)):
        write_settings(desk.home.root, bar=bar | {"also": {"valid_rate": also}}, decision={"met_by": by})
        because = run(desk, "decide")["because"]
        assert any("The bar for valid_rate is 1.00, all that there is" in line for line in because) == told
