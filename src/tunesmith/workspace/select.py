"""`select`: choose the part of the train side worth training on, and say why; `tune --selection NAME` uses it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.record import Record
from tunesmith.data.checks import Material, look
from tunesmith.data.checks.label_noise import BETTER_BY, doubtful, labelled
from tunesmith.data.select import Candidate, Chosen, choose
from tunesmith.models.neighbours import nearest
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.check import material
from tunesmith.workspace.home import Home

__all__ = ["Selection", "chosen_ids", "select"]

OF_ROWS = (
    "completion_format", "completion_schema", "conflicting_completions", "consistency", "empty_completion",
    "empty_prompt", "encoding", "language_mix", "personal_data", "secrets", "benchmark_text",
)  # fmt: skip
"""Checks whose findings speak against the rows they name. Label noise is asked row by row instead."""
DRAWS = 10
"""Random choices that the selection is compared with."""
ALL = "all prompts"


class Against(Record, frozen=True, kw_only=True):
    """The selection beside random choices of the same size."""

    draws: int
    nearness: float
    """Mean cosine of all train prompts to the nearest chosen one."""
    nearness_random: float
    accuracy: dict[str, float] = {}
    """By label field: a logistic regression fitted on the chosen rows, asked about validation."""
    accuracy_random: dict[str, float] = {}
    """The same, mean over the draws."""
    accuracy_random_range: dict[str, tuple[float, float]] = {}
    """Lowest and highest of the draws: a selection inside it is not shown to be better."""
    validation: int = 0


class Selection(Record, frozen=True, kw_only=True):
    """Train rows that were chosen. What is tuned on it keeps its hash."""

    name: str
    selected: tuple[Chosen, ...]
    of: int
    """Train rows there are."""
    passed_over: dict[str, int] = {}
    """Train rows that an error rules out, and those with a warning, by check."""
    asked: int
    seed: int
    split: str
    compared: Against | None = None


def select(
    home: Home, count: int, *, name: str = "selection", seed: int = 0, compare_random: bool = False,
    at_random: bool = False,
) -> Selection:  # fmt: skip
    """Choose up to ``count`` train rows: none with an error, those without a warning first.

    With ``at_random``, chance alone chooses among all of them, faulty ones too: what a choice has to beat.

    Raises:
        TunesmithError: There is no split yet, or the train side has no row without an error.
    """
    answering = Answering(home)
    train = answering.known.train
    seen = material(home, train)
    if at_random:
        chosen, passed = _drawn(seen, count, seed), dict[str, int]()
    else:
        chosen, passed = _chosen(seen, count, seed)
    selection = Selection(
        name=name,
        selected=tuple(chosen),
        of=len(train),
        passed_over=passed,
        asked=count,
        seed=seed,
        split=answering.split.hash,
        compared=_compared(home, answering, seen, chosen, seed) if compare_random else None,
    )
    inputs = {"split": answering.split.hash, "task": home.task.hash, "embedder": seen.embedder.hash}
    home.save("selection", name, selection, inputs)
    return selection


def chosen_ids(home: Home, name: str, split: str) -> tuple[frozenset[str], str]:
    """Ids of a saved selection, and its hash.

    Raises:
        TunesmithError: There is none of that name, or it was made from another split.
    """
    found = home.latest("selection", name, Selection)
    if found is None:
        raise TunesmithError(
            f"There is no selection {name!r}.",
            f"make it with `tunesmith select --count 100 --name {shlex.quote(name)}`",
        )
    if found[0].split != split:
        raise TunesmithError(
            f"Selection {name!r} was made from another split.",
            f"make it again with `tunesmith select --count {found[0].asked} --name {shlex.quote(name)}`",
        )
    return frozenset(chosen.example for chosen in found[0].selected), found[1].hash


def _chosen(seen: Material, count: int, seed: int) -> tuple[list[Chosen], dict[str, int]]:
    """The rows worth training on, and how many were passed over, by check."""
    against = _findings(seen)
    labels, certainty = _labels(seen)
    rows = [row for row, example in enumerate(seen.examples) if against.get(example.id, ("", ""))[0] != "error"]
    if not rows:
        raise TunesmithError(
            "No train row is free of errors, so there is nothing to choose from.", "mend them first: `tunesmith check`"
        )
    candidates = [
        Candidate(seen.examples[row].id, labels[row], certainty[row], against.get(seen.examples[row].id, ("", ""))[1])
        for row in rows
    ]
    passed: dict[str, int] = {}
    for _, check in against.values():
        passed[check] = passed.get(check, 0) + 1
    return choose(candidates, seen.vectors[rows], count, seed), passed


def _drawn(seen: Material, count: int, seed: int) -> list[Chosen]:
    rows = np.random.default_rng(seed).permutation(len(seen.examples))[:count]
    labels = _label_names(seen)
    return [
        Chosen(example=seen.examples[row].id, label=labels[row], reason="drawn at random", gain=0.0) for row in rows
    ]


def _findings(seen: Material) -> dict[str, tuple[str, str]]:
    """The worst finding about each example that has one: its severity and check. Notes speak against nothing."""
    worst: dict[str, tuple[str, str]] = {}
    for finding in look(seen, OF_ROWS).findings:  # errors come first
        if finding.severity != "note":
            for id_ in finding.examples:
                worst.setdefault(id_, (finding.severity, finding.check))
    if find_spec("cleanlab") and find_spec("sklearn"):
        for field in seen.task.labels:
            found = None if field.multiple else labelled(seen, field)
            if found is None or found.accuracy < found.usual + BETTER_BY:
                continue
            likelier = found.probabilities.max(1) >= seen.config.label_noise_ratio * found.own
            for place in (place for place in doubtful(found) if likelier[place]):
                worst.setdefault(seen.examples[found.rows[place]].id, ("warning", "label_noise"))
    return worst


def _labels(seen: Material) -> tuple[list[str], list[float | None]]:
    """Of each row the label of the first label field, and how sure it is."""
    sure: list[float | None] = [None] * len(seen.examples)
    fields = [field for field in seen.task.labels if not field.multiple]
    found = labelled(seen, fields[0]) if fields and find_spec("sklearn") else None
    if found is not None:
        for row, own, most in zip(found.rows, found.own, found.probabilities.max(1), strict=True):
            sure[row] = float(own / most)
    return _label_names(seen), sure


def _label_names(seen: Material) -> list[str]:
    """Of each row the label of the first label field; ``ALL`` where there is none."""
    name = next((field.name for field in seen.task.labels if not field.multiple), None)
    return [ALL if name is None or read.fields is None else str(read.fields[name]) for read in seen.parsed]


def _compared(home: Home, answering: Answering, seen: Material, chosen: Sequence[Chosen], seed: int) -> Against:
    """Beside ``DRAWS`` random choices: how near all train prompts are, and how a classifier does on validation."""
    place = {example.id: row for row, example in enumerate(seen.examples)}
    picked = np.array([place[one.example] for one in chosen])
    random = np.random.default_rng(seed)
    draws = [random.choice(len(seen.examples), len(picked), replace=False) for _ in range(DRAWS)]
    validation = [example for example in home.examples() if example.id in set(answering.split.validation)]
    vectors = seen.embedder.embed([example.prompt for example in validation])
    scores: dict[str, list[float]] = {}
    for field in home.task.labels:
        if not field.multiple and validation and find_spec("sklearn"):
            both = [_accuracy(seen, field.name, rows, validation, vectors) for rows in (picked, *draws)]
            if all(score is not None for score in both):
                scores[field.name] = [float(score) for score in both if score is not None]
    return Against(
        draws=DRAWS,
        nearness=_nearness(seen.vectors, picked),
        nearness_random=float(np.mean([_nearness(seen.vectors, rows) for rows in draws])),
        accuracy={name: found[0] for name, found in scores.items()},
        accuracy_random={name: float(np.mean(found[1:])) for name, found in scores.items()},
        accuracy_random_range={name: (min(found[1:]), max(found[1:])) for name, found in scores.items()},
        validation=len(validation),
    )


def _nearness(vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> float:
    return float(nearest(vectors, vectors[rows], 1)[1].mean())


def _accuracy(
    seen: Material, name: str, rows: NDArray[np.int64], validation: Sequence[Example], vectors: NDArray[np.float32]
) -> float | None:
    """Share of validation whose label a regression fitted on ``rows`` gets right; None where it cannot be fitted."""
    from sklearn.linear_model import LogisticRegression  # heavy: seconds to import

    read = [(int(row), fields[name]) for row in rows if (fields := seen.parsed[int(row)].fields)]
    truth = [(at, f[name]) for at, e in enumerate(validation) if (f := seen.task.parse(e.completion).fields)]
    if not truth or len({label for _, label in read}) < 2:
        return None
    model = LogisticRegression(C=10.0, max_iter=2000).fit(
        seen.vectors[[row for row, _ in read]], [str(v) for _, v in read]
    )
    said = model.predict(vectors[[at for at, _ in truth]])
    return float(np.mean([one == str(label) for one, (_, label) in zip(said, truth, strict=True)]))
