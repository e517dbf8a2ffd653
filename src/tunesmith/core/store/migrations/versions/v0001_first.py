"""Examples, documents, answers, ledger, index of derived records."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    for name in ("examples", "documents"):
        op.create_table(
            name,
            sa.Column("id", sa.String(32), primary_key=True),
            sa.Column("record", sa.Text, nullable=False),
            sa.Column("added_at", sa.String(32), nullable=False),
            sa.Column("removed_at", sa.String(32)),
        )
    op.create_table(
        "answers",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("contender", sa.String(32), nullable=False),
        sa.Column("example", sa.String(32), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.UniqueConstraint("contender", "example", name="one_answer_each"),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
    )
    op.create_index("ledger_kind", "ledger", ["kind"])
    op.create_table(
        "derived",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("hash", sa.String(32), nullable=False),
        sa.Column("inputs", sa.Text, nullable=False),
    )
    op.create_index("derived_kind_name", "derived", ["kind", "name"])
