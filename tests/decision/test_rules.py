"""The rules as their table tells them, the settings that shape them, and what each reason points at."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.decision.desk import comparison, estimate
from tests.house.source import ROOT

from tunesmith.core.decisions import Reach
from tunesmith.core.errors import TunesmithError
from tunesmith.core.judging import Corrected
from tunesmith.decision import Bar, ContenderFacts, DecisionConfig, Facts, decide, rules
from tunesmith.decision.facts import HandedOn, Judged, Preferred, Rated, Source
from tunesmith.workspace.settings import Settings


def contender(name, value, low, high, usd=None, **rest):
    return ContenderFacts(name=name, kind=name.partition(":")[0], metrics={"all_correct": estimate(value, low, high)},
                          usd_per_thousand=usd, **rest)  # fmt: skip


def facts(*contenders, bar=0.8, also=None, **rest):
    given_facts = {"side": "test", "examples": 180, "train": 700, "certified": True} | rest
    return Facts(bar=Bar(metric="all_correct", value=bar, also=also or {}), contenders=contenders, **given_facts)


def rows(text):
    """The cells of the table of rules."""
    lines = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 4]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


PROMPT = contender("prompt", 0.5, 0.43, 0.57, 0.1)
GOOD = contender("tuned", 0.9, 0.85, 0.94, 0.1, run="r1")
SHORT = contender("tuned", 0.7, 0.63, 0.76, 0.1, run="r1")
SHOWN = comparison("tuned", "prompt", 0.4, 0.32, 0.48, 1e-5)
LEVEL = comparison("tuned", "prompt", 0.02, -0.04, 0.08, 0.5)
HELPS = comparison("retrieval", "prompt", 0.2, 0.1, 0.3, 0.001)


def test_the_page_holds_the_table_of_the_code():
    page = rows((ROOT / "docs/decision.md").read_text(encoding="utf-8"))
    assert page == rows(rules.__doc__)
    assert len(page) == 20


def test_the_table_names_the_rules_in_the_order_they_are_tried():
    named = [name.strip("`") for name, _, _ in rows(rules.__doc__)]
    assert list(dict.fromkeys(named)) == list(rules.RULES)


CASES = {
    ("stale", "too_early"): (facts(PROMPT, stale=("The examples changed.",)), {}),
    ("unsound", "mend_data"): (facts(PROMPT, errors=2), {}),
    ("ship", "ship:NAME"): (facts(contender("prompt", 0.9, 0.85, 0.94)), {}),
    ("ship", "too_early"): (facts(contender("prompt", 0.9, 0.85, 0.94), side="validation"), {}),
    ("held_back", "tune"): (None, {}),  # tests/decision/test_forgetting.py measures what was forgotten
    ("held_back", "too_early"): (facts(PROMPT, GOOD, comparisons=(SHOWN,)), {"parity": "required"}),
    ("lost", "too_early"): (facts(contender("prompt", 0.92, 0.87, 0.95, failed=20)), {}),
    ("unmeasured", "too_early"): (facts(contender("prompt", 0.9, 0.85, 0.94), also={"macro_f1": 0.5}), {}),
    ("untried", "too_early"): (facts(contender("constant", 0.1, 0.06, 0.15)), {}),
    ("retrieve", "add_retrieval"): (facts(PROMPT, documents=3), {}),
    ("tune", "mend_data"): (facts(PROMPT, train=99), {}),
    ("tune", "tune"): (facts(PROMPT), {}),
    ("beyond", "stop"): (facts(PROMPT, GOOD, comparisons=(SHOWN,)), {"most_usd_per_thousand": 0.09}),
    ("uncompared", "too_early"): (facts(PROMPT, SHORT), {}),
    ("short", "add_retrieval"): (facts(PROMPT, SHORT, comparisons=(SHOWN,), documents=3, retrieval_gain=HELPS), {}),
    ("short", "gather_more"): (facts(PROMPT, SHORT, comparisons=(SHOWN,)), {}),
    ("open", "stop"): (
        facts(PROMPT, GOOD, comparisons=(comparison("tuned", "prompt", 0.12, 0.06, 0.18, 1e-3),)),
        {"least_gain": 0.2},
    ),
    ("open", "gather_more"): (facts(contender("prompt", 0.78, 0.7, 0.85), SHORT, comparisons=(LEVEL,)), {}),
    ("hopeless", "mend_data"): (facts(PROMPT, SHORT, comparisons=(LEVEL,), train=60), {}),
    ("hopeless", "stop"): (facts(PROMPT, SHORT, comparisons=(LEVEL,)), {}),
}


def test_there_is_a_case_for_each_row():
    assert [(name.strip("`"), what.strip("`")) for name, _, what in rows(rules.__doc__)] == list(CASES)


@pytest.mark.parametrize(("rule", "recommendation"), [key for key, (found, _) in CASES.items() if found is not None])
def test_each_row_decides_where_it_fits(rule, recommendation):
    found, settings = CASES[rule, recommendation]
    decision = decide(found, DecisionConfig(**settings))
    name = decision.recommendation.partition(":")[2]
    assert (decision.rule, decision.recommendation) == (rule, recommendation.replace("NAME", name))
    assert decision.next.endswith(".")


def test_what_has_to_be_tried_first_keeps_tuning_from_being_advised_and_shipped():
    asked = DecisionConfig(before_tuning=("prompt", "few_shot", "retrieval"))
    decision = decide(facts(PROMPT), asked)
    assert decision.recommendation == "too_early"
    assert "few_shot and retrieval must be measured before tuning" in decision.because[0]
    assert "`tunesmith baseline few_shot retrieval`" in decision.because[0]
    assert decide(facts(PROMPT, GOOD, comparisons=(SHOWN,)), asked).recommendation == "too_early"
    all_there = facts(PROMPT, contender("few_shot", 0.5, 0.4, 0.6), contender("retrieval", 0.5, 0.4, 0.6))
    assert decide(all_there, asked).recommendation == "tune"


def test_the_least_number_of_train_examples_is_the_team_s():
    assert decide(facts(PROMPT, train=60), DecisionConfig(minimum_train=50)).recommendation == "tune"
    assert decide(facts(PROMPT, train=700), DecisionConfig(minimum_train=1000)).recommendation == "mend_data"


def test_the_risk_that_chance_helped_can_be_taken_and_is_told():
    likely = facts(contender("prompt", 0.83, 0.77, 0.88))
    assert decide(likely).recommendation == "tune"
    risked = replace(likely, bar=Bar(metric="all_correct", value=0.8, by="value"))
    decision = decide(risked)
    assert decision.recommendation == "ship:prompt"
    assert decision.quality_bar["by"] == "value"
    assert "where the measured value counts and not the lower end" in " ".join(decision.because)
    assert "the measured value reaches the bar of 0.80, which counts as met" in " ".join(decision.because)


@pytest.mark.parametrize(
    ("least", "recommendation"), [(0.0, "ship:tuned"), (0.32, "ship:tuned"), (0.33, "gather_more")]
)
def test_a_gain_has_to_be_as_large_as_is_asked(least, recommendation):
    decision = decide(facts(PROMPT, GOOD, comparisons=(SHOWN,)), DecisionConfig(least_gain=least))
    assert decision.recommendation == recommendation


def test_a_dear_prompt_that_meets_the_bar_makes_tuning_worth_a_try():
    dear = contender("prompt", 0.9, 0.85, 0.94, 5.0)
    decision = decide(facts(dear), DecisionConfig(most_usd_per_thousand=1.0))
    assert decision.recommendation == "tune"
    assert "No untuned contender within the limits is shown to meet the bar (prompt would" in decision.because[0]


def test_a_cheap_tuned_model_need_not_beat_a_prompt_that_is_beyond_the_limit():
    dear = contender("prompt", 0.9, 0.85, 0.94, 5.0)
    decision = decide(facts(dear, GOOD, comparisons=(LEVEL,)), DecisionConfig(most_usd_per_thousand=1.0))
    assert decision.recommendation == "ship:tuned"
    assert "no simpler contender is within the limits" in decision.because[0]


def test_a_slow_contender_is_not_shipped_and_an_unknown_time_does_not_pass():
    limit = DecisionConfig(most_latency_seconds=1.0)
    slow = facts(PROMPT, replace(GOOD, alone_seconds=1.5), comparisons=(SHOWN,))
    decision = decide(slow, limit)
    assert decision.recommendation == "stop"
    assert "an answer asked for alone takes 1.5 seconds, where at most 1 are allowed" in decision.because[0]
    assert decide(facts(PROMPT, GOOD, comparisons=(SHOWN,)), limit).recommendation == "too_early"


def test_a_failed_export_is_not_shipped_and_a_missing_one_is_told():
    told = decide(facts(PROMPT, GOOD, comparisons=(SHOWN,)))
    assert told.recommendation == "ship:tuned"
    assert any("was not proved; `tunesmith export r1 --to adapter` proves it" in line for line in told.because)
    bad = HandedOn(to="gguf (merged)", passed=False, because=("the adapter is not applied",), loader="llama.cpp")
    decision = decide(facts(PROMPT, replace(GOOD, exports=(bad,)), comparisons=(SHOWN,)))
    assert decision.recommendation == "too_early"
    assert "gguf (merged) fails parity, as the adapter is not applied" in decision.because[0]
    good = HandedOn(to="adapter", passed=True, loader="PEFT")
    both = decide(facts(PROMPT, replace(GOOD, exports=(bad, good)), comparisons=(SHOWN,)))
    assert both.recommendation == "ship:tuned"
    assert any("Handed on as adapter, the model of run r1 says what was measured" in line for line in both.because)
    assert any("Handed on as gguf (merged)" in line and "fails parity" in line for line in both.because)


@pytest.mark.parametrize(
    ("whole", "failed", "form"),
    [(False, (), "adapter"), (False, ("adapter",), "merged"), (False, ("adapter", "merged"), "gguf"),
     (True, (), "merged"), (True, ("merged",), "gguf")],
)  # fmt: skip
def test_a_form_is_advised_that_the_run_can_have_and_that_has_not_failed(whole, failed, form):
    exports = tuple(HandedOn(to=to, passed=False, because=("it differs",)) for to in failed)
    found = facts(PROMPT, replace(GOOD, whole=whole, exports=exports), comparisons=(SHOWN,))
    for asked in (DecisionConfig(), DecisionConfig(parity="required")):
        decision = decide(found, asked)
        assert f"`tunesmith export r1 --to {form}`" in decision.next
        advised = re.findall(r"export r1 --to (\w+)", " ".join([decision.next, *decision.because]))
        assert set(advised) == {form}


def test_forgetting_can_be_asked_for():
    decision = decide(facts(PROMPT, GOOD, comparisons=(SHOWN,)), DecisionConfig(forgetting="required"))
    assert decision.recommendation == "too_early"
    assert "Run `tunesmith forgetting r1`, then decide again." in decision.because[0]


def rating(value, low, high, because=""):
    pair = Preferred(a="tuned", b="prompt", win_rate=estimate(value, low, high), wins=30, ties=5, losses=10)
    return Rated(side="test", raters=3, rates=(pair,), because=because)


@pytest.mark.parametrize(
    ("found", "recommendation"),
    [
        (rating(0.7, 0.6, 0.8), "ship:tuned"),
        (rating(0.55, 0.45, 0.65), "too_early"),
        (rating(0.3, 0.2, 0.4), "stop"),
        (rating(0.7, 0.6, 0.8, because="2 ratings are still wanted"), "too_early"),
        (None, "too_early"),
    ],
)
def test_what_people_prefer_counts_where_it_is_asked_for(found, recommendation):
    asked = DecisionConfig(least_preference=0.5)
    decision = decide(facts(PROMPT, GOOD, comparisons=(SHOWN,), rated=found), asked)
    assert decision.recommendation == recommendation
    assert decide(facts(PROMPT, GOOD, comparisons=(SHOWN,), rated=found)).recommendation == "ship:tuned"


def test_a_judge_that_may_not_decide_is_not_quoted():
    rate = Corrected(value=0.91, low=0.85, high=0.95, n=100, labels=80, informative=True, method="rogan_gladen")
    silent = Judged(may=False, because=("it is not calibrated",), criterion="overall", model="j")
    told = " ".join(decide(facts(PROMPT, GOOD, comparisons=(SHOWN,), judged=silent)).because)
    assert "What the judge said decides nothing and is not quoted: it is not calibrated." in told
    heard = replace(silent, may=True, because=("calibrated on 80 labels of 'overall'",), rates={"tuned": rate})
    told = " ".join(decide(facts(PROMPT, GOOD, comparisons=(SHOWN,), judged=heard)).because)
    assert "people would pass 0.91 of what tuned answers (overall; 95 % interval 0.85 to 0.95, n = 100)" in told


def test_the_learning_curve_says_how_many_more_or_why_it_cannot():
    reached = Reach(
        contender="classifier", metric="all_correct", value=0.8, now=700, examples=1900, low=1400, high=4000
    )
    decision = decide(facts(PROMPT, SHORT, comparisons=(SHOWN,), reach=reached))
    told = " ".join(decision.because)
    assert "by the learning curve of classifier the bar takes about 1,900" in decision.because[0]
    assert "takes about 1,900 train examples (700 are there; 95 % of refits 1,400 to 4,000)" in told
    assert decision.gather == reached
    none = decide(facts(PROMPT, SHORT, comparisons=(SHOWN,), reach_because="no learning curve was measured"))
    assert (none.gather, none.gather_because) == (None, "no learning curve was measured")
    assert any("is not known: no learning curve was measured." in line for line in none.because)


def test_each_reason_points_at_what_proves_it():
    sources = {
        name: Source(kind=name.partition(":")[0], hash=f"h-{name}", path=f".tunesmith/{name}.json")
        for name in ("evaluation", "validation", "settings", "store", "split", "check", "run:r1")
    }
    decision = decide(facts(PROMPT, GOOD, comparisons=(SHOWN,), test_looks=3, examples=60, sources=sources))
    assert {e.because for e in decision.evidence} == set(range(len(decision.because)))
    gain = next(i for i, line in enumerate(decision.because) if line.startswith("On the same"))
    (found,) = [e for e in decision.evidence if e.because == gain]
    assert (found.kind, found.hash, found.part) == ("evaluation", "h-evaluation", "comparisons")


def test_the_defaults_stand_in_the_settings_and_a_wrong_key_is_refused():
    task = {"name": "t", "fields": [{"name": "f", "type": "text"}]}
    assert Settings(task=task).decision == DecisionConfig()
    from tunesmith.core.config import read_config

    with pytest.raises(TunesmithError, match="least_gains"):
        read_config(DecisionConfig, {"least_gains": 0.1}, "tunesmith.yaml")


@given(st.builds(
    DecisionConfig, minimum_train=st.integers(1, 900), least_gain=st.floats(0, 1),
    most_usd_per_thousand=st.none() | st.floats(0, 1), most_latency_seconds=st.none() | st.floats(0, 1),
    forgetting=st.sampled_from(["told", "required"]), parity=st.sampled_from(["told", "required"]),
    least_preference=st.none() | st.floats(0, 1),
), st.booleans(), st.none() | st.floats(0, 1), st.sampled_from([(), (SHOWN,), (LEVEL,)]), st.booleans())  # fmt: skip
def test_stricter_rules_never_ship_what_the_defaults_do_not(asked, tuned, usd, pairs, dear):
    found = facts(
        contender("prompt", 0.9, 0.85, 0.94, usd) if dear else PROMPT,
        *((replace(GOOD, usd_per_thousand=usd),) if tuned else ()), comparisons=pairs if tuned else (),
    )  # fmt: skip
    strict, plain = decide(found, asked), decide(found)
    known = {what.strip("`").partition(":")[0] for _, _, what in rows(rules.__doc__)}
    assert strict.recommendation.partition(":")[0] in known
    if strict.passed and not plain.passed:  # only where a limit took the rival away
        assert asked.most_usd_per_thousand is not None


def test_a_tuned_model_that_may_not_ship_yet_is_not_said_to_gain_nothing():
    asked = DecisionConfig(before_tuning=("prompt", "few_shot", "retrieval"))
    simple = contender("prompt", 0.86, 0.81, 0.9, 0.1)
    gain = comparison("tuned", "prompt", 0.05, 0.02, 0.08, 1e-4)
    said = " ".join(decide(facts(simple, GOOD, comparisons=(gain,)), asked).because)
    assert "tuned meets the bar too, but is not asked for before few_shot and retrieval were measured" in said
    assert "is not shown, so" not in said


def test_a_judge_that_was_asked_and_may_not_decide_says_why_and_not_to_ask_it_again():
    good = contender("prompt", 0.9, 0.85, 0.94)
    stands = Judged(may=False, because=("its kappa of 0.2 is below 0.4",), criterion="overall")
    decision = decide(facts(good, also={"judge.overall": 0.8}, judged=stands))
    assert decision.recommendation == "too_early"
    assert (
        "the judge, who was asked, may not decide on judge.overall: its kappa of 0.2 is below 0.4"
        in (decision.because[0])
    )
    assert "judge run" not in decision.next
    nobody = decide(facts(good, also={"judge.overall": 0.8}))
    assert "`tunesmith judge calibrate --labels FILE`" in nobody.next


def test_a_tuned_model_that_meets_the_bar_is_not_said_to_be_about_to():
    level = comparison("tuned", "prompt", 0.1, -0.01, 0.21, 0.06)
    level = replace(level, examples_to_see=400)
    decision = decide(facts(contender("prompt", 0.79, 0.73, 0.84), GOOD, comparisons=(level,)))
    assert decision.recommendation == "gather_more"
    assert decision.because[0] == (
        "tuned meets the bar, which prompt may reach too, and it is not shown that it beats prompt; about 400 test "
        "examples would tell."
    )
