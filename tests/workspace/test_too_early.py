"""Tuning waits for its reasons, and says which are missing."""

import json
from pathlib import Path

import pytest
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
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
