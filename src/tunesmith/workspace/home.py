"""A workspace's folder: `tunesmith.yaml`, and `.tunesmith/` with the store and the derived records.

A derived record is a file named by the hash of its content, and a row in the store that says what it was made from.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Snapshot
from tunesmith.core.files import write_whole
from tunesmith.core.record import Record
from tunesmith.core.store import Derived, Store, open_store
from tunesmith.core.store.erasing import ERASED, NAMES_ERASED
from tunesmith.core.task import Task
from tunesmith.workspace.settings import FILE, Settings, load_settings

__all__ = ["Home", "changed_since", "noting_reads"]

R = TypeVar("R", bound=Record)
REDACTED = (codec.encode(ERASED), codec.encode(NAMES_ERASED))
"""Stands in a record that an erasure has rewritten, which keeps its name: whole texts of it, in their quotes."""
_reads: ContextVar[list[Derived] | None] = ContextVar("reads", default=None)


class Home:
    """Where a workspace keeps things, and the current state of what is kept."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.inside = self.root / ".tunesmith"
        self.settings: Settings = load_settings(self.root / FILE)
        self.task: Task = self.settings.make_task()

    @cached_property
    def store(self) -> Store:
        self.make_inside()
        return open_store(self.inside / "store.db")

    def make_inside(self) -> None:
        try:
            self.inside.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TunesmithError(
                f"{self.inside} cannot be made: {error.strerror}.", f"make {self.root} writable"
            ) from error

    # What there is now.

    def examples(self) -> list[Example]:
        return self.store.examples()

    def documents(self) -> list[Document]:
        return self.store.documents()

    def snapshot(self, examples: list[Example], *, timed: bool = False) -> Snapshot:
        """Freeze these examples: the ids (and times, where they count) and, once per hash, the rows themselves."""
        snapshot = Snapshot.of(examples, timed=timed)
        path = self.inside / "snapshots" / f"{snapshot.hash}.jsonl"
        if not path.exists():
            write_whole(path, b"".join(codec.encode(e) + b"\n" for e in examples))
            self.store.save_derived("snapshot", "snapshot", snapshot.hash, {})
        return snapshot

    # Derived records.

    def save(self, kind: str, name: str, record: Record, inputs: dict[str, str]) -> str:
        """Keep a derived record; it becomes the current one of its name."""
        content = codec.canonical(record)
        record_hash = codec.digest_bytes(content)
        path = self._path(kind, record_hash)
        if self.standing(kind, record_hash) != "intact":  # what was damaged is made anew
            write_whole(path, content)
        self.store.save_derived(kind, name, record_hash, inputs)
        return record_hash

    def index(self, kind: str, name: str | None = None) -> list[Derived]:
        """All derived records of a kind (and name), oldest first."""
        return self.store.derived(kind, name)

    def latest(self, kind: str, name: str, form: type[R]) -> tuple[R, Derived] | None:
        """The newest record of that kind and name."""
        found = self.index(kind, name)
        return (self.load(found[-1], form), found[-1]) if found else None

    def load(self, entry: Derived, form: type[R]) -> R:
        """The record. Raises TunesmithError where it is gone or cannot be read."""
        path = self._path(entry.kind, entry.hash)
        if (noted := _reads.get()) is not None:
            noted.append(entry)
        try:
            return codec.decode(path.read_bytes(), form)
        except FileNotFoundError:
            raise TunesmithError(
                f"{path} is gone, though the store says that it was made.",
                "restore .tunesmith from a copy, or make it anew with the verb that `tunesmith status` names",
            ) from None
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise TunesmithError(
                f"{path} cannot be read: {error}", "restore it from a copy, or upgrade Tunesmith if it is newer"
            ) from error

    def intact(self, entry: Derived) -> None:
        """See that the record is the one that was saved, or what an erasure left of it.

        Raises:
            TunesmithError: It was changed by something else, or is gone.
        """
        if self.standing(entry.kind, entry.hash) in ("changed", "gone"):
            raise TunesmithError(
                f"{self._path(entry.kind, entry.hash)} is not what was saved under that name: it was changed by hand "
                "or damaged.",
                "restore it from a copy, or make it anew with the verb that `tunesmith status` names; "
                "`tunesmith report --verify` says what differs",
            )

    @contextlib.contextmanager
    def resting_on_intact(self) -> Iterator[None]:
        """See, at the end of the block, that every derived record that was loaded in it is ``intact``."""
        with noting_reads() as read:
            yield
        for entry in {(e.kind, e.hash): e for e in read}.values():
            self.intact(entry)

    def standing(self, kind: str, record_hash: str) -> Literal["intact", "redacted", "changed", "gone"]:
        """Whether the file of a record is as it was saved; redacted is what an erasure left of it."""
        try:
            content = self._path(kind, record_hash).read_bytes()
        except OSError:
            return "gone"
        if codec.digest_bytes(content) == record_hash:
            return "intact"
        marked = any(mark in content for mark in REDACTED)
        return "redacted" if marked and self._erased_since(kind, record_hash) else "changed"

    def _erased_since(self, kind: str, record_hash: str) -> bool:
        """Whether any row was erased since the record was first saved."""
        saved = min((e.at for e in self.index(kind) if e.hash == record_hash), default=None)
        return saved is not None and any(change.at >= saved for change in self.store.changes.all("erase"))

    def _path(self, kind: str, record_hash: str) -> Path:
        return self.inside / kind / f"{record_hash}.json"

    # One process at a time in a verb.

    @contextlib.contextmanager
    def alone(self, verb: str) -> Iterator[None]:
        """Hold the verb's lock in this workspace.

        Raises:
            TunesmithError: Another process holds it; says which.
        """
        from filelock import FileLock, Timeout

        folder = self.inside / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        who = folder / f"{verb}.json"
        lock = FileLock(folder / f"{verb}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise TunesmithError(
                f"Another process{_pid(who)} is running `tunesmith {verb}` in {self.root}.",
                "wait until it ends; it loses nothing if it is interrupted with Ctrl-C and run again",
            ) from None
        try:
            who.write_text(json.dumps({"pid": os.getpid()}))
            yield
        finally:
            lock.release()


@contextlib.contextmanager
def noting_reads() -> Iterator[list[Derived]]:
    """Fill the list with every derived record that is loaded inside the block."""
    noted: list[Derived] = []
    outer = _reads.get()
    before = _reads.set(noted)
    try:
        yield noted
    finally:
        _reads.reset(before)
        if outer is not None:
            outer += noted


def changed_since(entry: Derived, now: dict[str, str]) -> str:
    """Names of the inputs that are no longer what the record was made from, or nothing: then it is not stale."""
    return " and ".join(name for name, value in now.items() if entry.inputs.get(name) != value)


def _pid(who: Path) -> str:
    try:
        return f" (pid {json.loads(who.read_text())['pid']})"
    except (OSError, ValueError, KeyError):
        return ""
