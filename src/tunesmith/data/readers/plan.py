"""How the rows of one file become examples: decided once, at the first rows, and said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Origin
from tunesmith.core.preferences import Preference
from tunesmith.data.readers import conversations, pairs  # noqa: F401  # importing them registers their formats
from tunesmith.data.readers.columns import Columns, Tags, find_columns, tags_of
from tunesmith.data.readers.completions import completion_text, field_values
from tunesmith.data.readers.documents import document_row
from tunesmith.data.readers.formats import Draft, guess_format, row_formats
from tunesmith.data.readers.mapped import Tell, mapped
from tunesmith.data.readers.options import ReadOptions, Say
from tunesmith.data.readers.preferences import preference_row
from tunesmith.data.readers.rows import Fault, Row, RowFault
from tunesmith.data.readers.times import is_local, is_time_name, time_column

__all__ = ["Plan", "Planned", "planned_rows"]

_PEEK = 100
"""Rows looked at, at most, to find the columns that were named, and one that holds times."""


@dataclass(frozen=True)
class Plan:
    """How one file is read."""

    options: ReadOptions
    format: str
    columns: Columns
    say: Say
    _told: set[str] = field(default_factory=set)

    def draft(self, content: Mapping[str, Any]) -> Draft:
        """Prompt and completion of one row. Raises RowFault."""
        return row_formats[self.format].draft(content, self.columns)

    def make(self, row: Row, name: str) -> Example | Document | Preference:
        """The example, document or pair of one row of the file ``name``. Raises RowFault."""
        if self.format == "document":
            return document_row(row.content, self.columns, Origin(file=name, line=row.line))
        task = self.options.task
        if self.format == "preference":
            origin = Origin(file=name, line=row.line)
            return preference_row(row.content, self.columns, task, origin, self.options.licence)
        messages, value = self.draft(row.content)
        if self.columns.fields and task is not None:
            value = field_values(value, task)
        completion = completion_text(value, task)
        tags = tags_of(row.content, self.columns)
        if "\0" in "".join([completion, *(m.content for m in messages), *(tag for tag in tags if tag)]):
            raise RowFault("the row holds a null character (\\u0000)", "remove it")
        self._ask_time(row.line, tags)
        self._note_ignored(row.line, tags)
        return Example.make(
            messages,
            completion,
            group=tags.group,
            category=tags.category,
            edge_case=tags.edge_case,
            time=tags.time,
            source="human" if self.options.as_ in ("document", "preference") else self.options.as_,
            side=self.options.side,
            origin=Origin(file=name, line=row.line, id=tags.id),
            licence=self.options.licence,
        )

    def _ask_time(self, line: int, tags: Tags) -> None:
        """Refuse what is no time in a column that was named for it; where it was guessed, say so once."""
        if tags.untimed is None:
            return
        problem = f"the time {self.columns.time!r} is {tags.untimed[:40]!r}, which is none that can be read"
        if self.options.mapping.get("time") == self.columns.time:
            raise RowFault(
                problem, "write it as 2026-03-01 or 2026-03-01T12:00:00Z, or as seconds since 1970, or leave it empty"
            )
        if "time" not in self._told:
            self._told.add("time")
            self.say(f"line {line}: {problem}; rows with such have no time")

    def _note_ignored(self, line: int, tags: Tags) -> None:
        if tags.ignored is not None and "edge_case" not in self._told:
            self._told.add("edge_case")
            self.say(
                f"line {line}: edge_case {tags.ignored[:40]!r} is left out, as all that are not "
                "ambiguous, out_of_scope, decline or escalate"
            )


class Planned(NamedTuple):
    """A row and the plan to read it by."""

    row: Row
    plan: Plan


def planned_rows(
    rows: Iterator[Row | Fault], name: str, options: ReadOptions, say: Say, tell: Tell, *, whole: bool
) -> Iterator[Planned | Fault]:
    """Each row with the plan, which is made at the first row that can be decoded.

    Args:
        rows: The rows of the file.
        name: How the file is called in messages.
        options: What the caller knows about it.
        say: Told what was guessed.
        tell: Told which column plays which role.
        whole: Whether every row has the same columns (a table).

    Raises:
        TunesmithError: There are no rows, their format is not recognised, or a named column is not there.
    """
    empty = True
    for item in rows:
        empty = False
        if isinstance(item, Fault):
            yield item
            continue
        ahead, seen = _peek(item, rows, options, whole=whole)
        rows_seen = [row.content for row in ahead if isinstance(row, Row)]
        plan = _make_plan(seen, rows_seen, name, options, say, whole=whole)
        tell(mapped(name, plan.format, plan.columns, seen))
        for later in chain(ahead, rows):
            yield later if isinstance(later, Fault) else Planned(later, plan)
    if empty:
        raise TunesmithError(f"{name} has no rows.", "add at least one row, or name another file")


def _peek(
    first: Row, rows: Iterator[Row | Fault], options: ReadOptions, *, whole: bool
) -> tuple[list[Row | Fault], list[str]]:
    """The first rows, as many as it takes to see the named columns and to know times, and the columns seen."""
    wanted = {*options.mapping.values(), *([options.group_by] if options.group_by else [])}
    ahead: list[Row | Fault] = [first]
    seen = dict.fromkeys(first.content)

    def enough() -> bool:
        if "time" not in options.mapping and any(map(is_time_name, seen)):
            return False
        return whole or (wanted <= seen.keys() and _recognised(list(seen), options))

    while len(ahead) < _PEEK and not enough():
        item = next(rows, None)
        if item is None:
            break
        ahead.append(item)
        if isinstance(item, Row):
            seen.update(dict.fromkeys(item.content))
    return ahead, list(seen)


def _recognised(seen: Sequence[str], options: ReadOptions) -> bool:
    try:
        find_columns(seen, options, format=_row_format(seen, options), whole=False)
    except TunesmithError:
        return False
    return True


def _row_format(seen: Sequence[str], options: ReadOptions) -> str:
    if options.as_ == "document" or options.format == "document":
        return "document"
    if options.as_ == "preference":
        return "preference"
    if options.format is not None and options.format in row_formats:
        return options.format
    mapped = {"prompt", "completion", *options.field_names} & options.mapping.keys()
    return "prompt_completion" if mapped else guess_format(seen)


def _make_plan(
    seen: Sequence[str], rows: Sequence[Mapping[str, Any]], name: str, options: ReadOptions, say: Say, *, whole: bool
) -> Plan:
    row_format = _row_format(seen, options)
    try:
        columns = find_columns(seen, options, format=row_format, whole=whole)
    except TunesmithError as error:
        raise TunesmithError(f"{name}: {error.problem}", error.mend) from error
    if row_format == "prompt_completion":
        parts = columns.fields or (("completion", columns.completion),)
        roles = ", ".join(f"{column!r} as the {role}" for role, column in (("prompt", columns.prompt), *parts))
        say(f"reads {roles}; --map ROLE=COLUMN changes it")
    elif row_format == "preference":
        say(f"reads {columns.chosen!r} as chosen, {columns.rejected!r} as rejected; --map ROLE=COLUMN changes it")
    elif options.format != row_format:
        say(f"reads each row as {row_format}, by the keys of the first rows; --format changes it")
    if row_format not in ("document", "preference"):
        columns = _with_time(columns, seen, rows, say)
    for role, column in options.mapping.items():
        if column not in seen:
            say(f"none of the first rows has {column!r} to be the {role}")
    return Plan(options, row_format, columns, say)


def _with_time(columns: Columns, seen: Sequence[str], rows: Sequence[Mapping[str, Any]], say: Say) -> Columns:
    """The columns with that of the times, where none was named for them and the first rows show one."""
    if columns.time is None:
        free = [name for name in seen if name not in columns.playing()]
        usual = list(filter(is_time_name, free))
        column = time_column(free, rows) or (None if usual else "time")  # a key that only later rows have
        if column is None:
            say(f"{usual[0]!r} does not hold times in all of the first rows; --map time=COLUMN names the column")
            return columns
        columns = columns if column in columns.playing() else columns.with_time(column)
        if column in usual:
            say(f"reads {column!r} as the time")
    if any(is_local(row.get(columns.time)) for row in rows if columns.time):
        say(f"{columns.time!r} says no time zone, so it is read as UTC")
    return columns
