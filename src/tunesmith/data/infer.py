"""Proposes a task from a file of examples, and says what it saw. People then correct it in `tunesmith.yaml`.

Reads every row once and keeps counts only: files are often sorted by label, so the first rows do not show them all.
How one field is told from another stands in ``tally``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Rejected
from tunesmith.core.record import Record
from tunesmith.core.task import Field, FieldType, Task
from tunesmith.data.instructions import write_instructions
from tunesmith.data.readers import ReadOptions, drafts
from tunesmith.data.readers.options import Say
from tunesmith.data.readers.plan import Plan
from tunesmith.data.readers.source import shown
from tunesmith.data.tally import Tally

__all__ = ["Inferred", "Kind", "infer_task"]

Kind = Literal["classification", "extraction", "generation"]
_KINDS: dict[str, FieldType] = {"classification": "label", "extraction": "value", "generation": "text"}
_OBJECT_SHARE = 0.8
"""Share of completions that must be JSON objects for the task to be JSON: real files hold some broken ones."""
_KEY_SHARE = 0.5
_MOST_KEYS = 200
_FEW_ROWS = 30


class Inferred(Record, frozen=True, kw_only=True):
    """A proposed task, how to read the file for it, and why."""

    task: Task
    format: str
    """Row format of the file."""
    mapping: dict[str, str] = msgspec.field(default_factory=dict)
    """Column by role or field, as ``ReadOptions.mapping`` takes it; empty where the format needs none."""
    said: tuple[str, ...] = ()
    """What was inferred, in words."""


class _Seen:
    """Counts over all rows of the file."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.rows = self.unread = self.objects = 0
        self.keys: Counter[str] = Counter()
        self.whole = Tally()
        self.parts: dict[str, Tally] = {}

    def add(self, prompt: str, completion: Any, plan: Plan) -> None:
        self.plan = plan
        self.rows += 1
        content = _as_object(completion)
        if content is None:
            self.whole.add(completion, prompt)
            return
        self.objects += 1
        self.whole.add(json.dumps(completion, ensure_ascii=False), prompt)
        for key, value in content.items():
            if key in self.parts or len(self.parts) < _MOST_KEYS:
                self.keys[key] += 1
                self.parts.setdefault(key, Tally(in_json=not plan.columns.fields)).add(value, prompt)


def infer_task(
    path: Path,
    *,
    prompt: str | None = None,
    completion: str | None = None,
    kind: Kind | None = None,
    name: str | None = None,
) -> Inferred:
    """Propose a task for the examples of a file.

    Args:
        path: A file of examples (not a folder, not a document).
        prompt: Column of the prompt; by default the first with a usual name.
        completion: Column of the completion, or several parted by commas, one field each.
        kind: One field of this kind, whatever the completions look like; for JSON objects, of all their keys.
        name: Name of the task; by default the file's.

    Returns:
        The proposal. A completion (or key) becomes a label where few short values are repeated, a value where it is
        copied from the prompt or always has one simple shape, else a text.

    Raises:
        TunesmithError: The file cannot be read, no row has a completion, or ``kind`` does not fit what is there.
    """
    path = Path(path)
    if kind is not None and kind not in _KINDS:
        raise UnknownName.among("kind of task", kind, _KINDS)
    notes: list[str] = []
    seen = _look(path, prompt, completion, lambda note: notes.append(note.removeprefix(f"{shown(path)}: ")))
    if seen.plan is None or not seen.rows:
        raise TunesmithError(
            f"No row of {shown(path)} has a prompt and a completion.",
            "name the columns with --prompt and --completion; `tunesmith add FILE --dry-run` says what is wrong",
        )
    forced = _KINDS[kind] if kind else None
    by_column = bool(seen.plan.columns.fields)
    as_json = seen.objects >= _OBJECT_SHARE * seen.rows and (by_column or forced != "text")
    fields = _object_fields(seen, forced, notes) if as_json else (_plain_field(seen, seen.plan, forced, notes),)
    task = Task(
        name=_plain_name(name or path.stem),
        fields=fields,
        format="json" if as_json else "plain",
        instructions=write_instructions(fields, plain=not as_json, about=_about(seen.plan)),
    )
    said = tuple(_said(seen, notes, as_json=as_json))
    return Inferred(task=task, format=seen.plan.format, mapping=_used(seen.plan), said=said)


def _look(path: Path, prompt: str | None, completion: str | None, say: Say) -> _Seen:
    """Count over all rows."""
    seen = _Seen()
    try:
        for item in drafts(path, _options(prompt, completion), say):
            if isinstance(item, Rejected):
                seen.unread += 1
            else:
                text = "\n".join(m.content for m in item.draft.messages if m.role != "system")
                seen.add(text, item.draft.completion, item.plan)
    except TunesmithError as error:
        mend = error.mend.replace("--map prompt=", "--prompt ").replace("--map completion=", "--completion ")
        raise TunesmithError(error.problem, mend) from error
    return seen


def _options(prompt: str | None, completion: str | None) -> ReadOptions:
    mapping = {"prompt": prompt} if prompt else {}
    columns = [column.strip() for column in (completion or "").split(",")]
    if len(columns) == 1:
        return ReadOptions(mapping={**mapping, "completion": completion} if completion else mapping)
    # Any task with these fields makes the reader look for a column each.
    fields = tuple(Field(name=column, type="text") for column in columns)
    return ReadOptions(task=Task(name="columns", fields=fields), mapping={**mapping, **{c: c for c in columns}})


def _as_object(completion: Any) -> dict[str, Any] | None:
    """The completion as a JSON object, be it one or the text of one."""
    if isinstance(completion, str) and completion.lstrip().startswith("{"):
        try:
            completion = msgspec.json.decode(completion)
        except (msgspec.DecodeError, RecursionError):
            return None
    return completion if isinstance(completion, dict) else None


def _object_fields(seen: _Seen, forced: FieldType | None, notes: list[str]) -> tuple[Field, ...]:
    """A field per key that most objects have."""
    kept = [key for key, count in seen.keys.items() if count >= _KEY_SHARE * seen.objects]
    if not kept:
        raise TunesmithError(
            "The completions are JSON objects without common keys.",
            "give all of them the same keys, or take each as one text with --kind generation",
        )
    if forced == "label" and len(kept) > 1:
        raise TunesmithError(
            f"The completions are JSON objects with {len(kept)} keys, which is more than one label.",
            "leave out --kind, and each key becomes a field of its own",
        )
    rest = [key for key in seen.keys if key not in kept]
    if rest:
        notes.append(f"keys that few completions have are left out: {', '.join(map(repr, rest[:5]))}")
    fields = []
    for key in kept:
        field, why = seen.parts[key].field(key, forced)
        if seen.parts[key].nulls:
            field = msgspec.structs.replace(field, nullable=True)
        notes.append(f"{key!r} is a {field.type}: {why}")
        fields.append(field)
    return tuple(fields)


def _plain_field(seen: _Seen, plan: Plan, forced: FieldType | None, notes: list[str]) -> Field:
    column = plan.columns.completion if plan.format == "prompt_completion" else "completion"
    field, why = seen.whole.field(column, forced)
    if column in ("completion", "output", "response"):
        column = {"label": "label", "value": "value", "text": "answer"}[field.type]
    # An empty completion says that there is nothing to find; an empty label or text says nothing and is set aside.
    nullable = field.type == "value" and seen.whole.nulls > 0
    field = msgspec.structs.replace(field, name=_plain_name(column), nullable=nullable)
    notes.append(f"{field.name!r} is a {field.type}: {why}")
    return field


def _used(plan: Plan) -> dict[str, str]:
    if plan.format != "prompt_completion":
        return {}
    columns = plan.columns
    parts = dict(columns.fields) if columns.fields else {"completion": columns.completion}
    return {"prompt": columns.prompt, **parts}


def _said(seen: _Seen, notes: list[str], *, as_json: bool) -> Iterator[str]:
    yield f"looked at {seen.rows + seen.unread:,} rows"
    yield from notes
    if seen.unread:
        yield f"{seen.unread:,} rows could not be read; `tunesmith add` says which and why"
    if as_json and seen.rows > seen.objects:
        yield f"{seen.rows - seen.objects:,} completions are not JSON objects; `tunesmith check` shows them"
    if seen.rows < _FEW_ROWS:
        yield f"{seen.rows} rows are few to infer from: look at task.fields in tunesmith.yaml"


def _about(plan: Plan) -> str:
    """What the prompt is, in a word for the instructions."""
    if plan.format == "alpaca":
        return "instruction"
    column = plan.columns.prompt.lower() if plan.format == "prompt_completion" else "message"
    return column if column in ("text", "question", "instruction") else "message"


def _plain_name(text: str) -> str:
    """A name that can stand in a key, a metric and a file name.

    >>> _plain_name("My tickets (May)")
    'My_tickets_May'
    """
    return re.sub(r"\W+", "_", text).strip("_") or "task"
