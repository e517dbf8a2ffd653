"""The instructions, the nearest train examples and the nearest documents, chosen for each message (RAG)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from tunesmith.contenders.config import RetrievalConfig
from tunesmith.contenders.few_shot import shown
from tunesmith.contenders.kind import Context, contender_kind, head, prepare_again, record_for, request_for, turns
from tunesmith.contenders.known import Known
from tunesmith.contenders.passages import chunk_words_for, passages
from tunesmith.contenders.searching import Index, Way
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Message
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.embedder import Embedder

__all__ = ["Finder", "Retrieval", "index_hash", "same_index", "way_of"]

PLAIN = Way()


class Finder:
    """Finds what a prompt shows beside the message.

    Opens the embedder only where there is something to find.
    """

    def __init__(
        self, known: Known, embedder: Callable[[], Embedder], examples: int, documents: int,
        chunk_words: int | None = None, way: Way = PLAIN, progress: Progress = quiet,
    ) -> None:  # fmt: skip
        """``examples``, ``documents``: how many of each a prompt shows; of longer documents than ``chunk_words``,
        passages. ``progress`` is told while they are embedded."""
        self._known, self._open, self._counts = known, embedder, (examples, documents)
        self._chunk_words, self._way, self._progress = chunk_words, way, progress

    def messages(self, instructions: str, example: Example, *, learnt: bool = False) -> tuple[Message, ...]:
        """What a model is asked. The nearest example stands last, next to the message.

        Args:
            learnt: A model is to learn the answer from it, so nothing that tells the answer is shown: neither the
                example itself nor another of its group or with its prompt. No test example will find those either.
        """
        examples, documents = self._counts
        near = self.near_examples(example, examples, self._way, apart=learnt)
        quoted = [passage for passage, _ in self.near_passages(example, documents, self._way)]
        return head(instructions, example, _quote(quoted)) + shown(reversed(near)) + turns(example)

    def near_examples(self, example: Example, count: int, way: Way, *, apart: bool) -> list[Example]:
        """The train examples that fit best, best first; ``apart``: neither itself nor one of its group or prompt."""
        if not count or not self._known.train:
            return []
        barred = self.akin(example) if apart else frozenset[int]()
        return [self._known.train[n] for n in self._examples.ranking(example.prompt, count, way, barred)]

    def near_passages(self, example: Example, count: int, way: Way) -> list[tuple[Document, str]]:
        """The passages that fit best, best first, each with the id of the document that it is of."""
        if not count or not self._known.documents:
            return []
        return [self._passages[n] for n in self._documents.ranking(example.prompt, count, way)]

    def akin(self, example: Example) -> frozenset[int]:
        """Numbers of the train examples that would stand on the same side of any split as ``example``."""
        return frozenset(n for mark in _marks(example) for n in self._marked.get(mark, ()))

    @cached_property
    def _marked(self) -> dict[tuple[str, str], list[int]]:
        marked: dict[tuple[str, str], list[int]] = {}
        for number, example in enumerate(self._known.train):
            for mark in _marks(example):
                marked.setdefault(mark, []).append(number)
        return marked

    @cached_property
    def _examples(self) -> Index:
        return Index([e.prompt for e in self._known.train], self._open, self._progress)

    @cached_property
    def _documents(self) -> Index:
        return Index([f"{d.title}\n{d.text}" for d, _ in self._passages], self._open, self._progress)

    @cached_property
    def _passages(self) -> list[tuple[Document, str]]:
        return [(part, whole.id) for whole in self._known.documents for part in passages(whole, self._chunk_words)]


@contender_kind("retrieval")
class Retrieval:
    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        same_index(record, context)
        settings = record.settings
        counts = settings["examples"], settings["documents"]
        way = Way.of(settings).seen_from(context.folder)
        self._finder = Finder(context.known, context.embedder, *counts, settings.get("chunk_words"), way)

    @classmethod
    def make(cls, context: Context) -> Contender:
        config = context.searching() if context.searching else context.config.retrieval
        chosen = context.chosen("retrieval")
        settings = {"examples": chosen.count if chosen else config.examples, "documents": config.documents}
        words = chunk_words_for(context.known.documents, config.chunk_words)
        settings |= {"chunk_words": words} if words else {}  # without long documents the record is as it ever was
        way = way_of(config)
        index = index_hash(context, words, way)
        return record_for("retrieval", context, chosen=chosen, index=index, settings=settings | way.settings)

    def prepare(self, example: Example) -> Request:
        return request_for(self.record, self._finder.messages(self.record.instructions, example))


def way_of(config: RetrievalConfig) -> Way:
    """The way to search that the settings name."""
    return Way(search=config.search, rerank=config.rerank, candidates=config.candidates)


def index_hash(context: Context, chunk_words: int | None, way: Way = PLAIN) -> str:
    """Names what is searched, and by what; ``chunk_words`` where some documents are cut into passages."""
    named = way.seen_from(context.folder).named_by(context.embedder)
    return digest([context.known.hash, *named, *([chunk_words] if chunk_words else [])])


def same_index(record: Contender, context: Context) -> None:
    """Make sure that ``record`` still finds what it found when it was made.

    Raises:
        TunesmithError: The train side, the documents, the embedder or what re-ranks have changed.
    """
    if record.index is None:
        return
    if record.index != index_hash(context, record.settings.get("chunk_words"), Way.of(record.settings)):
        raise TunesmithError(f"What {record.name} searches has changed since it was prepared.", prepare_again(record))


def _marks(example: Example) -> list[tuple[str, str]]:
    marks = [("id", example.id), ("prompt", example.prompt)]
    return marks if example.group is None else [*marks, ("group", example.group)]


def _quote(documents: list[Document]) -> str:
    return "\n\n".join(f"Reference:\n{d.text.strip()}" for d in documents)
