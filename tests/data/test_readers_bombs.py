"""Small files that would fill the memory of any machine, or crash the library that unpacks them, cost themselves alone.

Each is read by a program whose memory is bounded, so that a failing test cannot take the machine.
"""

import contextlib
import json
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from tests.data.files import sheet_xml, write_dataset, write_parquet
from tests.data.rows import read_all

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers import apart, limits
from tunesmith.data.readers.options import silent

GB = 2**30
READ = """
import atexit, json, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Rejected
from tunesmith.data.readers import ReadOptions, read

rows = rejected = 0
error = None
try:
    for row in read(Path(sys.argv[1]), ReadOptions()):
        rows += 1
        rejected += isinstance(row, Rejected)
except TunesmithError as refused:
    error = str(refused)
atexit._run_exitfuncs()  # only a process that has ended is counted
here = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
apart = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"rows": rows, "rejected": rejected, "error": error, "here": here, "apart": apart}))
"""


def read_bounded(path):
    """What reading the file came to, and the peaks of memory here and in the process apart."""
    ended = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def write_stream(folder, batch, **options):
    """A data set folder whose one file holds this batch."""
    write_dataset(folder, {"text": ["a"], "label": ["x"]})
    with (
        (folder / "data-00000-of-00001.arrow").open("wb") as file,
        pa.ipc.new_stream(file, batch.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer,
    ):
        writer.write_batch(batch)
    return folder


def zeros(count):
    """A buffer of zeros that takes no memory until it is written to."""
    return pa.py_buffer(np.zeros(count, np.uint8))


def shared(text, count):
    """An array of this text so many times, which holds it once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [text])


def listed(values):
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), values)


def long_list_of_texts(folder):
    """A row that is a list of 20,000 times the same text of a megabyte."""
    return write_parquet(
        folder / "a.parquet", {"text": listed(shared("a" * 2**20, 20_000)), "label": ["x"]}, store_schema=False
    )


def texts_within_objects(folder):
    """A hundred rows, each of which names the same text of 30 megabytes."""
    rows = pa.StructArray.from_arrays([shared("a" * 30 * 2**20, 100)], ["content"])
    return write_parquet(folder / "a.parquet", {"text": rows, "label": ["x"] * 100}, store_schema=False)


def compressed_text(folder):
    count = 3 * GB
    offsets = pa.py_buffer(np.array([0, count], np.int64))
    text = pa.Array.from_buffers(pa.large_utf8(), 1, [None, offsets, zeros(count)])
    return write_stream(folder / "set", pa.record_batch({"text": text, "label": ["x"]}), compression="zstd")


def lying_length(folder):
    """A buffer that says it unpacks to 40 GB."""
    size = 1_234_560
    text = pa.Array.from_buffers(pa.utf8(), 1, [None, pa.py_buffer(np.array([0, size], np.int32)), zeros(size)])
    path = write_stream(folder / "set", pa.record_batch({"text": text, "label": ["x"]}), compression="lz4")
    file = path / "data-00000-of-00001.arrow"
    before, said, after = file.read_bytes().rpartition(size.to_bytes(8, "little"))
    file.write_bytes(before + (40 * GB).to_bytes(len(said), "little") + after)
    return path


def many_nulls(folder):
    nulls = pa.Array.from_buffers(pa.null(), 2**31 - 1, [None])
    return write_stream(folder / "set", pa.record_batch({"text": nulls, "label": nulls}))


def null_list(folder):
    """A row that is a list of 2^31 - 1 nulls, which no byte of the file stands for."""
    count = 2**31 - 1
    row = pa.FixedSizeListArray.from_arrays(pa.Array.from_buffers(pa.null(), count, [None]), count)
    return write_stream(folder / "set", pa.record_batch({"text": row, "label": ["x"]}))


def empty_objects(folder):
    row = pa.StructArray.from_buffers(pa.struct([]), 10**8, [None])
    rows = pa.ListArray.from_arrays(pa.array([0, 10**8], pa.int32()), row)
    return write_stream(folder / "set", pa.record_batch({"text": rows, "label": ["x"]}))


def wide_sheet(folder):
    """A row of twelve million cells that say nothing, and as much noise as makes it pack no better than texts do."""
    noise = np.random.default_rng(0).bytes(500_000).hex()
    return sheet_xml(folder / "a.xlsx", f"<row>{'<c/>' * 12_000_000}</row><!--{noise}-->")


BOMBS = {
    long_list_of_texts: "takes more than 2 GB of memory",
    texts_within_objects: "takes more than 2 GB of memory",
    compressed_text: "takes more than 2 GB of memory",
    lying_length: "takes more than 2 GB of memory",
    many_nulls: "says that it has 2,147,483,647 rows",
    wide_sheet: "takes more than 2 GB of memory",
}
LONG_ROWS = (null_list, empty_objects)


def bombs():
    """The sheet fills its memory slowly."""
    slow = {wide_sheet: pytest.mark.slow}
    return [pytest.param(make, id=make.__name__, marks=slow.get(make, ())) for make in BOMBS]


@pytest.mark.parametrize("make", bombs())
def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, make):
    path = make(tmp_path)
    file = path if path.is_file() else path / "data-00000-of-00001.arrow"
    assert file.stat().st_size < 2_000_000
    came_to = read_bounded(path)
    assert re.search(rf"(?s)({BOMBS[make]}).*To mend it:", came_to["error"])
    assert came_to["apart"] < 2.5 * GB and came_to["here"] < GB / 4, came_to


@pytest.mark.parametrize("make", LONG_ROWS, ids=lambda make: make.__name__)
def test_a_row_that_would_fill_the_memory_is_set_aside(tmp_path, make):
    came_to = read_bounded(make(tmp_path))
    assert (came_to["rows"], came_to["rejected"], came_to["error"]) == (1, 1, None)
    assert max(came_to["apart"], came_to["here"]) < GB / 4


def test_rows_of_nothing_are_refused_by_what_the_file_says(tmp_path):
    column = pa.array([None] * 3_000_000, pa.string())
    path = write_parquet(tmp_path / "a.parquet", {"text": column, "label": column})
    with pytest.raises(TunesmithError, match="says that it has 3,000,000 rows; of its size, up to 1,000,000 are read"):
        read_all(path)


def test_rows_that_share_a_text_may_not_say_far_more_than_the_file(tmp_path, monkeypatch):
    path = write_parquet(tmp_path / "a.parquet", {"text": shared("a" * 1000, 4000), "label": ["x"] * 4000})
    monkeypatch.setattr(limits, "MOST_UNPACKED", 300_000)
    monkeypatch.setattr(apart, "_bound_memory", lambda packed_bytes: None)
    said = []
    apart._answer("parquet", path, "a", said.append)
    assert said[-1].startswith(b'["refused","The rows of a say over ')
    assert 0 <= 100 * path.stat().st_size - sum(map(len, said[:-1])) < 1100


# --- the process apart


@pytest.fixture
def pair(tmp_path):
    return write_parquet(tmp_path / "good.parquet", {"text": ["Hi", "Ho"], "label": ["x", "y"]})


def test_the_process_is_kept_for_the_next_file_and_ends_where_one_is_left_half_read(tmp_path, pair):
    assert len(read_all(pair)) == 2
    (kept,) = apart._idle
    assert len(read_all(pair)) == 2
    assert apart._idle == [kept]
    reading = apart.rows_apart("parquet", pair, "a", silent)
    next(reading)
    reading.close()
    assert apart._idle == [] and not kept.alive


def test_a_file_that_is_refused_leaves_the_process_to_the_next(tmp_path, pair):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(TunesmithError, match="cannot be read as Parquet"):
        read_all(tmp_path / "bad.parquet")
    (kept,) = apart._idle
    assert len(read_all(pair)) == 2 and apart._idle == [kept]


def test_a_process_that_was_ended_while_it_waited_is_replaced(pair):
    assert len(read_all(pair)) == 2
    apart._idle[0]._process.kill()
    apart._idle[0]._process.wait()
    assert len(read_all(pair)) == 2


def test_threads_that_ask_for_the_one_idle_process_at_the_same_moment_both_read(pair):
    """Step by step together, so that each finds the process waiting before the other takes it."""
    assert len(read_all(pair)) == 2 and len(apart._idle) == 1
    together, asked = threading.Barrier(2), apart._idle_worker.__code__

    def step(frame, event, _argument):
        if frame.f_code is asked and event == "line":
            with contextlib.suppress(threading.BrokenBarrierError):  # the other one is through already
                together.wait(2)
        return step if frame.f_code is asked else None

    def reading():
        sys.settrace(step)
        try:
            return list(apart.rows_apart("parquet", pair, "a", silent))
        finally:
            sys.settrace(None)

    with ThreadPoolExecutor(2) as threads:
        first, second = (thread.result() for thread in [threads.submit(reading) for _ in range(2)])
    assert first == second and len(first) == 2
    assert len({id(worker) for worker in apart._idle}) == len(apart._idle) == 2
    apart._end_idle()


def answer(line):
    """A process that says this to whatever it is asked, and ends."""
    return f"import sys; sys.stdin.readline(); {line}"


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("import os; os.abort()", TunesmithError, r"(?s)a cannot be read: it crashes the library.*do not trust it"),
        ('print(\'1 {"a": 1}\\n2 {"a"\', end="")', TunesmithError, "crashes the library"),
        ("print('[\"too large\"]')", TunesmithError, "more than 2 GB"),
        ('print(\'["failed", "ZeroDivisionError"]\')', RuntimeError, "ZeroDivisionError"),
    ],
)
def test_a_process_that_ends_badly_is_told_and_not_kept(monkeypatch, pair, line, error, says):
    apart._end_idle()
    monkeypatch.setattr(apart, "_SERVE", answer(line))
    with pytest.raises(error, match=says):
        list(apart.rows_apart("parquet", pair, "a", silent))
    assert apart._idle == []


def test_no_module_is_taken_from_the_folder_one_stands_in(tmp_path, monkeypatch, pair):
    apart._end_idle()
    (tmp_path / "pyarrow.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    assert len(read_all(pair)) == 2


def test_interrupting_ends_the_process_without_a_word(pair):
    reading = apart.rows_apart("parquet", pair, "a", silent)
    next(reading)
    with pytest.raises(KeyboardInterrupt):
        reading.throw(KeyboardInterrupt)
    assert apart._idle == []
