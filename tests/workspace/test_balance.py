"""The fields of a JSON completion count the same in the loss, unless the workspace says otherwise."""

import json
from pathlib import Path

import pytest
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_settings

from tunesmith import Workspace

TASK = {
    "name": "desk",
    "format": "json",
    "fields": [{"name": "kind", "type": "label", "labels": ["a", "b"]}, {"name": "reply", "type": "text"}],
}


def desk(folder, tuning):
    model = build_tiny(folder / "tiny")
    rows = [
        {
            "prompt": f"parcel {n} of {n * n} is {'late' if n % 2 else 'broken'}",
            "completion": {"kind": "ab"[n % 2], "reply": f"We look into parcel {n} and write to you within {n} days."},
        }
        for n in range(60)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    workspace, _ = Workspace.init(folder / "desk", kind="generation")
    write_settings(
        folder / "desk",
        task=TASK,
        bar={"metric": "kind.accuracy", "value": 0.9},
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 1, "rank": 2, "batch_size": 16, "dtype": "float32"} | tuning,
    )
    workspace = Workspace(folder / "desk")
    workspace.add(folder / "rows.jsonl")
    workspace.split()
    return workspace


def start_loss(workspace):
    """Validation loss before the first step, when all runs are the same model."""
    return workspace.tune(anyway=True).curve[0]["validation_loss"]


def by_hand(workspace, weights):
    """The same from the model's own log-probabilities: each part's mean, weighted; or all tokens' mean."""
    import torch

    from tunesmith.contenders.kind import head, turns
    from tunesmith.models.template import Template
    from tunesmith.tuning.base import load_base
    from tunesmith.workspace.answering import current_split

    home = workspace.home
    base = home.settings.model.base
    template, model = Template.open(base), load_base(Path(base), "float32")
    validation = set(current_split(home).validation)
    total = weight = 0.0
    for example in (e for e in home.examples() if e.id in validation):
        messages = head(home.task.instructions, example) + turns(example)
        prompt, answer = template.prompt_ids(messages), template.completion_ids(example.completion)
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
        nats = torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="none").tolist()
        if weights is None:
            total, weight = total + sum(nats), weight + len(nats)
            continue
        parts: dict[str, list[float]] = {}
        text, reply = "", example.completion.index('"We look')
        label = example.completion.index('"a"' if '"a"' in example.completion else '"b"')
        for token, loss in zip(answer, nats, strict=True):
            begin, text = len(text), text + template.tokenizer.decode([token])
            covers = range(begin, len(text)) if token != answer[-1] else range(0)
            name = "label" if set(covers) & set(range(label, label + 3)) else "rest"
            if set(covers) & set(range(reply, len(example.completion) - 1)):
                name = "reply"
            parts.setdefault(name, []).append(loss)
        means = sum(weights[name] * sum(part) / len(part) for name, part in parts.items()) / sum(weights.values())
        total, weight = total + len(nats) * means, weight + len(nats)
    return total / weight


LIGHT_TEXT = {"label": 1.0, "reply": 0.25, "rest": 0.25}
ALIKE = {"label": 1.0, "reply": 1.0, "rest": 1.0}


@pytest.mark.parametrize(
    ("tuning", "weights"),
    [({}, LIGHT_TEXT), ({"text_weight": 1}, ALIKE), ({"balance": "tokens"}, None)],
    ids=["default", "alike", "tokens"],
)
def test_validation_loss_counts_fields_or_tokens_as_set(tmp_path, tuning, weights):
    workspace = desk(tmp_path, tuning)
    measured = start_loss(workspace)
    assert measured == pytest.approx(by_hand(workspace, weights), rel=1e-4)
    for other in (LIGHT_TEXT, ALIKE, None):
        if other is not weights:
            assert measured != pytest.approx(by_hand(workspace, other), rel=1e-3)
