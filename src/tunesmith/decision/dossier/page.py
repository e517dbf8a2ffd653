"""The dossier: one HTML file that tells the decision and its evidence, readable on any screen and on paper.

Everything in it is data: texts of users and models are escaped, there is no script, and the page's own policy forbids
any request to the outside.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tunesmith.core import plots
from tunesmith.decision.dossier import view
from tunesmith.decision.dossier.brief import brief
from tunesmith.decision.dossier.formats import FILTERS, clean, interval
from tunesmith.decision.dossier.glossary import GLOSSARY
from tunesmith.decision.dossier.links import NUMBERS, SECTIONS, reasons
from tunesmith.decision.dossier.material import ContenderPart, DossierMaterial
from tunesmith.decision.facts import Bar
from tunesmith.decision.words import KINDS, METRICS, bar_number, metric_words, number, usd

__all__ = ["render"]

TEMPLATES = Path(__file__).parent / "templates"


def render(material: DossierMaterial) -> str:
    """The dossier as one self-contained HTML page. Same material, same bytes.

    Parts the material lacks are told as missing, so that a dossier can be made at any station of the road.
    """
    bar = view.bar_of(material)
    contenders = view.ranked(material, bar)
    chosen = view.subject(material, contenders)
    costs, cost_reasons = view.cost_table(material.costs)
    return _environment().get_template("dossier.html.jinja").render(
        m=material,
        bar=bar,
        bar_text=bar_number(bar.value),
        bar_words=metric_words(bar.metric),
        bar_number=bar_number,
        kinds=KINDS,
        metrics=METRICS,
        headline=view.headline(material),
        reasons=reasons(material.decision),
        brief=brief(material, bar, chosen),
        sections=dict(SECTIONS),
        numbers=NUMBERS,
        contenders=contenders,
        subject=chosen,
        no_price=_no_price(material, chosen),
        rival=_rival(contenders, chosen),
        standing={c.name: view.STANDING_WORDS[bar.standing(c.metrics, c.failed, c.unreadable)] for c in contenders},
        field_rows=view.field_rows(material, contenders),
        contrasts=view.contrasts(material),
        duels=[(duel, view.duel_view(material.task, duel)) for duel in material.duels],
        forgotten=view.forgotten(material, bar),
        cost_rows=costs,
        cost_reasons=cost_reasons,
        glossary=GLOSSARY,
        plots=_plots(material, bar, contenders, chosen),
    )  # fmt: skip


@cache
def _environment() -> Environment:
    """Where the templates are; compiled once."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        auto_reload=False,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def _rival(contenders: list[ContenderPart], chosen: ContenderPart | None) -> ContenderPart | None:
    """Whom the chosen one is measured against: the best untuned contender, or the best other one."""
    others = [c for c in contenders if c is not chosen]
    return next(iter([*(c for c in others if c.kind != "tuned"), *others]), None)


def _plots(
    material: DossierMaterial, bar: Bar, contenders: list[ContenderPart], chosen: ContenderPart | None
) -> dict[str, Any]:
    """The plots there is material for, by name; ``balance`` and ``confusion`` by label field.

    They are our own SVG with their texts escaped, and the only thing the templates mark as safe.
    """
    drawn: dict[str, Any] = {"balance": {}, "confusion": {}}
    rows = [_row(c, bar) for c in contenders if bar.metric in c.metrics]
    if rows:
        axis = f"{bar.metric} on {material.examples:,} {material.side} examples, with 95 % intervals"
        drawn["intervals"] = plots.intervals(rows, bar=bar.value, bar_text=f"bar {bar_number(bar.value)}", axis=axis)
    prices = [
        plots.Amount(sheet.contender, price, "not known" if price is None else usd(price))
        for sheet in material.costs
        for price in [sheet.usd_per_thousand]
    ]
    if any(price.value is not None for price in prices):
        drawn["prices"] = plots.amounts(prices, axis="US dollars for a thousand requests")
    if material.tuning and material.tuning.run.curve:
        drawn["curve"] = plots.curve(material.tuning.run.curve, best_step=material.tuning.run.best_step)
    if material.data:
        drawn["balance"] = {f: plots.label_balance(c) for f, c in material.data.labels.items() if _any(c)}
    if chosen:
        drawn["confusion"] = {f: plots.confusion(c) for f, c in chosen.confusion.items() if _any(c)}
    return drawn


def _no_price(material: DossierMaterial, chosen: ContenderPart | None) -> str:
    """Why it is not known what ``chosen`` costs."""
    sheet = next((sheet for sheet in material.costs if chosen and sheet.contender == chosen.name), None)
    reason = sheet.reasons.get("usd_per_thousand", "") if sheet else "no costs were worked out"
    return "no prices are set" if not reason or " not set in " in reason else reason


def _row(contender: ContenderPart, bar: Bar) -> plots.Interval:
    found = contender.metrics[bar.metric]
    text = f"{number(found.value, bar.value)} ({interval(found, bar.value)})"
    return plots.Interval(contender.name, found.value, found.low, found.high, text)


def _any(counts: dict[str, dict[str, int]]) -> bool:
    return any(count for row in counts.values() for count in row.values())
