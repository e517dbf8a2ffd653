"""The export through vLLM itself: its `serve.sh` is run with the user's own vLLM, and the server is asked.

vLLM lives in an environment of its own, so nothing of it is imported: what is tried is what is handed on, the script
with its flags, over HTTP. The server listens on this machine alone, and is stopped when all is asked.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tunesmith.core.bound_process import bound_process
from tunesmith.core.errors import ServiceError, TunesmithError
from tunesmith.models.template import Template
from tunesmith.tuning.export.source import Asked

__all__ = ["NAME", "Served", "command", "served"]

NAME = "vLLM"
STARTS_S = 3600.0
"""Large models are read for minutes; one that dies is seen at once."""
ANSWERS_S = 600.0
TAKEN = 0.9
"""Share of the GPU's free memory that the server may take: where less is free than it asks for, vLLM does not begin."""

_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The server is on this machine, whatever proxy the environment names."""


def command(name: str) -> Path:
    """The vLLM command that ``name`` names: a path, or one on the PATH.

    Raises:
        TunesmithError: There is none.
    """
    found = shutil.which(name)
    if found is None:
        named = Path(name)
        what = f"There is no command {name} that could serve the export."
        if name and named.is_dir():
            what = f"{name} is a folder, not the vllm command."
        elif named.is_file():
            what = f"{name} may not be executed."
        raise TunesmithError(
            what, "name the vllm command of the environment that holds vLLM, without flags: `--vllm DIR/bin/vllm`"
        )
    return Path(found).absolute()


class Served(NamedTuple):
    """A server that runs."""

    address: str

    def log_probabilities(self, model: str, asked: Sequence[Asked]) -> list[list[float]]:
        """Of the tokens of each completion in ``asked``, by the ``model`` that the server knows under this name."""
        found = []
        for row in asked:
            body = {"model": model, "prompt": list(row.ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
            answer = self._ask("/v1/completions", body)
            with _understood("how likely it finds the prompt's tokens", answer):
                told = answer["choices"][0]["prompt_logprobs"]
                figures = [float(told[at][str(row.ids[at])]["logprob"]) for at in range(row.first, len(row.ids))]
                if not all(map(math.isfinite, figures)):
                    raise ValueError
            found.append(figures)
        return found

    def same_ids(self, model: str, template: Template, asked: Sequence[Asked]) -> bool:
        """Whether the server writes the messages as the prompts that were measured, by its own template and tokenizer.

        Messages that spell a control token are passed over: the server would read it as the token.
        """
        for row in asked:
            if any(template.spells_control(message.content) for message in row.messages):
                continue
            messages = [{"role": m.role, "content": m.content} for m in template.as_shown(row.messages)]
            answer = self._ask("/tokenize", {"model": model, "messages": messages})
            with _understood("which tokens the messages become", answer):
                ids = list(answer["tokens"])
            if ids != list(row.ids[: row.first]):
                return False
        return True

    def _ask(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        try:
            with _DIRECT.open(request, timeout=ANSWERS_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace")
            raise ServiceError(
                f"vLLM answers {path} with status {error.code}: {said}", "mend what it names, or leave out --vllm"
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            raise ServiceError(
                f"vLLM's server gave no whole answer to {path}: {error}.", "start again, or leave out --vllm"
            ) from error


@contextmanager
def _understood(what: str, answer: Any) -> Iterator[None]:
    """Within the block, an ``answer`` is read that should say ``what``."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ServiceError(
            f"vLLM's answer does not say {what}: {str(answer)[:300]}",
            "use a vLLM whose server knows prompt_logprobs and /tokenize (0.20.2 was tried), or leave out --vllm",
        ) from error


@contextmanager
def served(folder: Path, base: Path, vllm: Path) -> Iterator[Served]:
    """`serve.sh` in ``folder``, running until the block ends.

    Args:
        folder: The export.
        base: Folder of its base model.
        vllm: vLLM's command.

    Raises:
        ServiceError: The server does not start; its own words are in the message.
    """
    port = _free_port()
    flags = ["--host", "127.0.0.1", "--port", str(port), "--enforce-eager", *_memory()]
    own = {"BASE": str(base.absolute()), "VLLM": str(vllm), "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    inherited = {name: value for name, value in os.environ.items() if name != "VLLM_API_KEY"}  # it would ask for it
    with (
        tempfile.TemporaryFile() as log,
        bound_process(["/bin/sh", folder / "serve.sh", *flags], inherited | own, log) as server,
    ):
        address = f"http://127.0.0.1:{port}"
        _wait(server, address, log, vllm)
        yield Served(address)


def _memory() -> list[str]:
    """How much of the GPU the server may have beside what else is on it."""
    if not torch.cuda.is_available():
        return []
    torch.cuda.empty_cache()
    free, whole = torch.cuda.mem_get_info()
    return ["--gpu-memory-utilization", f"{TAKEN * free / whole:.3f}"]


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def _wait(server: subprocess.Popen[bytes], address: str, log: Any, vllm: Path) -> None:
    until = time.monotonic() + STARTS_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise ServiceError(
                f"vLLM does not serve the export: {_last_words(log)}",
                f"mend what it names (`{shlex.quote(str(vllm))} serve --help`), or leave out --vllm: then only PEFT "
                f"loads the export again",
            )
        with suppress(OSError, HTTPException), _DIRECT.open(f"{address}/health", timeout=5):
            return
        time.sleep(0.2)
    raise ServiceError(f"vLLM has not begun to serve after {STARTS_S / 60:.0f} minutes.", "leave out --vllm")


def _last_words(log: Any) -> str:
    """The error that a server's output ends with; where one process tells of another's, what that one said."""
    log.seek(0)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", log.read().decode("utf-8", "replace")).splitlines()
    errors = [found[0] for line in lines if (found := re.search(r"\b\w*(?:Error|Exception|error): .+", line))]
    causes = [error for error in errors if "root cause" not in error]
    said = [line.strip() for line in lines if line.strip()]
    return (causes or errors or said or ["it ended without a word"])[-1][:500]
