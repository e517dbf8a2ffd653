"""Metrics of users' own: a Python file that `tunesmith.yaml` names, loaded only by users who said that they trust it.

Trust is kept beside the pulled models, per user, as hashes of files: a changed file is another file. Only verbs that
people type call this.
"""

from __future__ import annotations

import hashlib
import json
import sys
import types
from contextlib import redirect_stdout
from pathlib import Path

from tunesmith.core.errors import TunesmithError, UnknownName
from tunesmith.core.files import cache_folder, write_whole
from tunesmith.evaluation.metrics.naming import find
from tunesmith.evaluation.metrics.own import own_metrics_in
from tunesmith.evaluation.metrics.registry import metric
from tunesmith.workspace.home import Home

__all__ = ["load_own_metrics", "make_known", "own_metrics_changed"]

TRUSTED = "trusted.json"


def load_own_metrics(home: Home, *, trust: bool = False) -> str | None:
    """Make the workspace's own metrics known, in place of those of any other workspace.

    Args:
        trust: The user says that the file, as it is now, may be run; it is remembered.

    Returns:
        The file's hash; None where the workspace names no file.

    Raises:
        TunesmithError: The file is missing, not trusted, cannot be run, or holds no metric.
    """
    metric.adopt(())
    name = home.settings.evaluation.own_metrics
    if name is None:
        return None
    path = home.root / name
    content = _content(path)
    found = hashlib.sha256(content).hexdigest()
    if trust:
        _remember(found)
    elif found not in _trusted():
        raise TunesmithError(
            f"{path} holds code that you have not trusted as it is now, so it was not run.",
            "read it; if it may run on this machine, type `tunesmith evaluate --trust-code`",
        )
    metric.adopt(own_metrics_in(_run(path, content)))
    if not any(one.own for one in metric.values()):
        raise TunesmithError(
            f"{path} holds no metric.", 'put `@own_metric("NAME")` above a function in it, see docs/evaluation.md'
        )
    return found[:16]


def make_known(home: Home, name: str, *, trust: bool = False) -> None:
    """Load the workspace's own metrics where ``name`` is one of them: who computes another needs to trust nothing.

    Args:
        trust: As in `load_own_metrics`.

    Raises:
        TunesmithError: It is one of them, and they cannot be loaded (`load_own_metrics`).
    """
    metric.adopt(())
    try:
        find(home.task, name)
    except UnknownName:
        load_own_metrics(home, trust=trust)


def own_metrics_changed(home: Home, measured: str | None) -> bool:
    """Whether the file is not the one that an evaluation was made with; it is not run."""
    name = home.settings.evaluation.own_metrics
    path = home.root / (name or "")
    if name is None or not path.is_file():
        return measured is not None
    return hashlib.sha256(_content(path)).hexdigest()[:16] != measured


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TunesmithError(
            f"{path} cannot be read: {error.strerror}.", "name the file under evaluation.own_metrics in tunesmith.yaml"
        ) from error


def _run(path: Path, content: bytes) -> dict[str, object]:
    """What the very bytes that were trusted define."""
    module = types.ModuleType(f"own_metrics_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look for it
    try:
        with redirect_stdout(sys.stderr):  # stdout is for what the verb says
            exec(compile(content, str(path), "exec", dont_inherit=True), module.__dict__)
    except (Exception, SystemExit, GeneratorExit) as error:  # somebody else's code
        del sys.modules[module.__name__]
        raise TunesmithError(
            f"{path} cannot be loaded: {type(error).__name__}: {error}.", f"mend {path}, then run it with --trust-code"
        ) from error
    return module.__dict__


def _trusted() -> list[str]:
    try:
        hashes = json.loads((cache_folder() / TRUSTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return hashes if isinstance(hashes, list) else []


def _remember(found: str) -> None:
    hashes = _trusted()
    if found not in hashes:
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_whole(cache_folder() / TRUSTED, json.dumps([*hashes, found]).encode())
