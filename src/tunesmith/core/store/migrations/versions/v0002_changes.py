"""What became of examples after they were added: corrected, removed, erased, and by whom."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("batch", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("old", sa.String(32)),
        sa.Column("new", sa.String(32)),
        sa.Column("reason", sa.Text, nullable=False),
    )
    for name in ("batch", "old", "new"):
        op.create_index(f"changes_{name}", "changes", [name])
