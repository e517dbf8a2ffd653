"""`forgetting`: what a run's model lost of what its base model could do.

What each model read is kept beside the result, so base model and adapter are read once per measure.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.forgetting import Forgetting, Loss, Read, TaskRead, Unmeasurable
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.store import Derived
from tunesmith.models.opening import open_model
from tunesmith.tuning.forgetting.material import bundled_items, bundled_text, items_hash, named_text
from tunesmith.workspace.adapters import base_of, find_run
from tunesmith.workspace.home import Home, changed_since

if TYPE_CHECKING:
    from tunesmith.models.engine import Engine
    from tunesmith.tuning.forgetting.harness import Tasks
    from tunesmith.tuning.forgetting.reading import Reader

__all__ = ["current_forgetting", "forgetting", "forgetting_entry"]

ITEMS, TEXT = "general items", "general text"
"""Names of the bundled measures among the inputs of a record."""


class _Kept(Record, frozen=True, kw_only=True):
    """What one model read."""

    read: Read | None = None
    tasks: dict[str, TaskRead] = {}


class _Measure(NamedTuple):
    """Something to read: its name, what it holds by hash, and how it is read."""

    name: str
    hash: str
    read: Callable[[Reader, Progress], _Kept]


def forgetting(
    home: Home,
    run: str = "tuned",
    *,
    texts: Sequence[str | Path] = (),
    tasks: Sequence[str] = (),
    task_folder: str | Path | None = None,
    task_limit: int | None = None,
    trust_code: bool = False,
    progress: Progress = quiet,
) -> Forgetting:
    """Read general items, general text and what is named with the base model and with the run's adapter, and compare.

    Args:
        home: The workspace; `forgetting` in its settings names further texts and tasks.
        run: Name of a run, or a tag that one run alone has.
        texts: Text files whose bits per byte are measured.
        tasks: Tasks of lm-evaluation-harness.
        task_folder: Where task files of your own are.
        task_limit: Documents of each task. Default: all.
        trust_code: Let Python run that the task folder names.
        progress: Told how far it is.

    Raises:
        TunesmithError: Run, adapter or base model is not there or not the same any more; a text cannot be read, or a
            task cannot be asked.
    """
    from tunesmith.tuning.forgetting.reading import Reader

    settings, entry = home.settings.forgetting, find_run(home, run)
    base_of(home, entry)
    named = {_beside(home.root, Path(t)): Path(t) for t in texts}
    named |= {text: home.root / text for text in settings.texts if text not in named}
    folder = task_folder or (home.root / settings.task_folder if settings.task_folder else None)
    asked = tuple(dict.fromkeys((*tasks, *settings.tasks)))
    if not asked and (task_folder or task_limit or trust_code):
        raise TunesmithError(
            "A folder of tasks, a limit for them and trust in their code are about tasks, and none is named.",
            "name them: `--tasks NAME`, or forgetting.tasks in tunesmith.yaml",
        )
    measures = [*_general(), *(_of_text(path, name) for name, path in named.items())]
    if asked:
        limit = task_limit or settings.task_limit
        measures += _of_tasks(asked, str(folder) if folder else None, limit, trust_code)
    with home.alone("forgetting"):
        engine = cast("Engine", open_model(home.settings.model.base))  # it is on this machine, see base_of
        machine = _machine(engine)
        given = (home, entry.inputs["model"], machine, progress)
        base = _OneModel(*given, Reader(engine), "")
        tuned = _OneModel(*given, _tuned_reader(home, entry, engine), entry.adapter_hash)
        read = [_both(measure, base, tuned) for measure in measures]
        losses, left_out = _compare(measures, read)
        made = Forgetting(
            run=entry.name,
            adapter_hash=entry.adapter_hash,
            base_hash=entry.inputs["model"],
            losses=losses,
            unmeasurable=left_out,
            machine=machine,
        )
        inputs = {"adapter": entry.adapter_hash, "model": entry.inputs["model"]}
        home.save("forgetting", entry.name, made, inputs | {measure.name: measure.hash for measure in measures})
    return made


def forgetting_entry(home: Home, run: Run) -> Derived | None:
    """The newest record of what ``run`` forgot, if its adapter and what was read are still the same."""
    found = home.index("forgetting", run.name)
    return found[-1] if found and not changed_since(found[-1], _now(home, run, found[-1])) else None


def current_forgetting(home: Home, run: Run) -> Forgetting | None:
    """What ``run`` forgot, where that was measured and is not stale."""
    entry = forgetting_entry(home, run)
    return home.load(entry, Forgetting) if entry else None


def _now(home: Home, run: Run, entry: Derived) -> dict[str, str]:
    """What the record would be made from now. A text that is gone counts as it was."""
    now = {"adapter": run.adapter_hash, "model": run.inputs["model"]}
    now |= {ITEMS: items_hash(), TEXT: bundled_text().hash}
    for name in entry.inputs:
        path = home.root / name.removeprefix("text ")
        if name.startswith("text ") and path.is_file():
            with contextlib.suppress(TunesmithError):  # what can no longer be read stays as it was read
                now[name] = named_text(path, name).hash
    return now


def _general() -> list[_Measure]:
    items, text = bundled_items(), bundled_text()
    return [
        _Measure(ITEMS, items_hash(), lambda reader, told: _Kept(read=reader.items(items, told))),
        _Measure(TEXT, text.hash, lambda reader, told: _Kept(read=reader.text(text, told))),
    ]


def _of_text(path: Path, name: str) -> _Measure:
    text = named_text(path, name)
    return _Measure(f"text {name}", text.hash, lambda reader, told: _Kept(read=reader.text(text, told)))


def _of_tasks(names: Sequence[str], folder: str | None, limit: int | None, trust_code: bool) -> Iterator[_Measure]:
    from tunesmith.tuning.forgetting.harness import Tasks, check_tasks, read_tasks

    check_tasks(Tasks(names=tuple(names), folder=folder, trust_code=trust_code))

    def one(tasks: Tasks) -> Callable[[Reader, Progress], _Kept]:
        return lambda reader, told: _Kept(tasks=read_tasks(reader, tasks, told))

    for name in names:
        tasks = Tasks(names=(name,), folder=folder, limit=limit, trust_code=trust_code)
        yield _Measure(f"task {name}", tasks.named(name), one(tasks))


def _tuned_reader(home: Home, run: Run, engine: Engine) -> Reader:
    """Reads as the run's model answers: an adapter on weights packed as those it learnt on, a whole model itself."""
    from tunesmith.tuning.forgetting.reading import Reader

    folder = str(home.inside / run.adapter)
    if run.config.get("method") == "full":
        return Reader(cast("Engine", open_model(folder)))
    if packed := run.config.get("quantize"):
        engine = cast("Engine", open_model(home.settings.model.base, quantize=packed))
    return Reader(engine, folder)


class _OneModel(NamedTuple):
    """The base model, or the run's, as it reads measures on a machine like this one."""

    home: Home
    model: str
    machine: str
    progress: Progress
    reader: Reader
    adapter: str
    """Hash; empty for the base model."""

    def read(self, measure: _Measure, *, anew: bool = False) -> _Kept:
        """What it reads, or read before and is still there."""
        inputs = {"model": self.model, "adapter": self.adapter, "measure": measure.hash, "machine": self.machine}
        name = digest([measure.name, *inputs.values()])
        kept = self.home.index("reading", name)
        if kept and not anew and self.home.standing("reading", kept[-1].hash) == "intact":
            return self.home.load(kept[-1], _Kept)
        told = f"{measure.name}, {'tuned' if self.adapter else 'base'}"
        made = measure.read(self.reader, lambda done, total, note="": self.progress(done, total, told))
        self.home.save("reading", name, made, inputs)
        return made


def _both(measure: _Measure, base: _OneModel, tuned: _OneModel) -> tuple[_Kept, _Kept]:
    """What both models read, of the same documents: a task's may have become others since one of them read it.

    Raises:
        TunesmithError: The task gives other documents each time.
    """
    one, other = base.read(measure), tuned.read(measure)
    if _documents(one) != _documents(other):
        one, other = base.read(measure, anew=True), tuned.read(measure, anew=True)
    if _documents(one) != _documents(other):
        raise TunesmithError(
            f"{measure.name} gives other documents each time, so base and tuned model cannot be compared.",
            "give its sampling a seed, or leave it out",
        )
    return one, other


def _documents(kept: _Kept) -> dict[str, str]:
    return {name: task.documents for name, task in kept.tasks.items()}


def _compare(
    measures: Sequence[_Measure], read: Sequence[Sequence[_Kept]]
) -> tuple[tuple[Loss, ...], tuple[Unmeasurable, ...]]:
    from tunesmith.tuning.forgetting.losses import judge, loss_of_bits, loss_of_sets

    losses: list[Loss] = []
    left_out: list[Unmeasurable] = []
    judged = sum(len(base.tasks) or 1 for base, _ in read)
    for measure, (base, tuned) in zip(measures, read, strict=True):
        if measure.name == ITEMS:
            assert base.read and tuned.read
            whole, parts = loss_of_sets([item.set for item in bundled_items()], base.read, tuned.read, judged)
            losses += [whole] if whole else []
            left_out += parts
        elif base.read and tuned.read:
            name = "general" if measure.name == TEXT else measure.name.removeprefix("text ")
            losses.append(loss_of_bits(f"text:{name}", base.read, tuned.read, judged))
        for name, task in base.tasks.items():
            found = _loss_of_task(name, task, tuned.tasks[name], judged)
            if isinstance(found, Loss):
                losses.append(found)
            else:
                left_out.append(found)
    return judge(losses), tuple(left_out)


def _loss_of_task(name: str, base: TaskRead, tuned: TaskRead, judged: int) -> Loss | Unmeasurable:
    from tunesmith.tuning.forgetting.losses import loss_of_bits, loss_of_items, loss_of_means

    if base.kind == "items":
        return loss_of_items(f"task:{name}", base.read, tuned.read, base.metric, judged)
    if base.kind == "bits":
        return loss_of_bits(f"task:{name}", base.read, tuned.read, judged)
    return loss_of_means(
        f"task:{name}", base.metric, base.read, tuned.read, judged, higher_is_better=base.higher_is_better
    )


def _beside(root: Path, file: Path) -> str:
    """A file as tunesmith.yaml would name it; where it can, without this machine's paths."""
    if not file.is_file():
        raise TunesmithError(f"There is no text file {file}.", "name a text file in UTF-8")
    return os.path.relpath(file, root)


def _machine(engine: Engine) -> str:
    import torch

    model = engine.model
    kind = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else str(model.device)
    if kind == "cpu":
        kind = f"cpu ({torch.backends.cpu.get_cpu_capability()})"
    return f"{str(model.dtype).removeprefix('torch.')} on {kind}, torch {torch.__version__}"
