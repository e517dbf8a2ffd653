"""`select` chooses on the train side alone, keeps a record, and `tune --selection` trains on nothing else."""

import json

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError


@pytest.fixture
def desk(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    workspace, _ = Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        workspace.home.root,
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 1, "batch_size": 4, "rank": 2},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    return workspace


def train_side(workspace):
    from tunesmith.workspace.answering import current_split

    return set(current_split(workspace.home).train)


def test_only_train_rows_are_chosen_evenly_over_the_labels_and_each_says_why(desk):
    selection = desk.select(12, compare_random=True)
    chosen = {one.example for one in selection.selected}
    assert len(chosen) == 12
    assert chosen <= train_side(desk)
    assert sorted(one.label for one in selection.selected) == ["billing"] * 4 + ["returns"] * 4 + ["shipping"] * 4
    assert all(one.reason for one in selection.selected)
    assert selection.compared.nearness > selection.compared.nearness_random
    assert set(selection.compared.accuracy) == {"topic"}
    low, high = selection.compared.accuracy_random_range["topic"]
    assert 0 <= low <= selection.compared.accuracy_random["topic"] <= high <= 1


def test_a_random_choice_of_the_same_size_can_be_tuned_on_too(desk):
    once, again, other = (desk.select(12, name="chance", seed=seed, at_random=True) for seed in (1, 1, 2))
    ids = [{one.example for one in selection.selected} for selection in (once, again, other)]
    assert len(ids[0]) == 12
    assert ids[0] <= train_side(desk)
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] != {one.example for one in desk.select(12).selected}
    assert desk.plan(selection="chance").plan["train_examples"] == 12
    told = json.loads(typed("-C", desk.home.root, "select", "--count", "5", "--random", "--json").out)
    assert [one["reason"] for one in told["selected"]] == ["drawn at random"] * 5


def test_tuning_uses_the_selection_and_names_it(desk):
    desk.select(8, name="small")
    whole, part = desk.plan().plan, desk.plan(selection="small").plan
    assert part["train_examples"] == 8 < whole["train_examples"]
    run = desk.tune(name="of-few", selection="small", anyway=True)
    assert run.inputs["selection"] == desk.home.index("selection", "small")[-1].hash
    assert run.steps < desk.tune(name="of-all", anyway=True).steps


def test_a_selection_that_is_not_there_or_of_another_split_is_refused(desk):
    with pytest.raises(TunesmithError, match=r"no selection 'small'(.|\n)*tunesmith select --count 100 --name small"):
        desk.tune(selection="small", anyway=True)
    desk.select(8, name="small")
    desk.split(seed=7)
    with pytest.raises(TunesmithError, match="another split"):
        desk.tune(selection="small", anyway=True)


def test_json_carries_what_was_selected_and_why(desk):
    ended = typed("-C", desk.home.root, "select", "--count", "6", "--compare-random", "--json")
    assert ended.status == 0
    told = json.loads(ended.out)
    assert len(told["selected"]) == 6
    assert {"example", "label", "reason", "gain", "certainty"} <= told["selected"][0].keys()
    assert told["compared"]["draws"] == 10
    assert "as 'selection'" in typed("-C", desk.home.root, "select", "--count", "6").out
