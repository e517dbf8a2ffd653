"""What a decision holds tuning against is compared by the bar as it is now, for runs that are named as well."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.cli.driving import typed
from tests.workspace.answered import again, answered, answered_desk, finished_run
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Contender


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace whose tuned model is measured, and beats the prompt by far."""
    desk = answered_desk(tmp_path_factory.mktemp("compared"), bar=0.6)
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 30 != 7, run="first")
    desk.evaluate(on="test")
    return desk.home.root


@pytest.fixture
def desk(template, tmp_path):
    return Workspace(shutil.copytree(template, tmp_path / "desk"))


def decide(desk):
    ended = typed("-C", desk.home.root, "decide", "--json")
    assert ended.status == 0, ended.err
    return ended.json


def test_a_bar_on_another_metric_is_decided_by_contrasts_of_that_metric(desk):
    write_settings(desk.home.root, bar={"metric": "macro_f1", "value": 0.6})
    found = decide(desk)
    assert found["recommendation"] == "ship:tuned"
    gain = next(i for i, line in enumerate(found["because"]) if line.startswith("On the same 29 examples tuned is"))
    (evidence,) = [e for e in found["evidence"] if e["because"] == gain]
    assert (evidence["kind"], evidence["part"]) == ("store", "comparisons")
    contrasts = Path(found["dossier"]).read_text("utf-8").partition('<section id="contrasts"')[2]
    assert "tuned" in contrasts.partition("</section>")[0]
    proved = typed("-C", desk.home.root, "report", "--verify", "--json")
    assert (proved.status, proved.json["problems"]) == (0, [])


def test_a_contrast_that_cannot_be_made_is_asked_for_and_shows_nothing(desk):
    prompt = desk.home.index("contender", "prompt")[-1].hash
    with desk.home.store.writing() as connection:
        connection.execute(text("DELETE FROM answers WHERE contender = :c"), {"c": prompt})
    assert decide(desk)["recommendation"] == "ship:tuned"  # by the contrasts of the evaluation
    write_settings(desk.home.root, bar={"metric": "macro_f1", "value": 0.6})
    found = decide(desk)
    assert (found["recommendation"], found["rule"]) == ("too_early", "uncompared")
    assert found["because"][0] == (
        "tuned and prompt, the best simpler contender, have yet to be compared by macro_f1. Run `tunesmith evaluate "
        "--on test`, then decide again."
    )
    assert found["next"] == "Run `tunesmith evaluate --on test`."


def test_a_run_that_is_named_since_the_settings_changed_is_compared_and_decided_on(desk):
    record, entry = desk.home.latest("contender", "tuned", Contender)
    with desk.home.store.writing() as connection:
        connection.execute(text("DELETE FROM derived WHERE name = 'tuned'"))
    desk.home.save("contender", "tuned", record, entry.inputs | {"tuning.epochs": "as they were"})
    refused = typed("-C", desk.home.root, "evaluate", "tuned", "--on", "test")
    assert "tuning.epochs changed since tuned was made" in refused.err
    assert "`tunesmith evaluate tuned:first`" in refused.err
    ended = typed("-C", desk.home.root, "evaluate", "tuned:first", "--on", "test", "--json")
    assert {(c["a"], c["b"]) for c in ended.json["comparisons"]} == {
        ("tuned:first", "constant"),
        ("tuned:first", "prompt"),
    }
    assert decide(again(desk))["recommendation"] == "ship:tuned:first"


def test_each_tuned_contender_in_the_table_is_compared_and_all_are_corrected_together(desk):
    alone = {c.b: c.p_holm for c in desk.evaluate(on="test").comparisons}
    finished_run(desk, "second")
    answered(desk, "tuned", lambda n: n != 8, run="second")
    made = desk.evaluate(["tuned:first"], on="test")
    assert {"tuned", "tuned:first"} <= set(made.contenders)
    assert {(c.a, c.b) for c in made.comparisons} == {
        (one, other) for one in ("tuned", "tuned:first") for other in ("constant", "prompt")
    }
    assert all(c.p_holm > alone[c.b] for c in made.comparisons if c.a == "tuned:first")


def test_an_older_run_that_meets_the_bar_beside_the_newest_is_decided_on(desk):
    finished_run(desk, "second")
    answered(desk, "tuned", lambda n: n % 3 == 0, run="second")
    desk.evaluate(["tuned:first"], on="test")
    found = decide(again(desk))
    assert found["recommendation"] == "ship:tuned:first"
    told = Path(found["dossier"]).read_text("utf-8")
    assert "tuned:first" in told.partition('<section id="contrasts"')[2].partition("</section>")[0]


def test_a_constrained_twin_that_alone_meets_the_bar_is_decided_on(desk):
    finished_run(desk, "second")
    answered(desk, "tuned", lambda n: n % 3 == 0, run="second")
    answered(desk, "tuned+schema", lambda n: n != 8, run="second")
    desk.evaluate(["tuned", "tuned+schema"], on="test")
    found = decide(again(desk))
    assert found["recommendation"] == "ship:tuned+schema"
    assert any(
        line.startswith("The answers of tuned+schema were held to the task's schema") for line in found["because"]
    )
    proved = typed("-C", desk.home.root, "report", "--verify", "--json")
    assert (proved.status, proved.json["problems"]) == (0, [])


def test_a_constrained_twin_that_says_the_same_adds_no_contrast(desk):
    answered(desk, "tuned+schema", lambda n: n % 30 != 7, run="first")
    made = desk.evaluate(["tuned", "tuned+schema"], on="test")
    assert {(c.a, c.b) for c in made.comparisons} == {("tuned", "constant"), ("tuned", "prompt")}
    assert decide(again(desk))["recommendation"] == "ship:tuned"
