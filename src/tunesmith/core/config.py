"""The base of everything people write in `tunesmith.yaml`: frozen, unknown keys refused with the near name given.

The text under a field is its only description: help, web form and docs are made from it.
"""

from __future__ import annotations

from typing import Any, TypeVar, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from tunesmith.core.errors import TunesmithError, nearest

__all__ = ["Config", "read_config"]

C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """A part of `tunesmith.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


def read_config(kind: type[C], content: Any, where: str) -> C:
    """Check ``content`` (as YAML gave it) against ``kind``.

    Raises:
        TunesmithError: The first faults in words: which key, what stands there, what would be right.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        problems = [_in_words(kind, dict(fault)) for fault in error.errors()[:5]]
        more = f" (and {len(error.errors()) - 5} more)" if len(error.errors()) > 5 else ""
        raise TunesmithError(f"Not right in {where}: {'; '.join(problems)}{more}.", f"correct it in {where}") from error


def _in_words(kind: type[Config], fault: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"there is no key {key!r}, {nearest(str(fault['loc'][-1]), _keys_beside(kind, fault['loc']))}"
    if fault["type"] == "missing":
        return f"{key!r} is missing"
    return f"{key!r} is {str(fault.get('input'))[:60]!r}: {fault['msg']}"


def _keys_beside(kind: type[Config], loc: tuple[Any, ...]) -> list[str]:
    """Names of the fields that stand where the unknown key was written."""
    here: type[BaseModel] = kind
    named = False  # the last part was a mapping, so this one is a name that people gave
    for part in loc[:-1]:
        if isinstance(part, int) or named:
            named = False
            continue
        field = here.model_fields.get(str(part))
        inner = _model_in(field.annotation) if field else None
        if field is None or inner is None:
            return []
        here, named = inner, get_origin(field.annotation) is dict
    return list(here.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside ``Model``, ``Model | None``, ``tuple[Model, ...]`` or ``dict[str, Model]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in getattr(annotation, "__args__", ()))
    return next((model for model in found if model), None)
