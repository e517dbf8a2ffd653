"""Bad input ends with one clear message, the right exit status, nothing lost and nothing half-written."""

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tests.cli.driving import command, tunesmith, typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace

GOOD = {"messages": [{"role": "user", "content": "where is my parcel"}, {"role": "assistant", "content": "shipping"}]}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A workspace with sixty toy examples and a tiny model, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    model = build_tiny(folder / "tiny")
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(
        folder / "desk",
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 12, "batch_size": 4, "rank": 2},
    )
    return folder / "desk"


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


def count(desk):
    return Workspace(desk).home.store.counts()[0]


def one_message(ended):
    """The message a user sees: no traceback, and it says how to mend."""
    assert "Traceback" not in ended.err
    assert ended.err.count("To mend it:") == 1
    return ended.err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.jsonl", b"", "no rows"),
        ("blank.csv", b"\n\n", "no rows"),
        ("binary.jsonl", bytes(range(256)) * 50, ""),
        ("no_column.csv", b"question,answer\nwhere,shipping\n", "column"),
        ("unknown.docx", b"PK\x03\x04", ""),
    ],
)
def test_a_file_that_cannot_be_read_at_all_adds_nothing(desk, tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    extra = ["--map", "prompt=text"] if name == "no_column.csv" else []
    ended = tunesmith("-C", desk, "add", path, *extra)
    assert ended.status == 2, ended.err
    assert says in one_message(ended)
    assert count(desk) == 60


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"messages": [{"role": "user", "cont', "JSON"),
        (b'{"prompt": "caf\xe9", "completion": "shipping"}', "UTF-8"),
        (json.dumps({"messages": list(reversed(GOOD["messages"]))}).encode(), "assistant"),
        (json.dumps({"messages": GOOD["messages"][:1]}).encode(), "assistant"),
        (json.dumps({"prompt": "where", "completion": "cargo"}).encode(), "cargo"),
        (json.dumps({"prompt": "where", "completion": ""}).encode(), "completion"),
        (json.dumps({"prompt": " ", "completion": "shipping"}).encode(), "prompt"),
        (b"[1, 2, 3]", ""),
    ],
)
def test_a_bad_row_is_set_aside_with_its_line_and_the_good_ones_are_added(desk, tmp_path, line, says):
    path = tmp_path / "rows.jsonl"
    good = json.dumps(GOOD | {"messages": [{"role": "user", "content": "is the van late"}, GOOD["messages"][1]]})
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n" + good.encode() + b"\n")
    # the first row's format tells how the file is read, so the bad row is given in the same shape where it can be
    if b'"prompt"' in line:
        rows = [
            {"prompt": "is the van late", "completion": "shipping"},
            {"prompt": "lost box", "completion": "shipping"},
        ]
        path.write_bytes(b"\n".join([json.dumps(rows[0]).encode(), line, json.dumps(rows[1]).encode()]) + b"\n")
    ended = tunesmith("-C", desk, "add", path, "--json")
    assert ended.status == 0, ended.err
    report = ended.json
    assert [r["line"] for r in report["rejected"]] == [2]
    assert says in report["rejected"][0]["problem"]
    assert report["rejected"][0]["mend"]
    assert report["read"] == report["added"] + report.get("duplicates", 0) + 1 == 3


def test_two_hundred_megabytes_in_one_line_are_set_aside_in_little_memory(desk, tmp_path):
    path = tmp_path / "huge.jsonl"
    with path.open("wb") as file:
        file.write(b'{"prompt": "' + b"x" * 200_000_000 + b'", "completion": "shipping"}\n')
        file.write(json.dumps({"prompt": "is the van late", "completion": "shipping"}).encode() + b"\n")
    script = (
        "import resource, subprocess, sys; p = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE);"
        "print(p.stdout.decode().strip()); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, *command("-C", desk, "add", path, "--json")], capture_output=True, text=True
    )
    report, peak = ran.stdout.splitlines()
    assert [r["line"] for r in json.loads(report)["rejected"]] == [1]
    assert json.loads(report)["added"] == 1
    assert int(peak) * 1024 < 500 * 2**20


def test_a_workspace_of_a_newer_release_is_left_alone(desk):
    write_settings(desk, version=99)
    ended = tunesmith("-C", desk, "status")
    assert ended.status == 2
    assert "newer release" in one_message(ended)


def test_an_unknown_key_is_refused_with_the_near_one(desk):
    write_settings(desk, modle={"base": "x"})
    ended = tunesmith("-C", desk, "status")
    assert ended.status == 2
    assert "'modle'" in one_message(ended)
    assert "'model'" in ended.err


def test_the_next_command_can_be_typed_where_a_folder_has_a_space(tmp_path):
    desk = tmp_path / "my desk"
    made = typed("init", desk, "--kind", "generation")
    following = shlex.split(made.out.rpartition("Next: ")[2])
    assert (following[:3], typed(*following[1:]).status) == (["tunesmith", "-C", str(desk)], 0)
    again = typed("init", desk, "--kind", "generation")
    assert f"`tunesmith -C '{desk}' status`" in again.err


def test_a_folder_that_is_no_workspace_says_how_to_begin_one(tmp_path):
    ended = tunesmith("-C", tmp_path, "status")
    assert ended.status == 2
    assert "tunesmith init" in one_message(ended)


def test_a_base_model_that_is_not_there_is_named_with_the_way_to_get_it(desk):
    write_settings(desk, model={"base": "smollm2-135m", "embedder": "ngrams"})
    assert tunesmith("-C", desk, "split").status == 0
    ended = tunesmith("-C", desk, "baseline", "prompt")
    assert ended.status == 2
    assert "tunesmith model pull smollm2-135m" in one_message(ended)
    write_settings(desk, model={"base": "smolm2-135m", "embedder": "ngrams"})
    assert "smollm2-135m" in one_message(tunesmith("-C", desk, "baseline", "prompt"))


def test_a_wrong_flag_and_a_wrong_verb_end_with_two(desk):
    assert tunesmith("-C", desk, "split", "--tset", "0.2").status == 2
    assert tunesmith("-C", desk, "evalaute").status == 2


def test_with_json_an_error_is_one_object_too(tmp_path):
    ended = tunesmith("-C", tmp_path, "status", "--json")
    assert ended.status == 2
    assert ended.json["error"]["mend"]


def test_a_full_disk_keeps_what_was_there(desk, tmp_path):
    """A file-size limit stands in for the disk: the write fails at the same place, with the same care asked for."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"prompt": f"{n} {'y' * 500}", "completion": "shipping"}) + "\n" for n in range(9000))
    )

    def limited():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    ran = subprocess.run(command("-C", desk, "add", rows), capture_output=True, text=True, preexec_fn=limited)
    assert ran.returncode == 2, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "To mend it" in ran.stderr
    assert count(desk) == 60


def start(*arguments, cwd=None):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_ctrl_c_while_reading_adds_nothing_and_the_same_command_works_afterwards(desk, tmp_path):
    rows = tmp_path / "rows.jsonl"
    with rows.open("w") as file:
        file.writelines(
            json.dumps({"prompt": f"parcel {n} is late", "completion": "shipping"}) + "\n" for n in range(60_000)
        )
    process = start("-C", desk, "add", rows)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert process.returncode in (130, 0)  # 0: this machine was faster than the interrupt
    assert count(desk) in (60, 60_060)
    assert tunesmith("-C", desk, "add", rows).status == 0
    assert count(desk) == 60_060


TUNE = ("tune", "--anyway", "--no-forgetting", "--name")


@pytest.fixture
def tuning(desk):
    """A tuning run in a process of its own that has learnt some steps, and its folder."""
    ready(desk)
    folder = desk / ".tunesmith" / "runs" / "long"
    process = start("-C", desk, *TUNE, "long")
    deadline = time.monotonic() + 120
    while not steps(folder) and time.monotonic() < deadline:
        time.sleep(0.02)
    yield process, folder
    process.kill()
    process.communicate()


def ready(desk):
    assert typed("-C", desk, "check").status in (0, 1)
    assert typed("-C", desk, "split").status == 0


@pytest.fixture(scope="module")
def uninterrupted(template, tmp_path_factory):
    """What a run that nobody interrupts ends with: the content of its adapter's files."""
    desk = shutil.copytree(template, tmp_path_factory.mktemp("uninterrupted") / "desk")
    ready(desk)
    assert tunesmith("-C", desk, *TUNE, "whole").status == 0
    return contents(desk / ".tunesmith" / "runs" / "whole" / "adapter")


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def steps(folder):
    """The steps in a run's log, each as often as it stands there."""
    if not (folder / "log.jsonl").exists():
        return []
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines() if line.endswith("}")]
    return [line["step"] for line in lines if "train_loss" in line]


def test_a_second_process_waits_its_turn_in_tuning(desk, tuning):
    other = typed("-C", desk, *TUNE, "other")
    assert other.status == 2
    assert "Another process" in one_message(other)


@pytest.mark.parametrize(("how", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "kill -9"])
def test_an_interrupted_run_goes_on_where_it_was(desk, tuning, uninterrupted, how, status):
    process, folder = tuning
    process.send_signal(how)
    _, err = process.communicate(timeout=120)
    assert (process.returncode, "Traceback" in err) == (status, False), err
    learnt = steps(folder)
    assert learnt and not (folder / "result.json").exists()
    ended = tunesmith("-C", desk, *TUNE, "long", "--resume", "--json")
    assert ended.status == 0, ended.err
    assert steps(folder) == list(range(1, ended.json["steps"] + 1))
    assert len(learnt) < ended.json["steps"]
    assert contents(folder / "adapter") == uninterrupted


def test_an_interrupted_run_is_finished_with_what_it_has(desk, tuning):
    process, folder = tuning
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    learnt = steps(folder)
    refused = typed("-C", desk, *TUNE, "other", "--finish")
    assert (refused.status, "no interrupted run to finish in other" in one_message(refused)) == (2, True)
    ended = typed("-C", desk, *TUNE, "long", "--finish", "--json")
    assert ended.status == 0, ended.err
    assert (ended.json["steps"], ended.json["stopped_early"]) == (len(learnt), True)
    assert ended.json["best_step"] <= len(learnt)


def test_ctrl_c_at_any_moment_of_the_start_ends_quietly(desk):
    for pause in (0.15, 0.4, 0.8):
        process = start("-C", desk, "check")
        time.sleep(pause)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode in (130, 0, 1)
        assert "Traceback" not in err


def test_ctrl_c_while_contenders_answer_keeps_the_answers_that_are_there(desk):
    assert typed("-C", desk, "split").status == 0
    home = Workspace(desk).home
    process, deadline = start("-C", desk, "baseline", "prompt", "retrieval"), time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if any(home.store.answers(entry.hash) for entry in home.index("contender")):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, 0)  # 0: this machine was faster than the interrupt
    assert "Traceback" not in err
    ended = typed("-C", desk, "baseline", "prompt", "retrieval", "--json")
    assert ended.status == 0, ended.err
    assert {c.get("failed", 0) for c in ended.json["contenders"].values()} == {0}


def test_an_interrupt_ends_with_one_object_that_says_what_to_do(monkeypatch, desk):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(Workspace, "status", interrupted)
    ended = typed("-C", desk, "status", "--json")
    assert ended.status == 130
    assert "run the same command again" in ended.json["error"]["mend"]
    assert "run the same command again" in one_message(typed("-C", desk, "status"))


def test_a_record_that_was_changed_by_hand_decides_nothing(desk):
    for verb in (("check",), ("split",), ("baseline", "constant", "classifier"), ("evaluate", "--on", "test")):
        assert typed("-C", desk, *verb).status in (0, 1)
    write_settings(desk, bar={"metric": "accuracy", "value": 0.99})
    assert typed("-C", desk, "decide", "--gate").status == 1
    for file in (desk / ".tunesmith" / "evaluation").glob("*.json"):
        record = json.loads(file.read_bytes())
        for scored in record["contenders"].values():
            scored["metrics"]["accuracy"] |= {"value": 1.0, "low": 0.995, "high": 1.0}
        file.write_text(json.dumps(record))
    ended = typed("-C", desk, "decide", "--gate")
    assert ended.status == 2
    assert "changed by hand or damaged" in one_message(ended)
