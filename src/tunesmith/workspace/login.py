"""Who is at the keyboard, where nobody says."""

from __future__ import annotations

import getpass

from tunesmith.core.errors import TunesmithError

__all__ = ["named"]

LONGEST = 200


def named(by: str | None) -> str:
    """The name as it was given, else the login name.

    Raises:
        TunesmithError: It is empty or too long, or the system knows no login name.
    """
    if by is None:
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            raise TunesmithError("The system does not say who you are.", "say it with --by NAME") from None
    name = " ".join(by.split())
    if not 0 < len(name) <= LONGEST:
        raise TunesmithError(f"A name of {len(name)} characters is none to remember.", "say who you are with --by NAME")
    return name
