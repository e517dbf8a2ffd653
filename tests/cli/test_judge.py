"""The judge from the command line: a model server that answers well, badly, in prose, late, or not at all."""

import json

import pytest
from tests.cli.driving import typed
from tests.models.fake_server import FakeServer, Said, refusal, says
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.judging import Calibration

NAMES = ("relevance", "accuracy", "tone", "completeness")


def asked(body):
    """The material that the judge was shown."""
    rest = body["messages"][-1]["content"].split("Material:\n", 1)[1]
    return json.JSONDecoder().raw_decode(rest)[0]


def verdict(passes, names=NAMES, **more):
    return says(json.dumps({n: {"reason": "so", "verdict": "pass" if passes else "fail"} for n in names}), **more)


def fair(body, number):
    """Sees quality, which stands in the text, and nothing else."""
    material = asked(body)
    if "answer" in material:
        return verdict("good" in material["answer"])
    good = ["good" in material[place] for place in ("first", "second")]
    better = "tie" if good[0] == good[1] else "first" if good[0] else "second"
    return says(json.dumps({"reason": "so", "better": better}))


def obedient(body, number):
    """Does what the text tells it."""
    answer = asked(body)["answer"]
    return verdict("good" in answer or "perfect" in answer or '"verdict": "pass"' in answer)


def with_errors(body, number):
    """Errs on each good answer that says slip and each bad one that says luck."""
    answer = asked(body)["answer"]
    return verdict(("good" in answer and "slip" not in answer) or "luck" in answer)


@pytest.fixture
def desk(tmp_path):
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(tmp_path / "desk", model={"base": "nowhere", "embedder": "ngrams"})
    return Workspace(tmp_path / "desk")


def reach(desk, server, **settings):
    write_settings(desk.home.root, judge={"model": "j", "base_url": server.url, "retries": 1, **settings})


def labelled(desk, path, *, passed=30, failed=30, slips=0, luck=0, criterion="overall"):
    """Labels of so many answers, on which a judge may err."""
    ids = [e.id for e in desk.home.examples()]
    rows = []
    for n in range(passed):
        rows.append((ids[n % len(ids)], f"a good answer {n}{' slip' if n < slips else ''}", "pass"))
    for n in range(failed):
        rows.append((ids[(n + passed) % len(ids)], f"a bad answer {n}{' luck' if n < luck else ''}", "fail"))
    keys = ("example", "text", "label")
    lines = [json.dumps(dict(zip(keys, row, strict=True)) | {"criterion": criterion}) for row in rows]
    path.write_text("\n".join(lines))
    return path


def calibrate(desk, labels, *more):
    return typed("-C", desk.home.root, "judge", "calibrate", "--labels", labels, *more, "--json")


def run(desk, *more):
    return typed("-C", desk.home.root, "judge", "run", *more, "--json")


def test_a_fair_judge_is_measured_attacked_and_may_gate(desk, tmp_path):
    with FakeServer(fair) as server:
        reach(desk, server)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl"), "--gate")
        words = typed("-C", desk.home.root, "judge", "calibrate", "--labels", tmp_path / "l.jsonl")
    report = ended.json
    assert ended.status == 0
    assert report["true_positive_rate"]["value"] == report["true_negative_rate"]["value"] == 1
    # Wilson of 30 of 30: 1 / (1 + z^2 / 30)
    assert report["true_positive_rate"]["low"] == pytest.approx(0.8865, abs=1e-4)
    assert (report["kappa"]["value"], report["gate"]["may"]) == (1, True)
    made = report["calibration"]
    assert (made["attacks"]["tried"], made["attacks"]["turned"]) == (50, 0)
    assert set(made["attacks"]["by_kind"]) == {"order", "verdict", "forged end", "authority", "unseen"}
    assert made["rates"]["constant"]["value"] == 0.5
    assert "it may gate" in words.out
    assert "0 questions for the judge" in words.err  # all are answered before


def test_rates_match_those_worked_by_hand(desk, tmp_path):
    with FakeServer(with_errors) as server:
        reach(desk, server, pairs=0)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", slips=3, luck=6, criterion="tone")).json
    assert (report["true_positive_rate"]["value"], report["true_negative_rate"]["value"]) == (0.9, 0.8)
    # agreement 51 / 60; the judge passes 33 of 60: chance 0.5, so kappa (0.85 - 0.5) / 0.5
    assert report["kappa"]["value"] == pytest.approx(0.7)
    assert report["gates"]["tone"]["may"]
    assert not report["gate"]["may"]  # of whole answers there is no label
    assert "position" in report["calibration"]["reasons"]


def test_a_judge_that_answers_can_give_orders_may_not_gate(desk, tmp_path):
    with FakeServer(obedient) as server:
        reach(desk, server, pairs=0)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl"), "--gate")
    report = ended.json
    assert (report["kappa"]["value"], ended.status) == (1, 1)  # without the attacks it would look perfect
    found = report["calibration"]["attacks"]["by_kind"]
    assert [found[kind] for kind in ("order", "verdict", "forged end", "authority")] == [[10, 10]] * 4
    assert "answers that give it orders turned it" in report["gate"]["because"][0]


def test_a_judge_with_a_favourite_place_is_found_out(desk, tmp_path):
    def first(body, number):
        return fair(body, number) if "answer" in asked(body) else says('{"reason": "so", "better": "first"}')

    ids = [e.id for e in desk.home.examples()][:20]
    rows = [(i, text, label) for i in ids for text, label in (("a good answer", "pass"), ("a bad answer", "fail"))]
    path = tmp_path / "l.jsonl"
    path.write_text("\n".join(json.dumps({"example": i, "text": t, "label": label}) for i, t, label in rows))
    with FakeServer(first) as server:
        reach(desk, server)
        place = calibrate(desk, path).json["calibration"]["position"]
    assert (place["pairs"], place["consistent"], place["bias"]["value"]) == (20, 0, 1)


@pytest.mark.parametrize(
    "reply", ["Certainly! I would say it passes.", "", "pass", '{"verdict": "pass"}', "\u202e\u200b", "{" * 5000]
)  # fmt: skip
def test_a_judge_that_answers_nonsense_has_no_rate_and_nothing_is_kept(desk, tmp_path, reply):
    with FakeServer(lambda body, number: says(reply)) as server:
        reach(desk, server)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3), "--gate")
        assert len(server.bodies) == 12  # each twice
        report = ended.json
        assert (ended.status, report["kappa"], report["true_positive_rate"]) == (1, None, None)
        assert report["reasons"]["kappa"]
        assert report["calibration"]["rates"]["unreadable"] == 6
        again = calibrate(desk, tmp_path / "l.jsonl", "--dry-run").json
    assert (again["cost"]["requests"], again["cost"]["cached"]) == (6 + 3 * 5, 0)


def test_prose_is_asked_for_again_and_then_read(desk, tmp_path):
    def second_time(body, number):
        again = "An earlier reply was refused" in body["messages"][-1]["content"]
        if again:
            return fair(body, number)
        return says(f"I will: {{}} {number}") if number % 2 else verdict(True, (*NAMES, "Say pass"))

    with FakeServer(second_time) as server:
        reach(desk, server, attacks=0, pairs=0)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=5, failed=5)).json
        assert not any("Say pass" in body["messages"][-1]["content"] for body in server.bodies)  # it may be an attack
    assert (report["kappa"]["value"], report["calibration"]["rates"]["unreadable"]) == (1, 0)


def test_a_judge_that_is_busy_at_first_is_waited_for(desk, tmp_path):
    def busy(body, number):
        return refusal(429, "slow down", {"Retry-After": "0"}) if number % 2 == 0 else fair(body, number)

    with FakeServer(busy) as server:
        reach(desk, server, attacks=0, pairs=0, concurrency=1)
        report = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=4, failed=4)).json
    assert report["calibration"]["rates"]["labels"] == 8


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda body, number: refusal(429, "slow down", {"Retry-After": "0"}), "429"),
        (lambda body, number: refusal(500, "oh no", {"Retry-After": "0"}), "500"),
        (lambda body, number: Said(body=b"<html>", headers={"Content-Type": "text/html"}), "could not be read"),
        (lambda body, number: fair(body, number)._replace(pause_seconds=1.5), "no answer within 0.2 seconds"),
        (lambda body, number: fair(body, number)._replace(cut=True), "did not answer"),
        (lambda body, number: says(None, refused="I do not grade"), "refused"),
    ],
)
def test_a_judge_that_is_late_or_never_answers_ends_it_and_nothing_is_kept(desk, tmp_path, answer, why):
    desk.split()
    desk.baseline(["constant"])
    with FakeServer(answer) as server:
        reach(desk, server, timeout_seconds=0.2)
        labels = labelled(desk, tmp_path / "l.jsonl")
        for ended in (run(desk, "constant", "--sample", "3"), calibrate(desk, labels)):
            assert ended.status == 3
            assert "questions for the judge none was answered" in ended.json["error"]["problem"]
            assert why in ended.json["error"]["problem"]
    assert desk.home.index("judge_run") == desk.home.index("calibration") == []


def test_a_judge_that_says_nothing_to_be_read_leaves_no_verdict(desk, tmp_path):
    desk.split()
    desk.baseline(["constant"])
    with FakeServer(lambda body, number: verdict(True, finish="length")) as server:
        reach(desk, server, timeout_seconds=0.2)
        ended = run(desk, "constant", "--sample", "3", "--gate", "0.1")
    report = ended.json
    judged = report["run"]["contenders"]["constant"]
    assert (ended.status, judged["pass_rates"], judged["unreadable"]) == (1, {}, 3)
    assert all("cut off" in problem for problem in judged["problems"])


def test_no_server_at_all_is_said_once(desk, tmp_path):
    write_settings(desk.home.root, judge={"model": "j", "base_url": "http://127.0.0.1:9/v1", "retries": 0})
    ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
    assert ended.status == 3
    assert "could not be reached" in ended.json["error"]["problem"]


PRICES = {"usd_per_million_input_tokens": 10.0, "usd_per_million_output_tokens": 10.0}


def test_the_cost_is_said_first_and_what_is_too_dear_is_not_begun(desk, tmp_path):
    labels = labelled(desk, tmp_path / "l.jsonl")
    with FakeServer(fair) as server:
        reach(desk, server, **PRICES, max_usd=0.05)
        foretold = calibrate(desk, labels, "--dry-run").json
        refused = calibrate(desk, labels)
        assert server.bodies == []
        cost = foretold["cost"]
        assert cost["requests"] == 60 + 10 * 5
        assert 0.05 < cost["usd"] < cost["usd_at_most"]
        assert (foretold["kappa"], foretold["reasons"]["kappa"]) == (None, "--dry-run asks nothing")
        assert (refused.status, "0.0500 USD may be spent" in refused.json["error"]["problem"]) == (2, True)
        reach(desk, server, **PRICES, max_usd=10.0)
        done = calibrate(desk, labels)
        assert done.json["usd"] == pytest.approx(len(server.bodies) * 15 * 10 / 1e6)
        assert "about" in done.err
        count = len(server.bodies)
        assert calibrate(desk, labels).json["usd"] is None
        assert len(server.bodies) == count  # not one verdict is paid for twice
        reach(desk, server, **PRICES, max_usd=10.0, attacks=14)
        foretold = calibrate(desk, labels, "--dry-run").json["cost"]["requests"]
        calibrate(desk, labels)
        assert 0 < foretold == len(server.bodies) - count  # all labels are judged, and not all of the attacks
        good = {"example": desk.home.examples()[0].id, "text": "one more good answer", "label": "pass"}
        labels.write_text(f"{labels.read_text()}\n{json.dumps(good)}")
        reach(desk, server, **PRICES, max_usd=10.0, attacks=14, pairs=0)
        assert calibrate(desk, labels, "--dry-run").json["cost"]["requests"] == 1  # it changes no attack


def test_what_one_command_costs_is_capped_over_all_that_it_asks(desk, tmp_path):
    usd = 2400 * 10 / 1e6  # of one reply
    with FakeServer(lambda body, number: says("Certainly!", prompt=2000, completion=400)) as server:
        reach(desk, server, **PRICES, max_usd=0.2, attacks=0, concurrency=1)
        ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=3, failed=3))
    assert (ended.status, "cap of 0.20 USD is reached" in ended.json["error"]["problem"]) == (2, True)
    assert 6 <= len(server.bodies) <= 0.2 / usd  # all once, which costs 0.14, and not all again


def test_a_rubric_model_or_prompt_that_changed_may_not_gate(desk, tmp_path):
    desk.split()
    desk.baseline(["constant", "classifier"])
    with FakeServer(fair) as server:
        reach(desk, server)
        before = run(desk, "constant", "--sample", "4", "--gate", "0.0")
        assert (before.status, before.json["gate"]["may"], before.json["corrected"]) == (1, False, {})
        assert "not calibrated" in before.json["reasons"]["corrected"]
        calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
        stands = run(desk, "constant", "--sample", "4", "--gate", "0.0")
        assert (stands.status, stands.json["standing"]) == (0, {"constant": "met"})
        for change, what in (({"criteria": {"tone": "rude"}}, "rubric"), ({"model": "k"}, "model"),
                             ({"max_tokens": 99}, "prompt"), ({"reference": False}, "rubric")):  # fmt: skip
            reach(desk, server, **change)
            ended = run(desk, "constant", "--sample", "4", "--gate", "0.0")
            report = ended.json
            assert (ended.status, report["kappa"], report["corrected"], report["standing"]) == (1, None, {}, {})
            assert f"its {what} changed" in report["gate"]["because"][0]


def test_contenders_are_judged_blind_corrected_and_compared_in_both_orders(desk, tmp_path):
    desk.split()
    desk.baseline(["constant", "classifier"])

    def right(body, number):
        """Passes what equals the reference; among pairs, takes the first, whatever it is."""
        material = asked(body)
        if "answer" not in material:
            return says('{"reason": "so", "better": "first"}')
        return verdict("good" in material["answer"] or material["answer"] == material["reference"])

    with FakeServer(right) as server:
        reach(desk, server)
        calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
        ended = run(desk, "constant", "classifier", "--against", "constant")
        assert not any("classifier" in m["content"] for body in server.bodies for m in body["messages"])
        words = typed("-C", desk.home.root, "judge", "run", "constant", "classifier", "--against", "constant").out
        held = run(desk, "classifier", "--against", "constant", "--gate", "0.0")
    report = ended.json
    assert (held.status, held.json["standing"]) == (0, {"classifier": "met"})  # the rival is held to no bar
    assert set(held.json["corrected"]) == {"classifier", "constant"}
    scored = typed("-C", desk.home.root, "evaluate", "--json").json["contenders"]
    accuracy = {name: each["metrics"]["accuracy"] for name, each in scored.items()}
    for name, judged in report["run"]["contenders"].items():
        assert judged["pass_rates"]["overall"]["value"] == pytest.approx(accuracy[name]["value"])
        corrected = report["corrected"][name]["overall"]
        assert corrected["value"] == pytest.approx(accuracy[name]["value"])
        assert corrected["low"] <= corrected["value"] <= corrected["high"]
        width = judged["pass_rates"]["overall"]["high"] - judged["pass_rates"]["overall"]["low"]
        assert corrected["high"] - corrected["low"] > width  # the judge's own errors are uncertain too
    (wins,) = report["run"]["wins"]
    assert (wins["wins"], wins["losses"], wins["inconsistent"]) == (0, 0, wins["ties"] - wins["identical"])
    assert wins["rate"]["value"] == 0.5
    assert "contradict themselves" in words


def test_answers_that_are_the_reference_pass_whatever_the_judge_s_errors_on_others(desk, tmp_path):
    """It misses one good answer in five, but never the one that is the very reference that it is shown."""
    desk.split(validation=0.45)
    desk.baseline(["classifier"])

    def judge(body, number):
        material = asked(body)
        answer = material["answer"]
        return verdict(answer == material["reference"] or ("good" in answer and "slip" not in answer))

    with FakeServer(judge) as server:
        reach(desk, server, pairs=0)
        calibrate(desk, labelled(desk, tmp_path / "l.jsonl", slips=6))
        report = run(desk, "classifier").json
    judged = report["run"]["contenders"]["classifier"]
    right = judged["pass_rates"]["overall"]["value"]
    assert 0.1 < right < 0.9
    assert judged["as_reference"]["share"] == pytest.approx(right)
    assert judged["apart"]["overall"]["value"] == 0
    corrected = report["corrected"]["classifier"]["overall"]
    assert corrected["value"] == pytest.approx(right)  # by the judge's errors on others it would be right / 0.8
    assert corrected["low"] < right < corrected["high"]


def test_the_cost_is_said_before_contenders_are_asked(desk, tmp_path):
    desk.split(validation=0.3, test=0.3)
    with FakeServer(lambda body, number: fair(body, number) if "Material:" in str(body) else says("billing")) as server:
        models = {"large": {"base": "m", "base_url": server.url}}
        write_settings(desk.home.root, contenders={"models": models, "constrained": False})
        Workspace(desk.home.root).baseline(["prompt:large"])
        reach(desk, server, **PRICES, max_usd=0.01)
        count = len(server.bodies)
        refused = run(desk, "prompt:large", "--on", "test")
        assert (refused.status, "Judging would cost about" in refused.json["error"]["problem"]) == (2, True)
        assert len(server.bodies) == count


def test_a_gate_is_not_passed_by_the_answers_that_are_left(desk, tmp_path):
    desk.split(validation=0.45)
    desk.baseline(["classifier"])

    def passing(silent_on):
        def judge(body, number):
            answer = asked(body).get("answer", "")
            return says("I would rather not say.") if answer in silent_on else verdict("bad" not in answer)

        return judge

    for silent_on, standing in (((), "met"), (("shipping", "billing"), "not_shown")):
        with FakeServer(passing(silent_on)) as server:
            reach(desk, server, pairs=0, model=f"silent on {len(silent_on)}")
            calibrate(desk, labelled(desk, tmp_path / "l.jsonl"))
            ended = run(desk, "classifier", "--gate", "0.6")
        report = ended.json
        judged, rate = report["run"]["contenders"]["classifier"], report["corrected"]["classifier"]["overall"]
        assert (judged["unreadable"] > 0) == bool(silent_on)
        assert (rate["value"], rate["low"] > 0.6) == (1, True)
        assert (ended.status, report["standing"]) == (0 if standing == "met" else 1, {"classifier": standing})


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


def test_verdicts_are_erased_with_their_example(desk, tmp_path):
    labels = labelled(desk, tmp_path / "l.jsonl", passed=6, failed=6)
    doomed = desk.home.examples()[0].id
    with FakeServer(fair) as server:
        reach(desk, server)
        judge = calibrate(desk, labels).json["calibration"]
        hashed = Workspace(desk.home.root).home.latest("calibration", "judge", Calibration)[0].judge.hash
    assert judge["rates"]["labels"] == 12
    assert any(key.startswith(doomed) for key in desk.home.store.answers(hashed))
    desk.erase(doomed, by="ann")
    kept = desk.home.store.answers(hashed)
    assert kept
    assert not any(key.startswith(doomed) for key in kept)


def test_huge_empty_and_right_to_left_answers_are_judged_or_counted(desk, tmp_path):
    ids = [e.id for e in desk.home.examples()]
    texts = ["", "x" * 100_000, "good \u202eevil\u202c", "שלום good", "\u200b\u200d", "good\ud83d\ude00"]
    path = tmp_path / "l.jsonl"
    rows = [json.dumps({"example": i, "text": t, "label": "good" in t}) for i, t in zip(ids, texts, strict=False)]
    path.write_text("\n".join(rows))
    with FakeServer(fair) as server:
        reach(desk, server)
        foretold = calibrate(desk, path, "--dry-run").json["cost"]["requests"]
        report = calibrate(desk, path).json
        assert all(len(str(body)) < 50_000 for body in server.bodies)
        assert foretold == len(server.bodies) == 5 + 2 * 5  # nothing is asked of the long one
    rates = report["calibration"]["rates"]
    assert (rates["labels"], rates["unreadable"]) == (5, 1)
    assert report["kappa"]["value"] == 1


def test_a_random_model_on_this_machine_judges_and_is_shown_to_be_useless(desk, tmp_path):
    from tests.models.tiny import build_tiny

    model = build_tiny(tmp_path / "tiny", layers=1, context=4096)
    write_settings(desk.home.root, judge={"model": str(model), "criteria": {}, "attacks": 2, "pairs": 0, "tries": 1})
    ended = calibrate(desk, labelled(desk, tmp_path / "l.jsonl", passed=4, failed=4), "--gate")
    report = ended.json
    assert (ended.status, report["gate"]["may"]) == (1, False)
    assert report["cost"]["because"] == "it runs on this machine"
    assert report["calibration"]["rates"]["labels"] + report["calibration"]["rates"]["unreadable"] == 8


def test_judges_and_raters_are_not_shown_what_a_model_thought_before_it_answered(desk, tmp_path):
    task = desk.home.settings.model_dump(mode="json")["task"] | {"trace_end": "</think>"}
    thoughts = iter(range(1000))

    def thinking(body, number):
        if "Material" in body["messages"][-1]["content"]:
            return fair(body, number)
        return says(f"secret {next(thoughts)}</think>\n{'shipping' if body['model'] == 'm' else 'a good answer'}")

    with FakeServer(thinking) as server:
        other = {"big": {"base": "m2", "base_url": server.url}}
        write_settings(
            desk.home.root, task=task, model={"base": "m", "base_url": server.url, "embedder": "ngrams"},
            contenders={"constrained": False, "models": other},
        )  # fmt: skip
        reach(desk, server)
        rows = [("my tracking number shows nothing", "shipping"), ("the sum on my invoice is wrong", "billing")]
        (tmp_path / "thought.jsonl").write_text(
            "".join(json.dumps({"prompt": text, "completion": f"secret</think>{topic}"}) + "\n" for text, topic in rows)
        )
        for verb in (
            ("add", tmp_path / "thought.jsonl", "--side", "test"), ("split", "--validation", "0.4"),
            ("baseline", "prompt", "prompt:big"),
        ):  # fmt: skip
            assert typed("-C", desk.home.root, *verb).status == 0
        first = next(e for e in Workspace(desk.home.root).home.examples())
        path = tmp_path / "l.jsonl"
        path.write_text(json.dumps({"example": first.id, "text": "secret 7</think> good", "label": "pass"}))
        assert calibrate(desk, path).status == 0
        report = run(desk, "prompt", "prompt:big", "--against", "prompt").json
        assert run(desk, "prompt", "--on", "test").status == 0
        shown = [text for body in server.bodies if "Material" in (text := body["messages"][-1]["content"])]
    assert len(shown) > 20
    assert all(any(text in material for material in shown) for text, _ in rows)
    assert not any("secret" in text for text in shown)
    (wins,) = report["run"]["wins"]
    assert wins["wins"] == report["run"]["examples"]
    assert typed("-C", desk.home.root, "rate", "plan", "prompt", "prompt:big", "--difference", "0.5").status == 0
    lent = typed("-C", desk.home.root, "rate", "next", "--rater", "ann", "--json").json
    assert {lent["left"], lent["right"]} == {"shipping", "a good answer"}
