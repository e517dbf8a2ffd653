from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.test_duplicates import word_texts

from tunesmith.data import overlaps, sets, shingling
from tunesmith.data.shingling import shingle_sets
from tunesmith.data.text import normal, shingles

# Few letters, so that texts share shingles; beside them what needs more than one byte, and half a surrogate pair.
TEXTS = st.lists(st.text(st.sampled_from("ab  .é你🎉\ud83d"), max_size=12) | st.text(max_size=8), max_size=8)


def plain(one, other):
    return len(one & other) / len(one | other) if one | other else 1.0


@given(TEXTS)
def test_hashed_shingles_are_as_many_and_overlap_as_much_as_plain_ones(texts):
    normals = [normal(text) for text in texts]
    there, wanted = shingle_sets(normals), [shingles(text) for text in normals]
    assert there.sizes.tolist() == [len(one) for one in wanted]
    pairs = list(combinations(range(len(texts)), 2))
    found = there.similarity(np.array(pairs, np.int64).reshape(-1, 2))
    assert found.tolist() == [plain(wanted[i], wanted[j]) for i, j in pairs]


def test_texts_are_the_same_sets_however_many_are_hashed_at_once(monkeypatch):
    normals = [*word_texts(50, seed=5), "", "x"]
    whole = shingle_sets(normals)
    monkeypatch.setattr(shingling, "TEXTS_AT_ONCE", 7)
    parts = shingle_sets(normals)
    assert whole.elements.tolist() == parts.elements.tolist()
    assert whole.starts.tolist() == parts.starts.tolist()


@pytest.mark.parametrize("often", [0, 1 / 8, 1])
@pytest.mark.parametrize("most", [0, 80, 10_000])
def test_similarities_in_blocks_are_those_of_the_pairs_one_by_one(monkeypatch, often, most):
    for name, value in {"CELLS_AT_ONCE": 40, "COLUMNS_AT_ONCE": 8, "OFTEN": often, "MOST_DENSE": most}.items():
        monkeypatch.setattr(overlaps, name, value)
    there = shingle_sets([*word_texts(20, seed=6), ""])
    rows, others = np.array([3, 20, 7, 0, 11]), np.arange(21)
    for at, alike in overlaps.blocks(there.of(rows), there.of(others)):
        for row, line in zip(rows[at : at + len(alike)], alike, strict=True):
            each = there.similarity(np.array([[row, other] for other in others]))
            assert line.tolist() == pytest.approx(each.tolist(), abs=1e-12)


def test_more_elements_are_shared_than_a_count_of_two_bytes_holds():
    common = np.arange(0, 140_000, 2)
    elements = np.concatenate([common, np.append(common[:-1], 139_999)])
    both = sets.Sets(elements, np.array([0, len(common), len(elements)]))
    ((_, alike),) = overlaps.blocks(both, both)
    assert alike[0, 1] == pytest.approx((len(common) - 1) / (len(common) + 1), abs=1e-12)


@given(st.text(st.characters(max_codepoint=127)))
def test_an_ascii_text_has_the_normal_form_that_the_long_way_gives(text):
    if plainly := normal(text):
        # a zero-width space vanishes, and takes the text the long way; without words the mark would be all there is
        words = any(character.isalnum() or character in "$+<=>^|~" for character in text)
        assert not words or normal(f"{text}\u200b") == plainly


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2**52 - 1)))
def test_distinct_numbers_are_those_of_numpy(numbers):
    assert sets.distinct(np.array(numbers, np.int64)).tolist() == sorted(set(numbers))
