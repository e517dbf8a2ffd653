"""A long document as overlapping passages: what retrieval finds and quotes in place of thirty pages.

Counts words, not a model's tokens, so that another model finds the same passages. Of a script without spaces each
character counts, or each run of twenty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tunesmith.core.examples import Document

__all__ = ["OVERLAP", "chunk_words_for", "passages"]

OVERLAP = 6
"""One word in so many is in two passages, so that a sentence cut at the end of one is whole in the next."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]{1,20}")
_PARAGRAPH = re.compile(r"\n\s*\n")


def chunk_words_for(documents: Sequence[Document], words: int) -> int | None:
    """``words`` where a document has more; None where each is one passage anyway."""
    return words if any(sum(1 for _ in _WORD.finditer(d.text)) > words for d in documents) else None


def passages(document: Document, words: int | None) -> Iterator[Document]:
    """The document in passages of at most ``words`` words; itself where that is one passage, or ``words`` is None.

    A passage ends with a paragraph where one ends in its second half. From the second on each begins with the title.
    """
    spans = [found.span() for found in _WORD.finditer(document.text)]
    if words is None or len(spans) <= words:
        yield document
        return
    first = 0
    while True:
        last = min(first + words, len(spans))  # the word after the passage
        if last < len(spans):
            ends = [n for n in range(first + words // 2, last) if _parted(document.text, spans, n)]
            last = ends[-1] + 1 if ends else last
        text = document.text[spans[first][0] : spans[last - 1][1]]
        yield Document.make(document.title, text if first == 0 else f"{document.title}\n{text}", document.origin)
        if last == len(spans):
            return
        first = max(last - words // OVERLAP, first + 1)


def _parted(text: str, spans: Sequence[tuple[int, int]], word: int) -> bool:
    """Whether a paragraph ends with this word."""
    return _PARAGRAPH.search(text, spans[word][1], spans[word + 1][0]) is not None
