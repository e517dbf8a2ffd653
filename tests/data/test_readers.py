"""Row formats: what a row says, and which rows are set aside with their line and mend."""

import json

import pytest
from msgspec.structs import replace
from tests.data.rows import DESK, INTENT, read_all, read_one, write

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Document, Example, Message, Rejected
from tunesmith.core.task import Field, Task
from tunesmith.data.readers import ReadOptions, read


def turns(*contents, first="user"):
    order = ("user", "assistant") if first == "user" else ("assistant", "user")
    return [{"role": order[i % 2], "content": content} for i, content in enumerate(contents)]


# --- the formats


def test_the_last_assistant_message_of_a_chat_is_the_completion(tmp_path):
    row = {
        "messages": [{"role": "system", "content": "Be kind."}, *turns("Hi", "Hello", "Where is it?", "On its way.")]
    }
    example = read_one(write(tmp_path, "a.jsonl", row))
    assert [(m.role, m.content) for m in example.messages] == [
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Where is it?"),
    ]
    assert example.completion == "On its way."
    assert (example.origin.line, example.source, example.side) == (1, "human", None)


def test_the_weight_of_an_earlier_answer_is_kept(tmp_path):
    messages = turns("Hi", "Hello", "Where?", "Here.")
    messages[1]["weight"] = 0
    assert read_one(write(tmp_path, "a.jsonl", {"messages": messages})).messages[1].weight == 0


def test_content_in_parts_and_the_developer_role_are_read(tmp_path):
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]},
        *turns("Hi", "Hello"),
    ]
    example = read_one(write(tmp_path, "a.jsonl", {"messages": messages}))
    assert example.messages[0] == Message(role="system", content="Be kind.")


def test_sharegpt_reads_like_the_same_chat(tmp_path):
    chat = {"messages": [{"role": "system", "content": "S"}, *turns("Hi", "Hello")]}
    said = [("system", "S"), ("human", "Hi"), ("gpt", "Hello")]
    sharegpt = {"conversations": [{"from": who, "value": text} for who, text in said]}
    one, other = read_all(write(tmp_path, "a.jsonl", chat)), read_all(write(tmp_path, "b.jsonl", sharegpt))
    assert one[0].id == other[0].id


def test_alpaca_joins_instruction_and_input(tmp_path):
    rows = [
        {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day"},
        {"instruction": "Say hello.", "input": "", "output": "Hello"},
    ]
    path = tmp_path / "alpaca.json"
    path.write_text(json.dumps(rows, indent=2))
    notes = []
    first, second = read_all(path, notes)
    assert (first.prompt, first.completion) == ("Translate.\n\nGuten Tag", "Good day")
    assert second.prompt == "Say hello."
    assert [example.origin.line for example in (first, second)] == [2, 7]  # counted by hand in the indented file
    assert any("alpaca" in note and "--format" in note for note in notes)


def test_a_prompt_may_be_a_list_of_turns(tmp_path):
    row = {"prompt": turns("Hi", "Hello", "Where?"), "completion": [{"role": "assistant", "content": "Here."}]}
    example = read_one(write(tmp_path, "a.jsonl", row))
    assert (len(example.messages), example.completion) == (3, "Here.")


def test_only_the_row_s_own_system_message_is_stored(tmp_path):
    row = {"prompt": "Hi", "completion": "Hello", "system": "Be kind."}
    example = read_one(write(tmp_path, "a.jsonl", row), task=Task(name="t", fields=DESK.fields, instructions="Obey."))
    assert [m.content for m in example.messages] == ["Be kind.", "Hi"]


# --- completions


def test_an_object_that_fits_the_task_is_rendered_by_it_whatever_the_order_of_its_keys(tmp_path):
    completion = {"reply": "Größe?", "category": "shipping", "order": None}
    example = read_one(write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": completion}), task=DESK)
    assert example.completion == '{"category": "shipping", "order": null, "reply": "Größe?"}'


@pytest.mark.parametrize(
    ("completion", "stored"),
    [
        ({"category": "shipping"}, '{"category": "shipping"}'),  # keys are missing
        ({"category": "refund", "order": 7, "reply": ""}, '{"category": "refund", "order": 7, "reply": ""}'),
        ('{"category": "ship', '{"category": "ship'),  # cut off
        ('{"category":"shipping","order":null,"reply":"x"}', '{"category":"shipping","order":null,"reply":"x"}'),
        (["a"], '["a"]'),
    ],
)
def test_what_does_not_fit_a_json_task_is_kept_for_check(tmp_path, completion, stored):
    example = read_one(write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": completion}), task=DESK)
    assert example.completion == stored


def test_integers_of_any_length_stay_exact(tmp_path):
    # above 64 bits, where some parsers turn to floating point
    path = write(tmp_path, "a.jsonl", '{"prompt": "Hi", "completion": {"id": 123456789012345678901234}}')
    assert read_one(path).completion == '{"id": 123456789012345678901234}'


def test_a_plain_label_that_the_task_lacks_is_set_aside_with_the_near_one(tmp_path):
    path = write(
        tmp_path, "a.jsonl", *({"text": "Hi", "label": label} for label in ("top_up", " top_up ", "card_arival"))
    )
    good, trimmed, bad = read_all(path, task=INTENT)
    assert good.completion == trimmed.completion == "top_up"
    assert bad.line == 3
    assert bad.problem == "label 'card_arival' is not in the task"
    assert "task.fields" in bad.mend and "'card_arrival'" in bad.mend


def test_a_plain_label_may_stand_behind_a_trace(tmp_path):
    task = replace(INTENT, trace_end="</think>")
    said = ("a card</think>\n top_up ", "top_up", "top_up</think>card_arival")
    path = write(tmp_path, "a.jsonl", *({"text": "Hi", "label": text} for text in said))
    thought, plain, bad = read_all(path, task=task)
    assert (thought.completion, plain.completion) == ("a card</think>\n top_up", "top_up")
    assert bad.problem == "label 'card_arival' is not in the task"


def test_several_labels_are_checked_one_by_one(tmp_path):
    field = Field(name="tags", type="label", labels=("new", "paid"), multiple=True)
    task = Task(name="t", format="plain", fields=(field,))
    path = write(
        tmp_path, "a.jsonl", *({"text": "Hi", "tags": tags} for tags in (["new", "paid"], "paid; new", ["old"]))
    )
    listed, parted, bad = read_all(path, task=task)
    assert (listed.completion, parted.completion) == ("new, paid", "paid, new")
    assert "'old'" in bad.problem


def test_an_empty_completion_is_nothing_to_learn_from_unless_there_may_be_nothing_to_find(tmp_path):
    path = write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": ""}, {"prompt": "Ho", "completion": None})
    name = Field(name="name", type="value", nullable=True)
    assert [row.completion for row in read_all(path, task=Task(name="t", format="plain", fields=(name,)))] == ["", ""]
    for rejected in read_all(path):
        assert "nothing to learn from" in rejected.problem and rejected.mend


def test_numbers_and_truth_values_are_read_as_text(tmp_path):
    path = write(tmp_path, "a.jsonl", {"text": 7, "label": 1}, {"text": "x", "label": True})
    assert [(row.prompt, row.completion) for row in read_all(path)] == [("7", "1"), ("x", "true")]


# --- columns


def test_columns_named_like_the_fields_make_the_object(tmp_path):
    row = {"text": "Hi", "category": "billing", "order": "", "reply": "We look."}
    example = read_one(write(tmp_path, "a.jsonl", row), task=DESK)
    assert example.completion == '{"category": "billing", "order": null, "reply": "We look."}'
    assert example.category is None


def test_a_field_can_be_mapped_to_a_column_of_another_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Nachricht;Kategorie;order;reply\nHallo;billing;12345;We look.\n")
    example = read_one(path, task=DESK, mapping={"prompt": "Nachricht", "category": "Kategorie"})
    assert json.loads(example.completion) == {"category": "billing", "order": "12345", "reply": "We look."}


def test_a_field_without_a_column_is_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,Kategorie\nHallo,billing\n")
    with pytest.raises(TunesmithError, match=r"(?s)'reply' has no column.*--map reply=COLUMN"):
        read_all(path, task=DESK, mapping={"category": "Kategorie"})


def test_a_plain_field_finds_the_column_of_its_name(tmp_path):
    example = read_one(write(tmp_path, "a.jsonl", {"message": "Hi", "answer": "no", "intent": "top_up"}), task=INTENT)
    assert example.completion == "top_up"


def test_group_category_edge_case_and_id_are_kept(tmp_path):
    row = {
        "prompt": "Hi",
        "completion": "x",
        "customer": 17,
        "category": "vip",
        "edge_case": "Out of scope",
        "id": "r1",
    }
    example = read_one(write(tmp_path, "a.jsonl", row))
    assert (example.group, example.category, example.edge_case) == ("17", "vip", "out_of_scope")
    assert example.origin.id == "r1"


def test_an_unknown_edge_case_is_left_out_and_said_once(tmp_path):
    notes = []
    path = write(tmp_path, "a.jsonl", *({"prompt": p, "completion": "x", "edge_case": "weird"} for p in "ab"))
    assert [row.edge_case for row in read_all(path, notes)] == [None, None]
    assert sum("'weird'" in note for note in notes) == 1


def test_another_group_column_counts_only_when_asked_for(tmp_path):
    path = write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": "x", "thread": "t9"})
    assert read_one(path).group is None
    assert read_one(path, group_by="thread").group == "t9"


def test_the_same_customer_object_is_the_same_group(tmp_path):
    rows = [
        {"prompt": p, "completion": "x", "customer": c} for p, c in (("a", {"n": 1, "m": 2}), ("b", {"m": 2, "n": 1}))
    ]
    one, other = read_all(write(tmp_path, "a.jsonl", *rows))
    assert one.group == other.group is not None


def test_a_group_column_that_is_nowhere_is_refused_with_the_near_name(tmp_path):
    path = write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": "x", "customer_id": 1})
    with pytest.raises(TunesmithError, match=r"(?s)no column 'custmer_id'.*did you mean 'customer_id'"):
        read_all(path, group_by="custmer_id")


def test_a_tag_that_only_later_rows_have_can_be_mapped(tmp_path):
    rows = [{"prompt": str(i), "completion": "x"} for i in range(150)] + [
        {"prompt": "z", "completion": "x", "kind": "vip"}
    ]
    notes = []
    assert read_all(write(tmp_path, "a.jsonl", *rows), notes, mapping={"category": "kind"})[-1].category == "vip"
    assert any("'kind'" in note for note in notes)


def test_an_unknown_role_lists_the_near_ones(tmp_path):
    path = write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": "x"})
    with pytest.raises(UnknownName, match=r"(?s)no role or field 'promt'.*did you mean 'prompt'"):
        read(path, ReadOptions(mapping={"promt": "text"}))


def test_pins_and_source_reach_the_example(tmp_path):
    example = read_one(write(tmp_path, "a.jsonl", {"prompt": "Hi", "completion": "x"}), side="test", as_="expert")
    assert (example.side, example.source) == ("test", "expert")


# --- rows that are set aside


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"messages": turns("Hi")}, "last message is from user"),
        ({"messages": []}, "there is no message"),
        ({"messages": turns("Hello", first="assistant")}, "stands first"),
        ({"messages": [*turns("Hi", "Hello"), {"role": "assistant", "content": "x"}]}, "message 3.*take turns"),
        ({"messages": [*turns("Hi"), *turns("Ho", "x")]}, "message 2, from user, follows one from user"),
        (
            {"messages": [*turns("Hi"), {"role": "system", "content": "x"}, *turns("y", first="assistant")]},
            "only the first",
        ),
        ({"messages": turns("Hi", "")}, "completion is empty"),
        ({"messages": turns("Hi", None)}, "completion is empty"),
        ({"messages": turns(" \n", "Hello")}, "message 1, from user, is empty"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "'wizard'"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "not known"),
        ({"messages": ["Hi"]}, "message 1 is not an object"),
        ({"messages": "Hi"}, "not a list"),
        ({"messages": [*turns("Hi"), {"role": "assistant", "content": "x", "weight": 0}]}, "weight 0"),
        ({"messages": [*turns("Hi"), {"role": "assistant", "content": "x", "weight": "much"}]}, "weight 'much'"),
        ({"messages": [*turns("Hi"), {"role": "assistant", "content": None, "tool_calls": [{}]}]}, "calls a tool"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "else than text"),
        ({"prompt": "Hi"}, 'no "messages"'),
    ],
)
def test_a_conversation_that_is_not_one_says_why(tmp_path, row, problem):
    good = {"messages": turns("Hi", "Hello")}
    _, rejected, after = read_all(write(tmp_path, "a.jsonl", good, row, good))
    assert isinstance(rejected, Rejected) and isinstance(after, Example)
    assert rejected.line == 2
    assert rejected.mend
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(rejected.problem)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ('{"prompt": "Hi", "compl', "cut off"),
        ('{"prompt": "Hi", "completion": "x",}', "not JSON"),
        ("{'prompt': 'Hi'}", "not JSON"),
        ("not json at all", "not JSON"),
        ('["Hi", "x"]', "a list, not a JSON object"),
        ("7", "'7', not a JSON object"),
        (b'{"prompt": "caf\xe9", "completion": "x"}', "not UTF-8: byte 15 is 0xe9"),  # 15 bytes stand before the é
        (b'{"prompt": "a\0b", "completion": "x"}', r"null byte \(byte 13\)"),
        ('{"prompt": "a\\u0000b", "completion": "x"}', "null character"),
        ('{"prompt": "half \\ud800 pair", "completion": "x"}', "not JSON"),
        ('{"prompt": "Hi", "completion": ' + "[" * 5000 + "]" * 5000 + "}", "nested too deeply"),
        ('{"prompt": " ", "completion": "x"}', "prompt is empty"),
        ('{"prompt": {"a": 1}, "completion": "x"}', "not a text"),
        ('{"completion": "x"}', 'no "prompt"'),
        ('{"prompt": "Hi"}', 'no "completion"'),
        ('{"prompt": "Hi", "completion": " \\t "}', "nothing to learn from"),
    ],
)
def test_a_broken_line_is_set_aside_with_its_line_and_the_next_is_read(tmp_path, raw, problem):
    good = {"prompt": "Hi", "completion": "x"}
    path = write(tmp_path, "a.jsonl", good, raw, good)
    first, rejected, after = read_all(path)
    assert isinstance(first, Example) and isinstance(after, Example)
    assert (rejected.line, rejected.file, after.origin.line) == (2, str(path), 3)
    assert rejected.mend
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(rejected.problem)


def test_every_depth_of_nesting_is_read_or_set_aside(tmp_path):
    # the decoder and the encoder of JSON give up at different depths
    rows = ['{"prompt": "Hi", "completion": ' + "[" * depth + "]" * depth + "}" for depth in range(880, 1010)]
    assert len(read_all(write(tmp_path, "a.jsonl", *rows), format="prompt_completion")) == len(rows)


def test_documents_are_read_from_rows(tmp_path):
    path = write(
        tmp_path,
        "a.jsonl",
        {"title": "Returns", "text": "30 days."},
        {"text": "# Warranty\nTwo years."},
        {"title": "x"},
    )
    first, second, bad = read_all(path, as_="document")
    assert isinstance(first, Document) and (first.title, first.text) == ("Returns", "30 days.")
    assert second.title == "Warranty"
    assert (bad.line, bad.problem) == (3, 'no "text"')


# --- what became what


def told(path, **options):
    found = []
    list(read(path, ReadOptions(**options), lambda note: None, found.append))
    return found


def test_the_columns_and_their_roles_are_told(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("question,topic,team,customer,notes\nHi,top_up,north,c1,x\n")
    (found,) = told(path, task=INTENT, mapping={"prompt": "question", "completion": "topic"}, group_by="team")
    assert (found.format, found.mapping) == (
        "prompt_completion",
        {"prompt": "question", "completion": "topic", "group": "team"},
    )


def test_a_column_per_field_is_told_by_the_field(tmp_path):
    row = {"text": "Hi", "category": "billing", "order": "", "reply": "We look.", "customer": 7}
    (found,) = told(write(tmp_path, "a.jsonl", row), task=DESK)
    fields = {"category": "category", "order": "order", "reply": "reply"}
    assert found.mapping == {"prompt": "text", **fields, "group": "customer"}


@pytest.mark.parametrize(
    ("row", "mapping"),
    [
        (
            {"messages": turns("Hi", "Hello"), "group": "g"},
            {"prompt": "messages", "completion": "messages", "group": "group"},
        ),
        ({"conversations": turns("Hi", "Hello")}, {"prompt": "conversations", "completion": "conversations"}),
        ({"instruction": "Hi", "output": "x"}, {"prompt": "instruction", "completion": "output"}),
        (
            {"prompt": "Hi", "completion": "x", "system": "s", "id": 1},
            {"prompt": "prompt", "completion": "completion", "system": "system", "id": "id"},
        ),
    ],
)
def test_every_format_tells_where_its_parts_stand(tmp_path, row, mapping):
    assert told(write(tmp_path, "a.jsonl", row))[0].mapping == mapping


def test_documents_in_rows_tell_title_and_text(tmp_path):
    path = write(tmp_path, "a.jsonl", {"title": "Returns", "text": "30 days."})
    assert told(path, as_="document")[0].mapping == {"title": "title", "text": "text"}


def test_a_row_whose_fields_are_all_zero_or_false_is_not_empty(tmp_path):
    labels = [Field(name=name, type="label", labels=("0", "1")) for name in ("toxic", "insult")]
    task = Task(name="t", fields=tuple(labels))
    (found,) = read_all(write(tmp_path, "a.jsonl", {"text": "good day", "toxic": 0, "insult": 0}), task=task)
    assert json.loads(found.completion) == {"toxic": "0", "insult": "0"}
