"""How likely the model finds many given continuations: in batches, a beginning that several share read once.

What is read is ids, not messages: no chat template stands round them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tunesmith.core.progress import Progress, quiet
from tunesmith.models.engine.adapters import Adapter
from tunesmith.models.engine.attention import Part, Pass
from tunesmith.models.engine.forward import run
from tunesmith.models.engine.memory import Slots

__all__ = ["Question", "Scored", "score"]

PASS_TOKENS = 1024
"""Most tokens of one pass, unless one question alone has more: bounds the memory of logits."""
HELD_TOKENS = 8192
"""Most columns of all rows of a batch together: bounds the memory of keys and values."""
PICK_ROWS = 256
"""Rows of logits that are brought to float32 at once."""


class Question(NamedTuple):
    """A beginning, and continuations of it; neither is empty."""

    context: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


class Scored(NamedTuple):
    """What the model makes of one continuation."""

    log_likelihood: float
    """Natural log-probability of all its ids, each given those before it."""
    greedy: bool
    """Whether each id is the likeliest one at its place."""


def score(
    model: Any, questions: Sequence[Question], adapter: Adapter | None = None, progress: Progress = quiet
) -> list[list[Scored]]:
    """The log-likelihood of each option of each question, in their order.

    The same questions give the same batches, so two adapters' results differ by the adapters alone.

    Args:
        model: An engine's model.
        adapter: Applied to all; None is the base model.
    """
    found: list[list[Scored]] = [[] for _ in questions]
    done = 0
    for batch in _batches(questions):
        for index, scored in zip(batch, _batch(model, [questions[i] for i in batch], adapter), strict=True):
            found[index] = scored
        done += len(batch)
        progress(done, len(questions))
    return found


def _batches(questions: Sequence[Question]) -> Iterator[list[int]]:
    """Indices of questions that run together, those of like length beside one another, the longest first."""
    order = sorted(range(len(questions)), key=lambda i: (-_columns(questions[i]), -len(questions[i].context), i))
    batch: list[int] = []
    tokens = rows = columns = 0
    for index in order:
        question = questions[index]
        own = len(question.context) + sum(len(option) - 1 for option in question.options)
        held = (rows + len(question.options)) * max(columns, _columns(question))
        if batch and (tokens + own > PASS_TOKENS or held > HELD_TOKENS):
            yield batch
            batch, tokens, rows, columns = [], 0, 0, 0
        batch.append(index)
        tokens, rows, columns = tokens + own, rows + len(question.options), max(columns, _columns(question))
    if batch:
        yield batch


def _columns(question: Question) -> int:
    return len(question.context) + max(len(option) for option in question.options)


def _batch(model: Any, questions: Sequence[Question], adapter: Adapter | None) -> list[list[Scored]]:
    """Contexts are read in one pass, then all that follows an option's first id in another.

    A question's first option of several ids goes on in the slot of its context; the others in copies of it.
    """
    short = [i for i, q in enumerate(questions) if max(map(len, q.options)) == 1]
    going_on = [i for i, q in enumerate(questions) if max(map(len, q.options)) > 1]
    order = [*short, *going_on]
    long = [(i, o) for i in going_on for o, option in enumerate(questions[i].options) if len(option) > 1]
    first = {i: next(o for at, o in long if at == i) for i in going_on}
    rows = [(i, first[i]) for i in going_on] + [(i, o) for i, o in long if o != first[i]]
    slots = Slots()
    with torch.inference_mode():
        slots.reserve(len(short) + len(rows), max(map(_columns, questions)))
        contexts = [questions[i].context for i in order]
        ends = _read(model, slots, contexts, [0] * len(order), 0, adapter, last=True)
        wanted = [(place, option[0]) for place, i in enumerate(order) for option in questions[i].options]
        begun = iter(_picked(ends, wanted))
        steps = {(i, o): [next(begun)] for i in order for o in range(len(questions[i].options))}
        if rows:
            slot_of = {i: place for place, i in enumerate(order)}
            for slot, (i, _) in enumerate(rows[len(going_on) :], start=len(order)):
                slots.move(slot_of[i], slot, len(questions[i].context))
            pieces = [questions[i].options[o][:-1] for i, o in rows]
            stored = [len(questions[i].context) for i, _ in rows]
            logits = _read(model, slots, pieces, stored, len(short), adapter)
            following = [(row, token) for row in rows for token in questions[row[0]].options[row[1]][1:]]
            picks = _picked(logits, [(at, token) for at, (_, token) in enumerate(following)])
            for (row, _), pick in zip(following, picks, strict=True):
                steps[row].append(pick)
    return [[_whole(steps[i, o]) for o in range(len(q.options))] for i, q in enumerate(questions)]


def _whole(steps: Sequence[Scored]) -> Scored:
    return Scored(sum(step.log_likelihood for step in steps), all(step.greedy for step in steps))


def _read(
    model: Any, slots: Slots, pieces: Sequence[Sequence[int]], stored: Sequence[int], first: int,
    adapter: Adapter | None, *, last: bool = False,
) -> Tensor:  # fmt: skip
    """Let the model read a piece in each slot from ``first`` on; logits of all its tokens, or of each piece's last."""
    ids = [token for piece in pieces for token in piece]
    counts = [len(piece) for piece in pieces]
    part = Part(0, counts, stored, first, slots, None, model.device, model.dtype)
    adapted = [(0, len(ids), adapter)] if adapter is not None else []
    ends = torch.tensor(counts).cumsum(0) - 1
    keep = ends.tolist() if last else range(len(ids))
    return run(model, Pass([part], adapted), ids, part.column_N, keep)


def _picked(logits_TV: Tensor, wanted: Sequence[tuple[int, int]]) -> list[Scored]:
    """Of each wanted (row of logits, id) how likely it is, and whether it is the likeliest."""
    at_row: dict[int, list[int]] = {}
    for place, (row, _) in enumerate(wanted):
        at_row.setdefault(row // PICK_ROWS, []).append(place)
    found: dict[int, Scored] = {}
    for block, places in at_row.items():
        logits = logits_TV[block * PICK_ROWS : (block + 1) * PICK_ROWS].float()
        total, best = logits.logsumexp(1), logits.argmax(1)
        rows = torch.tensor([wanted[p][0] - block * PICK_ROWS for p in places], device=logits.device)
        ids = torch.tensor([wanted[p][1] for p in places], device=logits.device)
        values = (logits[rows, ids] - total[rows]).tolist()
        greedy = (best[rows] == ids).tolist()
        found |= {p: Scored(value, most) for p, value, most in zip(places, values, greedy, strict=True)}
    return [found[place] for place in range(len(wanted))]
