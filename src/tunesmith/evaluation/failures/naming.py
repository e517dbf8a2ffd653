"""Clusters of failures, each named by the words that set its prompts apart from those of successes, in any script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.failures import FailureCluster
from tunesmith.core.statistics import log_odds
from tunesmith.core.words import UNSPACED, words
from tunesmith.evaluation.failures.outcomes import Outcomes
from tunesmith.evaluation.metrics.labels import NONE

__all__ = ["clustered", "name_of", "named", "presence", "terms"]

WORDS_IN_A_NAME = 3
NAMELESS = "(no words in common)"
SHOWN = 5
READ = 20_000
"""Characters of a prompt that its words are taken from."""


def clustered(outcomes: Outcomes, region: NDArray[np.int64], vectors: NDArray[np.float32]) -> list[FailureCluster]:
    """The clusters, the largest first.

    Args:
        region: Shape (f,), the cluster of each failing example, from 0 without gaps.
        vectors: Shape (f, d), the vectors of their prompts.
    """
    failing = [k for k, fails in enumerate(outcomes.failing) if fails]
    right = outcomes.measured & ~outcomes.failing
    successes = [terms(e.prompt) for e, good in zip(outcomes.examples, right, strict=True) if good]
    found = []
    for number in range(int(region.max()) + 1 if len(region) else 0):
        inside = np.flatnonzero(region == number)
        centre = vectors[inside].mean(axis=0)
        typical = inside[np.argsort(-(vectors[inside] @ centre), kind="stable")]
        members = [failing[i] for i in inside]
        counts = Counter(label for k in members for label in _labels(outcomes, outcomes.examples[k].id))
        found.append(
            FailureCluster(
                name=named([terms(outcomes.examples[k].prompt) for k in members], successes),
                count=len(members),
                labels=dict(counts.most_common()),
                examples=tuple(outcomes.examples[failing[i]].id for i in typical[:SHOWN]),
            )
        )
    return sorted(found, key=lambda cluster: (-cluster.count, cluster.name))


def named(texts: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> str:
    """The words that set ``texts`` apart from ``others``, those that do so most first.

    A word counts once a text, so that a long text is not heard more often; it must stand in two of them, or in the only
    one. Numbers and single letters tell nothing.

    >>> named([["refund", "please"], ["refund", "twice"]], [["please", "hello"]])
    'refund'
    """
    return name_of(presence(texts), presence(others), len(texts))


def name_of(mine: Counter[str], theirs: Counter[str], texts: int) -> str:
    """The same from how many texts hold each word."""
    apart, enough = log_odds(mine, theirs), min(2, texts)
    told = sorted((-z, word) for word, z in apart.items() if z > 0 and mine[word] >= enough and _tells(word))
    return ", ".join(word for _, word in told[:WORDS_IN_A_NAME]) or NAMELESS


def _tells(word: str) -> bool:
    """Whether it says something by itself: more than a number or one letter of a script that spells."""
    return not word.isdecimal() and (len(word) > 1 or bool(UNSPACED.match(word)) or not word.isalpha())


def presence(texts: Sequence[Sequence[str]]) -> Counter[str]:
    """How many texts hold each word."""
    return Counter(word for text in texts for word in set(text))


def terms(text: str) -> list[str]:
    """The words of a text; where a script puts no spaces, each two letters that follow one another.

    >>> terms("返品したい lamp")
    ['返品', '品し', 'した', 'たい', 'lamp']
    """
    found: list[str] = []
    before, paired = "", False
    for word in words(text[:READ]):
        single = bool(UNSPACED.match(word))
        if single and before:
            found.append(before + word)
            paired = True
        else:
            if before and not paired:
                found.append(before)
            paired = False
            if not single:
                found.append(word)
        before = word if single else ""
    return [*found, before] if before and not paired else found


def _labels(outcomes: Outcomes, example: str) -> list[str]:
    """The wanted labels of the first label field; none where the task has no such field."""
    if not outcomes.task.labels:
        return []
    truth = outcomes.rows[example].truth[outcomes.task.labels[0].name]
    return [NONE if label is None else str(label) for label in (truth if isinstance(truth, list) else [truth])]
