"""Command lines that texts name: found in source, README and docs, and tried with the parser alone."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from tests.house.source import ROOT, files, tree
from typer import Exit
from typer.main import get_command

from tunesmith.cli.app import app
from tunesmith.cli.main import VERBS

__all__ = ["HOLE", "Snippet", "fault", "in_pages", "in_source", "pages"]

HOLE = "HOLE"
"""Stands where an f-string puts a value that is known only at run time."""
QUOTED = re.compile(r"`(?:\$ )?(tunesmith(?: [^`]*)?)`")
DUMMIES = {"N": "1", "...": "", "[DIR]": "DIR", "FILE...": "FILE", "[CONTENDER...]": "", "…": ""}
OF_A_VALUE = ("Invalid value", "is not one of", "is not a valid")


class Snippet(NamedTuple):
    where: str
    line: str
    """As it stands in the text."""
    prose: bool
    """Whether it merely names a verb in running text, where arguments may be left out."""


def pages() -> list[Path]:
    """README, ARCHITECTURE, CONTRIBUTING, docs/ and the change notes."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "changes").glob("*.md"))]


def in_pages() -> Iterator[Snippet]:
    """Lines of code blocks, and what stands between backticks in running text."""
    for page in pages():
        fence = False
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
            where = f"{page.relative_to(ROOT)}:{number}"
            if line.lstrip().startswith("```"):
                fence = not fence
            elif fence and (found := re.match(r"\s*(?:\$ )?((?:\.venv/bin/)?tunesmith .*)", line)):
                yield Snippet(where, found[1], prose=False)
            elif not fence:
                yield from (Snippet(where, text, prose=True) for text in QUOTED.findall(line))


def in_source() -> Iterator[Snippet]:
    """String literals of the package: what is quoted in them, and those that are a command line as a whole."""
    for file in files():
        docstrings, parts = set(_docstrings(tree(file))), set(_parts(tree(file)))
        for node in ast.walk(tree(file)):
            text = _text(node)
            if text is None or id(node) in parts:
                continue
            where = f"{file.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            prose = id(node) in docstrings
            found = QUOTED.findall(text)
            if not prose and re.match(r"\s*tunesmith [-a-z]", text):
                found.append(text.partition(" (")[0].strip())
            yield from (Snippet(where, line, prose) for line in found)


def _docstrings(module: ast.Module) -> Iterator[int]:
    """Ids of the literals that are docstrings, of modules, functions, classes and attributes."""
    for node in ast.walk(module):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield id(node.value)


def _parts(module: ast.Module) -> Iterator[int]:
    """Ids of the literals that are parts of an f-string, which is read as a whole."""
    for node in ast.walk(module):
        if isinstance(node, ast.JoinedStr):
            yield from (id(part) for part in ast.walk(node) if part is not node)


def _text(node: ast.AST) -> str | None:
    """The text of a literal, with HOLE for what an f-string fills in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(p.value) if isinstance(p, ast.Constant) else HOLE for p in node.values)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


@cache
def _parser() -> Any:
    """The whole command line, as `tunesmith` builds it, to parse with and not to run."""
    for verb in VERBS:
        import_module(f"tunesmith.cli.{verb}")
    return get_command(app)


def fault(snippet: Snippet) -> str | None:
    """Why the line would not be understood, or None. Parses only: no verb is run."""
    lines = _alternatives(" ".join(DUMMIES.get(word, word) for word in snippet.line.split()))
    return next((problem for line in lines if (problem := _fault(line, snippet.prose))), None)


def _alternatives(line: str) -> list[str]:
    """`model list|pull|show` is three lines; a pipe into another program ends the line."""
    line = re.split(r" (?:\||>|&&|2>|#) ?", line)[0]
    for word in line.split():
        if re.fullmatch(r"[a-z]+(\|[a-z]+)+", word):
            return [line.replace(word, one) for one in word.split("|")]
    return [line]


def _fault(line: str, prose: bool) -> str | None:
    try:
        arguments = [a for a in shlex.split(line)[1:] if a not in ("--json", "--debug")]
    except ValueError as error:
        return f"{error}"
    group = _parser()
    try:
        context = group.make_context("tunesmith", arguments)
        while hasattr(group, "resolve_command") and (rest := [*context._protected_args, *context.args]):
            name, group, rest = group.resolve_command(context, rest)
            context = group.make_context(name, rest, parent=context)
    except Exit:  # --help and --version end here
        return None
    except Exception as error:  # every kind of fault in a line is one of the parser's exceptions
        message = str(getattr(error, "message", "") or error)
        return None if _excused(message, line, prose) else f"{type(error).__name__}: {message}"
    return None


def _excused(message: str, line: str, prose: bool) -> bool:
    if (
        f"--{HOLE}" in line
        or f"No such command '{HOLE}'" in message
        or (HOLE in message and any(words in message for words in OF_A_VALUE))
        or (HOLE in line and "unable to parse string" in message)
    ):
        return True
    if line.strip() == "tunesmith":
        return True
    bare = message.startswith("Usage:") or "Missing" in message or "requires an argument" in message or not message
    return bare and (prose or len(shlex.split(line)) <= 2)  # `tunesmith add` names the verb
