"""`report`: write the dossier from the records. `verify` proves it."""

from __future__ import annotations

import platform
from datetime import UTC, datetime

import msgspec

from tunesmith import __version__
from tunesmith.core.codec import digest_bytes
from tunesmith.core.decisions import Decision
from tunesmith.core.files import write_whole
from tunesmith.core.record import Record
from tunesmith.decision.dossier import render
from tunesmith.workspace.decide import decide, decision_inputs
from tunesmith.workspace.dossier import gather
from tunesmith.workspace.home import Home
from tunesmith.workspace.proof import Difference

__all__ = ["Report", "report"]


class Report(Record, frozen=True, kw_only=True):
    dossier: str
    """The HTML file."""
    hash: str
    """Of the file's bytes."""
    date: str
    verified: bool | None = None
    """What --verify found: nothing differs and nothing is unproved. None where it was not asked."""
    problems: tuple[str, ...] = ()
    """What differs and what cannot be proved, in words."""
    differences: tuple[Difference, ...] = ()
    """What differs from what lies beneath it."""
    unproved: tuple[str, ...] = ()
    """Which figures cannot be proved, and why."""
    proved: tuple[str, ...] = ()
    """What was proved."""
    version: str = ""
    """Release that wrote it; empty for those that did not say."""
    python: str = ""
    """Version of Python that wrote it; the same."""


def report(home: Home) -> Report:
    """Write the dossier of the newest decision, deciding first where that is missing or stale."""
    with home.alone("report"):
        return _written(home)


def _written(home: Home) -> Report:
    found = home.latest("decision", "decision", Decision)
    if found is None or found[1].inputs != decision_inputs(home):
        decide(home)
        found = home.latest("decision", "decision", Decision)
    assert found is not None, "decide keeps its decision"
    decision, entry = found
    now = datetime.now(UTC)
    date = f"{now.day} {now:%B %Y}"
    python = platform.python_version()
    content = render(gather(home, decision, date, python=python)).encode()
    path = home.inside / "dossiers" / f"{digest_bytes(content)}.html"
    write_whole(path, content)
    written = Report(
        dossier=str(path), hash=digest_bytes(content), date=date, version=__version__, python=python
    )  # fmt: skip
    kept = msgspec.structs.replace(written, dossier=f"dossiers/{path.name}")  # a workspace may be moved
    home.save("report", "dossier", kept, {"decision": entry.hash})
    return written
