"""What the tables hold, read again; and what the database says is wrong, in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from tunesmith.core import codec
from tunesmith.core.errors import TunesmithError

__all__ = ["in_words", "reading", "record"]

R = TypeVar("R")

FROM_A_COPY = "restore .tunesmith/store.db from a copy; a row that was changed by hand has to be put right again"


def record(text: str, kind: type[R], table: str) -> R:
    """A row's record, of ``kind``.

    Args:
        table: The table that it stands in.

    Raises:
        TunesmithError: It was damaged, or a newer release wrote it.
    """
    try:
        return codec.decode(text, kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise TunesmithError(
            f"A row of the table {table!r} in the store cannot be read ({error}): {text[:80]!r}.",
            f"{FROM_A_COPY}, or upgrade Tunesmith if a newer release wrote it",
        ) from error


@contextlib.contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read by.

    Raises:
        TunesmithError: The database is damaged, or cannot be read.
    """
    try:
        with engine.connect() as connection:
            yield connection
    except DatabaseError as error:
        raise in_words(error, "read") from error


def in_words(error: DatabaseError, done: str = "written") -> TunesmithError:
    """What a database refused, as the user can mend it.

    Args:
        done: What could not be done: written, or read.
    """
    text = str(error.orig)
    if "disk is full" in text or "disk I/O" in text:
        return TunesmithError(
            f"The store could not be {done}: {text}. Nothing of this step was kept half.",
            "free some room on the disk that holds the workspace, then run the same command again",
        )
    if "locked" in text:
        return TunesmithError(
            "Another process has been writing to this workspace for over 30 seconds.",
            "wait for it to end, then run the same command again",
        )
    if "malformed" in text or "not a database" in text:
        return TunesmithError(f"The store is damaged: {text}.", FROM_A_COPY)
    return TunesmithError(f"The store could not be {done}: {text}.", f"see that the workspace's folder can be {done}")
