"""Words of a text in any script, for what compares texts by their words."""

from __future__ import annotations

import re
import unicodedata

from tunesmith.core.hidden import BLANK

__all__ = ["UNSPACED", "words"]

ASCII_WORD = re.compile(r"[a-z0-9]+")
UNSPACED = re.compile(  # scripts written without spaces: each letter is a word
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]"
)


def words(text: str) -> list[str]:
    """Runs of letters and digits, case folded; on ASCII just what rouge-score makes of a text without its stemmer.

    Marks stay with their letter. A letter of a script without spaces (Chinese, Japanese, Thai...) and a pictograph
    are a word each. Invisible characters (zero-width, direction, variation selectors, fillers) are dropped.

    >>> words("Größe 42, 日本 👍!")
    ['grösse', '42', '日', '本', '👍']
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    return ASCII_WORD.findall(text) if text.isascii() else _words(text)


def _words(text: str) -> list[str]:
    found: list[str] = []
    within = marks = False  # whether a letter, or a mark, that comes next belongs to the last word
    for char in text:
        kind = unicodedata.category(char)
        if kind == "Cf" or char in BLANK:
            continue
        if kind[0] == "M":
            if marks:
                found[-1] += char
        elif kind[0] in "LN" and within and not UNSPACED.match(char):
            found[-1] += char
        elif kind[0] in "LN" or kind == "So":
            found.append(char)
            within, marks = kind != "So" and not UNSPACED.match(char), True
        else:
            within = marks = False
    return found
