"""What a contender may know: the train side and the documents. The one place that keeps the test set out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example
from tunesmith.core.splits import Split

__all__ = ["Known"]


class Known:
    """Train examples in the order of their ids, and documents."""

    def __init__(self, examples: Sequence[Example], split: Split, documents: Sequence[Document] = ()) -> None:
        by_id = {example.id: example for example in examples}
        missing = [i for i in split.train if i not in by_id]
        if missing:
            raise TunesmithError(
                f"{len(missing)} train examples of the split are no longer there (the first: {missing[0]}).",
                "split again with `tunesmith split`",
            )
        self.train: tuple[Example, ...] = tuple(by_id[i] for i in sorted(split.train))
        self.documents: tuple[Document, ...] = tuple(sorted(documents, key=lambda d: d.id))
        self.split_hash = split.hash

    def example(self, example_id: str) -> Example:
        """A train example.

        Raises:
            TunesmithError: It is not on the train side; a contender must not see it.
        """
        found = self._by_id.get(example_id)
        if found is None:
            raise TunesmithError(
                f"Example {example_id} is not on the train side, so no contender may show it.",
                "prepare the contenders again with `tunesmith baseline`",
            )
        return found

    @cached_property
    def _by_id(self) -> dict[str, Example]:
        return {example.id: example for example in self.train}

    @cached_property
    def hash(self) -> str:
        return digest([[e.id for e in self.train], [d.id for d in self.documents]])
