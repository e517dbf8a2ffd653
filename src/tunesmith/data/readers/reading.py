"""Files and folders to examples, documents and rejected rows, one after the other, in bounded memory.

No row is lost: each comes out as an example, a document, or a ``Rejected`` with its line and its mend. Only what keeps
a whole file from being read is raised.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Document, Example, Rejected
from tunesmith.core.preferences import Preference
from tunesmith.data.readers.apart import rows_apart
from tunesmith.data.readers.dataset import is_dataset
from tunesmith.data.readers.documents import read_document
from tunesmith.data.readers.formats import Draft, row_formats
from tunesmith.data.readers.mapped import Tell, untold
from tunesmith.data.readers.options import ReadOptions, Say, ask_known_roles, silent
from tunesmith.data.readers.plan import Plan, Planned, planned_rows
from tunesmith.data.readers.rows import Fault, RowFault
from tunesmith.data.readers.source import KINDS, TABLES, kind_of, open_source, rows_in, shown

__all__ = ["Drafted", "drafts", "read"]


def read(
    path: Path, options: ReadOptions, say: Say = silent, tell: Tell = untold
) -> Iterator[Example | Document | Preference | Rejected]:
    """Read a file, a data set folder, or all files of a folder in sorted order.

    Args:
        path: JSONL, JSON, CSV, TSV, XLSX, Parquet, Markdown or text; a folder as the `datasets` library saves it;
            or a folder of all these.
        options: What the caller knows about it.
        say: Told what was guessed (the format, the delimiter, the columns) and what was left out.
        tell: Told, for each file of rows, which column plays which role.

    Returns:
        The rows, in the order of the file. In a folder, a file that cannot be read is one ``Rejected`` on line 0.

    Raises:
        UnknownName: The format, or a role in the mapping, is not known.
        TunesmithError: The file is missing, empty, binary, of an unknown suffix or of no known format, or a column
            that was named is not in it. What the content shows is raised when the first row is asked for.
    """
    path, options = Path(path), _known(options)
    if path.is_dir() and not is_dataset(path):
        return _folder(path, options, say, tell)
    if not path.is_dir():
        open_source(path, options.format).close()
    return _file(path, options, say, tell)


class Drafted(NamedTuple):
    """A row as a draft, and the plan it was read by."""

    draft: Draft
    plan: Plan


def drafts(path: Path, options: ReadOptions, say: Say = silent) -> Iterator[Drafted | Rejected]:
    """The rows of one file as prompt and raw completion, before any task looks at them.

    Raises:
        TunesmithError: As ``read``; also where the file is a document.
    """
    path, name, options = Path(path), shown(Path(path)), _known(options)
    with _planned(path, options, say) as items:
        if isinstance(items, (Document, Rejected)):
            raise TunesmithError(
                f"{name} is a document without rows.", "name a JSONL, JSON, CSV or TSV file of examples"
            )
        for item in items:
            try:
                yield _rejected(name, item) if isinstance(item, Fault) else _drafted(item)
            except (RowFault, RecursionError) as error:
                yield _rejected(name, _fault(item, error))


def _drafted(item: Planned) -> Drafted:
    return Drafted(item.plan.draft(item.row.content), item.plan)


def _known(options: ReadOptions) -> ReadOptions:
    """The options, where every name in them is known; a format may be written with hyphens, and chat as openai."""
    known = (*row_formats, *KINDS, "document")
    wanted = options.format.replace("-", "_") if options.format else None
    wanted = "chat" if wanted == "openai" else wanted
    if wanted is not None and wanted not in known:
        raise UnknownName.among("format", wanted, known)
    ask_known_roles(options)
    return msgspec.structs.replace(options, format=wanted)


def _folder(
    folder: Path, options: ReadOptions, say: Say, tell: Tell
) -> Iterator[Example | Document | Preference | Rejected]:
    files = list(_files_below(folder))
    if not files:
        raise TunesmithError(f"The folder {shown(folder)} holds no files.", "name a folder with examples or documents")
    for path in files:
        before = 0
        try:
            for before, row in enumerate(_file(path, options, say, tell), start=1):  # noqa: B007 - told below
                yield row
        except TunesmithError as error:
            yield _unreadable(path, error, before)


def _unreadable(path: Path, error: TunesmithError, before: int) -> Rejected:
    """A file that cannot be read, or not past the rows ``before`` its fault."""
    rows = "row" if before == 1 else "rows"
    told = f" The {before} {rows} before that stay; what follows was not read." if before else ""
    return Rejected(file=shown(path), line=0, problem=f"{error.problem}{told}", mend=error.mend)


def _files_below(folder: Path) -> Iterator[Path]:
    """Files (a data set folder as one) in sorted order, without hidden ones and without following links to folders."""
    for here, folders, names in os.walk(folder):
        if is_dataset(Path(here)):
            folders.clear()
            yield Path(here)
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(here, name)


def _file(
    path: Path, options: ReadOptions, say: Say, tell: Tell
) -> Iterator[Example | Document | Preference | Rejected]:
    name = shown(path)
    with _planned(path, options, say, tell) as items:
        if isinstance(items, (Document, Rejected)):
            yield items
            return
        for item in items:
            try:
                yield _rejected(name, item) if isinstance(item, Fault) else item.plan.make(item.row, name)
            except (RowFault, RecursionError) as error:
                yield _rejected(name, _fault(item, error))


@contextmanager
def _planned(
    path: Path, options: ReadOptions, say: Say, tell: Tell = untold
) -> Iterator[Iterator[Planned | Fault] | Document | Rejected]:
    """The rows of an opened file with their plan; or the one document that it is."""
    name = shown(path)

    def say_here(note: str) -> None:
        say(f"{name}: {note}")

    if is_dataset(path):
        yield planned_rows(rows_apart("dataset", path, name, say_here), name, options, say_here, tell, whole=True)
        return
    with open_source(path, options.format) as file:
        try:
            kind = kind_of(path, file, options.format)
            if kind == "document":
                yield read_document(path, file, name)
            else:
                rows = rows_in(kind, file, name, say_here)
                yield planned_rows(rows, name, options, say_here, tell, whole=kind in TABLES)
        except OSError as error:
            raise TunesmithError(f"{name} cannot be read on: {error.strerror}.", "look at the disk it is on") from error


def _fault(item: Planned | Fault, error: Exception) -> Fault:
    line = item.line if isinstance(item, Fault) else item.row.line
    if isinstance(error, RowFault):
        return Fault(line, error.problem, error.mend)
    return Fault(line, "the row is nested too deeply to be read", "flatten it")


def _rejected(name: str, fault: Fault) -> Rejected:
    return Rejected(file=name, line=fault.line, problem=fault.problem, mend=fault.mend)
