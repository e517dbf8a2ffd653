"""An embedder whose vectors follow topics, and rows to go with it: what checks on meaning need, in milliseconds."""

from __future__ import annotations

import json

import numpy as np
from xxhash import xxh64_intdigest

from tunesmith.core.examples import Example, Message, Origin

__all__ = ["TOPICS", "Topics", "rows_by_topic"]

TOPICS = {
    "shipping": ("parcel", "package", "courier"),
    "billing": ("invoice", "bill", "charge"),
    "account": ("password", "login", "account"),
}


class Topics:
    """One axis a topic, and some of its own for each text; texts of nothing but topic words differ in nothing else."""

    name = "topics"
    hash = "topics"

    def embed(self, texts, progress=None):
        vectors = np.zeros((len(texts), len(TOPICS) + 16), np.float32)
        for row, text in enumerate(texts):
            words = text.lower().split()
            for axis, known in enumerate(TOPICS.values()):
                vectors[row, axis] = 2 * sum(word in known for word in words)
            for word in words:
                if not any(word in known for known in TOPICS.values()):
                    vectors[row, len(TOPICS) + xxh64_intdigest(word.encode()) % 16] += 0.5
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.divide(vectors, norms, out=vectors, where=norms > 0)


def rows_by_topic(each=20, wrong=1):
    """``each`` rows a topic, well labelled but for the first ``wrong`` of shipping; and two that mean the same."""
    rows = []
    for topic, names in TOPICS.items():
        for n in range(each):
            label = "billing" if topic == "shipping" and n < wrong else topic
            prompt = f"my {names[0]} number {n} {n * 7919} is {'wrong' if n % 2 else 'late'} {n**3}"
            rows.append(_row(prompt, label, len(rows) + 1))
    rows.append(_row("parcel parcel parcel", "shipping", len(rows) + 1))
    rows.append(_row("courier package", "shipping", len(rows) + 1))
    rows.append(_row("my invoice number five is the wrong one", "billing", len(rows) + 1))
    return rows


def _row(prompt, label, line):
    said = {
        "category": label, "urgency": "normal", "order": None, "action": "answer",
        "reply": f"Thank you for telling us. We are looking into it and will write to you about case {line} today.",
    }  # fmt: skip
    message = Message(role="user", content=prompt)
    return Example.make((message,), json.dumps(said), origin=Origin(file="topics.jsonl", line=line))
