"""The package's own source, read and not run: files, syntax trees, imports, texts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["PACKAGE", "ROOT", "Import", "files", "imports", "module_name", "tree"]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tunesmith"


class Import(NamedTuple):
    """One imported name: ``from a.b import c`` counts as a.b.c, which may be a module or a name in one."""

    file: Path
    line: int
    target: str
    at_top: bool
    """Whether it runs when the module is loaded: not inside a function, not only for type checkers."""


@cache
def files() -> tuple[Path, ...]:
    """Every Python file of the package."""
    found = tuple(sorted(PACKAGE.rglob("*.py")))
    assert len(found) > 50, f"only {len(found)} files under {PACKAGE}: the tests of the house would hold nothing"
    return found


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


def module_name(file: Path) -> str:
    """tunesmith.core.errors for src/tunesmith/core/errors.py; a package's name for its __init__.py."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports(file: Path) -> tuple[Import, ...]:
    """Every import in ``file``, inside functions too; relative ones made absolute."""
    return tuple(_imports(file, tree(file), at_top=True))


def _imports(file: Path, node: ast.AST, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(file, child.lineno, alias.name, at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = _absolute(file, child)
            yield from (Import(file, child.lineno, f"{base}.{alias.name}", at_top) for alias in child.names)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                inside = True
            yield from _imports(file, child, at_top and not inside)


def _absolute(file: Path, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module_name(file).split(".")
    up = node.level - (file.name == "__init__.py")
    base = package[: len(package) - up]
    return ".".join([*base, node.module] if node.module else base)
