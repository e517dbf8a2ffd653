"""A workspace whose contenders ask no model."""

import json

from tests.cli.driving import typed
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace

NO_MODEL = {"base": "m", "embedder": "ngrams"}


def metrics_desk(folder):
    """The toy task, split and with two contenders that ask no model; five rows of each label are hard."""
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
