import json

import pytest

from tunesmith.core.json_text import DEEPEST, read_json


def nested(depth):
    return "[" * depth + "]" * depth


def test_what_can_be_kept_is_read_as_ever():
    for value in ({"a": [1, None, "é", "\U0001f600"], "b": {"c": 0.5}}, [], "text", [{}] * 500):
        assert read_json(json.dumps(value)) == read_json(json.dumps(value, ensure_ascii=False)) == value
    assert read_json('{"a": "\\\\ud83d"}') == {"a": "\\ud83d"}  # an escaped backslash, not half a character


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 3_000, nested(DEEPEST + 1), nested(900)])
def test_what_is_nested_without_end_is_no_json(text):
    with pytest.raises(ValueError, match=r"nested more than 200 deep|Expecting"):
        read_json(text)


def test_the_depth_that_is_read_does_not_depend_on_where_it_is_asked_from():
    def deeper(calls):
        return deeper(calls - 1) if calls else (read_json(nested(DEEPEST)), json.dumps(read_json(nested(DEEPEST))))

    assert deeper(0) == deeper(500)


@pytest.mark.parametrize("text", ['"\\ud83d"', '{"\\ude00": 1}', '["a\\uD83D b"]', '"\ud83d"'])
def test_half_a_character_is_no_json(text):
    with pytest.raises(ValueError, match="half a character"):
        read_json(text)
