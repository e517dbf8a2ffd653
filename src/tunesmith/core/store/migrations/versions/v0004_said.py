"""What each example says, named apart from where it is pinned, so that a row can be found without its group."""

import msgspec
import sqlalchemy as sa
from alembic import op

from tunesmith.core.codec import digest

revision = "0004"
down_revision = "0003"

AT_ONCE = 5000


def upgrade() -> None:
    op.add_column("examples", sa.Column("said", sa.String(32)))
    examples = sa.table("examples", sa.column("id"), sa.column("record"), sa.column("said"))
    fill = sa.update(examples).where(examples.c.id == sa.bindparam("which")).values(said=sa.bindparam("what"))
    connection = op.get_bind()
    last = ""
    while rows := connection.execute(
        sa.select(examples.c.id, examples.c.record).where(examples.c.id > last).order_by(examples.c.id).limit(AT_ONCE)
    ).all():
        said = [{"which": row[0], "what": _said(row[1])} for row in rows if row[1]]  # an erased row says nothing
        if said:
            connection.execute(fill, said)
        last = rows[-1][0]
    op.create_index("examples_said", "examples", ["said"])


def _said(record: str) -> str:
    row = msgspec.json.decode(record)
    return digest([row["messages"], row["completion"]])
