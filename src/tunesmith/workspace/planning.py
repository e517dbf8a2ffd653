"""`tune --plan` and `tune --range-test`: what tuning would take, and which learning rate suits it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.core.counts import PreferenceCounts
from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress, quiet
from tunesmith.core.record import Record
from tunesmith.data.readers.options import Say, silent
from tunesmith.tuning import LoraConfig
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.bench import base_folder
from tunesmith.workspace.home import Home
from tunesmith.workspace.learning import learning_pairs, learning_rows
from tunesmith.workspace.mixture import general_rows
from tunesmith.workspace.preferring import preferring
from tunesmith.workspace.select import chosen_ids
from tunesmith.workspace.too_early import too_early
from tunesmith.workspace.tuning_settings import left_open, tuning_config

if TYPE_CHECKING:
    from tunesmith.tuning.plan import Plan
    from tunesmith.tuning.range_test import RangeTest

__all__ = ["PlanReport", "plan", "range_test"]


class PlanReport(Record, frozen=True, kw_only=True):
    plan: dict[str, Any]
    """Tokens, steps, memory and time, as `tunesmith.tuning.plan` describes them. With preferences, each completion of a
    pair counts as an example."""
    preferences: PreferenceCounts | None = None
    """Of the pairs, where those are learnt."""
    too_early: tuple[str, ...] = ()
    """Why `tune` would refuse now."""
    refused: str | None = None
    """Why `tune` would refuse the rows as they are, and what to set; None where it would not."""
    left_open: dict[str, float] = {}
    """Settings under `tuning` that nobody set: they go by the model's size and the number of examples. With
    preferences the rate goes by the size, and the rest is the default."""


def plan(
    home: Home, *, selection: str | None = None, start: str | None = None, say: Say = silent, **changes: Any
) -> PlanReport:  # fmt: skip
    """What tuning would take, without training. ``say`` is told what there is to say about a mixture's rows."""
    from tunesmith.core.codec import complete
    from tunesmith.tuning.plan import make_plan, plan_pairs

    config, began = preferring(home, tuning_config(home, changes, selection), start, changes, selection)
    answering, unset, base = Answering(home), left_open(home, changes, config), base_folder(home)
    if config.objective == "dpo":
        learnt, watched, pairs = learning_pairs(home, answering, config)
        made = plan_pairs(base, learnt, watched, config, begun=began is not None)
        return PlanReport(
            plan=complete(made), preferences=pairs.counts, too_early=tuple(too_early(home)), left_open=unset,
            refused=_refused(base, config, made),
        )  # fmt: skip
    chosen, _ = chosen_ids(home, selection, answering.split.hash) if selection else (None, "")
    train, validation = learning_rows(home, answering, config, chosen)
    mixture = general_rows(home, answering.split, config.mixture, say) if config.mixture else None
    made = make_plan(base, train, validation, config, general=mixture.rows if mixture else None)
    refused = _refused(base, config, made)
    return PlanReport(plan=complete(made), too_early=tuple(too_early(home)), left_open=unset, refused=refused)


def _refused(base: Path, config: LoraConfig, made: Plan) -> str | None:
    """That rows are too long for a run of ``config``, and what to set, as it is planned."""
    from tunesmith.models.context import context_in

    if config.too_long != "refuse" or not made.too_long:
        return None
    limit, context, count = made.longest_allowed_tokens, context_in(base), made.too_long
    noun = "pair" if config.objective == "dpo" else "row"
    rows = f"1 {noun} is" if count == 1 else f"{count} {noun}s are"
    higher = f", or raise tuning.max_length: up to {context} tokens fit into the model" if limit < context else ""
    return (
        f"{rows} longer than {limit} tokens, and tuning.too_long is refuse; to mend it: set tuning.too_long to skip or "
        f"cut{higher}"
    )


def range_test(
    home: Home, *, selection: str | None = None, say: Say = silent, progress: Progress = quiet, **changes: Any
) -> RangeTest:  # fmt: skip
    """Which learning rate suits the base model, the train side and what is mixed in; nothing is kept."""
    from tunesmith.tuning.range_test import range_test as ramp

    config = tuning_config(home, changes, selection)
    if config.objective == "dpo":
        raise TunesmithError(
            "The range test learns completions, so it finds no learning rate for preferences.",
            "leave it out: tuning.dpo_learning_rate begins low, and the run warns where it is too high",
        )
    preferring(home, config, None, changes, selection)  # refuses what is about preferences
    answering = Answering(home)
    chosen, _ = chosen_ids(home, selection, answering.split.hash) if selection else (None, "")
    train, _ = learning_rows(home, answering, config, chosen)
    mixture = general_rows(home, answering.split, config.mixture, say) if config.mixture else None
    return ramp(base_folder(home), train, config, general=mixture.rows if mixture else None, progress=progress)
