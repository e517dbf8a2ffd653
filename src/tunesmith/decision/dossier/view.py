"""Tables of the dossier, worked out from its material: what the templates only have to lay out."""

from __future__ import annotations

from typing import Any, NamedTuple

from tunesmith.core.estimates import Comparison, Estimate, Standing
from tunesmith.core.json_text import read_json
from tunesmith.core.naming import metric_parts
from tunesmith.core.task import Task
from tunesmith.decision.costs import CostSheet
from tunesmith.decision.dossier.formats import months, setting
from tunesmith.decision.dossier.material import ContenderPart, DossierMaterial, Duel, ForgottenPart
from tunesmith.decision.facts import COMPLEXITY, Bar
from tunesmith.decision.forgetting import Price, prices
from tunesmith.decision.words import LOWER_IS_BETTER, METRICS, NEITHER_IS_BETTER, SIGNIFICANT, is_shown, usd

__all__ = [
    "DuelView",
    "Headline",
    "bar_of",
    "contrasts",
    "cost_table",
    "duel_view",
    "field_rows",
    "forgotten",
    "headline",
    "ranked",
    "subject",
]

HEADLINES = {
    "ship": ("good", "Ship {name}"),
    "tune": ("go", "Fine-tune a model"),
    "add_retrieval": ("go", "Look things up first: add retrieval"),
    "mend_data": ("wait", "Mend the data first"),
    "gather_more": ("wait", "Not yet: gather more"),
    "too_early": ("wait", "Too early to decide"),
    "stop": ("halt", "Do not fine-tune"),
}
STANDING_WORDS: dict[Standing, str] = {"met": "met", "missed": "missed", "not_shown": "not shown"}


class Headline(NamedTuple):
    tone: str
    title: str


class MetricRow(NamedTuple):
    name: str
    kind: str
    """The metric without its field."""
    values: list[Estimate | None]
    """One per contender, None where it was not measured."""
    best: float | None


class FieldLine(NamedTuple):
    """One field of a duel; ``right`` is None for texts, which no program can mark."""

    name: str
    expected: str
    answer: str
    answer_right: bool | None
    other: str
    other_right: bool | None


class DuelView(NamedTuple):
    lines: list[FieldLine]
    unreadable: list[tuple[str, str]]
    """Whose answer cannot be read, and what it says."""


def headline(material: DossierMaterial) -> Headline:
    key, _, name = material.decision.recommendation.partition(":")
    tone, title = HEADLINES.get(key, ("wait", key))
    return Headline(tone, title.format(name=name))


def bar_of(material: DossierMaterial) -> Bar:
    bar = material.decision.quality_bar
    by = bar.get("by", "lower_end")
    return Bar(metric=bar["metric"], value=bar["value"], also=bar.get("also", {}), by=by)


def ranked(material: DossierMaterial, bar: Bar) -> list[ContenderPart]:
    """Best first on the bar's metric; those without it last."""

    def key(contender: ContenderPart) -> tuple[float, int, str]:
        found = contender.metrics.get(bar.metric)
        kinds = {kind: place for place, kind in enumerate(COMPLEXITY)}
        return -found.value if found else float("inf"), kinds.get(contender.kind, len(kinds)), contender.name

    return sorted(material.contenders, key=key)


def subject(material: DossierMaterial, contenders: list[ContenderPart]) -> ContenderPart | None:
    """The contender the dossier is about: the one to ship, else the best tuned one, else the best."""
    name = material.decision.recommendation.partition(":")[2]
    chosen = [c for c in contenders if c.name == name]
    tuned = [c for c in contenders if c.kind == "tuned"]
    return next(iter([*chosen, *tuned, *contenders]), None)


def field_rows(material: DossierMaterial, contenders: list[ContenderPart]) -> list[MetricRow]:
    """One row per metric: those of whole answers first, then field by field in the task's order."""
    names = {name for contender in contenders for name in contender.metrics}
    places = {f.name: place for place, f in enumerate(material.task.fields, 1)}
    known = list(METRICS)

    def place(name: str) -> tuple[int, str, int, str]:
        of, metric, encoder = metric_parts(name)
        number = known.index(metric) if metric in known else 99
        return places.get(of, 0 if not of else 99), of, number, f"{metric}:{encoder}"

    rows = []
    for name in sorted(names, key=place):
        values, kind = [contender.metrics.get(name) for contender in contenders], metric_parts(name)[1]
        way = material.better.get(name, _way(kind))
        of_all = min if way == "lower" else max
        best = of_all((v.value for v in values if v), default=None)
        marked = len(values) > 1 and way != "neither"
        rows.append(MetricRow(name, kind, values, best if marked else None))
    return rows


def _way(kind: str) -> str:
    """Of evaluations that did not write down which way is better."""
    return "lower" if kind in LOWER_IS_BETTER else "neither" if kind in NEITHER_IS_BETTER else "higher"


def contrasts(material: DossierMaterial) -> list[tuple[Comparison, str]]:
    """Each comparison, and who of the two is shown to be better, empty where it is neither."""
    found = []
    for comparison in material.comparisons:
        significant = (comparison.p_value if comparison.p_holm is None else comparison.p_holm) <= SIGNIFICANT
        better = comparison.b if comparison.high < 0 and significant else ""
        found.append((comparison, comparison.a if is_shown(comparison) else better))
    return found


def cost_table(sheets: tuple[CostSheet, ...]) -> tuple[list[tuple[CostSheet, list[tuple[str, int | None]]]], list[str]]:
    """Cells of the cost table, each a text or the number of the reason why there is none; and those reasons."""
    reasons: list[str] = []
    table = []
    for sheet in sheets:
        cells: list[tuple[str, int | None]] = []
        for column in ("usd_per_thousand", "usd_per_month", "tuning_usd", "data_usd", "value_usd_per_month",
                       "break_even_months", "return_usd"):  # fmt: skip
            value = getattr(sheet, column)
            if value is not None:
                cells.append((months(value) if column == "break_even_months" else usd(value), None))
                continue
            reason = sheet.reasons.get(column, "it was not worked out")
            if reason not in reasons:
                reasons.append(reason)
            cells.append(("", reasons.index(reason) + 1))
        table.append((sheet, cells))
    return table, reasons


def forgotten(material: DossierMaterial, bar: Bar) -> list[tuple[ForgottenPart, list[Price]]]:
    """Each tuned contender with the price of what it forgot."""
    of = {c.name: c.metrics.get(bar.metric) for c in material.contenders}
    others = [
        (c.name, c.kind, c.metrics[bar.metric])
        for c in material.contenders
        if c.kind != "tuned" and bar.metric in c.metrics
    ]
    return [(part, prices(part.found, bar.metric, of.get(part.contender), others)) for part in material.forgotten]


def duel_view(task: Task, duel: Duel) -> DuelView | None:
    """The three completions field by field; None where the expected one is not made of several fields."""
    expected = task.parse(duel.expected).fields
    if expected is None or len(task.fields) < 2:
        return None
    answer, other = _read(duel.answer), _read(duel.other_answer)
    if answer is None and other is None:
        return None
    texts = {f.name for f in task.fields if f.type == "text"}
    lines = [
        FieldLine(
            name,
            _shown(expected, name),
            _shown(answer, name),
            None if name in texts else answer is not None and answer.get(name, ...) == value,
            _shown(other, name),
            None if name in texts else other is not None and other.get(name, ...) == value,
        )
        for name, value in expected.items()
    ]
    sides = ((duel.contender, duel.answer, answer), (duel.other, duel.other_answer, other))
    return DuelView(lines, [(name, text) for name, text, read in sides if read is None])


def _read(text: str) -> dict[str, Any] | None:
    """The object an answer holds, whether or not its fields fit; None where there is none."""
    try:
        read = read_json(text)
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _shown(answer: dict[str, Any] | None, name: str) -> str:
    if answer is None:
        return "–"
    if name not in answer:
        return "missing"
    return "null" if answer[name] is None else setting(answer[name])
