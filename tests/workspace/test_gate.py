"""The gate as a pipeline sees it: exit status, evidence, the recipes of the docs, and what was shipped before."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from msgspec.structs import replace
from tests.cli.driving import typed
from tests.house.source import ROOT
from tests.house.walking import blocks
from tests.workspace.answered import again, answered, answered_desk, finished_run, retrained
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.models.parity import Parity
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.export import Export


@pytest.fixture
def desk(shipped, tmp_path):
    return Workspace(shutil.copytree(shipped, tmp_path / "desk"))


def decide(desk, *more):
    ended = typed("-C", desk.home.root, "decide", *more, "--json")
    assert ended.status in (0, 1), ended.err
    return ended.status, ended.json


def test_the_gate_passes_what_may_be_shipped_and_nothing_else(desk):
    assert decide(desk, "--gate")[0] == 0
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.99})
    status, found = decide(again(desk), "--gate")
    assert (status, found["passed"]) == (1, False)
    assert decide(again(desk))[0] == 0  # without the gate the decision itself is no failure


def test_each_reason_names_a_file_that_is_there_and_the_old_fields_stay(desk):
    found = decide(desk)[1]
    assert {"recommendation", "because", "quality_bar", "costs", "inputs", "passed", "dossier"} <= found.keys()
    assert {e["because"] for e in found["evidence"]} == set(range(len(found["because"])))
    for evidence in found["evidence"]:
        path = desk.home.root / evidence["path"]
        assert path.is_file()
        if evidence["kind"] not in ("settings", "store"):
            assert path.stem == evidence["hash"]
        if evidence["kind"] == "evaluation" and evidence["part"]:
            content = json.loads(path.read_text("utf-8"))
            for key in evidence["part"].split("."):
                content = content[key]
            assert content is not None


def test_the_dossier_links_each_reason_to_its_section(desk):
    html = Path(decide(desk)[1]["dossier"]).read_text("utf-8")
    why = html.partition('<section class="why"')[2].partition("</section>")[0]
    gain = next(line for line in why.split("<li") if "On the same" in line)
    assert '<a href="#contrasts" data-at="2">Differences</a>' in gain


def test_a_model_that_got_worse_closes_the_gate_though_it_meets_the_bar(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.5})
    desk = again(desk)
    desk.decide()
    retrained(desk, "second", lambda n: n % 2 == 0 or n in (7, 21, 23, 25, 27, 29))
    status, found = decide(again(desk), "--gate", "--against", "previous")
    held = found["against"]
    assert found["recommendation"] == "ship:tuned"
    assert (status, held["worse"], held["was"], held["now"]) == (1, True, "tuned:first", "tuned:second")
    # the second is wrong on nine rows that the first has right, and right on the one that it has wrong
    assert (held["comparison"]["wins"], held["comparison"]["losses"]) == (1, 9)
    assert "it is shown to be worse" in held["because"]
    assert decide(again(desk), "--gate")[0] == 0


def test_small_steps_down_are_held_against_what_was_shipped_and_not_against_one_another(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.5})
    desk = again(desk)
    desk.decide()
    retrained(desk, "second", lambda n: n % 2 == 0 or n in (7, 21, 23, 25, 27))
    assert decide(again(desk), "--gate", "--against", "previous")[0] == 1
    retrained(desk, "third", lambda n: n % 2 == 0 or n in (7, 19, 21, 23, 25, 27))
    status, found = decide(again(desk), "--gate", "--against", "previous")
    assert (status, found["against"]["was"], found["against"]["now"]) == (1, "tuned:first", "tuned:third")


def test_losses_too_small_to_be_shown_from_one_to_the_next_are_found_once_they_add_up(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.4})
    desk = again(desk)
    desk.decide()
    wrong = {7}
    for step, more in enumerate([{1, 3, 5}, {9, 11, 13}, {15, 17, 19}], start=2):
        wrong |= more
        retrained(desk, f"run{step}", lambda n, wrong=frozenset(wrong): n % 2 == 0 or n not in wrong)
        status, found = decide(again(desk), "--gate", "--against", "previous")
        assert found["recommendation"] == "ship:tuned"
        if status:
            break
    held = found["against"]
    # no step loses more than three rows of 29 to the one before, which is never shown
    assert (status, held["worse"], held["was"]) == (1, True, "tuned:first")
    assert step > 2 and len(held["comparisons"]) == step - 1
    assert held["comparison"]["p_holm"] >= held["comparison"]["p_value"]
    assert held["comparisons"][0]["losses"] == 3


def test_answers_of_its_own_that_are_gone_are_said(desk):
    desk.decide()
    retrained(desk, "second", lambda n: n != 8)
    mine = desk.home.index("contender", "tuned")[-1].hash
    row = desk.home.latest("split", "split", Split)[0].test[0]
    with desk.home.store.writing() as connection:
        from sqlalchemy import text

        connection.execute(text("DELETE FROM answers WHERE contender = :c AND example = :e"), {"c": mine, "e": row})
    refused = typed("-C", desk.home.root, "decide", "--against", "previous")
    assert refused.status == 2
    assert "1 of the 29 answers of tuned:second to the test examples are gone" in refused.err


def test_a_model_that_is_not_shown_to_be_worse_passes_and_is_told_what_would_not_be_seen(desk):
    retrained(desk, "second", lambda n: n != 8)
    status, found = decide(again(desk), "--gate", "--against", "previous")
    held = found["against"]
    assert (status, held["worse"]) == (0, False)
    assert "it is not shown to be worse" in held["because"]
    assert held["comparison"]["n"] == 29


def test_an_earlier_decision_is_named_by_its_hash(desk):
    first = desk.home.index("decision", "decision")[-1].hash
    retrained(desk, "second", lambda n: n % 30 != 8)
    held = decide(again(desk), "--against", first[:8])[1]["against"]
    assert (held["decision"], held["was"]) == (first, "tuned:first")
    refused = typed("-C", desk.home.root, "decide", "--against", "nothing")
    assert refused.status == 2
    assert "or `previous`" in refused.err


def test_a_decision_that_shipped_nothing_and_rows_that_were_not_answered_are_said(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.99})
    nothing = again(desk).decide()
    refused = typed("-C", desk.home.root, "decide", "--against", nothing.hash)
    assert refused.status == 2
    assert "shipped nothing: it said" in refused.err
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.8})
    desk = again(desk)
    old = desk.home.index("contender", "tuned")[-1].hash
    retrained(desk, "second", lambda n: n % 30 != 8)
    with desk.home.store.writing() as connection:
        from sqlalchemy import text

        connection.execute(text("DELETE FROM answers WHERE contender = :c"), {"c": old})
    refused = typed("-C", desk.home.root, "decide", "--against", "previous")
    assert refused.status == 2
    assert "`tunesmith evaluate tuned:first --on test`" in refused.err


def recipe(where):
    """The pipeline that docs/decision.md shows for GitHub or GitLab."""
    shown = [b.text for b in blocks(ROOT / "docs/decision.md") if any("a pipeline" in mark for mark in b.marks)]
    return yaml.safe_load(shown[("GitHub", "GitLab").index(where)])


def steps(where):
    """What it runs, each in a shell of its own, but the installation; and whether that runs after a failure too."""
    if where == "GitLab":
        return [("\n".join(recipe(where)["decide"]["script"]), False)]
    told = [(s["run"], "if" in s) for s in recipe(where)["jobs"]["decide"]["steps"] if "run" in s]
    return [(line, always) for line, always in told if not line.startswith("pip ")]


@pytest.mark.parametrize("where", ["GitHub", "GitLab"])
@pytest.mark.parametrize(("bar", "status"), [(0.8, 0), (0.99, 1)])
def test_the_recipe_stops_the_pipeline_where_the_bar_is_not_met(desk, where, bar, status):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": bar})
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    failed, proved = 0, ""
    for line, always in steps(where):
        if failed and not always:
            continue
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", line], cwd=desk.home.root.parent, env=environment,
                              capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
        failed, proved = failed or done.returncode, done.stdout
        assert done.returncode in (0, 1), done.stderr
    assert failed == status
    assert "verified: it follows from the records" in proved  # the dossier is proved either way
    assert json.loads((desk.home.root.parent / "decision.json").read_text())["passed"] is (status == 0)


def parity(passed):
    return Parity(
        passed=passed, because=() if passed else ("the adapter is not applied",), loader="PEFT", prompts=1, tokens=4,
        same_token_ids=True, noise_floor=0.1, noise_floors={"a": 0.1}, limit=1.0, difference=0.2, from_base=3.0,
        applied=passed,
    )  # fmt: skip


def handed_on(desk, to, passed):
    run = "hash of first"
    made = Export(
        run="first", to=to, path=None, parity=parity(passed), adapter_hash=run, base_hash="m", dtype="float32"
    )
    desk.home.save("export", "first", made, {"run": run, "model": "m"})


def test_a_failed_export_closes_the_gate_until_one_stands(desk):
    assert any("was not proved" in line for line in desk.decide().because)
    handed_on(desk, "merged", False)
    assert {s.name: s.state for s in again(desk).status()}["decision"] == "stale"
    status, found = decide(again(desk), "--gate")
    assert (status, found["recommendation"], found["rule"]) == (1, "too_early", "held_back")
    assert "the adapter is not applied" in found["because"][0]
    assert any(e["kind"] == "export" for e in found["evidence"])
    handed_on(desk, "adapter", True)
    assert decide(again(desk), "--gate")[0] == 0
    section = Path(again(desk).report().dossier).read_text("utf-8").partition('<section id="parity">')[2]
    assert "not the same" in section.partition("</section>")[0]


def test_where_every_form_of_export_failed_none_is_advised(desk):
    for to in ("adapter", "merged", "gguf (merged)", "ollama"):
        handed_on(desk, to, False)
    assert "in another form, such as `tunesmith export first --to vllm`" in decide(again(desk))[1]["next"]
    handed_on(desk, "vllm", False)
    told = decide(again(desk))[1]["next"]
    assert "--to" not in told
    assert "`tunesmith adapter show first --json` tells, and export again, or tune again" in told


def test_an_export_that_another_followed_cannot_be_changed_by_hand(desk):
    handed_on(desk, "adapter", False)
    older = desk.home.inside / "export" / f"{desk.home.index('export', 'first')[-1].hash}.json"
    handed_on(desk, "merged", False)
    assert decide(again(desk), "--gate")[0] == 1
    older.write_text(older.read_text("utf-8").replace('"passed":false', '"passed":true'), "utf-8")
    refused = typed("-C", desk.home.root, "decide", "--gate")
    assert refused.status == 2
    assert f"{older.name} is not what was saved under that name" in refused.err


def test_a_whole_model_is_not_advised_to_be_handed_on_as_an_adapter(desk):
    run = desk.home.latest("run", "first", Run)[0]
    desk.home.save("run", "first", replace(run, config=run.config | {"method": "full"}), run.inputs)
    found = decide(again(desk))[1]
    assert "`tunesmith export first --to merged`" in found["next"]
    assert "--to adapter" not in " ".join([found["next"], *found["because"]])


def test_settings_shape_the_decision_and_make_it_stale(desk):
    write_settings(desk.home.root, decision={"parity": "required"})
    assert {s.name: s.state for s in again(desk).status()}["decision"] == "stale"
    status, found = decide(again(desk), "--gate")
    assert (status, found["recommendation"]) == (1, "too_early")
    assert "`tunesmith export first --to adapter`" in found["next"]


def test_prices_and_bar_are_those_of_today_and_not_those_of_the_evaluation(desk):
    limit = {"most_usd_per_thousand": 0.01}
    write_settings(desk.home.root, decision=limit)
    status, found = decide(again(desk), "--gate")
    assert (status, found["rule"], found["next"][:30]) == (1, "held_back", "Set the prices under `costs` (")
    # 0.2 seconds an answer: a thousand take 200 seconds
    write_settings(desk.home.root, decision=limit, costs={"machine_usd_per_hour": 0.09})
    status, found = decide(again(desk), "--gate")
    assert (status, found["recommendation"]) == (0, "ship:tuned")
    write_settings(desk.home.root, decision=limit, costs={"machine_usd_per_hour": 3.6})
    status, found = decide(again(desk), "--gate")
    assert (status, found["rule"]) == (1, "beyond")
    assert "a thousand answers cost $0.20, where at most $0.01 is allowed" in found["because"][0]
    again(desk).report()
    proved = typed("-C", desk.home.root, "report", "--verify", "--json")
    assert (proved.status, proved.json["problems"]) == (0, [])


def test_how_many_examples_would_show_it_goes_by_the_bar_of_today(desk):
    write_settings(desk.home.root, bar={"metric": "accuracy", "value": 0.85})
    assert any("it would take about" in line for line in decide(again(desk))[1]["because"])
    again(desk).report()
    assert typed("-C", desk.home.root, "report", "--verify").status == 0


def test_the_price_of_another_model_makes_the_decision_stale(tmp_path):
    models = {"large": {"base": "m", "base_url": "http://127.0.0.1:9/v1", "usd_per_million_input_tokens": 1.0,
                        "usd_per_million_output_tokens": 1.0}}  # fmt: skip
    desk = answered_desk(tmp_path, contenders={"models": models}, decision={"most_usd_per_thousand": 0.05})
    answered(desk, "prompt:large", lambda n: n != 7, model="m", address="http://127.0.0.1:9/v1")
    desk.evaluate(on="test")
    assert decide(desk, "--gate")[0] == 0
    models["large"]["usd_per_million_input_tokens"] = 10.0
    write_settings(desk.home.root, contenders={"models": models})
    assert {s.name: s.state for s in again(desk).status()}["decision"] == "stale"
    status, found = decide(again(desk), "--gate")
    assert (status, found["rule"]) == (1, "tune")
    assert "(prompt:large would, but is beyond them)" in found["because"][0]


def test_documents_that_nobody_looked_up_come_before_tuning(tmp_path):
    desk = answered_desk(tmp_path, decision={"minimum_train": 5})
    answered(desk, "prompt", lambda n: n % 2 == 0)
    desk.evaluate(on="test")
    assert desk.decide().recommendation == "tune"
    (tmp_path / "policy.md").write_text("# Returns\n\nThirty days, with the receipt.\n")
    desk.add(tmp_path / "policy.md", as_="document")
    decision = again(desk).decide()
    assert decision.recommendation == "add_retrieval"
    assert "`tunesmith baseline retrieval`" in decision.next
    html = Path(again(desk).report().dossier).read_text("utf-8")
    assert "Look things up first: add retrieval" in html


OWN = """
from tunesmith import own_metric


@own_metric("hit", rate=True)
def hit(case):
    return case.said == case.truth


@own_metric("miss", better="lower", rate=True)
def miss(case):
    return case.said != case.truth
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A tuned model that shipped by a bar on one's own metric."""
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    desk = answered_desk(tmp_path, decision={"minimum_train": 5})
    (desk.home.root / "metrics.py").write_text(OWN)
    write_settings(desk.home.root, evaluation={"own_metrics": "metrics.py"}, bar={"metric": "hit", "value": 0.5})
    desk = again(desk)
    finished_run(desk, "first")
    for name in ("retrieval", "prompt"):
        answered(desk, name, lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 30 != 7, run="first")
    for side in ("validation", "test"):
        ended = typed("-C", desk.home.root, "evaluate", "--on", side, "--trust-code")
        assert ended.status == 0, ended.err
    assert decide(desk)[1]["recommendation"] == "ship:tuned"
    return desk


def with_documents(desk, folder):
    (folder / "policy.md").write_text("# Returns\n\nThirty days, with the receipt.\n")
    desk.add(folder / "policy.md", as_="document")


def test_a_bar_on_ones_own_metric_is_decided_and_held_against_what_was_shipped_in_a_new_process(own, tmp_path):
    retrained(own, "second", lambda n: n % 2 == 0)
    ended = typed("-C", own.home.root, "decide", "--against", "previous", "--json")
    assert ended.status == 0, ended.err
    held = ended.json["against"]
    assert (held["comparison"]["metric"], held["was"], held["worse"]) == ("hit", "tuned:first", True)
    with_documents(own, tmp_path)
    ended = typed("-C", own.home.root, "decide", "--json")  # retrieval is held against the best prompt
    assert ended.status == 0, ended.err


def test_a_bar_on_an_own_metric_that_is_not_trusted_says_what_to_type(own, tmp_path):
    with_documents(own, tmp_path)
    (own.home.root / "metrics.py").write_text(OWN + "\n# changed")
    ended = typed("-C", own.home.root, "decide")
    assert ended.status == 2
    assert "you have not trusted" in ended.err
    assert "tunesmith evaluate --trust-code" in ended.err


def test_the_dossier_marks_the_lowest_of_an_own_metric_that_is_better_when_lower(own):
    html = Path(decide(own)[1]["dossier"]).read_text("utf-8")
    row = next(part for part in html.split("<tr") if '<th scope="row">miss</th>' in part)
    cells = row.split("<td")[1:]
    lowest = own.home.latest("evaluation", "test", Evaluation)[0].contenders["tuned"].metrics["miss"].value
    assert lowest < 0.1
    (marked,) = [cell for cell in cells if "<strong>" in cell]
    assert f"<strong>{lowest:.2f}" in marked or f"<strong>{lowest:.3f}" in marked


def test_the_learning_curve_is_kept_and_quoted(tmp_path):
    desk = answered_desk(tmp_path, bar=0.95, test=0.25, decision={"minimum_train": 5})
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 5 == 0)
    answered(desk, "tuned", lambda n: n not in (0, 4), run="first")
    desk.evaluate(on="test")
    before = desk.decide()
    assert before.recommendation == "gather_more"
    assert (before.gather, "`tunesmith curve`" in (before.gather_because or "")) == (None, True)
    told = typed("-C", desk.home.root, "curve", "--draws", "3", "--json")
    assert told.status == 0, told.err
    reached = told.json["reaches"]
    decision = decide(again(desk))[1]
    assert decision["gather"] == reached
    assert any(e["kind"] == "curve" for e in decision["evidence"])
    assert any("learning curve" in line for line in decision["because"])
