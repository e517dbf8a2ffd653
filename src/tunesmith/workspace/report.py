"""`report`: write the dossier from the records, or prove that the newest one follows from them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from tunesmith.core.codec import digest_bytes
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.core.record import Record
from tunesmith.decision.dossier import render
from tunesmith.workspace.decide import decide, decision_inputs
from tunesmith.workspace.dossier import gather
from tunesmith.workspace.home import Home
from tunesmith.workspace.split import verify as verify_split

__all__ = ["Report", "report", "verify_report"]


class Report(Record, frozen=True, kw_only=True):
    dossier: str
    """The HTML file."""
    hash: str
    """Of the file's bytes."""
    date: str
    verified: bool | None = None
    """What --verify found; None where it was not asked."""
    problems: tuple[str, ...] = ()


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
    content = render(gather(home, decision, date)).encode()
    path = home.inside / "dossiers" / f"{digest_bytes(content)}.html"
    write_whole(path, content)
    written = Report(dossier=str(path), hash=digest_bytes(content), date=date)
    kept = msgspec.structs.replace(written, dossier=f"dossiers/{path.name}")  # a workspace may be moved
    home.save("report", "dossier", kept, {"decision": entry.hash})
    return written


def verify_report(home: Home) -> Report:
    """Prove the newest dossier again: the file is as it was written, the split certifies, the decision follows."""
    found = home.latest("report", "dossier", Report)
    if found is None:
        raise TunesmithError("There is no dossier to verify.", "write one with `tunesmith report`")
    written, entry = found
    problems = []
    path = home.inside / "dossiers" / f"{written.hash}.html"
    if not path.exists() or digest_bytes(path.read_bytes()) != written.hash:
        problems.append(f"{path} is not the file that was written")
    certificate = verify_split(home)
    problems += [f"split: {problem}" for problem in certificate.problems]
    made = home.latest("decision", "decision", Decision)
    if made is None or made[1].hash != entry.inputs["decision"] or made[1].inputs != decision_inputs(home):
        problems.append("what the decision rests on has changed since; write it anew with `tunesmith report`")
    elif decide(home) != made[0]:
        problems.append("the rules give another decision from the same records")
    elif digest_bytes(render(gather(home, made[0], written.date, entry.at)).encode()) != written.hash:
        problems.append("the records give another dossier")
    return Report(
        dossier=str(path), hash=written.hash, date=written.date, verified=not problems, problems=tuple(problems)
    )
