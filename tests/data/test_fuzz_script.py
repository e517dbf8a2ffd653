"""The fuzzer of the readers: what it begins with is read without a finding, and it notices what it is there for."""

from itertools import islice

import pytest
from scripts import fuzz_readers as fuzz

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers import source
from tunesmith.data.readers.json_lines import json_lines

ROWS = b'{"text": "a", "label": "x"}\n' * 2


def test_what_it_begins_with_is_read_without_a_finding(tmp_path):
    inputs = list(fuzz.seeds())
    assert {fuzz.KINDS[content[0]] for content in inputs} == set(fuzz.KINDS)
    for content in inputs:
        fuzz.examine(content, tmp_path)


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_rows_are_counted_in_another_way(tmp_path, kind):
    counted = [fuzz.rows_in(kind, content[2:]) for content in fuzz.seeds() if fuzz.KINDS[content[0]] == kind]
    assert any(counted)


def test_a_row_that_is_lost_is_a_finding(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "json_lines", lambda file: islice(json_lines(file), 1))
    with pytest.raises(fuzz.Finding, match="rows lost: 1 of 2"):
        fuzz.examine(b"\0\0" + ROWS, tmp_path)


def test_an_error_without_a_mend_is_a_finding(tmp_path, monkeypatch):
    def refused(file):
        raise TunesmithError("It is wrong.", "")

    monkeypatch.setattr(source, "json_lines", refused)
    with pytest.raises(fuzz.Finding, match="error without words"):
        fuzz.examine(b"\0\0" + ROWS, tmp_path)


def test_the_shortest_input_of_a_finding_is_kept_with_its_traceback(tmp_path):
    known = set()
    for content in (b"four", b"two", b"three"):
        try:
            raise ZeroDivisionError
        except ZeroDivisionError as error:
            fuzz.keep(tmp_path, content, error, known)
    (kept,) = (path for path in tmp_path.iterdir() if path.suffix != ".txt")
    assert kept.read_bytes() == b"two"
    assert "ZeroDivisionError" in kept.with_suffix(".txt").read_text()
