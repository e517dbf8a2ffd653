"""Who is at the keyboard, where nobody says."""

from __future__ import annotations

import getpass
import unicodedata

from tunesmith.core.errors import TunesmithError

__all__ = ["named"]

LONGEST = 200


def named(by: str | None, flag: str = "--by") -> str:
    """The name as it was given, else the login name. What cannot be seen in a name does not make it another.

    Args:
        flag: Where it is given.

    Raises:
        TunesmithError: It is empty or too long, or the system knows no login name.
    """
    if by is None:
        try:
            return getpass.getuser()
        except (KeyError, OSError):
            raise TunesmithError("The system does not say who you are.", f"say it with {flag} NAME") from None
    name = " ".join("".join(map(_seen, unicodedata.normalize("NFC", by))).split())
    if not 0 < len(name) <= LONGEST:
        raise TunesmithError(f"A name of {len(name)} characters is none to keep.", f"say who you are with {flag} NAME")
    return name


def _seen(character: str) -> str:
    kind = unicodedata.category(character)
    return " " if kind == "Cc" else "" if kind == "Cf" else character
