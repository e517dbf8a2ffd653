"""An OpenAI-compatible server on loopback whose every answer the test decides."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

__all__ = ["FakeServer", "Said", "refusal", "says", "streams"]


class Said(NamedTuple):
    """One HTTP response. ``body`` may come in pieces, with a pause before each; ``cut`` closes before it is whole."""

    status: int = 200
    body: bytes | list[bytes] = b""
    headers: dict[str, str] = {}
    pause_seconds: float = 0.0
    cut: bool = False


def says(text: str | None, *, finish: str = "stop", prompt: int = 10, completion: int = 5, refused: str | None = None,
         usage: bool = True) -> Said:  # fmt: skip
    """A chat completion."""
    message = {"role": "assistant", "content": text, "refusal": refused}
    whole: dict[str, Any] = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m"}
    whole["choices"] = [{"index": 0, "message": message, "finish_reason": finish}]
    if usage:
        whole["usage"] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return Said(body=json.dumps(whole).encode())


def streams(pieces: list[str], *, finish: str | None = "stop", pause_seconds: float = 0.0) -> Said:
    """The same as server-sent events, with usage in a last chunk of its own."""
    frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces)]
    chunks = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    if finish:
        chunks.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        chunks.append(
            {**frame, "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}
        )
    body = [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks]
    if finish:
        body.append(b"data: [DONE]\n\n")
    return Said(body=body, headers={"Content-Type": "text/event-stream"}, pause_seconds=pause_seconds)


def refusal(status: int, message: str, headers: dict[str, str] | None = None, **error: Any) -> Said:
    """An error in OpenAI's shape."""
    return Said(status, json.dumps({"error": {"message": message, **error}}).encode(), headers or {})


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # five by default: a client of the sixth call at once waits a second to knock again


class FakeServer:
    """``with FakeServer(answer) as server``: ``answer(body, number)`` gets the JSON sent and a count from 0."""

    def __init__(self, answer: Callable[[dict[str, Any], int], Said]) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.busiest = 0
        self._answer, self._busy, self._lock = answer, 0, threading.Lock()
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> FakeServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _enter(self, headers: dict[str, str], body: dict[str, Any]) -> int:
        with self._lock:
            self.bodies.append(body)
            self.headers.append(headers)
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
            return len(self.bodies) - 1

    def _leave(self) -> None:
        with self._lock:
            self._busy -= 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                number = outer._enter({k.lower(): v for k, v in self.headers.items()}, body)
                said, leave = outer._answer(body, number), ExitStack()
                leave.callback(outer._leave)
                with leave, suppress(BrokenPipeError, ConnectionResetError):  # the client had enough
                    _send(self, said, leave.close)

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


def _send(handler: BaseHTTPRequestHandler, said: Said, leave: Callable[[], None]) -> None:
    """``leave`` is called before the last bytes: who has them may ask again at once."""
    pieces = said.body if isinstance(said.body, list) else [said.body]
    length = sum(map(len, pieces)) + (100 if said.cut else 0)
    handler.send_response(said.status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(length), **said.headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    for left, piece in zip(range(len(pieces) - 1, -1, -1), pieces, strict=True):
        time.sleep(said.pause_seconds)
        if not left:
            leave()
        handler.wfile.write(piece)
        handler.wfile.flush()
