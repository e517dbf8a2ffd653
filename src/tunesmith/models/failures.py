"""What a failed call to a hosted model means: stop everything, wait and try again, or count this one as failed."""

from __future__ import annotations

import email.utils
import random
import re
import time
from typing import TYPE_CHECKING, Any

from tunesmith.core.errors import ServiceError

if TYPE_CHECKING:
    from openai import APIError

__all__ = ["fatal", "in_words", "seconds_to_wait", "too_long"]

LONGEST_WAIT = 120.0  # seconds; a server that asks for more is not waited for
CONTEXT = re.compile(r"context[ _-](?:length|window|size)|maximum context", re.IGNORECASE)
"""How OpenAI, vLLM, SGLang and llama.cpp say that prompt and longest answer are more than the model takes."""
CONTEXT_TOKENS = re.compile(r"context length (?:is|of) (\d+)", re.IGNORECASE)
PROMPT_TOKENS = re.compile(r"(\d+) (?:input tokens|in the messages|tokens from the input)", re.IGNORECASE)
ANSWER = re.compile(r"max_(?:completion_|new_)?tokens\W+(?:is |are )?too (?:large|high|big|long)", re.IGNORECASE)
AGAIN = (408, 409, 429)  # and 5xx: statuses that another try may mend
PAYMENT_REQUIRED = 402


def fatal(
    error: APIError, said: str, model: str, url: str, key: str | None, reached: bool, answered: bool
) -> ServiceError | None:
    """The error to stop with where every other call would fail the same way, else None.

    Args:
        key: Name of the variable that holds the key.
        reached: Whether the server ever answered anything.
        answered: Whether the model has answered with this key: then what is not permitted (403) is this one message.
    """
    from httpx2 import ConnectError
    from openai import APIStatusError, AuthenticationError, NotFoundError, PermissionDeniedError

    if isinstance(error, AuthenticationError) or (isinstance(error, PermissionDeniedError) and not answered):
        mend = f"set {key} to a valid key" if key else "name the environment variable that holds its key"
        return ServiceError(f"{url} refused the API key: {said}", mend)
    if isinstance(error, NotFoundError):
        mend = f"check the model's name and the address {url} (it usually ends in /v1)"
        return ServiceError(f"{url} does not know {model!r}: {said}", mend)
    unpaid = isinstance(error, APIStatusError) and error.status_code == PAYMENT_REQUIRED
    if error.code == "insufficient_quota" or unpaid:
        return ServiceError(f"{url} says that the quota is used up: {said}", "add credit at the provider")
    if isinstance(error.__cause__, ConnectError) and not reached:
        return ServiceError(f"{url} could not be reached: {said}", "start the server, or correct the address")
    return None


def seconds_to_wait(error: APIError, attempt: int, first_wait_seconds: float) -> float | None:
    """Seconds before the next try (``attempt`` counts from 0), or None where another try would not help."""
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIStatusError):
        if error.status_code not in AGAIN and error.status_code < 500:
            return None
        asked = _retry_after(error.response.headers)
        if asked is not None:
            return asked if asked <= LONGEST_WAIT else None
    elif not isinstance(error, APIConnectionError):
        return None
    spread = 1 - random.random() / 4  # so that threads refused together do not come back together
    return float(min(first_wait_seconds * 2**attempt, 30.0) * spread)


def too_long(error: APIError, max_tokens: int) -> bool:
    """Whether the server refused the prompt for its length, and not so long an answer as ``max_tokens``.

    Where the server counts both, the prompt may take what the longest answer leaves of the context, half at least.
    """
    from openai import APIStatusError

    said = str(error.message)
    refused = isinstance(error, APIStatusError) and error.status_code in (400, 413, 422)
    if not refused or not (error.code == "context_length_exceeded" or CONTEXT.search(said)):
        return False
    context, prompt = CONTEXT_TOKENS.search(said), PROMPT_TOKENS.search(said)
    if context and prompt:
        tokens = int(context[1])
        return int(prompt[1]) > tokens - min(max_tokens, tokens // 2)
    return ANSWER.search(said) is None


def in_words(error: APIError, timeout_seconds: float, key: str) -> str:
    """The error in one line, without the key, whatever the server wrote back."""
    from openai import APIStatusError, APITimeoutError

    if isinstance(error, APITimeoutError):
        return f"no answer within {timeout_seconds:g} seconds (timeout_seconds)"
    said = str(error.message).replace(key, "***")
    if isinstance(error, APIStatusError):
        said = f"{error.status_code}: {said.removeprefix(f'Error code: {error.status_code} - ')}"
    return " ".join(said.split())[:300]


def _retry_after(headers: Any) -> float | None:
    """Seconds that the server asks to wait: ``retry-after-ms``, or ``Retry-After`` in seconds or as a date."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(headers["retry-after"]))
    except KeyError:
        return None
    except ValueError:
        date = email.utils.parsedate_tz(headers.get("retry-after", ""))
        return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None
