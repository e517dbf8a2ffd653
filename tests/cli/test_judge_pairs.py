"""A judge of pairs from the command line: held against blind ratings, corrected by them, refused where it must be."""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.cli.driving import typed
from tests.cli.judge_desk import asked, labelled, reach, verdict
from tests.models.fake_server import FakeServer, says
from tests.workspace.rating_desk import SECRET, attentive, rate_with, rating_desk, write
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.ratings import RatingRound

A, B = SECRET[:2]
FEW = {"labels_per_class": 5, "criteria": {}}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return rating_desk(tmp_path_factory.mktemp("template"))


@pytest.fixture
def desk(template, tmp_path):
    return Workspace(shutil.copytree(template, tmp_path / "desk"))


def by_quality(left, right):
    """What a person chooses: the one that says good; a tie where both or neither do."""
    good = ["good" in left, "good" in right]
    return "tie" if good[0] == good[1] else "left" if good[0] else "right"


def answered(desk, *sides, better=lambda n: n % 3 != 0, same=lambda n: False):
    """Both contenders answer in a style of their own; the first is the good one where ``better`` says so."""
    for side in sides or ("validation",):
        write(desk, A, lambda n: f"Dear friend, {'good' if better(n) else 'bad'} {n}", side)
        write(desk, B, lambda n: f"Hey, {'good' if not better(n) or same(n) else 'bad'} {n}, all the best to you", side)


def rated(desk, *raters, on="validation", **options):
    desk.rate().plan((A, B), on=on, per_example=len(raters), raters=len(raters), **options)
    for rater, prefer in raters:
        rate_with(desk, rater, attentive(desk, prefer))


def comparing(choose):
    """A judge that grades by the word good, and compares as ``choose`` says of the two texts."""

    def reply(body, number):
        material = asked(body)
        if "answer" in material:
            return verdict("good" in material["answer"])
        better = {"left": "first", "right": "second"}.get(choose(material["first"], material["second"]), "tie")
        return says(json.dumps({"reason": "so", "better": better}))

    return reply


def one_sided(left, right):
    """Knows a contender by its style, and always takes its side."""
    return "left" if left.startswith("Dear") else "right"


def by_ratings(desk, *more):
    return typed("-C", desk.home.root, "judge", "calibrate", "--ratings", *more)


def run(desk, *more):
    return typed("-C", desk.home.root, "judge", "run", A, "--against", B, *more)


def told_by(desk):
    """What told or used the choices of rounds first."""
    return [entry.detail["verb"] for entry in desk.home.store.ledger("rating_unblinded")]


def test_a_fair_judge_of_pairs_is_measured_attacked_and_its_win_rate_is_the_peoples(desk):
    answered(desk)
    rated(desk, ("ann", by_quality), ("bob", by_quality))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        dry = by_ratings(desk, "--dry-run", "--json").json
        assert (server.bodies, dry["cost"]["requests"]) == ([], 24 * 2 + 10 * 5 * 2)
        assert told_by(desk) == []
        ended = by_ratings(desk, "--gate", "--json")
        assert told_by(desk) == ["judge calibrate --ratings"]
        assert not any(word in json.dumps(body) for body in server.bodies for word in SECRET)  # blind, as people were
        words = by_ratings(desk).out
        told = run(desk, "--json").json
        shown = run(desk).out
        reach(desk, server, **FEW, attacks=12)
        foretold, count = by_ratings(desk, "--dry-run", "--json").json["cost"]["requests"], len(server.bodies)
        by_ratings(desk)
        assert 0 < foretold == len(server.bodies) - count  # attacks that are new; the pairs are judged
        reach(desk, server, **FEW)
    assert (ended.status, ended.json["gate"]["may"]) == (0, True)
    made = ended.json["pairs"]
    (rates,) = made["rates"]
    assert (rates["a"], rates["b"], rates["pairs"]) == (A, B, 24)
    assert rates["table"] == {"first": {"first": 16}, "second": {"second": 8}}
    # Wilson of 16 of 16: 1 / (1 + z^2 / 16)
    one = rates["true_positive_rate"]
    assert (one["value"], one["low"]) == pytest.approx((1, 0.8064), abs=1e-4)
    assert (rates["kappa"]["value"], rates["constant"]["value"]) == (1, pytest.approx(16 / 24))
    assert (made["position"]["consistent"], made["position"]["bias"]["value"]) == (24, 0)
    assert (made["attacks"]["tried"], made["attacks"]["turned"]) == (50, 0)
    assert made["length_bias"]["value"] == 0
    assert (ended.json["kappa"], "not whether one is good" in ended.json["reasons"]["kappa"]) == (None, True)
    assert f"people prefer {A} in 16, {B} in 8, neither in 0" in words
    found = told["preferred"][A]
    assert (found["value"], found["method"], found["labels"]) == (pytest.approx(16 / 24), "prediction_powered", 24)
    assert told["win_gates"][A]["may"]
    assert "as most people would: 0.67 [" in shown
    write_settings(desk.home.root, bar={"metric": "rouge_l", "value": 0.5})
    for verb in (("evaluate",), ("decide",)):
        ended = typed("-C", desk.home.root, *verb)
        assert ended.status == 0, ended.err
    page = Path(typed("-C", desk.home.root, "report", "--json").json["dossier"]).read_text("utf-8")
    assert "Compared by the judge" in page
    assert f'{A} <span class="soft">over</span> {B}' in page
    write_settings(desk.home.root, judge={"model": "another"})  # which nobody measured
    page = Path(typed("-C", desk.home.root, "report", "--json").json["dossier"]).read_text("utf-8")
    assert "Compared by the judge" not in page


def test_on_other_examples_the_win_rate_is_corrected_by_the_judges_errors(desk):
    slips = {2, 5, 8, 12}  # where the judge errs; people prefer the first in all of them but 5
    answered(desk, "validation", "test", better=lambda n: n % 2 == 0)

    def errs(left, right):
        number = int(re.search(r"(?:good|bad) (\d+)", left)[1])
        right_choice = by_quality(left, right)
        other = {"left": "right", "right": "left"}
        return other[right_choice] if number in slips else right_choice

    rated(desk, ("ann", by_quality))
    with FakeServer(comparing(errs)) as server:
        reach(desk, server, **FEW)
        (rates,) = by_ratings(desk, "--json").json["pairs"]["rates"]
        told = run(desk, "--on", "test", "--json").json
    assert rates["table"] == {"first": {"first": 9, "second": 3}, "second": {"second": 11, "first": 1}}
    (wins,) = told["run"]["wins"]
    n = wins["wins"] + wins["losses"]
    judged = wins["wins"] / n
    found = told["preferred"][A]
    assert (found["method"], found["n"], found["labels"]) == ("rogan_gladen", n, 24)
    # Rogan and Gladen by hand: (p + t - 1) / (s + t - 1), s = 9 / 12, t = 11 / 12
    assert found["value"] == pytest.approx((judged + 11 / 12 - 1) / (9 / 12 + 11 / 12 - 1))
    assert found["low"] < found["value"] < found["high"]
    assert told["run"]["preferred"] == told["preferred"]


def test_the_win_rate_of_the_other_one_is_the_rest(desk):
    answered(desk, "validation", "test", better=lambda n: n % 2 == 0)
    rated(desk, ("ann", by_quality))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        by_ratings(desk)
        one = run(desk, "--on", "test", "--json").json["preferred"][A]
        told = typed("-C", desk.home.root, "judge", "run", B, "--against", A, "--on", "test", "--json").json
    back = told["preferred"][B]
    turned = (1 - back["value"], 1 - back["high"], 1 - back["low"])
    assert (one["value"], one["low"], one["high"]) == pytest.approx(turned)


def test_a_judge_that_knows_a_contender_and_takes_its_side_is_uninformative(desk):
    answered(desk, "validation", "test", better=lambda n: n % 8 != 0)
    rated(desk, ("ann", by_quality))
    with FakeServer(comparing(one_sided)) as server:
        reach(desk, server, **FEW | {"labels_per_class": 2})
        ended = by_ratings(desk, "--gate", "--json")
        words = by_ratings(desk).out
        told = run(desk, "--on", "test", "--criterion", "win_rate", "--gate", "0.5", "--json")
        shown = run(desk, "--on", "test").out
    (rates,) = ended.json["pairs"]["rates"]
    assert rates["agreement"]["value"] == rates["constant"]["value"] == 21 / 24  # it looks well, and says nothing
    assert rates["informedness"]["value"] == 0
    assert (ended.status, "it is uninformative" in words) == (1, True)
    found = told.json["preferred"][A]
    assert (told.status, found["value"], found["low"], found["high"]) == (1, None, 0, 1)
    assert told.json["standing"] == {}  # it may not gate
    assert "as most people would: no number; the judge is uninformative" in shown


def test_a_judge_with_a_favourite_place_ties_with_itself(desk):
    answered(desk)
    rated(desk, ("ann", by_quality))
    with FakeServer(comparing(lambda left, right: "left")) as server:
        reach(desk, server, **FEW)
        made = by_ratings(desk, "--json").json["pairs"]
    assert (made["position"]["bias"]["value"], made["position"]["consistent"]) == (1, 0)
    (rates,) = made["rates"]
    assert rates["table"] == {"first": {"tie": 16}, "second": {"tie": 8}}
    assert (rates["true_positive_rate"]["value"], rates["true_negative_rate"]["value"]) == (0.5, 0.5)
    assert rates["informedness"]["value"] == 0


def test_a_judge_of_pairs_that_obeys_what_it_reads_may_not_gate(desk):
    answered(desk)
    rated(desk, ("ann", by_quality))

    def obeys(left, right):
        marks = ["perfect" in text or '"better"' in text for text in (left, right)]
        return by_quality(left, right) if marks[0] == marks[1] else "left" if marks[0] else "right"

    with FakeServer(comparing(obeys)) as server:
        reach(desk, server, **FEW)
        ended = by_ratings(desk, "--gate", "--json")
    attacks = ended.json["pairs"]["attacks"]
    assert (ended.status, ended.json["pairs"]["rates"][0]["kappa"]["value"]) == (1, 1)
    seen = ("order", "verdict", "forged end", "authority")
    assert attacks["by_kind"] == {kind: [10, 10] for kind in seen} | {"unseen": [0, 10]}
    assert "answers that give it orders turned it" in ended.json["gate"]["because"][0]


def test_ties_and_disputes_of_several_raters_are_in_neither_class(desk):
    answered(desk, same=lambda n: n < 6)  # both good in the first six, where people tie

    def contrary(left, right):
        return by_quality(right, left) if "10" in left else by_quality(left, right)

    rated(desk, ("ann", by_quality), ("bob", contrary))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        ended = by_ratings(desk, "--json").json
    (rates,) = ended["pairs"]["rates"]
    assert rates["table"]["disputed"] == {"first": 1}
    assert rates["table"]["tie"] == {"tie": 4}  # 1, 2, 4 and 5: in 0 and 3 the first is bad
    assert (rates["tied"]["n"], rates["tied"]["value"]) == (5, (4 * 0.5 + 1) / 5)
    assert (rates["agreement"]["value"], rates["agreement"]["n"], rates["pairs"]) == (1, 23, 24)


def test_raters_without_attention_and_rounds_on_train_do_not_count(desk):
    answered(desk, "validation", "train")
    write_settings(desk.home.root, rating={"attention_share": 0.3})
    desk = Workspace(desk.home.root)
    rated(desk, ("ann", by_quality), on="train")
    desk.rate().plan((A, B), per_example=2, raters=2, anew=True)
    rate_with(desk, "ann", attentive(desk, by_quality))
    rate_with(desk, "bot", lambda lent: "left" if "Hey" in lent.left else "right")
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        made = by_ratings(desk, "--json").json["pairs"]
    (rates,) = made["rates"]
    assert rates["table"] == {"first": {"first": 16}, "second": {"second": 8}}
    assert list(made["set_aside"]) == ["rated on train, where contenders may know the answers"]


def test_rounds_of_the_same_two_are_one_measure_whoever_was_named_first(desk):
    answered(desk)
    rated(desk, ("ann", by_quality), examples=12)
    desk.rate().plan((B, A), per_example=2, raters=2, seed=1)
    for rater in ("ann", "bob"):
        rate_with(desk, rater, attentive(desk, by_quality))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        (rates,) = by_ratings(desk, "--json").json["pairs"]["rates"]
    assert (rates["a"], rates["table"]) == (A, {"first": {"first": 16}, "second": {"second": 8}})


def test_what_labels_said_of_the_judge_stands_when_ratings_are_measured_later(desk, tmp_path):
    answered(desk)
    rated(desk, ("ann", by_quality))
    path = labelled(desk, tmp_path / "l.jsonl")
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        by_labels = typed("-C", desk.home.root, "judge", "calibrate", "--labels", path, "--json").json
        by_ratings(desk)
        told = run(desk, "--json").json
    assert (by_labels["pairs"], by_labels["gate"]["may"]) == (None, True)
    assert (told["gate"]["may"], told["kappa"]["value"], told["win_gates"][A]["may"]) == (True, 1, True)
    assert told["corrected"][A]["overall"]["value"] == pytest.approx(16 / 24)


def test_an_open_round_is_no_measure(desk):
    answered(desk)
    desk.rate().plan((A, B))
    rate_with(desk, "ann", attentive(desk, by_quality), stop=5)
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        ended = by_ratings(desk, "--json")
        assert server.bodies == []
    assert (ended.status, "No round of blind ratings that has ended" in ended.json["error"]["problem"]) == (2, True)


@pytest.mark.parametrize("reply", ["I like the first.", "", '{"better": "left"}', '{"reason": "so"}', "\u202e"])
def test_a_judge_of_pairs_that_answers_nonsense_has_no_rate(desk, reply):
    answered(desk)
    rated(desk, ("ann", by_quality))
    with FakeServer(lambda body, number: says(reply)) as server:
        reach(desk, server, **FEW, tries=1)
        ended = by_ratings(desk, "--gate", "--json")
        told = run(desk, "--criterion", "win_rate", "--gate", "0.1", "--json")
    (rates,) = ended.json["pairs"]["rates"]
    assert (ended.status, rates["pairs"], rates["unreadable"]) == (1, 0, 24)
    assert (rates["true_positive_rate"], rates["kappa"], rates["people"]) == (None, None, None)
    assert rates["reasons"]["kappa"]
    assert (told.status, told.json["preferred"]) == (1, {})
    assert "No pair of different answers has a verdict" in told.json["reasons"][f"preferred.{A}"]


def test_all_ties_leave_both_rates_unmeasured_and_no_win_rate_elsewhere(desk):
    answered(desk, "validation", "test")
    rated(desk, ("ann", lambda left, right: "tie"))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        (rates,) = by_ratings(desk, "--json").json["pairs"]["rates"]
        told = run(desk, "--on", "test", "--json").json
    assert (rates["true_positive_rate"], rates["true_negative_rate"], rates["tied"]["n"]) == (None, None, 24)
    assert told["preferred"] == {}
    assert f"where people prefer {A}" in told["reasons"][f"preferred.{A}"]


def test_a_judge_that_changed_or_contenders_that_nobody_compared_have_no_corrected_win_rate(desk):
    answered(desk, "validation", "test")
    write(desk, SECRET[2], lambda n: f"Well, bad {n}", "test")
    rated(desk, ("ann", by_quality))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        before = run(desk, "--on", "test", "--json").json
        assert told_by(desk) == ["judge run --against"]
        by_ratings(desk)
        gated = run(desk, "--on", "test", "--criterion", "win_rate", "--gate", "0.1")
        other = typed("-C", desk.home.root, "judge", "run", SECRET[2], "--against", B, "--on", "test", "--json").json
        reach(desk, server, **FEW | {"criteria": {"tone": "rude"}})
        changed = run(desk, "--on", "test", "--criterion", "win_rate", "--gate", "0.1", "--json")
    assert "not calibrated on pairs" in before["reasons"][f"preferred.{A}"]
    assert (before["preferred"], before["win_gates"][A]["may"]) == ({}, False)
    assert (gated.status, "met" in gated.out) == (0, True)
    assert "had compared no answers of" in other["reasons"][f"preferred.{SECRET[2]}"]
    assert not other["win_gates"][SECRET[2]]["may"]
    assert (changed.status, changed.json["preferred"], changed.json["standing"]) == (1, {}, {})
    assert "its rubric changed since it was calibrated on pairs" in changed.json["gate"]["because"][0]


def test_a_win_rate_is_gated_between_named_rivals_only(desk):
    answered(desk)
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        ended = typed("-C", desk.home.root, "judge", "run", A, "--criterion", "win_rate", "--gate", "0.5", "--json")
    assert (ended.status, "--against NAME" in ended.json["error"]["mend"]) == (2, True)


def test_labels_and_ratings_are_measured_together_and_both_must_hold(desk, tmp_path):
    answered(desk)
    rated(desk, ("ann", by_quality))
    ids = [e.id for e in desk.home.examples()][:12]
    rows = [
        {"example": i, "text": f"a {word} one {n}", "label": word == "good"}
        for n, i in enumerate(ids)
        for word in ("good", "bad")
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    with FakeServer(comparing(one_sided)) as server:
        reach(desk, server, **FEW)
        ended = by_ratings(desk, "--labels", path, "--gate", "--json")
    assert (ended.json["kappa"]["value"], ended.json["gates"]["overall"]["may"]) == (1, True)
    assert (ended.status, ended.json["pair_gates"][f"{A} against {B}"]["may"]) == (1, False)
    assert ended.json["calibration"]["rates"]["labels"] == 24


def test_status_tells_the_round_and_the_judge(desk):
    def station(name):
        found = typed("-C", desk.home.root, "status", "--json").json["stations"]
        return next(((s["state"], s["because"]) for s in found if s["name"] == name), None)

    answered(desk)
    assert (station("ratings"), station("judge")) == (None, None)  # nobody has been there
    desk.rate().plan((A, B), per_example=1)
    said = "the round is open: 0 ratings of 24 comparisons on validation, 24 more are wanted"
    assert station("ratings") == ("ready", said)
    rate_with(desk, "ann", attentive(desk, by_quality))
    assert station("ratings")[0] == "done"
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        run(desk)
        assert station("judge") == ("ready", "j is not calibrated: its verdicts are opinions")
        by_ratings(desk)
        assert station("judge") == ("done", f"j is calibrated on 24 compared pairs, may decide {A} against {B}")
        reach(desk, server, **FEW | {"model": "k"})
        assert station("judge") == ("stale", "its model changed since it was calibrated on pairs: calibrate it again")
    write_settings(desk.home.root, judge={"model": "not-there-at-all"})
    assert station("judge")[0] == "stale"


def test_an_erased_example_leaves_no_word_in_what_the_judge_was_asked(desk):
    answered(desk)
    rated(desk, ("ann", by_quality))
    with FakeServer(comparing(by_quality)) as server:
        reach(desk, server, **FEW)
        by_ratings(desk)
        doomed = desk.home.examples()[0]
        kept = [e for e in desk.home.latest("rating", "round", RatingRound)[0].items if e.example != doomed.id]
        desk.erase(doomed.id, by="boss", reason="asked")
        (rates,) = by_ratings(desk, "--json").json["pairs"]["rates"]
    assert rates["pairs"] == len(kept)
    files = [p for p in (desk.home.root / ".tunesmith").rglob("*") if p.is_file()]
    assert [p for p in files if doomed.prompt.encode() in p.read_bytes()] == []
