"""Finds personal data and secrets in texts, offline: by their form, and by their checksum where they have one.

What has no form of its own, such as names and street addresses, is not found. Placeholders (example.com, addresses in
private networks) are left alone.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import phonenumbers

__all__ = ["Hit", "find", "redact"]


class Hit(NamedTuple):
    """Something private in a text, from ``begin`` up to before ``end``, in characters."""

    kind: str
    begin: int
    end: int
    secret: bool
    """Whether it opens something to whoever reads it, such as a password."""


class _Form(NamedTuple):
    kind: str
    pattern: re.Pattern[str]
    holds: Callable[[str], bool] = bool
    """Whether what looks like it is it."""


PLUS = "+\uff0b"
PLACEHOLDER_DOMAINS = re.compile(r"(?i)(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$")


def _is_address(text: str) -> bool:
    return not PLACEHOLDER_DOMAINS.search(text.rpartition("@")[2])


def _is_card(text: str) -> bool:
    """The Luhn checksum (ISO/IEC 7812), over digits that are not all the same."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [d if place % 2 == 0 else 2 * d - 9 * (d > 4) for place, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0 and len(set(digits)) > 1


def _is_iban(text: str) -> bool:
    """The checksum modulo 97 (ISO 13616)."""
    plain = text.replace(" ", "").upper()
    turned = plain[4:] + plain[:4]
    return len(plain) >= 15 and int("".join(str(int(c, 36)) for c in turned)) % 97 == 1


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_chosen(text: str) -> bool:
    """Whether a value said to be a password or key is one, and no placeholder such as <password> or ****."""
    value = text.strip("'\"")
    return len(set(value)) > 3 and bool(re.search(r"\d|[^\w]|[a-z][A-Z]", value)) and value[0] not in "<{[$%*"


_NO_VERSION = r"(?<!(?i:version) )(?<!(?i:firmware) )(?<!(?i:release) )(?<!(?i:build) )"

PERSONAL = (
    _Form("e-mail address", re.compile(r"(?<![\w.+-])[\w.+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}\b"), _is_address),
    _Form("IBAN", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _is_iban),
    _Form("card number", re.compile(r"(?<![\w.-])[2-6]\d{3}(?:[ -]?\d{4}){2}[ -]?\d{1,7}(?![\w-]|\.\d)"), _is_card),
    _Form("card number", re.compile(r"(?<![\w.-])3[47]\d{2}[ -]?\d{6}[ -]?\d{5}(?![\w-]|\.\d)"), _is_card),
    _Form(
        "US social security number",
        re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
    ),
    _Form("IP address", re.compile(rf"{_NO_VERSION}(?<![\w.])(?:\d{{1,3}}\.){{3}}\d{{1,3}}(?!\w|\.\d)"), _is_public),
    _Form("IP address", re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])"), _is_public),
)

_SAID = (
    r"(?i:pass(?:word|wort|code|phrase)|passwd|pwd|api[ _-]?key|secret(?:[ _-]?key)?|access[ _-]?token|auth[ _-]?token)"
)

SECRET = (
    _Form(
        "private key",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    ),
    _Form("AWS key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")),
    _Form("Anthropic key", re.compile(r"\bsk-ant-[\w-]{20,}")),
    _Form("OpenAI key", re.compile(r"\bsk-(?!ant-)(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,}")),
    _Form("GitHub token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{60,})")),
    _Form("GitLab token", re.compile(r"\bglpat-[\w-]{20,}")),
    _Form("Google key", re.compile(r"\bAIza[\w-]{35}(?![\w-])")),
    _Form("Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    _Form("npm token", re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    _Form("PyPI token", re.compile(r"\bpypi-AgE[\w-]{50,}")),
    _Form("SendGrid key", re.compile(r"\bSG\.[\w-]{16,}\.[\w-]{16,}")),
    _Form("Slack token", re.compile(r"\bxox[abeprs]-[A-Za-z0-9-]{10,}")),
    _Form("Stripe key", re.compile(r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}\b")),
    _Form("Telegram token", re.compile(r"(?<!\w)\d{8,10}:AA[\w-]{33}(?![\w-])")),
    _Form("JSON web token", re.compile(r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}")),
    _Form("password in an address", re.compile(r"(?<=://)[^\s/:@]+:[^\s/:@]+(?=@)")),
    _Form("password or key", re.compile(rf"(?<=\b)(?<!\w){_SAID}['\"]?(?:\s*[:=]\s*|\s+is\s+)(\S{{6,}})"), _is_chosen),
)
"""Forms that providers give to what must stay secret, and what a text itself calls a password or key."""


def find(text: str) -> list[Hit]:
    """What is private in ``text``, in its order; of two that overlap, the one whose form is more certain."""
    kept: list[Hit] = []
    for hit in _candidates(text):
        if not any(hit.begin < other.end and other.begin < hit.end for other in kept):
            kept.append(hit)
    return sorted(kept, key=lambda hit: hit.begin)


def redact(text: str) -> str:
    """``text`` with a word in brackets where something private stood.

    >>> redact("write to ann@shop.de")
    'write to [e-mail address]'
    """
    for hit in reversed(find(text)):
        text = f"{text[: hit.begin]}[{hit.kind}]{text[hit.end :]}"
    return text


def _candidates(text: str) -> Iterator[Hit]:
    """The most certain forms first."""
    for forms in (SECRET, PERSONAL):
        for form in forms:
            for match in form.pattern.finditer(text):
                part = match.lastindex or 0  # the value alone, where the pattern marks it
                value = match[part].rstrip(".,;!?)")
                if form.holds(value):
                    yield Hit(form.kind, match.start(part), match.start(part) + len(value), forms is SECRET)
    if any(sign in text for sign in PLUS):  # without its country's prefix a telephone looks like an order number
        for found in phonenumbers.PhoneNumberMatcher(text, None, leniency=phonenumbers.Leniency.POSSIBLE):
            before = next((at for at, sign in enumerate(found.raw_string) if sign in PLUS), 0)
            number = found.raw_string[before:]
            if number.count(")") > number.count("("):  # the one before the plus was opened by the sentence
                number = number.removesuffix(")")
            yield Hit("telephone number", found.start + before, found.start + before + len(number), secret=False)
