"""Whether a text is near one of many is answered as comparing all with all answers it, in bounded memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.test_duplicates import word_texts

from tunesmith.data import near_index
from tunesmith.data.duplicates import Shingled
from tunesmith.data.near_index import NearIndex

some_texts = st.lists(
    st.lists(st.sampled_from(["card", "cards", "order", "late", "is", "my", "?", "", "où"]), max_size=6).map(" ".join),
    max_size=12,
)


def by_all_pairs(texts, others, threshold):
    there = Shingled([*texts, *others])
    found = there.closest(range(len(texts)), range(len(texts), len(there)), threshold)
    assert found.exact
    return (found.other >= 0) & (found.similarity >= threshold)


@settings(max_examples=300, deadline=None)
@given(some_texts, some_texts, st.floats(0.05, 1) | st.sampled_from([0.5, 2 / 3, 0.8, 1.0]))
def test_the_answer_is_that_of_all_pairs(texts, others, threshold):
    found = NearIndex(others, threshold).near(texts)
    assert found.tolist() == by_all_pairs(texts, others, threshold).tolist()


@pytest.mark.parametrize("threshold", [0.5, 0.65, 0.8, 0.95])
def test_so_it_is_for_many_texts_of_few_words(threshold):
    texts, others = word_texts(1500, seed=1), word_texts(800, seed=2)
    texts += others[::40]
    found = NearIndex(others, threshold).near(texts)
    assert 0 < found.sum() < len(texts)
    assert np.array_equal(found, by_all_pairs(texts, others, threshold))


def test_the_answer_is_the_same_however_much_is_held_at_once(monkeypatch):
    texts, others = word_texts(300, seed=1), word_texts(200, seed=2)
    whole = NearIndex(others, 0.6).near(texts)
    monkeypatch.setattr(near_index, "CHARACTERS_AT_ONCE", 500)
    monkeypatch.setattr(near_index, "PROPOSED_AT_ONCE", 3)
    assert NearIndex(others, 0.6).near(texts).tolist() == whole.tolist()


def test_few_pairs_of_unlike_texts_are_compared(monkeypatch):
    draw = np.random.default_rng(0)
    words = ["".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), 5)) for _ in range(2000)]
    texts, others = ([" ".join(draw.choice(words, 9)) for _ in range(2000)] for _ in range(2))
    compared = []
    proposed = NearIndex._proposed
    monkeypatch.setattr(NearIndex, "_proposed", lambda *a: compared.append(proposed(*a)) or compared[-1])
    assert not NearIndex(others, 0.8).near(texts).any()
    assert sum(map(len, compared)) < 2000 * 2000 / 1000
