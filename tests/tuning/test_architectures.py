"""Architectures that users bring, as tiny random models: which way each is computed in, with the gradients of plain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.tuning.test_gradients import PREFIX, examples, gradients, one_at_a_time

from tunesmith.tuning.base import add_adapter
from tunesmith.tuning.batches import make_batch
from tunesmith.tuning.config import LoraConfig
from tunesmith.tuning.gradients import Network, Way, choose_way

SIZES = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 300, "max_position_embeddings": 128,
    "initializer_range": 0.2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False,
}  # fmt: skip
WINDOWED = {"sliding_window": 64}  # longer than every example, as `max_length` sees to
GEMMA3 = {"query_pre_attn_scalar": 8, "layer_types": ["sliding_attention", "full_attention"] * 2} | WINDOWED
CASES: dict[str, tuple[str, dict[str, Any], Way]] = {
    "llama": ("Llama", {}, "segments"),
    "mistral": ("Mistral", WINDOWED, "segments"),
    "qwen2": ("Qwen2", {"use_sliding_window": True, "max_window_layers": 2} | WINDOWED, "segments"),
    "qwen3": ("Qwen3", {}, "segments"),
    "phi3": ("Phi3", WINDOWED, "segments"),
    "gemma": ("Gemma", {}, "segments"),
    # the scores of Gemma 2 are bent by tanh, which the attention of segments does not do
    "gemma2": ("Gemma2", {"query_pre_attn_scalar": 8} | WINDOWED, "packed"),
    "gemma3": ("Gemma3", GEMMA3, "segments"),
    "gemma3, bent logits": ("Gemma3", GEMMA3 | {"final_logit_softcapping": 5.0}, "segments"),
    "smollm3": ("SmolLM3", {"no_rope_layers": [1, 1, 1, 0]}, "segments"),
    "olmo2": ("Olmo2", {}, "segments"),
    "granite": ("Granite", {"logits_scaling": 4.0, "residual_multiplier": 0.5}, "segments"),
    "cohere": ("Cohere", {"logit_scale": 0.3}, "segments"),
}
EXACT = dict.fromkeys(CASES, 1e-9) | {"cohere": 1e-6}  # it rounds rotary positions to float32 in every format


class _Norm(torch.nn.Module):
    """A norm without rounding to float32, as transformers' own do whatever the model's format."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = norm.weight
        self.eps = getattr(norm, "variance_epsilon", None) or norm.eps
        self.more = 1.0 if "Gemma" in type(norm).__name__ else 0.0
        self.centred = "LayerNorm" in type(norm).__name__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.centred:
            x = x - x.mean(-1, keepdim=True)
        return (self.more + self.weight) * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)


def build(name: str) -> Any:
    """The tiny model ``name`` in float64, exact to it."""
    import transformers

    kind, more, _ = CASES[name]
    config = getattr(transformers, f"{kind}TextConfig" if kind == "Gemma3" else f"{kind}Config")(**SIZES | more)
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}ForCausalLM")(config).double()
    draw = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        if weight.ndim == 1:  # biases and norms begin at 0 and 1, where a fault in them would not show
            weight.data += 0.2 * torch.randn(weight.shape, generator=draw, dtype=torch.float64)
    for parent in list(model.modules()):
        for child, norm in list(parent.named_children()):
            if type(norm).__name__.endswith(("RMSNorm", "CohereLayerNorm")):
                setattr(parent, child, _Norm(norm))
    return model.requires_grad_(False)


def adapted(name: str) -> Network:
    model = add_adapter(build(name), LoraConfig(rank=3, alpha=5)).double()
    draw = torch.Generator().manual_seed(3)
    for part, weight in model.named_parameters():
        if "lora_B" in part:
            weight.data = 0.2 * torch.randn(weight.shape, generator=draw, dtype=torch.float64)
    return Network(model)


@pytest.fixture(autouse=True)
def softmax_in_float64(monkeypatch):
    """Eager attention rounds to float32 in its softmax."""
    exact = torch.nn.functional.softmax
    monkeypatch.setattr(torch.nn.functional, "softmax", lambda x, dim=None, dtype=None, **_: exact(x, dim=dim))


@pytest.mark.parametrize("limit", [1000, 20], ids=["one pack", "several packs"])
@pytest.mark.parametrize("name", CASES)
def test_the_way_chosen_gives_the_plain_gradients(name, limit):
    reference, ours = adapted(name), adapted(name)
    expected = one_at_a_time(reference, examples())
    assert choose_way(ours) == CASES[name][2]
    assert ours.learn(make_batch(examples(), PREFIX, limit)) == pytest.approx(expected, rel=EXACT[name])
    wanted = gradients(reference)
    assert float((gradients(ours) - wanted).norm() / wanted.norm()) < EXACT[name]


@pytest.mark.parametrize("name", CASES)
def test_all_weights_learnt_get_the_plain_gradients(name):
    reference, ours = (Network(build(name).requires_grad_(True)) for _ in range(2))
    one_at_a_time(reference, examples())
    choose_way(ours)
    ours.learn(make_batch(examples(), PREFIX, 20))
    for (part, weight), other in zip(ours.model.named_parameters(), reference.model.parameters(), strict=True):
        assert float((weight.grad - other.grad).norm()) <= EXACT[name] * float(other.grad.norm()), part


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case[2] != "segments"])
def test_what_segments_cannot_do_is_refused_in_every_format_not_measured_to_be_small(name):
    model = build(name).to(torch.bfloat16)
    for norm in model.modules():
        if isinstance(norm, _Norm):
            norm.to(torch.bfloat16)
    network = Network(add_adapter(model, LoraConfig(rank=3)))
    assert choose_way(network) == CASES[name][2]
