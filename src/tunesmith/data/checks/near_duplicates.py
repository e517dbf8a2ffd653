"""Prompts that say nearly the same in nearly the same words."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check, listed
from tunesmith.data.duplicates import clusters

__all__ = ["near_duplicates"]


@check("near_duplicates")
def near_duplicates(material: Material) -> Iterator[Finding]:
    """Report clusters of near-duplicate prompts, largest first; sets of equal prompts are ``exact_duplicates``.

    A warning: the split keeps a cluster on one side. Similarity is the Jaccard overlap of the prompts' word bigrams and
    character trigrams; two prompts that differ in one decisive word can reach the threshold, so look before you cut.
    """
    pairs = [pair for pair in material.pairs if pair.similarity >= material.config.near_duplicate_threshold]
    first = material.prompts.first
    apart = [pair for pair in pairs if first[pair.i] != first[pair.j]]
    found = [part for part in clusters(len(material.examples), ((p.i, p.j) for p in pairs)) if len(part) > 1]
    cluster = {row: number for number, part in enumerate(found) for row in part}
    least: dict[int, float] = {}
    for pair in apart:
        least[cluster[pair.i]] = min(pair.similarity, least.get(cluster[pair.i], 1.0))
    told = [(found[number], similarity) for number, similarity in least.items()]
    for part, similarity in sorted(told, key=lambda entry: (-len(entry[0]), entry[0])):
        rows = [material.examples[row].place for row in part]
        yield Finding(
            check="near_duplicates",
            severity="warning",
            problem=f"{len(part)} prompts are nearly the same (similarity {similarity:.2f} or more): {listed(rows)}.",
            mend="keep the best of them, or put more different ones beside them with `tunesmith add FILE`",
            examples=material.ids(part),
        )
