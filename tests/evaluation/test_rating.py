"""What a round compares and how many comparisons it takes, without a workspace."""

import pytest
from msgspec.structs import replace

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import NothingToMeasure, TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.core.ratings import RatingItem, RatingPlan, RatingRound
from tunesmith.core.task import Field, Task
from tunesmith.evaluation.rating.design import attention_items, attention_spacing, comparisons
from tunesmith.evaluation.rating.power import examples_needed, smallest_difference
from tunesmith.evaluation.rating.results import Rated, strengths, win_rates


def example(text, completion):
    return Example.make((Message(role="user", content=text),), completion)


EXAMPLES = [example(f"prompt {n}", f"label{n % 2}") for n in range(6)]
TASK = Task(name="t", format="plain", fields=(Field(name="topic", type="label", labels=("label0", "label1")),))


def answers(texts):
    return {
        e.id: Answer(contender="c", example=e.id, text=text or "", finish_reason="error" if text is None else "stop")
        for e, text in zip(EXAMPLES, texts, strict=True)
    }


def test_a_failed_answer_is_no_comparison_and_the_same_text_is_none_for_people():
    made = comparisons(
        "ab", EXAMPLES, {"a": answers(["x"] * 6), "b": answers(["y", "x", " x\n", None, None, ""])}, seed=0
    )
    assert (len(made.items), len(made.identical), made.failed) == (2, 2, 2)
    assert len({item.id for item in (*made.items, *made.identical)}) == 4
    assert "x" not in made.items[0].texts  # hashes only


def test_ids_change_with_the_seed_and_say_nothing_of_names():
    both = {"a": answers(["x"] * 6), "b": answers(["y"] * 6)}
    one, other = (comparisons("ab", EXAMPLES, both, seed=seed) for seed in (0, 1))
    assert not {item.id for item in one.items} & {item.id for item in other.items}


def test_an_attention_item_shows_a_completion_that_is_wrong():
    by_id = {e.id: e for e in EXAMPLES}
    made = attention_items(TASK, EXAMPLES, 4, seed=0)
    assert len(made) == 4
    for item in made:
        assert by_id[item.example].completion != by_id[item.wrong].completion
    same = [example(f"prompt {n}", "label0") for n in range(4)]
    assert attention_items(TASK, same, 4, seed=0) == ()  # nothing is wrong where all say the same


def test_the_wrong_one_shares_the_fewest_words():
    task = Task(name="t", format="plain", fields=(Field(name="reply", type="text"),))
    rows = [example("a", "we send it today"), example("b", "we send it tomorrow"), example("c", "no refund")]
    by_id = {e.id: e for e in rows}
    first = attention_items(task, rows, 1, seed=0)[0]
    assert by_id[first.wrong].completion == "no refund"


def test_each_rater_gets_two_attention_items_at_least_where_the_round_is_short():
    assert attention_spacing(100, 2, 2, 0.1) == 9
    assert attention_spacing(12, 2, 1, 0.1) == 3
    assert attention_spacing(1, 2, 1, 0.1) == 1


def test_the_least_difference_that_is_seen_is_where_the_needed_number_is_reached():
    needed = examples_needed(0.2, ties=0.3, per_example=2, alike=0.5)
    least = smallest_difference(needed, ties=0.3, per_example=2, alike=0.5)
    assert least == pytest.approx(0.2, abs=0.002)
    assert least <= 0.2
    assert smallest_difference(3, ties=0.3, per_example=1, alike=0) is None
    with pytest.raises(TunesmithError, match="With 30% ties"):
        examples_needed(0.8, ties=0.3, per_example=1, alike=0)


@pytest.mark.parametrize(("difference", "ties"), [(0.2, 0.8), (0.1, 0.9), (0.7, 0.3), (1.0, 0.0)])
def test_a_difference_of_all_that_is_no_tie_can_be_planned_for(difference, ties):
    # 1 - 0.8 and 1 - 0.9 lie a little below 0.2 and 0.1
    assert examples_needed(difference, ties=ties, per_example=1, alike=0) >= 5
    with pytest.raises(TunesmithError, match="at most"):
        examples_needed(difference + 0.01, ties=ties, per_example=1, alike=0)


def test_raters_that_always_say_the_same_count_as_one():
    one = examples_needed(0.2, ties=0.3, per_example=1, alike=1)
    assert [examples_needed(0.2, ties=0.3, per_example=m, alike=1) for m in (2, 5)] == [one, one]
    assert examples_needed(0.2, ties=0.3, per_example=5, alike=0) == pytest.approx(one / 5, abs=2)


def test_so_many_examples_see_the_difference_four_times_of_five():
    import numpy as np

    # 2,000 rounds of 137 examples with one rater: 45 % prefer a, 25 % b, 30 % ties; the exact sign test at 5 % is a
    # little conservative, so the mid-p test is used, as the sum's normal approximation is
    from tunesmith.core.statistics import mcnemar

    random = np.random.default_rng(3)
    drawn = random.multinomial(examples_needed(0.2, ties=0.3, per_example=1, alike=0), [0.45, 0.25, 0.3], size=2000)
    power = np.mean([mcnemar(int(w), int(x)) < 0.05 for w, x, _ in drawn])
    assert power == pytest.approx(0.8, abs=0.03)


PLAN = RatingPlan(
    difference=0.2, ties=0.3, alike=0.5, power=0.8, per_example=1, raters=1, examples=1, ratings=1, available=1,
    drawn=1, smallest_difference=None,
)  # fmt: skip


def round_of(pairs, asked, alike):
    """A round of so many comparisons of each pair and so many of the same text twice."""
    items = [
        [RatingItem(id=f"{pair} {n}", example=f"e{n}", a=pair[0], b=pair[1]) for pair in pairs for n in some]
        for some in (range(asked), range(asked, asked + alike))
    ]
    return RatingRound(
        contenders=dict.fromkeys("".join(pairs), "hash"), side="validation", split="s", seed=0, plan=PLAN,
        items=tuple(items[0]), attention=(), attention_every=9, attention_passed=0.75, identical=tuple(items[1]),
    )  # fmt: skip


def rated(items, given=lambda number: {}):
    return [Rated(item, item.example, given(int(item.example[1:]))) for item in items]


@pytest.mark.parametrize("given", [40, 39, 10, 1])
def test_known_ties_weigh_as_much_in_a_win_rate_however_many_ratings_are_missing(given):
    made = round_of(["ab"], 40, 60)
    ratings = rated(made.items, lambda n: {"ann": "a"} if n < given else {})
    (rate,) = win_rates(made, ratings, frozenset(), rated(made.identical))
    assert rate.win_rate.value == pytest.approx(0.4 + 0.6 / 2)
    assert rate.win_rate.low < 0.7 < rate.win_rate.high
    assert (rate.win_rate.n, rate.win_rate.skipped, rate.ties) == (given + 60, 40 - given, 60)
    if given == 10:
        # Wilson's lower end of 10 of 10 is 10 / (10 + 1.96^2) = 0.7225, so 0.4 * 0.2775 = 0.1110 below; the share of
        # ties wanders by 1.96 * 0.5 * sqrt(0.6 * 0.4 / 100) = 0.0480; together sqrt(0.1110^2 + 0.0480^2) = 0.1210
        assert rate.win_rate.low == pytest.approx(0.7 - 0.1210, abs=1e-4)


def test_raters_who_are_left_out_leave_the_weight_of_known_ties_as_it_is():
    made = round_of(["ab"], 40, 60)
    ratings = rated(made.items, lambda n: {"ann": "a"} if n < 10 else {"bot": "b"})
    (rate,) = win_rates(made, ratings, frozenset(["bot"]), rated(made.identical))
    assert (rate.win_rate.value, rate.everybody.value) == pytest.approx((0.7, (10 + 60 / 2) / 100))


def test_two_of_three_that_always_say_the_same_have_a_win_rate_of_one_half():
    made = round_of(["ab", "bc", "ac"], 8, 4)
    made = replace(made, items=tuple(item for item in made.items if item.a + item.b != "bc"))
    found = win_rates(made, rated(made.items, lambda n: {"ann": "a"}), frozenset(), rated(made.identical))
    (same,) = [rate for rate in found if (rate.a, rate.b) == ("b", "c")]
    assert (same.win_rate.value, same.win_rate.n, same.wins, same.ties, same.losses) == (0.5, 4, 0, 4, 0)
    assert same.win_rate.low < 0.5 < same.win_rate.high


def test_strengths_of_half_a_round_are_those_of_the_whole_where_half_says_the_same():
    made = round_of(["ab", "bc", "ac"], 8, 4)

    def found(given):
        ratings = rated(made.items, lambda n: {"ann": "b" if n % 4 == 3 else "a"} if n < given else {})
        return strengths(made, ratings, frozenset(), rated(made.identical))

    half, whole = found(4), found(8)
    assert [half[name].value for name in "abc"] == pytest.approx([whole[name].value for name in "abc"])
    all_won = rated(made.items, lambda n: {"ann": "a"})
    only_ab = [r if r.item.a + r.item.b == "ab" else r._replace(said={}) for r in all_won]
    with pytest.raises(NothingToMeasure, match="never compared"):  # known ties alone say nothing of c
        strengths(made, only_ab, frozenset(), rated(made.identical))
