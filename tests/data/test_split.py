import csv
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunesmith.core.codec import encode
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.data.certificate import certify, verify
from tunesmith.data.config import SplitConfig
from tunesmith.data.duplicates import near_pairs
from tunesmith.data.split import FEWEST_GROUPS, extend_split, make_split
from tunesmith.models.embedder import open_embedder

BANKING = Path(__file__).parents[3] / "shared" / "data" / "banking77"
LABELS = ("card", "loan", "fee")
TASK = Task(name="desk", format="plain", fields=(Field(name="topic", type="label", labels=LABELS),))
# apart from one another: no two of these words share a trigram, so texts of different words are never near
APART = [f"{a}{b}{c}{a}" for a in "bdfg" for b in "aeiou" for c in "klmn"]


def example(text, label="card", **rest):
    return Example.make((Message(role="user", content=text),), label, **rest)


def apart(count, **rest):
    """Rows none of which is near another, their labels in turn."""
    return [
        example(f"{APART[n % 80]} {APART[(n * 7 + n // 80 + 3) % 80]} {n * 7919}", LABELS[n % 3], **rest)
        for n in range(count)
    ]


def split_of(rows, **config):
    return make_split(rows, TASK, SplitConfig(**config), "snapshot")


def ids(rows):
    return {row.id for row in rows}


@st.composite
def messy_rows(draw, pins=(None,)):
    """Rows from few words, so that exact and near-duplicates abound; some in groups, some synthetic, some pinned."""
    count = draw(st.integers(15, 45))
    rows = apart(20)
    for n in range(count):
        words = draw(st.lists(st.sampled_from(APART[:12]), min_size=1, max_size=6))
        rows.append(
            example(
                " ".join(words),
                draw(st.sampled_from([*LABELS, "unreadable"])),
                group=draw(st.sampled_from([None, None, None, "g1", "g2", f"own-{n}"])),
                side=draw(st.sampled_from(pins)),
                edge_case=draw(st.sampled_from([None, None, "ambiguous"])),
                lineage=(rows[-1].id,) if draw(st.integers(0, 9)) == 0 else (),
            )
        )
    return list({row.id: row for row in rows}.values())


hard = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def where(split):
    """Side by id; the rows set aside as "aside"."""
    return {**split.side_of(), **{entry.example: "aside" for entry in split.set_aside}}


@hard
@given(messy_rows(pins=(None, None, None, "train", "validation", "test")), st.integers(0, 5))
def test_no_row_is_lost_and_none_stands_on_two_sides(rows, seed):
    split = split_of(rows, seed=seed)
    placed = [*split.train, *split.validation, *split.test, *(entry.example for entry in split.set_aside)]
    assert sorted(placed) == sorted(ids(rows))
    assert split.left_out == 0


def ask_togetherness(rows, sides):
    """Groups, sources and near-duplicates are each whole on one side."""
    for key in ("g1", "g2"):
        assert len({sides[row.id] for row in rows if row.group == key and row.id in sides}) <= 1
    for row in rows:
        for parent in row.lineage:
            assert sides.get(row.id, sides.get(parent)) == sides.get(parent, sides.get(row.id))
    kept = [row for row in rows if row.id in sides]
    for pair in near_pairs([row.prompt for row in kept], 0.8):
        assert sides[kept[pair.i].id] == sides[kept[pair.j].id]


@hard
@given(messy_rows(pins=(None, None, None, "train", "validation", "test")), st.integers(0, 5))
def test_groups_sources_and_near_duplicates_are_whole_and_the_certificate_says_so(rows, seed):
    split = split_of(rows, seed=seed)
    sides = split.side_of()
    ask_togetherness(rows, sides)
    leaks = [p for p in split.certificate.problems if "cluster" not in p]  # few words make large clusters
    assert leaks == []
    assert split.certificate.shared_groups == 0
    assert split.certificate.max_similarity_across < 0.8


@hard
@given(messy_rows(pins=(None, None, "train", "validation", "test")), st.integers(0, 5))
def test_pinned_rows_stay_where_they_were_pinned(rows, seed):
    placed = where(split_of(rows, seed=seed))
    assert {placed[row.id] for row in rows if row.side == "test"} <= {"test"}
    assert {placed[row.id] for row in rows if row.side == "validation"} <= {"validation", "aside"}
    assert {placed[row.id] for row in rows if row.side == "train"} <= {"train", "aside"}
    for side in ("validation", "test"):
        if any(row.side == side == placed[row.id] for row in rows):  # not all of them set aside
            assert {row.side for row in rows if placed[row.id] == side} <= {side}


@hard
@given(messy_rows(pins=(None, None, None, "test")), st.integers(0, 5), st.randoms())
def test_the_same_rows_in_another_order_and_the_same_seed_give_the_same_bytes(rows, seed, order):
    mixed = list(rows)
    order.shuffle(mixed)
    assert encode(split_of(rows, seed=seed)) == encode(split_of(mixed, seed=seed))


@hard
@given(messy_rows(pins=(None, None, None, "test")), st.integers(1, 4), st.integers(0, 5))
def test_train_per_label_takes_exactly_so_many_and_counts_the_rest(rows, wanted, seed):
    try:
        split = split_of(rows, train_per_label=wanted, seed=seed)
    except TunesmithError as error:
        assert "have fewer" in str(error) or "No rows are left for validation" in str(error)
        return
    by_id = {row.id: row for row in rows}
    taken = Counter(by_id[id_].completion for id_ in split.train)
    assert set(taken.values()) == {wanted}
    counted = len(split.train) + len(split.validation) + len(split.test) + len(split.set_aside) + split.left_out
    assert counted == len(rows)
    assert [p for p in split.certificate.problems if "cluster" not in p] == []


@pytest.mark.parametrize("count", [100, 333, 1000])
def test_the_test_share_is_as_asked_within_half_a_point(count):
    split = split_of(apart(count))
    assert len(split.test) == round(0.18 * count)
    assert len(split.validation) == round(0.10 * count)
    assert split.certificate.certified
    assert split.certificate.warnings == ()


def test_groups_of_many_sizes_still_meet_the_shares():
    # 60 groups of 1 to 12 rows, 390 rows: 18 % is 70.2 rows, half a point is 1.95
    groups = [f"customer {n}" for n in range(60) for _ in range(1 + n % 12)]
    rows = [example(row.prompt, row.completion, group=group) for row, group in zip(apart(390), groups, strict=True)]
    split = split_of(rows)
    assert abs(len(split.test) / 390 - 0.18) <= 0.005
    assert abs(len(split.validation) / 390 - 0.10) <= 0.005
    assert split.certificate.shared_groups == 0


def test_each_label_has_its_share_on_each_side():
    # 300 rows, 100 of each label: 18 of each in test, 10 in validation
    rows = apart(300)
    split = split_of(rows)
    by_id = {row.id: row.completion for row in rows}
    assert Counter(by_id[id_] for id_ in split.test) == dict.fromkeys(LABELS, 18)
    assert Counter(by_id[id_] for id_ in split.validation) == dict.fromkeys(LABELS, 10)
    assert split.certificate.stratification == {"topic": 0.0}


def test_several_label_fields_and_edge_cases_are_balanced_together():
    fields = (
        Field(name="topic", type="label", labels=LABELS),
        Field(name="urgent", type="label", labels=("yes", "no")),
    )
    task = Task(name="desk", fields=fields)
    rows = [
        example(
            row.prompt,
            task.render({"topic": LABELS[n % 3], "urgent": "yes" if n % 5 == 0 else "no"}),
            edge_case="decline" if n % 7 == 0 else None,
        )
        for n, row in enumerate(apart(420))
    ]
    split = make_split(rows, task, SplitConfig(), "snapshot")
    # one row is 2.4 points of 42 validation rows; nothing is further off than that
    assert set(split.certificate.stratification) == {"topic", "urgent", "edge_case"}
    assert max(split.certificate.stratification.values()) < 2.4


def test_a_task_without_labels_is_split_by_size_alone():
    task = Task(name="replies", format="plain", fields=(Field(name="reply", type="text"),))
    certificate = make_split(apart(200), task, SplitConfig(), "snapshot").certificate
    assert certificate.certified
    assert certificate.stratification == {}


def test_a_label_with_one_group_is_trained_and_the_certificate_warns():
    rows = [*apart(60), example("something else altogether, quite rare", "fee2")]
    task = Task(name="desk", format="plain", fields=(Field(name="topic", type="label", labels=(*LABELS, "fee2")),))
    split = make_split(rows, task, SplitConfig(), "snapshot")
    assert split.side_of()[rows[-1].id] == "train"
    assert split.certificate.certified
    assert any("test has no rows of topic 'fee2' (1 in all)" in warning for warning in split.certificate.warnings)


def test_other_seeds_give_other_splits():
    rows = apart(100)
    assert len({split_of(rows, seed=seed).test for seed in range(5)}) == 5


def test_pinned_test_rows_are_the_test_and_their_twins_are_set_aside():
    twin, near_twin = "Where is my new card, please?", "where is my new card please now"
    pinned = [*apart(20, side="test"), example(twin, side="test")]
    loose = [example(twin.upper(), "fee"), example(near_twin, "fee"), *apart(60)[20:]]
    split = split_of([*pinned, *loose])
    assert set(split.test) == ids(pinned)
    aside = {entry.example: entry for entry in split.set_aside}
    assert set(aside) == {loose[0].id, loose[1].id}
    assert aside[loose[0].id].near == pinned[-1].id
    assert aside[loose[0].id].similarity == 1.0
    assert aside[loose[1].id].reason == "its prompt is near a row pinned to test"
    assert split.near_test == {pinned[-1].id: 1.0}
    assert split.validation
    assert split.certificate.certified


def test_a_train_pin_yields_to_a_test_pin_and_is_counted():
    rows = [*apart(30), example("Where is my new card?", side="test"), example("where is my new card", side="train")]
    split = split_of(rows)
    assert [entry.example for entry in split.set_aside] == [rows[-1].id]
    assert split.test == (rows[-2].id,)


def test_rows_of_a_pinned_test_rows_group_are_set_aside():
    rows = [*apart(30), example("alpha one", group="g", side="test"), example("quite another matter", group="g")]
    split = split_of(rows)
    assert [entry.example for entry in split.set_aside] == [rows[-1].id]
    assert split.set_aside[0].reason == "it belongs together with a row pinned to test"
    assert split.near_test == {}


def test_only_rows_near_a_pinned_row_are_set_aside_not_whole_chains():
    # the middle row is near both ends, the ends are not near each other: only the middle one has to go
    texts = ["one two three four five six seven eight nine ten eleven twelve thirteen fourteen"]
    texts.append(texts[0] + " zero gross")
    texts.append(texts[1] + " dozen hundred")
    assert [(p.i, p.j) for p in near_pairs(texts, 0.8)] == [(0, 1), (1, 2)]
    rows = [*apart(30), example(texts[0], side="test"), example(texts[1]), example(texts[2])]
    split = split_of(rows)
    assert [entry.example for entry in split.set_aside] == [rows[-2].id]
    assert split.side_of()[rows[-1].id] != "test"


def test_few_per_label_prefers_rows_of_different_groups():
    rows = [*(example(f"{APART[n]} {n * 7919}", "card", group="one") for n in range(20)), *apart(80)[20:]]
    split = split_of(rows, train_per_label=5)
    groups = [row.group for row in rows if row.id in split.train and row.completion == "card"]
    assert len(groups) == 5
    assert groups.count("one") <= 1


def test_validation_is_capped_when_few_are_trained_on():
    split = split_of(apart(400), train_per_label=5, validation_max=30)
    assert (len(split.train), len(split.validation), len(split.test), split.left_out) == (15, 30, 72, 283)


def test_train_pins_are_the_pool_of_few_per_label_and_never_test():
    rows = [*apart(200, side="train"), *(example(f"{APART[n]} of the test", side="test") for n in range(40))]
    split = split_of(rows, train_per_label=5)
    assert len(split.train) == 15
    assert set(split.test) == ids(rows[200:])
    assert split.certificate.certified


def test_too_many_per_label_names_the_label_and_what_would_work():
    with pytest.raises(
        TunesmithError, match=r"'fee' \d+(.|\n)*To mend it: add examples of them, or use --train-per-label"
    ):
        split_of([*apart(60), *(row for row in apart(300)[60:] if row.completion != "fee")], train_per_label=30)


def test_few_per_label_needs_a_label_field():
    task = Task(name="t", format="plain", fields=(Field(name="reply", type="text"),))
    with pytest.raises(TunesmithError, match="--train-per-label counts rows by their label"):
        make_split(apart(40), task, SplitConfig(train_per_label=3), "snapshot")


def test_fewer_than_ten_groups_are_refused_with_a_mend():
    rows = [example(f"{APART[n]} {n * 7919}", LABELS[n % 3], group=f"g{n % 4}") for n in range(40)]
    with pytest.raises(TunesmithError, match=r"40 rows form only 4 groups.*at least 10(.|\n)*To mend it: add rows"):
        split_of(rows)
    assert split_of(rows, by="none").certificate.certified


def test_ten_groups_are_enough():
    split = split_of(apart(FEWEST_GROUPS))
    assert (len(split.train), len(split.validation), len(split.test)) == (7, 1, 2)


def test_a_side_that_would_be_empty_is_refused():
    rows = [*apart(30, side="train"), example("pinned to test", side="test")]
    with pytest.raises(
        TunesmithError, match=r"No rows are left for validation(.|\n)*tunesmith add FILE --side validation"
    ):
        split_of(rows)


def test_no_examples_are_refused():
    with pytest.raises(TunesmithError, match="The 0 rows form only 0 groups"):
        split_of([])


@pytest.mark.slow
@pytest.mark.skipif(
    not BANKING.exists(), reason=f"the Banking77 data is not at {BANKING}: it is not part of the project"
)
def test_banking77_with_its_published_test_set_is_certified():
    rows = []
    for side, pin in (("train", None), ("test", "test")):
        with (BANKING / f"{side}.csv").open(encoding="utf-8", newline="") as file:
            rows += [example(row["text"], row["category"], side=pin) for row in csv.DictReader(file)]
    labels = tuple(sorted({row.completion for row in rows}))
    task = Task(name="b77", format="plain", fields=(Field(name="category", type="label", labels=labels),))
    began = time.perf_counter()
    split = make_split(rows, task, SplitConfig(train_per_label=10), "snapshot")
    print(f"\nBanking77 split and certified in {time.perf_counter() - began:.1f} s")
    assert (len(split.train), len(split.validation), len(split.test)) == (770, 1000, 3080)
    assert split.certificate.certified
    assert len(split.set_aside) == 236  # measured 2026-11: train rows with a test row at 0.8 or nearer


def test_a_split_that_grows_keeps_its_test_and_takes_new_rows_that_leak_nothing():
    rows = apart(60)
    frozen = split_of(rows)
    tested, watched = (next(r for r in rows if r.id in side) for side in (frozen.test, frozen.validation))
    fresh = apart(70)[60:]
    twins = [example(tested.prompt + "!", "fee"), example(watched.prompt.upper(), "loan")]
    grown = extend_split(frozen, [*rows, *fresh, *twins], TASK, "later")
    assert (grown.test, grown.validation) == (frozen.test, frozen.validation)
    assert set(grown.train) == {*frozen.train, *ids(fresh)}
    assert {entry.example: entry.near for entry in grown.set_aside} == {twins[0].id: tested.id, twins[1].id: watched.id}
    assert grown.certificate.certified
    assert grown.settings["extends"] == frozen.hash
    assert verify(grown, [*rows, *fresh, *twins], TASK, "later").certified
    again = extend_split(grown, [*rows, *fresh, *twins], TASK, "later")
    assert (again.train, again.set_aside) == (grown.train, grown.set_aside)


def test_relatives_of_a_test_row_do_not_join_a_split_that_grows():
    rows = apart(60)
    frozen = split_of(rows)
    customer = example("kaba bumu keni", group="ann")
    rows = [*rows, customer]
    frozen = msgspec.structs.replace(frozen, test=tuple(sorted((*frozen.test, customer.id))))
    relative = example("zolo pima wexu", group="ann")
    made_from = example("vude syro hapi", source="synthetic", lineage=(customer.id,))
    grown = extend_split(frozen, [*rows, relative, made_from], TASK, "later")
    assert {entry.example for entry in grown.set_aside} == {relative.id, made_from.id}
    assert all("belongs together" in entry.reason for entry in grown.set_aside)


def test_a_corrected_row_stays_with_what_was_made_from_its_first_version():
    rows = apart(60)
    first = example("kaba bumu keni")
    corrected = first.reworded((Message(role="user", content="kaba bumu roli"),), first.completion)
    twice = corrected.reworded((Message(role="user", content="feno widu roli"),), first.completion)
    assert twice.was == (first.id, corrected.id)
    made_from = example("vude syro hapi", source="synthetic", lineage=(first.id,))
    frozen = split_of([*rows, twice])
    frozen = msgspec.structs.replace(
        frozen,
        train=tuple(i for i in frozen.train if i != twice.id),
        test=tuple(sorted({*frozen.test, twice.id})),
    )
    grown = extend_split(frozen, [*rows, twice, made_from], TASK, "later")
    assert [entry.example for entry in grown.set_aside] == [made_from.id]


def test_an_erased_test_row_is_gone_from_a_split_that_grows():
    rows = apart(60)
    frozen = split_of(rows)
    left = [r for r in rows if r.id != frozen.test[0]]
    grown = extend_split(frozen, left, TASK, "later")
    assert grown.test == frozen.test[1:]
    assert grown.certificate.certified


def test_a_frozen_test_takes_no_new_rows_and_few_train_rows_stay_few():
    rows = apart(60)
    frozen = split_of(rows)
    late = example("kaba bumu keni", side="test")
    with pytest.raises(TunesmithError, match=r"1 new rows are pinned to test(.|\n)*To mend it: split anew"):
        extend_split(frozen, [*rows, late], TASK, "later")
    few = split_of(rows, train_per_label=3)
    with pytest.raises(TunesmithError, match="3 train rows per label"):
        extend_split(few, rows, TASK, "later")


# the same words in another order: half of the shingles differ, and hashed n-grams see little of that
TURNED = [
    ("bado femi gulo nika pesu", "pesu nika gulo femi bado"),
    ("devo kumi lasa", "lasa devo kumi"),
]


def test_train_rows_that_mean_the_same_as_test_rows_are_set_aside_one_by_one():
    embedder = open_embedder("ngrams")
    rows = apart(60)
    test, train = ([example(pair[side], side=name) for pair in TURNED] for side, name in ((0, "test"), (1, None)))
    rows += test + train
    assert not split_of(rows).set_aside
    config = SplitConfig(semantic_threshold=0.6)
    split = make_split(rows, TASK, config, "snapshot", embedder=embedder)
    found = {entry.example: entry.near for entry in split.set_aside}
    assert found == {b.id: a.id for a, b in zip(test, train, strict=True)}
    assert "means nearly the same" in split.set_aside[0].reason
    certificate = split.certificate
    assert certificate.certified
    assert certificate.semantic_threshold == 0.6
    assert all(near.similarity < 0.6 for near in certificate.closest_in_meaning)
    assert verify(split, rows, TASK, "snapshot", embedder) == certificate


def test_a_row_of_the_same_meaning_in_train_or_another_embedder_breaks_the_certificate():
    embedder = open_embedder("ngrams")
    rows = [*apart(60), example(TURNED[0][0], side="test"), example(TURNED[0][1])]
    split = make_split(rows, TASK, SplitConfig(semantic_threshold=0.6), "snapshot", embedder=embedder)
    leaking = msgspec.structs.replace(split, train=tuple(sorted((*split.train, rows[-1].id))), set_aside=())
    assert "means nearly the same as" in " ".join(certify(leaking, rows, TASK, embedder).problems)
    assert "embedder that compared meanings is not the one here" in certify(split, rows, TASK).problems[0]
