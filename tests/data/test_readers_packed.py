"""Workbooks, Parquet files and data set folders: what they say, and what they are not let do."""

import builtins
import datetime
import io
import json
import re
import time
import zipfile
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.files import label_features, sheet_xml, write_dataset, write_parquet, write_sheet
from tests.data.rows import INTENT, read_all, read_one, write

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Rejected
from tunesmith.data.infer import infer_task
from tunesmith.data.readers import LARGEST_ROW
from tunesmith.data.readers.options import silent
from tunesmith.data.readers.parquet import parquet_rows
from tunesmith.data.readers.workbook import workbook_rows

PAIRS = {"text": ["Where is my card?", "Link it", "Top up"], "label": [0, 1, 2]}
NAMES = ["card_arrival", "card_linking", "top_up"]


def text_row(number, *texts):
    cells = (f'<c r="{"AB"[n]}{number}" t="inlineStr"><is><t>{text}</t></is></c>' for n, text in enumerate(texts))
    return f'<row r="{number}">{"".join(cells)}</row>'


# --- workbooks


def test_a_sheet_reads_like_the_same_table(tmp_path):
    path = write_sheet(tmp_path / "a.xlsx", ["text", "label"], ["Hi", "x"], ["Ho", "y"])
    first, second = read_all(path)
    assert (first.prompt, first.completion, first.origin.line) == ("Hi", "x", 2)
    assert (second.prompt, second.origin.line) == ("Ho", 3)


def test_numbers_truths_and_dates_are_read_as_text(tmp_path):
    cells = [7, 7.5, True, datetime.date(2024, 5, 1), datetime.datetime.fromisoformat("2024-05-01T12:30")]
    path = write_sheet(tmp_path / "a.xlsx", ["text", "label"], *([f"row {n}", cell] for n, cell in enumerate(cells)))
    assert [row.completion for row in read_all(path)] == ["7", "7.5", "true", "2024-05-01", "2024-05-01T12:30:00"]


def test_empty_lines_are_passed_over_and_short_rows_filled(tmp_path):
    path = write_sheet(tmp_path / "a.xlsx", [], ["text", "label", "group"], [], ["Hi", "x"], ["", None, ""])
    example = read_one(path)
    assert (example.prompt, example.group, example.origin.line) == ("Hi", None, 4)


def test_an_error_and_a_cell_too_many_cost_their_row_only(tmp_path):
    path = write_sheet(tmp_path / "a.xlsx", ["text", "label"], ["a", "#N/A"], ["b", "x", "more"], ["c", "x"])
    error, more, good = read_all(path)
    assert (error.line, "the error #N/A" in error.problem) == (2, True)
    assert "3 cells where the header has 2" in more.problem
    assert good.prompt == "c"


def test_the_first_sheet_that_is_shown_is_read_and_the_others_are_named(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.title, book.active.sheet_state = "Secret", "hidden"
    for title in ("Tickets", "Notes"):
        book.create_sheet(title).append(["text", "label"])
        book[title].append([title, "x"])
    book.save(tmp_path / "a.xlsx")
    notes = []
    assert read_one(tmp_path / "a.xlsx", notes=notes).prompt == "Tickets"
    assert any("leaves out 'Secret', 'Notes'" in note for note in notes)


def test_a_formula_is_read_as_what_it_came_to(tmp_path):
    header = text_row(1, "text", "label")
    row = '<row r="2"><c r="A2" t="str"><f>"H"&amp;"i"</f><v>Hi</v></c><c r="B2"><f>1+1</f><v>2</v></c></row>'
    example = read_one(sheet_xml(tmp_path / "a.xlsx", header + row))
    assert (example.prompt, example.completion) == ("Hi", "2")


def test_two_cells_at_the_ends_of_a_sheet_take_no_memory(tmp_path):
    rows = text_row(1, "a") + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    found = read_one(sheet_xml(tmp_path / "a.xlsx", rows), mapping={"prompt": "a", "completion": "a"})
    assert isinstance(found, Rejected) and found.line == 1_048_576


def test_a_row_number_beyond_excel_s_is_refused(tmp_path):
    rows = '<row r="1"><c r="A1"><v>1</v></c></row><row r="99999999999"><c r="A2"><v>1</v></c></row>'
    with pytest.raises(TunesmithError, match="more than 1,048,576 rows"):
        read_all(sheet_xml(tmp_path / "a.xlsx", rows), mapping={"prompt": "1", "completion": "1"})


def test_a_workbook_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.xlsx"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("xl/sharedStrings.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(700):
            part.write(b"<si><t>" + b"a" * 2**20)
    assert path.stat().st_size < 2_000_000
    began = time.monotonic()
    with pytest.raises(TunesmithError, match=r"(?s)would unpack from .* to 700 MB.*CSV"):
        read_all(path)
    assert time.monotonic() - began < 2


def test_an_archive_that_lies_about_its_size_is_not_unpacked_beyond_it(tmp_path):
    path = sheet_xml(tmp_path / "a.xlsx", "<row><c><v>1</v></c></row>" * 200_000)
    size = zipfile.ZipFile(path).getinfo("xl/worksheets/sheet1.xml").file_size
    content = path.read_bytes().replace(size.to_bytes(4, "little"), (500).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(TunesmithError, match="cannot be read as an Excel workbook"):
        read_all(path, mapping={"prompt": "1", "completion": "1"})


def test_entities_that_multiply_are_refused(tmp_path):
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    strings = f'<!DOCTYPE x [<!ENTITY e0 "ha">{entities}]><sst><si><t>&e11;</t></si></sst>'
    rows = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
    path = sheet_xml(tmp_path / "a.xlsx", rows, extra=[("xl/sharedStrings.xml", strings)])
    with pytest.raises(TunesmithError):
        read_all(path)


def test_names_in_an_archive_that_lead_out_of_it_write_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    header = text_row(1, "text", "label")
    path = sheet_xml(
        tmp_path / "in/a.xlsx", header + text_row(2, "Hi", "x"), extra=[("../../evil.txt", "x"), ("/evil.txt", "x")]
    )
    assert isinstance(read_one(path), Example)
    assert not list(tmp_path.rglob("evil*"))


# --- Parquet


def test_a_parquet_file_reads_like_the_same_table_with_its_labels_by_name(tmp_path):
    described = {"info": {"features": label_features("label", NAMES)}}
    path = write_parquet(tmp_path / "a.parquet", PAIRS, {"huggingface": json.dumps(described)})
    found = read_all(path, task=INTENT)
    assert [row.completion for row in found] == NAMES
    assert [row.origin.line for row in found] == [1, 2, 3]
    assert infer_task(path).mapping == {"prompt": "text", "completion": "label"}


def test_chats_in_parquet_are_read_with_their_weights(tmp_path):
    turns = [
        {"role": "user", "content": "Hi", "weight": None},
        {"role": "assistant", "content": "Hello", "weight": 0.0},
        {"role": "user", "content": "Where?", "weight": None},
        {"role": "assistant", "content": "Here.", "weight": 1.0},
    ]
    row = {"messages": turns}
    one = read_one(write_parquet(tmp_path / "a.parquet", {"messages": [turns]}))
    assert one.id == read_one(write(tmp_path, "a.jsonl", row)).id
    assert one.messages[1].weight == 0


def test_values_that_json_lacks_become_text_and_empty_ones_nothing(tmp_path):
    columns = {
        "text": ["a", "b", "c", "d"],
        "label": pa.array([datetime.date(2024, 5, 1), None, None, None]),
        "group": pa.array([1.5, float("nan"), None, 2.0]),
        "customer": pa.array([b"x", b"y", None, b"\xff\xfe"]),
    }
    first, second, third, fourth = read_all(write_parquet(tmp_path / "a.parquet", columns))
    assert (first.completion, first.group) == ("2024-05-01", "1.5")
    assert "completion is empty" in second.problem and "completion is empty" in third.problem
    assert "'customer' holds bytes that are no text" in fourth.problem


def test_a_map_is_read_as_pairs(tmp_path):
    maps = pa.array([[("a", 1)], None, [("b", 2), ("c", 3)]], pa.map_(pa.string(), pa.int64()))
    found = read_all(write_parquet(tmp_path / "a.parquet", {"text": ["x", "y", "z"], "label": maps}))
    assert [getattr(row, "completion", None) for row in found] == ['[["a", 1]]', None, '[["b", 2], ["c", 3]]']


def test_a_label_that_has_no_name_costs_its_row_only(tmp_path):
    described = {"info": {"features": label_features("label", NAMES)}}
    columns = {"text": ["a", "b", "c"], "label": [2, 7, -1]}
    good, bad, none = read_all(write_parquet(tmp_path / "a.parquet", columns, {"huggingface": json.dumps(described)}))
    assert good.completion == "top_up"
    assert "'label' is 7, and has 3 names" in bad.problem
    assert "completion is empty" in none.problem


def test_a_text_that_is_not_utf8_costs_its_row_only(tmp_path):
    buffers = pa.array([b"caf\xe9", b"tea"], pa.binary()).buffers()
    broken = pa.StringArray.from_buffers(2, buffers[1], buffers[2])
    found = read_all(write_parquet(tmp_path / "a.parquet", {"text": broken, "label": ["x", "x"]}))
    assert [type(row) for row in found] == [Rejected, Example] or "UTF" in found[0].problem


def test_a_long_text_that_many_rows_share_is_set_aside_and_not_multiplied(tmp_path):
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000 + [1]), ["a" * (LARGEST_ROW + 1), "short"])
    path = write_parquet(tmp_path / "a.parquet", {"text": texts, "label": ["x"] * 2001})
    assert path.stat().st_size < 5_000_000
    found = read_all(path)
    assert len(found) == 2001
    assert {row.problem[:24] for row in found[:-1]} == {"the row has 16.0 MB; a r"}
    assert found[-1].prompt == "short"


@pytest.mark.parametrize("row_group_size", [None, 230])
def test_each_row_is_read_once_where_long_texts_begin_and_end(tmp_path, row_group_size):
    values = [*(f"short {n}" for n in range(220)), "a" * 2**20]
    order = [*range(170), *[220] * 130, *range(170, 220)]  # 64 MB and more in a hundred rows
    texts = pa.DictionaryArray.from_arrays(pa.array(order, pa.int32()), values)
    columns = {"text": texts, "label": [str(n) for n in range(len(order))]}
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=row_group_size)
    assert [(row.prompt, row.completion) for row in read_all(path)] == [
        (values[place], str(n)) for n, place in enumerate(order)
    ]


def test_a_parquet_file_of_texts_of_their_own_is_read_in_little_memory(tmp_path):
    random, count = np.random.default_rng(0), 40_000
    path = write_parquet(
        tmp_path / "a.parquet", {"text": [random.bytes(1000).hex() for _ in range(count)], "label": ["x"] * count}
    )
    with path.open("rb") as file:
        before = pa.total_allocated_bytes()
        for _ in parquet_rows(file, "a"):
            assert pa.total_allocated_bytes() - before < 20 * 2**20


def test_a_parquet_file_that_unpacks_to_gigabytes_is_refused_unread(tmp_path):
    texts = pa.array(["a" * 50_000_000]).take(pa.array([0] * 8))
    path = write_parquet(
        tmp_path / "a.parquet", {"text": texts, "label": ["x"] * 8}, use_dictionary=False, compression="zstd"
    )
    assert path.stat().st_size < 1_000_000
    with pytest.raises(TunesmithError, match=r"(?s)would unpack from .* to 381 MB.*do not trust it"):
        read_all(path)


@pytest.mark.parametrize("cut", [5, 40, 200, -9])
def test_a_parquet_file_that_is_cut_off_is_refused(tmp_path, cut):
    path = write_parquet(tmp_path / "a.parquet", PAIRS)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TunesmithError, match=r"(?s)cannot be read as Parquet.*write the file again"):
        read_all(path)


# --- data set folders


@pytest.mark.parametrize("form", [pa.ipc.new_stream, pa.ipc.new_file])
def test_a_data_set_folder_is_read_through_all_its_files(tmp_path, form):
    folder = write_dataset(tmp_path / "set", PAIRS, label_features("label", NAMES), parts=2, form=form)
    found = read_all(folder, task=INTENT)
    assert [(row.prompt, row.completion, row.origin.line) for row in found] == [
        (text, name, line) for line, (text, name) in enumerate(zip(PAIRS["text"], NAMES, strict=True), 1)
    ]
    assert found[0].origin.file == str(folder)


def test_splits_are_read_together_and_named(tmp_path):
    for split in ("train", "test"):
        write_dataset(tmp_path / "set" / split, {"text": [split], "label": ["x"]})
    (tmp_path / "set/dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    notes = []
    assert [row.prompt for row in read_all(tmp_path / "set", notes)] == ["train", "test"]
    assert any("train, test" in note and "--side" in note for note in notes)
    assert [row.prompt for row in read_all(tmp_path / "set/test")] == ["test"]


def test_a_data_set_within_a_folder_is_one_of_its_files(tmp_path):
    write_dataset(tmp_path / "all/set", {"text": ["a"], "label": ["x"]})
    write(tmp_path / "all", "b.jsonl", {"text": "b", "label": "x"})
    assert sorted(row.prompt for row in read_all(tmp_path / "all")) == ["a", "b"]


@pytest.mark.parametrize("name", ["../secret.arrow", "/secret.arrow", "..", "", "a\\b", 7, None, "link.arrow"])
def test_a_data_set_reads_nothing_outside_its_folder(tmp_path, name):
    outside = write_dataset(tmp_path / "outside", {"text": ["secret"], "label": ["x"]})
    (outside / "data-00000-of-00001.arrow").rename(tmp_path / "secret.arrow")
    folder = write_dataset(tmp_path / "set", PAIRS)
    (folder / "link.arrow").symlink_to(tmp_path / "secret.arrow")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    with pytest.raises(TunesmithError, match="leads out of the folder"):
        read_all(folder)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("state.json", "{oops", r"state\.json cannot be read"),
        ("state.json", "[]", "is not one JSON object"),
        ("state.json", "{}", "names no files"),
        ("state.json", '{"_data_files": [{"filename": "gone.arrow"}]}', r"lacks 'gone\.arrow'"),
        ("state.json", '{"_indices_data_files": [{"filename": "i.arrow"}]}', r"(?s)selection.*flatten_indices"),
        ("data-00000-of-00001.arrow", "no arrow", "cannot be read as Arrow"),
        ("data-00000-of-00001.arrow", "", "cannot be read as Arrow"),
    ],
)
def test_a_broken_data_set_says_what_is_wrong(tmp_path, file, content, problem):
    folder = write_dataset(tmp_path / "set", PAIRS)
    (folder / file).write_text(content)
    with pytest.raises(TunesmithError, match=problem):
        read_all(folder)


def write_shards(folder, **files):
    (folder / "data").mkdir(parents=True)
    for number, (name, rows) in enumerate(files.items()):
        columns = {"text": [f"{number} {row}" for row in range(rows)], "label": ["x"] * rows}
        write_parquet(folder / "data" / f"{name.replace('__', '-')}.parquet", columns)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    return folder


def test_a_folder_of_the_hub_is_read_through_all_its_splits_without_its_card(tmp_path):
    files = {"test__00000__of__00001": 2, "train__00000__of__00002__ab12": 1, "train__00001__of__00002__cd34": 2}
    folder = write_shards(tmp_path / "all/set", **files, extra__00000__of__00001=1)
    notes = []
    found = read_all(folder, notes)
    assert [(row.prompt, row.origin.line) for row in found] == [
        (text, line) for line, text in enumerate(["1 0", "2 0", "2 1", "0 0", "0 1", "3 0"], 1)
    ]
    assert any("train, test, extra together" in note and "--side" in note for note in notes)
    assert not any("leaves out" in note for note in notes)
    assert [row.prompt for row in read_all(tmp_path / "all")] == [row.prompt for row in found]
    assert infer_task(folder).mapping == {"prompt": "text", "completion": "label"}


def test_what_stands_beside_the_files_of_a_hub_folder_is_named(tmp_path):
    folder = write_shards(tmp_path / "set", train__00000__of__00001=1)
    (folder / "more.csv").write_text("text,label\na,x\n")
    (folder / "data/notes.txt").touch()
    (folder / ".gitattributes").touch()
    notes = []
    assert len(read_all(folder, notes)) == 1
    assert any(re.search(r"leaves out data.notes\.txt, more\.csv;", note) for note in notes)


@pytest.mark.parametrize("lacking", [0, 1, 2])
def test_a_hub_folder_that_lacks_a_file_is_refused(tmp_path, lacking):
    names = [f"train__0000{number}__of__00003" for number in range(3) if number != lacking]
    folder = write_shards(tmp_path / "set", **dict.fromkeys(names, 1))
    with pytest.raises(TunesmithError, match=r"(?s)each file of the split 'train' once.*copy the whole folder"):
        read_all(folder)


def test_a_hub_folder_does_not_lead_out_of_itself(tmp_path):
    outside = write_shards(tmp_path / "outside", train__00000__of__00001=1)
    (tmp_path / "set").mkdir()
    (tmp_path / "set/a.csv").write_text("text,label\na,x\n")
    (tmp_path / "set/data").symlink_to(outside / "data")
    assert [row.prompt for row in read_all(tmp_path / "set")] == ["a"]


# --- what they share


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"text,label\n", "is not an Excel workbook"),
        ("a.xlsx", b"\xd0\xcf\x11\xe0rest", r"(?s)not an Excel workbook.*without a password"),
        ("a.xlsx", b"PK\x03\x04rest", "cannot be read as an Excel workbook"),
        ("a.xlsx", b"", "has no rows"),
        ("a.parquet", b"text,label\n", "is not a Parquet file"),
        ("a.parquet", b"PAR1 and nothing", "cannot be read as Parquet"),
        ("a.csv", b"PAR1\x15rest", r"(?s)is a Parquet file.*\.parquet"),
        ("a.csv", b"PK\x03\x04rest", r"(?s)Office file.*\.xlsx"),
    ],
)
def test_a_file_that_is_not_what_its_suffix_says_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TunesmithError, match=says):
        read_all(tmp_path / name)


@pytest.mark.parametrize("package", ["openpyxl", "pyarrow.parquet"])
def test_a_package_that_is_missing_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch, package):
    read = partial(workbook_rows, say=silent) if package == "openpyxl" else parquet_rows
    real = builtins.__import__

    def without(name, *rest):
        if name == package:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TunesmithError, match=r"(?s)Reading a needs the package.*tunesmith\[tables\]"):
        list(read(io.BytesIO(), "a"))


def test_chats_in_several_row_groups_and_long_columns_are_read_to_the_end(tmp_path):
    rows = [
        [{"role": "user", "content": f"{n} {'long ' * 400}"}, {"role": "assistant", "content": f"answer {n}"}]
        for n in range(1200)
    ]
    path = write_parquet(tmp_path / "a.parquet", {"messages": rows}, row_group_size=250)
    found = read_all(path)
    assert [row.completion for row in found] == [f"answer {n}" for n in range(1200)]


def test_a_file_of_a_folder_that_breaks_midway_says_what_of_it_stays(tmp_path):
    count = 4000
    columns = {"text": [f"Where is card {n}?" for n in range(count)], "label": ["x"] * count}
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=count // 2, compression="none")
    second = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[second.dictionary_page_offset : second.data_page_offset + 200] = b"\xff" * (
        second.data_page_offset + 200 - second.dictionary_page_offset
    )
    path.write_bytes(content)
    *before, told = read_all(tmp_path)
    assert isinstance(told, Rejected)
    assert all(isinstance(row, Example) for row in before)
    assert f"The {len(before)} rows before that stay; what follows was not read." in told.problem
    assert count // 4 < len(before) < count
