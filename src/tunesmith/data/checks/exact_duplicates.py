"""The same prompt more than once, but for case, punctuation, spacing and invisible marks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check, listed

__all__ = ["exact_duplicates"]


@check("exact_duplicates")
def exact_duplicates(material: Material) -> Iterator[Finding]:
    """Report prompts that are equal in normal form, largest set first.

    A warning: the split keeps them on one side, but they count double in training and make the data look larger than
    it is. Whether their completions agree is for ``conflicting_completions`` to say.
    """
    same: dict[int, list[int]] = defaultdict(list)
    for row in material.filled:
        same[int(material.prompts.first[row])].append(row)
    for rows in sorted((rows for rows in same.values() if len(rows) > 1), key=lambda rows: (-len(rows), rows)):
        where = listed([material.examples[row].place for row in rows])
        yield Finding(
            check="exact_duplicates",
            severity="warning",
            problem=f"{len(rows)} rows have the same prompt: {where}.",
            mend="keep one of them in the file, unless the prompt really comes this often",
            examples=material.ids(rows),
        )
