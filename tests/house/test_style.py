"""The part of the house's style that a program can see."""

from __future__ import annotations

import ast
import re
import sys

import pytest
from tests.house.source import PACKAGE, ROOT, files, module_name, tree

LONGEST_FILE = 500
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc"}
OF_A_MACHINE = re.compile(r"/(?:home|Users|root|work|opt|mnt|tmp)/\w|[A-Z]:\\\\")


def _relative(found: list[tuple]) -> list[str]:
    return [" ".join(str(part.relative_to(ROOT) if hasattr(part, "parts") else part) for part in row) for row in found]


def test_no_file_is_longer_than_500_lines():
    lengths = [(file, len(file.read_text(encoding="utf-8").splitlines())) for file in files()]
    assert _relative([(file, length) for file, length in lengths if length > LONGEST_FILE]) == []


def test_no_file_has_a_vague_name():
    assert _relative([(path,) for path in PACKAGE.rglob("*") if path.stem in VAGUE]) == []


def test_no_benchmark_is_named_like_a_module_of_the_standard_library():
    """Peers run a file of that folder as a program, and a program's folder comes first where it imports from."""
    assert [p.name for p in (ROOT / "benchmarks").glob("*.py") if p.stem in sys.stdlib_module_names] == []


def test_every_module_says_what_it_is_for():
    assert _relative([(file,) for file in files() if not ast.get_docstring(tree(file)) and _has_code(tree(file))]) == []


def test_every_package_has_a_docstring():
    packages = [file for file in files() if file.name == "__init__.py" and "versions" not in file.parts]
    assert _relative([(file,) for file in packages if not ast.get_docstring(tree(file))]) == []


def test_only_the_command_line_writes_to_the_terminal():
    wrong = []
    for file in files():
        if module_name(file).startswith("tunesmith.cli"):
            continue
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                wrong.append((file, node.lineno))
    assert _relative(wrong) == []


def test_no_path_of_a_machine_is_written_down():
    wrong = [
        (path, number, line.strip()[:80])
        for folder in ("src", "tests", "docs", "scripts", "changes")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".json") and path != ROOT / "tests/house/test_style.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if OF_A_MACHINE.search(line)
    ]
    assert _relative(wrong) == []


def test_except_exception_stands_only_at_doors():
    """A door turns whatever comes into one message; everywhere else the kinds that can come are named."""
    wrong = []
    for file in files():
        for node in ast.walk(tree(file)):
            broad = isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            )
            if broad and not _explained(file, node):
                wrong.append((file, node.lineno, "say in a comment why this is a door"))
    assert _relative(wrong) == []


@pytest.mark.parametrize("file", files(), ids=lambda f: str(f.relative_to(PACKAGE)))
def test_all_names_what_the_module_has(file):
    """``__all__`` is the public face: every name in it is there, and none is private."""
    named = next((ast.literal_eval(n.value) for n in tree(file).body if _is_all(n)), [])
    there = {n.name for n in tree(file).body if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)}
    there |= {
        name.id for n in ast.walk(tree(file)) if isinstance(n, ast.Assign | ast.AnnAssign) for name in _targets(n)
    }
    there |= {
        alias.asname or alias.name for n in ast.walk(tree(file)) if isinstance(n, ast.ImportFrom) for alias in n.names
    }
    assert [name for name in named if name not in there] == []
    assert [name for name in named if name.startswith("_") and name != "__version__"] == []


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.Name]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


def _has_code(module: ast.Module) -> bool:
    return bool(module.body)


def _explained(file, node: ast.ExceptHandler) -> bool:
    """Whether the handler raises again (its error or one of ours), or a comment stands on its line or just above."""
    if any(isinstance(inner, ast.Raise) for inner in ast.walk(node)):
        return True
    lines = file.read_text(encoding="utf-8").splitlines()
    return "#" in lines[node.lineno - 1] or lines[node.lineno - 2].strip().startswith("#")
