"""Bytes of tensors that are alive: by hand, and beside PyTorch's own tracker."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.utils.checkpoint import checkpoint

from tunesmith.tuning.tensor_bytes import TensorBytes


def test_a_storage_counts_once_and_until_its_last_view_is_gone():
    with TensorBytes() as counted:
        whole = torch.zeros(1000)
        view = whole.view(10, 100)[3]
        assert counted.bytes == 4000
        del whole
        assert counted.bytes == 4000
        view.add_(1)
        del view
        assert counted.bytes == 0
    assert (counted.peak, counted.at_peak) == (4000, {"activations": 4000})


def test_what_was_there_before_counts_when_it_is_held():
    weight = torch.zeros(500)
    with TensorBytes() as counted:
        made = weight * 2
        assert counted.bytes == 2000
        counted.hold([weight, weight[3:]], "weights")
        assert counted.bytes == 4000
        del made
    assert counted.at_peak == {"weights": 2000, "activations": 2000}


def test_what_is_kept_for_the_backward_pass_counts_until_it_is_done():
    x = torch.ones(1000, requires_grad=True)
    with TensorBytes() as counted:
        counted.hold([x], "weights")
        counted.gradients_of([x])
        y = x.exp().exp().sum()  # each exp keeps its result
        assert counted.bytes == 3 * 4000 + 4
        y.backward()
        assert counted.bytes == 2 * 4000 + 4  # x, its gradient, y
        counted.reset()
    assert counted.at_peak == {"weights": 4000, "gradients": 4000, "activations": 4}


def test_a_resized_storage_counts_as_it_is_now():
    with TensorBytes() as counted:
        grown = torch.zeros(10)
        grown.resize_(1000)
        grown.zero_()
        assert counted.bytes == 4000


def test_tensors_are_named_as_they_are_made():
    with TensorBytes(lambda tensor: "wide" if tensor.shape[-1] == 7 else None) as counted:
        kept = [torch.zeros(2, 7), torch.zeros(2, 6)]
    assert counted.at_peak == {"wide": 56, "activations": 48}
    assert len(kept) == 2


@pytest.mark.parametrize("again", [False, True])
def test_a_step_takes_what_pytorch_s_own_tracker_says(again):
    def step(model: nn.Module) -> None:
        x = torch.ones(50, 64)
        for layer in model:
            x = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
        x.square().mean().backward()

    torch.manual_seed(0)
    ours, theirs = (
        nn.Sequential(*(nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range(4)))
        for _ in range(2)
    )
    with TensorBytes() as counted:
        counted.hold(ours.parameters(), "weights")
        step(ours)
    tracker = MemTracker()
    tracker.track_external(theirs)
    with tracker:
        step(theirs)
    assert counted.peak == pytest.approx(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"], rel=0.01)


def test_the_four_bit_product_takes_the_unpacked_weight_inside(tmp_path):
    bnb = pytest.importorskip("bitsandbytes")
    layer = bnb.nn.Linear4bit(128, 256, bias=False, quant_type="nf4", compute_dtype=torch.float32)
    layer.weight = layer.weight.to("cpu")
    x = torch.ones(3, 128, requires_grad=True)
    with TensorBytes() as counted:
        out = layer(x)
    assert counted.peak >= 128 * 256 * 4 + out.untyped_storage().nbytes()


def test_a_number_read_from_a_tensor_without_content_is_one():
    with torch.device("meta"), TensorBytes(empty=True) as counted:
        layer = nn.Linear(10, 20)
        assert layer(torch.ones(3, 10)).sum().item() == 1
    assert counted.peak >= 4 * (20 * 10 + 20 + 3 * 10 + 3 * 20)
