"""What to change so that a run fits into a memory: settings tried in the predictor, the least harmful first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from tunesmith.tuning.base import pack_tokens
from tunesmith.tuning.config import LoraConfig

__all__ = ["Fitting", "settings_to_try"]

SMALLEST_PACK, SMALLEST_RANK, SHORTEST = 128, 4, 128


class Fitting:
    """Which of ``settings_to_try`` fits, on one kind of machine.

    Args:
        longest: Tokens of the longest example.
        needed: Bytes that a configuration takes; None where nothing is left to learn.
        begun: As in ``settings_to_try``.
    """

    def __init__(
        self, config: LoraConfig, longest: int, needed: Callable[[LoraConfig], int | None], *, begun: bool = False
    ) -> None:
        self._config, self._needed = config, needed
        self._tries = settings_to_try(config, longest, begun=begun)
        self._known: list[tuple[dict[str, Any], int]] = []

    def fit(self, limit: int) -> dict[str, Any] | None:
        """The first settings with which it takes at most ``limit`` bytes; None where none does.

        Those that changed nothing are left out of them.
        """
        for settings, needed in self._known:
            if needed <= limit:
                return settings
        return next((settings for settings, needed in self._more() if needed <= limit), None)

    def _more(self) -> Iterator[tuple[dict[str, Any], int]]:
        """Go on trying. Settings add up, so what each needs is no more than what the one before did."""
        for added in self._tries:
            before, least = self._known[-1] if self._known else ({}, None)
            settings = before | added
            needed = self._needed(self._config.model_copy(update=settings))
            if needed is None:
                return
            if least is None or needed < least:
                self._known.append((settings, needed))
                yield settings, needed


def settings_to_try(config: LoraConfig, longest: int, *, begun: bool = False) -> Iterator[dict[str, Any]]:
    """One change after another, each on top of those before.

    First what leaves the result as it is: smaller packs, layers computed again. Then four bits, then smaller ranks,
    then shorter examples, which leaves rows out or, where that is set, cuts them. Full tuning has neither bits nor
    ranks to save.

    Args:
        longest: Tokens of the longest example.
        begun: An adapter is gone on with: its bits and its rank stay.
    """
    pack = pack_tokens(config)
    while pack > SMALLEST_PACK:
        pack = max(SMALLEST_PACK, pack // 2)
        yield {"pack_tokens": pack}
    if config.checkpointing is False:
        yield {"checkpointing": True}
    adapter = config.method == "lora" and not begun
    if adapter and config.quantize == "none" and find_spec("bitsandbytes"):
        yield {"quantize": "nf4"}
    rank = config.rank if adapter else 0
    while rank > SMALLEST_RANK:
        rank = max(SMALLEST_RANK, rank // 2)
        yield {"rank": rank}
    length = longest
    while length > SHORTEST:
        length = max(SHORTEST, length * 3 // 4)
        yield {"max_length": length} | ({"too_long": "skip"} if config.too_long == "refuse" else {})
