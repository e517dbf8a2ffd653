"""Which column plays which role: as the caller mapped them, else by the names that are usual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast, get_args

from tunesmith.core.codec import canonical
from tunesmith.core.errors import TunesmithError, nearest
from tunesmith.core.examples import EdgeCase
from tunesmith.core.task import Task
from tunesmith.data.readers.options import ReadOptions
from tunesmith.data.readers.times import as_time, is_time_name

__all__ = ["COMPLETION_NAMES", "PROMPT_NAMES", "Columns", "Tags", "as_text", "find_columns", "tags_of"]

PROMPT_NAMES = ("prompt", "text", "question", "message", "input", "instruction")
COMPLETION_NAMES = ("completion", "label", "category", "intent", "answer", "output", "response")
CHOSEN_NAMES = ("chosen", "preferred_output", "preferred")
REJECTED_NAMES = ("rejected", "non_preferred_output", "dispreferred")
_GROUP_NAMES = ("group", "customer")
_TAGS = (*_GROUP_NAMES, "category", "edge_case", "id", "system")
_SPARSE = frozenset({"system", "category", "edge_case", "time", "id", "title"})
_EDGE_CASES = frozenset(get_args(EdgeCase))


class Columns(NamedTuple):
    """Column by role. The tags may be missing from a row; prompt and completion may not."""

    prompt: str = "prompt"
    completion: str = "completion"
    fields: tuple[tuple[str, str], ...] = ()
    """(field, column) where each field of the completion has a column of its own; then ``completion`` is unused."""
    system: str | None = None
    group: tuple[str, ...] = ()
    category: str | None = None
    edge_case: str | None = None
    time: str | None = None
    id: str | None = None
    title: str = "title"
    text: str = "text"
    chosen: str = "chosen"
    rejected: str = "rejected"
    tags: frozenset[str] = frozenset()
    """All columns that hold tags: most rows have none of them."""

    def with_time(self, column: str) -> Columns:
        return self._replace(time=column, tags=self.tags | {column})

    def playing(self) -> frozenset[str]:
        """Columns that a role has."""
        pair = (self.prompt, *(column for _, column in self.fields), "" if self.fields else self.completion)
        return self.tags | set(pair) | ({self.system} if self.system else set())


class Tags(NamedTuple):
    """What a row says about itself besides prompt and completion."""

    group: str | None
    category: str | None
    edge_case: EdgeCase | None
    id: str | None
    time: str | None = None
    ignored: str | None = None
    """An edge_case that is none of those known."""
    untimed: str | None = None
    """A time that is none."""


_NO_TAGS = Tags(None, None, None, None)


def as_text(value: Any) -> str | None:
    """A JSON scalar as text, or None for a list or an object. Null is the empty text.

    >>> as_text(True), as_text(3), as_text(None), as_text([1])
    ('true', '3', '', None)
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else None


def tags_of(content: Mapping[str, Any], columns: Columns) -> Tags:
    """The row's group, category, edge case, id and time; empty cells are None."""
    if columns.tags.isdisjoint(content):
        return _NO_TAGS
    group = next((text for name in columns.group if (text := _group(content.get(name)))), None)
    category = _tag(content, columns.category)
    edge_text, row_id = _tag(content, columns.edge_case), _tag(content, columns.id)
    edge_case = edge_text.strip().lower().replace(" ", "_").replace("-", "_") if edge_text else None
    cell = content.get(columns.time) if columns.time else None
    time = as_time(cell)
    untimed = None if time or cell is None or not str(cell).strip() else str(cell)
    if edge_case is None or edge_case in _EDGE_CASES:
        return Tags(group, category, cast("EdgeCase | None", edge_case), row_id, time, untimed=untimed)
    return Tags(group, category, None, row_id, time, edge_text, untimed)


def _group(value: Any) -> str:
    """Whatever names the group, as text: an object (a customer, say) by all that it holds."""
    text = as_text(value)
    return canonical(value).decode() if text is None else text.strip()


def _tag(content: Mapping[str, Any], column: str | None) -> str | None:
    return (as_text(content.get(column)) or None) if column else None


def find_columns(seen: Sequence[str], options: ReadOptions, *, format: str, whole: bool = True) -> Columns:
    """Roles for the columns (or keys) ``seen`` in the first rows.

    Args:
        seen: Column names, in order.
        options: Its mapping comes first, then a column named like a field of the task, then the usual names.
        format: Row format; only `prompt_completion` has to find a prompt and a completion.
        whole: Whether there are no more columns than those seen. JSON rows may hold a tag only now and then.

    Raises:
        TunesmithError: A mapped column is not there, or none is known to hold the prompt or the completion.
    """
    mapping = dict(options.mapping)
    if options.group_by:
        mapping["group"] = options.group_by
    _ask_present(mapping, seen, whole=whole)
    consumed: set[str] = {"messages", "conversations", "contents"}
    pair = Columns()
    if format == "alpaca":
        consumed |= {"instruction", "input", "output"}
    elif format == "prompt_completion":
        pair = _pair(seen, mapping, options.task, whole=whole)
        consumed |= {pair.prompt, *(column for _, column in pair.fields)}
        consumed |= set() if pair.fields else {pair.completion}
    elif format == "preference":
        pair = _preference(seen, mapping, whole=whole)
        consumed |= {pair.prompt, pair.chosen, pair.rejected}
    fields = set(options.field_names)

    def tag(role: str) -> str | None:
        if role in mapping and role not in fields:
            return mapping[role]
        return None if role in consumed else role

    named = mapping.get("group") if options.group_by or "group" not in fields else None
    groups = (named,) if named else tuple(name for name in _GROUP_NAMES if name not in consumed)
    category, edge_case, row_id = tag("category"), tag("edge_case"), tag("id")
    found = pair._replace(
        system=tag("system"),
        group=groups,
        category=category,
        edge_case=edge_case,
        id=row_id,
        tags=frozenset(name for name in (*groups, category, edge_case, row_id) if name),
        title=mapping.get("title", "title"),
        text=mapping.get("text", "text"),
    )
    return found.with_time(mapping["time"]) if "time" in mapping and "time" not in fields else found


def _ask_present(mapping: Mapping[str, str], seen: Sequence[str], *, whole: bool) -> None:
    for role, column in mapping.items():
        if column not in seen and (whole or role not in _SPARSE):
            raise TunesmithError(
                f"There is no column {column!r} to be the {role}; there are: {_listed(seen)}.",
                f"{nearest(column, seen)}; name one with --map {role}=COLUMN",
            )


def _pair(seen: Sequence[str], mapping: Mapping[str, str], task: Task | None, *, whole: bool) -> Columns:
    """Prompt and completion, or prompt and one column per field. In a table of two columns, one tells the other."""
    fields = _field_columns(seen, mapping, task)
    completion = None if fields else _completion(seen, mapping, task)
    taken = {column for _, column in fields} | {completion, mapping.get("group"), mapping.get("time")}
    prompt = mapping.get("prompt") or _usual(PROMPT_NAMES, [name for name in seen if name not in taken])
    rest = [name for name in seen if name not in {*taken, prompt, *_TAGS}] if whole and not fields else []
    if len(rest) > 1:
        rest = [name for name in rest if not is_time_name(name)]
    if len(rest) == 1 and completion is None:
        completion = rest[0] if prompt else None
    elif len(rest) == 1 and prompt is None:
        prompt = rest[0]
    if prompt is None:
        raise _not_known("prompt", PROMPT_NAMES, seen)
    if not fields and completion is None:
        raise _not_known("completion", COMPLETION_NAMES, seen)
    return Columns(prompt=prompt, completion=completion or "completion", fields=fields)


def _preference(seen: Sequence[str], mapping: Mapping[str, str], *, whole: bool) -> Columns:
    """Chosen and rejected; the prompt may also stand at the head of both."""
    chosen = mapping.get("chosen") or _usual(CHOSEN_NAMES, seen)
    rejected = mapping.get("rejected") or _usual(REJECTED_NAMES, seen)
    for role, column, usual in (("chosen", chosen, CHOSEN_NAMES), ("rejected", rejected, REJECTED_NAMES)):
        if column is None:
            raise _not_known(role, usual, seen)
    names = ("prompt", "instruction", *PROMPT_NAMES, "messages", "conversations")
    prompt = mapping.get("prompt") or _usual(names, [name for name in seen if name not in (chosen, rejected)])
    if prompt is None and whole:
        raise _not_known("prompt", PROMPT_NAMES, seen)
    return Columns(prompt=prompt or "prompt", chosen=chosen or "chosen", rejected=rejected or "rejected")


def _completion(seen: Sequence[str], mapping: Mapping[str, str], task: Task | None) -> str | None:
    own = task.fields[0].name if task and task.format == "plain" else None
    if mapped := mapping.get("completion") or (mapping.get(own) if own else None):
        return mapped
    if own and own in seen and not {"prompt", "completion"} <= set(seen):
        return own
    taken = {mapping.get("prompt"), mapping.get("group")}
    return _usual(COMPLETION_NAMES, [name for name in seen if name not in taken])


def _field_columns(seen: Sequence[str], mapping: Mapping[str, str], task: Task | None) -> tuple[tuple[str, str], ...]:
    """A column for each field of a JSON task: where one is mapped, or all that must be there are named like columns."""
    if task is None or task.format != "json" or "completion" in mapping:
        return ()
    names = [field.name for field in task.fields]
    found = {name: mapping.get(name, name) for name in names if name in mapping or name in seen}
    missing = [field.name for field in task.fields if field.name not in found and not field.nullable]
    if not any(name in mapping for name in names) and (missing or not found or {"prompt", "completion"} <= set(seen)):
        return ()
    if missing:
        raise TunesmithError(
            f"The field {missing[0]!r} has no column; there are: {_listed(seen)}.",
            f"name it with --map {missing[0]}=COLUMN",
        )
    return tuple((name, found.get(name, name)) for name in names)


def _usual(usual: Iterable[str], seen: Sequence[str]) -> str | None:
    """The first usual name that is a column, whatever its case."""
    by_lower = {name.lower(): name for name in reversed(seen)}
    return next((by_lower[name] for name in usual if name in by_lower), None)


def _not_known(role: str, usual: Sequence[str], seen: Sequence[str]) -> TunesmithError:
    if role == "completion" and {"chosen", "rejected"} <= set(seen):
        return TunesmithError(
            "The rows are preference pairs: two completions each, chosen and rejected.",
            "read them as such with `tunesmith add FILE --as preference`",
        )
    return TunesmithError(
        f"The format is not recognised: no column is known to hold the {role}; there are: {_listed(seen)}.",
        f"name it with --map {role}=COLUMN, or name it {', '.join(usual)} in the file",
    )


def _listed(seen: Sequence[str]) -> str:
    more = f" and {len(seen) - 30} more" if len(seen) > 30 else ""
    return ", ".join(repr(name[:60]) for name in seen[:30]) + more
