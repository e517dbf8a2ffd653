"""Numbers and names in plain words: what the decision's sentences and the dossier share."""

from __future__ import annotations

from msgspec.structs import replace

from tunesmith.core.estimates import Comparison, Estimate, Standing
from tunesmith.decision.facts import JUDGED, Bar, ContenderFacts, lost

__all__ = [
    "KINDS",
    "LOWER_IS_BETTER",
    "METRICS",
    "NEITHER_IS_BETTER",
    "SIGNIFICANT",
    "bar_line",
    "bar_number",
    "contender_line",
    "gain_line",
    "gain_lost_alone",
    "is_shown",
    "listed",
    "lost_alone",
    "metric_words",
    "number",
    "shortfall",
    "usd",
]

METRICS = {
    "all_correct": "share of answers with every label and value right",
    "valid_rate": "share of answers that a program can read",
    "entity_f1": "F1 of the values found in all fields together: misses and inventions both count against it",
    "entity_precision": "of the values answered in all fields together, the share that is right",
    "entity_recall": "of the true values of all fields together, the share found",
    "accuracy": "share of examples with the right label",
    "macro_f1": "F1 averaged over the labels, rare ones counting like common ones",
    "macro_precision": "of the answers that say a label, the share that is right, averaged over the labels",
    "macro_recall": "of the examples with a label, the share found, averaged over the labels",
    "micro_precision": "of all labels answered, the share that is right",
    "micro_recall": "of all true labels, the share found",
    "micro_f1": "F1 over all labels together, common ones counting most",
    "weighted_precision": "precision averaged over the labels, each weighing as much as it has examples",
    "weighted_recall": "recall averaged over the labels, each weighing as much as it has examples",
    "weighted_f1": "F1 averaged over the labels, each weighing as much as it has examples",
    "mcc": "correlation of answered and true labels: 1 is perfect, 0 is no better than a constant answer",
    "brier": "squared distance between the probabilities given and the truth, lower is better",
    "calibration_error": "how far confidence and accuracy lie apart, lower is better",
    "exact_match": "share of values that are exactly right",
    "field_f1": "F1 of the values found: misses and inventions both count against it",
    "field_precision": "of the values answered, the share that is right",
    "field_recall": "of the true values, the share found",
    "partial_f1": "F1 of the values found, those that overlap the right one counting one half",
    "leaf_f1": "F1 of the single entries of values that hold JSON",
    "leaf_precision": "of the entries of the JSON answered, the share that is right",
    "leaf_recall": "of the entries of the true JSON, the share found",
    "rouge_1": "overlap with the expected text, by words, 0 to 1",
    "rouge_2": "overlap with the expected text, by pairs of words, 0 to 1",
    "rouge_l": "overlap with the expected text, by the longest common word sequence, 0 to 1",
    "chrf": "overlap with the expected text, by runs of characters, 0 to 100",
    "bleu": "overlap with the expected text, by runs of words, 0 to 100",
    "length_ratio": "words answered over words expected: 1 is as long as expected",
    "bertscore": "closeness in meaning to the expected text, token by token",
    "semantic_similarity": "closeness in meaning to the expected text, taken whole",
    "win_rate": "share of blind comparisons won",
}
"""What each metric says, in words a manager can read."""

LOWER_IS_BETTER = ("brier", "calibration_error")
NEITHER_IS_BETTER = ("length_ratio",)

KINDS = {
    "constant": "gives the commonest answer to everything: the floor any method must beat",
    "classifier": "a small statistical model trained on the train examples, no language model",
    "prompt": "the base model with written instructions",
    "few_shot": "the base model with instructions and fixed train examples in the prompt",
    "retrieval": "the base model with instructions and, for each request, the most similar examples or documents",
    "tuned": "the base model tuned on the train examples: a LoRA adapter beside its weights, or all of them",
}
"""What each kind of contender is."""

SIGNIFICANT = 0.05
"""Corrected p up to which a difference counts as shown."""

STANDINGS: dict[Standing, str] = {
    "met": "the whole interval reaches the bar of {bar}, which is met",
    "missed": "the whole interval stays below the bar of {bar}, which is missed",
    "not_shown": "the interval has the bar of {bar} inside it, so it is not shown that the bar is met",
}
LOST = (
    "that reaches the bar of {bar} only because {lost:,} {kind} ({share:.0%}) are in no figure; did they count as "
    "wrong, it would not, so it is not shown that the bar is met"
)
BY_VALUE: dict[Standing, str] = {
    "met": "the measured value reaches the bar of {bar}, which counts as met",
    "missed": "the measured value is below the bar of {bar}, which is missed",
}
"""The same where the risk is taken that chance helped (decision.met_by: value)."""


def number(value: float, beside: float | None = None) -> str:
    """Two decimals (one on a scale to 100), more where rounding would put ``value`` on the wrong side of ``beside``.

    >>> number(0.7996), number(0.7996, beside=0.8)
    ('0.80', '0.7996')
    """
    digits = 1 if abs(value) > 1 and (beside is None or beside > 1) else 2
    if beside is not None:
        while digits < 6 and (round(value, digits) >= beside) != (value >= beside):
            digits += 1
    return f"{value:.{digits}f}".replace("-", "−")


def bar_number(value: float) -> str:
    """The bar as it was written, with no fewer digits than the figures beside it.

    >>> bar_number(0.8), bar_number(0.875), bar_number(45)
    ('0.80', '0.875', '45.0')
    """
    short = number(value)
    return short if float(short) == value else f"{value:g}"


def usd(amount: float) -> str:
    """An amount that keeps two meaningful digits however small it is.

    >>> usd(1234.5), usd(3.456), usd(0.3), usd(0.0321), usd(1e-8)
    ('$1,234', '$3.46', '$0.30', '$0.032', 'below $0.000001')
    """
    if amount < 0:
        return f"−{usd(-amount)}"
    if 0 < amount < 1e-6:
        return "below $0.000001"
    if amount >= 100:
        return f"${amount:,.0f}"
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${float(f'{amount:.2g}'):f}".rstrip("0")


def listed(words: list[str] | tuple[str, ...]) -> str:
    """
    >>> listed(["prompt", "few_shot", "tuned"])
    'prompt, few_shot and tuned'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def metric_words(metric: str) -> str:
    """What ``metric`` says, and of which field where it is of one; empty where it is not one we know."""
    field, _, name = metric.rpartition(".")
    words = METRICS.get(name, "")
    return f"{words}, for the field {field}" if field and words else words


def bar_line(bar: Bar, side: str, examples: int) -> str:
    """What was asked for, and on what it was measured."""
    words = metric_words(bar.metric)
    risk = ", where the measured value counts and not the lower end of its interval" if bar.by == "value" else ""
    also = "".join(f", and {metric} at least {bar_number(value)}" for metric, value in bar.also.items())
    meaning = f" ({words})" if words else ""
    return (
        f"The bar, set beforehand, is {bar.metric}{meaning} of at least {bar_number(bar.value)}{also}, "
        f"measured on {examples:,} {side} examples{risk}."
    )


def contender_line(contender: ContenderFacts, bar: Bar) -> str:
    """What a contender reached, with its interval, against the bar."""
    parts = []
    for metric, value in bar.asked.items():
        found = contender.metrics.get(metric)
        if found is None:
            parts.append(f"{metric} was not measured, so it is not shown that it reaches {bar_number(value)}")
        else:
            words = BY_VALUE if bar.by == "value" else STANDINGS
            standing = words[bar.of(found, value)]
            gone = lost(metric, found, contender.failed, contender.unreadable)
            if bar.of(found, value, gone) != bar.of(found, value):
                kind, share = _lost_kind(metric, contender.failed, gone), 1 - found.share_answered(gone)
                standing = LOST.format(lost=gone, kind=kind, bar="{bar}", share=share)
            parts.append(f"{metric} is {_measured(found, value)}: {standing.format(bar=bar_number(value))}")
    return f"{contender.name}: {'; '.join(parts)}.{_power(contender, bar)}"


def shortfall(contender: ContenderFacts, bar: Bar) -> str:
    """Which values lie below the bar; empty where none does and only the intervals are too wide."""
    below = [
        f"{metric} is {number(found.value, value)} where {bar_number(value)} is asked"
        for metric, value in bar.asked.items()
        if (found := contender.metrics.get(metric)) is not None and found.value < value
    ]
    return listed(below) if below else ""


def lost_alone(contender: ContenderFacts, bar: Bar) -> dict[str, str]:
    """Which metrics lie below the bar only because answers are in no figure and count as wrong, in words by name.
    More examples of the same kind will not change that."""
    held = {}
    for metric, value in bar.asked.items():
        if (found := contender.metrics.get(metric)) is None:
            continue
        gone = lost(metric, found, contender.failed, contender.unreadable)
        if bar.of(found, value) == "met" and bar.of(found, value, gone) != "met":
            kind = _lost_kind(metric, contender.failed, gone)
            held[metric] = f"{metric} would reach {bar_number(value)} but for {gone:,} {kind}, which count as wrong"
    return held


def gain_lost_alone(gain: Comparison, least: float = 0.0) -> str:
    """That a gain is not shown only for what ``a`` lost; empty where that is not so."""
    if is_shown(gain, least) or not is_shown(replace(gain, low_with_lost=None), least):
        return ""
    return (
        f"the gain over {gain.b} would be shown but for what {gain.a} lost ({gain.lost_a:,} of its answers failed or "
        "cannot be read), which counts as wrong"
    )


def gain_line(gain: Comparison, least: float = 0.0) -> str:
    """A paired difference and whether it is shown to be a gain, of ``least`` or more."""
    higher = "higher" if gain.difference >= 0 else "lower"
    holm = gain.p_holm is not None
    p = gain.p_holm if gain.p_holm is not None else gain.p_value
    chance = "p below 0.001" if p < 0.001 else f"p = {p:.3f}"
    enough = f" of {number(least)}" if least else ""
    shown = f"the gain{enough} is shown" if is_shown(gain, least) else f"a gain{enough} is not shown"
    if gain.low_with_lost is not None:
        shown += (
            f"; {gain.lost_a:,} more that {gain.a} lost are not in it, and did they count as wrong the interval would "
            f"begin at {_side_of_zero(gain.low_with_lost)}"
        )
    return (
        f"On the same {gain.n:,} examples {gain.a} is {number(abs(gain.difference))} {higher} than {gain.b} "
        f"(95 % interval {_side_of_zero(gain.low)} to {_side_of_zero(gain.high)}, {chance}"
        f"{', corrected for several comparisons' if holm else ''}; "
        f"{gain.wins} won, {gain.losses} lost): {shown}."
    )


def is_shown(gain: Comparison, least: float = 0.0) -> bool:
    """Whether ``a`` is better than ``b`` beyond chance, by ``least`` at the least: paired interval above zero (and
    reaching that), also where the answers that ``a`` lost count as wrong, and, corrected, p at most 0.05."""
    p = gain.p_holm if gain.p_holm is not None else gain.p_value
    low = gain.low if gain.low_with_lost is None else gain.low_with_lost
    return low > 0 and low >= least and p <= SIGNIFICANT


def _measured(estimate: Estimate, bar: float) -> str:
    low, high = number(estimate.low, bar), number(estimate.high, bar)
    more = f", {estimate.skipped} more without a score" if estimate.skipped else ""
    return f"{number(estimate.value, bar)} (95 % interval {low} to {high}, n = {estimate.n:,}{more})"


def _lost_kind(metric: str, failed: int, gone: int) -> str:
    """What the answers are that are in no figure of this metric."""
    if metric.startswith(JUDGED):
        return "answers that failed or have no verdict"
    if gone == failed:
        return "failed answers"
    return "answers that failed or cannot be read" if failed else "answers that cannot be read"


def _power(contender: ContenderFacts, bar: Bar) -> str:
    if contender.standing(bar) != "not_shown":
        return ""
    if contender.examples_to_show and not lost_alone(contender, bar):
        return f" With results like these it would take about {contender.examples_to_show:,} test examples to show it."
    return ""


def _side_of_zero(value: float) -> str:
    """Signed, never rounded to zero from either side."""
    digits = next(d for d in range(2, 7) if round(value, d) != 0 or d == 6) if value else 2
    return f"{value:+.{digits}f}".replace("-", "−")
