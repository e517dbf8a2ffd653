"""Which metric is looked at first where no bar is set."""

import pytest
from tests.cli.driving import typed
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_csv, write_settings

from tunesmith import Workspace
from tunesmith.workspace.watched import watched_metric


@pytest.fixture
def desk(tmp_path):
    """A desk that writes free text, without a bar, and a tiny model."""
    Workspace.init(tmp_path / "desk", source=write_csv(tmp_path / "examples.csv"))
    write_settings(
        tmp_path / "desk",
        task={"name": "replies", "format": "plain", "fields": [{"name": "reply", "type": "text"}]},
        model={"base": str(build_tiny(tmp_path / "tiny")), "embedder": "ngrams"},
        contenders={"max_tokens": 3},
        bar=None,
    )
    return tmp_path / "desk"


def test_texts_are_watched_by_what_tells_of_one_text_and_not_by_whether_they_can_be_read(desk):
    for verb in ("check", "split"):
        assert typed("-C", desk, verb).status in (0, 1)
    told = typed("-C", desk, "baseline", "prompt")
    assert told.status == 0, told.err
    header, row = (next(line for line in told.out.splitlines() if line.startswith(n)) for n in ("contender", "prompt"))
    assert header.split()[1] == "reply.chrf"
    assert row.split()[1] != "-"


def test_what_is_measured_is_watched_where_the_settings_leave_that_out(desk):
    assert watched_metric(Workspace(desk).home) == "reply.chrf"
    write_settings(desk, evaluation={"metrics": ["reply.rouge_l", "valid_rate"]})
    assert watched_metric(Workspace(desk).home) == "reply.rouge_l"
    write_settings(desk, bar={"metric": "valid_rate", "value": 0.9})
    assert watched_metric(Workspace(desk).home) == "valid_rate"
