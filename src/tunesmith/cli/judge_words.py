"""What `tunesmith judge` says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tunesmith.cli.tables import cell, plain_table

if TYPE_CHECKING:
    from tunesmith.core.estimates import Estimate
    from tunesmith.core.judged_pairs import PairCalibration, PairRates
    from tunesmith.core.judging import Attacks, Calibration, Corrected, Position, Rates
    from tunesmith.evaluation.judge.gate import Gate
    from tunesmith.workspace.judge_calibration import CalibrationReport
    from tunesmith.workspace.judge_desk import WinRate
    from tunesmith.workspace.judge_run import JudgeReport
    from tunesmith.workspace.judging import JudgeCost

__all__ = ["calibrated", "foretold", "judged"]


def foretold(cost: JudgeCost) -> str:
    """What is going to be asked, and its price."""
    asked = f"{cost.requests} questions for the judge, {cost.cached} answered before"
    if cost.usd is None:
        return f"{asked}; no price: {cost.because}"
    return f"{asked}; about {cost.usd:.4f} USD, at most {cost.usd_at_most:.4f}; cap {cost.cap_usd:.4f}"


def calibrated(report: CalibrationReport) -> Iterator[str]:
    """How the judge stands to people."""
    yield f"judge: {report.judge.model}"
    if report.dry_run:
        yield foretold(report.cost)
        return
    if report.calibration is not None:
        yield from _by_labels(report.calibration)
        yield from (f"not measured: {name}: {reason}" for name, reason in report.reasons.items())
    if report.pairs is not None:
        yield from _by_ratings(report.pairs)
    yield from _spent(report.usd)
    yield from _gate(report.gate)
    for name, gate in (report.gates | report.pair_gates).items():
        if gate.because != report.gate.because:
            yield f"by {name}:"
            yield from (f"  {line}" for line in _gate(gate))


def _by_labels(made: Calibration) -> Iterator[str]:
    yield _rates_table(made.criteria)
    for rates in made.criteria.values():
        if rates.constant is not None:
            always, share = rates.constant_label, rates.constant.value
            yield f"a judge that always says {always} would agree with people on {share:.3f} of the first row's labels"
            break
    yield from _biases(made.position, made.length_bias, made.self_preference, made.attacks)
    yield from (f"labels not used: {count}: {reason}" for reason, count in made.set_aside.items())
    if made.earlier:
        yield f"note: {made.earlier} other judges were measured on these labels before; better rates may be luck by now"


def _by_ratings(made: PairCalibration) -> Iterator[str]:
    """How the judge stands to people who compared two answers."""
    head = ("people compared", "pairs", "for the first", "for the second", "kappa", "agreement", "no verdict")
    rows: list[tuple[str, ...]] = [head]
    for rates in made.rates:
        cells = (rates.true_positive_rate, rates.true_negative_rate, rates.kappa, rates.agreement)
        rows.append((f"{rates.a}, {rates.b}", str(rates.pairs), *map(cell, cells), str(rates.unreadable)))
    yield plain_table(rows)
    for rates in made.rates:
        yield from _of_pair(rates)
    yield from _biases(made.position, made.length_bias, made.self_preference, made.attacks)
    yield from (f"comparisons not used: {count}: {reason}" for reason, count in made.set_aside.items())
    if made.earlier:
        yield f"note: {made.earlier} other judges were measured on these ratings; better rates may be luck by now"
    yield from (f"not measured: {name}: {reason}" for name, reason in made.reasons.items())


def _of_pair(rates: PairRates) -> Iterator[str]:
    names = {"first": rates.a, "second": rates.b, "tie": "neither"}
    said = ", ".join(f"{name} in {rates.said(people)}" for people, name in names.items())
    disputed = rates.said("disputed")
    yield f"people prefer {said}" + (f", and {disputed} are disputed" if disputed else "")
    yield f"{rates.a} wins {cell(rates.people)} of these by people, {cell(rates.judged)} by the judge"
    if rates.constant is not None and rates.constant_choice is not None:
        always = names[rates.constant_choice]
        yield f"a judge that always says {always} would agree with people on {rates.constant.value:.3f} of them"
    yield from (f"not measured: {rates.a}, {rates.b}: {name}: {why}" for name, why in rates.reasons.items())


def judged(report: JudgeReport) -> Iterator[str]:
    """What the judge said of contenders, and what is to be believed of it."""
    yield f"judge: {report.judge.model}"
    if report.run is None:
        yield foretold(report.cost)
        if report.unanswered:
            yield f"{report.unanswered} answers are not given yet; what judging them would cost is not counted"
        return
    yield f"{report.run.examples} {report.run.side} examples"
    head = ("contender", "criterion", "judge passes", "as people would", "by labels and judge", "no verdict")
    rows: list[tuple[str, ...]] = [head]
    for name, found in report.run.contenders.items():
        for criterion, rate in found.pass_rates.items():
            one = report.corrected.get(name, {}).get(criterion)
            two = report.prediction_powered.get(name, {}).get(criterion)
            lost = str(found.unreadable + found.failed)
            rows.append((name, criterion, cell(rate), _corrected(one), _corrected(two), lost))
    yield plain_table(rows)
    for name, found in report.run.contenders.items():
        yield from (f"{name}: {count} without a verdict: {problem}" for problem, count in found.problems.items())
    for wins in report.run.wins:
        yield _won(wins)
        if (preferred := report.preferred.get(wins.a)) is not None:
            yield _preferred(wins, preferred)
    yield from (f"not measured: {name}: {reason}" for name, reason in report.reasons.items())
    if report.run.side == "test":
        yield f"looks at this test set so far: {report.test_looks}"
    yield from _spent(report.usd)
    yield from _gate(report.gate)
    for name, gate in report.win_gates.items():
        if gate.because != report.gate.because:
            yield f"between {name} and its rival:"
            yield from (f"  {line}" for line in _gate(gate))
    yield from (f"{name}: {standing.replace('_', ' ')}" for name, standing in report.standing.items())


def _rates_table(criteria: dict[str, Rates]) -> str:
    head = ("criterion", "labels", "true positives", "true negatives", "kappa", "agreement", "no verdict")
    rows: list[tuple[str, ...]] = [head]
    for name, rates in criteria.items():
        cells = (rates.true_positive_rate, rates.true_negative_rate, rates.kappa, rates.agreement)
        rows.append((name, str(rates.labels), *map(cell, cells), str(rates.unreadable)))
    return plain_table(rows)


def _biases(
    position: Position | None, length: Estimate | None, own: Estimate | None, attacks: Attacks | None
) -> Iterator[str]:
    if position is not None:
        place = f"position: {position.consistent} of {position.pairs} pairs judged alike in both orders"
        yield f"{place}; bias for the first {cell(position.bias)}"
    if length is not None:
        yield f"length: longer answers are over-rated by {cell(length)}"
    if own is not None:
        yield f"self-preference: its own model's answers are over-rated by {cell(own)}"
    if attacks is not None:
        kinds = ", ".join(f"{kind} {turned} of {tried}" for kind, (turned, tried) in attacks.by_kind.items())
        lost = f", {attacks.unreadable} more got no verdict" if attacks.unreadable else ""
        yield f"attacks: {attacks.turned} of {attacks.tried} turned it ({kinds}){lost}"


def _won(wins: WinRate) -> str:
    if wins.rate is None:
        return f"{wins.a} against {wins.b}: no pair could be judged"
    doubt = f"{wins.inconsistent} of the ties contradict themselves, {wins.identical} are the same text"
    return (
        f"{wins.a} against {wins.b}: win rate {cell(wins.rate)}, the judge's opinion: won {wins.wins}, lost "
        f"{wins.losses}, tied {wins.ties} ({doubt}), no verdict {wins.unreadable}"
    )


def _preferred(wins: WinRate, rate: Corrected) -> str:
    """The win rate as most people would give it."""
    if rate.value is None:
        why = f"the judge is uninformative on pairs of them, by {rate.labels} that people compared"
        return f"as most people would: no number; {why}"
    how = "these very pairs" if rate.method == "prediction_powered" else "pairs of these two"
    return f"as most people would: {_corrected(rate)}, by {rate.labels} of {how} that people compared ({wins.a} wins)"


def _gate(gate: Gate) -> Iterator[str]:
    if gate.may:
        yield f"it may gate: {gate.because[0]}"
    else:
        yield "it may not gate:"
        yield from (f"  {reason}" for reason in gate.because)


def _spent(usd: float | None) -> Iterator[str]:
    if usd is not None:
        yield f"cost: {usd:.4f} USD"


def _corrected(rate: Corrected | None) -> str:
    if rate is None:
        return "-"
    if rate.value is None:
        return "uninformative"
    return f"{rate.value:.2f} [{rate.low:.2f}, {rate.high:.2f}]"
