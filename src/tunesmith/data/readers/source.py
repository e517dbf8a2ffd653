"""Opens a file and says how its rows are laid out: JSON lines, one JSON list, a table, a sheet, or one document.

Looks at the suffix and the first bytes only. What cannot be read at all is refused here, with its mend.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tunesmith.core.errors import TunesmithError
from tunesmith.data.readers.apart import rows_apart
from tunesmith.data.readers.json_lines import json_lines
from tunesmith.data.readers.json_list import json_list
from tunesmith.data.readers.options import Say
from tunesmith.data.readers.rows import LARGEST_ROW, Fault, Row, decode_row
from tunesmith.data.readers.tables import sniff_delimiter, table_rows

__all__ = ["DOCUMENT_SUFFIXES", "KINDS", "TABLES", "ask_there", "kind_of", "open_source", "rows_in", "shown"]

KINDS = ("jsonl", "json", "csv", "tsv", "xlsx", "parquet")
"""How the rows of a file may be laid out."""
TABLES = frozenset({"csv", "tsv", "xlsx", "parquet"})
"""Those whose rows all have the same columns."""
DOCUMENT_SUFFIXES = frozenset({".md", ".markdown", ".txt"})

_KIND_BY_SUFFIX = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".parquet": "parquet",
    **dict.fromkeys(DOCUMENT_SUFFIXES, "document"),
}
_BOM = b"\xef\xbb\xbf"
_HEAD = 1 << 16
_BINARY = {"parquet": (b"PAR1", "a Parquet file"), "xlsx": (b"PK", "an Excel workbook")}
"""How the files begin that are no text, and what they are."""
_KNOWN_BINARIES = (
    (
        b"PK\x03\x04",
        "a zip archive or an Office file",
        "give it the suffix .xlsx if it is an Excel workbook; else unpack it, or export the sheet as CSV (UTF-8)",
    ),
    (b"\xd0\xcf\x11\xe0", "an old or encrypted Office file", "save it as .xlsx without a password, or as CSV (UTF-8)"),
    (b"\x1f\x8b", "compressed with gzip", "unpack it first: gunzip FILE"),
    (b"(\xb5/\xfd", "compressed with zstd", "unpack it first: unzstd FILE"),
    (b"BZh91AY", "compressed with bzip2", "unpack it first: bunzip2 FILE"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it first: unxz FILE"),
    (b"PAR1", "a Parquet file", "give it the suffix .parquet, or use --format parquet"),
    (b"SQLite format 3\0", "an SQLite database", "export the table as CSV"),
    (b"%PDF-", "a PDF", "save its text as a .txt or .md file"),
    (b"\xff\xfe", "UTF-16 text", "save the file as UTF-8 (iconv -f UTF-16 -t UTF-8 OLD > NEW)"),
    (b"\xfe\xff", "UTF-16 text", "save the file as UTF-8 (iconv -f UTF-16 -t UTF-8 OLD > NEW)"),
)


def shown(path: Path) -> str:
    """The path as text that can be stored, whatever bytes its name holds."""
    return os.fsencode(path).decode(errors="replace")


def ask_there(path: Path) -> None:
    """
    Raises:
        TunesmithError: Nothing is there.
    """
    if not path.exists():
        raise TunesmithError(f"There is no file {shown(path)}.", _beside(path))


def open_source(path: Path, wanted: str | None = None) -> BinaryIO:
    """The file, opened behind its byte-order mark.

    Raises:
        TunesmithError: It is missing, not a file, not readable, empty, or neither text nor what its suffix (or
            ``wanted``) says.
    """
    ask_there(path)
    if not path.is_file():
        raise TunesmithError(f"{shown(path)} is not a file.", "name a file, or a folder of files")
    try:
        file = path.open("rb", buffering=1 << 18)
    except OSError as error:
        raise TunesmithError(
            f"{shown(path)} cannot be opened: {error.strerror}.", "make it readable for you"
        ) from error
    try:
        head = file.read(_HEAD)
        _ask_kind(path, head, wanted)
        file.seek(len(_BOM) if head.startswith(_BOM) else 0)
    except BaseException:
        file.close()
        raise
    return file


def kind_of(path: Path, file: BinaryIO, wanted: str | None) -> str:
    """How the file's rows are laid out: one of ``KINDS``, or `document`. Leaves the position where it is.

    Raises:
        TunesmithError: The suffix says nothing and ``wanted`` names no kind.
    """
    by_suffix = _KIND_BY_SUFFIX.get(path.suffix.lower())
    if wanted in KINDS:
        kind = wanted
    elif by_suffix in _BINARY:
        kind = by_suffix
    elif wanted == "document":
        kind = by_suffix or "document"
    elif wanted:
        kind = "json" if by_suffix in (None, "document") else by_suffix
    elif by_suffix:
        kind = by_suffix
    else:
        raise TunesmithError(
            f"{shown(path)} has {f'the unknown suffix {path.suffix!r}' if path.suffix else 'no suffix'}.",
            f"say how to read it with --format {'|'.join((*KINDS, 'document'))}; "
            f"known suffixes: {' '.join(sorted(_KIND_BY_SUFFIX))}",
        )
    return _json_kind(path, file) if kind == "json" else kind


def _json_kind(path: Path, file: BinaryIO) -> str:
    """A .json file may hold one list, or JSON lines."""
    start = file.tell()
    first = file.readline(LARGEST_ROW)
    while first and first.isspace():
        first = file.readline(LARGEST_ROW)
    whole_object = False
    if first.lstrip()[:1] == b"{" and isinstance(decode_row(1, first), Fault) and path.stat().st_size <= LARGEST_ROW:
        whole_object = isinstance(decode_row(1, first + file.read()), Row)
    file.seek(start)
    if whole_object:
        raise TunesmithError(
            f"{shown(path)} is one JSON object, not a list of rows.",
            "keep only the list of rows in it (jq .KEY OLD.json > NEW.json), or write one row per line",
        )
    return "json" if first.lstrip()[:1] == b"[" else "jsonl"


def rows_in(kind: str, file: BinaryIO, name: str, say: Say) -> Iterator[Row | Fault]:
    """The rows of an opened file of one of ``KINDS``; ``name`` is how errors call it."""
    if kind == "jsonl":
        return json_lines(file)
    if kind == "json":
        return json_list(file)
    if kind in _BINARY:
        return rows_apart(kind, Path(file.name), name, say)
    start = file.tell()
    head = file.read(_HEAD)
    file.seek(start)
    whole_lines = head[: head.rfind(b"\n") + 1] or head
    delimiter, in_words = sniff_delimiter(whole_lines.decode(errors="replace"))
    say(f"columns are separated by a {in_words}")
    return table_rows(file, delimiter, name)


def _ask_kind(path: Path, head: bytes, wanted: str | None) -> None:
    kind = wanted if wanted in KINDS else _KIND_BY_SUFFIX.get(path.suffix.lower(), "")
    if kind not in _BINARY:
        _ask_text(path, head)
        return
    begins, what = _BINARY[kind]
    if not head:
        raise TunesmithError(f"{shown(path)} has no rows: it is empty.", "name a file that holds something")
    if not head.startswith(begins):
        mend = next((mend for start, _, mend in _KNOWN_BINARIES if head.startswith(start)), None)
        other = mend.replace("FILE", shown(path)) if mend else "give it the suffix of what it is, or write it again"
        raise TunesmithError(f"{shown(path)} is not {what}: it does not begin like one.", other)


def _ask_text(path: Path, head: bytes) -> None:
    if not head.removeprefix(_BOM).strip() and len(head) < _HEAD:
        raise TunesmithError(f"{shown(path)} has no rows: it is empty.", "name a file that holds something")
    for start, what, mend in _KNOWN_BINARIES:
        if head.startswith(start):
            raise TunesmithError(f"{shown(path)} is {what}, not text.", mend.replace("FILE", shown(path)))
    control = sum(head.count(bytes([code])) for code in (*range(9), *range(14, 32)))
    if head.count(b"\0") * 10 > len(head) or (control * 10 > len(head) and not _is_utf8(head)):
        raise TunesmithError(
            f"{shown(path)} is not text: {100 * control // len(head)} % of its first bytes are control characters.",
            "name a text file (JSONL, JSON, CSV, TSV, Markdown or plain text, in UTF-8), or an .xlsx or .parquet file",
        )


def _is_utf8(head: bytes) -> bool:
    """Whether the bytes are UTF-8, perhaps cut within the last character."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _beside(path: Path) -> str:
    """A mend that names the files most like the missing one in its folder."""
    from difflib import get_close_matches

    try:
        names = [entry.name for entry in os.scandir(path.parent)]
    except OSError:
        return f"look at the path; the folder {shown(path.parent)} is not there either"
    near = get_close_matches(path.name, names, n=3)
    return f"did you mean {' or '.join(near)}?" if near else "look at the path"
