"""The base model with the task's instructions, or better ones that were chosen on validation: what to try first."""

from __future__ import annotations

from tunesmith.contenders.kind import Context, contender_kind, head, record_for, request_for, turns
from tunesmith.core.contenders import Contender, Request
from tunesmith.core.examples import Example

__all__ = ["Prompt"]


@contender_kind("prompt")
class Prompt:
    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record

    @classmethod
    def make(cls, context: Context) -> Contender:
        return record_for("prompt", context, chosen=context.chosen("prompt"))

    def prepare(self, example: Example) -> Request:
        return request_for(self.record, head(self.record.instructions, example) + turns(example))
