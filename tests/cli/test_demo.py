"""`tunesmith demo` from an installed wheel, outside of any clone: interrupted, gone on with, and looked at again.

Tiny random models stand in for the real ones, so its figures mean nothing; that it walks the whole road does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.house.wheels import build_wheel, installed
from tests.models.stand_ins import stand_ins

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """A folder with an unpacked wheel and a cache of models; a function that starts the command line there."""
    folder = tmp_path_factory.mktemp("outside")
    begin, home = installed(build_wheel(folder / "dist"), folder / "site"), stand_ins(folder / "home")
    env = os.environ | {"TUNESMITH_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*begin, *arguments], cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return folder, start


@pytest.fixture(scope="module")
def walked(outside):
    """Interrupted in its longest step, then run to its end, then run once more."""
    folder, start = outside
    first = start("demo", "desk")
    run = folder / "desk" / ".tunesmith" / "runs"
    deadline = time.monotonic() + 600
    while not list(run.glob("*/log.jsonl")) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    first.send_signal(signal.SIGINT)
    interrupted = (*first.communicate(timeout=60), first.returncode)
    second = start("demo", "desk")
    ended = (*second.communicate(timeout=900), second.returncode)
    began = time.monotonic()
    third = start("demo", "desk", "--json")
    again = (*third.communicate(timeout=120), third.returncode)
    return folder, interrupted, ended, again, time.monotonic() - began


def test_an_interrupted_demo_says_so_in_one_line(walked):
    _, (out, err, status), *_ = walked
    assert (out, status) == ("", 130)
    assert "Traceback" not in err
    assert "[6/9] tune" in err


def test_run_again_it_goes_on_and_ends_with_decision_dossier_and_what_to_try_next(walked):
    folder, _, (out, err, status), *_ = walked
    assert status == 0, err
    assert err.count("done before") == 4  # examples, checks, split and baselines
    for name in ("constant", "classifier", "prompt+schema", "few_shot", "retrieval+schema", "tuned", "tuned+schema"):
        assert name in out
    assert "Decision: " in out
    after = out.split("Try next:\n")[1]
    assert len(after.splitlines()) == 3
    dossier = out.split("Dossier (")[1].splitlines()[0].split(": ")[1]
    assert (folder / dossier).read_text(encoding="utf-8").startswith("<!doctype html>")


def test_the_next_commands_run(walked, outside):
    _, start = outside
    _, _, (out, *_), *_ = walked
    for line in out.split("Try next:\n")[1].splitlines():
        words = line.split()
        assert words[0] == "tunesmith"
        if "examples.csv" in words:  # the reader's own file
            continue
        ran = start(*words[1:])
        _, err = ran.communicate(timeout=120)
        assert ran.returncode in (0, 1), err


def test_a_third_time_nothing_is_done_and_the_same_is_told(walked):
    _, _, (out, *_), (again, err, status), _ = walked
    assert status == 0, err
    told = json.loads(again)
    assert {"workspace", "seconds", "contenders", "decision", "dossier"} <= told.keys()
    assert set(told["steps"]) <= {"models"}
    assert f"Decision: {told['decision']}" in out
    assert Path(told["dossier"]).is_file()
