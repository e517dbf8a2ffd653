"""The same contenders asked again, to see how much of a difference is chance in their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.examples import Example
from tunesmith.core.progress import Progress, quiet
from tunesmith.workspace.answering import Answering

__all__ = ["repeated"]


def repeated(
    answering: Answering,
    records: Mapping[str, Contender],
    examples: Sequence[Example],
    repeats: int,
    progress: Progress = quiet,
) -> dict[str, list[dict[str, Answer]]]:
    """The answers of each further run, by name; of contenders that ask a model, for the others say the same always.

    A further run is the same contender with another seed, so its answers are kept apart and asked for once.
    """
    asked = {name: record for name, record in records.items() if record.model is not None}
    found: dict[str, list[dict[str, Answer]]] = {name: [] for name in asked}
    for number in range(1, repeats):
        again = {
            name: replace(record, decoding=replace(record.decoding, seed=(record.decoding.seed or 0) + number))
            for name, record in asked.items()
        }
        for name, answers in answering.answers(again, examples, progress).items():
            found[name].append(answers)
    return found
