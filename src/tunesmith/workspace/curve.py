"""`curve`: would more examples help? Measured by learning from parts of the train side, told on validation."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np
from msgspec.structs import replace

from tunesmith.contenders import Known, contender_kind, open_contender
from tunesmith.contenders.kind import Predicting
from tunesmith.core.codec import digest
from tunesmith.core.decisions import Reach
from tunesmith.core.errors import NothingToMeasure, TunesmithError, UnknownName
from tunesmith.core.examples import Example
from tunesmith.core.naming import metric_parts
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.statistics import fit_power_law
from tunesmith.evaluation import score
from tunesmith.evaluation.metrics import metric as metric_by_name
from tunesmith.models.embedder import embedder_hash
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.evaluate import rows_of
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import load_own_metrics
from tunesmith.workspace.watched import watched_metric

__all__ = ["CurvePoint", "CurveReport", "Gain", "curve", "curve_inputs", "reach"]

SHARES = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
FEWEST = 10
LEARNERS = ("classifier",)
WORTH = 0.01
"""A gain below this share of the metric's range is called none: a point of a rate, less than most tests can show."""
REFITS = 500
FARTHEST = 20
"""Times the present train side: what a curve says of more than that is a guess, and is not told."""


class CurvePoint(Record, frozen=True, kw_only=True):
    """What was reached with so many train examples."""

    examples: int
    value: float
    """Mean over the draws."""
    lowest: float
    highest: float
    """Over the draws: how much it matters which examples one happens to have."""
    draws: int
    values: tuple[float, ...] = ()
    """Of each draw."""


class Gain(Record, frozen=True, kw_only=True):
    """What more examples of the same kind are expected to bring."""

    examples: int
    """Train examples in all."""
    value: float
    """The metric with so many, by the fitted curve."""
    gain: float
    """Over the present number of examples, by the same curve."""
    low: float
    high: float
    """Of the gain: 95 % of refits on draws taken at random. What the curve's form and the choice of validation examples
    leave open is not in it."""


class CurveReport(Record, frozen=True, kw_only=True):
    contender: str
    metric: str
    validation: int
    """Examples that every point was measured on."""
    points: tuple[CurvePoint, ...]
    expected: tuple[Gain, ...] = ()
    """With two and four times the train examples; empty where no curve could be fitted."""
    says: str
    """The answer in words."""
    reaches: Reach | None = None
    """How many train examples the quality bar takes, where the curve is of the bar's metric."""
    seed: int = 0


def curve(
    home: Home, *, contender: str = "classifier", metric: str | None = None, draws: int = 5, seed: int = 0,
    progress: Progress = quiet,
) -> CurveReport:  # fmt: skip
    """Let a contender learn from growing parts of the train side, one group after the other.

    Args:
        metric: One that is better when higher. Default: the bar's, or ``all_correct``.

    Raises:
        TunesmithError: The contender does not learn from all train examples, there are too few of them or none to
            measure on, or the metric is not better when higher.
        UnknownName: There is no such contender or metric.
    """
    if contender not in LEARNERS:
        raise UnknownName.among("contender that learns in seconds", contender, LEARNERS)
    answering = Answering(home)
    load_own_metrics(home)
    metric = metric or watched_metric(home)
    bottom, top = _range(metric)
    watched = rows_of(home, answering.split, "validation", None, seed)
    sizes = _sizes(len(answering.known.train))
    measured: dict[int, list[float]] = {}
    for done, (size, part) in enumerate(_parts(answering.known.train, sizes, draws, seed), start=1):
        measured.setdefault(size, []).append(_reached(answering, contender, part, watched, metric))
        progress(done, len(sizes) * draws, f"{len(part)} examples")
    points = tuple(
        CurvePoint(
            examples=size, value=fmean(found), lowest=min(found), highest=max(found), draws=len(found),
            values=tuple(found),
        )
        for size, found in sorted(measured.items())
    )  # fmt: skip
    expected = tuple(_gain(measured, factor * sizes[-1], seed, top) for factor in (2, 4))
    report = CurveReport(
        contender=contender, metric=metric, validation=len(watched), points=points, expected=expected,
        says=_in_words(contender, metric, points, expected, WORTH * (top - bottom)), seed=seed,
    )  # fmt: skip
    bar = home.settings.bar
    if bar is not None and bar.metric == metric:
        report = replace(report, reaches=reach(report, bar.value))
    home.save("curve", contender, report, curve_inputs(home, answering))
    return report


def curve_inputs(home: Home, answering: Answering) -> dict[str, str]:
    """What a curve is measured from, as it is now."""
    settings = home.settings
    return {
        "task": home.task.hash,
        "split": answering.split.hash,
        "embedder": embedder_hash(settings.model.embedder),
        "classifier": digest(settings.contenders.classifier.model_dump(mode="json")),
    }


def reach(report: CurveReport, value: float) -> Reach:
    """How many train examples the curve says that ``value`` takes, with 95 % of refits on draws taken at random."""
    now = report.points[-1].examples
    asked = Reach(contender=report.contender, metric=report.metric, value=value, now=now)
    if not all(p.values for p in report.points):
        return replace(asked, because="an earlier release drew the curve")
    _, top = _range(report.metric)
    sizes = [p.examples for p in report.points]
    drawn = np.random.default_rng(report.seed)

    def needed(values: Sequence[float]) -> float:
        return fit_power_law(sizes, [top - found for found in values]).examples(top - value)

    told = needed([p.value for p in report.points])
    draws = ([fmean(drawn.choice(p.values, len(p.values))) for p in report.points] for _ in range(REFITS))
    refits = sorted(needed(values) for values in draws)
    low, high = (refits[round(share * (REFITS - 1))] for share in (0.025, 0.975))
    if told > FARTHEST * now:
        never = "and never gets there" if np.isinf(told) else f"and takes more than {FARTHEST} times as many examples"
        low_end = _whole(low, now)
        return replace(asked, low=low_end, because=f"it flattens {never}")
    rough = "it is drawn from few parts of the train side, and goes beyond what was measured" if told > now else None
    if told <= sizes[0]:
        rough = "the smallest part that was measured reaches it already, and it may be fewer"
    told, low, high = (max(found, sizes[0]) for found in (told, low, high))
    return replace(asked, examples=_whole(told, now), low=_whole(low, now), high=_whole(high, now), because=rough)


def _whole(examples: float, now: int) -> int | None:
    """To two digits, which is more than a curve knows; None beyond what is told."""
    if examples > FARTHEST * now:
        return None
    step: int = 10 ** max(0, len(str(int(examples))) - 2)
    return int(step * round(examples / step))


def _sizes(train: int) -> list[int]:
    sizes = sorted({round(share * train) for share in SHARES if round(share * train) >= FEWEST})
    if len(sizes) < 3:
        raise NothingToMeasure(
            f"With {train} train examples there is no curve to draw.", "add examples with `tunesmith add FILE`"
        )
    return sizes


def _parts(
    train: Sequence[Example], sizes: Sequence[int], draws: int, seed: int
) -> Iterator[tuple[int, list[Example]]]:
    """Of each draw the groups in random order, and as many of them as each size takes."""
    groups: dict[str, list[Example]] = {}
    for example in train:
        groups.setdefault(example.group or example.id, []).append(example)
    for draw in range(draws):
        names = sorted(groups)
        random.Random(f"{seed} {draw}").shuffle(names)
        rows = [example for name in names for example in groups[name]]
        for size in sizes:
            yield size, rows[:size]


def _reached(
    answering: Answering, kind: str, part: Sequence[Example], watched: Sequence[Example], metric: str
) -> float:
    split = replace(answering.split, train=tuple(sorted(e.id for e in part)))
    known = Known(part, split, answering.known.documents)
    context = answering.context(known=known)
    ready = open_contender(contender_kind[kind].make(context), context)
    if not isinstance(ready, Predicting):
        raise TunesmithError(f"{kind} asks a model for each answer.", f"choose one of {', '.join(LEARNERS)}")
    scored = score(answering.home.task, watched, list(answering.predicted(ready, watched)), metrics=(metric,))
    if metric not in scored.metrics:
        raise NothingToMeasure(f"{metric} cannot be measured: {scored.unmeasured.get(metric)}", "choose another metric")
    return scored.metrics[metric].value


def _range(name: str) -> tuple[float, float]:
    """The lowest and the highest value of a metric that is better when higher."""
    named = metric_by_name[metric_parts(name)[1]]
    if named.better != "higher":
        raise TunesmithError(
            f"A curve of {name} would not say what more examples bring: higher is not better.",
            "name one that is better when higher with `--metric`",
        )
    return named.bottom, named.top


def _gain(measured: dict[int, list[float]], examples: int, seed: int, top: float) -> Gain:
    sizes = sorted(measured)
    drawn = np.random.default_rng(seed)

    def gain(values: Sequence[float]) -> tuple[float, float]:
        law = fit_power_law(sizes, [top - value for value in values])
        return top - law.error(examples), law.error(sizes[-1]) - law.error(examples)

    value, expected = gain([fmean(measured[size]) for size in sizes])
    refits = [
        gain([fmean(drawn.choice(measured[size], len(measured[size]))) for size in sizes])[1] for _ in range(REFITS)
    ]
    low, high = np.quantile(refits, [0.025, 0.975])
    return Gain(examples=examples, value=value, gain=expected, low=float(low), high=float(high))


def _in_words(
    contender: str, metric: str, points: Sequence[CurvePoint], expected: Sequence[Gain], worth: float
) -> str:  # fmt: skip
    now, double = points[-1], expected[0]
    where = f"{contender} reaches {metric} {now.value:.3f} with {now.examples} train examples"
    span = f"{double.gain:+.3f} [{double.low:+.3f}, {double.high:+.3f}]"
    if double.high < worth:
        return f"{where}; twice as many of the same kind would hardly help ({span}): look at their quality instead."
    if double.low > worth:
        return f"{where}; twice as many of the same kind are worth about {span}: gather more."
    return f"{where}; what twice as many would bring is not clear ({span})."
