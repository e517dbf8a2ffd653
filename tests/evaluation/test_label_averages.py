"""Averages over labels against scikit-learn, over random and one-sided answers."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.evaluation.desk import LABELS, asked
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.metrics import metric
from tunesmith.evaluation.scored import Scored

TASK = Task(name="topic", fields=(Field(name="topic", type="label", labels=LABELS),), format="plain")
MANY = Task(name="tags", fields=(Field(name="tags", type="label", labels=LABELS, multiple=True),), format="plain")
AVERAGES = [f"{how}_{what}" for how in ("macro", "micro", "weighted") for what in ("precision", "recall", "f1")]

ROWS = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "no idea"])), min_size=1, max_size=40)
SETS = st.lists(
    st.tuples(*2 * [st.sets(st.sampled_from(LABELS), min_size=1).map(lambda tags: ", ".join(sorted(tags)))]),
    min_size=1, max_size=25,
)  # fmt: skip


def value(name, task, rows):
    try:
        return metric[name](Scored.of(task, *asked(task, rows))).value
    except NothingToMeasure:
        return None


def theirs(name, true, said, labels):
    from sklearn.metrics import f1_score, precision_score, recall_score

    how, _, what = name.partition("_")
    of = {"precision": precision_score, "recall": recall_score, "f1": f1_score}[what]
    return of(true, said, labels=labels, average=how, zero_division=0)


@beside(ROWS, st.sampled_from(AVERAGES))
def test_averages_are_those_of_scikit_learn(rows, name):
    true, said = zip(*rows, strict=True)
    present = sorted({*true, *said} - {"no idea"})
    found = value(name, TASK, rows)
    if found is None:  # scikit-learn says 0 of nothing
        assert set(said) == {"no idea"}
        assert name == "micro_precision"
    else:
        assert found == pytest.approx(theirs(name, true, said, present))


@beside(SETS, st.sampled_from(AVERAGES))
def test_averages_of_several_labels_at_once_are_those_of_scikit_learn(rows, name):
    true, said = (np.array([[label in row[side].split(", ") for label in LABELS] for row in rows]) for side in (0, 1))
    present = [i for i in range(len(LABELS)) if true[:, i].any() or said[:, i].any()]
    assert value(name, MANY, rows) == pytest.approx(theirs(name, true, said, present))


@beside(ROWS)
def test_mcc_is_that_of_scikit_learn(rows):
    from sklearn.metrics import matthews_corrcoef

    true, said = zip(*rows, strict=True)
    found = value("mcc", TASK, rows)
    if len(set(true)) == 1:
        assert found is None
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert found == pytest.approx(matthews_corrcoef(true, said), abs=1e-12)


def test_an_answer_whose_label_was_taken_out_since_counts_as_none_of_them():
    examples, answers = asked(TASK, [("returns", "returns"), ("billing", "billing"), ("billing", "returns")] * 3)
    old = [replace(answers[0], text="complaints", fields={"topic": "complaints"}), *answers[1:]]
    unreadable = [replace(answers[0], text="?", fields=None), *answers[1:]]
    found = (metric["mcc"](Scored.of(TASK, examples, given)) for given in (old, unreadable))
    assert next(found).value == next(found).value


def test_mcc_worked_by_hand():
    # truths 3 returns, 1 billing; answers 2 and 2; 3 right of 4: (12 - 8) / sqrt((16 - 10) (16 - 8)) = 0.57735
    rows = [("returns", "returns")] * 2 + [("returns", "billing"), ("billing", "billing")]
    estimate = metric["mcc"](Scored.of(TASK, *asked(TASK, rows)))
    assert estimate.value == pytest.approx(4 / np.sqrt(48))
    assert -1 <= estimate.low < estimate.value < estimate.high <= 1


def test_answers_that_are_always_wrong_correlate_negatively():
    estimate = metric["mcc"](Scored.of(TASK, *asked(TASK, [("returns", "billing"), ("billing", "returns")] * 3)))
    assert estimate.value == pytest.approx(-1)
    assert estimate.low == pytest.approx(-1)


def test_one_class_only_has_no_correlation():
    assert value("mcc", TASK, [("returns", "returns"), ("returns", "billing")]) is None


def test_several_labels_at_once_have_no_correlation():
    with pytest.raises(NothingToMeasure, match=r"several labels at once\.\n  To mend it: use micro_f1"):
        metric["mcc"](Scored.of(MANY, *asked(MANY, [("returns", "returns, billing")])))


def test_two_contenders_are_compared_by_correlation():
    rows = [("returns", "returns"), ("billing", "billing"), ("shipping", "shipping")] * 5
    examples, right = asked(TASK, rows)
    _, wrong = asked(TASK, [(true, "returns") for true, _ in rows])
    found = compare(TASK, examples, right, wrong, "mcc")
    assert (found.difference, found.wins, found.losses) == (pytest.approx(1.0), 10, 0)
    assert 0 < found.low < found.difference <= found.high <= 2
    assert found.p_value < 0.01


@pytest.mark.parametrize(("name", "losses"), [("weighted_f1", 2), ("weighted_precision", 2), ("weighted_recall", 0)])
def test_a_label_where_none_is_true_loses_to_none(name, losses):
    task = Task(name="t", fields=(Field(name="topic", type="label", labels=LABELS, nullable=True),))
    said = [json.dumps({"topic": topic}) for topic in ("returns", "billing", None)]
    examples, right = asked(task, [(s, s) for s in said * 4])
    _, eager = asked(task, [(s, said[1] if s == said[2] and n < 6 else s) for n, s in enumerate(said * 4)])
    found = compare(task, examples, eager, right, name)
    # two of four nulls are taken for billing, which is right in 4 of the 6 answers that then say so
    assert found.difference == pytest.approx({"weighted_f1": (1 + 0.8) / 2, "weighted_precision": (1 + 4 / 6) / 2}.get(
        name, 1) - 1)  # fmt: skip
    assert (found.wins, found.losses) == (0, losses)
