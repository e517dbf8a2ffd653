"""Languages of prompts and completions: an answer in another language than the others, and what customers write in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tunesmith.core.findings import Finding
from tunesmith.data.checks.material import Material, check, listed
from tunesmith.data.language import language

__all__ = ["language_mix"]

ONE_LANGUAGE = 0.9
"""From this share on the completions have one language, whatever the prompts have."""


@check("language_mix")
def language_mix(material: Material) -> Iterator[Finding]:
    """Report completions in an unexpected language, a warning each; and the languages of the prompts, a note.

    Where nearly all completions are in one language, another one is unexpected. Where they are not, they should
    answer in the prompt's language. Only texts are looked at: a label has no language. Short texts are not told.
    """
    confidence = material.config.language_confidence
    prompts = {row: language(material.examples[row].prompt, confidence) for row in material.filled}
    answers = {row: language(text, confidence) for row, text in _texts(material).items()}
    yield from _prompts(material, prompts)
    counts = Counter(code for code in answers.values() if code)
    if not counts:
        return
    usual, most = counts.most_common(1)[0]
    one = most >= ONE_LANGUAGE * counts.total()
    for row, code in answers.items():
        wanted = usual if one else prompts.get(row)
        if code and wanted and code != wanted:
            because = "nearly all others are in" if one else "its prompt is in"
            yield Finding(
                check="language_mix",
                severity="warning",
                problem=f"{material.examples[row].place}: the completion is in {code!r}, and {because} {wanted!r}.",
                mend="write it in the language it should have, or say in task.instructions which language to answer in",
                examples=material.ids([row]),
            )


def _texts(material: Material) -> dict[int, str]:
    """The free text of each completion that has any."""
    names = [field.name for field in material.task.fields if field.type == "text"]
    if not names:
        return {}
    if material.task.format == "plain":
        return {row: example.completion for row, example in enumerate(material.examples)}
    texts = {
        row: [value for name in names if isinstance(value := read.get(name), str)]
        for row, read in enumerate(material.objects)
        if read is not None
    }
    return {row: "\n".join(found) for row, found in texts.items() if found}


def _prompts(material: Material, prompts: dict[int, str | None]) -> Iterator[Finding]:
    counts = Counter(code for code in prompts.values() if code)
    if len(counts) < 2:
        return
    usual, most = counts.most_common(1)[0]
    others = listed([f"{code} ({count})" for code, count in counts.most_common()[1:]])
    yield Finding(
        check="language_mix",
        severity="note",
        problem=f"{most / counts.total():.0%} of the prompts are in {usual!r}; others in {others}.",
        mend="see that the task names the language to answer in, and that the test has each language too",
        examples=material.ids([row for row, code in prompts.items() if code and code != usual]),
    )
