"""Records to bytes and back, and the hash that names them. Same record in, same bytes out."""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

__all__ = ["canonical", "complete", "decode", "digest", "digest_bytes", "encode"]

R = TypeVar("R")


def canonical(thing: Any) -> bytes:
    """JSON with sorted keys and no spaces: the bytes a hash is taken of. NaN and infinity become null."""
    return msgspec.json.encode(thing, order="sorted")


def digest(thing: Any) -> str:
    """The first 16 hex digits (64 bits) of the SHA-256 of the canonical bytes.

    64 bits keep the chance that two of a million records share a name below 1e-7.
    """
    return digest_bytes(canonical(thing))


def digest_bytes(content: bytes) -> str:
    """As ``digest``, of bytes that already are canonical (a file, say)."""
    return hashlib.sha256(content).hexdigest()[:16]


def encode(record: Any) -> bytes:
    """One line of JSON, keys in the order of the record's fields."""
    return msgspec.json.encode(record)


def decode(content: bytes | str, kind: type[R]) -> R:
    """A record of ``kind``. Raises msgspec.ValidationError where the content does not fit."""
    return msgspec.json.decode(content, type=kind)


def complete(thing: Any) -> Any:
    """Plain dicts and lists with every field of every record, those at their default too: what a reader may rely on."""
    if isinstance(thing, msgspec.Struct):
        return {name: complete(getattr(thing, name)) for name in thing.__struct_fields__}
    if isinstance(thing, dict):
        return {key: complete(value) for key, value in thing.items()}
    return [complete(item) for item in thing] if isinstance(thing, list | tuple) else thing
