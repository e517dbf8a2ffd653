"""Parts of values: precision and recall, spans that overlap."""

import json

import pytest
from hypothesis import strategies as st
from tests.evaluation.desk import answer
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.metrics import metric
from tunesmith.evaluation.scored import Scored

TASK = Task(name="span", fields=(Field(name="span", type="value", nullable=True),), format="json")


def material(*rows):
    """From (prompt, true value, answered value)."""
    examples = [
        Example.make((Message(role="user", content=prompt),), json.dumps({"span": true})) for prompt, true, _ in rows
    ]
    said = [answer(TASK, e, json.dumps({"span": s})) for e, (_, _, s) in zip(examples, rows, strict=True)]
    return Scored.of(TASK, examples, said)


def value(name, *rows):
    return metric[name](material(*rows)).value


BOOKING = "a table for two people at half past seven please"


def test_precision_and_recall_worked_by_hand():
    rows = [
        (BOOKING, "two people", "two people"),
        (BOOKING + ".", "half past seven", "seven"),
        (BOOKING + "!", None, "please"),
        (BOOKING + "?", "a table", None),
        (BOOKING + "..", None, None),
    ]
    assert value("field_precision", *rows) == pytest.approx(1 / 3)
    assert value("field_recall", *rows) == pytest.approx(1 / 3)
    # as nervaluate's "partial": (1 right + 0.5 for the overlap) of 3 answered and of 3 true
    assert value("partial_f1", *rows) == pytest.approx(1.5 / 3)
    assert value("field_f1", *rows) == pytest.approx(1 / 3)


def test_who_answers_null_always_has_no_precision():
    with pytest.raises(NothingToMeasure, match="field_precision"):
        value("field_precision", (BOOKING, "two people", None))


def test_values_that_only_look_alike_do_not_overlap():
    assert value("partial_f1", ("seven guests, table seven", "seven guests", "table")) == 0
    assert value("partial_f1", ("at 19:30", "7:30 pm", "7:30")) == 0  # the true value is no span of the prompt
    assert value("partial_f1", ("aXa bXb", "aXa", "Xa b")) == 0.5


TEXT = st.text("ab ", min_size=1, max_size=12)


@beside(TEXT.filter(str.strip), st.data())
def test_overlap_is_that_of_all_places_compared_by_hand(prompt, data):
    one, other = (data.draw(st.text("ab", min_size=1, max_size=4)) for _ in range(2))
    places = [
        [range(i, i + len(part)) for i in range(len(prompt)) if prompt.startswith(part, i)] for part in (one, other)
    ]
    overlap = any(set(a) & set(b) for a in places[0] for b in places[1])
    expected = 1.0 if one == other else 0.5 if overlap else 0.0
    assert value("partial_f1", (prompt, one, other)) == expected


WORDS = ["book", "one", "table", "for", "two", "people", "this", "evening", "please"]
SPANS = st.none() | st.tuples(st.integers(0, 8), st.integers(1, 4)).map(lambda at: (at[0], min(9, sum(at))))


@beside(st.lists(st.tuples(SPANS, SPANS), min_size=1, max_size=12))
def test_spans_are_scored_as_nervaluate_does(rows):
    nervaluate = pytest.importorskip("nervaluate")

    def text(span):
        return None if span is None else " ".join(WORDS[slice(*span)])

    def entity(span):
        begin = 0 if span is None or not span[0] else len(" ".join(WORDS[: span[0]])) + 1
        return [] if span is None else [{"label": "x", "start": begin, "end": begin + len(text(span)) - 1}]

    prompt = " ".join(WORDS)  # no word of it is within another place
    ours = material(*((f"{prompt} ({i})", text(true), text(said)) for i, (true, said) in enumerate(rows)))
    sides = [[entity(row[side]) for row in rows] for side in (0, 1)]
    theirs = nervaluate.Evaluator(*sides, tags=["x"], loader="dict").evaluate()["overall"]
    for schema, name, part in (
        ("partial", "partial_f1", "f1"),
        ("exact", "field_f1", "f1"),
        ("exact", "field_precision", "precision"),
        ("exact", "field_recall", "recall"),
    ):
        try:
            found = metric[name](ours).value
        except NothingToMeasure:  # nervaluate says 0 of nothing
            found = 0
        assert found == pytest.approx(getattr(theirs[schema], part))
