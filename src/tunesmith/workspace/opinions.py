"""What a judge and people said of the contenders that were measured, and whether it may count in a decision."""

from __future__ import annotations

from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.estimates import Estimate
from tunesmith.core.files import file_hash
from tunesmith.core.judging import OVERALL, Judge
from tunesmith.decision.facts import JUDGED, Bar, Judged, Preferred, Rated
from tunesmith.evaluation.judge.gate import may_gate
from tunesmith.evaluation.rating.results import WinRate, win_rates
from tunesmith.workspace.evaluate import Evaluation
from tunesmith.workspace.home import Home
from tunesmith.workspace.judge_desk import JudgeRun
from tunesmith.workspace.judge_rates import corrected_by, newest_calibration
from tunesmith.workspace.judged_runs import counted_runs
from tunesmith.workspace.judging import Panel, guidelines_file
from tunesmith.workspace.rated import Round

__all__ = [
    "bar_of", "judged", "judged_otherwise", "opinion_inputs", "pass_rate_name", "pass_rates", "rated",
    "round_that_counts",
]  # fmt: skip


def pass_rate_name(criterion: str) -> str:
    """What the bar calls a corrected pass rate."""
    return f"{JUDGED}{criterion}"


def bar_of(home: Home) -> Bar | None:
    """The bar with what `decision` adds to it.

    Raises:
        UnknownName: The criterion of the pass rate is none that a judge looks at.
    """
    bar, rules = home.settings.bar, home.settings.decision
    if bar is None:
        return None
    least = rules.least_pass_rate
    known = (*home.task.criteria, *home.settings.judge.criteria, OVERALL)
    if least is not None and rules.pass_rate_criterion not in known:
        raise UnknownName.among("criterion of the judge", rules.pass_rate_criterion, known)
    also = bar.also | ({pass_rate_name(rules.pass_rate_criterion): least} if least is not None else {})
    return Bar(metric=bar.metric, value=bar.value, also=also, by=rules.met_by)


def judged(home: Home, evaluation: Evaluation) -> Judged | None:
    """What a judge said, if one was asked; it counts only where the judge may gate as it stands now."""
    found = counted_runs(home, evaluation)
    if found is None:
        return None
    run, criterion = found.run, home.settings.decision.pass_rate_criterion
    told = Judged(may=False, because=(), criterion=criterion, model=run.judge.model)
    against = tuple(judged_otherwise(home, run, evaluation))
    if against:
        return replace(told, because=against)
    calibration = newest_calibration(home)
    gate = may_gate(run.judge, calibration, home.settings.judge, criterion)
    if not gate.may or calibration is None:
        return replace(told, because=gate.because)
    rates = corrected_by(run, calibration)
    return replace(
        told, may=True, because=gate.because,
        rates={n: rates[n][criterion] for n in sorted(run.contenders) if criterion in rates.get(n, {})},
        unjudged={n: c.failed + c.unreadable for n, c in sorted(run.contenders.items())},
        older=tuple(sorted(found.older)),
    )  # fmt: skip


def judged_otherwise(home: Home, run: JudgeRun, evaluation: Evaluation) -> list[str]:
    """Why what the judge said is not of what is decided on."""
    found = []
    now = _judge_now(home)
    if isinstance(now, str):
        found.append(f"it cannot be asked any more: {now}")
    elif now.hash != run.judge.hash:
        found.append("its model, rubric or prompt changed since it judged: `tunesmith judge run`")
    if run.split != evaluation.split or run.side != evaluation.side:
        found.append(f"it judged other examples than are decided on: `tunesmith judge run --on {evaluation.side}`")
    return found


def _judge_now(home: Home) -> Judge | str:
    try:
        return Panel(home).judge
    except TunesmithError as error:
        return error.problem


def pass_rates(home: Home, found: Judged | None) -> dict[str, dict[str, Estimate]]:
    """By contender: the corrected pass rate as one more metric, where the settings ask for one."""
    if home.settings.decision.least_pass_rate is None or found is None or not found.may:
        return {}
    return {
        name: {
            pass_rate_name(found.criterion): Estimate(
                value=rate.value, low=rate.low, high=rate.high, n=rate.n, skipped=found.unjudged.get(name, 0)
            )
        }
        for name, rate in found.rates.items()
        if rate.value is not None
    }


def rated(home: Home, evaluation: Evaluation) -> Rated | None:
    """The round of blind ratings that counts, if there is one: once told or used, when no choice can change."""
    made = round_that_counts(home, evaluation)
    if made is None:
        return None
    told = Rated(side=made.made.side, raters=len(set(made.raters) - made.left_out))
    if not made.unblinded:
        waiting = f"{made.waiting} ratings are still wanted" if made.waiting else "it is complete"
        return replace(told, because=f"{waiting}, and `tunesmith rate agreement` has not told its results")
    if made.made.side != evaluation.side:
        return replace(told, because=f"they were of {made.made.side} examples, and {evaluation.side} is decided on")
    if made.made.split != evaluation.split:
        return replace(told, because="they were of another split")
    names: dict[str, str] = {}
    for name, c in evaluation.contenders.items():
        names.setdefault(c.contender, name)  # `tuned` before `tuned:RUN`, where both name one model
    here = {n: names[record] for n, record in made.made.contenders.items() if record in names}
    kinds = {n: c.kind for n, c in evaluation.contenders.items()}
    rates = []
    for found in win_rates(made.made, made.rated, made.left_out, made.identical):
        if found.a in here and found.b in here:
            there, turned = _both_ways(found, here[found.a], here[found.b])
            rates.append(turned if kinds[turned.a] == "tuned" != kinds[turned.b] else there)  # of the tuned one
    if not rates:
        return replace(told, because="no two contenders that were compared are among those decided on")
    return replace(told, rates=tuple(rates))


def round_that_counts(home: Home, evaluation: Evaluation) -> Round | None:
    """The newest round of what is decided on whose choices were told or used; where there is none, the newest."""
    rounds = [Round(home, entry) for entry in reversed(home.index("rating", "round"))]
    of_these = (r for r in rounds if (r.made.side, r.made.split) == (evaluation.side, evaluation.split))
    return next((r for r in of_these if r.unblinded), rounds[0] if rounds else None)


def _both_ways(found: WinRate, a: str, b: str) -> tuple[Preferred, Preferred]:
    rate = found.win_rate
    turned = replace(rate, value=1 - rate.value, low=1 - rate.high, high=1 - rate.low)
    return (
        Preferred(a=a, b=b, win_rate=rate, wins=found.wins, ties=found.ties, losses=found.losses),
        Preferred(a=b, b=a, win_rate=turned, wins=found.losses, ties=found.ties, losses=found.wins),
    )


def opinion_inputs(home: Home) -> dict[str, str]:
    """What judges and people said, as it is now, by what a decision calls it."""
    inputs = {}
    run, calibration = home.index("judged", "judge"), home.index("calibration", "judge")
    if run:
        config, file = home.settings.judge, guidelines_file(home)
        settings = digest(config.as_written(() if file else ("guidelines",)))  # as before where none are named
        text = [file_hash(file) if file.is_file() else ""] if file else []
        inputs["judge"] = digest([run[-1].hash, calibration[-1].hash if calibration else "", settings, *text])
        pairs = home.index("calibration", "pairs")
        inputs |= {"judge of pairs": pairs[-1].hash} if pairs else {}
    rounds = [Round(home, entry) for entry in home.index("rating", "round")]
    said = [[made.hash, made.unblinded, sum(r.choice is not None for r in made.ratings)] for made in rounds]
    inputs |= {"ratings": digest(said[0] if len(said) == 1 else said)} if said else {}
    return inputs
