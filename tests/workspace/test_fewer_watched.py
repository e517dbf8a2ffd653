"""Validation rows that are out of use since the split: tuning says so, and that is part of what a run is."""

from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.splits import Split


def test_rows_that_are_gone_are_told_and_make_another_run(tmp_path):
    folder, base = tmp_path / "desk", build_tiny(tmp_path / "tiny")
    Workspace.init(folder, source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        folder, model={"base": str(base), "embedder": "ngrams"},
        tuning={"epochs": 0.5, "rank": 2, "batch_size": 16, "dtype": "float32"},
    )  # fmt: skip
    desk = Workspace(folder)
    desk.split(validation=0.2, test=0.2, seed=1)
    tune = ("-C", folder, "tune", "--anyway", "--no-forgetting")
    first = typed(*tune, "--json")
    assert first.status == 0, first.err
    watched = desk.home.latest("split", "split", Split)[0].validation
    desk.review("ann").reject(watched[0])
    second = typed(*tune)
    assert second.status == 0, second.err
    assert f"{len(watched) - 1} of {len(watched)} validation rows are there: the others were removed" in second.err
    runs = {entry.name: entry for entry in Workspace(folder).home.index("run")}
    (other,) = [entry for name, entry in runs.items() if name != first.json["run"]]
    assert "validation rows" in other.inputs and "validation rows" not in runs[first.json["run"]].inputs
    compared = Workspace(folder).compare_adapters(first.json["run"], other.name)
    assert (compared.comparable, compared.because) == (False, "other validation rows")
