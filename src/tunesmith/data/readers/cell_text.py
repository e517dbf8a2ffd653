"""Text as a cell of Excel holds it, both ways: XML lacks some characters, and reads a carriage return as a newline.

Such a character is written as _xHHHH_, its code in hexadecimal, as Excel itself does; so is what only looks like it.
"""

from __future__ import annotations

import re

__all__ = ["cell_escaped", "cell_unescaped"]

_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_UNWRITABLE = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")


def cell_escaped(text: str) -> str:
    r"""The text with every character escaped that a cell would not give back.

    >>> cell_escaped("a\r_x000D_")
    'a_x000D__x005F_x000D_'
    """
    return _UNWRITABLE.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def cell_unescaped(text: str) -> str:
    """The text that a cell stands for. Half a surrogate pair is no character, and stays as it is written."""
    return _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    code = int(found[1], 16)
    return found[0] if 0xD800 <= code <= 0xDFFF else chr(code)
