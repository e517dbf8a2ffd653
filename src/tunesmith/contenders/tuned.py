"""The base model with an adapter trained on the train side, asked with the prompts it was trained with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tunesmith.contenders.kind import Context, contender_kind, record_for, request_for
from tunesmith.contenders.retrieval import Finder, index_hash, same_index
from tunesmith.contenders.searching import Way
from tunesmith.core.contenders import Contender, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example

__all__ = ["PASSAGES", "SEARCH", "Tuned", "retrieved"]

PASSAGES = "words of a passage"
"""Among the inputs of a run that learnt with passages of long documents."""
SEARCH = "how it searches"
"""Among the inputs of a run that learnt with what another search than the plain one found: its settings as JSON."""
RETRIEVED = ("retrieved_examples", "retrieved_documents")


def retrieved(settings: Mapping[str, Any]) -> tuple[int, int]:
    """How many train examples and documents each prompt shows, by a run's or a contender's settings."""
    examples, documents = (settings.get(name, 0) for name in RETRIEVED)
    return examples, documents


@contender_kind("tuned")
class Tuned:
    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        same_index(record, context)
        counts, words = retrieved(record.settings), record.settings.get("chunk_words")
        way = Way.of(record.settings).seen_from(context.folder)
        self._finder = Finder(context.known, context.embedder, *counts, words, way)
        whole = record.settings.get("method") == "full"  # then the model that is asked is the tuned one itself
        self._adapter = None if whole else str(context.root / (record.adapter or ""))

    @classmethod
    def make(cls, context: Context) -> Contender:
        run = context.run
        if run is None:
            raise TunesmithError("There is no tuned model yet.", "train one with `tunesmith tune`")
        words = run.inputs.get(PASSAGES)
        passages = {"chunk_words": int(words)} if words else {}
        way = Way.of(json.loads(run.inputs.get(SEARCH, "{}")))
        record = record_for(
            "tuned",
            context,
            adapter=run.adapter,
            adapter_hash=run.adapter_hash,
            index=index_hash(context, passages.get("chunk_words"), way) if any(retrieved(run.config)) else None,
            settings={"run": run.name}
            | {name: run.config[name] for name in (*RETRIEVED, "quantize", "method") if run.config.get(name)}
            | passages
            | way.settings,
        )
        # general rows and pairs were kept away from the test and validation prompts of that split alone
        apart = {"split"} if run.mixture or run.preferences else set()
        apart |= {"preferences"} if run.preferences else set()
        return replace(record, inputs=record.inputs | {name: run.inputs[name] for name in sorted(apart)})

    def prepare(self, example: Example) -> Request:
        return request_for(self.record, self._finder.messages(self.record.instructions, example), self._adapter)
