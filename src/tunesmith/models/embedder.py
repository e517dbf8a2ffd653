"""Texts to vectors whose cosine says how alike they are: MiniLM where it is pulled, hashed n-grams where it is not.

Cut-offs are calibrated per embedder: the two are not comparable, so whoever keeps vectors keeps ``hash`` beside them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh64_intdigest

from tunesmith.core.codec import digest
from tunesmith.core.errors import UnknownName
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.catalogue import known_models
from tunesmith.models.folder import check_folder
from tunesmith.models.pull import pull, pulled_folder

__all__ = ["Embedder", "Ngrams", "SentenceModel", "TokenVectors", "by_length", "embedder_hash", "open_embedder"]

Vectors = NDArray[np.float32]
BATCH_TOKENS = 2048  # padded tokens in one batch; on two cores larger ones were no faster
REMEMBERED = 20_000
"""Texts whose vectors a model keeps in memory: 30 MB of MiniLM's."""


class TokenVectors(NamedTuple):
    """A text as its tokens."""

    vectors: Vectors
    """Shape (tokens, d), each row of length 1: the last layer's."""
    words: NDArray[np.bool_]
    """Which tokens are of the text; the others mark where it begins and ends."""


class Embedder(Protocol):
    """What turns texts into vectors."""

    name: str
    hash: str
    """Names model and method: vectors of different hashes are not comparable."""

    def embed(self, texts: Sequence[str], progress: Progress = quiet) -> Vectors:
        """Shape (n, d), each row of length 1, so that a dot product is the cosine. An empty text may be all zeros."""
        ...

    def truncated(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text that lie behind what the embedder reads."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of each text's tokens, as far as the embedder reads."""
        ...


def open_embedder(name: str = "minilm", pull_missing: bool = False) -> Embedder:
    """The embedder ``name``: "minilm", or "ngrams".

    Where MiniLM is not pulled (or torch is not installed) and ``pull_missing`` is off, the n-grams stand in for it:
    look at ``.name`` to see which one came.

    Raises:
        ServiceError: ``pull_missing`` is on and the model could not be fetched.
    """
    folder = _folder(name, pull_missing)
    return _loaded(name, folder) if folder else Ngrams()


def embedder_hash(name: str) -> str:
    """The hash of what ``open_embedder(name)`` opens now, without loading it.

    Raises:
        UnknownName: There is no such embedder.
    """
    return _model_hash(name) if _folder(name) else Ngrams.hash


def _folder(name: str, pull_missing: bool = False) -> Path | None:
    """Where the model is; None where n-grams are asked for or stand in."""
    known = [row.name for row in known_models().values() if row.kind == "embedder"]
    if name not in ("ngrams", *known):
        raise UnknownName.among("embedder", name, ["ngrams", *known])
    if name == "ngrams" or not (find_spec("torch") and find_spec("transformers")):
        return None
    if pull_missing:
        pull(name)
    folder = pulled_folder(name)
    return folder if folder.is_dir() else None


def _model_hash(name: str) -> str:
    return digest([known_models()[name].sha256, "mean pooling"])


@cache
def _loaded(name: str, folder: Path) -> SentenceModel:
    return SentenceModel(name, check_folder(folder), known_models()[name].context_length, _model_hash(name))


class SentenceModel:
    """A BERT sentence encoder: mean of the last layer over the tokens, scaled to length 1."""

    def __init__(self, name: str, folder: Path, max_tokens: int, hash: str) -> None:
        import torch
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        from transformers import BertConfig, BertModel

        self.name, self.hash, self.layer = name, hash, "last"
        self._tokenizer, self._uncut = (Tokenizer.from_file(str(folder / "tokenizer.json")) for _ in range(2))
        self._max_tokens = max_tokens
        self._tokenizer.enable_truncation(max_tokens)  # the file's own limit may be lower than the model's
        self._tokenizer.no_padding()
        self._uncut.no_truncation()  # what is cut off cannot be counted otherwise: tokenizers 0.23.2 tells a part of it
        self._uncut.no_padding()
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        model = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
        weights = load_file(folder / "model.safetensors")
        unused = [key for key in weights if key.startswith("pooler.") or key.endswith("position_ids")]
        model.load_state_dict({key: value for key, value in weights.items() if key not in unused})
        self._model = model.to(self._device).eval()
        self._known: OrderedDict[str, Vectors] = OrderedDict()

    def embed(self, texts: Sequence[str], progress: Progress = quiet) -> Vectors:
        """Shape (n, d), float32. Texts are cut at the model's context. The last texts' vectors are remembered."""
        vector = {text: self._known[text] for text in texts if text in self._known}
        new = [text for text in dict.fromkeys(texts) if text not in vector]
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(new)]
        done = 0
        for batch in by_length([len(ids) for ids in tokens]):
            vector |= zip((new[i] for i in batch), self._forward([tokens[i] for i in batch]), strict=True)
            done += len(batch)
            progress(done, len(new), "embedding")
        self._known |= {text: vector[text] for text in new[-REMEMBERED:]}
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        if not texts:
            return np.zeros((0, self._model.config.hidden_size), np.float32)
        return np.stack([vector[text] for text in texts])

    def truncated(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text behind the model's context."""
        return [max(0, len(read.ids) - self._max_tokens) for read in self._uncut.encode_batch(list(texts))]

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of each text's tokens, cut at the model's context. Nothing is remembered."""
        import torch

        encodings = self._tokenizer.encode_batch(list(texts))
        found: dict[int, TokenVectors] = {}
        for batch in by_length([len(encoding.ids) for encoding in encodings]):
            with torch.inference_mode():
                states_BTD, _ = self._states([encodings[i].ids for i in batch])
                unit: Any = torch.nn.functional.normalize(states_BTD, dim=-1)
                vectors = unit.cpu().numpy()
            for place, i in enumerate(batch):
                special = np.array(encodings[i].special_tokens_mask, dtype=np.bool_)
                found[i] = TokenVectors(np.asarray(vectors[place, : len(special)], np.float32), ~special)
        return [found[i] for i in range(len(texts))]

    def _states(self, rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
        """The last layer over padded rows, and which places are no padding."""
        import torch

        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=self._device)
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self._device)
        return self._model(input_ids=ids, attention_mask=mask).last_hidden_state, mask

    def _forward(self, rows: Sequence[Sequence[int]]) -> Vectors:
        import torch

        with torch.inference_mode():
            states_BTD, mask = self._states(rows)
            mean_BD = (states_BTD * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            unit: Any = torch.nn.functional.normalize(mean_BD, dim=1)
        return np.asarray(unit.cpu().numpy(), np.float32)


class Ngrams:
    """Words and character 3- to 5-grams, hashed into 4096 signed dimensions, log counts. Needs no model.

    Sees shared wording, not shared meaning. The sign keeps the expected product of two unrelated features at 0
    (K. Weinberger et al., ICML 2009, arXiv:0902.2206).
    """

    name = "ngrams"
    dimensions = 4096
    hash = digest(["ngrams", dimensions, "words, characters 3-5 within words, signed xxh64, log counts", 1])

    def embed(self, texts: Sequence[str], progress: Progress = quiet) -> Vectors:
        """Shape (n, 4096), float32. A text without letters or digits is all zeros."""
        vectors = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in enumerate(texts):
            for code, count in Counter(chain.from_iterable(map(_codes, _words(text)))).items():
                vectors[row, code % self.dimensions] += (1 + math.log(count)) * (1 if code >> 63 else -1)
            if row % 1000 == 999:
                progress(row + 1, len(texts), "embedding")
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: Vectors = np.divide(vectors, norms, out=vectors, where=norms > 0)
        return unit

    def truncated(self, texts: Sequence[str]) -> list[int]:
        """Nothing is cut: all of a text counts."""
        return [0] * len(texts)

    def tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """A vector a word, of the first 256: as many as MiniLM reads of tokens."""
        words = [_words(text)[:256] for text in texts]
        return [TokenVectors(self.embed(found), np.ones(len(found), np.bool_)) for found in words]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())


@lru_cache(1 << 16)
def _codes(word: str) -> tuple[int, ...]:
    """Hashes of the word and of its character n-grams. Few words make up most of a text: the cache answers for them."""
    padded = f"<{word}>"
    grams = (padded[start : start + n] for n in (3, 4, 5) for start in range(len(padded) - n + 1))
    return tuple(xxh64_intdigest(feature.encode()) for feature in (word, *grams))


def by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices in batches of similar length, longest first, so that little is padding and memory peaks at once."""
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
