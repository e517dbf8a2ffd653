"""Asked again, held out in folds, planned, and warned when the bar is chased: `evaluate` from outside."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from sqlalchemy import text
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.answered import answered, answered_desk, finished_run
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.cli.tables import comparison_table
from tunesmith.core.errors import TunesmithError
from tunesmith.core.splits import Split
from tunesmith.core.statistics import examples_needed_for_difference
from tunesmith.workspace.evaluate import newest


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("statistics")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(
        folder / "desk", model={"base": "nowhere", "embedder": "ngrams"}, bar={"metric": "accuracy", "value": 0.6}
    )
    workspace = Workspace(folder / "desk")
    workspace.split()
    workspace.baseline(["constant", "classifier"])
    return workspace


def test_what_asks_no_model_says_the_same_each_time(desk):
    ended = typed("-C", desk.home.root, "evaluate", "classifier", "--repeat", "2", "--json")
    assert ended.status == 0
    again = ended.json["repeats"]["classifier"]
    assert again["times"] == 2
    assert len(set(again["values"])) == 1
    assert again["noise_floor"] == 0
    # nothing changed in so many examples; that is no proof that nothing ever does
    assert again["changed"]["value"] == 0 < again["changed"]["high"]


def test_cross_validation_never_looks_at_test_and_says_what_it_is(desk):
    ended = typed("-C", desk.home.root, "evaluate", "--cv", "4", "--cv-repeats", "2", "--json")
    assert ended.status == 0
    made = ended.json
    split = desk.verify_split()
    assert made["examples"] == split.train + split.validation
    assert made["groups"] <= made["examples"]
    assert set(made["contenders"]) == {"constant", "classifier"}
    assert [len(row) for row in made["contenders"]["classifier"]["folds"]] == [4, 4]
    found = made["contenders"]["classifier"]["metrics"]["accuracy"]
    assert found["low"] < found["value"] < found["high"]
    assert made["comparisons"][0]["test"] == "corrected resampled t by fold"
    assert made["comparisons"][0]["difference"] > 0
    told = typed("-C", desk.home.root, "evaluate", "--cv", "4", "--cv-repeats", "1").out
    assert "test was not looked at" in told


def test_a_difference_lies_in_the_middle_of_its_interval_where_folds_and_all_rows_disagree(tmp_path):
    """Macro F1 of all rows is no mean of that of folds, which hold a dozen rows each."""
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"}, bar={"metric": "macro_f1", "value": 0.6}
    )
    Workspace(tmp_path / "desk").split()
    made = typed("-C", tmp_path / "desk", "evaluate", "--cv", "4", "--cv-repeats", "2", "--json").json
    found, scores = made["comparisons"][0], made["contenders"]
    one, other = (np.array(scores[found[side]]["folds"]) for side in ("a", "b"))
    assert found["difference"] == pytest.approx((one - other).mean())
    assert (found["low"] + found["high"]) / 2 == pytest.approx(found["difference"])
    whole = [scores[found[side]]["metrics"]["macro_f1"]["value"] for side in ("a", "b")]
    assert abs(whole[0] - whole[1] - found["difference"]) > 1e-3


def test_the_same_seed_folds_alike(desk):
    assert desk.cross_validate(folds=3, repeats=1) == desk.cross_validate(folds=3, repeats=1)


def test_a_classifier_gains_nothing_from_rows_of_the_customers_it_is_asked_about(tmp_path):
    """Labels by chance, each text written three times: rows dealt out one by one would look right most of the time."""
    with (tmp_path / "twins.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "topic", "customer"])
        texts = [text for each in MESSAGES.values() for text in each.splitlines()]
        for n, text in enumerate(texts):
            for ending in ("", ", thanks", ", please answer"):
                rows.writerow([text + ending, "ab"[(n * 7919 // 3) % 2], f"customer {n}"])
    workspace, _ = Workspace.init(tmp_path / "desk", source=tmp_path / "twins.csv", prompt="text", completion="topic")
    write_settings(tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"})
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    made = workspace.cross_validate(["classifier"], folds=5, repeats=2)
    found = made.contenders["classifier"].metrics[made.metric]
    assert found.low < 0.6
    assert found.value < 0.75
    assert made.groups <= 60


def test_what_cannot_be_cross_validated_is_refused(desk):
    with pytest.raises(TunesmithError, match="tuned anew"):
        desk.cross_validate(["tuned"])
    with pytest.raises(TunesmithError, match=r"'clasifier'(.|\n)*classifier"):
        desk.cross_validate(["clasifier"])
    with pytest.raises(TunesmithError, match="classifier once more: there is nothing to constrain"):
        desk.cross_validate(["classifier+schema"])
    with pytest.raises(TunesmithError, match="fewer folds"):
        desk.cross_validate(folds=1000)
    ended = typed("-C", desk.home.root, "evaluate", "--cv", "4", "--on", "test")
    assert ended.status == 2
    assert "leave out --cv" in ended.err


def test_a_plan_goes_with_nothing_that_asks(desk):
    for more in (("--cv", "3"), ("--sample", "5"), ("--repeat", "1")):
        ended = typed("-C", desk.home.root, "evaluate", "--plan", "0.1", *more)
        assert ended.status == 2
        assert "goes with none of --cv, --sample and --repeat" in ended.err


def test_a_plan_says_how_many_examples_show_a_difference(desk):
    ended = typed("-C", desk.home.root, "evaluate", "--plan", "0.05", "--json")
    assert ended.status == 0
    general = {row["discordant"]: row for row in ended.json["in_general"]}
    assert general[0.1]["examples"] < general[0.4]["examples"]
    assert not general[0.1]["enough"]
    assert "too few" in typed("-C", desk.home.root, "evaluate", "--plan", "0.05").out
    with pytest.raises(TunesmithError, match=r"--plan 0\.05"):
        desk.plan_evaluation(5)


def test_a_plan_for_a_metric_that_goes_to_100_is_on_its_own_scale(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"), prompt="text", completion="topic")
    write_settings(
        tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"}, bar={"metric": "chrf", "value": 50},
        task={"name": "topics", "format": "plain", "fields": [{"name": "topic", "type": "text"}]},
    )  # fmt: skip
    desk = Workspace(tmp_path / "desk")
    desk.split()
    desk.baseline(["constant"])
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 6 != 1, run="first")
    (pair,) = [c for c in desk.evaluate().comparisons if c.b == "prompt"]
    made = typed("-C", desk.home.root, "evaluate", "--plan", "5", "--json").json
    (row,) = [row for row in made["measured"] if row["of"] == "tuned - prompt"]
    assert (made["metric"], row["examples"]) == ("chrf", math.ceil(pair.n * (pair.least_seen / 5) ** 2))
    write_settings(desk.home.root, task={"name": "topics", "format": "plain", "instructions": "Say the topic.",
                                         "fields": [{"name": "topic", "type": "text"}]})  # fmt: skip
    assert typed("-C", desk.home.root, "evaluate", "--plan", "5", "--json").json["measured"] == []  # of another task
    # (1.96 + 0.84)^2 times (5, 10, 20 and 40 over 5)^2
    assert [(row["spread"], row["examples"]) for row in made["in_general"]] == [(5, 8), (10, 32), (20, 126), (40, 503)]
    assert "5 of chrf shown four times of five" in typed("-C", desk.home.root, "evaluate", "--plan", "5").out
    refused = typed("-C", desk.home.root, "evaluate", "--plan", "100")
    assert (refused.status, "chrf goes from 0 to 100" in refused.err, "`--plan 5`" in refused.err) == (2, True, True)


def test_a_plan_counts_the_examples_that_say_nothing_of_the_metric_too(tmp_path):
    desk = answered_desk(tmp_path)
    finished_run(desk, "first")
    contender = answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 6 != 1, run="first")
    there = desk.home.store.answers(contender)
    lost = desk.home.latest("split", "split", Split)[0].validation[:3]
    desk.home.store.save_answers([replace(there[e], text="", fields=None, finish_reason="error") for e in lost])
    made = desk.evaluate(["tuned"])
    (pair,) = [c for c in made.comparisons if c.b == "prompt"]
    assert pair.n == made.examples - 3
    (row,) = [row for row in desk.plan_evaluation(0.1).measured if row.of == "tuned - prompt"]
    assert row.examples == math.ceil(made.examples * (pair.least_seen / 0.1) ** 2)


def test_a_plan_for_mcc_goes_by_what_its_difference_is_of_a_rate(tmp_path):
    desk = answered_desk(tmp_path)
    write_settings(desk.home.root, bar={"metric": "mcc", "value": 0.5})
    desk = Workspace(desk.home.root)
    made = desk.plan_evaluation(0.15).in_general  # of three labels, so two thirds of it
    assert [(row.of, row.discordant) for row in made] == [("two rates 0.1 apart", s) for s in (0.1, 0.2, 0.4)]
    assert [row.examples for row in made] == pytest.approx(
        [examples_needed_for_difference(0.1, share) for share in (0.1, 0.2, 0.4)], abs=1
    )
    assert [row.discordant for row in desk.plan_evaluation(1.4).in_general] == [pytest.approx(1.4 * 2 / 3)]
    refused = typed("-C", desk.home.root, "evaluate", "--plan", "1.6")
    assert refused.status == 2
    assert "goes from -1 to 1, and 1.6 of it stands for rates 1.06667 apart" in refused.err
    assert "`--plan 0.1`" in refused.err


@pytest.fixture
def replies(tmp_path):
    """Makes a desk of one text field with a bar."""

    def make(metric):
        source = write_csv(tmp_path / "examples.csv")
        Workspace.init(tmp_path / "desk", source=source, prompt="text", completion="topic")
        write_settings(
            tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"}, bar={"metric": metric, "value": 0.5},
            task={"name": "topics", "format": "plain", "fields": [{"name": "topic", "type": "text"}]},
        )  # fmt: skip
        Workspace(tmp_path / "desk").split()
        return tmp_path / "desk"

    return make


def test_a_plan_for_scores_from_0_to_1_goes_by_how_far_they_spread(replies):
    made = typed("-C", replies("rouge_l"), "evaluate", "--plan", "0.05", "--json").json
    assert [(row["spread"], row["examples"]) for row in made["in_general"]] == [
        (0.05, 8), (0.1, 32), (0.2, 126), (0.4, 503),
    ]  # fmt: skip


def test_a_plan_for_an_own_metric_runs_it_once_it_is_trusted(replies, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    folder = replies("praise")
    own = "from tunesmith import own_metric\n\n\n@own_metric('praise', rate=True)\ndef praise(case):\n    return True\n"
    (folder / "metrics.py").write_text(own)
    write_settings(folder, evaluation={"own_metrics": "metrics.py"})
    refused = typed("-C", folder, "evaluate", "--plan", "0.05")
    assert (refused.status, "--trust-code" in refused.err) == (2, True)
    assert typed("-C", folder, "evaluate", "--plan", "0.05", "--trust-code").status == 0


def test_a_plan_for_a_great_difference_has_a_row_too(desk):
    made = typed("-C", desk.home.root, "evaluate", "--plan", "0.5", "--json").json
    assert [row["discordant"] for row in made["in_general"]] == [0.5]


def test_runs_that_are_named_one_after_another_on_test_chase_the_bar(tmp_path):
    desk = answered_desk(tmp_path)
    newest = ""
    for name in ("first", "second", "third"):
        finished_run(desk, name)
        newest = answered(desk, "tuned", lambda n, name=name: n % len(name) != 1, run=name)
    with desk.home.store.writing() as connection:  # nobody asked the newest yet
        connection.execute(text("DELETE FROM answers WHERE contender = :c"), {"c": newest})
    looked = [desk.evaluate([f"tuned:{name}"], on="test") for name in ("first", "second")]
    assert "tuned" not in looked[1].contenders
    told = [[w for w in made.warnings if "tuned was changed between looks, 2 versions" in w] for made in looked]
    assert [len(warnings) for warnings in told] == [0, 1]


def test_what_the_correction_takes_away_is_said(tmp_path):
    desk = answered_desk(tmp_path)
    finished_run(desk, "first")
    answered(desk, "tuned", lambda n: True, run="first")
    answered(desk, "prompt", lambda n: n > 5)  # six of 29: p 0.016 by itself
    for name in ("few_shot", "retrieval"):
        answered(desk, name, lambda n: n > 4)  # five: 0.031
    answered(desk, "prompt+schema", lambda n: n > 4)
    made = desk.evaluate(on="test")
    (pair,) = [c for c in made.comparisons if c.b == "few_shot"]
    assert pair.p_value < 0.05 < pair.p_holm
    table = comparison_table(made.comparisons)
    assert f"tuned - few_shot: shown by itself (p {pair.p_value:.2g}), and not once corrected for 5 contrasts" in table


def test_a_bar_chased_on_test_is_said_and_reaches_the_decision(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    settings = {"model": {"base": "nowhere", "embedder": "ngrams"}, "bar": {"metric": "accuracy", "value": 0.9}}

    def looked(strength, bar=0.9):
        write_settings(
            tmp_path / "desk",
            **settings | {"bar": {"metric": "accuracy", "value": bar}},
            contenders={"classifier": {"inverse_regularization": strength}},
        )
        workspace = Workspace(tmp_path / "desk")
        if not workspace.home.index("split"):
            workspace.split()
        workspace.baseline(["constant", "classifier"])
        return workspace, workspace.evaluate(on="test")

    def chased(evaluation):
        return [w for w in evaluation.warnings if "chased" in w]

    assert not chased(looked(1.0)[1])
    assert not chased(looked(1.0)[1])  # looking twice at the same is no chase
    workspace, third = looked(30.0)
    assert len(chased(third)) == 1
    assert "classifier was changed between looks, 2 versions" in chased(third)[0]
    assert "constant" not in chased(third)[0]
    assert any("chased" in reason for reason in workspace.decide().because)
    assert "warning: The bar is being chased" in typed("-C", tmp_path / "desk", "evaluate", "--on", "test").out
    assert any("moved between looks" in w for w in looked(30.0, bar=0.7)[1].warnings)


def test_a_model_is_asked_again_and_in_folds_and_none_of_that_is_kept(tmp_path):
    model = build_tiny(tmp_path / "tiny")
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk", model={"base": str(model), "embedder": "ngrams"}, bar={"metric": "accuracy", "value": 0.6}
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    workspace.baseline(["prompt"])
    made = workspace.evaluate(["prompt+schema"], repeat=2)
    again = made.repeats["prompt+schema"]
    assert len(again.values) == 3
    assert again.values[0] == made.contenders["prompt+schema"].metrics["accuracy"].value
    assert again.changed.n == made.examples
    record = made.contenders["prompt+schema"].contender
    kept = workspace.home.store.answers(record)
    crossed = workspace.cross_validate(["prompt+schema", "classifier"], folds=3, repeats=2)
    assert workspace.home.store.answers(record) == kept
    assert len(crossed.contenders["prompt+schema"].folds) == 2
    assert crossed.comparisons[0].a == "classifier"
    # neither ever says a label: no spread between folds, so nothing is said of the two
    alike = typed("-C", tmp_path / "desk", "evaluate", "prompt", "few_shot", "--cv", "3", "--cv-repeats", "1", "--json")
    assert alike.json["comparisons"] == []
    assert "in each of 3 folds" in alike.json["not_compared"]["few_shot - prompt"]
    told = typed("-C", tmp_path / "desk", "evaluate", "prompt", "few_shot", "--cv", "3", "--cv-repeats", "1").out
    assert "few_shot - prompt: not compared: The difference is +0 in each of 3 folds" in told


def test_rough_intervals_of_all_that_the_bar_asks_for_are_warned_of(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    bar = {"metric": "macro_precision", "value": 0.5, "also": {"macro_recall": 0.5, "valid_rate": 0.95}}
    write_settings(tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"}, bar=bar)
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    workspace.baseline(["constant"])
    told = typed("-C", tmp_path / "desk", "evaluate").out
    assert "warning: The interval of macro precision is approximate" in told
    assert "warning: The interval of macro_recall is approximate" in told
    assert "wrong, or right by valid_rate, of constant" in told  # all can be read, and the bar of 0.95 is near
    write_settings(tmp_path / "desk", bar={"metric": "accuracy", "value": 0.5})
    assert "macro" not in "".join(Workspace(tmp_path / "desk").evaluate().warnings)


def test_a_bar_that_moved_is_warned_of_as_it_is_when_it_is_decided_by(tmp_path):
    desk = answered_desk(tmp_path, bar=0.8)
    answered(desk, "prompt", lambda n: True)
    typed("-C", desk.home.root, "evaluate", "--on", "test")
    told = "contenders are held against the bar"
    assert any(told in line for line in typed("-C", desk.home.root, "decide", "--json").json["because"])
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 1.0})
    decision = typed("-C", desk.home.root, "decide", "--json").json
    assert not any(told in line for line in decision["because"])
    assert told not in Path(decision["dossier"]).read_text("utf-8")
    write_settings(desk.home.root, bar={"metric": "macro_f1", "value": 0.5})
    again = typed("-C", desk.home.root, "decide", "--json").json
    assert any("interval of macro F1 is approximate" in line for line in again["because"])


def test_what_several_intervals_come_to_reaches_the_decision_and_the_dossier(tmp_path):
    desk = answered_desk(tmp_path, bar=0.8)
    answered(desk, "prompt", lambda n: True)
    told = "2 contenders are held against the bar, each by a 95 % interval of its own"
    assert told in typed("-C", desk.home.root, "evaluate", "--on", "test").out
    decision = typed("-C", desk.home.root, "decide", "--json").json
    assert any(line.startswith(told) and line.endswith("5 % in all.") for line in decision["because"])
    page = " ".join(Path(decision["dossier"]).read_text("utf-8").replace("\xa0", " ").split())
    assert told in page.partition('<section id="cautions">')[2]


def test_a_sample_drawn_again_until_it_pleases_decides_nothing(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"}, bar={"metric": "accuracy", "value": 0.6}
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.split()
    workspace.baseline(["constant", "classifier"])
    first = workspace.evaluate(on="test", sample=4, seed=0)
    assert any(w.startswith("Only 4 of ") and w.endswith("drawn by seed 0.") for w in first.warnings)
    for seed in range(1, 4):
        workspace.evaluate(on="test", sample=4, seed=seed)
    counts = newest(workspace.home, "test")[0]
    assert (counts.examples, counts.seed) == (4, 0)
    whole = workspace.evaluate(on="test")
    workspace.evaluate(on="test", sample=4, seed=5)
    assert newest(workspace.home, "test")[0].hash == whole.hash
    decided = workspace.decide()
    assert decided.quality_bar["examples"] == whole.examples


def test_a_sample_as_large_as_the_side_is_the_side(desk):
    whole = desk.evaluate()
    for sample in (whole.examples, whole.examples + 1):
        made = desk.evaluate(sample=sample, seed=3)
        assert (made.sample, made.examples, made.warnings) == (None, whole.examples, whole.warnings)
    assert newest(desk.home, "validation")[0].seed == 3
    assert desk.evaluate(sample=whole.examples - 1).sample == whole.examples - 1
