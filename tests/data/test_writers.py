"""What goes out and comes in again is equal, in every format, but for the parts that are told to be left out."""

import csv
import json
import re
import shutil
from datetime import UTC, date, datetime

import msgspec
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from tests.data.rows import read_all

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example, Message, Origin
from tunesmith.core.task import Field, Task
from tunesmith.data.readers.formulas import GUARD
from tunesmith.data.readers.tools import with_calls, with_tools
from tunesmith.data.writers import DATASET, dataset, file_formats, format_for, write_dataset, write_examples

SUFFIX = {"csv": ".csv", "xlsx": ".xlsx", "parquet": ".parquet"}
RISKY = "=+-@\t\r"
TABLE_OF_CELLS = ("csv", "xlsx")

words = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=25),
    st.sampled_from(
        ["=1+1", "'=1", "-", "\t@x", "\r\n+1", "''-", "_x000D_", "_x005F_x0041_", "\ufffe", "#N/A", "\u2028"]
    ),
    st.sampled_from(
        ["1", "1.0", "true", "2024-05-01", "[1]", '{"a": 1}', "a;b", 'say ""', "NaN", "null", "<tool_call>"]
    ),
)
texts = words.filter(str.strip)
tags = st.fixed_dictionaries(
    {},
    optional={
        "group": texts.map(str.strip),
        "category": texts,
        "edge_case": st.sampled_from(["ambiguous", "out_of_scope", "decline", "escalate"]),
        "time": st.one_of(st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat), st.dates().map(date.isoformat)),
        "id": texts,
    },
)
weights = st.none() | st.sampled_from([0.0, 0.5, 1.0])
objects = st.dictionaries(texts, texts | st.integers() | st.none(), max_size=2)


@st.composite
def prompts(draw, talks=True, results=True, weighted=True):
    """Messages of a prompt, with all that formats may carry."""
    messages = []
    if draw(st.booleans()):
        system = draw(texts)
        tools = draw(st.lists(objects, max_size=2)) if results else []
        messages.append(Message(role="system", content=with_tools(system, tools) if tools else system))
    for _ in range(draw(st.integers(0, 2)) if talks else 0):
        messages += [Message(role="user", content=draw(texts))]
        weight = draw(weights) if weighted else None
        said = draw(texts)
        if results and draw(st.booleans()):
            calls = [
                {"function": {"name": draw(texts), "arguments": draw(objects)}} for _ in range(draw(st.integers(1, 2)))
            ]
            messages.append(
                Message(role="assistant", content=with_calls(said, {"tool_calls": calls}, 1), weight=weight)
            )
            messages += [Message(role="tool", content=draw(texts)) for _ in calls]
            said = draw(texts)
        messages.append(Message(role="assistant", content=said, weight=weight))
    return (*messages, Message(role="user", content=draw(texts)))


def made(messages, completion, tags):
    origin = Origin(file="elsewhere", line=1, id=tags.get("id"))
    kept = {name: value for name, value in tags.items() if name != "id"}
    return Example.make(messages, completion, origin=origin, **kept)


def examples(**parts):
    return st.lists(st.builds(made, prompts(**parts), texts, tags), min_size=1, max_size=4)


def said(example, tags=True, weights=True):
    """What an example says, without where it was read."""
    messages = [(m.role, m.content, m.weight if weights else None) for m in example.messages]
    marks = (example.group, example.category, example.edge_case, example.time, example.origin.id) if tags else ()
    return messages, example.completion, marks


def there_and_back(folder, rows, name, **options):
    path = folder / f"out{SUFFIX.get(name, '.jsonl')}"
    left_out = write_examples(path, rows, name, **options)
    return read_all(path), left_out


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("out")


def carried(name):
    form = file_formats[name]
    return {"talks": form.turns, "results": form.results}


@pytest.mark.parametrize("name", sorted(file_formats))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_what_goes_out_comes_in_again_equal(folder, name, data):
    rows = data.draw(examples(**carried(name)))
    back, left_out = there_and_back(folder, rows, name, tags=True)
    weights = file_formats[name].weights
    assert [said(row) for row in back] == [said(row, weights=weights) for row in rows]
    assert left_out.keys() <= (set() if weights else {"weight"})


splits = st.dictionaries(st.sampled_from(["train", "validation", "test"]), examples(), min_size=1)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(splits=splits)
def test_a_data_set_comes_in_again_equal_split_by_split(folder, splits):
    path = folder / "set"
    shutil.rmtree(path, ignore_errors=True)
    assert write_dataset(path, splits) == {}
    usual = [name for name in ("train", "validation", "test") if name in splits]
    assert [said(row) for row in read_all(path)] == [said(row) for name in usual for row in splits[name]]
    for name in usual:
        back = read_all(path / f"data/{name}-00000-of-00001.parquet")
        assert [said(row) for row in back] == [said(row) for row in splits[name]]


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(splits=splits)
def test_the_card_of_a_data_set_tells_its_files_columns_and_counts(folder, splits):
    path = folder / "set"
    shutil.rmtree(path, ignore_errors=True)
    write_dataset(path, splits)
    _, card, rest = (path / "README.md").read_text().split("---\n")
    described = yaml.safe_load(card)
    (config,) = described["configs"]
    for part, counted in zip(config["data_files"], described["dataset_info"]["splits"], strict=True):
        (file,) = path.glob(part["path"])
        table = pq.read_table(file)
        assert counted == {"name": part["split"], "num_bytes": table.nbytes, "num_examples": len(table)}
        assert [feature["name"] for feature in described["dataset_info"]["features"]] == table.column_names
    assert rest == ""


def test_the_same_examples_give_the_same_data_set(tmp_path):
    rows = [made((Message(role="user", content=f"{n}"),), "x", {"group": "g"}) for n in range(30)]
    for path in ("a", "b"):
        write_dataset(tmp_path / path, {"train": rows[:20], "test": rows[20:]})
    one, other = (
        {file.relative_to(tmp_path / path): file.read_bytes() for file in (tmp_path / path).rglob("*.*")}
        for path in ("a", "b")
    )
    assert one == other and len(one) == 3


@pytest.mark.parametrize("there", [False, True])
def test_a_data_set_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch, there):
    row = made((Message(role="user", content="Hi"),), "x", {})
    if there:
        (tmp_path / "set").mkdir()
    monkeypatch.setattr(dataset, "_card", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "set", {"train": [row]})
    assert list(tmp_path.rglob("*")) == ([tmp_path / "set"] if there else [])


def test_a_data_set_takes_no_place_of_another(tmp_path):
    row = made((Message(role="user", content="Hi"),), "x", {})
    (tmp_path / "set").mkdir()
    (tmp_path / "set/mine").touch()
    with pytest.raises(TunesmithError, match="could not be written"):
        write_dataset(tmp_path / "set", {"train": [row]})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mine", "set"]


@pytest.mark.parametrize("name", ["openai", "gemini", "bedrock"])
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_provider_s_file_holds_no_tags_and_tells_how_many_it_leaves_out(folder, name, data):
    rows = data.draw(examples(**carried(name)))
    back, left_out = there_and_back(folder, rows, name)
    weights = file_formats[name].weights
    assert [said(row)[:2] for row in back] == [said(row, weights=weights)[:2] for row in rows]
    assert all(said(row)[2] == (None,) * 5 for row in back)
    assert left_out.get("group", 0) == sum(row.group is not None for row in rows)


@pytest.mark.parametrize("name", sorted(file_formats))
def test_the_same_examples_give_the_same_bytes(tmp_path, name):
    rows = [made((Message(role="user", content=f"{n}"),), "=x", {"group": "g"}) for n in range(30)]
    for path in ("a", "b"):
        write_examples(tmp_path / path, rows, name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", sorted(set(file_formats) - set(SUFFIX)))
def test_a_json_file_is_one_list(folder, name):
    row = made((Message(role="user", content="Hi\n"),), "Hello", {})
    write_examples(folder / f"{name}.json", [row, row], name)
    assert len(json.loads((folder / f"{name}.json").read_text())) == 2
    assert [said(one) for one in read_all(folder / f"{name}.json")] == [said(row)] * 2


@pytest.mark.parametrize("name", TABLE_OF_CELLS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_cell_is_a_formula(folder, name, data):
    rows = data.draw(examples(talks=False, results=False))
    path = folder / f"cells.{name}"
    write_examples(path, rows, name)
    if name == "csv":
        with path.open(newline="", encoding="utf-8") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
    else:
        book = load_workbook(path)
        sheet = book.active
        assert {cell.data_type for row in sheet for cell in row} <= {"s", "inlineStr", "n"}
        cells = [cell.value for row in sheet for cell in row if cell.value is not None]
        assert all(isinstance(cell, str) for cell in cells)
        book.close()
    assert [cell for cell in cells if cell.startswith(tuple(RISKY))] == []


def test_quotes_of_a_foreign_table_are_left_as_they_are(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n'=1+1,'-x\n")
    assert [(row.prompt, row.completion) for row in read_all(tmp_path / "a.csv")] == [("'=1+1", "'-x")]


def test_the_guard_s_column_is_there_only_where_it_is_needed(tmp_path):
    safe, risky = (made((Message(role="user", content=text),), "x", {}) for text in ("Hi", "=Hi"))
    write_examples(tmp_path / "safe.csv", [safe], "csv")
    write_examples(tmp_path / "risky.csv", [safe, risky], "csv")
    assert GUARD not in (tmp_path / "safe.csv").read_text()
    assert (tmp_path / "risky.csv").read_bytes().splitlines()[-1] == b'"\'=Hi","x","prompt"'


@pytest.mark.parametrize("name", ["csv", "xlsx", "alpaca"])
def test_a_conversation_is_refused_where_it_does_not_fit_and_nothing_is_written(tmp_path, name):
    talk = [Message(role=role, content="x") for role in ("user", "assistant", "user")]
    pair = made((talk[0],), "x", {})
    with pytest.raises(TunesmithError, match=rf"(?s)1 of 2 examples are conversations.*{name}.*--format openai"):
        write_examples(tmp_path / "out", [pair, made(tuple(talk), "x", {})], name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["gemini", "bedrock"])
def test_answers_of_tools_are_refused_where_they_do_not_fit(tmp_path, name):
    talk = tuple(Message(role=role, content="x") for role in ("user", "assistant", "tool"))
    with pytest.raises(TunesmithError, match=r"(?s)1 of 1 examples hold answers of tools.*openai"):
        write_examples(tmp_path / "out", [made(talk, "x", {})], name)


def test_a_text_too_long_for_a_cell_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(TunesmithError, match=r"(?s)40,000 characters.*--format csv"):
        write_examples(tmp_path / "a.xlsx", [made((Message(role="user", content="a" * 40_000),), "x", {})], "xlsx")
    assert list(tmp_path.iterdir()) == []


def test_parts_that_no_file_carries_are_counted(tmp_path):
    row = msgspec.structs.replace(made((Message(role="user", content="Hi"),), "x", {}), side="test", source="expert")
    assert write_examples(tmp_path / "a.jsonl", [row], "openai") == {"side": 1, "source": 1}


@pytest.mark.parametrize("name", sorted(file_formats))
def test_an_empty_completion_comes_back_where_there_may_be_nothing_to_find(tmp_path, name):
    field = Field(name="name", type="value", nullable=True)
    path = tmp_path / f"a{SUFFIX.get(name, '.jsonl')}"
    write_examples(path, [made((Message(role="user", content="Hi"),), "", {})], name)
    (back,) = read_all(path, task=Task(name="t", format="plain", fields=(field,)))
    assert (back.prompt, back.completion) == ("Hi", "")


def test_openai_s_file_holds_calls_and_tools_as_openai_takes_them(tmp_path):
    tool = {"type": "function", "function": {"name": "find"}}
    calls = with_calls("", {"tool_calls": [{"function": {"name": "find", "arguments": {"id": 7}}}]}, 1)
    messages = (
        Message(role="system", content=with_tools("Be kind.", [tool])),
        Message(role="user", content="Where?"),
        Message(role="assistant", content=calls, weight=0.0),
        Message(role="tool", content="depot"),
    )
    write_examples(tmp_path / "a.jsonl", [made(messages, "At the depot.", {})], "openai")
    call = {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Where?"},
            {"role": "assistant", "content": None, "weight": 0, "tool_calls": [call]},
            {"role": "tool", "content": "depot", "tool_call_id": "call_1"},
            {"role": "assistant", "content": "At the depot."},
        ],
        "tools": [tool],
    }


@pytest.mark.parametrize(
    ("path", "wanted", "format"),
    [
        ("a.jsonl", None, "openai"),
        ("a.CSV", None, "csv"),
        ("a.xlsx", None, "xlsx"),
        ("a.parquet", None, "parquet"),
        ("a", "prompt_completion", "prompt-completion"),
        ("a.json", "chat", "openai"),
        ("a", "dataset", "dataset"),
    ],
)
def test_the_suffix_says_the_format_unless_one_is_named(tmp_path, path, wanted, format):
    assert format_for(tmp_path / path, wanted) == format


def test_a_format_that_is_not_there_lists_those_that_are(tmp_path):
    with pytest.raises(UnknownName, match=r"(?s)no format 'gemni'.*did you mean 'gemini'"):
        format_for(tmp_path / "a", "gemni")
    with pytest.raises(TunesmithError, match=r"(?s)does not say its format.*--format: openai"):
        format_for(tmp_path / "a.doc", None)


def test_every_format_is_named_where_people_look_for_it():
    from tests.house.source import ROOT

    page = (ROOT / "docs/examples.md").read_text(encoding="utf-8")
    written = re.findall(r"^\| `([a-z-]+)` \|", page.partition("## Writing them out")[2], flags=re.MULTILINE)
    assert {*file_formats, DATASET} <= set(written)
