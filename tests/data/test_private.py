"""Personal data and secrets are found by form and checksum; look-alikes and placeholders are left alone.

Secrets are put together here, so that no scanner takes this file for one.
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.private import find, redact

SECRETS = {
    "AWS key": "AK" + "IAQ3EGRTMZPLKW7HUD",
    "Anthropic key": "sk" + "-ant-api03-Ab3dEf6hIj9kLm2nOp5q",
    "OpenAI key": "sk" + "-proj-Ab3dEf6hIj9kLm2nOp5qRs8t",
    "GitHub token": "gh" + "p_" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zA7bC",
    "GitLab token": "gl" + "pat-Ab3dEf6hIj9kLm2nOp5q",
    "Google key": "AI" + "za" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zA7b",
    "Hugging Face token": "h" + "f_Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4z",
    "npm token": "np" + "m_Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zA7bC",
    "PyPI token": "py" + "pi-AgE" + "IcHlwaS5vcmcCJ" * 5,
    "SendGrid key": "S" + "G.Ab3dEf6hIj9kLm2nOp5q.Rs8tUv1wXy4zA7bCdE",
    "Slack token": "xo" + "xb-2345678901-AbCdEfGhIj",
    "Stripe key": "sk" + "_live_Ab3dEf6hIj9kLm2n",
    "Telegram token": "123456789:AA" + "Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zA",
    "JSON web token": "ey" + "JhbGciOiJI.ey" + "JzdWIiOiIx.c2lnbmF0dXJl",
    "password in an address": "ann:Gruyere9",
    "password or key": "Gruyere-9",
}
SAID = {"password in an address": "postgresql://{}@db.shop.de/main", "password or key": "my password is {}, try it"}

PERSONAL = {
    "e-mail address": ["ann.o'neil@shop.de"[6:], "jörg+kauf@bäcker.de", "A_B@mail.shop.co.uk"],
    "IBAN": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO93 8601 1117 947"],
    "card number": ["4000 1234 5678 9017", "5555-5555-5555-4444", "378282246310005", "4222222222222"],
    "US social security number": ["078-05-1120"],
    "IP address": ["8.8.8.8", "2606:4700:4700::1111"],
    "telephone number": ["+44 20 7946 0318", "+49 (0)30 901820", "+1-212-555-0143", "\uff0b44 20 7946 0318"],
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_found_whole_and_told_apart(kind):
    text = SAID.get(kind, "it says {} and stops").format(SECRETS[kind])
    (hit,) = find(text)
    assert (hit.kind, text[hit.begin : hit.end], hit.secret) == (kind, SECRETS[kind], True)


def test_a_private_key_is_found_from_begin_to_end_or_to_where_it_was_cut():
    key = "-----BEGIN " + "OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\nZXktdjE=\n-----END " + "OPENSSH PRIVATE KEY-----"
    for text in (f"here: {key} thanks", f"here: {key[:50]}"):
        (hit,) = find(text)
        assert (hit.kind, hit.secret) == ("private key", True)
        assert "b3BlbnNz" not in redact(text)
    assert redact(f"here: {key} thanks") == "here: [private key] thanks"


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in PERSONAL.items() for value in values])
@pytest.mark.parametrize("frame", ["{}", "mine is {}, please", "({})", "Before:\n{}\nafter", "write to {}."])
def test_personal_data_is_found_whole(kind, value, frame):
    text = frame.format(value)
    (hit,) = find(text)
    assert (hit.kind, text[hit.begin : hit.end], hit.secret) == (kind, value, False)
    assert redact(text) == frame.format(f"[{kind}]")


@pytest.mark.parametrize(
    "text",
    [
        "order 48213 and order 4821 3345 6678 9901 never came",  # no valid card number
        "0000 0000 0000 0000",
        "firmware 4.12.0.33, then 1.2.3 and 10.0.0.7 and 192.168.1.1",
        "write to ann@example.com or you@mail.example.org",
        "DE00 3704 0044 0532 0130 00 is a made-up account",
        "FV/11982/03 dated 2026-11-24, tracking 1Z999AA10123456784",
        "I forgot my password and the password: field stays empty",
        "password: <your password>, api_key = ****",
        "the key is under the mat, the code is unknown",
        "ask @ann or see https://shop.de/a:b@c",
        "it is 10:45:30, ratio 3:2:1, ::",
        "call me on 07700 900142",  # without the country's prefix: an order number may look the same
        "2+2=4, A+ rated, +1 from me, C++ 2023",
    ],
)
def test_what_only_looks_private_is_left_alone(text):
    assert [(hit.kind, text[hit.begin : hit.end]) for hit in find(text)] == []
    assert redact(text) == text


def luhn(digits):
    total = sum(d if n % 2 else (2 * d - 9 * (d > 4)) for n, d in enumerate(reversed(digits)))
    return [*digits, -total % 10]


@given(st.lists(st.integers(0, 9), min_size=14, max_size=14), st.integers(1, 9))
def test_a_card_number_is_one_by_its_checksum_alone(rest, wrong):
    right = luhn([4, *rest])
    number = "".join(map(str, right))
    if len(set(number)) > 1:
        assert [hit.kind for hit in find(f"card {number}")] == ["card number"]
    false = number[:-1] + str((right[-1] + wrong) % 10)
    assert "card number" not in [hit.kind for hit in find(f"card {false}")]


@given(st.text(alphabet=st.sampled_from("abAB01249@.:-_+ /=x\n"), max_size=200))
def test_hits_lie_in_the_text_in_order_and_redacting_once_is_enough(text):
    hits = find(text)
    for hit in hits:
        assert 0 <= hit.begin < hit.end <= len(text)
    for one, other in pairwise(hits):
        assert one.end <= other.begin
    assert len(redact(text)) >= len(text) - sum(hit.end - hit.begin for hit in hits)


@pytest.mark.parametrize("piece", ["a@", "4", "1.", "AB12 ", "-", "a.", "sk-", "+1 ", "::", "eyJ", "password is "])
def test_a_long_text_that_almost_matches_is_read_in_time_that_grows_with_its_length(piece):
    text = piece * (20_000 // len(piece))
    assert isinstance(find(text), list)  # a pattern that tries all ways would not come back
