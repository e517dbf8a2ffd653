"""`judge calibrate --ratings`: the judge compares the pairs that people compared blind, and is held against them.

No pass or fail follows from a rating: of two answers the one that is preferred may be bad, and the other good. So
ratings measure the judge on pairs alone, and labels on single answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.estimates import or_reason
from tunesmith.core.judged_pairs import PairCalibration, PairLabel, PairRates
from tunesmith.core.judging import Attacks
from tunesmith.core.progress import Progress, quiet
from tunesmith.evaluation.judge.asking import Pair
from tunesmith.evaluation.judge.attacks import KINDS, attacked_pair, drawn
from tunesmith.evaluation.judge.biases import Attacked, Compared, attacks_of, position_of
from tunesmith.evaluation.judge.pairs import Beside, pair_length_bias, pair_rates, pair_self_preference
from tunesmith.workspace.home import Home
from tunesmith.workspace.judging import Panel
from tunesmith.workspace.rated import Round, ended_rounds, tell

__all__ = ["PairBench", "RatedAnswers", "newest_pairs"]

GONE = "the example or an answer is not there any more, or is another now"
TRAIN = "rated on train, where contenders may know the answers"


def newest_pairs(home: Home) -> PairCalibration | None:
    """The newest calibration by ratings, of whatever judge."""
    found = home.latest("calibration", "pairs", PairCalibration)
    return found[0] if found else None


class RatedAnswers:
    """What people said of pairs of answers in all rounds that have ended, one label a pair.

    Raters who paid no attention are left out. Who rated a pair in two rounds counts once, as they said last.
    """

    def __init__(self, home: Home) -> None:
        self.set_aside: dict[str, int] = {}
        self.names: dict[tuple[str, str], tuple[str, str]] = {}
        """Names of the contenders of each pair of hashes."""
        self.rounds: list[Round] = []
        """Those that labels come from: `tell` of them where the labels are used."""
        self._texts: dict[tuple[str, tuple[str, str]], tuple[str, str]] = {}
        self._said: dict[tuple[str, tuple[str, str]], dict[str, str]] = {}
        for made in ended_rounds(home):
            for rated in made.rated:
                said = {rater: what for rater, what in rated.said.items() if rater not in made.left_out}
                shown = made.there.get(rated.item.id)
                if not said:
                    continue
                if made.made.side == "train" or shown is None:
                    why = GONE if shown is None else TRAIN
                    self.set_aside[why] = self.set_aside.get(why, 0) + 1
                    continue
                if made not in self.rounds:
                    self.rounds.append(made)
                self._add(rated.item.example, made.made.contenders, (rated.item.a, rated.item.b), shown[1:], said)

    def _add(
        self, example: str, hashes: Mapping[str, str], names: tuple[str, str], texts: tuple[str, str],
        said: Mapping[str, str],
    ) -> None:  # fmt: skip
        """Count choices in the order in which the two contenders were first met."""
        pair, ours = (hashes[names[0]], hashes[names[1]]), {"a": "first", "b": "second", "tie": "tie"}
        if pair[::-1] in self.names:
            pair, names, texts = pair[::-1], names[::-1], texts[::-1]
            ours = {"a": "second", "b": "first", "tie": "tie"}
        self.names.setdefault(pair, names)
        self._texts[example, pair] = texts
        self._said.setdefault((example, pair), {}).update({rater: ours[what] for rater, what in said.items()})

    @property
    def labels(self) -> list[PairLabel]:
        made = []
        for (example, pair), said in self._said.items():
            given = list(said.values())
            votes = (given.count("first"), given.count("second"), given.count("tie"))
            made.append(PairLabel(example=example, contenders=pair, texts=self._texts[example, pair], votes=votes))
        return made


class PairBench:
    """The pairs that people compared, and what the judge is asked about them.

    Raises:
        NothingToMeasure: No round that has ended holds a pair that can be used.
    """

    def __init__(self, home: Home, panel: Panel) -> None:
        self.home, self.panel, self.config = home, panel, home.settings.judge
        self.by_id = {e.id: e for e in (*home.store.removed(), *home.examples())}
        self.rated = RatedAnswers(home)
        self.labels = self.rated.labels
        if not self.labels:
            why = "".join(f"; {count}: {reason}" for reason, count in self.rated.set_aside.items())
            raise NothingToMeasure(
                f"No round of blind ratings that has ended holds a pair to calibrate a judge on{why}.",
                "let people compare answers: `tunesmith rate plan prompt tuned`; see docs/rating.md",
            )
        # an answer that is the reference stays: those whose wins are counted are such answers too
        self.pairs = self._orders(self.labels)

    def foreseen(self) -> tuple[list[Pair], int]:
        """What the judge is asked, and how many questions at most beside: attacks are known only where it has compared
        all pairs of which people prefer one answer."""
        told = [label for label in self.labels if label.prefers != "tie"]
        orders = self._orders(told)
        if self.panel.settled(orders):
            return [*self.pairs, *(order for *_, both in self._drawn(self._beside(told)) for order in both)], 0
        short = sum(map(self.panel.short, orders)) // 2
        return self.pairs, min(self.config.attacks, short) * len(KINDS) * 2

    def calibration(self, progress: Progress) -> PairCalibration:
        tell(self.home, self.rated.rounds, verb="judge calibrate --ratings")
        beside = self._beside(self.labels, progress)
        reasons: dict[str, str] = {}
        measured = partial(or_reason, reasons)
        labels_hash = digest(sorted((p.example, p.contenders, p.texts, p.votes) for p in self.labels))
        return PairCalibration(
            judge=self.panel.judge,
            rates=tuple(self._rates(beside)),
            position=position_of([pair.compared for pair in beside]),
            length_bias=measured("length_bias", lambda: pair_length_bias(beside)),
            self_preference=measured("self_preference", lambda: pair_self_preference(beside, self._own())),
            attacks=self._attacks(beside, progress),
            labels_hash=labels_hash,
            earlier=len(self._earlier(labels_hash)),
            set_aside=self.rated.set_aside,
            reasons=reasons,
        )

    def _orders(self, labels: Sequence[PairLabel]) -> list[Pair]:
        """Each pair as it stands and turned."""
        pairs = [Pair(self.by_id[label.example], *label.texts) for label in labels]
        return [order for pair in pairs for order in (pair, pair.turned)]

    def _beside(self, labels: Sequence[PairLabel], progress: Progress = quiet) -> list[Beside]:
        said = self.panel.compared(self._orders(labels), progress)
        return [
            Beside(label, Compared(said[2 * n], said[2 * n + 1], label.prefers, self._group(label)))
            for n, label in enumerate(labels)
        ]

    def _rates(self, beside: Sequence[Beside]) -> list[PairRates]:
        by_pair: dict[tuple[str, str], list[Beside]] = {}
        for pair in beside:
            by_pair.setdefault(pair.label.contenders, []).append(pair)
        return [pair_rates(self.rated.names[key], pairs, seed=self.config.seed) for key, pairs in by_pair.items()]

    def _group(self, label: PairLabel) -> str:
        return self.by_id[label.example].group or label.example

    def _own(self) -> frozenset[str]:
        """Contenders that ask the judge's own model, tuned or not."""
        records = {entry.hash: self.home.load(entry, Contender) for entry in self.home.index("contender")}
        return frozenset(name for name, record in records.items() if record.model == self.panel.name)

    def _earlier(self, labels_hash: str) -> set[str]:
        entries = self.home.store.ledger("judge_calibration")
        return {e.detail["judge"] for e in entries if e.detail["labels"] == labels_hash} - {self.panel.judge.hash}

    def _drawn(self, beside: Sequence[Beside]) -> list[tuple[Beside, str, list[Pair]]]:
        """Orders in answers that people and judge liked less, by kind, to be compared as they stand and turned."""
        lost = [p for p in beside if p.label.prefers != "tie" and p.compared.better == p.label.prefers]
        return [
            (pair, kind, [
                attacked_pair(order, place, kind)
                for order, place in zip(self._orders([pair.label]), _places_of_worse(pair.label), strict=True)
            ])
            for pair in drawn(lost, self.config.attacks, self.config.seed)
            for kind in KINDS
        ]  # fmt: skip

    def _attacks(self, beside: Sequence[Beside], progress: Progress) -> Attacks | None:
        """See whether the judge names in any order the answers that are attacked."""
        tried = self._drawn(beside)
        if not tried:
            return None
        said = self.panel.compared([order for *_, both in tried for order in both], progress)
        found = []
        for n, (pair, kind, _) in enumerate(tried):
            now, places = (said[2 * n], said[2 * n + 1]), _places_of_worse(pair.label)
            turned = None if None in now else now[0] == places[0] or now[1] == places[1]
            found.append(Attacked(kind, turned, pair.compared.group))
        return attacks_of(found)


def _places_of_worse(label: PairLabel) -> tuple[str, str]:
    """Where the answer stands that people like less, and where in the pair turned round."""
    return ("second", "first") if label.prefers == "first" else ("first", "second")
