import math
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.models.lexical import Bm25, terms

TEXTS = ["red lamp", "red red shoe box", "blue lamp lamp"]


def test_scores_are_those_worked_by_hand():
    # 3 texts of 2, 4 and 3 words, mean 3. "lamp" is in 2 of 3: ln(1 + 1.5 / 2.5) = 0.47000; "shoe" in 1:
    # ln(1 + 2.5 / 1.5) = 0.98083. Slowness 1.2 * (0.25 + 0.75 * length / 3) = 0.9, 1.5, 1.2.
    found = Bm25(TEXTS)
    assert found.scores("lamp") == pytest.approx([0.47000 * 2.2 / 1.9, 0, 0.47000 * 2 * 2.2 / 3.2], abs=1e-5)
    assert found.scores("Shoe!") == pytest.approx([0, 0.98083 * 2.2 / 2.5, 0], abs=1e-5)
    assert found.scores("lamp shoe lamp") == pytest.approx(2 * found.scores("lamp") + found.scores("shoe"))


def test_only_texts_that_share_a_word_are_found_the_best_first():
    found = Bm25(TEXTS)
    assert found.nearest("a lamp", 3) == [2, 0]
    assert found.nearest("a lamp", 1) == [2]
    assert found.nearest("chair", 3) == found.nearest("", 3) == found.nearest("lamp", 0) == []


def test_of_equal_texts_the_lower_number_stands_first():
    assert Bm25(["x", "lamp on", "lamp on", "lamp on"]).nearest("lamp", 2) == [1, 2]


@pytest.mark.parametrize(
    ("query", "texts", "nearest"),
    [
        ("日本の注文", ["中国語の本", "日本の注文番号", "注目の日"], 1),
        ("คืนสินค้า", ["สวัสดี", "ขอคืนสินค้า"], 1),
        ("אני רוצה החזר", ["איפה החבילה", "החזר כספי"], 1),
        ("أين طردي", ["أين الطرد", "استرداد المال"], 0),
        ("re\u200bfund", ["REFUND", "re fund"], 0),
        ("\u202erefund\u202c", ["order", "refund"], 1),
        ("straße", ["STRASSE 5", "strand"], 0),
    ],
)
def test_words_are_found_in_any_script(query, texts, nearest):
    assert Bm25(texts).nearest(query, 1) == [nearest]


def test_pairs_of_letters_count_where_a_script_has_no_spaces():
    assert terms("日本語 ok") == ["日", "本", "語", "ok", "日本", "本語"]
    texts = ["本日は語る", "日本語を話す"]  # the same three letters, in another order
    assert Bm25(texts).nearest("日本語", 2) == [1, 0]


@pytest.mark.parametrize(
    "texts", [[], [""], ["", "\u200b", "!?"], ["lamp"], ["lamp", "lamp"], ["lamp " * 20_000, "lamp"]]
)
def test_empty_equal_and_long_texts_are_no_trouble(texts):
    scores = Bm25(texts).scores("lamp \u200b")
    assert scores.shape == (len(texts),)
    assert np.isfinite(scores).all()
    assert (scores > 0).tolist() == ["lamp" in text for text in texts]


def plainly(texts, query):
    """The formula once more, word by word and text by text."""
    split = [terms(text) for text in texts]
    mean = sum(map(len, split)) / len(split) or 1
    scores = []
    for words in split:
        score = 0.0
        for term in terms(query):
            m, tf = sum(term in other for other in split), words.count(term)
            idf = math.log(1 + (len(split) - m + 0.5) / (m + 0.5))
            score += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(words) / mean)) if tf else 0
        scores.append(score)
    return scores


WORDS = st.lists(st.sampled_from(["a", "b", "ab", "42", "é", "日", "本", "\u200b", "!", "ש"]), max_size=8).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=8), WORDS)
def test_scores_are_those_of_the_formula(texts, query):
    expected = plainly(texts, query)
    found = Bm25(texts)
    assert found.scores(query) == pytest.approx(expected)
    ranked = found.nearest(query, len(texts))
    assert Counter(ranked) == Counter(n for n, score in enumerate(expected) if score > 0)
    assert all(expected[a] >= expected[b] - 1e-8 for a, b in pairwise(ranked))
