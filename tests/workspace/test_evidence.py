"""What was measured decides only while it is what there is, and is never lost or counted as something else."""

import json

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.splits import Split
from tunesmith.core.store import Edit
from tunesmith.models.reply import Reply
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.baseline import prepare


@pytest.fixture
def desk(tmp_path):
    """A toy workspace with contenders measured on both sides, and its test set looked at once."""
    model = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk",
        bar={"metric": "accuracy", "value": 0.05},
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 0.2, "rank": 2},
        contenders={"constrained": False},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.check()
    workspace.split()
    workspace.baseline(["constant", "classifier", "prompt"])
    workspace.evaluate(on="test")
    return workspace


def add_row(workspace, tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"prompt": "the lift is broken again", "completion": "shipping"}) + "\n")
    workspace.add(path)


def test_examples_added_after_the_split_make_the_decision_stale_and_nothing_passes(desk, tmp_path):
    assert desk.decide().passed
    add_row(desk, tmp_path)
    assert {s.name: s.state for s in desk.status()}["decision"] == "stale"
    decision = desk.decide()
    assert (decision.recommendation, decision.passed) == ("too_early", False)
    assert "Run `tunesmith split`" in " ".join(decision.because)


def test_a_check_of_other_examples_counts_as_none(desk, tmp_path):
    add_row(desk, tmp_path)
    desk.split(anyway=True)
    desk.baseline(["constant", "classifier", "prompt"])
    desk.evaluate(on="test")
    assert any("checks have not been run" in reason for reason in desk.decide().because)


def test_an_evaluation_of_another_task_decides_nothing(desk):
    write_settings(desk.home.root, task={**desk.home.settings.model_dump(mode="json")["task"], "instructions": "Anew."})
    with pytest.raises(TunesmithError, match="Nothing was evaluated yet on the task and split as they are now"):
        Workspace(desk.home.root).decide()


def test_a_tuned_model_that_was_not_measured_does_not_ship_on_the_figures_of_the_one_before(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.99})
    workspace = Workspace(desk.home.root)
    workspace.tune(anyway=True)
    workspace.evaluate(on="test")
    assert workspace.decide().recommendation != "too_early"
    second = workspace.tune(anyway=True, seed=7)
    decision = workspace.decide()
    assert decision.recommendation == "too_early"
    assert second.name in decision.because[0]


def test_answers_of_one_model_are_not_taken_for_another_s(desk, tmp_path):
    other = build_tiny(tmp_path / "other", seed=5)
    write_settings(desk.home.root, model={"base": str(other), "embedder": "ngrams"})
    workspace = Workspace(desk.home.root)
    with pytest.raises(TunesmithError, match="prompt"):
        workspace.evaluate(["prompt"])
    assert "prompt" not in workspace.evaluate().contenders


def test_looks_are_counted_by_the_test_set_not_by_what_stands_beside_it(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    workspace, _ = Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    pinned = tmp_path / "pinned.csv"
    pinned.write_text("text,topic\nis the blue van late,shipping\nwho sent the bill of may,billing\n")
    write_settings(tmp_path / "desk", model={"base": str(model), "embedder": "ngrams"})
    workspace = Workspace(tmp_path / "desk")
    workspace.add(pinned, side="test", mapping={"prompt": "text", "completion": "topic"})
    for seed in (1, 2):
        workspace.split(seed=seed)
        workspace.baseline(["constant"])
        assert workspace.evaluate(on="test").test_looks == seed


def test_a_metric_that_does_not_exist_is_said_before_anything_is_asked(desk, monkeypatch):
    write_settings(desk.home.root, bar={"metric": "acuracy", "value": 0.9})
    monkeypatch.setattr("tunesmith.models.engine.Engine.answers", lambda *_: pytest.fail("it was asked"))
    with pytest.raises(TunesmithError, match="did you mean 'accuracy'"):
        Workspace(desk.home.root).evaluate(["prompt"])


def test_the_bar_s_metrics_are_measured_though_others_are_chosen(desk):
    write_settings(
        desk.home.root,
        bar={"metric": "accuracy", "value": 0.9, "also": {"valid_rate": 0.9}},
        evaluation={"metrics": ["macro_f1"]},
    )
    scores = Workspace(desk.home.root).evaluate().contenders["constant"]
    assert set(scores.metrics) == {"macro_f1", "accuracy", "valid_rate"}


def test_answers_that_came_before_a_stop_are_kept(desk, monkeypatch):
    class Stopping:
        name = "stopping"
        template_hash = None

        def answers(self, requests, progress=None):
            for index in range(3):
                yield index, Reply(text="shipping", seconds=0.1)
            raise KeyboardInterrupt

    answering = Answering(desk.home)
    (record,) = prepare(answering, "few_shot")
    answering.__dict__["model"] = Stopping()
    validation = set(answering.split.validation)
    rows = [e for e in desk.home.examples() if e.id in validation]
    with pytest.raises(KeyboardInterrupt):
        answering.answers({"few_shot": record}, rows)
    assert len(desk.home.store.answers(record.hash)) == 3


def test_no_key_and_no_cap_go_to_an_address_that_asks_for_none(desk, monkeypatch):
    asked = {}
    monkeypatch.setattr("tunesmith.workspace.answering.open_model", lambda name, **rest: asked.update(rest))
    for prices in ({}, {"usd_per_million_input_tokens": 1.0, "usd_per_million_output_tokens": 2.0}):
        asked.clear()
        write_settings(desk.home.root, model={"base": "m", "base_url": "http://127.0.0.1:9/v1", **prices})
        _ = Answering(Workspace(desk.home.root).home).model
        assert asked["api_key_env"] is None
        assert ("cap" in asked) == bool(prices)


def test_two_texts_begin_with_a_bar_that_exists(tmp_path):
    rows = [
        {"q": f"question number {n} about {n * 7} things", "title": f"A title of {n} words {n * 3}",
         "body": f"A long body that says {n} times that {n * 11} is a number of some kind."}
        for n in range(40)
    ]  # fmt: skip
    path = tmp_path / "texts.jsonl"
    path.write_text(
        "".join(json.dumps({"prompt": r["q"], "completion": {k: r[k] for k in ("title", "body")}}) + "\n" for r in rows)
    )
    workspace, _ = Workspace.init(tmp_path / "desk", source=path)
    assert [f.type for f in workspace.home.task.fields] == ["text", "text"]
    from tunesmith.evaluation.metrics.naming import find

    assert find(workspace.home.task, workspace.home.settings.bar.metric)


def test_constrained_answers_have_their_keys_in_the_order_of_the_task(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    rows = [
        {"prompt": f"parcel {n} of {n * n}", "completion": {"urgent": "yn"[n % 2], "kind": "ab"[n % 3 == 0]}}
        for n in range(60)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Workspace.init(tmp_path / "desk", kind="classification")
    fields = [{"name": n, "type": "label", "labels": list(labels)} for n, labels in (("urgent", "yn"), ("kind", "ab"))]
    write_settings(
        tmp_path / "desk",
        task={"name": "desk", "format": "json", "fields": fields},
        bar={"metric": "all_correct", "value": 0.9},
        model={"base": str(model), "embedder": "ngrams"},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.add(tmp_path / "rows.jsonl")
    workspace.split()
    scores = workspace.baseline(["prompt"]).contenders["prompt+schema"]
    texts = [a.text for a in workspace.home.store.answers(scores.contender).values()]
    assert texts
    assert all(list(json.loads(text)) == ["urgent", "kind"] for text in texts)


def test_a_split_that_was_looked_at_grows_without_losing_its_test_set_or_the_count_of_looks(desk, tmp_path):
    before = desk.home.latest("split", "split", Split)[0]
    add_row(desk, tmp_path)
    tested = next(e for e in desk.home.examples() if e.id in before.test)
    twin = tmp_path / "twin.jsonl"
    twin.write_text(json.dumps({"prompt": tested.prompt.upper(), "completion": tested.completion}) + "\n")
    desk.add(twin)
    grown = typed("-C", desk.home.root, "split", "--extend", "--json")
    assert (grown.status, grown.json["certified"], grown.json["set_aside"]) == (0, True, 1)
    assert (grown.json["train"], grown.json["test"]) == (len(before.train) + 1, len(before.test))
    assert grown.json["reasons"][0]["near"] == tested.id
    assert {s.name: s.state for s in desk.status()}["split"] == "done"
    assert typed("-C", desk.home.root, "split", "--verify").status == 0
    desk.baseline(["constant"])
    assert desk.evaluate(on="test").test_looks == 2


def test_a_corrected_test_row_stays_in_the_test_and_the_looks_still_count(desk):
    split = desk.home.latest("split", "split", Split)[0]
    wrong = next(e for e in desk.home.examples() if e.id in split.test)
    right = Example.make(wrong.messages, "billing" if wrong.completion == "shipping" else "shipping")
    desk.home.store.changes.make("correct", "ann", [Edit(wrong.id, right)])
    desk.extend_split()
    grown = desk.home.latest("split", "split", Split)[0]
    assert set(grown.test) == {*split.test, right.id} - {wrong.id}
    assert set(grown.train) == set(split.train)
    desk.baseline(["constant"])
    assert desk.evaluate(on="test").test_looks == 2


def test_options_that_would_draw_a_split_anew_do_not_pass_with_those_that_keep_it(desk):
    refused = typed("-C", desk.home.root, "split", "--extend", "--seed", "3")
    assert refused.status == 2
    assert "take the frozen split as it is" in refused.err
