"""Texts of others on a terminal: each character is seen, as itself or by its code."""

import doctest

import pytest

from tunesmith.cli import plain_text
from tunesmith.cli.plain_text import visible


def test_texts_are_shown_as_their_examples_say():
    assert doctest.testmod(plain_text).failed == 0


@pytest.mark.parametrize("text", ["❤\ufe0f and ☂\ufe0e", "1\ufe0f\u20e3 #\ufe0f\u20e3", "می\u200cخواهم", "a\tb\nc"])
def test_what_belongs_to_a_word_or_an_emoji_stays(text):
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a\ufe0fb", "a<U+FE0F>b"),
        ("\ufe0f", "<U+FE0F>"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f<U+FE0F>"),  # the second one is behind no symbol
        ("❤\ufe00", "❤<U+FE00>"),
        ("\u2800\ufe0f", "<U+2800><U+FE0F>"),  # a symbol by its category, which shows nothing
        ("\U000e0149\u3164\u034f", "<U+E0149><U+3164><U+034F>"),
        ("\ue000\u0378", "<U+E000><U+0378>"),  # of private use; not assigned
    ],
)
def test_what_shows_nothing_is_shown_by_its_code(text, seen):
    assert visible(text) == seen
