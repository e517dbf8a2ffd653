"""A model behind an OpenAI-compatible address, asked through the official client with bounded concurrency.

One failed request is one error reply, counted as such. What would fail every request (a refused key, an unknown model,
no server, the spending cap) stops the work instead, after the answers already paid for are handed over.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from tunesmith.core.contenders import Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.progress import Progress, quiet
from tunesmith.models.completion import Completion, read_stream, read_whole
from tunesmith.models.dialect import Dialect
from tunesmith.models.failures import fatal, in_words, seconds_to_wait, too_long
from tunesmith.models.reply import Reply
from tunesmith.models.spending import Prices, SpendingCap, most_tokens
from tunesmith.models.threads import Stopped, in_threads

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["OPENAI_URL", "HostedModel"]

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "no-key-is-sent"  # the client wants one; its header is left out


class HostedModel:
    """A hosted model that satisfies ``Model``.

    ``seconds`` of a reply is the time of the call that succeeded: without waiting for a free place, and without
    failed calls before it. ``notes`` says which settings the model did not take.
    """

    template_hash: str | None = None  # the server renders the messages; how, it does not say

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key_env: str | None = None,
        prices: Prices | None = None,
        cap: SpendingCap | None = None,
        concurrency: int = 8,
        timeout_seconds: float = 60.0,
        retries: int = 5,
        first_wait_seconds: float = 0.5,
        measure_first_token: bool = False,
        omit: Iterable[str] = (),
    ) -> None:
        """Nothing is sent and no key is read yet.

        Args:
            name: The model's id at the server.
            base_url: Address up to ``/v1``; None is OpenAI's own.
            api_key_env: Environment variable that holds the key. By default OPENAI_API_KEY at OpenAI's address and
                no key anywhere else: a key goes only where it was meant to go.
            timeout_seconds: Longest wait of one try for the server's next bytes, and for a whole streamed answer.
            retries: Further tries after 408, 409, 429, 5xx, a timeout or a broken connection.
            first_wait_seconds: Wait before the first retry, doubled each time, unless the server says Retry-After.
            measure_first_token: Stream, so that the time to the first token can be measured.
            omit: Settings that the model is known not to take, such as "temperature".

        Raises:
            TunesmithError: A cap without prices, or an address that is none.
        """
        if cap is not None and prices is None:
            raise TunesmithError(
                f"A spending cap of {cap.usd:.2f} USD is set, but the prices of {name!r} are not known.",
                "give its USD per million prompt and completion tokens, or drop the cap",
            )
        self.name, self.base_url = name, (base_url or OPENAI_URL).rstrip("/")
        self.host = urlsplit(self.base_url).hostname or ""
        if urlsplit(self.base_url).scheme not in ("http", "https") or not self.host:
            raise TunesmithError(f"{base_url!r} is no address.", "write it like http://localhost:8000/v1")
        at_openai = self.base_url == OPENAI_URL
        self.api_key_env = api_key_env or ("OPENAI_API_KEY" if at_openai else None)
        self.prices, self.cap = prices, cap
        self.concurrency, self.timeout_seconds, self.retries = concurrency, timeout_seconds, retries
        self.first_wait_seconds, self.measure_first_token = first_wait_seconds, measure_first_token
        # OpenAI calls the limit max_completion_tokens; other servers know the older name better.
        self._dialect = Dialect([*omit, *(["max_tokens"] if at_openai else [])])
        self._reached = self._answered = False

    def __repr__(self) -> str:
        return f"HostedModel({self.name!r}, base_url={self.base_url!r})"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was asked for and the model or server does not take, known after the first replies."""
        return self._dialect.notes

    def answers(self, requests: Sequence[Request], progress: Progress = quiet) -> Iterator[tuple[int, Reply]]:
        """Ask all ``requests``, at most ``concurrency`` at a time; yields each as it is answered.

        Raises:
            ServiceError: The key is refused, there is no such model, or no server.
            SpendingCapReached: The next call could pass the cap.
        """
        if any(request.adapter for request in requests):
            raise TunesmithError(
                "A hosted model cannot load a local adapter.", "name the tuned model by the id its server gave it"
            )
        if any(request.too_long == "cut" for request in requests):
            raise TunesmithError(
                "A hosted model's tokens cannot be counted here, so no prompt can be cut until it fits.",
                "set contenders.too_long to refuse in tunesmith.yaml, and prepare the contenders again",
            )
        client, stop = self._client(), threading.Event()
        try:
            found = in_threads(lambda request: self._answer(client, request, stop), requests, self.concurrency, stop)
            for done, (index, reply) in enumerate(found, 1):
                yield index, reply
                progress(done, len(requests), f"asking {self.name}")
        finally:
            stop.set()  # also when the reader leaves early
            client.close()

    def _client(self) -> OpenAI:
        """A client for one round of questions, so that the key lives no longer than that."""
        try:
            from openai import DefaultHttpxClient, OpenAI
        except ImportError as error:
            raise TunesmithError("Hosted models need the package openai.", "pip install 'tunesmith[hosted]'") from error
        key = os.environ.get(self.api_key_env, "") if self.api_key_env else ""
        if self.api_key_env and not key:
            raise TunesmithError(
                f"{self.api_key_env} is not set, and {self.host} asks for a key.",
                f"`export {self.api_key_env}=...`, or name the variable that holds the key",
            )
        return OpenAI(
            api_key=key or NO_KEY,
            base_url=self.base_url,
            timeout=self.timeout_seconds,
            max_retries=0,  # ours: each try is settled with the cap, and only the last one timed
            http_client=DefaultHttpxClient(verify=_certificates()),
        )

    def _left_out(self, client: OpenAI) -> dict[str, Any]:
        """Headers that the client would send to any server, out of the environment, and that are not meant for this."""
        from openai import Omit

        hidden = ["Authorization"] if client.api_key == NO_KEY else []
        if self.base_url != OPENAI_URL:
            hidden += ["OpenAI-Organization", "OpenAI-Project"]
        return {name: Omit() for name in hidden}

    def _answer(self, client: OpenAI, request: Request, stop: threading.Event) -> Reply:
        """One reply, whatever happens to this request alone. What would happen to all is raised."""
        from openai import APIError, APIStatusError

        attempt, wait = 0, 0.0
        while not stop.wait(wait):
            try:
                return self._reply(request, self._paid(client, request))
            except APIError as error:
                self._reached = self._reached or isinstance(error, APIStatusError)
                said = in_words(error, self.timeout_seconds, client.api_key)
                known = self._reached, self._answered
                if stopping := fatal(error, said, self.name, self.base_url, self.api_key_env, *known):
                    raise stopping from error
                again = seconds_to_wait(error, attempt, self.first_wait_seconds) if attempt < self.retries else None
                if again is None:
                    return _failed(said, too_long=too_long(error, request.decoding.max_tokens))
                attempt, wait = attempt + 1, again
            except ValueError as error:  # not JSON, or JSON without an answer
                said = str(error).replace(client.api_key, "***")
                return _failed(f"the server's answer could not be read: {said[:200]}")
        raise Stopped

    def _paid(self, client: OpenAI, request: Request) -> Completion:
        """One call under the cap. A refusal costs nothing; a call that broke off counts with the most it can cost."""
        from openai import APIStatusError

        if self.prices is None:
            return self._call(client, request)
        most = self.prices.usd(most_tokens(request.messages) + _schema_bytes(request), request.decoding.max_tokens)
        if self.cap:
            self.cap.reserve(most)
        spent = most
        try:
            got = self._call(client, request)
            if got.prompt_tokens is not None and got.completion_tokens is not None:
                spent = self.prices.usd(got.prompt_tokens, got.completion_tokens)
            return got
        except APIStatusError:
            spent = 0.0
            raise
        finally:
            if self.cap:
                self.cap.settle(most, spent)

    def _call(self, client: OpenAI, request: Request) -> Completion:
        """One answer, in the words that this server understands."""
        from openai import BadRequestError, UnprocessableEntityError

        headers = self._left_out(client)
        while True:
            sent = self._dialect.parameters(request, stream=self.measure_first_token)
            started = time.perf_counter()
            try:
                reply = client.chat.completions.create(model=self.name, extra_headers=headers, **sent)
                self._reached = self._answered = True
                if sent.get("stream"):
                    return read_stream(reply, started, self.timeout_seconds)
                return read_whole(reply, started)
            except (BadRequestError, UnprocessableEntityError) as error:
                if not self._dialect.learn(error.body, error.message, sent):
                    raise

    def _reply(self, request: Request, got: Completion) -> Reply:
        finish: Literal["stop", "length", "error"] = "length" if got.finish_reason == "length" else "stop"
        problem = None
        if got.refusal:
            problem = f"the model refused: {got.refusal[:200]}"
        elif got.finish_reason not in ("stop", "length"):
            problem = f"the answer ended with {got.finish_reason!r}"
        counted = got.prompt_tokens is not None and got.completion_tokens is not None
        prompt_tokens, completion_tokens = got.prompt_tokens or 0, got.completion_tokens or 0
        return Reply(
            text=self._dialect.text(request, got.text),
            finish_reason="error" if problem else finish,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            first_token_seconds=got.first_token_seconds,
            seconds=got.seconds,
            usd=self.prices.usd(prompt_tokens, completion_tokens) if self.prices and counted else None,
            problem=problem,
            left_out=self._dialect.left_out(request),
        )


@cache
def _certificates() -> SSLContext:
    """Whom to trust, read once: that takes a tenth of a second, and each round of questions has its own client."""
    from httpx2 import create_ssl_context  # what the client itself would call

    return create_ssl_context()


def _failed(problem: str, *, too_long: bool = False) -> Reply:
    return Reply(text="", finish_reason="error", problem=problem, too_long=too_long)


def _schema_bytes(request: Request) -> int:
    """Room for a constraint, which providers count as prompt."""
    constraint = request.constraint
    if constraint is None:
        return 0
    said = (constraint.schema or constraint.pattern or constraint.choices, constraint.choices)
    return 2 * max(len(str(part).encode()) for part in said) + 200
