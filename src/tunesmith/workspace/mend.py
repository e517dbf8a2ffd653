"""`mend`: put right by rule what `check` found, show it first, and be able to undo it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.findings import Finding
from tunesmith.core.record import Record
from tunesmith.core.store.changes import Edit
from tunesmith.data.checks import run_checks
from tunesmith.data.mends import Mended, run_mends
from tunesmith.data.private import find
from tunesmith.workspace.check import examples_hash, material
from tunesmith.workspace.history import undo as take_back
from tunesmith.workspace.home import Home

__all__ = ["MendReport", "MendedRow", "mend", "undo"]

AROUND = 40
"""Characters shown on each side of a change."""
FOR_PEOPLE = (
    "completion_format",
    "completion_schema",
    "empty_prompt",
    "empty_completion",
    "conflicting_completions",
    "encoding",
    "personal_data",
    "secrets",
)
"""Checks that are asked what is left; the last three where a mend would have to guess."""


class MendedRow(Record, frozen=True, kw_only=True):
    """One row that changes."""

    old: str
    """Id of the example that goes out of use."""
    new: str | None
    """Id of the one that takes its place; None where nothing does."""
    where: str
    mends: tuple[str, ...]
    reason: str
    lines: tuple[str, ...]
    """What changes, as `- before` and `+ after`. What is private is masked."""


class MendReport(Record, frozen=True, kw_only=True):
    examples: int
    changed: tuple[MendedRow, ...] = ()
    left: tuple[str, ...] = ()
    """What is left for people, a line for each check."""
    findings: tuple[Finding, ...] = ()
    """The same, one by one."""
    ready: bool | None = None
    """Whether none of them is an error; `check` has the last word. None where nothing was looked at."""
    snapshot: str | None = None
    """Hash of the examples as they are now."""
    applied: bool = False
    batch: str | None = None
    """Names the change: `tunesmith mend --undo BATCH` takes it back."""
    undone: str | None = None
    """Name of the batch that was taken back."""


def mend(home: Home, only: Sequence[str] | None = None, *, apply: bool = False) -> MendReport:
    """Say what the mends would change; with ``apply``, change it in one batch."""
    examples = home.examples()
    if not examples:
        raise TunesmithError("There are no examples to mend.", "add some with `tunesmith add FILE`")
    with home.alone("mend"):
        mended = sorted(run_mends(examples, home.task, only), key=lambda m: _place(m.old))
        batch = None
        if apply and mended:
            batch = home.store.changes.make("mend", "mend", _edits(mended))
    findings = run_checks(material(home, _after(examples, mended)), FOR_PEOPLE)
    return MendReport(
        examples=len(examples),
        changed=tuple(_row(m) for m in mended),
        left=tuple(_left(findings)),
        findings=tuple(findings),
        ready=not any(finding.severity == "error" for finding in findings),
        snapshot=examples_hash(home.examples()),
        applied=batch is not None,
        batch=batch,
    )


def undo(home: Home, batch: str) -> MendReport:
    """Take back what a batch changed.

    Raises:
        TunesmithError: There is no such batch, or it was undone or built upon since.
    """
    with home.alone("mend"):
        made = take_back(home, batch, "mend")
    examples = home.examples()
    return MendReport(
        examples=len(examples), applied=True, batch=made.batch, undone=made.undone, snapshot=examples_hash(examples)
    )


def _edits(mended: Sequence[Mended]) -> list[Edit]:
    """In an order in which none undoes another: a row makes room before another becomes what it was, and what is
    merged into a row finds it there."""
    edits = [Edit(m.old.id, m.new, "; ".join(m.reasons), m.kept.id if m.kept else None) for m in mended]
    become = {edit.new.id for edit in edits if edit.new is not None}
    return sorted(edits, key=lambda edit: (edit.new is None, edit.old not in become))


def _place(example: Example) -> tuple[str, int, str]:
    origin = example.origin
    return (origin.file if origin else "", origin.line if origin else 0, example.id)


def _after(examples: list[Example], mended: list[Mended]) -> list[Example]:
    """The examples as they are once the mends are made."""
    became = {m.old.id: m.new for m in mended}
    after = (became.get(example.id, example) for example in examples)
    return [example for example in after if example is not None]


def _row(mended: Mended) -> MendedRow:
    return MendedRow(
        old=mended.old.id,
        new=mended.new.id if mended.new else None,
        where=mended.old.place,
        mends=mended.mends,
        reason="; ".join(mended.reasons),
        lines=tuple(_lines(mended)),
    )


def _lines(mended: Mended) -> Iterator[str]:
    if mended.new is None:
        yield f"- {_shown(_masked(mended.old.prompt), 0, 0)}"
        return
    before = [*(m.content for m in mended.old.messages), mended.old.completion]
    after = [*(m.content for m in mended.new.messages), mended.new.completion]
    for old, new in zip(before, after, strict=True):
        if old != new:
            old = _masked(old)
            begin = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
            rest = min(len(old), len(new)) - begin
            end = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
            yield f"- {_shown(old, begin, end)}"
            yield f"+ {_shown(new, begin, end)}"


def _masked(text: str) -> str:
    """The text with what is private made unreadable: a mend must not spread what it takes out."""
    for hit in reversed(find(text)):
        text = f"{text[: hit.begin]}{'▒' * (hit.end - hit.begin)}{text[hit.end :]}"
    return text


def _shown(text: str, begin: int, end: int) -> str:
    """The part of a text between what stays at both ends, with some of it; what nobody would see is written out."""
    first, last = max(0, begin - AROUND), min(len(text), len(text) - end + AROUND)
    if begin == end == 0:
        last = min(len(text), 2 * AROUND)
    part = "".join(c if c == " " or c.isprintable() else c.encode("unicode_escape").decode() for c in text[first:last])
    if part != part.rstrip(" "):
        part = part.rstrip(" ") + "·" * (len(part) - len(part.rstrip(" ")))
    return f"{'…' if first else ''}{part}{'…' if last < len(text) else ''}"


def _left(findings: Sequence[Finding]) -> Iterator[str]:
    for name in FOR_PEOPLE:
        rows = {id_ for finding in findings if finding.check == name for id_ in finding.examples}
        if rows:
            yield f"{name}: {len(rows)} example{'s' if len(rows) > 1 else ''} (`tunesmith check --only {name}`)"
