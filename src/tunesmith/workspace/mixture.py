"""What `tune` mixes in beside the train side: general-purpose rows, kept apart from the workspace's examples."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Rejected
from tunesmith.core.splits import Split
from tunesmith.data.mixture import read_mixture
from tunesmith.data.readers.options import Say
from tunesmith.tuning import MixtureConfig
from tunesmith.workspace.add import keep_rejected
from tunesmith.workspace.home import Home

if TYPE_CHECKING:
    from tunesmith.tuning.mixture import GeneralRows

__all__ = ["Mixture", "general_rows"]

TOLD = 10
"""Rejected rows that are told one by one."""


class Mixture(NamedTuple):
    rows: GeneralRows
    hash: str
    """Of what the rows say."""


def general_rows(home: Home, split: Split, config: MixtureConfig, say: Say) -> Mixture:
    """The general rows, but those of which a turn is near a validation or test prompt; what cannot be read is said.

    Raises:
        TunesmithError: They cannot be read, or too few are left.
    """
    from tunesmith.tuning.mixture import GeneralRows
    from tunesmith.tuning.rows import Row

    measured = {*split.validation, *split.test}
    prompts = [example.prompt for example in home.examples() if example.id in measured]
    path = Path(os.path.relpath(home.root / config.path))  # as a message names it: seen from here
    try:
        found = read_mixture(path, prompts, split.certificate.threshold, lambda mapped: say(str(mapped)))
    except TunesmithError as error:
        raise TunesmithError(f"The mixture cannot be used: {error.problem}", _without_options(error.mend)) from error
    _tell(home, [replace(row, mend=_without_options(row.mend)) for row in found.rejected], say)

    def rows(examples: Iterable[Example]) -> list[Row]:
        return [Row(example.messages, example.completion, place=example.place) for example in examples]

    return Mixture(
        GeneralRows(rows(found.learnt), rows(found.held_out), found.counts),
        digest([[example.id for example in side] for side in (found.learnt, found.held_out)]),
    )


def _without_options(mend: str) -> str:
    """What a reader advises, but for `add`'s options, which `tune` does not have."""
    if "--" not in mend:
        return mend
    kept = [part for part in re.split(r", or |; ", mend) if "--" not in part]
    return "; ".join(kept) or "write it as rows of prompt and completion"


def _tell(home: Home, rejected: list[Rejected], say: Say) -> None:
    for row in rejected[:TOLD]:
        say(f"{row.file}:{row.line}: {row.problem}\n  To mend it: {row.mend}")
    if len(rejected) > TOLD:
        say(f"... and {len(rejected) - TOLD} more: {keep_rejected(home, rejected)}")
