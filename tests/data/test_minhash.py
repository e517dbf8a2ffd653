import numpy as np
import pytest
from tests.data.test_duplicates import word_texts

from tunesmith.data import minhash, signatures
from tunesmith.data.minhash import banding, candidate_pairs, candidates_across, most_differing
from tunesmith.data.overlaps import blocks
from tunesmith.data.sets import Sets
from tunesmith.data.shingling import shingle_sets
from tunesmith.data.signatures import SKETCHED, chance_of, differing, signed

NO_ROWS = np.empty(0, np.int64)


def overlapping(similarity, count=400, size=180, seed=0):
    """``count`` pairs of sets of ``size`` random elements with this Jaccard similarity, one pair after another."""
    random = np.random.default_rng(seed)
    shared = round(2 * size * similarity / (1 + similarity))
    rows = []
    for _ in range(count):
        elements = random.integers(0, 2**52, 2 * size - shared)
        rows += [elements[:size], elements[size - shared :]]
    return Sets(np.concatenate([np.sort(row) for row in rows]), np.arange(2 * count + 1) * size)


@pytest.fixture(scope="module")
def texts():
    there = shingle_sets(word_texts(500, seed=4))
    rows = np.arange(500)
    alike = np.concatenate([block for _, block in blocks(there.of(rows), there.of(rows))])
    return there, {(i, j) for i, j in np.argwhere(np.triu(alike >= 0.8, 1)).tolist()}


@pytest.mark.parametrize("width", [2, 7, 11, 16])
def test_bands_of_any_width_find_every_pair_that_comparing_all_finds(texts, monkeypatch, width):
    there, wanted = texts
    monkeypatch.setattr(minhash, "_cheapest", lambda *_: banding(0.8, width))
    assert wanted <= set(map(tuple, candidate_pairs(there, np.arange(len(there)), 0.8).tolist()))


def test_pairs_across_are_those_within_that_stand_on_two_sides(texts):
    there, wanted = texts
    asked, others = np.arange(0, 500, 3), np.setdiff1d(np.arange(500), np.arange(0, 500, 3))
    found = candidates_across(there, asked, others, 0.8)
    assert {tuple(sorted(pair)) for pair in found.tolist()} >= {
        (i, j) for i, j in wanted if (i % 3 == 0) != (j % 3 == 0)
    }
    assert set(found[:, 0] % 3) == {0} and 0 not in found[:, 1] % 3


def test_an_empty_set_is_proposed_with_nothing_and_nothing_gives_no_pairs():
    there = shingle_sets(["", "where is my card", "where is my card now", ""])
    assert candidate_pairs(there, np.arange(4), 0.5).tolist() == [[1, 2]]
    assert candidates_across(there, np.array([0, 1]), np.array([2, 3]), 0.5).tolist() == [[1, 2]]
    assert candidate_pairs(there, NO_ROWS, 0.5).shape == (0, 2)
    assert candidates_across(there, NO_ROWS, np.array([2]), 0.5).shape == (0, 2)


def test_the_same_pairs_come_out_however_much_is_held_at_once(texts, monkeypatch):
    there, _ = texts
    whole = candidate_pairs(there, np.arange(500), 0.7)
    monkeypatch.setattr(signatures, "SETS_AT_ONCE", 13)
    monkeypatch.setattr(signatures, "BANDS_AT_ONCE", 5)
    monkeypatch.setattr(minhash, "CODES_AT_ONCE", 50)
    monkeypatch.setattr(minhash, "PAIRS_AT_ONCE", 7)
    assert candidate_pairs(there, np.arange(500), 0.7).tolist() == whole.tolist()


def test_signatures_are_the_same_on_every_machine():
    # computed once with this code: a change here would propose other pairs below the threshold than before
    keys = np.stack(list(signed(shingle_sets(["where is my card"]), np.array([0]), 7, 2).bands))
    assert keys.tolist() == [[1728596411], [3496584864]]


@pytest.mark.parametrize("similarity", [0.6, 0.8, 0.9])
def test_sketches_differ_as_often_as_the_sets_do(similarity):
    there = overlapping(similarity)
    kept = signed(there, np.arange(len(there)), 7, 2).sketches
    counts, chance = differing(kept[::2], kept[1::2]), chance_of(similarity)
    # the mean of 400 pairs of 256 slots each is within four standard errors of the chance
    assert abs(counts.mean() / SKETCHED - chance) < 4 * (chance * (1 - chance) / 400 / SKETCHED) ** 0.5 + 0.002
    assert counts.max() <= most_differing(chance)


def test_sets_that_are_half_alike_make_wider_bands_worth_their_time():
    random = np.random.default_rng(1)
    rows = np.arange(4000)
    # 100 of 150 elements each: two rows share 67 of 133
    alike = Sets(np.concatenate([np.sort(random.permutation(150)[:100]) for _ in rows]), np.arange(4001) * 100)
    apart = Sets(np.arange(400_000), np.arange(4001) * 100)
    assert minhash._cheapest(alike, rows, rows, 0.8)[0] > banding(0.8)[0]
    assert minhash._cheapest(apart, rows, rows, 0.8) == banding(0.8)


def test_how_many_bits_may_differ_is_the_tail_of_a_binomial():
    # scipy.stats.binom.isf(1e-8, 256, 0.1) = 56
    assert most_differing(0.1) == 56
    assert most_differing(0.0) == 0
