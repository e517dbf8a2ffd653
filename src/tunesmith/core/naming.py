"""Names of contenders: KIND, KIND:MODEL where another model is asked, tuned:RUN; with +schema the constrained one."""

from __future__ import annotations

__all__ = ["CONSTRAINED", "contender_name", "kind_named", "model_named"]

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
