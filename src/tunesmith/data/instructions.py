"""The instructions a new task starts with: short, as every request pays for their tokens."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.core.task import Field

__all__ = ["write_instructions"]

_NAMELESS = ("label", "value", "answer", "completion", "reply")
_SHAPES = {"[0-9]{4}-[0-9]{2}-[0-9]{2}": "a date as YYYY-MM-DD", "-?[0-9]+(?:[.,][0-9]+)?": "a number"}


def write_instructions(fields: Sequence[Field], *, plain: bool, about: str = "message") -> str:
    """What a model is told to do, written from the fields.

    Args:
        fields: The task's fields, in order.
        plain: Whether the completion is the text of the one field.
        about: What a prompt is called: message, question, text or instruction.
    """
    if plain:
        return _plain(fields[0], about)
    keys = "\n".join(f"- {field.name}: {_what(field, about)}" for field in fields)
    return f"Read the {about} and answer with one JSON object with these keys, and nothing else:\n{keys}"


def _plain(field: Field, about: str) -> str:
    words = field.name.replace("_", " ")
    if field.type == "text":
        if field.name not in _NAMELESS:
            return f"Write the {words} of the {about}."
        return (
            "Follow the instruction."
            if about == "instruction"
            else f"Answer the {'message' if about == 'text' else about}."
        )
    if field.type == "value":
        sought = "the value asked for" if field.name in _NAMELESS else f"the {words}"
        empty = " If there is none, write nothing." if field.nullable else ""
        return f"Write {sought} of the {about}, and nothing else.{_shaped(field)}{empty}"
    sought = f"Label the {about}." if field.name in _NAMELESS else f"Name the {words} of the {about}."
    many = "one or several of these labels, parted by commas" if field.multiple else "one of these labels only"
    return f"{sought} Answer with {many}:\n" + "\n".join(field.labels)


def _shaped(field: Field) -> str:
    return f" It is {shape}." if (shape := _shape(field)) else ""


def _what(field: Field, about: str) -> str:
    if field.type == "label":
        what = f"{'a list of some of' if field.multiple else 'one of'} {', '.join(field.labels)}"
    elif field.type == "text":
        what = "a text"
    else:
        what = _shape(field) or f"copied from the {about}"
    return f"{what}; or null" if field.nullable else what


def _shape(field: Field) -> str | None:
    if field.pattern and field.pattern.startswith("[0-9]{") and field.pattern.count("{") == 1:
        return f"{field.pattern[6:-1]} digits"
    return _SHAPES.get(field.pattern or "")
