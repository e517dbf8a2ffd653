"""Snapshots: the examples as they were when something was made from them. Listed, and had again by hash."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.workspace.home import Home

__all__ = ["Frozen", "SnapshotEntry", "Tombstone", "frozen", "snapshot_rows", "snapshots"]


class Tombstone(Record, frozen=True, kw_only=True):
    """Stands in a snapshot's file where a row was that was erased."""

    erased_at: str
    id: str

    @staticmethod
    def is_in(line: bytes) -> bool:
        """Whether a line of a snapshot is one. An example's line begins with its id."""
        return line.startswith(b'{"erased_at"')


class Frozen(Record, frozen=True, kw_only=True):
    """A snapshot, read again."""

    hash: str
    examples: tuple[Example, ...]
    erased: tuple[str, ...] = ()
    """Ids of rows that stood in it and were erased since."""


class SnapshotEntry(Record, frozen=True, kw_only=True):
    """What is known of a snapshot without reading its rows as examples."""

    hash: str
    at: str
    examples: int
    """Rows, those that were erased since among them."""
    erased: int
    bytes: int
    used_by: tuple[str, ...] = ()
    """What was made from it: check, split."""


class _Naming(Record, frozen=True, kw_only=True):
    """The one thing that is read of a record made from a snapshot."""

    snapshot: str = ""


def snapshots(home: Home) -> list[SnapshotEntry]:
    """All snapshots, the newest last."""
    first = {entry.hash: entry.at for entry in reversed(home.index("snapshot"))}
    uses: dict[str, set[str]] = {}
    for kind, name in _naming(home):
        uses.setdefault(name, set()).add(kind)
    found = []
    for path in _files(home):
        lines = path.read_bytes().splitlines()
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
        found.append(
            SnapshotEntry(
                hash=path.stem,
                at=first.get(path.stem, written),  # earlier releases kept no time but the file's own
                examples=len(lines),
                erased=sum(map(Tombstone.is_in, lines)),
                bytes=path.stat().st_size,
                used_by=tuple(sorted(uses.get(path.stem, ()))),
            )
        )
    return sorted(found, key=lambda s: (s.at, s.hash))


def frozen(home: Home, prefix: str) -> Frozen:
    """The snapshot whose hash begins so. A row that was erased since is named, and left out.

    Raises:
        UnknownName: None begins so, or several do.
    """
    paths = [path for path in _files(home) if path.stem.startswith(prefix)]
    if len(paths) != 1:
        known = [path.stem for path in (paths or _files(home))]
        raise UnknownName.among("single snapshot" if paths else "snapshot", prefix, known)
    path = paths[0]
    rows = snapshot_rows(home, path.stem)
    gone = {row.id for row in rows if isinstance(row, Tombstone)}
    back = {e.id: e for e in home.examples() if e.id in gone} if gone else {}  # erased, and added again by hand
    examples = [row if isinstance(row, Example) else back.get(row.id) for row in rows]
    return Frozen(
        hash=path.stem,
        examples=tuple(e for e in examples if e is not None),
        erased=tuple(row.id for row in rows if isinstance(row, Tombstone) and row.id not in back),
    )


def snapshot_rows(home: Home, name: str) -> list[Example | Tombstone]:
    """The rows of the snapshot with this hash, in their order.

    Raises:
        TunesmithError: Its file is gone, or cannot be read.
    """
    path = home.inside / "snapshots" / f"{name}.jsonl"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise TunesmithError(f"{path} cannot be read: {error.strerror}.", "restore it from a copy") from error
    return [_row(line, path) for line in lines]


def _row(line: bytes, path: Path) -> Example | Tombstone:
    try:
        return codec.decode(line, Tombstone) if Tombstone.is_in(line) else codec.decode(line, Example)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise TunesmithError(
            f"{path} cannot be read: {error}", "restore it from a copy, or upgrade Tunesmith if it is newer"
        ) from error


def _files(home: Home) -> list[Path]:
    return sorted((home.inside / "snapshots").glob("[!.]*.jsonl"))


def _naming(home: Home) -> Iterator[tuple[str, str]]:
    """Kind of a derived record, and the snapshot it was made from."""
    for kind in ("check", "split"):
        for entry in home.index(kind):
            yield kind, home.load(entry, _Naming).snapshot
