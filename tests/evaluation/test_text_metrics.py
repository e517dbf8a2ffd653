import math
import string
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.evaluation.desk import TEXT, asked
from tests.evaluation.thorough import beside

from tunesmith.core.errors import NothingToMeasure
from tunesmith.core.task import Field, Task
from tunesmith.core.words import words
from tunesmith.evaluation.metrics import metric
from tunesmith.evaluation.metrics.rouge import common_subsequence, text_rouge_l, text_rouge_n
from tunesmith.evaluation.scored import Scored

NASTY = [
    "",
    " \t\n",
    "\u200b",
    "\u200b\u200d\ufeff",
    "\u202eהזמנה 48213\u202c",
    "مرحبا، طلبي رقم ٤٨٢١٣",
    "می\u200cخواهم",
    "👍",
    "👩\u200d👩\u200d👧 ❤\ufe0f",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢",
    "日本語のテキスト。",
    "ภาษาไทย",
    "e\u0301\u0301\u0301",
    "\u0301",
    "İstanbul",
    "a" * 5000,
    "a b " * 800,
    "!!!",
    "\x00",
]
TEXTS = st.text(max_size=40) | st.sampled_from(NASTY)
LATIN = st.text(alphabet=string.ascii_letters + string.digits + " .,!?'-_\n\t$%&", max_size=80) | st.lists(
    st.sampled_from(["we", "will", "send", "a", "label", "for", "order", "48213", "today", "The", "THE", "don't"]),
    max_size=25,
).map(" ".join)


def measured(name, *rows):
    return metric[name](Scored.of(TEXT, *asked(TEXT, rows)))


# Words


@beside(LATIN)
def test_words_of_latin_text_are_rouge_scores(text):
    from rouge_score.tokenize import tokenize

    assert words(text) == tokenize(text, None)


@given(TEXTS)
@settings(deadline=None)
def test_words_are_never_empty_and_stable(text):
    found = words(text)
    assert all(found)
    assert [w for word in found for w in words(word)] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Café déjà", ["café", "déjà"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("e\u0301te\u0301", ["été"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("可以退货吗", list("可以退货吗")),
        ("환불 부탁", ["환불", "부탁"]),
        ("می\u200cخواهم", ["میخواهم"]),
        ("❤\ufe0f ❤", ["❤", "❤"]),
        ("ok👍👍", ["ok", "👍", "👍"]),
        ("ｗｉｄｅ １２", ["wide", "12"]),
        ("שלום, עולם!", ["שלום", "עולם"]),
        ("snake_case", ["snake", "case"]),
    ],
)
def test_words_of_other_scripts(text, found):
    assert words(text) == found


# ROUGE-L


MESSY = st.lists(
    st.sampled_from(
        ["Order", "ORDER", "order", "48213", "3.14", "U.S.A.", "e-mail", "don't", "a", "A", "...", "(", "#1st"]
    ),
    max_size=30,
).flatmap(lambda parts: st.sampled_from([" ", "  ", "\n", "\t", "-", ""]).map(lambda between: between.join(parts)))
"""Digits, punctuation, capitals and words that come again, all of it ASCII: rouge-score drops every other letter, so no
other text can be held against it."""


@beside(MESSY, MESSY)
def test_rouge_of_messy_texts_is_rouge_scores(expected, said):
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False).score(expected, said)
    ours = [text_rouge_n(expected, said, 1), text_rouge_n(expected, said, 2), text_rouge_l(expected, said)]
    assert ours == pytest.approx([part.fmeasure for part in theirs.values()])


@pytest.mark.parametrize(("expected", "said"), [("", ""), ("", "order 48213"), ("Order 48213.", ""), ("...", "...")])
def test_an_empty_side_has_no_rouge_there_nor_here(expected, said):
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False).score(expected, said)
    assert {part.fmeasure for part in theirs.values()} == {0}
    assert {text_rouge_n(expected, said, 1), text_rouge_n(expected, said, 2), text_rouge_l(expected, said)} == {0}


@beside(st.lists(st.tuples(MESSY, MESSY), min_size=1, max_size=8))
def test_the_mean_of_rouge_is_that_of_rouge_scores_over_texts_with_words(rows):
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    kept = [(true, said) for true, said in rows if words(true) and said.strip()]
    if not kept:
        return
    theirs = [scorer.score(true, said)["rougeL"].fmeasure for true, said in kept]
    assert measured("rouge_l", *rows).value == pytest.approx(np.mean(theirs))


@beside(LATIN, LATIN, st.sampled_from([1, 2]))
def test_rouge_1_and_2_are_rouge_scores_on_latin_text(expected, said, n):
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer([f"rouge{n}"], use_stemmer=False).score(expected, said)[f"rouge{n}"].fmeasure
    assert text_rouge_n(expected, said, n) == pytest.approx(theirs)


@beside(TEXTS, TEXTS, st.sampled_from([1, 2]))
def test_rouge_1_and_2_of_nasty_texts_stay_in_range_and_know_no_sides(one, other, n):
    value = text_rouge_n(one, other, n)
    assert 0 <= value <= 1
    assert value == text_rouge_n(other, one, n)
    assert text_rouge_n(one, one, n) == (1.0 if len(words(one)) >= n else 0.0)


def test_a_text_of_one_word_has_no_rouge_2():
    with pytest.raises(NothingToMeasure, match="rouge_2"):
        measured("rouge_2", ("Yes.", "Yes."))


def test_the_length_ratio_is_of_all_words_worked_by_hand():
    # 3 + 1 words answered, 2 + 4 expected; the unreadable (empty) answer is skipped
    estimate = measured("length_ratio", ("one two", "a b c"), ("one two three four", "a"), ("five six", ""))
    assert estimate.value == pytest.approx(4 / 6)
    assert (estimate.n, estimate.skipped) == (2, 1)
    assert measured("length_ratio", ("one", "a b " * 50)).value == 10.0


@beside(LATIN, LATIN)
def test_rouge_l_is_rouge_scores_on_latin_text(expected, said):
    from rouge_score.rouge_scorer import RougeScorer

    theirs = RougeScorer(["rougeL"], use_stemmer=False).score(expected, said)["rougeL"].fmeasure
    assert text_rouge_l(expected, said) == pytest.approx(theirs)


def test_rouge_l_worked_by_hand():
    # "the cat on mat" is common, 4 words: 2 * 4 / (6 + 5)
    assert text_rouge_l("the cat sat on the mat", "the cat on a mat") == pytest.approx(8 / 11)


@beside(TEXTS, TEXTS)
def test_rouge_l_of_nasty_texts_stays_in_range_and_knows_no_sides(one, other):
    value = text_rouge_l(one, other)
    assert 0 <= value <= 1
    assert value == text_rouge_l(other, one)
    assert text_rouge_l(one, one) == (1.0 if words(one) else 0.0)


@beside(st.lists(st.sampled_from("abcd"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_the_common_subsequence_is_that_of_the_plain_table(one, other):
    table = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    assert common_subsequence(one, other) == table[-1][-1]


def test_other_scripts_are_compared_too():
    # rouge-score answers 0 here
    assert text_rouge_l("Заказ отправлен сегодня", "Заказ отправлен вчера") == pytest.approx(2 / 3)


# chrF and BLEU


@beside(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_chrf_is_sacrebleus(rows):
    _agrees("chrf", "corpus_chrf", rows)


@beside(st.lists(st.tuples(TEXTS | LATIN, TEXTS | LATIN), min_size=1, max_size=6))
def test_bleu_is_sacrebleus(rows):
    _agrees("bleu", "corpus_bleu", rows)


def _agrees(name, theirs, rows):
    """With sacrebleu's number over the rows that have a text on both sides."""
    import sacrebleu

    kept = [(true.strip(), said.strip()) for true, said in rows if true.strip() and said.strip()]
    if not kept:
        with pytest.raises(NothingToMeasure):
            measured(name, *rows)
        return
    estimate = measured(name, *rows)
    expected = getattr(sacrebleu, theirs)([said for _, said in kept], [[true for true, _ in kept]]).score
    assert estimate.value == pytest.approx(expected, abs=1e-9)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 100 + 1e-9


def test_bleu_of_two_sentences_worked_by_hand():
    # "the cat sat on a mat" shares 5 of 6 words with the truth, 3 of 5 pairs, 2 of 4 threes, 1 of 3 fours ("the cat sat
    # on"); "we sent it" shares 3 of 3, 2 of 2, 1 of 1 and has no four. Together 8/9 * 5/7 * 3/5 * 1/3 = 8/63, of which
    # the fourth root; 9 words where 10 are due: exp(1 - 10/9)
    rows = [("the cat sat on the mat", "the cat sat on a mat"), ("we sent it today", "we sent it")]
    assert measured("bleu", *rows).value == pytest.approx(100 * math.exp(-1 / 9) * (8 / 63) ** (1 / 4))


def test_bleu_without_a_common_run_of_four_is_smoothed_by_hand():
    # 4/5, 2/4, 1/3, and of 2 fours none: the first order without a match counts 1/2 of one, 1/4
    assert measured("bleu", ("a b c d e", "a b c x e")).value == pytest.approx(100 * (1 / 30) ** (1 / 4))


def test_chrf_of_two_sentences_worked_by_hand():
    # order 1: said 3 + 3, true 3 + 2, both 2 + 2; order 2: said 2 + 2, true 2 + 1, both 1 + 1; order 3: said 1, true 1,
    # both 0 ("xyz" does not count, for "xy" has no three to hold it against)
    # precision (4/6 + 2/4 + 0) / 3 = 7/18, recall (4/5 + 2/3 + 0) / 3 = 22/45; 5 PR / (4 P + R) = 385/828
    assert measured("chrf", ("abd", "abc"), ("xy", "xyz")).value == pytest.approx(100 * 385 / 828)


LONG = {
    "latin": "We will send a new label for order 48213 today. ",
    "one word": "a",
    "right to left": "\u202eהזמנה 48213 תישלח היום\u202c. مرحبا، طلبي رقم ٤٨٢١٣ ",
    "zero width": "می\u200cخواهم\u200b \ufeff",
    "no spaces": "可以退货吗",
    "zero width alone": "\u200b\u200d\ufeff",
}


@pytest.mark.parametrize("name", ["rouge_1", "rouge_2", "rouge_l", "chrf", "bleu", "length_ratio"])
@pytest.mark.parametrize("script", LONG)
def test_texts_of_100_kb_take_seconds(name, script):
    part = LONG[script]
    whole = part * (100_000 // len(part.encode()) + 1)
    other = whole[: len(whole) // 2] + "something else"
    begin = time.process_time()
    for said in (whole, other):
        try:
            found = measured(name, (whole, said), (whole[::-1], said), ("A label.", whole), ("A label.", "A label."))
        except NothingToMeasure:
            assert name == "rouge_2"
            continue
        assert 0 <= found.low <= found.value <= found.high <= metric[name].top
    assert time.process_time() - begin < 20


def test_chrf_worked_by_hand():
    # "abc" for "abd": orders 1 to 3 are there. Shared 2/3, 1/2, 0/1; precision is recall, their mean 7/18 is chrF
    assert measured("chrf", ("abd", "abc")).value == pytest.approx(100 * 7 / 18)


# What counts as what


def test_an_unreadable_answer_has_no_text_and_is_skipped():
    for name in ("rouge_l", "chrf", "bleu"):
        estimate = measured(name, ("We will send a label today", "We will send a label today"), ("Yes it is", " "))
        assert (estimate.value, estimate.n, estimate.skipped) == (pytest.approx(metric[name].top), 1, 1)


def test_a_truth_without_a_word_cannot_be_compared():
    estimate = measured("rouge_l", ("!!!", "yes"), ("yes", "yes"))
    assert (estimate.n, estimate.skipped) == (1, 1)


def test_null_where_a_text_was_due_scores_nothing():
    task = Task(name="t", fields=(Field(name="reply", type="text", nullable=True),))
    rows = [('{"reply": "yes it is"}', '{"reply": null}'), ('{"reply": null}', '{"reply": "no"}')]
    for name in ("rouge_l", "chrf", "bleu"):
        estimate = metric[name](Scored.of(task, *asked(task, rows)))
        assert (estimate.value, estimate.n, estimate.skipped) == (0, 1, 1)
