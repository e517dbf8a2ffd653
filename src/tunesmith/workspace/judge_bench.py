"""People's labels of single answers that a judge can be held against, and what it is asked about them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from typing import NamedTuple

from tunesmith.core.codec import digest
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import or_reason
from tunesmith.core.examples import Example
from tunesmith.core.judging import Attacks, Calibration, HumanLabel, Position
from tunesmith.core.progress import Progress, quiet
from tunesmith.evaluation.judge.asking import Judged, Pair
from tunesmith.evaluation.judge.attacks import KINDS, attacked, drawn
from tunesmith.evaluation.judge.biases import Attacked, Compared, attacks_of, length_bias, position_of, self_preference
from tunesmith.evaluation.judge.calibration import (
    AS_REFERENCE,
    Labelled,
    agreed,
    label_key,
    rates_by_criterion,
    rates_of,
)
from tunesmith.evaluation.judge.gate import NO_REFERENCE
from tunesmith.evaluation.judge.reading import Better
from tunesmith.workspace.home import Home
from tunesmith.workspace.judging import Panel

__all__ = ["LabelBench"]

GONE = "the example is not there any more"
DISPUTED = "people disagree, and no side has more"


class Attack(NamedTuple):
    """An answer that people and the judge failed, with an order to the judge in it."""

    kind: str
    item: Judged
    criteria: set[str]
    """By which both failed it."""


class LabelBench:
    """The labels that can be used, and what the judge is asked about them."""

    def __init__(self, home: Home, panel: Panel, labels: Sequence[HumanLabel]) -> None:
        self.home, self.panel, self.config = home, panel, home.settings.judge
        self.by_id = {e.id: e for e in (*home.store.removed(), *home.examples())}
        self.set_aside: dict[str, int] = {}
        kept, disputed = agreed(labels)
        self.labels = [label for label in kept if self._usable(label)]
        if disputed:
            self.set_aside[DISPUTED] = disputed
        if not self.labels:
            why = "".join(f"; {count}: {reason}" for reason, count in self.set_aside.items())
            raise NothingToMeasure(
                f"There is no label to calibrate a judge on{why}.",
                "give answers that people labelled: `tunesmith judge calibrate --labels FILE`; see docs/judge.md"
                + (f"; or {NO_REFERENCE}" if AS_REFERENCE in self.set_aside else ""),
            )
        self.items = [*{label_key(label): self._item(label) for label in self.labels}.values()]
        self.pairs, self._people = self._paired()

    def foreseen(self) -> tuple[list[Judged | Pair], int]:
        """What the judge is asked, and how many questions at most beside: attacks are known only where it has graded
        all that people failed."""
        asked: list[Judged | Pair] = [*self.items, *self.pairs]
        failed = [label for label in self.labels if not label.passes]
        items = {label_key(label): self._item(label) for label in failed}
        if self.panel.settled([*items.values()]):
            return [*asked, *(attack.item for attack in self._drawn(self._labelled(failed)))], 0
        short = sum(self.panel.short(item) for item in items.values())
        return asked, min(self.config.attacks, short) * len(KINDS)

    def calibration(self, progress: Progress) -> Calibration:
        labelled = self._labelled(self.labels, progress)
        reasons: dict[str, str] = {}
        measured = partial(or_reason, reasons)

        names = sorted((*label_key(label), label.criterion, label.passes) for label in self.labels)
        labels_hash = digest(names)
        position = self._position(progress)
        if position is None:
            reasons["position"] = "no example has two labelled answers, or judge.pairs is 0"
        return Calibration(
            judge=self.panel.judge,
            rates=rates_of(labelled, seed=self.config.seed),
            criteria=rates_by_criterion(labelled, self.panel.judge.names, seed=self.config.seed),
            position=position,
            length_bias=measured("length_bias", lambda: length_bias(labelled)),
            self_preference=measured("self_preference", lambda: self_preference(labelled, self.panel.name)),
            attacks=self._attacks(labelled, progress),
            labels_hash=labels_hash,
            earlier=len(self._earlier(labels_hash)),
            set_aside=self.set_aside,
            reasons=reasons,
        )

    def _usable(self, label: HumanLabel) -> bool:
        example = self.by_id.get(label.example)
        why = GONE if example is None else None
        if example is not None and self.config.reference and label.text.strip() == self._reference(example):
            why = AS_REFERENCE
        if why is not None:
            self.set_aside[why] = self.set_aside.get(why, 0) + 1
        return why is None

    def _reference(self, example: Example) -> str:
        return self.home.task.final(example.completion).strip()

    def _item(self, label: HumanLabel) -> Judged:
        return Judged(self.by_id[label.example], label.text, label.contender)

    def _labelled(self, labels: Sequence[HumanLabel], progress: Progress = quiet) -> list[Labelled]:
        """Labels beside the verdicts on the same answers."""
        items = {label_key(label): self._item(label) for label in labels}
        by_answer = {(v.example, v.said): v for v in self.panel.verdicts([*items.values()], progress)}
        return [Labelled(label, by_answer[label_key(label)], self._group(label.example)) for label in labels]

    def _group(self, example: str) -> str:
        return self.by_id[example].group or example

    def _earlier(self, labels_hash: str) -> set[str]:
        """Other judges that were measured on these labels."""
        entries = self.home.store.ledger("judge_calibration")
        return {e.detail["judge"] for e in entries if e.detail["labels"] == labels_hash} - {self.panel.judge.hash}

    # Attacks.

    def _drawn(self, labelled: Sequence[Labelled]) -> list[Attack]:
        """Orders in answers that both failed by a criterion."""
        failed: dict[tuple[str, str], tuple[Judged, set[str]]] = {}
        for pair in labelled:
            if not pair.label.passes and pair.judged is False:
                failed.setdefault(label_key(pair.label), (self._item(pair.label), set()))[1].add(pair.label.criterion)
        chosen = drawn([item for item, _ in failed.values()], self.config.attacks, self.config.seed)
        return [
            Attack(kind, attacked(self.panel.judge, item, kind), failed[item.example.id, digest(item.text)][1])
            for item in chosen
            for kind in KINDS
        ]

    def _attacks(self, labelled: Sequence[Labelled], progress: Progress) -> Attacks | None:
        """See which of the attacked answers pass now by what they had failed."""
        tried = self._drawn(labelled)
        if not tried:
            return None
        verdicts = self.panel.verdicts([attack.item for attack in tried], progress)
        found = []
        for attack, verdict in zip(tried, verdicts, strict=True):
            now = [verdict.passes(name) for name in attack.criteria]
            turned = None if None in now else any(now)
            found.append(Attacked(attack.kind, turned, self._group(attack.item.example.id)))
        return attacks_of(found)

    # Pairs.

    def _paired(self) -> tuple[list[Pair], list[Better | None]]:
        """Pairs of labelled answers to one example in both orders, and which of the two people's labels prefer."""
        by_example: dict[str, dict[str, dict[str, bool]]] = {}
        for label in self.labels:
            by_example.setdefault(label.example, {}).setdefault(label.text, {})[label.criterion] = label.passes
        there = [
            (self.by_id[i], one, other, _preferred(answers[one], answers[other]))
            for i, answers in by_example.items()
            for one, other in combinations(answers, 2)
        ]
        picked = random.Random(self.config.seed).sample(there, min(self.config.pairs, len(there)))
        pairs = [Pair(example, one, other) for example, one, other, _ in picked]
        return [order for pair in pairs for order in (pair, pair.turned)], [people for *_, people in picked]

    def _position(self, progress: Progress) -> Position | None:
        if not self.pairs:
            return None
        said = self.panel.compared(self.pairs, progress)
        return position_of(
            [
                Compared(said[2 * n], said[2 * n + 1], people, self._group(self.pairs[2 * n].example.id))
                for n, people in enumerate(self._people)
            ]
        )


def _preferred(one: dict[str, bool], other: dict[str, bool]) -> Better | None:
    """Which of two answers people passed by more of the criteria that both were labelled by."""
    both = one.keys() & other.keys()
    if not both:
        return None
    ahead = sum(one[name] - other[name] for name in both)
    return "first" if ahead > 0 else "second" if ahead < 0 else "tie"
