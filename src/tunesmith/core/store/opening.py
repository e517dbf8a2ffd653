"""Open a store: connect, bring its tables to this release's form, refuse one of a newer release."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.exc import DatabaseError, OperationalError

from tunesmith.core.errors import ServiceError, TunesmithError
from tunesmith.core.store.store import Store

__all__ = ["HEAD", "open_store"]

HEAD = "0006"
"""The newest migration. A test compares it with the migrations folder."""


def open_store(url: str | Path) -> Store:
    """The store at ``url`` (or of the SQLite file at that path), its tables brought up to date.

    Raises:
        TunesmithError: It was written by a newer release, or is no database.
        ServiceError: The database server cannot be reached.
    """
    if isinstance(url, Path):
        url = f"sqlite:///{url}"
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    try:
        with engine.connect() as connection:
            found = _version(connection)
        if found != HEAD:
            _migrate(engine, found, url)
    except OperationalError as error:
        raise ServiceError(
            f"The store {engine.url.render_as_string()} cannot be opened: {error.orig}",
            "see that its folder or server is there and can be written",
        ) from error
    except DatabaseError as error:
        raise TunesmithError(
            f"The store {engine.url.render_as_string()} is not a database: {error.orig}",
            "restore it from a copy, or begin a new workspace with `tunesmith init`",
        ) from error
    return Store(engine)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return str(row[0]) if row else None


def _migrate(engine: Engine, found: str | None, url: str) -> None:
    """Run the migrations above ``found``. Alembic is imported here: an up-to-date store never pays for it."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise TunesmithError(
            f"The workspace was written by a newer release of Tunesmith (store {found}; this one knows {HEAD}).",
            "upgrade with `pip install --upgrade tunesmith`, or open it where it was made",
        )
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":  # two processes that open a new workspace at once take turns
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            found = _version(connection)
        if found != HEAD:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        connection.commit()


def _tune_sqlite(engine: Engine) -> None:
    """WAL, so that readers and one writer do not wait for each other."""

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        connection.execute("PRAGMA busy_timeout = 30000")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an acknowledged write is on disk
        connection.execute("PRAGMA cache_size = -65536")  # 64 MB: a million ids are added in no order
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA secure_delete = ON")  # what goes out of use leaves zeros, not what it said
