"""How much a packed file may unpack to: a few kilobytes can be made to fill the memory of any machine."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError

__all__ = ["MOST_ROWS", "MOST_UNPACKED", "ask_unpacked"]

MOST_UNPACKED = 4 * 2**30
"""Bytes that the columns of a Parquet file may have, unpacked."""
MOST_ROWS = 100_000_000
_SMALL = 64 * 2**20
"""Bytes that may always be unpacked: even packed to nothing, they do no harm."""
_LARGEST_RATIO = 100
"""Texts pack to a tenth, repetitive ones to a fiftieth. What packs to less was made to be unpacked."""


def ask_unpacked(name: str, packed_bytes: int, unpacked_bytes: int, most_bytes: int, mend: str) -> None:
    """Refuse a file that would unpack to more than ``most_bytes``, or to far more than honest texts do.

    Raises:
        TunesmithError: It would.
    """
    if unpacked_bytes <= _SMALL or (
        unpacked_bytes <= most_bytes and unpacked_bytes <= _LARGEST_RATIO * max(packed_bytes, 1)
    ):
        return
    raise TunesmithError(
        f"{name} would unpack from {packed_bytes / 2**20:.1f} MB to {unpacked_bytes / 2**20:,.0f} MB; "
        f"up to {most_bytes // 2**20:,} MB are read, and {_LARGEST_RATIO} times its size.",
        mend,
    )
