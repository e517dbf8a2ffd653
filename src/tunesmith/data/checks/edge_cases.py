"""Are there examples of what goes wrong in practice: unclear, out of scope, to be declined, to be handed on?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from tunesmith.core.examples import EdgeCase
from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check

__all__ = ["edge_cases"]


@check("edge_cases")
def edge_cases(material: Material) -> Iterator[Finding]:
    """Report that no example, or only few, are marked as edge cases, and which kinds are missing. Never an error."""
    kinds = get_args(EdgeCase)
    counts = Counter(example.edge_case for example in material.examples if example.edge_case)
    if not material.examples:
        return
    if not counts:
        yield Finding(
            check="edge_cases",
            severity="warning",
            problem="No example is marked as an edge case, so nothing shows how the hard ones go.",
            mend=f"mark them in a column edge_case ({', '.join(kinds)}) and `tunesmith add FILE`; one in ten is good",
        )
        return
    share = sum(counts.values()) / len(material.examples)
    missing = [kind for kind in kinds if not counts[kind]]
    if share < material.config.edge_case_share or missing:
        without = f"; none of kind {', '.join(missing)}" if missing else ""
        yield Finding(
            check="edge_cases",
            severity="note",
            problem=f"{share:.1%} of the {len(material.examples)} examples are edge cases{without}.",
            mend="add some with `tunesmith add FILE`, the column edge_case set; a task may well lack a kind",
        )
