"""Text of a public benchmark among the examples: scores on that benchmark would say nothing afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from xxhash import xxh3_64_intdigest

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check
from tunesmith.data.text import normal

__all__ = ["benchmark_text"]

FEWEST_WORDS = 5
"""Shorter texts are everybody's."""


@check("benchmark_text")
def benchmark_text(material: Material) -> Iterator[Finding]:
    """Report rows that share ``benchmark_ngram`` words in a row with the benchmark's text, the longest first.

    Overlap of word n-grams is how contamination is usually told (T. Brown et al., NeurIPS 2020, arXiv:2005.14165,
    appendix C, with n from 8 to 13). A text of fewer words counts where it is in the benchmark whole. Silent where no
    file is named.
    """
    if not material.benchmark:
        return
    size = material.config.benchmark_ngram
    known = {gram for text in material.benchmark for gram in _grams(text, size)}
    found = []
    for row, example in enumerate(material.examples):
        grams = [gram for text in (example.prompt, example.completion) for gram in _grams(text, size)]
        if shared := sum(gram in known for gram in grams):
            found.append((shared / len(grams), row))
    for share, row in sorted(found, key=lambda entry: (-entry[0], entry[1])):
        yield Finding(
            check="benchmark_text",
            severity="warning",
            problem=f"{material.examples[row].place}: {share:.0%} of its runs of {size} words are in the benchmark.",
            mend="take the row out of the file, or report no score on that benchmark",
            examples=(material.examples[row].id,),
        )


def _grams(text: str, size: int) -> Iterator[int]:
    words = normal(text).split()
    if len(words) < min(size, FEWEST_WORDS):
        return
    for at in range(max(1, len(words) - size + 1)):
        yield xxh3_64_intdigest(" ".join(words[at : at + size]).encode("utf-8", "surrogatepass"))
