"""Precision, recall and F1 over all value fields together: by hand, by sets, and beside nervaluate."""

import json

import pytest
from hypothesis import strategies as st
from tests.evaluation.desk import DESK, LABEL, TEXT, answer, asked, triage
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.evaluation import compare
from tunesmith.evaluation.bar import verdict
from tunesmith.evaluation.metrics import default_names, metric, names
from tunesmith.evaluation.scored import Scored

SLOTS = ("people", "date", "time", "first_name", "last_name")
BOOKING = Task(name="booking", fields=tuple(Field(name=n, type="value", nullable=True) for n in SLOTS))
PARTS = ("precision", "recall", "f1")


def booking(**said):
    return json.dumps({name: said.get(name) for name in SLOTS})


def material(*rows, groups=()):
    return Scored.of(BOOKING, *asked(BOOKING, rows, groups))


def figures(scored):
    """Precision, recall and F1; 0 where there is no number, as nervaluate and seqeval say."""
    found = []
    for part in PARTS:
        try:
            found.append(metric[f"entity_{part}"](scored).value)
        except NothingToMeasure:
            found.append(0.0)
    return found


def test_entities_worked_by_hand():
    rows = [
        (booking(people="two", time="19:30"), booking(people="two", time="19:30", date="today")),
        (booking(first_name="Ann", last_name="Lee"), booking(first_name="Lee", last_name="Ann")),  # crossed
        (booking(people="4"), booking(people="four")),
        (booking(date="Friday"), "no idea"),
        (booking(), booking()),
    ]
    # right: people, time; answered: 3 + 2 + 1; true: 2 + 2 + 1 + 1
    assert figures(material(*rows)) == pytest.approx([2 / 6, 2 / 6, 4 / 12])
    estimate = metric["entity_f1"](material(*rows))
    assert estimate.n == 4  # nothing to find and nothing answered says nothing
    assert 0 < estimate.low < estimate.value < estimate.high < 1


def test_frequent_fields_count_most():
    rows = [(booking(people=str(i)), booking(people=str(i))) for i in range(9)] + [(booking(date="today"), booking())]
    assert metric["entity_recall"](material(*rows)).value == pytest.approx(0.9)  # the mean of the fields' is 0.5


def test_two_spellings_of_an_accented_letter_are_one_value():
    assert figures(material((booking(first_name="Zo\u00eb"), booking(first_name="Zoe\u0308")))) == [1, 1, 1]


def test_groups_widen_the_interval():
    rows = [(booking(people="1"), booking(people="1")), (booking(people="2"), booking(people="3"))] * 20
    alone = metric["entity_f1"](material(*rows))
    pairs = metric["entity_f1"](material(*rows, groups=[str(i % 2) + str(i // 8) for i in range(40)]))
    assert pairs.value == alone.value
    assert pairs.low < alone.low < alone.high < pairs.high


def test_nothing_found_anywhere_has_no_number():
    with pytest.raises(NothingToMeasure, match=r"entity_f1 cannot be measured: None of 1 answers"):
        metric["entity_f1"](material((booking(), booking())))
    with pytest.raises(NothingToMeasure, match="no value field"):
        metric["entity_f1"](Scored.of(LABEL, *asked(LABEL, [("returns", "returns")])))


def test_pooled_figures_are_of_tasks_with_values_and_measured_where_there_are_several():
    pooled = {f"entity_{part}" for part in PARTS}
    assert pooled <= set(default_names(BOOKING))
    assert pooled <= set(names(DESK))
    assert not pooled & set(default_names(DESK))
    assert not pooled & (set(names(LABEL)) | set(names(TEXT)))


def test_of_one_field_they_are_what_its_own_metrics_say():
    rows = [(triage(order=t), triage(order=s)) for t, s in [("10001", "10001"), ("10002", None), (None, "10003")]]
    scored = Scored.of(DESK, *asked(DESK, rows))
    for part in PARTS:
        assert metric[f"entity_{part}"](scored) == metric[f"field_{part}"](scored)


def test_they_are_compared_and_can_be_the_bar():
    rows = [(booking(people=str(i), date="today"), booking(people=str(i), date="today")) for i in range(30)]
    examples, good = asked(BOOKING, rows)
    _, poor = asked(BOOKING, [(true, booking(people="0")) for true, _ in rows])
    found = compare(BOOKING, examples, good, poor, "entity_f1")
    assert (found.wins, found.losses) == (30, 0)
    assert found.low > 0.5
    assert verdict(metric["entity_f1"](Scored.of(BOOKING, examples, good)), 0.8, "entity_f1").verdict == "met"


VALUES = st.fixed_dictionaries({name: st.none() | st.sampled_from(["a", "b", "a b", " a"]) for name in SLOTS})
SAID = VALUES | st.just(None)  # None: an answer that cannot be read


@beside(st.lists(st.tuples(VALUES, SAID), min_size=1, max_size=10))
def test_entities_are_counted_as_sets_of_row_field_and_value(rows):
    sides = [
        {(i, name, text) for i, row in enumerate(rows) for name, text in (row[side] or {}).items() if text is not None}
        for side in (0, 1)
    ]
    right, true, said = len(sides[0] & sides[1]), *map(len, sides)
    expected = [right / said if said else 0, right / true if true else 0, 2 * right / (said + true or 1)]
    told = [(json.dumps(true), "?" if said is None else json.dumps(said)) for true, said in rows]
    assert figures(material(*told)) == pytest.approx(expected)


WORDS = ["book", "two", "for", "two", "people", "this", "evening", "for", "please"]
"""With words that come twice: a value is its text, so spans are told apart where their texts differ."""
SPANS = st.none() | st.tuples(st.integers(0, 8), st.integers(1, 4)).map(lambda at: (at[0], min(9, sum(at))))


@beside(st.lists(st.tuples(*[st.tuples(SPANS, SPANS)] * len(SLOTS)), min_size=1, max_size=5))
def test_several_spans_a_row_are_scored_as_nervaluate_does(rows):
    nervaluate = pytest.importorskip("nervaluate")

    def text(span):
        return None if span is None else " ".join(WORDS[slice(*span)])

    def entity(name, span):
        # nervaluate knows places where we know texts, so a text stands for its first place
        begin = None if span is None else f" {' '.join(WORDS)} ".index(f" {text(span)} ")
        return [] if begin is None else [{"label": name, "start": begin, "end": begin + len(text(span)) - 1}]

    prompt = " ".join(WORDS)
    examples, answers, sides = [], [], ([], [])
    for i, row in enumerate(rows):
        true, said = ({name: text(pair[side]) for name, pair in zip(SLOTS, row, strict=True)} for side in (0, 1))
        examples.append(Example.make((Message(role="user", content=f"{prompt} ({i})"),), json.dumps(true)))
        answers.append(answer(BOOKING, examples[-1], json.dumps(said)))
        for side in (0, 1):  # a field is a document of its own: nervaluate lets a wrong span use up another field's
            sides[side].extend(entity(name, pair[side]) for name, pair in zip(SLOTS, row, strict=True))
    theirs = nervaluate.Evaluator(*sides, tags=list(SLOTS), loader="dict").evaluate()["overall"]["strict"]
    assert figures(Scored.of(BOOKING, examples, answers)) == pytest.approx([getattr(theirs, part) for part in PARTS])
