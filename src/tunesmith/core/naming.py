"""Names of contenders: KIND, KIND:MODEL where another model is asked, tuned:RUN; with +schema the constrained one.

Names of metrics: METRIC, FIELD.METRIC, and either with :ENCODER.
"""

from __future__ import annotations

import re

__all__ = ["CONSTRAINED", "contender_name", "kind_named", "metric_parts", "model_named"]

CONSTRAINED = "+schema"
_WITH_ENCODER = re.compile(r"(?:(?P<field>.*?)\.)?(?P<metric>bertscore|semantic_similarity):(?P<encoder>.+)", re.DOTALL)
"""The metrics of texts that an encoder can be named for."""


def contender_name(kind: str, model: str | None = None, *, constrained: bool = False) -> str:
    """
    >>> contender_name("prompt"), contender_name("few_shot", "large", constrained=True)
    ('prompt', 'few_shot:large+schema')
    """
    return f"{kind}{f':{model}' if model else ''}{CONSTRAINED if constrained else ''}"


def kind_named(name: str) -> str:
    """
    >>> kind_named("prompt:large+schema"), kind_named("tuned:1a2b")
    ('prompt', 'tuned')
    """
    return name.removesuffix(CONSTRAINED).partition(":")[0]


def model_named(name: str) -> str | None:
    """The key under `contenders.models` of the model that it asks; None for the base model and for tuned ones.

    >>> model_named("prompt:large+schema"), model_named("prompt"), model_named("tuned:1a2b")
    ('large', None, None)
    """
    kind, _, model = name.removesuffix(CONSTRAINED).partition(":")
    return model if model and kind != "tuned" else None


def metric_parts(name: str) -> tuple[str, str, str]:
    """The field (empty where none is named), the metric, and its encoder, which may be a folder with a dot.

    A field may have a colon and dots in its name: an encoder stands only behind a metric that takes one.

    >>> metric_parts("reply.bertscore:./my.encoder"), metric_parts("accuracy"), metric_parts("dc:title.chrf")
    (('reply', 'bertscore', './my.encoder'), ('', 'accuracy', ''), ('dc:title', 'chrf', ''))
    """
    if found := _WITH_ENCODER.fullmatch(name):
        return found["field"] or "", found["metric"], found["encoder"]
    field, _, metric = name.rpartition(".")
    metric, _, encoder = metric.partition(":")
    return field, metric, encoder
