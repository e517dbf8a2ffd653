"""What several files of tests begin from."""

import pytest
from tests.workspace.answered import shipped_desk


@pytest.fixture(scope="session")
def shipped(tmp_path_factory):
    """The folder of a workspace whose first tuned model shipped; to be copied."""
    return shipped_desk(tmp_path_factory.mktemp("shipped")).home.root
