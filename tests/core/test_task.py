import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tunesmith.core.errors import TunesmithError
from tunesmith.core.task import Field, Task

TRIAGE = Task(
    name="triage",
    fields=(
        Field(name="category", type="label", labels=("returns", "billing")),
        Field(name="order", type="value", pattern=r"\d{5}", nullable=True),
        Field(name="reply", type="text"),
    ),
)
GOOD = {"category": "returns", "order": "48213", "reply": "We are on it."}


def test_what_is_rendered_is_read_back():
    assert TRIAGE.parse(TRIAGE.render(GOOD)).fields == GOOD


@pytest.mark.parametrize(
    ("completion", "problem"),
    [
        ("sure, here it is", "not JSON"),
        ('{"category": "returns"', "not JSON"),
        ("[1, 2]", "not an object"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "reply"}), "no reply"),
        (json.dumps(GOOD | {"extra": 1}), "unknown key 'extra'"),
        (json.dumps(GOOD | {"category": "refund"}), "'refund', which is not one of its labels"),
        (json.dumps(GOOD | {"category": None}), "category is null"),
        (json.dumps(GOOD | {"order": 48213}), "order is 48213, not a text"),
        (json.dumps(GOOD | {"order": "482"}), "does not match"),
        (json.dumps(GOOD | {"reply": "  "}), "reply is empty"),
        (json.dumps(GOOD | {"reply": "\ud83d"}), "half a character"),
        ("[" * 100_000, "nested more than 200 deep"),
        ('{"category":' * 3_000, "nested more than 200 deep"),
    ],
)
def test_what_a_program_could_not_use_is_not_read(completion, problem):
    parsed = TRIAGE.parse(completion)
    assert parsed.fields is None
    assert problem in parsed.problem


@given(st.text())
def test_any_text_is_either_read_or_has_a_problem(text):
    parsed = TRIAGE.parse(text)
    assert (parsed.fields is None) == (parsed.problem is not None)


def test_a_plain_label_is_its_text():
    task = Task(name="t", fields=(Field(name="intent", type="label", labels=("a", "b")),), format="plain")
    assert task.parse(" a\n").fields == {"intent": "a"}
    assert "not one of its labels" in task.parse("c").problem
    assert task.constraint().choices == ("a", "b")


def test_plain_values_and_several_labels_are_constrained_by_a_pattern():
    value = Field(name="order", type="value", pattern=r"\d{5}")
    free = Field(name="order", type="value")
    assert Task(name="t", format="plain", fields=(value,)).constraint().pattern == r"(?:\d{5})"
    assert Task(name="t", format="plain", fields=(replace(value, nullable=True),)).constraint().pattern == r"(?:\d{5})?"
    assert Task(name="t", format="plain", fields=(free,)).constraint() is None
    looks_ahead = replace(value, pattern=r"(?!0)\d+")  # answers can be free; constrained ones would be refused
    assert Task(name="t", format="plain", fields=(looks_ahead,)).constraint() is None
    anchored = replace(value, pattern=r"^\d{4}$", nullable=True)
    assert Task(name="t", format="plain", fields=(anchored,)).constraint().pattern == r"(?:\d{4})?"
    several = Task(
        name="t", format="plain", fields=(Field(name="f", type="label", labels=("a.b", "c"), multiple=True),)
    )
    pattern = several.constraint().pattern
    for text in ("", "c", "a.b, c", "c, c", "a_b", "c,", "a.b, c, c"):
        allowed = re.fullmatch(pattern, text) is not None
        assert allowed == (text not in ("a_b", "c,", "a.b, c, c"))


def test_a_plain_label_may_be_nothing_where_it_is_nullable_under_constraint_too():
    field = Field(name="intent", type="label", labels=("a", "b"), nullable=True)
    task = Task(name="t", fields=(field,), format="plain")
    assert task.constraint().choices == ("a", "b", "")
    assert [task.parse(said).fields for said in task.constraint().choices] == [
        {"intent": "a"}, {"intent": "b"}, {"intent": None},
    ]  # fmt: skip


def test_a_plain_value_may_be_nothing_where_it_is_nullable():
    task = Task(name="t", fields=(Field(name="date", type="value", nullable=True),), format="plain")
    assert task.parse("").fields == {"date": None}
    assert task.render({"date": None}) == ""


def test_several_labels_at_once_are_a_list():
    task = Task(
        name="t", fields=(Field(name="topics", type="label", labels=("a", "b"), multiple=True),), format="plain"
    )
    assert task.parse("a, b").fields == {"topics": ["a", "b"]}
    assert task.render({"topics": ["a", "b"]}) == "a, b"


@pytest.mark.parametrize(
    ("fields", "format", "mend"),
    [
        ((), "json", "at least one"),
        ((Field(name="a", type="text"), Field(name="a", type="text")), "json", "rename one"),
        ((Field(name="a", type="text"), Field(name="b", type="text")), "plain", "format: json"),
        ((Field(name="a", type="label"),), "plain", "list them"),
        ((Field(name="a", type="value", pattern="("),), "plain", "correct `pattern`"),
    ],
)
def test_a_task_that_cannot_be_is_refused_with_its_mend(fields, format, mend):
    with pytest.raises(TunesmithError, match=mend):
        Task(name="t", fields=fields, format=format)


def test_the_schema_names_every_field_and_allows_null_only_where_the_task_does():
    schema = TRIAGE.schema()
    assert schema["required"] == ["category", "order", "reply"]
    assert schema["properties"]["order"]["anyOf"][1] == {"type": "null"}
    assert schema["properties"]["category"] == {"type": "string", "enum": ["returns", "billing"]}


def test_spans_tell_where_each_value_stands_in_a_json_completion():
    task = Task(
        name="t",
        fields=(
            Field(name="kind", type="label", labels=("a", "b")),
            Field(name="order", type="value", nullable=True),
            Field(name="said", type="text"),
        ),
    )
    completion = '{"kind" : "a",\n "order": null, "said": "the \\"kind\\": \\u00fc"}'
    found = {name: completion[begin:end] for name, (begin, end) in task.spans(completion).items()}
    assert found == {"kind": '"a"', "order": "null", "said": '"the \\"kind\\": \\u00fc"'}
    turned = task.spans('{"said": "x", "kind": "b", "order": "1"}')
    assert turned == {"said": (9, 12), "kind": (22, 25), "order": (36, 39)}
    assert task.spans('{"kind": "c"}') == {}


def test_a_plain_completion_has_no_parts():
    assert Task(name="t", format="plain", fields=(Field(name="f", type="text"),)).spans("some text") == {}
