import re
from datetime import date

import pytest

from tunesmith.models.catalogue import known_models


@pytest.mark.parametrize("name", list(known_models()))
def test_each_row_says_where_it_is_from_since_when_and_under_which_licence(name):
    row = known_models()[name]
    assert row.name == name
    assert row.source == f"PyPI: {row.wheel} {row.version}"
    assert date.fromisoformat(row.date) <= date.today()  # noqa: DTZ011
    assert row.licence == "Apache-2.0"


@pytest.mark.parametrize("name", list(known_models()))
def test_each_row_pins_a_wheel_and_says_what_to_take_out_of_it(name):
    row = known_models()[name]
    assert re.fullmatch(r"[0-9a-f]{64}", row.sha256)
    assert row.file == f"{row.wheel.replace('-', '_')}-{row.version}-py3-none-any.whl"
    assert bool(row.gguf) != bool(row.members)


def test_the_embedded_model_and_the_embedder_are_known():
    assert {name: row.kind for name, row in known_models().items()} == {"smollm2-135m": "base", "minilm": "embedder"}
