"""A search for the best way to ask one model: tries race on validation rows, and the winner is taken if it holds up
on others.

Each try is a frozen contender whose answers are kept, so a search that was interrupted goes on where it was, and one
with more calls asks only for what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as with_changes
from statistics import fmean

from msgspec.structs import replace

from tunesmith.contenders import contender_kind, open_contender
from tunesmith.contenders.config import BestConfig
from tunesmith.contenders.halving import Rung, answers_of, measured_aside, rungs
from tunesmith.contenders.kind import Predicting
from tunesmith.core.choices import Choice, Proposal, Try
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer, Contender
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Comparison, Estimate
from tunesmith.core.examples import Example
from tunesmith.core.naming import kind_named, model_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.store.erasing import ERASED
from tunesmith.decision.costs import cost
from tunesmith.evaluation.choosing import at_most, compared, flattered, in_words
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.scores import score
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.choice_plan import ChoicePlan, Round
from tunesmith.workspace.choices import choice_inputs
from tunesmith.workspace.prices import at_its_prices
from tunesmith.workspace.proposing import Proposer, Wrong, proposals
from tunesmith.workspace.scoring import usage
from tunesmith.workspace.watched import watched_metric

__all__ = ["Race"]

MOST_LOST = 0.1
"""Share of its answers that a try may lose, to errors or because its prompts are too long."""
LOOKED_AT = 3
"""Rows whose prompts say how long those of a try are."""


class Race:
    """One search."""

    def __init__(self, answering: Answering, name: str, config: BestConfig, progress: Progress = quiet) -> None:
        """``name``: prompt, few_shot or retrieval, or one of them of another model."""
        self.home, self.answering, self.name = answering.home, answering, name
        self.config, self.progress = config, progress
        self.metric, task = watched_metric(self.home), self.home.task
        self.constrained = self.home.settings.contenders.constrained and task.constraint() is not None
        self._context = answering.context(constrained=self.constrained, model=model_named(name))
        self.validation, self.rows, self.held = self._sides()
        self._proposer: Proposer | None = None
        if config.proposer and kind_named(name) == "prompt":
            self._proposer = Proposer(answering, config.proposer, config, self.metric)
        self.inputs = choice_inputs(self.home, answering, name, self.metric) | {"model": answering.model_now(name)}
        self._proposals, self.left_out = proposals(answering, name, config)
        self.tries: list[Try] = []
        self._records: dict[int, Contender] = {}
        self._answers: dict[int, dict[str, Answer]] = {}
        self._asked = 0
        self._asked_rounds = 0
        for proposal in self._proposals:
            self._enter(proposal)
        self._rounds = rungs(len(self.tries) + self._wanted, len(self.rows), config.calls, 2 * len(self.held))

    @property
    def _wanted(self) -> int:
        """Instructions that the proposer is asked for."""
        return self.config.rounds * self.config.proposals if self._proposer else 0

    @property
    def _most(self) -> int:
        """Answers that it asks for, at most."""
        return answers_of(self._rounds) + 2 * len(self.held)

    @property
    def _closing(self) -> int:
        """Answers of the winner to the rest of validation, and of its twin that is not constrained to all, at most."""
        seen = self._rounds[0].rows + len(self.held)  # try 1 may stay though it raced in the first round alone
        return len(self.validation) - seen + (len(self.validation) if self.constrained else 0)

    def plan(self) -> ChoicePlan:
        """What it would take; asks nothing."""
        calls, server = self._most, self.answering.server(model_named(self.name))
        asked = calls + self._closing
        priced = None not in (server.usd_per_million_input_tokens, server.usd_per_million_output_tokens)
        (seconds, usd), longer = self._measured(), self._longer()
        because = {} if seconds is not None else {"seconds": f"no answer of {self.name} is there to go by"}
        if usd is None:
            because["usd"] = f"no answer of {self.name} is there to go by" if priced else "its model has no price"
        written = None
        if self._proposer:
            written = self._proposer.cost([t.proposal.instructions for t in self.tries], self.rows)
            if written is None:
                because["proposer_usd"] = f"{self._proposer.name} has no price"
        capped = (priced and server.base_url is not None) or written is not None
        return ChoicePlan(
            contender=self.name,
            metric=self.metric,
            tries=len(self.tries) + self._wanted,
            proposed=self._wanted,
            rounds=tuple(Round(tries=rung.tries, rows=rung.rows) for rung in self._rounds),
            rows=self._rounds[-1].rows,
            held_back=len(self.held),
            calls=calls,
            closing=self._closing,
            seconds=None if seconds is None else seconds * asked * longer,
            usd=None if usd is None else usd * asked * longer,
            budget_usd=self.home.settings.budget.usd if capped else None,
            proposer=self._proposer.name if self._proposer else None,
            proposer_usd=written,
            because=because,
        )

    def run(self) -> Choice:
        """Race the tries, look at the winner on the rows held back, and keep the choice.

        Raises:
            TunesmithError: No try could be measured.
        """
        self._go_on()
        first, *later = self._rounds
        self._measure([t.number for t in self.tries], first)
        while self._proposer and self._asked_rounds < self.config.rounds:
            self._measure(self._written(), first)
        for rung in later:
            self._measure(self._thinned(rung.tries), rung)
        return self._chosen(self._rounds[-1].rows)

    def _sides(self) -> tuple[list[Example], list[Example], list[Example]]:
        """Validation rows: all, those that tries are measured on in order, and those held back. Groups stay whole.

        Of many rows held back the first are measured, as many as the calls allow. The others do not race either, so
        that with more calls they have not been seen.
        """
        ids, seed = set(self.answering.split.validation), self.config.seed
        rows = [e for e in self.home.examples() if e.id in ids]
        if not rows:
            raise TunesmithError(
                "The validation side is empty, so nothing can be chosen on it.",
                "split again with a larger share, e.g. `tunesmith split --validation 0.15`",
            )
        ordered = sorted(rows, key=lambda e: (digest([seed, e.group or e.id]), digest([seed, e.id])))
        count = round(len(rows) * self.config.held_back) if len(rows) >= self.config.least_rows else 0
        while 0 < count < len(ordered) and (g := ordered[count - 1].group) is not None and ordered[count].group == g:
            count += 1
        if count >= len(ordered):  # one group is nearly all there is
            count = 0
        searched = sorted(ordered[count:], key=lambda e: digest([seed, "order", e.id]))
        return rows, searched, ordered[: measured_aside(count, self.config.calls)]

    def _enter(self, proposal: Proposal) -> int | None:
        """Freeze a try; None where another asks the very same."""
        number = len(self.tries) + 1

        def chosen(kind: str) -> Proposal | None:
            return None if number == 1 else proposal

        record = contender_kind[kind_named(self.name)].make(with_changes(self._context, chosen=chosen))
        if any(_asks_the_same(record, other) for other in self._records.values()):
            return None
        self._records[number] = record
        self._answers[number] = {}
        self.tries.append(Try(number=number, proposal=proposal, contender=record.hash))
        return number

    def _measure(self, numbers: Sequence[int], rung: Rung) -> None:
        """Answer and score the first rows of the race with these tries."""
        rows = self.rows[: rung.rows]
        for number in numbers:
            self.home.save("try", self.name, self._records[number], self._records[number].inputs)
            self._set(number, self._scored(number, rows))
        self._keep()

    def _scored(self, number: int, rows: Sequence[Example]) -> Try:
        tried, answers = self.tries[number - 1], self._answered(number, rows)
        found = score(self.home.task, rows, answers, metrics=[self.metric])
        lost, cut = found.failed / len(rows), found.truncated / len(rows) - self._cut_as_set(rows)
        problem = next((a.problem for a in answers if a.finish_reason == "error" and a.problem), None)
        if cut > MOST_LOST:
            problem = f"{found.truncated} of {len(rows)} prompts are longer than the model's context, and were cut"
        return replace(
            tried,
            rows=len(rows),
            score=found.metrics.get(self.metric),
            prompt_tokens=found.prompt_tokens,
            state="failed" if max(lost, cut) > MOST_LOST else "kept",
            problem=problem if max(lost, cut) > MOST_LOST else found.unmeasured.get(self.metric),
        )

    def _cut_as_set(self, rows: Sequence[Example]) -> float:
        """Share of ``rows`` whose prompts are cut as tunesmith.yaml has it, too (try 1): that is no try's fault."""
        first = [self._answers[1][e.id] for e in rows if e.id in self._answers[1]]
        return sum(a.truncated > 0 for a in first) / len(first) if first else 0.0

    def _answered(self, number: int, rows: Sequence[Example]) -> list[Answer]:
        """The answers of a try to ``rows``; those not yet there are asked for."""
        new = [e for e in rows if e.id not in self._answers[number]]
        before, most = self._asked, self._most

        def told(done: int, total: int, note: str = "") -> None:
            self.progress(min(before + done, most), most, f"try {number} of {len(self.tries)}")

        given = self.answering.answers({self.name: self._records[number]}, new, told)[self.name]
        self._answers[number] |= given
        self._asked += len(new)
        return [self._answers[number][e.id] for e in rows]

    def _go_on(self) -> None:
        """Take up what the proposer has written in an earlier search of the same, interrupted or not."""
        kept = self.home.latest("choosing", self.name, Choice)
        if self._proposer and kept and kept[1].inputs == self.inputs and kept[0].proposer == self._proposer.name:
            for tried in kept[0].tries:
                if tried.proposal.how.startswith(self._proposer.mark) and ERASED not in tried.proposal.instructions:
                    self._enter(tried.proposal)
            self._asked_rounds = kept[0].rounds
            self._proposer.refused.update(kept[0].refused)
            self._proposer.begun, self._proposer.usd = kept[0].begun, kept[0].proposer_usd

    def _written(self) -> list[int]:
        """Numbers of the tries that the proposer writes in the next round, kept as soon as they are there."""
        assert self._proposer is not None
        measured = [t for t in self.tries if t.score is not None and t.state == "kept"]
        if not measured:
            self._asked_rounds += 1
            return []
        best = min(measured, key=_rank)
        rows = [e for e in self.rows if e.id in self._answers[best.number]]
        given = [self._answers[best.number][e.id] for e in rows]
        right = score(self.home.task, rows, given, metrics=[self.metric]).correct
        wrong = [
            Wrong(e, a)
            for e, a in zip(rows, given, strict=True)
            if right[e.id] is False or not self.home.task.checkable
        ]
        tried = [(t.proposal.instructions, t.score.value) for t in measured if t.score is not None]
        new: list[int] = []

        def entered(proposal: Proposal) -> None:
            number = self._enter(proposal)
            new.extend([number] if number is not None else [])

        try:
            self._proposer.write(tried, wrong, self._asked_rounds + 1, entered)
            self._asked_rounds += 1
        finally:  # what was written before a stop was paid for
            self._keep()
        return new

    def _thinned(self, size: int) -> list[int]:
        """Drop all but the first try and the best of the others, ``size`` together."""
        alive = [t for t in self.tries if t.state == "kept"]
        first = [t for t in alive if t.number == 1]
        others = sorted((t for t in alive if t.number != 1), key=_rank)
        kept = {t.number for t in (*first, *others[: size - len(first)])}
        for tried in alive:
            if tried.number not in kept:
                self._set(tried.number, replace(tried, state="dropped"))
        return sorted(kept)

    def _chosen(self, count: int) -> Choice:
        rows = self.rows[:count]
        last = [t for t in self.tries if t.state == "kept" and t.score is not None and t.rows == count]
        if not last:
            because = next((t.problem for t in self.tries if t.problem), "none was answered")
            too_long = any(a.too_long for given in self._answers.values() for a in given.values())
            shorter = "show fewer or shorter examples, or name a model that takes more"
            raise TunesmithError(
                f"None of {len(self.tries)} tries at {self.name} could be measured: {because}.",
                shorter if too_long else f"let the model answer first: `tunesmith baseline {self.name}`",
            )
        best = min(last, key=_rank)
        assert best.score is not None
        fresh, against, lost, most_lost = self._held_up(best.number)
        works = self.tries[0].state != "failed"  # else whatever answers is better than what tunesmith.yaml says
        stays = most_lost or (works and (against is None or against.difference < 0))
        answers = {t.number: [self._answers[t.number][e.id] for e in rows] for t in last}
        choice = replace(
            self._record(),
            tries=compared(self.home.task, rows, answers, self.tries, best.number, self.metric),
            best=1 if self.held and stays else best.number,  # so these rows have a say too
            rows=count,
            held_back=len(self.held),
            optimism=flattered(self.home.task, rows, list(answers.values()), self.metric, self.config.seed),
            at_most=at_most(best.score, len(self.tries)) if len(self.tries) > 1 else None,
            fresh=fresh,
            against=against,
            lost=lost,
        )
        choice = replace(choice, said=in_words(choice, best, len(self.validation)))
        self.home.save("choice", self.name, choice, self.inputs)
        return choice

    def _held_up(self, number: int) -> tuple[Estimate | None, Comparison | None, int, bool]:
        """The winner on the rows held back, and beside the first try; how many of them it lost, and whether those are
        too many."""
        if not self.held:
            return None, None, 0, False
        task = self.home.task
        given = self._answered(number, self.held)
        found = score(task, self.held, given, metrics=[self.metric])
        fresh, lost = found.metrics.get(self.metric), max(found.failed, found.truncated)
        first = self._answered(1, self.held)
        most = MOST_LOST * len(self.held)
        too_many = max(found.failed, found.truncated - sum(a.truncated > 0 for a in first)) > most
        if number == 1:
            return fresh, None, lost, too_many
        try:
            beside = compare(task, self.held, given, first, self.metric, names=("chosen", "as set"))
            return fresh, beside, lost, too_many
        except NothingToMeasure:
            return fresh, None, lost, too_many

    def _record(self) -> Choice:
        return Choice(
            name=self.name,
            metric=self.metric,
            constrained=self.constrained,
            seed=self.config.seed,
            calls=self.config.calls,
            tries=tuple(self.tries),
            proposer=self._proposer.name if self._proposer else None,
            proposer_usd=self._proposer.usd if self._proposer else None,
            rounds=self._asked_rounds,
            begun=self._proposer.begun if self._proposer else 0,
            left_out=self.left_out,
            refused=dict(self._proposer.refused) if self._proposer else {},
            inputs=self.inputs,
        )

    def _keep(self) -> None:
        self.home.save("choosing", self.name, self._record(), self.inputs)

    def _set(self, number: int, tried: Try) -> None:
        self.tries[number - 1] = tried

    def _longer(self) -> float:
        """How much longer prompts of a try are than those of the first, on average over tries."""
        lengths = []
        for record in self._records.values():
            ready = open_contender(record, self._context)
            assert not isinstance(ready, Predicting)  # kinds that are searched ask a model
            asked = [ready.prepare(example) for example in self.rows[:LOOKED_AT]]
            lengths.append(fmean(sum(len(m.content) for m in request.messages) for request in asked))
        return fmean(lengths) / max(lengths[0], 1.0)

    def _measured(self) -> tuple[float | None, float | None]:
        """Mean seconds and price of the answers of the contender that are there."""
        record = self._records[1]
        there = [a for a in self.home.store.answers(record.hash).values() if a.finish_reason != "error"]
        seconds = [a.seconds for a in there if a.seconds is not None and not a.cached]
        figures, prices = at_its_prices(self.home, usage(record, there), record.kind)
        usd = cost(figures, prices).usd_per_thousand if figures.hosted else None
        return fmean(seconds) if seconds else None, usd / 1000 if usd is not None else None


def _rank(tried: Try) -> tuple[float, float, int]:
    """Best first: by score, among equals the one with the shorter prompts, then the first."""
    value = tried.score.value if tried.score is not None else float("-inf")
    return -value, tried.prompt_tokens or 0.0, tried.number


def _asks_the_same(one: Contender, other: Contender) -> bool:
    return replace(one, inputs={}, settings={}) == replace(other, inputs={}, settings={}) and (
        one.index is None or one.settings == other.settings
    )
