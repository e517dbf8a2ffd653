"""A user's own metric: one decorated function in a Python file that `tunesmith.yaml` names.

Loading a file is not done here: it is code, and `workspace` asks for trust first.
"""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.examples import Example
from tunesmith.core.statistics import Tally, mean_tally
from tunesmith.evaluation.metrics.registry import Better, Metric
from tunesmith.evaluation.scored import Scored

__all__ = ["Case", "own_metric", "own_metrics_in"]

MARK = "_tunesmith_metric"


@dataclass(frozen=True)
class Case:
    """One example and what a contender said to it."""

    example: Example
    truth: dict[str, Any]
    """Fields of the example's completion."""
    said: dict[str, Any] | None
    """Fields of the answer; None where it cannot be read."""
    text: str
    """The answer as it was written."""

    @property
    def prompt(self) -> str:
        return self.example.prompt


Judged = Callable[[Case], float | bool | None]
F = TypeVar("F", bound=Judged)


def own_metric(name: str, *, better: Better = "higher", rate: bool = False) -> Callable[[F], F]:
    """Make a metric of a function that gives each answer a number from 0 to 1, or None where it cannot be measured.

    Args:
        name: What results and `bar:` call it: letters, digits and ``_``.
        better: Which way is better; only a metric that is better when higher can be the bar.
        rate: Whether each answer is just right (1) or wrong (0), which makes intervals and tests exact.

    >>> @own_metric("thanks", rate=True)
    ... def thanks(case):
    ...     return case.said is not None and "thank" in case.said["reply"].lower()
    """
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name for a metric: use letters, digits and _")

    def enter(judge: F) -> F:
        made = Metric(name, "completion", lambda scored: _tally(name, judge, rate, scored), rate, 1.0, True,
                      better=better, own=True)  # fmt: skip
        setattr(judge, MARK, made)
        return judge

    return enter


def own_metrics_in(names: dict[str, Any]) -> list[Metric]:
    """The metrics among what a file defines, in its order."""
    found = (getattr(thing, MARK, None) for thing in names.values())
    return list(dict.fromkeys(one for one in found if isinstance(one, Metric)))


def _tally(name: str, judge: Judged, rate: bool, scored: Scored) -> Tally:
    values = []
    for row in scored.rows:
        case = Case(row.example, dict(row.truth), None if row.said is None else dict(row.said), row.text)
        try:
            with redirect_stdout(sys.stderr):  # stdout is for what the verb says
                value = judge(case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # somebody else's code: what it raises is told, and nothing is scored
            raise NothingToMeasure(
                f"{name} raised {type(error).__name__}: {error} ({_where(error)}), on example {row.example.id}",
                "mend the metric, then run `tunesmith evaluate --trust-code`",
            ) from error
        values.append(math.nan if value is None else _number(name, value, rate, row.example.id))
    return mean_tally(np.array(values, dtype=np.float64))


def _number(name: str, value: Any, rate: bool, example: str) -> float:
    known = isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating)
    if known and 0 <= value <= 1 and (not rate or value in (0, 1)):
        return float(value)
    wanted, given = "0 or 1" if rate else "a number from 0 to 1", value if known else type(value).__name__
    raise NothingToMeasure(
        f"{name} gave {given}, which is not {wanted} (nor None), on example {example}",
        "mend the metric, then run `tunesmith evaluate --trust-code`",
    )


def _where(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rpartition('/')[2]}, line {last.lineno}"
