"""Forget what examples said, wherever the store says it: in the rows, in answers, in reviews, in reasons given.

The tombstones stay: that there was a row, when it came, who erased it and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, delete, select, update

from tunesmith.core import codec
from tunesmith.core.store import tables
from tunesmith.core.store.changes import Changes

__all__ = ["ERASED", "NAMES_ERASED", "Erased", "erase", "redacted"]

ERASED = "[erased]"
"""Stands where a text was that quoted an erased example."""
NAMES_ERASED = "what was named by words of prompts was taken out, since an example was erased"
"""Stands among the notes of an error report that named failures by words of prompts."""


class Erased(NamedTuple):
    batch: str
    answers: int
    """Answers that were deleted: those to the examples, and those to others that quoted them."""
    notes: int
    """Other texts (corrections, notes, reasons) that were blanked."""
    preferences: int = 0
    """Pairs that quoted them and were deleted."""


def erase(
    connection: Connection,
    changes: Changes,
    ids: Sequence[str],
    by: str,
    reason: str,
    quotes: Callable[[str], bool],
) -> Erased:
    """Forget the examples inside the transaction of ``connection``."""
    answers = _delete_answers(connection, set(ids), quotes)
    pairs = _delete_preferences(connection, quotes)
    notes = _blank_reviews(connection, set(ids), quotes)
    notes += _rewrite(connection, tables.changes, tables.changes.c.reason, lambda text: redacted(text, quotes))
    notes += _rewrite(connection, tables.reviews, tables.reviews.c.why, lambda text: redacted(text, quotes))
    notes += _rewrite(connection, tables.ratings, tables.ratings.c.why, lambda text: redacted(text, quotes))
    notes += _rewrite(connection, tables.ledger, tables.ledger.c.detail, lambda text: _redacted_json(text, quotes))
    return Erased(changes.erase(ids, by, reason, within=connection), answers, notes, pairs)


def redacted(value: Any, quotes: Callable[[str], bool]) -> Any:
    """A JSON value in which each text that quotes is replaced."""
    if isinstance(value, str):
        return ERASED if quotes(value) else value
    if isinstance(value, dict):
        return {redacted(key, quotes): redacted(inner, quotes) for key, inner in value.items()}
    return [redacted(inner, quotes) for inner in value] if isinstance(value, list) else value


def _redacted_json(text: str, quotes: Callable[[str], bool]) -> str:
    """As ``redacted``; the very same text where nothing in it quotes. Of a damaged row, all or nothing."""
    try:
        read = json.loads(text)
    except ValueError:
        return codec.encode(ERASED).decode() if quotes(text) else text
    made = redacted(read, quotes)
    return text if made == read else codec.encode(made).decode()


def _delete_answers(connection: Connection, ids: set[str], quotes: Callable[[str], bool]) -> int:
    t = tables.answers
    rows = connection.execute(select(t.c.id, t.c.example, t.c.record)).all()
    # verdicts on answers are kept under a name that begins with the example's id
    doomed = [row[0] for row in rows if row[1] in ids or row[1][:16] in ids or _redacted_json(row[2], quotes) != row[2]]
    for number in doomed:
        connection.execute(delete(t).where(t.c.id == number))
    return len(doomed)


def _delete_preferences(connection: Connection, quotes: Callable[[str], bool]) -> int:
    """Forget pairs that quote, in use or not."""
    t = tables.preferences
    rows = connection.execute(select(t.c.id, t.c.record)).all()
    doomed = [row[0] for row in rows if _redacted_json(row[1], quotes) != row[1]]
    for pair in doomed:
        connection.execute(delete(t).where(t.c.id == pair))
    return len(doomed)


def _blank_reviews(connection: Connection, ids: set[str], quotes: Callable[[str], bool]) -> int:
    """Forget what reviewers wrote about the examples; that they reviewed them stays."""
    t = tables.reviews
    count = 0
    for number, example, became, completion, note in connection.execute(
        select(t.c.id, t.c.example, t.c.became, t.c.completion, t.c.note)
    ).all():
        written = [text for text in (completion, note) if text]
        if written and (example in ids or became in ids or any(map(quotes, written))):
            values = {"completion": None if completion is None else "", "note": ""}
            connection.execute(update(t).where(t.c.id == number).values(values))
            count += 1
    return count


def _rewrite(connection: Connection, table: Table, column: Column[str], rewritten: Callable[[str], str]) -> int:
    rows = connection.execute(select(table.c.id, column)).all()
    changed = [(number, new) for number, text in rows if text and (new := rewritten(text)) != text]
    for number, new in changed:
        connection.execute(update(table).where(table.c.id == number).values({column.name: new}))
    return len(changed)
