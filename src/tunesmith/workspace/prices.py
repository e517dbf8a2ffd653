"""Which prices a contender's answers have: those of the provider that its model is at, or of this machine."""

from __future__ import annotations

from msgspec.structs import replace

from tunesmith.core.contenders import ASKING_NOBODY
from tunesmith.core.naming import model_named
from tunesmith.decision.config import CostsConfig
from tunesmith.decision.costs import Figures
from tunesmith.workspace.home import Home

__all__ = ["at_its_prices"]

TOKENS = ("usd_per_million_input_tokens", "usd_per_million_output_tokens")


def at_its_prices(home: Home, figures: Figures, kind: str) -> tuple[Figures, CostsConfig]:
    """The figures of a contender of that kind, knowing whether its model is hosted, and the costs with the prices of
    that model."""
    settings, model = home.settings, model_named(figures.name)
    asked = kind not in ASKING_NOBODY
    if model is None:
        hosted = asked and settings.model.base_url is not None
        return replace(figures, hosted=hosted), settings.costs.model_copy(update=_of_base(home) if hosted else {})
    server = settings.contenders.models.get(model)
    if server is None or server.base_url is None:
        return replace(figures, hosted=False), settings.costs
    prices = {key: getattr(server, key) for key in TOKENS}
    figures = replace(figures, hosted=asked, prices=f"contenders.models.{model}")
    return figures, settings.costs.model_copy(update=prices)


def _of_base(home: Home) -> dict[str, float]:
    """Prices of the hosted base model that stand under `model`, where `costs` has none."""
    there = {key: getattr(home.settings.model, key) for key in TOKENS if getattr(home.settings.costs, key) is None}
    return {key: price for key, price in there.items() if price is not None}
