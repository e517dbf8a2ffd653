"""Which search a run belongs to."""

from __future__ import annotations

from tunesmith.core.runs import Run
from tunesmith.core.search import Search
from tunesmith.workspace.home import Home

__all__ = ["search_of"]


def search_of(home: Home, run: Run) -> Search | None:
    """The search that ``run`` is a trial of."""
    name = run.inputs.get("search")
    found = home.latest("search", name, Search) if name else None
    return found[0] if found else None
