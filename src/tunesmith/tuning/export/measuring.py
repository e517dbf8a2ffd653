"""What an export must say: the run's model, the bare base model and other runs' adapters, through the engine that
evaluation uses; and how much two ways of computing the same weights differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tunesmith.models.adapter_folder import is_model
from tunesmith.models.engine.engine import Engine
from tunesmith.models.engine.forcing import log_probabilities
from tunesmith.models.parity import Figures, difference
from tunesmith.tuning.export.loaders import through_transformers
from tunesmith.tuning.export.source import Asked, Source

__all__ = ["Measured", "measure"]


class Measured(NamedTuple):
    ours: Figures
    base: Figures
    others: dict[str, Figures]
    noise_floors: dict[str, float]
    """Without rounding: all is computed in float32 from the same weights."""


def measure(source: Source, others: Mapping[str, Path], asked: Sequence[Asked]) -> Measured:
    """Log-probabilities of the completions in ``asked``. ``others``: adapters of the same base by their run."""
    ours, base, away, in_pieces = _through_engine(source, others, asked)  # its model is let go before the next is read
    floors = {
        "base model through the engine and through transformers": difference(
            base, through_transformers(source.base, asked, source.quantize)
        ),
        "tuned model with the prompt in one piece and in two": in_pieces,
    }
    return Measured(ours, base, away, floors)


def _through_engine(
    source: Source, others: Mapping[str, Path], asked: Sequence[Asked]
) -> tuple[Figures, Figures, dict[str, Figures], float]:
    base = Engine(source.base, dtype="float32", quantize=source.quantize)

    def figures(adapter: Path | None, *, pieces: int = 1) -> Figures:
        whole = adapter is not None and is_model(adapter)
        engine = Engine(adapter, dtype="float32") if adapter is not None and whole else base
        held = engine.adapters.get(str(adapter)) if adapter is not None and not whole else None
        return [
            log_probabilities(engine.model, row.ids, row.first, held, prefix=row.first // 2 if pieces == 2 else 0)
            for row in asked
        ]

    ours = figures(source.adapter)
    away = {run: figures(adapter) for run, adapter in others.items()}
    return ours, figures(None), away, difference(ours, figures(source.adapter, pieces=2))
