"""The base of all records: frozen, plain data, named by the hash of its content. They are what stages hand one another.

Each record that is derived from others keeps their hashes in ``inputs``; when one of them changes, it is stale.
How records become bytes stands in ``codec``.
"""

from __future__ import annotations

import msgspec

from tunesmith.core.codec import digest

__all__ = ["Record"]


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all records. Fields a later release adds have defaults, so that old files open."""

    @property
    def hash(self) -> str:
        """Name of this record: the hash of its content."""
        return digest(self)
