"""How much a packed file may unpack to: a few kilobytes can be made to fill the memory of any machine."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError

__all__ = ["MOST_UNPACKED", "ask_rows", "ask_unpacked"]

MOST_UNPACKED = 4 * 2**30
"""Bytes that the columns of a Parquet file may have, unpacked."""
_MOST_ROWS = 100_000_000
_ALWAYS_ROWS = 1_000_000
"""Rows that may always be there; of more, each takes at least a byte of the file, or it was made to be unpacked."""
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


def ask_rows(name: str, packed_bytes: int, rows: int) -> None:
    """Refuse a file that says it has more rows than are read, or far more than honest files of its size.

    Raises:
        TunesmithError: It does.
    """
    most = min(_MOST_ROWS, max(_ALWAYS_ROWS, packed_bytes))
    if rows > most:
        raise TunesmithError(
            f"{name} says that it has {rows:,} rows; of its size, up to {most:,} are read.",
            "write it with fewer rows a file, or as JSON lines; if it came from elsewhere, do not trust it",
        )
