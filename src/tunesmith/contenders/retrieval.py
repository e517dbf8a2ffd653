"""The instructions, the nearest train examples and the nearest documents, chosen for each message (RAG)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from tunesmith.contenders.config import RetrievalConfig
from tunesmith.contenders.few_shot import shown
from tunesmith.contenders.kind import Context, contender_kind, head, record_for, turns
from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Contender, Document, Example, Request
from tunesmith.models.neighbours import nearest

__all__ = ["Retrieval"]

Vectors = np.ndarray[Any, np.dtype[np.float32]]


@contender_kind("retrieval")
class Retrieval:
    """Finds by cosine similarity of embeddings, exactly. The nearest example stands last, next to the message."""

    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        self._known, self._config = context.known, RetrievalConfig(**record.settings)
        self._embedder = context.embedder()
        if record.index != _index_hash(context):
            raise TunesmithError(
                "What retrieval searches has changed since it was prepared.",
                "prepare it again with `tunesmith baseline retrieval`",
            )

    @classmethod
    def make(cls, context: Context) -> Contender:
        settings = context.config.retrieval.model_dump()
        return record_for("retrieval", context, index=_index_hash(context), settings=settings)

    def prepare(self, example: Example) -> Request:
        query = self._embedder.embed([example.prompt])
        examples = [self._known.train[i] for i in self._nearest(query, self._examples, self._config.examples)]
        documents = [self._known.documents[i] for i in self._nearest(query, self._documents, self._config.documents)]
        return Request(
            messages=head(self.record.instructions, example, _quote(documents))
            + shown(reversed(examples))
            + turns(example),
            decoding=self.record.decoding,
            constraint=self.record.constraint,
        )

    def _nearest(self, query: Vectors, among: Vectors | None, count: int) -> list[int]:
        if among is None or count == 0:
            return []
        indices, _ = nearest(query, among, min(count, len(among)))
        return [int(i) for i in indices[0]]

    @cached_property
    def _examples(self) -> Vectors | None:
        return self._embedder.embed([e.prompt for e in self._known.train]) if self._config.examples else None

    @cached_property
    def _documents(self) -> Vectors | None:
        texts = [f"{d.title}\n{d.text}" for d in self._known.documents]
        return self._embedder.embed(texts) if texts and self._config.documents else None


def _quote(documents: list[Document]) -> str:
    return "\n\n".join(f"Reference:\n{d.text.strip()}" for d in documents)


def _index_hash(context: Context) -> str:
    return digest([context.known.hash, context.embedder().hash])
