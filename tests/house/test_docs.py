"""The pages do what they say: every command in them is run, in order, in one workspace, and its output compared.

A tiny random model stands in SmolLM2's place, so it shows that each command runs and ends as the page says.
"""

from __future__ import annotations

import pytest
import yaml
from tests.house.source import ROOT
from tests.house.walking import NOT_RUN, Reader, blocks
from tests.models.stand_ins import stand_ins

from tunesmith.workspace.settings import Settings, load_settings

DOCS = ROOT / "docs"
ROAD = (
    "task",
    "examples",
    "checks",
    "review",
    "split",
    "contenders",
    "retrieval",
    "tuning",
    "forgetting",
    "evaluation",
    "errors",
    "judge",
    "decision",
    "dossier",
    "export",
)
"""Pages in the order of the road: each goes on where the one before ended."""
APART = ("models", "preferences", "rating")
"""Pages with commands that need none of the others."""
NO_COMMANDS = ("settings", "benchmarks", "experiments", "clusters")
"""Pages without commands of the road: made by a script, figures beside their commands, or what needs other machines."""


class Walk:
    """Reads the pages in order, each once, and remembers how that went."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.read: dict[str, int] = {}
        self.stuck: str | None = None

    def to(self, page: str) -> int:
        for name in (page,) if page in APART else ROAD[: ROAD.index(page) + 1]:
            if name in self.read:
                continue
            if self.stuck and page not in APART:
                pytest.fail(f"docs/{self.stuck}.md, which comes before, does not run to its end")
            stuck, self.stuck = self.stuck, name
            self.read[name] = self.reader.read(DOCS / f"{name}.md")
            self.stuck = stuck
        return self.read[page]


@pytest.fixture(scope="module")
def fast_walk(tmp_path_factory):
    return Walk(Reader(tmp_path_factory.mktemp("pages"), stand_ins(tmp_path_factory.mktemp("home"))))


@pytest.mark.parametrize("page", [*ROAD, *APART])
def test_every_command_of_the_page_runs(page, fast_walk):
    assert fast_walk.to(page) > 0


def test_every_page_is_one_of_the_road_or_listed():
    assert {page.stem for page in DOCS.glob("*.md")} <= {*ROAD, *APART, *NO_COMMANDS}


@pytest.mark.parametrize("page", [*sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("*.md"))], ids=lambda p: p.name)
def test_only_installation_is_left_out(page):
    for block in blocks(page):
        assert block.kind in ("console", "sh", "python", "yaml", "json", "text", "csv"), (
            f"{block.where}: {block.kind!r}"
        )
        if block.kind in ("console", "sh") and not block.is_run:
            words = [line.removeprefix("$ ").split()[0] for line in block.text.splitlines() if line.strip()]
            assert set(words) <= set(NOT_RUN), f"{block.where}: {set(words) - set(NOT_RUN)} can be run"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda p: p.name)
def test_every_piece_of_settings_is_valid(page, tmp_path):
    """What a page shows of tunesmith.yaml is laid over the bundled example's file, which must stay readable."""
    base = yaml.safe_load((ROOT / "src/tunesmith/examples/support_desk/tunesmith.yaml").read_text(encoding="utf-8"))
    for block in blocks(page):
        if block.kind != "yaml" or any(mark.startswith("not settings:") for mark in block.marks):
            continue
        shown = yaml.safe_load(block.text)
        file = tmp_path / "tunesmith.yaml"
        file.write_text(yaml.safe_dump(base | shown), encoding="utf-8")
        assert isinstance(load_settings(file), Settings), block.where


def test_the_page_of_settings_is_current():
    from scripts.settings_page import page

    written = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert written == page(), "write it anew with `python scripts/settings_page.py`"


def test_links_between_pages_lead_somewhere():
    import re

    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in [*DOCS.glob("*.md"), *ROOT.glob("*.md")]
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []
