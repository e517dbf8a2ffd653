"""`check`: look for faults in the examples."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from tunesmith.contenders.kind import head, turns
from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.core.findings import Finding
from tunesmith.core.record import Record
from tunesmith.core.splits import Split
from tunesmith.data.checks import CountTokens, Material, look
from tunesmith.data.config import ChecksConfig
from tunesmith.data.readiness import Readiness, readiness
from tunesmith.data.texts import read_texts
from tunesmith.models.context import context_in
from tunesmith.models.embedder import open_embedder
from tunesmith.models.opening import model_folder
from tunesmith.models.template import Template
from tunesmith.workspace.home import Home

__all__ = ["CheckReport", "check", "current_check", "examples_hash", "material"]

FIRST_SETTINGS = (
    "near_duplicate_threshold", "conflict_threshold", "doubtful_conflict_threshold", "fewest_per_label",
    "dominant_label_share", "edge_case_share", "findings_per_check",
)  # fmt: skip
"""Settings of release 0.1.0."""


class CheckReport(Record, frozen=True, kw_only=True):
    snapshot: str
    examples: int
    findings: tuple[Finding, ...]
    ready: bool
    """No finding is an error."""
    unmeasured: tuple[str, ...] = ()
    """Checks that could not look, and why."""
    only: tuple[str, ...] = ()
    """The checks that were asked for; empty means all."""
    readiness: Readiness | None = None
    """Counts, and what to do next; None in reports of before it was made."""

    @property
    def errors(self) -> int:
        return sum(f.severity == "error" for f in self.findings)


def check(home: Home, only: Sequence[str] | None = None) -> CheckReport:
    """Run the checks (all, or those in ``only``); a full run is kept, and tuning asks for it."""
    with home.alone("check"):
        examples = home.examples()
        if not examples:
            raise TunesmithError("There are no examples to check.", "add some with `tunesmith add FILE`")
        snapshot = home.snapshot(examples)
        counting = _counting_tokens(home)
        found = look(material(home, examples, counting.counted, counting.context), only)
        report = CheckReport(
            snapshot=snapshot.hash,
            examples=len(examples),
            findings=tuple(found.findings),
            ready=not any(f.severity == "error" for f in found.findings),
            unmeasured=(*counting.unmeasured, *found.unmeasured),
            only=tuple(only or ()),
            readiness=readiness(found.findings, len(examples)),
        )
        if not only:
            home.save("check", "check", report, inputs(home, examples))
    return report


def material(
    home: Home, examples: Sequence[Example], count_tokens: CountTokens | None = None, context: int | None = None
) -> Material:
    """What the checks look at. The embedder is opened by the first check that asks for it.

    Args:
        context: Most tokens that the model takes; None where that is not known.
    """
    config = home.settings.checks
    split = home.latest("split", "split", Split)
    return Material(
        examples=tuple(examples),
        task=home.task,
        config=config,
        count_tokens=count_tokens,
        max_tokens=home.settings.tuning.max_length,
        context=context,
        open_embedder=partial(open_embedder, home.settings.model.embedder),
        train=frozenset(split[0].train) if split else None,
        production=read_texts(home.root / config.production_prompts) if config.production_prompts else (),
        benchmark=read_texts(home.root / config.benchmark_text) if config.benchmark_text else (),
    )


def current_check(home: Home, examples: Sequence[Example]) -> CheckReport | None:
    """The newest report, if it is of these examples, task and settings."""
    found = home.latest("check", "check", CheckReport)
    return found[0] if found is not None and found[1].inputs == inputs(home, examples) else None


def inputs(home: Home, examples: Sequence[Example]) -> dict[str, str]:
    """What a check report is made from."""
    config = home.settings.checks
    files = [home.root / name for name in (config.production_prompts, config.benchmark_text) if name]
    return {
        "task": home.task.hash,
        "examples": examples_hash(examples),
        "settings": digest(_counting(config)),
    } | ({"files of texts": digest([read_texts(file) for file in files if file.exists()])} if files else {})


def _counting(config: ChecksConfig) -> dict[str, Any]:
    """The settings that name a report: those a later release added only where they were changed.

    So a report that an earlier release made is not stale merely because there is more to set now.
    """
    usual = ChecksConfig().model_dump(mode="json")
    return {k: v for k, v in config.model_dump(mode="json").items() if k in FIRST_SETTINGS or v != usual[k]}


def examples_hash(examples: Sequence[Example]) -> str:
    """Name of the set of examples, whatever their order."""
    return digest(sorted(e.id for e in examples))


class _Tokens(NamedTuple):
    """Counts an example's tokens as tuning will see them; None, and why, where there is no tokenizer to count with."""

    counted: CountTokens | None
    context: int | None = None
    unmeasured: tuple[str, ...] = ()


def _counting_tokens(home: Home) -> _Tokens:
    if home.settings.model.base_url:
        return _Tokens(None, unmeasured=("truncated: a hosted model's tokens cannot be counted here",))
    try:
        folder = model_folder(home.settings.model.base)
        template, context = Template.open(folder), context_in(folder)
    except TunesmithError as error:
        return _Tokens(None, unmeasured=(f"truncated: {error.problem} ({error.mend})",))
    except ImportError:
        return _Tokens(None, unmeasured=("truncated: the tokenizer needs `pip install 'tunesmith[local]'`",))

    def count(example: Example) -> tuple[int, int]:
        encoded = template.encode(head(home.task.instructions, example) + turns(example), example.completion)
        return len(encoded.ids), encoded.supervised

    return _Tokens(count, context)
