"""What was forgotten among the reasons, as a limit, and priced by the point in the dossier."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.decision.desk import desk_facts, desk_material

from tunesmith.core.estimates import Estimate
from tunesmith.core.forgetting import Forgetting, Loss, Unmeasurable
from tunesmith.decision import decide
from tunesmith.decision.dossier import ForgottenPart, render
from tunesmith.decision.forgetting import prices, within


def loss(name="items", value=0.037, low=0.012, high=0.061, verdict="forgot", **rest):
    base = rest.pop("base", Estimate(value=0.81, low=0.77, high=0.84, n=528))
    unit = rest.pop("unit", "items")
    return Loss(
        name=name, unit=unit, base=base, tuned=base.value - value, loss=value, low=low, high=high, least=0.021, n=528,
        lost=30, gained=10, verdict=verdict, p_value=0.001, p_holm=0.002, **rest,
    )  # fmt: skip


def forgetting(*losses):
    return Forgetting(run="run-1", adapter_hash="c0ffee", base_hash="ba5e", losses=losses or (loss(),))


def facts(found, **changes):
    """The desk's facts, where tuned meets the bar and beats the rest, with what its run forgot."""
    made = desk_facts()
    tuned = tuple(replace(c, run="run-1", forgetting=found) if c.kind == "tuned" else c for c in made.contenders)
    return replace(made, contenders=tuned, **changes)


def test_what_was_forgotten_is_told_with_its_price_for_each_point():
    decision = decide(facts(forgetting()))
    assert decision.recommendation == "ship:tuned"
    (line,) = [line for line in decision.because if "forgot" in line]
    # 3.7 points of items for 74 points of all_correct over prompt (0.83 less 0.09)
    assert line.startswith(
        "tuned forgot 3.7 points on 528 general items (95 % interval 1.2 points to 6.1 points), 0.05 points for each "
        "point gained over prompt."
    )


def test_what_was_not_seen_is_told_with_the_least_that_would_have_been():
    found = forgetting(loss(value=0.004, low=-0.01, high=0.02, verdict="not_seen"))
    assert any(
        line.startswith("No forgetting is seen in tuned on 528 general items; a loss of 2.1 points or more would")
        for line in decide(facts(found)).because
    )


@pytest.mark.parametrize(
    ("allowed", "recommendation"), [(None, "ship:tuned"), (0.07, "ship:tuned"), (0.05, "tune"), (0.01, "tune")]
)
def test_a_limit_keeps_a_model_that_may_have_lost_more_from_being_shipped(allowed, recommendation):
    decision = decide(facts(forgetting(), most_items_lost=allowed))
    assert decision.recommendation == recommendation
    if recommendation == "tune":
        assert "lost 3.7 % of the general items, or as many as 6.1 %" in decision.because[0]
        assert "--mixture" in decision.because[0]
        assert not decision.passed


def test_a_base_model_that_answers_no_item_cannot_be_shown_to_have_lost_any():
    decision = decide(facts(forgetting(loss(name="text:general", unit="bits per byte")), most_items_lost=0.05))
    assert decision.recommendation == "too_early"
    assert "answers none of them better than chance" in decision.because[0]
    assert decision.next == "Take forgetting.most_items_lost out of tunesmith.yaml, or tune another base model."


def test_under_a_limit_what_was_not_measured_is_not_shipped():
    decision = decide(facts(None, most_items_lost=0.05))
    assert decision.recommendation == "too_early"
    assert "Run `tunesmith forgetting run-1`" in decision.because[0]


def test_the_limit_is_held_against_the_interval():
    assert [within(forgetting(), allowed) for allowed in (None, 0.061, 0.03, 0.011)] == [
        "within", "within", "not_shown", "beyond",
    ]  # fmt: skip
    assert within(None, 0.05) == within(forgetting(loss(name="text:general")), 0.05) == "not_shown"


def test_a_price_needs_a_gain_and_a_loss():
    def priced(found, tuned, *others):
        estimates = [(name, kind, Estimate(value=v, low=v, high=v, n=9)) for name, kind, v in others]
        return prices(found, "accuracy", Estimate(value=tuned, low=tuned, high=tuned, n=9), estimates)[0]

    before = ("classifier", "classifier", 0.9), ("few_shot", "few_shot", 0.5), ("prompt", "prompt", 0.4)
    price = priced(forgetting(), 0.6, *before)
    assert price.before == "prompt"
    assert (price.points, price.per_point, price.at_most) == pytest.approx((20, 3.7 / 20, 6.1 / 20))
    bits = priced(forgetting(loss(name="text:general", unit="bits per byte")), 0.6, *before)
    assert bits.per_point == pytest.approx(0.037 / 20)
    assert priced(forgetting(), 0.6, before[0]).because == "the base model was not measured on the task"
    assert priced(forgetting(), 0.4, *before).because == "nothing was gained"
    unseen = priced(forgetting(loss(verdict="not_seen")), 0.6, *before)
    assert (unseen.per_point, unseen.at_most) == (None, pytest.approx(6.1 / 20))


def test_the_dossier_shows_the_price_and_what_says_nothing():
    found = replace(
        forgetting(
            loss(parts=(loss(name="facts", verdict=None),)), loss(name="text:<b>own</b>.txt", unit="bits per byte")
        ),
        unmeasurable=(Unmeasurable(name="numbers", because="the base model gets 0.27 [0.19, 0.36] right"),),
    )
    page = render(replace(desk_material(), forgotten=(ForgottenPart(contender="tuned", found=found),)))
    section = page.partition('<section id="forgetting">')[2].partition("</section>")[0]
    assert '<td class="num">0.050</td>' in section  # 3.7 points for 74
    assert "gained over prompt (74.0 points)" in section
    assert "text:&lt;b&gt;own&lt;/b&gt;.txt" in section
    assert "numbers says nothing about this base model: the base model gets 0.27 [0.19, 0.36] right." in section


def test_a_dossier_without_it_says_that_it_was_not_measured():
    assert "What was forgotten has not been measured." in render(desk_material())
