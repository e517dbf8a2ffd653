"""The wheel holds everything that the road needs, and works where there is no clone."""

from __future__ import annotations

import subprocess
import zipfile

import pytest
from tests.house.source import PACKAGE
from tests.house.wheels import build_wheel, installed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build_wheel(tmp_path_factory.mktemp("dist"))


def test_the_wheel_holds_every_file_of_the_package(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tunesmith/")}
    wanted = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - inside == set()
    assert {name for name in inside if name.endswith((".jsonl", ".yaml", ".jinja", ".mako", ".json"))}


def test_the_wheel_holds_no_weights_and_stays_small(wheel):
    assert wheel.stat().st_size < 5_000_000
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".safetensors", ".gguf", ".db"))]


def test_the_command_line_works_from_the_wheel_outside_the_clone(wheel, tmp_path):
    begin = installed(wheel, tmp_path / "site")

    def typed(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*begin, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    made = typed("init", "desk", "--example", "support-desk")
    assert made.returncode == 0, made.stderr
    added = typed("-C", "desk", "add", "desk/messages.jsonl", "--json")
    assert '"added":672' in added.stdout, added.stderr
    assert (tmp_path / "desk" / ".tunesmith" / "store.db").is_file()
