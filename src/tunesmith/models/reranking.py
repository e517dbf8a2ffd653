"""Texts that a search found, looked at again: each together with the query, which is dearer and sees more.

MaxSim needs no other model than the embedder; a cross-encoder is one that its user names.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tunesmith.core.codec import digest
from tunesmith.core.errors import TunesmithError
from tunesmith.models.adapter_folder import files_hash
from tunesmith.models.embedder import Embedder, TokenVectors
from tunesmith.models.encoder import longest
from tunesmith.models.folder import check_folder

__all__ = ["MAXSIM", "CrossEncoder", "MaxSim", "Reranker", "open_reranker"]

MAXSIM = "maxsim"
REMEMBERED_BYTES = 150_000_000
"""Token vectors that MaxSim keeps: of some 1,000 messages of 100 tokens with MiniLM."""
LONGEST_PAIR = 512  # tokens of query and text that a cross-encoder reads together; most are trained up to that
PAIRS_AT_ONCE = 16


class Reranker(Protocol):
    """What says how well texts fit a query."""

    hash: str
    """Names model and method: other scores, another hash."""

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """Shape (n,), higher is better; to be compared among texts of one query alone."""
        ...


def open_reranker(name: str, embedder: Callable[[], Embedder]) -> Reranker:
    """``maxsim``, or the cross-encoder in a folder on this machine, which needs no embedder. Fetches nothing.

    Raises:
        TunesmithError: There is no such folder, or it holds no whole cross-encoder.
    """
    if name == MAXSIM:
        return MaxSim(embedder())
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise TunesmithError(
            f"There is no folder {name!r} with a re-ranking model.",
            f"name a folder that holds a cross-encoder, or `{MAXSIM}`, which needs no other model",
        )
    folder = check_folder(folder.resolve())
    return _loaded(folder, files_hash(folder))


class MaxSim:
    """Late interaction: each token of the query looks for the token of the text most like it; the mean of that.

    Sees single words that the one vector of a text has lost. The embedder was not trained for it, as ColBERT is:
    measure whether it helps. Reads of both no more than the embedder does. Without MiniLM, hashed n-grams of words
    stand in for vectors of tokens.

    Source: O. Khattab, M. Zaharia, ColBERT, SIGIR (2020) 39-48, arXiv:2004.12832, section 3.3.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.hash = digest([MAXSIM, embedder.hash, 1])
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._bytes = 0

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """In [-1, 1]; 0 where query or text holds no token."""
        vectors = self._vectors([query, *texts])
        asked, scores = vectors[query], np.zeros(len(texts))
        for place, text in enumerate(texts):
            if len(asked) and len(vectors[text]):
                scores[place] = float((asked @ vectors[text].T).max(axis=1).mean(dtype=np.float64))
        return scores

    def _vectors(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Of each text the vectors of its tokens, shape (tokens, d)."""
        found = {text: self._known[text] for text in texts if text in self._known}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        found |= {text: _of_words(tokens) for text, tokens in zip(new, self._embedder.tokens(new), strict=True)}
        for text in texts:
            self._bytes += 0 if text in self._known else found[text].nbytes
            self._known[text] = found[text]
            self._known.move_to_end(text)
        while self._bytes > REMEMBERED_BYTES:
            self._bytes -= self._known.popitem(last=False)[1].nbytes
        return found


def _of_words(tokens: TokenVectors) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = tokens.vectors[tokens.words]
    return vectors


class CrossEncoder:
    """A model that reads query and text together and says how well they fit.

    Source: R. Nogueira, K. Cho, Passage Re-ranking with BERT (2019), arXiv:1901.04085.
    """

    def __init__(self, folder: Path, files: str) -> None:
        """``folder`` holds what `save_pretrained` wrote of a model for sequence classification with one score;
        ``files`` is the hash of its files.

        Raises:
            TunesmithError: It gives more than one score, lacks the weights of its head, or cannot be loaded.
        """
        try:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise TunesmithError("A re-ranking model needs torch.", "pip install 'tunesmith[local]'") from error
        import torch

        logging.disable_progress_bar()  # it would write into the progress of the caller
        here: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **here)
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, dtype=torch.float32, **here
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise TunesmithError(
                f"{folder} cannot be loaded as a re-ranking model: {str(error)[:200]}",
                "name a folder with a cross-encoder that transformers itself knows",
            ) from error
        if loading["missing_keys"] or model.config.num_labels != 1:
            faults = {
                "it lacks weights, so its scores would be drawn at random": bool(loading["missing_keys"]),
                f"it gives {model.config.num_labels} scores, not one": model.config.num_labels != 1,
            }
            raise TunesmithError(
                f"{folder} is no re-ranking model: {' and '.join(fault for fault, there in faults.items() if there)}.",
                "name a folder with a cross-encoder, which gives one score for a query and a text",
            )
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model: Any = model.to(self._device).eval()
        self.hash = digest(["cross-encoder", files, LONGEST_PAIR, 1])
        self._longest = min(LONGEST_PAIR, longest(self._tokenizer, model.config))

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float64]:
        """The model's own scale. Of a pair that is too long the longer part loses its end."""
        import torch

        scores: list[float] = []
        for start in range(0, len(texts), PAIRS_AT_ONCE):
            part = list(texts[start : start + PAIRS_AT_ONCE])
            read = self._tokenizer(
                [query] * len(part), part, truncation="longest_first", max_length=self._longest, padding=True,
                return_tensors="pt",
            )  # fmt: skip
            with torch.inference_mode():
                scores += self._model(**read.to(self._device)).logits[:, 0].double().cpu().tolist()
        return np.array(scores)


@cache
def _loaded(folder: Path, files: str) -> CrossEncoder:
    return CrossEncoder(folder, files)
