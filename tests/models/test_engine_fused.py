import pytest
import torch
from tests.models.tiny import build_tiny
from transformers import AutoModelForCausalLM, GemmaConfig, GemmaForCausalLM, LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from tunesmith.models.engine import Engine
from tunesmith.models.engine.fused import fuse


def switched(model):
    return [name for name, module in model.named_modules() if "forward" in vars(module)]


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
def test_a_norm_gives_what_it_gave_before(number):
    torch.manual_seed(0)
    norm = LlamaRMSNorm(48).to(number).requires_grad_(False)
    norm.weight.normal_(1.0, 0.3)
    x = torch.randn(2, 7, 48, dtype=number) * torch.logspace(-3, 3, 7, dtype=number)[:, None]
    before, kept = norm(x), x.clone()
    fuse(norm)
    assert switched(norm) == [""]
    torch.testing.assert_close(norm(x), before, rtol=1e-6 if number == torch.float32 else 0.008, atol=0.0)
    assert torch.equal(x, kept)


@pytest.mark.parametrize("number", [torch.float32, torch.bfloat16])
def test_a_gated_layer_gives_what_it_gave_before(number):
    torch.manual_seed(0)
    layer = (
        LlamaMLP(LlamaConfig(hidden_size=24, intermediate_size=40, num_attention_heads=2))
        .to(number)
        .requires_grad_(False)
    )
    x = torch.randn(2, 7, 24, dtype=number)
    before, kept = layer(x), x.clone()
    fuse(layer)
    assert switched(layer) == [""]
    torch.testing.assert_close(layer(x), before)
    assert torch.equal(x, kept)


def test_layers_that_compute_something_else_are_left_alone():
    about = GemmaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, vocab_size=32,
    )  # fmt: skip
    gemma = GemmaForCausalLM(about).requires_grad_(False)
    fuse(gemma)  # its norms add 1 to their weights, its activation is no SiLU
    assert switched(gemma) == []


def test_the_engine_runs_all_norms_and_gates_that_way(tmp_path):
    folder = build_tiny(tmp_path / "tiny")
    plain = AutoModelForCausalLM.from_pretrained(folder)
    wanted = {n for n, m in plain.named_modules() if n.endswith(("norm", "mlp"))}
    assert wanted
    assert set(switched(Engine(folder, device="cpu").model)) == wanted
