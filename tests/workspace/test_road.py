"""The whole road on a toy task with a tiny random model: every verb, in order, through the Python API."""

import json
from pathlib import Path

import pytest
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.core.store import Edit


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """A workspace that has walked the road to its end; tests look at what it left."""
    folder = tmp_path_factory.mktemp("road")
    model = build_tiny(folder / "tiny")
    write_csv(folder / "examples.csv")
    Workspace.init(
        folder / "desk",
        source=folder / "examples.csv",
        prompt="text",
        completion="topic",
        base_model=str(model),
    )
    write_settings(
        folder / "desk",
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 2, "batch_size": 8, "rank": 2, "max_length": 400},
        costs={"machine_usd_per_hour": 1.0, "requests_per_month": 1000},
    )
    workspace = Workspace(folder / "desk")
    workspace.check()
    workspace.split(seed=1)
    workspace.baseline()
    workspace.tune()
    workspace.evaluate(on="test")
    workspace.decide()
    workspace.report()
    return workspace


def states(workspace):
    return {s.name: s.state for s in workspace.status()}


def test_every_station_is_done(road):
    assert set(states(road).values()) == {"done"}


def test_the_classifier_beats_a_model_that_knows_nothing(road):
    scores = road.evaluate(on="validation").contenders
    assert scores["classifier"].metrics["accuracy"].value > scores["constant"].metrics["accuracy"].value
    assert {"prompt", "few_shot", "retrieval", "tuned", "prompt+schema", "tuned+schema"} <= set(scores)


def test_constrained_answers_can_always_be_read(road):
    scores = road.evaluate(on="validation").contenders
    for name in ("prompt+schema", "few_shot+schema", "retrieval+schema", "tuned+schema"):
        assert scores[name].metrics["valid_rate"].value == 1.0


def test_nothing_is_asked_twice(road, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("the model was asked again")

    monkeypatch.setattr("tunesmith.models.engine.Engine.answers", refuse)
    first, second = road.evaluate(on="validation"), road.evaluate(on="validation")
    assert first.contenders == second.contenders


def test_each_look_at_the_test_set_is_counted(road):
    before = road.evaluate(on="test").test_looks
    assert road.evaluate(on="test").test_looks == before + 1


def test_tuned_is_compared_with_each_untuned_contender_and_corrected(road):
    comparisons = road.evaluate(on="test").comparisons
    assert {c.a for c in comparisons} == {"tuned", "tuned+schema"}  # which answer otherwise
    assert {"constant", "classifier", "prompt", "prompt+schema"} <= {c.b for c in comparisons}
    assert all(c.p_holm >= c.p_value for c in comparisons)


def test_decision_and_dossier_tell_the_same(road):
    decision, report = road.decide(), road.report()
    html = Path(report.dossier).read_text(encoding="utf-8")
    assert decision.because[0].split(".")[0][:40] in html
    assert "<script" not in html


def test_a_dossier_is_proved_from_the_records(road):
    road.report()
    assert road.report(verify=True).verified


def test_costs_that_cannot_be_known_have_a_reason(road):
    sheet = road.cost().contenders["tuned"]
    assert sheet.usd_per_thousand is not None
    assert sheet.value_usd_per_month is None
    assert sheet.reasons["value_usd_per_month"]


def test_the_split_is_proved_again(road):
    assert road.verify_split().certified


def test_answers_name_the_template_and_the_messages(road):
    score = road.evaluate(on="test").contenders["tuned"]
    answers = road.home.store.answers(score.contender)
    assert all(a.template and a.request for a in answers.values())


def test_a_test_set_that_was_looked_at_is_not_drawn_anew_in_silence(road):
    with pytest.raises(TunesmithError, match=r"looked at \d+ times(.|\n)*--anyway"):
        road.split(seed=2)


def test_new_examples_make_what_was_derived_stale(road, tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"prompt": "the lift is broken again", "completion": "shipping"}) + "\n")
    road.add(path)
    after = states(road)
    assert (after["checks"], after["split"]) == ("stale", "stale")
    road.home.store.changes.make(
        "remove", "ann", [Edit(e.id, None) for e in road.home.examples() if "lift" in e.prompt]
    )
    assert states(road)["split"] == "done"


def test_another_bar_makes_the_decision_stale(road):
    road.decide()
    path = road.home.root / "tunesmith.yaml"
    before = path.read_text()
    write_settings(road.home.root, bar={"metric": "accuracy", "value": 0.2})
    assert states(Workspace(road.home.root))["decision"] == "stale"
    path.write_text(before)
    assert states(Workspace(road.home.root))["decision"] == "done"
