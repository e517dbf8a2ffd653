"""A user's own metric by the command line: trusted, measured, the bar, and broken."""

import shutil

import pytest
from tests.cli.driving import tunesmith, typed
from tests.cli.metrics_desk import metrics_desk
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.errors import NothingToMeasure
from tunesmith.workspace.cross_validation import _Found

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


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return metrics_desk(tmp_path_factory.mktemp("metrics"))


@pytest.fixture
def desk(template, tmp_path):
    return shutil.copytree(template, tmp_path / "desk")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))


def own(desk, code=OWN, **settings):
    (desk / "metrics.py").write_text(code)
    write_settings(desk, evaluation={"own_metrics": "metrics.py"}, **settings)


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
