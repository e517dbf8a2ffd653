import json
import time

import msgspec
import pytest
from tests.evaluation.desk import DESK, LABEL, TEXT, answer, asked, example, failure, triage

from tunesmith.core.codec import decode, encode
from tunesmith.core.errors import NothingToMeasure, TunesmithError, UnknownName
from tunesmith.core.statistics import wilson_interval
from tunesmith.core.task import Field, Task
from tunesmith.evaluation import Scores, score
from tunesmith.evaluation.metrics import find

ROWS = [
    (triage("returns", "10001"), triage("returns", "10001")),
    (triage("billing", None), triage("returns", None)),
    (triage("billing", "10002"), "sorry?"),
    (triage("shipping", None), None),
]


@pytest.fixture
def scores() -> Scores:
    return score(DESK, *asked(DESK, ROWS))


def test_every_metric_that_applies_is_there(scores):
    assert {"all_correct", "valid_rate", "accuracy", "category.macro_f1", "order.field_f1", "reply.chrf"} <= set(
        scores.metrics
    )
    assert scores.metrics["accuracy"] == scores.metrics["category.accuracy"]
    assert {name.rpartition(".")[2] for name in scores.unmeasured} == {"brier", "calibration_error"}


def test_failed_answers_are_counted_and_in_no_metric(scores):
    assert (scores.examples, scores.failed, scores.unreadable) == (4, 1, 1)
    assert {e.skipped for name, e in scores.metrics.items() if find(DESK, name).metric.of != "text"} == {1}
    assert scores.metrics["all_correct"].value == pytest.approx(1 / 3)


def test_texts_skip_the_unreadable_answer_as_well(scores):
    assert (scores.metrics["chrf"].n, scores.metrics["chrf"].skipped) == (2, 2)


def test_each_example_says_whether_it_is_right():
    examples, answers = asked(DESK, ROWS)
    assert list(score(DESK, examples, answers).correct.items()) == [
        (e.id, right) for e, right in zip(examples, (True, False, False, None), strict=True)
    ]


def test_the_tables_are_by_field_and_label(scores):
    found = scores.per_class["category"]["returns"]
    assert (found.precision, found.recall, found.support) == (0.5, 1.0, 1)
    assert scores.confusion["category"] == {"returns": {"returns": 1}, "billing": {"returns": 1, "(unreadable)": 1}}


def test_the_novel_part_is_measured_apart():
    examples, answers = asked(DESK, ROWS)
    novel = score(DESK, examples, answers, novel={examples[1].id, examples[2].id}).novel
    assert (novel["accuracy"].value, novel["accuracy"].n) == (0.0, 2)
    assert score(DESK, examples, answers).novel == {}


def test_metrics_can_be_named():
    assert set(score(DESK, *asked(DESK, ROWS), metrics=["bleu", "order.exact_match"]).metrics) == {
        "bleu",
        "order.exact_match",
    }
    with pytest.raises(UnknownName, match="did you mean 'bleu'"):
        score(DESK, *asked(DESK, ROWS), metrics=["blue"])


def test_what_has_no_number_has_a_reason():
    scores = score(DESK, *asked(DESK, [(triage(), None)]))
    assert scores.metrics == {}
    assert scores.unmeasured["accuracy"].startswith("accuracy of 'category' cannot be measured")
    assert (scores.per_class, scores.confusion, scores.latency_seconds) == ({}, {}, None)


def test_no_examples_have_no_scores():
    with pytest.raises(NothingToMeasure, match=r"no examples to score on\.\n  To mend it: .*tunesmith split"):
        score(DESK, [], [])


def test_texts_alone_are_neither_right_nor_wrong():
    examples, answers = asked(TEXT, [("Yes.", "Yes.")])
    assert score(TEXT, examples, answers).correct == {examples[0].id: None}


def test_time_is_that_of_answers_that_were_made_now():
    examples = [example(i, "returns") for i in range(5)]
    seconds = [1.0, 2.0, 6.0]
    answers = [
        answer(LABEL, e, "returns", seconds=s, first_token_seconds=s / 2)
        for e, s in zip(examples, seconds, strict=False)
    ]
    answers += [answer(LABEL, examples[3], "returns", seconds=0.001, cached=True), failure(examples[4])]
    scores = score(LABEL, examples, answers)
    assert (scores.latency_seconds, scores.mean_seconds, scores.first_token_seconds) == (2.0, 3.0, 1.0)


def test_tokens_are_means_and_prices_add_up():
    examples = [example(i, "returns") for i in range(3)]
    answers = [
        answer(LABEL, examples[0], "returns", prompt_tokens=100, completion_tokens=4, usd=0.01),
        answer(LABEL, examples[1], "returns", prompt_tokens=200, completion_tokens=8),
        msgspec.structs.replace(failure(examples[2]), usd=0.02),
    ]
    scores = score(LABEL, examples, answers)
    assert (scores.prompt_tokens, scores.completion_tokens, scores.usd) == (150, 6, pytest.approx(0.03))
    assert score(LABEL, *asked(LABEL, [("returns", "returns")])).usd is None


def test_answers_to_other_examples_are_left_alone():
    examples, answers = asked(LABEL, [("returns", "returns"), ("billing", "returns")])
    answers[1] = msgspec.structs.replace(answers[1], seconds=9.0, usd=5.0)
    scores = score(LABEL, examples[:1], answers)
    assert (scores.metrics["accuracy"].value, scores.usd, scores.latency_seconds) == (1.0, None, None)


def test_two_answers_to_one_example_are_refused():
    examples, answers = asked(LABEL, [("returns", "returns")])
    with pytest.raises(TunesmithError, match=r"more than one answer\.\n  To mend it"):
        score(LABEL, examples, answers * 2)


def test_scores_are_read_back_as_they_were_written(scores):
    assert decode(encode(scores), Scores) == scores


def test_scores_are_the_same_each_time(scores):
    assert score(DESK, *asked(DESK, ROWS)) == scores


def test_three_thousand_answers_over_77_labels_take_seconds():
    labels = tuple(f"intent_{i:02d}" for i in range(77))
    task = Task(name="banking", fields=(Field(name="intent", type="label", labels=labels),), format="plain")
    rows = [(labels[i % 77], labels[(i + (i % 10 == 0)) % 77]) for i in range(3080)]
    examples, answers = asked(task, rows)
    start = time.process_time()
    scores = score(task, examples, answers)
    assert time.process_time() - start < 5
    assert scores.metrics["accuracy"].value == pytest.approx(0.9)
    assert len(scores.per_class["intent"]) == 77


# Escalating and declining

ACTION = Task(
    name="action",
    fields=(
        Field(name="action", type="label", labels=("answer", "escalate", "decline"), nullable=True),
        Field(name="tags", type="label", labels=("late", "escalate"), multiple=True, nullable=True),
    ),
)


def acting(*rows, groups=()):
    """Scores of (true action, said action or None where it cannot be read, mark)."""

    def whole(action):
        return json.dumps({"action": action, "tags": ["late", action] if action == "escalate" else ["late"]})

    examples, answers = asked(
        ACTION, [(whole(true), "?" if said is None else whole(said)) for true, said, _ in rows], groups
    )
    marked = [msgspec.structs.replace(e, edge_case=mark) for e, (_, _, mark) in zip(examples, rows, strict=True)]
    return score(ACTION, marked, answers)


def test_escalating_where_nothing_calls_for_it_worked_by_hand():
    found = acting(
        ("answer", "escalate", None),
        ("answer", "answer", None),
        ("answer", None, None),  # unreadable: wrong, but no escalation
        ("decline", "escalate", None),
        ("escalate", "escalate", None),  # not marked, yet it calls for it: not normal
        ("escalate", "answer", "escalate"),
        ("escalate", "escalate", "escalate"),
        ("decline", "escalate", "out_of_scope"),  # marked: not normal
    )
    rate = found.over_answered["escalate"]["action"]
    assert (rate.value, rate.n) == (2 / 4, 4)
    assert (rate.low, rate.high) == pytest.approx(wilson_interval(0.5, 4))
    assert found.over_answered["escalate"]["tags"].value == 2 / 4
    declined = found.over_answered["decline"]["action"]
    assert (declined.value, declined.n) == (0, 4)
    assert "tags" not in found.over_answered["decline"]
    assert found.edge_cases["escalate"]["action.accuracy"].value == 1 / 2


def test_groups_widen_the_rate_of_escalating():
    rows = [("answer", "escalate", None), ("answer", "answer", None)] * 20
    alone = acting(*rows).over_answered["escalate"]["action"]
    grouped = acting(*rows, groups=[str(i % 2) + str(i // 8) for i in range(40)]).over_answered["escalate"]["action"]
    assert grouped.low < alone.low < alone.high < grouped.high


def test_a_task_whose_labels_mean_no_edge_case_has_no_such_rate(scores):
    assert scores.over_answered == {}
    assert acting(("escalate", "escalate", "escalate")).over_answered == {}  # no normal example
