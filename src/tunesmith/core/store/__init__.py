"""What changes and is shared: examples, documents, answers, ledger, index of derived records."""

from tunesmith.core.store.changes import Change, ChangeKind, Edit
from tunesmith.core.store.opening import open_store
from tunesmith.core.store.ratings import Asked, Rating
from tunesmith.core.store.reviews import Outcome, Queued, Review, ReviewCounts
from tunesmith.core.store.store import Added, Derived, LedgerEntry, Life, Store

__all__ = [
    "Added",
    "Asked",
    "Change",
    "ChangeKind",
    "Derived",
    "Edit",
    "LedgerEntry",
    "Life",
    "Outcome",
    "Queued",
    "Rating",
    "Review",
    "ReviewCounts",
    "Store",
    "open_store",
]
