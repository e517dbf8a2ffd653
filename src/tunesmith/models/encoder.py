"""An encoder that a user names, as vectors of tokens and of whole texts, for metrics that compare texts by them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.models.adapter_folder import files_hash
from tunesmith.models.embedder import TokenVectors, Vectors, by_length
from tunesmith.models.opening import model_folder

__all__ = ["Encoder", "longest", "open_encoder"]

LAYERS = {
    "bert-base-uncased": 9, "bert-large-uncased": 18, "bert-base-multilingual-cased": 9, "roberta-base": 10,
    "roberta-large": 17, "roberta-large-mnli": 19, "distilbert-base-uncased": 5, "distilroberta-base": 5,
    "xlm-roberta-base": 9, "xlm-roberta-large": 17, "deberta-base-mnli": 9, "deberta-large-mnli": 16,
    "deberta-xlarge-mnli": 40,
}  # fmt: skip
"""The layer whose vectors agree best with people, by the end of a model's name (bert_score 0.3.13, `model2layers`)."""


@lru_cache(4)
def open_encoder(name: str) -> Encoder:
    """The encoder ``name``: a folder, or the id of a Hugging Face model that is on this machine. Fetches nothing.

    Raises:
        TunesmithError: It is not here, not whole, or no encoder.
    """
    return Encoder(name, model_folder(name))


class Encoder:
    """A bidirectional encoder in ``folder``, on the CPU or the GPU there is."""

    def __init__(self, name: str, folder: Path) -> None:
        try:
            import torch
            from transformers import AutoConfig, AutoModel, AutoTokenizer
        except ImportError as error:
            raise TunesmithError("An encoder needs torch.", "pip install 'tunesmith[local]'") from error
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if config.is_encoder_decoder or any("CausalLM" in kind for kind in config.architectures or ()):
            raise TunesmithError(
                f"{name} writes text: its token vectors know only what stands before them.",
                "name an encoder, such as bert-base-uncased or a sentence-transformers model",
            )
        self.name, self.layer = name, min(LAYERS.get(Path(name).name, 10**6), config.num_hidden_layers)
        self.pooling = _pooling(folder)
        self.hash = digest([files_hash(folder), self.layer, self.pooling])
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self._longest = longest(self._tokenizer, config)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self._model = model.to(self._device).eval()

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of each text's tokens at ``layer``, cut at the model's context."""
        found: dict[int, TokenVectors] = {}
        for batch, states, read in self._passes(texts):
            unit = states[self.layer] / states[self.layer].norm(dim=-1, keepdim=True)
            vectors, special = unit.cpu().numpy(), np.array(read["special_tokens_mask"], dtype=np.bool_)
            for place, (i, count) in enumerate(zip(batch, map(sum, read["attention_mask"]), strict=True)):
                found[i] = TokenVectors(np.asarray(vectors[place, :count], np.float32), ~special[place, :count])
        return [found[i] for i in range(len(texts))]

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Shape (n, d), each row of length 1, pooled as the folder's `1_Pooling` says: the mean of all tokens, if it is
        silent."""
        import torch

        found = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        for batch, states, read in self._passes(texts):
            last = states[-1]
            mask = torch.tensor(read["attention_mask"], device=last.device)[..., None]
            pooled = last[:, 0] if self.pooling == "cls" else (last * mask).sum(1) / mask.sum(1)
            found[batch] = (pooled / pooled.norm(dim=-1, keepdim=True)).cpu().numpy()
        return found

    def _passes(self, texts: Sequence[str]) -> Iterator[tuple[list[int], Any, Any]]:
        """Numbers of texts that are read together, the states of all layers, and what the tokenizer made of them."""
        import torch

        settings: dict[str, Any] = {"truncation": True, "max_length": self._longest}
        lengths = [len(ids) for ids in self._tokenizer(list(texts), **settings)["input_ids"]] if texts else []
        for batch in by_length(lengths):
            read = self._tokenizer(
                [texts[i] for i in batch], padding=True, padding_side="right", return_special_tokens_mask=True,
                **settings,
            )  # fmt: skip
            ids, mask = (torch.tensor(read[key], device=self._device) for key in ("input_ids", "attention_mask"))
            with torch.inference_mode():
                states = self._model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
            yield batch, states, read


def longest(tokenizer: Any, config: Any) -> int:
    """Tokens that the model reads of a text."""
    places = getattr(config, "max_position_embeddings", None) or 512
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "data2vec-text"):
        places -= (config.pad_token_id or 0) + 1  # positions begin behind the padding's
    return int(min(places, tokenizer.model_max_length))


def _pooling(folder: Path) -> str:
    """How sentence-transformers pools the model's tokens.

    Raises:
        TunesmithError: Neither by the mean nor by the first token.
    """
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        return "mean"
    said = json.loads(file.read_text(encoding="utf-8"))
    ways = {key.removeprefix("pooling_mode_") for key, on in said.items() if key.startswith("pooling_mode_") and on}
    if ways == {"mean_tokens"} or said.get("pooling_mode") == "mean":
        return "mean"
    if ways == {"cls_token"} or said.get("pooling_mode") == "cls":
        return "cls"
    raise TunesmithError(f"{folder} pools its tokens by {sorted(ways)}.", "name a model that pools by mean or cls")
