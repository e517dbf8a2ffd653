"""`data erase`: nothing of what a row said stays anywhere in the workspace; that there was a row does.

What a tuned model has learnt cannot be taken out of it, and files outside `.tunesmith` are not ours: both are named.
"""

from __future__ import annotations

import contextlib
import html
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.files import write_whole
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store.erasing import ERASED, redacted
from tunesmith.data.quotes import Quotes, pieces
from tunesmith.data.text import normal
from tunesmith.workspace.errors import without_names
from tunesmith.workspace.home import Home
from tunesmith.workspace.show import example_id
from tunesmith.workspace.snapshots import Tombstone

__all__ = ["EraseReport", "erase"]

WRITERS = ("check", "mend", "synthesize", "split", "baseline", "tune", "evaluate", "errors", "judge", "report")
"""Verbs that write what rows say for as long as they run: none may be at work meanwhile."""


RUNS_OWN = 2
"""How deep a run's own files lie in the folder of runs: its name, then the file; a model's lie deeper."""

NAMED = 'class="named-by-words"'
"""What a dossier's list of failures bears."""


class EraseReport(Record, frozen=True, kw_only=True):
    erased: tuple[str, ...]
    """Ids of the rows: those that were named, what they were before and became later, and their copies out of use."""
    batch: str | None
    """The journal's entry; None where they had been erased before and only the files were cleaned again."""
    answers: int = 0
    """Answers to them, or that quoted them, that were deleted."""
    notes: int = 0
    """Corrections, notes and reasons that were blanked."""
    preferences: int = 0
    """Preference pairs that quoted them, and were deleted."""
    snapshots: tuple[str, ...] = ()
    """Snapshots that say now that a row was erased."""
    records: tuple[str, ...] = ()
    """Files of derived records in which quotes were blanked."""
    dossiers: tuple[str, ...] = ()
    """Dossiers that quoted them and were deleted."""
    rejected: int = 0
    """Rejected rows that were theirs, and were dropped."""
    runs: tuple[str, ...] = ()
    """Tuning runs that learnt from them, or went on from one that did: what they learnt cannot be taken out."""
    unfinished_runs: tuple[str, ...] = ()
    """Folders of runs that came to no end; what they learnt from is not written down."""
    same_prompt: tuple[str, ...] = ()
    """Examples in use that ask the same; they are rows of their own and stay."""
    made_from_them: tuple[str, ...] = ()
    """Synthetic examples in use that were made from them and stay."""
    outside: tuple[str, ...] = ()
    """What holds them outside the workspace's `.tunesmith`: the files they were read from, a server that was asked."""


def erase(home: Home, examples: Sequence[str], *, by: str, reason: str = "") -> EraseReport:
    """Erase rows for good, with all their versions. Run again after an interruption, it finishes the work.

    Raises:
        TunesmithError: An id is not known, the reason quotes the row, or a verb that writes rows is running.
    """
    named = list(dict.fromkeys(example_id(home, prefix) for prefix in examples))
    with contextlib.ExitStack() as stack:
        for verb in WRITERS:
            stack.enter_context(home.alone(verb))
        doomed = _with_versions(home, named)
        if not doomed:  # erased before: only the files may hold something yet
            home.store.forget_freed()
            return EraseReport(erased=tuple(named), batch=None)
        return _Erasing(home, doomed).all(by, reason)


def _with_versions(home: Home, named: Sequence[str]) -> dict[str, Example]:
    """What is left to erase: the rows, what they were and became, and copies of them that are out of use."""
    removed = home.store.removed()
    known = {e.id: e for e in (*home.examples(), *removed)}
    ids = set(named)
    for example in named:
        ids |= {i for change in home.store.changes.of(example) for i in (change.old, change.new) if i is not None}
    ids |= {i for one in tuple(ids) if one in known for i in known[one].was}
    prompts = {normal(known[i].prompt) for i in ids if i in known}
    ids |= {e.id for e in removed if normal(e.prompt) in prompts}
    return {i: known[i] for i in sorted(ids) if i in known}


class _Erasing:
    """One erasure: files first, the rows last, so that an interrupted one can be run again."""

    def __init__(self, home: Home, doomed: dict[str, Example]) -> None:
        self.home, self.doomed = home, doomed
        self.rest = [e for e in home.examples() if e.id not in doomed]
        removed = [e for e in home.store.removed() if e.id not in doomed]
        said = [text for e in doomed.values() for text in pieces(e, home.task)]
        others = [text for e in (*self.rest, *removed) for text in pieces(e, home.task)]
        others += [text for d in home.documents() for text in (d.title, d.text)]
        labels = [label for field in home.task.labels for label in field.labels]
        self.quotes = Quotes(said, [*others, *labels, home.task.instructions])

    def all(self, by: str, reason: str) -> EraseReport:
        if self.quotes(reason) or self.quotes(by):
            raise TunesmithError("The reason quotes what is to be erased.", "say it in other words with --reason")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        snapshots = [p.stem for p in self._files("snapshots", ".jsonl") if self._bury(p, at)]
        rejected = sum(self._drop_rejected(p) for p in self._files("rejected", ".jsonl"))
        dossiers = [p for p in self._files("dossiers", ".html") if self._quoting(html.unescape(_read(p)))]
        records = [p for p in self._files(".", ".json") if self._redact(p)]
        for path in [*dossiers, *self._leftovers()]:
            path.unlink()
        done = self.home.store.erase(list(self.doomed), by, reason, self.quotes)
        prompts = {normal(e.prompt) for e in self.doomed.values()}
        versions = {i for e in self.doomed.values() for i in (*e.was, e.id)}
        return EraseReport(
            erased=tuple(self.doomed),
            batch=done.batch,
            answers=done.answers,
            notes=done.notes,
            preferences=done.preferences,
            snapshots=tuple(snapshots),
            records=tuple(p.relative_to(self.home.inside).as_posix() for p in records),
            dossiers=tuple(p.stem for p in dossiers),
            rejected=rejected,
            runs=tuple(self._runs({path.stem for path in records})),
            unfinished_runs=tuple(self._unfinished()),
            same_prompt=tuple(e.id for e in self.rest if normal(e.prompt) in prompts),
            made_from_them=tuple(e.id for e in self.rest if versions & set(e.lineage)),
            outside=tuple(self._outside(done.answers)),
        )

    def _files(self, folder: str, suffix: str) -> list[Path]:
        found = (self.home.inside / folder).rglob(f"*{suffix}")
        return sorted(p for p in found if not p.name.startswith(".") and not self._of_a_model(p))

    def _of_a_model(self, path: Path) -> bool:
        """Whether it belongs to a model or an adapter, such as its vocabulary, whose words a row may well say; or to a
        lock."""
        first, *rest = path.relative_to(self.home.inside).parts
        return first == "locks" or (first == "runs" and len(rest) > RUNS_OWN)

    def _quoting(self, dossier: str) -> bool:
        """Whether a dossier quotes the rows, or names failures by words that prompts have in common."""
        return NAMED in dossier or self.quotes(dossier)

    def _bury(self, path: Path, at: str) -> bool:
        """Put tombstones into a snapshot's file; its name, the hash of ids (and times), stays true."""
        lines = path.read_bytes().splitlines(keepends=True)
        kept = []
        for line in lines:
            row = None if Tombstone.is_in(line) else json.loads(line)["id"]
            kept.append(codec.encode(Tombstone(erased_at=at, id=row)) + b"\n" if row in self.doomed else line)
        return self._write(path, lines, kept)

    def _drop_rejected(self, path: Path) -> int:
        """Drop what was kept of rows that were refused first, and added later from the same line."""
        places = {(e.origin.file, e.origin.line) for e in self.doomed.values() if e.origin}
        lines = path.read_bytes().splitlines(keepends=True)
        kept = []
        for line in lines:
            row = json.loads(line)
            if (row["file"], row["line"]) not in places and redacted(row, self.quotes) == row:
                kept.append(line)
        self._write(path, lines, kept)
        return len(lines) - len(kept)

    def _redact(self, path: Path) -> bool:
        """Blank what quotes the rows in a derived record, and all that a finding says about them."""
        try:
            read = json.loads(path.read_bytes())
        except ValueError:
            return False
        named = without_names(read) if path.parent.name == "errors" else read
        made = redacted(self._without_findings(named), self.quotes)
        if made == read:
            return False
        write_whole(path, codec.canonical(made))
        return True

    def _without_findings(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._without_findings(inner) for inner in value]
        if not isinstance(value, dict):
            return value
        made = {key: self._without_findings(inner) for key, inner in value.items()}
        about = value.get("examples")
        if (
            "problem" in value
            and isinstance(about, list)
            and self.doomed.keys() & {i for i in about if isinstance(i, str)}
        ):
            made |= {"problem": ERASED, "mend": "nothing: what it was about was erased"}
        return made

    def _leftovers(self) -> list[Path]:
        """Half-written files of a process that died, where they quote the rows."""
        found = (p for p in sorted(self.home.inside.rglob(".*")) if p.is_file() and not self._of_a_model(p))
        return [p for p in found if self.quotes(_read(p))]

    def _write(self, path: Path, lines: list[bytes], kept: list[bytes]) -> bool:
        if kept != lines:
            write_whole(path, b"".join(kept))
        return kept != lines

    def _outside(self, answers: int) -> list[str]:
        files = sorted({e.origin.file for e in self.doomed.values() if e.origin})
        settings = self.home.settings
        models = [settings.model.base_url, *(m.base_url for m in settings.contenders.models.values())]
        asked = dict.fromkeys(address for address in models if address and answers)
        beside = dict.fromkeys(a for a in (settings.judge.base_url, settings.teacher.base_url) if a and a not in asked)
        return [
            *files,
            *(f"the server at {address}, which was asked about them" for address in asked),
            *(f"the server at {address}, which may have been shown them" for address in beside),
        ]

    def _runs(self, quoting: set[str]) -> list[str]:
        """Runs whose train side held the rows, that learnt a set of pairs among those records ``quoting`` them, or that
        went on from such a run."""
        splits = {entry.hash: entry for entry in self.home.index("split")}
        learnt, adapters = [], set[str]()
        for entry in self.home.index("run"):  # oldest first, so a run comes after the one it went on from
            run = self.home.load(entry, Run)
            split = splits.get(run.inputs.get("split", ""))
            held = split is not None and self.doomed.keys() & set(self.home.load(split, Split).train)
            if held or run.inputs.get("preferences") in quoting or run.inputs.get("start adapter") in adapters:
                learnt.append(entry.name)
                adapters.add(run.adapter_hash)
        return list(dict.fromkeys(learnt))

    def _unfinished(self) -> list[str]:
        finished = {entry.name for entry in self.home.index("run")}
        folders = (self.home.inside / "runs").glob("*")
        return sorted(p.name for p in folders if p.is_dir() and p.name not in finished)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
