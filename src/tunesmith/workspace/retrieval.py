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
from tunesmith.workspace.choices import RETRIEVAL, search_inputs, searched_under
from tunesmith.workspace.evaluate import certified, rows_of
from tunesmith.workspace.home import Home
from tunesmith.workspace.relevance import read_judgements
from tunesmith.workspace.searches import SearchBench, Searched, Try, searches

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
    best_settings: dict[str, str | int]
    """What to write under `contenders.retrieval` to search so."""
    tries: int
    """Ways that were measured on the same rows: the best of many looks better than it is."""
    chosen: str | None = None
    """Hash of the `retrieval` contender that was made to search so."""
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
        rerank: `maxsim`, and folders of cross-encoders.
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
        tries = searches(answering.known.documents, config, rerank, chunk_words)
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
            unmeasured=unmeasured, best=best, best_settings=named[best].settings, tries=len(named),
            judged_elsewhere=judged.elsewhere if judged else 0,
            rejected=tuple(judged.rejected) if judged else (),
            says=_in_words(best, tries[0].name, examples, documents, metric, len(named), len(asked)),
        )  # fmt: skip
        if choose:
            report = msgspec.structs.replace(report, chosen=_freeze(home, answering, named[best]))
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


def _freeze(home: Home, answering: Answering, best: Try) -> str:
    """Make the contender that searches so, and its constrained twin; the hash of the first."""
    settings = home.settings.contenders
    chosen = settings.retrieval.model_copy(update={"rerank": None} | best.settings)
    made = []
    for constrained in (False, True) if settings.constrained and home.task.constraint() else (False,):
        context = answering.context(constrained=constrained)
        context = replace(context, searching=lambda: chosen)
        record = contender_kind["retrieval"].make(context)
        home.save("contender", record.name, record, record.inputs)
        made.append(record.hash)
    return made[0]


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
