"""`report --verify`: prove a dossier from the records, or say what differs and what cannot be proved."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from tunesmith import __version__
from tunesmith.core.codec import digest_bytes
from tunesmith.core.decisions import Decision
from tunesmith.core.errors import TunesmithError
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.decision.dossier import render
from tunesmith.decision.dossier.differences import differing
from tunesmith.workspace.decide import decision_changed, judged_now
from tunesmith.workspace.dossier import gather
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home, noting_reads
from tunesmith.workspace.proof import MOST_TOLD, Proof, prove_evaluation, prove_records, prove_snapshot, prove_split
from tunesmith.workspace.report import Report

__all__ = ["verify_report"]

DERIVED = ".json"
RECORDS = ("split", "check", "curve", "evaluation test", "evaluation validation")
"""Inputs of a decision that are hashes of records, of the kind that their name begins with."""


def verify_report(home: Home, file: Path | None = None) -> Report:
    """Prove a dossier: the file, the records it names, the scores, the split, the ledger, the decision, the page.

    Args:
        file: A dossier, wherever it lies. Default: the newest.

    Raises:
        TunesmithError: There is no dossier, or the file cannot be read.
    """
    written, entry = _written(home, file)
    path = file or home.inside / "dossiers" / f"{written.hash}.html"
    proof, page = Proof(), _page(path, file)
    intact = page is not None and digest_bytes(page.encode("utf-8", "surrogateescape")) == written.hash
    if not written.hash:  # its record is gone, which is told with the other records
        proof.unproved.append("That the page is the one that was written: what was kept of it is gone.")
    elif page is None:
        proof.unproved.append(f"The page: {path.name} is gone.")
    elif intact:
        proof.proved.append("the page is the one that was written")
    decision = _decision(home, proof, entry)
    if decision is not None:
        beside, judged = Proof(), list[Derived]()
        with noting_reads() as shown:
            _prove_page(home, beside, written, entry, decision, page, intact, judged)
        _prove_records(home, proof, entry, decision, judged, shown)
        proof.join(beside)
    elif page is not None and not intact and written.hash:
        proof.differs("dossier", f"{path.name} is not the page that was written", digest_bytes(page.encode()))
    problems = [*(d.in_words for d in proof.differences), *proof.unproved]
    return Report(
        dossier=str(path),
        hash=written.hash,
        date=written.date,
        version=written.version,
        python=written.python,
        verified=not problems,
        problems=tuple(problems),
        differences=tuple(proof.differences),
        unproved=tuple(proof.unproved),
        proved=tuple(proof.proved),
    )


def _written(home: Home, file: Path | None) -> tuple[Report, Derived]:
    """The report that a file is, or else the newest, which it is then compared with."""
    entries = home.index("report", "dossier")
    if not entries:
        raise TunesmithError("There is no dossier to verify.", "write one with `tunesmith report`")
    if file is None:
        return _report(home, entries[-1]), entries[-1]
    try:
        found = digest_bytes(file.read_bytes())
    except OSError as error:
        raise TunesmithError(
            f"{file} cannot be read: {error.strerror}.", "name a dossier's file, or leave it out for the newest"
        ) from error
    reports = [(_report(home, entry), entry) for entry in entries]
    named = [r for r in reports if r[0].hash in (found, file.stem)]
    return named[-1] if named else reports[-1]


def _report(home: Home, entry: Derived) -> Report:
    """What was kept of a dossier; where that is gone, nothing but when it was written."""
    try:
        return home.load(entry, Report)
    except TunesmithError:
        return Report(dossier="", hash="", date=entry.at[:10])


def _page(path: Path, file: Path | None) -> str | None:
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        if file is not None:
            raise
        return None


def _decision(home: Home, proof: Proof, entry: Derived) -> tuple[Decision, Derived] | None:
    wanted = entry.inputs.get("decision", "")
    found = [e for e in home.index("decision", "decision") if e.hash == wanted]
    if not found:
        proof.unproved.append(f"The decision and all its figures: its record {wanted} is not in the index.")
        return None
    try:
        return home.load(found[-1], Decision), found[-1]
    except TunesmithError as error:
        proof.unproved.append(f"The decision and all its figures: {error.problem}")
        return None


def _prove_records(
    home: Home, proof: Proof, entry: Derived, found: tuple[Decision, Derived], judged: list[Derived],
    shown: list[Derived],
) -> None:  # fmt: skip
    """The records that the decision rests on and that the page shows, the scores, the split and the ledger."""
    decision, made = found
    side = str(decision.quality_bar.get("side", ""))
    evaluation = _evaluation(home, proof, made, side)
    named = [(e.kind, e.hash) for e in decision.evidence if e.path.endswith(DERIVED)]
    named += [("decision", made.hash), ("report", entry.hash), *((e.kind, e.hash) for e in judged)]
    named += [(name.partition(" ")[0], value) for name in RECORDS if (value := made.inputs.get(name))]
    named += [("contender", c.contender) for c in evaluation[0].contenders.values()] if evaluation else []
    prove_records(home, proof, named, [(e.kind, e.hash) for e in shown])
    try:
        split = home.latest("split", "split", Split)
    except TunesmithError as error:
        proof.unproved.append(f"The scores and that the split does not leak: {error.problem}")
        return
    if split is None or split[1].hash != made.inputs.get("split"):
        proof.unproved.append("The scores and that the split does not leak: the split changed since.")
        return
    prove_split(home, proof, split[0])
    prove_snapshot(home, proof, split[0])
    if evaluation is not None:
        prove_evaluation(home, proof, *evaluation, split[0])


def _evaluation(home: Home, proof: Proof, made: Derived, side: str) -> tuple[Evaluation, Derived] | None:
    wanted = made.inputs.get(f"evaluation {side}", "")
    found = [e for e in home.index("evaluation", side) if e.hash == wanted]
    if not found:
        proof.unproved.append(f"All scores: the evaluation {wanted} that they stand in is not in the index.")
        return None
    try:
        return home.load(found[-1], Evaluation), found[-1]
    except TunesmithError as error:
        proof.unproved.append(f"All scores: {error.problem}")
        return None


def _prove_page(
    home: Home, proof: Proof, written: Report, entry: Derived, found: tuple[Decision, Derived], page: str | None,
    intact: bool, judged: list[Derived],
) -> None:  # fmt: skip
    """Decide again, and write the page again, from the records as they are now.

    Args:
        judged: Is filled with the records that are decided on.
    """
    decision, made = found
    try:
        if changed := _changed(home, made):
            _compare_with_written(home, proof, written, page, intact)
            proof.unproved.append(
                f"The decision, the costs and the page as a whole: {changed} changed since. Write it anew with "
                "`tunesmith report`."
            )
            return
        with noting_reads() as read:
            again = replace(judged_now(home), inputs=decision.inputs)
        judged += read
        if written.version != __version__:
            _other_release(proof, written, decision, again)
            _compare_with_written(home, proof, written, page, intact)
            return
        if proof.agree("decision", "decision", decision, again):
            proof.proved.append("the rules give the same decision from the records")
        rendered = render(gather(home, decision, written.date, entry.at, written.python or None))
    except TunesmithError as error:
        proof.unproved.append(f"The decision and the page as a whole: {error.problem}")
        return
    if not written.hash:
        return
    if digest_bytes(rendered.encode()) == written.hash:
        proof.proved.append("the records give the same page, byte for byte")
        if page is not None and not intact:
            _compare(proof, page, rendered, "the records say")
    else:
        _compare(proof, page if page is not None else rendered, rendered, "the records say")


def _changed(home: Home, made: Derived) -> str:
    """What the decision would be made from otherwise now; all where a record that says so cannot be read."""
    try:
        return decision_changed(home, made)
    except TunesmithError:
        return " and ".join(made.inputs)


def _other_release(proof: Proof, written: Report, decision: Decision, again: Decision) -> None:
    if proof.agree("decision", "recommendation", decision.recommendation, again.recommendation):
        proof.proved.append("the rules still give the same recommendation from the records")
    proof.unproved.append(
        f"The wording and layout of the page: Tunesmith {written.version or 'of an earlier release'} wrote it, and "
        f"this is {__version__}."
    )


def _compare_with_written(home: Home, proof: Proof, written: Report, page: str | None, intact: bool) -> None:
    """A file that is not the one that was written, held against that one."""
    if page is None or intact or not written.hash:
        return
    kept = home.inside / "dossiers" / f"{written.hash}.html"
    if kept.is_file() and digest_bytes(kept.read_bytes()) == written.hash:
        _compare(proof, page, kept.read_text("utf-8"), "the page as it was written says")
    else:
        proof.differs("dossier", "it is not the page that was written, and that one is gone")


def _compare(proof: Proof, page: str, rendered: str, who: str) -> None:
    apart = list(differing(page, rendered))
    for where in apart[:MOST_TOLD]:
        place = f"after “{where.after}”" if where.after else "at its beginning"
        proof.differs("dossier", place, where.shown, where.found)
    if len(apart) > MOST_TOLD:
        proof.differs("dossier", f"{len(apart) - MOST_TOLD} more places where {who} something else")
    if not apart and page != rendered:
        proof.differs("dossier", "its words are the same, but not its marks, links or plots")
