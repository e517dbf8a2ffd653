"""Run by `answering` in a process of its own: `python -m benchmarks._answering_work WHAT FILE`, a line of JSON.

Timed is answering alone: the model is loaded and has answered once before.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks._peers import peak_kb
from tunesmith.core.contenders import Decoding, Request
from tunesmith.models.engine.engine import Engine
from tunesmith.models.engine.rows import Row
from tunesmith.models.template import common_prefix


def ours(task: dict[str, Any]) -> dict[str, Any]:
    """Answer with Tunesmith's engine."""
    engine, decoding = _engine(task), Decoding(max_tokens=task["new_tokens"])
    warm = [ids[-40:] for ids in task["prompts"][:4]]
    list(engine.continued(warm, [decoding] * len(warm)))
    began = time.perf_counter()
    replies = list(engine.continued(task["prompts"], [decoding] * len(task["prompts"])))
    seconds = time.perf_counter() - began
    assert all(reply.finish_reason != "error" for _, reply in replies)
    return {"seconds": seconds, "dtype": str(engine.model.dtype).removeprefix("torch.")}


def words(task: dict[str, Any]) -> dict[str, Any]:
    """The tokens that the engine writes, which its replies do not hold."""
    engine, decoding = _engine(task), Decoding(max_tokens=task["new_tokens"])
    rows = [(Row(at, list(ids), decoding, None, engine.context), list(ids)) for at, ids in enumerate(task["prompts"])]
    batch = engine._batch([Request(messages=(), decoding=decoding)] * len(rows), rows)
    found: dict[int, list[int]] = {}
    while batch.busy:
        found |= {row.index: row.out for row in batch.step()}
    return {"tokens": [found[at] for at in range(len(rows))]}


def _engine(task: dict[str, Any]) -> Engine:
    return Engine(Path(task["base"]), dtype=task["dtype"], threads=task["threads"])


def theirs(task: dict[str, Any]) -> dict[str, Any]:
    """Answer with `generate`, one by one or in batches padded on the left."""
    model, end = _opened(task)
    prompts, size = task["prompts"], task["size"]
    _generated(model, [ids[-40:] for ids in prompts[:size]], end, task["new_tokens"])
    began = time.perf_counter()
    start = None
    if task["how"] == "shared":
        shared = common_prefix(prompts)
        start = shared, _keys(model, prompts[0][:shared])
    tokens: list[list[int]] = []
    for at in range(0, len(prompts), size):
        tokens += _generated(model, prompts[at : at + size], end, task["new_tokens"], start)
    return {"seconds": time.perf_counter() - began, "tokens": tokens}


def gaps(task: dict[str, Any]) -> dict[str, Any]:
    """The distance of the two tokens' logits where two answers to a prompt part, in float64."""
    model, end = _opened(task | {"dtype": "float64"})
    found = []
    for prompt, one, other in task["parting"]:
        at = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        said = [answer[at] if at < len(answer) else end for answer in (one, other)]
        with torch.inference_mode():
            logits = model(torch.tensor([prompt + one[:at]])).logits[0, -1]
        found.append(abs(float(logits[said[0]] - logits[said[1]])))
    return {"gaps": found}


def _opened(task: dict[str, Any]) -> tuple[Any, int]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(task["threads"])
    model = AutoModelForCausalLM.from_pretrained(task["base"], dtype=getattr(torch, task["dtype"])).eval()
    return model, AutoTokenizer.from_pretrained(task["base"]).eos_token_id


def _keys(model: Any, shared: list[int]) -> Any:
    """Keys and values of the shared beginning, for one row."""
    from transformers import DynamicCache

    with torch.inference_mode():
        return model(torch.tensor([shared]), past_key_values=DynamicCache(config=model.config)).past_key_values


def _generated(
    model: Any, prompts: list[list[int]], end: int, new: int, start: tuple[int, Any] | None = None
) -> list[list[int]]:
    longest = max(map(len, prompts))
    shared = start[0] if start else 0
    # the shared beginning comes first in every row, so the padding stands behind it
    rows = [ids[:shared] + [end] * (longest - len(ids)) + ids[shared:] for ids in prompts]
    mask = [[1] * shared + [0] * (longest - len(ids)) + [1] * (len(ids) - shared) for ids in prompts]
    cache: dict[str, Any] = {}
    if start:
        keys = copy.deepcopy(start[1])
        keys.batch_repeat_interleave(len(prompts))
        cache = {"past_key_values": keys}
    with torch.inference_mode():
        out = model.generate(
            torch.tensor(rows), attention_mask=torch.tensor(mask), max_new_tokens=new, do_sample=False,
            pad_token_id=end, eos_token_id=end, **cache,
        )  # fmt: skip
    answers = out[:, longest:].tolist()
    return [ids[: ids.index(end)] if end in ids else ids for ids in answers]


if __name__ == "__main__":
    work = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    told = {"ours": ours, "words": words, "theirs": theirs, "gaps": gaps}[sys.argv[1]](work)
    print(json.dumps(told | {"examples": len(work["prompts"]), "peak_kb": peak_kb()}))
