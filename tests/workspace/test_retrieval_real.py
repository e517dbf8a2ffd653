"""The real embedder on the bundled example: what docs and experiments say of its searches holds."""

import pytest

from tunesmith import Workspace
from tunesmith.workspace.split import split

pytestmark = pytest.mark.slow


def test_on_the_support_desk_both_together_find_most(tmp_path):
    workspace, _ = Workspace.init(tmp_path / "desk", example="support-desk")
    workspace.add(tmp_path / "desk" / "messages.jsonl", group_by="customer")
    workspace.add(tmp_path / "desk" / "policies", as_="document")
    split(workspace.home)
    found = workspace.retrieval(relevant=tmp_path / "desk" / "relevant.jsonl")
    assert found.embedder == "minilm"
    assert (found.documents.queries, found.documents.skipped, found.rejected) == (51, 16, ())
    reached = {
        what: [round(searched.ways[way].metrics["ndcg@10"].value, 2) for way in ("dense", "lexical", "hybrid")]
        for what, searched in (("examples", found.examples), ("documents", found.documents))
    }
    assert reached["examples"] == pytest.approx([0.30, 0.32, 0.35], abs=0.021)
    assert reached["documents"] == pytest.approx([0.58, 0.54, 0.61], abs=0.021)
