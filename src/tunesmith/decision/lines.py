"""What stands below the first reason: the bar, who reached what, what else was found, and what to be careful with."""

from __future__ import annotations

from collections.abc import Iterator

from tunesmith.core.naming import CONSTRAINED
from tunesmith.decision.because import Because, of_bar, of_contender, of_gain
from tunesmith.decision.case import Case
from tunesmith.decision.config import top_of
from tunesmith.decision.forgetting import forgetting_lines, prices
from tunesmith.decision.held import exported, hand_on
from tunesmith.decision.words import bar_line, bar_number, contender_line, gain_line, listed, number

__all__ = ["FEW_EXAMPLES", "told_beside"]

FEW_EXAMPLES = 100
"""Below this many measured examples intervals are wide and rough, and the decision says so."""


def told_beside(case: Case, recommendation: str) -> Iterator[Because]:
    """All that is told with any recommendation, in the order of a reader's questions."""
    facts = case.facts
    yield Because(bar_line(case.bar, facts.side, facts.examples), (of_bar(), "evaluation#examples"))
    for contender in case.worth_telling:
        yield Because(contender_line(contender, case.bar), (of_contender(contender, case.bar),))
    if case.gain is not None:
        yield Because(gain_line(case.gain, case.rules.least_gain), (of_gain(case.gain),))
    yield from _people(case)
    yield from _judge(case)
    yield from _forgotten(case)
    yield from _parity(case, recommendation)
    yield from _reach(case, recommendation)
    yield from _cautions(case)


def _people(case: Case) -> Iterator[Because]:
    """What people preferred in blind ratings, of the contenders that are told of."""
    rated = case.facts.rated
    if rated is None:
        return
    if rated.because:
        yield Because(f"What people said in blind ratings counts for nothing here: {rated.because}.", ("rating",))
        return
    names = {c.name for c in case.worth_telling}
    for pair in rated.rates:
        if pair.a in names or pair.b in names:
            found = pair.win_rate
            yield Because(
                f"In blind comparisons on {rated.side} people preferred {pair.a} to {pair.b} with a win rate of "
                f"{number(found.value, 0.5)} (95 % interval {number(found.low, 0.5)} to {number(found.high, 0.5)}; "
                f"{pair.wins} won, {pair.ties} tied, {pair.losses} lost): {_preferred(found.low, found.high)}.",
                ("rating#win_rates",),
            )


def _preferred(low: float, high: float) -> str:
    if low > 0.5:
        return "a preference is shown"
    return "the other one is shown to be preferred" if high < 0.5 else "no preference is shown"


def _judge(case: Case) -> Iterator[Because]:
    """Pass rates that a judge may speak of, corrected for its errors; or why it says nothing."""
    judged = case.facts.judged
    if judged is None:
        return
    if not judged.may:
        yield Because(
            f"What the judge said decides nothing and is not quoted: {'; '.join(judged.because)}.",
            ("judged", "calibration"),
        )
        return
    rates = [(c.name, judged.rates[c.name]) for c in case.worth_telling if c.name in judged.rates]

    def whence(name: str) -> str:
        return f"judged:{name}" if name in judged.older else "judged"

    for name, found in rates:
        if found.value is not None:
            yield Because(
                f"By the judge {judged.model}, corrected for its errors, people would pass {number(found.value)} of "
                f"what {name} answers ({judged.criterion}; 95 % interval {number(found.low)} to {number(found.high)}, "
                f"n = {found.n:,}); the judge is {judged.because[0]}.",
                (f"{whence(name)}#contenders.{name}.pass_rates.{judged.criterion}", "calibration#rates"),
            )


def _forgotten(case: Case) -> Iterator[Because]:
    """What each run behind the tuned contenders that are told forgot, once a run."""
    simpler = [(c.name, c.kind, c.metrics[case.bar.metric]) for c in case.simpler]
    told: set[str | None] = set()
    for contender in case.worth_telling:
        if contender.forgetting is not None and contender.run not in told:
            told.add(contender.run)
            figure = contender.metrics.get(case.bar.metric)
            priced = prices(contender.forgetting, case.bar.metric, figure, simpler)
            for text in forgetting_lines(contender.name, priced):
                yield Because(text, (f"forgetting:{contender.run}#losses",))


def _parity(case: Case, recommendation: str) -> Iterator[Because]:
    """Of tuned contenders that are told, the one to ship first: does what would be deployed say what was measured?"""
    told: set[str] = set()
    for contender in sorted(case.worth_telling, key=lambda c: recommendation != f"ship:{c.name}"):
        if contender.kind != "tuned" or contender.run is None or contender.run in told:
            continue
        told.add(contender.run)
        passed, failed = exported(contender.exports)
        see = (f"export:{contender.run}#parity",)
        if passed:
            ways = listed(sorted({e.to for e in passed}))
            yield Because(
                f"Handed on as {ways}, the model of run {contender.run} says what was measured: loaded again by "
                f"{listed(sorted({e.loader for e in passed}))}, log-probabilities stay within noise.",
                see,
            )
        for export in failed:
            yield Because(
                f"Handed on as {export.to}, the model of run {contender.run} fails parity, so nothing was left: "
                f"{'; '.join(export.because)}.",
                see,
            )
        if not contender.exports and recommendation == f"ship:{contender.name}":
            yield Because(
                f"That the model of run {contender.run} says the same when it is deployed was not proved; "
                f"{hand_on(contender)} proves it.",
                (f"run:{contender.run}",),
            )
        if contender.name.endswith(CONSTRAINED) and recommendation == f"ship:{contender.name}":
            yield Because(
                f"The answers of {contender.name} were held to the task's schema, which an exported model does not do "
                "by itself: have its server do so, with what its record says under `constraint`.",
                (f"evaluation#contenders.{contender.name}.contender", "settings#contenders.constrained"),
            )


def _reach(case: Case, recommendation: str) -> Iterator[Because]:
    """How many train examples the learning curve says the bar takes, where more of them are a question."""
    if recommendation not in ("gather_more", "mend_data"):
        return
    found, because = case.facts.reach, case.facts.reach_because
    if found is None:
        if because:
            yield Because(f"How many train examples the bar would take is not known: {because}.", ("curve", "store"))
        return
    where = f"By the learning curve of {found.contender} on {found.metric}"
    if found.examples is None:
        yield Because(f"{where}, no number of train examples that can be told reaches {number(found.value)}: "
                      f"{found.because}. A tuned model's curve may differ.", ("curve#reaches",))  # fmt: skip
        return
    if found.examples <= found.now:
        yield Because(f"{where}, {found.now:,} train examples are as many as {number(found.value)} takes.",
                      ("curve#reaches",))  # fmt: skip
        return
    low = f"{found.low:,}" if found.low is not None else "more"
    high = f"{found.high:,}" if found.high is not None else "no number that can be told"
    rough = f"; {found.because}" if found.because else ""
    yield Because(
        f"{where}, {number(found.value)} takes about {found.examples:,} train examples ({found.now:,} are there; 95 % "
        f"of refits {low} to {high}){rough}. A tuned model's curve may differ.",
        ("curve#reaches",),
    )


def _cautions(case: Case) -> Iterator[Because]:
    facts = case.facts
    if not facts.checked:
        yield Because(
            "The checks have not been run on these examples; `tunesmith check` looks for faults in them.",
            ("check", "store#examples"),
        )
    if facts.side == "validation":
        yield Because(
            "All figures are from validation, where prompts and settings were chosen too, so they run high.",
            ("evaluation#side",),
        )
    if facts.examples < FEW_EXAMPLES:
        yield Because(
            f"With {facts.examples} {facts.side} examples, fewer than {FEW_EXAMPLES}, the intervals are wide and "
            "rough.",
            ("evaluation#examples",),
        )
    if facts.side == "test" and facts.test_looks > 1:
        yield Because(
            f"The test set was scored {facts.test_looks} times; every look makes its figures a little too kind.",
            ("evaluation#test_looks", "store#ledger"),
        )
    for metric, value in case.bar.asked.items():
        if case.bar.by == "lower_end" and value >= top_of(metric):
            yield Because(
                f"The bar for {metric} is {bar_number(value)}, all that there is, and the lower end of an interval "
                "never reaches that, however many examples there are: ask for less, or set `decision.met_by: value`.",
                (of_bar(),),
            )
    for text in facts.evaluation_warnings:
        yield Because(text, ("evaluation#warnings",))
    for text in facts.bar_warnings:
        yield Because(text, ("evaluation#contenders", of_bar()))
    if case.unmeasured:
        yield Because(
            f"{case.bar.metric} could not be measured of {listed([c.name for c in case.unmeasured])}.",
            ("evaluation#contenders",),
        )
    failed = [f"{c.name} {c.failed}" for c in facts.contenders if c.failed]
    if failed:
        yield Because(
            f"Answers lost to errors or timeouts count as wrong at the bar and have no score: {listed(failed)}.",
            ("evaluation#contenders",),
        )
    if facts.overrides:
        yield Because(f"Guards were passed by hand: {'; '.join(facts.overrides)}.", ("store#ledger",))
