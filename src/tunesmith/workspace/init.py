"""`init`: begin a workspace, from nothing, from a file of examples, or as a copy of the bundled example."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.task import Field, Task
from tunesmith.data.infer import infer_task
from tunesmith.workspace.home import Home
from tunesmith.workspace.settings import FILE, VERSION, model_named_from, save_settings, task_settings

__all__ = ["EXAMPLES", "init"]

EXAMPLES = {"support-desk": "support_desk"}
"""Bundled examples and the folders that hold them."""

Kind = Literal["classification", "extraction", "generation"]


def init(
    folder: Path,
    *,
    source: Path | None = None,
    prompt: str | None = None,
    completion: str | None = None,
    kind: Kind | None = None,
    base_model: str | None = None,
    example: str | None = None,
) -> tuple[str, ...]:
    """Write ``folder``/tunesmith.yaml and, from a source, add its rows. Says in words what was inferred."""
    if (folder / FILE).exists():
        raise TunesmithError(
            f"{folder} is a workspace already.",
            f"go on in it with `tunesmith -C {quote(str(folder))} status`, or name another folder",
        )
    if example is not None:
        return _copy_example(folder, example)
    if base_model is not None:
        base_model = model_named_from(folder, base_model)
    if source is None:
        content = _settings(_empty_task(folder, kind), base_model)
        save_settings(folder / FILE, content)
        return (f"wrote {FILE} with one {content['task']['fields'][0]['type']} field to edit",)
    inferred = infer_task(source, prompt=prompt, completion=completion, kind=kind, name=folder.resolve().name)
    save_settings(folder / FILE, _settings(inferred.task, base_model))
    from tunesmith.workspace.add import add

    report = add(Home(folder), [source], mapping=inferred.mapping)
    rejected = f", set {len(report.rejected)} aside (see {report.rejects_file})" if report.rejected else ""
    same = f", found {report.duplicates} there already" if report.duplicates else ""
    return (*inferred.said, f"read {report.read} rows of {source.name}: added {report.added}{same}{rejected}")


def _empty_task(folder: Path, kind: Kind | None) -> Task:
    field = {
        "classification": Field(name="label", type="label", labels=("first_label", "second_label")),
        "extraction": Field(name="value", type="value", nullable=True),
        "generation": Field(name="reply", type="text"),
    }[kind or "generation"]
    words = {"label": "Answer with one label.", "value": "Answer with the value.", "text": "Answer the message."}
    return Task(name=folder.resolve().name, fields=(field,), format="plain", instructions=words[field.type])


def _settings(task: Task, base_model: str | None) -> dict[str, Any]:
    """A first tunesmith.yaml: the bar is there to be thought about, the costs to be filled in."""
    if any(f.type != "text" for f in task.fields):
        metric = "all_correct" if task.format == "json" else ("accuracy" if task.labels else "exact_match")
        bar: dict[str, Any] = {"metric": metric, "value": 0.9}
    else:
        first = task.fields[0].name  # with several texts, chrf alone would not say of which
        bar = {"metric": f"{first}.chrf" if len(task.fields) > 1 else "chrf", "value": 50.0}
    return {
        "version": VERSION,
        "task": task_settings(task),
        "bar": bar,
        "model": {"base": base_model or "smollm2-135m"},
        "costs": {"machine_usd_per_hour": None, "requests_per_month": None},
    }


def _copy_example(folder: Path, name: str) -> tuple[str, ...]:
    if name not in EXAMPLES:
        raise UnknownName.among("bundled example", name, EXAMPLES)
    bundled = resources.files("tunesmith.examples") / EXAMPLES[name]
    folder.mkdir(parents=True, exist_ok=True)
    with resources.as_file(bundled) as source:
        for path in sorted(source.iterdir()):
            if path.name == "__pycache__" or path.name == FILE:
                continue
            copy: Any = shutil.copytree if path.is_dir() else shutil.copy2
            copy(path, folder / path.name, **({"dirs_exist_ok": True} if path.is_dir() else {}))
        shutil.copy2(source / FILE, folder / FILE)  # last: its presence means that the copy is whole
    return (f"copied the bundled example {name}",)
