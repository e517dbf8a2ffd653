"""Would more examples help? Measured on parts of the train side, whose groups stay whole."""

import csv
from itertools import pairwise

import pytest
from tests.cli.driving import typed
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.curve import CurvePoint, CurveReport, _gain, _in_words, _parts, curve_inputs, reach
from tunesmith.workspace.home import changed_since


@pytest.fixture
def desk(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"})
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    return workspace


def test_the_curve_is_measured_where_it_says_and_ends_at_the_whole_train_side(desk):
    ended = typed("-C", desk.home.root, "curve", "--metric", "accuracy", "--draws", "3", "--json")
    assert ended.status == 0
    report = ended.json
    sizes = [point["examples"] for point in report["points"]]
    train = desk.verify_split().train
    assert sizes == sorted(sizes)
    assert sizes[-1] == train
    assert [gain["examples"] for gain in report["expected"]] == [2 * train, 4 * train]
    assert all(p["lowest"] <= p["value"] <= p["highest"] for p in report["points"])
    assert all(g["low"] <= g["high"] for g in report["expected"])
    assert f"with {train} train examples" in report["says"]
    whole = desk.baseline(["classifier"]).contenders["classifier"].metrics["accuracy"].value
    assert report["points"][-1]["value"] == pytest.approx(whole)


def test_the_same_seed_gives_the_same_curve(desk):
    assert desk.curve(metric="accuracy", draws=2) == desk.curve(metric="accuracy", draws=2)


def test_a_draw_takes_groups_one_after_the_other(tmp_path):
    with (tmp_path / "grouped.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "topic", "customer"])
        for label, texts in MESSAGES.items():
            rows.writerows([text, label, f"{label}-{n // 4}"] for n, text in enumerate(texts.splitlines()))
    workspace, _ = Workspace.init(tmp_path / "desk", source=tmp_path / "grouped.csv", prompt="text", completion="topic")
    examples = [e for e in workspace.home.examples() if e.group]
    for size, part in _parts(examples, [10, 30], 2, 0):
        groups = [e.group for e in part]
        assert len(part) == size
        assert sum(a != b for a, b in pairwise(groups)) == len(set(groups)) - 1


def test_what_cannot_learn_in_parts_and_too_few_examples_are_refused(desk, tmp_path):
    with pytest.raises(TunesmithError, match=r"'prompt'(.|\n)*classifier"):
        desk.curve(contender="prompt")
    Workspace.init(tmp_path / "few", source=write_csv(tmp_path / "few.csv", rows=6))
    write_settings(tmp_path / "few", model={"base": "nowhere", "embedder": "ngrams"})
    few = Workspace(tmp_path / "few")
    few.split()
    with pytest.raises(TunesmithError, match="no curve to draw"):
        few.curve(metric="accuracy")


def test_the_curve_says_how_many_examples_the_bar_takes_and_is_kept(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.6})
    told = typed("-C", desk.home.root, "curve", "--draws", "4", "--json").json
    found = told["reaches"]
    assert (found["metric"], found["value"], found["now"]) == ("accuracy", 0.6, told["points"][-1]["examples"])
    assert (found["examples"] is None) == (found["because"] is not None and "flattens" in found["because"])
    if found["examples"] is not None and found["low"] is not None and found["high"] is not None:
        assert found["low"] <= found["examples"] <= found["high"]
    kept, entry = Workspace(desk.home.root).home.latest("curve", "classifier", CurveReport)
    assert kept.reaches is not None
    assert entry.inputs.keys() == {"task", "split", "embedder", "classifier"}


def test_a_curve_is_out_of_date_where_the_real_embedder_has_come(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    write_settings(desk.home.root, model={"base": "nowhere", "embedder": "minilm"})  # n-grams stand in for it
    workspace = Workspace(desk.home.root)
    workspace.curve(metric="accuracy", draws=2)
    entry = workspace.home.index("curve", "classifier")[-1]
    assert changed_since(entry, curve_inputs(workspace.home, Answering(workspace.home))) == ""
    (tmp_path / "home" / "models" / "minilm").mkdir(parents=True)
    assert changed_since(entry, curve_inputs(workspace.home, Answering(workspace.home))) == "embedder"


def test_a_reach_is_that_of_the_law_the_points_lie_on():
    # error(n) = 0.1 + 4 n^-0.5: 0.15 takes 80^2 = 6400 examples, 0.05 none
    points = tuple(
        CurvePoint(examples=n, value=v, lowest=v, highest=v, draws=2, values=(v, v))
        for n in (400, 900, 1600, 2500)
        for v in [1 - 0.1 - 4 * n**-0.5]
    )
    report = CurveReport(contender="classifier", metric="accuracy", validation=100, points=points, says="")
    found = reach(report, 0.85)
    assert (found.examples, found.low, found.high) == (6400, 6400, 6400)
    never = reach(report, 0.95)
    assert (never.examples, "never gets there" in never.because) == (None, True)
    early = reach(report, 0.65)  # by the law 256 would do, and the smallest part measured has 400
    assert (early.examples, early.low, early.high) == (400, 400, 400)
    assert "smallest part" in early.because


def test_a_curve_of_any_range_is_read_in_its_own_unit():
    # the same law in points of chrF: 100 - (10 + 400 n^-0.5)
    measured = {n: [90 - 400 * n**-0.5] * 2 for n in (400, 900, 1600, 2500)}
    points = tuple(
        CurvePoint(examples=n, value=v[0], lowest=v[0], highest=v[0], draws=2, values=tuple(v))
        for n, v in measured.items()
    )
    report = CurveReport(contender="classifier", metric="reply.chrf", validation=100, points=points, says="")
    assert reach(report, 85.0).examples == 6400
    gain = _gain(measured, 6400, 0, 100.0)
    assert (gain.value, gain.gain) == (pytest.approx(85.0), pytest.approx(3.0))
    assert "gather more" in _in_words("classifier", "chrf", points, [gain], 1.0)
    assert "hardly help" in _in_words("classifier", "chrf", points, [gain], 4.0)


def test_a_metric_that_is_no_better_when_higher_is_refused(desk):
    ended = typed("-C", desk.home.root, "curve", "--metric", "brier")
    assert (ended.status, "higher is not better" in ended.err) == (2, True)
