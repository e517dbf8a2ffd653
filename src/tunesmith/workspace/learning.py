"""What a run learns and watches: rows or pairs, under the very messages that the tuned contender is asked with."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tunesmith.contenders.passages import chunk_words_for
from tunesmith.contenders.retrieval import Finder, way_of
from tunesmith.core.examples import Example
from tunesmith.core.preferences import PreferenceSet
from tunesmith.models.embedder import open_embedder
from tunesmith.tuning import LoraConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.home import Home
from tunesmith.workspace.preferences import as_rows, preference_set

if TYPE_CHECKING:
    from tunesmith.tuning.pairs import PairRow

__all__ = ["chunk_words", "learning_pairs", "learning_rows", "validation_there"]


def learning_rows(
    home: Home, answering: Answering, config: LoraConfig, chosen: frozenset[str] | None = None
) -> tuple[list[Any], list[Any]]:
    """Train (or ``chosen``) and validation rows: the very messages that the tuned contender will be asked with."""
    from tunesmith.models.template import Part
    from tunesmith.tuning.rows import Row

    finder = _finder(home, answering, config)

    def parts(completion: str) -> tuple[Part, ...]:
        if config.balance == "tokens":
            return ()
        return tuple(
            Part(begin, end, config.text_weight if home.task.field(name).type == "text" else 1.0)
            for name, (begin, end) in home.task.spans(completion).items()
        )

    def row(example: Example, *, earlier: bool) -> Row:
        messages = finder.messages(home.task.instructions, example, learnt=True)
        rest = 1.0 if config.balance == "tokens" else config.text_weight
        turns = {n: parts(m.content) for n, m in enumerate(messages) if m.role == "assistant" and m.weight != 0}
        learnt = parts(example.completion)
        return Row(messages, example.completion, learnt, rest, turns if earlier else {}, example.place)

    watched = validation_there(home, answering)
    return (
        [row(e, earlier=config.earlier_turns) for e in answering.known.train if chosen is None or e.id in chosen],
        [row(e, earlier=False) for e in watched],
    )


def validation_there(home: Home, answering: Answering) -> list[Example]:
    """The validation side's examples, but for those that were removed or corrected since the split."""
    side = set(answering.split.validation)
    return [e for e in home.examples() if e.id in side]


def learning_pairs(
    home: Home, answering: Answering, config: LoraConfig
) -> tuple[list[PairRow], list[PairRow], PreferenceSet]:
    """Pairs to learn and to watch, under the messages that the tuned contender will be asked with."""
    made, examples = preference_set(home, answering.split), {e.id: e for e in home.examples()}
    rows = partial(
        as_rows, finder=_finder(home, answering, config), instructions=home.task.instructions, examples=examples
    )
    return rows(made.train), rows(made.validation), made


def _finder(home: Home, answering: Answering, config: LoraConfig) -> Finder:
    embedder = partial(open_embedder, home.settings.model.embedder)
    counts = config.retrieved_examples, config.retrieved_documents
    way = way_of(home.settings.contenders.retrieval).seen_from(home.root)
    return Finder(answering.known, embedder, *counts, chunk_words(home, answering, config), way)


def chunk_words(home: Home, answering: Answering, config: LoraConfig) -> int | None:
    """Words of a passage, where documents are quoted and some are longer."""
    words = home.settings.contenders.retrieval.chunk_words
    return chunk_words_for(answering.known.documents, words) if config.retrieved_documents else None
