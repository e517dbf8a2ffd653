"""What a file of examples says about its task."""

import csv
import json
import re
from pathlib import Path

import pytest
from tests.data.rows import read_all, write

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Rejected
from tunesmith.data.infer import infer_task

BANKING = Path(__file__).parents[3] / "shared" / "data" / "banking77" / "train.csv"


def table(folder, rows, header=("text", "topic")):
    path = folder / "rows.csv"
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([header, *rows])
    return path


def said(inferred, *patterns):
    return all(any(re.search(pattern, note) for note in inferred.said) for pattern in patterns)


def test_few_repeated_values_are_labels_even_when_the_file_is_sorted(tmp_path):
    rows = [(f"message {i}", label) for label in ("a_first", "b_second", "c_last") for i in range(2500)]
    inferred = infer_task(table(tmp_path, rows))
    (field,) = inferred.task.fields
    assert (field.name, field.type, field.labels) == ("topic", "label", ("a_first", "b_second", "c_last"))
    assert (inferred.task.format, inferred.task.name) == ("plain", "rows")
    assert inferred.mapping == {"prompt": "text", "completion": "topic"}
    assert inferred.task.instructions == (
        "Name the topic of the text. Answer with one of these labels only:\na_first\nb_second\nc_last"
    )
    assert said(inferred, "7,500 rows", "'topic' is a label.*3 labels")


def test_the_inferred_task_and_mapping_read_the_file_without_a_rejected_row(tmp_path):
    path = table(tmp_path, [(f"message {i}", f"label {i % 5}") for i in range(50)])
    inferred = infer_task(path)
    rows = read_all(path, task=inferred.task, mapping=inferred.mapping)
    assert len(rows) == 50 and not any(isinstance(row, Rejected) for row in rows)
    assert all(inferred.task.parse(row.completion).fields for row in rows)


def test_objects_with_the_same_keys_become_a_field_each(tmp_path):
    rows = [
        {
            "prompt": f"Parcel {10000 + 7 * i} came on 2026-01-{i % 28 + 1:02d} and is broken",
            "completion": {
                "category": ("shipping", "returns")[i % 2],
                "order": str(10000 + 7 * i) if i % 3 else None,
                "day": f"2026-01-{i % 28 + 1:02d}",
                "tags": ["new"] if i % 2 else ["new", "paid"],
                "reply": f"We are sorry about parcel number {i} and are looking into what happened to it."
                * (1 + i % 6),
            },
        }
        for i in range(60)
    ]
    inferred = infer_task(write(tmp_path, "a.jsonl", *rows), name="desk")
    category, order, day, tags, reply = inferred.task.fields
    assert inferred.task.format == "json" and inferred.task.name == "desk"
    assert (category.type, category.labels, category.nullable) == ("label", ("returns", "shipping"), False)
    assert (order.type, order.pattern, order.nullable) == ("value", "[0-9]{5}", True)
    assert (day.type, day.pattern) == ("value", "[0-9]{4}-[0-9]{2}-[0-9]{2}")
    assert (tags.type, tags.labels, tags.multiple) == ("label", ("new", "paid"), True)
    assert (reply.type, reply.max_length) == ("text", 700)  # 6 times 75 characters, half as much again, rounded up
    assert "- order: 5 digits; or null" in inferred.task.instructions
    assert "- category: one of returns, shipping" in inferred.task.instructions
    assert all(inferred.task.parse(json.dumps(row["completion"])).fields for row in rows)
    assert said(inferred, "'order' is a value: 100 % stand word for word.*5 digits.*empty in 20 of 60")


def test_broken_rows_do_not_hide_the_task_and_are_counted(tmp_path):
    good = [{"prompt": f"m{i}", "completion": {"label": "ab"[i % 2], "why": f"because of {i}"}} for i in range(40)]
    odd = [
        {"prompt": "x", "completion": '{"label": "a", '},
        {"prompt": "x", "completion": {"label": "c", "why": "once", "extra": 1}},
        "not json",
    ]
    inferred = infer_task(write(tmp_path, "a.jsonl", *good, *odd))
    assert [field.name for field in inferred.task.fields] == ["label", "why"]
    assert inferred.task.fields[0].labels == ("a", "b", "c")
    assert said(
        inferred, "seen once only: c", "left out: 'extra'", "1 completions are not JSON", "1 rows could not be read"
    )


def test_the_text_of_json_objects_is_looked_into(tmp_path):
    rows = [{"text": f"m{i}", "answer": json.dumps({"label": "ab"[i % 2]})} for i in range(30)]
    assert infer_task(write(tmp_path, "a.jsonl", *rows)).task.format == "json"


def test_spans_copied_from_the_prompt_are_values_and_may_be_missing(tmp_path):
    names = [f"Mr {chr(65 + i % 26)}{chr(97 + i % 7)}rven" for i in range(60)]
    rows = [(f"A table for {name}, please", name) for name in names] + [("A table, please", "")] * 5
    inferred = infer_task(table(tmp_path, rows, ("message", "guest name")))
    (field,) = inferred.task.fields
    assert (field.name, field.type, field.nullable, field.pattern) == ("guest_name", "value", True, None)
    assert inferred.task.instructions.startswith("Write the guest name of the message")


def test_free_text_is_a_text(tmp_path):
    rows = [
        {"question": f"How is {i}?", "answer": f"Number {i} is doing well, thank you for asking."} for i in range(40)
    ]
    inferred = infer_task(write(tmp_path, "a.jsonl", *rows))
    assert [(f.name, f.type) for f in inferred.task.fields] == [("answer", "text")]
    assert inferred.task.instructions == "Answer the question."


def test_labels_of_one_letter_stay_labels_though_every_prompt_holds_the_letter(tmp_path):
    rows = [(f"1 or 2 or 3, question {i}", str(i % 3 + 1)) for i in range(60)]
    assert infer_task(table(tmp_path, rows)).task.fields[0].type == "label"


def test_numbers_copied_from_the_prompt_are_values_though_they_repeat(tmp_path):
    rows = [(f"We are {10 + i % 12} people", str(10 + i % 12)) for i in range(60)]
    (field,) = infer_task(table(tmp_path, rows)).task.fields
    assert (field.type, field.pattern) == ("value", "[0-9]{2}")


def test_chats_and_alpaca_need_no_mapping(tmp_path):
    chat = [
        {"messages": [{"role": "user", "content": f"m{i}"}, {"role": "assistant", "content": "ab"[i % 2]}]}
        for i in range(30)
    ]
    inferred = infer_task(write(tmp_path, "a.jsonl", *chat))
    assert (inferred.format, inferred.mapping, inferred.task.fields[0].name) == ("chat", {}, "label")
    alpaca = [
        {"instruction": f"Tell me of {i}", "input": "", "output": f"There is much to tell of {i}."} for i in range(30)
    ]
    inferred = infer_task(write(tmp_path, "b.jsonl", *alpaca))
    assert (inferred.task.fields[0].name, inferred.task.instructions) == ("answer", "Follow the instruction.")


def test_several_columns_become_a_field_each(tmp_path):
    rows = [(f"message {i}", "ab"[i % 2], "high" if i % 3 else "") for i in range(60)]
    path = table(tmp_path, rows, ("text", "topic", "urgency"))
    inferred = infer_task(path, completion="topic,urgency")
    assert [(f.name, f.type, f.nullable) for f in inferred.task.fields] == [
        ("topic", "label", False),
        ("urgency", "label", True),
    ]
    assert inferred.mapping == {"prompt": "text", "topic": "topic", "urgency": "urgency"}
    found = read_all(path, task=inferred.task, mapping=inferred.mapping)
    assert found[0].completion == '{"topic": "a", "urgency": null}'


@pytest.mark.parametrize(
    ("kind", "type"), [("classification", "label"), ("extraction", "value"), ("generation", "text"), (None, "label")]
)
def test_kind_decides_where_the_values_do_not(tmp_path, kind, type):
    path = table(tmp_path, [(f"message {i}", "ab"[i % 2]) for i in range(30)])
    assert infer_task(path, kind=kind).task.fields[0].type == type


def test_generation_takes_objects_as_text(tmp_path):
    rows = [{"prompt": f"m{i}", "completion": {"a": "x"}} for i in range(30)]
    task = infer_task(write(tmp_path, "a.jsonl", *rows), kind="generation").task
    assert (task.format, task.fields[0].type) == ("plain", "text")


def test_few_rows_are_said_to_be_few(tmp_path):
    inferred = infer_task(table(tmp_path, [("Hi", "greeting"), ("Bye", "farewell")]))
    assert said(inferred, "2 rows are few")


@pytest.mark.parametrize(
    ("rows", "options", "problem"),
    [
        (
            [("a", "x")],
            {"prompt": "txt"},
            r"(?s)no column 'txt' to be the prompt.*did you mean 'text'.*--prompt COLUMN",
        ),
        ([("a", "x")], {"completion": "label"}, r"(?s)no column 'label'.*--completion COLUMN"),
        (
            [(f"m{i}", f"value {i}") for i in range(1100)],
            {"kind": "classification"},
            r"more than 1,000 different values",
        ),
        ([("", "x")], {}, r"(?s)No row of .* has a prompt and a completion.*--dry-run"),
    ],
)
def test_what_cannot_be_inferred_says_why(tmp_path, rows, options, problem):
    with pytest.raises(TunesmithError, match=problem):
        infer_task(table(tmp_path, rows), **options)


def test_objects_are_not_one_label(tmp_path):
    path = write(tmp_path, "a.jsonl", *({"prompt": "m", "completion": {"a": "x", "b": "y"}} for _ in range(9)))
    with pytest.raises(TunesmithError, match=r"(?s)2 keys, which is more than one label.*leave out --kind"):
        infer_task(path, kind="classification")


def test_nested_objects_are_refused_with_their_key(tmp_path):
    path = write(tmp_path, "a.jsonl", *({"prompt": "m", "completion": {"a": {"b": i}}} for i in range(9)))
    with pytest.raises(TunesmithError, match=r"'a' mostly holds objects"):
        infer_task(path)


def test_an_unknown_kind_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownName, match="'classification'"):
        infer_task(table(tmp_path, [("a", "b")]), kind="clasification")


@pytest.mark.skipif(not BANKING.exists(), reason="../shared/data/banking77 is not here (a clone outside)")
def test_all_77_intents_of_banking77_are_found_though_its_rows_are_sorted():
    inferred = infer_task(BANKING)
    (field,) = inferred.task.fields
    assert (field.name, field.type, len(field.labels)) == ("category", "label", 77)  # 77 intents: its README
    rows = read_all(BANKING, task=inferred.task, mapping=inferred.mapping)
    assert len(rows) == 10_003 and not any(isinstance(row, Rejected) for row in rows)
