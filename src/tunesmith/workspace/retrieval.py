"""`retrieval`: how well each way to search finds what a prompt should show, measured on validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import msgspec

from tunesmith.contenders import contender_kind
from tunesmith.contenders.config import RetrievalConfig
from tunesmith.core.errors import NothingToMeasure, UnknownName
from tunesmith.core.estimates import or_reason
from tunesmith.core.examples import Rejected, Side
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.evaluation.ranking import RANKING_METRICS
from tunesmith.models.embedder import open_embedder
from tunesmith.models.reranking import MAXSIM
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.choices import RETRIEVAL, chosen, lapsed, search_inputs, searched_under
from tunesmith.workspace.evaluate import certified, rows_of
from tunesmith.workspace.home import Home
from tunesmith.workspace.relevance import read_judgements
from tunesmith.workspace.searches import SearchBench, Searched, Try, searches
from tunesmith.workspace.settings import model_named_from

__all__ = ["RetrievalReport", "retrieval"]

SHOWN_P = 0.05


class RetrievalReport(Record, frozen=True, kw_only=True):
    split: str
    side: Side = "validation"
    metric: str
    """What chooses."""
    present: str
    """The way that the settings name."""
    embedder: str
    """What made the vectors: n-grams stand in where MiniLM is not on this machine."""
    examples: Searched | None = None
    documents: Searched | None = None
    unmeasured: dict[str, str] = {}
    """Why one of the two is not there."""
    best: str
    best_settings: dict[str, str | int | None]
    """What to write under `contenders.retrieval` to search so; null where a setting must go."""
    tries: int
    """Ways that were measured on the same rows: the best of many looks better than it is."""
    chosen: str | None = None
    """Hash of the `retrieval` contender that was made to search so."""
    notes: tuple[str, ...] = ()
    """What was chosen by `baseline --best` under another search and no longer applies; each a sentence."""
    judged_elsewhere: int = 0
    """Examples in the file of judgements that are not on this side; nothing was searched for them."""
    rejected: tuple[Rejected, ...] = ()
    says: str


def retrieval(
    home: Home,
    *,
    relevant: Path | None = None,
    rerank: Sequence[str] = (MAXSIM,),
    chunk_words: Sequence[int] = (),
    metric: str = "ndcg@10",
    sample: int | None = None,
    seed: int = 0,
    choose: bool = False,
    progress: Progress = quiet,
) -> RetrievalReport:
    """Measure searches by embeddings, by words and by both, each with and without re-ranking.

    A validation message is searched for among the train examples, without its own group and prompt, and among the
    documents. The test side is not looked at.

    Args:
        relevant: File with judgements of which documents answer which examples.
        rerank: `maxsim`, and folders of cross-encoders, seen from here or from tunesmith.yaml.
        chunk_words: Further sizes of passages to try.
        metric: What chooses, and what the ways are compared on.
        choose: The best way is that of the `retrieval` contender from now on, as long as examples, split and settings
            stay; nothing is written into tunesmith.yaml.

    Raises:
        NothingToMeasure: Nothing is known of what is relevant to any message.
        TunesmithError: The split does not certify, or a re-ranking model or the file cannot be used.
    """
    if metric not in RANKING_METRICS:
        raise UnknownName.among("metric of retrieval", metric, RANKING_METRICS)
    answering, config = Answering(home), home.settings.contenders.retrieval
    split = certified(answering.split)
    asked = rows_of(home, split, "validation", sample, seed)
    judged = read_judgements(relevant, asked, home.examples(), answering.known.documents) if relevant else None
    with home.alone("retrieval"):
        bench = SearchBench(answering, asked, metric, progress)
        tries = searches(answering.known.documents, config, _as_written(home, rerank), chunk_words)
        unmeasured: dict[str, str] = {}
        examples = or_reason(unmeasured, "examples", lambda: bench.examples(tries))
        documents = or_reason(unmeasured, "documents", lambda: bench.documents(tries, judged))
        if examples is None and documents is None:
            raise NothingToMeasure(
                f"Nothing is known of what a search ought to find: {'; '.join(unmeasured.values())}.",
                "name documents that answer messages in a file: `tunesmith retrieval --relevant FILE`",
            )
        named = {t.name: t for t in tries if any(t.name in found.ways for found in (examples, documents) if found)}
        best = _best(named, examples, documents, metric, config)
        report = RetrievalReport(
            split=split.hash, metric=metric, present=tries[0].name,
            embedder=open_embedder(home.settings.model.embedder).name, examples=examples, documents=documents,
            unmeasured=unmeasured, best=best, best_settings=_to_write(named[best], config), tries=len(named),
            judged_elsewhere=judged.elsewhere if judged else 0,
            rejected=tuple(judged.rejected) if judged else (),
            says=_in_words(best, tries[0].name, examples, documents, metric, len(named), len(asked)),
        )  # fmt: skip
        if choose:
            made, notes = _freeze(home, answering, report.best_settings)
            report = msgspec.structs.replace(report, chosen=made, notes=notes)
        home.save(
            "retrieval", "validation", report, search_inputs(home, answering) | {RETRIEVAL: searched_under(config)}
        )
    return report


def _best(
    tries: Mapping[str, Try], examples: Searched | None, documents: Searched | None, metric: str,
    config: RetrievalConfig,
) -> str:  # fmt: skip
    """The way with the highest mean over what a prompt shows; of equal ones the present one, then the simplest."""
    shown = [found for found, count in ((examples, config.examples), (documents, config.documents)) if found and count]
    shown = shown or [found for found in (examples, documents) if found]

    def reached(name: str) -> float:
        scores = [found.ways.get(name) or found.ways[tries[name].whole] for found in shown]
        return fmean(score.metrics[metric].value for score in scores)

    return max(tries, key=lambda name: round(reached(name), 9))


def _as_written(home: Home, rerank: Sequence[str]) -> list[str]:
    """What re-ranks, as tunesmith.yaml names it: a folder that is seen from here by the way from there."""
    named = [name if name == MAXSIM else model_named_from(home.root, name) for name in rerank]
    present = home.settings.contenders.retrieval.rerank
    return [present if present and Path(name) == Path(present) else name for name in named]


def _to_write(best: Try, config: RetrievalConfig) -> dict[str, str | int | None]:
    """The settings of the best way; where the present ones re-rank and it does not, that they must not."""
    return {**best.settings, **({"rerank": None} if config.rerank and not best.way.rerank else {})}


def _freeze(home: Home, answering: Answering, best: Mapping[str, str | int | None]) -> tuple[str, tuple[str, ...]]:
    """Make the contender that searches so, and its constrained twin; the hash of the first, and what lapsed by it.

    What `baseline --best` chose of it goes on standing only if it was chosen under the very same search.
    """
    settings = home.settings.contenders
    search = settings.retrieval.model_copy(update={"rerank": None, **best})
    made = []
    for constrained in (False, True) if settings.constrained and home.task.constraint() else (False,):
        context = answering.context(constrained=constrained)
        context = replace(context, searching=lambda: search, chosen=lambda kind: chosen(home, answering, kind, search))
        record = contender_kind["retrieval"].make(context)
        home.save("contender", record.name, record, record.inputs)
        made.append(record.hash)
    changed = lapsed(home, answering, "retrieval", search)
    note = (
        f"{changed} changed since retrieval was chosen, so it shows and says what tunesmith.yaml does again "
        "(`tunesmith baseline --best retrieval` chooses anew)"
    )
    return made[0], (note,) if changed else ()


def _in_words(
    best: str, present: str, examples: Searched | None, documents: Searched | None, metric: str, tries: int, rows: int
) -> str:
    found = [(what, s) for what, s in (("examples", examples), ("documents", documents)) if s]
    said = []
    for what, searched in found:
        compared = next((c for c in searched.comparisons if c.a == best), None)
        if compared is None:
            continue
        shown = (compared.p_holm if compared.p_holm is not None else compared.p_value) <= SHOWN_P
        said.append(
            f"{what} {compared.difference:+.3f} [{compared.low:+.3f}, {compared.high:+.3f}]"
            f"{'' if shown else ', not shown'}"
        )
    over = f": against {present}, the present way, {'; '.join(said)}" if said else ", as it is now"
    return (
        f"{best} is the best of {tries} ways by {metric} on {rows} validation messages{over}. "
        "The best of several looks better than it is."
    )
