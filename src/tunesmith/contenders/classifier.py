"""Embeddings and a logistic regression per label field: cheap, fast, and often enough.

A field that is no label cannot be classified: a value gets the most frequent one of the train side (often null), a
text that of the nearest train example. Several labels at once are taken from the nearest train example too.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tunesmith.contenders.constant import majority
from tunesmith.contenders.kind import Context, contender_kind, prepare_again, record_for
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example
from tunesmith.models.neighbours import nearest

__all__ = ["Classifier"]

FORM = 3
"""Of its answers. Those of form 1 did not say how much of a prompt the embedder left out, those of form 2 not how sure
it is, so they are made anew."""
FORM_WITH_NULL = 4
"""Where a label may be null: answers of form 3 never were."""


@contender_kind("classifier")
class Classifier:
    """Fitted from the train side when first asked; the same train side gives the same coefficients."""

    def __init__(self, record: Contender, context: Context) -> None:
        self.record = record
        self._task = context.task
        self._train = [
            (e, fields) for e in context.known.train if (fields := context.task.parse(e.completion).fields) is not None
        ]
        self._embedder = context.embedder()
        if record.settings["embedder"] != self._embedder.hash:
            raise TunesmithError("The embedder has changed since the classifier was prepared.", prepare_again(record))
        self._inverse_regularization: float = record.settings["inverse_regularization"]
        self._fitted: dict[str, tuple[list[Any], Any]] = {}

    @classmethod
    def make(cls, context: Context) -> Contender:
        if not context.task.labels:
            raise TunesmithError(
                "The task has no label field, so there is nothing to classify.", "leave `classifier` out"
            )
        null = any(field.nullable and not field.multiple for field in context.task.labels)
        form = FORM_WITH_NULL if null else FORM
        settings = {"embedder": context.embedder().hash, "form": form, **context.config.classifier.model_dump()}
        return record_for("classifier", context, asks=False, settings=settings)

    def predict(self, examples: Sequence[Example]) -> list[str]:
        vectors = self._embedder.embed([e.prompt for e in examples])
        neighbour, _ = nearest(vectors, self._vectors, 1)
        usual = majority(self._task, [e for e, _ in self._train])
        columns: dict[str, Sequence[Any]] = {}
        for field in self._task.fields:
            if field.type == "value":
                columns[field.name] = [usual[field.name]] * len(examples)
            elif field.type == "label" and not field.multiple:
                columns[field.name] = self._label(field.name, vectors)
            else:
                columns[field.name] = [self._train[i][1][field.name] for i in neighbour[:, 0]]
        rows = zip(*columns.values(), strict=True)
        return [self._task.render(dict(zip(columns, row, strict=True))) for row in rows]

    def truncated(self, examples: Sequence[Example]) -> list[int]:
        return self._embedder.truncated([e.prompt for e in examples])

    def probabilities(self, examples: Sequence[Example]) -> list[dict[str, dict[str, float]]]:
        """Of fields that hold one label; the regression's own, not calibrated afterwards. That of null is left out."""
        vectors = self._embedder.embed([e.prompt for e in examples])
        told: list[dict[str, dict[str, float]]] = [{} for _ in examples]
        for field in self._task.labels:
            if field.multiple:
                continue
            known, model = self._fitting(field.name)
            labels = [label for label in known if label is not None]  # null stands last
            chances = model.predict_proba(vectors) if model is not None else np.ones((len(examples), len(labels)))
            for one, row in zip(told, np.round(chances, 6).tolist(), strict=True):
                if labels:
                    one[field.name] = dict(zip(labels, row, strict=False))
        return told

    @cached_property
    def _vectors(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        return self._embedder.embed([e.prompt for e, _ in self._train])

    def _label(self, name: str, vectors: np.ndarray[Any, np.dtype[np.float32]]) -> list[Any]:
        known, model = self._fitting(name)
        return [known[i] for i in model.predict(vectors)] if model is not None else known * len(vectors)

    def _fitting(self, name: str) -> tuple[list[Any], Any]:
        if name not in self._fitted:
            self._fitted[name] = self._fit(name)
        return self._fitted[name]

    def _fit(self, name: str) -> tuple[list[Any], Any]:
        """The labels, null among them where it is one, and the model that tells them apart; one alone needs none."""
        from sklearn.linear_model import LogisticRegression  # heavy: seconds to import

        truth = [fields[name] for _, fields in self._train]
        known = [*sorted({t for t in truth if t is not None}), *([None] if None in truth else [])]
        if len(known) < 2:
            return known, None
        index = {label: i for i, label in enumerate(known)}
        model = LogisticRegression(C=self._inverse_regularization, max_iter=2000)
        with warnings.catch_warnings():  # few rows of each of many labels are no regression, as it suspects
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            return known, model.fit(self._vectors, [index[t] for t in truth])
