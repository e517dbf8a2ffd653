"""Tiny random models under the names of the pulled ones: what a walk of commands needs, in seconds."""

from __future__ import annotations

from pathlib import Path

from tests.house.source import PACKAGE
from tests.models.tiny import build_tiny, build_tokenizer

__all__ = ["stand_ins"]


def stand_ins(home: Path) -> Path:
    """A cache in which tiny random models have the names of the two that the pages use."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    rows = (PACKAGE / "examples/support_desk/messages.jsonl").read_text(encoding="utf-8").splitlines()
    tokenizer = build_tokenizer(merges=1500, texts=rows)  # fewer tokens than bytes: the walk is four times faster
    build_tiny(home / "models" / "smollm2-135m", layers=1, context=4096, tokenizer=tokenizer)
    folder = home / "models" / "minilm"
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", *map(chr, range(33, 127))])}
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        initializer_range=1.0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(2)  # a classifier on its vectors tells labels apart, as pages that compare two need
        BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=""))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return home
