"""Walk through a page as a reader would: type its commands in order, and compare what comes with what the page shows.

In a page, a block of ```console holds commands after `$ ` and, below each, what it prints; a line `...` stands for
lines left out, and `...` inside a line for words left out. A block of ```sh is run as a whole, and so is one of
```python. A comment before a block says what holds for it:

    <!-- exits 1 -->        the block's last command ends with this status; all others end with 0
    <!-- numbers vary -->   it shows a real model's answers: compared with the real model only, and numbers are masked
    <!-- not run: WHY -->   installation and the like; only commands in NOT_RUN may be left out
    <!-- not settings: WHY --> YAML that is no part of tunesmith.yaml
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tunesmith.cli.main import run

__all__ = ["NOT_RUN", "Block", "Command", "Reader", "blocks"]

NOT_RUN = ("make", "git", "pip", "python", "python3", ".ci/run", ".venv/bin/python")
RUNNABLE = ("console", "sh", "python")
COMMENT = re.compile(r"<!-- (.+?) -->")
SHELL_SIGNS = re.compile(r"[|&;<>$*?`(){}]")
NUMBER = re.compile(r"[-+]?\d[\d,.]*(?:e-?\d+)?%?")


class Command(NamedTuple):
    line: str
    shown: tuple[str, ...]
    """What the page prints below it."""


class Block(NamedTuple):
    where: str
    kind: str
    text: str
    marks: tuple[str, ...]

    @property
    def commands(self) -> tuple[Command, ...]:
        """A console block's commands, each with the output shown; a line ending in a backslash goes on."""
        parts = re.split(r"^\$ ", self.text.replace("\\\n", " "), flags=re.MULTILINE)
        assert not parts[0].strip(), f"{self.where}: a console block begins with a command after `$ `"
        split = [part.rstrip("\n").split("\n") for part in parts[1:]]
        return tuple(Command(" ".join(lines[0].split()), tuple(lines[1:])) for lines in split)

    @property
    def status(self) -> int:
        """Exit status of the last command."""
        return next((int(mark.split()[1]) for mark in self.marks if mark.startswith("exits ")), 0)

    @property
    def is_run(self) -> bool:
        return self.kind in RUNNABLE and not any(mark.startswith("not run:") for mark in self.marks)


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page, each with the comments just above it."""
    lines = page.read_text(encoding="utf-8").splitlines()
    marks: list[str] = []
    start = kind = None
    for number, line in enumerate(lines, start=1):
        if start is None and line.startswith("```"):
            start, kind = number, line.removeprefix("```").strip()
        elif start is not None and line.startswith("```"):
            text = "\n".join(lines[start : number - 1])
            yield Block(f"{page.name}:{start}", kind or "", text, tuple(marks))
            start, marks = None, []
        elif start is None and line.strip():
            marks = [*marks, *COMMENT.findall(line)] if COMMENT.fullmatch(line.strip()) else []
    assert start is None, f"{page.name}:{start}: the block is not closed"


class Reader:
    """Someone who types what the pages say, in one folder."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        """``home`` is a cache of models that stand in for the real ones; None means the real ones."""
        self.folder, self.real_model = folder, home is None
        self.here = folder
        self.own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
        if home is not None:
            self.own["TUNESMITH_HOME"] = str(home)

    def read(self, page: Path) -> int:
        """Run all of a page's blocks; answers how many commands were run.

        Raises:
            AssertionError: A command ended otherwise than the page says, or printed something else.
        """
        count, self.here = 0, self.folder
        for block in blocks(page):
            if not block.is_run:
                continue
            if block.kind == "console":
                count += self._console(block)
            else:
                program = [sys.executable, "-"] if block.kind == "python" else ["bash", "-eu"]
                self._expect(block, block.text.splitlines()[0], block.status, *self._process(program, block.text))
                count += 1
        return count

    def _console(self, block: Block) -> int:
        for place, command in enumerate(block.commands, start=1):
            status, output = self._typed(command.line)
            expected = block.status if place == len(block.commands) else 0
            self._expect(block, command.line, expected, status, output)
            if "numbers vary" not in block.marks or self.real_model:
                mask = "numbers vary" in block.marks
                missing = [line for line in command.shown if not _is_in(line, output, mask)]
                assert not missing, f"{block.where}: `{command.line}` no longer prints\n  {missing[0]}\nbut\n{output}"
        return len(block.commands)

    def _typed(self, line: str) -> tuple[int, str]:
        """Run in this process where that is the same thing: it saves loading torch for every command."""
        if line.startswith("cd "):
            self.here = (self.here / line.removeprefix("cd ")).resolve()
            return int(not self.here.is_dir()), ""
        if self.real_model or not line.startswith("tunesmith ") or SHELL_SIGNS.search(line):
            return self._process(["bash", "-euo", "pipefail", "-c", line], "")
        output = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.chdir(self.here))
            stack.enter_context(contextlib.redirect_stdout(output))
            stack.enter_context(contextlib.redirect_stderr(output))
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            for name, value in self.own.items():
                patch.setenv(name, value)
            status = run(shlex.split(line)[1:])
        return status, output.getvalue()

    def _process(self, program: list[str], text: str) -> tuple[int, str]:
        done = subprocess.run(
            program, input=text, cwd=self.here, env=os.environ | self.own, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        return done.returncode, done.stdout

    @staticmethod
    def _expect(block: Block, line: str, expected: int, status: int, output: str) -> None:
        assert status == expected, f"{block.where}: `{line}` ended with {status}, not {expected}:\n{output}"


def _is_in(shown: str, output: str, mask: bool) -> bool:
    """Whether a line of the output is the one shown, `...` standing for anything and, with ``mask``, # for numbers."""
    if shown.strip() in ("", "..."):
        return True
    masked = NUMBER.sub("#", shown) if mask else shown
    pattern = re.compile(".*".join(re.escape(" ".join(part.split())) for part in masked.split("...")))
    lines = (NUMBER.sub("#", line) if mask else line for line in output.splitlines())
    return any(pattern.fullmatch(" ".join(line.split())) for line in lines)
