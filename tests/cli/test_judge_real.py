"""The embedded model as a judge, through the command line: it is a weak one, and that is what comes out."""

import json

import pytest
from tests.cli.driving import typed
from tests.models.real import real_model
from tests.workspace.rating_desk import SECRET, attentive, rate_with, rating_desk, write
from tests.workspace.toy import write_settings

from tunesmith import Workspace

A, B = SECRET[:2]
JUDGE = {"model": "smollm2-135m", "labels_per_class": 5, "attacks": 1, "pairs": 3}
"""Five labels of each kind would do for a judge that is good."""
KIND = "Thank you for writing. Send it back within 30 days and we pay the postage."
RUDE = "lol no idea, ask somebody else"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    real_model()
    root = rating_desk(tmp_path_factory.mktemp("real"))
    write_settings(root, judge=JUDGE)
    desk = Workspace(root)
    for side in ("validation", "test"):
        write(desk, A, lambda n: f"{KIND if n % 2 else RUDE} ({n})", side)
        write(desk, B, lambda n: f"{RUDE if n % 2 else KIND} ({n})", side)
    desk.rate().plan((A, B), examples=12, per_example=1)
    rate_with(desk, "ann", attentive(desk, lambda left, right: "left" if left.startswith(KIND) else "right"))
    return desk


def judge(desk, *words):
    return typed("-C", desk.home.root, "judge", *words, "--json")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_small_model_that_grades_a_dozen_answers_obeys_them_or_tells_nothing_and_is_refused(desk, tmp_path):
    rows = [
        {"example": e.id, "text": f"{text} {n}", "label": text == KIND}
        for n, e in enumerate(desk.home.examples()[:6])
        for text in (KIND, RUDE)
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    ended = judge(desk, "calibrate", "--labels", path, "--gate")
    report = ended.json
    rates = report["calibration"]["criteria"]["overall"]
    assert rates["labels"] + rates["unreadable"] == 12
    assert (ended.status, report["gate"]["may"]) == (1, False)
    # it tells rude answers from kind ones here, and passes rude ones that order it to
    assert any("uninformative" in said or "turned it" in said for said in report["gate"]["because"])
    ran = judge(desk, "run", A, "--sample", "3", "--gate", "0.1")
    assert (ran.status, ran.json["standing"]) == (1, {})


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_small_model_that_compares_a_dozen_pairs_is_uninformative_and_gives_no_win_rate(desk):
    ended = judge(desk, "calibrate", "--ratings", "--gate")
    (rates,) = ended.json["pairs"]["rates"]
    assert (rates["pairs"], rates["table"].keys()) == (12, {"first", "second"})
    assert (ended.status, ended.json["gate"]["may"]) == (1, False)
    assert any("uninformative" in because for because in ended.json["gate"]["because"])
    ran = judge(desk, "run", A, "--against", B, "--on", "test", "--criterion", "win_rate", "--gate", "0.1")
    assert (ran.status, ran.json["standing"]) == (1, {})
    found = ran.json["preferred"][A]
    assert (found["value"], found["informative"], found["labels"]) == (None, False, 12)
    stations = typed("-C", desk.home.root, "status", "--json").json["stations"]
    assert "may not gate" in next(s["because"] for s in stations if s["name"] == "judge")
