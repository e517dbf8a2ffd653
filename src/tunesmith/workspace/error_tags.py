"""What examples have in common that takes a look at the train side: language, region of prompts, nearness to train.

Regions are those of the train prompts, and named by their words: so they are the same on validation and on test, and
tell nothing of what test says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.examples import Example
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.task import Task
from tunesmith.data.checks.diversity import regions
from tunesmith.data.language import language
from tunesmith.evaluation.failures.gathering import Support, usual
from tunesmith.evaluation.failures.naming import name_of, presence, terms
from tunesmith.evaluation.failures.slicing import NEAREST, Tagged, quarters, tags_of
from tunesmith.models.embedder import open_embedder
from tunesmith.models.neighbours import nearest
from tunesmith.workspace.home import Home

__all__ = ["Surroundings", "surroundings"]

MOST_EMBEDDED = 50_000
"""Train prompts beyond which none is embedded: that would take longer than people wait for this."""
SEEN = 50
"""Nearest train examples that are looked at."""
NEAR_QUANTILE = 5
"""Per cent of the train prompts that are farther from all others than what counts as near; as in check `coverage`."""
THRESHOLD_ROWS = 2000
FEWEST_FOR_REGIONS = 30
FEWEST_FOR_CLUSTERS = 6
READ = 5000
"""Characters of a prompt by which its language is told."""
OF_TRAIN_TOO = ("category", "edge case", "source", "turns")
"""What train examples say of themselves, so that those of the sort are counted; beside labels and values."""


@dataclass
class Surroundings:
    """The examples of one side as the train side shows them."""

    task: Task
    examples: Sequence[Example]
    train: Sequence[Example]
    tags: dict[str, list[list[str]]] = field(default_factory=dict)
    """Values by what they have in common, for each example."""
    notes: list[str] = field(default_factory=list)
    vectors: NDArray[np.float32] | None = None
    """Of the examples' prompts, shape (n, d)."""
    nearest: NDArray[np.int64] | None = None
    """Rows of the nearest train examples, best first, shape (n, k)."""
    alike: NDArray[np.float32] | None = None
    """Their cosines."""
    near: float = 1.0
    """From this cosine on a train prompt is near."""
    region_sizes: dict[str, int] = field(default_factory=dict)
    """Train examples in each region, by its name."""

    def support(self, tags: Sequence[Tagged]) -> dict[tuple[str, str], Support]:
        """Train examples of the sort of each slice, or near it."""
        counts = {
            by: Counter(value for one in each for value in one)
            for by, each in tags_of(self.task, self.train, {}).items()
            if by.startswith(("label ", "value ")) or by in OF_TRAIN_TOO
        }
        counts["cluster"] = Counter(self.region_sizes)
        words = {"cluster": "train examples in this region"}
        for tag in tags:
            if tag.by not in counts and self.nearest is not None:
                words[tag.by] = "train examples near these"
        near = {(t.by, t.value): self._near(t.members) for t in tags if t.by in words and t.by != "cluster"}
        for (by, value), count in near.items():
            counts.setdefault(by, Counter())[value] = count
        return {
            (tag.by, tag.value): Support(
                counts[tag.by][tag.value],
                usual([counts[t.by][t.value] for t in tags if t.by == tag.by and t.value != tag.value]),
                words.get(tag.by, "train examples of this sort"),
            )
            for tag in tags
            if tag.by in counts
        }

    def _near(self, members: NDArray[np.bool_]) -> int:
        """Different train examples near any of these."""
        assert self.nearest is not None
        assert self.alike is not None
        return len(np.unique(self.nearest[members][self.alike[members] >= self.near]))

    def cluster(self, failing: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float32]] | None:
        """The cluster of each failing example and the vectors of their prompts; None where they cannot be had."""
        if self.vectors is None:
            return None
        vectors = self.vectors[failing]
        if len(vectors) < FEWEST_FOR_CLUSTERS or not find_spec("sklearn"):
            return np.zeros(len(vectors), np.int64), vectors
        return regions(vectors)[0], vectors


def surroundings(
    home: Home, examples: Sequence[Example], train: Sequence[Example], progress: Progress = quiet
) -> Surroundings:
    """Look at the examples from the train side. What cannot be looked at is noted."""
    made = Surroundings(home.task, examples, train)
    _languages(home, made)
    if len(train) > MOST_EMBEDDED:
        made.notes.append(f"clusters and nearness were left out: embedding {len(train)} train prompts takes too long")
        return made
    if not train:
        made.notes.append("clusters and nearness were left out: the train side is empty")
        return made
    embedder = open_embedder(home.settings.model.embedder)
    shown = embedder.embed([e.prompt for e in train], progress)
    made.vectors = embedder.embed([e.prompt for e in examples], progress)
    made.nearest, made.alike = nearest(made.vectors, shown, SEEN)
    made.near = _near_from(shown)
    closest = [round(float(cosine), 2) for cosine in made.alike[:, 0]]
    made.tags[NEAREST] = [[v] if v else [] for v in quarters(closest, "{}")]
    _regions(made, shown)
    return made


def _languages(home: Home, made: Surroundings) -> None:
    if not find_spec("py3langid"):
        made.notes.append("languages were not told: that needs `pip install 'tunesmith[local]'`")
        return
    sure = home.settings.checks.language_confidence
    each = [language(e.prompt[:READ], sure) for e in made.examples]
    if len({code for code in each if code}) > 1:
        made.tags["language"] = [[code] if code else [] for code in each]


def _near_from(shown: NDArray[np.float32]) -> float:
    """The cosine that all but `NEAR_QUANTILE` per cent of the train prompts reach with their nearest other."""
    if len(shown) < 2:
        return 1.0
    asked = shown
    if len(shown) > THRESHOLD_ROWS:
        asked = shown[np.random.default_rng(0).choice(len(shown), THRESHOLD_ROWS, replace=False)]
    return float(np.percentile(nearest(asked, shown, 2)[1][:, 1], NEAR_QUANTILE))


def _regions(made: Surroundings, shown: NDArray[np.float32]) -> None:
    if not find_spec("sklearn"):
        made.notes.append("clusters were left out: they need `pip install 'tunesmith[local]'`")
        return
    if len(made.train) < FEWEST_FOR_REGIONS:
        return
    region, _ = regions(shown)
    centres = np.stack([shown[region == number].mean(axis=0) for number in range(int(region.max()) + 1)])
    names = _names([terms(e.prompt) for e in made.train], region)
    assert made.vectors is not None
    # nearest by distance, as k-means assigns: the centres are not of length 1
    at = (made.vectors @ centres.T - (centres**2).sum(axis=1) / 2).argmax(axis=1)
    made.tags["cluster"] = [[names[int(number)]] for number in at]
    sizes = np.bincount(region, minlength=len(names))
    made.region_sizes = {name: int(size) for name, size in zip(names, sizes, strict=True)}


def _names(texts: Sequence[Sequence[str]], region: NDArray[np.int64]) -> list[str]:
    """Of each region the words that set it apart from the others; a name that is taken gets the region's number."""
    every = presence(texts)
    found: list[str] = []
    for number in range(int(region.max()) + 1):
        inside = [texts[int(row)] for row in np.flatnonzero(region == number)]
        mine = presence(inside)
        name = name_of(mine, every - mine, len(inside))
        found.append(name if name not in found else f"{name} ({number + 1})")
    return found
