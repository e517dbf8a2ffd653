"""Times of rows: what is one, which column holds them, and what becomes of a value that is none."""

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.files import write_parquet, write_sheet
from tests.data.rows import read_all, read_one, write

from tunesmith.core.examples import Rejected
from tunesmith.data.readers import ReadOptions, read
from tunesmith.data.readers.times import as_time

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FIRST, LAST = (datetime.fromisoformat(day) for day in ("1900-01-01", "2200-01-01"))
moments = st.datetimes(FIRST, LAST, timezones=ZONES)


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2026-03-01", "2026-03-01"),
        (" 2026-03-01 ", "2026-03-01"),
        ("20260301", "2026-03-01"),
        (20260301, "2026-03-01"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01 12:00", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01 12:00:00 UTC", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T23:30:00-02:00", "2026-03-02T01:30:00+00:00"),
        ("2026-03-01T12:00:00.250+0100", "2026-03-01T11:00:00.250000+00:00"),
        ("2026-03-01T12:00:00.123456789", "2026-03-01T12:00:00.123456+00:00"),
        (1772366400, "2026-03-01T12:00:00+00:00"),  # date -d @1772366400 -u
        ("1772366400", "2026-03-01T12:00:00+00:00"),
        (1772366400.5, "2026-03-01T12:00:00.500000+00:00"),
        (1772366400250, "2026-03-01T12:00:00.250000+00:00"),
    ],
)
def test_a_time_is_written_one_way_and_in_utc(value, time):
    assert as_time(value) == time
    assert as_time(time) == time


@pytest.mark.parametrize(
    "value",
    ["", "soon", "03/04/2026", "1.3.2026", "2026", 2026, "2026-02-30", "2026-03-01T25:00", "12:00", True, None, [], {},
     12345, 17723664000, 202603011200, "202603011200", -1772366400,
     1e30, float("nan"), "2026-03-01x12:00", "२०२६-०३-०१", "99999999",
     "0001-01-01T00:00:00+05:00", "2026-03-01T12:00:00 CET"],
)  # fmt: skip
def test_what_may_be_misread_is_no_time(value):
    assert as_time(value) is None


@given(st.lists(moments, min_size=2, max_size=8))
def test_the_order_of_the_texts_is_that_of_time(found):
    assert sorted(found) == [datetime.fromisoformat(t) for t in sorted(as_time(one.isoformat()) for one in found)]


@given(moments)
def test_a_date_sorts_before_the_moments_of_its_day_and_after_those_before(moment):
    day = moment.astimezone(UTC).date()
    assert day.isoformat() < as_time(moment.isoformat()) < (day + timedelta(days=1)).isoformat()


@pytest.mark.parametrize("key", ["time", "timestamp", "date", "created_at", "Created_At"])
@pytest.mark.parametrize("kind", ["pairs", "chat", "csv"])
def test_a_column_of_a_usual_name_is_taken_and_said(tmp_path, kind, key):
    if kind == "csv":
        path = write(tmp_path, "a.csv", f"text,label,{key}", "hi,x,2026-03-01", "ho,y,")
    else:
        talk = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x"}]}
        row = talk if kind == "chat" else {"prompt": "hi", "completion": "x"}
        path = write(tmp_path, "a.jsonl", row | {key: "2026-03-01"}, row | {"system": "s"})
    notes, told = [], []
    rows = list(read(path, ReadOptions(), notes.append, told.append))
    assert [row.time for row in rows] == ["2026-03-01", None]
    assert told[0].mapping["time"] == key
    assert any(f"reads '{key}' as the time" in note for note in notes)


def test_a_key_that_only_a_late_row_has_is_read_too(tmp_path):
    rows = [{"prompt": f"hi {n}", "completion": "x"} for n in range(150)]
    found = read_all(write(tmp_path, "a.jsonl", *rows, rows[0] | {"prompt": "late", "time": 1772366400}))
    assert found[-1].time == "2026-03-01T12:00:00+00:00"


def test_a_column_that_does_not_hold_times_is_not_taken_and_said(tmp_path):
    notes = []
    path = write(tmp_path, "a.csv", "text,label,date,created_at", "hi,x,soon,2026-03-01", "ho,y,2026-03-02,2026-03-02")
    assert [row.time for row in read_all(path, notes)] == ["2026-03-01", "2026-03-02"]  # the next usual name
    path = write(tmp_path, "b.csv", "text,label,date", "hi,x,03/04/2026")
    assert read_one(path).time is None
    read_all(path, notes)
    assert any("'date' does not hold times in all of the first rows; --map time=COLUMN" in note for note in notes)


def test_a_column_with_another_role_is_not_the_time(tmp_path):
    found = read_one(write(tmp_path, "a.csv", "text,date", "on the first of march,2026-03-01"))
    assert (found.completion, found.time) == ("2026-03-01", None)
    found = read_one(write(tmp_path, "b.csv", "text,mood,date", "hi there,glad,2026-03-01"))
    assert (found.prompt, found.completion, found.time) == ("hi there", "glad", "2026-03-01")


def test_a_value_that_is_no_time_sets_the_row_aside_where_the_column_was_named(tmp_path):
    rows = [{"prompt": p, "completion": "x", "seen": t} for p, t in (("a", "2026-03-01"), ("b", "soon"), ("c", ""))]
    good, bad, empty = read_all(write(tmp_path, "a.jsonl", *rows), mapping={"time": "seen"})
    assert (good.time, empty.time) == ("2026-03-01", None)
    assert isinstance(bad, Rejected)
    assert bad.line == 2
    assert bad.problem == "the time 'seen' is 'soon', which is none that can be read"
    assert "2026-03-01T12:00:00Z" in bad.mend


def test_a_value_that_is_no_time_is_said_once_where_the_column_was_guessed(tmp_path):
    rows = [{"prompt": f"hi {n}", "completion": "x", "time": "2026-03-01" if n < 120 else "soon"} for n in range(125)]
    notes = []
    found = read_all(write(tmp_path, "a.jsonl", *rows), notes)
    assert [row.time for row in found] == ["2026-03-01"] * 120 + [None] * 5
    assert [note for note in notes if "'soon'" in note] == [
        f"{tmp_path / 'a.jsonl'}: line 121: the time 'time' is 'soon', which is none that can be read; rows with such "
        "have no time"
    ]


def test_a_moment_without_a_zone_is_read_as_utc_and_said(tmp_path):
    notes = []
    path = write(tmp_path, "a.csv", "text,label,time", "hi,x,2026-03-01 12:00")
    assert read_all(path, notes)[0].time == "2026-03-01T12:00:00+00:00"
    assert any("'time' says no time zone, so it is read as UTC" in note for note in notes)


def test_dates_and_moments_of_excel_and_parquet_are_read(tmp_path):
    zoned = datetime(2026, 3, 1, 13, 30, tzinfo=timezone(timedelta(hours=1)))
    sheet = write_sheet(
        tmp_path / "a.xlsx", ["text", "label", "when"], ["hi", "x", date(2026, 3, 1)],
        ["ho", "y", datetime.fromisoformat("2026-03-01 12:30")],
    )  # fmt: skip
    assert [row.time for row in read_all(sheet, mapping={"time": "when"})] == [
        "2026-03-01", "2026-03-01T12:30:00+00:00"
    ]  # fmt: skip
    for name, values in (("day", [date(2026, 3, 1)]), ("naive", [zoned.replace(tzinfo=None)]), ("zoned", [zoned])):
        columns = {"text": ["hi"], "label": ["x"], "time": pa.array(values)}
        found = read_one(write_parquet(tmp_path / f"{name}.parquet", columns))
        assert found.time == {
            "day": "2026-03-01", "naive": "2026-03-01T13:30:00+00:00", "zoned": "2026-03-01T12:30:00+00:00"
        }[name]  # fmt: skip


def test_the_time_is_no_part_of_the_id(tmp_path):
    plain = read_one(write(tmp_path, "a.jsonl", {"prompt": "hi", "completion": "x"}))
    timed = read_one(write(tmp_path, "b.jsonl", {"prompt": "hi", "completion": "x", "time": "2026-03-01"}))
    assert plain.id == timed.id
    assert timed.reworded(timed.messages, "y").time == "2026-03-01"
