import msgspec
import pytest

from tunesmith.core.examples import Example, Message, Snapshot
from tunesmith.core.task import Field, Task
from tunesmith.data.certificate import certify, verify
from tunesmith.data.config import SplitConfig
from tunesmith.data.split import make_split

LABELS = ("card", "loan")
TASK = Task(name="desk", format="plain", fields=(Field(name="topic", type="label", labels=LABELS),))


def example(text, label="card", **rest):
    return Example.make((Message(role="user", content=text),), label, **rest)


def rows_apart(count):
    """Rows none of which is near another: each is written with digits of its own."""
    return [example(" ".join(str((n + 11) ** k) for k in range(3, 8)), LABELS[n % 2]) for n in range(count)]


@pytest.fixture
def rows():
    return rows_apart(60)


@pytest.fixture
def split(rows):
    return make_split(rows, TASK, SplitConfig(), Snapshot(examples=tuple(sorted(row.id for row in rows))).hash)


def change(split, **fields):
    return msgspec.structs.replace(split, **fields)


def test_an_untouched_split_is_proved_again(split, rows):
    proved = verify(split, rows[::-1], TASK)
    assert proved == split.certificate
    assert proved.certified
    assert proved.problems == ()


def test_the_closest_pairs_are_named_and_ordered(split, rows):
    closest = split.certificate.closest
    assert split.certificate.max_similarity_across == closest[0].similarity
    assert [near.similarity for near in closest] == sorted((near.similarity for near in closest), reverse=True)
    sides = split.side_of()
    assert all((sides[near.train], sides[near.other]) == (near.of, near.side) for near in closest)


def test_a_row_on_two_sides_is_found(split, rows):
    proved = certify(change(split, train=(*split.train, split.test[0])), rows, TASK)
    assert not proved.certified
    assert any(f"1 rows stand in two places ({split.test[0]})" in problem for problem in proved.problems)


def test_a_lost_row_is_found(split, rows):
    proved = certify(change(split, train=split.train[1:]), rows, TASK)
    assert proved.problems == ("1 examples are on no side; to mend it, `tunesmith split` again",)


def test_rows_left_out_are_accounted_for(split, rows):
    assert certify(change(split, train=split.train[1:], left_out=1), rows, TASK).certified
    assert "too many count as left out" in certify(change(split, left_out=2), rows, TASK).problems[0]


def test_an_unknown_row_is_found(split, rows):
    proved = certify(change(split, test=(*split.test, "0" * 16)), rows, TASK)
    assert "1 rows of the split are not among the examples (0000000000000000)" in proved.problems[0]


def test_a_near_duplicate_across_sides_is_found_with_its_ids(split, rows):
    kept = next(row for row in rows if row.id == split.test[0])
    twin = example(kept.prompt + "!", "loan")
    proved = certify(change(split, train=(*split.train, twin.id)), [*rows, twin], TASK)
    assert not proved.certified
    assert proved.max_similarity_across == 1.0
    assert (proved.closest[0].train, proved.closest[0].other) == (twin.id, kept.id)
    assert "1 rows have a near-duplicate on another side (similarity 0.8 or more)" in proved.problems[0]


def test_a_near_duplicate_between_validation_and_test_is_found_too(split, rows):
    kept = next(row for row in rows if row.id == split.test[0])
    twin = example(kept.prompt + "!", "loan")
    proved = certify(change(split, validation=(*split.validation, twin.id)), [*rows, twin], TASK)
    assert not proved.certified
    assert (proved.closest[0].of, proved.closest[0].side) == ("validation", "test")


def test_a_shared_group_is_found(split, rows):
    two = [example("aaaa bbbb cccc", group="customer 7"), example("dddd eeee ffff", group="customer 7")]
    torn = change(split, train=(*split.train, two[0].id), test=(*split.test, two[1].id))
    proved = certify(torn, [*rows, *two], TASK)
    assert proved.shared_groups == 1
    assert proved.problems == ("group 'customer 7' is on train and on test; to mend it, `tunesmith split` again",)


def test_a_synthetic_row_away_from_its_source_is_found(split, rows):
    made = example("gggg hhhh iiii", lineage=(split.test[0],))
    proved = certify(change(split, train=(*split.train, made.id)), [*rows, made], TASK)
    assert proved.problems == (f"row {split.test[0]} is on train and on test; to mend it, `tunesmith split` again",)


def test_a_pinned_row_elsewhere_is_found(split, rows):
    pinned = example("jjjj kkkk llll", side="test")
    proved = certify(change(split, train=(*split.train, pinned.id)), [*rows, pinned], TASK)
    assert f"1 rows are pinned to a side and not on it ({pinned.id})" in proved.problems[0]


def test_an_empty_side_is_found(split, rows):
    proved = certify(change(split, validation=(), train=(*split.train, *split.validation)), rows, TASK)
    assert proved.problems[0].startswith("there are no validation rows; to mend it, add some with")


def test_a_cluster_of_more_than_a_twentieth_is_a_problem_with_its_mend():
    text = "i have been waiting for my parcel since the beginning of last month and nobody answers number"
    rows = [*rows_apart(40), *(example(f"{text} {n}") for n in range(5))]
    certificate = make_split(rows, TASK, SplitConfig(), "s").certificate
    assert certificate.largest_cluster == 5
    assert not certificate.certified
    assert "holds 5 of 45 rows (11%)" in certificate.problems[0]
    assert "near_duplicate_threshold in tunesmith.yaml (now 0.8)" in certificate.problems[0]


def test_a_pair_in_few_rows_is_not_too_large_a_cluster():
    rows = [*rows_apart(28), example("where is my parcel now"), example("where is my parcel now?")]
    certificate = make_split(rows, TASK, SplitConfig(), "s").certificate
    assert (certificate.clusters, certificate.largest_cluster, certificate.certified) == (1, 2, True)


def test_another_snapshot_is_found(split, rows):
    proved = verify(split, rows, TASK, snapshot="feedfeedfeedfeed")
    assert not proved.certified
    assert (
        f"made from snapshot {split.snapshot}, and the examples now are snapshot feedfeedfeedfeed" in proved.problems[0]
    )


def test_a_row_added_since_is_found(split, rows):
    proved = verify(split, [*rows, example("a row that came later")], TASK)
    assert len(proved.problems) == 2  # another snapshot, and a row on no side


def test_stratification_matches_the_shares_counted_by_hand(split, rows):
    # all 60 rows are half card, half loan; a test of card rows only is 50 points off
    cards = tuple(row.id for row in rows if row.completion == "card")
    others = [row.id for row in rows if row.completion == "loan"]
    torn = change(split, test=cards[:10], validation=(cards[10], others[0]), train=(*cards[11:], *others[1:]))
    assert certify(torn, rows, TASK).stratification == {"topic": 50.0}


def test_groups_too_large_for_the_test_share_are_told():
    rows = [example(row.prompt, row.completion, group=f"g{n % 10}") for n, row in enumerate(rows_apart(100))]
    certificate = make_split(rows, TASK, SplitConfig(), "s").certificate
    assert any("the test holds 20.0% of the rows, not 18.0%" in warning for warning in certificate.warnings)
    assert certificate.certified


@pytest.mark.parametrize("by_time", [False, True])
def test_rows_that_nobody_reviewed_count_for_no_share(by_time):
    rows = [msgspec.structs.replace(row, time=f"2026-01-{1 + n % 28:02}") for n, row in enumerate(rows_apart(112))]
    written = [example(f"a model wrote this, as it wrote the others {n}", source="synthetic") for n in range(90)]
    written = [msgspec.structs.replace(row, time="2026-01-01", lineage=(rows[0].id, rows[1].id)) for row in written]
    alone = make_split(rows, TASK, SplitConfig(by_time=by_time), "s").certificate
    beside = make_split(
        [*rows, *written], TASK, SplitConfig(by_time=by_time), "s", unreviewed=[row.id for row in written]
    ).certificate
    assert alone.certified
    assert beside == alone
