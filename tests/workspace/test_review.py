"""People review: what they may write, what holds for synthetic rows, and many of them at once."""

import json
import multiprocessing
import os

import pytest
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.splits import Split
from tunesmith.core.store import Edit
from tunesmith.workspace.decide import overrides

FIELDS = [
    {"name": "topic", "type": "label", "labels": ["returns", "billing", "shipping"]},
    {"name": "order", "type": "value", "pattern": "[0-9]{5}", "nullable": True},
]


@pytest.fixture
def desk(tmp_path):
    Workspace.init(tmp_path / "desk", kind="classification")
    write_settings(
        tmp_path / "desk",
        task={"name": "desk", "format": "json", "fields": FIELDS},
        bar={"metric": "topic.accuracy", "value": 0.9},
        model={"embedder": "ngrams"},
    )
    rows = write_csv(tmp_path / "toy.csv").read_text().splitlines()[1:]
    cut = [line.strip('"').rpartition(",") for line in rows]
    path = tmp_path / "rows.jsonl"
    lines = [{"prompt": text, "completion": {"topic": label, "order": None}} for text, _, label in cut]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    workspace = Workspace(tmp_path / "desk")
    workspace.add(path)
    return workspace


def add_synthetic(desk, tmp_path, count=12):
    words = [
        "lamp",
        "kettle",
        "router",
        "carpet",
        "jacket",
        "mirror",
        "bicycle",
        "tent",
        "guitar",
        "clock",
        "oven",
        "vase",
    ]
    path = tmp_path / "made.jsonl"
    rows = [
        {"prompt": f"the {w} number {n * 7919} is damaged", "completion": {"topic": "returns", "order": None}}
        for n, w in enumerate(words[:count])
    ]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    desk.add(path, as_="synthetic")
    return {e.id for e in desk.home.examples() if e.source == "synthetic"}


def test_next_lends_an_example_and_accept_keeps_it(desk):
    ann = desk.review("ann")
    assert ann.add(sample=3).added == 3
    lent = ann.next()
    assert (lent.queued, lent.claimed, lent.minutes) == (3, 1, 30)
    assert lent.fields["topic"] in ("returns", "billing", "shipping")
    assert ann.accept(note="fine").accepted == 1
    with pytest.raises(TunesmithError, match="ann holds no example"):
        ann.accept()
    assert desk.provenance(lent.example.id).reviews[0].note == "fine"


def test_a_correction_takes_the_example_s_place_and_keeps_what_it_does_not_name(desk):
    ann = desk.review("ann")
    ann.add(sample=1)
    lent = ann.next()
    made = ann.correct(fields={"order": "12345"})
    new = desk.show(made.review.became)
    assert json.loads(new.completion) == lent.fields | {"order": "12345"}
    assert (new.messages, new.origin) == (lent.example.messages, lent.example.origin)
    assert [c.by for c in desk.history(new.id).changes] == ["ann"]
    assert not desk.home.store.in_use(lent.example.id)
    again = ann.undo()
    assert again.example.id == lent.example.id
    assert desk.home.store.in_use(lent.example.id)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"fields": {"order": "12"}}, "does not match"),
        ({"fields": {"topic": "refund"}}, "not one of its labels"),
        ({"fields": {"topc": "billing"}}, "did you mean 'topic'"),
        ({"completion": "not JSON"}, "does not fit the task"),
        ({"completion": "{}", "fields": {"order": "12345"}}, "a whole completion, or some of its fields"),
        ({}, "a whole completion, or some of its fields"),
    ],
)
def test_a_correction_that_does_not_fit_the_task_is_refused_and_the_example_stays_held(desk, given, says):
    ann = desk.review("ann")
    ann.add(sample=1)
    lent = ann.next()
    with pytest.raises(TunesmithError, match=says):
        ann.correct(**given)
    assert ann.next().example.id == lent.example.id
    with pytest.raises(TunesmithError, match="says what the example says"):
        ann.correct(completion=lent.example.completion)


def test_a_rejected_example_goes_out_of_use_and_can_be_had_back(desk):
    ann = desk.review("ann")
    row = desk.home.examples()[0]
    report = ann.reject(row.id[:8], note="a test message")
    assert (report.rejected, report.review.effective) == (1, True)
    assert not desk.home.store.in_use(row.id)
    desk.undo(report.review.batch, by="bob")
    assert desk.home.store.in_use(row.id)
    assert ann.queue().rejected == 0


def test_what_a_check_found_is_queued_and_told(desk, tmp_path):
    path = tmp_path / "twice.jsonl"
    row = {"prompt": "where is my parcel", "completion": {"topic": "billing", "order": None}}
    path.write_text(json.dumps(row) + "\n")
    desk.add(path)
    desk.check()
    ann = desk.review("ann")
    assert ann.add(check="conflicting_completions").added == 2
    assert ann.next().findings[0].check in ("conflicting_completions", "exact_duplicates")
    with pytest.raises(TunesmithError, match="did you mean 'conflicting_completions'"):
        ann.add(check="conflicting_completion")
    with pytest.raises(TunesmithError, match="Nothing says which"):
        ann.add()


def test_nothing_that_a_model_wrote_is_learnt_before_a_person_has_seen_it(desk, tmp_path):
    made = add_synthetic(desk, tmp_path)
    report = desk.split()
    assert (report.unreviewed, report.set_aside, report.certified) == (12, 12, True)
    assert not made & set(desk.home.latest("split", "split", Split)[0].train)
    ann = desk.review("ann")
    ann.add(source="synthetic")
    accepted, corrected = ann.next().example.id, None
    ann.accept()
    ann.next()
    corrected = ann.correct(fields={"topic": "shipping"}).review.became
    ann.next()
    ann.reject()
    assert {s.name: s.because for s in desk.status()}["split"] == "examples and reviews changed since"
    report = desk.split()
    assert report.unreviewed == 9
    aside = {row.example for row in report.reasons}
    assert not {accepted, corrected} & aside
    assert {s.name: s.state for s in desk.status()}["split"] == "done"
    ann.undo()
    assert {s.name: s.state for s in desk.status()}["split"] == "stale"


def test_letting_unreviewed_rows_in_is_written_down(desk, tmp_path):
    add_synthetic(desk, tmp_path)
    assert desk.split(unreviewed=True).unreviewed == 0
    (entry,) = desk.home.store.ledger("override")
    assert entry.detail["flag"] == "--unreviewed"
    assert "12 synthetic examples" in entry.detail["passed"][0]
    assert "`tunesmith split --unreviewed`" in overrides(desk.home)[0]  # what decision and dossier tell


def test_where_a_model_wrote_nearly_all_the_split_says_what_to_do(desk, tmp_path):
    add_synthetic(desk, tmp_path)
    people = [e.id for e in desk.home.examples() if e.source == "human"]
    desk.home.store.changes.make("remove", "ann", [Edit(i, None) for i in people[:55]])
    with pytest.raises(TunesmithError, match="a model wrote 12 that no person has accepted"):
        desk.split()


def test_agreement_is_measured_where_two_judged_apart(desk):
    ann, bob = desk.review("ann"), desk.review("bob")
    with pytest.raises(NothingToMeasure, match="by two people"):
        ann.agreement()
    assert ann.add(sample=10, second_opinion=1).added == 20
    turned = {"returns": "billing", "billing": "shipping", "shipping": "returns"}
    for number in range(10):
        topic = ann.next().fields["topic"]
        ann.accept()
        assert bob.next().fields["topic"] == topic
        if number < 3:
            assert bob.correct(fields={"topic": turned[topic]}).review.effective is False
        else:
            bob.accept()
    found = ann.agreement()
    assert (found.examples, found.reviewers, len(found.disagreements)) == (10, ("ann", "bob"), 3)
    assert found.outcome.raw.value == found.fields["topic"].raw.value == 0.7
    assert 0 < found.fields["topic"].kappa.value < 0.7
    assert found.fields["topic"].alpha.low < found.fields["topic"].alpha.value
    assert found.fields["order"].raw.value == 1
    assert "cannot be told from chance" in found.fields["order"].reasons["kappa"]
    assert found.outcome.kappa.value == pytest.approx(0.0)  # ann accepts all, so chance agrees as often


def _hammer(folder, name, second):
    desk = Workspace(folder).review(name)
    done = 0
    while (lent := desk.next()).example is not None:
        if done % 5 == 4 and not second:
            desk.reject()
        elif done % 3 == 2 and not second:
            desk.correct(fields={"order": "12345"})
        else:
            desk.accept()
        done += 1
    assert lent.example is None
    os._exit(0)


def hammer(desk, second=False):
    spawn = multiprocessing.get_context("spawn")
    folder = str(desk.home.root)
    workers = [spawn.Process(target=_hammer, args=(folder, f"reviewer {n}", second)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0] * 4


def test_many_reviewers_at_once_review_every_example_exactly_once(desk):
    ids = {e.id for e in desk.home.examples()}
    ann = desk.review("ann")
    ann.add(sample=60)
    hammer(desk)
    given = desk.home.store.reviews.all()
    assert sorted(r.example for r in given) == sorted(ids)
    assert all(r.outcome and r.effective for r in given)
    report = ann.queue()
    assert report.accepted + report.corrected + report.rejected == 60
    assert len(desk.home.examples()) == 60 - report.rejected
    assert len(desk.history().changes) == report.corrected + report.rejected


def test_with_second_opinions_every_example_is_judged_by_two_different_people(desk):
    ann = desk.review("ann")
    ann.add(sample=15, second_opinion=1)
    hammer(desk, second=True)
    by = {}
    for review in desk.home.store.reviews.all():
        by.setdefault(review.example, []).append(review.reviewer)
    assert len(by) == 15
    assert all(len(set(names)) == len(names) == 2 for names in by.values())
    assert (ann.queue().accepted, ann.queue().second_opinions) == (15, 15)
