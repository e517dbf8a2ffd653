"""Tasks of lm-evaluation-harness, asked of a base model and its adapter through the engine.

The harness makes the prompts and marks the answers, document by document; the model it is lent is ours.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tunesmith.core.codec import digest
from tunesmith.core.contenders import Decoding
from tunesmith.core.errors import TunesmithError, UnknownName, nearest
from tunesmith.core.files import file_hash
from tunesmith.core.forgetting import Read, TaskRead
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.tuning.forgetting.reading import Reader

__all__ = ["Tasks", "check_tasks", "read_tasks"]

BITS = "bits_per_byte"
LN2 = math.log(2)
RIGHT = ("acc", "acc_norm", "acc_bytes", "exact_match")
"""Metrics that mark a document right or wrong."""
LONGEST_ANSWER = 256
"""Tokens of an answer where the task does not say."""


class Tasks(Record, frozen=True, kw_only=True):
    """Which tasks are asked, and how much of each."""

    names: tuple[str, ...]
    folder: str | None = None
    """Where task files of the user's own are."""
    limit: int | None = None
    trust_code: bool = False
    """Whether Python that task files of that folder name may run."""

    def named(self, name: str) -> str:
        """Hash of one task as it would be asked now: its name, the harness, all files of the folder, and the data on
        this machine that they name."""
        folder = Path(self.folder) if self.folder else None
        own, data = [], []
        if folder and folder.is_dir():
            own = [[str(f.relative_to(folder)), file_hash(f)] for f in sorted(folder.rglob("*")) if f.is_file()]
            data = [[str(f), file_hash(f)] for f in _data_files(folder)]
        return digest([name, self.limit, _harness(), own, data])


def check_tasks(tasks: Tasks) -> Any:
    """The harness's own table of tasks, once it is seen that all of ``tasks`` stand there.

    Raises:
        TunesmithError: The harness is not installed, a task is not known, or code would run that nobody trusted.
    """
    try:
        from lm_eval import tasks as known
    except ImportError as error:
        raise TunesmithError(
            "Tasks need lm-evaluation-harness, which is not installed.", "pip install 'tunesmith[lm-eval]'"
        ) from error
    _check_folder(tasks)
    with _silent():
        manager = known.TaskManager(include_path=tasks.folder)
    for name in tasks.names:
        if name not in manager.all_tasks:
            raise UnknownName(
                f"lm-evaluation-harness {version('lm_eval')} has no task {name!r}.",
                f"{nearest(name, sorted(manager.all_tasks))}; task files of your own: --task-folder",
            )
    return manager


def read_tasks(reader: Reader, tasks: Tasks, progress: Progress = quiet) -> dict[str, TaskRead]:
    """Each task's metric on each document; the first metric that is one number a document, or bits per byte.

    A group of tasks gives one entry a task.

    Raises:
        TunesmithError: As ``check_tasks``, or its data cannot be had, or it has no such metric.
    """
    manager, terminal = check_tasks(tasks), sys.stderr

    def shown(done: int, total: int, note: str = "") -> None:
        with contextlib.redirect_stderr(terminal):
            progress(done, total, note)

    from lm_eval import simple_evaluate

    try:
        with _silent():
            found: Any = simple_evaluate(
                model=_lent(reader, shown), tasks=list(tasks.names), task_manager=manager, limit=tasks.limit,
                bootstrap_iters=0, log_samples=True,
            )  # fmt: skip
    except Exception as error:
        if isinstance(error, TunesmithError):
            raise
        raise TunesmithError(
            f"lm-evaluation-harness could not ask {', '.join(tasks.names)}: {_first_line(error)}",
            "see that its data can be had (most tasks load theirs from the Hugging Face hub), or name another task",
        ) from error
    return {name: _values(name, samples, found) for name, samples in found["samples"].items()}


def _harness() -> str:
    try:
        return version("lm_eval")
    except PackageNotFoundError:
        return ""


def _data_files(folder: Path) -> list[Path]:
    """Files that task files of ``folder`` name as their data, as they are seen from the current folder."""
    import yaml

    class Plain(yaml.SafeLoader):  # type: ignore[misc]  # mypy knows nothing of it
        """Reads ``!function`` as nothing."""

    Plain.add_multi_constructor("!", lambda loader, suffix, node: None)
    found: set[Path] = set()
    for file in sorted({*folder.rglob("*.yaml"), *folder.rglob("*.yml")}):
        with contextlib.suppress(yaml.YAMLError, UnicodeDecodeError):  # the harness says what is wrong with it
            said = yaml.load(file.read_text("utf-8"), Plain)
            named = [said.get("dataset_path"), said.get("dataset_kwargs")] if isinstance(said, dict) else []
            for path in (path for text in _texts(named) for path in _there(Path(text))):
                found |= {f for f in path.rglob("*") if f.is_file()} if path.is_dir() else {path}
    return sorted(found)


def _there(pattern: Path) -> Iterator[Path]:
    """What is there under a path that may have stars in it."""
    if pattern.name:
        yield from Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _check_folder(tasks: Tasks) -> None:
    if tasks.folder is None:
        return
    folder = Path(tasks.folder)
    if not folder.is_dir():
        raise TunesmithError(f"There is no folder {folder} with tasks.", "name one with --task-folder")
    code = [f for f in sorted(folder.rglob("*")) if f.suffix == ".py" or _calls_code(f)]
    if code and not tasks.trust_code:
        raise TunesmithError(
            f"{code[0].relative_to(folder)} in {folder} names Python code, which would run here.",
            "read it, then pass with --trust-code",
        )


def _calls_code(file: Path) -> bool:
    return file.suffix in (".yaml", ".yml") and "!function" in file.read_text("utf-8", errors="replace")


def _values(name: str, samples: Sequence[dict[str, Any]], found: Any) -> TaskRead:
    """The task's first metric that can be compared document by document."""
    first = samples[0]["filter"]
    rows = sorted((s for s in samples if s["filter"] == first), key=lambda s: int(s["doc_id"]))
    better = found["higher_is_better"][name]
    asked = digest([[row[key] for key in ("doc_hash", "prompt_hash", "target_hash")] for row in rows])
    for metric in (m for m in better if m in rows[0]):
        values = [row[metric] for row in rows]
        if metric == BITS and all(isinstance(v, tuple) for v in values):
            bits, sizes = zip(*((-log / LN2, size) for log, size in values), strict=True)
            read = Read(values=bits, sizes=sizes)
            return TaskRead(metric=metric, kind="bits", read=read, higher_is_better=False, documents=asked)
        if not all(isinstance(v, int | float) for v in values) or metric.endswith("perplexity"):
            continue
        marks = set(values) <= {0, 1} and (metric in RIGHT or metric.startswith("exact_match"))
        options = [len(row["arguments"]) for row in rows] if metric in RIGHT[:3] else []
        chances = tuple(map(float, options)) if options and min(options) > 1 else ()
        return TaskRead(
            metric=metric, kind="items" if marks and better[metric] else "mean",
            read=Read(values=tuple(map(float, values)), sizes=chances), higher_is_better=bool(better[metric]),
            documents=asked,
        )  # fmt: skip
    raise TunesmithError(
        f"Task {name} has no metric that is a number for each document: {', '.join(better)}.",
        "name a task with acc, exact_match, bits_per_byte or the like",
    )


def _lent(reader: Reader, progress: Progress) -> Any:
    """Our model as the harness asks for one."""
    from lm_eval.api.model import LM

    class Lent(LM):  # type: ignore[misc, unused-ignore]  # without the harness, mypy knows nothing of it
        """Base model and adapter behind the harness's three questions."""

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            by_context: dict[str, list[int]] = {}
            for at, request in enumerate(requests):
                by_context.setdefault(request.args[0], []).append(at)
            asked = [reader.asked(c, [requests[at].args[1] for at in places]) for c, places in by_context.items()]
            found: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
            for places, scored in zip(by_context.values(), reader.score(asked, progress), strict=True):
                for at, one in zip(places, scored, strict=True):
                    found[at] = (one.log_likelihood, one.greedy)
            return found

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            bits = reader.bits([request.args[0] for request in requests], progress)
            return [-each * LN2 for each in bits]

        def generate_until(self, requests: list[Any]) -> list[str]:
            decodings = [_decoding(request.args[1]) for request in requests]
            prompts = [reader.prompt(r.args[0], d.max_tokens) for r, d in zip(requests, decodings, strict=True)]
            found = [""] * len(requests)
            for done, (at, reply) in enumerate(reader.continued(prompts, decodings), 1):
                progress(done, len(requests))
                found[at] = reply.text
            return found

    return Lent()


def _decoding(settings: dict[str, Any]) -> Decoding:
    until = settings.get("until") or ()
    sampled = settings.get("do_sample") and settings.get("temperature")
    return Decoding(
        max_tokens=int(settings.get("max_gen_toks") or LONGEST_ANSWER),
        temperature=float(settings["temperature"]) if sampled else 0.0,
        stop=tuple([until] if isinstance(until, str) else until),
        seed=0 if sampled else None,
    )


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """The harness writes bars, logs and warnings of its own to the terminal."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        nowhere = io.StringIO()
        with contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
