"""`cost`: what each contender costs and brings, from what was measured and what tunesmith.yaml says."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError
from tunesmith.core.record import Record
from tunesmith.core.runs import Run
from tunesmith.core.store import Derived
from tunesmith.decision.costs import CostSheet, Figures, TuningTime
from tunesmith.decision.costs import cost as cost_sheet
from tunesmith.workspace.evaluate import Evaluation, newest
from tunesmith.workspace.home import Home
from tunesmith.workspace.prices import at_its_prices
from tunesmith.workspace.scoring import ContenderScore
from tunesmith.workspace.searched import search_of
from tunesmith.workspace.watched import watched_metric

__all__ = ["CostReport", "cost", "evaluation_entry", "newest_evaluation", "sheet"]


RIGHT = ("all_correct", "accuracy", "exact_match")
"""Metrics that are the share of answers which need no correction, the whole answer before one field."""


class CostReport(Record, frozen=True, kw_only=True):
    contenders: dict[str, CostSheet]
    side: str
    """Where the answers were measured that the figures rest on."""


def cost(home: Home) -> CostReport:
    """Cost sheets of all contenders of the newest evaluation; tuned ones are counted against the best simpler one."""
    evaluation = newest_evaluation(home)
    metric = watched_metric(home)
    simpler = {n: c for n, c in evaluation.contenders.items() if c.kind != "tuned"}
    sheets = {n: sheet(home, n, c) for n, c in simpler.items()}
    best = max(
        simpler, key=lambda n: simpler[n].metrics[metric].value if metric in simpler[n].metrics else -1.0, default=None
    )
    for name, scored in evaluation.contenders.items():
        if scored.kind == "tuned":
            sheets[name] = sheet(home, name, scored, against=sheets[best] if best else None)
    return CostReport(contenders=sheets, side=evaluation.side)


def newest_evaluation(home: Home) -> Evaluation:
    """That on test, if there is one for the present split; else that on validation."""
    return evaluation_entry(home)[0]


def evaluation_entry(home: Home) -> tuple[Evaluation, Derived]:
    """The same, and where it stands in the index."""
    split = home.index("split", "split")
    now = split[-1].hash if split else ""
    for side in ("test", "validation"):
        found = newest(home, side)
        if found is not None and found[1].inputs.get("split") == now and found[1].inputs["task"] == home.task.hash:
            return found
    raise TunesmithError(
        "Nothing was evaluated yet on the task and split as they are now.", "begin with `tunesmith baseline`"
    )


def sheet(home: Home, name: str, scored: ContenderScore, against: CostSheet | None = None) -> CostSheet:
    """What one contender costs and brings, by the prices of now."""
    right = next((scored.metrics[name] for name in RIGHT if name in scored.metrics), None)
    figures = Figures(
        name=name,
        prompt_tokens=scored.prompt_tokens or None,  # an earlier release took tokens that nobody counted for none
        completion_tokens=scored.completion_tokens if scored.prompt_tokens else None,
        seconds=scored.mean_seconds,
        usd=scored.usd,
        correct_rate=right.value if right is not None else None,
    )
    figures, prices = at_its_prices(home, figures, scored.kind)
    people = _by_people(home) if scored.kind in ("classifier", "few_shot", "retrieval", "tuned") else 0
    return cost_sheet(figures, prices, _tuning_time(home, scored.run), people, against=against)


def _by_people(home: Home) -> int:
    """Examples that people wrote, corrected or accepted: a synthetic one cost them nothing before it was reviewed."""
    examples = home.examples()
    synthetic = {e.id for e in examples if e.source == "synthetic"}
    return len(examples) - len(synthetic - home.store.reviews.reviewed() if synthetic else ())


def _tuning_time(home: Home, name: str | None) -> TuningTime | None:
    """That of a run with all trials of its search, and of the runs that it went on from, each with theirs."""
    seconds, runs, trials, seen = 0.0, 0, 0, set[str]()
    while name and name not in seen and (found := home.latest("run", name, Run)):
        run, searched = found[0], search_of(home, found[0])
        seen |= {name, *(t.run for t in searched.trials if t.run)} if searched else {name}
        seconds += max(run.seconds, searched.seconds) if searched else run.seconds
        trials += len(searched.trials) if searched else 0
        runs, name = runs + 1, run.start
    if not runs:
        return None
    earlier = [f"the run and {runs - 1} before it, from which it went on"] if runs > 1 else []
    searched_too = [f"with all {trials} trials of search"] if trials else []
    return TuningTime(seconds, "; ".join(earlier + searched_too))
