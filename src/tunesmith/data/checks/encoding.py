"""Characters that were broken or smuggled in on the way: mojibake, replacement characters, invisible marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from tunesmith.core.examples import Example
from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check

__all__ = ["encoding", "repaired"]

_HIGH = "".join(chr(code) + bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xC0))
"""What the later bytes of a UTF-8 character look like when they are read as Latin-1 or Windows-1252."""
_TAIL = f"[{re.escape(_HIGH)}]"
MOJIBAKE = re.compile(
    f"[ÂÃÄÅÎÏÐÑÙØ]{_TAIL}|[âï]{_TAIL}{{2}}|ð{_TAIL}{{3}}"  # accents; quotes, dashes, BOM; emoji
    f"|(?:[à-í]{_TAIL}{{2}}){{2}}"  # other scripts; two in a row, for «à » is good French
)
INVISIBLE = re.compile(
    "[\u200b\u2060\ufeff\u00ad\u202a-\u202e\u2066-\u2069]|(?<=[ -\u024f])[\u200c\u200d](?=[ -\u024f])"
)
"""Zero-width and direction marks. The joiners U+200C and U+200D are spelling in Persian, Hindi, emoji, not in Latin."""
NO_BREAK_SPACE = "\u00a0"
RIGHTLY = frozenset("«»‹›„“”‚‘’…–—" + NO_BREAK_SPACE)
"""What may follow a capital letter with an accent where nothing is broken."""
DIRECTION = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@check("encoding")
def encoding(material: Material) -> Iterator[Finding]:
    """Report rows with broken or invisible characters in prompt or completion: the model learns to copy them."""
    for example in material.examples:
        faults = list(_faults(example))
        if faults:
            yield Finding(
                check="encoding",
                severity="warning",
                problem=f"{example.place}: {'; '.join(faults)}.",
                mend="save the file as UTF-8 from its source and add it again, or correct the row",
                examples=(example.id,),
            )


def _faults(example: Example) -> Iterator[str]:
    texts = {"prompt": "\n".join(message.content for message in example.messages), "completion": example.completion}
    for where, text in texts.items():
        if "\ufffd" in text:
            yield f"{text.count(chr(0xFFFD))} replacement characters (U+FFFD) in the {where}"
        if broken := next(iter(_broken(text, doubtful=True)), None):
            yield f"{broken!r} in the {where} is {_repaired(broken)!r} read in the wrong encoding"
        for what, pattern in (("invisible", INVISIBLE), ("control", CONTROL)):
            if found := pattern.findall(text):
                yield f"{len(found)} {what} characters in the {where}, the first U+{ord(found[0]):04X}"


def repaired(text: str) -> str:
    """The text with what can be put right put right: mojibake read anew, invisible and control characters taken out.

    Direction marks stay where there are letters of a script that is written from right to left. A replacement
    character stays too: what stood there is lost.

    >>> repaired("It doesnâ€™t work\u200b")
    'It doesn’t work'
    """
    while (better := _once(text)) != text:  # what is taken out may have stood between two halves of something broken
        text = better
    return text


def _broken(text: str, *, doubtful: bool) -> list[str]:
    """What was read in the wrong encoding. A letter before a quotation mark, a dash or a space may stand there rightly
    (`«Å»`): it counts where something else in the text is broken beyond doubt; if ``doubtful``, before a space too."""
    found = [match[0] for match in MOJIBAKE.finditer(text) if _repaired(match[0])]
    if any(len(one) > 2 or one[1] not in RIGHTLY for one in found):
        return found
    return [one for one in found if doubtful and one[1] == NO_BREAK_SPACE]


def _once(text: str) -> str:
    if _broken(text, doubtful=False):
        text = MOJIBAKE.sub(lambda match: _repaired(match[0]) or match[0], text)
    right_to_left = any(unicodedata.bidirectional(character) in ("R", "AL") for character in text)
    text = INVISIBLE.sub(lambda match: match[0] if right_to_left and match[0] in DIRECTION else "", text)
    return CONTROL.sub("", text)


def _repaired(broken: str) -> str | None:
    """The text that was read as Windows-1252 instead of UTF-8, or None where it was not."""
    try:
        return b"".join(_byte(character) for character in broken).decode("utf-8")
    except UnicodeError:
        return None


def _byte(character: str) -> bytes:
    """The byte behind a character: Latin-1 where it has one, else Windows-1252 (which has the curly quotes)."""
    return character.encode("latin-1" if ord(character) < 0x100 else "cp1252")
