"""`decide --against` after the rows have changed: what shipped is held against on the rows that both answered."""

from __future__ import annotations

import json
import shutil

import pytest
from msgspec.structs import replace
from sqlalchemy import text
from tests.cli.driving import typed
from tests.workspace.answered import answered, answered_desk, finished_run, retrained

from tunesmith import Workspace
from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example
from tunesmith.core.splits import Split
from tunesmith.core.store import Edit


@pytest.fixture
def desk(shipped, tmp_path):
    return Workspace(shutil.copytree(shipped, tmp_path / "desk"))


def corrected(desk, *sides):
    """One label of each side corrected as a reviewer does, and what rests on it made anew."""
    split = desk.home.latest("split", "split", Split)[0]
    for side in sides:
        wrong = next(e for e in desk.home.examples() if e.id in getattr(split, side))
        right = Example.make(wrong.messages, "billing" if wrong.completion == "shipping" else "shipping")
        desk.home.store.changes.make("correct", "ann", [Edit(wrong.id, right)])
    desk.check()
    desk.extend_split()
    desk.baseline(["constant"])
    answered(desk, "prompt", lambda n: n % 2 == 0)


def forgotten(desk, record, left=0):
    """All answers of a contender but ``left`` of those to the test are gone."""
    kept = sorted(desk.home.store.answers(record).keys() & desk.home.latest("split", "split", Split)[0].test)[:left]
    with desk.home.store.writing() as connection:
        connection.execute(
            text("DELETE FROM answers WHERE contender = :c AND example NOT IN (SELECT value FROM json_each(:k))"),
            {"c": record, "k": json.dumps(kept)},
        )


def test_after_a_review_what_shipped_is_held_against_on_the_rows_that_both_answered(desk):
    corrected(desk, "test", "train")
    retrained(desk, "second", lambda n: n % 2 == 0)
    ended = typed("-C", desk.home.root, "decide", "--gate", "--against", "previous", "--json")
    held = ended.json["against"]
    assert (ended.status, held["worse"], held["was"], held["left_out"]) == (1, True, "tuned:first", 1)
    assert (held["comparison"]["n"], held["comparison"]["skipped"]) == (28, 1)
    assert "Of the 29 test examples 1 is left out, as tuned:first has not answered them" in held["because"]


def test_answers_that_failed_do_not_hide_a_loss_and_can_be_asked_again(desk):
    retrained(desk, "second", lambda n: n % 30 != 8)
    record = desk.home.index("contender", "tuned")[-1].hash
    there = desk.home.store.answers(record)
    silent = [there[e] for e in desk.home.latest("split", "split", Split)[0].test[10:20]]
    failed = [replace(a, text="", fields=None, finish_reason="error", problem="no answer") for a in silent]
    desk.home.store.save_answers(failed)
    desk.evaluate(["constant"], on="test")  # what failed is asked again only where its contender is named
    held = typed("-C", desk.home.root, "decide", "--gate", "--against", "previous", "--json")
    against = held.json["against"]
    assert (held.status, against["worse"], against["was"]) == (1, True, "tuned:first")
    assert (against["comparison"]["losses"], against["comparison"]["wins"]) == (11, 1)
    assert (
        "Its answers that failed (10 of 29) count as wrong there: ask again with `tunesmith evaluate tuned"
        in (against["because"])
    )
    desk.home.store.save_answers(silent)
    desk.evaluate(["constant"], on="test")
    assert not typed("-C", desk.home.root, "decide", "--against", "previous", "--json").json["against"]["worse"]


@pytest.mark.parametrize(
    ("sides", "mend"),
    [(["test"], "`tunesmith evaluate tuned:first --on test`"), (["test", "train"], "--against anew")],
)
def test_too_few_rows_in_common_are_refused_with_what_can_be_done(desk, sides, mend):
    old = desk.home.index("contender", "tuned")[-1].hash
    corrected(desk, *sides)
    retrained(desk, "second", lambda n: n % 30 != 8)
    forgotten(desk, old, left=4)
    refused = typed("-C", desk.home.root, "decide", "--gate", "--against", "previous")
    assert refused.status == 2
    assert "has answered 4 of the 29 test examples" in refused.err
    assert mend in refused.err
    if mend == "--against anew":
        assert typed("-C", desk.home.root, "decide", "--gate", "--against", "anew").status == 0
        later = typed("-C", desk.home.root, "decide", "--gate", "--against", "previous", "--json")
        assert (later.status, later.json["against"]["decision"]) == (0, None)
        retrained(desk, "third", lambda n: n % 2 == 0)  # what ships now is what later ones are held against
        assert typed("-C", desk.home.root, "decide", "--gate", "--against", "previous", "--json").json["against"][
            "worse"
        ]
    assert ("tuned:first --on" in refused.err) is (sides == ["test"])


def test_an_untuned_contender_that_is_another_now_is_not_said_to_answer_what_is_missing(tmp_path):
    desk = answered_desk(tmp_path, bar=0.5)
    old = answered(desk, "prompt", lambda n: n % 30 != 7)
    desk.evaluate(on="test")
    assert desk.decide().recommendation == "ship:prompt"
    answered(desk, "prompt", lambda n: n % 30 != 8, instructions="Name the topic.")
    desk.evaluate(on="test")
    forgotten(desk, old)
    refused = typed("-C", desk.home.root, "decide", "--against", "previous")
    assert refused.status == 2
    assert "--against anew" in refused.err


def test_rows_that_an_earlier_contender_was_made_with_are_left_out(desk):
    old = desk.home.index("contender", "tuned")[-1].hash
    desk.split(test=0.49, validation=0.2, seed=2, anyway=True)  # some rows of its validation are test rows now
    split = desk.home.latest("split", "split", Split)[0]
    new = {i for i in split.test if i not in desk.home.store.answers(old)}
    desk.home.store.save_answers([Answer(contender=old, example=i, text="billing", fields={}) for i in new])
    desk.baseline(["constant"])
    answered(desk, "prompt", lambda n: n % 2 == 0)
    first = desk.home.load(desk.home.index("split", "split")[0], Split)
    retrained(desk, "second", lambda n: n % 30 != 8)
    held = typed("-C", desk.home.root, "decide", "--against", "previous", "--json").json["against"]
    assert held["left_out"] == len(set(split.test) - set(first.test)) > 0


def test_an_earlier_decision_that_was_changed_by_hand_is_refused(desk):
    path = desk.home.inside / "decision" / f"{desk.home.index('decision', 'decision')[-1].hash}.json"
    retrained(desk, "second", lambda n: n % 2 == 0)
    path.write_text(path.read_text("utf-8").replace('"ship:tuned"', '"too_early"'), "utf-8")
    refused = typed("-C", desk.home.root, "decide", "--gate", "--against", "previous")
    assert refused.status == 2
    assert "was changed by hand" in refused.err


def test_a_decision_on_rows_that_shipped_was_made_with_is_to_be_made_on_test(desk):
    corrected(desk, "test")
    finished_run(desk, "second")
    answered(desk, "tuned", lambda n: n % 30 != 8, run="second")
    desk.evaluate()  # on validation alone
    refused = typed("-C", desk.home.root, "decide", "--gate", "--against", "previous")
    assert refused.status == 2
    assert "was made with all but 0 of the" in refused.err
    assert "`tunesmith evaluate --on test`" in refused.err
