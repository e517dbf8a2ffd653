"""The model card beside an export: facts of the run and figures of the parity, nothing else."""

from __future__ import annotations

import json

from tunesmith.models.parity import Parity
from tunesmith.tuning.export.source import Facts

__all__ = ["card"]


def card(facts: Facts, parity: Parity, title: str, use: str, *, library: str | None = None, dtype: str = "") -> bytes:
    """A README.md.

    Args:
        title: What lies in the folder.
        use: How it is loaded, in Markdown.
        library: What the hubs call the library that loads it.
    """
    head = {"license": (facts.base_licence or "").lower(), "library_name": library or ""}
    if "/" in facts.base:
        head["base_model"] = facts.base
    front = "".join(f"{key}: {json.dumps(value)}\n" for key, value in head.items() if value)
    unit = "nats a token" if facts.train_pairs is None else "on preference pairs"
    rows = {
        "task": facts.task,
        "base model": f"{facts.base}, files {facts.base_hash}",
        "licence of the base model": facts.base_licence or "not known to Tunesmith: look it up before you pass it on",
        "run": f"{facts.run}, best at step {facts.best_step}, validation loss {facts.validation_loss:.4f} {unit}",
        "went on from run": facts.start or "",
        "adapter": facts.adapter_hash,
        "number format of the weights": dtype,
        "examples": f"snapshot {facts.snapshot}" if facts.snapshot else "",
        "split": facts.split,
        "train examples": "" if facts.train_examples is None else str(facts.train_examples),
        "preference pairs learnt": "" if facts.train_pairs is None else str(facts.train_pairs),
    }
    table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items() if value)
    parts = [f"---\n{front}---" if front else "", f"# {facts.run}: {title}", f"| | |\n|---|---|\n{table}", use.strip()]
    return "\n\n".join([*filter(None, parts), _prompt(facts), _proof(parity)]).encode() + b"\n"


def _prompt(facts: Facts) -> str:
    where = "this system message" if facts.takes_system else "this text and an empty line before the user's message"
    lines = ["## The prompt", f"The model was tuned and measured with {where}, through its chat template:"]
    quoted = "\n".join(f"    {line}" for line in facts.instructions.splitlines()) or "    (none)"
    shown = [f"{n} {what}" for n, what in zip(facts.shows, ("solved examples", "documents"), strict=True) if n]
    if shown:
        lines.append(
            f"Each prompt also shows the nearest {' and '.join(shown)}, which retrieval finds; they are not in here. "
            "Asked without them, the model is not the one that was measured."
        )
    return "\n\n".join([*lines[:2], quoted, *lines[2:]])


def _proof(parity: Parity) -> str:
    of = f"{parity.tokens} tokens of {parity.prompts} held-out completions"
    lines = [
        "## Parity",
        f"Loaded again by {parity.loader}, and asked for the log-probabilities of {of}:",
        f"- token ids of the prompts are {'the same' if parity.same_token_ids else 'others'};",
        f"- log-probabilities differ by at most {parity.difference:.2g} nats; up to {parity.limit:.2g} is noise;",
        "- the adapter itself changes nothing, so whether it is applied cannot show;"
        if parity.applied is None
        else f"- from the bare base model they differ by up to {parity.from_base:.2g} nats: the adapter is applied;",
    ]
    lines += [f"- through {name} by at most {d:.2g} nats;" for name, d in sorted(parity.also.items())]
    lines += [f"- run {name}'s adapter is {d:.2g} nats away;" for name, d in sorted(parity.others.items())]
    lines += [f"- not tried with {name}: {why};" for name, why in sorted(parity.not_run.items())]
    return "\n".join([*lines[:2], "", *lines[2:-1], lines[-1].rstrip(";") + "."])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
