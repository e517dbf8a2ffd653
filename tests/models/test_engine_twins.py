"""A prompt asked several times is read once, and every row says what it would have said alone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.models.test_engine import count_tokens, in_order, request
from tests.models.tiny import build_tiny

from tunesmith.core.records import Constraint
from tunesmith.models.engine import Engine, rows

LONG = " ".join(["where is my broken lamp please refund the order"] * 6)
CHOICE = Constraint(kind="choice", choices=("shipping", "billing", "billing other"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("twins") / "tiny")


def asked(constraint=None, count=3):
    """Prompts of several lengths, no beginning in common."""
    plain = [request(f"{n} {LONG[: 40 + 45 * n]}", head=None, max_tokens=6 + n) for n in range(count)]
    return [replace(one, constraint=constraint) for one in plain]


def said(replies):
    return [(r.text, r.finish_reason, r.prompt_tokens, r.completion_tokens, r.problem) for r in replies]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 64], ids="{} rows".format)
@pytest.mark.parametrize("piece", [512, 16], ids=["prompts whole", "prompts in pieces"])
def test_twins_say_what_they_say_alone(folder, monkeypatch, batch_size, piece):
    monkeypatch.setattr(rows, "ROW_CHUNK", piece)
    alone = [
        in_order(Engine(folder, dtype="float32", device="cpu"), [one])[0]
        for one in (*asked(), *asked(CHOICE), *asked())
    ]
    engine = Engine(folder, batch_size=batch_size, dtype="float32", device="cpu")
    together = in_order(engine, [*asked(), *asked(CHOICE), *asked()])
    assert said(together) == said(alone)


def test_the_prompt_of_twins_goes_through_the_model_once(folder):
    def tokens(requests):
        counted: list[int] = []
        engine = Engine(folder, dtype="float32", device="cpu")
        with count_tokens(engine, counted):
            replies = in_order(engine, requests)
        return sum(counted), replies

    one, replies = tokens(asked())
    both, _ = tokens([*asked(), *asked()])
    written = sum(r.completion_tokens for r in replies)
    prompts = sum(r.prompt_tokens for r in replies)
    assert one >= prompts
    # the second time: each prompt's last token, and what is written
    assert both - one <= len(replies) + written < prompts


def test_a_twin_is_charged_for_the_prompt_it_did_not_read(folder):
    engine = Engine(folder, dtype="float32", device="cpu")
    long = [replace(one, decoding=replace(one.decoding, max_tokens=1)) for one in asked()]
    replies = in_order(engine, [*long, *long])
    for first, second in zip(replies[:3], replies[3:], strict=True):
        assert second.seconds >= first.seconds * 0.5
