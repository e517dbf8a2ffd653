"""Broken files of every kind: one of our errors, or every row comes out as an example or set aside."""

import io
import json
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.data.files import label_features, write_dataset, write_parquet, write_sheet
from tests.data.rows import read_all

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Rejected
from tunesmith.data.readers import row_formats

ROWS = 12
NAMES = ["shipping", "billing", "returns"]
bounded = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

said = [
    ("system", "Be kind."),
    ("user", "Where?"),
    ("assistant", "Here."),
    ("user", "Thanks"),
    ("assistant", "Welcome"),
]
call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"id": 7}'}}
VALID = {
    "chat": {
        "messages": [
            *({"role": role, "content": text, "weight": 1} for role, text in said[:2]),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
            {"role": "assistant", "content": [{"type": "text", "text": "Done."}]},
        ],
        "tools": [{"type": "function", "function": {"name": "find"}}],
        "group": "g",
    },
    "sharegpt": {"conversations": [{"from": role, "value": text} for role, text in said]},
    "gemini": {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [{"role": role.replace("assistant", "model"), "parts": [{"text": t}]} for role, t in said[1:]],
    },
    "bedrock": {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be kind."}],
        "messages": [{"role": role, "content": [{"text": text}]} for role, text in said[1:]],
    },
    "alpaca": {"instruction": "Translate.", "input": "Guten Tag", "output": "Good day", "edge_case": "decline"},
    "prompt_completion": {"prompt": [{"role": "user", "content": "Hi"}], "completion": {"a": [1, None]}, "id": 7},
}

words = st.text(max_size=8)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def places(thing, here=()):
    """The place of everything in a JSON value."""
    yield here
    inside = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    for key, value in inside:
        yield from places(value, (*here, key))


def put(thing, place, value):
    """A copy with ``value`` at that place; DROPPED takes out what is there."""
    if not place:
        return value
    first, *rest = place
    copy = dict(thing) if isinstance(thing, dict) else list(thing)
    if not rest and value is DROPPED:
        del copy[first]
    else:
        copy[first] = put(thing[first], rest, value)
    return copy


DROPPED = object()


@st.composite
def broken_rows(draw, valid):
    row = valid
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from([place for place in places(row) if place] or [()]))
        row = put(row, place, draw(anything | st.just(DROPPED)) if place else {})
    return row


@pytest.mark.parametrize("name", sorted(row_formats))
@settings(bounded, max_examples=120)
@given(data=st.data())
def test_every_row_of_a_format_comes_out_whatever_stands_in_it(tmp_path, name, data):
    rows = data.draw(st.lists(broken_rows(VALID[name]), min_size=1, max_size=4))
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    try:
        found = read_all(path, format=name)
    except TunesmithError as error:
        assert name == "prompt_completion" and error.mend  # columns are asked for by name there
        return
    assert len(found) == len(rows)
    assert all(row.problem and row.mend and row.line for row in found if isinstance(row, Rejected))


def test_the_rows_that_are_broken_were_valid():
    assert set(VALID) == set(row_formats)


# --- files that are no text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A valid file of each kind, as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    columns = {
        "text": [f"message {n}" for n in range(ROWS)],
        "label": [n % 3 for n in range(ROWS)],
        "customer": [str(n // 2) for n in range(ROWS)],
    }
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    described = {"huggingface": json.dumps({"info": {"features": label_features("label", NAMES)}})}
    write_dataset(folder / "set", columns, label_features("label", NAMES))
    files = {
        ".parquet": write_parquet(folder / "a.parquet", columns, described, compression="snappy"),
        ".xlsx": write_sheet(folder / "a.xlsx", *rows),
        ".arrow": folder / "set/data-00000-of-00001.arrow",
        "state.json": folder / "set/state.json",
        "dataset_info.json": folder / "set/dataset_info.json",
    }
    return {kind: path.read_bytes() for kind, path in files.items()}


def laid_out(folder, kind, content):
    """Where ``read`` finds the content: a file, or a data set folder of which it is one part."""
    if kind.startswith(".") and kind != ".arrow":
        path = folder / f"a{kind}"
        path.write_bytes(content)
        return path
    part = "data-00000-of-00001.arrow" if kind == ".arrow" else kind
    if not (folder / "set").exists():
        write_dataset(folder / "set", {"text": ["a"] * ROWS, "label": [0] * ROWS}, label_features("label", NAMES))
    (folder / "set" / part).write_bytes(content)
    return folder / "set"


damages = st.lists(
    st.tuples(st.sampled_from(["cut", "flip", "insert", "zero"]), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    min_size=1,
    max_size=4,
)


def damaged(content, damage):
    for how, where, dirt in damage:
        at = int(where * len(content))
        if how == "cut":
            content = content[:at]
        elif how == "insert":
            content = content[:at] + dirt + content[at:]
        else:
            put_there = dirt if how == "flip" else bytes(len(dirt))
            content = content[:at] + put_there + content[at + len(dirt) :]
    return content


def rows_said(kind, content):
    """How many rows the damaged file says that it has."""
    if kind == ".parquet":
        return pq.ParquetFile(io.BytesIO(content)).metadata.num_rows
    if kind == ".arrow":
        return sum(batch.num_rows for batch in pa.ipc.open_stream(content))
    return None


@pytest.mark.parametrize("kind", [".parquet", ".xlsx", ".arrow", "state.json", "dataset_info.json"])
@given(damage=damages)
@bounded
def test_a_damaged_file_is_refused_or_read_to_its_last_row(tmp_path, whole, kind, damage):
    content = damaged(whole[kind], damage)
    try:
        found = read_all(laid_out(tmp_path, kind, content))
    except TunesmithError as error:
        assert error.problem and error.mend
        assert "\n" not in error.problem
        return
    assert all(row.problem and row.mend for row in found if isinstance(row, Rejected))
    said = rows_said(kind, content)
    assert said is None or len(found) == said


@pytest.mark.parametrize("kind", [".parquet", ".xlsx", ".arrow", "state.json"])
@given(
    content=st.binary(max_size=200), begin=st.sampled_from([b"", b"PK\x03\x04", b"PAR1", b"ARROW1\0\0", b"\xff" * 4])
)
@bounded
def test_any_bytes_are_refused(tmp_path, kind, content, begin):
    with pytest.raises(TunesmithError):
        read_all(laid_out(tmp_path, kind, begin + content))


@given(damage=damages, part=st.integers(0, 20))
@bounded
def test_damage_inside_the_parts_of_a_workbook_is_noticed_or_its_rows_come_out(tmp_path, whole, damage, part):
    """The archive itself is sound, so that the damage reaches the reader of sheets."""
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(io.BytesIO(whole[".xlsx"])) as old, zipfile.ZipFile(path, "w") as new:
        names = old.namelist()
        for number, name in enumerate(names):
            content = old.read(name)
            new.writestr(name, damaged(content, damage) if number == part % len(names) else content)
    try:
        found = read_all(path)
    except TunesmithError as error:
        assert error.problem and error.mend
        return
    assert all(row.problem and row.mend for row in found if isinstance(row, Rejected))
