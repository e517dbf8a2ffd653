"""The base model with an adapter trained on the train side, asked with the instructions it was trained with."""

from __future__ import annotations

from tunesmith.contenders.kind import Context, contender_kind, head, record_for, turns
from tunesmith.core.errors import TunesmithError
from tunesmith.core.records import Contender, Example, Request

__all__ = ["Tuned"]


@contender_kind("tuned")
class Tuned:
    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        self._adapter = str(context.root / (record.adapter or ""))

    @classmethod
    def make(cls, context: Context) -> Contender:
        run = context.run
        if run is None:
            raise TunesmithError("There is no tuned model yet.", "train one with `tunesmith tune`")
        return record_for(
            "tuned",
            context,
            adapter=run.adapter,
            adapter_hash=run.adapter_hash,
            settings={"run": run.name},
        )

    def prepare(self, example: Example) -> Request:
        return Request(
            messages=head(self.record.instructions, example) + turns(example),
            decoding=self.record.decoding,
            constraint=self.record.constraint,
            adapter=self._adapter,
        )
