"""What one successful chat call brought, streamed or at once. Trusts nothing: the client does not check what it reads.

``started`` is the ``time.perf_counter()`` at which the call began.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from openai import APIError

__all__ = ["Completion", "read_stream", "read_whole"]


HALVES = re.compile("[\ud800-\udfff]")


class Completion(NamedTuple):
    """What one successful call brought."""

    text: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    first_token_seconds: float | None
    seconds: float
    refusal: str


def read_whole(reply: Any, started: float) -> Completion:
    """Take apart an answer that came at once. Raises ValueError if it is none."""
    seconds = time.perf_counter() - started
    try:
        choice, usage = reply.choices[0], reply.usage
        text, refusal = whole(choice.message.content or ""), whole(choice.message.refusal or "")
    except (AttributeError, IndexError, TypeError) as error:
        raise ValueError(f"it holds no choices: {str(reply)[:80]!r}") from error
    counts = _count(usage, "prompt"), _count(usage, "completion")
    return Completion(text, choice.finish_reason or "stop", counts[0], counts[1], None, seconds, refusal)


def read_stream(stream: Any, started: float, timeout_seconds: float) -> Completion:
    """Gather a streamed answer.

    Raises:
        APITimeoutError: It is not over after ``timeout_seconds``.
        ValueError: It broke off.
    """
    parts: list[str] = []
    finish, usage, first, refusal = "", None, None, ""
    with stream:
        for chunk in stream:
            if time.perf_counter() - started > timeout_seconds:
                raise _timed_out(stream)
            usage = getattr(chunk, "usage", None) or usage
            for choice in (getattr(chunk, "choices", None) or [])[:1]:
                if piece := getattr(choice.delta, "content", None):
                    first = time.perf_counter() - started if first is None else first
                    parts.append(piece)
                refusal += getattr(choice.delta, "refusal", None) or ""
                finish = choice.finish_reason or finish
    if not finish:
        raise ValueError("the stream ended before the answer did")
    seconds, text = time.perf_counter() - started, whole("".join(parts))
    counts = _count(usage, "prompt"), _count(usage, "completion")
    return Completion(text, finish, *counts, first, seconds, whole(refusal))


def whole(text: str) -> str:
    r"""The text without halves of characters, which JSON can hold and no file: each becomes the mark for what is lost.

    >>> whole("bad " + chr(0xD800) + " half")
    'bad \ufffd half'
    """
    return HALVES.sub("\ufffd", text)


def _count(usage: Any, of: str) -> int | None:
    """Tokens of the prompt or the completion, as the server counted them; None where it did not."""
    count = getattr(usage, f"{of}_tokens", None)
    return count if isinstance(count, int) else None


def _timed_out(stream: Any) -> APIError:
    from openai import APITimeoutError

    return APITimeoutError(request=stream.response.request)
