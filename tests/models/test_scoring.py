"""Many continuations scored in batches are what each alone would be."""

from __future__ import annotations

import random

import pytest
import torch
from tests.models.tiny import build_adapter, build_tiny

from tunesmith.models.engine import Engine
from tunesmith.models.engine.forcing import log_probabilities
from tunesmith.models.engine.scoring import Question, score


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scoring")
    engine = Engine(build_tiny(folder / "tiny"), dtype="float64")
    engine.adapters.get(str(build_adapter(folder / "tiny", folder / "adapter")))
    return engine, str(folder / "adapter")


def questions(seed: int, count: int) -> list[Question]:
    """Contexts of 1 to 40 ids with 1 to 4 options of 1 to 6, all sorts together."""
    draw = random.Random(seed)

    def some(length: int) -> tuple[int, ...]:
        return tuple(draw.randrange(300) for _ in range(length))

    return [
        Question(some(draw.randint(1, 40)), tuple(some(draw.randint(1, 6)) for _ in range(draw.randint(1, 4))))
        for _ in range(count)
    ]


@pytest.mark.parametrize("adapted", [False, True])
def test_each_option_has_the_likelihood_it_has_alone(engine, adapted):
    model, adapter = engine[0].model, engine[0].adapters.get(engine[1]) if adapted else None
    asked = [*questions(0, 120), Question((5,), (tuple(range(3, 303)),)), Question((7, 8), ((1,), (2,)))]
    for question, found in zip(asked, score(model, asked, adapter), strict=True):
        for option, scored in zip(question.options, found, strict=True):
            alone = log_probabilities(model, [*question.context, *option], len(question.context), adapter)
            assert scored.log_likelihood == pytest.approx(sum(alone), abs=1e-4)  # picked in float32


def test_the_likeliest_ids_are_known_as_such(engine):
    model = engine[0].model
    context, size = [9, 40, 77], model.config.vocab_size
    written = []
    for _ in range(3):  # by one id after another, each the likeliest
        each = score(model, [Question((*context, *written), tuple((i,) for i in range(size)))])[0]
        written.append(max(range(size), key=lambda i: each[i].log_likelihood))
    found = score(model, [Question(tuple(context), (tuple(written), (written[0], (written[1] + 1) % size)))])[0]
    assert [one.greedy for one in found] == [True, False]


def test_an_adapter_that_adds_nothing_changes_no_bit(engine, tmp_path):
    base = tmp_path / "tiny"
    build_tiny(base)
    silent = build_adapter(base, tmp_path / "silent", scale=0.0)
    model = Engine(base, dtype="float32")
    asked = questions(1, 60)
    before = score(model.model, asked)
    assert score(model.model, asked, model.adapters.get(str(silent))) == before


def test_memory_of_a_batch_is_bounded(engine, monkeypatch):
    from tunesmith.models.engine import scoring

    most = []
    run = scoring.run

    def watched(model, this, ids, positions, keep):
        most.append(len(ids))
        return run(model, this, ids, positions, keep)

    monkeypatch.setattr(scoring, "run", watched)
    scoring.score(engine[0].model, questions(2, 400))
    assert max(most) <= scoring.PASS_TOKENS
    assert torch.tensor(most).float().mean() > 100  # and batches are filled
