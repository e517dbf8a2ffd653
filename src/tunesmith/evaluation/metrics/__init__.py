"""The metrics. Each is a plain function under one decorator line; its module's import registers it."""

from tunesmith.evaluation.metrics import (
    averages,
    bleu,
    calibration,
    chrf,
    completion,
    entities,
    labels,
    leaves,
    lengths,
    meaning,
    rouge,
    values,
)
from tunesmith.evaluation.metrics.naming import Named, default_names, find, names
from tunesmith.evaluation.metrics.registry import Metric, metric

__all__ = [
    "Metric",
    "Named",
    "averages",
    "bleu",
    "calibration",
    "chrf",
    "completion",
    "default_names",
    "entities",
    "find",
    "labels",
    "leaves",
    "lengths",
    "meaning",
    "metric",
    "names",
    "rouge",
    "values",
]
