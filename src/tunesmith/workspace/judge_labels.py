"""Where a judge's human labels come from: a file, and reviews. Who has others makes `HumanLabel` records too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Rejected
from tunesmith.core.judging import OVERALL, HumanLabel
from tunesmith.data.readers.rows import Fault, Row, RowFault
from tunesmith.data.readers.source import kind_of, open_source, rows_in, shown
from tunesmith.workspace.home import Home

__all__ = ["Labels", "read_labels", "review_labels"]

PASSES: dict[Any, bool] = {
    "pass": True, "good": True, "yes": True, "true": True, "1": True,
    "fail": False, "bad": False, "no": False, "false": False, "0": False,
}  # fmt: skip
KEYS = ("example", "contender", "text", "criterion", "label", "rater", "model")
FORM = '{"example": ID, "text": ANSWER, "criterion": NAME, "label": "pass" or "fail"}'


class Labels(NamedTuple):
    labels: list[HumanLabel]
    rejected: list[Rejected]


def read_labels(home: Home, path: Path, criteria: tuple[str, ...]) -> Labels:
    """Labels from a file of JSON lines, or of one JSON list; rows that cannot be used are told, never dropped silently.

    A row: ``{"example": ID, "text": ANSWER, "criterion": NAME, "label": "pass"}``. In place of ``text`` stands
    ``contender`` where one of that name has answered; both may be given, and ``rater``, and ``model`` that wrote it.

    Raises:
        TunesmithError: The file cannot be read, or holds no row.
    """
    reader, found, rejected = _Reader(home, criteria), [], []
    with open_source(path, "jsonl") as file:
        kind = kind_of(path, file, None) if path.suffix.lower() == ".json" else "jsonl"
        for row in rows_in(kind, file, shown(path), lambda _: None):
            try:
                found.append(reader.label(row))
            except RowFault as fault:
                rejected.append(Rejected(file=path.name, line=row.line, problem=fault.problem, mend=fault.mend))
    if not found:
        why = f": {rejected[0].problem} (line {rejected[0].line})" if rejected else ""
        mend = rejected[0].mend if rejected else f"write lines {FORM}"
        raise TunesmithError(f"{path} holds no label that can be used{why}.", mend)
    return Labels(found, rejected)


def review_labels(home: Home) -> list[HumanLabel]:
    """What reviews say of completions as wholes: accepted ones pass, corrected and rejected ones fail."""
    known = {e.id: e for e in (*home.examples(), *home.store.removed())}
    current = {old: e for e in home.examples() for old in e.was}
    made = []
    for review in home.store.reviews.all():
        example = known.get(review.example)
        if review.outcome is None or review.undone_at is not None or example is None:
            continue
        made.append(
            HumanLabel(
                example=current.get(example.id, example).id,
                text=home.task.final(example.completion),
                criterion=OVERALL,
                passes=review.outcome == "accepted",
                rater=review.reviewer or "",
            )
        )
    return made


class _Reader:
    """Turns rows into labels, and knows the examples and what contenders answered."""

    def __init__(self, home: Home, criteria: tuple[str, ...]) -> None:
        self.home, self.names = home, (*criteria, OVERALL)
        self._ids = sorted(e.id for e in home.examples())
        self._made: dict[str, dict[str, Contender]] = {}
        for entry in home.index("contender"):
            self._made.setdefault(entry.name, {})[entry.hash] = home.load(entry, Contender)
        self._answers: dict[str, dict[str, Answer]] = {}

    def label(self, read: Row | Fault) -> HumanLabel:
        if isinstance(read, Fault):
            raise RowFault(read.problem, read.mend)
        row = read.content
        if unknown := [key for key in row if key not in KEYS]:
            raise RowFault(f"there is no key {unknown[0][:40]!r}", f"use {', '.join(KEYS)}")
        criterion = row.get("criterion", OVERALL)
        if criterion not in self.names:
            raise RowFault(f"{str(criterion)[:40]!r} is no criterion", f"use one of {', '.join(self.names)}")
        passes = row.get("label")
        said = passes if isinstance(passes, bool) else PASSES.get(str(passes).strip().lower())
        if said is None:
            problem = f"the label {str(passes)[:40]!r} is neither pass nor fail"
            raise RowFault(problem, 'write "label": "pass" or "fail"')
        example = self._example(row.get("example"))
        text, model = self._text(row, example)
        return HumanLabel(
            example=example,
            text=text,
            criterion=criterion,
            passes=said,
            contender=_word(row.get("contender")),
            model=_word(row.get("model")) or model,
            rater=_word(row.get("rater")) or "",
        )

    def _example(self, prefix: Any) -> str:
        found = [i for i in self._ids if isinstance(prefix, str) and len(prefix) >= 4 and i.startswith(prefix)]
        if len(found) != 1:
            raise RowFault(
                f"{len(found)} examples begin with {str(prefix)[:40]!r}",
                "give an example's id, as `tunesmith evaluate --json` lists them under `correct`",
            )
        return found[0]

    def _text(self, row: dict[str, Any], example: str) -> tuple[str, str | None]:
        """The answer that was labelled and the model that wrote it."""
        name, text = row.get("contender"), row.get("text")
        records = self._made.get(name, {}) if isinstance(name, str) else {}
        models = {record.model for record in records.values()}
        model = models.pop() if len(models) == 1 else None
        final = self.home.task.final
        if isinstance(text, str):
            return final(text), model
        if not isinstance(name, str):
            raise RowFault("it has neither text nor contender", f"write {FORM}")
        said = {final(answer.text) for record in records if (answer := self._answer(record, example)) is not None}
        if len(said) != 1:
            raise RowFault(
                f"contender {name[:40]!r} gave {len(said)} answers to example {example}",
                'give the answer that was labelled: "text"',
            )
        return said.pop(), model

    def _answer(self, contender: str, example: str) -> Answer | None:
        if contender not in self._answers:
            self._answers[contender] = self.home.store.answers(contender)
        found = self._answers[contender].get(example)
        return None if found is None or found.finish_reason == "error" else found


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
