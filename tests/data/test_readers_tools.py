"""Conversations with tools, and those that Gemini and Bedrock write."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.rows import read_all, read_one, write

from tunesmith.core.examples import Message, Rejected
from tunesmith.core.task import Field, Task
from tunesmith.data.readers.tools import split_calls, split_tools, with_calls, with_tools

FIND = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}


def call(name, arguments, id="call_1"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def asks(*calls, content=None):
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def test_a_call_and_its_result_are_read_as_text_and_the_tools_stand_in_the_system_message(tmp_path):
    row = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Where is order 7?"},
            asks(call("find_order", '{"id": 7}'), content="Let me see."),
            {"role": "tool", "tool_call_id": "call_1", "content": "at the depot"},
            {"role": "assistant", "content": "At the depot."},
        ],
        "tools": [FIND],
    }
    example = read_one(write(tmp_path, "a.jsonl", row))
    system, _, asked, result = example.messages
    assert system.content.startswith("Be kind.\n\n") and json.dumps(FIND) in system.content
    assert asked.content == ('Let me see.\n<tool_call>\n{"name": "find_order", "arguments": {"id": 7}}\n</tool_call>')
    assert result == Message(role="tool", content="at the depot")
    assert example.completion == "At the depot."


def test_a_call_may_be_the_completion(tmp_path):
    row = {"messages": [{"role": "user", "content": "Where?"}, asks(call("find_order", {"id": 7}))], "tools": [FIND]}
    example = read_one(write(tmp_path, "a.jsonl", row))
    assert split_calls(example.completion) == ("", [{"name": "find_order", "arguments": {"id": 7}}])
    assert split_tools(example.messages[0].content) == ("", [FIND])


def test_the_older_function_call_reads_like_the_same_tool_call(tmp_path):
    user = {"role": "user", "content": "Where?"}
    old = {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": "{}"}}
    one = {"messages": [user, old], "functions": [FIND["function"]]}
    other = {"messages": [user, asks(call("find", "{}"))], "tools": [FIND]}
    first, second = read_all(write(tmp_path, "a.jsonl", one, other))
    assert first.id == second.id


def test_results_are_put_in_the_order_of_their_calls(tmp_path):
    results = [{"role": "tool", "tool_call_id": id, "content": id} for id in ("c2", "c1")]
    row = {
        "messages": [
            {"role": "user", "content": "Both?"},
            asks(call("a", "{}", "c1"), call("b", "{}", "c2")),
            *results,
            {"role": "assistant", "content": "Done."},
        ]
    }
    example = read_one(write(tmp_path, "a.jsonl", row))
    assert [m.content for m in example.messages if m.role == "tool"] == ["c1", "c2"]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (asks(call("", "{}")), "message 2 calls a tool without a name"),
        (asks("find"), "message 2 calls a tool without a name"),
        (asks(call("find", "[1]")), "message 2 calls a tool with arguments that are no JSON object"),
        (asks(call("find", "{oops")), "arguments that are no JSON object"),
        ({"role": "assistant", "content": "x", "tool_calls": "find"}, "tool calls of message 2 are not a list"),
    ],
)
def test_a_call_that_cannot_be_read_sets_its_row_aside(tmp_path, bad, problem):
    rejected = read_one(write(tmp_path, "a.jsonl", {"messages": [{"role": "user", "content": "Hi"}, bad]}))
    assert isinstance(rejected, Rejected) and problem in rejected.problem and rejected.mend


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(max_size=8), json_values, max_size=3)
names = st.text(min_size=1, max_size=10).filter(str.strip)


@given(st.text(max_size=30), st.lists(st.tuples(names, objects), min_size=1, max_size=3))
def test_calls_that_were_written_are_read_again(text, calls):
    turn = {"tool_calls": [{"function": {"name": name, "arguments": arguments}} for name, arguments in calls]}
    before, read = split_calls(with_calls(text, turn, 1))
    assert before == (text if text.strip() else "")
    assert read == [{"name": name, "arguments": arguments} for name, arguments in calls]


@given(st.text(max_size=30), st.lists(objects, min_size=1, max_size=3))
def test_tools_that_were_written_are_read_again(system, tools):
    assert split_tools(with_tools(system, tools)) == (system if system.strip() else "", tools)


@pytest.mark.parametrize("text", ["<tool_call>\n{}\n</tool_call>", "a <tool_call>\n{oops\n</tool_call>", "", "\n"])
def test_what_only_looks_like_a_call_stays_text(text):
    assert split_calls(text) == (text, [])


# --- Gemini and Bedrock


def test_gemini_and_bedrock_read_like_the_same_chat(tmp_path):
    said = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Where?"), ("assistant", "Here.")]
    chat = {"messages": [{"role": role, "content": text} for role, text in said]}
    names = {"user": "user", "assistant": "model"}
    gemini = {
        "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
        "contents": [{"role": names[role], "parts": [{"text": text}]} for role, text in said[1:]],
    }
    bedrock = {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be kind."}],
        "messages": [{"role": role, "content": [{"text": text}]} for role, text in said[1:]],
    }
    notes = []
    ids = {
        read_one(write(tmp_path, f"{n}.jsonl", row), notes=notes).id for n, row in enumerate((chat, gemini, bedrock))
    }
    assert len(ids) == 1
    assert ["as gemini" in notes[1], "as bedrock" in notes[2]] == [True, True]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"contents": [{"role": "user", "parts": [{"inlineData": {}}]}]}, "something else than text"),
        ({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}, "last message is from user"),
        ({"contents": "Hi"}, "not a list"),
        ({"contents": [], "systemInstruction": 7}, "the content of the systemInstruction"),
        ({"schemaVersion": "v9", "messages": []}, "schemaVersion is 'v9'"),
        ({"schemaVersion": "bedrock-conversation-2024", "messages": [], "system": 7}, "the content of the system"),
    ],
)
def test_a_provider_s_row_that_does_not_fit_says_why(tmp_path, row, problem):
    rejected = read_one(write(tmp_path, "a.jsonl", row))
    assert problem in rejected.problem and rejected.mend


def test_a_chat_whose_answer_is_empty_is_kept_where_there_may_be_nothing_to_find(tmp_path):
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}]}
    name = Field(name="name", type="value", nullable=True)
    assert (
        read_one(write(tmp_path, "a.jsonl", row), task=Task(name="t", format="plain", fields=(name,))).completion == ""
    )


@pytest.mark.parametrize("weight", [10**400, 1e300, -1, "1", True, 2e6])
def test_a_weight_that_is_none_sets_the_row_aside(tmp_path, weight):
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "weight": weight},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": "d"},
    ]
    (rejected,) = read_all(write(tmp_path, "a.jsonl", {"messages": turns}))
    assert isinstance(rejected, Rejected)
    assert "has the weight" in rejected.problem


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "Where?"}, {"from": "gpt", "value": "Here."}],
         "tools": json.dumps([FIND])},
        {"prompt": [{"role": "user", "content": "Where?"}], "completion": "Here.", "tools": [FIND]},
    ],
    ids=["sharegpt", "turns"],
)  # fmt: skip
def test_tools_are_read_in_other_formats_too(tmp_path, row):
    example = read_one(write(tmp_path, "a.jsonl", row))
    assert [m.role for m in example.messages] == ["system", "user"]
    assert split_tools(example.messages[0].content) == ("", [FIND])


@pytest.mark.parametrize(
    "row",
    [
        {"contents": [{"role": "user", "parts": [{"text": "Where?"}]}, {"role": "model", "parts": [{"text": "Here."}]}],
         "tools": [{"functionDeclarations": []}]},
        {"schemaVersion": "bedrock-conversation-2024", "toolConfig": {"tools": [{}]},
         "messages": [{"role": "user", "content": [{"text": "a"}]}, {"role": "assistant", "content": [{"text": "b"}]}]},
    ],
    ids=["gemini", "bedrock"],
)  # fmt: skip
def test_tools_that_cannot_be_read_refuse_their_row(tmp_path, row):
    (found,) = read_all(write(tmp_path, "a.jsonl", row))
    assert isinstance(found, Rejected)
    assert "would be learnt without it" in found.problem
