"""What searches for the best way to ask took, from one evaluation to the next."""

from __future__ import annotations

from functools import cached_property

from tunesmith.core.choices import Choice
from tunesmith.workspace.home import Home

__all__ = ["Searches"]


class Searches:
    """The searches of one workspace, told once each in the order of time."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._told: set[str] = set()
        self._paid = 0

    def tries(self, until: str) -> list[str]:
        """Hashes of the tries that were first asked up to this moment, without those that were told before."""
        new = [contender for contender, at in self._begun.items() if at <= until and contender not in self._told]
        self._told.update(new)
        return new

    def usd(self, until: str) -> float | None:
        """What proposers were paid up to this moment, without what was told before; None where nothing is known."""
        new = [usd for at, usd in self._bills[self._paid :] if at <= until]
        self._paid += len(new)
        return sum(new) if new else None

    @cached_property
    def _begun(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for entry in self._home.index("try"):
            found.setdefault(entry.hash, entry.at)
        return found

    @cached_property
    def _bills(self) -> list[tuple[str, float]]:
        """Moments, and what had been paid since the record before: a search that goes on adds up."""
        before: dict[str, Choice] = {}
        found = []
        for entry in self._home.index("choosing"):
            now = self._home.load(entry, Choice)
            then = before.get(now.name)
            went_on = then is not None and (then.inputs, then.proposer) == (now.inputs, now.proposer)
            if now.proposer_usd is not None:
                known = (then.proposer_usd or 0.0) if then is not None and went_on else 0.0
                found += [(entry.at, now.proposer_usd - known)] if now.proposer_usd != known else []
            before[now.name] = now
        return found
