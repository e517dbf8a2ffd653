"""What holds for every file: valid rows come back equal, and no bytes lose a row or raise anything but our errors."""

import contextlib
import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.rows import read_all

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Rejected
from tunesmith.data.infer import infer_task
from tunesmith.data.readers.json_list import json_list
from tunesmith.data.readers.rows import Fault, Row

patient = settings(deadline=None)  # a busy machine is slow, not wrong
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
texts = words.filter(lambda text: text.strip())
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=8)
conversations = st.lists(st.lists(texts, min_size=2, max_size=6).filter(lambda said: len(said) % 2 == 0), min_size=1)
broken = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"", b" \t\r", b"{}", b"[]", b'{"prompt": "a"}', b'{"prompt": "a", "completion": "b"}', b"\xff\xfe"]
    ),
    st.tuples(texts, anything, st.integers(0, 60)).map(
        lambda row: json.dumps({"prompt": row[0], "completion": row[1], "customer": row[1]}).encode()[: row[2] or None]
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@patient
@given(pairs, st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_pairs_written_as_json_lines_read_back_equal(folder, rows, ascii, line_end, mark):
    lines = [json.dumps({"prompt": p, "completion": c}, ensure_ascii=ascii).encode() for p, c in rows]
    path = folder / "pairs.jsonl"
    path.write_bytes(mark + line_end.join(lines))
    assert [(row.prompt, row.completion) for row in read_all(path)] == rows


@patient
@given(conversations, st.none() | st.sampled_from([0, 1, 0.5]))
def test_conversations_written_as_json_lines_read_back_equal(folder, rows, weight):
    path = folder / "chats.jsonl"
    with path.open("w") as out:
        for said in rows:
            messages = [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(said)]
            messages = [
                m | ({"weight": weight} if m["role"] == "assistant" and m is not messages[-1] else {}) for m in messages
            ]
            out.write(json.dumps({"messages": messages}) + "\n")
    found = read_all(path)
    assert [[*(m.content for m in row.messages), row.completion] for row in found] == rows
    assert {m.weight for row in found for m in row.messages if m.role == "assistant"} <= {weight}


@patient
@given(pairs, st.sampled_from(",;\t"))
def test_pairs_written_as_a_table_read_back_equal(folder, rows, delimiter):
    path = folder / "pairs.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("prompt", "completion"), *rows])
    assert [(row.prompt, row.completion) for row in read_all(path)] == rows


@settings(patient, max_examples=200)
@given(st.lists(broken, max_size=8), st.sampled_from([None, "chat", "prompt_completion", "alpaca", "document"]))
def test_every_line_that_is_not_blank_comes_out_or_the_file_is_refused(folder, lines, format):
    content = b"\n".join(lines)
    path = folder / "any.jsonl"
    path.write_bytes(content)
    expected = sum(bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    try:
        found = read_all(path, format=format)
    except TunesmithError as error:
        assert error.mend
        return
    assert len(found) == expected
    for row in found:
        assert not isinstance(row, Rejected) or (row.problem and row.mend and row.line > 0)
        assert "\ud800" not in getattr(row, "completion", "")


@patient
@given(st.lists(anything, max_size=6), st.none() | st.integers(0, 3), st.integers(1, 40))
def test_a_json_list_gives_each_element_whatever_the_chunks(elements, indent, chunk_bytes):
    content = json.dumps(elements, indent=indent, ensure_ascii=False).encode()
    found = list(json_list(io.BytesIO(content), chunk_bytes))
    assert len(found) == len(elements)
    for item, element in zip(found, elements, strict=True):
        assert isinstance(item, Row) == isinstance(element, dict)
        assert not isinstance(item, Row) or item.content == element


@patient
@given(st.lists(anything, min_size=1, max_size=6), st.integers(1, 40))
def test_an_element_of_a_json_list_is_named_by_the_line_it_begins_on(elements, chunk_bytes):
    content = "[\n" + ",\n".join(json.dumps(element) for element in elements) + "\n]\n"
    found = list(json_list(io.BytesIO(content.encode()), chunk_bytes))
    assert [item.line for item in found] == list(range(2, len(elements) + 2))


@patient
@given(st.lists(anything, min_size=1, max_size=4), st.integers(0, 200), st.binary(max_size=3), st.integers(1, 40))
def test_a_json_list_of_any_bytes_never_raises_and_tells_that_it_is_cut_off(elements, at, dirt, chunk_bytes):
    content = json.dumps(elements).encode()
    list(json_list(io.BytesIO(content[:at] + dirt + content[at:]), chunk_bytes))
    if 0 < at < len(content):
        assert any(isinstance(item, Fault) for item in json_list(io.BytesIO(content[:at]), chunk_bytes))


@settings(patient, max_examples=60)
@given(st.lists(broken, max_size=6), st.sampled_from([b"", b"prompt,completion\n", b"[", b'{"a":1}']))
@pytest.mark.parametrize("suffix", [".csv", ".json", ".tsv", ".md", ".jsonl"])
def test_no_bytes_raise_anything_but_our_errors(folder, suffix, lines, start):
    path = folder / f"any{suffix}"
    path.write_bytes(start + b"\n".join(lines))
    for task in (read_all, infer_task):
        with contextlib.suppress(TunesmithError):
            task(path)


@patient
@given(
    st.lists(st.tuples(texts, texts), min_size=1, max_size=6),
    st.lists(st.sampled_from(['"open', 'a"b', '"x" y']), max_size=3),
)
def test_good_rows_of_a_table_survive_stray_quotes_before_them(folder, rows, stray):
    path = folder / "stray.csv"
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, quoting=csv.QUOTE_ALL)
        writer.writerow(("prompt", "completion"))
        for text in stray:
            out.write(f"{text}\n")
        writer.writerows(rows)
    good = [(row.prompt, row.completion) for row in read_all(path) if isinstance(row, Example)]
    # a stray quote may pair with the quote that opens the first good row, and then takes that one with it
    assert good[-(len(rows) - 1) :] == rows[1:] or len(rows) == 1
