"""Answers that failed are asked again before anything is tuned or gathered for their sake."""

import pytest
from msgspec.structs import replace
from tests.cli.driving import typed
from tests.workspace.answered import answered, answered_desk, finished_run
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.splits import Split
from tunesmith.evaluation import comparison


@pytest.mark.parametrize("too_long", [0, 2, 6])
def test_failures_that_alone_keep_a_contender_from_the_bar_are_asked_again(tmp_path, too_long):
    desk = answered_desk(tmp_path, bar=0.7, decision={"minimum_train": 5})
    contender = answered(desk, "prompt", lambda n: True)
    failed = desk.home.latest("split", "split", Split)[0].test[:6]
    there = desk.home.store.answers(contender)
    desk.home.store.save_answers(
        [
            replace(there[e], text="", fields=None, finish_reason="error", problem="no answer", too_long=n < too_long)
            for n, e in enumerate(failed)
        ]
    )
    desk.evaluate(["constant"], on="test")  # what failed is asked again only where its contender is named
    ended = typed("-C", desk.home.root, "decide", "--json")
    assert ended.status == 0, ended.err
    found, again = ended.json, "`tunesmith evaluate prompt --on test`"
    # 23 of 23 are right, at the lower end 0.86; of 29 that is 0.68, which is below the bar
    assert (found["recommendation"], found["rule"]) == ("too_early", "lost")
    assert found["because"][0] == (
        f"prompt would meet the bar, but 6 answers failed and count as wrong: ask again with {again}, then decide "
        "again."
    )
    cut = f"et `contenders.too_long: cut` in tunesmith.yaml, run `tunesmith baseline prompt`, then {again}."
    assert any(f"{too_long} of these failed since the prompt" in line and cut in line for line in found["because"]) == (
        too_long > 0
    )
    assert any("set `decision.failed_answers: wrong`" in line for line in found["because"])
    assert found["next"] == (f"S{cut}" if too_long == 6 else f"Ask again with {again}.")
    write_settings(desk.home.root, decision={"minimum_train": 5, "failed_answers": "wrong"})
    found = typed("-C", desk.home.root, "decide", "--json").json
    assert (found["recommendation"], found["rule"]) == ("tune", "tune")
    assert "Answers lost to errors or timeouts count as wrong" in " ".join(found["because"])


def test_a_contender_that_is_silent_on_what_is_hard_does_not_meet_a_bar_on_texts(tmp_path):
    task = {"name": "topics", "format": "plain", "fields": [{"name": "topic", "type": "text"}]}
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"), prompt="text", completion="topic")
    write_settings(
        tmp_path / "desk", task=task, bar={"metric": "rouge_l", "value": 0.7}, decision={"minimum_train": 5},
        model={"base": "nowhere", "embedder": "ngrams"},
    )  # fmt: skip
    desk = Workspace(tmp_path / "desk")
    desk.check()
    desk.split(test=0.49, validation=0.2, seed=1)
    desk.baseline(["constant"])
    contender = answered(desk, "prompt", lambda n: True)
    there = desk.home.store.answers(contender)
    hard = desk.home.latest("split", "split", Split)[0].test[:12]
    desk.home.store.save_answers([replace(there[e], text="", fields=None, problem="it is empty") for e in hard])
    scored = desk.evaluate(on="test").contenders["prompt"]
    # each of the 17 others is right, so the interval of what was measured lies above the bar
    assert (scored.unreadable, scored.metrics["rouge_l"].low > 0.7) == (12, True)
    decided = desk.decide()
    assert (decided.quality_bar["contenders"]["prompt"], decided.recommendation) == ("not_shown", "tune")
    assert "12 answers that cannot be read (41%) are in no figure" in " ".join(decided.because)


def test_an_evaluation_of_before_that_counted_no_lost_answers_is_still_proved(tmp_path, monkeypatch):
    desk = answered_desk(tmp_path, bar=0.5)
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    contender = answered(desk, "tuned", lambda n: True, run="first")
    there = desk.home.store.answers(contender)
    failed = desk.home.latest("split", "split", Split)[0].test[0]
    lost = replace(there[failed], text="", fields=None, finish_reason="error", problem="no answer")
    desk.home.store.save_answers([lost])
    with monkeypatch.context() as before:
        before.setattr(comparison, "_with_lost", lambda *_: {})
        desk.evaluate(["constant"], on="test")
    desk.decide()
    desk.report()
    proof = desk.report(verify=True)
    assert proof.differences == ()
    assert any("comparisons follow from the same answers" in line for line in proof.proved)
