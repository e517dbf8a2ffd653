"""Whether what was handed on says what was measured: same token ids, same log-probabilities, and the adapter that was
asked for.

Compares figures; loads no model. A difference is always the largest one over all tokens, in nats. What counts as none
is measured, never assumed: ``noise_floor`` is the largest difference between two ways of computing the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tunesmith.core.record import Record

__all__ = ["MARGIN", "Figures", "Parity", "difference", "judge"]

MARGIN = 10.0
"""A difference up to this many times the noise floor is noise: the floor is a maximum over few tokens, and adding an
adapter into the weights rounds once more. Exports of a random and of a real model came to 0.4 to 1.7 times the floor,
the bare base model and other adapters to 1e5 times and more."""

Figures = Sequence[Sequence[float]]
"""Log-probabilities: one list a prompt, one number a token of its completion."""


class Parity(Record, frozen=True, kw_only=True):
    """What an export was held against, and whether it stood."""

    passed: bool
    because: tuple[str, ...] = ()
    """What differed; empty where it passed."""
    loader: str
    """What loaded the export again."""
    also: dict[str, float] = {}
    """Differences through further loaders, which passed as well."""
    not_run: dict[str, str] = {}
    """Loaders of the target that could not try it here, and why."""
    prompts: int
    """Held-out prompts that went through both; none of the test side."""
    tokens: int
    """Tokens of their completions."""
    same_token_ids: bool
    """Tokenizer and chat template of the export give the ids that the model was measured with."""
    noise_floor: float
    """Nats."""
    noise_floors: dict[str, float]
    """Each way the floor was measured; the largest counts."""
    rounding: float | None = None
    """Nats that rounding to the export's number format may cost: what the same model loses when its weights are rounded
    in memory or, through llama.cpp and vLLM, twice what the bare base model loses. None where nothing is rounded."""
    limit: float
    """Nats: ``MARGIN`` times the floor, and the rounding."""
    difference: float
    """Export against the run's model."""
    from_base: float
    """Export against the bare base model."""
    applied: bool | None
    """Whether that is more than noise; None where the adapter itself changes nothing."""
    others: dict[str, float] = {}
    """Export against the same base with the adapter of each other run."""
    is_the_one: bool | None = None
    """Whether no other adapter is as near; None where there is none to confuse it with."""


def difference(a: Figures, b: Figures) -> float:
    """Largest absolute difference over all tokens; infinite where one is no number.

    >>> difference([[-1.0, -2.0], [-3.0]], [[-1.0, -2.5], [-3.25]])
    0.5
    """
    worst = 0.0
    for one, other in zip(a, b, strict=True):
        for x, y in zip(one, other, strict=True):
            apart = abs(x - y)
            worst = max(worst, apart) if apart == apart else float("inf")
    return worst


def judge(
    export: Figures,
    ours: Figures,
    base: Figures,
    *,
    loader: str,
    noise_floors: Mapping[str, float],
    same_token_ids: bool,
    rounding: float | None = None,
    untouched: bool = False,
    others: Mapping[str, Figures] | None = None,
    not_run: Mapping[str, str] | None = None,
) -> Parity:
    """Hold an export against the run's model, the bare base model, and other runs' adapters.

    Args:
        export: Through the target's loader.
        ours: The run's model through the engine that it was measured with.
        rounding: See ``Parity``.
        untouched: The adapter's own weights change nothing, so being applied cannot show.
    """
    floor = max(noise_floors.values())
    limit = MARGIN * floor + (rounding or 0.0)
    apart, from_base = difference(export, ours), difference(export, base)
    away = {name: difference(export, figures) for name, figures in (others or {}).items()}
    told = {name: d for name, d in away.items() if difference((others or {})[name], ours) > limit}
    because = []
    if not same_token_ids:
        because.append("tokenizer and chat template give other token ids than the model was measured with")
    if not apart <= limit:
        because.append(f"log-probabilities differ by {apart:.2g} nats, more than noise ({limit:.2g})")
    applied = None if untouched else from_base > limit
    if applied is False:
        because.append(f"the adapter is not applied: the base model says the same within {from_base:.2g} nats")
    nearer = sorted(name for name, d in told.items() if d <= apart)
    if nearer and applied is not False:
        because.append(f"the adapter of run {nearer[0]} is as near ({told[nearer[0]]:.2g} nats): it may be another one")
    return Parity(
        passed=not because,
        because=tuple(because),
        loader=loader,
        not_run=dict(not_run or {}),
        prompts=len(ours),
        tokens=sum(map(len, ours)),
        same_token_ids=same_token_ids,
        noise_floor=floor,
        noise_floors=dict(noise_floors),
        rounding=rounding,
        limit=limit,
        difference=apart,
        from_base=from_base,
        applied=applied,
        others=away,
        is_the_one=not nearer if told else None,
    )
