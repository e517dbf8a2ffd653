"""Files in and out by the command line: what is shown before, what is refused, and that it comes back the same."""

import json
import random
import resource
import shutil
import signal
import subprocess
import zipfile

import pyarrow as pa
import pytest
from tests.cli.driving import command, typed
from tests.data.files import write_dataset, write_parquet, write_sheet
from tests.workspace.toy import write_csv

from tunesmith import Workspace
from tunesmith.data.writers import file_formats

SUFFIX = {"csv": ".csv", "xlsx": ".xlsx", "parquet": ".parquet"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with sixty examples and a split."""
    folder = tmp_path_factory.mktemp("template")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    assert typed("-C", folder / "desk", "split").status == 0
    return folder / "desk"


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


def ids(desk):
    return {example.id for example in Workspace(desk).home.examples()}


def refused(ended):
    """The one message of a command that ended with 2."""
    assert ended.status == 2, ended.out + ended.err
    assert "Traceback" not in ended.err and ended.err.count("To mend it:") == 1
    return ended.err


# --- what became what


def test_a_dry_run_shows_the_mapping_and_adds_nothing(desk, tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("question,topic,team\nWhere is it,shipping,north\n")
    line = ("-C", desk, "add", path, "--map", "prompt=question", "--map", "completion=topic", "--group-by", "team")
    before = ids(desk)
    ended = typed(*line, "--dry-run", "--json")
    assert ended.json["mapping"] == {"prompt": "question", "completion": "topic", "group": "team"}
    assert ended.json["files"] == [{"file": str(path), "format": "prompt_completion", "mapping": ended.json["mapping"]}]
    assert "prompt from 'question', completion from 'topic', group from 'team'" in ended.err
    assert ids(desk) == before


# --- out and in again


@pytest.mark.parametrize("name", sorted(file_formats))
def test_what_is_exported_is_there_already_when_it_is_added(desk, tmp_path, name):
    path = tmp_path / f"out{SUFFIX.get(name, '.jsonl')}"
    out = typed("-C", desk, "data", "export", path, "--format", name, "--json")
    assert out.status == 0, out.err
    assert (out.json["path"], out.json["format"], out.json["examples"]) == (str(path), name, 60)
    back = typed("-C", desk, "add", path, "--json").json
    assert (back["read"], back["added"], back["duplicates"], back["rejected"]) == (60, 0, 60, [])


def test_the_sides_of_the_split_are_written_apart(desk, tmp_path):
    counts = {}
    for side in ("train", "validation", "test", "all"):
        ended = typed("-C", desk, "data", "export", tmp_path / f"{side}.jsonl", "--side", side, "--json")
        counts[side] = ended.json["examples"]
        assert len((tmp_path / f"{side}.jsonl").read_text().splitlines()) == counts[side]
    split = typed("-C", desk, "split", "--verify", "--json").json
    assert counts == {"all": 60} | {side: split[side] for side in ("train", "validation", "test")}


def test_a_data_set_has_a_file_a_side_and_is_there_already_when_it_is_added(desk, tmp_path):
    path = tmp_path / "set"
    out = typed("-C", desk, "data", "export", path, "--format", "dataset", "--json").json
    split = typed("-C", desk, "split", "--verify", "--json").json
    assert out["splits"] == {side: split[side] for side in ("train", "validation", "test")}
    assert out["examples"] == sum(out["splits"].values()) == 60
    assert sorted(file.name for file in path.rglob("*.*")) == [
        "README.md",
        *(f"{side}-00000-of-00001.parquet" for side in ("test", "train", "validation")),
    ]
    back = typed("-C", desk, "add", path, "--json").json
    assert (back["read"], back["added"], back["duplicates"], back["rejected"]) == (60, 0, 60, [])


def test_a_side_alone_and_what_was_never_split_are_one_file_of_a_data_set(desk, tmp_path):
    ended = typed("-C", desk, "data", "export", tmp_path / "set", "--format", "dataset", "--side", "test")
    assert "as dataset: test" in ended.out
    assert [file.name for file in tmp_path.glob("set/data/*")] == ["test-00000-of-00001.parquet"]
    Workspace.init(tmp_path / "new", source=write_csv(tmp_path / "examples.csv"))
    ended = typed("-C", tmp_path / "new", "data", "export", tmp_path / "whole", "--format", "dataset")
    assert "as dataset: train 60" in ended.out


def test_a_data_set_leaves_out_what_is_on_no_side_and_says_so(desk, tmp_path):
    rows = tmp_path / "more.csv"
    rows.write_text("text,topic\nadded later,shipping\n")
    assert typed("-C", desk, "add", rows).status == 0
    ended = typed("-C", desk, "data", "export", tmp_path / "set", "--format", "dataset", "--json")
    assert ended.json["examples"] == 60
    assert "on no side of the split: 1 examples" in ended.err and "tunesmith split" in ended.err


def test_what_the_format_cannot_carry_is_told(desk, tmp_path):
    rows = tmp_path / "more.csv"
    rows.write_text("text,topic,customer\nmine alone,shipping,c1\n")
    assert typed("-C", desk, "add", rows, "--side", "test").status == 0
    ended = typed("-C", desk, "data", "export", tmp_path / "a.jsonl", "--json")
    assert ended.json["left_out"] == {"group": 1, "side": 1}
    assert "left out" in ended.err and "group (1)" in ended.err
    ended = typed("-C", desk, "data", "export", tmp_path / "a.jsonl", "--tags", "--json")
    assert ended.json["left_out"] == {"side": 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("out.doc",), "--format"),
        (("out.csv", "--format", "gemni"), "'gemini'"),
        (("desk", "--format", "csv"), "is a folder"),
        (("desk/tunesmith.yaml", "--format", "csv"), "belongs to the workspace"),
        (("desk/.tunesmith/store.db", "--format", "csv"), "belongs to the workspace"),
        (("out.csv", "--side", "nowhere"), "nowhere"),
        (("desk", "--format", "dataset"), "name a folder that is not there yet, such as"),
        (("desk/tunesmith.yaml", "--format", "dataset"), "belongs to the workspace"),
        (("desk/.tunesmith/set", "--format", "dataset"), "belongs to the workspace"),
        (("desk/.tunesmith", "--format", "dataset"), "belongs to the workspace"),
    ],
)
def test_an_export_that_cannot_be_is_refused(desk, tmp_path, arguments, says):
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file() and "store.db" not in path.name}
    path, *rest = arguments
    assert says in refused(typed("-C", desk, "data", "export", tmp_path / path, *rest))
    assert {path: path.read_bytes() for path in before} == before
    assert list(tmp_path.iterdir()) == [desk]


def test_a_data_set_is_not_written_over_the_folder_one_is_in(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(desk)
    message = refused(typed("data", "export", ".", "--format", "dataset"))
    assert "such as NAME" in message and "empty it" not in message
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    message = refused(typed("-C", desk, "data", "export", ".", "--format", "dataset"))
    assert "is the folder you are in" in message and "such as NAME" in message
    assert typed("-C", desk, "data", "export", "NAME", "--format", "dataset").status == 0


def test_a_data_set_takes_the_place_of_no_file(desk, tmp_path):
    path = tmp_path / "notes"
    path.write_text("mine")
    message = refused(typed("-C", desk, "data", "export", path, "--format", "dataset"))
    assert "is a file" in message and "--format parquet" in message
    assert path.read_text() == "mine"


@pytest.mark.parametrize("leads_to", ["empty", "full", "nowhere", "link"])
def test_a_data_set_takes_the_place_of_no_link(desk, tmp_path, leads_to):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine").write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / leads_to)
    message = refused(typed("-C", desk, "data", "export", link, "--format", "dataset"))
    assert "is a link" in message and "the folder that it leads to" in message
    assert link.is_symlink() and [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_file_takes_the_place_of_a_link_that_leads_nowhere(desk, tmp_path):
    link = tmp_path / "out.csv"
    link.symlink_to(link)
    assert typed("-C", desk, "data", "export", link).status == 0
    assert not link.is_symlink() and len(link.read_text().splitlines()) > 60


def test_the_file_that_examples_came_from_is_not_written_over(desk, tmp_path):
    source = write_parquet(tmp_path / "mine.parquet", {"text": ["only here"], "topic": ["shipping"]})
    content = source.read_bytes()
    assert typed("-C", desk, "add", source).status == 0
    assert "were read from" in refused(typed("-C", desk, "data", "export", source))
    assert source.read_bytes() == content


def test_a_side_without_a_split_says_what_to_type(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    ended = typed("-C", tmp_path / "desk", "data", "export", tmp_path / "a.csv", "--side", "train")
    assert "tunesmith split" in refused(ended)


def test_a_workspace_without_examples_says_what_to_type(tmp_path):
    Workspace.init(tmp_path / "desk")
    assert "tunesmith add" in refused(typed("-C", tmp_path / "desk", "data", "export", tmp_path / "a.csv"))


@pytest.mark.parametrize("name", ["openai", "csv", "xlsx", "parquet", "dataset"])
def test_a_full_disk_leaves_the_file_that_was_there(desk, tmp_path, name):
    """A file-size limit stands in for the disk."""
    texts = random.Random(0)
    rows = tmp_path / "more.csv"
    rows.write_text("text,topic\n" + "".join(f"{texts.randbytes(3000).hex()},shipping\n" for _ in range(100)))
    assert typed("-C", desk, "add", rows).status == 0
    assert typed("-C", desk, "split", "--anyway").status == 0
    path = tmp_path / f"out{SUFFIX.get(name, '.jsonl')}"
    there = name != "dataset"  # a data set takes the place of nothing
    if there:
        path.write_text("what was there")

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    line = command("-C", desk, "data", "export", path, "--format", name)
    ended = subprocess.run(line, capture_output=True, text=True, preexec_fn=limited, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr and "To mend it" in ended.stderr
    assert not there or path.read_text() == "what was there"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["desk", "more.csv", *[path.name] * there])


# --- files that are not what they should be


def broken_sheet(folder):
    path = write_sheet(folder / "a.xlsx", ["text", "topic"], ["new one", "shipping"])
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(path, "w") as new:
        for name, content in parts.items():
            new.writestr(name, content[:200] if "sheet1" in name else content)
    return path


def bomb_sheet(folder):
    with zipfile.ZipFile(folder / "a.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(100 * 2**20))
    return folder / "a.xlsx"


def bomb_parquet(folder):
    texts = pa.array(["a" * 30_000_000]).take(pa.array([0] * 6))
    columns = {"text": texts, "topic": ["shipping"] * 6}
    return write_parquet(folder / "a.parquet", columns, use_dictionary=False, compression="zstd")


def cut_parquet(folder):
    path = write_parquet(folder / "a.parquet", {"text": ["new one"], "topic": ["shipping"]})
    path.write_bytes(path.read_bytes()[:-20])
    return path


def damaged_parquet(folder):
    path = write_parquet(folder / "a.parquet", {"text": [f"new {n}" for n in range(99)], "topic": ["shipping"] * 99})
    content = path.read_bytes()
    path.write_bytes(content[:8] + b"\xff" * 60 + content[68:])
    return path


def straying_dataset(folder):
    write_dataset(folder / "set", {"text": ["new one"], "topic": ["shipping"]})
    (folder / "set/state.json").write_text(json.dumps({"_data_files": [{"filename": "../../secret.arrow"}]}))
    return folder / "set"


def cut_dataset(folder):
    write_dataset(folder / "set", {"text": ["new one"] * 500, "topic": ["shipping"] * 500})
    path = folder / "set/data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:3000])
    return folder / "set"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (broken_sheet, "cannot be read as an Excel workbook"),
        (bomb_sheet, "would unpack"),
        (bomb_parquet, "would unpack"),
        (cut_parquet, "cannot be read as Parquet"),
        (damaged_parquet, "cannot be read as Parquet"),
        (straying_dataset, "leads out of the folder"),
        (cut_dataset, "cannot be read as Arrow"),
    ],
)
def test_a_broken_or_hostile_file_ends_with_one_message_and_adds_nothing(desk, tmp_path, make, says):
    before = ids(desk)
    path = make(tmp_path)
    assert says in refused(typed("-C", desk, "add", path))
    assert ids(desk) == before
    assert not (desk / ".tunesmith/rejected").exists()
    ended = typed("init", tmp_path / "new", "--from", path)
    assert says in refused(ended)
    assert not (tmp_path / "new/tunesmith.yaml").exists()


def test_a_row_that_does_not_fit_is_set_aside_in_every_packed_form(desk, tmp_path):
    columns = {"text": ["fresh one", "fresh two"], "topic": ["shipping", "cargo"]}
    rows = [list(columns), *map(list, zip(*columns.values(), strict=True))]
    files = [
        write_sheet(tmp_path / "a.xlsx", *rows),
        write_parquet(tmp_path / "a.parquet", columns),
        write_dataset(tmp_path / "set", columns),
    ]
    ended = typed("-C", desk, "add", *files, "--json")
    assert ended.status == 0, ended.err
    assert [(row["file"], row["line"]) for row in ended.json["rejected"]] == [
        (str(file), line) for file, line in zip(files, (3, 2, 2), strict=True)
    ]
    assert (ended.json["added"], ended.json["duplicates"]) == (1, 2)
