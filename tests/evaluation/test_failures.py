"""Where answers fail: what is found, what is not, and how it is sorted and named."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.evaluation.desk import DESK, LABEL, TEXT, answer, asked, example, failure, triage

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.failures.changes import changes, changing
from tunesmith.evaluation.failures.doubts import doubtful_labels
from tunesmith.evaluation.failures.gathering import Support, disagreements, queue
from tunesmith.evaluation.failures.kinds import kinds
from tunesmith.evaluation.failures.naming import NAMELESS, clustered, named, terms
from tunesmith.evaluation.failures.outcomes import outcomes, telling_metric
from tunesmith.evaluation.failures.slices import sliced
from tunesmith.evaluation.failures.slicing import Tagged, quarters, tagged, tags_of

MANY = Task(name="tags", fields=(Field(name="tags", type="label", labels=("a", "b", "c"), multiple=True),))


def measured(task, rows, metric="all_correct", groups=()):
    examples, answers = asked(task, rows, groups)
    return outcomes(task, examples, {a.example: a for a in answers}, metric)


def labelled(wrong, n, groups=()):
    """n examples of one label, of which those at the given places are answered with another."""
    return measured(LABEL, [("returns", "billing" if i in wrong else "returns") for i in range(n)], groups=groups)


def tag(name, members):
    return Tagged("tag", name, np.array(members, dtype=bool))


def test_a_planted_slice_is_found_and_random_ones_hardly_ever():
    """20 random slices, each half of 200 examples, and a planted one of 30 that fails half of the time, 200 times."""
    random = np.random.default_rng(5)
    found = false = any_false = 0
    for _ in range(200):
        planted = np.arange(200) < 30
        fails = np.where(planted, random.random(200) < 0.5, random.random(200) < 0.12)
        tags = [tag("planted", planted), *(tag(f"r{k}", random.random(200) < 0.5) for k in range(20))]
        slices = {s.value: s for s in sliced(labelled(set(np.flatnonzero(fails)), 200), tags)}
        found += slices["planted"].worse
        wrong = sum(s.found for name, s in slices.items() if name != "planted")
        false += wrong / max(1, wrong + slices["planted"].found)
        any_false += wrong > 0
    assert found / 200 > 0.9
    assert false / 200 < 0.06  # the false-discovery rate: 5 %, and its error in 200 tries
    assert any_false / 200 < 0.15


def test_with_nothing_to_find_one_analysis_in_twenty_finds_something_also_where_slices_overlap():
    random = np.random.default_rng(6)
    times = 300
    hits = 0
    for _ in range(times):
        fails = set(np.flatnonzero(random.random(150) < 0.2))
        base = random.random(150)
        tags = [tag(f"below {cut:.2f}", base < cut) for cut in np.linspace(0.2, 0.8, 13)]  # each within the next
        tags += [tag(f"above {cut:.2f}", base >= cut) for cut in np.linspace(0.2, 0.8, 13)]
        hits += any(s.found for s in sliced(labelled(fails, 150), tags))
    assert hits / times < 0.08  # 5 %, and 2.4 standard errors


def test_a_slice_is_shown_only_where_its_interval_says_so_too():
    """Scores that are no rates, of five examples: the permutations say 0.044, the interval reaches across zero."""
    random, few = np.random.default_rng(19), np.arange(16) < 5
    scores = random.random(16) ** 3
    scores[few] *= random.uniform(0.1, 0.6)
    (one,) = sliced(replace(labelled(set(), 16), scores=scores, rate=False), [tag("few", few)])
    assert one.q_value < 0.05
    assert one.low < 0 < one.high
    assert (one.found, one.worse) == (False, False)


def test_a_slice_too_small_says_so_and_does_not_cost_the_others_anything():
    fails = labelled({0, 1, 2, 3, 4, 5, 6}, 100)
    planted = tag("planted", np.arange(100) < 10)
    tiny = [tag(f"tiny {k}", np.arange(100) == 50 + k) for k in range(40)]
    alone, (first, *rest) = sliced(fails, [planted]), sliced(fails, [planted, *tiny])
    assert (first.value, first.worse, first.q_value) == ("planted", True, alone[0].q_value)
    assert {s.untold for s in rest} == {"1 example, fewer than 5"}
    assert all(s.p_value is None and not s.found and s.score is not None for s in rest)


def test_what_could_never_be_shown_is_not_tested():
    (found,) = sliced(labelled({0}, 30), [tag("six", np.arange(30) < 6)])  # all that can be: the one failure inside
    assert found.untold == "6 examples could not show it even if all went wrong"
    (found,) = sliced(labelled(set(), 30), [tag("half", np.arange(30) < 15)])
    assert found.untold == "all examples score alike"


def test_a_slice_of_one_group_says_nothing_of_others():
    groups = ["ann"] * 20 + [f"g{i // 2}" for i in range(80)]
    slices = {s.value: s for s in sliced(labelled(set(range(20)), 100, groups), [
        tag("ann's", np.arange(100) < 20), tag("all but hers", np.arange(100) >= 20), tag("odd", np.arange(100) % 2),
    ])}  # fmt: skip
    assert slices["ann's"].untold == "they all come from one group"
    assert slices["all but hers"].untold == "all others come from one group"
    assert slices["odd"].p_value is not None


def test_slices_are_what_the_examples_say():
    rows = [(triage("returns", "12345", "short"), triage()), (triage("billing", None, "a much longer reply"), triage())]
    examples, answers = asked(DESK, rows)
    values = tags_of(DESK, examples, {a.example: a for a in answers})
    assert values["label category"] == [["returns"], ["billing"]]
    assert values["value order"] == [["something to find"], ["nothing to find"]]
    assert values["turns"] == [["one message"], ["one message"]]
    tags, same = tagged(values)
    assert ("label category", "billing") in {(t.by, t.value) for t in tags}
    assert same["turns"] == "one message"
    assert same["source"] == "human"
    assert "group" not in {t.by for t in tags}


def test_quarters_hold_a_quarter_each_and_repeated_values_stay_together():
    lengths = list(range(100))
    parts = quarters(lengths, "{} characters")
    assert [parts.count(part) for part in dict.fromkeys(parts)] == [25, 25, 25, 25]
    assert parts[0] == "up to 24 characters"
    assert parts[99] == "over 74 characters"
    assert set(quarters([1, 1, 1, 1, 9], "{}")) == {"up to 1", "over 1"}
    assert quarters([3, 3], "{}") == [None, None]
    assert quarters([], "{}") == []


def test_failures_are_sorted_by_what_went_wrong():
    found = measured(
        DESK,
        [
            (triage("returns", "12345"), triage("billing", "12345")),
            (triage("returns", "12345"), triage("billing", None)),
            (triage("returns", None), triage("returns", "99999")),
            (triage("returns", "12345"), triage("returns", "54321")),
            (triage(), "I am sorry."),
            (triage(), ""),
            (triage(), triage("gifts")),
            (triage(), triage(order="1")),
            (triage(), json.dumps({"category": "returns"})),
            (triage(), None),
            (triage(), triage()),
        ],
    )
    kinds_found = {(k.kind, k.field, k.wanted, k.said, k.reason): k.count for k in kinds(found)}
    assert kinds_found == {
        ("wrong_label", "category", "returns", "billing", ""): 2,
        ("missing_value", "order", None, None, ""): 1,
        ("invented_value", "order", None, None, ""): 1,
        ("wrong_value", "order", None, None, ""): 1,
        ("invalid", None, None, None, "it is no JSON"): 1,
        ("invalid", None, None, None, "it is empty"): 1,
        ("invalid", "category", None, None, "it is none of the labels"): 1,
        ("invalid", "order", None, None, "it does not match the pattern"): 1,
        ("invalid", None, None, None, "a key is missing"): 1,
        ("no_answer", None, None, None, "it failed"): 1,
    }
    first = kinds(found)[0]
    assert (first.share.value, first.share.n) == (0.2, 10)  # of the ten measured examples whose category is returns
    assert len(first.examples) == 2


def test_of_several_labels_each_missed_and_each_made_up_is_told():
    found = measured(MANY, [('{"tags": ["a", "b"]}', '{"tags": ["b", "c"]}'), ('{"tags": []}', '{"tags": []}')])
    assert [(k.kind, k.wanted, k.said) for k in kinds(found)] == [
        ("extra_label", None, "c"), ("missing_label", "a", None),
    ]  # fmt: skip


def test_a_set_of_labels_that_is_null_lacks_all_that_was_wanted():
    field = msgspec.structs.replace(MANY.fields[0], nullable=True)
    task = msgspec.structs.replace(MANY, fields=(field,))
    found = measured(task, [('{"tags": ["a"]}', '{"tags": null}'), ('{"tags": null}', '{"tags": ["c"]}'),
                            ('{"tags": ["a"]}', '{"tags": ["a"]}')])  # fmt: skip
    assert [(k.kind, k.wanted, k.said, k.share.n) for k in kinds(found)] == [
        ("extra_label", None, "c", 3), ("missing_label", "a", None, 2),
    ]  # fmt: skip


def test_sets_of_labels_are_the_same_mistake_in_any_order():
    wrong = [('{"tags": ["c"]}', said) for said in ('{"tags": ["a", "b"]}', '{"tags": ["b", "a"]}')]
    one, other = (measured(MANY, [pair]) for pair in wrong)
    assert [name for name, ids in changing(one, other).items() if ids] == ["same_wrong"]


def test_the_metric_that_tells_of_one_answer_takes_the_place_of_one_that_does_not():
    assert telling_metric(LABEL, "macro_f1") == "topic.accuracy"
    assert telling_metric(LABEL, "accuracy") == "accuracy"
    assert telling_metric(DESK, "order.field_f1") == "order.exact_match"
    assert telling_metric(DESK, None) == "all_correct"
    assert telling_metric(TEXT, None) == "reply.chrf"
    assert telling_metric(TEXT, "bleu") == "reply.chrf"
    assert telling_metric(TEXT, "rouge_l") == "rouge_l"
    thought = Field(name="reasoning", type="text", scored=False)
    assert (
        telling_metric(msgspec.structs.replace(TEXT, format="json", fields=(thought, *TEXT.fields)), None)
        == "reply.chrf"
    )
    assert telling_metric(msgspec.structs.replace(TEXT, format="json", fields=(thought,)), None) == "valid_rate"


def test_of_texts_the_lowest_quarter_fails_and_an_unreadable_one_is_lowest():
    rows = [("we send a new lamp today", "we send a new lamp today")] * 6 + [
        ("we send a new lamp today", "no"),
        ("we send a new lamp today", ""),
    ]
    found = measured(TEXT, rows, "reply.chrf")
    assert found.failing.tolist() == [False] * 6 + [True, True]
    assert found.scores[7] == 0.0
    assert {k.kind for k in kinds(found)} == {"low_text", "invalid"}
    same = measured(TEXT, rows[:6], "reply.chrf")
    assert not same.failing.any()


def test_won_lost_and_changed_add_up_and_a_slice_that_loses_is_found():
    n = 60
    one = [("returns", "billing" if i < 14 else "returns") for i in range(n)]
    other = [("returns", "shipping" if i in (12, 13) else "billing" if i == 11 or i > 56 else "returns")
             for i in range(n)]  # fmt: skip
    a, b = measured(LABEL, one), measured(LABEL, other)
    made = changes(a, b, [tag("first", np.arange(n) < 20), tag("rest", (np.arange(n) >= 20) & (np.arange(n) < 50))],
                   ("tuned", "prompt"), shown=True)  # fmt: skip
    assert made.counts == {"won": 3, "lost": 11, "changed": 2, "same_wrong": 1, "both_right": 43, "unmeasured": 0}
    assert sum(made.counts.values()) == n
    assert made.overall.difference == pytest.approx((3 - 11) / n)
    (loses,) = made.slices
    assert (loses.value, loses.found, loses.compared.losses) == ("first", True, 11)
    assert made.untold == {"tag: rest": "the two never differ there"}
    assert set(made.lost) == set(changing(a, b)["lost"])
    hidden = changes(a, b, [], ("tuned", "prompt"), shown=False)
    assert (hidden.won, hidden.lost, hidden.changed) == ((), (), ())


def test_texts_are_compared_by_the_mean_of_their_scores_in_the_unit_of_each():
    n = 40
    whole, half = "we send a new lamp today", "we send a"
    a = measured(TEXT, [(whole, whole if i % 4 else half) for i in range(n)], "reply.chrf")
    b = measured(TEXT, [(whole, whole if i % 2 else half) for i in range(n)], "reply.chrf")
    made = changes(a, b, [tag("first", np.arange(n) < 20)], ("tuned", "prompt"), shown=False)
    assert made.overall.difference == pytest.approx(a.estimate.value - b.estimate.value)
    assert 0 < made.overall.difference < 1
    (part,) = made.slices
    assert part.compared.difference == pytest.approx(a.scores[:20].mean() - b.scores[:20].mean())
    assert (part.compared.wins, part.compared.losses, made.counts["won"]) == (5, 0, 10)


def test_a_failed_answer_is_neither_won_nor_lost():
    rows = [("returns", "returns")] * 5
    a, b = measured(LABEL, rows), measured(LABEL, [("returns", None), *rows[1:]])
    assert changing(a, b)["unmeasured"] == [a.examples[0].id]


@pytest.mark.parametrize(
    ("texts", "others", "name"),
    [
        (["my refund, twice", "a refund twice over"], ["where is my lamp", "a lamp is here"], "refund, twice"),
        (["החזר כספי בבקשה", "רוצה החזר כספי"], ["איפה החבילה שלי"], "החזר, כספי"),
        (["返品したい", "返品の件"], ["配送したい", "配送の件"], "返品"),
        (["re\u200bfund now", "refund later"], ["later", "now"], "refund"),
        (["???", "!!!"], ["hello"], NAMELESS),
        (["", ""], [], NAMELESS),
    ],
)  # fmt: skip
def test_a_cluster_has_the_words_that_set_it_apart_in_any_script(texts, others, name):
    assert named([terms(t) for t in texts], [terms(t) for t in others]) == name


def test_clusters_are_sorted_by_size_with_their_labels_and_most_typical_examples():
    found = labelled({0, 1, 2}, 6)
    made = clustered(found, np.array([0, 0, 1]), np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32))
    assert [c.count for c in made] == [2, 1]
    assert made[0].labels == {"returns": 2}
    assert set(made[0].examples) == {found.examples[0].id, found.examples[1].id}


def test_the_queue_puts_what_is_shown_to_fail_first_and_says_why():
    rows = [("shipping", "billing" if i < 9 else "shipping") for i in range(12)]
    rows += [("billing", "returns" if i < 2 else "billing") for i in range(40)]
    rows += [("returns", "returns")] * 40
    found = measured(LABEL, rows)
    tags, _ = tagged(tags_of(LABEL, found.examples, found.answers))
    tags = [t for t in tags if t.by == "label topic"]
    support = {("label topic", "shipping"): Support(4, 30.0, "train examples of this sort"),
               ("label topic", "billing"): Support(30, 17.0, "train examples of this sort")}  # fmt: skip
    made = queue(found, sliced(found, tags), tags, support, kinds(found), None)
    (first, *_) = made
    assert (first.rank, first.do, first.value, first.count, first.support) == (1, "gather", "shipping", 26, 4)
    assert first.found
    assert "9 of 12 fail (75%" in first.because
    assert "4 train examples of this sort, others have 30" in first.because
    assert set(first.like) <= {e.id for e, fails in zip(found.examples, found.failing, strict=True) if fails}


def test_what_nearly_all_examples_are_is_nothing_to_look_for():
    rows = [("shipping", "billing" if i < 2 else "shipping") for i in range(3)]
    rows += [("returns", "billing" if i < 5 else "returns") for i in range(12)]
    rows += [("billing", "returns" if i == 13 else "billing") for i in range(14)]
    found = measured(LABEL, rows)
    whole = Tagged("language", "en", np.array([True] * 23 + [False] * 6))
    tags = [whole, *(t for t in tagged(tags_of(LABEL, found.examples, found.answers))[0] if t.by == "label topic")]
    made = queue(found, sliced(found, tags), tags, {}, [], None)
    assert "returns" in {item.value for item in made}
    assert "en" not in {item.value for item in made}


def test_a_label_mixed_up_although_there_is_enough_of_it_is_to_be_made_clear():
    rows = [("shipping", "billing" if i < 9 else "shipping") for i in range(12)] + [("returns", "returns")] * 40
    found = measured(LABEL, rows)
    tags = [t for t in tagged(tags_of(LABEL, found.examples, found.answers))[0] if t.by == "label topic"]
    support = {("label topic", "shipping"): Support(50, 30.0, "train examples of this sort")}
    (first,) = queue(found, sliced(found, tags), tags, support, kinds(found), None)
    assert (first.do, first.count) == ("clarify", 0)
    assert "taken for 'billing'" in first.because


def test_where_none_is_right_although_there_is_enough_somebody_looks_first():
    rows = [("shipping", ("billing", "returns")[i % 2]) for i in range(12)] + [("returns", "returns")] * 40
    found = measured(LABEL, rows)
    tags = [t for t in tagged(tags_of(LABEL, found.examples, found.answers))[0] if t.by == "label topic"]
    few, many = (Support(train, 30.0, "train examples of this sort") for train in (29, 200))
    asked = [queue(found, sliced(found, tags), tags, {("label topic", "shipping"): support}, [], None)
             for support in (few, many)]  # fmt: skip
    assert [(item.do, item.count) for (item,) in asked] == [("gather", 29), ("look", 0)]


def test_contenders_that_say_the_same_agree_whatever_they_write_beside_it():
    rows = [(triage(), triage(reply="one")), (triage(), triage("billing"))]
    examples, answers = asked(DESK, rows)
    others = [answer(DESK, examples[0], triage(reply="two")), answer(DESK, examples[1], triage())]
    given = {"a": {x.example: x for x in answers}, "b": {x.example: x for x in others}}
    assert disagreements(DESK, [e.id for e in examples], given).tolist() == [0.0, 1.0]
    lone = disagreements(DESK, [e.id for e in examples], {"a": given["a"]})
    assert np.isnan(lone).all()
    failed = {"a": given["a"], "b": {examples[0].id: failure(examples[0])}}
    assert np.isnan(disagreements(DESK, [examples[0].id], failed)).all()


def test_a_label_is_doubted_where_contenders_and_neighbours_agree_on_another():
    train = [Example.make((Message(role="user", content=f"t{i}"),), said) for i, said in
             enumerate(["billing", "billing", "billing", "billing", "returns"])]  # fmt: skip
    rows = [example(1, "returns"), example(2, "returns")]
    near = np.array([[0, 1, 2, 3, 4], [4, 0, 1, 4, 4]])

    def say(*texts):
        return {e.id: answer(LABEL, e, text) for e, text in zip(rows, texts, strict=True)}

    kind_of = {"tuned": "tuned", "tuned+schema": "tuned", "classifier": "classifier", "constant": "constant"}
    agreeing = {"tuned": say("billing", "billing"), "classifier": say("billing", "billing")}
    (doubt,) = doubtful_labels(LABEL, rows, agreeing, kind_of, train, near)
    assert (doubt.example, doubt.wanted, doubt.said) == (rows[0].id, "returns", "billing")
    assert (doubt.neighbours, doubt.neighbours_wanted) == (4, 1)
    twins = {"tuned": say("billing", "billing"), "tuned+schema": say("billing", "billing")}
    assert doubtful_labels(LABEL, rows, twins, kind_of, train, near) == []
    apart = agreeing | {"classifier": say("shipping", "billing")}
    assert doubtful_labels(LABEL, rows, apart, kind_of, train, near) == []
    with_constant = {"tuned": say("billing", "billing"), "constant": say("billing", "billing")}
    assert doubtful_labels(LABEL, rows, with_constant, kind_of, train, near) == []


@pytest.mark.parametrize(
    "said",
    ["returns", "billing", "", "x" * 100_000, "הַחְזָרָה", "re\u200bturns", None],
    ids=["all right", "all wrong", "empty", "100 kB", "right to left", "zero-width", "all failed"],
)
def test_all_alike_says_that_nothing_can_be_told(said):
    found = measured(LABEL, [("returns", said)] * 12)
    tags, same = tagged(tags_of(LABEL, found.examples, found.answers))
    assert same["label topic"] == "returns"
    assert not any(s.found for s in sliced(found, [*tags, tag("half", np.arange(12) < 6)]))
    counts = [k.count for k in kinds(found)]
    assert counts == ([] if said == "returns" else [12])
    assert (found.estimate is None) == (said is None)


def test_no_examples_is_an_error_that_says_what_to_do():
    with pytest.raises(NothingToMeasure, match="To mend it"):
        outcomes(LABEL, [], {}, "accuracy")
