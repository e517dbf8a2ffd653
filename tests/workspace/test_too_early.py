"""Tuning waits for its reasons, and says which are missing."""

import json
from pathlib import Path

import pytest
from tests.models.tiny import build_tiny
from tests.workspace.answered import again, answered, answered_desk
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.core.splits import Split
from tunesmith.workspace.too_early import too_early


@pytest.fixture
def desk(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    workspace, _ = Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        workspace.home.root,
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 1, "batch_size": 16, "rank": 2},
    )
    return Workspace(tmp_path / "desk")


def test_unchecked_examples_and_missing_baselines_are_named(desk):
    desk.split()
    with pytest.raises(TunesmithError, match=r"not checked(.|\n)*no baseline was evaluated(.|\n)*--anyway"):
        desk.tune()


def test_a_split_is_asked_for_first(desk):
    desk.check()
    with pytest.raises(TunesmithError, match="not split yet"):
        desk.tune()


def test_a_baseline_that_meets_the_bar_makes_tuning_needless(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.01})
    desk = Workspace(desk.home.root)
    desk.check()
    desk.split()
    desk.baseline(["constant", "prompt"])
    with pytest.raises(TunesmithError, match="constant meets the bar already"):
        desk.tune()


def test_a_baseline_that_is_too_dear_or_misses_another_metric_does_not_make_tuning_needless(desk):
    bar = {"metric": "accuracy", "value": 0.01}
    write_settings(desk.home.root, bar=bar)
    desk = Workspace(desk.home.root)
    desk.check()
    desk.split()
    desk.baseline(["constant", "prompt"])
    write_settings(desk.home.root, bar=bar | {"also": {"macro_f1": 0.999}})
    assert not any("meets the bar already" in reason for reason in too_early(Workspace(desk.home.root).home))
    write_settings(desk.home.root, bar=bar)
    assert any("meets the bar already" in reason for reason in too_early(Workspace(desk.home.root).home))


def test_constant_and_classifier_alone_are_no_reason_to_tune(desk):
    desk.check()
    desk.split()
    desk.baseline(["constant"])
    with pytest.raises(TunesmithError, match="neither prompt, few_shot nor retrieval"):
        desk.tune()


def test_errors_of_check_block(desk, tmp_path):
    bad = tmp_path / "bad.jsonl"
    rows = [{"prompt": "the parcel is lost for weeks now", "completion": c} for c in ("shipping", "billing")]
    bad.write_text("".join(json.dumps(r) + "\n" for r in rows))
    desk.add(bad)
    desk.check()
    desk.split()
    with pytest.raises(TunesmithError, match=r"found \d+ errors"):
        desk.tune()


def test_anyway_passes_and_the_dossier_says_so(desk):
    desk.check()
    desk.split()
    run = desk.tune(anyway=True)
    assert run.overrides
    desk.baseline(["constant", "prompt"])
    desk.evaluate()
    html = Path(desk.report().dossier).read_text(encoding="utf-8")
    assert "--anyway" in html


def stations(desk):
    return {station.name: station for station in again(desk).status()}


def test_status_names_no_tuning_where_a_baseline_meets_the_bar(tmp_path):
    desk = answered_desk(tmp_path, bar=0.5)
    answered(desk, "prompt", lambda n: n % 30 != 7)
    desk.evaluate()
    found = stations(desk)
    assert found["tuning"].state == "done"
    assert "nothing has to be tuned: prompt meets the bar already" in found["tuning"].because
    assert found["evaluation"].state == "ready"


def test_what_the_test_set_says_counts_more_than_validation(tmp_path):
    desk = answered_desk(tmp_path, bar=0.8, decision={"met_by": "value", "minimum_train": 5})
    known = set(desk.home.latest("split", "split", Split)[0].validation)
    answered(desk, "prompt", lambda n: n < len(known) and n != 1)
    desk.evaluate()
    assert any("prompt meets the bar already" in reason for reason in too_early(again(desk).home))
    desk.evaluate(on="test")
    assert desk.decide().recommendation == "tune"
    assert too_early(again(desk).home) == []
    assert stations(desk)["tuning"].state == "ready"


def test_a_baseline_that_is_too_dear_by_the_prices_of_now_makes_nothing_needless(tmp_path):
    desk = answered_desk(tmp_path, bar=0.5)
    answered(desk, "prompt", lambda n: n % 30 != 7)
    desk.evaluate()
    assert any("meets the bar already" in reason for reason in too_early(again(desk).home))
    settings = {
        "bar": {"metric": "accuracy", "value": 0.5}, "model": {"base": "nowhere", "embedder": "ngrams"},
        "costs": {"machine_usd_per_hour": 3600}, "decision": {"most_usd_per_thousand": 1},
    }  # fmt: skip
    write_settings(desk.home.root, **settings)
    assert too_early(again(desk).home) == []


def test_baselines_of_another_task_or_model_are_stale_and_no_reason_to_tune(desk):
    desk.check()
    desk.split()
    desk.baseline(["prompt"])
    write_settings(
        desk.home.root,
        model={"base": str(build_tiny(desk.home.root / "other", seed=5)), "embedder": "ngrams"},
        bar={"metric": "accuracy", "value": 0.99},
    )
    reasons = too_early(again(desk).home)
    assert any("changed since prompt was made (`tunesmith baseline`)" in reason for reason in reasons)
    found = stations(desk)["baselines"]
    assert (found.state, "changed since prompt was made" in found.because) == ("stale", True)
