"""Examples that do not fit into the model whole."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check

__all__ = ["truncated"]


@check("truncated")
def truncated(material: Material) -> Iterator[Finding]:
    """Report examples longer than the model takes, and those of which no token is learnt. Silent without a tokenizer.

    Cut at the end, an example loses its completion first, and with it all there is to learn.
    """
    if material.count_tokens is None:
        return
    for example in material.examples:
        tokens, supervised = material.count_tokens(example)
        problem, mend = "", "shorten the prompt, take the row out of the file, or tune a model that takes more tokens"
        if material.context is not None and tokens > material.context:
            problem = f"{tokens:,} tokens, and the model takes {material.context:,}"
        elif material.max_tokens is not None and tokens > material.max_tokens:
            problem = f"{tokens:,} tokens, and tuning.max_length allows {material.max_tokens:,}"
            mend = "set tuning.max_length higher, shorten the prompt, or take the row out of the file"
        elif supervised == 0 and example.completion.strip():  # a blank one is empty_completion's
            problem = "no token of it is learnt, there is nothing to learn from"
        if problem:
            yield Finding(
                check="truncated",
                severity="error",
                problem=f"{example.place}: {problem}.",
                mend=mend,
                examples=(example.id,),
            )
