"""Spaces and line ends that say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tunesmith.core.examples import Example
from tunesmith.core.task import Task
from tunesmith.data.mends.mending import Step, edited, mend

__all__ = ["tidy", "whitespace"]


@mend("whitespace")
def whitespace(examples: Sequence[Example], task: Task) -> Iterator[Step]:
    """Take out spaces at line ends, blank lines at both ends and more than one between; Unix line ends."""
    for row, example in enumerate(examples):
        new = edited(example, task, message=tidy, text=tidy)
        if new is not example:
            yield Step(row, new, "spaces and blank lines that say nothing taken out")


def tidy(text: str) -> str:
    """The text without spaces that nobody sees. Indentation and spaces between words stay: they may be code.

    >>> tidy("one  \\r\\n\\n\\n\\n  two ")
    'one\\n\\n  two'
    """
    lines = re.sub(r"[ \t]+(?=\n|\Z)", "", re.sub(r"\r\n?", "\n", text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\A\n+|\s+\Z", "", lines))
