"""What Ollama needs beside a GGUF: a Modelfile with the chat template in Go's language, the stops and the decoding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Template
from tunesmith.tuning.export.source import Asked, Facts

__all__ = ["go_template", "model_name", "modelfile"]

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")
MARK = "\ue000"
"""A character for private use."""
CONTEXT = 8192
"""Tokens that Ollama is told to keep, or twice those of the longest prompt; it reserves memory for all of them."""


def model_name(run: str) -> str:
    """What Ollama may call the model of ``run``: letters of ASCII, digits, dots, hyphens, underscores.

    >>> model_name("second try"), model_name("größer")
    ('second-try', 'gr-er')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run).strip("-._") or "tuned"


def modelfile(template: Template, asked: Sequence[Asked], facts: Facts, context: int, adapter: str | None) -> bytes:
    """A Modelfile for ``model.gguf`` beside it, and for the GGUF named ``adapter`` on top of it.

    It says all that changes an answer and that Ollama has another default for: words said before are not penalised.

    Raises:
        TunesmithError: The chat template cannot be said in Go's language.
    """
    if '"""' in facts.instructions:
        raise TunesmithError(
            'The instructions hold three quotes ("""), which end a text in a Modelfile.', "reword them"
        )
    lines = ["FROM ./model.gguf", f"ADAPTER ./{adapter}" if adapter else ""]
    lines.append(f'TEMPLATE """{go_template(template, [row.messages for row in asked])}"""')
    if facts.instructions:
        lines.append(f'SYSTEM """{facts.instructions}"""')
    lines += [f'PARAMETER stop "{template.tokenizer.convert_ids_to_tokens(n)}"' for n in sorted(template.end_ids)]
    room = min(context, max(CONTEXT, 2 * max(len(row.ids) for row in asked)))
    lines += ["PARAMETER temperature 0", "PARAMETER repeat_penalty 1", f"PARAMETER num_ctx {room}"]
    return "\n".join(filter(None, lines)).encode() + b"\n"


def go_template(template: Template, prompts: Sequence[Sequence[Message]]) -> str:
    """The chat template for Ollama, where each message is written apart from all others.

    Raises:
        TunesmithError: It is not so, or one of ``prompts`` would come out otherwise.
    """
    cannot = TunesmithError(
        "The chat template does not write each message by itself, so Ollama's language cannot say it here.",
        "export `--to gguf`: llama.cpp reads the template as it is (`llama-server --jinja`)",
    )
    if not template.takes_system:
        raise cannot
    parts: dict[str, tuple[str, str]] = {role: _around(template, role) for role in ROLES}
    begin = template.prompt_text([Message(role="user", content=MARK)]).partition(MARK + parts["user"][1])[2]
    for messages in prompts:
        text = "".join(parts[m.role][0] + m.content + parts[m.role][1] for m in messages) + begin
        if text != template.prompt_text(messages):
            raise cannot
    cases = "".join(
        f'{{{{ {"if" if not n else "else if"} eq .Role "{role}" }}}}{parts[role][0]}{{{{ .Content }}}}{parts[role][1]}'
        for n, role in enumerate(ROLES)
    )
    return f"{{{{ range .Messages }}}}{cases}{{{{ end }}}}{{{{ end }}}}{begin}"


def _around(template: Template, role: Role) -> tuple[str, str]:
    """What the template writes before and after a message of ``role`` that is not the first."""
    lead = [Message(role="system", content="s")]
    without = template.rendered(lead)
    whole = template.rendered([*lead, Message(role=role, content=MARK)])
    before, _, after = whole.removeprefix(without).partition(MARK)
    return before, after
