"""`show`: look at one example, where it comes from, and what became of it."""

from __future__ import annotations

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Origin, Source
from tunesmith.core.record import Record
from tunesmith.core.store import Change, Review
from tunesmith.models.opening import model_folder
from tunesmith.models.template import Template
from tunesmith.workspace.home import Home

__all__ = ["Provenance", "example_id", "mask", "provenance", "show"]


class Provenance(Record, frozen=True, kw_only=True):
    """Where an example comes from, and who had a hand in it."""

    source: Source
    origin: Origin | None
    licence: str | None
    group: str | None
    time: str | None = None
    """When it happened."""
    added_at: str
    removed_at: str | None = None
    """When it went out of use; None while it is in use."""
    lineage: tuple[str, ...] = ()
    """Ids of the examples a synthetic one was made from."""
    changes: tuple[Change, ...] = ()
    """What led to it and away from it, oldest first."""
    reviews: tuple[Review, ...] = ()
    """What reviewers said of it and of what it was before, oldest first."""


def show(home: Home, example: str) -> Example:
    """The example whose id begins so.

    Raises:
        TunesmithError: There is none, there are several, or it was erased.
    """
    whole = example_id(home, example)
    found = home.store.example(whole)
    if found is None:
        change = next(c for c in home.store.changes.all("erase") if c.old == whole)
        raise TunesmithError(
            f"Example {whole} was erased on {change.at[:10]} by {change.by}; nothing of what it said is left.",
            f"see what is known of it with `tunesmith data history {whole}`",
        )
    return found


def example_id(home: Home, prefix: str) -> str:
    """The whole id of the one example, in use or not, whose id begins so.

    Raises:
        TunesmithError: There is none, or several begin so.
    """
    found = home.store.named(prefix)
    if len(found) != 1:
        raise TunesmithError(
            f"No single example has an id that begins with {prefix!r}.",
            "take an id from `tunesmith check --json` or `tunesmith evaluate --json`, with more of its digits",
        )
    return found[0]


def provenance(home: Home, example: Example) -> Provenance:
    """All that is known of where the example comes from."""
    life = home.store.lives()[example.id]
    changes = home.store.changes.of(example.id)
    versions = {example.id} | {i for c in changes for i in (c.old, c.new) if i is not None}
    return Provenance(
        source=example.source,
        origin=example.origin,
        licence=example.licence,
        group=example.group,
        time=example.time,
        added_at=life.added_at,
        removed_at=life.removed_at,
        lineage=example.lineage,
        changes=tuple(changes),
        reviews=tuple(r for r in home.store.reviews.all() if r.example in versions and r.outcome),
    )


def mask(home: Home, example: Example) -> list[tuple[str, bool]]:
    """The example as tokens, as training sees it: each token's text, and whether the model learns to produce it."""
    from tunesmith.contenders.kind import head, turns

    template = Template.open(model_folder(home.settings.model.base))
    encoded = template.encode(head(home.task.instructions, example) + turns(example), example.completion)
    texts = [template.tokenizer.decode([i]) for i in encoded.ids]
    return [(text, weight > 0) for text, weight in zip(texts, encoded.weights, strict=True)]
