"""What CONTRIBUTING.md shows of a check, a metric and a contender works as it stands there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.house.source import PACKAGE, ROOT
from tests.house.walking import blocks

SHOWN = [block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.kind == "python"]

TRIED = {
    "@check(": """
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.data.checks import run_checks
from tunesmith.data.config import ChecksConfig
task = Task(name="t", fields=(Field(name="reply", type="text"),), format="plain")
loud, calm = (Example.make((Message(role="user", content=t),), "yes") for t in ("WHERE IS IT", "where"))
found = run_checks(Material(examples=(loud, calm), task=task, config=ChecksConfig()), ["shouting"])
assert [f.examples for f in found] == [(loud.id,)], found
""",
    "@metric(": """
from tunesmith.core.contenders import Answer
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
task = Task(name="t", fields=(Field(name="reply", type="text"),), format="plain")
rows = [Example.make((Message(role="user", content=t),), "ten letters") for t in "ab"]
said = [Answer(contender="c", example=e.id, text=t, fields={"reply": t}) for e, t in zip(rows, ["ten digits.", "no"])]
estimate = metric["same_length"](Scored.of(task, rows, said))
assert (estimate.value, estimate.n) == (0.5, 2), estimate
""",
    "@contender_kind(": """
assert "polite" in contender_kind
assert callable(Polite.make) and callable(Polite.prepare)
""",
}
"""What is done with each, by the decorator it shows."""


@pytest.mark.parametrize("decorator", TRIED)
def test_the_extension_that_is_shown_works(decorator):
    shown = [text for text in SHOWN if decorator in text]
    assert len(shown) == 1
    done = subprocess.run(
        [sys.executable, "-"], input=shown[0] + TRIED[decorator], text=True, capture_output=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_python_block_is_tried():
    assert len(SHOWN) == len(TRIED)


def test_the_pages_tables_name_every_check_and_metric():
    from tunesmith.data.checks import check
    from tunesmith.evaluation.metrics import metric

    metric.adopt(())  # a test before this one may have left a user's own metrics
    for registry, page in ((check, "checks"), (metric, "evaluation")):
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        assert [name for name in registry if f"`{name}`" not in text] == [], f"docs/{page}.md"


def test_the_folders_that_contributors_are_sent_to_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for folder in ("data/checks", "evaluation/metrics", "contenders"):
        assert f"src/tunesmith/{folder}/" in text
        assert (PACKAGE / folder).is_dir()
