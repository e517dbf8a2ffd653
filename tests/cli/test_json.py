"""What outside programs rely on: with --json each verb's one object carries these fields, at their default too."""

import pytest
from tests.cli.driving import tunesmith, typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

ESTIMATE = {"value", "low", "high", "n", "skipped"}


@pytest.fixture(scope="module")
def road(tmp_path_factory):
    """The road walked by the command line on the toy task: the JSON of every verb."""
    folder = tmp_path_factory.mktemp("road")
    model, desk = build_tiny(folder / "tiny"), folder / "desk"
    (folder / "more.csv").write_text("text,topic\nis the van late,shipping\nlost,\nis the van late,shipping\n")
    made = {"init": tunesmith("init", desk, "--from", write_csv(folder / "examples.csv"), "--json")}
    write_settings(
        desk,
        bar={"metric": "accuracy", "value": 0.8},
        model={"base": str(model), "embedder": "ngrams"},
        tuning={"epochs": 0.5, "rank": 2},
    )
    walk = {
        "add": ("add", folder / "more.csv", "--map", "prompt=text", "--map", "completion=topic"),
        "check": ("check",),
        "mend": ("mend", "--apply"),
        "review add": ("review", "add", "--sample", "3", "--second-opinion", "1"),
        "review next": ("review", "next", "--by", "ann"),
        "review reject": ("review", "reject", "--by", "ann"),
        "review queue": ("review", "queue"),
        "data history": ("data", "history"),
        "data snapshots": ("data", "snapshots"),
        "data diff": ("data", "diff", "added:2000-01-01", "now"),
        "review undo": ("review", "undo", "--by", "ann"),
        "split": ("split",),
        "select": ("select", "--count", "9"),
        "verify": ("split", "--verify"),
        "baseline": ("baseline", "constant", "classifier", "prompt"),
        "retrieval": ("retrieval",),
        "plan": ("tune", "--plan"),
        "tune": ("tune", "--anyway"),
        "evaluate": ("evaluate", "--on", "test"),
        "errors": ("errors", "classifier", "--against", "constant"),
        "rounds": ("rounds",),
        "cost": ("cost",),
        "decide": ("decide",),
        "report": ("report", "--verify"),
        "status": ("status",),
        "doctor": ("doctor",),
    }
    for verb, arguments in walk.items():
        made[verb] = typed("-C", desk, *arguments, "--json")
        assert made[verb].status in (0, 1), (verb, made[verb].err)
    tested = next(iter(made["evaluate"].json["contenders"]["constant"]["correct"]))
    made["show"] = typed("-C", desk, "show", tested, "--json")
    return {verb: ended.json for verb, ended in made.items()}


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("init", "workspace task"),
        ("add", "read added duplicates rejected"),
        ("check", "snapshot examples findings ready unmeasured readiness"),
        ("mend", "snapshot examples findings ready changed left applied batch"),
        ("select", "selected of compared"),
        ("show", "example provenance"),
        ("data history", "changes"),
        ("data snapshots", "snapshots"),
        ("data diff", "added removed changed counts"),
        ("review add", "queued accepted corrected rejected added"),
        ("review next", "queued accepted corrected rejected example"),
        ("review reject", "queued accepted corrected rejected review"),
        ("review queue", "queued accepted corrected rejected"),
        ("review undo", "queued accepted corrected rejected example"),
        (
            "split",
            "train validation test set_aside groups clusters largest_cluster max_similarity_across certified",
        ),
        ("verify", "certified"),
        ("baseline", "contenders"),
        ("retrieval", "metric present best best_settings tries chosen examples documents unmeasured rejected"),
        ("plan", "plan too_early"),
        ("tune", "run best_step validation_loss peak_memory_bytes examples_per_second adapter mixture"),
        ("evaluate", "contenders comparisons test_looks"),
        ("errors", "side contender metric slices kinds clusters versus queue doubtful notes"),
        ("rounds", "side metric rounds since_first"),
        ("cost", "contenders"),
        ("decide", "recommendation because quality_bar costs dossier evidence next rule gather gather_because against"),
        ("report", "dossier verified problems differences unproved proved"),
        ("status", "stations"),
        ("doctor", "ready findings"),
    ],
)
def test_each_verb_carries_its_fields(road, verb, fields):
    assert set(fields.split()) <= road[verb].keys()


@pytest.mark.parametrize(
    ("verb", "where", "fields"),
    [
        ("add", "rejected", "file line problem mend"),
        ("check", "findings", "check severity problem mend examples"),
        ("evaluate", "comparisons", "a b metric difference low high p_value"),
        ("errors", "slices", "by value n score rest difference low high p_value q_value found untold"),
        ("errors", "kinds", "kind field wanted said count share examples"),
        ("rounds", "rounds", "number at examples leader score changed made_anew bought common untold cost"),
        ("decide", "evidence", "because kind name hash path part"),
        ("status", "stations", "name state because next"),
        ("data history", "changes", "at batch kind by old new reason words"),
        ("data snapshots", "snapshots", "hash at bytes"),
    ],
)
def test_each_member_of_a_list_carries_its_fields(road, verb, where, fields):
    assert road[verb][where]
    for member in road[verb][where]:
        assert set(fields.split()) <= member.keys()


def test_each_contender_carries_its_metrics_and_what_could_not_be_measured_is_null(road):
    contenders = road["evaluate"]["contenders"]
    assert {"constant", "classifier", "prompt", "prompt+schema", "tuned", "tuned+schema"} <= contenders.keys()
    for name, scores in contenders.items():
        assert {"metrics", "novel", "latency_seconds", "usd_per_thousand"} <= scores.keys()
        assert all(estimate.keys() == ESTIMATE for estimate in scores["metrics"].values())
        assert scores["metrics"]["accuracy"]["n"] + scores["metrics"]["accuracy"]["skipped"] > 0
        sheet = road["cost"]["contenders"][name]
        assert sheet["usd_per_thousand"] is None
        assert sheet["reasons"]["usd_per_thousand"]


def test_a_run_and_a_row_count_what_they_say(road):
    assert (road["add"]["read"], road["add"]["added"], road["add"]["duplicates"]) == (3, 1, 1)
    assert len(road["add"]["rejected"]) == 1
    assert sum(road["split"][side] for side in ("train", "validation", "test")) == 61
    assert road["report"]["verified"] is True
