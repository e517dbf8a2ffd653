"""Blind ratings: who compares what, and what they said."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "ratings",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("round", sa.String(32), nullable=False),
        sa.Column("item", sa.String(32), nullable=False),
        sa.Column("opinion", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("attention", sa.Integer, nullable=False),
        sa.Column("rater", sa.String(200)),
        sa.Column("claimed_until", sa.String(32)),
        sa.Column("swapped", sa.Integer),
        sa.Column("choice", sa.String(16)),
        sa.Column("decided_at", sa.String(32)),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("undone_at", sa.String(32)),
        sa.UniqueConstraint("round", "item", "opinion", "attempt", name="one_rating_each"),
    )
    op.create_index("ratings_round", "ratings", ["round"])
