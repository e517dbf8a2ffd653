"""The metrics. Each is a plain function under one decorator line; its module's import registers it."""

from tunesmith.evaluation.metrics import bleu, chrf, completion, labels, rouge, values
from tunesmith.evaluation.metrics.naming import Named, default_names, find, names
from tunesmith.evaluation.metrics.registry import Metric, metric

__all__ = [
    "Metric",
    "Named",
    "bleu",
    "chrf",
    "completion",
    "default_names",
    "find",
    "labels",
    "metric",
    "names",
    "rouge",
    "values",
]
