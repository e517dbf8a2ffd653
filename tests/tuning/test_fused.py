"""Hand-written gradients against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from tests.models.tiny import build_tiny
from torch import nn

from tunesmith.tuning import fused
from tunesmith.tuning.base import add_adapter, load_base
from tunesmith.tuning.config import LoraConfig


@pytest.mark.parametrize("at_once", [10, 170, 100_000], ids=["a row at a time", "some rows", "all rows"])
def test_the_token_loss_and_its_gradient_equal_pytorch_s(monkeypatch, at_once):
    monkeypatch.setattr(fused, "LOGITS_AT_ONCE", at_once)
    torch.manual_seed(0)
    hidden = torch.randn(23, 8, dtype=torch.float64, requires_grad=True)
    output, target = torch.randn(50, 8, dtype=torch.float64), torch.randint(0, 50, (23,))
    weight = torch.rand(23, dtype=torch.float64)
    expected = nn.functional.cross_entropy(hidden @ output.T, target, reduction="none") @ weight
    (wanted,) = torch.autograd.grad(expected * 0.3, hidden)
    ours = fused.token_losses(hidden, output, target, weight).sum()
    assert ours.item() == pytest.approx(expected.item(), rel=1e-13)
    torch.testing.assert_close(torch.autograd.grad(ours * 0.3, hidden)[0], wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_what_an_earlier_chunk_left_in_the_room_for_logits_changes_nothing(monkeypatch, dtype):
    monkeypatch.setattr(fused, "LOGITS_AT_ONCE", 400)
    torch.manual_seed(0)
    output, room = torch.randn(50, 8).to(dtype), fused.LogitsRoom()
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    places = []
    for tokens in (9, 3, 20, 1):
        hidden = torch.randn(tokens, 8).to(dtype).requires_grad_(True)
        given = hidden, output, torch.randint(0, 50, (tokens,)), torch.rand(tokens, dtype=exact)
        alone, within = fused.token_losses(*given), fused.token_losses(*given, room)
        assert torch.equal(alone, within)
        d_alone, d_within = (torch.autograd.grad(losses.sum(), hidden)[0] for losses in (alone, within))
        assert torch.equal(d_alone, d_within)
        places.append(room.of(1, 50, output).data_ptr())
    assert len(set(places)) == 1  # eight rows at once, from the first chunk on


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_losses_are_the_same_however_many_logits_are_exponentiated_at_one_time(monkeypatch, dtype):
    torch.manual_seed(0)
    hidden, output = torch.randn(23, 8).to(dtype).requires_grad_(True), torch.randn(50, 8).to(dtype)
    target, weight = torch.randint(0, 50, (23,)), torch.rand(23)
    found = []
    for at_once in (1, 200, 10_000):  # a row, four, all
        monkeypatch.setattr(fused, "SHARES_AT_ONCE", at_once)
        losses = fused.token_losses(hidden, output, target, weight)
        found.append((losses.detach(), torch.autograd.grad(losses.sum(), hidden)[0]))
    for losses, gradient in found[1:]:
        assert torch.equal(losses, found[0][0])
        assert torch.equal(gradient, found[0][1])


def test_the_room_for_logits_grows_where_more_is_asked_for():
    room, like = fused.LogitsRoom(), torch.empty(0)
    assert [tuple(room.of(*size, like).shape) for size in ((2, 5), (4, 5), (3, 5), (3, 7))] == [
        (2, 5), (4, 5), (3, 5), (3, 7),
    ]  # fmt: skip
    assert room.of(3, 7, like).data_ptr() == room.of(1, 7, like).data_ptr()
    assert room.of(2, 7, torch.empty(0, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_token_loss_of_a_token_that_seems_impossible_is_finite():
    # logits 0 and 2000: softmax of the first underflows to 0, its loss is 2000 nats
    hidden, output = torch.tensor([[1.0]]), torch.tensor([[0.0], [2000.0]])
    assert fused.token_losses(hidden, output, torch.tensor([0]), torch.ones(1)).item() == pytest.approx(2000.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_and_its_gradient_equal_transformers(dtype):
    from transformers.models.llama.modeling_llama import LlamaRMSNorm

    torch.manual_seed(0)
    theirs, x, d = LlamaRMSNorm(40).to(dtype), torch.randn(3, 7, 40).to(dtype) * 5, torch.randn(3, 7, 40).to(dtype)
    torch.nn.init.normal_(theirs.weight, 1.0)
    x.requires_grad_(True)
    wanted = theirs(x)
    (wanted_d,) = torch.autograd.grad(wanted, x, d)
    theirs.requires_grad_(False)
    fused.fuse(theirs)
    assert "forward" in vars(theirs)
    near = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 0.01, "atol": 0.01}
    torch.testing.assert_close(theirs(x), wanted, **near)
    torch.testing.assert_close(torch.autograd.grad(theirs(x), x, d)[0], wanted_d, **near)


def test_a_norm_that_adds_one_to_its_weight_stays_its_own():
    from transformers.models.gemma.modeling_gemma import GemmaRMSNorm

    norm = GemmaRMSNorm(8).requires_grad_(False)
    norm.variance_epsilon = norm.eps  # as if it had the same names
    fused.fuse(norm)
    assert "forward" not in vars(norm)


def test_unfusing_leaves_the_layers_as_they_were_and_others_hooks_alone(tmp_path):
    model = add_adapter(load_base(build_tiny(tmp_path), "float32"), LoraConfig(rank=2))
    hooked = model.get_base_model().model.layers[0].mlp
    hooked.forward = mine = lambda x: x
    fused.fuse(model)
    switched = [name for name, module in model.named_modules() if "forward" in vars(module)]
    # in each of two blocks seven adapted layers, two norms and one gated part, or the hook; and the last norm
    assert len(switched) == 2 * (7 + 2 + 1) + 1
    fused.unfuse(model)
    assert [module for module in model.modules() if "forward" in vars(module)] == [hooked]
    assert hooked.forward is mine


def test_layers_with_dropout_stay_peft_s(tmp_path):
    model = add_adapter(load_base(build_tiny(tmp_path), "float32"), LoraConfig(rank=2, dropout=0.1))
    fused.fuse(model)
    switched = [name for name, module in model.named_modules() if "forward" in vars(module)]
    assert [name.rpartition(".")[2] for name in switched if not name.endswith("norm")] == ["mlp", "mlp"]


def test_what_a_norm_made_is_made_again_and_not_kept(tmp_path):
    model = add_adapter(load_base(build_tiny(tmp_path), "float32"), LoraConfig(rank=2))
    fused.fuse(model)
    layers, normed, kept = model.get_base_model().model.layers, [], set()
    for norm in (norm for layer in layers for norm in (layer.input_layernorm, layer.post_attention_layernorm)):
        norm.register_forward_hook(lambda module, given, made: normed.append(made))
    ids = torch.arange(5, 22, device=model.device)[None]

    def keep(x):
        kept.add(x.data_ptr())
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        loss = model(input_ids=ids).logits.logsumexp(-1).sum()
    assert len(normed) == 4
    assert not kept & {made.data_ptr() for made in normed}
    loss.backward()
    assert all(weight.grad is not None for name, weight in model.named_parameters() if "lora_" in name)


@pytest.mark.parametrize("bias", [False, True])
def test_a_gated_layer_computes_its_inputs_again_and_has_the_same_gradients(bias):
    torch.manual_seed(0)
    number = {"dtype": torch.float64}
    gate, over = (torch.randn(2, 5, 12, **number, requires_grad=True) for _ in range(2))
    down, up = torch.randn(3, 12, **number, requires_grad=True), torch.randn(7, 3, **number, requires_grad=True)
    weight, offset = torch.randn(7, 12, **number), torch.randn(7, **number) if bias else None
    asked, d = (gate, over, down, up), torch.randn(2, 5, 7, **number)
    x = nn.functional.silu(gate) * over
    wanted = nn.functional.linear(x, weight, offset) + 0.7 * x @ down.T @ up.T
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        made = fused._GatedAdaptedLinear.apply(gate, over, weight, offset, down, up, 0.7, None)
    torch.testing.assert_close(made, wanted, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(torch.autograd.grad(made, asked, d), torch.autograd.grad(wanted, asked, d), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert sum(x.shape[-1] == 12 and x.numel() == gate.numel() for x in kept) == 2  # gate and over, not their product


def test_an_output_of_a_norm_that_was_changed_in_place_is_kept_as_it_is(tmp_path):
    model = add_adapter(load_base(build_tiny(tmp_path), "float64"), LoraConfig(rank=2))
    layer = model.get_base_model().model.layers[0]
    norm, q = layer.input_layernorm, layer.self_attn.q_proj
    norm.weight.data = norm.weight.data.float()  # fused as such; in float64 a norm stays its own
    q.to(torch.float32)
    nn.init.normal_(q.lora_B["default"].weight)
    x, found = torch.randn(1, 6, 32), []
    for switch in (fused.unfuse, fused.fuse):
        switch(model)
        q.lora_A["default"].weight.grad = None
        q(norm(x.clone().requires_grad_(True)).mul_(3.0)).square().sum().backward()
        found.append(q.lora_A["default"].weight.grad)
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_a_disabled_adapter_adds_nothing(tmp_path):
    model = add_adapter(load_base(build_tiny(tmp_path), "float32"), LoraConfig(rank=2))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight)
    fused.fuse(model)
    ids = torch.tensor([[5, 6, 7]], device=model.device)
    with torch.no_grad():
        adapted = model(input_ids=ids).logits
        with model.disable_adapter():
            plain = model(input_ids=ids).logits
        fused.unfuse(model)
        with model.disable_adapter():
            torch.testing.assert_close(plain, model(input_ids=ids).logits)
    assert (adapted - plain).abs().max() > 0.1
