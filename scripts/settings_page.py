"""Write docs/settings.md: every key of tunesmith.yaml, with its default and the text that stands under it in the code.

Run it after a setting was added or changed: `python scripts/settings_page.py`. A test holds the page current.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tunesmith.workspace.settings import Settings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
HEAD = """# Settings: `tunesmith.yaml`

What people decide about a workspace: the task, the bar, the models, the costs. The file stands in the workspace's
folder; a key it does not know is an error that names the nearest one. What is left out has the default shown here.
This page is made from the code by `scripts/settings_page.py`.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(Settings, ""))


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}\n")


def _section(kind: type[BaseModel], path: str) -> Iterator[str]:
    """A table of the plain keys at ``path``, then a section for each that has keys of its own."""
    inner = {name: _model_in(field.annotation) for name, field in kind.model_fields.items()}
    plain = [name for name, model in inner.items() if model is None]
    if plain:
        yield "\n| key | type | default | meaning |\n|---|---|---|---|\n"
        for name in plain:
            yield _row(f"{path}{name}", kind.model_fields[name])
    for name, model in inner.items():
        if model is None:
            continue
        field = kind.model_fields[name]
        many = "Sequence" in str(field.annotation) or "tuple" in str(field.annotation)
        yield f"\n{'#' * (path.count('.') + 2)} `{path}{name}`{' (a list; each entry has)' if many else ''}\n"
        yield f"\n{_words(field)}\n"
        each = "NAME." if typing.get_origin(field.annotation) is dict else ""
        yield from _section(model, "" if many else f"{path}{name}.{each}")


def _row(key: str, field: FieldInfo) -> str:
    cells = (f"`{key}`", _type(field), _default(field), _words(field))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _words(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    assert value is not PydanticUndefined
    if isinstance(value, tuple | list):
        return f"`[{', '.join(map(str, value))}]`"
    if value == "":
        return "empty"
    words = {None: "null", True: "true", False: "false"}
    return f"`{words[value] if value is None or isinstance(value, bool) else value}`"


def _type(field: FieldInfo) -> str:
    """The type in words, with its bounds."""
    bounds = [text for meta in field.metadata for text in _bounds(meta)]
    return _named(field.annotation) + (f" ({', '.join(bounds)})" if bounds else "")


def _bounds(meta: Any) -> Iterator[str]:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if (value := getattr(meta, name, None)) is not None:
            yield f"{sign} {value}"


def _named(annotation: Any) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        bounds = [text for meta in arguments[1:] for part in _metas(meta) for text in _bounds(part)]
        return _named(arguments[0]) + (f" ({', '.join(bounds)})" if bounds else "")
    if origin is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_named(part) for part in arguments)
    if origin in (tuple, list):
        return f"list of {_named(arguments[0])}"
    if origin is dict:
        return f"{_named(arguments[0])} to {_named(arguments[1])}"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", type(None): "null"}
    return names.get(annotation) or re.sub(r"<class '(.+)'>", r"\1", str(annotation))


def _metas(meta: Any) -> list[Any]:
    return list(getattr(meta, "metadata", [meta]))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in typing.get_args(annotation) if (model := _model_in(part))), None)


if __name__ == "__main__":
    main()
