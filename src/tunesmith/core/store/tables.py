"""The tables. A change here needs a migration beside it; a test holds the two equal.

Records are kept as their JSON text, so that a release can add fields with defaults without touching a table; columns
exist for what is looked up. Text columns only: the same definitions serve SQLite and PostgreSQL.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

__all__ = ["answers", "changes", "derived", "documents", "examples", "ledger", "metadata"]

metadata = MetaData()

examples = Table(
    "examples",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("record", Text, nullable=False),
    Column("added_at", String(32), nullable=False),
    Column("removed_at", String(32)),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("record", Text, nullable=False),
    Column("added_at", String(32), nullable=False),
    Column("removed_at", String(32)),
)

answers = Table(
    "answers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("contender", String(32), nullable=False),
    Column("example", String(32), nullable=False),
    Column("record", Text, nullable=False),
    Column("at", String(32), nullable=False),
    UniqueConstraint("contender", "example", name="one_answer_each"),
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Index("ledger_kind", "kind"),
)

derived = Table(
    "derived",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("hash", String(32), nullable=False),
    Column("inputs", Text, nullable=False),
    Index("derived_kind_name", "kind", "name"),
)

changes = Table(
    "changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", String(32), nullable=False),
    Column("batch", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("by", String(200), nullable=False),
    Column("old", String(32)),
    Column("new", String(32)),
    Column("reason", Text, nullable=False),
    Index("changes_batch", "batch"),
    Index("changes_old", "old"),
    Index("changes_new", "new"),
)
