"""Drive the command line from outside: a real process, its exit status, its stdout and stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.cli.main import run

__all__ = ["Ended", "command", "tunesmith", "typed"]


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on stdout; anything beside it is a fault."""
        lines = self.out.splitlines()
        assert len(lines) == 1, f"stdout holds {len(lines)} lines, not one JSON object: {self.out[:500]}"
        return json.loads(lines[0])


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "tunesmith", *map(str, arguments)]


def tunesmith(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Ended:
    """Run one command line to its end."""
    ended = subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | (env or {}),
        timeout=300,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def typed(*arguments: str | Path, cwd: Path | None = None) -> Ended:
    """One command line, in this process: that saves loading everything for each."""
    out, err = io.StringIO(), io.StringIO()
    place = contextlib.chdir(cwd) if cwd else contextlib.nullcontext()
    with place, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run([str(argument) for argument in arguments])
    return Ended(status, out.getvalue(), err.getvalue())
