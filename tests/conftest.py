"""What holds for every test: the fast ones touch no network and no cache of the user's, and know no key."""

from __future__ import annotations

import gc
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

if not os.environ.get("TUNESMITH_TEST_GPU"):  # before PyTorch looks; what the tests expect was computed on a CPU
    os.environ["CUDA_VISIBLE_DEVICES"] = ""

settings.register_profile("tunesmith", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("tunesmith")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so a shell starts what runs in its background
    signal.signal(signal.SIGINT, signal.default_int_handler)

LOOPBACK = ("127.", "::1", "localhost")
USERS_OWN = ("TUNESMITH_HOME", "HF_HOME", "HF_TOKEN", "OPENAI_API_KEY", "HF_HUB_OFFLINE")
"""Variables that may name a user's caches and keys."""

LOADED = pytest.StashKey[Path]()
"""The file of tests whose modules were set apart last."""

_connect, _look_up = socket.socket.connect, socket.getaddrinfo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("TUNESMITH_TEST_GPU"):
        for item in items:
            if item.get_closest_marker("cpu"):
                item.add_marker(pytest.mark.skip(reason="of a CPU alone"))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Round the whole of a fast test, its fixtures of every scope included. Slow tests pull and use the real models."""
    if item.get_closest_marker("slow"):
        return (yield)
    before = {name: os.environ.pop(name, None) for name in USERS_OWN}
    os.environ |= {"TUNESMITH_HOME": _empty_home(item.config), "HF_HUB_OFFLINE": "1"}
    socket.socket.connect, socket.getaddrinfo = _only_loopback, _only_local_names  # type: ignore[method-assign, assignment]
    try:
        return (yield)
    finally:
        socket.socket.connect, socket.getaddrinfo = _connect, _look_up  # type: ignore[method-assign]
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """After a file's first test, set apart what is loaded by then, so that the garbage collector looks at it no more.

    Each run of tuning collects, which with PyTorch and all these tests in memory took longer than the run. Slow tests
    have real models, which must not stay.
    """
    if item.get_closest_marker("slow") or item.config.stash.get(LOADED, None) == item.path:
        return
    item.config.stash[LOADED] = item.path
    gc.collect()
    gc.freeze()


def _empty_home(config: pytest.Config) -> str:
    """One cache folder for all fast tests of a run, with nothing in it at the start."""
    if not hasattr(config, "tunesmith_home"):
        config.tunesmith_home = tempfile.TemporaryDirectory(prefix="tunesmith-tests-")
        config.add_cleanup(config.tunesmith_home.cleanup)
    home: str = config.tunesmith_home.name
    return home


def _only_loopback(self: socket.socket, address: Any) -> None:
    if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(LOOPBACK):
        pytest.fail(f"A fast test reached for the network: {address}. Mark it slow, or use a server on 127.0.0.1.")
    _connect(self, address)


def _only_local_names(host: Any, *rest: Any, **more: Any) -> Any:
    name = host.decode() if isinstance(host, bytes) else host
    if name is not None and not str(name).startswith((*LOOPBACK, "0.0.0.0")):
        pytest.fail(f"A fast test looked up {name}. Mark it slow, or use a server on 127.0.0.1.")
    return _look_up(host, *rest, **more)
