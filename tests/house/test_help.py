"""`tunesmith --help` is the first thing a newcomer sees."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tunesmith import __version__
from tunesmith.cli.main import VERBS


def tunesmith(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tunesmith", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_help_lists_every_verb_in_the_order_of_the_road():
    done = tunesmith("--help")
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", done.stdout.partition("Commands:")[2], flags=re.MULTILINE)
    assert done.returncode == 0, done.stderr
    assert sorted(listed) == sorted(VERBS)
    road = ["init", "add", "check", "split", "baseline", "tune", "evaluate", "decide", "report"]
    assert [verb for verb in listed if verb in road] == road


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_what_it_does(verb, capsys):
    from tunesmith.cli.main import run

    assert run([verb, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"tunesmith {verb}" in said
    assert len(said.splitlines()) > 4


def test_without_a_verb_the_help_is_shown():
    assert "Commands:" in tunesmith().stdout + tunesmith().stderr


def test_the_version_is_the_packages():
    assert tunesmith("--version").stdout == f"tunesmith {__version__}\n"


def test_a_verb_that_is_not_there_ends_with_2_and_a_mend():
    done = tunesmith("no-such-verb")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no-such-verb" in done.stderr
    assert "To mend it" in done.stderr
