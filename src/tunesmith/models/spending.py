"""What hosted answers cost, and a cap that holds: money is set aside before a call and settled after it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.core.record import Record

__all__ = ["Prices", "SpendingCap", "SpendingCapReached", "most_tokens"]


class Prices(Record, frozen=True, kw_only=True):
    """What a provider asks."""

    usd_per_million_prompt_tokens: float
    usd_per_million_completion_tokens: float

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """
        >>> Prices(usd_per_million_prompt_tokens=2.0, usd_per_million_completion_tokens=8.0).usd(1000, 500)
        0.006
        """
        prompt = prompt_tokens * self.usd_per_million_prompt_tokens
        return (prompt + completion_tokens * self.usd_per_million_completion_tokens) / 1e6


class SpendingCapReached(TunesmithError):
    """The next call could cost more than is left. What was answered before it stands."""


class SpendingCap:
    """At most ``usd`` over all calls that share this object, from any number of threads.

    Each call reserves the most it can cost and is settled with what it did cost, so the cap is never passed; it may
    stop a little early, because a prompt's tokens are bounded by its bytes.
    """

    def __init__(self, usd: float) -> None:
        if not usd >= 0:
            raise TunesmithError(f"A spending cap of {usd} USD makes no sense.", "give an amount of 0 or more")
        self.usd = usd
        self._spent = 0.0
        self._reserved = 0.0
        self._changed = threading.Condition()

    @property
    def spent_usd(self) -> float:
        """Settled so far. A call whose bill is unknown (it timed out, say) counts with the most it can have cost."""
        return self._spent

    def reserve(self, usd: float) -> None:
        """Set ``usd`` aside, waiting for calls under way where their settlement may make room.

        Raises:
            SpendingCapReached: It does not fit.
        """
        with self._changed:
            while self._spent + self._reserved + usd > self.usd:
                if self._reserved <= 0 or self._spent + usd > self.usd:
                    raise SpendingCapReached(
                        f"The spending cap of {self.usd:.2f} USD is reached: {self._spent:.4f} USD are spent, "
                        f"and the next call may cost {usd:.4f} USD.",
                        "raise the cap, or take fewer examples or a cheaper model; answers so far are kept",
                    )
                self._changed.wait()
            self._reserved += usd

    def settle(self, reserved: float, spent: float) -> None:
        """Replace what was reserved by what was spent."""
        with self._changed:
            self._reserved = max(0.0, self._reserved - reserved)
            if self._reserved < 1e-12:  # what float subtraction leaves of nothing
                self._reserved = 0.0
            self._spent += spent
            self._changed.notify_all()


def most_tokens(messages: Sequence[Message]) -> int:
    """An upper bound of the prompt's tokens: a token of text is at least one byte; a message's frame is a few."""
    return sum(len(m.content.encode()) + 16 for m in messages) + 16
