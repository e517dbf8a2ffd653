"""`report --verify` from outside: a dossier is proved from the records, and whatever was changed by hand is named."""

from __future__ import annotations

import json
import platform
import shutil
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.cli.driving import typed
from tests.workspace.answered import again, answered, answered_desk, finished_run
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.splits import Split
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.report import Report


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with a tuned contender that ships, and its dossier."""
    desk = answered_desk(tmp_path_factory.mktemp("proof"), costs={"machine_usd_per_hour": 1.0})
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 30 != 7, run="first")
    desk.evaluate(on="test")
    desk.decide()
    desk.report()
    return desk.home.root


@pytest.fixture
def desk(template, tmp_path):
    return Workspace(shutil.copytree(template, tmp_path / "desk"))


def verify(desk, *more):
    ended = typed("-C", desk.home.root, "report", "--verify", *more, "--json")
    assert ended.status in (0, 1), ended.err
    return ended.status, ended.json


def dossier(desk):
    (path,) = (desk.home.inside / "dossiers").glob("*.html")
    return path


def record(desk, kind):
    """The newest record of a kind, as a file and as what it says."""
    path = desk.home.inside / kind / f"{desk.home.index(kind)[-1].hash}.json"
    return path, json.loads(path.read_text("utf-8"))


def change(desk, sql, *values):
    with sqlite3.connect(desk.home.inside / "store.db") as connection:
        assert connection.execute(sql, values).rowcount


def places(found, what):
    return [d["where"] for d in found["differences"] if d["what"] == what]


def test_what_nobody_touched_is_proved(desk):
    status, found = verify(desk)
    assert (status, found["verified"], found["differences"], found["unproved"]) == (0, True, [], [])
    said = " ".join(found["proved"])
    for words in (
        "the page is the one that was written",
        "records are as they were written",
        "the snapshot holds the 60 examples that were split",
        "the split is certified again from the examples alone",
        "the figures of 3 contenders follow from 87 saved answers",
        "2 comparisons follow from the same answers",
        "the ledger holds one look at the test set",
        "the rules give the same decision from the records",
        "the records give the same page, byte for byte",
    ):
        assert words in said, said
    shown = typed("-C", desk.home.root, "report", "--verify")
    assert "verified: it follows from the records" in shown.out


def test_it_proves_without_changing_anything(desk):
    before = {kind: len(desk.home.index(kind)) for kind in ("decision", "report", "evaluation")}
    verify(desk)
    assert {kind: len(again(desk).home.index(kind)) for kind in before} == before


def test_a_figure_changed_in_the_page_is_named(desk):
    path = dossier(desk)
    page = path.read_text("utf-8")
    assert "<strong>0.97</strong>" in page
    path.write_text(page.replace("<strong>0.97</strong>", "<strong>0.99</strong>", 1), "utf-8")
    status, found = verify(desk)
    assert (status, found["verified"]) == (1, False)
    assert [(d["what"], d["shown"], d["found"]) for d in found["differences"]] == [("dossier", "0.99", "0.97")]
    assert "all_correct" in found["differences"][0]["where"]
    shown = typed("-C", desk.home.root, "report", "--verify")
    assert shown.status == 1
    assert "NOT verified" in shown.out
    assert "shown 0.99, found 0.97" in shown.out


def test_a_dossier_that_came_by_mail_is_proved_wherever_it_lies(desk, tmp_path):
    received = tmp_path / "received.html"
    shutil.copy(dossier(desk), received)
    assert verify(desk, received)[0] == 0
    received.write_text(received.read_text("utf-8").replace("Ship tuned", "Ship prompt"), "utf-8")
    status, found = verify(desk, received)
    assert status == 1
    assert [(d["shown"], d["found"]) for d in found["differences"]] == [("Ship prompt", "Ship tuned")]
    assert verify(desk)[0] == 0  # the one that was written is still whole
    assert typed("-C", desk.home.root, "report", "--verify", tmp_path / "none.html").status == 2
    assert typed("-C", desk.home.root, "report", received).status == 2


def test_marks_changed_under_the_same_words_are_noticed(desk):
    path = dossier(desk)
    path.write_text(path.read_text("utf-8").replace('<a href="#costs"', '<a href="#data"', 1), "utf-8")
    assert places(verify(desk)[1], "dossier") == ["its words are the same, but not its marks, links or plots"]


def test_a_score_changed_in_its_record_is_named_and_so_is_the_record(desk):
    path, content = record(desk, "evaluation")
    content["contenders"]["prompt"]["metrics"]["accuracy"]["value"] = 0.9
    path.write_text(json.dumps(content), "utf-8")
    status, found = verify(desk)
    assert status == 1
    (where,) = places(found, "record")
    assert path.stem in where
    changed = next(d for d in found["differences"] if d["what"] == "evaluation")
    assert (changed["where"], changed["shown"], changed["found"]) == (
        "prompt.metrics.accuracy.value",
        "0.9",
        "0.517241",
    )
    assert places(found, "decision")


def test_a_comparison_changed_in_its_record_is_named(desk):
    path, content = record(desk, "evaluation")
    next(c for c in content["comparisons"] if c["b"] == "prompt")["p_value"] = 0.5
    path.write_text(json.dumps(content), "utf-8")
    assert "comparisons.tuned over prompt.p_value" in places(verify(desk)[1], "evaluation")


def test_an_answer_that_was_exchanged_is_found_whatever_it_scores(desk):
    tuned = desk.home.index("contender", "tuned")[-1].hash
    wrong = next(e for e, right in record_of(desk)["contenders"]["tuned"]["correct"].items() if right)
    answer = next(a for a in desk.home.store.answers(tuned).values() if a.example == wrong)
    other = "billing" if answer.text != "billing" else "returns"
    changed = json.dumps({"contender": tuned, "example": wrong, "text": other, "fields": {"topic": other},
                          "seconds": 0.2, "prompt_tokens": 9, "completion_tokens": 3})  # fmt: skip
    change(desk, "UPDATE answers SET record = ? WHERE contender = ? AND example = ?", changed, tuned, wrong)
    status, found = verify(desk)
    assert status == 1
    assert "tuned.metrics.accuracy.value" in places(found, "evaluation")
    assert "the saved answers are not those that were scored" in places(found, "answers")


def record_of(desk):
    entry = desk.home.index("evaluation", "test")[-1]
    return json.loads((desk.home.inside / "evaluation" / f"{entry.hash}.json").read_text("utf-8"))


def test_an_example_whose_completion_was_exchanged_in_the_store_is_found(desk):
    victim = desk.home.latest("split", "split", Split)[0].test[0]
    found = next(e for e in desk.home.examples() if e.id == victim)
    other = next(e.completion for e in desk.home.examples() if e.completion != found.completion)
    with sqlite3.connect(desk.home.inside / "store.db") as store:
        (record,) = store.execute("SELECT record FROM examples WHERE id = ?", (victim,)).fetchone()
        changed = json.dumps(json.loads(record) | {"completion": other})
        store.execute("UPDATE examples SET record = ? WHERE id = ?", (changed, victim))
    report = again(desk).report(verify=True)
    assert not report.verified
    assert any(f"example {victim} no longer says" in problem for problem in report.problems)


def test_an_answer_whose_fields_do_not_follow_from_its_text_is_found(desk):
    tuned = desk.home.index("contender", "tuned")[-1].hash
    example = next(iter(record_of(desk)["contenders"]["tuned"]["correct"]))
    answer = desk.home.store.answers(tuned)[example]
    changed = json.dumps({"contender": tuned, "example": example, "text": "no label at all", "fields": answer.fields,
                          "seconds": 0.2, "prompt_tokens": 9, "completion_tokens": 3})  # fmt: skip
    change(desk, "UPDATE answers SET record = ? WHERE contender = ? AND example = ?", changed, tuned, example)
    assert f"what tuned said to example {example} reads otherwise" in places(verify(desk)[1], "answers")


def test_a_look_taken_out_of_the_ledger_is_missed(desk):
    change(desk, "DELETE FROM ledger WHERE kind = 'test_look'")
    found = verify(desk)[1]
    assert [(d["shown"], d["found"]) for d in found["differences"] if d["what"] == "ledger"] == [("1", "0")]


def test_a_decision_changed_in_its_record_is_named(desk):
    path, content = record(desk, "decision")
    content["recommendation"] = "ship:prompt"
    path.write_text(json.dumps(content), "utf-8")
    found = verify(desk)[1]
    told = next(d for d in found["differences"] if d["where"] == "decision.recommendation")
    assert (told["shown"], told["found"]) == ("ship:prompt", "ship:tuned")


@pytest.mark.parametrize(("kind", "said"), [("check", {"ready": False}), ("run", {"overrides": ["a guard"]})])
def test_a_record_that_is_read_and_cited_nowhere_is_named_where_it_was_changed(desk, kind, said):
    path, content = record(desk, kind)
    path.write_text(json.dumps(content | said), "utf-8")
    status, found = verify(again(desk))
    assert (status, len(places(found, "record"))) == (1, 1)
    assert path.name in places(found, "record")[0]


@pytest.mark.parametrize(("kind", "says"), [("check", "unmeasured"), ("run", "overrides"), ("evaluation", "warnings")])
@pytest.mark.parametrize("planted", ["2 rows were removed or erased since the split.", "[erased]"])
def test_no_record_that_was_changed_by_hand_is_decided_on(desk, kind, says, planted):
    path, content = record(desk, kind)
    path.write_text(json.dumps(content | {says: [planted]}), "utf-8")
    refused = typed("-C", desk.home.root, "decide", "--gate")
    assert refused.status == 2
    assert f"{path.name} is not what was saved under that name" in refused.err


def test_a_check_that_was_emptied_by_hand_is_made_anew_by_check(desk):
    path, content = record(desk, "check")
    path.write_text(json.dumps(content | {"findings": []}), "utf-8")
    assert typed("-C", desk.home.root, "decide").status == 2
    desk.check()
    assert typed("-C", desk.home.root, "decide").status == 0


def test_another_python_and_another_seed_that_nothing_was_measured_by_are_no_difference(tmp_path, monkeypatch):
    desk = answered_desk(tmp_path)
    answered(desk, "prompt", lambda n: n % 2 == 0)
    desk.evaluate(on="test")
    page = Path(desk.report().dossier).read_text("utf-8")
    assert platform.python_version() in page
    monkeypatch.setattr(platform, "python_version", lambda: "3.99.0")
    write_settings(desk.home.root, contenders={"few_shot": {"seed": 9}})
    status, found = verify(again(desk))
    assert (status, found["problems"]) == (0, [])


def test_the_dossier_names_the_base_model_that_was_tuned_and_not_the_one_set_now(tmp_path):
    address = "http://127.0.0.1:9/v1"
    desk = answered_desk(tmp_path, model={"base": "old-model", "base_url": address, "embedder": "ngrams"})
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "tuned", lambda n: n % 30 != 7, run="first", model="old-model")
    desk.evaluate(on="test")
    write_settings(desk.home.root, model={"base": "new-model", "base_url": address, "embedder": "ngrams"})
    page = Path(again(desk).report().dossier).read_text("utf-8")
    assert "on the base model old-model" in " ".join(page.split())
    assert "on the base model new-model" not in " ".join(page.split())


def test_what_is_gone_leaves_its_figures_unproved(desk):
    path, _ = record(desk, "evaluation")
    path.unlink()
    status, found = verify(desk)
    assert (status, found["verified"]) == (1, False)
    assert any(line.startswith("All scores:") for line in found["unproved"])
    assert any(f"evaluation {path.stem} says: its file" in line for line in found["unproved"])


def test_answers_that_are_gone_leave_the_figures_of_their_contender_unproved(desk):
    prompt = desk.home.index("contender", "prompt")[-1].hash
    change(desk, "DELETE FROM answers WHERE contender = ?", prompt)
    found = verify(desk)[1]
    assert "All figures of prompt: 29 of the 29 answers behind them are gone." in found["unproved"]
    assert any("the figures of 2 contenders follow" in line for line in found["proved"])


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("contender", "All figures of"),
        ("split", "The scores and that the split does not leak:"),
        ("report", "That the page is the one that was written:"),
        ("decision", "The decision and all its figures:"),
    ],
)
def test_a_record_that_is_gone_is_named_and_what_it_proved(desk, kind, says):
    path, _ = record(desk, kind)
    path.unlink()
    status, found = verify(desk)
    assert (status, found["verified"], found["differences"]) == (1, False, [])
    assert any(line.startswith(says) for line in found["unproved"]), found["unproved"]
    assert any(path.name in line for line in found["unproved"]), found["unproved"]


def snapshot(desk):
    (path,) = (desk.home.inside / "snapshots").glob("*.jsonl")
    return path


def test_a_snapshot_that_was_changed_or_is_gone_is_named(desk):
    lines = snapshot(desk).read_text("utf-8").splitlines(keepends=True)
    told = json.loads(lines[0])
    lines[0] = json.dumps(told | {"completion": "another label"}) + "\n"
    snapshot(desk).write_text("".join(lines), "utf-8")
    (where,) = places(verify(desk)[1], "snapshot")
    assert where.endswith(f"do not say what their ids name: {told['id']}")
    snapshot(desk).write_text("".join(lines[1:]), "utf-8")
    (where,) = places(verify(desk)[1], "snapshot")
    assert "holds other examples than were split" in where
    snapshot(desk).unlink()
    status, found = verify(desk)
    assert (status, found["differences"]) == (1, [])
    assert any(line.startswith("Which examples were split:") for line in found["unproved"])


def test_a_page_that_is_gone_is_named(desk):
    dossier(desk).unlink()
    status, found = verify(desk)
    assert status == 1
    assert any(line.startswith("The page:") for line in found["unproved"])


def test_an_example_corrected_since_makes_the_split_and_its_scores_doubtful(desk, tmp_path):
    path = tmp_path / "more.jsonl"
    path.write_text(json.dumps({"prompt": "the lift is broken again", "completion": "shipping"}) + "\n")
    desk.add(path)
    status, found = verify(again(desk))
    assert status == 1
    assert places(found, "split")


def test_a_price_changed_since_is_said_to_have_changed(desk):
    settings = desk.home.root / "tunesmith.yaml"
    settings.write_text(settings.read_text().replace("machine_usd_per_hour: 1.0", "machine_usd_per_hour: 2.0"))
    status, found = verify(again(desk))
    assert (status, found["differences"]) == (1, [])
    assert any("costs changed since" in line for line in found["unproved"])
    assert any("the figures of 3 contenders" in line for line in found["proved"])


def test_a_workspace_without_a_dossier_says_how_to_write_one(tmp_path):
    bare = answered_desk(tmp_path)
    ended = typed("-C", bare.home.root, "report", "--verify")
    assert ended.status == 2
    assert "write one with `tunesmith report`" in ended.err
    assert Path(bare.home.root).is_dir()


def test_a_dossier_of_an_earlier_release_is_proved_as_far_as_it_went(desk):
    found = desk.home.latest("evaluation", "test", Evaluation)
    assert found is not None
    made, entry = found
    older = replace(
        made,
        contenders={name: replace(c, edge_cases={}, reliability={}) for name, c in made.contenders.items()},
        comparisons=tuple(replace(c, odds_ratio=None, least_seen=None, cohen_h=None) for c in made.comparisons),
    )
    kept = {name: value for name, value in entry.inputs.items() if name != "answers"}
    desk.home.save("evaluation", "test", older, kept)
    desk.report()
    status, told = verify(desk)
    assert (status, told["differences"]) == (1, [])
    (line,) = told["unproved"]
    assert "an earlier release evaluated, and kept no hash of the answers" in line


def test_a_page_that_another_release_wrote_is_proved_but_for_its_layout(desk):
    written, entry = desk.home.latest("report", "dossier", Report)
    desk.home.save("report", "dossier", replace(written, version="0.0.9"), entry.inputs)
    status, told = verify(desk)
    assert (status, told["differences"]) == (1, [])
    (line,) = told["unproved"]
    assert "Tunesmith 0.0.9 wrote it" in line
    assert any("still give the same recommendation" in line for line in told["proved"])


def test_a_look_after_the_dossier_leaves_it_unproved_and_is_no_difference(desk):
    assert typed("-C", desk.home.root, "errors", "--on", "test").status == 0
    status, found = verify(again(desk))
    assert (status, found["differences"]) == (1, [])
    assert len(found["unproved"]) == 1
    assert "looks at test changed since. Write it anew with `tunesmith report`" in found["unproved"][0]
    again(desk).report()
    assert verify(again(desk))[0] == 0


def test_a_guard_that_was_passed_is_told_by_the_next_dossier(desk):
    assert typed("-C", desk.home.root, "errors", "--on", "test", "--anyway").status == 0
    assert typed("-C", desk.home.root, "errors", "--on", "test", "--anyway").status == 0
    desk.home.store.write_ledger("override", {"verb": "split", "flag": "--anyway", "passed": ["a guard"]})
    assert {s.name: s.state for s in again(desk).status()}["decision"] == "stale"
    page = Path(again(desk).report().dossier).read_text("utf-8")
    assert "tunesmith split --anyway" in page.partition('<section class="why"')[2]
    assert verify(again(desk))[0] == 0


def test_a_run_after_the_dossier_leaves_it_unproved_and_is_no_difference(desk):
    finished_run(desk, "second")
    answered(desk, "tuned", lambda n: n % 2 == 0, run="second")
    report = again(desk).report(verify=True)
    assert (report.differences, report.verified) == ((), False)
    assert any("newest tuned contender" in line for line in report.unproved)


def test_documents_after_the_dossier_are_no_difference(desk, tmp_path):
    (tmp_path / "policy.md").write_text("# Returns\n\nThirty days, with the receipt.\n")
    desk.add(tmp_path / "policy.md", as_="document")
    status, found = verify(again(desk))
    assert (status, found["differences"]) == (1, [])
    assert any("documents changed since" in line for line in found["unproved"])


def test_other_settings_of_the_evaluation_are_no_difference(desk):
    write_settings(desk.home.root, bar={"metric": "macro_f1", "value": 0.5}, evaluation={"resamples": 1500})
    desk = again(desk)
    desk.evaluate(on="test")
    desk.report()
    assert verify(desk)[0] == 0
    write_settings(desk.home.root, evaluation={"resamples": 1000, "seed": 4})
    status, found = verify(again(desk))
    assert (status, found["differences"]) == (1, [])
    assert any("settings of evaluation changed since" in line for line in found["unproved"])
    assert any("`evaluation.resamples` or `evaluation.seed` changed since" in line for line in found["unproved"])
    again(desk).report()  # measured with the ones, decided with the others
    assert verify(again(desk))[1]["differences"] == []


def test_a_record_that_quoted_an_erased_row_is_unproved_and_no_difference(desk):
    row = next(e for e in desk.home.examples() if len(e.prompt.split()) > 5)
    quoting = answered(desk, "few_shot", lambda n: n % 2 == 0, instructions=f"Name the topic. {row.prompt} is one.")
    desk.evaluate(on="test")
    desk.report()
    assert f"contender/{quoting}.json" in desk.erase(row.id, by="anna").records
    found = verify(again(desk))[1]
    assert places(found, "record") == []
    assert any(f"What contender {quoting} says: what quoted an erased" in line for line in found["unproved"])
