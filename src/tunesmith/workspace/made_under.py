"""Which settings a tuned contender was made under, and what they are now.

They stand among its inputs. One that shapes training makes it stale; one that says only how it is asked makes stale
what was measured of it, and `evaluate` freezes it anew under the same run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tunesmith.contenders.passages import chunk_words_for
from tunesmith.contenders.retrieval import way_of
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.files import file_hash
from tunesmith.core.runs import Run
from tunesmith.core.store import Derived
from tunesmith.models.opening import model_hash
from tunesmith.tuning import IDLE, SAME_RESULT, LoraConfig
from tunesmith.tuning.going_on import METRIC, OWN_METRICS
from tunesmith.workspace.home import Home, changed_since
from tunesmith.workspace.own_metrics import own_metrics_changed
from tunesmith.workspace.scored_by import scoring_inputs
from tunesmith.workspace.watched import watched_metric

__all__ = ["asked_under", "asking_now", "base_now", "settings_changed", "trained_under", "training_now"]

ASKING = ("too_long", "max_tokens", "constrained")
"""Settings under `contenders` that say how a tuned model is asked."""
CONTENT = "content of tuning.mixture.path"
CHUNK_WORDS = "contenders.retrieval.chunk_words"
SEARCHED = "contenders.retrieval.search"
"""With what re-ranks, and how much."""
EMBEDDER = "model.embedder"
BAR_METRIC, OWN = "bar.metric", "content of evaluation.own_metrics"
"""Of a run whose best checkpoint is best by the metric."""


def asked_under(home: Home) -> dict[str, str]:
    """The settings that say only how a tuned contender is asked, by name, as hashes."""
    return {f"contenders.{name}": digest(getattr(home.settings.contenders, name)) for name in ASKING}


def asking_now(home: Home, contender: Derived) -> dict[str, str]:
    """What ``asked_under`` says now; nothing where an earlier release made ``contender``."""
    return {name: value for name, value in asked_under(home).items() if name in contender.inputs}


def base_now(home: Home, record: Contender, entry: Derived) -> dict[str, str]:
    """The hash of the base model, where another one is named than ``record`` asks; it need not be on this machine."""
    model = home.settings.model
    if "model" not in entry.inputs or record.model == model.named:
        return {}
    try:
        return {"model": model_hash(model.base, base_url=model.base_url)}
    except TunesmithError:
        return {"model": ""}


def settings_changed(home: Home, contender: Derived) -> str:
    """Names of the settings, of either kind, that have changed since ``contender`` was made; empty if none has."""
    return changed_since(contender, training_now(home, contender) | asking_now(home, contender))


def trained_under(home: Home, config: LoraConfig) -> dict[str, str]:
    """The settings that shape a run of ``config``, by name, as hashes; those of `tuning` without a command's flags."""
    idle = {f"tuning.{name}" for name in IDLE[config.objective]}
    found = {name: digest(value) for name, value in _tuning(home).items() if name not in idle}
    if config.retrieved_documents:
        found[CHUNK_WORDS] = _chunk_words(home)
    if config.retrieved_documents or config.retrieved_examples:
        found[EMBEDDER] = digest(home.settings.model.embedder)
        found[SEARCHED] = digest(way_of(home.settings.contenders.retrieval).settings)
    if config.mixture:
        found[CONTENT] = _content(home.root / config.mixture.path)
    if config.best_by == "metric" and (scoring := scoring_inputs(home, config)):
        found[BAR_METRIC] = digest(scoring[METRIC])
        found |= {OWN: scoring[OWN_METRICS]} if OWN_METRICS in scoring else {}
    return found


def training_now(home: Home, contender: Derived) -> dict[str, str]:
    """What ``trained_under`` would say now of the settings that ``contender`` was made under.

    Nothing where an earlier release made it. A setting that is now what a flag of the command made it has not changed.
    """
    kept = contender.inputs
    settings = {name: value for name, value in _tuning(home).items() if name in kept}
    if not settings:
        return {}
    config = _config(home, contender)
    as_run = {name for name, value in settings.items() if value == config.get(name.removeprefix("tuning."))}
    now = {name: kept[name] if name in as_run else digest(value) for name, value in settings.items()}
    if CHUNK_WORDS in kept:
        now[CHUNK_WORDS] = _chunk_words(home)
    if SEARCHED in kept:
        now[SEARCHED] = digest(way_of(home.settings.contenders.retrieval).settings)
    if EMBEDDER in kept:
        now[EMBEDDER] = digest(home.settings.model.embedder)
    if CONTENT in kept and config.get("mixture"):
        now[CONTENT] = _content(home.root / config["mixture"]["path"], kept[CONTENT])
    if BAR_METRIC in kept:
        now[BAR_METRIC] = digest(watched_metric(home))
    if OWN in kept:
        now[OWN] = "" if own_metrics_changed(home, kept[OWN]) else kept[OWN]
    return now


def _tuning(home: Home) -> dict[str, Any]:
    settings = home.settings.tuning.model_dump(mode="json")
    return {f"tuning.{name}": settings.get(name) for name in LoraConfig.model_fields if name not in SAME_RESULT}


def _config(home: Home, contender: Derived) -> Mapping[str, Any]:
    """The configuration of the run behind it."""
    run = home.latest("run", home.load(contender, Contender).settings["run"], Run)
    return run[0].config if run else {}


def _chunk_words(home: Home) -> str:
    return digest(chunk_words_for(home.documents(), home.settings.contenders.retrieval.chunk_words))


def _content(path: Path, known: str = "") -> str:
    """Names what a file or folder holds: its sizes and times, and behind them the hash of the bytes.

    Equal sizes and times, or equal bytes, count as ``known``, so a large file is read again only after it was touched.
    So does a file that is gone: it tells nothing of what was learnt, and a workspace may be copied without it.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    there = [file for file in files if file.exists()]
    stamp = digest([[str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns] for file in there])
    if known and (not there or known.startswith(stamp)):
        return known
    content = digest([[str(file.relative_to(path)), file_hash(file)] for file in there])
    return known if known.endswith(content) else f"{stamp} {content}"
