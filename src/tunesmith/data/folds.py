"""Folds for cross-validation, made as a split is: what belongs together stays in one fold, labels are spread evenly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Side
from tunesmith.core.task import Task
from tunesmith.data.config import SplitConfig
from tunesmith.data.meaning import same_meaning
from tunesmith.data.split import blocks_of, material_of
from tunesmith.data.stratify import stratify
from tunesmith.models.embedder import Embedder

__all__ = ["Fold", "make_folds"]


class Fold(NamedTuple):
    """One fold held out, and what may be learnt from beside it."""

    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    blocks: int
    """Sets of examples in all folds that stay together, the same for each fold."""


def make_folds(
    examples: Sequence[Example], task: Task, config: SplitConfig, folds: int, *, embedder: Embedder | None = None
) -> Iterator[Fold]:
    """Each of ``folds`` parts held out once. Groups and near-duplicates stay in one part.

    Args:
        config: What stays together; its seed deals the blocks out.
        embedder: Needed where ``config.semantic_threshold`` is set: train rows that mean the same as one held out are
            then left out.

    Raises:
        TunesmithError: There are fewer blocks than folds, a fold would be empty, or the split is by time.
    """
    if config.by_time:
        raise TunesmithError(
            "The split is by time, and folds would learn from what comes later.",
            "evaluate on validation: `tunesmith evaluate`",
        )
    material = material_of(examples, task, config)
    blocks = blocks_of(material, list(range(len(material.examples))))
    if len(blocks) < folds:
        raise TunesmithError(
            f"The {len(examples)} examples form {len(blocks)} groups that stay together, fewer than {folds} folds.",
            "ask for fewer folds with --cv, or add examples of other groups with `tunesmith add FILE`",
        )
    share = len(material.examples) / folds
    dealt = stratify(blocks, {str(fold): round(share * (fold + 1)) - round(share * fold) for fold in range(folds)})
    if len(set(dealt)) < folds:
        raise TunesmithError(
            f"Some groups are so large that {folds} folds cannot be filled.", "ask for fewer folds with --cv"
        )
    fold_of = {row: fold for block, fold in zip(blocks, dealt, strict=True) for row in block.rows}
    for fold in sorted(set(dealt)):
        sides: dict[int, Side] = {row: "test" if at == fold else "train" for row, at in fold_of.items()}
        if config.semantic_threshold is not None:
            assert embedder is not None, "a threshold of meaning needs an embedder"
            for row in same_meaning(material.examples, sides, embedder, config.semantic_threshold):
                del sides[row]
        rows = {
            side: tuple(material.examples[r] for r in sorted(sides) if sides[r] == side) for side in ("train", "test")
        }
        yield Fold(rows["train"], rows["test"], len(blocks))
