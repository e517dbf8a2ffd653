"""A workspace with a judge, what judges answer, and labels to hold them against."""

import json

from tests.cli.driving import typed
from tests.models.fake_server import says
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace

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


def judge_desk(folder):
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"))
    write_settings(folder / "desk", model={"base": "nowhere", "embedder": "ngrams"})
    return Workspace(folder / "desk")


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
