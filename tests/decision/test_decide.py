import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.decision.desk import comparison, desk_facts, estimate

from tunesmith.core.errors import TunesmithError
from tunesmith.core.estimates import Estimate
from tunesmith.decision import Bar, ContenderFacts, DecisionConfig, Facts, decide
from tunesmith.decision.facts import TEXTS
from tunesmith.evaluation.metrics import metric

KINDS = ("constant", "classifier", "prompt", "few_shot", "retrieval", "tuned")


def contender(name, value, low, high, usd=None, **rest):
    return ContenderFacts(name=name, kind=name.partition(":")[0], metrics={"all_correct": estimate(value, low, high)},
                          usd_per_thousand=usd, **rest)  # fmt: skip


def facts(*contenders, bar=0.8, **rest):
    given = {"side": "test", "examples": 180, "train": 700, "certified": True} | rest
    return Facts(bar=Bar(metric="all_correct", value=bar), contenders=contenders, **given)


def test_a_prompt_that_suffices_is_shipped_and_tuning_is_not_needed():
    decision = decide(
        facts(contender("constant", 0.1, 0.06, 0.15, 0.0), contender("prompt", 0.9, 0.85, 0.94, 0.12),
              contender("few_shot", 0.92, 0.87, 0.95, 0.3))
    )  # fmt: skip
    assert decision.recommendation == "ship:prompt" and decision.passed
    assert decision.because[0] == "prompt meets the bar, so fine-tuning is not needed."
    assert decision.because[1] == (
        "Of those that meet the bar it is the cheapest for a thousand requests: prompt $0.12 and few_shot $0.30."
    )


def test_retrieval_that_suffices_is_shipped_although_a_tuned_model_meets_the_bar_too():
    decision = decide(
        facts(contender("prompt", 0.5, 0.43, 0.57, 0.1), contender("retrieval", 0.87, 0.81, 0.91, 0.4),
              contender("tuned", 0.89, 0.84, 0.93, 0.1),
              comparisons=(comparison("tuned", "retrieval", 0.02, -0.03, 0.07, 0.41, 9, 5),))
    )  # fmt: skip
    assert decision.recommendation == "ship:retrieval"
    told = " ".join(decision.because)
    assert "tuned meets the bar too, but its gain over retrieval, the best simpler contender, is not shown" in told
    assert "95 % interval −0.03 to +0.07, p = 0.410" in told and "a gain is not shown" in told


def test_poor_data_is_mended_before_anything_is_decided():
    decision = decide(
        facts(contender("prompt", 0.9, 0.85, 0.94), errors=3, certified=False,
              certificate_problems=("2 groups stand on two sides",), data_problems=("Reviewers disagree on 9 labels.",))
    )  # fmt: skip
    assert decision.recommendation == "mend_data" and not decision.passed
    assert decision.because[1] == (
        "The split is not certified free of leaks: 2 groups stand on two sides. Run `tunesmith split` again."
    )
    assert "The checks found 3 errors in the examples; `tunesmith check` lists them" in decision.because[2]
    assert decision.because[3] == "Reviewers disagree on 9 labels."


def test_a_tuned_model_whose_gain_is_shown_is_shipped_and_the_numbers_are_quoted():
    decision = decide(desk_facts())
    assert decision.recommendation == "ship:tuned" and decision.passed
    told = " ".join(decision.because)
    assert "tuned meets the bar and is shown to beat retrieval" in decision.because[0]
    assert "tuned: all_correct is 0.83 (95 % interval 0.77 to 0.88, n = 180)" in told
    assert "the whole interval reaches the bar of 0.75, which is met" in told
    assert "valid_rate at least 0.97" in told
    assert "(95 % interval +0.23 to +0.39, p below 0.001, corrected for several comparisons; 60 won, 4 lost)" in told
    assert decision.quality_bar["contenders"]["retrieval"] == "missed"


def test_nothing_evaluated_is_an_error_and_not_a_decision():
    with pytest.raises(
        TunesmithError, match=r"Nothing has been evaluated on test.*\n.*To mend it: .*tunesmith evaluate"
    ):
        decide(facts())


def test_no_bar_is_an_error_that_shows_how_to_write_one():
    with pytest.raises(TunesmithError, match=r"no quality bar.*\n.*`bar: {metric: all_correct, value: 0.85}`"):
        decide(replace(desk_facts(), bar=None))


def test_a_bar_on_a_metric_that_was_not_measured_is_an_error():
    with pytest.raises(TunesmithError, match=r"No contender has win_rate.*they have all_correct, valid_rate"):
        decide(replace(desk_facts(), bar=Bar(metric="win_rate", value=0.5)))


def test_a_contender_without_the_bar_s_metric_is_set_apart_and_told():
    told = decide(facts(contender("prompt", 0.9, 0.85, 0.94), replace(contender("few_shot", 0, 0, 0), metrics={})))
    assert told.recommendation == "ship:prompt"
    assert "all_correct could not be measured of few_shot." in told.because


@pytest.mark.parametrize(("bar", "recommendation"), [(0.85, "gather_more"), (0.6, "ship:tuned")])
def test_a_constrained_twin_that_scores_higher_does_not_hide_the_gain_of_the_compared_one(bar, recommendation):
    decision = decide(
        facts(contender("prompt", 0.5, 0.43, 0.57, 0.1), contender("tuned", 0.70, 0.63, 0.76, 0.1),
              replace(contender("tuned", 0.72, 0.65, 0.78, 0.2), name="tuned+schema"), bar=bar,
              comparisons=(comparison("tuned", "prompt", 0.2, 0.11, 0.29, 0.001),))
    )  # fmt: skip
    assert decision.recommendation == recommendation
    told = " ".join(decision.because)
    assert "tuned is shown to beat prompt" in told or "is shown to beat prompt" in told
    assert "not worth its upkeep" not in told


def test_what_has_changed_since_it_was_measured_decides_nothing():
    changed = "The examples changed. Run `tunesmith split`."
    decision = decide(facts(contender("prompt", 0.9, 0.85, 0.94), stale=(changed,)))
    assert (decision.recommendation, decision.passed) == ("too_early", False)
    assert decision.because[1] == changed


def test_a_kind_nobody_knows_is_an_error():
    odd = replace(contender("prompt", 0.5, 0.4, 0.6), kind="promt")
    with pytest.raises(TunesmithError, match="did you mean 'prompt'"):
        decide(facts(odd))


def test_without_prices_the_simplest_is_shipped_and_the_decision_says_so():
    decision = decide(facts(contender("retrieval", 0.9, 0.85, 0.94, 0.1), contender("prompt", 0.88, 0.82, 0.92)))
    assert decision.recommendation == "ship:prompt"
    assert "What prompt costs is not known, so the simplest is taken instead of the cheapest" in decision.because[1]


def test_prices_that_differ_in_the_third_digit_are_a_tie_for_the_simpler():
    decision = decide(
        facts(contender("retrieval", 0.9, 0.85, 0.94, 0.3049), contender("prompt", 0.88, 0.82, 0.92, 0.305))
    )
    assert decision.recommendation == "ship:prompt"


def test_a_good_figure_on_validation_is_too_early_to_ship():
    decision = decide(replace(desk_facts(), side="validation"))
    assert decision.recommendation == "too_early" and not decision.passed
    assert "tunesmith evaluate --on test" in decision.because[0]
    assert "they run high" in decision.because[-1]


def test_when_no_simpler_contender_suffices_and_the_data_is_sound_tuning_is_next():
    decision = decide(facts(contender("prompt", 0.5, 0.43, 0.57), contender("few_shot", 0.6, 0.53, 0.67)))
    assert decision.recommendation == "tune"
    assert "700 train examples" in decision.because[0]
    assert "retrieval was not tried" in decision.because[1]


def test_what_no_search_made_better_is_named_before_tuning():
    few_shot = contender("few_shot", 0.5, 0.43, 0.57)
    told = facts(contender("prompt", 0.5, 0.43, 0.57), few_shot, contender("retrieval", 0.5, 0.43, 0.57), train=400)
    assert "--best" not in " ".join(decide(replace(told, unsearched=())).because)
    lines = " ".join(decide(replace(told, unsearched=("few_shot", "retrieval"))).because)
    assert "few_shot and retrieval are measured as tunesmith.yaml has them" in lines
    assert "`tunesmith baseline --best few_shot retrieval`" in lines


def test_an_interval_that_holds_the_bar_does_not_meet_it():
    decision = decide(facts(contender("prompt", 0.83, 0.77, 0.88, examples_to_show=1200)))
    assert decision.recommendation == "tune"
    assert (
        "so it is not shown that the bar is met. With results like these it would take about 1,200 test examples"
        in (" ".join(decision.because))
    )


def test_an_interval_that_ends_exactly_on_the_bar_is_met_from_above_and_not_missed_from_below():
    assert decide(facts(contender("prompt", 0.85, 0.8, 0.9))).recommendation == "ship:prompt"
    below = decide(facts(contender("prompt", 0.75, 0.7, 0.8)))
    assert below.quality_bar["contenders"] == {"prompt": "not_shown"}


def test_too_few_train_examples_come_before_tuning():
    decision = decide(facts(contender("prompt", 0.5, 0.43, 0.57), train=99))
    assert decision.recommendation == "mend_data"
    assert "99 train examples, fewer than the 100" in decision.because[0]
    assert decide(facts(contender("prompt", 0.5, 0.43, 0.57), train=100)).recommendation == "tune"


def test_without_a_prompt_or_with_an_unmeasured_run_it_is_too_early():
    only_floor = decide(facts(contender("constant", 0.1, 0.06, 0.15), contender("tuned", 0.9, 0.85, 0.94)))
    assert only_floor.recommendation == "too_early" and "tunesmith baseline prompt" in only_floor.because[0]
    gain = comparison("tuned", "constant", 0.8, 0.74, 0.86, 1e-9)
    beaten = facts(contender("constant", 0.1, 0.06, 0.15), contender("tuned", 0.9, 0.85, 0.94), comparisons=(gain,))
    assert decide(beaten).recommendation == "too_early"  # to beat a constant says nothing of prompting
    waiting = decide(facts(contender("prompt", 0.5, 0.43, 0.57), tuned_run="run-1"))
    assert waiting.recommendation == "too_early" and "tunesmith evaluate tuned --on test" in waiting.because[0]


def test_an_older_run_that_was_measured_does_not_stand_for_the_one_that_waits():
    older = contender("tuned:old", 0.5, 0.43, 0.57, run="old")
    level = comparison("tuned:old", "prompt", 0.0, -0.06, 0.06, 0.9)
    waits = facts(contender("prompt", 0.5, 0.43, 0.57), older, tuned_run="new", comparisons=(level,))
    decision = decide(waits)
    assert (decision.recommendation, decision.rule) == ("too_early", "untried")
    assert "The tuning run new has not been measured on test yet" in decision.because[0]
    assert decide(replace(waits, tuned_run="old")).rule != "untried"


PROMPT = contender("prompt", 0.5, 0.43, 0.57)
SHOWN = comparison("tuned", "prompt", 0.2, 0.12, 0.28, 1e-5)


def test_a_gain_that_falls_short_of_the_bar_asks_for_more_train_examples():
    decision = decide(facts(PROMPT, contender("tuned", 0.7, 0.63, 0.76), comparisons=(SHOWN,)))
    assert decision.recommendation == "gather_more"
    assert "Tuning pays" in decision.because[0]
    assert "it stays short of the bar: all_correct is 0.70 where 0.80 is asked" in decision.because[0]


def test_a_gain_whose_bar_is_not_shown_asks_for_the_test_examples_it_takes():
    tuned = contender("tuned", 0.83, 0.77, 0.88, examples_to_show=1200)
    decision = decide(facts(PROMPT, tuned, comparisons=(SHOWN,)))
    assert decision.recommendation == "gather_more"
    assert "about 1,200 test examples in all would show it" in decision.because[0]


def test_a_tuned_model_that_adds_nothing_below_the_bar_is_stopped():
    level = comparison("tuned", "prompt", 0.02, -0.04, 0.08, 0.5)
    decision = decide(facts(PROMPT, contender("tuned", 0.52, 0.45, 0.59), comparisons=(level,)))
    assert decision.recommendation == "stop"
    assert (
        "does not pay: tuned is not shown to beat prompt, and every contender misses the bar of 0.80"
        in (decision.because[0])
    )
    few = decide(facts(PROMPT, contender("tuned", 0.52, 0.45, 0.59), comparisons=(level,), train=60))
    assert few.recommendation == "mend_data"


def test_a_bar_within_reach_is_not_given_up():
    level = comparison("tuned", "few_shot", 0.01, -0.05, 0.07, 0.7)
    decision = decide(
        facts(contender("few_shot", 0.8, 0.74, 0.85, examples_to_show=900), contender("tuned", 0.81, 0.75, 0.86),
              comparisons=(level,))
    )  # fmt: skip
    assert decision.recommendation == "gather_more"
    assert "about 900 test examples" in decision.because[0]


def test_a_tuned_model_is_not_shipped_on_its_own_interval_without_a_paired_comparison():
    decision = decide(facts(PROMPT, contender("tuned", 0.9, 0.85, 0.94)))
    assert (decision.recommendation, decision.rule) == ("too_early", "uncompared")
    assert "tuned and prompt, the best simpler contender, have yet to be compared by all_correct" in decision.because[0]
    named = decide(facts(PROMPT, contender("tuned:old", 0.9, 0.85, 0.94)))
    assert named.next == "Run `tunesmith evaluate tuned:old --on test`."


@pytest.mark.parametrize(("low", "p_holm", "shipped"), [(0.01, 0.04, True), (0.0, 0.04, False), (0.01, 0.06, False)])
def test_a_gain_is_shown_only_by_both_its_interval_and_its_corrected_p(low, p_holm, shipped):
    gain = replace(comparison("tuned", "prompt", 0.1, low, 0.2, 0.01), p_holm=p_holm)
    decision = decide(facts(PROMPT, contender("tuned", 0.9, 0.85, 0.94), comparisons=(gain,)))
    assert (decision.recommendation == "ship:tuned") is shipped


def test_a_comparison_may_be_given_the_other_way_round():
    turned = comparison("prompt", "tuned", -0.4, -0.48, -0.31, 1e-6, 3, 75)
    decision = decide(facts(PROMPT, contender("tuned", 0.9, 0.85, 0.94), comparisons=(turned,)))
    assert decision.recommendation == "ship:tuned"
    assert "tuned is 0.40 higher than prompt (95 % interval +0.31 to +0.48" in " ".join(decision.because)


def test_a_further_metric_below_its_value_keeps_a_contender_from_shipping():
    given = desk_facts()
    bar = Bar(metric="all_correct", value=0.75, also={"valid_rate": 0.995})
    decision = decide(replace(given, bar=bar))
    assert decision.recommendation == "gather_more"
    unmeasured = decide(replace(given, bar=Bar(metric="all_correct", value=0.75, also={"category.accuracy": 0.9})))
    assert (unmeasured.recommendation, unmeasured.rule) == ("too_early", "unmeasured")
    assert "tuned meets the bar as far as it was measured, but category.accuracy was not" in unmeasured.because[0]
    assert "category.accuracy was not measured, so it is not shown that it reaches 0.90" in " ".join(unmeasured.because)


@pytest.mark.parametrize(
    ("also", "next_step"),
    [
        ({"category.accuracy": 0.9}, "Run `tunesmith evaluate --on test`."),
        ({"judge.overall": 0.7}, "Run `tunesmith judge calibrate --labels FILE` and `tunesmith judge run --on test`."),
    ],
)
def test_nothing_is_tuned_or_gathered_for_a_metric_that_nobody_measured(also, next_step):
    few = facts(contender("constant", 0.1, 0.06, 0.15), contender("prompt", 0.9, 0.85, 0.94), train=3, documents=2)
    decision = decide(replace(few, bar=Bar(metric="all_correct", value=0.8, also=also)))
    assert (decision.recommendation, decision.rule, decision.next) == ("too_early", "unmeasured", next_step)
    assert "prompt meets the bar as far as it was measured, but" in decision.because[0]
    below = facts(contender("prompt", 0.5, 0.43, 0.57))
    assert decide(replace(below, bar=Bar(metric="all_correct", value=0.8, also=also))).recommendation == "tune"


def test_rounding_never_puts_a_figure_on_the_wrong_side_of_the_bar():
    decision = decide(facts(contender("prompt", 0.86, 0.7996, 0.9)))
    assert "95 % interval 0.7996 to 0.90" in " ".join(decision.because)


@pytest.mark.parametrize(
    ("failed", "recommendation"), [(0, "ship:prompt"), (5, "ship:prompt"), (12, "too_early"), (100, "too_early")]
)
def test_a_bar_is_not_met_by_losing_the_answers_to_what_was_hard(failed, recommendation):
    decision = decide(facts(contender("prompt", 0.95, 0.85, 0.99, failed=failed)))
    assert decision.recommendation == recommendation
    lost = [text for text in decision.because if "failed answers" in text]
    assert len(lost) == (recommendation == "too_early")
    if lost:
        assert decision.rule == "lost" and decision.next == "Ask again with `tunesmith evaluate prompt --on test`."
        assert "only because" in lost[0] and f"{failed} failed answers" in lost[0]


def of_texts(failed, unreadable, name="reply.chrf"):
    found = Estimate(value=95, low=85, high=99, n=180 - failed - unreadable, skipped=failed + unreadable)
    prompt = replace(contender("prompt", 0.9, 0.85, 0.95), metrics={name: found}, failed=failed, unreadable=unreadable)
    return decide(replace(facts(prompt), bar=Bar(metric=name, value=80)))


def test_a_bar_on_texts_is_not_met_by_answers_that_cannot_be_read():
    assert of_texts(0, 5).recommendation == "ship:prompt"  # 85 * 175 / 180 = 82.6
    held = of_texts(0, 12)  # 85 * 168 / 180 = 79.3
    assert (held.recommendation, held.rule) == ("tune", "tune")
    assert "only because 12 answers that cannot be read (7%) are in no figure" in " ".join(held.because)
    assert of_texts(0, 12, "reply.bertscore:./my.encoder").recommendation == "tune"
    both = of_texts(6, 6)  # without those that failed 85 * 168 / 174 = 82.1, so they are asked again
    assert both.rule == "lost"
    assert "12 answers that failed or cannot be read (7%)" in " ".join(both.because)


def test_an_answer_that_a_figure_holds_is_not_counted_as_lost_to_it():
    labelled = contender("prompt", 0.95, 0.85, 0.99, unreadable=100)  # wrong already in all_correct
    assert decide(facts(labelled)).recommendation == "ship:prompt"
    found = Estimate(value=95, low=85, high=99, n=180)
    scored = replace(labelled, metrics={"chrf": found})  # of a measure that gives it 0
    assert decide(replace(facts(scored), bar=Bar(metric="chrf", value=80))).recommendation == "ship:prompt"


def test_metrics_of_texts_are_known_by_name():
    assert set(TEXTS) == {name for name, one in metric.items() if one.of == "text" and one.better == "higher"}


def test_small_sets_repeated_looks_lost_answers_and_passed_guards_are_told():
    decision = decide(
        facts(
            contender("prompt", 0.95, 0.85, 0.99, failed=4),
            examples=60,
            test_looks=3,
            overrides=("tuned with --anyway",),
        )
    )
    told = " ".join(decision.because)
    assert "With 60 test examples, fewer than 100, the intervals are wide and rough." in told
    assert "The test set was scored 3 times" in told
    assert "no score: prompt 4." in told
    assert "Guards were passed by hand: tuned with --anyway." in told


def test_data_that_was_not_checked_is_not_called_sound():
    decision = decide(facts(contender("prompt", 0.5, 0.43, 0.57), checked=False))
    assert decision.recommendation == "tune" and "data is sound" not in decision.because[0]
    assert "The checks have not been run on these examples" in decision.because[-1]


@st.composite
def any_facts(draw):
    names = draw(st.lists(st.sampled_from(KINDS), min_size=1, unique=True))
    contenders = []
    for name in names:
        low, value, high = sorted(draw(st.tuples(*[st.floats(0, 1)] * 3)))
        metrics = {"all_correct": Estimate(value=value, low=low, high=high, n=50)}
        usd = draw(st.none() | st.floats(0, 1e4))
        show = draw(st.none() | st.integers(1, 10**6))
        contenders.append(
            ContenderFacts(name=name, kind=name, metrics=metrics, usd_per_thousand=usd, examples_to_show=show)
        )
    low, difference, high = sorted(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    pairs = [
        comparison("tuned", name, difference, low, high, draw(st.floats(0, 1))) for name in names if name != "tuned"
    ]
    return Facts(
        bar=Bar(metric="all_correct", value=draw(st.floats(0, 1))), contenders=tuple(contenders),
        comparisons=tuple(pairs), side=draw(st.sampled_from(["validation", "test"])), examples=50,
        train=draw(st.integers(0, 300)), certified=draw(st.booleans()), errors=draw(st.integers(0, 1)),
        tuned_run=draw(st.none() | st.just("run-1")),
    )  # fmt: skip


@given(any_facts())
def test_any_facts_lead_to_one_of_the_recommendations_and_only_proof_ships(given_facts):
    decision = decide(given_facts)
    kind, _, name = decision.recommendation.partition(":")
    assert kind in ("ship", "tune", "mend_data", "gather_more", "too_early", "stop")
    assert decision.passed == (kind == "ship")
    assert all(line.endswith(".") for line in decision.because)
    if kind == "ship":
        shipped = next(c for c in given_facts.contenders if c.name == name)
        assert shipped.metrics["all_correct"].low >= given_facts.bar.value
        assert given_facts.side == "test" and given_facts.certified and not given_facts.errors
    if kind == "tune":
        assert "tuned" not in {c.name for c in given_facts.contenders} and given_facts.train >= 100


@given(any_facts(), st.randoms())
def test_the_order_of_the_contenders_does_not_matter(given_facts, random):
    shuffled = list(given_facts.contenders)
    random.shuffle(shuffled)
    one, other = decide(given_facts), decide(replace(given_facts, contenders=tuple(shuffled)))
    assert (one.recommendation, one.because) == (other.recommendation, other.because)


LOSING = comparison("tuned", "prompt", 0.12, 0.05, 0.19, 1e-3)


@pytest.mark.parametrize(("low", "recommendation"), [(0.01, "ship:tuned"), (-0.01, "too_early")])
def test_a_gain_is_not_shown_by_losing_the_answers_to_what_was_hard(low, recommendation):
    given = facts(PROMPT, contender("tuned", 0.92, 0.88, 0.95, failed=6))
    decision = decide(replace(given, comparisons=(replace(LOSING, lost_a=6, low_with_lost=low),)))
    assert decision.recommendation == recommendation
    told = " ".join(decision.because)
    assert "6 more that tuned lost are not in it, and did they count as wrong the interval would begin at" in told
    if recommendation == "too_early":
        assert decision.rule == "lost"
        assert "tuned meets the bar, but 6 answers failed and count as wrong, so it is not shown that it beats" in told


def test_what_the_other_one_lost_is_turned_with_the_comparison():
    turned = replace(comparison("prompt", "tuned", -0.12, -0.19, -0.05, 1e-3), lost_b=6, high_with_lost=0.01)
    given = facts(PROMPT, contender("tuned", 0.92, 0.88, 0.95, failed=6), comparisons=(turned,))
    assert decide(given).rule == "lost"


def test_more_test_examples_are_not_asked_for_where_lost_answers_hold_back():
    lost = contender("tuned", 0.92, 0.82, 0.95, failed=20)
    shown = comparison("tuned", "prompt", 0.4, 0.3, 0.5, 1e-6)
    decision = decide(facts(PROMPT, lost, comparisons=(shown,)), DecisionConfig(failed_answers="wrong"))
    assert (decision.recommendation, decision.rule) == ("gather_more", "short")
    assert "all_correct would reach 0.80 but for 20 failed answers, which count as wrong" in decision.because[0]
    assert "test examples in all" not in " ".join(decision.because)
    level = comparison("tuned", "prompt", 0.02, -0.04, 0.08, 0.5)
    undecided = decide(facts(PROMPT, lost, comparisons=(level,)), DecisionConfig(failed_answers="wrong"))
    assert (undecided.recommendation, undecided.rule) == ("gather_more", "open")
    assert undecided.next.startswith("See to the answers that were lost: of tuned all_correct would reach")


def test_a_gain_that_only_lost_answers_hold_back_asks_for_no_more_tests():
    tuned = contender("tuned", 0.92, 0.88, 0.95, failed=6)
    lost = replace(LOSING, lost_a=6, low_with_lost=-0.01)
    decision = decide(facts(PROMPT, tuned, comparisons=(lost,)), DecisionConfig(failed_answers="wrong"))
    assert (decision.recommendation, decision.rule) == ("gather_more", "open")
    assert "would be shown but for what tuned lost (6 of its answers failed or cannot be read)" in decision.because[0]
    assert decision.next.startswith("Have the answers that were lost given")
    # asked again they may be given; what cannot be read may not
    unreadable = replace(facts(PROMPT, replace(tuned, failed=1)), comparisons=(lost,))
    assert decide(unreadable).rule == "open"


def test_verdicts_that_are_missing_are_asked_of_the_judge():
    shown = comparison("tuned", "prompt", 0.4, 0.3, 0.5, 1e-6)
    tuned = contender("tuned", 0.9, 0.85, 0.94)
    rate = Estimate(value=0.85, low=0.75, high=0.9, n=100, skipped=40)
    tuned = replace(tuned, metrics=tuned.metrics | {"judge.overall": rate})
    given = replace(
        facts(PROMPT, tuned, comparisons=(shown,)),
        bar=Bar(metric="all_correct", value=0.8, also={"judge.overall": 0.7}),
    )
    decision = decide(given)
    assert (decision.recommendation, decision.rule) == ("gather_more", "short")
    assert decision.next.startswith("Have the judge say something of all answers")
