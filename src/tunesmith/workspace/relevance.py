"""What a search ought to find: train examples with the same labels, and documents that people named for an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Rejected
from tunesmith.core.task import Field, Task
from tunesmith.data.readers.rows import Fault
from tunesmith.data.readers.source import KINDS, kind_of, open_source, rows_in, shown

__all__ = ["Judged", "alike_by", "kind_of_answer", "read_judgements"]

FORM = '{"prompt": TEXT, "document": TITLE}, or a table with these columns'
SHORTEST_ID = 8


class Judged(NamedTuple):
    """People's judgements of which documents answer which examples."""

    documents: dict[str, frozenset[str]]
    """Ids of documents by example id. None for an example means that somebody looked and no document answers it."""
    elsewhere: int
    """Examples of them that stand on another side than was asked for, or on none."""
    rejected: list[Rejected]


def alike_by(task: Task) -> str | None:
    """In words, what makes a train example relevant to a message of ``task``; None where no program can tell."""
    told = _told_by(task)
    if not told:
        return None
    names = ", ".join(field.name for field in told)
    return f"has the same {names}" if told[0].type == "label" else f"has something in the same ones of {names}"


def kind_of_answer(task: Task, completion: str) -> str | None:
    """Names the kind of answer that a completion is: two of one kind are relevant to one another.

    All label fields together; without any, which of the values there is something to find of. Texts say nothing here.
    None for a completion that cannot be read, or a task of texts alone.
    """
    fields, told = task.parse(completion).fields, _told_by(task)
    if fields is None or not told:
        return None
    return digest([_said(fields[f.name]) if f.type == "label" else fields[f.name] is None for f in told])


def _told_by(task: Task) -> Sequence[Field]:
    labels = [field for field in task.checkable if field.type == "label"]
    return labels or task.checkable


def _said(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def read_judgements(
    path: Path, asked: Sequence[Example], examples: Sequence[Example], documents: Sequence[Document]
) -> Judged:
    """Judgements from a file of rows (JSON lines, JSON, CSV and the like), of the examples in ``asked``.

    A row names an example by its ``prompt`` or ``example`` (the beginning of its id), and a ``document`` by title, file
    name or the beginning of its id; in JSON a list names several, and an empty one says that none answers it. Rows that
    cannot be used are told, never dropped silently.

    Raises:
        TunesmithError: The file cannot be read, or says nothing of ``asked``.
    """
    if path.is_dir():
        raise TunesmithError(f"{shown(path)} is a folder.", f"give a file of rows {FORM}")
    reader = _Reader(examples, documents)
    found: dict[str, set[str]] = {}
    rejected: list[Rejected] = []
    with open_source(path) as file:
        kind = kind_of(path, file, None)
        if kind not in KINDS:
            raise TunesmithError(f"{shown(path)} is a document without rows.", f"give a file of rows {FORM}")
        for row in rows_in(kind, file, shown(path), lambda _: None):
            try:
                if isinstance(row, Fault):
                    raise _Bad(row.problem, row.mend)
                example, named = reader.read(row.content)
                found.setdefault(example, set()).update(named)
            except _Bad as bad:
                rejected.append(Rejected(file=path.name, line=row.line, problem=bad.args[0], mend=bad.args[1]))
    ids = {example.id for example in asked}
    here = {example: frozenset(named) for example, named in found.items() if example in ids}
    if not here:
        why = f": {rejected[0].problem} (line {rejected[0].line})" if rejected else ""
        raise TunesmithError(
            f"{path.name} says nothing that can be used of the {len(asked)} examples that are searched for{why}.",
            rejected[0].mend if rejected else f"write rows {FORM}, for examples of the validation side",
        )
    return Judged(here, len(found) - len(here), rejected)


class _Bad(Exception):
    """A row that cannot be used: the problem and the mend."""


class _Reader:
    """Knows the examples and the documents by all their names."""

    def __init__(self, examples: Sequence[Example], documents: Sequence[Document]) -> None:
        self._ids = [example.id for example in examples]
        self._prompts: dict[str, list[str]] = {}
        for example in examples:
            self._prompts.setdefault(example.prompt.strip(), []).append(example.id)
        self._documents = [document.id for document in documents]
        self._names: list[dict[str, list[str]]] = [{}, {}, {}]
        for document in documents:
            for names, name in zip(self._names, _names(document), strict=True):
                names.setdefault(name, []).append(document.id)

    def read(self, row: Mapping[str, Any]) -> tuple[str, list[str]]:
        """The example that a row speaks of, and the documents that it names."""
        if "document" not in row:
            raise _Bad('no "document"', f"write rows {FORM}")
        named = row["document"]
        several = named if isinstance(named, list) else [named] if named not in (None, "") else []
        return self._example(row), [self._document(one) for one in several]

    def _example(self, row: Mapping[str, Any]) -> str:
        prompt, name = row.get("prompt"), row.get("example")
        if isinstance(name, str) and name:
            found = [i for i in self._ids if len(name) >= SHORTEST_ID and i.startswith(name)]
            if len(found) != 1:
                raise _Bad(f'{len(found)} examples have an id that begins as its "example"', "give all of the id")
            return found[0]
        if not isinstance(prompt, str) or not prompt.strip():
            raise _Bad('neither "prompt" nor "example"', f"write rows {FORM}")
        found = self._prompts.get(prompt.strip(), [])
        if len(found) != 1:
            raise _Bad(
                f"{len(found)} examples have its prompt", 'write it as it was added, or name "example" by its id'
            )
        return found[0]

    def _document(self, name: Any) -> str:
        if not isinstance(name, str) or not name.strip():
            raise _Bad('its "document" is no name', "name a document by title, file or id, or several in a JSON list")
        name = name.strip()
        called = [names.get(name, []) for names in self._names]
        called.append([i for i in self._documents if len(name) >= SHORTEST_ID and i.startswith(name)])
        if single := next((found for found in called if len(found) == 1), None):
            return single[0]
        if most := max(map(len, called)):
            raise _Bad(f'{most} documents are called as its "document"', "name it by its file, or by its id")
        raise _Bad(
            'no document is called as its "document"',
            "name one by title, file or id; add it with `tunesmith add FILE --as document` where it is missing",
        )


def _names(document: Document) -> tuple[str, str, str]:
    """What a document may be called, that which is looked at first in front."""
    file = Path(document.origin.file if document.origin else "")
    return document.title.strip(), file.name, file.stem
