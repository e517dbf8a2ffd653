"""The registry: where each adapter comes from, tags, and how two differ."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.splits import Split
from tunesmith.workspace import bench, tune


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A workspace with an evaluated run and one with another seed and rank."""
    folder = tmp_path_factory.mktemp("adapters")
    base = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "toy.csv"))
    tuning = {"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32"}
    write_settings(folder / "desk", model={"base": str(base), "embedder": "ngrams"}, tuning=tuning)
    workspace = Workspace(folder / "desk")
    workspace.split()
    workspace.tune(name="first", anyway=True)
    workspace.evaluate(["tuned"])
    workspace.tune(name="second", anyway=True, seed=3, rank=3)
    return workspace


def test_an_adapter_names_what_it_was_made_from_by_hash(desk):
    first, second = desk.adapters()
    split = desk.home.latest("split", "split", Split)[0]
    assert (first.run, second.run, first.base, first.whole, first.stale) == ("first", "second", "tiny", True, "")
    assert (first.split, first.snapshot, first.base_hash) == (split.hash, split.snapshot, first.inputs["model"])
    assert (first.config["rank"], second.config["rank"], second.seed) == (2, 3, 3)
    assert first.overrides != ()


def test_what_was_found_of_an_adapter_stands_with_it_alone(desk):
    assert "accuracy" in desk.adapter("first").evaluated["validation"]
    assert desk.adapter("second").evaluated == {}


def test_the_newest_run_is_called_tuned(desk):
    assert [desk.adapter(name).run for name in ("tuned", "tuned:first")] == ["second", "first"]


def test_a_tag_stands_for_the_run_until_it_is_taken_off(desk):
    assert desk.tag_adapter("first", "good", "triage-1").tags == ("good", "triage-1")
    assert desk.adapter("triage-1").run == "first"
    assert desk.tag_adapter("first", "good", "triage-1", remove=True).tags == ()
    with pytest.raises(UnknownName, match="no run 'triage-1'"):
        desk.adapter("triage-1")


def test_a_tag_of_two_runs_names_neither(desk):
    desk.tag_adapter("first", "both")
    desk.tag_adapter("second", "both")
    with pytest.raises(TunesmithError, match=r"2 runs have the tag 'both': first, second(.|\n)*name one of the runs"):
        desk.adapter("both")
    for run in ("first", "second"):
        desk.tag_adapter(run, "both", remove=True)


@pytest.mark.parametrize("word", ["second", "tuned", "two words", ""])
def test_a_tag_is_a_plain_word_that_names_no_run(desk, word):
    with pytest.raises(TunesmithError, match="To mend it"):
        desk.tag_adapter("first", word)


def test_two_adapters_differ_in_the_settings_that_differ(desk):
    found = desk.compare_adapters("first", "second")
    assert found.differ == {"tuning.rank": (2, 3), "tuning.seed": (0, 3)}
    assert {"model", "split", "task", "train side"} <= set(found.same)
    assert (found.comparable, found.because, found.metrics) == (True, "", {})


def test_runs_that_made_the_same_adapter_have_tags_of_their_own(desk):
    desk.tune(name="twin", anyway=True, evaluate_every=1000)
    desk.tag_adapter("twin", "copied")
    assert desk.adapter("copied").run == "twin"


def test_losses_counted_in_another_way_are_not_compared(desk):
    desk.tune(name="third", anyway=True, balance="tokens")
    found = desk.compare_adapters("first", "third")
    assert (found.comparable, found.because) == (False, "another balance")


def test_metrics_are_compared_where_both_answered_the_same_examples(desk):
    desk.tune(name="fourth", anyway=True, seed=4)
    desk.evaluate(["tuned"])
    pair = desk.compare_adapters("first", "fourth").metrics["validation"]["accuracy"]
    assert pair == tuple(desk.adapter(run).evaluated["validation"]["accuracy"].value for run in ("first", "fourth"))


def test_the_command_line_tells_the_same(desk):
    listed = typed("-C", desk.home.root, "adapter", "list", "--json").json["adapters"]
    assert [a["run"] for a in listed][:2] == ["first", "second"]
    shown = typed("-C", desk.home.root, "adapter", "show", "first", "--json").json
    assert shown["adapter_hash"] == listed[0]["adapter_hash"]
    compared = typed("-C", desk.home.root, "adapter", "compare", "first", "second")
    assert compared.status == 0
    assert "tuning.rank" in compared.out
    assert typed("-C", desk.home.root, "adapter", "tag", "first", "kept").status == 0
    assert "tags: kept" in typed("-C", desk.home.root, "adapter", "show", "kept").out
    assert typed("-C", desk.home.root, "adapter", "show", "nobody").status == 2


def test_a_finished_run_that_is_met_again_keeps_how_it_was_made(desk, monkeypatch):
    before = desk.adapter("first")
    monkeypatch.setattr(bench, "_versions", lambda: {"torch": "another"})
    monkeypatch.setattr(tune, "refuse_too_early", lambda *_: ())
    desk.tune(name="first")
    after = desk.adapter("first")
    assert after.at > before.at
    assert (after.overrides, after.versions) == (before.overrides, before.versions)
    assert "torch" in before.versions and before.overrides


def test_a_run_cannot_take_a_name_that_is_another_s_tag(desk):
    desk.tag_adapter("first", "prod-1")
    refused = typed("-C", desk.home.root, "tune", "--anyway", "--name", "prod-1")
    assert (refused.status, "'prod-1' is a tag of run first" in refused.err) == (2, True)
    mend = shlex.split(re.search(r"`tunesmith (adapter tag [^`]*)`", refused.err)[1])
    assert desk.adapter("prod-1").run == "first"
    assert typed("-C", desk.home.root, *mend).status == 0
    assert desk.adapter("first").tags.count("prod-1") == 0


def test_a_tag_is_no_name_of_a_run_that_has_begun_and_not_ended(desk):
    begun = desk.home.inside / "runs" / "begun"
    begun.mkdir()
    with pytest.raises(TunesmithError, match="names a run already"):
        desk.tag_adapter("first", "begun")
    begun.rmdir()


def test_adapters_are_told_of_though_a_row_that_they_learnt_was_erased(desk, tmp_path):
    left = Workspace(shutil.copytree(desk.home.root, tmp_path / "desk"))
    left.erase(left.home.latest("split", "split", Split)[0].train[0])
    assert {adapter.stale for adapter in left.adapters()} == {"train side"}
    assert left.tag_adapter("first", "kept").tags == ("kept",)
    assert left.compare_adapters("first", "second").same


def test_a_changed_task_makes_adapters_stale(desk):
    task = desk.home.settings.task.model_dump(mode="json") | {"instructions": "Sort it otherwise."}
    write_settings(desk.home.root, task=task)
    assert "task" in Workspace(desk.home.root).adapter("first").stale
