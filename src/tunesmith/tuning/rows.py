"""Rows of text to rows of tokens. A row that does not fit is refused, cut or left out as configured, and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Encoded, Part, Template
from tunesmith.tuning.lengths import for_cut, for_longer

__all__ = ["EncodedRows", "Row", "Sides", "both_sides", "encode_rows", "named_rows"]


class Named(Protocol):
    """What a message names: a row, or a pair."""

    @property
    def messages(self) -> tuple[Message, ...]: ...
    @property
    def place(self) -> str: ...


class Row(NamedTuple):
    """One example to learn from: the messages a model will be asked with, and what it shall answer."""

    messages: tuple[Message, ...]
    completion: str
    parts: tuple[Part, ...] = ()
    """What the loss counts of the completion, as ``Template.encode`` takes it."""
    rest: float = 1.0
    """What it counts of all that is in none of the parts."""
    earlier: Mapping[int, tuple[Part, ...]] = MappingProxyType({})
    """Numbers of messages that are learnt as well, with their parts."""
    place: str = ""
    """Where a person finds it, as messages name it; empty: by its number."""

    def encoded(self, template: Template) -> Encoded:
        """Its tokens and their weights, however many."""
        return template.encode(self.messages, self.completion, self.parts, self.rest, self.earlier)


class EncodedRows(NamedTuple):
    """The rows of one side as tokens."""

    examples: list[Encoded]
    too_long: int
    """Rows that did not fit whole: cut, or left out."""


class Sides(NamedTuple):
    """What a run learns and what it watches, as tokens: the same for every run of a search."""

    learnt: EncodedRows
    watched: EncodedRows


def both_sides(
    template: Template, train: Sequence[Row], validation: Sequence[Row], limit: int, too_long: str,
    context: int | None = None,
) -> Sides:  # fmt: skip
    """Both sides as ``encode_rows`` gives them."""
    return Sides(
        encode_rows(template, train, "train", limit, too_long, context),
        encode_rows(template, validation, "validation", limit, too_long, context),
    )


def encode_rows(
    template: Template, rows: Sequence[Row], side: str, limit: int, too_long: str, context: int | None = None
) -> EncodedRows:
    """Tokens and their weights of each row, none of more than ``limit`` tokens.

    Args:
        side: "train" or "validation", for the error texts.
        too_long: As ``LoraConfig.too_long``.
        context: Most tokens that the model takes, for the error texts; None where that is not known.

    Raises:
        NothingToMeasure: There is no row, or none that fits.
        TunesmithError: A row is too long and may not be cut, or has no token to learn.
    """
    if not rows:
        raise NothingToMeasure(f"The {side} side is empty.", "add examples, then `tunesmith split`")
    examples = [row.encoded(template) for row in rows]
    long = [number for number, example in enumerate(examples) if len(example.ids) > limit]
    longest = max(len(example.ids) for example in examples)
    if long and too_long == "refuse":
        raise TunesmithError(
            f"{len(long)} of {len(rows)} {side} rows are longer than {limit} tokens: {named_rows(long, rows)}; "
            f"the longest has {longest}.",
            for_longer(longest, limit, context, "skip", "cut"),
        )
    if too_long == "skip":
        examples = [example for example in examples if len(example.ids) <= limit]
        if not examples:
            raise NothingToMeasure(
                f"All {len(rows)} {side} rows are longer than {limit} tokens.",
                for_longer(longest, limit, context, "cut"),
            )
    examples = [e.cut(limit) for e in examples]
    # the first token is never learnt: there is nothing before it to tell it from
    empty = [number for number, example in enumerate(examples) if not any(example.weights[1:])]
    if empty:
        raise TunesmithError(
            f"{len(empty)} {side} rows hold no token to learn: {named_rows(empty, rows)}.",
            f"their prompts fill the {limit} tokens there are: {for_cut(limit, context)}",
        )
    return EncodedRows(examples, len(long))


def named_rows(numbers: Sequence[int], rows: Sequence[Named], noun: str = "row") -> str:
    """The first three rows by their places, else by their numbers (from 1), and how their last messages begin."""
    shown = [f"{rows[n].place or f'{noun} {n + 1}'} ({rows[n].messages[-1].content[:40]!r})" for n in numbers[:3]]
    return ", ".join(shown) + (f" and {len(numbers) - 3} more" if len(numbers) > 3 else "")
