"""Ways to search, each tried on the same messages: what `retrieval` measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple, get_args

from msgspec.structs import replace

from tunesmith.contenders.config import RetrievalConfig, SearchWith
from tunesmith.contenders.passages import chunk_words_for
from tunesmith.contenders.retrieval import Finder, way_of
from tunesmith.contenders.searching import Way
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Document, Example
from tunesmith.core.progress import Progress
from tunesmith.core.record import Record
from tunesmith.core.statistics import holm
from tunesmith.evaluation.ranking import DEPTH, Hits, compare_rankings, hits, measure_rankings
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.relevance import Judged, alike_by, kind_of_answer

__all__ = ["SearchBench", "Searched", "Try", "WayScore", "searches"]

SEARCHES: tuple[SearchWith, ...] = get_args(SearchWith)


class WayScore(Record, frozen=True, kw_only=True):
    """What one way to search finds."""

    settings: dict[str, str | int]
    """As under `contenders.retrieval`."""
    metrics: dict[str, Estimate]


class Searched(Record, frozen=True, kw_only=True):
    """What all ways find among the train examples, or among the documents."""

    relevant: str
    """In words, what counts as found."""
    queries: int
    skipped: int = 0
    """Queries to which nothing is relevant, so that nothing can be found."""
    among: int
    """How many examples, or documents, there are."""
    ways: dict[str, WayScore]
    comparisons: tuple[Comparison, ...] = ()
    """Each other way against the present one, on the metric that chooses, Holm-corrected."""


class Try(NamedTuple):
    """A way to search, and the passages that documents are cut into (None: whole)."""

    name: str
    whole: str
    """Its name but for the passages, which are no matter of examples."""
    way: Way
    chunk_words: int | None
    written_words: int | None
    """What `chunk_words` must say for that; None where the settings say it and no document is cut by it."""

    @property
    def settings(self) -> dict[str, str | int]:
        """As under `contenders.retrieval`."""
        said: dict[str, str | int] = {"search": self.way.search}
        if self.way.rerank:
            said |= {"rerank": self.way.rerank, "candidates": self.way.candidates}
        return said | ({"chunk_words": self.written_words} if self.written_words else {})


def searches(
    documents: Sequence[Document], config: RetrievalConfig, rerank: Sequence[str], chunk_words: Sequence[int]
) -> list[Try]:
    """The present way first, then the simplest; each size of passages with each way, where it makes a difference."""
    present = way_of(config)
    ways = [Way(search=s) for s in SEARCHES]
    ways += [Way(search=s, rerank=r, candidates=config.candidates) for s in SEARCHES for r in dict.fromkeys(rerank)]
    ways = list(dict.fromkeys([present if present.rerank else Way(search=present.search), *ways]))
    names = _names(ways)
    tries, seen = list[Try](), set[tuple[Way, int | None]]()
    for words in dict.fromkeys([config.chunk_words, *chunk_words]):
        cut = chunk_words_for(documents, words)
        for way in ways:
            if (way, cut) not in seen:
                seen.add((way, cut))
                other = words != config.chunk_words
                size = f"/{words}" if other else ""
                tries.append(Try(names[way] + size, names[way], way, cut, words if cut or other else None))
    return tries


def _names(ways: Sequence[Way]) -> dict[Way, str]:
    """A name for each; re-ranking models in folders of one name are told apart by all of their paths."""
    short = [way.name for way in ways]
    return {way: f"{way.search}+{way.rerank}" if short.count(way.name) > 1 else way.name for way in ways}


class Without(Set[str]):
    """``all`` but a few: thousands of messages share the rows of their label, and each leaves out its own."""

    def __init__(self, all: Set[str], few: Set[str]) -> None:
        self._all, self._few = all, all & few

    def __contains__(self, name: object) -> bool:
        return name in self._all and name not in self._few

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._all if name not in self._few)

    def __len__(self) -> int:
        return len(self._all) - len(self._few)


class SearchBench:
    """Searches for the same messages in each way."""

    def __init__(self, answering: Answering, asked: Sequence[Example], metric: str, progress: Progress) -> None:
        self.answering, self.asked, self.metric, self.progress = answering, asked, metric, progress
        self._root = answering.home.root
        self._finders: dict[int | None, Finder] = {}

    def examples(self, tries: Sequence[Try]) -> Searched:
        """Among the train examples; those that give an answer of the same kind are relevant."""
        task, train = self.answering.home.task, self.answering.known.train
        alike = alike_by(task)
        if alike is None:
            raise NothingToMeasure(
                "the task has texts alone, so no program can tell which train examples are relevant to a message",
                "measure documents: `tunesmith retrieval --relevant FILE`",
            )
        kinds: dict[str, set[str]] = {}
        for example in train:
            if kind := kind_of_answer(task, example.completion):
                kinds.setdefault(kind, set()).add(example.id)
        finder, gold = self._finder(None), dict[str, Set[str]]()
        for example in self.asked:
            same = kinds.get(kind_of_answer(task, example.completion) or "", set())
            gold[example.id] = Without(same, {train[n].id for n in finder.akin(example)})

        def find(one: Try, example: Example) -> list[str]:
            way = one.way.seen_from(self._root)
            return [e.id for e in finder.near_examples(example, DEPTH, way, apart=True)]

        plain = [one for one in tries if one.name == one.whole]
        return self._searched(plain, find, gold, f"a train example that {alike}", len(train), "examples")

    def documents(self, tries: Sequence[Try], judged: Judged | None) -> Searched:
        """Among the documents, in passages where they are long; those that people named are relevant."""
        among = len(self.answering.known.documents)
        if not among:
            raise NothingToMeasure("there are no documents", "add some with `tunesmith add FILE --as document`")
        if judged is None:
            raise NothingToMeasure(
                "nobody has said which documents are relevant to a message",
                "say it in a file: `tunesmith retrieval --relevant FILE`",
            )

        def find(one: Try, example: Example) -> list[str]:
            way = one.way.seen_from(self._root)
            return [of for _, of in self._finder(one.chunk_words).near_passages(example, DEPTH, way)]

        said = "a document that people named for the message"
        return self._searched(tries, find, judged.documents, said, among, "documents")

    def _finder(self, chunk_words: int | None) -> Finder:
        if chunk_words not in self._finders:
            context = self.answering.context()
            self._finders[chunk_words] = Finder(
                context.known, context.embedder, 0, 0, chunk_words, progress=self.progress
            )
        return self._finders[chunk_words]

    def _searched(
        self, tries: Sequence[Try], find: Callable[[Try, Example], list[str]], gold: Mapping[str, Set[str]],
        relevant: str, among: int, what: str,
    ) -> Searched:  # fmt: skip
        """``gold``: ids of what is relevant, by the ids of the messages of which something is known."""
        queries = [example for example in self.asked if gold.get(example.id)]
        if not queries:
            raise NothingToMeasure(f"to none of {len(gold)} messages any of the {what} is relevant", "add more of them")
        groups, ways = [example.group for example in queries], dict[str, WayScore]()
        found: dict[str, list[Hits]] = {}
        for number, one in enumerate(tries):
            find(one, queries[0])  # the first search makes an index, which tells its own progress
            found[one.name] = []
            for at, example in enumerate(queries):
                found[one.name].append(hits(find(one, example), gold[example.id]))
                self.progress(number * len(queries) + at + 1, len(tries) * len(queries), f"{what}: {one.name}")
            ways[one.name] = WayScore(settings=one.settings, metrics=measure_rankings(found[one.name], groups))
        present = tries[0].name
        compared = [
            compare_rankings(found[name], found[present], groups, self.metric, (name, present))
            for name in found
            if name != present
        ]
        adjusted = holm([c.p_value for c in compared])
        return Searched(
            relevant=relevant, queries=len(queries), skipped=len(gold) - len(queries), among=among, ways=ways,
            comparisons=tuple(replace(c, p_holm=p) for c, p in zip(compared, adjusted, strict=True)),
        )  # fmt: skip
