"""Mends put right what a rule can put right, repeat themselves to nothing, and leave the rest alone."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.test_checks import GOOD, TASK, desk, example, noisy_rows

from tunesmith.core.errors import UnknownName
from tunesmith.core.examples import Origin
from tunesmith.core.task import Field, Task
from tunesmith.data.checks import Material, run_checks
from tunesmith.data.checks.encoding import repaired
from tunesmith.data.mends import mend, run_mends

TEXT = Task(name="t", format="plain", fields=(Field(name="reply", type="text"),))
EMAIL = Task(
    name="t", fields=(Field(name="email", type="value", nullable=True), Field(name="reply", type="text"))
)  # fmt: skip


def after(rows, task=TASK, only=None):
    became = {m.old.id: m.new for m in run_mends(rows, task, only)}
    return [new for row in rows if (new := became.get(row.id, row)) is not None]


@pytest.mark.parametrize(
    ("name", "prompt", "mended"),
    [
        ("encoding", "It doesnâ€™t work, cafÃ© au lait", "It doesn’t work, café au lait"),
        ("encoding", "zero\u200bwidth and a bell\x07", "zerowidth and a bell"),
        ("encoding", "lost \ufffd here", "lost \ufffd here"),
        ("encoding", "\u202bשלום\u202c", "\u202bשלום\u202c"),
        ("whitespace", "one  \r\n\r\n\r\n\r\n  two \n", "one\n\n  two"),
        ("whitespace", "def f():\n    return 1", "def f():\n    return 1"),
        ("personal_data", "write to ann@shop.de", "write to [e-mail address]"),
        ("personal_data", "the password is Gruyere-9", "the password is Gruyere-9"),
        ("secrets", "the password is Gruyere-9, or ann@shop.de", "the password is [password or key], or ann@shop.de"),
    ],
)
def test_a_prompt_is_put_right(name, prompt, mended):
    (row,) = after([example(prompt, "a fine reply")], TEXT, [name])
    assert row.prompt == mended


def test_texts_inside_json_are_put_right_and_stay_readable():
    (row,) = after([desk("hello", reply='Write to ann@shop.de, the password is "Gruyere-9", itâ€™s fine  ')])
    assert TASK.parse(row.completion).fields["reply"] == (
        "Write to [e-mail address], the password is [password or key], it’s fine"
    )


def test_what_the_task_must_extract_is_not_taken_out():
    rows = [example("I am ann@shop.de", json.dumps({"email": "ann@shop.de", "reply": "Thanks, ann@shop.de"}))]
    assert run_mends(rows, EMAIL) == []


def test_json_is_written_the_one_way_that_is_taught():
    loose = json.dumps(dict(reversed(list((GOOD | {"reply": "Ça va"}).items()))), indent=1)
    (row,) = after([example("hello", loose)])
    assert row.completion == TASK.render(GOOD | {"reply": "Ça va"})


@pytest.mark.parametrize(
    "completion",
    [
        "not json", "{'category': None}", '{"category": "ship', json.dumps(GOOD | {"category": "refund"}),
        TASK.render(GOOD)[:-1] + ', "urgency": "high"}', "",
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_says_two_things_is_left_for_people(completion):
    assert run_mends([example("hello", completion)], TASK) == []


def test_of_rows_that_say_the_same_the_earliest_stays():
    rows = [
        example(prompt, TASK.render(GOOD | {"reply": reply}), group=str(line), origin=Origin(file="a", line=line))
        for line, prompt, reply in [(3, "Where is it?", "On its way."), (1, "where is it", "on its way"), (2, "x", "y")]
    ]
    (mended,) = run_mends(rows, TASK)
    assert (mended.old, mended.new) == (rows[0], None)
    assert "says the same as a:1" in mended.reasons[0]


def test_different_answers_to_one_prompt_and_pinned_rows_stay():
    assert run_mends([desk("Hello"), desk("hello!", category="billing")], TASK) == []
    assert run_mends([desk("Hello"), desk("hello!", reply="Another reply.")], TASK) == []
    rows = [example(prompt, TASK.render(GOOD), side="test") for prompt in ("Hello", "hello!")]
    assert run_mends(rows, TASK) == []


def test_what_becomes_equal_is_kept_once():
    rows = [desk("It doesn’t work"), desk("It doesnâ€™t work")]
    assert len(after(rows)) == 1
    assert len(after(rows, only=["encoding"])) == 2


def test_all_else_of_a_row_is_kept():
    row = desk("cafÃ©", reply="fine").__class__.make(
        desk("cafÃ©").messages, TASK.render(GOOD), group="g", category="c", edge_case="decline", source="expert",
        side="test", origin=Origin(file="a", line=1), lineage=("x",),
    )  # fmt: skip
    (new,) = after([row])
    names = ("group", "category", "edge_case", "source", "side", "origin", "lineage", "completion")
    assert [getattr(new, n) for n in names] == [getattr(row, n) for n in names]
    assert new.id != row.id


def test_an_unknown_mend_lists_the_near_ones():
    with pytest.raises(UnknownName, match="did you mean 'whitespace'"):
        run_mends([], TASK, ["whitspace"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=20)), max_size=6))
def test_mending_twice_changes_nothing_more(texts):
    rows = list({row.id: row for row in (example(p, c) for p, c in texts)}.values())
    once = list({row.id: row for row in after(rows, TEXT)}.values())
    assert run_mends(once, TEXT) == []


def test_the_noisy_file_is_mended_where_a_rule_can():
    rows = noisy_rows()
    left = run_checks(Material(after(rows), TASK), ["exact_duplicates", "personal_data", "secrets", "encoding"])
    # U+FFFD cannot be put right, and rows whose completion cannot be read may keep a twin
    assert {f.check for f in left} <= {"encoding", "exact_duplicates"}
    assert sum(f.check == "encoding" for f in left) == 1
    assert set(mend) >= {"encoding", "whitespace", "personal_data", "secrets", "completion_format", "exact_duplicates"}


def test_what_only_becomes_readable_once_something_is_taken_out_is_read_too():
    assert repaired("\u00cf\x1f\x80") == "\u03c0"  # CF 80 is the UTF-8 of this letter, pi


@pytest.mark.parametrize("right", ["«Å»", "«BLÅ»", "Å\u00a0være", "„Ä“", "“MANHÃ”", "SKÅ…", "DÅ – nei"])
def test_a_capital_before_a_mark_that_may_stand_there_is_left_alone(right):
    assert repaired(right) == right


def test_where_something_else_is_broken_beyond_doubt_such_a_capital_is_too():
    assert repaired("voilÃ\u00a0 un cafÃ©") == "voilà un café"
