import errno
import os

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import cache_folder, open_whole, whole_folder, write_whole


def test_a_file_is_whole_or_absent(tmp_path):
    with pytest.raises(RuntimeError), open_whole(tmp_path / "a.json") as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write_whole(tmp_path / "deep" / "a.json", b"whole")
    assert (tmp_path / "deep" / "a.json").read_bytes() == b"whole"


def test_an_old_file_stays_when_the_new_one_fails(tmp_path):
    write_whole(tmp_path / "a", b"old")
    with pytest.raises(KeyboardInterrupt), open_whole(tmp_path / "a") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_folder_is_replaced_by_a_whole_one_alone(tmp_path):
    for content in (b"first", b"second"):
        with whole_folder(tmp_path / "a", over=True) as folder:
            write_whole(folder / content.decode(), content)
        assert [file.name for file in (tmp_path / "a").iterdir()] == [content.decode()]
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "a", over=True) as folder:
        write_whole(folder / "third", b"third")
        raise RuntimeError
    with pytest.raises(TunesmithError, match="could not be written"), whole_folder(tmp_path / "a") as folder:
        write_whole(folder / "third", b"third")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "second"]


def test_a_full_disk_is_said_in_words(tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TunesmithError, match=r"disk is full(.|\n)*free some room"):
        write_whole(tmp_path / "a", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_said_in_words(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TunesmithError, match="could not be written"):
        write_whole(tmp_path / "file" / "a", b"content")


def test_the_cache_can_be_moved(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path))
    assert cache_folder() == tmp_path
