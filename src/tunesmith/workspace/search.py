"""`tune --search`: settings tried on validation within a budget; the best run becomes the tuned contender.

Each trial is a run like any other, named by what goes into it. After each one the record of the search is kept, and all
that comes next follows from it, so a search that was interrupted or killed goes on where it was.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from tunesmith.core import codec
from tunesmith.core.codec import digest
from tunesmith.core.errors import NotEnoughMemory, TunesmithError
from tunesmith.core.files import write_whole
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.runs import Run
from tunesmith.core.search import Search, Trial
from tunesmith.core.statistics import group_codes
from tunesmith.data.readers.options import Say, silent
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.search_evidence import RowLoss, compared, in_words, optimism
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.bench import Bench, run_name
from tunesmith.workspace.home import Home
from tunesmith.workspace.made_under import trained_under
from tunesmith.workspace.preferring import preferring
from tunesmith.workspace.too_early import refuse_too_early
from tunesmith.workspace.tuning_settings import tuning_config

if TYPE_CHECKING:
    from tunesmith.tuning.rows import Sides

__all__ = ["Budget", "Found", "read_budget", "search"]

MOST_ROWS = 300
"""Validation rows on which trials are compared one by one, drawn by the seed."""
LOSSES = "row_losses.json"


class Budget(NamedTuple):
    """What a search may take; what is None does not bound it."""

    trials: int | None = None
    minutes: float | None = None


class Found(NamedTuple):
    """What a search brought."""

    search: Search
    run: Run
    """The best trial's."""


def read_budget(text: str) -> Budget:
    """A number of trials, or a time in minutes or hours.

    Raises:
        TunesmithError: It is neither.

    >>> read_budget("12"), read_budget("90m").minutes, read_budget("1.5h").minutes
    (Budget(trials=12, minutes=None), 90.0, 90.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(m|min|minutes|h|hours|trials)?", text.strip())
    number = float(found[1]) if found else 0.0
    unit = found[2] if found else None
    if unit in ("h", "hours", "m", "min", "minutes") and number > 0:
        return Budget(minutes=number * (60 if unit.startswith("h") else 1))
    if unit in (None, "trials") and number >= 1 and number == int(number):
        return Budget(trials=int(number))
    raise TunesmithError(
        f"{text!r} is no budget for a search.", "give a number of trials, such as 12, or a time, such as 90m or 2h"
    )


def search(
    home: Home, *, budget: Budget, anyway: bool = False, selection: str | None = None, resume: bool = False,
    progress: Progress = quiet, say: Say = silent, **changes: Any,
) -> Found:  # fmt: skip
    """Try settings until the budget is spent, compare the trials, and freeze the best one as `tuned`.

    Called again with more of a budget it goes on with the same trials. With ``resume``, one that would begin a new
    search is refused.

    Raises:
        TunesmithError: It is too early and ``anyway`` is not set, Optuna is not there, there is no search to go on
            with, or every trial failed.
    """
    from tunesmith.tuning.search import check_installed

    check_installed()
    reasons = refuse_too_early(home, anyway)
    config = tuning_config(home, changes, selection)
    _ask_searchable(config)
    preferring(home, config, None, changes, selection)  # refuses what is about preferences
    with home.alone("tune"):
        answering = Answering(home)
        if reasons:
            home.store.write_ledger("override", {"verb": "tune --search", "flag": "--anyway", "passed": reasons})
        bench = Bench(home, answering, config, selection, say)
        searching = _Searching(home, bench, config, budget, reasons, progress, say)
        if resume and not searching.begun:
            raise TunesmithError(
                "No search was begun with what goes into this one.",
                "give the settings and flags it was begun with, or leave out --resume to begin one",
            )
        found = searching.search()
        answering.freeze(found.run, trained_under(home, config))
    return found


def _ask_searchable(config: LoraConfig) -> None:
    """Raises:
    TunesmithError: Its trials would be no adapters that learn completions."""
    if config.method == "full":
        raise TunesmithError(
            "A search compares adapters, and tuning.method is full: each trial would keep a whole model.",
            "set tuning.method to lora, or look for a rate with `tunesmith tune --range-test`",
        )
    if config.objective == "dpo":
        raise TunesmithError(
            "A search compares trials by their loss on completions, and the objective is dpo.",
            "leave out --search; then compare runs of other dpo_beta or dpo_learning_rate by their reward accuracy",
        )


class _Searching:
    """One call of ``search``."""

    def __init__(
        self, home: Home, bench: Bench, config: Any, budget: Budget, reasons: Sequence[str], progress: Progress,
        say: Say,
    ) -> None:  # fmt: skip
        from tunesmith.tuning.methods import check_rank
        from tunesmith.tuning.search import Space
        from tunesmith.tuning.trainer import encode_sides

        self.home, self.bench, self.budget, self.reasons = home, bench, budget, reasons
        self.progress, self.say, self.seed = progress, say, config.seed
        self.space = Space.of(config, home.settings.search)
        check_rank(bench.base, config, self.space.rank)
        self.inputs = bench.inputs(config)
        self.name = digest([self.inputs, self.space.choices])[:8]
        self.sides: Sides = encode_sides(bench.base, bench.train, bench.validation, config)
        kept = home.latest("search", self.name, Search)
        self.trials: list[Trial] = list(kept[0].trials) if kept else []
        self.before = sum(trial.seconds for trial in self.trials)
        self.began = time.monotonic()

    @property
    def begun(self) -> bool:
        """Whether a trial was begun, though it may have been interrupted."""
        first = run_name(self.bench.inputs(self.space.configure(self.space.own)) | {"search": self.name})
        return bool(self.trials) or (self.home.inside / "runs" / first).is_dir()

    def search(self) -> Found:
        while not self._over():
            self.trials.append(self._try())
            self._save(self._record())
        measured = [trial for trial in self.trials if trial.validation_loss is not None]
        if not measured:
            raise TunesmithError(
                f"All {len(self.trials)} trials failed, the last one so: {self.trials[-1].problem}",
                "set tuning.learning_rate or search.learning_rate lower, then search again",
            )
        best = min(measured, key=lambda trial: trial.validation_loss or 0.0)
        record = self._compared(best)
        self._save(record)
        assert best.run is not None
        found = self.home.latest("run", best.run, Run)
        assert found is not None  # saved when its trial ended
        run, entry = found
        self.home.save("run", run.name, run, entry.inputs)  # so that `tuned`, the newest run, is this one
        return Found(record, run)

    def _over(self) -> bool:
        """Whether the budget is spent; one trial is always done."""
        if not self.trials:
            return False
        trials, minutes = self.budget
        done = trials is not None and len(self.trials) >= trials
        return done or (minutes is not None and self._seconds() >= 60 * minutes)

    def _seconds(self) -> float:
        return self.before + time.monotonic() - self.began

    def _try(self) -> Trial:
        from tunesmith.tuning.going_on import CHECKPOINT
        from tunesmith.tuning.loop import Diverged
        from tunesmith.tuning.search import hopeless, propose

        number = len(self.trials) + 1
        settings = propose(self.space, self.trials, self.seed)
        named = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in settings.items())
        ended: list[str] = []

        def stop(losses: Sequence[float]) -> bool:
            if hopeless(self.space, self.trials, losses, self.seed):
                ended.append("pruned")
            elif self.budget.minutes is not None and number > 1 and self._seconds() >= 60 * self.budget.minutes:
                ended.append("budget")
            return bool(ended)

        def told(done: int, total: int, note: str = "") -> None:
            whole = max(self.budget.trials or number, number)
            self.progress((number - 1) * total + done, whole * total, f"trial {number} ({named}): {note}")

        try:
            run = self.bench.run(
                self.space.configure(settings), also={"search": self.name}, reasons=self.reasons, progress=told,
                sides=self.sides, stop=stop,
            )  # fmt: skip
        except (Diverged, NotEnoughMemory) as error:
            if number == 1 and isinstance(error, NotEnoughMemory):
                raise  # the settings as they stand
            self.say(f"trial {number} ({named}): {error.problem}")
            name = run_name(self.bench.inputs(self.space.configure(settings)) | {"search": self.name})
            (self.home.inside / "runs" / name / CHECKPOINT).unlink(missing_ok=True)  # nothing goes on with it
            return Trial(number=number, settings=settings, state="failed", problem=error.problem)
        losses = tuple(point["validation_loss"] for point in run.curve if "validation_loss" in point)
        trial = Trial(
            number=number, settings=settings, run=run.name, state="complete", losses=losses,
            validation_loss=run.validation_loss, validation_score=run.validation_score, best_step=run.best_step,
            steps=run.steps, seconds=run.seconds,
        )  # fmt: skip
        if run.stopped_early:  # a finished run that is met again does not ask, so ask here
            ended.clear()
            stop(losses)
            trial = replace(trial, state="pruned" if "pruned" in ended else "budget" if ended else "complete")
        self.say(f"trial {number} ({named}): validation loss {run.validation_loss:.4f}, {trial.state}")
        return trial

    def _compared(self, best: Trial) -> Search:
        """The trials that ran to their end beside the best one, row by row."""
        whole = [t for t in self.trials if t.run and (t.state != "pruned" or t.number == best.number)]
        rows = self._drawn()
        losses = {trial.number: self._losses(trial, rows) for trial in whole}
        named = self._groups()
        groups = group_codes([named[row] for row in rows])
        flattered = optimism(list(losses.values()), groups, self.seed)
        trials = compared(self.trials, best.number, losses, groups)
        return replace(
            self._record(), trials=tuple(trials), best=best.number, rows=len(rows), optimism=flattered,
            said=in_words(trials, len(self.sides.watched.examples), flattered),
        )  # fmt: skip

    def _groups(self) -> list[str | None]:
        """The group of each row that is watched; each its own where some were left out as too long."""
        validation = set(self.bench.answering.split.validation)
        groups = [e.group for e in self.home.examples() if e.id in validation]
        watched = len(self.sides.watched.examples)
        return groups if len(groups) == watched else [None] * watched

    def _drawn(self) -> list[int]:
        """Numbers of the rows that trials are compared on."""
        count = len(self.sides.watched.examples)
        return sorted(random.Random(self.seed).sample(range(count), min(MOST_ROWS, count)))

    def _losses(self, trial: Trial, rows: Sequence[int]) -> list[RowLoss]:
        """Of these rows under the trial's adapter; kept beside it."""
        from tunesmith.tuning.row_losses import row_losses

        found = self.home.latest("run", trial.run or "", Run)
        assert found is not None
        path = self.home.inside / "runs" / found[0].name / LOSSES
        asked = digest([found[0].adapter_hash, [self.sides.watched.examples[row] for row in rows]])
        if path.exists() and (kept := codec.decode(path.read_bytes(), _Kept)).asked == asked:
            return [RowLoss(*pair) for pair in kept.losses]
        watched = [self.sides.watched.examples[row] for row in rows]
        adapter = self.home.inside / found[0].adapter
        self.progress(trial.number, len(self.trials), f"comparing trial {trial.number} on {len(rows)} rows")
        made = row_losses(self.bench.base, adapter, watched, self.space.configure(trial.settings))
        write_whole(path, codec.encode(_Kept(asked=asked, losses=[(loss.nats, loss.weight) for loss in made])))
        return made

    def _record(self) -> Search:
        return Search(
            name=self.name, seed=self.seed, space=self.space.choices, trials=tuple(self.trials), inputs=self.inputs,
            seconds=sum(trial.seconds for trial in self.trials),
        )  # fmt: skip

    def _save(self, record: Search) -> None:
        self.home.save("search", self.name, record, self.inputs)


class _Kept(msgspec.Struct):
    """Losses as they are kept."""

    asked: str
    """Hash of the adapter and the rows."""
    losses: list[tuple[float, float]]
