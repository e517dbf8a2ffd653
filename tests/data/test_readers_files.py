"""Files as wholes: tables, JSON lists, documents, folders, and what cannot be read at all."""

import json
import os
import time
import tracemalloc
from pathlib import Path

import pytest
from tests.data.rows import INTENT, read_all, read_one, write

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Document, Example, Rejected
from tunesmith.data.readers import LARGEST_ROW, ReadOptions, drafts, read

GOOD = {"prompt": "Hi", "completion": "x"}


def file(folder, name, content):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# --- tables


@pytest.mark.parametrize(("delimiter", "name"), [(",", "comma"), (";", "semicolon"), ("\t", "tab")])
def test_the_delimiter_is_found_and_said(tmp_path, delimiter, name):
    rows = [["text", "intent"], ['"Where, or; when?\nsoon"', "top_up"], ['"say ""yes"""', "card_linking"]]
    notes = []
    first, second = read_all(
        file(tmp_path, "a.csv", "\r\n".join(delimiter.join(row) for row in rows)), notes, task=INTENT
    )
    assert (first.prompt, first.completion, first.origin.line) == ("Where, or; when?\nsoon", "top_up", 2)
    assert (second.prompt, second.origin.line) == ('say "yes"', 4)
    assert any(name in note for note in notes)


def test_a_byte_order_mark_and_formulas_are_no_trouble(tmp_path):
    example = read_one(file(tmp_path, "a.csv", b'\xef\xbb\xbftext,label\r\n"=HYPERLINK(""http://x"")",+1\r\n'))
    assert (example.prompt, example.completion) == ('=HYPERLINK("http://x")', "+1")


def test_a_quote_that_never_closes_costs_its_row_only(tmp_path):
    path = file(tmp_path, "a.csv", 'text,label\none,a\n"two,a\nthree,a\nfour,a\n')
    first, rejected, third, fourth = read_all(path)
    assert isinstance(rejected, Rejected) and rejected.line == 3
    assert "quote is opened here" in rejected.problem and '""yes""' in rejected.mend
    assert [e.prompt for e in (first, third, fourth)] == ["one", "three", "four"]
    assert fourth.origin.line == 5


def test_a_quote_inside_a_quoted_cell_costs_its_row_only(tmp_path):
    found = read_all(file(tmp_path, "a.csv", 'text,label\n"he said "no" to us",a\ntwo,a\n'))
    assert [type(row) for row in found] == [Rejected, Example]


def test_a_quote_that_swallows_sixteen_megabytes_is_given_up(tmp_path):
    lines = (b"a" * 2**20 + b",a\n") * (LARGEST_ROW // 2**20 + 2)
    found = read_all(file(tmp_path, "a.csv", b'text,label\n"open,a\n' + lines))
    assert [type(row) for row in found] == [Rejected] + [Example] * lines.count(b"\n")
    assert found[0].line == 2


def test_rows_with_other_numbers_of_cells_are_set_aside_and_empty_ones_passed_over(tmp_path):
    found = read_all(file(tmp_path, "a.csv", "text,label\n\none,a\nHello, you,a\nx\n,,\n,\ntwo,a,,\n"))
    assert [getattr(row, "prompt", None) or row.problem for row in found] == [
        "one",
        "the row has 3 cells where the header has 2",
        "the row has 1 cells where the header has 2",
        "two",
    ]


def test_a_cell_that_is_not_utf8_or_holds_a_null_costs_its_row_only(tmp_path):
    found = read_all(file(tmp_path, "a.csv", b"text,label\ncaf\xe9,a\nn\0l,a\ngood,a\n"))
    assert [type(row) for row in found] == [Rejected, Rejected, Example]
    assert "byte 3 is 0xe9" in found[0].problem
    assert "null byte" in found[1].problem


def test_a_table_without_the_named_column_lists_those_it_has(tmp_path):
    path = file(tmp_path, "a.csv", "utterance,intent\nHi,top_up\n")
    near = r"(?s)a\.csv: There is no column 'utterence'.*'utterance', 'intent'.*mean 'utterance'"
    with pytest.raises(TunesmithError, match=near):
        read_all(path, mapping={"prompt": "utterence"})
    path = file(tmp_path, "b.csv", "utterance,intent,when\nHi,top_up,now\n")
    with pytest.raises(TunesmithError, match=r"(?s)hold the prompt.*'utterance', 'intent'.*--map prompt=COLUMN"):
        read_all(path)


@pytest.mark.parametrize("header", ["utterance,intent", "text,topic"])
def test_in_a_table_of_two_columns_the_known_one_tells_the_other(tmp_path, header):
    notes = []
    example = read_one(file(tmp_path, "a.csv", f"{header}\nHi,top_up\n"), notes=notes)
    assert (example.prompt, example.completion) == ("Hi", "top_up")
    assert any(all(repr(name) in note for name in header.split(",")) for note in notes)


def test_a_header_of_many_columns_is_read_at_once(tmp_path):
    names = ["text", "label", *(f"column {n}" for n in range(100_000))]
    began = time.monotonic()
    assert read_one(file(tmp_path, "a.csv", f"{','.join(names)}\nHi,x{',y' * 100_000}\n")).prompt == "Hi"
    assert time.monotonic() - began < 30


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(TunesmithError, match="two columns named 'text'"):
        read_all(file(tmp_path, "a.csv", "text,text\na,b\n"))


# --- JSON lists


def test_a_broken_element_of_a_list_costs_itself_only(tmp_path):
    content = '[\n{"prompt": "a", "completion": "x"},\n{"prompt": oops},\n7,\n{"prompt": "b", "completion": "x"}]'
    found = read_all(file(tmp_path, "a.json", content))
    assert [type(row) for row in found] == [Example, Rejected, Rejected, Example]
    assert [row.line for row in found[1:3]] == [3, 4]


@pytest.mark.parametrize("end", ["", ",", ', {"prompt": "b", "comp', ', {"prompt": "b"'])
def test_a_list_that_is_cut_off_is_told(tmp_path, end):
    found = read_all(file(tmp_path, "a.json", "[" + json.dumps(GOOD) + end))
    assert [type(row) for row in found] == [Example, Rejected]
    assert "cut off" in found[1].problem


def test_text_after_a_list_is_told(tmp_path):
    found = read_all(file(tmp_path, "a.json", "[" + json.dumps(GOOD) + "]\n[1]"))
    assert "after the end" in found[-1].problem and len(found) == 2


def test_a_json_file_may_hold_json_lines(tmp_path):
    assert len(read_all(write(tmp_path, "a.json", GOOD, GOOD))) == 2


def test_one_big_json_object_is_not_rows(tmp_path):
    path = file(tmp_path, "a.json", json.dumps({"data": [GOOD]}, indent=1))
    with pytest.raises(TunesmithError, match=r"(?s)one JSON object, not a list.*keep only the list"):
        read_all(path)


# --- bounded memory


def test_a_line_of_two_hundred_megabytes_is_set_aside_without_being_loaded(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = (json.dumps(GOOD) + "\n").encode() * 3000  # above the first bytes that tell text from binary
    with path.open("wb") as out:
        out.write(rows)
        out.truncate(len(rows) + 200 * 2**20)  # a hole in the file: zeros that take no disk
        out.seek(0, os.SEEK_END)
        out.write(b"\n" + rows[:1000].rsplit(b"\n", 1)[0] + b"\n")
    tracemalloc.start()
    count, rejected = 0, []
    for row in read(path, ReadOptions()):
        count += 1
        rejected += [row] if isinstance(row, Rejected) else []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(row.line, row.problem) for row in rejected] == [(3001, "the row has 200.0 MB; a row may have 16 MB")]
    assert count == 3001 + rows[:1000].count(b"\n")
    assert peak < 3 * LARGEST_ROW


def test_an_element_above_the_limit_is_skipped_in_a_list(tmp_path):
    big = b'{"prompt": "' + b"a" * LARGEST_ROW + b'", "completion": "x"}'
    found = read_all(file(tmp_path, "a.json", b"[" + big + b",\n" + json.dumps(GOOD).encode() + b"]"))
    assert "16.0 MB" in found[0].problem
    assert (found[1].prompt, found[1].origin.line) == ("Hi", 2)


# --- documents and folders


def test_a_document_is_titled_by_its_first_heading_outside_code(tmp_path):
    text = "Before.\r\n```\r\n# not this\r\n```\r\n## Returns and refunds ##\r\nText.\r\n"
    document = read_one(file(tmp_path, "a.md", b"\xef\xbb\xbf" + text.encode()), as_="document")
    assert isinstance(document, Document)
    assert document.title == "Returns and refunds"
    assert "\r" not in document.text and document.text.startswith("Before.")


def test_a_document_without_a_heading_has_the_file_s_name(tmp_path):
    assert read_one(file(tmp_path, "opening hours.txt", "Nine to five. #not a heading")).title == "opening hours"


def test_a_document_that_is_not_utf8_is_set_aside(tmp_path):
    rejected = read_one(file(tmp_path, "a.txt", b"caf\xe9"))
    assert rejected.problem == "the document is not UTF-8: byte 3 is 0xe9"


def test_a_folder_is_read_in_sorted_order_and_bad_files_are_told(tmp_path):
    (tmp_path / "b").mkdir()
    write(tmp_path, "b/rows.jsonl", GOOD)
    file(tmp_path, "a.md", "# A\ntext")
    file(tmp_path, "c.pdf", b"%PDF-1.7 ...")
    file(tmp_path, "d.csv", "")
    file(tmp_path, ".hidden.jsonl", "nothing")
    found = read_all(tmp_path)
    assert [type(row) for row in found] == [Document, Rejected, Rejected, Example]
    assert [(row.line, Path(row.file).name) for row in found[1:3]] == [(0, "c.pdf"), (0, "d.csv")]


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(TunesmithError, match="holds no files"):
        read_all(tmp_path)


# --- what cannot be read at all


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b"", r"(?s)has no rows: it is empty"),
        ("a.jsonl", b"\xef\xbb\xbf\n \r\n", r"has no rows"),
        ("a.csv", b"text,label\n", r"has no rows"),
        ("a.json", b"[ ]", r"has no rows"),
        ("a.jsonl", b"\n" * 70_000, r"has no rows"),
        ("a.bin", b"abc", r"(?s)unknown suffix '.bin'.*--format"),
        ("rows", b"abc", r"no suffix"),
        ("a.jsonl", b"\x1f\x8b\x08rest", r"(?s)compressed with gzip.*gunzip"),
        ("a.csv", b"PK\x03\x04rest", r"(?s)Office file.*CSV"),
        ("a.jsonl", bytes(range(256)) * 9, r"not text"),
        ("a.csv", '\ufeff"text","label"\n'.encode("utf-16-le"), r"(?s)UTF-16.*iconv"),
        ("a.jsonl", b'{"foo": 1}\n{"bar": 2}\n', r"(?s)not recognised.*'foo', 'bar'.*--map"),
        ("a.csv", b'"text,label\n', r"header of .* cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(tmp_path, name, content, problem):
    with pytest.raises(TunesmithError, match=problem):
        read_all(file(tmp_path, name, content))


def test_a_missing_file_names_the_near_one(tmp_path):
    write(tmp_path, "train.jsonl", GOOD)
    with pytest.raises(TunesmithError, match=r"(?s)no file .*tran\.jsonl.*did you mean train\.jsonl"):
        read(tmp_path / "tran.jsonl", ReadOptions())


def test_an_unknown_format_lists_the_known_ones(tmp_path):
    with pytest.raises(UnknownName, match=r"(?s)no format 'chatt'.*did you mean 'chat'"):
        read(write(tmp_path, "a.jsonl", GOOD), ReadOptions(format="chatt"))


def test_a_named_format_reads_any_suffix(tmp_path):
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "x"}]}
    assert read_one(write(tmp_path, "a.dat", row), format="chat").prompt == "Hi"
    table = file(tmp_path, "b.txt", "text;y\nHi;x\n")
    assert read_one(table, format="csv").completion == "x"


def test_a_format_may_be_written_with_a_hyphen(tmp_path):
    assert read_one(write(tmp_path, "a.jsonl", GOOD), format="prompt-completion").completion == "x"


def test_a_file_of_unreadable_lines_tells_each_line(tmp_path):
    assert [row.line for row in read_all(file(tmp_path, "a.jsonl", "{oops\n\nworse\n"))] == [1, 3]


def test_drafts_of_a_document_are_refused(tmp_path):
    with pytest.raises(TunesmithError, match="document without rows"):
        list(drafts(file(tmp_path, "a.md", "# A"), ReadOptions()))
