"""Prompts longer than the model's context: refused, or cut in the middle of their longest messages."""

import pytest
from tests.models.test_engine import in_order, request
from tests.models.tiny import build_tiny, build_tokenizer

from tunesmith.core.contenders import Decoding, Request
from tunesmith.core.examples import Message
from tunesmith.models.engine import Engine
from tunesmith.models.fitting import GAP, SHORTEST, fit
from tunesmith.models.template import Template


@pytest.fixture(scope="module")
def template():
    return Template(build_tokenizer())


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(build_tiny(tmp_path_factory.mktemp("models") / "tiny"))


LONG = (
    Message(role="system", content="File the message."),
    Message(role="user", content="a short turn"),
    Message(role="assistant", content="yes"),
    Message(role="user", content="BEGIN " + "parcel " * 300 + "what is the label?"),
)


def test_a_prompt_that_fits_is_left_alone(template):
    ids = template.prompt_ids(LONG)
    assert fit(template, LONG, len(ids)) == (ids, 0, LONG)


def test_the_longest_message_loses_its_middle_and_the_others_nothing(template):
    whole = template.prompt_ids(LONG)
    found = fit(template, LONG, 300)
    assert len(found.ids) <= 300 < len(found.ids) + 20  # no more is cut than it takes
    assert found.truncated == len(whole) - len(found.ids)
    text = template.tokenizer.decode(found.ids)
    assert "File the message." in text and "a short turn" in text
    assert "BEGIN parcel" in text and text.count(GAP) == 1 and "what is the label?" in text
    assert text.endswith("<|im_start|>assistant\n")
    assert template.prompt_ids(found.messages) == found.ids


def test_what_cannot_be_cut_so_far_does_not_fit(template):
    many = tuple(Message(role="user", content="x" * SHORTEST) for _ in range(40))
    assert fit(template, many, 300) is None


def test_the_engine_refuses_or_cuts_as_the_request_says(engine):
    decoding = Decoding(max_tokens=40)
    refuse, cut = (Request(messages=LONG, decoding=decoding, too_long=policy) for policy in ("refuse", "cut"))
    refused, answered, short = in_order(engine, [refuse, cut, request("parcel")])
    assert (refused.finish_reason, refused.too_long, refused.text) == ("error", True, "")
    assert "exceeds context of 512" in refused.problem
    assert answered.problem is None and not answered.too_long
    assert answered.prompt_tokens <= 512 - 40  # the longest answer fits behind it
    assert answered.truncated == len(engine.template.prompt_ids(LONG)) - answered.prompt_tokens
    assert (short.too_long, short.truncated, short.sent) == (False, 0, None)
    assert len(engine.template.prompt_ids(answered.sent)) == answered.prompt_tokens


def test_a_prompt_that_cannot_be_cut_is_refused_all_the_same(engine):
    many = tuple(Message(role="user", content="x" * SHORTEST) for _ in range(80))
    (reply,) = in_order(engine, [Request(messages=many, too_long="cut")])
    assert reply.too_long and reply.finish_reason == "error"
