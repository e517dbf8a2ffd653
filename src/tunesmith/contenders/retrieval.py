"""The instructions, the nearest train examples and the nearest documents, chosen for each message (RAG)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from tunesmith.contenders.few_shot import shown
from tunesmith.contenders.kind import Context, contender_kind, head, record_for, request_for, turns
from tunesmith.contenders.known import Known
from tunesmith.contenders.passages import chunk_words_for, passages
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Message
from tunesmith.models.embedder import Embedder
from tunesmith.models.neighbours import nearest

__all__ = ["Finder", "Retrieval", "index_hash", "same_index"]

Vectors = np.ndarray[Any, np.dtype[np.float32]]


class Finder:
    """Finds what a prompt shows beside the message: by cosine similarity of embeddings, exactly.

    Opens the embedder only where there is something to find.
    """

    def __init__(
        self, known: Known, embedder: Callable[[], Embedder], examples: int, documents: int,
        chunk_words: int | None = None,
    ) -> None:  # fmt: skip
        """``examples``, ``documents``: how many of each a prompt shows; of longer documents than ``chunk_words``,
        passages."""
        self._known, self._open, self._counts = known, embedder, (examples, documents)
        self._chunk_words = chunk_words

    def messages(self, instructions: str, example: Example, *, learnt: bool = False) -> tuple[Message, ...]:
        """What a model is asked. The nearest example stands last, next to the message.

        Args:
            learnt: A model is to learn the answer from it, so nothing that tells the answer is shown: neither the
                example itself nor another of its group or with its prompt. No test example will find those either.
        """
        examples, documents = self._counts
        near: list[Example] = []
        if examples and self._known.train:
            barred = self._akin(example) if learnt else set[int]()
            found = self._nearest(example.prompt, self._examples, examples + len(barred))
            near = [self._known.train[n] for n in found if n not in barred][:examples]
        quoted: list[Document] = []
        if documents and self._known.documents:
            found = self._nearest(example.prompt, self._documents, documents)
            quoted = [self._passages[n] for n in found]
        return head(instructions, example, _quote(quoted)) + shown(reversed(near)) + turns(example)

    def _akin(self, example: Example) -> set[int]:
        """Numbers of the train examples that would stand on the same side of any split as ``example``."""
        return {n for mark in _marks(example) for n in self._marked.get(mark, ())}

    @cached_property
    def _marked(self) -> dict[tuple[str, str], list[int]]:
        marked: dict[tuple[str, str], list[int]] = {}
        for number, example in enumerate(self._known.train):
            for mark in _marks(example):
                marked.setdefault(mark, []).append(number)
        return marked

    def _nearest(self, prompt: str, among: Vectors, count: int) -> list[int]:
        indices, _ = nearest(self._embedder.embed([prompt]), among, count)
        return [int(i) for i in indices[0]]

    @cached_property
    def _embedder(self) -> Embedder:
        return self._open()

    @cached_property
    def _examples(self) -> Vectors:
        return self._embedder.embed([e.prompt for e in self._known.train])

    @cached_property
    def _documents(self) -> Vectors:
        return self._embedder.embed([f"{d.title}\n{d.text}" for d in self._passages])

    @cached_property
    def _passages(self) -> list[Document]:
        return [passage for document in self._known.documents for passage in passages(document, self._chunk_words)]


@contender_kind("retrieval")
class Retrieval:
    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        same_index(record, context)
        settings = record.settings
        counts = settings["examples"], settings["documents"]
        self._finder = Finder(context.known, context.embedder, *counts, settings.get("chunk_words"))

    @classmethod
    def make(cls, context: Context) -> Contender:
        config = context.config.retrieval
        settings = {"examples": config.examples, "documents": config.documents}
        words = chunk_words_for(context.known.documents, config.chunk_words)
        settings |= {"chunk_words": words} if words else {}  # without long documents the record is as it ever was
        return record_for("retrieval", context, index=index_hash(context, words), settings=settings)

    def prepare(self, example: Example) -> Request:
        return request_for(self.record, self._finder.messages(self.record.instructions, example))


def index_hash(context: Context, chunk_words: int | None) -> str:
    """Names what is searched, and by which embeddings; ``chunk_words`` where some documents are cut into passages."""
    return digest([context.known.hash, context.embedder().hash, *([chunk_words] if chunk_words else [])])


def same_index(record: Contender, context: Context) -> None:
    """Make sure that ``record`` still finds what it found when it was made.

    Raises:
        TunesmithError: The train side, the documents or the embedder have changed.
    """
    if record.index is not None and record.index != index_hash(context, record.settings.get("chunk_words")):
        raise TunesmithError(
            f"What {record.name} searches has changed since it was prepared.",
            f"prepare it again with `tunesmith {'tune' if record.kind == 'tuned' else f'baseline {record.kind}'}`",
        )


def _marks(example: Example) -> list[tuple[str, str]]:
    marks = [("id", example.id), ("prompt", example.prompt)]
    return marks if example.group is None else [*marks, ("group", example.group)]


def _quote(documents: list[Document]) -> str:
    return "\n\n".join(f"Reference:\n{d.text.strip()}" for d in documents)
