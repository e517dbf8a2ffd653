"""Every command that an error text, a docstring or a page tells people to type is one that the command line has."""

from __future__ import annotations

import pytest
from tests.house.commands import Snippet, fault, in_pages, in_source


def _refused(snippets: list[Snippet]) -> list[str]:
    return [f"{s.where}: `{s.line}`: {problem}" for s in snippets if (problem := fault(s))]


def test_every_command_named_in_the_source_parses():
    snippets = list(in_source())
    assert len(snippets) > 60
    assert _refused(snippets) == []


def test_every_command_named_in_readme_and_docs_parses():
    snippets = list(in_pages())
    assert len(snippets) > 60
    assert _refused(snippets) == []


@pytest.mark.parametrize(
    "line",
    [
        "tunesmith fly",
        "tunesmith split --sideways",
        "tunesmith evaluate --on train",
        "tunesmith split --seed soon",
        "tunesmith -C work init --kind extraction",
        "tunesmith model push smollm2-135m",
        "tunesmith status extra",
        "tunesmith add 'FILE",
    ],
)
def test_a_line_that_would_be_refused_is_noticed(line):
    assert fault(Snippet("here", line, prose=False))


@pytest.mark.parametrize(
    "line",
    [
        "tunesmith -C DIR ...",
        "tunesmith --json status",
        "tunesmith add FILE --side HOLE",
        "tunesmith model pull|show NAME",
        "tunesmith init desk --from tickets.csv --prompt text --completion label && cd desk",
        "tunesmith evaluate --json | head -n 1",
    ],
)
def test_a_good_line_passes(line):
    assert fault(Snippet("here", line, prose=False)) is None
