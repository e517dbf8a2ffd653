"""Which records a decision's facts are taken from, and where they lie: what its evidence points at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tunesmith.core.codec import digest
from tunesmith.core.runs import Run
from tunesmith.core.store import Derived
from tunesmith.decision.facts import HandedOn, Source
from tunesmith.workspace.cost import evaluation_entry
from tunesmith.workspace.evaluate import newest
from tunesmith.workspace.export import Export
from tunesmith.workspace.forgetting import forgetting_entry
from tunesmith.workspace.home import Home
from tunesmith.workspace.judged_runs import counted_runs
from tunesmith.workspace.opinions import round_that_counts
from tunesmith.workspace.settings import FILE

__all__ = ["export_entries", "handed_on", "sources"]


def sources(home: Home, runs: Mapping[str, Run]) -> dict[str, Source]:
    """By the names that the rules use. What is not there is left out."""
    settings = home.settings
    bar = settings.bar.model_dump(mode="json") if settings.bar else None
    others = [part.model_dump(mode="json") for part in (settings.costs, settings.forgetting)]
    written = digest([bar, settings.decision.as_kept(), *others])
    evaluated = evaluation_entry(home)
    found = {
        "settings": Source(kind="settings", name=FILE, hash=written, path=FILE),
        "store": Source(kind="store", name="store.db", path=f"{home.inside.name}/store.db"),
        "evaluation": _source(home, evaluated[1]),
    }
    validation = newest(home, "validation")
    entries: dict[str, Derived | None] = {"validation": validation[1] if validation else None}
    for name, kind, of in (
        ("split", "split", "split"),
        ("check", "check", "check"),
        ("curve", "curve", "classifier"),
        ("calibration", "calibration", "judge"),
    ):
        entries[name] = _last(home.index(kind, of))
    if judged := counted_runs(home, evaluated[0]):
        entries["judged"] = judged.entry
        entries |= {f"judged:{name}": entry for name, entry in judged.older.items()}
    counted = round_that_counts(home, evaluated[0])
    entries["rating"] = counted.entry if counted else None
    for name, run in runs.items():
        entries[f"run:{name}"] = _last(e for e in home.index("run", name))
        entries[f"forgetting:{name}"] = forgetting_entry(home, run)
        entries[f"export:{name}"] = _last(export_entries(home, run))
    return found | {name: _source(home, entry) for name, entry in entries.items() if entry is not None}


def export_entries(home: Home, run: Run) -> list[Derived]:
    """Of the exports of this run's very model, oldest first; those that failed parity too."""
    return [e for e in home.index("export", run.name) if e.inputs.get("run") == run.adapter_hash]


def handed_on(home: Home, run: Run) -> tuple[HandedOn, ...]:
    """The newest export of a run for each target, whether or not it said what was measured."""
    newest_of: dict[tuple[str, str], Export] = {}
    for entry in export_entries(home, run):
        export = home.load(entry, Export)
        newest_of.pop((export.to, export.part), None)
        newest_of[export.to, export.part] = export
    return tuple(
        HandedOn(
            to=f"{export.to} ({export.part})" if export.part else export.to,
            passed=export.parity.passed,
            because=export.parity.because,
            loader=export.parity.loader,
            difference=export.parity.difference,
            limit=export.parity.limit,
        )
        for export in newest_of.values()
    )


def _last(entries: Iterable[Derived]) -> Derived | None:
    return next(reversed(list(entries)), None)


def _source(home: Home, entry: Derived) -> Source:
    path = f"{home.inside.name}/{entry.kind}/{entry.hash}.json"
    return Source(kind=entry.kind, name=entry.name, hash=entry.hash, path=path)
