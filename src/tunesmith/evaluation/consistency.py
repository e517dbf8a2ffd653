"""How often a contender that is asked again says the same again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from tunesmith.core.contenders import Answer
from tunesmith.core.estimates import Estimate
from tunesmith.core.examples import Example
from tunesmith.core.statistics import group_codes, mean_tally, tally_interval

__all__ = ["agreement"]


def agreement(
    examples: Sequence[Example], first: Mapping[str, Answer], again: Sequence[Mapping[str, Answer]]
) -> Estimate | None:
    """The share of pairs of answers to one example that agree, averaged over examples.

    In [0, 1], higher is better. Two answers agree where their fields are the same, texts character for character;
    unreadable ones where they are written alike. Agreeing is not being right. A failed answer pairs with none, and an
    example with fewer than two answers is skipped.

    Args:
        first: The answers that are scored, by example.
        again: Those of each further run.

    Returns:
        None where nothing was asked twice.
    """
    values, groups, skipped = [], [], 0
    for example in examples:
        said = [_said(run[example.id]) for run in (first, *again) if example.id in run]
        kept = [text for text in said if text is not None]
        if len(kept) < 2:
            skipped += 1
            continue
        alike = sum(count * (count - 1) for count in Counter(kept).values())
        values.append(alike / (len(kept) * (len(kept) - 1)))
        groups.append(example.group)
    if not again or not values:
        return None
    tally = mean_tally(np.array(values, dtype=np.float64))
    value, (low, high) = tally.value(), tally_interval(tally, group_codes(groups))
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=len(values), skipped=skipped)


def _said(answer: Answer) -> str | None:
    if answer.finish_reason == "error":
        return None
    if answer.fields is None:
        return "unreadable " + answer.text
    fields = {key: sorted(value) if isinstance(value, list) else value for key, value in answer.fields.items()}
    return "fields " + json.dumps(fields, sort_keys=True)
