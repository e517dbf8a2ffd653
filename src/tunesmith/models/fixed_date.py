"""Chat templates that print the day's date, made to print always the same one.

Llama 3.2, SmolLM 3, Granite and Mistral Small write the date into their system prompt. Left so, a run's tokens would
change at midnight: it could not be gone on with, and what is served would differ from what was learnt and measured.
"""

from __future__ import annotations

import json
import re
from datetime import date
from typing import Any

__all__ = ["DATE", "with_fixed_date"]

DATE = date(2024, 7, 26)
"""The date that the templates of Llama 3 fall back to where none is known."""

_CALL = re.compile(r"""strftime_now\s*\(\s*(?:"([^"]*)"|'([^']*)')\s*\)""")


def with_fixed_date(chat_template: Any) -> Any:
    """A tokenizer's chat template, or its several by name, with ``DATE`` for each call that asks for today's in a form
    that is written there.

    >>> with_fixed_date('{{ "Today: " + strftime_now("%d %b %Y") }}')
    '{{ "Today: " + "26 Jul 2024" }}'
    """
    if isinstance(chat_template, dict):
        return {name: with_fixed_date(text) for name, text in chat_template.items()}
    return _CALL.sub(lambda call: json.dumps(DATE.strftime(call[1] or call[2] or "")), chat_template)
