"""How long an example may be on a model, and what to do about a longer one. What messages say of the model."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["UNKNOWN", "About", "for_cut", "for_longer"]


class About(NamedTuple):
    """What warnings and errors say of the base model; None where that is not known."""

    weights: int | None = None
    context: int | None = None
    """Most tokens of prompt and completion together."""


UNKNOWN = About()


def for_longer(longest: int, limit: int, context: int | None, *others: str) -> str:
    """What to set so that an example of ``longest`` tokens is learnt, where ``limit`` is allowed.

    Args:
        context: Of the model; None where it is not known.
        others: Values of `tuning.too_long` that would do as well.

    >>> for_longer(900, 512, 8192, "skip", "cut")
    'set tuning.max_length to 900, or tuning.too_long to skip or cut'
    >>> for_longer(900, 512, 512, "cut")
    "set tuning.too_long to cut, for the model's context ends at 512 tokens"
    """
    other = f"tuning.too_long to {' or '.join(others)}"
    if context is None or longest <= context:
        allowed = " if the model's context allows it" if context is None else ""
        return f"set tuning.max_length to {longest}{allowed}, or {other}"
    more = f"; tuning.max_length {context} keeps those that fit into it" if limit < context else ""
    return f"set {other}, for the model's context ends at {context} tokens{more}"


def for_cut(limit: int, context: int | None) -> str:
    """What to set where nothing to learn is left of examples that are cut to ``limit`` tokens."""
    if context is None:
        return "raise tuning.max_length if the model's context allows it, or set tuning.too_long to skip"
    if limit < context:
        return f"raise tuning.max_length, to {context} at most, or set tuning.too_long to skip"
    return "set tuning.too_long to skip, for the model's context has no more"
