"""Rows that fit, and rows that do not."""

from __future__ import annotations

import pytest
from tests.models.tiny import build_tokenizer

from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.template import Part, Template
from tunesmith.tuning.rows import Row, encode_rows


@pytest.fixture(scope="module")
def template():
    return Template(build_tokenizer())


def row(prompt: str, completion: str = "yes") -> Row:
    return Row((Message(role="user", content=prompt),), completion)


SHORT, LONG = row("hi"), row("where is my parcel " * 20)


def test_rows_that_fit_stay_whole(template):
    encoded = encode_rows(template, [SHORT, LONG], "train", 1000, "refuse")
    assert encoded.too_long == 0
    assert encoded.examples == [template.encode(r.messages, r.completion) for r in (SHORT, LONG)]


def test_a_row_too_long_is_refused_by_number_and_with_the_length_it_needs(template):
    needed = len(LONG.encoded(template).ids)
    with pytest.raises(
        TunesmithError, match=rf"1 of 3 train rows .* 50 tokens: row 2 \('where is.*longest has {needed}"
    ):
        encode_rows(template, [SHORT, LONG, SHORT], "train", 50, "refuse")
    with pytest.raises(TunesmithError, match=f"set tuning.max_length to {needed}"):
        encode_rows(template, [LONG], "train", 50, "refuse")


def test_a_row_too_long_is_left_out_and_counted(template):
    encoded = encode_rows(template, [SHORT, LONG, SHORT], "train", 50, "skip")
    assert (len(encoded.examples), encoded.too_long) == (2, 1)


def test_a_row_too_long_is_cut_at_its_end_and_counted(template):
    long = row("hi", "the order has not arrived " * 20)
    whole = long.encoded(template)
    encoded = encode_rows(template, [SHORT, long], "train", 50, "cut")
    assert encoded.too_long == 1
    assert (encoded.examples[1].ids, encoded.examples[1].weights) == (whole.ids[:50], whole.weights[:50])


def test_a_row_whose_completion_is_all_cut_off_is_refused(template):
    with pytest.raises(
        TunesmithError,
        match=r"1 train rows hold no token to learn: row 2(.|\n)*To mend it: .*raise tuning.max_length",
    ):
        encode_rows(template, [SHORT, LONG], "train", 50, "cut")


@pytest.mark.parametrize("side", ["train", "validation"])
def test_an_empty_side_is_nothing_to_measure(template, side):
    with pytest.raises(NothingToMeasure, match=f"The {side} side is empty"):
        encode_rows(template, [], side, 50, "refuse")


def test_no_row_left_is_nothing_to_measure(template):
    with pytest.raises(NothingToMeasure, match="All 2 train rows are longer than 50 tokens"):
        encode_rows(template, [LONG, LONG], "train", 50, "skip")


def test_the_parts_of_a_completion_reach_its_weights(template):
    parts = (Part(0, 3), Part(3, 6, 0.5))
    whole = Row(SHORT.messages, "yes no", parts, 0.25)
    (encoded,) = encode_rows(template, [whole], "train", 1000, "refuse").examples
    assert encoded == template.encode(whole.messages, "yes no", parts, 0.25)
    assert encoded != template.encode(whole.messages, "yes no", parts)
    assert len(set(encoded.weights)) > 1
