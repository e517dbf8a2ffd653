"""JSON that a model or somebody else wrote, read without trust: what cannot be kept is no JSON for us either."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

__all__ = ["deeper_than", "read_json"]

DEEPEST = 200
"""Objects and lists within one another. Far below what Python's stack takes, wherever it is asked from."""
_MAYBE_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
"""An escape that is half a character, unless its other half stands beside it."""


def read_json(text: str, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    r"""What JSON text says.

    Args:
        pairs: Makes each object of its keys and values; default: a dict.

    Raises:
        ValueError: It is no JSON, is nested too deeply, or holds half a character, which no file can.

    >>> read_json('"\\ud83d\\ude00"') == chr(0x1F600)
    True
    >>> read_json('"\\ud83d"')
    Traceback (most recent call last):
    ValueError: it holds half a character
    """
    try:
        read = json.loads(text, object_pairs_hook=pairs)
        deep = text.count("[") + text.count("{") > DEEPEST and deeper_than(read, DEEPEST)
    except RecursionError:
        deep = True
    if deep:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    if _MAYBE_HALF.search(text):
        try:
            json.dumps(read, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half a character") from None
    return read


def deeper_than(value: Any, levels: int) -> bool:
    """Whether more than so many objects and lists of ``value`` lie within one another. Uses no stack.

    >>> deeper_than([{"a": 1}], 2), deeper_than([{"a": []}], 2)
    (False, True)
    """
    level = [value]
    for _ in range(levels):
        level = [inner for one in level for inner in _inside(one) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
