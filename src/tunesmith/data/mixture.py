"""General-purpose rows to mix into tuning: read as `add` reads, none near what is measured, some held out.

They stay outside of the store: no task looks at them, and they are on no side of the split.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from tunesmith.core.counts import MixtureCounts
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Rejected
from tunesmith.core.preferences import Preference
from tunesmith.data.near_index import NearIndex
from tunesmith.data.readers import ReadOptions, read
from tunesmith.data.readers.mapped import Tell, untold
from tunesmith.data.readers.options import silent
from tunesmith.data.text import normal

__all__ = ["HELD_OUT", "GeneralExamples", "asked", "read_mixture"]

HELD_OUT = 32
"""Most rows held out, of a tenth of all."""
AT_ONCE = 20_000
"""Rows whose prompts are compared at once: those of a large file would stand in the memory twice."""


class GeneralExamples(NamedTuple):
    """What can be learnt of a mixture, and what is only measured; each in the order of the ids."""

    learnt: list[Example]
    held_out: list[Example]
    rejected: list[Rejected]
    counts: MixtureCounts


def read_mixture(path: Path, measured: Sequence[str], threshold: float, tell: Tell = untold) -> GeneralExamples:
    """Read general-purpose rows, and leave out those that would leak.

    Which rows are held out follows from what they say, not from the order of the file or from a seed: runs on the same
    rows have losses that can be compared.

    Args:
        path: A file or folder, as ``read`` takes it.
        measured: Prompts of the task's validation and test sides.
        threshold: A row whose prompt, or any user or tool message of it, is at least this similar to one of them
            (Jaccard, 0 to 1) is left out.
        tell: Told, for each file of rows, which column plays which role.

    Raises:
        TunesmithError: The file is missing, cannot be read, or leaves fewer than two rows: one to learn, one to hold
            out.
    """
    found, rejected = _read(path, tell)
    distinct = _distinct(found)
    near = _near(distinct, measured, threshold)
    usable = [example for example in distinct if example.id not in near]
    cut = min(HELD_OUT, max(1, len(usable) // 10))
    held_out, rest = usable[:cut], usable[cut:]
    twins = _near(rest, [example.prompt for example in held_out], threshold)
    counts = MixtureCounts(
        read=len(found) + len(rejected),
        rejected=len(rejected),
        duplicates=len(found) - len(distinct) + len(twins),
        near=len(near),
    )
    learnt = [example for example in rest if example.id not in twins]
    if not learnt:
        raise TunesmithError(
            f"{path.name} has too few general rows to mix in: of {counts.read} read, {counts.rejected} cannot be used, "
            f"{counts.duplicates} repeat another, {counts.near} are near a validation or test prompt.",
            "name a file of at least two rows of prompt and completion that the task does not have",
        )
    return GeneralExamples(learnt, held_out, rejected, counts)


def _read(path: Path, tell: Tell) -> tuple[list[Example], list[Rejected]]:
    found: list[Example] = []
    rejected: list[Rejected] = []
    for row in read(path, ReadOptions(), silent, tell):
        if isinstance(row, Document | Preference):  # neither comes unless it is asked for
            place = (row.origin.file, row.origin.line) if row.origin else (path.name, 0)
            rejected.append(
                Rejected(
                    file=place[0],
                    line=place[1],
                    problem="a document has no completion to learn",
                    mend="write rows of prompt and completion",
                )
            )
        elif isinstance(row, Example):
            found.append(row)
        else:
            rejected.append(row)
    return found, rejected


def _distinct(examples: Iterable[Example]) -> list[Example]:
    """One of all that ask the same, sorted by id."""
    seen: dict[str, Example] = {}
    for example in sorted(examples, key=lambda e: e.id):
        seen.setdefault(normal("\n".join(message.content for message in example.messages)), example)
    return list(seen.values())


def _near(examples: Sequence[Example], others: Sequence[str], threshold: float) -> set[str]:
    """Ids of those that ask, at any turn, something as similar to one of ``others``."""
    index, found = NearIndex(others, threshold), set[str]()
    for at in range(0, len(examples), AT_ONCE):
        rows = [(e.id, text) for e in examples[at : at + AT_ONCE] for text in asked(e)]
        near = index.near([text for _, text in rows])
        found |= {rows[n][0] for n in near.nonzero()[0]}
    return found


def asked(example: Example | Preference) -> set[str]:
    """The whole prompt, and each message of it that a model answers."""
    return {example.prompt, *(m.content for m in example.messages if m.role in ("user", "tool"))}
