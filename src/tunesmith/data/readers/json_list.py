"""A file that is one JSON list of objects, read element by element with bounded memory.

The file is cut at the commas of the outer list, and each piece is decoded by itself; so one broken element is set
aside and the rest is read, as long as its brackets and quotes are balanced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, decode_row, too_long

__all__ = ["json_list"]

_CHUNK = 1 << 18
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_IN_STRING = re.compile(rb'["\\]')


def _nested(depth: int) -> bytes:
    """A pattern for one whole object or list, nested up to ``depth``."""
    inner = b"|" + _nested(depth - 1) if depth > 1 else b""
    return rb"[{\[](?:[^\"{}\[\]]++|" + _STRING + inner + rb")*+[}\]]"


# A string or an element that lies whole in the chunk is passed over in one step; else its marks are walked.
_STRUCTURE = re.compile(_STRING + rb'|["\[\]{},]', re.DOTALL)
_ELEMENT = re.compile(_nested(4) + rb"|" + _STRUCTURE.pattern, re.DOTALL)


def json_list(file: BinaryIO, chunk_bytes: int = _CHUNK) -> Iterator[Row | Fault]:
    """Every element of the outer list, as a row or a fault; then a fault if the list is not closed as it should be."""
    cutter, piece = _Cutter(), _Piece()
    while chunk := file.read(chunk_bytes):
        begin = 0
        for end in cutter.cuts(chunk):
            piece.add(chunk[begin:end])
            yield from piece.close(last=cutter.closed)
            begin = end + 1
        piece.add(chunk[begin:])
    if not cutter.closed:
        rest = list(piece.close(last=True))
        yield from rest
        if not any(isinstance(item, Fault) for item in rest):
            yield Fault(piece.line, "the JSON list is not closed; the file may be cut off", "write the file again")
    elif not piece.blank:
        yield Fault(piece.line, "text stands after the end of the JSON list", "remove it; the file must be one list")


class _Cutter:
    """Finds the commas and the closing bracket of the outer list, across chunks."""

    def __init__(self) -> None:
        self.closed = False
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def cuts(self, chunk: bytes) -> Iterator[int]:
        """Positions in ``chunk`` at which an element starts or ends."""
        at = 1 if self._escaped else 0
        self._escaped = False
        while not self.closed:
            outside = _ELEMENT if self._depth == 1 else _STRUCTURE
            found = (_IN_STRING if self._in_string else outside).search(chunk, at)
            if found is None:
                return
            at, token = found.end(), found[0]
            if self._in_string:
                self._in_string = token != b'"'
                if token == b"\\":
                    at += 1
                    self._escaped = at > len(chunk)
            elif len(token) == 1 and self._is_cut(token):
                yield at - 1

    def _is_cut(self, token: bytes) -> bool:
        """Follow one token outside strings; whether it bounds an element of the outer list."""
        if token == b'"':
            self._in_string = True
        elif token in b"[{":
            self._depth += 1
            return self._depth == 1
        elif token in b"]}":
            self._depth -= 1
            self.closed = self._depth == 0
            return self.closed
        return token == b"," and self._depth == 1


class _Piece:
    """The bytes of the element being read, and the line they begin on."""

    def __init__(self) -> None:
        self.line = 1
        self._opened = False
        self._start()

    def _start(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._newlines = 0

    def add(self, content: bytes) -> None:
        self._size += len(content)
        self._newlines += content.count(b"\n")
        if self._size > LARGEST_ROW:
            self._held.clear()
        else:
            self._held.append(content)

    @property
    def blank(self) -> bool:
        return self._size <= LARGEST_ROW and not b"".join(self._held).strip()

    def close(self, *, last: bool) -> Iterator[Row | Fault]:
        """The element held so far; nothing for what stands before the list, or after its last comma."""
        raw, line = b"".join(self._held), self.line
        if self._opened and self._size > LARGEST_ROW:
            yield too_long(line, self._size)
        elif self._opened and raw.strip():
            element = raw.lstrip()
            yield decode_row(line + raw[: len(raw) - len(element)].count(b"\n"), element)
        elif self._opened and not last:
            yield Fault(line, "nothing stands between two commas of the list", "remove one of them")
        self._opened = True
        self.line += self._newlines
        self._start()
