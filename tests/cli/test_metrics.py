"""Metrics by the command line: all of them, edge cases, calibration, repeated answers, a reasoning trace."""

import json
import shutil
from collections import Counter

import pytest
from msgspec.structs import replace
from tests.cli.driving import tunesmith, typed
from tests.cli.metrics_desk import NO_MODEL, metrics_desk
from tests.models.fake_server import FakeServer, refusal, says
from tests.workspace.toy import MESSAGES, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.evaluation.metrics import registry
from tunesmith.workspace.evaluate import Evaluation


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return metrics_desk(tmp_path_factory.mktemp("metrics"))


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))


def test_json_has_every_metric_of_labels_with_an_interval(desk):
    ended = tunesmith("-C", desk, "evaluate", "--json")
    assert ended.status == 0, ended.err
    found = ended.json["contenders"]
    names = {"macro_precision", "macro_recall", "micro_f1", "weighted_f1", "mcc", "brier", "calibration_error"}
    measured = found["classifier"]["metrics"]
    assert names <= set(measured)
    assert all(m["low"] <= m["value"] <= m["high"] for m in measured.values())
    assert measured["mcc"]["value"] > 0.2 > 0 == found["constant"]["metrics"]["mcc"]["value"]
    assert measured["brier"]["value"] < 2 / 3  # three labels guessed alike have 2/3


def test_only_what_gives_probabilities_is_calibrated_and_the_other_says_why(desk):
    found = typed("-C", desk, "evaluate", "--json").json["contenders"]
    assert not {"brier", "calibration_error"} & set(found["constant"]["metrics"])
    assert "gives no probabilities" in found["constant"]["unmeasured"]["brier"]
    bins = found["classifier"]["reliability"]["topic"]
    assert sum(b["count"] for b in bins) == found["classifier"]["metrics"]["brier"]["n"]
    assert all(b["low"] < b["confidence"] <= b["high"] for b in bins)
    assert found["constant"]["reliability"] == {}


def test_edge_cases_are_scored_apart(desk):
    ended = typed("-C", desk, "evaluate", "--json").json
    marked = ended["contenders"]["classifier"]["edge_cases"]["ambiguous"]
    assert 0 < marked["accuracy"]["n"] < ended["examples"]


def test_all_shows_each_metric_and_the_confusion_matrix(desk):
    shown = typed("-C", desk, "evaluate", "--all").out
    lines = {line.split("  ")[0]: line for line in shown.splitlines()}
    assert {"mcc", "macro_precision", "weighted_f1", "calibration_error", "classifier: topic"} <= set(lines)
    assert any(name.startswith("accuracy on ambiguous (") for name in lines)
    assert lines["brier"].split()[1] == "-"  # of the constant contender
    assert "not measured for constant: brier: the calibration of 'topic'" in shown
    shares = typed("-C", desk, "evaluate", "--json").json["contenders"]["classifier"]["confusion"]["topic"]
    row = next(line for line in shown.split("classifier: topic")[1].splitlines() if line.startswith("returns"))
    assert row.split()[1:] == [str(n) for n in shares["returns"].values()]


def test_the_dossier_shows_them(desk):
    assert typed("-C", desk, "decide").status == 0
    ended = typed("-C", desk, "report", "--json")
    assert ended.status == 0, ended.err
    page = next(desk.glob("**/*.html")).read_text()
    assert "how far confidence and accuracy lie apart" in page
    assert "mcc" in page


def test_an_error_as_the_bar_is_refused_before_anything_is_asked(desk):
    write_settings(desk, bar={"metric": "brier", "value": 0.5})
    ended = typed("-C", desk, "evaluate")
    assert ended.status == 2
    assert "brier can be no bar: higher is not better" in ended.err


def sent(body):
    return body["messages"][-1]["content"]


def test_answers_to_the_same_question_are_held_against_one_another(desk):
    asked = Counter()

    def answer(body, _):
        asked[sent(body)] += 1
        wavers = "the " in sent(body) and asked[sent(body)] == 2
        return says("billing" if wavers else "shipping")

    with FakeServer(answer) as server:
        write_settings(
            desk, model=NO_MODEL | {"base_url": server.url}, contenders={"constrained": False},
            bar={"metric": "accuracy", "value": 0.5},
        )  # fmt: skip
        assert typed("-C", desk, "baseline", "prompt").status == 0
        told = typed("-C", desk, "evaluate", "--repeat", "2", "--json").json
    rows = {e.id: e.prompt for e in Workspace(desk).home.examples()}
    waver = sum("the " in rows[i] for i in told["contenders"]["prompt"]["correct"])
    assert waver > 0
    # three answers, of which one differs: one pair of three agrees
    expected = (told["examples"] - waver + waver / 3) / told["examples"]
    assert told["repeats"]["prompt"]["consistency"]["value"] == pytest.approx(expected)


def test_what_stands_before_the_end_of_the_trace_is_kept_and_not_scored(desk):
    with FakeServer(lambda *_: says("Is it returns? No.</think>\nshipping")) as server:
        task = Workspace(desk).home.settings.model_dump(mode="json")["task"]
        changes = {"model": NO_MODEL | {"base_url": server.url}, "contenders": {"constrained": False}}
        write_settings(desk, task=task, **changes)
        assert typed("-C", desk, "split").status == 0
        strict = typed("-C", desk, "baseline", "prompt", "--json")
        assert strict.status == 0, strict.err
        assert strict.json["contenders"]["prompt"]["metrics"]["valid_rate"]["value"] == 0
        write_settings(desk, task=task | {"trace_end": "</think>"}, **changes)
        assert typed("-C", desk, "split").status == 0
        read = typed("-C", desk, "baseline", "prompt", "--json").json["contenders"]["prompt"]
    assert read["metrics"]["valid_rate"]["value"] == 1
    assert 0 < read["metrics"]["accuracy"]["value"] < 1
    answers = Workspace(desk).home.store.answers(read["contender"])
    assert {a.text for a in answers.values()} == {"Is it returns? No.</think>\nshipping"}
    assert {a.fields["topic"] for a in answers.values()} == {"shipping"}


def test_several_labels_at_once_by_the_command_line(tmp_path, home):
    texts = [(t, label) for label in MESSAGES for t in MESSAGES[label].splitlines()]
    rows = [
        {"text": f"{a}. {b}", "tags": ", ".join(sorted({x, y}))}
        for (a, x), (b, y) in zip(texts, texts[7:] + texts[:7], strict=True)
    ]
    source = tmp_path / "tags.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    desk = tmp_path / "desk"
    Workspace.init(desk, source=source, prompt="text", completion="tags")
    tags = {"name": "tags", "type": "label", "labels": list(MESSAGES), "multiple": True}
    task = {"name": "tags", "format": "plain", "fields": [tags]}
    write_settings(desk, task=task, model=NO_MODEL, bar={"metric": "micro_f1", "value": 0.5})
    for verb in (("split",), ("baseline", "constant", "classifier")):
        ended = typed("-C", desk, *verb)
        assert ended.status == 0, ended.err
    found = typed("-C", desk, "evaluate", "--json").json["contenders"]["classifier"]
    assert {"accuracy", "macro_f1", "micro_f1", "weighted_f1", "macro_recall"} <= set(found["metrics"])
    assert "several labels at once" in found["unmeasured"]["mcc"]
    assert found["metrics"]["micro_f1"]["value"] > found["metrics"]["accuracy"]["value"]


def evaluated(desk):
    """What `evaluate --json` and `evaluate --all` say of constant and prompt on validation."""
    for verb in (("split", "--validation", "0.4"), ("baseline", "constant", "prompt")):
        ended = typed("-C", desk, *verb)
        assert ended.status == 0, ended.err
    told = tunesmith("-C", desk, "evaluate", "--json")
    assert told.status == 0, told.err
    return told, typed("-C", desk, "evaluate", "--all").out


def test_escalating_on_normal_rows_is_measured_beside_escalating_where_it_is_due(tmp_path, home):
    """A contender that escalates whatever holds a number: every third normal row, and half of those that are due."""
    rows = [
        {"text": f"smoke from box {i}" if i % 2 else f"smoke {'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}",
         "action": "escalate", "edge_case": "escalate"}
        for i in range(20)
    ]  # fmt: skip
    rows += [
        {"text": f"parcel {i}" if i % 3 == 0 else f"hello {'abcdefghij'[i // 10]}{'abcdefghij'[i % 10]}",
         "action": "answer", "edge_case": None}
        for i in range(60)
    ]  # fmt: skip
    source = tmp_path / "actions.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    desk = tmp_path / "desk"
    Workspace.init(desk, source=source, prompt="text", completion="action")
    settings = {
        "task": {"name": "action", "format": "plain", "fields": [
            {"name": "action", "type": "label", "labels": ["answer", "escalate", "decline"]},
        ]},
        "bar": {"metric": "accuracy", "value": 0.5},
    }  # fmt: skip
    with FakeServer(lambda body, _: says("escalate" if any(map(str.isdigit, sent(body))) else "answer")) as server:
        write_settings(
            desk, **settings, model=NO_MODEL | {"base_url": server.url},
            contenders={"constrained": False},
        )  # fmt: skip
        told, shown = evaluated(desk)
        assert typed("-C", desk, "decide").status == 0
    scored = told.json["contenders"]["prompt"]
    sides = [e for e in Workspace(desk).home.examples() if e.id in scored["correct"]]
    normal = [any(map(str.isdigit, e.prompt)) for e in sides if not e.edge_case]
    due = [any(map(str.isdigit, e.prompt)) for e in sides if e.edge_case]
    rate = scored["over_answered"]["escalate"]["action"]
    assert (rate["value"], rate["n"]) == (pytest.approx(sum(normal) / len(normal)), len(normal))
    assert 0 < rate["low"] < rate["value"] < rate["high"] < 1
    assert scored["edge_cases"]["escalate"]["accuracy"]["value"] == pytest.approx(sum(due) / len(due))
    assert told.json["contenders"]["constant"]["over_answered"]["escalate"]["action"]["value"] == 0
    line = next(line for line in shown.splitlines() if line.startswith(f"action escalate on normal ({len(normal)})"))
    assert f"{rate['value']:.3f}" in line
    assert typed("-C", desk, "report").status == 0
    assert not typed("-C", desk, "report", "--verify", "--json").json["differences"]
    assert _verified_with(desk, over_answered={}) == []  # as an earlier release wrote it
    kinder = {"escalate": {"action": Estimate(value=0.0, low=0.0, high=0.1, n=9)}}
    assert any("over_answered" in found["where"] for found in _verified_with(desk, over_answered=kinder))


def _verified_with(desk, **figures):
    """The newest evaluation with these figures of `prompt` in it, and what its proof finds."""
    home = Workspace(desk).home
    made, entry = home.latest("evaluation", "validation", Evaluation)
    scored = made.contenders | {"prompt": replace(made.contenders["prompt"], **figures)}
    home.save("evaluation", entry.name, replace(made, contenders=scored), entry.inputs)
    for verb in ("decide", "report"):
        assert typed("-C", desk, verb).status == 0
    return typed("-C", desk, "report", "--verify", "--json").json["differences"]


def test_the_values_of_all_fields_together_are_measured_and_can_be_the_bar(tmp_path, home):
    """Sixty bookings; the contender finds every time, and says that each is for two."""
    people = ["two", "four", "six", None]
    rows = [
        {"text": f"table {i} at {i % 12}:{i}", "people": people[i % 4], "time": f"{i % 12}:{i}"} for i in range(10, 70)
    ]
    slots = ("people", "time")
    source = tmp_path / "bookings.jsonl"
    source.write_text("".join(json.dumps({"text": r["text"], "slots": {s: r[s] for s in slots}}) + "\n" for r in rows))
    desk = tmp_path / "desk"
    Workspace.init(desk, source=source, prompt="text", completion="slots")
    fields = [{"name": name, "type": "value", "nullable": True} for name in slots]

    def answer(body, _):
        return says(json.dumps({"people": "two", "time": sent(body).split(" at ")[1].split()[0]}))

    with FakeServer(answer) as server:
        write_settings(
            desk, task={"name": "booking", "fields": fields}, model=NO_MODEL | {"base_url": server.url},
            contenders={"constrained": False}, bar={"metric": "entity_f1", "value": 0.5},
        )  # fmt: skip
        told, shown = evaluated(desk)
        decided = typed("-C", desk, "decide")
    asked = {e.id: json.loads(e.completion) for e in Workspace(desk).home.examples()}
    true = [asked[i] for i in told.json["contenders"]["prompt"]["correct"]]
    right = len(true) + sum(t["people"] == "two" for t in true)
    present = sum(value is not None for t in true for value in t.values())
    found = told.json["contenders"]["prompt"]["metrics"]
    assert found["entity_precision"]["value"] == pytest.approx(right / (2 * len(true)))
    assert found["entity_recall"]["value"] == pytest.approx(right / present)
    assert found["entity_f1"]["value"] == pytest.approx(2 * right / (2 * len(true) + present))
    assert found["entity_f1"]["low"] < found["entity_f1"]["value"] < found["entity_f1"]["high"]
    assert shown.splitlines()[1].split()[1] == "entity_f1"
    assert {"entity_f1", "entity_precision", "entity_recall"} <= {line.split("  ")[0] for line in shown.splitlines()}
    assert decided.status == 0, decided.err
    assert typed("-C", desk, "report").status == 0
    assert "entity_recall" in next(desk.glob("**/*.html")).read_text()


def test_entries_of_json_values_are_right_only_within_their_own_record(tmp_path, home):
    stays = [[{"day": i, "n": 2}, {"day": i + 1, "n": 4}] for i in range(60)]
    source = tmp_path / "stays.jsonl"
    source.write_text(
        "".join(json.dumps({"text": f"stay {s[0]['day']}.", "stay": json.dumps(s)}) + "\n" for s in stays)
    )
    desk = tmp_path / "desk"
    Workspace.init(desk, source=source, prompt="text", completion="stay")

    def crossed(body, _):
        day = int(sent(body).split("stay ")[-1].split(".")[0])
        return says(json.dumps([{"day": day + 1, "n": 2}, {"day": day, "n": 4}, {"day": 0, "n": 0}]))

    with FakeServer(crossed) as server:
        write_settings(
            desk, task={"name": "stay", "format": "plain", "fields": [{"name": "stay", "type": "value"}]},
            model=NO_MODEL | {"base_url": server.url}, contenders={"constrained": False},
            evaluation={"metrics": ["exact_match", "leaf_f1", "leaf_precision", "leaf_recall"]},
            bar={"metric": "leaf_f1", "value": 0.5},
        )  # fmt: skip
        for verb in (("split",), ("baseline", "prompt")):
            ended = typed("-C", desk, *verb)
            assert ended.status == 0, ended.err
        found = typed("-C", desk, "evaluate", "prompt", "--json").json["contenders"]["prompt"]["metrics"]
    figures = [found[f"leaf_{part}"]["value"] for part in ("f1", "precision", "recall")]
    assert figures == pytest.approx([2 * 2 / (6 + 4), 2 / 6, 2 / 4])


def test_texts_say_how_they_were_compared(tmp_path, home):
    source = tmp_path / "replies.jsonl"
    replies = {
        "returns": "Please send the item back with the label that we sent you by mail this morning.",
        "billing": "We have corrected the invoice and returned what was charged too much to your card.",
        "shipping": "Your parcel is on its way and the driver comes to your door before this evening.",
    }
    rows = [
        {"text": t, "reply": f"{replies[label]} {t.capitalize()}: done."}
        for label in MESSAGES
        for t in MESSAGES[label].splitlines()
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    desk = tmp_path / "desk"
    Workspace.init(desk, source=source, prompt="text", completion="reply")
    fields = [{"name": "reply", "type": "text"}]
    write_settings(
        desk,
        task={"name": "reply", "format": "plain", "fields": fields},
        model=NO_MODEL,
        evaluation={"metrics": ["rouge_1", "rouge_2", "rouge_l", "chrf", "bleu", "length_ratio", "bertscore"]},
        bar={"metric": "chrf", "value": 50},
    )
    for verb in (("split",), ("baseline", "constant")):
        ended = typed("-C", desk, *verb)
        assert ended.status == 0, ended.err
    ended = tunesmith("-C", desk, "evaluate", "--json")
    assert ended.status == 0, ended.err
    scored = ended.json["contenders"]["constant"]
    assert set(scored["metrics"]) == {"rouge_1", "rouge_2", "rouge_l", "chrf", "bleu", "length_ratio"}
    assert scored["metrics"]["rouge_1"]["value"] > scored["metrics"]["rouge_2"]["value"] > 0
    assert "tunesmith model pull minilm" not in scored["unmeasured"]["bertscore"]
    assert "minilm is not on this machine" in scored["unmeasured"]["bertscore"]
    signed = ended.json["signatures"]
    assert signed["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert signed["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert "measure:f1" in signed["rouge_2"]
    assert signed["bleu"] in typed("-C", desk, "evaluate", "--all").out


def test_why_answers_failed_is_told(desk):
    with FakeServer(lambda *_: refusal(400, "no such model")) as server:
        write_settings(desk, model=NO_MODEL | {"base_url": server.url}, contenders={"constrained": False})
        ended = typed("-C", desk, "baseline", "prompt")
        assert "failed, most often: 400: no such model" in ended.out
        assert ended.status == 3
        assert typed("-C", desk, "evaluate", "prompt", "--json").status == 3
        assert typed("-C", desk, "evaluate", "constant").status == 0  # what it asks nobody for is measured all the same
        assert "nothing fails" not in typed("-C", desk, "errors", "prompt").out


def test_answers_nested_without_end_or_with_half_a_character_are_unreadable_and_stop_nothing(tmp_path, home):
    rows = [
        {"prompt": text, "completion": {"topic": label, "reply": f"We look into it: {text}."}}
        for label, texts in MESSAGES.items()
        for text in texts.splitlines()
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    desk = tmp_path / "desk"
    assert typed("init", desk, "--from", tmp_path / "rows.jsonl").status == 0
    good, half = ({"topic": "billing", "reply": reply} for reply in ("Sure.", "\ud83d"))
    bad = ("[" * 100_000, '{"topic":' * 3_000, json.dumps(half))
    with FakeServer(lambda body, number: says(bad[number % 3] if number % 2 else json.dumps(good))) as server:
        write_settings(desk, model=NO_MODEL | {"base_url": server.url}, bar={"metric": "accuracy", "value": 0.5})
        assert typed("-C", desk, "split").status == 0
        assert typed("-C", desk, "baseline", "constant", "prompt").status == 0
        ended = typed("-C", desk, "evaluate", "--on", "test", "--json")
        assert ended.status == 0, ended.err
        scores = ended.json["contenders"]
        assert sum(scores[name]["unreadable"] for name in ("prompt", "prompt+schema")) == ended.json["examples"]
        for verb in (("errors", "prompt"), ("decide",), ("report", "--verify")):
            assert typed("-C", desk, *verb).status == 0


def test_answers_that_failed_stay_with_the_side_that_was_measured_until_they_are_asked_for_again(desk):
    ill = [True]

    def now_and_then(body, number):
        fails = ill[0] and len(body["messages"][-1]["content"]) % 4 == 0
        return refusal(400, "no") if fails else says("shipping")

    with FakeServer(now_and_then) as server:
        write_settings(desk, model=NO_MODEL | {"base_url": server.url}, contenders={"constrained": False})
        assert typed("-C", desk, "baseline", "prompt").status == 0
        on_test = typed("-C", desk, "evaluate", "--on", "test", "--json").json["contenders"]["prompt"]
        assert on_test["failed"] > 0
        assert typed("-C", desk, "errors", "prompt").status == 0  # what failed on validation is still there
        assert typed("-C", desk, "decide").status == 0
        again = typed("-C", desk, "evaluate", "--json").json["contenders"]["prompt"]
        assert again["failed"] > 0
        verified = typed("-C", desk, "report", "--verify")
        assert verified.status == 0, verified.out  # and so is what failed on test
        ill[0] = False
        asked = len(server.bodies)
        well = typed("-C", desk, "evaluate", "--json").json["contenders"]["prompt"]
        assert (well["failed"], len(server.bodies) - asked) == (0, again["failed"])


def test_rows_that_were_erased_are_not_called_a_sample(desk):
    every = typed("-C", desk, "evaluate", "--json").json
    doomed = next(iter(every["contenders"]["constant"]["correct"]))
    drawn = typed("-C", desk, "evaluate", "--sample", "5", "--seed", "3", "--json").json["warnings"]
    assert drawn[0] == f"Only 5 of {every['examples']} validation rows were scored, drawn by seed 3."
    assert typed("-C", desk, "data", "erase", doomed, "--by", "ann", "--reason", "asked").status == 0
    left = typed("-C", desk, "evaluate", "--json").json
    assert left["examples"] == every["examples"] - 1
    assert "are there any more: the others were removed or erased since the split" in left["warnings"][0]


@pytest.mark.parametrize(
    ("asked", "problem"),
    [({"on": "tset"}, "no side of the split 'tset'"), ({"sample": -3}, "sample of -3"), ({"repeat": -1}, "-1 times")],
)
def test_from_python_what_cannot_be_asked_for_is_refused_with_its_mend(desk, asked, problem):
    with pytest.raises(TunesmithError, match=problem):
        Workspace(desk).evaluate(["constant"], **asked)


def test_a_metric_that_breaks_takes_no_other_with_it_and_is_told(desk, monkeypatch):
    interval = registry.tally_interval

    def breaks(*args, **more):
        if not more.get("rate"):
            raise RuntimeError("broke")
        return interval(*args, **more)

    monkeypatch.setattr(registry, "tally_interval", breaks)
    write_settings(desk, model=NO_MODEL, bar={"metric": "accuracy", "value": 0.5})
    ended = typed("-C", desk, "evaluate", "constant", "classifier")
    assert ended.status == 0, ended.err
    assert "macro_f1: macro_f1 raised RuntimeError: broke" in ended.out
    assert "`tunesmith evaluate --cv 5` holds out each" in ended.out  # there are fewer than a hundred
    scored = typed("-C", desk, "evaluate", "constant", "--json").json["contenders"]["constant"]
    assert "accuracy" in scored["metrics"] and "macro_f1" not in scored["metrics"]
    assert scored["unmeasured"]["macro_f1"] == "macro_f1 raised RuntimeError: broke"
