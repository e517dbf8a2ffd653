"""`errors` and `rounds` from outside: what nobody can learn is found, wrong labels are doubted, test stays shut."""

import csv
import json
import random
import shutil
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, says
from tests.workspace.answered import answered, answered_desk, finished_run
from tests.workspace.planted import LEGACY, MAPPING, WORDS, label_of, planted, sentence, wrong_labels
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.core.failures import ErrorReport
from tunesmith.core.splits import Split
from tunesmith.data.readers.formulas import GUARD
from tunesmith.workspace.errors import current_errors, write_queue

SLOPPY = "Answer sloppily."
UNSEEN = "Failures have not been looked at"


def reader(body, _number):
    """A model that reads: it says what a message's words say; told to be sloppy, it takes all invoices for parcels."""
    *_, message = body["messages"]
    label = label_of(message["content"])
    sloppy = any(SLOPPY in m["content"] for m in body["messages"])
    return says("shipping" if sloppy and label == "billing" else label)


@pytest.fixture(scope="module")
def server():
    with FakeServer(reader) as there:
        yield there


@pytest.fixture(scope="module")
def measured(server, tmp_path_factory):
    """The planted workspace, its contenders measured on validation and on test."""
    workspace = planted(tmp_path_factory.mktemp("planted"))
    write_settings(workspace.home.root, model={"base": "m", "base_url": server.url, "embedder": "ngrams"})
    workspace = Workspace(workspace.home.root)
    workspace.baseline(["constant", "classifier", "prompt"])
    workspace.evaluate(on="test")
    return workspace


@pytest.fixture
def desk(measured, tmp_path):
    """A copy that a test may change."""
    return Workspace(shutil.copytree(measured.home.root, tmp_path / "desk"))


def split_of(workspace):
    return workspace.home.latest("split", "split", Split)[0]


def test_a_proposal_is_no_formula_where_a_spreadsheet_opens_the_queue(measured, tmp_path):
    report = measured.errors("classifier")
    assert report.queue
    first = replace(report.queue[0], by="category", value="=HYPERLINK(1)")
    for queue, value, more in (((first,), "'=HYPERLINK(1)", {GUARD: "value"}), ((), None, {})):
        write_queue(tmp_path / "queue.csv", replace(report, queue=queue))
        rows = list(csv.DictReader((tmp_path / "queue.csv").read_text("utf-8").splitlines()))
        assert [row["value"] for row in rows] == [value] * len(queue)
        assert all(more.items() <= row.items() for row in rows)
    assert (tmp_path / "queue.csv").read_text().startswith("rank,do,by,value,")


def slices_of(report):
    return {(s["by"], s["value"]): s for s in report["slices"]}


def test_the_file_that_nobody_can_learn_is_found_and_a_coin_is_not(measured, tmp_path):
    ended = typed("-C", measured.home.root, "errors", "classifier", "--queue", tmp_path / "queue.csv", "--json")
    assert ended.status == 0, ended.err
    report = ended.json
    assert {"side", "contender", "metric", "slices", "kinds", "clusters", "queue", "doubtful"} <= report.keys()
    assert (report["contender"], report["side"], report["versus"]) == ("classifier", "validation", None)
    assert report["examples"] == len(split_of(measured).validation)
    slices = slices_of(report)
    assert slices["file", "legacy.csv"]["found"]
    assert slices["file", "legacy.csv"]["difference"] < -0.4
    assert not any(s["found"] for (by, _), s in slices.items() if by in ("category", "prompt length"))
    assert all((s["p_value"] is None) == (s["untold"] is not None) for s in slices.values())
    named = set(report["clusters"][0]["name"].split(", "))
    assert named <= set(LEGACY.split())
    assert set(report["clusters"][0]["examples"]) <= set(split_of(measured).validation)
    first = report["queue"][0]
    assert first["found"]
    assert first["do"] == "gather"
    assert first["count"] >= 10
    with (tmp_path / "queue.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(r["value"], int(r["count"])) for r in rows] == [(g["value"], g["count"]) for g in report["queue"]]


def test_the_terminal_tells_slices_kinds_clusters_and_what_to_add(measured):
    out = typed("-C", measured.home.root, "errors", "classifier", "--against", "prompt").out
    assert "classifier on " in out
    assert "legacy.csv" in out
    assert "worse" in out
    assert "wrong label topic: " in out
    assert "against prompt: won " in out
    assert "what to add to the data" in out
    assert "nothing can be told of" in out


def test_won_lost_and_changed_are_told_by_id_and_add_up(measured):
    report = typed("-C", measured.home.root, "errors", "prompt", "--against", "constant", "--json").json
    versus = report["versus"]
    assert sum(versus["counts"].values()) == report["examples"]
    assert len(versus["won"]) == versus["counts"]["won"] == versus["overall"]["wins"]
    assert len(versus["lost"]) == versus["counts"]["lost"] == versus["overall"]["losses"]
    gained = {(s["by"], s["value"]) for s in versus["slices"] if s["found"] and s["compared"]["difference"] > 0}
    assert len([value for by, value in gained if by == "label topic"]) == 2  # the constant one knows the third


def test_a_look_at_a_few_rows_takes_no_place_of_the_whole_side(desk):
    before = desk.errors("classifier")
    desk.evaluate(["classifier"], sample=5)
    assert desk.errors("classifier").examples == before.examples > 5


def test_wrong_labels_are_doubted_and_go_to_review(desk):
    planted_wrong = wrong_labels(desk) & set(split_of(desk).validation)
    assert planted_wrong
    report = typed("-C", desk.home.root, "errors", "--review", "--json").json
    doubted = {d["example"] for d in report["doubtful"]}
    assert planted_wrong <= doubted
    assert report["queued"] == len(doubted)
    again = typed("-C", desk.home.root, "errors", report["contender"], "--on", report["side"], "--review").out
    assert f"queued for review: 0; queued or decided before: {len(doubted)}" in again
    others = [e for e in desk.home.examples() if e.id in doubted - planted_wrong]
    assert all(set(e.prompt.split()) & set(LEGACY.split()) for e in others)  # of those any label is a guess
    lent = typed("-C", desk.home.root, "review", "next", "--by", "ann", "--json").json
    assert lent["review"]["why"] == "its label is doubted"
    assert lent["review"]["example"] in doubted


def test_on_test_no_single_example_is_told_and_the_look_is_written_down(desk):
    before = len(desk.home.store.ledger("test_look"))
    ended = typed("-C", desk.home.root, "errors", "classifier", "--against", "prompt", "--on", "test", "--json")
    assert ended.status == 0
    report = ended.json
    assert not any(i[:12] in ended.out for i in split_of(desk).test)
    assert (report["clusters"], report["queue"], report["doubtful"]) == ([], [], [])
    assert slices_of(report)["file", "legacy.csv"]["found"]
    assert report["kinds"][0]["count"] > 0
    assert report["versus"]["counts"]["won"] >= 0
    assert not report["examples_shown"]
    assert len(desk.home.store.ledger("test_look")) == before + 1
    assert desk.home.store.ledger("override") == []
    refused = typed("-C", desk.home.root, "errors", "--on", "test", "--queue", desk.home.root / "q.csv")
    assert (refused.status, (desk.home.root / "q.csv").exists()) == (2, False)
    assert "--anyway" in refused.err
    passed = typed("-C", desk.home.root, "errors", "--on", "test", "--anyway", "--json").json
    assert passed["clusters"]
    (entry,) = desk.home.store.ledger("override")
    assert (entry.detail["verb"], entry.detail["flag"]) == ("errors --on test", "--anyway")


def test_what_was_not_measured_is_refused_with_what_to_type(desk, tmp_path):
    for arguments in (["clasifier"], ["classifier", "--against", "classifier"]):
        ended = typed("-C", desk.home.root, "errors", *arguments)
        assert ended.status == 2
        assert "classifier" in ended.err
    desk.split(seed=5, anyway=True)
    ended = typed("-C", desk.home.root, "errors")
    assert ended.status == 2
    assert "tunesmith evaluate --on validation" in ended.err
    (tmp_path / "new").mkdir()
    fresh = typed("-C", planted(tmp_path / "new").home.root, "rounds")
    assert (fresh.status, "tunesmith evaluate --on validation" in fresh.err) == (2, True)


def test_with_one_class_alone_nothing_is_found_and_nothing_breaks(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("prompt,completion\n" + "".join(f"message {n} of {n * 7919},ham\n" for n in range(60)))
    Workspace.init(tmp_path / "desk", kind="classification")
    topic = {"name": "topic", "type": "label", "labels": ["ham", "spam"]}
    task = {"name": "mail", "format": "plain", "fields": [topic]}
    model = {"base": "nowhere", "embedder": "ngrams"}
    write_settings(tmp_path / "desk", task=task, model=model, split={"validation": 0.3})
    workspace = Workspace(tmp_path / "desk")
    workspace.add(path)
    workspace.split()
    workspace.baseline(["constant"])
    teach = ("-C", workspace.home.root, "synthesize", "--teacher", "t", "--count", "1", "--errors")
    assert "Failures on validation were not looked at" in typed(*teach).err
    ended = typed("-C", workspace.home.root, "errors", "--json")
    assert ended.status == 0
    report = ended.json
    assert (report["failures"], report["kinds"], report["clusters"], report["queue"]) == (0, [], [], [])
    assert not any(s["found"] for s in report["slices"])
    assert "proposes nothing to gather" in typed(*teach).err
    assert "nothing fails" in typed("-C", workspace.home.root, "errors").out


def test_prompts_of_any_script_and_length_are_looked_at(desk):
    nasty = [
        "long " * 20_000,
        "החזר כספי בבקשה על הנעליים",
        "\u200bre\u200bfund\u200b",
        "؟؟؟",
        "返品したい" * 40,
        "\U0001f642" * 500,
        "\u202egnol\u202c\x1b[31m red",
    ]
    path = desk.home.root / "nasty.jsonl"
    draw = random.Random(4)
    rows = [(text, "billing") for text in nasty] + [(sentence(WORDS["shipping"], draw), "shipping") for _ in range(9)]
    path.write_text("".join(json.dumps({"prompt": text, "completion": label}) + "\n" for text, label in rows))
    desk.add(path, side="validation")
    desk.split(anyway=True)
    desk.baseline(["constant", "classifier"])
    ended = typed("-C", desk.home.root, "errors", "classifier", "--against", "constant", "--json")
    assert ended.status == 0, ended.err
    report = ended.json
    assert report["examples"] == len(split_of(desk).validation) == len(rows)
    assert report["same_for_all"]["file"] == "nasty.jsonl"
    assert slices_of(report)["label topic", "billing"]["n"] == len(nasty)
    assert all(cluster["name"] for cluster in report["clusters"])
    shown = typed("-C", desk.home.root, "errors", "classifier")
    assert shown.status == 0
    assert not [c for c in shown.out if c in "\u200b\u202e\u202c\x1b"]


def test_what_was_named_by_words_of_prompts_goes_when_one_is_erased(desk):
    report = desk.errors("classifier")
    name = report.clusters[0].name
    where = desk.home.inside / "errors"
    assert any(json.dumps(name)[1:-1] in f.read_text() for f in where.glob("*.json"))
    desk.erase(report.clusters[0].examples[0], by="ann")
    kept = desk.home.latest("errors", "validation", ErrorReport)[0]
    assert (kept.clusters, kept.queue) == ((), ())
    assert kept.notes[-1].startswith("what was named by words of prompts was taken out")
    assert not any(s.by == "cluster" for s in kept.slices)
    assert not any(json.dumps(name)[1:-1] in f.read_text() for f in where.glob("*.json"))


def test_a_teacher_is_asked_for_what_the_errors_propose_and_shown_train_rows_only(desk):
    def teach(body, number):
        return says(json.dumps({"prompt": f"microfilm number {number * 7919} is lost", "completion": "returns"}))

    with FakeServer(teach) as teacher:
        write_settings(desk.home.root, teacher={"base_url": teacher.url})
        workspace = Workspace(desk.home.root)
        arguments = ("-C", desk.home.root, "synthesize", "--teacher", "t", "--count", "6", "--errors", "--json")
        workspace.errors("classifier")
        ended = typed(*arguments)
        shown = ["\n".join(m["content"] for m in body["messages"]) for body in teacher.bodies]
    assert ended.status == 0, ended.err
    split = split_of(desk)
    held_out = {e.prompt for e in desk.home.examples() if e.id in {*split.validation, *split.test}}
    assert not any(prompt in text for prompt in held_out for text in shown)
    legacy = sum(any(word in text for word in LEGACY.split()) for text in shown)
    assert legacy >= len(shown) / 2  # the train side has one legacy row in four


def test_failures_of_a_model_that_was_tuned_anew_are_told_and_bought_for_no_more(tmp_path):
    desk = answered_desk(tmp_path)
    for name, right in (("first", lambda n: n % 2 == 0), ("second", lambda n: n % 3 == 0)):
        finished_run(desk, name)
        answered(desk, "tuned", right, run=name)
        desk.evaluate()
        if name == "first":
            desk.errors("tuned")
            assert current_errors(desk.home, "validation").contender == "tuned"
            assert UNSEEN not in page(desk)
        time.sleep(1.1)  # the index counts in seconds
    assert current_errors(desk.home, "validation") is None
    assert UNSEEN in page(desk)
    ended = typed("-C", desk.home.root, "synthesize", "--teacher", "t", "--count", "6", "--errors")
    assert (ended.status, "then look at them with `tunesmith errors`" in ended.err) == (2, True)
    desk.errors("tuned")
    assert UNSEEN not in page(desk)
    assert desk.report(verify=True).problems == ()


def page(desk):
    desk.decide()
    return Path(desk.report().dossier).read_text(encoding="utf-8")


def test_rounds_tell_what_changed_and_what_it_bought(desk):
    task = {**desk.home.settings.model_dump(mode="json")["task"], "instructions": SLOPPY}
    write_settings(desk.home.root, task=task)
    Workspace(desk.home.root).baseline(["constant", "classifier", "prompt"])
    Workspace(desk.home.root).evaluate()  # the same again is no round
    ended = typed("-C", desk.home.root, "rounds", "--json")
    assert ended.status == 0, ended.err
    first, second = ended.json["rounds"]
    assert (first["number"], first["common"], first["changed"], first["made_anew"]) == (1, None, [], [])
    assert first["cost"]["answers"] == 3 * first["examples"]
    assert second["times"] == 2
    assert second["changed"] == ["the task or its instructions changed"]
    (prompt,) = [c for c in second["made_anew"] if c["name"] == "prompt"]
    assert "instructions" in prompt["changed"]
    assert prompt["bought"]["difference"] < 0
    assert prompt["bought"]["high"] < 0
    assert prompt["bought"]["n"] == second["common"] == first["examples"]
    assert prompt["bought"]["losses"] > 10
    assert second["bought"] is not None
    assert second["leader"] in ("classifier", "prompt")
    out = typed("-C", desk.home.root, "rounds").out
    assert "prompt made anew (instructions" in out
    assert "took: " in out


def test_rounds_compare_the_rows_that_are_common_and_nothing_else(desk):
    before = split_of(desk)
    row = before.validation[0]
    review = desk.review("ann")
    old = next(e for e in desk.home.examples() if e.id == row)
    review.correct(row, completion="billing" if old.completion != "billing" else "shipping")
    desk.extend_split()
    desk.baseline(["constant", "classifier", "prompt"])
    made = desk.rounds()
    second = made.rounds[-1]
    assert any("examples: 1 changed" in text for text in second.changed)
    assert second.common == len(before.validation) - 1
    assert second.cost.reviews == 1
    desk.split(seed=3, anyway=True)
    desk.baseline(["constant"])
    third = desk.rounds().rounds[-1]
    assert any(text.startswith("validation: ") for text in third.changed)
    assert third.common < second.common
    assert "no longer measured: classifier, prompt" in third.changed


def test_another_test_set_cannot_be_compared(desk):
    draw = random.Random(3)
    path = desk.home.root / "fresh.csv"
    rows = [f"{sentence(words, draw)},{label},heads" for label, words in WORDS.items() for _ in range(8)]
    path.write_text("\n".join(["text,topic,coin", *rows]) + "\n")
    desk.add(path, mapping=MAPPING, side="test")
    desk.split(anyway=True)
    desk.baseline(["constant", "classifier", "prompt"])
    desk.evaluate(on="test")
    last = desk.rounds(on="test").rounds[-1]
    assert last.common == 0
    assert last.untold == "measured on another test set: the two cannot be compared"
    assert last.bought is None
    assert any(text.startswith("test: ") for text in last.changed)


def test_the_dossier_tells_failures_and_rounds_and_stays_proved(desk):
    desk.errors("classifier")
    written = desk.report()
    html = Path(written.dossier).read_text(encoding="utf-8")
    assert "Where it fails" in html
    assert "legacy.csv" in html
    assert "What to add to the data" in html
    assert "round 1: measured classifier, constant, prompt" in html
    assert not any(i in html.partition("Where it fails")[2].partition("</section>")[0] for i in split_of(desk).test)
    time.sleep(1.1)  # the index counts in seconds
    desk.errors("prompt")
    desk.evaluate(["constant"])
    assert desk.report(verify=True).problems == ()


def test_an_unlearnt_contender_that_fails_always_is_told(measured):
    report = measured.errors("constant")
    assert report.failures > report.examples / 3
    with pytest.raises(TunesmithError, match="To mend it"):
        measured.errors("nobody")
