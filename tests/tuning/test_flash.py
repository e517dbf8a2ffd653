"""The flash kernel's attention: keys behind the prefix and back, here; the kernel itself on a GPU (make test-gpu)."""

from __future__ import annotations

import pytest
import torch
from tests.models.tiny import build_tiny
from tests.tuning.test_gradients import PREFIX, examples, gradients

from tunesmith.tuning import flash
from tunesmith.tuning.base import learner
from tunesmith.tuning.batches import make_batch
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.flash import Layout, serves
from tunesmith.tuning.gradients import Network

CPU, GPU = torch.device("cpu"), torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: make test-gpu")


def test_each_segment_s_keys_stand_behind_the_prefix_s():
    layout = Layout([2, 3], 2, CPU)
    own, before = torch.arange(5.0)[:, None, None], torch.tensor([10.0, 11.0])[:, None, None]
    assert layout.with_prefix(own, before).flatten().tolist() == [10, 11, 0, 1, 10, 11, 2, 3, 4]
    assert (layout.queries.tolist(), layout.keys.tolist()) == ([0, 2, 5], [0, 4, 9])
    assert (layout.longest, layout.longest_keys) == (3, 5)


def test_without_a_prefix_keys_stay_where_they_are():
    layout, own = Layout([2, 3], 0, CPU), torch.randn(5, 2, 4)
    assert layout.with_prefix(own, None) is own
    assert layout.without_prefix(own) == (own, None)


def test_gradients_come_back_as_autograd_would_bring_them():
    draw = torch.Generator().manual_seed(0)
    own, before = (torch.randn(n, 2, 4, generator=draw, requires_grad=True) for n in (6, 3))
    layout = Layout([1, 3, 2], 3, CPU)
    d = torch.randn(6 + 3 * 3, 2, 4, generator=draw)
    layout.with_prefix(own, before).backward(d)
    d_own, d_before = layout.without_prefix(d)
    torch.testing.assert_close(d_own, own.grad)
    torch.testing.assert_close(d_before, before.grad)


@pytest.mark.parametrize(
    ("width", "dtype", "device", "expected"),
    [
        (64, torch.bfloat16, GPU, True), (64, torch.float32, GPU, False), (64, torch.bfloat16, CPU, False),
        (20, torch.bfloat16, GPU, False), (512, torch.bfloat16, GPU, False),
    ],
)  # fmt: skip
def test_it_serves_half_precision_on_gpus_alone(width, dtype, device, expected):
    assert serves(torch.empty(1, 2, 3, width, dtype=dtype, device="meta"), device) is expected


@needs_gpu
def test_the_kernel_is_as_exact_as_matrix_products_and_gives_the_same_bits_each_time(tmp_path, monkeypatch):
    base = build_tiny(tmp_path)

    def learnt(dtype: str) -> torch.Tensor:
        network = Network(learner(base, LoraConfig(rank=4, dtype=dtype)), "segments")
        torch.manual_seed(1)
        for name, weight in network.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.02)
        network.learn(make_batch(examples(), PREFIX, 1000))
        return gradients(network)

    exact, once, again = learnt("float32"), learnt("bfloat16"), learnt("bfloat16")
    monkeypatch.setattr(flash, "serves", lambda *_: False)
    products = learnt("bfloat16")
    assert torch.equal(once, again)
    assert not torch.equal(once, products)
    assert (once - exact).norm() < 1.5 * (products - exact).norm() < 0.15 * exact.norm()
