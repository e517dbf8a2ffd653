"""Names of contenders: KIND, KIND:MODEL where another model is asked, tuned:RUN; with +schema the constrained one.

Names of metrics: METRIC, FIELD.METRIC, and either with :ENCODER.
"""

from __future__ import annotations

__all__ = ["CONSTRAINED", "contender_name", "kind_named", "metric_parts", "model_named"]

CONSTRAINED = "+schema"


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

    >>> metric_parts("reply.bertscore:./my.encoder"), metric_parts("accuracy")
    (('reply', 'bertscore', './my.encoder'), ('', 'accuracy', ''))
    """
    metric, _, encoder = name.partition(":")
    field, _, metric = metric.rpartition(".")
    return field, metric, encoder
