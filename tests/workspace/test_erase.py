"""The right to erasure: of what a row said, no byte stays in the workspace; that there was a row does."""

import json

import msgspec
import pytest
from sqlalchemy import text
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.splits import Split
from tunesmith.core.store import Edit, Queued
from tunesmith.data.quotes import Quotes
from tunesmith.workspace.adapters import whole
from tunesmith.workspace.erase import WRITERS

SECRET = "Frau Oelschläger of Gänsemarkt 7 waits for parcel 0815-4711"
COMPLETION = {"topic": "shipping", "reply": "Dear Frau Oelschläger, parcel 0815-4711 is on its way to Gänsemarkt 7."}


def bytes_of(workspace):
    """Everything below .tunesmith, as it lies on the disk."""
    return {path: path.read_bytes() for path in sorted(workspace.home.inside.rglob("*")) if path.is_file()}


def where(workspace, *texts):
    """Files that hold one of the texts in any form that a file of ours could."""
    forms = {form for t in texts for form in (t, json.dumps(t)[1:-1], json.dumps(t, ensure_ascii=False)[1:-1])}
    return [str(p) for p, content in bytes_of(workspace).items() if any(f.encode() in content for f in forms)]


@pytest.fixture
def desk(tmp_path):
    """A workspace with a label and a text, walked to its dossier; one row names a person."""
    model = build_tiny(tmp_path / "tiny")
    toy = write_csv(tmp_path / "toy.csv").read_text().splitlines()[1:]
    rows = [(text, label) for text, _, label in (line.strip('"').rpartition(",") for line in toy)]
    path = tmp_path / "rows.jsonl"
    texts = [{"prompt": t, "completion": {"topic": label, "reply": f"About {t}: yes."}} for t, label in rows]
    texts[7] = {"prompt": SECRET, "completion": COMPLETION}
    path.write_text("".join(json.dumps(t) + "\n" for t in texts))
    Workspace.init(tmp_path / "desk", kind="classification")
    topic = {"name": "topic", "type": "label", "labels": ["returns", "billing", "shipping"]}
    write_settings(
        tmp_path / "desk",
        task={"name": "desk", "format": "json", "fields": [topic, {"name": "reply", "type": "text"}]},
        bar={"metric": "topic.accuracy", "value": 0.9},
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 0.2, "rank": 2},
        contenders={"constrained": False},
    )
    workspace = Workspace(tmp_path / "desk")
    workspace.add(path)
    return workspace


def row_of(workspace, text=SECRET):
    (found,) = [e for e in workspace.home.examples() if e.prompt == text]
    return found


def walk(workspace):
    workspace.check()
    workspace.split()
    workspace.baseline(["constant", "classifier"])
    workspace.evaluate(on="test")
    workspace.decide()
    workspace.report()


def quoting(workspace, row):
    """What may quote a row, wherever it may: answers to others, corrections, reasons, a dossier, a rejected line."""
    store, inside = workspace.home.store, workspace.home.inside
    store.save_answers([
        Answer(contender="c", example=row.id, text="short"),
        Answer(contender="c", example="another", text=f"As for {SECRET[:40]}"),
        Answer(contender="c", example="third", text="Dear customer, it is on its way."),
    ])  # fmt: skip
    store.reviews.add([Queued(row.id, "it names a person")])
    held = store.reviews.take("ann", row.id, 5)
    better = Example.make(row.messages, json.dumps(COMPLETION | {"topic": "returns"}), origin=row.origin)
    store.reviews.decide(
        held,
        "ann",
        "corrected",
        edit=Edit(row.id, better, f"it says {SECRET}"),
        completion=better.completion,
        note=SECRET,
    )
    store.write_ledger("override", {"verb": "x", "flag": "--y", "passed": [SECRET]})
    (inside / "dossiers" / "ff.html").write_text(f"<p>{SECRET}</p>", encoding="utf-8")
    (inside / "rejected").mkdir(exist_ok=True)
    line = {"file": "rows.jsonl", "line": 1, "problem": f"topic is {SECRET[:40]!r}", "mend": "correct it"}
    (inside / "rejected" / "aa.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(line | {"problem": "x"}) + "\n")
    (inside / "snapshots" / ".half.jsonl.tmp").write_text(json.dumps({"content": SECRET}, ensure_ascii=False))
    return better


def test_no_byte_of_what_an_erased_row_said_stays(desk):
    walk(desk)
    better = quoting(desk, row_of(desk))
    desk.check()
    assert len(where(desk, SECRET)) >= 4
    report = desk.erase(better.id, by="ann", reason="asked by the customer")
    assert where(desk, SECRET, SECRET[:40], "Oelschläger", "0815-4711", COMPLETION["reply"]) == []
    assert set(report.erased) >= {better.id}
    assert len(report.erased) == 2  # what it was before it was corrected, too
    assert (report.answers >= 2, len(report.snapshots), report.rejected) == (True, 2, 1)
    assert "ff" in report.dossiers
    assert "third" in desk.home.store.answers("c")
    assert not {"another", *report.erased} & desk.home.store.answers("c").keys()
    assert [c.reason for c in desk.home.store.changes.all("erase")] == ["asked by the customer"] * 2


def test_damaged_rows_of_the_store_do_not_hold_an_erasure_up_and_lose_what_quotes(desk):
    row, store = row_of(desk), desk.home.store
    store.save_answers([Answer(contender="c", example=n, text=t) for n, t in (("a", SECRET), ("b", "on its way"))])
    store.write_ledger("override", {"verb": "x", "flag": "--y", "passed": [SECRET]})
    with store._engine.begin() as connection:
        for table, column in (("answers", "record"), ("ledger", "detail")):
            connection.execute(text(f"UPDATE {table} SET {column} = substr({column}, 1, length({column}) - 2)"))
    assert len(where(desk, SECRET)) >= 1
    desk.erase(row.id, by="ann")
    assert where(desk, SECRET) == []
    with store._engine.begin() as connection:
        assert connection.execute(text("SELECT example FROM answers")).scalars().all() == ["b"]


def test_a_snapshot_that_held_it_opens_and_says_that_a_row_was_erased(desk):
    desk.check()
    row = row_of(desk)
    (taken,) = desk.snapshots()
    desk.erase(row.id[:10], by="ann")
    again = desk.snapshot(taken.hash)
    assert (len(again.examples), again.erased) == (59, (row.id,))
    assert desk.snapshots()[0].erased == 1
    assert desk.diff(taken.hash).erased == (row.id,)
    with pytest.raises(TunesmithError, match=r"was erased on .* by ann"):
        desk.show(row.id)
    assert [c.kind for c in desk.history(row.id).changes] == ["erase"]


def test_the_road_goes_on_after_an_erasure(desk):
    walk(desk)
    desk.erase(row_of(desk).id)
    states = {s.name: s.state for s in desk.status()}
    assert (states["checks"], states["split"]) == ("stale", "stale")
    desk.split(anyway=True)
    assert desk.verify_split().certified
    desk.baseline(["constant"])


def test_runs_that_learnt_from_it_are_named(desk):
    desk.check()
    desk.split()
    run = desk.tune(anyway=True)
    split = desk.home.latest("split", "split", Split)[0]
    kept, learnt = sorted(split.test)[0], next(i for i in split.train if desk.show(i).prompt != SECRET)
    assert desk.erase(kept).runs == ()
    assert desk.erase(learnt).runs == (run.name,)


def test_a_run_that_went_on_from_one_that_learnt_it_is_named_too(desk):
    desk.check()
    desk.split()
    first = desk.tune(anyway=True)
    train = set(desk.home.latest("split", "split", Split)[0].train)
    desk.split(seed=11)
    split = desk.home.latest("split", "split", Split)[0]
    learnt = min(train - set(split.train))
    for name, began in (("second", first.adapter_hash), ("third", "of second")):
        inputs = {"split": split.hash, "start adapter": began}
        later = msgspec.structs.replace(first, name=name, adapter_hash=f"of {name}", inputs=first.inputs | inputs)
        desk.home.save("run", name, later, later.inputs)
    assert set(desk.erase(learnt).runs) == {first.name, "second", "third"}


def test_a_whole_tuned_model_keeps_its_own_words(desk, tmp_path):
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps({"prompt": "Say it", "completion": {"topic": "billing", "reply": "im_start"}}))
    desk.add(path)
    desk.check()
    desk.split()
    run = desk.tune(anyway=True, method="full", rank=16)
    folder = desk.home.inside / run.adapter
    assert "im_start" in (folder / "tokenizer.json").read_text()
    desk.erase(row_of(desk, "Say it").id)
    assert whole(desk.home, run)


def test_an_erasure_that_was_interrupted_is_finished_when_run_again(desk, monkeypatch):
    row = row_of(desk)
    monkeypatch.setattr(type(desk.home.store), "forget_freed", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        desk.erase(row.id)
    monkeypatch.undo()
    assert desk.erase(row.id).batch is None
    assert where(desk, SECRET) == []


def test_what_others_say_too_stays_and_is_named(desk, tmp_path):
    path = tmp_path / "more.jsonl"
    twin = {"prompt": SECRET, "completion": COMPLETION | {"topic": "billing"}, "customer": "c1"}
    path.write_text(json.dumps(twin) + "\n")
    row = row_of(desk)
    desk.add(path)
    report = desk.erase(row.id)
    assert len(report.same_prompt) == 1
    assert where(desk, SECRET)
    desk.erase(*report.same_prompt)
    assert where(desk, SECRET) == []


def test_a_copy_in_other_notation_that_is_out_of_use_goes_too(desk, tmp_path):
    path = tmp_path / "more.jsonl"
    twin = {"prompt": f"  {SECRET.upper()} ", "completion": COMPLETION, "customer": "c1"}
    path.write_text(json.dumps(twin) + "\n")
    desk.add(path)
    desk.mend(["exact_duplicates"], apply=True)
    (row,) = [e for e in desk.home.examples() if e.prompt.strip().lower() == SECRET.lower()]
    desk.erase(row.id)
    assert where(desk, SECRET) == where(desk, SECRET.upper()) == []


def test_a_reason_that_quotes_the_row_is_refused(desk):
    with pytest.raises(TunesmithError, match="quotes what is to be erased"):
        desk.erase(row_of(desk).id, reason=f"she wrote: {SECRET}")
    assert row_of(desk)


def test_only_what_no_other_row_says_counts_as_a_quote():
    quotes = Quotes(["where is the parcel for Anna Meyer please", "A-4711"], ["where is the parcel for Bob please"])
    assert quotes("he asked: where is  the parcel\nfor Anna Meyer")
    assert quotes("number A-4711, twice")
    assert not quotes("where is the parcel for")
    assert not quotes("number XA-47112")


def test_every_server_that_may_have_been_asked_is_named(desk):
    walk(desk)
    where = {who: f"https://{who}.example.com/v1" for who in ("judge", "teacher")}
    write_settings(
        desk.home.root, judge={"model": "large", "base_url": where["judge"]},
        teacher={"base_url": where["teacher"]},
    )  # fmt: skip
    told = Workspace(desk.home.root).erase(row_of(desk).id).outside
    assert all(any(address in line for line in told) for address in where.values())


@pytest.mark.parametrize("verb", WRITERS)
def test_nothing_is_erased_while_a_verb_writes_what_rows_say(desk, verb):
    with desk.home.alone(verb), pytest.raises(TunesmithError, match=f"is running `tunesmith {verb}`"):
        desk.erase(row_of(desk).id, by="ann")
    assert row_of(desk)


def test_a_check_holds_the_workspace_while_it_runs(desk):
    with desk.home.alone("check"), pytest.raises(TunesmithError, match="is running `tunesmith check`"):
        desk.check()
    with desk.home.alone("report"), pytest.raises(TunesmithError, match="is running `tunesmith report`"):
        desk.report()
