"""Blind ratings from plan to preferences, from outside: nothing tells who wrote what before the round has ended."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
from collections import Counter

import pytest
from tests.cli.driving import typed
from tests.workspace.rating_desk import SECRET, attentive, better, rate_with, rating_desk, two, write
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.ratings import RatingRound
from tunesmith.workspace.rated import newest_round


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return rating_desk(tmp_path_factory.mktemp("template"))


@pytest.fixture
def desk(template, tmp_path):
    return Workspace(shutil.copytree(template, tmp_path / "desk"))


def test_a_plan_says_what_a_difference_takes_and_freezes_what_is_compared(desk):
    two(desk)
    dry = typed("-C", desk.home.root, "rate", "plan", *SECRET[:2], "--dry-run", "--json").json
    # Connor (1987) with Student's t for 103 degrees of freedom: ((1.9833 sqrt(0.7) + 0.8416 sqrt(0.7 - 0.04)) / 0.2)^2
    # = 137.25; two raters that correlate by 0.5 count as 2 / 1.5 of one: 138 * 0.75 = 103.5
    assert (dry["plan"]["examples"], dry["plan"]["ratings"], dry["round"]) == (104, 208, None)
    assert desk.home.index("rating") == []
    write(desk, SECRET[2], lambda n: f"fair {n}")
    three = typed("-C", desk.home.root, "rate", "plan", *SECRET, "--dry-run", "--json").json
    assert (three["plan"]["examples"], three["plan"]["ratings"]) == (104, 3 * 208)  # each pair of three
    made = typed("-C", desk.home.root, "rate", "plan", *SECRET[:2], "--difference", "0.35", "--json").json
    assert made["plan"]["examples"] < dry["plan"]["examples"]
    assert made["plan"]["drawn"] == made["plan"]["available"] == made["comparisons"] == 24
    assert 0.38 < made["plan"]["smallest_difference"] < 0.42
    assert made["attention"] >= 2
    again = typed("-C", desk.home.root, "rate", "plan", *SECRET[:2], "--difference", "0.35", "--json").json
    assert again["round"] == made["round"]  # the same plan goes on with the same round
    frozen = desk.home.latest("rating", "round", RatingRound)[0]
    assert all(len(item.texts) == 2 and "good" not in str(item) for item in frozen.items)


def test_more_raters_an_example_take_fewer_examples_and_more_ratings(desk):
    two(desk)
    plans = [desk.rate().plan(SECRET[:2], raters=4, per_example=m, dry_run=True).plan for m in (1, 2, 4)]
    assert [p.examples for p in plans] == sorted((p.examples for p in plans), reverse=True)
    assert [p.ratings for p in plans] == sorted(p.ratings for p in plans)


def test_an_attention_item_counts_as_any_other(desk):
    two(desk)
    desk.rate().plan(SECRET[:2], examples=24)
    seen, attention = [], {item.id for item in newest_round(desk.home).made.attention}
    assert attention
    while (lent := desk.rate("ann").next()).id is not None:
        done = desk.rate("ann").answer(lent.id, "left")
        seen.append((lent.id in attention, done.mine, done.waiting))
    assert any(is_one for is_one, *_ in seen)
    assert len({mine + waiting for _, mine, waiting in seen}) == 1


def test_nothing_that_a_rater_gets_names_a_contender(desk):
    hashes = two(desk)
    desk.rate().plan(SECRET[:2])
    said = []
    for rater in ("ann", "bob"):
        for _ in range(4):
            shown = typed("-C", desk.home.root, "rate", "next", "--rater", rater)
            lent = typed("-C", desk.home.root, "rate", "next", "--rater", rater, "--json")
            kept = typed("-C", desk.home.root, "rate", "answer", lent.json["id"], "left", "--rater", rater, "--json")
            said += [shown.out, shown.err, lent.out, kept.out]
            assert set(lent.json) == {"id", "prompt", "left", "right", "choice", "minutes", "mine", "waiting"}
    said += [typed("-C", desk.home.root, "rate", "agreement", *more).out for more in ((), ("--json",))]
    told = "\n".join(said)
    assert [word for word in (*SECRET, *hashes) if word in told] == []


def test_sides_are_balanced_and_results_come_when_the_round_is_complete(desk):
    two(desk)
    desk.rate().plan(SECRET[:2], raters=2)
    for rater in ("ann", "bob"):
        seen = rate_with(desk, rater, attentive(desk))
        real = [lent for lent in seen if lent.left[:4] in ("good", "bad ")]
        assert Counter(lent.left[:4] for lent in real) == {"good": 12, "bad ": 12}
        assert len(seen) > len(real)
        if rater == "ann":
            open_still = desk.rate().agreement()
            assert (open_still.win_rates, open_still.complete) == ((), False)
            assert "stays blind" in open_still.reasons["win_rates"]
    told = desk.rate("boss").agreement()
    (rate,) = told.win_rates
    assert (told.complete, rate.a, rate.wins, rate.losses, rate.win_rate.value) == (True, "alpaca", 24, 0, 1.0)
    # Wilson's interval of 24 of 24
    assert rate.win_rate.low == pytest.approx(24 / (24 + 1.959964**2), abs=1e-4)
    assert all(seen.passed == seen.attention > 0 for seen in told.raters.values())
    assert told.agreement.raw.value == 1.0
    assert told.agreement.kappa is None  # all said the same: chance cannot be told
    assert 0.3 < told.left.value < 0.7
    with pytest.raises(TunesmithError, match="has ended"):
        desk.rate("ann").next()
    (entry,) = desk.home.store.ledger("rating_unblinded")
    assert entry.detail == {"round": told.round, "by": "boss", "missing": 0}


def test_a_round_can_be_ended_early_and_the_ledger_says_who_was_told(desk):
    two(desk)
    desk.rate().plan(SECRET[:2])
    rate_with(desk, "ann", attentive(desk), stop=9)  # and leaves
    early = typed("-C", desk.home.root, "rate", "agreement", "--unblind", "--rater", "boss", "--json").json
    assert (early["complete"], early["unblinded"], len(early["win_rates"])) == (False, True, 1)
    assert early["agreement"] is None
    assert early["given"] + sum(seen["attention"] for seen in early["raters"].values()) == 9
    assert desk.home.store.ledger("rating_unblinded")[0].detail["missing"] == early["wanted"] - early["given"]
    ended = typed("-C", desk.home.root, "rate", "next", "--rater", "bob")
    assert (ended.status, "has ended" in ended.err) == (2, True)


def test_what_raters_who_left_half_way_held_is_rated_by_others(desk):
    two(desk)
    write_settings(desk.home.root, rating={"lease_minutes": 0.0001})
    desk = Workspace(desk.home.root)
    desk.rate().plan(SECRET[:2], raters=3)
    for rater in ("ann", "eve"):
        rate_with(desk, rater, attentive(desk), stop=5)
        assert desk.rate(rater).next().id is not None  # holds one more, and never answers
    for rater in ("bob", "cat"):
        rate_with(desk, rater, attentive(desk))
    assert desk.rate().agreement().complete


def test_ties_that_are_known_weigh_no_more_where_a_round_was_ended_early(desk):
    two(desk, b=lambda n: f"good {n}" if n % 3 == 0 else f"bad {n}")
    desk.rate().plan(SECRET[:2], per_example=1)
    rate_with(desk, "ann", attentive(desk), stop=6)
    early = typed("-C", desk.home.root, "rate", "agreement", "--unblind", "--json").json
    (rate,) = early["win_rates"]
    assert 2 <= rate["wins"] <= 6
    assert rate["win_rate"]["value"] == pytest.approx((16 + 4) / 24)  # as in the whole round, of which 8 are ties
    assert (rate["win_rate"]["n"], rate["win_rate"]["skipped"]) == (rate["wins"] + 8, 16 - rate["wins"])
    shown = typed("-C", desk.home.root, "rate", "agreement").out
    assert f"; {16 - rate['wins']} more have no rating that counts\n" in shown


@pytest.mark.parametrize(
    ("verb", "tell"),
    [
        ("data preferences", lambda desk: typed("-C", desk.home.root, "data", "preferences")),
        ("rating_labels", lambda desk: desk.rating_labels()),
    ],
)
def test_a_slip_is_mended_until_the_choices_are_told_and_not_after(desk, verb, tell):
    two(desk)
    made = desk.rate().plan(SECRET[:2], per_example=1)
    slip = rate_with(desk, "ann", attentive(desk))[-1].id
    change = ("rate", "answer", slip, "tie", "--rater", "ann", "--change")
    assert "the round has ended" in typed("-C", desk.home.root, "status").out  # and tells nothing of it
    assert (typed("-C", desk.home.root, *change).status, desk.home.store.ledger("rating_unblinded")) == (0, [])
    tell(desk)
    (entry,) = desk.home.store.ledger("rating_unblinded")
    assert entry.detail == {"round": made.round, "verb": verb, "missing": 0}
    refused = typed("-C", desk.home.root, *change)
    assert (refused.status, "its choices were told or used" in refused.err) == (2, True)


def test_all_ties_have_an_interval_round_one_half_and_no_pair(desk):
    two(desk)
    desk.rate().plan(SECRET[:2])
    for rater in ("ann", "bob"):
        rate_with(desk, rater, attentive(desk, lambda left, right: "tie"))
    told = desk.rate().agreement()
    (rate,) = told.win_rates
    assert (rate.win_rate.value, rate.ties, rate.wins, rate.losses) == (0.5, 24, 0, 0)
    assert rate.win_rate.low < 0.35 < 0.65 < rate.win_rate.high
    assert told.left is None and "Nobody preferred one side" in told.reasons["left"]
    assert told.agreement.alpha is None and "cannot be told from chance" in told.agreement.reasons["alpha"]
    assert desk.preferences().counts.found == 0
    assert {label.label for label in desk.rating_labels()} == {"tie"}


def test_a_rater_who_pays_no_attention_is_left_out_and_that_is_told(desk):
    two(desk)
    write_settings(desk.home.root, rating={"attention_share": 0.3})
    desk = Workspace(desk.home.root)
    desk.rate().plan(SECRET[:2])
    rate_with(desk, "ann", attentive(desk))
    rate_with(desk, "bot", lambda lent: "tie")
    told = desk.rate().agreement()
    assert (told.raters["ann"].left_out, told.raters["bot"].left_out) == (False, True)
    (rate,) = told.win_rates
    assert (rate.win_rate.value, rate.everybody.value) == (1.0, 0.75)
    assert all(label.raters == 1 for label in desk.rating_labels())
    shown = typed("-C", desk.home.root, "rate", "agreement").out
    assert re.search(r"bot: rated 24, 24 ties; attention 0 of \d+; left out of all results", shown)
    assert "(24 won, 0 ties, 0 lost); with everybody 0.75 [" in shown


def test_where_nobody_counts_there_is_no_win_rate(desk):
    two(desk, b=lambda n: f"good {n}" if n % 3 == 0 else f"bad {n}")
    write_settings(desk.home.root, rating={"attention_share": 0.3})
    desk = Workspace(desk.home.root)
    assert desk.rate().plan(SECRET[:2], per_example=1).identical
    rate_with(desk, "bot", lambda lent: "tie")
    told = desk.rate().agreement()
    assert told.raters["bot"].left_out
    assert told.win_rates == ()
    said = "not measured: win_rates: No comparison was rated by anybody who counts."
    assert said in typed("-C", desk.home.root, "rate", "agreement").err


def test_the_same_text_twice_is_a_tie_that_nobody_sees(desk):
    two(desk, b=lambda n: f"good {n}" if n % 3 == 0 else f"bad {n}")
    made = desk.rate().plan(SECRET[:2], per_example=1)
    assert (made.comparisons, made.identical) == (16, 8)
    rate_with(desk, "ann", attentive(desk))
    (rate,) = desk.rate().agreement().win_rates
    assert (rate.wins, rate.ties, rate.losses, rate.identical) == (16, 8, 0, 8)
    assert rate.win_rate.value == pytest.approx((16 + 4) / 24)


def test_contenders_that_say_the_same_leave_nothing_to_rate(desk):
    two(desk, b=lambda n: f"good {n}")
    with pytest.raises(NothingToMeasure, match="nothing to rate: of 24 examples, 24 have the same answers"):
        desk.rate().plan(SECRET[:2])


def test_three_contenders_get_strengths_on_one_scale(desk):
    for name, worth in zip(SECRET, (3, 2, 1), strict=True):
        write(desk, name, lambda n, worth=worth: f"worth {worth + (n % 4 == 0) * (4 - 2 * worth)}, number {n}")
    made = desk.rate().plan(SECRET, per_example=1)
    assert made.comparisons == 24 * 3
    rate_with(desk, "ann", attentive(desk, lambda left, right: "left" if left > right else "right"))
    told = desk.rate().agreement()
    assert len(told.win_rates) == 3
    ranked = sorted(told.strengths, key=lambda name: -told.strengths[name].value)
    assert ranked == list(SECRET)
    assert sum(s.value for s in told.strengths.values()) == pytest.approx(0, abs=1e-9)
    shown = typed("-C", desk.home.root, "rate", "agreement").out
    assert shown.index("strength of alpaca") < shown.index("strength of cobra")


def test_choices_become_labels_for_a_judge_and_pairs_for_dpo(desk):
    hashes = two(desk)
    desk.rate().plan(SECRET[:2])
    rate_with(desk, "ann", attentive(desk))
    assert (desk.rating_labels(), desk.preferences().counts.found) == ([], 0)  # of a round that is still open: nothing
    worse = attentive(desk, lambda left, right: "left" if left.startswith("bad") else "right")
    bob = desk.rate("bob")
    while (lent := bob.next()).id is not None:
        bob.answer(lent.id, (worse if lent.left[-1] == "0" else attentive(desk))(lent))
    labels = desk.rating_labels()
    assert len(labels) == 48
    assert {label.contender for label in labels} == set(hashes)
    disputed = [label for label in labels if label.label == "tie"]
    assert all(label.for_it == label.against_it == 1 for label in disputed)
    report = desk.preferences()
    assert report.counts.by_source == {"rating": 24 - len(disputed) // 2}
    assert report.counts.disputed == len(disputed) // 2 == 3  # 0, 10 and 20
    assert {(p.chosen[:4], p.rejected[:4], p.source, p.by) for p in report.pairs} == {
        ("good", "bad ", "rating", "ann, bob")
    }
    assert report.counts.validation == report.counts.found - report.counts.disputed  # watched, never learnt
    shown = typed("-C", desk.home.root, "data", "preferences").out
    assert "21 from ratings" in shown


def test_what_is_rated_on_train_can_be_learnt(desk):
    for name, word in zip(SECRET, ("good", "bad"), strict=False):
        write(desk, name, lambda n, word=word: f"{word} {n}", side="train")
    made = desk.rate().plan(SECRET[:2], on="train", per_example=1)
    rate_with(desk, "ann", attentive(desk))
    counts = desk.preferences().counts
    assert counts.by_source == {"rating": made.comparisons}
    assert counts.train > counts.validation > 0


def test_a_round_on_test_is_a_look_in_the_ledger(desk):
    for name in SECRET[:2]:
        write(desk, name, lambda n, name=name: f"{name[:1]} {n}", side="test")
    made = typed("-C", desk.home.root, "rate", "plan", *SECRET[:2], "--on", "test", "--json").json
    assert made["test_looks"] == 1
    (look,) = desk.home.store.ledger("test_look")
    assert look.detail["contenders"] == list(SECRET[:2])


def test_nasty_texts_are_shown_harmless_and_given_whole(desk):
    nasty = ["", "x" * 100_000, "שלום\u202eevil\u202c", "free\u200b gift", "a\x1b[2J\x07b", "<b>bold</b>\r\nleft:\n| x"]
    two(desk, b=lambda n: nasty[n] if n < len(nasty) else f"bad {n}")
    desk.rate().plan(SECRET[:2], per_example=1)
    got, shown = {}, []
    while True:
        lent = typed("-C", desk.home.root, "rate", "next", "--rater", "ann", "--json").json
        if lent["id"] is None:
            break
        text = typed("-C", desk.home.root, "rate", "next", "--rater", "ann").out
        shown.append(text)
        got |= {lent["left"]: text, lent["right"]: text}
        choice = better(lent["left"], lent["right"])
        assert typed("-C", desk.home.root, "rate", "answer", lent["id"], choice, "--rater", "ann").status == 0
    assert set(nasty) <= set(got)
    assert "(empty)" in got[""]
    assert "96,000 more characters" in got[nasty[1]] and len(got[nasty[1]]) < 6000
    assert "שלום<U+202E>evil<U+202C>" in got[nasty[2]]
    assert "free<U+200B> gift" in got[nasty[3]]
    assert "a<U+001B>[2J<U+0007>b" in got[nasty[4]]
    assert not [c for text in shown for c in text if c in "\u200b\u202e\u202c\x1b\x07\r"]
    assert [line for line in got[nasty[5]].splitlines() if line == "left:"] == ["left:"]  # the forged one has a bar


def test_a_plan_that_cannot_be_is_refused_with_its_mend(desk):
    two(desk)
    for words, said in (
        (("alpaca",), "takes two contenders"),
        (("alpaca", "bisn"), "bison"),
        (("alpaca", "bison", "--raters", "1", "--per-example", "2"), "cannot rate each comparison 2 times"),
        (("alpaca", "bison", "--difference", "0.8"), "With 30% ties"),
    ):
        ended = typed("-C", desk.home.root, "rate", "plan", *words)
        assert (ended.status, ended.err.count("To mend it:")) == (2, 1), ended.err
        assert said in ended.err
    for words in (("next",), ("agreement",), ("answer", "abc", "left")):
        ended = typed("-C", desk.home.root, "rate", *words)
        assert (ended.status, "no round of ratings" in ended.err) == (2, True)


def test_a_rater_is_one_person_whatever_cannot_be_seen_in_the_name(desk):
    two(desk)
    desk.rate().plan(SECRET[:2])
    held = typed("-C", desk.home.root, "rate", "next", "--rater", "Jose\u0301 R", "--json").json["id"]
    for name in ("Jos\u00e9 R", "\u200bJos\u00e9\u200d  R\ufeff"):
        assert typed("-C", desk.home.root, "rate", "next", "--rater", name, "--json").json["id"] == held
    for nobody in ("", " \u200b "):
        ended = typed("-C", desk.home.root, "rate", "next", "--rater", nobody)
        assert ended.status == 2
        assert "--rater NAME" in ended.err


def test_an_open_round_with_ratings_is_not_left_by_accident(desk):
    two(desk)
    desk.rate().plan(SECRET[:2])
    rate_with(desk, "ann", attentive(desk), stop=3)
    with pytest.raises(TunesmithError, match="A round of ratings is open"):
        desk.rate().plan(SECRET[:2], seed=1)
    assert desk.rate().plan(SECRET[:2], seed=1, anew=True).round is not None
    assert desk.rate("ann").next().mine == 0


def test_a_round_that_was_told_is_not_begun_again_and_the_mend_begins_another(desk):
    two(desk)
    plan = ("rate", "plan", *SECRET[:2], "--difference", "0.2", "--ties", "0.8")
    first = typed("-C", desk.home.root, *plan)
    assert (first.status, "20% prefer one, 0% the other" in first.out) == (0, True)
    assert typed("-C", desk.home.root, "rate", "agreement", "--unblind").status == 0
    for more in ((), ("--anew",)):
        ended = typed("-C", desk.home.root, *plan, *more)
        assert (ended.status, "has ended" in ended.err, "--seed 1" in ended.err) == (2, True, True)
    closed = typed("-C", desk.home.root, "rate", "next", "--rater", "ann")
    assert (closed.status, "`tunesmith rate plan alpaca bison --on validation --seed 1`" in closed.err) == (2, True)
    assert typed("-C", desk.home.root, "rate", "plan", "alpaca", "bison", "--seed", "1").status == 0
    assert typed("-C", desk.home.root, "rate", "next", "--rater", "ann").status == 0


def test_an_erased_example_is_shown_to_nobody_and_says_no_pair(desk):
    two(desk)
    desk.rate().plan(SECRET[:2])
    held = desk.rate("ann").next()
    desk.rate("ann").answer(held.id, "left", why=held.prompt[-1].content)
    (example,) = [e.id for e in desk.home.examples() if e.prompt == held.prompt[-1].content]
    desk.erase(example, by="boss", reason="asked")
    for rater in ("ann", "bob"):
        assert held.id not in [lent.id for lent in rate_with(desk, rater, attentive(desk))]
    told = desk.rate().agreement()
    assert (told.complete, told.erased) == (True, 1)
    secret = held.prompt[-1].content.encode()
    files = [p for p in (desk.home.root / ".tunesmith").rglob("*") if p.is_file()]
    assert [p for p in files if secret in p.read_bytes()] == []


def _rater(folder, rater):
    desk = Workspace(folder)
    rate_with(desk, rater, attentive(desk))


@pytest.mark.skipif(os.name == "nt", reason="fork")
def test_three_raters_at_once_lose_no_rating_and_give_none_twice(desk):
    two(desk)
    desk.rate().plan(SECRET[:2], raters=3)
    context = multiprocessing.get_context("spawn")
    raters = [context.Process(target=_rater, args=(desk.home.root, name)) for name in ("ann", "bob", "cat")]
    for one in raters:
        one.start()
    for one in raters:
        one.join(120)
    rate_with(desk, "dan", attentive(desk))  # what the three left to a fourth
    told = desk.rate().agreement()
    assert (told.complete, told.given) == (True, 48)
    ratings = [r for r in desk.home.store.ratings.all(told.round) if not r.attention]
    assert max(Counter((r.item, r.rater) for r in ratings).values()) == 1
