"""The dossier's first page, for whoever decides and does not tune models: six questions, each with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunesmith.decision.costs import CostSheet
from tunesmith.decision.dossier.formats import months
from tunesmith.decision.dossier.material import ContenderPart, DossierMaterial
from tunesmith.decision.facts import Bar, lost
from tunesmith.decision.words import bar_number, listed, metric_words, number, usd

__all__ = ["Answered", "brief"]


class Answered(NamedTuple):
    question: str
    sentences: list[str]
    sections: list[str]
    """Ids of the sections that prove it."""


def brief(material: DossierMaterial, bar: Bar, chosen: ContenderPart | None) -> list[Answered]:
    """What was asked, whether the bar is met, money, risk, what is not known, and what to do next."""
    sheet = next((s for s in material.costs if chosen is not None and s.contender == chosen.name), None)
    return [
        Answered("What was asked", _asked(material, bar), ["bar"]),
        Answered("Is the bar met?", _met(material, bar), ["bar", "contrasts"]),
        Answered("What it costs", list(_money(sheet, chosen)), ["costs"]),
        Answered("What may go wrong", list(_risks(material, bar, chosen)), ["cautions", "looks"]),
        Answered("What is not known", list(_unknown(material, sheet)), ["opinions", "forgetting", "parity"]),
        Answered("Next step", [material.decision.next or "See the recommendation above."], ["reproduce"]),
    ]


def _asked(material: DossierMaterial, bar: Bar) -> list[str]:
    words = metric_words(bar.metric)
    also = "".join(f", and {metric} of at least {bar_number(value)}" for metric, value in bar.also.items())
    apart = ", which none had learnt from" if material.split and material.split.certificate.certified else ""
    return [
        f"The simplest way to do this task with {bar.metric}{f' ({words})' if words else ''} of at least "
        f"{bar_number(bar.value)}{also}.",
        f"Every contender answered the same {material.examples:,} {material.side} examples{apart}.",
    ]


def _met(material: DossierMaterial, bar: Bar) -> list[str]:
    measured = [c for c in material.contenders if bar.metric in c.metrics]
    if not measured:
        return ["Nothing was measured yet."]
    standing = {c.name: bar.standing(c.metrics, c.failed, c.unreadable) for c in measured}
    met = [name for name, stands in standing.items() if stands == "met"]
    open_ones = [name for name, stands in standing.items() if stands == "not_shown"]
    faulty = material.decision.rule in ("stale", "unsound")
    yes, not_shown, no = (
        f"By figures that decide nothing as they are: {word}" if faulty else word.capitalize()
        for word in ("yes", "not shown", "no")
    )
    if met:
        return [f"{yes}, by {listed(met)}.", *(_reached(c, bar) for c in measured if c.name == met[0])]
    best = max(measured, key=lambda c: c.metrics[bar.metric].value)
    if open_ones:
        said = _why_not_shown([c for c in measured if c.name in open_ones], bar)
        return [f"{not_shown}: {said}", _reached(best, bar)]
    return [f"{no}: every contender misses it.", _reached(best, bar)]


def _why_not_shown(contenders: Sequence[ContenderPart], bar: Bar) -> str:
    """What keeps these from being shown to meet the bar: what nobody measured, answers without a score, or chance."""
    names = listed([c.name for c in contenders])
    if missing := [metric for metric in bar.asked if all(metric not in c.metrics for c in contenders)]:
        return f"{names} may reach it, and {listed(missing)} {'was' if len(missing) == 1 else 'were'} not measured."
    if but_lost := [c for c in contenders if bar.standing(c.metrics) == "met"]:
        counts = {c.name: max(lost(m, c.metrics[m], c.failed, c.unreadable) for m in bar.asked) for c in but_lost}
        gone = listed([f"{count:,} of {name}" for name, count in counts.items()])
        return f"{names} may reach it, and answers without a score count as wrong ({gone})."
    return f"{names} may reach it, and the examples are too few to tell."


def _reached(contender: ContenderPart, bar: Bar) -> str:
    found = contender.metrics[bar.metric]
    return (
        f"{contender.name} reaches {number(found.value, bar.value)}; a range such as {number(found.low, bar.value)} to "
        f"{number(found.high, bar.value)} holds the true figure in 95 of 100 such measurements."
    )


def _money(sheet: CostSheet | None, chosen: ContenderPart | None) -> Iterator[str]:
    if sheet is None or chosen is None:
        yield "No costs were worked out."
        return
    if sheet.usd_per_month is not None:
        yield f"{chosen.name} costs {usd(sheet.usd_per_month)} a month to run."
    elif sheet.usd_per_thousand is not None:
        yield f"{chosen.name} costs {usd(sheet.usd_per_thousand)} for a thousand requests."
    else:
        yield f"What {chosen.name} costs is not known: {sheet.reasons.get('usd_per_thousand', 'no prices are set')}."
    if sheet.tuning_usd is not None:
        more = "" if not sheet.tuning_basis else f" ({sheet.tuning_basis})"
        yield f"Tuning it cost {usd(sheet.tuning_usd)}, once{more}."
    against = f" compared with {sheet.against}" if sheet.against else ""
    if sheet.break_even_months is not None:
        time = months(sheet.break_even_months)
        soon = "in less than a day" if time.startswith("below") else f"within {time}"
        yield f"What was paid once comes back {soon}{against}."
    else:
        yield f"When that comes back is not known: {sheet.reasons.get('break_even_months', 'it was not worked out')}."
    if sheet.return_usd is not None:
        yield f"After {sheet.months} months {usd(sheet.return_usd)} is left{against}."


def _risks(material: DossierMaterial, bar: Bar, chosen: ContenderPart | None) -> Iterator[str]:
    """From what was measured alone; where nothing is found it is said so."""
    found = chosen.metrics.get(bar.metric) if chosen else None
    said = False
    if found is not None and chosen is not None and found.low < bar.value <= found.value:
        yield f"{chosen.name} may be as low as {number(found.low, bar.value)}, below the bar."
        said = True
    if bar.by == "value":
        yield "The bar was set on the measured value, which chance makes too high about every second time."
        said = True
    forgot = [p for p in material.forgotten if any(loss.verdict == "forgot" for loss in p.found.losses)]
    if forgot:
        yield f"{listed([p.contender for p in forgot])} forgot some of what the base model could do."
        said = True
    failed = [f"{e.to} of {p.run}" for p in material.handed_on for e in p.exports if not e.passed]
    if failed:
        yield f"Handed on as {listed(failed)}, the model does not say what was measured."
        said = True
    if material.side == "test" and len(material.looks) > 1:
        yield f"The test set was looked at {len(material.looks)} times, which flatters the figures."
        said = True
    if material.side == "validation":
        yield "All figures are from validation, where settings were chosen too, so they run high."
        said = True
    if material.overrides:
        yield f"{len(material.overrides)} guards were passed by hand."
        said = True
    if material.cautions:
        many = "one caution" if len(material.cautions) == 1 else f"{len(material.cautions)} cautions; the first"
        yield f"The statistics carry {many}: {material.cautions[0]}"
        said = True
    if not said:
        yield "Nothing measured speaks of a particular risk; requests that differ from these examples always are one."


def _unknown(material: DossierMaterial, sheet: CostSheet | None) -> Iterator[str]:
    missing = []
    tuned = any(c.kind == "tuned" for c in material.contenders)
    if tuned and not material.forgotten:
        missing.append("what the tuned model forgot")
    if tuned and not any(p.exports for p in material.handed_on):
        missing.append("whether it says the same when it is deployed")
    if material.rated is None or material.rated.because:
        missing.append("whether people prefer its answers, rated blind")
    graded = material.judge is not None and material.judge.judged.may
    if any(f.type == "text" for f in material.task.fields) and not graded:
        missing.append("how good free texts are beyond their likeness to the expected ones")
    if material.data is not None and not material.data.checked:
        missing.append("whether the examples hold faults, as they were not checked")
    if sheet is not None and sheet.usd_per_month is None:
        missing.append("the monthly cost")
    yield f"Not measured: {'; '.join(missing)}." if missing else "Nothing that this dossier can tell is missing."
    yield "How requests will change after today is for monitoring to tell."
