"""How vLLM serves the adapter: the command with its flags, and a request that asks for it."""

from __future__ import annotations

import json
import shlex

from tunesmith.core.errors import TunesmithError
from tunesmith.tuning.export.source import Facts

__all__ = ["RANKS", "max_lora_rank", "request", "serve"]

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values that ``--max-lora-rank`` takes (docs.vllm.ai, vllm.config.lora, 0.14 to 0.22); it also takes 1."""

NEUTRAL = {"repetition_penalty": 1.0}
"""What vLLM would take from the base model's ``generation_config.json`` though answers were measured without it; a
request's own temperature of 0 outweighs the rest, and its end tokens are wanted."""


def max_lora_rank(rank: int) -> int:
    """The lowest cap that lets an adapter of ``rank`` in; vLLM's own default of 16 refuses larger ones.

    Raises:
        TunesmithError: vLLM serves no such adapter.

    >>> max_lora_rank(20)
    32
    """
    for cap in RANKS:
        if rank <= cap:
            return cap
    raise TunesmithError(
        f"vLLM serves adapters up to rank {RANKS[-1]}; this one has {rank}.",
        "hand on the merged model (`--to merged`), which vLLM serves as any other",
    )


def serve(facts: Facts, rank: int, context: int) -> str:
    """A shell script that serves base model and adapter from its own folder."""
    base = shlex.quote(facts.base)
    return f"""#!/bin/sh
# Serves the base model and the adapter, each by its name. BASE: whole path or Hugging Face id of the base model.
# VLLM: whole path of the vllm command, where it is not on the PATH.
cd "$(dirname "$0")" || exit 1
[ -n "$BASE" ] || BASE={base}
exec "${{VLLM:-vllm}}" serve "$BASE" \\
  --served-model-name {base} \\
  --enable-lora \\
  --lora-modules {shlex.quote(f"{facts.run}=./adapter")} \\
  --max-lora-rank {max_lora_rank(rank)} \\
  --max-model-len {context} \\
  --chat-template ./adapter/chat_template.jinja \\
  --override-generation-config {shlex.quote(json.dumps(NEUTRAL))} \\
  "$@"
"""


def request(facts: Facts, prompt: str) -> str:
    """A curl command that asks the adapter. Under the base model's name the bare base would answer."""
    first = [facts.instructions] if facts.instructions and not facts.takes_system else []
    messages = [{"role": "user", "content": "\n\n".join([*first, prompt])}]
    if facts.instructions and facts.takes_system:
        messages.insert(0, {"role": "system", "content": facts.instructions})
    body = {"model": facts.run, "messages": messages, "temperature": 0}
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl http://localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d {text}"
