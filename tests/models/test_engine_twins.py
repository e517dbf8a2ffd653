"""A prompt asked several times is read once, and every row says what it would have said alone."""

from __future__ import annotations

import pytest
import torch
from msgspec.structs import replace
from tests.models.test_engine import count_tokens, in_order, request
from tests.models.tiny import build_tiny
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunesmith.core.contenders import Constraint
from tunesmith.models.engine import Engine, batch, rows

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
    prompts = sum(r.prompt_tokens for r in replies)
    assert one >= prompts
    assert both == one  # the second ones write the same, so nothing is computed for them


@pytest.mark.parametrize("limits", [{"batch_size": 3}, {"batch_tokens": 300}], ids=["rows", "tokens"])
def test_twins_enter_together_where_the_batch_is_nearly_full(folder, limits):
    def tokens(requests):
        counted: list[int] = []
        engine = Engine(folder, dtype="float32", device="cpu", **limits)
        with count_tokens(engine, counted):
            in_order(engine, requests)
        return sum(counted)

    assert tokens([*asked(), *asked()]) == tokens(asked())


def test_rows_that_wait_for_their_twin_leave_no_gaps_between_those_that_read(folder, monkeypatch):
    parts: list[list[int]] = []
    next_pass = batch.Batch._next_pass

    def noted(self):
        made = next_pass(self)
        parts.append([part.width for part in made[0].parts])
        return made

    monkeypatch.setattr(batch.Batch, "_next_pass", noted)
    in_order(Engine(folder, dtype="float32", device="cpu"), [*asked(), *asked()])
    assert parts[-1] == [1]
    assert all(widths.count(1) <= 1 for widths in parts)  # all rows that write are one part


@pytest.fixture(scope="module")
def plain_spoken(folder, tmp_path_factory):
    """The same model, but what it writes is printable ASCII: a constraint can be made of it."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    texts = [tokenizer.decode([token]) for token in range(model.config.vocab_size)]
    odd = [n for n, text in enumerate(texts) if not (text.isascii() and text.isprintable()) or text.startswith("<|")]
    with torch.no_grad():
        model.lm_head.weight[odd] = 0.0
    place = tmp_path_factory.mktemp("plain") / "tiny"
    tokenizer.save_pretrained(place)
    model.save_pretrained(place)
    return place


def among(text: str, share: float) -> Constraint:
    """A constraint that goes along with a share of ``text``, then ends otherwise; nothing is forced before."""
    end = round(share * len(text))
    return Constraint(kind="choice", choices=(f"{text[:end]} billing", *(f"{text[:n]}~" for n in range(end))))


@pytest.mark.parametrize("batch_size", [2, 5, 64], ids="{} rows".format)
@pytest.mark.parametrize("share", [0.1, 0.5, 1])
def test_a_constrained_twin_follows_until_it_writes_something_else(plain_spoken, batch_size, share):
    def engine(rows=64):
        return Engine(plain_spoken, batch_size=rows, dtype="float32", device="cpu")

    free = [replace(one, decoding=replace(one.decoding, max_tokens=20)) for one in asked()]
    texts = [reply.text for reply in in_order(engine(), free)]
    bound = [replace(one, constraint=among(text, share)) for one, text in zip(free, texts, strict=True)]
    counted: dict[str, list[int]] = {"alone": [], "together": []}
    alone = []
    for requests in (free, bound):
        each = engine()
        with count_tokens(each, counted["alone"]):
            alone += in_order(each, requests)
    both = engine(batch_size)
    with count_tokens(both, counted["together"]):
        together = in_order(both, [*free, *bound])
    assert said(together) == said(alone)
    if batch_size == 64:
        saved = sum(counted["alone"]) - sum(counted["together"])
        prompts, written = (sum(getattr(r, n) for r in alone[:3]) for n in ("prompt_tokens", "completion_tokens"))
        assert saved >= prompts - 3 + 0.6 * share * written


def test_a_twin_is_charged_for_the_prompt_it_did_not_read(folder):
    engine = Engine(folder, dtype="float32", device="cpu")
    long = [replace(one, decoding=replace(one.decoding, max_tokens=1)) for one in asked()]
    replies = in_order(engine, [*long, *long])
    for first, second in zip(replies[:3], replies[3:], strict=True):
        assert second.seconds >= first.seconds * 0.5
