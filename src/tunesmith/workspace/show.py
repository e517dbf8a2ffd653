"""`show`: look at one example."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Example
from tunesmith.models.opening import model_folder
from tunesmith.models.template import Template
from tunesmith.workspace.home import Home

__all__ = ["mask", "show"]


def show(home: Home, example_id: str) -> Example:
    """The example whose id begins so."""
    found = home.store.example(example_id)
    if found is None:
        raise TunesmithError(
            f"No single example has an id that begins with {example_id!r}.",
            "take an id from `tunesmith check --json` or `tunesmith evaluate --json`, with more of its digits",
        )
    return found


def mask(home: Home, example: Example) -> list[tuple[str, bool]]:
    """The example as tokens, as training sees it: each token's text, and whether the model learns to produce it."""
    from tunesmith.contenders.kind import head, turns

    template = Template.open(model_folder(home.settings.model.base))
    encoded = template.encode(head(home.task.instructions, example) + turns(example), example.completion)
    texts = [template.tokenizer.decode([i]) for i in encoded.ids]
    return [(text, weight > 0) for text, weight in zip(texts, encoded.weights, strict=True)]
