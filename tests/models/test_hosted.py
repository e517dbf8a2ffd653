import logging
import socket
import time
from email.utils import formatdate

import pytest
from tests.models.fake_server import FakeServer, Said, refusal, says, streams

from tunesmith.core.contenders import Constraint, Decoding, Request
from tunesmith.core.errors import ServiceError, TunesmithError
from tunesmith.core.examples import Message
from tunesmith.models.hosted import OPENAI_URL, HostedModel
from tunesmith.models.spending import Prices, SpendingCap, SpendingCapReached, most_tokens

PRICES = Prices(usd_per_million_prompt_tokens=2.0, usd_per_million_completion_tokens=8.0)
KEY = "sk-very-secret-4711"


def asks(text="hello", **rest):
    return Request(messages=(Message(role="system", content="Be short."), Message(role="user", content=text)), **rest)


def model(server, **rest):
    return HostedModel("m", base_url=server.url, first_wait_seconds=0.01, **rest)


def replies(hosted, requests):
    return [reply for _, reply in sorted(hosted.answers(requests))]


def one(answer, request=None, **rest):
    """The reply to one request and the server that gave it."""
    with FakeServer(answer) as server:
        return replies(model(server, **rest), [request or asks()])[0], server


def test_replies_carry_text_counts_time_and_price_under_their_index():
    with FakeServer(lambda body, number: says(body["messages"][1]["content"].upper())) as server:
        seen = []
        hosted = model(server, prices=PRICES)
        found = dict(hosted.answers([asks("a"), asks("b"), asks("c")], lambda done, total, note="": seen.append(done)))
    assert {i: reply.text for i, reply in found.items()} == {0: "A", 1: "B", 2: "C"}
    assert (found[0].prompt_tokens, found[0].completion_tokens, found[0].finish_reason) == (10, 5, "stop")
    assert found[0].usd == pytest.approx(10 * 2e-6 + 5 * 8e-6)
    assert 0 < found[0].seconds < 5 and found[0].first_token_seconds is None
    assert seen == [1, 2, 3]
    assert hosted.template_hash is None and hosted.name == "m"


def test_what_is_sent_is_the_request():
    decoding = Decoding(max_tokens=9, temperature=0.5, top_p=0.9, stop=("END",), seed=3)
    _, server = one(lambda *_: says("x"), asks("hi", decoding=decoding))
    assert server.bodies == [
        {
            "model": "m", "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "hi"}],
            "max_tokens": 9, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "seed": 3,
        }
    ]  # fmt: skip


def test_no_more_calls_run_at_once_than_allowed():
    with FakeServer(lambda *_: says("x")._replace(pause_seconds=0.03)) as server:
        assert len(replies(model(server, concurrency=3), [asks()] * 12)) == 12
    assert 2 <= server.busiest <= 3


def test_a_provider_without_credit_stops_the_work():
    with FakeServer(lambda _, n: says("paid for") if n < 2 else refusal(402, "Insufficient balance")) as server:
        found = model(server, concurrency=1).answers([asks()] * 9)
        assert [next(found)[1].text, next(found)[1].text] == ["paid for", "paid for"]
        with pytest.raises(ServiceError, match=r"402: Insufficient balance(.|\n)*add credit"):
            list(found)
    assert len(server.bodies) == 3


def test_one_message_that_is_not_permitted_fails_alone_once_the_key_was_good():
    with FakeServer(lambda _, n: refusal(403, "flagged by moderation") if n == 1 else says("ok")) as server:
        found = replies(model(server, concurrency=1), [asks()] * 3)
    assert [(reply.text, reply.finish_reason) for reply in found] == [("ok", "stop"), ("", "error"), ("ok", "stop")]
    with FakeServer(lambda *_: refusal(403, "no access")) as server:
        with pytest.raises(ServiceError, match="refused the API key: 403: no access"):
            replies(model(server, concurrency=1), [asks()] * 3)
        assert len(server.bodies) == 1


def test_a_rate_limit_is_waited_out_for_as_long_as_the_server_asks():
    started = time.perf_counter()
    reply, server = one(lambda _, n: refusal(429, "slow down", {"Retry-After": "0.3"}) if n == 0 else says("ok"))
    assert reply.text == "ok" and len(server.bodies) == 2
    assert time.perf_counter() - started > 0.3
    assert reply.seconds < 0.25  # the wait is not the model's latency


@pytest.mark.parametrize("headers", [{"Retry-After": "600"}, {"Retry-After": formatdate(time.time() + 3600)}])
def test_a_wait_that_is_too_long_is_not_waited_for(headers):
    reply, server = one(lambda *_: refusal(429, "come back later", headers))
    assert (reply.finish_reason, reply.problem, len(server.bodies)) == ("error", "429: come back later", 1)


def test_server_errors_are_tried_again_and_then_counted_as_what_they_are():
    reply, server = one(lambda _, n: refusal(503, "busy") if n < 2 else says("ok"), retries=2)
    assert (reply.text, reply.problem, len(server.bodies)) == ("ok", None, 3)
    reply, server = one(lambda *_: refusal(500, "broken inside"), retries=2)
    assert (reply.finish_reason, reply.problem, reply.text) == ("error", "500: broken inside", "")
    assert reply.usd is None and len(server.bodies) == 3


def test_one_failed_request_does_not_fail_the_others():
    with FakeServer(lambda body, _: refusal(400, "no") if "bad" in str(body) else says("ok")) as server:
        found = replies(model(server), [asks("good"), asks("bad"), asks("good")])
    assert [reply.problem for reply in found] == [None, "400: no", None]
    assert len(server.bodies) == 3  # a refused request is not sent again


def test_a_server_that_does_not_answer_is_given_up_on():
    reply, server = one(lambda *_: says("late")._replace(pause_seconds=0.6), timeout_seconds=0.15, retries=1)
    assert (reply.finish_reason, reply.problem) == ("error", "no answer within 0.15 seconds (timeout_seconds)")
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "said",
    [
        Said(body=b'{"id": "c1", "choices": [{"index": 0, "mess'),
        Said(body=b'{"id": "c1", "choices": []}'),
        Said(body=b'{"id": "c1", "choices": [{"index": 0, "finish_reason": "stop"}]}'),
        Said(body=b"<html>It works!</html>", headers={"Content-Type": "text/html"}),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_and_never_an_empty_text(said):
    reply, _ = one(lambda *_: said)
    assert reply.finish_reason == "error"
    assert reply.problem.startswith("the server's answer could not be read")


def test_half_a_character_becomes_the_mark_for_what_is_lost():
    reply, _ = one(lambda *_: says("bad \ud800 half"))
    assert reply.text == "bad \ufffd half"


def test_a_connection_that_breaks_off_is_tried_again():
    reply, server = one(lambda _, n: says("x")._replace(cut=True) if n == 0 else says("whole"), asks(), retries=1)
    # the first connection broke before any answer had been read: this alone must not look like a missing server
    assert (reply.text, len(server.bodies)) == ("whole", 2)


def test_refusals_and_other_ends_are_problems():
    reply, _ = one(lambda *_: says(None, refused="I cannot help with that."))
    assert (reply.finish_reason, reply.problem) == ("error", "the model refused: I cannot help with that.")
    reply, _ = one(lambda *_: says("par", finish="content_filter"))
    assert reply.problem == "the answer ended with 'content_filter'"
    reply, _ = one(lambda *_: says("cut o", finish="length"))
    assert (reply.finish_reason, reply.problem, reply.text) == ("length", None, "cut o")


def test_a_refused_key_stops_the_work_and_is_nowhere_to_be_read(monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("MY_KEY", KEY)
    with FakeServer(lambda *_: refusal(401, f"Incorrect API key provided: {KEY}.")) as server:
        hosted = model(server, api_key_env="MY_KEY")
        with pytest.raises(
            ServiceError, match=r"refused the API key: 401: .*\*\*\*(.|\n)*set MY_KEY to a valid"
        ) as caught:
            replies(hosted, [asks()] * 20)
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert len(server.bodies) <= hosted.concurrency  # the rest was not sent
    assert KEY not in f"{caught.value} {hosted!r} {vars(hosted)} {caplog.text}"


def test_a_key_goes_only_where_it_was_meant_to_go(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    _, server = one(lambda *_: says("x"))
    assert "authorization" not in server.headers[0] and "openai-organization" not in server.headers[0]
    assert HostedModel("gpt").api_key_env == "OPENAI_API_KEY"


def test_a_missing_key_is_named_before_anything_is_sent(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(TunesmithError, match=r"OPENAI_API_KEY is not set(.|\n)*export OPENAI_API_KEY="):
        replies(HostedModel("gpt"), [asks()])


def test_an_unknown_model_and_a_used_up_quota_stop_the_work():
    with pytest.raises(ServiceError, match=r"does not know 'm': 404: no such model(.|\n)*ends in /v1"):
        one(lambda *_: refusal(404, "no such model"))
    with pytest.raises(ServiceError, match=r"quota is used up(.|\n)*add credit"):
        one(lambda *_: refusal(429, "You exceeded your current quota", code="insufficient_quota"))


def test_a_server_that_is_not_there_is_said_so():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ServiceError, match=r"could not be reached(.|\n)*start the server"):
            replies(HostedModel("m", base_url=url, retries=0), [asks()])


def test_answers_before_the_stop_are_handed_over():
    with FakeServer(lambda _, n: says("paid for") if n < 3 else refusal(401, "expired")) as server:
        found = []
        with pytest.raises(ServiceError, match="expired"):
            found.extend(reply.text for _, reply in model(server, concurrency=1).answers([asks()] * 9))
    assert found == ["paid for"] * 3


def test_leaving_early_sends_no_more():
    with FakeServer(lambda *_: says("x")._replace(pause_seconds=0.02)) as server:
        answers = model(server, concurrency=2).answers([asks()] * 50)
        next(answers)
        answers.close()
        time.sleep(0.2)
        assert len(server.bodies) < 10


@pytest.mark.parametrize(
    "error",
    [
        refusal(
            400, "Unsupported value: 'temperature' does not support 0", param="temperature", code="unsupported_value"
        ),
        refusal(400, "Unsupported parameter: 'temperature' is not supported with this model."),
        Said(422, b'{"detail": [{"loc": ["body", "temperature"], "msg": "Extra inputs are not permitted"}]}'),
    ],
)
def test_a_setting_that_the_model_does_not_take_is_left_out_and_remembered(error):
    with FakeServer(lambda body, _: error if "temperature" in body else says("ok")) as server:
        hosted = model(server, concurrency=1)
        assert [reply.text for reply in replies(hosted, [asks(), asks()])] == ["ok", "ok"]
    assert ["temperature" in body for body in server.bodies] == [True, False, False]
    assert hosted.notes == ("temperature is not taken by the model and was not sent",)
    left_open = asks(decoding=Decoding(temperature=None))
    with FakeServer(lambda *_: says("ok")) as server:
        asked = replies(model(server, omit=["temperature", "seed"]), [asks(), left_open])
    assert [reply.left_out for reply in asked] == [("temperature",), ()]


def test_a_setting_known_not_to_be_taken_is_never_sent():
    _, server = one(lambda *_: says("x"), omit=["temperature"])
    assert "temperature" not in server.bodies[0]


def test_a_wrong_value_is_the_callers_fault_and_is_not_dropped():
    message = "Invalid 'temperature': 9 is above the maximum of 2"
    reply, server = one(lambda *_: refusal(400, message, param="temperature", code="decimal_above_max_value"))
    assert reply.problem == f"400: {message}" and len(server.bodies) == 1


def test_the_limit_goes_under_its_newer_name_where_the_older_is_refused():
    said = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
    error = refusal(400, said, param="max_tokens", code="unsupported_parameter")
    reply, server = one(lambda body, _: error if "max_tokens" in body else says("ok"))
    assert reply.text == "ok" and server.bodies[1]["max_completion_tokens"] == 256
    assert HostedModel("gpt")._dialect.parameters(asks(), stream=False)["max_completion_tokens"] == 256
    assert HostedModel("gpt").base_url == OPENAI_URL


SCHEMA = {
    "type": "object",
    "properties": {"reply": {"type": "string", "maxLength": 40}, "maxLength": {"type": "string", "enum": ["a"]}},
    "required": ["reply", "maxLength"],
    "additionalProperties": False,
}


def test_a_schema_goes_as_strict_response_format_without_the_lengths_it_refuses():
    _, server = one(lambda *_: says("{}"), asks(constraint=Constraint(kind="json_schema", schema=SCHEMA)))
    sent = server.bodies[0]["response_format"]
    assert (sent["type"], sent["json_schema"]["strict"]) == ("json_schema", True)
    # the keyword maxLength is gone; the property that happens to bear that name stays
    assert sent["json_schema"]["schema"]["properties"] == {
        "reply": {"type": "string"},
        "maxLength": {"type": "string", "enum": ["a"]},
    }


def test_a_choice_goes_as_an_object_and_comes_back_as_its_text():
    choice = asks(constraint=Constraint(kind="choice", choices=("yes", "no")))
    reply, server = one(lambda *_: says('{"answer": "no"}'), choice)
    assert reply.text == "no"
    schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert schema["properties"] == {"answer": {"type": "string", "enum": ["yes", "no"]}}
    assert one(lambda *_: says("yes"), choice)[0].text == "yes"  # a server that ignored the format


def test_a_pattern_is_sent_as_a_schema_and_taken_out_of_its_object():
    constraint = Constraint(kind="pattern", pattern="(?:[A-Z]{2})")
    reply, server = one(lambda *_: says('{"answer": "AB"}'), asks(constraint=constraint))
    sent = server.bodies[0]["response_format"]["json_schema"]["schema"]
    assert (sent["properties"]["answer"], reply.text) == ({"type": "string", "pattern": "^(?:[A-Z]{2})$"}, "AB")


def test_several_labels_are_named_where_nothing_constrains():
    constraint = Constraint(kind="pattern", pattern="(?:a|b)(?:, (?:a|b))?", choices=("a", "b"))
    _, server = one(lambda *_: says("a"), asks(constraint=constraint), omit=["response_format"])
    assert (
        "those of these that fit, a comma and a space between them, and nothing else: a, b"
        in (server.bodies[0]["messages"][0]["content"])
    )


def test_a_server_without_constrained_output_gets_the_constraint_as_an_instruction():
    error = refusal(400, "response_format json_schema is not supported by this backend")
    with FakeServer(lambda body, _: error if "response_format" in body else says("no")) as server:
        hosted = model(server)
        reply = replies(hosted, [asks(constraint=Constraint(kind="choice", choices=("yes", "no")))])[0]
    assert (reply.text, reply.problem) == ("no", None)
    assert server.bodies[1]["messages"][0]["content"] == (
        "Be short.\n\nAnswer with exactly one of these and nothing else: yes, no"
    )
    assert reply.left_out == ("response_format",)
    assert hosted.notes == ("the server has no constrained output: the constraint is only an instruction",)


def test_an_instruction_tells_that_nothing_may_be_said():
    constraint = Constraint(kind="choice", choices=("yes", "no", ""))
    _, server = one(lambda *_: says(""), asks(constraint=constraint), omit=["response_format"])
    assert server.bodies[0]["messages"][0]["content"].endswith(
        "else: yes, no; if none of them fits, with nothing at all"
    )


def test_streaming_measures_the_first_token():
    reply, server = one(lambda *_: streams(["Hel", "lo"], pause_seconds=0.03), measure_first_token=True)
    assert server.bodies[0]["stream"] and server.bodies[0]["stream_options"] == {"include_usage": True}
    assert (reply.text, reply.prompt_tokens, reply.completion_tokens) == ("Hello", 7, 3)
    # pieces leave at 0.03 (role), 0.06 (first text), ... 0.18 s
    assert 0.05 < reply.first_token_seconds < reply.seconds - 0.05


def test_a_stream_that_ends_early_or_never_is_an_error():
    reply, _ = one(lambda *_: streams(["Hel"], finish=None), measure_first_token=True)
    assert reply.problem == "the server's answer could not be read: the stream ended before the answer did"
    slow = streams(["a"] * 30, pause_seconds=0.03)
    reply, _ = one(lambda *_: slow, measure_first_token=True, timeout_seconds=0.2, retries=0)
    assert reply.problem == "no answer within 0.2 seconds (timeout_seconds)"


def test_a_cap_without_prices_is_refused_before_the_first_call():
    with pytest.raises(TunesmithError, match=r"prices of 'm' are not known(.|\n)*per million"):
        HostedModel("m", base_url="http://127.0.0.1:9/v1", cap=SpendingCap(1.0))


def test_the_cap_holds_whatever_runs_at_once():
    request = asks(decoding=Decoding(max_tokens=100))
    most = PRICES.usd(most_tokens(request.messages), 100)
    bill = PRICES.usd(10, 100)
    cap = SpendingCap(3.5 * most)
    found = []
    with FakeServer(lambda *_: says("x", prompt=10, completion=100)) as server:
        hosted = model(server, prices=PRICES, cap=cap, concurrency=8)
        with pytest.raises(SpendingCapReached, match=r"cap of 0.00 USD is reached(.|\n)*answers so far are kept"):
            found.extend(hosted.answers([request] * 50))
    # each call reserves `most` and then costs `bill`: calls go on while spent + most fits
    assert len(found) == len(server.bodies) == int((cap.usd - most) / bill) + 1
    assert cap.spent_usd == pytest.approx(len(found) * bill)
    assert cap.spent_usd <= cap.usd


def test_a_call_whose_bill_is_unknown_counts_with_the_most_it_can_cost():
    cap = SpendingCap(1.0)
    one(lambda *_: says("late")._replace(pause_seconds=0.4), prices=PRICES, cap=cap, timeout_seconds=0.1, retries=0)
    most = PRICES.usd(most_tokens(asks().messages), 256)
    assert cap.spent_usd == pytest.approx(most)
    reply, _ = one(lambda *_: says("x", usage=False), prices=PRICES, cap=cap)
    assert reply.usd is None
    assert cap.spent_usd == pytest.approx(2 * most)
    one(lambda *_: refusal(400, "no"), prices=PRICES, cap=cap)  # a refusal costs nothing
    assert cap.spent_usd == pytest.approx(2 * most)


def test_a_local_adapter_and_a_wrong_address_are_refused():
    with pytest.raises(TunesmithError, match="cannot load a local adapter"):
        replies(HostedModel("m", base_url="http://127.0.0.1:9/v1"), [asks(adapter="somewhere")])
    with pytest.raises(TunesmithError, match="'localhost:8000' is no address"):
        HostedModel("m", base_url="localhost:8000")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Your input exceeds the limit.", "context_length_exceeded"),
        ("This model's maximum context length is 4096 tokens. However, you requested 9000 tokens.", None),
        ("the request exceeds the available context size, try increasing it", "exceed_context_size_error"),
    ],
)
def test_a_prompt_that_the_server_finds_too_long_is_counted_as_that(message, code):
    reply, server = one(lambda *_: refusal(400, message, code=code))
    assert (reply.finish_reason, reply.too_long) == ("error", True)
    assert message[:20] in reply.problem
    assert len(server.bodies) == 1
    assert not one(lambda *_: refusal(400, "the label is unknown"))[0].too_long


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 4096 "
            "tokens and your request has {} input tokens (9000 > 4096 - {}).",
            None,
        ),
        (
            "This model's maximum context length is 4096 tokens. However, you requested 13000 tokens ({} in the "
            "messages, 9000 in the completion). Please reduce the length of the messages or completion.",
            "context_length_exceeded",
        ),
        (
            "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
            "13000 tokens: {} tokens from the input messages and 9000 tokens for the completion.",
            None,
        ),
    ],
    ids=["vLLM", "OpenAI", "SGLang"],
)
def test_an_answer_that_the_server_finds_too_long_is_no_prompt_too_long(message, code):
    found = {}
    for prompt_tokens, max_tokens in ((12, 9000), (2000, 9000), (4000, 9000), (4000, 256), (3000, 256)):
        decoding = Decoding(max_tokens=max_tokens)
        said = message.replace("{}", str(prompt_tokens))
        reply, _ = one(lambda *_, said=said: refusal(400, said, code=code), asks(decoding=decoding))
        assert reply.finish_reason == "error"
        found[prompt_tokens, max_tokens] = reply.too_long
    # of 4096 tokens an answer of 9000 may have half, one of 256 what it asks for
    assert found == {(12, 9000): False, (2000, 9000): False, (4000, 9000): True, (4000, 256): True, (3000, 256): False}


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens.",
        "max_completion_tokens is too large for the model's context window",
    ],
)
def test_without_counts_the_words_tell_which_is_too_long(message):
    assert not one(lambda *_: refusal(400, message))[0].too_long


def test_no_prompt_is_cut_for_a_hosted_model():
    with FakeServer(lambda *_: says("x")) as server:
        with pytest.raises(TunesmithError, match=r"tokens cannot be counted here(.|\n)*too_long to refuse"):
            replies(model(server), [asks(too_long="cut")])
        assert server.bodies == []
