import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.desk import DESK, LABEL, LABELS, TEXT, asked, example, triage
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure, TunesmithError, UnknownName
from tunesmith.core.statistics import tally_interval, wilson_interval
from tunesmith.core.task import Field, Task
from tunesmith.evaluation import score
from tunesmith.evaluation.metrics import default_names, find, metric, names
from tunesmith.evaluation.metrics.labels import confusion, per_label
from tunesmith.evaluation.scored import Scored

GARBAGE = "I think it is a return"


def scored(task, rows, groups=(), field=None):
    material = Scored.of(task, *asked(task, rows, groups))
    return material.on(task.field(field)) if field else material


def topics(*rows, groups=()):
    return scored(LABEL, rows, groups)


# What every metric promises

OF_WORDS = [
    name for name in sorted(metric) if name not in ("brier", "calibration_error", "bertscore", "semantic_similarity")
]
"""Those that need neither probabilities nor an encoder."""


@pytest.mark.parametrize("name", sorted(metric))
def test_no_metric_answers_for_no_examples(name):
    with pytest.raises(NothingToMeasure, match=r"There are no examples\.\n  To mend it"):
        metric[name](scored(DESK, []))


@pytest.mark.parametrize("name", sorted(metric))
def test_no_metric_answers_for_failures(name):
    with pytest.raises(NothingToMeasure, match="of 2 examples 2 failed"):
        metric[name](scored(DESK, [(triage(), None), (triage("billing"), None)]))


@pytest.mark.parametrize("name", [name for name in OF_WORDS if metric[name].better == "higher"])
def test_a_perfect_contender_gets_the_top_and_an_interval_below_it(name):
    rows = [(triage(c, f"1000{i}"), triage(c, f"1000{i}")) for i, c in enumerate(LABELS)]
    estimate = metric[name](scored(DESK, rows))
    assert estimate.value == pytest.approx(metric[name].top)
    assert estimate.low < estimate.value == pytest.approx(estimate.high)
    assert (estimate.n, estimate.skipped) == (3, 0)


@pytest.mark.parametrize("name", OF_WORDS)
def test_a_failed_answer_is_skipped_and_changes_nothing_else(name):
    rows = [(triage(c, f"1000{i}"), triage("billing", "10001", "No.")) for i, c in enumerate(LABELS)]
    alone, with_failure = metric[name](scored(DESK, rows)), metric[name](scored(DESK, [*rows, (triage(), None)]))
    assert (with_failure.value, with_failure.low, with_failure.n) == (alone.value, alone.low, alone.n)
    assert (alone.skipped, with_failure.skipped) == (0, 1)


COMPLETIONS = st.builds(
    triage,
    st.sampled_from(LABELS),
    st.none() | st.sampled_from(["10001", "10002"]),
    st.sampled_from(["Yes.", "No, wait."]),
)


@given(st.lists(st.tuples(COMPLETIONS, COMPLETIONS | st.just(GARBAGE)), min_size=1, max_size=12), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_every_metric_stays_in_its_range_with_its_interval_round_it(rows, group_size):
    material = scored(DESK, rows, [str(i // group_size) for i in range(len(rows))])
    for one in metric.values():
        try:
            estimate = one(material)
        except NothingToMeasure:
            continue
        assert one.bottom <= estimate.low <= estimate.value <= estimate.high <= one.top * (1 + 1e-12)
        assert estimate.n <= len(rows) == len(material.rows)


@given(st.lists(st.tuples(COMPLETIONS, COMPLETIONS | st.just(GARBAGE)), min_size=2, max_size=8), st.randoms())
@settings(max_examples=20, deadline=None)
def test_no_metric_depends_on_the_order_of_examples(rows, random):
    examples, answers = asked(DESK, rows)
    shuffled = random.sample(examples, len(examples))
    for one in metric.values():
        first, second = (_value(one, Scored.of(DESK, e, answers)) for e in (examples, shuffled))
        assert first == pytest.approx(second, nan_ok=True)


def _value(one, material):
    try:
        return one(material).value
    except NothingToMeasure:
        return float("nan")


@pytest.mark.parametrize("name", sorted(metric))
def test_every_metric_says_what_it_means(name):
    text = " ".join(metric[name].measure.__doc__.split())
    better = {"neither": "neither higher nor lower is better"}
    assert better.get(metric[name].better, f"{metric[name].better} is better") in text
    assert f"In [{metric[name].bottom:g}, {metric[name].top:g}]" in text
    assert "unreadable" in text or name == "valid_rate"


# Whole completions


def test_all_correct_needs_every_label_and_value_and_no_text():
    rows = [
        (triage("returns", "48213", "Yes."), triage("returns", "48213", "Something else.")),
        (triage("returns", "48213"), triage("billing", "48213")),
        (triage("returns", "48213"), triage("returns", None)),
        (triage("returns"), GARBAGE),
    ]
    assert metric["all_correct"](scored(DESK, rows)).value == 1 / 4


def test_all_correct_says_nothing_of_texts_alone():
    with pytest.raises(NothingToMeasure, match="only text fields"):
        metric["all_correct"](scored(TEXT, [("Yes.", "Yes.")]))


def test_valid_rate_counts_what_can_be_read_right_or_wrong():
    rows = [(triage(), triage("billing")), (triage(), GARBAGE), (triage(), triage(order="1")), (triage(), None)]
    estimate = metric["valid_rate"](scored(DESK, rows))  # "1" is no order number: the pattern wants five digits
    assert (estimate.value, estimate.n, estimate.skipped) == (pytest.approx(1 / 3), 3, 1)


# Labels


def test_accuracy_of_strangers_has_wilsons_interval():
    estimate = metric["accuracy"](topics(*[("returns", "returns")] * 8, *[("returns", "billing")] * 2))
    assert (estimate.low, estimate.high) == pytest.approx((0.49016, 0.94332), abs=1e-5)  # worked by hand in STYLE.md


def test_accuracy_of_groups_has_a_wider_interval():
    rows = [("returns", "returns")] * 8 + [("returns", "billing")] * 2
    estimate = metric["accuracy"](topics(*rows, groups=["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"]))
    alone = wilson_interval(0.8, 10)
    assert estimate.value == 0.8
    assert estimate.low < alone.low < alone.high < estimate.high


def test_an_unreadable_answer_is_wrong():
    assert metric["accuracy"](topics(("returns", "returns"), ("returns", "no idea"))).value == 0.5


def test_macro_f1_is_the_mean_of_the_labels_worked_by_hand():
    # returns: 2 of 2 found, said 3 times: F1 4/5; billing: 1 of 2 found, said once: 2/3; shipping: left out
    rows = [("returns", "returns"), ("returns", "returns"), ("billing", "returns"), ("billing", "billing")]
    assert metric["macro_f1"](topics(*rows)).value == pytest.approx((4 / 5 + 2 / 3) / 2)


ANSWERS = st.sampled_from([*LABELS, "no idea"])


@beside(st.lists(st.tuples(st.sampled_from(LABELS), ANSWERS), min_size=1, max_size=30))
def test_labels_agree_with_scikit_learn(rows):
    from sklearn.metrics import f1_score, precision_recall_fscore_support

    true, said = zip(*rows, strict=True)
    present = sorted({*true, *said} - {"no idea"})
    material = scored(LABEL, rows, field="topic")
    theirs = f1_score(true, said, labels=present, average="macro", zero_division=0)
    assert metric["macro_f1"](material).value == pytest.approx(theirs)
    table = precision_recall_fscore_support(true, said, labels=LABELS, zero_division=np.nan)
    for label, precision, recall, f1, support in zip(LABELS, *table, strict=True):
        mine = per_label(material)[label]
        assert mine.support == support
        assert mine.precision == (None if np.isnan(precision) else pytest.approx(precision))
        assert mine.recall == (None if np.isnan(recall) else pytest.approx(recall))
        if mine.f1 is not None:
            assert mine.f1 == pytest.approx(np.nan_to_num(f1))


def test_several_labels_at_once_are_right_as_a_set():
    task = Task(name="tags", fields=(Field(name="tags", type="label", labels=LABELS, multiple=True),), format="plain")
    rows = [("returns, billing", "billing, returns"), ("returns", "returns, billing"), ("shipping", "returns")]
    material = scored(task, rows, field="tags")
    assert metric["accuracy"](material).value == pytest.approx(1 / 3)
    # returns: 2 found of 3 said, 2 true: 4/5; billing: 1 of 2 said, 1 true: 2/3; shipping: 0
    assert metric["macro_f1"](material).value == pytest.approx((4 / 5 + 2 / 3 + 0) / 3)
    assert confusion(material) == {}


def test_confusion_counts_what_was_said_for_what():
    rows = [("returns", "returns"), ("returns", "billing"), ("returns", "no idea"), ("billing", "billing")]
    found = confusion(scored(LABEL, rows, field="topic"))
    assert found == {"returns": {"returns": 1, "billing": 1, "(unreadable)": 1}, "billing": {"billing": 1}}


def test_a_null_label_is_no_label():
    task = Task(name="t", fields=(Field(name="topic", type="label", labels=LABELS, nullable=True),))
    rows = [('{"topic": null}', '{"topic": "billing"}'), ('{"topic": "billing"}', '{"topic": "billing"}')]
    material = scored(task, rows, field="topic")
    assert metric["macro_f1"](material).value == pytest.approx(2 / 3)  # billing said twice, true once
    assert confusion(material) == {"billing": {"billing": 1}, "(none)": {"billing": 1}}


# Values


def orders(*rows):
    return scored(DESK, [(triage(order=true), said if said == GARBAGE else triage(order=said)) for true, said in rows])


def test_exact_match_rewards_null_for_null():
    rows = orders(("10001", "10001"), ("10001", "10002"), (None, None), (None, "10001"), (None, GARBAGE))
    assert metric["exact_match"](rows).value == 2 / 5


def test_field_f1_does_not_worked_by_hand():
    # true values 3, said 3, right 1: F1 2/6; null for null is neither, so n is 4 of 5
    estimate = metric["field_f1"](
        orders(("10001", "10001"), ("10001", "10002"), (None, None), (None, "10001"), ("10003", GARBAGE))
    )
    assert (estimate.value, estimate.n, estimate.skipped) == (pytest.approx(2 / 6), 4, 0)


def test_field_f1_of_nothing_to_find_has_no_number():
    with pytest.raises(NothingToMeasure, match=r"field_f1.* cannot be measured: None of 2 answers"):
        metric["field_f1"](orders((None, None), (None, None)))


def test_one_value_among_many_nulls_is_not_taken_for_much_evidence():
    estimate = metric["field_f1"](orders(("10001", "10001"), *[(None, None)] * 50))
    assert (estimate.value, estimate.n) == (1.0, 1)
    assert estimate.low == 0.0


def test_two_spellings_of_an_accented_letter_are_the_same_value():
    task = Task(name="name", fields=(Field(name="name", type="value"),), format="plain")
    assert metric["exact_match"](scored(task, [("Zo\u00eb", "Zoe\u0308"), ("Zoe", "zoe")])).value == 0.5


# Names

LABELS_OWN = [
    f"category.{name}"
    for name in ("accuracy", "macro_f1", "macro_precision", "macro_recall", "micro_f1", "weighted_f1", "mcc", "brier",
                 "calibration_error")
]  # fmt: skip
VALUES_OWN = ["order.exact_match", "order.field_f1", "order.field_precision", "order.field_recall", "order.partial_f1"]
TEXTS_OWN = [f"reply.{name}" for name in ("rouge_1", "rouge_2", "rouge_l", "chrf", "length_ratio")]


def test_a_field_is_named_unless_it_is_the_only_one_of_its_type():
    assert set(default_names(DESK)) == {
        "all_correct",
        "valid_rate",
        *(n for name in (*LABELS_OWN, *VALUES_OWN, *TEXTS_OWN) for n in (name, name.rpartition(".")[2])),
    }
    others = {
        *("category.micro_precision", "category.micro_recall", "category.weighted_precision"),
        *("category.weighted_recall", "order.leaf_f1", "order.leaf_precision", "order.leaf_recall"),
        *("reply.bleu", "reply.bertscore", "reply.semantic_similarity"),
    }
    pooled = {"entity_f1", "entity_precision", "entity_recall"}  # of one value field, which has its own
    more = others | {name.rpartition(".")[2] for name in others} | pooled
    assert set(names(DESK)) - set(default_names(DESK)) == more


def test_two_label_fields_have_no_name_in_common():
    two = Task(name="t", fields=tuple(Field(name=n, type="label", labels=LABELS) for n in ("topic", "team")))
    assert "accuracy" not in names(two)
    assert find(two, "team.accuracy").field == two.field("team")
    with pytest.raises(TunesmithError, match=r"any of 2 label fields\.\n.*topic\.accuracy, team\.accuracy"):
        metric["accuracy"](scored(two, [('{"topic": "billing", "team": "billing"}', "?")]))


def test_a_text_task_has_no_all_correct():
    assert set(default_names(TEXT)) == {"valid_rate", *TEXTS_OWN, *(name.rpartition(".")[2] for name in TEXTS_OWN)}


def test_an_unknown_name_lists_the_near_ones():
    with pytest.raises(
        UnknownName, match=r"no metric of task 'triage' named 'category\.acuracy'(.|\n)*'category\.accuracy'"
    ):
        find(DESK, "category.acuracy")


def test_a_field_may_have_a_colon_in_its_name():
    fields = (Field(name="dc:title", type="text"), Field(name="dc:type", type="label", labels=LABELS))
    task = Task(name="library", fields=fields)
    assert {name: find(task, name).field.name for name in ("dc:title.chrf", "dc:type.accuracy")} == {
        "dc:title.chrf": "dc:title", "dc:type.accuracy": "dc:type",
    }  # fmt: skip
    assert all(find(task, name) == known for name, known in names(task).items())
    for encoder in ("./my.encoder", "hub:mine", "org/name"):
        found = find(task, f"dc:title.bertscore:{encoder}")
        assert (found.metric.name, found.field) == (f"bertscore:{encoder}", fields[0])
    with pytest.raises(UnknownName, match=r"named 'dc:titel.chrf'(.|\n)*'dc:title.chrf'"):
        find(task, "dc:titel.chrf")
    completion = json.dumps({"dc:title": "On Bees", "dc:type": "billing"})
    assert score(task, *asked(task, [(completion, completion)])).metrics["dc:type.accuracy"].value == 1


# Material


def test_answers_stand_beside_their_examples_whatever_their_order():
    examples, answers = asked(LABEL, [("returns", "returns"), ("billing", "shipping")])
    rows = Scored.of(LABEL, examples, answers[::-1]).rows
    assert [(r.truth, r.said) for r in rows] == [
        ({"topic": "returns"}, {"topic": "returns"}),
        ({"topic": "billing"}, {"topic": "shipping"}),
    ]


def test_what_cannot_become_a_row_is_counted_by_its_reason():
    examples, answers = asked(LABEL, [("returns", "returns"), ("billing", None), ("rubbish", "billing")])
    material = Scored.of(LABEL, [*examples, example(9, "billing")], answers)
    assert (len(material.rows), material.failed, material.unscorable, material.unanswered) == (1, 1, 1, 1)
    assert metric["accuracy"](material).skipped == 3


def test_two_answers_to_one_example_are_refused():
    examples, answers = asked(LABEL, [("returns", "returns")])
    with pytest.raises(TunesmithError, match="has more than one answer"):
        Scored.of(LABEL, examples, answers * 2)


def test_an_answer_that_another_task_read_is_unreadable():
    examples, answers = asked(LABEL, [("returns", "returns")])
    renamed = Task(name="topic", fields=(Field(name="subject", type="label", labels=LABELS),), format="plain")
    assert Scored.of(renamed, examples, answers).unreadable == 1


def test_an_interval_is_that_of_the_tally():
    material = scored(DESK, [(triage("returns"), triage(c)) for c in LABELS], field="category")
    tally = metric["macro_f1"].tally(material)
    estimate = metric["macro_f1"](material)
    assert (estimate.low, estimate.high) == pytest.approx(tally_interval(tally, np.arange(3)))
