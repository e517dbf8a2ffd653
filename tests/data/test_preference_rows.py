"""Files of preference pairs, in the forms that people have them in."""

from __future__ import annotations

import json

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message, Rejected
from tunesmith.core.preferences import Preference
from tunesmith.core.task import Field, Task
from tunesmith.data.readers import ReadOptions, read

PLAIN = Task(name="reply", fields=(Field(name="reply", type="text"),), format="plain")
TRIAGE = Task(
    name="triage",
    fields=(Field(name="topic", type="label", labels=("billing", "returns")), Field(name="order", type="value")),
)
ASKED = (Message(role="user", content="where is my parcel"),)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def rows(tmp_path, *contents, task=PLAIN, name="pairs.jsonl", **options):
    path = tmp_path / name
    path.write_text("".join(json.dumps(content) + "\n" for content in contents), encoding="utf-8")
    return list(read(path, ReadOptions(task=task, as_="preference", **options)))


FORMS = {
    "TRL, texts": {"prompt": "where is my parcel", "chosen": "on its way", "rejected": "no idea"},
    "TRL, turns": {
        "prompt": [user("where is my parcel")], "chosen": [said("on its way")], "rejected": [said("no idea")],
    },
    "TRL, the prompt at the head of both": {
        "chosen": [user("where is my parcel"), said("on its way")],
        "rejected": [user("where is my parcel"), said("no idea")],
    },
    "UltraFeedback: the prompt apart and at the head": {
        "prompt": "where is my parcel",
        "chosen": [user("where is my parcel"), said("on its way")],
        "rejected": [user("where is my parcel"), said("no idea")],
    },
    "OpenAI": {
        "input": {"messages": [user("where is my parcel")], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [said("on its way")], "non_preferred_output": [said("no idea")],
    },
    "LLaMA-Factory": {
        "conversations": [{"from": "human", "value": "where is my parcel"}],
        "chosen": {"from": "gpt", "value": "on its way"}, "rejected": {"from": "gpt", "value": "no idea"},
    },
    "Alpaca": {"instruction": "where is my parcel", "input": "", "chosen": "on its way", "rejected": "no idea"},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_says_the_same_pair(tmp_path, form):
    (pair,) = rows(tmp_path, FORMS[form])
    assert isinstance(pair, Preference)
    assert (pair.messages, pair.chosen, pair.rejected) == (ASKED, "on its way", "no idea")
    assert (pair.source, pair.origin.line) == ("imported", 1)


def test_a_table_is_read_with_its_columns_named_or_guessed(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,chosen,rejected,customer\nwhere is my parcel,on its way,no idea,c7\n")
    (pair,) = read(path, ReadOptions(task=PLAIN, as_="preference"))
    assert (pair.chosen, pair.group) == ("on its way", "c7")
    path.write_text("ask,good,bad\nwhere is my parcel,on its way,no idea\n")
    with pytest.raises(TunesmithError, match=r"known to hold the chosen(.|\n)*--map chosen=COLUMN"):
        list(read(path, ReadOptions(task=PLAIN, as_="preference")))
    named = {"prompt": "ask", "chosen": "good", "rejected": "bad"}
    (pair,) = read(path, ReadOptions(task=PLAIN, as_="preference", mapping=named))
    assert (pair.messages, pair.rejected) == (ASKED, "no idea")


def test_the_same_pair_has_one_id_wherever_it_came_from(tmp_path):
    pairs = [row for form in FORMS.values() for row in rows(tmp_path, form)]
    assert len({pair.id for pair in pairs}) == 1
    (other,) = rows(tmp_path, {"prompt": "where is my parcel", "chosen": "no idea", "rejected": "on its way"})
    assert other.id == pairs[0].reverse


def test_a_chosen_object_is_written_as_the_task_writes_it_and_a_rejected_one_stands_as_it_is(tmp_path):
    chosen = {"order": "17", "topic": "billing"}
    (pair,) = rows(tmp_path, {"prompt": "x", "chosen": chosen, "rejected": '{"topic": "none"'}, task=TRIAGE)
    assert pair.chosen == '{"topic": "billing", "order": "17"}'
    assert pair.rejected == '{"topic": "none"'


GOOD = {"prompt": "where is it", "chosen": "on its way", "rejected": "no idea"}
BAD = {
    "no chosen": ({"prompt": "x", "rejected": "b"}, 'no "chosen"'),
    "empty": (GOOD | {"rejected": " "}, "rejected is empty"),
    "empty chosen": (GOOD | {"chosen": ""}, "what is chosen is empty"),
    "the same": (GOOD | {"rejected": "on its way"}, "say the same"),
    "no prompt": ({"chosen": "a", "rejected": "b"}, "no prompt"),
    "half turns": (GOOD | {"chosen": [said("a")]}, "one is a list of turns"),
    "two answers": (
        {"chosen": [user("x"), said("a"), user("y"), said("b")], "rejected": [user("x"), said("c")]},
        "does not end in one assistant message",
    ),
    "no answer": ({"chosen": [user("x"), user("y")], "rejected": [user("x"), said("c")]}, "chosen does not end"),
    "prompt ends wrong": (GOOD | {"prompt": [user("x"), said("y")]}, "from assistant, follows one from assistant"),
    "tools": (
        {"input": {"messages": [user("x")], "tools": [{"type": "function"}]}, "chosen": "a", "rejected": "b"},
        "offers tools",
    ),
    "null": (GOOD | {"chosen": "a\0"}, "null character"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_row_is_set_aside_with_its_reason(tmp_path, fault):
    content, problem = BAD[fault]
    first = {"input": "w", **FORMS["OpenAI"]} if fault == "tools" else GOOD
    if fault == "tools":
        content = {"input": content["input"], "preferred_output": "a", "non_preferred_output": "b"}
    good, bad = rows(tmp_path, first, content)
    assert isinstance(good, Preference)
    assert isinstance(bad, Rejected) and problem in bad.problem and bad.mend
    assert bad.line == 2


@pytest.mark.parametrize(
    ("chosen", "problem"),
    [("billing", "does not fit the task: not JSON"), ({"topic": "jokes", "order": "1"}, "does not fit the task")],
)
def test_what_is_chosen_must_fit_the_task(tmp_path, chosen, problem):
    (bad,) = rows(tmp_path, {"prompt": "x", "chosen": chosen, "rejected": "?"}, task=TRIAGE)
    assert problem in bad.problem and "learn to answer so" in bad.mend


def test_a_label_that_the_task_has_not_is_fine_as_rejected_only(tmp_path):
    task = Task(
        name="topic", fields=(Field(name="topic", type="label", labels=("billing", "returns")),), format="plain"
    )
    good = {"prompt": "x", "chosen": "billing", "rejected": "banter"}
    pair, bad = rows(tmp_path, good, good | {"chosen": "banter", "rejected": "billing"}, task=task)
    assert (pair.chosen, pair.rejected) == ("billing", "banter")
    assert "'banter' is not in the task" in bad.problem


def test_pairs_that_are_added_as_examples_are_recognised(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(GOOD))
    with pytest.raises(TunesmithError, match=r"preference pairs(.|\n)*--as preference"):
        list(read(path, ReadOptions(task=PLAIN)))
