"""By what a model is scored while it learns: where rows are scored, that is part of what makes the run."""

from __future__ import annotations

from tunesmith.contenders import ContendersConfig
from tunesmith.evaluation.metrics import find
from tunesmith.tuning import LoraConfig
from tunesmith.tuning.going_on import ASKED_WITH, METRIC, OWN_METRICS
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.watched import watched_metric

__all__ = ["scoring_inputs"]


def scoring_inputs(home: Home, config: LoraConfig) -> dict[str, str]:
    """The metric as inputs of a run of ``config``, with the hash of the file if it is one of users' own, and how rows
    are answered if not as by default; nothing where no row is scored.

    Raises:
        UnknownName: The task has no metric of that name.
        TunesmithError: The users' own metrics cannot be loaded.
    """
    if not config.score_rows:
        return {}
    file, name = load_own_metrics(home), watched_metric(home)
    own = find(home.task, name).metric.own
    usual, asked_with = ContendersConfig(), dict[str, str]()
    for setting in ASKED_WITH:
        key = setting.removeprefix("contenders.")
        if (now := getattr(home.settings.contenders, key)) != getattr(usual, key):
            asked_with[setting] = str(now)
    return {METRIC: name} | ({OWN_METRICS: file} if own and file else {}) | asked_with
