"""Which metric is looked at first: the bar's, or what the task itself names where no bar is set."""

from __future__ import annotations

from tunesmith.evaluation.failures.outcomes import telling_metric
from tunesmith.evaluation.metrics import default_names
from tunesmith.workspace.home import Home

__all__ = ["watched_metric"]


def watched_metric(home: Home) -> str:
    """The bar's metric. Without a bar the one that says most of one answer by itself, or, where ``evaluation.metrics``
    does not name that one, the first that it names."""
    if home.settings.bar is not None:
        return home.settings.bar.metric
    telling = telling_metric(home.task, None)
    measured = home.settings.evaluation.metrics or default_names(home.task)
    return telling if telling in measured else measured[0]
