"""`add`: read files into the store. A row that cannot be read is set aside with its line and mend."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Rejected, Side
from tunesmith.core.files import write_whole
from tunesmith.core.preferences import Preference
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.data.readers import Mapped, ReadOptions, ask_there, read
from tunesmith.workspace.home import Home

__all__ = ["AddReport", "add", "keep_rejected"]

_NAME = r"\(*[A-Za-z0-9][A-Za-z0-9.+-]*\)*"
SPDX = re.compile(rf"{_NAME}(?: (?:AND|OR|WITH) {_NAME})*")


class AddReport(Record, frozen=True, kw_only=True):
    read: int
    """Rows looked at, good and bad."""
    added: int
    duplicates: int
    """Rows that were there already, word for word."""
    timed: int = 0
    """Examples that were there without a time and have one now."""
    out_of_use: int = 0
    """Rows that were removed, corrected or erased before, and stay so."""
    erased: int = 0
    """Those of them that were erased."""
    back: int = 0
    """Rows that were removed or erased before, and are in use again."""
    other_times: int = 0
    """Rows that came with another time than their like: the earliest counts."""
    twins: int = 0
    """Added examples that say what another one says in another group or on another side."""
    rejected: tuple[Rejected, ...] = ()
    said: tuple[str, ...] = ()
    """What was guessed about the files, in words."""
    documents: int = 0
    """How many of the added ones are documents."""
    preferences: int = 0
    """How many of the rows are preference pairs."""
    dry_run: bool = False
    mapping: dict[str, str] = msgspec.field(default_factory=dict)
    """Column by role (or field of the task), as found in the first file that has rows."""
    files: tuple[Mapped, ...] = ()
    """The same of each file that has rows, with its format."""
    rejects_file: str | None = None
    """Where the rejected rows are listed, if there are any."""


def add(
    home: Home,
    files: list[Path],
    *,
    as_: Literal["human", "expert", "synthetic", "document", "preference"] = "human",
    side: Side | None = None,
    format: str | None = None,
    mapping: dict[str, str] | None = None,
    group_by: str | None = None,
    licence: str | None = None,
    again: bool = False,
    dry_run: bool = False,
    progress: Progress = quiet,
) -> AddReport:
    """Read files in order. All good rows of a file are added in one transaction, or none if it is interrupted.

    Args:
        again: Rows that were removed or erased come back, unless a correction stands in their place; the files' times
            replace those that are there.
        dry_run: Nothing is kept; the report says what would be.
    """
    if not files:
        raise TunesmithError("No file was named.", "name at least one: `tunesmith add FILE`")
    if as_ == "preference" and side is not None:
        raise TunesmithError(
            "A preference pair is not pinned to a side: it stands where its prompt does.",
            "leave out --side; pairs whose prompt is near a test or validation prompt are never learnt",
        )
    options = ReadOptions(
        task=home.task,
        as_=as_,
        side=side,
        format=format,
        mapping=mapping or {},
        group_by=group_by,
        licence=_known_form(licence),
    )
    sorter = _Sorter(progress)
    said: list[str] = []
    told: list[Mapped] = []
    counts: Counter[str] = Counter()
    replaced: set[str] = set()
    for file in files:
        ask_there(file)
    for place, file in enumerate(files):
        try:
            examples = sorter.examples(read(file, options, said.append, told.append), str(file))
            outcome = home.store.add_examples(examples, again=again, replaced=replaced, dry_run=dry_run)
        except TunesmithError as error:
            raise _after_others(home, error, files[:place], sorter.rejected, dry_run=dry_run) from error
        counts.update(outcome._asdict())
        counts.update(home.store.add_documents(sorter.take_documents(), dry_run=dry_run)._asdict())
        counts.update(home.store.add_preferences(sorter.take_preferences(), dry_run=dry_run)._asdict())
    return AddReport(
        read=sorter.count + len(sorter.rejected),
        added=counts["new"],
        duplicates=counts["duplicates"],
        timed=counts["timed"],
        out_of_use=counts["out_of_use"],
        erased=counts["erased"],
        back=counts["back"],
        other_times=counts["other_times"],
        twins=counts["twins"],
        rejected=tuple(sorter.rejected),
        said=tuple(said),
        documents=sorter.documents_seen,
        preferences=sorter.preferences_seen,
        dry_run=dry_run,
        mapping=told[0].mapping if told else {},
        files=tuple(told),
        rejects_file=keep_rejected(home, sorter.rejected) if sorter.rejected and not dry_run else None,
    )


def _after_others(
    home: Home, error: TunesmithError, files: Sequence[Path], rejected: Sequence[Rejected], *, dry_run: bool
) -> TunesmithError:
    """The error, with what was added before it."""
    if not files or dry_run:
        return error
    listed = keep_rejected(home, rejected) if rejected else None
    more = f"; the rows of them that were refused stand in {listed}" if listed else ""
    added = (
        f"Before that, {' and '.join(str(file) for file in files)} {'was' if len(files) == 1 else 'were'} added{more}."
    )
    return type(error)(f"{error.problem} {added}", error.mend)


class _Sorter:
    """Takes what a reader yields apart: examples flow on, documents, pairs and rejected rows are kept."""

    def __init__(self, progress: Progress) -> None:
        self.rejected: list[Rejected] = []
        self.count = self.documents_seen = self.preferences_seen = 0
        self._documents: list[Document] = []
        self._preferences: list[Preference] = []
        self._progress = progress

    def examples(self, rows: Iterator[Example | Document | Preference | Rejected], file: str) -> Iterator[Example]:
        for row in rows:
            if isinstance(row, Rejected):
                self.rejected.append(row)
                continue
            self.count += 1
            if self.count % 1000 == 0:
                self._progress(self.count, 0, file)
            if isinstance(row, Example):
                yield row
            elif isinstance(row, Preference):
                self.preferences_seen += 1
                self._preferences.append(row)
            else:
                self.documents_seen += 1
                self._documents.append(row)

    def take_documents(self) -> list[Document]:
        taken, self._documents = self._documents, []
        return taken

    def take_preferences(self) -> list[Preference]:
        taken, self._preferences = self._preferences, []
        return taken


def _known_form(licence: str | None) -> str | None:
    """The expression, where it has SPDX's form; whether the licence is on SPDX's list is not asked."""
    if licence is None or SPDX.fullmatch(licence):
        return licence
    raise TunesmithError(
        f"{licence!r} is no SPDX expression.",
        "write an identifier such as CC-BY-4.0 or Apache-2.0, or LicenseRef-NAME for terms of your own",
    )


def keep_rejected(home: Home, rejected: Sequence[Rejected]) -> str:
    """Write the rejected rows where they can be looked up later, named by what they say."""
    lines = b"".join(codec.encode(r) + b"\n" for r in rejected)
    path = home.inside / "rejected" / f"{codec.digest_bytes(lines)}.jsonl"
    write_whole(path, lines)
    return str(path)
