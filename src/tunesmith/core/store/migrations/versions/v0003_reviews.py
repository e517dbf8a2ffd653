"""What people are asked to look at, who holds it for now, and what they said."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("example", sa.String(32), nullable=False),
        sa.Column("opinion", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("queued_at", sa.String(32), nullable=False),
        sa.Column("reviewer", sa.String(200)),
        sa.Column("claimed_until", sa.String(32)),
        sa.Column("outcome", sa.String(16)),
        sa.Column("decided_at", sa.String(32)),
        sa.Column("completion", sa.Text),
        sa.Column("became", sa.String(32)),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("batch", sa.String(32)),
        sa.Column("effective", sa.Integer, nullable=False),
        sa.Column("undone_at", sa.String(32)),
        sa.UniqueConstraint("example", "opinion", "attempt", name="one_opinion_each"),
    )
    for name in ("outcome", "reviewer"):
        op.create_index(f"reviews_{name}", "reviews", [name])
    op.create_table(
        "skips",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("review", sa.Integer, nullable=False),
        sa.Column("reviewer", sa.String(200), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_index("skips_reviewer", "skips", ["reviewer"])
