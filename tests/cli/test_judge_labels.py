"""Labels that a judge is held against: how they are read, told of, and set aside."""

import json

import pytest
from tests.cli.driving import typed
from tests.cli.judge_desk import (
    NAMES,
    asked,
    calibrate,
    fair,
    judge_desk,
    labelled,
    reach,
    run,
    verdict,
)
from tests.models.fake_server import FakeServer


@pytest.fixture
def desk(tmp_path):
    return judge_desk(tmp_path)


def test_labels_of_the_contenders_own_answers_sharpen_its_rate(desk, tmp_path):
    desk.split(validation=0.3)
    desk.baseline(["classifier"])
    answered = run_answers(desk)
    wrong = {e.id for e in desk.home.examples() if e.id in answered and answered[e.id] != e.completion}
    ids = list(answered)
    assert len(ids) >= 10
    path = tmp_path / "own.jsonl"
    path.write_text("\n".join(
        json.dumps({"example": i, "contender": "classifier", "label": i not in wrong}) for i in ids
    ))  # fmt: skip
    with FakeServer(lambda body, number: verdict(True)) as server:
        reach(desk, server)
        ended = run(desk, "classifier", "--labels", path)
    assert ended.status == 0, ended.err
    report = ended.json
    found = report["prediction_powered"]["classifier"]["overall"]
    assert found["value"] == pytest.approx(1 - len(wrong) / len(ids))  # people's labels stand; the judge adds nothing
    assert not found["informative"]


def test_labels_by_every_criterion_are_labels_of_the_whole(desk, tmp_path):
    desk.split(validation=0.3)
    desk.baseline(["classifier"])
    ids = list(run_answers(desk))
    path = tmp_path / "own.jsonl"
    rows = [{"example": i, "contender": "classifier", "criterion": name, "label": n % 3 > 0 or name != "tone"}
            for n, i in enumerate(ids) for name in NAMES]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    with FakeServer(lambda body, number: verdict(True)) as server:
        reach(desk, server)
        found = run(desk, "classifier", "--labels", path).json["prediction_powered"]["classifier"]
    assert found["overall"]["value"] == pytest.approx(found["tone"]["value"])
    assert found["accuracy"]["value"] == 1


def run_answers(desk):
    """What the classifier said to the validation side."""
    entry = desk.home.index("contender", "classifier")[-1]
    return {i: a.text for i, a in desk.home.store.answers(entry.hash).items()}


def test_rows_of_labels_that_cannot_be_used_are_told_with_their_mend(desk, tmp_path):
    good = labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3).read_text()
    bad = [
        "{",
        "[]",
        '{"example": "zzzz", "text": "x", "label": "pass"}',
        json.dumps({"example": desk.home.examples()[0].id, "text": "x", "label": "maybe"}),
        json.dumps({"example": desk.home.examples()[0].id, "text": "x", "criterion": "taste", "label": "pass"}),
        json.dumps({"example": desk.home.examples()[0].id, "label": "pass"}),
        json.dumps({"example": desk.home.examples()[0].id, "contender": "nobody", "label": "pass"}),
        json.dumps({"example": desk.home.examples()[0].id, "text": "x", "label": "pass", "lable": 1}),
    ]
    path = tmp_path / "mixed.jsonl"
    path.write_text("\n".join([good, *bad]))
    with FakeServer(fair) as server:
        reach(desk, server)
        report = calibrate(desk, path).json
        (tmp_path / "none.jsonl").write_text("\n".join(bad))
        none = calibrate(desk, tmp_path / "none.jsonl")
        gone = calibrate(desk, tmp_path / "not-there.jsonl")
    assert [row["line"] for row in report["rejected"]] == list(range(7, 15))
    assert all(row["mend"] for row in report["rejected"])
    assert report["calibration"]["rates"]["labels"] == 6
    assert (none.status, gone.status) == (2, 2)
    assert "line 1" in none.json["error"]["problem"]


def test_labels_in_one_list_are_told_how_to_be_read_and_then_are(desk, tmp_path):
    lines = labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3).read_text().splitlines()
    for name in ("list.jsonl", "list.json"):
        (tmp_path / name).write_text(f"[{','.join(lines)}]")
    with FakeServer(fair) as server:
        reach(desk, server, attacks=0, pairs=0)
        refused, read = (calibrate(desk, tmp_path / name) for name in ("list.jsonl", "list.json"))
    assert (refused.status, "give it the suffix .json" in refused.json["error"]["mend"]) == (2, True)
    assert read.json["calibration"]["rates"]["labels"] == 6


def test_a_line_separator_inside_a_text_ends_no_row_and_a_byte_order_mark_begins_none(desk, tmp_path):
    ids = [e.id for e in desk.home.examples()][:4]
    texts = ["good\u2028or so", "bad\x0cor so", "good\x85", "bad\x1c"]
    rows = [{"example": i, "text": t, "label": "good" in t} for i, t in zip(ids, texts, strict=True)]
    path = tmp_path / "l.jsonl"
    written = "".join(json.dumps(row, ensure_ascii=False) + "\r\n" for row in rows)
    path.write_bytes(b"\xef\xbb\xbf" + written.encode())
    with FakeServer(fair) as server:
        reach(desk, server, attacks=0, pairs=0)
        report = calibrate(desk, path).json
        shown = {asked(body)["answer"] for body in server.bodies}
    assert (report["rejected"], report["calibration"]["rates"]["labels"], shown) == ([], 4, set(texts))


def test_labels_that_say_nothing_of_the_judge_are_set_aside(desk, tmp_path):
    first = desk.home.examples()[0]
    path = labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3)
    same = {"example": first.id, "text": first.completion, "label": "pass"}
    draw = [{"example": first.id, "text": "hm", "label": said, "rater": said} for said in ("pass", "fail")]
    path.write_text("\n".join([path.read_text(), *(json.dumps(row) for row in (same, *draw))]))
    with FakeServer(fair) as server:
        reach(desk, server)
        made = calibrate(desk, path).json["calibration"]
        only = tmp_path / "only.jsonl"
        only.write_text(json.dumps(same))
        assert calibrate(desk, only).status == 2
    assert made["rates"]["labels"] == 6
    assert sorted(made["set_aside"].values()) == [1, 1]


def test_the_same_labels_under_another_rubric_are_noted(desk, tmp_path):
    labels = labelled(desk, tmp_path / "l.jsonl")
    with FakeServer(fair) as server:
        reach(desk, server)
        assert calibrate(desk, labels).json["calibration"]["earlier"] == 0
        reach(desk, server, criteria={"tone": "calm"})
        assert calibrate(desk, labels).json["calibration"]["earlier"] == 1


def test_reviews_are_labels_too(desk, tmp_path):
    review = desk.review("ann")
    for example in desk.home.examples()[:8]:
        review.reject(example.id)
    for example in desk.home.examples()[:6]:
        review.accept(example.id)
    with FakeServer(lambda body, number: verdict(True)) as server:
        reach(desk, server)
        shown = typed("-C", desk.home.root, "judge", "calibrate", "--json")
        reach(desk, server, reference=False)
        report = typed("-C", desk.home.root, "judge", "calibrate", "--json").json
    assert (shown.status, "set judge.reference: false" in shown.json["error"]["mend"]) == (2, True)
    rates = report["calibration"]["rates"]
    assert (rates["positives"], rates["labels"]) == (6, 14)
    assert (report["true_positive_rate"]["value"], report["true_negative_rate"]["value"]) == (1, 0)
