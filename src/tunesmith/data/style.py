"""What can be seen of a text's style without understanding it: marks, markup, greetings, length, spelling."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["TRAITS", "Trait", "american", "british", "words"]


class Trait(NamedTuple):
    """Something a text does or does not do."""

    name: str
    """In words that complete "this text has"."""
    holds: Callable[[str], bool]


def _matches(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> Callable[[str], bool]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.search(text) is not None


def _shouts(text: str) -> bool:
    """Whether most of its letters are capitals; abbreviations alone are no shouting."""
    letters = [c for c in text if c.isalpha() and c.lower() != c.upper()]
    return len(letters) >= 20 and sum(c.isupper() for c in letters) > 0.6 * len(letters)


TRAITS = (
    Trait("an exclamation mark", _matches(r"[!！¡]")),
    Trait(
        "markup (bold, heading, list, code, table or tag)",
        _matches(
            r"\*\*\S|__\S.*?\S__|^#{1,6} |^\s*(?:[-*•]|\d{1,2}[.)]) |`[^`]+`|^\|.+\||</?[a-zA-Z][^>]*>", re.MULTILINE
        ),
    ),
    Trait("an emoji", _matches("[\U0001f300-\U0001faff\u2600-\u27bf]")),
    Trait("shouting capitals", _shouts),
    Trait(
        "a greeting at its start",
        _matches(r"\A\W*(?:hi|hello|hey|dear|good (?:morning|afternoon|evening|day)|greetings)\b", re.IGNORECASE),
    ),
    Trait(
        "a signature at its end",
        _matches(
            r"(?:(?:best|kind|warm|many) (?:regards|wishes)|regards|sincerely|faithfully|cheers),?\W*(?:\n.*)?\Z",
            re.IGNORECASE,
        ),
    ),
    Trait('"I" for the writer', _matches(r"\bI(?:'m|'ve|'ll|'d|’m|’ve|’ll|’d)?\b(?!\.\w)")),
    Trait("a question mark", _matches(r"[?？]")),
    Trait("a link", _matches(r"https?://|www\.")),
    Trait("more than one line", _matches(r"\S\s*\n\s*\S")),
    Trait("a capital or digit at its start", lambda text: text.lstrip()[:1].isupper() or text.lstrip()[:1].isdigit()),
    Trait("a full stop or other mark at its end", _matches(r"[.!?…。！？:;)\"'”’]\s*\Z")),
)
"""In the order they are told. The words of greeting and signature are English; the others know no language."""

_BRITISH = (
    r"(?:colour|favour|behaviour|honour|neighbour|labour)(?:s|ed|ing|ite|able|ly)?|"
    r"(?:apologi|organi|recogni|reali|finali|prioriti|personali|authori|summari)s(?:e|ed|es|ing|ation)|"
    r"(?:cent|met|theat|fib)re|cheque|catalogue|programme|travell(?:ed|ing|er)|cancell(?:ed|ing)|"
    r"licence|defence|grey|tyre|enquir(?:y|ies)|fulfil|whilst"
)
_AS_BRITISH = re.compile(rf"\b(?:{_BRITISH})\b", re.IGNORECASE)
_AS_AMERICAN = re.compile(
    r"\b(?:(?:color|favor|behavior|honor|neighbor|labor)(?:s|ed|ing|ite|able|ly)?|"
    r"(?:apologi|organi|recogni|reali|finali|prioriti|personali|authori|summari)z(?:e|ed|es|ing|ation)|"
    r"(?:cent|met|theat|fib)er|catalog|travel(?:ed|ing|er)|cancel(?:ed|ing)|defense|gray|inquir(?:y|ies)|fulfill)\b",
    re.IGNORECASE,
)
"""Left out: what both write, such as license, check, program, practice, and tire."""


def british(text: str) -> list[str]:
    """Words of British spelling, in lower case. The endings -ise and -our count; Oxford's -ize counts as American."""
    return [m[0].lower() for m in _AS_BRITISH.finditer(text)]


def american(text: str) -> list[str]:
    """Words of American spelling, in lower case.

    >>> american("We canceled it"), british("We cancelled it")
    (['canceled'], ['cancelled'])
    """
    return [m[0].lower() for m in _AS_AMERICAN.finditer(text)]


def words(text: str) -> int:
    """Number of words; where few spaces stand between them, as in Chinese, a word for every two characters."""
    spaced, characters = len(text.split()), len(text.strip())
    return characters // 2 if characters > 20 * spaced else spaced
