"""Prompts longer than the model's context, by the command line: a stated policy, and both counts shown."""

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, refusal, says
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.contenders import open_contender
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender
from tunesmith.workspace.answering import Answering

PAGES = "clause of the contract and its annex. " * 100  # some 3,800 characters; the tiny model takes 512 tokens


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The toy task and two long messages of each label on the validation side."""
    folder = tmp_path_factory.mktemp("template")
    model = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(folder / "desk", model={"base": str(model), "embedder": "ngrams"}, contenders={"constrained": False})
    long = folder / "long.csv"
    long.write_text(f"text,topic\nwhere is my parcel? {PAGES},shipping\nthe invoice is wrong: {PAGES} please,billing\n")
    short = folder / "short.csv"
    short.write_text("text,topic\na brush is missing,shipping\nvat was left out,billing\nsend it back again,returns\n")
    for file in (long, short):
        assert typed("-C", folder / "desk", "add", file, "--side", "validation").status == 0
    assert typed("-C", folder / "desk", "split").status == 0
    return folder / "desk"


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


def counts(scored):
    return scored["failed"], scored["too_long"], scored["truncated"]


def test_a_prompt_that_does_not_fit_is_refused_and_counted(desk):
    ended = typed("-C", desk, "baseline", "constant", "prompt", "few_shot", "--json")
    assert ended.status == 0, ended.err
    found = ended.json["contenders"]
    assert counts(found["constant"]) == (0, 0, 0)
    for name in ("prompt", "few_shot"):
        assert counts(found[name]) == (2, 2, 0)
        assert found[name]["metrics"]["accuracy"]["n"] == 3
        assert found[name]["metrics"]["accuracy"]["skipped"] == 2
    table = typed("-C", desk, "evaluate").out
    assert "prompts too long for the model, counted as failed: prompt 2, few_shot 2" in table
    assert "cut to fit" not in table


def test_cut_prompts_are_answered_counted_and_another_contender(desk):
    refusing = typed("-C", desk, "baseline", "prompt", "--json").json["contenders"]["prompt"]
    write_settings(desk, contenders={"constrained": False, "too_long": "cut"})
    ended = typed("-C", desk, "baseline", "prompt", "--json")
    assert ended.status == 0, ended.err
    cutting = ended.json["contenders"]["prompt"]
    assert counts(cutting) == (0, 0, 2)
    assert cutting["metrics"]["accuracy"]["n"] == 5
    assert cutting["contender"] != refusing["contender"]
    assert "prompts that were cut to fit: prompt 2" in typed("-C", desk, "evaluate").out
    record = json.loads((desk / ".tunesmith" / "contender" / f"{cutting['contender']}.json").read_text())
    assert record["too_long"] == "cut"


def test_an_answer_names_the_messages_that_were_left_of_a_cut_prompt(desk):
    write_settings(desk, contenders={"constrained": False, "too_long": "cut"})
    assert typed("-C", desk, "baseline", "prompt").status == 0
    home = Workspace(desk).home
    record = home.latest("contender", "prompt", Contender)[0]
    ready, examples = open_contender(record, Answering(home).context()), {e.id: e for e in home.examples()}
    answers = home.store.answers(record.hash).values()
    assert sum(a.truncated > 0 for a in answers) == 2
    for answer in answers:
        uncut = digest(ready.prepare(examples[answer.example]).messages)
        assert (answer.request == uncut) == (answer.truncated == 0)


def test_the_dossier_tells_the_policy_and_the_counts(desk):
    write_settings(desk, bar={"metric": "accuracy", "value": 0.8})
    typed("-C", desk, "baseline", "constant", "prompt")
    assert typed("-C", desk, "decide").status in (0, 1)
    path = Path(typed("-C", desk, "report", "--json").json["dossier"])
    said = " ".join(path.read_text(encoding="utf-8").split())
    assert "<dt>of them too long</dt><dd>2</dd>" in said
    assert "prompts too long for the model refused" in said


def test_a_server_s_refusal_for_length_counts_alike_and_cut_is_refused(desk):
    def answer(body, number):
        long = sum(len(m["content"]) for m in body["messages"]) > 2000
        error = "This model's maximum context length is 512 tokens."
        return refusal(400, error, code="context_length_exceeded") if long else says("shipping")

    with FakeServer(answer) as server:
        write_settings(desk, model={"base": "m", "base_url": server.url, "embedder": "ngrams"})
        found = typed("-C", desk, "baseline", "prompt", "--json").json["contenders"]["prompt"]
        assert counts(found) == (2, 2, 0)
        write_settings(desk, contenders={"constrained": False, "too_long": "cut"})
        ended = typed("-C", desk, "baseline", "prompt")
    assert ended.status == 2
    assert "tokens cannot be counted here" in ended.err
    assert ended.err.count("To mend it:") == 1


def test_an_unknown_policy_is_refused(desk):
    write_settings(desk, contenders={"too_long": "chunk"})
    ended = typed("-C", desk, "baseline", "prompt")
    assert ended.status == 2
    assert "too_long" in ended.err and "'chunk'" in ended.err


def test_a_long_document_is_quoted_in_passages(desk, tmp_path):
    handbook = tmp_path / "handbook.md"
    handbook.write_text("# Handbook\n\n" + "\n\n".join(f"Section {n}. {PAGES}" for n in range(8)))
    assert typed("-C", desk, "add", handbook, "--as", "document").status == 0
    write_settings(desk, contenders={"constrained": False, "retrieval": {"examples": 0, "chunk_words": 40}})
    ended = typed("-C", desk, "baseline", "retrieval", "--json")
    assert ended.status == 0, ended.err
    found = ended.json["contenders"]["retrieval"]
    assert counts(found) == (2, 2, 0)  # the two long messages; the handbook alone would have filled the context
    record = json.loads((desk / ".tunesmith" / "contender" / f"{found['contender']}.json").read_text())
    assert record["settings"]["chunk_words"] == 40


def test_check_names_what_the_model_takes_and_not_what_is_set(desk):
    checked = typed("-C", desk, "check", "--only", "truncated", "--json")
    assert (checked.status, checked.json["ready"]) == (1, False)
    found = [finding for finding in checked.json["findings"] if finding["check"] == "truncated"]
    assert len(found) == 2  # the long ones; tuning.max_length is 2,048
    assert all("the model takes 512" in finding["problem"] for finding in found)
