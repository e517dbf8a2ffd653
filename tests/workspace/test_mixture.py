"""General-purpose rows are learnt beside the train side, and are counted apart from it everywhere."""

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.contenders import open_contender
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.prepared import prepared

SHARE = 0.25


def chat(prompt, completion="that is well said of it"):
    head = {"role": "system", "content": "be helpful"}
    return {"messages": [head, {"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def measured_prompts(workspace):
    split = workspace.home.latest("split", "split", Split)[0]
    sides = {*split.validation, *split.test}
    return [e.prompt for e in workspace.home.examples() if e.id in sides]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A split workspace beside a file of general rows: twenty good ones, one bad, one repeated, two that would leak."""
    folder = tmp_path_factory.mktemp("template")
    model = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(
        folder / "desk",
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 1, "batch_size": 8, "rank": 2, "dtype": "float32"},
        contenders={"constrained": False},
    )
    workspace = Workspace(folder / "desk")
    workspace.check()
    workspace.split()
    words = ["river", "lamp", "piano", "cloud", "garden", "ticket", "bridge", "novel", "engine", "harbour"]
    good = [chat(f"write {n * 7} lines on a {word} {'and the sea' * (n % 2)}") for n in (3, 8) for word in words]
    leaks = [chat(prompt.upper() + "!") for prompt in measured_prompts(workspace)[:2]]
    bad = {"messages": [{"role": "user", "content": "unanswered"}]}
    write_rows(folder / "general.jsonl", [*good, bad, good[0], *leaks])
    return folder


@pytest.fixture
def place(template, tmp_path):
    shutil.copytree(template / "desk", tmp_path / "desk")
    shutil.copy(template / "general.jsonl", tmp_path)
    return tmp_path


def told(place, *arguments, cwd=None):
    ended = typed("-C", place / "desk", *arguments, "--json", cwd=cwd)
    assert ended.status == 0, ended.err
    return ended.json


def test_a_run_learns_general_rows_and_counts_them_apart(place):
    mixed = ("--mixture", place / "general.jsonl", "--mixture-share", SHARE)
    plan = told(place, "tune", "--plan", *mixed)["plan"]
    run = told(place, "tune", "--anyway", *mixed)
    train = len(Workspace(place / "desk").home.latest("split", "split", Split)[0].train)
    general = round(train / 3)  # a quarter of all
    counts = run["mixture"]
    assert plan["mixture"] == counts
    assert (counts["examples"], counts["all_examples"]) == (general, general + train)
    assert (counts["read"], counts["rejected"], counts["duplicates"], counts["near"]) == (24, 1, 1, 2)
    assert (counts["held_out"], counts["rows"]) == (2, min(general, 18))
    assert plan["train_examples"] == train
    assert plan["steps"] == run["steps"] == -(-(general + train) // 8)
    assert plan["general_tokens_per_epoch"] > 0
    assert run["general_validation_loss"] > 0 < run["start_general_validation_loss"]


def test_with_another_test_set_a_model_of_a_mixture_is_stale(place):
    workspace = Workspace(place / "desk")
    for side in ("validation", "test"):
        rows = [{"prompt": f"{side} {word} please", "completion": "returns"} for word in ("one", "two", "three")]
        workspace.add(write_rows(place / f"{side}.jsonl", rows), side=side)
    workspace.check()
    workspace.split(anyway=True)
    told(place, "tune", "--anyway", "--mixture", "general.jsonl", "--mixture-share", SHARE, cwd=place)
    tuned = workspace.home.latest("contender", "tuned", Contender)[0]
    before = Answering(workspace.home)
    assert tuned.inputs["split"] == before.split.hash
    assert "tuned" in prepared(workspace.home, before)
    more = [{"prompt": "a test of its own", "completion": "returns"}]
    workspace.add(write_rows(place / "more.jsonl", more), side="test")
    workspace.split(anyway=True)
    after = Answering(workspace.home)
    assert after.known.hash == before.known.hash
    assert "tuned" not in prepared(workspace.home, after)
    with pytest.raises(TunesmithError, match="made from another split"):
        open_contender(tuned, after.context())


def test_nothing_of_a_mixture_becomes_an_example_or_is_shown(place):
    desk = Workspace(place / "desk")
    examples, split = desk.home.examples(), Answering(desk.home).split.hash
    write_settings(
        place / "desk",
        tuning={"epochs": 0.3, "rank": 2, "retrieved_examples": 2, "mixture": {"path": "../general.jsonl"}},
    )
    desk = Workspace(place / "desk")
    run = desk.tune(anyway=True)
    assert run.mixture.examples > 0
    assert desk.home.examples() == examples
    assert Answering(desk.home).split.hash == split
    assert all(row.messages[0].content != "be helpful" for row in Answering(desk.home).known.train)
    assert run.inputs["train side"] == Answering(desk.home).known.hash


def test_a_person_is_told_what_was_mixed_in_and_what_was_not(place):
    ended = typed("-C", "desk", "tune", "--anyway", "--mixture", "general.jsonl", "--mixture-share", SHARE, cwd=place)
    assert ended.status == 0, ended.err
    assert "general.jsonl (chat): prompt from 'messages'" in ended.err
    assert "general.jsonl:21: the last message is from user" in ended.err
    assert "To mend it: end the row with the answer" in ended.err
    assert "general examples among" in ended.out
    assert (
        "general rows: 24 read, 2 held out; left out: 1 cannot be used, 1 repeat another, "
        "2 near a validation or test prompt" in ended.out
    )
    assert "general validation loss: " in ended.out
    status = typed("-C", "desk", "status", cwd=place)
    assert "; general validation loss from " in status.out
    planned = typed("-C", "desk", "tune", "--plan", "--mixture", "general.jsonl", cwd=place)
    assert "general rows: 24 read" in planned.out
    assert "general tokens per epoch: " in planned.out


def test_settings_and_flags_name_the_same_run(place):
    write_settings(
        place / "desk",
        tuning={"epochs": 0.3, "rank": 2, "mixture": {"path": "../general.jsonl", "share": SHARE}},
    )
    by_settings = told(place, "tune", "--anyway")
    by_flags = told(place, "tune", "--anyway", "--mixture", "general.jsonl", "--mixture-share", SHARE, cwd=place)
    more = told(place, "tune", "--anyway", "--mixture-share", "0.5")
    assert by_settings["run"] == by_flags["run"] != more["run"]
    assert more["mixture"]["examples"] > by_settings["mixture"]["examples"]
    record, entry = Workspace(place / "desk").home.latest("run", more["run"], Run)
    assert record.config["mixture"] == {"path": "../general.jsonl", "share": 0.5}
    assert entry.inputs["mixture"] == record.inputs["mixture"]


def test_another_content_is_another_run(place):
    mixed = ("--mixture", place / "general.jsonl", "--epochs", "0.3")
    one = told(place, "tune", "--anyway", *mixed)
    rows = (place / "general.jsonl").read_text("utf-8").replace("well said", "badly said")
    (place / "general.jsonl").write_text(rows, "utf-8")
    assert told(place, "tune", "--anyway", *mixed)["run"] != one["run"]


def test_without_a_mixture_a_run_says_nothing_of_one(place):
    desk = Workspace(place / "desk")
    run = desk.tune(anyway=True, epochs=0.3)
    assert "mixture" not in run.inputs
    assert "mixture" not in run.config
    kept = json.loads(next((desk.home.inside / "run").glob("*.json")).read_bytes())
    assert not {"mixture", "general_validation_loss", "start_general_validation_loss"} & kept.keys()
    shown = told(place, "tune", "--anyway", "--epochs", "0.3")
    assert (shown["run"], shown["mixture"], shown["general_validation_loss"]) == (run.name, None, None)


def test_a_selection_decides_how_many_general_rows_its_share_is(place):
    desk = Workspace(place / "desk")
    desk.select(9)
    run = desk.tune(anyway=True, selection="selection", mixture={"path": "../general.jsonl", "share": 0.5})
    assert (run.mixture.examples, run.mixture.all_examples) == (9, 18)
    assert {"selection", "mixture"} <= run.inputs.keys()


def test_the_tuned_contender_and_the_dossier_tell_of_it(place):
    desk = Workspace(place / "desk")
    desk.baseline(["constant"])
    run = desk.tune(anyway=True, mixture={"path": "../general.jsonl", "share": SHARE})
    assert set(desk.home.latest("contender", "tuned", Contender)[0].settings) == {"run"}
    desk.evaluate()
    page = Path(desk.report().dossier).read_text(encoding="utf-8")
    assert "General examples mixed in" in page
    assert f"<dt>left out: near a validation or test prompt</dt><dd>{run.mixture.near}</dd>" in page
    assert f"{run.general_validation_loss:.3f}" in page
    assert f"{run.start_general_validation_loss:.3f}" in page
    assert run.inputs["mixture"] in page
    assert desk.report(verify=True).verified


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There is no file"),
        ("", "it is empty"),
        ('{"messages": [{"role": "user", "content": "hm"}]}\n', "too few general rows"),
        ('{"left": "a", "right": "b"}\n', "no column is known to hold the prompt"),
        ("\0\1\2" * 50, "is not text"),
    ],
    ids=["missing", "empty", "nothing usable", "unknown columns", "binary"],
)
def test_a_file_that_cannot_be_used_ends_with_one_message(place, content, says):
    path = place / "wrong.jsonl"
    if content is not None:
        path.write_text(content, "utf-8")
    for verb in (("tune", "--plan"), ("tune", "--anyway")):
        ended = typed("-C", place / "desk", *verb, "--mixture", path)
        assert ended.status == 2, ended.err
        assert "Traceback" not in ended.err
        assert "The mixture cannot be used: " in ended.err
        assert says in ended.err
        advice = ended.err.rpartition("To mend it:")[2]
        assert advice.strip()
        assert "--map" not in advice
    assert not (place / "desk" / ".tunesmith" / "runs").exists()


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--mixture-share", "0.2"), r"tunesmith tune --mixture FILE"),
        (("--mixture", "general.jsonl", "--mixture-share", "1"), "mixture.share"),
        (("--mixture", "general.jsonl", "--mixture-share", "0"), "mixture.share"),
        (("--mixture", "general.jsonl", "--mixture-share", "nan"), "mixture.share"),
    ],
)
def test_a_share_without_a_file_or_out_of_its_range_is_refused(place, flags, says):
    ended = typed("-C", "desk", "tune", "--plan", *flags, cwd=place)
    assert ended.status == 2
    assert says in ended.err


def test_many_bad_rows_are_listed_in_a_file(place):
    bad = [{"messages": [{"role": "user", "content": f"unanswered {n}"}]} for n in range(14)]
    good = [chat(f"count to {n} in {n + 3} ways") for n in range(4)]
    path = write_rows(place / "mostly_bad.jsonl", [*bad, *good])
    ended = typed("-C", place / "desk", "tune", "--plan", "--mixture", path)
    assert ended.status == 0, ended.err
    line = next(line for line in ended.err.splitlines() if line.startswith("... and 4 more: "))
    assert len(Path(line.partition(": ")[2]).read_text("utf-8").splitlines()) == 14
