"""The tables. A change here needs a migration beside it; a test holds the two equal.

Records are kept as their JSON text, so that a release can add fields with defaults without touching a table; columns
exist for what is looked up. Text columns only: the same definitions serve SQLite and PostgreSQL.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

__all__ = [
    "answers",
    "changes",
    "derived",
    "documents",
    "examples",
    "ledger",
    "metadata",
    "preferences",
    "ratings",
    "reviews",
    "skips",
]

metadata = MetaData()

examples = Table(
    "examples",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("said", String(32)),
    Column("record", Text, nullable=False),
    Column("added_at", String(32), nullable=False),
    Column("removed_at", String(32)),
    Index("examples_said", "said"),
)

documents = Table(
    "documents",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("record", Text, nullable=False),
    Column("added_at", String(32), nullable=False),
    Column("removed_at", String(32)),
)

preferences = Table(
    "preferences",
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

reviews = Table(
    "reviews",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("example", String(32), nullable=False),
    Column("opinion", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("queued_at", String(32), nullable=False),
    Column("reviewer", String(200)),
    Column("claimed_until", String(32)),
    Column("outcome", String(16)),
    Column("decided_at", String(32)),
    Column("completion", Text),
    Column("became", String(32)),
    Column("note", Text, nullable=False),
    Column("batch", String(32)),
    Column("effective", Integer, nullable=False),
    Column("undone_at", String(32)),
    UniqueConstraint("example", "opinion", "attempt", name="one_opinion_each"),
    Index("reviews_outcome", "outcome"),
    Index("reviews_reviewer", "reviewer"),
)

skips = Table(
    "skips",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("review", Integer, nullable=False),
    Column("reviewer", String(200), nullable=False),
    Column("at", String(32), nullable=False),
    Index("skips_reviewer", "reviewer"),
)

ratings = Table(
    "ratings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("round", String(32), nullable=False),
    Column("item", String(32), nullable=False),
    Column("opinion", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("attention", Integer, nullable=False),
    Column("rater", String(200)),
    Column("claimed_until", String(32)),
    Column("swapped", Integer),
    Column("choice", String(16)),
    Column("decided_at", String(32)),
    Column("why", Text, nullable=False),
    Column("undone_at", String(32)),
    UniqueConstraint("round", "item", "opinion", "attempt", name="one_rating_each"),
    Index("ratings_round", "round"),
)
