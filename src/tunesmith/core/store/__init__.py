"""What changes and is shared: examples, documents, answers, ledger, index of derived records."""

from tunesmith.core.store.opening import open_store
from tunesmith.core.store.store import Added, Derived, LedgerEntry, Store

__all__ = ["Added", "Derived", "LedgerEntry", "Store", "open_store"]
