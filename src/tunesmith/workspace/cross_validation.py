"""`evaluate --cv`: contenders that learn in seconds, or not at all, on every example that is not test.

For small data: with 60 validation rows nothing can be told, with ten folds of the 400 rows outside of test more. Each
row is answered by a contender that never saw it nor its group or near-duplicates. The test side is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations

import numpy as np
from msgspec.structs import replace

from tunesmith.contenders import Known, contender_kind, open_contender
from tunesmith.contenders.kind import Context, Predicting
from tunesmith.core.codec import digest
from tunesmith.core.contenders import ASKING_NOBODY, Answer
from tunesmith.core.errors import NothingToMeasure, TunesmithError, UnknownName
from tunesmith.core.estimates import Comparison, Estimate, or_reason
from tunesmith.core.examples import Example
from tunesmith.core.naming import CONSTRAINED, kind_named, model_named
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.core.statistics import FloatArray, cross_validated_interval, holm, resampled_difference
from tunesmith.data.config import SplitConfig
from tunesmith.data.folds import Fold, make_folds
from tunesmith.evaluation import score
from tunesmith.evaluation.metrics import find
from tunesmith.models.embedder import open_embedder
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.baseline import untuned
from tunesmith.workspace.home import Home
from tunesmith.workspace.own_metrics import make_known
from tunesmith.workspace.watched import watched_metric

__all__ = ["CrossScore", "CrossValidation", "cross_validate"]


class CrossScore(Record, frozen=True, kw_only=True):
    metrics: dict[str, Estimate]
    """The metric that was watched; mean over the repeats, with an approximate interval."""
    folds: tuple[tuple[float, ...], ...]
    """The metric in each fold, by repeat."""
    failed: int = 0
    """Answers lost to errors, over all repeats."""


class CrossValidation(Record, frozen=True, kw_only=True):
    """What repeated grouped cross-validation found: of contenders made from parts of these rows, not of those that are
    prepared, and not on the test side."""

    metric: str
    examples: int
    groups: int
    """Sets of examples that stay together."""
    folds: int
    repeats: int
    seed: int
    contenders: dict[str, CrossScore]
    comparisons: tuple[Comparison, ...] = ()
    """Each pair, Holm-corrected; wins and losses count folds. The difference is the mean of those of the folds, round
    which its interval lies; it need not be that of the two scores above, which are of all rows at once."""
    not_compared: dict[str, str] = {}
    """Why two were not compared, by pair as in ``classifier - constant``."""
    not_measured: dict[str, str] = {}
    """Contenders that the metric has no number of in some fold, and why."""


def cross_validate(
    home: Home, names: Sequence[str] = (), *, folds: int = 5, repeats: int = 3, seed: int = 0,
    trust_code: bool = False, progress: Progress = quiet,
) -> CrossValidation:  # fmt: skip
    """Train rows and validation rows together, each held out once a repeat.

    Args:
        names: Default: constant and classifier, which ask no model. Others, of `contenders.models` too, are asked for
            each row in each repeat, save where they would be asked the very same.
        trust_code: The file with the user's own metrics may be run as it is now, where the bar is on one of them.

    Raises:
        TunesmithError: A contender is tuned or unknown, the split is by time, there are too few groups, or the bar is
            on an own metric that is not trusted.
        NothingToMeasure: No contender can be measured in each fold.
    """
    if folds < 2 or repeats < 1:
        raise TunesmithError(f"{folds} folds, {repeats} times over, are none.", "ask for two folds or more: `--cv 5`")
    chosen = tuple(dict.fromkeys(names)) or tuple(n for n in ASKING_NOBODY if n == "constant" or home.task.labels)
    known = untuned(home).all
    for name in chosen:
        if kind_named(name) == "tuned":
            raise TunesmithError(
                f"{name} would have to be tuned anew for each fold.",
                "leave it out; `tunesmith evaluate` compares it on validation",
            )
        if name.removesuffix(CONSTRAINED) not in known:
            raise UnknownName.among("contender for cross-validation", name, known)
        if name.endswith(CONSTRAINED) and (kind_named(name) in ASKING_NOBODY or home.task.constraint() is None):
            raise TunesmithError(
                f"{name} would be {name.removesuffix(CONSTRAINED)} once more: there is nothing to constrain.",
                f"name {name.removesuffix(CONSTRAINED)} alone",
            )
    answering, metric = Answering(home), watched_metric(home)
    make_known(home, metric, trust=trust_code)
    found = _Found(answering, metric, chosen)
    blocks = 0
    for repeat in range(repeats):
        for at, fold in enumerate(_folds(answering, folds, seed + repeat)):
            found.measure(fold, repeat)
            progress(repeat * folds + at + 1, repeats * folds, f"fold {at + 1} of {folds}, repeat {repeat + 1}")
            blocks = fold.blocks
    scores = {name: found.score(name, blocks) for name in found.folds}
    not_compared: dict[str, str] = {}
    return CrossValidation(
        metric=metric, examples=len(_pool(answering)), groups=blocks, folds=folds, repeats=repeats, seed=seed,
        contenders=scores, comparisons=_compared(found, scores, not_compared), not_compared=not_compared,
        not_measured=found.reasons,
    )  # fmt: skip


def _pool(answering: Answering) -> list[Example]:
    ids = {*answering.split.train, *answering.split.validation}
    return [e for e in answering.home.examples() if e.id in ids]


def _folds(answering: Answering, folds: int, seed: int) -> Sequence[Fold]:
    settings = {n: v for n, v in answering.split.settings.items() if n in SplitConfig.model_fields}
    config = SplitConfig(**{**settings, "seed": seed})
    embedder = open_embedder(answering.home.settings.model.embedder) if config.semantic_threshold is not None else None
    return list(make_folds(_pool(answering), answering.home.task, config, folds, embedder=embedder))


class _Found:
    """What the contenders answered, fold by fold."""

    def __init__(self, answering: Answering, metric: str, names: Sequence[str]) -> None:
        self.answering, self.metric = answering, metric
        self.folds: dict[str, dict[int, list[float]]] = {name: {} for name in names}
        self.rounds: dict[str, dict[int, dict[str, Answer]]] = {name: {} for name in names}
        self.examples: dict[str, Example] = {}
        self.reasons: dict[str, str] = {}
        """Why a contender is no longer among them."""
        self._asked: dict[tuple[str, str], Answer] = {}

    def measure(self, fold: Fold, repeat: int) -> None:
        """What each contender reaches in a fold.

        Raises:
            NothingToMeasure: None is left that can be measured.
        """
        self.examples |= {e.id: e for e in fold.held_out}
        split = replace(self.answering.split, train=tuple(e.id for e in fold.train))
        known = Known(fold.train, split, self.answering.known.documents)
        for name in tuple(self.folds):
            context = self.answering.context(
                constrained=name.endswith(CONSTRAINED), known=known, model=model_named(name)
            )
            answers = self._answers(kind_named(name), context, fold.held_out)
            value = or_reason(self.reasons, name, partial(self._value, name, fold.held_out, answers))
            if value is None:
                del self.folds[name], self.rounds[name]
                continue
            self.folds[name].setdefault(repeat, []).append(value)
            self.rounds[name].setdefault(repeat, {}).update({a.example: a for a in answers})
        if not self.folds:
            raise NothingToMeasure(" ".join(self.reasons.values()), "ask for fewer folds with --cv, or for others")

    def _answers(self, kind: str, context: Context, examples: Sequence[Example]) -> list[Answer]:
        ready = open_contender(contender_kind[kind].make(context), context)
        if isinstance(ready, Predicting):
            return list(self.answering.predicted(ready, examples))
        model = ready.record.inputs["model"]
        keys = {e.id: (e.id, digest([model, ready.prepare(e)])) for e in examples}
        missing = [e for e in examples if keys[e.id] not in self._asked]
        for answer in self.answering.unsaved(ready, missing):
            self._asked[keys[answer.example]] = answer
        return [self._asked[keys[e.id]] for e in examples]

    def _value(self, name: str, examples: Sequence[Example], answers: Sequence[Answer]) -> float:
        scored = score(self.answering.home.task, examples, answers, metrics=(self.metric,))
        if self.metric not in scored.metrics:
            raise NothingToMeasure(
                f"{self.metric} of {name} cannot be measured in a fold: {scored.unmeasured.get(self.metric)}",
                "ask for fewer folds with --cv, or leave it out",
            )
        return scored.metrics[self.metric].value

    def values(self, name: str) -> FloatArray:
        """Shape (repeats, folds)."""
        return np.array([self.folds[name][repeat] for repeat in sorted(self.folds[name])])

    def score(self, name: str, blocks: int) -> CrossScore:
        task, examples = self.answering.home.task, list(self.examples.values())
        whole = [
            score(task, examples, list(answers.values()), metrics=(self.metric,)).metrics[self.metric]
            for answers in self.rounds[name].values()
        ]
        value, named = float(np.mean([e.value for e in whole])), find(task, self.metric).metric
        low, high = cross_validated_interval(self.values(name), value, blocks, top=named.top, bottom=named.bottom)
        estimate = Estimate(
            value=value, low=min(low, value), high=max(high, value), n=min(e.n for e in whole),
            skipped=max(e.skipped for e in whole),
        )  # fmt: skip
        failed = sum(a.finish_reason == "error" for answers in self.rounds[name].values() for a in answers.values())
        return CrossScore(
            metrics={self.metric: estimate}, folds=tuple(map(tuple, self.values(name).tolist())), failed=failed
        )


def _compared(found: _Found, scores: Mapping[str, CrossScore], reasons: dict[str, str]) -> tuple[Comparison, ...]:
    """Each pair that can be compared; ``reasons`` takes why another cannot."""
    made = []
    for b, a in combinations(scores, 2):
        apart = found.values(a) - found.values(b)
        tested = or_reason(reasons, f"{a} - {b}", partial(resampled_difference, apart))
        if tested is None:
            continue
        one, other = scores[a].metrics[found.metric], scores[b].metrics[found.metric]
        made.append(
            Comparison(
                a=a,
                b=b,
                metric=found.metric,
                difference=tested.difference,
                low=tested.low,
                high=tested.high,
                p_value=tested.p_value,
                n=min(one.n, other.n),
                wins=int((apart > 1e-12).sum()),
                losses=int((apart < -1e-12).sum()),
                test="corrected resampled t by fold",
            )
        )
    adjusted = holm([c.p_value for c in made])
    return tuple(replace(c, p_holm=p) for c, p in zip(made, adjusted, strict=True))
