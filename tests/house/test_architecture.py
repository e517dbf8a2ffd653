"""ARCHITECTURE.md draws the house as it is: every file stands in its tree, and everything in its tree is there."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tests.house.source import PACKAGE, ROOT, files
from tests.house.walking import blocks

UNNAMED = re.compile(r"(__init__\.py|migrations/.+)$")
"""A package's own line stands for its __init__, and `migrations/` for what is in it."""


def drawn() -> set[str]:
    """Paths in the tree, from the folder they are indented under."""
    text = next(block.text for block in blocks(ROOT / "ARCHITECTURE.md") if block.text.startswith("src/"))
    found: set[str] = set()
    above: list[PurePosixPath] = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        words = re.split(r"  +|(?<=\.py) (?=[^ ]+\.py)|(?<=\.py) (?=[a-z])", line.strip())
        names = [word for word in words if re.fullmatch(r"[\w/]+(\.py|/)", word)]
        above = above[:depth]
        found |= {str(PurePosixPath(*above, name)) for name in names}
        above.append(PurePosixPath(names[0]))
    return found


def test_every_file_stands_in_the_tree():
    there = {str(PurePosixPath(file.relative_to(ROOT).as_posix())) for file in files()}
    assert {path for path in there - drawn() if not UNNAMED.search(path)} == set()


def test_everything_in_the_tree_is_there():
    assert {path for path in drawn() if not (ROOT / path).exists()} == set()


def test_every_package_stands_in_the_tree():
    packages = {file.parent.relative_to(ROOT).as_posix() for file in files() if file.name == "__init__.py"}
    assert packages - drawn() == set()


def test_the_layers_are_those_of_the_package():
    text = next(block.text for block in blocks(ROOT / "ARCHITECTURE.md"))
    named = [word for line in text.splitlines() for word in re.split(r"  +", line)[0].split()]
    assert set(named) == {p.parent.name for p in PACKAGE.glob("*/__init__.py")} - {"examples", "catalogue"}
