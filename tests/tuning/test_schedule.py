"""The step size over a run."""

from __future__ import annotations

import pytest

from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.schedule import step_size


def sizes(steps: int, **settings) -> list[float]:
    return [step_size(LoraConfig(learning_rate=1.0, **settings), step, steps) for step in range(1, steps + 1)]


def test_cosine_starts_at_the_top_and_passes_a_half_midway():
    # cos(0) = 1, cos(pi / 4), cos(pi / 2) = 0, cos(3 pi / 4): (1 + cos) / 2
    assert sizes(4, warmup_share=0) == pytest.approx([1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_the_warmup_rises_along_a_line():
    assert sizes(10, warmup_share=0.4, schedule="constant")[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_constant_stays():
    assert set(sizes(7, warmup_share=0, schedule="constant")) == {1.0}


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 3, 50])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.9, 0.999])
def test_every_step_moves_and_none_beyond_the_highest(schedule, steps, warmup):
    assert all(0 < size <= 1 for size in sizes(steps, schedule=schedule, warmup_share=warmup))
