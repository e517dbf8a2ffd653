"""Completions that are written otherwise than the others: length, marks, markup, greetings, spelling, capitals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from tunesmith.core.findings import Finding, Severity
from tunesmith.core.task import Field
from tunesmith.data.checks.material import Material, check, listed
from tunesmith.data.style import TRAITS, american, british, words

__all__ = ["consistency"]

FEWEST_ROWS = 20
"""With fewer completions there is no rule to be an exception from."""
MIXED = 0.35
"""Up to this share, what some completions do and others do not is told as a mixture; beyond, it is content."""
FAR = 3.0
"""Quartile ranges beyond the quartiles from which on a length is an outlier (J. Tukey's outer fence, 1977)."""


@check("consistency")
def consistency(material: Material) -> Iterator[Finding]:
    """Report texts longer than the task allows, and those that break what nearly all others keep to.

    The rule is the data's own: what at most ``style_minority`` of the texts do (or leave out) is a warning, with its
    rows; up to a third, a note that the texts are mixed. Whether the rule is a good one is for people to say.
    """
    for field in material.task.fields:
        if field.type == "text":
            texts = _texts(material, field)
            yield from _too_long(material, field, texts)
            if len(texts) >= FEWEST_ROWS:
                yield from _lengths(material, field, texts)
                yield from _traits(material, field, texts)
                yield from _spelling(material, field, texts)
        elif field.type == "label":
            yield from _capitals(field)


def _texts(material: Material, field: Field) -> dict[int, str]:
    """The field's text by row, also of completions whose other fields do not fit."""
    if material.task.format == "plain":
        found = {row: example.completion for row, example in enumerate(material.examples)}
    else:
        values = ((row, (read or {}).get(field.name)) for row, read in enumerate(material.objects))
        found = {row: value for row, value in values if isinstance(value, str)}
    return {row: text for row, text in found.items() if text.strip()}


def _too_long(material: Material, field: Field, texts: dict[int, str]) -> Iterator[Finding]:
    if field.max_length is None:
        return
    for row, text in texts.items():
        if len(text) > field.max_length:
            where = material.examples[row].place
            yield _finding(
                f"{where}: {field.name} has {len(text)} characters, and the task allows {field.max_length}.",
                f"shorten it, or raise max_length of {field.name} in tunesmith.yaml: answers stop there",
                material.ids([row]),
            )


def _lengths(material: Material, field: Field, texts: dict[int, str]) -> Iterator[Finding]:
    counts = {row: words(text) for row, text in texts.items()}
    low, high = (float(q) for q in np.percentile(list(counts.values()), [25, 75]))
    reach = FAR * max(high - low, 2.0)  # where nearly all are equally long, a word more is no outlier
    for row, count in counts.items():
        if count > high + reach or count < low - reach:
            yield _finding(
                f"{material.examples[row].place}: {field.name} has {count} words; half of them have "
                f"{low:.0f} to {high:.0f}.",
                "bring it to the length of the others, or correct the row",
                material.ids([row]),
            )


def _traits(material: Material, field: Field, texts: dict[int, str]) -> Iterator[Finding]:
    for trait in TRAITS:
        having = [row for row, text in texts.items() if trait.holds(text)]
        lacking = [row for row in texts if row not in set(having)]
        few, verb, rule = (having, "has", "no others do")
        if len(having) > len(lacking):
            few, verb, rule = (lacking, "lacks", "all others have it")
        share = len(few) / len(texts)
        if not few or share > MIXED:
            continue
        where = listed([material.examples[row].place for row in few], most=3)
        if share <= material.config.style_minority:
            yield _finding(
                f"{field.name} {verb} {trait.name} in {len(few)} of {len(texts)} examples ({where}); {rule}.",
                "write them as the others are, or leave them if they should be so",
                material.ids(few),
            )
        elif verb == "has":
            yield _finding(
                f"{field.name} is mixed: {share:.0%} of {len(texts)} have {trait.name}.",
                "decide which it should be, and say it in task.instructions",
                material.ids(few),
                "note",
            )


def _spelling(material: Material, field: Field, texts: dict[int, str]) -> Iterator[Finding]:
    spelt = {"British": {r: w for r, t in texts.items() if (w := british(t))}}
    spelt["American"] = {r: w for r, t in texts.items() if (w := american(t))}
    if not all(spelt.values()):
        return
    rare, usual = sorted(spelt, key=lambda name: len(spelt[name]))
    common = listed([w for w, _ in Counter(w for found in spelt[rare].values() for w in found).most_common()], most=4)
    clear = len(spelt[rare]) <= 0.5 * len(spelt[usual])
    yield _finding(
        f"{field.name}: {len(spelt[rare])} examples are spelt the {rare} way ({common}), {len(spelt[usual])} the "
        f"{usual} way.",
        f"spell all the {usual} way" if clear else "decide on one spelling, and say it in task.instructions",
        material.ids(list(spelt[rare])),
        "warning" if clear else "note",
    )


def _capitals(field: Field) -> Iterator[Finding]:
    """Labels of one field that begin some with a capital and some without."""
    letters = [label for label in field.labels if label[:1].isalpha() and label[:1].lower() != label[:1].upper()]
    upper = [label for label in letters if label[0].isupper()]
    if upper and len(upper) < len(letters):
        rare = upper if 2 * len(upper) <= len(letters) else [label for label in letters if label not in upper]
        kind: Severity = "note"
        yield _finding(
            f"{field.name}: some labels begin with a capital and some do not; the fewer: {listed(rare)}.",
            f"write all of task.fields: {field.name}: labels alike, and the completions with them",
            severity=kind,
        )


def _finding(problem: str, mend: str, examples: tuple[str, ...] = (), severity: Severity = "warning") -> Finding:
    return Finding(check="consistency", severity=severity, problem=problem, mend=mend, examples=examples)
