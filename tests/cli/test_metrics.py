"""Metrics by the command line: all of them, edge cases, calibration, repeated answers, a reasoning trace, own ones."""

import json
import shutil
from collections import Counter

import pytest
from msgspec.structs import replace
from tests.cli.driving import tunesmith, typed
from tests.models.fake_server import FakeServer, refusal, says
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.workspace.cross_validation import _Found
from tunesmith.workspace.evaluate import Evaluation

NO_MODEL = {"base": "m", "embedder": "ngrams"}


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """The toy task, split and with two contenders that ask no model; five rows of each label are hard."""
    folder = tmp_path_factory.mktemp("metrics")
    desk = folder / "desk"
    Workspace.init(desk, source=write_csv(folder / "examples.csv", rows=8))
    rows = [
        {"text": text, "topic": label, "edge_case": "ambiguous" if i % 3 == 0 else None}
        for label, texts in MESSAGES.items()
        for i, text in enumerate(texts.splitlines()[8:])
    ]
    more = folder / "more.jsonl"
    more.write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_settings(desk, model=NO_MODEL, bar={"metric": "macro_f1", "value": 0.5})
    maps = ("prompt=text", "completion=topic", "edge_case=edge_case")
    added = typed("-C", desk, "add", more, *(part for m in maps for part in ("--map", m)))
    assert added.status == 0, added.err
    for verb in (("split", "--validation", "0.4"), ("baseline", "constant", "classifier")):
        ended = typed("-C", desk, *verb)
        assert ended.status == 0, ended.err
    return desk


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


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


# Answers that differ from run to run


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


# A model that thinks aloud


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


# A user's own metric

OWN = """
from tunesmith import own_metric


@own_metric("short", rate=True)
def short(case):
    "Whether the answer is one short word."
    return case.said is not None and len(case.said["topic"]) <= 7


@own_metric("sure")
def sure(case):
    return None if "the " in case.prompt else 0.25
"""


def own(desk, code=OWN, **settings):
    (desk / "metrics.py").write_text(code)
    write_settings(desk, evaluation={"own_metrics": "metrics.py"}, **settings)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))


def test_an_own_metric_is_not_loaded_unless_its_file_is_trusted(desk, home, tmp_path):
    own(desk, f"open({str(tmp_path / 'ran')!r}, 'w').close()\n" + OWN)
    for verb in (("evaluate",), ("baseline", "constant")):
        ended = typed("-C", desk, *verb)
        assert ended.status == 2
        assert "you have not trusted" in ended.err
        assert "tunesmith evaluate --trust-code" in ended.err
    assert not (tmp_path / "ran").exists()
    assert typed("-C", desk, "evaluate", "--trust-code").status == 0
    assert (tmp_path / "ran").exists()
    assert typed("-C", desk, "evaluate").status == 0  # remembered
    assert "own metrics changed" not in str(typed("-C", desk, "decide", "--json").json)
    own(desk, OWN + "\n# changed")
    assert typed("-C", desk, "evaluate").status == 2
    assert "Your own metrics changed since it was measured" in str(typed("-C", desk, "decide", "--json").json)


def test_an_own_metric_is_measured_with_interval_and_can_be_the_bar(desk, home):
    own(desk, bar={"metric": "short", "value": 0.2})
    ended = tunesmith("-C", desk, "evaluate", "--trust-code", "--json")
    assert ended.status == 0, ended.err
    found = ended.json["contenders"]["classifier"]
    answered = [i for row in found["confusion"]["topic"].values() for i in row.items()]
    right = sum(n for label, n in answered if len(label) <= 7)
    assert found["metrics"]["short"]["value"] == pytest.approx(right / ended.json["examples"])
    unmeasured = sum("the " in e.prompt for e in Workspace(desk).home.examples() if e.id in found["correct"])
    assert found["metrics"]["sure"]["skipped"] == unmeasured > 0
    assert found["metrics"]["sure"]["value"] == 0.25
    assert len(ended.json["own_metrics"]) == 16
    assert typed("-C", desk, "decide").status == 0
    assert "short" in typed("-C", desk, "evaluate").out.splitlines()[1]


def test_what_is_said_of_a_bar_on_an_own_metric_is_said_of_the_bar_of_today(desk, home):
    own(desk, bar={"metric": "short", "value": 0.01})
    warned = tunesmith("-C", desk, "evaluate", "--trust-code", "--json").json["warnings"]
    assert any("contenders are held against the bar" in line for line in warned)
    own(desk, bar={"metric": "short", "value": 0.99})  # which none meets
    for decided in (typed("-C", desk, "decide", "--json"), tunesmith("-C", desk, "decide", "--json")):
        assert "which is missed" in str(decided.json)
        assert "contenders are held against the bar" not in str(decided.json)


def test_an_own_metric_that_is_the_bar_is_cross_validated_once_it_is_trusted(desk, home):
    (desk / "metrics.py").write_text(
        "from tunesmith import own_metric\n@own_metric('short', rate=True)\ndef short(case):\n"
        "    return len(case.text) < 8\n"
    )
    write_settings(desk, evaluation={"own_metrics": "metrics.py"}, bar={"metric": "short", "value": 0.5})
    folds = ("evaluate", "--cv", "3", "--cv-repeats", "1")
    refused = tunesmith("-C", desk, *folds)
    assert (refused.status, "--trust-code" in refused.err) == (2, True)
    trusted = tunesmith("-C", desk, *folds, "--trust-code", "--json")
    assert trusted.status == 0, trusted.err
    assert trusted.json["metric"] == "short"
    assert set(trusted.json["contenders"]) == {"constant", "classifier"}


def test_a_contender_without_a_number_in_a_fold_is_named_and_the_others_are_cross_validated(desk, monkeypatch):
    def measured(found, name, examples, answers):
        if name == "constant":
            raise NothingToMeasure("constant cannot be measured in a fold: all alike", "leave it out")
        return own(found, name, examples, answers)

    own = _Found._value
    monkeypatch.setattr(_Found, "_value", measured)
    folds = ("evaluate", "--cv", "3", "--cv-repeats", "1")
    made = typed("-C", desk, *folds, "--json")
    assert made.status == 0, made.err
    assert (set(made.json["contenders"]), set(made.json["not_measured"])) == ({"classifier"}, {"constant"})
    assert "constant: not measured: constant cannot be measured in a fold" in typed("-C", desk, *folds).out
    alone = typed("-C", desk, "evaluate", "constant", *folds[1:])
    assert (alone.status, "or for others" in alone.err) == (2, True)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return 1 / 0", "short raised ZeroDivisionError: division by zero (metrics.py, line 6), on example"),
        ("return 'yes'", "short gave str, which is not a number from 0 to 1"),
        ("return float('nan')", "short gave nan, which is not a number from 0 to 1"),
        ("return 3", "short gave 3, which is not a number from 0 to 1"),
    ],
)
def test_an_own_metric_that_breaks_says_so_and_has_no_number(desk, home, body, told):
    own(desk, f"from tunesmith import own_metric\n\n\n@own_metric('short')\ndef short(case):\n    {body}\n")
    ended = typed("-C", desk, "evaluate", "--trust-code", "--json")
    assert ended.status == 0, ended.err
    for scored in ended.json["contenders"].values():
        assert "short" not in scored["metrics"]
        assert told in scored["unmeasured"]["short"]
        assert "accuracy" in scored["metrics"]
    assert f"not measured for constant, classifier: short: {told[:30]}" in typed("-C", desk, "evaluate").out


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x =", "cannot be loaded: SyntaxError"),
        ("raise SystemExit(3)", "cannot be loaded: SystemExit: 3"),
        ("x = 1", "holds no metric"),
        (OWN.replace('"short"', '"accuracy"'), "'accuracy' has the name of one that is there"),
        (OWN.replace('"short"', '"a.b"'), "'a.b' is no name for a metric"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(desk, home, code, told):
    own(desk, code)
    ended = typed("-C", desk, "evaluate", "--trust-code")
    assert ended.status == 2
    assert told in ended.err
    write_settings(desk, evaluation={})
    assert typed("-C", desk, "evaluate").status == 0


def test_a_file_that_is_not_there_is_named(desk, home):
    write_settings(desk, evaluation={"own_metrics": "gone.py"})
    ended = typed("-C", desk, "evaluate")
    assert ended.status == 2
    assert "gone.py cannot be read: No such file" in ended.err


# Several labels at once


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


# Escalating where nothing calls for it


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


# Entities of several fields


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


# Texts


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


def test_a_metric_that_exits_or_prints_gets_no_number_and_spoils_no_output(desk):
    (desk / "metrics.py").write_text(
        "import sys\nfrom tunesmith import own_metric\nprint('loaded')\n"
        "@own_metric('leaves')\ndef leaves(case):\n    sys.exit(0)\n"
        "@own_metric('talks')\ndef talks(case):\n    print('hello')\n    return 1.0\n"
    )
    write_settings(desk, evaluation={"own_metrics": "metrics.py"})
    ended = tunesmith("-C", desk, "evaluate", "constant", "--trust-code", "--json")
    assert ended.status == 0, ended.err
    found = ended.json["contenders"]["constant"]
    assert "leaves raised SystemExit" in found["unmeasured"]["leaves"]
    assert found["metrics"]["talks"]["value"] == 1
    assert "hello" in ended.err


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
