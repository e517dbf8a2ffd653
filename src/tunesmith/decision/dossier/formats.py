"""How figures and texts are written in the dossier."""

from __future__ import annotations

import re
from typing import Any

from tunesmith.core.estimates import Estimate
from tunesmith.decision.words import number, usd

__all__ = ["FILTERS", "clean", "seconds", "setting", "signed"]

# A page may hold neither control characters nor half a surrogate pair; texts from models hold both.
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def clean(value: Any) -> Any:
    """Text that a page can hold. What is marked as safe passes, None is empty, and everything else is as it is."""
    if value is None:
        return ""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return UNPRINTABLE.sub("�", value.replace("\r\n", "\n"))


def clip(text: str, length: int = 600) -> str:
    """The beginning of a long text, and how much was left out."""
    if len(text) <= length * 1.1:
        return text
    return f"{text[:length].rstrip()} … ({len(text) - length:,} more characters)"


def interval(estimate: Estimate, beside: float | None = None) -> str:
    """
    >>> interval(Estimate(value=0.86, low=0.81, high=0.9, n=180))
    '0.81 to 0.90'
    """
    return f"{number(estimate.low, beside)} to {number(estimate.high, beside)}"


def count(value: float | int | None) -> str:
    """A whole number, thousands apart; a dash where there is none."""
    return "–" if value is None else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """
    >>> [seconds(t) for t in (0.032, 1.26, 75, 754, 7530)]
    ['32 ms', '1.3 s', '75 s', '13 min', '2 h 6 min']
    """
    if value is None:
        return "–"
    if value < 1:
        return f"{value * 1000:.0f} ms" if value >= 0.001 else "below 1 ms"
    if value < 100:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    minutes = round(value / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def months(value: float) -> str:
    """
    >>> [months(t) for t in (0.02, 0.3, 7.25)]
    ['below 1 day', '9 days', '7.2 months']
    """
    days = value * 365.25 / 12
    if days < 1:
        return "below 1 day"
    return f"{value:.1f} months" if value >= 2 else f"{days:.0f} day" + ("" if round(days) == 1 else "s")


def precise(value: float | None) -> str:
    """
    >>> precise(1.2345), precise(-0.01), precise(None)
    ('1.234', '−0.010', '–')
    """
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def size(value: float) -> str:
    """
    >>> size(1_530_000_000)
    '1.5 GB'
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.1f} {unit}"
    return f"{value:.0f} B"


def signed(value: float) -> str:
    """A difference with its sign, never rounded to zero.

    >>> signed(0.08), signed(-0.0004), signed(0.0)
    ('+0.08', '−0.0004', '0.00')
    """
    if value == 0:
        return "0.00"
    digits = 2
    while digits < 6 and round(value, digits) == 0:
        digits += 1
    return f"{value:+.{digits}f}".replace("-", "−")


def p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(share: float) -> str:
    """
    >>> percent(0.1832)
    '18 %'
    """
    return f"{share:.0%}".replace("%", " %")


def setting(value: Any) -> str:
    """A value of a configuration, as people would write it."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting(v) for v in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {setting(v)}" for key, v in value.items()) or "none"
    return str(value)


def words(name: str) -> str:
    """A name with spaces for underscores.

    >>> words("out_of_scope")
    'out of scope'
    """
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """With a capital first letter, the others as they are.

    >>> sentence("the LoRA adapter")
    'The LoRA adapter'
    """
    return text[:1].upper() + text[1:]


def tied(text: str) -> str:
    """Keep figures and their units on one line."""
    return re.sub(r"(?<=\d) (?=%)|(?<=n) (?==)|(?<==) (?=\d)|(?<=p) (?==)", "\u00a0", text)


FILTERS = {
    "clip": clip,
    "count": count,
    "interval": interval,
    "number": number,
    "p_value": p_value,
    "percent": percent,
    "precise": precise,
    "seconds": seconds,
    "sentence": sentence,
    "setting": setting,
    "signed": signed,
    "size": size,
    "tied": tied,
    "usd": usd,
    "words": words,
}
