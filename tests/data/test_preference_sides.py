"""Pairs stand where what they ask stands; none that could tell what is measured is learnt."""

from __future__ import annotations

import pytest

from tunesmith.core.examples import Example, Message
from tunesmith.core.preferences import Preference
from tunesmith.core.splits import Certificate, SetAside, Split
from tunesmith.data.preferences import on_sides

NOUNS = [
    "lamp",
    "kettle",
    "jacket",
    "phone",
    "tent",
    "router",
    "sofa",
    "watch",
    "keyboard",
    "mug",
    "headphones",
    "box",
    "parcel",
    "chair",
    "table",
    "bed",
]
VERBS = ["broke", "vanished", "leaked", "burned", "faded", "shrank", "cracked", "rattled"]


def asked(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def example(text: str, **rest) -> Example:
    return Example.make(asked(text), "yes", **rest)


def pair(text: str, n: int = 0, **rest) -> Preference:
    return Preference.make(asked(text), f"good {n}", f"bad {n}", **rest)


TRAIN = [example("please tell me when the shop opens on monday")]
VALIDATION = [example("my invoice shows a wrong address and i want it changed", group="anna")]
TEST = [example("the courier left the parcel out in the heavy rain", group="bob")]
ASIDE = [example("the courier left the parcel out in the heavy rain today")]
EXAMPLES = [*TRAIN, *VALIDATION, *TEST, *ASIDE]
SPLIT = Split(
    snapshot="s", seed=0, settings={}, train=(TRAIN[0].id,), validation=(VALIDATION[0].id,), test=(TEST[0].id,),
    set_aside=(SetAside(example=ASIDE[0].id, reason="near"),),
    certificate=Certificate(
        method="m", threshold=0.7, groups=1, clusters=1, largest_cluster=1, max_similarity_across=0.0
    ),
)  # fmt: skip
MANY = [pair(f"{noun} {verb} {n * 7919}?") for n, noun in enumerate(NOUNS) for verb in VERBS]
"""Pairs that have nothing to do with what is measured."""


def placed(*some: Preference, examples=EXAMPLES):
    made = on_sides([*some, *MANY], SPLIT, examples)
    learnt, watched = {p.id for p in made.train}, {p.id for p in made.validation}
    return ["train" if p.id in learnt else "validation" if p.id in watched else "out" for p in some], made.counts


@pytest.mark.parametrize("turn", [0, 1], ids=["alone", "as an earlier turn"])
def test_a_prompt_near_a_test_prompt_is_left_out(turn):
    near = "The courier left the parcel out in the heavy rain!"
    later = (Message(role="assistant", content="sorry"), Message(role="user", content="and now?")) if turn else ()
    places, counts = placed(Preference.make((*asked(near), *later), "a", "b"))
    assert (places, counts.test) == (["out"], 1)


def test_a_prompt_near_a_validation_prompt_is_watched():
    places, counts = placed(pair("my invoice shows a wrong address, i want it changed"))
    assert places == ["validation"]
    assert counts.test == 0


def test_a_group_of_a_measured_side_takes_its_pairs_there():
    places, counts = placed(pair("does the lamp have a switch", group="bob"), pair("is it blue", group="anna"))
    assert (places, counts.test) == (["out", "validation"], 1)


def test_a_pair_about_an_example_stands_where_the_example_does():
    some = [
        pair("please tell me when the shop opens on monday", example=TRAIN[0].id),
        pair("a correction changed these words wholly", example=VALIDATION[0].id),
        pair("and these were changed as much", example=TEST[0].id),
        pair("what was set aside tells of something measured", example=ASIDE[0].id),
    ]
    places, counts = placed(*some)
    assert places == ["train", "validation", "out", "out"]
    assert (counts.test, counts.set_aside) == (1, 1)


def test_an_example_that_was_corrected_since_the_split_stands_where_it_stood():
    now = TEST[0].reworded(asked("entirely new words are here"), "no")
    places, counts = placed(pair("entirely new words are here", example=now.id), examples=[*TRAIN, *VALIDATION, now])
    assert (places, counts.test) == (["out"], 1)
    # and what is near its new words is left out, too
    assert placed(pair("entirely new words are here!"), examples=[now])[0] == ["out"]


def test_pairs_that_contradict_each_other_are_both_left_out():
    one = Preference.make(asked("is the tent waterproof"), "yes", "no")
    other = Preference.make(asked("is the tent waterproof"), "no", "yes")
    places, counts = placed(one, other)
    assert (places, counts.contradicted) == (["out", "out"], 2)


def test_a_tenth_is_held_out_and_nothing_learnt_asks_what_is_watched():
    twins = [pair("where can i buy a spare part for the mixer", n) for n in range(5)]
    made = on_sides([*MANY, *twins], SPLIT, EXAMPLES)
    total = len(MANY) + len(twins)
    assert made.counts.train + made.counts.validation == total
    assert made.counts.held_out == len(made.validation) == pytest.approx(total / 10, abs=1)
    assert {p.prompt for p in made.train}.isdisjoint(p.prompt for p in made.validation)
    again = on_sides([*twins, *MANY][::-1], SPLIT, EXAMPLES)
    assert again == made  # what they say decides, not their order


def test_of_two_pairs_one_is_held_out_and_of_one_none():
    two = on_sides(MANY[:2], SPLIT, EXAMPLES)
    assert (len(two.train), len(two.validation)) == (1, 1)
    one = on_sides(MANY[:1], SPLIT, EXAMPLES)
    assert (len(one.train), len(one.validation)) == (1, 0)


def test_sources_are_counted():
    some = [pair("is it blue", source="review"), pair("is it red", source="rating"), pair("is it green")]
    counts = on_sides(some, SPLIT, EXAMPLES, disputed=2).counts
    assert counts.by_source == {"imported": 1, "rating": 1, "review": 1}
    assert (counts.found, counts.disputed) == (5, 2)
