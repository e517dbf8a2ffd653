"""Several models at their best beside one another, from the command line."""

from pathlib import Path

import pytest
from tests.cli.best_desk import BEST, at, desk, obeys, run, searched
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Contender
from tunesmith.models.embedder import Ngrams


def test_several_models_stand_in_one_table_on_the_same_test(tmp_path):
    base, other = build_tiny(tmp_path / "tiny"), build_tiny(tmp_path / "other", seed=5)
    with FakeServer(obeys("Name", "Label", "one of these")) as server:
        folder = desk(
            tmp_path, ("0.1", "0.1"), model={"base": str(base), "embedder": "ngrams"},
            costs={"machine_usd_per_hour": 1.0, "requests_per_month": 1000},
            budget={"usd": 1.0},
            contenders={"models": {
                "other": {"base": str(other)},
                "far": {"base": "f", "base_url": server.url, "kinds": ["prompt", "few_shot", "retrieval"],
                        "usd_per_million_input_tokens": 2.0, "usd_per_million_output_tokens": 8.0},
                "free": {"base": "g", "base_url": server.url, "kinds": ["prompt"]},
            }},
        )  # fmt: skip
        run(folder, "baseline")
        scores = run(folder, "evaluate", "--on", "test")["contenders"]
        crossed = run(folder, "evaluate", "prompt:far", "prompt:free", "--cv", "2", "--cv-repeats", "1")["contenders"]
        assert crossed["prompt:far"]["metrics"]["accuracy"]["value"] == 1.0
    kinds = {"prompt", "few_shot", "retrieval"}
    wanted = {f"{k}{m}{t}" for m in ("", ":other", ":far") for k in kinds for t in ("", "+schema")}
    wanted -= {"retrieval:other", "retrieval:other+schema"}
    assert wanted | {"prompt:free", "constant", "classifier"} <= set(scores)
    assert scores["prompt:far"]["metrics"]["accuracy"]["value"] == 1.0
    assert scores["prompt:far"]["metrics"]["accuracy"]["n"] == scores["prompt"]["metrics"]["accuracy"]["n"]
    home = Workspace(folder).home
    said = {
        n: {a.text for a in home.store.answers(scores[n]["contender"]).values()} for n in ("prompt", "prompt:other")
    }
    assert said["prompt"] != said["prompt:other"]
    sheets = run(folder, "cost")["contenders"]
    assert sheets["prompt:far"]["usd_per_thousand"] == pytest.approx(1000 * scores["prompt:far"]["usd"])
    assert sheets["prompt:free"]["usd_per_thousand"] is None
    assert "contenders.models.free.usd_per_million_input_tokens" in sheets["prompt:free"]["reasons"]["usd_per_thousand"]
    decision = run(folder, "decide")
    assert any("prompt:far" in line for line in decision["because"])
    html = Path(run(folder, "report")["dossier"]).read_text(encoding="utf-8")
    assert "few_shot:far+schema" in html and "nother model with written instructions" in html
    assert run(folder, "report", "--verify")["verified"]


def test_another_models_contender_is_searched_for_itself(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    with FakeServer(obeys("Labels:")) as server:
        folder = desk(
            tmp_path, model={"base": str(model), "embedder": "ngrams"},
            contenders={"best": BEST, "models": {"far": {"base": "f", "base_url": server.url}}},
        )  # fmt: skip
        choices = searched(folder, "prompt:far")["choices"]
        scores = run(folder, "evaluate", "prompt:far", "--on", "test")["contenders"]
        run(folder, "baseline", "few_shot:far")
    assert set(choices) == {"prompt:far"}
    assert scores["prompt:far"]["metrics"]["accuracy"]["value"] == 1.0
    home = Workspace(folder).home
    assert home.latest("contender", "few_shot:far", Contender)[0].instructions == home.task.instructions
    assert home.latest("contender", "prompt", Contender) is None


def test_what_changed_under_another_models_contender_is_mended_by_its_own_name(tmp_path, monkeypatch):
    with FakeServer(obeys("Labels:")) as server:
        far = {"base": "f", "base_url": server.url, "kinds": []}
        folder = desk(tmp_path, model=at(server), contenders={"models": {"far": far}, "few_shot": {"way": "nearest"}})
        run(folder, "baseline", "retrieval:far", "few_shot:far")
        with monkeypatch.context() as patch:
            patch.setattr(Ngrams, "hash", "another")
            for name in ("retrieval:far", "few_shot:far"):
                for twin in (name, f"{name}+schema"):
                    ended = typed("-C", folder, "evaluate", twin, "--on", "test")
                    assert ended.status == 2
                    assert f"prepare it again with `tunesmith baseline {name}`" in ended.err
            run(folder, "baseline", "retrieval:far", "few_shot:far")
            run(folder, "evaluate", "retrieval:far", "few_shot:far", "--on", "test")


def test_a_model_that_is_taken_out_is_no_contender_any_more(tmp_path):
    base, other = build_tiny(tmp_path / "tiny"), build_tiny(tmp_path / "other", seed=5)
    model = {"base": str(base), "embedder": "ngrams"}
    folder = desk(tmp_path, model=model, contenders={"models": {"other": {"base": str(other)}}})
    run(folder, "baseline", "constant", "prompt:other")
    write_settings(folder, contenders={})
    assert set(run(folder, "evaluate")["contenders"]) == {"constant"}
    ended = typed("-C", folder, "evaluate", "prompt:other")
    assert ended.status == 2 and "no prepared contender" in ended.err


@pytest.mark.parametrize(
    ("models", "says_so"),
    [
        ({"far": {"bas": "x"}}, "did you mean 'base'"),
        ({"a:b": {"base": "x"}}, "contenders.models"),
        ({"far": {"base": "x", "kinds": ["tuned"]}}, "contenders.models.far.kinds"),
    ],
)
def test_a_wrong_model_in_the_settings_is_named(tmp_path, models, says_so):
    folder = desk(tmp_path)
    write_settings(folder, contenders={"models": models})
    ended = typed("-C", folder, "status")
    assert ended.status == 2
    assert says_so in ended.err
