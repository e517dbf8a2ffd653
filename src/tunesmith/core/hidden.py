"""Characters that show nothing, or move what stands around them: a text can hide in them what it says."""

from __future__ import annotations

import unicodedata

__all__ = ["BLANK", "hidden"]

BLANK = frozenset(
    map(
        chr,
        (
            *(0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0x1D159),  # joiners, fillers, blanks
            *(0x180B, 0x180C, 0x180D, 0x180F, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)),  # variation selectors
        ),
    )
)
"""Letters, marks and symbols by their category, of which no font shows anything.

Source: Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt; and the blanks of Braille and of music.
"""
_KINDS = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")


def hidden(character: str) -> bool:
    """Whether a character shows nothing, breaks the line or turns it round, or has no form that is known here.

    >>> [hidden(character) for character in "a é\\u200b\\ufe0f\\u3164"]
    [False, False, False, True, True, True]
    """
    return character in BLANK or unicodedata.category(character) in _KINDS
