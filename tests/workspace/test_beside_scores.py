"""What cannot be measured beside the scores is named, and never costs the scores that test was looked at for."""

import pytest
from msgspec.structs import replace
from tests.models.tiny import build_tiny
from tests.workspace.answered import again, answered, answered_desk, finished_run
from tests.workspace.toy import write_settings

from tunesmith.core.errors import ServiceError
from tunesmith.workspace.answering import Answering

ADDRESS = "http://127.0.0.1:9/v1"
OWN = """
from tunesmith import own_metric


@own_metric("praise")
def praise(case):
    return 1.0 if case.said == case.truth else None
"""


def test_a_pair_without_a_row_in_common_is_left_out_and_the_others_are_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    desk = answered_desk(tmp_path)
    (desk.home.root / "metrics.py").write_text(OWN)
    write_settings(desk.home.root, evaluation={"own_metrics": "metrics.py"}, bar={"metric": "praise", "value": 0.5})
    desk = again(desk)
    finished_run(desk, "first")
    answered(desk, "prompt", lambda n: n % 2 == 0)
    answered(desk, "few_shot", lambda n: n % 3 == 0)
    answered(desk, "tuned", lambda n: n % 2 == 1, run="first")
    made = desk.evaluate(on="test", trust_code=True)
    assert {(c.a, c.b) for c in made.comparisons} == {("tuned", "constant"), ("tuned", "few_shot")}
    assert any(w.startswith("tuned - prompt on praise is not known: tuned and prompt share no") for w in made.warnings)


def test_a_contender_that_cannot_be_asked_again_is_named(tmp_path, monkeypatch):
    desk = answered_desk(tmp_path)
    own = Answering.again

    def asked(self, record, examples, seed):
        if record.name == "prompt":
            raise ServiceError("Nobody answers at the address.", "see that it runs")
        return own(self, record, examples, seed)

    monkeypatch.setattr(Answering, "again", asked)
    answered(desk, "prompt", lambda n: n % 2 == 0)
    made = desk.evaluate(["constant", "prompt"], on="test", repeat=2)
    assert made.repeats.keys() == {"constant"}
    assert (
        "How much the answers of prompt change by themselves was not measured: Nobody answers at the address."
        in made.warnings
    )


def test_a_model_that_is_gone_cannot_be_timed_and_that_is_said(tmp_path):
    base = build_tiny(tmp_path / "tiny")
    model = {"base": str(base), "embedder": "ngrams"}
    desk = answered_desk(tmp_path, decision={"most_latency_seconds": 5}, model=model)
    finished_run(desk, "first")
    answered(desk, "tuned", lambda n: n % 2 == 1, run="first", model=str(base))
    made = desk.evaluate(on="test")
    assert made.contenders["tuned"].alone_seconds is None
    assert made.contenders["constant"].alone_seconds is not None
    assert any(w.startswith("How long one waits for an answer of tuned was not measured: ") for w in made.warnings)


@pytest.fixture
def hosted(tmp_path):
    """A desk whose `prompt:large` was asked behind an address, and its answers on the test side."""
    large = {"base": "m", "base_url": ADDRESS, "usd_per_million_input_tokens": 1.0}
    large |= {"usd_per_million_output_tokens": 1.0}
    desk = answered_desk(tmp_path, contenders={"models": {"large": large}})
    contender = answered(desk, "prompt:large", lambda n: n != 7, model="m", address=ADDRESS)
    return desk, list(desk.home.store.answers(contender).values())


def test_a_server_that_does_not_count_tokens_is_not_free(hosted):
    desk, answers = hosted
    desk.home.store.save_answers([replace(a, prompt_tokens=0, completion_tokens=0) for a in answers])
    scored = desk.evaluate(on="test").contenders["prompt:large"]
    assert (scored.prompt_tokens, scored.counted, scored.usd_per_thousand) == (None, 0, None)
    sheet = desk.cost().contenders["prompt:large"]
    assert (sheet.usd_per_thousand, "were not counted" in sheet.reasons["usd_per_thousand"]) == (None, True)


def test_calls_that_failed_do_not_make_answers_cheaper(hosted):
    desk, answers = hosted
    lost = [replace(a, text="", fields=None, finish_reason="error", prompt_tokens=0, completion_tokens=0)
            for a in answers[::2]]  # fmt: skip
    desk.home.store.save_answers(lost)
    scored = desk.evaluate(["constant"], on="test").contenders["prompt:large"]
    assert (scored.prompt_tokens, scored.completion_tokens) == (9, 3)
    assert 0 < scored.counted < 29
    assert scored.usd_per_thousand == pytest.approx(1000 * (9 + 3) / 1e6)
    desk.decide()
    desk.report()
    assert desk.report(verify=True).verified


def test_answers_that_had_no_room_to_end_are_counted(hosted):
    desk, answers = hosted
    desk.home.store.save_answers([replace(a, finish_reason="length") for a in answers])
    (said,) = [w for w in desk.evaluate(on="test").warnings if "were cut" in w]
    assert said.startswith("29 of 29 answers of prompt:large were cut at ") and "`contenders.max_tokens`" in said


def test_a_model_behind_an_address_has_room_for_every_script(tmp_path):
    desk = answered_desk(tmp_path, model={"base": "m", "base_url": ADDRESS, "embedder": "ngrams"})
    assert Answering(desk.home)._longest_completion(None) == round(32 * 7 / 6) + 4


def test_a_setting_that_a_server_does_not_take_is_warned_of(hosted):
    desk, answers = hosted
    desk.home.store.save_answers([replace(a, left_out=("response_format", "seed")) for a in answers[:20]])
    warnings = again(desk).evaluate(on="test").warnings
    told = [w for w in warnings if w.startswith("The server of prompt:large does not take ")]
    assert [w.partition("does not take ")[2].partition(":")[0] for w in told] == ["response_format", "seed"]
    assert told[0].endswith("answers the schema was only an instruction.")


def test_a_price_that_was_mended_counts_for_answers_that_are_there(hosted):
    desk, answers = hosted
    desk.home.store.save_answers([replace(a, usd=5.0) for a in answers])  # ten thousand times too much
    desk.evaluate(on="test")
    sheet = again(desk).cost().contenders["prompt:large"]
    assert sheet.usd_per_thousand == pytest.approx(1000 * 12 / 1e6)


def test_own_metrics_may_be_written_with_dataclasses(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNESMITH_HOME", str(tmp_path / "home"))
    desk = answered_desk(tmp_path)
    rule = "from dataclasses import dataclass\n\n\n@dataclass\nclass Rule:\n    word: str\n"
    for future in ("", "from __future__ import annotations\n"):
        (desk.home.root / "metrics.py").write_text(future + rule + OWN)
        write_settings(desk.home.root, evaluation={"own_metrics": "metrics.py", "metrics": ["praise"]})
        assert again(desk).evaluate(on="test", trust_code=True).contenders["constant"].metrics["praise"].value == 1.0
