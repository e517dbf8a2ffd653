"""Heavy packages are loaded by the modules that use them, when they are used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
from tests.house.source import PACKAGE, ROOT, Import, files, imports, module_name

HEAVY = {
    "torch": ("tunesmith.models.engine", "tunesmith.tuning"),
    "transformers": ("tunesmith.models.engine", "tunesmith.tuning"),
    "peft": ("tunesmith.models.engine", "tunesmith.tuning"),
    "accelerate": (),
    "huggingface_hub": (),
    "llama_cpp": (),
    "lm_eval": (),
    "llguidance": ("tunesmith.models.engine",),
    "sklearn": (),
    "cleanlab": (),
    "pandas": (),
    "py3langid": (),
    "scipy": (),
    "sqlalchemy": ("tunesmith.core.store",),
    "alembic": ("tunesmith.core.store.migrations",),
    "matplotlib": (),
    "openai": (),
    "httpx2": (),
    "sacrebleu": (),
    "pyarrow": (),
    "openpyxl": (),
    "rich": (),
    "jinja2": ("tunesmith.decision.dossier",),
    "starlette": (),
    "uvicorn": (),
    "aiohttp": (),
    "ray": (),
    "psycopg": (),
}
"""The packages whose modules may import each at their top. Everywhere else it is imported inside functions."""

NOT_INSTALLED = {"llama_cpp": ["llama-cpp-python"], "lm_eval": ["lm-eval"]}
"""Distributions of packages that an extra declares and `make install` leaves out."""

DOOR = (
    "torch",
    "transformers",
    "peft",
    "sklearn",
    "cleanlab",
    "py3langid",
    "scipy",
    "sqlalchemy",
    "matplotlib",
    "openai",
    "starlette",
    "rich",
    "pyarrow",
    "openpyxl",
)
"""What the command line does not load before it knows the verb."""


def _in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _top_level(package: str) -> list[Import]:
    return [i for file in files() for i in imports(file) if i.at_top and _in(i.target, package)]


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_is_imported_at_the_top_only_where_listed(package):
    wrong = [
        f"{found.file.relative_to(ROOT)}:{found.line}: import {package} inside the function that needs it"
        for found in _top_level(package)
        if not any(_in(module_name(found.file), room) for room in HEAVY[package])
    ]
    assert wrong == []


def test_the_list_of_heavy_packages_names_rooms_that_exist():
    rooms = {room for rooms in HEAVY.values() for room in rooms}
    assert [room for room in rooms if not (PACKAGE.parent / room.replace(".", "/")).is_dir()] == []


def loaded_after(code: str) -> set[str]:
    """Top-level names in sys.modules after a fresh Python ran ``code``."""
    report = "; import sys; print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "code",
    [
        "import tunesmith",
        "import tunesmith.cli.main",
        "from tunesmith.cli.main import run; assert run(['--help']) == 0",
        "from tunesmith.cli.main import run; assert run(['tune', '--help']) == 0",
        "from tunesmith.cli.main import run; assert run(['no-such-verb']) == 2",
    ],
)
def test_the_door_loads_nothing_heavy(code):
    assert loaded_after(code) & set(DOOR) == set()


@pytest.mark.parametrize("room", ["core", "models", "data", "contenders", "tuning", "evaluation", "decision"])
def test_importing_a_room_loads_nothing_heavy(room):
    assert loaded_after(f"import tunesmith.{room}") & set(DOOR) == set()


def test_the_workspace_loads_the_store_and_no_model():
    loaded = loaded_after("from tunesmith import Workspace; Workspace.init")
    assert loaded & set(DOOR) <= {"sqlalchemy"}


def test_every_package_that_is_imported_is_declared():
    """A dependency that merely comes along with another one can go away with it."""
    declared = _declared()
    names = NOT_INSTALLED | packages_distributions()
    missing = {
        f"{found.file.relative_to(ROOT)}:{found.line}: {top}"
        for file in files()
        for found in imports(file)
        if (top := found.target.partition(".")[0]) not in sys.stdlib_module_names
        and top != "tunesmith"
        and not {name.lower().replace("_", "-") for name in names.get(top, [top])} & declared
    }
    assert missing == set()


def _declared() -> set[str]:
    """Names of all distributions that pyproject.toml asks for, extras included."""
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(a for extra in project["optional-dependencies"].values() for a in extra)]
    return {re.split(r"[\[<>=!~; ]", one)[0].lower().replace("_", "-") for one in asked}
