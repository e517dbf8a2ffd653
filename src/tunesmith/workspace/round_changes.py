"""What changed from one evaluation to the next, in words: task, examples, split, and each contender's record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import Run
from tunesmith.core.splits import Split
from tunesmith.core.store import Derived
from tunesmith.workspace.diff import diff
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.scoring import ContenderScore

__all__ = ["contender_changes", "side_changes"]

SIDES = ("train", "validation", "test")
LONGEST = 40


def side_changes(home: Home, before: Derived, then: Evaluation, entry: Derived, now: Evaluation) -> Iterator[str]:
    """What is different about task, examples, split and sample, and which contenders came and went."""
    if before.inputs.get("task") != entry.inputs.get("task"):
        yield "the task or its instructions changed"
    if then.split != now.split:
        yield from _split_changes(home, then.split, now.split)
    if (then.sample, then.seed) != (now.sample, now.seed) and (then.sample or now.sample):
        yield f"sample: {then.sample or 'all'} to {now.sample or 'all'} rows"
    if come := sorted(now.contenders.keys() - then.contenders.keys()):
        yield f"new: {', '.join(come)}"
    if gone := sorted(then.contenders.keys() - now.contenders.keys()):
        yield f"no longer measured: {', '.join(gone)}"


def _split_changes(home: Home, old: str, new: str) -> Iterator[str]:
    by_hash = {entry.hash: entry for entry in home.index("split", "split")}
    if old not in by_hash or new not in by_hash:
        yield "another split"
        return
    one, other = home.load(by_hash[old], Split), home.load(by_hash[new], Split)
    try:
        counts = diff(home, one.snapshot, other.snapshot).counts
    except TunesmithError:  # a snapshot is not there any more; the sides still tell
        counts = {}
    moved = [f"{counts[name]} {name}" for name in ("added", "removed", "changed", "erased") if counts.get(name)]
    if moved:
        yield f"examples: {', '.join(moved)}"
    for side in SIDES:
        rows, rows_now = set(getattr(one, side)), set(getattr(other, side))
        if rows != rows_now:
            yield f"{side}: {len(rows)} to {len(rows_now)} rows, {len(rows & rows_now)} of them the same"
    yield from (f"split {text}" for text in _unlike(one.settings, other.settings, leave_out=("extends",)))
    if one.seed != other.seed:
        yield f"split seed {one.seed} to {other.seed}"


def contender_changes(home: Home, before: ContenderScore, now: ContenderScore) -> list[str]:
    """What is different in a contender's record, and in the run behind it."""
    one, other = _record(home, before.contender), _record(home, now.contender)
    if one is None or other is None:
        return ["another record"]
    said = []
    if one.instructions != other.instructions:
        said.append("instructions")
    for name in ("model", "too_long", "index"):
        if getattr(one, name) != getattr(other, name):
            said.append("index" if name == "index" else _moved(name, getattr(one, name), getattr(other, name)))
    if one.shots != other.shots:
        kept = len(set(one.shots) & set(other.shots))
        said.append(f"shots: {len(one.shots)} to {len(other.shots)}, {kept} of them the same")
    said += _unlike(one.settings, other.settings, leave_out=("completion", "run"))
    if one.decoding != other.decoding:
        said.append("decoding")
    if one.constraint != other.constraint:
        said.append("constraint")
    if before.run != now.run:
        said += _run_changes(home, before.run, now.run)
    elif one.adapter_hash != other.adapter_hash:
        said.append("adapter")
    inputs = [name for name in ("train side", "model", "task") if one.inputs.get(name) != other.inputs.get(name)]
    said += [f"{name} it was made from" for name in inputs if name != "task" or not said]
    return said or ["what it was made from"]


def _run_changes(home: Home, before: str | None, now: str | None) -> Iterator[str]:
    yield f"run {before or 'none'} to {now or 'none'}"
    runs = [found[0] if name and (found := home.latest("run", name, Run)) else None for name in (before, now)]
    if runs[0] is not None and runs[1] is not None:
        yield from _unlike(runs[0].config, runs[1].config)
        if runs[0].start != runs[1].start:
            yield _moved("start", runs[0].start, runs[1].start)


def _record(home: Home, name: str) -> Contender | None:
    entries = [e for e in home.index("contender") if e.hash == name]
    return home.load(entries[-1], Contender) if entries else None


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any], leave_out: tuple[str, ...] = ()) -> list[str]:
    names = [name for name in sorted({*one, *other}) if name not in leave_out]
    return [_moved(n, one.get(n), other.get(n)) for n in names if one.get(n) != other.get(n)]


def _moved(name: str, before: Any, now: Any) -> str:
    return f"{name} {_short(before)} to {_short(now)}"


def _short(value: Any) -> str:
    text = " ".join(str("none" if value is None else value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
