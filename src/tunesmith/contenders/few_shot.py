"""The instructions and a few train examples; save for those nearest to each message the same ones, read once."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from tunesmith.contenders.kind import Context, contender_kind, head, prepare_again, record_for, request_for, turns
from tunesmith.contenders.shots import choose, choose_by
from tunesmith.core.choices import Proposal
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.models.neighbours import nearest

__all__ = ["FewShot", "choose", "shown"]


@contender_kind("few_shot")
class FewShot:
    """Shows its examples as earlier turns of the conversation."""

    def __init__(self, record: Contender, context: Context) -> None:
        self.record, self._context = record, context
        self._shots = shown(context.known.example(i) for i in record.shots)
        if record.index is not None and record.index != _searched(context):
            raise TunesmithError(
                f"What {record.name} chooses its examples from has changed since it was prepared.",
                prepare_again(record),
            )

    @classmethod
    def make(cls, context: Context) -> Contender:
        config, chosen = context.config.few_shot, context.chosen("few_shot")
        asked = chosen or Proposal(instructions="", count=config.count, way=config.way)
        shots = choose_by(asked.way, context.task, context.known.train, asked.count, config.seed, context.embedder)
        settings: dict[str, Any] = {"count": asked.count, "seed": config.seed}
        settings |= {"way": asked.way} if asked.way != "cover" else {}  # else the record is as it ever was
        return record_for(
            "few_shot",
            context,
            chosen=chosen,
            shots=tuple(e.id for e in shots),
            index=_searched(context) if asked.way == "nearest" and asked.count else None,
            settings=settings,
        )

    def prepare(self, example: Example) -> Request:
        shots = self._shots if self.record.index is None else self._nearest(example)
        return request_for(self.record, head(self.record.instructions, example) + shots + turns(example))

    def _nearest(self, example: Example) -> tuple[Message, ...]:
        """The train examples most like it, the nearest one last.

        Source: J. Liu et al., What makes good in-context examples for GPT-3?, arXiv:2101.06804.
        """
        embedder, train = self._context.embedder(), self._context.known.train
        found, _ = nearest(embedder.embed([example.prompt]), self._vectors, self.record.settings["count"])
        return shown(train[i] for i in reversed(found[0].tolist()))

    @cached_property
    def _vectors(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        return self._context.embedder().embed([e.prompt for e in self._context.known.train])


def shown(examples: Any) -> tuple[Message, ...]:
    """Examples as finished turns."""
    return tuple(m for e in examples for m in (*turns(e), Message(role="assistant", content=e.completion)))


def _searched(context: Context) -> str:
    """Names what is chosen from, and by which embeddings."""
    return digest([context.known.hash, context.embedder().hash])
