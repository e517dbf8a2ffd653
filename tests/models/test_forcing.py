"""Log-probabilities through the engine are those of the plain model, with and without adapter, however they are cut."""

from __future__ import annotations

import pytest
import torch
from tests.models.tiny import build_adapter, build_tiny

from tunesmith.models.engine import Engine
from tunesmith.models.engine.forcing import log_probabilities, picked

IDS = [(37 * i + 5) % 300 for i in range(24)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forcing")
    base = build_tiny(folder / "tiny")
    return base, build_adapter(base, folder / "adapter")


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("prefix", [0, 1, 9])
def test_they_are_those_of_the_plain_model(folders, adapted, prefix):
    from tunesmith.tuning.base import load_base
    from tunesmith.tuning.export.merged import beside

    base, adapter = folders
    engine = Engine(base, dtype="float32")
    held = engine.adapters.get(str(adapter)) if adapted else None
    found = log_probabilities(engine.model, IDS, 10, held, prefix=prefix)
    plain = beside(base, adapter) if adapted else load_base(base, "float32")
    with torch.inference_mode():
        expected = torch.log_softmax(plain(input_ids=torch.tensor([IDS], device=plain.device)).logits[0].double(), -1)
    assert found == pytest.approx([float(expected[n - 1, IDS[n]]) for n in range(10, 24)], abs=1e-4)


def test_a_probability_of_a_half_is_minus_0_693():
    assert picked(torch.zeros(1, 2), [1]) == pytest.approx([-0.6931], abs=1e-4)
