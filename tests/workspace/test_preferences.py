"""From corrections and files of pairs to a model that prefers, from outside; none of it leaks, all of it is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Contender
from tunesmith.core.preferences import PreferenceSet
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.prepared import prepared

WORDS = ["river", "lamp", "piano", "cloud", "garden", "ticket", "bridge", "novel", "engine", "harbour", "tent", "clock"]
CORRECTED = 3


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with three corrected examples, split, and tuned on completions; beside it a file of pairs."""
    folder = tmp_path_factory.mktemp("template")
    model = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(
        folder / "desk",
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 1, "batch_size": 4, "rank": 2, "dtype": "float32", "dpo_learning_rate": 0.003},
        contenders={"constrained": False},
    )
    desk = Workspace(folder / "desk")
    ann = desk.review(by="ann")
    for example in [e for e in desk.home.examples() if e.completion == "billing"][:CORRECTED]:
        ann.correct(example.id, completion="returns")
    desk.check()
    desk.split(seed=1)
    desk.baseline(["constant"])
    desk.tune(anyway=True, name="first")
    return folder


@pytest.fixture
def place(template, tmp_path):
    shutil.copytree(template / "desk", tmp_path / "desk")
    write_pairs(tmp_path / "pairs.jsonl", [pair(f"my {word} {n * 7919} came broken") for n, word in enumerate(WORDS)])
    return tmp_path


def pair(prompt: str, chosen: str = "returns", rejected: str = "shipping") -> dict[str, object]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def write_pairs(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def told(place: Path, *arguments: object):
    ended = typed("-C", place / "desk", *arguments, "--json")
    assert ended.status == 0, ended.err
    return ended.json


def refused(place: Path, *arguments: object) -> str:
    ended = typed("-C", place / "desk", *arguments)
    assert ended.status == 2, ended.out
    return ended.err


def sides(place: Path) -> dict[str, list[str]]:
    """Prompts by side."""
    desk = Workspace(place / "desk")
    split, by_id = desk.home.latest("split", "split", Split)[0], {e.id: e for e in desk.home.examples()}
    return {side: [by_id[i].prompt for i in getattr(split, side)] for side in ("train", "validation", "test")}


def test_a_correction_is_a_pair_where_its_example_stands(place):
    report = told(place, "data", "preferences")
    assert report["counts"]["by_source"] == {"review": CORRECTED}
    for one in report["pairs"]:
        assert (one["chosen"], one["rejected"], one["source"], one["by"]) == ("returns", "billing", "review", "ann")
    counts = report["counts"]
    assert counts["train"] + counts["validation"] + counts["test"] + counts["set_aside"] == CORRECTED
    on_test = set(sides(place)["test"]) & {p["messages"][0]["content"] for p in report["pairs"]}
    assert counts["test"] == len(on_test)


def test_a_correction_that_is_taken_back_or_disputed_says_no_pair(place):
    desk = Workspace(place / "desk")
    ann, bob = desk.review(by="ann"), desk.review(by="bob")
    again = ann.undo().example
    assert desk.preferences().counts.by_source == {"review": CORRECTED - 1}
    ann.add(again.id, second_opinion=1.0)
    ann.correct(again.id, completion="returns")
    assert desk.preferences().counts.by_source == {"review": CORRECTED}
    bob.accept(again.id)  # the second opinion: the example was right as it was
    counts = desk.preferences().counts
    assert (counts.disputed, counts.by_source) == (1, {"review": CORRECTED - 1})


def test_of_two_corrections_in_a_row_the_last_one_is_chosen(place):
    desk = Workspace(place / "desk")
    before = desk.preferences().pairs[0]
    desk.review(by="bob").correct(before.example, completion="shipping")
    about = [p for p in desk.preferences().pairs if p.messages == before.messages]
    assert {(p.chosen, p.rejected) for p in about} == {("shipping", "billing"), ("shipping", "returns")}


def test_a_file_of_pairs_is_read_counted_and_kept_once(place):
    rows = [pair("is my lamp there"), pair("is my lamp there"), pair("x", rejected="returns"), pair("y", chosen="?")]
    write_pairs(place / "mixed.jsonl", rows)
    dry = told(place, "add", place / "mixed.jsonl", "--as", "preference", "--dry-run")
    assert (dry["read"], dry["added"], dry["duplicates"], dry["preferences"]) == (4, 1, 1, 2)
    assert [(row["line"], row["problem"].split(";")[0]) for row in dry["rejected"]] == [
        (3, "chosen and rejected say the same"),
        (4, "label '?' is not in the task"),
    ]
    assert dry["mapping"] == {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}
    assert "imported" not in told(place, "data", "preferences")["counts"]["by_source"]
    first = told(place, "add", place / "mixed.jsonl", "--as", "preference")
    again = told(place, "add", place / "mixed.jsonl", "--as", "preference")
    assert (first["added"], again["added"], again["duplicates"]) == (1, 0, 2)
    assert told(place, "data", "preferences")["counts"]["by_source"] == {"imported": 1, "review": CORRECTED}
    assert len(Workspace(place / "desk").home.examples()) == 60  # pairs become no examples
    assert "not pinned to a side" in refused(
        place, "add", place / "mixed.jsonl", "--as", "preference", "--side", "test"
    )


def test_pairs_are_written_out_as_they_are_read_and_taken_out_of_use(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    report = told(place, "data", "preferences", "--out", place / "out.jsonl")
    lines = [json.loads(line) for line in (place / "out.jsonl").read_text("utf-8").splitlines()]
    counts = report["counts"]
    assert len(lines) == counts["train"] + counts["validation"]
    assert {line["side"] for line in lines} == {"train", "validation"}
    assert lines[0].keys() >= {"prompt", "chosen", "rejected"} and lines[0]["chosen"][0]["role"] == "assistant"
    told(place, "data", "preferences", "--remove", "pairs.jsonl")
    assert told(place, "data", "preferences")["counts"]["by_source"] == {"review": CORRECTED}
    back = told(place, "add", place / "out.jsonl", "--as", "preference")
    assert back["rejected"] == []
    ids = {p["id"] for p in report["pairs"]}
    assert {p["id"] for p in told(place, "data", "preferences")["pairs"]} <= ids
    assert "was read from a file" in refused(place, "data", "preferences", "--remove", "nothing.csv")


def test_a_run_prefers_goes_on_from_its_start_and_tells_all(place):
    test, validation = sides(place)["test"][0], sides(place)["validation"][0]
    more = [
        pair(test.upper() + "!"),
        pair(validation + " "),
        pair("is it so", "returns"),
        pair("is it so", "shipping", "returns"),
    ]
    write_pairs(place / "more.jsonl", more)
    told(place, "add", place / "pairs.jsonl", place / "more.jsonl", "--as", "preference")
    run = told(place, "tune", "--objective", "dpo", "--from", "first", "--anyway", "--name", "second")
    counts = run["preferences"]
    assert counts["by_source"] == {"imported": len(WORDS) + 4, "review": CORRECTED}
    assert counts["contradicted"] == 2 and counts["test"] >= 1 and counts["validation"] >= 1
    desk = Workspace(place / "desk")
    record, entry = desk.home.latest("run", "second", Run)
    first = desk.home.latest("run", "first", Run)[0]
    assert (run["objective"], run["start"], record.start) == ("dpo", "first", "first")
    assert entry.inputs["start adapter"] == first.adapter_hash
    assert record.config["learning_rate"] == 0.003
    made = desk.home.load(desk.home.index("preferences")[-1], PreferenceSet)
    assert made.hash == entry.inputs["preferences"]
    learnt = {p.prompt for p in made.train}
    assert learnt.isdisjoint([test.upper() + "!", validation + " ", "is it so"])
    assert validation + " " in {p.prompt for p in made.validation}
    assert len(made.train) == counts["train"] and run["validation_loss"] < 0.7
    assert run["validation_reward_accuracy"] > 0.5
    steps = [json.loads(line) for line in (desk.home.inside / "runs/second/log.jsonl").read_text().splitlines()]
    assert all(0 <= line["reward_accuracy"] <= 1 for line in steps if "train_loss" in line)
    evaluated = told(place, "evaluate", "tuned", "constant")
    assert evaluated["contenders"]["tuned"]["metrics"]["accuracy"]["n"] == len(sides(place)["validation"])
    shown = told(place, "adapter", "show", "second")
    assert (shown["start"], shown["stale"]) == ("first", "")
    assert shown["preferences"]["train"] == counts["train"]
    compared = told(place, "adapter", "compare", "first", "second")
    assert not compared["comparable"] and "objective" in compared["because"]


def test_a_person_reads_what_was_learnt(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    ended = typed("-C", place / "desk", "tune", "--objective", "dpo", "--from", "first", "--anyway")
    assert ended.status == 0, ended.err
    assert (
        f"preference pairs: {len(WORDS) + CORRECTED} ({len(WORDS)} from files, {CORRECTED} from reviews)" in ended.out
    )
    assert "went on from first" in ended.out
    assert "on watched pairs: reward accuracy " in ended.out
    Workspace(place / "desk").evaluate(["tuned", "constant"])
    page = Path(Workspace(place / "desk").report().dossier).read_text(encoding="utf-8")
    assert "Preferences" in page and "went on from the run <code>first</code>" in page
    planned = typed("-C", place / "desk", "tune", "--objective", "dpo", "--from", "first", "--plan")
    assert "each pair counts as two examples above" in planned.out
    assert "preference pairs: " in planned.out


def test_the_plan_counts_what_the_run_computes(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    plan = told(place, "tune", "--objective", "dpo", "--from", "first", "--plan")
    run = told(place, "tune", "--objective", "dpo", "--from", "first", "--anyway")
    assert plan["preferences"] | {"too_long": 0} == run["preferences"]
    assert plan["plan"]["train_examples"] == 2 * run["preferences"]["train"]
    assert plan["plan"]["steps"] == run["steps"]


def test_the_time_of_the_plan_comes_of_steps_on_pairs(place, monkeypatch):
    from tunesmith.tuning.preferences import Preferring

    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    learnt, learn = [], Preferring.learn
    monkeypatch.setattr(Preferring, "learn", lambda *args: learnt.append(args[2]) or learn(*args))
    plan = told(place, "tune", "--objective", "dpo", "--plan")["plan"]
    assert len(learnt) == plan["probe_steps"] == 10
    assert plan["seconds"] > 0 and plan["examples_per_second"] > 0
    assert "seconds_because" not in plan or plan["seconds_because"] is None


def test_the_plan_and_the_run_name_the_rate_of_preferences_where_nobody_set_it(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    write_settings(place / "desk", tuning={"rank": 2, "dtype": "float32", "learning_rate": 0.001, "epochs": 1})
    dpo = ("-C", place / "desk", "tune", "--objective", "dpo")
    for ended in (typed(*dpo, "--plan"), typed(*dpo, "--anyway", "--no-forgetting")):
        assert "by the model's size: dpo_learning_rate 3e-05\nby default: batch_size 8\n" in ended.out, ended.err
        assert "number of examples" not in ended.out
    assert told(place, "tune", "--objective", "dpo", "--plan")["left_open"] == {
        "dpo_learning_rate": 3e-5,
        "batch_size": 8,
    }
    flagged = typed(*dpo, "--plan", "--learning-rate", "1e-5")
    assert "learning_rate" not in flagged.out and "by default: batch_size 8" in flagged.out


def test_a_fresh_adapter_learns_from_pairs_too(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    run = told(place, "tune", "--objective", "dpo", "--anyway", "--learning-rate", "0.004", "--dpo-beta", "0.5")
    record = Workspace(place / "desk").home.latest("run", run["run"], Run)[0]
    assert (run["start"], record.config["learning_rate"], record.config["dpo_beta"]) == (None, 0.004, 0.5)
    assert "start adapter" not in record.inputs
    assert [w["name"] for w in run["warnings"]] == ["unusual_dpo_rate"]  # far above what suits DPO


def test_the_model_is_stale_once_a_pair_it_learnt_stands_no_more(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    told(place, "tune", "--objective", "dpo", "--from", "first", "--anyway")
    desk = Workspace(place / "desk")
    run = desk.home.index("run")[-1].name
    assert prepared(desk.home, Answering(desk.home))["tuned"].settings["run"] == run
    more = write_pairs(place / "later.jsonl", [pair("a later pair about a kite")])
    told(place, "add", more, "--as", "preference")
    learnt = prepared(desk.home, Answering(desk.home))["tuned"].settings["run"]
    assert learnt == run  # what came later was not learnt
    told(place, "data", "preferences", "--remove", "pairs.jsonl")
    assert prepared(desk.home, Answering(desk.home))["tuned"].settings["run"] == "first"
    assert told(place, "adapter", "show", run)["stale"] == "preferences"
    assert next(s for s in told(place, "status")["stations"] if s["name"] == "tuning")["because"].startswith(
        "preferences"
    )


def test_settings_of_the_other_objective_do_not_make_a_model_stale(place):
    desk = Workspace(place / "desk")
    settings = {"epochs": 1, "batch_size": 4, "rank": 2, "dtype": "float32"}
    write_settings(place / "desk", tuning=settings | {"dpo_learning_rate": 0.1, "dpo_beta": 0.7})
    assert next(s for s in Workspace(place / "desk").status() if s.name == "tuning").state != "stale"
    assert desk.home.latest("contender", "tuned", Contender) is not None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--from", "first"), "add --objective dpo"),
        (("--objective", "dpo", "--from", "nobody"), "nobody"),
        (("--objective", "dpo", "--from", "first", "--rank", "8"), "has tuning.rank 2"),
        (("--objective", "dpo", "--selection", "selection"), "leave out --selection"),
        (("--objective", "dpo", "--range-test"), "no learning rate for preferences"),
    ],
)
def test_what_does_not_go_together_is_refused(place, arguments, problem):
    assert problem in refused(place, "tune", "--anyway", *arguments)


def test_a_start_on_other_weights_is_refused(place):
    settings = {"epochs": 0.2, "batch_size": 4, "rank": 2, "dtype": "float32"}
    write_settings(place / "desk", tuning=settings | {"quantize": "nf4"})
    error = refused(place, "tune", "--anyway", "--objective", "dpo", "--from", "first")
    assert "learnt with tuning.quantize none" in error and "set tuning.quantize to none" in error
    whole = {name: value for name, value in settings.items() if name != "rank"}
    write_settings(place / "desk", tuning=whole | {"method": "full", "learning_rate": 2e-5})
    told(place, "tune", "--anyway", "--no-forgetting", "--name", "whole")
    write_settings(place / "desk", tuning=settings)
    error = refused(place, "tune", "--anyway", "--objective", "dpo", "--from", "whole")
    assert "whole tuned all weights of its base model" in error and "export whole --to merged" in error


def test_without_pairs_there_is_nothing_to_prefer(place):
    desk = Workspace(place / "desk")
    for _ in range(CORRECTED):
        desk.review(by="ann").undo()
    desk.check()
    desk.split(seed=1, anyway=True)
    error = refused(place, "tune", "--anyway", "--objective", "dpo")
    assert "of 0 there are, 0 can be learnt" in error and "--as preference" in error


def test_a_start_of_another_split_may_have_learnt_what_is_measured_now(place):
    told(place, "add", place / "pairs.jsonl", "--as", "preference")
    Workspace(place / "desk").split(seed=5, anyway=True)
    error = refused(place, "tune", "--anyway", "--objective", "dpo", "--from", "first")
    assert "tuned on another split" in error


def test_erasure_takes_pairs_with_it_and_names_the_runs(place):
    quoted = "my parrot Ferdinand Albrecht is afraid of the vacuum cleaner"
    write_pairs(place / "quoted.jsonl", [pair(quoted)])
    example = {"prompt": quoted, "completion": "returns"}
    write_pairs(place / "example.jsonl", [example])
    told(place, "add", place / "pairs.jsonl", place / "quoted.jsonl", "--as", "preference")
    run = told(place, "tune", "--objective", "dpo", "--from", "first", "--anyway")
    told(place, "add", place / "example.jsonl")
    desk = Workspace(place / "desk")
    (doomed,) = [e for e in desk.home.examples() if e.prompt == quoted]
    report = told(place, "data", "erase", doomed.id)
    assert report["preferences"] == 1
    assert run["run"] in report["runs"]
    left = [p for p in (place / "desk/.tunesmith").rglob("*") if p.is_file() and b"Ferdinand" in p.read_bytes()]
    assert left == []


def test_what_raters_preferred_is_learnt(place):
    desk = Workspace(place / "desk")
    desk.baseline(["classifier"])
    told(place, "rate", "plan", "constant", "classifier", "--on", "train", "--per-example", "1")
    wanted = {e.prompt: e.completion for e in desk.home.examples()}
    ann = desk.rate("ann")
    while (lent := ann.next()).id is not None:
        right = wanted[lent.prompt[-1].content]
        ann.answer(lent.id, "left" if lent.left == right else "right" if lent.right == right else "tie")
    assert desk.home.store.ledger("rating_unblinded") == []
    run = told(place, "tune", "--objective", "dpo", "--from", "first", "--anyway")
    (entry,) = desk.home.store.ledger("rating_unblinded")  # what was learnt is said in the round, and stays so
    assert entry.detail["verb"] == "tune --objective dpo"
    rated = told(place, "data", "preferences")["counts"]["by_source"]["rating"]
    assert rated > 5
    assert run["preferences"]["by_source"]["rating"] == rated
    assert run["preferences"]["train"] > rated / 2
