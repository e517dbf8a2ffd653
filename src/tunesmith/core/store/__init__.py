"""What changes and is shared: examples, documents, answers, ledger, index of derived records."""

from tunesmith.core.store.changes import Change, ChangeKind, Edit
from tunesmith.core.store.opening import open_store
from tunesmith.core.store.store import Added, Derived, LedgerEntry, Store

__all__ = ["Added", "Change", "ChangeKind", "Derived", "Edit", "LedgerEntry", "Store", "open_store"]
