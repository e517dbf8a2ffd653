"""Imports point down: cli > studio > workspace > stages > models > core, and stages never import one another."""

from __future__ import annotations

from collections.abc import Iterator

from tests.house.source import PACKAGE, files, imports, module_name

STAGES = ("data", "contenders", "tuning", "evaluation", "decision", "serving", "production")
RANK = {"core": 0, "models": 1, **dict.fromkeys(STAGES, 2), "workspace": 3, "studio": 4, "cli": 5}
"""Higher may import lower. Of the same rank, a package may import only itself."""
DATA_ONLY = ("catalogue", "examples")
"""Packages that hold files, not code; any layer may read them."""


def imports_between_packages() -> Iterator[tuple[str, str, str]]:
    """(file and line, importing package, imported package) for every import of our own, inside functions too."""
    for file in files():
        here = module_name(file).split(".")[1:2]
        for found in imports(file):
            there = found.target.split(".")
            if here and there[0] == "tunesmith" and len(there) > 1 and (PACKAGE / there[1]).is_dir():
                yield f"{file.relative_to(PACKAGE)}:{found.line}", here[0], there[1]


def test_imports_point_down():
    wrong = [
        f"{file}: {here} imports {there}"
        for file, here, there in imports_between_packages()
        if here in RANK and there in RANK and here != there and RANK[there] >= RANK[here]
    ]
    assert wrong == []


def test_every_package_has_a_rank():
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages - set(DATA_ONLY) <= set(RANK)


def test_the_test_sees_the_imports_it_judges():
    seen = {(here, there) for _, here, there in imports_between_packages()}
    assert {("cli", "workspace"), ("workspace", "core"), ("workspace", "models"), ("contenders", "core")} <= seen


def test_packages_that_hold_files_hold_no_code():
    code = [str(f.relative_to(PACKAGE)) for name in DATA_ONLY for f in (PACKAGE / name).rglob("*.py")]
    assert [c for c in code if not c.endswith("__init__.py")] == []
