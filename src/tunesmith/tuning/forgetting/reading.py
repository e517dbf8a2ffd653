"""A model reads items and texts: which option it finds likeliest, and how many bits a text costs it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from tunesmith.core.contenders import Decoding
from tunesmith.core.forgetting import Read
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.engine import Engine
from tunesmith.models.engine.adapters import Adapter
from tunesmith.models.engine.scoring import Question, Scored, score
from tunesmith.models.reply import Reply
from tunesmith.models.template import common_prefix
from tunesmith.tuning.forgetting.material import Item, Text

__all__ = ["Reader"]

WINDOW = 1024
"""Most tokens of a text that are read at once."""


class Reader:
    """A base model with one adapter, or none."""

    def __init__(self, engine: Engine, adapter: str | None = None) -> None:
        self.engine = engine
        self.tokenizer: Any = engine.template.tokenizer
        self._folder = adapter
        self.adapter: Adapter | None = engine.adapters.get(adapter) if adapter else None
        self._opening = self._opened()
        """Ids that the tokenizer itself puts before a text."""

    def items(self, items: Sequence[Item], progress: Progress = quiet) -> Read:
        """Which items the model gets right, by the summed log-likelihood of each option behind the beginning."""
        asked = [self.asked(item.context, [f" {option}" for option in item.options]) for item in items]
        found = self.score(asked, progress)
        right = [float(all(s[0].log_likelihood > o.log_likelihood for o in s[1:])) for s in found]
        return Read(values=tuple(right), sizes=tuple(float(len(item.options)) for item in items))

    def text(self, text: Text, progress: Progress = quiet) -> Read:
        """Bits that each piece costs the model, read without what stands before it."""
        bits = self.bits(text.pieces, progress)
        return Read(values=tuple(bits), sizes=tuple(float(len(piece.encode())) for piece in text.pieces))

    def bits(self, texts: Sequence[str], progress: Progress = quiet) -> list[float]:
        """Bits of each text, its tokens given those before them in a window."""
        windows = [self._windows(text) for text in texts]
        found = iter(self.score([window for each in windows for window in each], progress))
        return [-sum(next(found)[0].log_likelihood for _ in each) / math.log(2) for each in windows]

    def score(self, questions: Sequence[Question], progress: Progress = quiet) -> list[list[Scored]]:
        """As ``models.engine.scoring.score``."""
        return score(self.engine.model, questions, self.adapter, progress)

    def asked(self, context: str, ends: Sequence[str]) -> Question:
        """A beginning and its ends as ids. Where an end changes how the beginning is cut into tokens, what all ends
        leave as it is counts as the beginning. One that is too long loses its first tokens."""
        opening = self._opening if self._opening or context else (self._mark(),)
        before = [*opening, *self._ids(context)]
        whole = [[*opening, *self._ids(context + end)] for end in ends]
        shared = min(min(common_prefix([[*before, -1], [*each, -2]]), len(each) - 1) for each in whole)
        options = tuple(tuple(each[shared:]) for each in whole)
        room = max(1, self.engine.context - max(map(len, options)))
        return Question(tuple(before[:shared][-room:]) or (self._mark(),), options)

    def prompt(self, context: str, room: int) -> list[int]:
        """A beginning that leaves ``room`` tokens behind it; one that is too long loses its first tokens."""
        ids = [*self._opening, *self._ids(context)] or [self._mark()]
        return ids[-max(1, self.engine.context - room) :]

    def continued(self, prompts: Sequence[list[int]], decodings: Sequence[Decoding]) -> Iterator[tuple[int, Reply]]:
        """As ``Engine.continued``."""
        return self.engine.continued(prompts, decodings, self._folder)

    def _windows(self, text: str) -> list[Question]:
        ids, opening = self._ids(text), self._opening or (self._mark(),)
        size = min(WINDOW, self.engine.context) - len(opening)
        return [Question(opening, (tuple(ids[at : at + size]),)) for at in range(0, len(ids), size)]

    def _ids(self, text: str) -> list[int]:
        read = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return list(read["input_ids"])

    def _opened(self) -> tuple[int, ...]:
        begins = self.tokenizer.bos_token_id
        return (begins,) if begins is not None and self.tokenizer("")["input_ids"][:1] == [begins] else ()

    def _mark(self) -> int:
        """What a text stands behind that has nothing before it: the mark of its beginning, or of another's end."""
        known = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id, self.engine.template.pad_id)
        return int(next(mark for mark in known if mark is not None))
