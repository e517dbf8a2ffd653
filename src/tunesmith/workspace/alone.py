"""How long one waits for an answer that is asked for alone. Answers made in batches only say how fast the work goes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tunesmith.core.contenders import Contender
from tunesmith.core.examples import Example
from tunesmith.core.naming import model_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.workspace.answering import Answering

__all__ = ["TIMED", "seconds_alone"]

TIMED = 9
"""Answers that are timed; odd, so that the median is one of them."""


def seconds_alone(
    answering: Answering,
    record: Contender,
    examples: Sequence[Example],
    called: float | None,
    progress: Progress = quiet,
) -> float | None:
    """Median seconds of an answer, over the first ``TIMED`` of ``examples``, each asked for when the last is there.

    One answer more goes before them and does not count: what takes time once is not an answer's time. Nothing is saved.

    Args:
        called: The same of calls that were made anyway; it is the answer where the model is behind an address.

    Returns:
        None where no answer came.
    """
    if record.model is not None and answering.server(model_named(record.name)).base_url:
        return called
    seconds = []
    some = examples[:TIMED]
    for done, took in enumerate(answering.one_by_one(record, [*some[:1], *some]), start=1):
        seconds.append(took)
        progress(done, len(some) + 1, f"{record.name}, one by one")
    return median(counted) if (counted := [s for s in seconds[1:] if s is not None]) else None
