"""The task's own metric while a model learns: validation rows answered with the adapter as it is, and scored."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from tunesmith.contenders import contender_kind, open_contender
from tunesmith.contenders.kind import Predicting
from tunesmith.core.errors import TunesmithError
from tunesmith.core.runs import Run
from tunesmith.evaluation.metrics import find
from tunesmith.evaluation.scores import score
from tunesmith.models.adapter_folder import adapter_hash
from tunesmith.tuning import LoraConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.watched import watched_metric

__all__ = ["scorer"]


def scorer(
    home: Home, answering: Answering, config: LoraConfig, inputs: dict[str, str]
) -> Callable[[Path], float] | None:
    """Scores an adapter's folder by the bar's metric, or the task's first where no bar is set; None if not wanted.

    It answers `tuning.score_rows` validation rows, drawn by the seed and the same at each look, as the tuned contender
    will.

    Args:
        inputs: Those of the run.

    Raises:
        UnknownName: The task has no metric that the bar names.
    """
    if not config.score_rows:
        return None
    load_own_metrics(home)
    task, metric = home.task, watched_metric(home)
    find(task, metric)
    side = set(answering.split.validation)
    rows = sorted((example for example in home.examples() if example.id in side), key=lambda example: example.id)
    drawn = random.Random(config.seed).sample(rows, min(config.score_rows, len(rows)))

    def scored(adapter: Path) -> float:
        run = Run(
            name=adapter.parent.name, config=config.model_dump(mode="json"), seed=config.seed, inputs=inputs,
            best_step=0, validation_loss=0.0, peak_memory_bytes=0, examples_per_second=0.0, seconds=0.0, steps=0,
            adapter=str(adapter.relative_to(home.inside)), adapter_hash=adapter_hash(adapter),
        )  # fmt: skip
        context = answering.context(run=run)
        ready = open_contender(contender_kind["tuned"].make(context), context)
        assert not isinstance(ready, Predicting)  # a tuned model is asked
        found = score(task, drawn, list(answering.unsaved(ready, drawn)), metrics=[metric])
        if metric not in found.metrics:
            raise TunesmithError(
                f"{metric} could not be measured on {len(drawn)} validation rows: {found.unmeasured[metric]}.",
                "name another metric in `bar:`, or set tuning.score_rows to 0",
            )
        return found.metrics[metric].value

    return scored
