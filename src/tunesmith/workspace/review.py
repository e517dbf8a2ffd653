"""`review`: people look at examples, one at a time, and accept, correct or reject them. Many may do so at once.

`next` lends an example to one reviewer for some minutes. A decision is on disk when it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.examples import Example, Source
from tunesmith.core.findings import Finding
from tunesmith.core.json_text import read_json
from tunesmith.core.record import Record
from tunesmith.core.store import Edit, Queued, Review
from tunesmith.core.task import Field, Task
from tunesmith.workspace.agreement import AgreementReport, agreement
from tunesmith.workspace.home import Home
from tunesmith.workspace.queueing import findings_of, queue
from tunesmith.workspace.show import example_id, show

__all__ = ["ReviewDesk", "ReviewReport"]


class ReviewReport(Record, frozen=True, kw_only=True):
    queued: int
    """Opinions that are waited for."""
    claimed: int
    """Of those: held by somebody at this moment."""
    accepted: int
    corrected: int
    rejected: int
    second_opinions: int
    """Opinions that changed nothing, since another person's came first."""
    added: int = 0
    """Opinions that this command asked for."""
    review: Review | None = None
    """The opinion that was lent, given or taken back."""
    example: Example | None = None
    """What it is about, as it was when it was queued."""
    fields: dict[str, Any] | None = None
    """Its completion as the task reads it; None where it cannot."""
    findings: tuple[Finding, ...] = ()
    """What the newest check found about it."""
    minutes: float | None = None
    """How long it is kept for the reviewer."""


class ReviewDesk:
    """The queue as one reviewer sees it."""

    def __init__(self, home: Home, by: str) -> None:
        self.home, self.by = home, by
        self._reviews = home.store.reviews
        self._minutes = home.settings.review.lease_minutes

    def queue(self) -> ReviewReport:
        """How much waits, and what was decided."""
        return self._report()

    def add(
        self,
        *ids: str,
        check: str | None = None,
        source: Source | None = None,
        sample: int | None = None,
        second_opinion: float | None = None,
        seed: int = 0,
    ) -> ReviewReport:
        """Ask for people's opinion on examples: those named, found by a check, of a source, or a random sample."""
        share = self.home.settings.review.second_opinion if second_opinion is None else second_opinion
        if not 0 <= share <= 1:
            raise TunesmithError(f"A share is between 0 and 1, not {share:g}.", "write --second-opinion 0.2, say")
        new = queue(
            self.home, ids, check=check, source=source, sample=sample, second_opinion=share, seed=seed
        )  # fmt: skip
        return self._report(added=new)

    def next(self) -> ReviewReport:
        """Take the next example: the one held already, else the one that has waited longest. None where none waits."""
        return self._about(self._reviews.next(self.by, self._minutes), lent=True)

    def accept(self, example: str | None = None, *, note: str = "") -> ReviewReport:
        """Say that the example is right as it is."""
        return self._about(self._reviews.decide(self._held(example), self.by, "accepted", note=note))

    def correct(
        self,
        example: str | None = None,
        *,
        completion: str | None = None,
        fields: Mapping[str, str] | None = None,
        note: str = "",
    ) -> ReviewReport:
        """Put a better completion in the example's place: a whole one, or some of its fields.

        Raises:
            TunesmithError: It does not fit the task, or says what the example says already.
        """
        held = self._held(example)
        old = show(self.home, held.example)
        text = _corrected(self.home.task, old, completion, fields or {})
        if text == old.completion:
            raise TunesmithError(
                "The correction says what the example says.", "accept it with `tunesmith review accept`"
            )
        edit = Edit(old.id, old.reworded(old.messages, text), note)
        made = self._reviews.decide(held, self.by, "corrected", edit=edit, completion=text, note=note)
        return self._about(made)

    def reject(self, example: str | None = None, *, note: str = "") -> ReviewReport:
        """Take the example out of use."""
        held = self._held(example)
        edit = Edit(held.example, None, note)
        return self._about(self._reviews.decide(held, self.by, "rejected", edit=edit, note=note))

    def skip(self) -> ReviewReport:
        """Leave the example that is held to others."""
        held = self._held(None)
        self._reviews.skip(held, self.by)
        return self._about(held)

    def undo(self) -> ReviewReport:
        """Take this reviewer's last decision back; the example is theirs again to decide."""
        _, again = self._reviews.undo(self.by, self._minutes)
        return self._about(again, lent=True)

    def agreement(self, seed: int = 0) -> AgreementReport:
        """How well people agree who judged the same examples apart from each other."""
        return agreement(self.home, seed=seed)

    def _held(self, example: str | None) -> Review:
        """What the reviewer holds; an example that is named is taken now, and queued first if nobody was asked."""
        if example is not None:
            whole = example_id(self.home, example)
            if self.home.store.in_use(whole):
                self._reviews.add([Queued(whole, "named by hand")])
            return self._reviews.take(self.by, whole, self._minutes)
        held = self._reviews.held(self.by)
        if held is None:
            raise TunesmithError(
                f"{self.by} holds no example.", "take one with `tunesmith review next`, or name its id"
            )
        return held

    def _about(self, review: Review | None, *, lent: bool = False) -> ReviewReport:
        if review is None:
            return self._report()
        example = self.home.store.example(review.example)
        return self._report(
            review=review,
            example=example,
            fields=self.home.task.parse(example.completion).fields if example else None,
            findings=tuple(findings_of(self.home, example)) if example else (),
            minutes=self._minutes if lent else None,
        )

    def _report(self, **rest: Any) -> ReviewReport:
        return ReviewReport(**self._reviews.counts()._asdict(), **rest)


def _corrected(task: Task, old: Example, completion: str | None, fields: Mapping[str, str]) -> str:
    """The completion that is meant, written as the task writes it.

    Raises:
        TunesmithError: Nothing or both ways are given, a field is not known, or the result does not fit the task.
    """
    if (completion is None) == (not fields):
        raise TunesmithError(
            "A correction is a whole completion, or some of its fields.",
            "write --completion TEXT, or --set FIELD=VALUE for each field that is wrong",
        )
    if completion is None:
        completion = _with_fields(task, old, fields)
    parsed = task.parse(completion)
    if parsed.fields is None:
        raise TunesmithError(
            f"The correction does not fit the task: {parsed.problem}.",
            f"write what the task asks for: {', '.join(_wanted(f) for f in task.fields)}",
        )
    return task.render(parsed.fields)


def _with_fields(task: Task, old: Example, fields: Mapping[str, str]) -> str:
    names = [f.name for f in task.fields]
    for name in fields:
        if name not in names:
            raise UnknownName.among("field", name, names)
    given = {name: _value(task.field(name), text) for name, text in fields.items()}
    made = _there(task, old) | given
    if missing := [name for name in names if name not in made]:
        raise TunesmithError(
            f"The example has no {' and no '.join(missing)} to keep.",
            f"give it too: {' '.join(f'--set {name}=VALUE' for name in missing)}",
        )
    return task.render(made)


def _there(task: Task, old: Example) -> dict[str, Any]:
    """The fields of a completion, as far as they can be read."""
    read = task.parse(old.completion).fields
    if read is not None or task.format == "plain":
        return dict(read or {})
    try:
        loose = read_json(old.completion)
    except ValueError:
        return {}
    known = {f.name for f in task.fields}
    return {k: v for k, v in loose.items() if k in known} if isinstance(loose, dict) else {}


def _value(field: Field, text: str) -> Any:
    if field.type == "label" and field.multiple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return None if not text and field.nullable else text


def _wanted(field: Field) -> str:
    if field.type != "label":
        return f"{field.name} (a {field.type})"
    return f"{field.name} (one of {', '.join(field.labels[:12])}{', ...' if len(field.labels) > 12 else ''})"
