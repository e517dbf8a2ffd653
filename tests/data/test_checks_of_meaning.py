"""Checks that look at meaning, style and language: each with a fault planted, and without."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.topics import Topics, rows_by_topic

from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.data.checks import Material, check, look, run_checks
from tunesmith.data.checks.diversity import effective_number
from tunesmith.data.confidence import FOLDS, folds_of, out_of_sample
from tunesmith.data.config import ChecksConfig
from tunesmith.data.style import american, british
from tunesmith.data.texts import read_texts
from tunesmith.models.embedder import Ngrams

DESK = Task(
    name="desk",
    fields=(
        Field(name="category", type="label", labels=("shipping", "billing", "account")),
        Field(name="urgency", type="label", labels=("high", "normal", "low")),
        Field(name="order", type="value", nullable=True),
        Field(name="action", type="label", labels=("answer",)),
        Field(name="reply", type="text", max_length=200),
    ),
)
TEXT = Task(name="t", format="plain", fields=(Field(name="reply", type="text"),))
REPLY = "Thank you for your message. We are looking into it and will write to you by {} at the latest."


def said(prompt, completion):
    return Example.make((Message(role="user", content=prompt),), completion)


def replies(count=30):
    return [said(f"question {n} of many", REPLY.format(("Monday", "Tuesday", "Friday")[n % 3])) for n in range(count)]


def found(name, rows, task=DESK, **rest):
    return list(check[name](Material(rows, task, **({"open_embedder": Topics} | rest))))


# Label noise


def test_a_label_that_the_model_doubts_is_told_with_the_label_it_looks_like():
    rows = rows_by_topic(each=30)
    told = [f for f in found("label_noise", rows) if f.severity == "warning"]
    assert [f.examples for f in told] == [(rows[0].id,)]
    assert "category is 'billing' and looks like 'shipping'" in told[0].problem


def test_right_labels_are_left_alone():
    assert found("label_noise", rows_by_topic(each=30, wrong=0)) == []


def test_near_copies_do_not_vote_for_themselves():
    """A wrong label copied five times stays wrong: all its copies stand in one fold."""
    rows = rows_by_topic(each=30)
    copies = [said(rows[0].prompt + mark, rows[0].completion) for mark in ("!", "?", " .", "!!")]
    told = {id_ for f in found("label_noise", [*rows, *copies]) for id_ in f.examples}
    assert {rows[0].id, *(copy.id for copy in copies)} <= told


def test_folds_keep_groups_together_and_hold_each_label():
    labels = np.array([0] * 20 + [1] * 20 + [2] * 5)
    groups = [n // 2 for n in range(40)] + list(range(100, 105))
    folds = folds_of(labels, groups, seed=3)
    assert all(len({int(f) for f, g in zip(folds, groups, strict=True) if g == group}) == 1 for group in set(groups))
    assert all(len(set(folds[labels == label].tolist())) == FOLDS for label in (0, 1, 2))


def test_probabilities_sum_to_one_and_repeat():
    vectors = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    labels = [n % 3 for n in range(40)]
    once, again = (out_of_sample(vectors, labels, list(range(40))) for _ in range(2))
    assert once.shape == (40, 3)
    assert once.sum(axis=1) == pytest.approx(1)
    assert np.array_equal(once, again)


def test_a_check_that_cannot_look_says_so_and_the_others_go_on():
    looked = look(Material(rows_by_topic(), DESK), only=["label_noise", "consistency", "balance"])
    assert [reason.split(":")[0] for reason in looked.unmeasured] == ["label_noise"]
    assert "balance" in {f.check for f in looked.findings}


def test_labels_that_prompts_do_not_tell_are_not_judged():
    rows = [
        said(f"question {n} {n**3}", json.dumps({"category": ("shipping", "billing")[n * n % 7 % 2]}))
        for n in range(60)
    ]
    task = Task(name="t", fields=(Field(name="category", type="label", labels=("shipping", "billing")),))
    looked = look(Material(rows, task, open_embedder=Topics), only=["label_noise"])
    assert looked.findings == []
    assert "cannot be told apart" in looked.unmeasured[0]


# Meaning


def test_prompts_that_mean_the_same_in_other_words_are_told():
    rows = rows_by_topic()
    findings = found("semantic_duplicates", rows)
    assert {f.severity for f in findings} == {"note"}
    assert set(findings[0].examples) == {rows[-3].id, rows[-2].id}


def test_ngrams_do_not_pose_as_meaning():
    looked = look(Material(rows_by_topic(), DESK, open_embedder=Ngrams), only=["semantic_duplicates"])
    assert looked.findings == []
    assert "tunesmith model pull minilm" in looked.unmeasured[0]


def test_a_crowded_region_is_a_warning_and_thin_ones_are_told():
    crowd = [said(f"parcel parcel parcel late {n}", "x") for n in range(60)]
    others = [said(f"invoice {word}", "x") for word in ("alpha", "beta")]
    findings = found("diversity", [*crowd, *others], TEXT)
    assert findings[0].severity == "warning"
    assert {findings[0].examples} != {()}
    assert any("fewer than 3 prompts" in f.problem for f in findings)


def test_the_effective_number_is_that_of_equal_sizes():
    # shares 1/2, 1/4, 1/4: entropy 1.5 bits, 2 ** 1.5 = 2.828
    assert effective_number(np.array([4, 2, 2])) == pytest.approx(2.828427, abs=1e-6)
    assert effective_number(np.array([7, 7, 7])) == pytest.approx(3)


def test_production_prompts_far_from_train_are_told():
    rows = rows_by_topic()
    near = [f"my parcel number {n} is late {n}" for n in range(9)]
    (finding,) = found("coverage", rows, production=[*near, "please lend me some money", "tell me a joke"])
    assert finding.severity == "warning"
    assert finding.problem.startswith("18% of 11 production prompts")
    assert "lend me some money" in finding.problem
    assert [f.severity for f in found("coverage", rows, production=near)] == ["note"]
    assert found("coverage", rows) == []


def test_only_the_train_side_covers():
    rows = rows_by_topic()
    shipping = frozenset(row.id for row in rows if "parcel" in row.prompt)
    asked = [f"my invoice number {n} is late {n}" for n in range(5)]
    assert "0% of 5" in found("coverage", rows, production=asked)[0].problem
    assert "100% of 5" in found("coverage", rows, production=asked, train=shipping)[0].problem


def test_benchmark_text_is_found_by_its_runs_of_words():
    text = "A train leaves the station at noon with forty people on board, and twelve leave it at the next stop."
    rows = [said(f"Please solve this: {text}", "x"), said("A train leaves the station", "x"), said("yes", "x")]
    findings = found("benchmark_text", rows, TEXT, benchmark=[text, "yes"])
    assert [f.examples for f in findings] == [(rows[0].id,)]
    assert found("benchmark_text", rows, TEXT) == []


# Style


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (REPLY.format("Monday!"), "has an exclamation mark in 1 of 31"),
        ("**Thank you** for your message. We look into it.", "has markup"),
        ("Hello, thank you for your message. We look into it.", "has a greeting"),
        ("Thank you for your message. I am looking into it.", 'has "I" for the writer'),
        (REPLY.format("Monday").upper(), "shouting capitals"),
        ("Thank you for your message 😀 We look into it.", "an emoji"),
        ("Thank you. We look into it.\nKind regards\nTom", "a signature"),
        ("thank you for your message. We look into it.", "lacks a capital"),
        ("Thank you for your message. We look into it", "lacks a full stop"),
        (" ".join([REPLY.format("Monday")] * 4), "has 80 words; half of them have 20 to 20"),
    ],
)
def test_what_one_completion_does_and_no_other_is_told(reply, says):
    odd = said("the odd one", reply)
    findings = found("consistency", [*replies(), odd], TEXT)
    (told,) = [f for f in findings if says in f.problem]
    assert (told.severity, told.examples) == ("warning", (odd.id,))


def test_completions_written_alike_are_left_alone():
    assert found("consistency", replies(), TEXT) == []


def test_a_mixture_is_a_note():
    some = [said(f"odd {n}", REPLY.format("Monday") + " Right?") for n in range(6)]
    (finding,) = found("consistency", [*replies(), *some], TEXT)
    assert finding.severity == "note"
    assert "mixed: 17% of 36 have a question mark" in finding.problem


def test_a_text_longer_than_the_task_allows_is_told():
    rows = rows_by_topic(each=1, wrong=0)
    long = json.loads(rows[0].completion) | {"reply": "word " * 50}
    (finding,) = found("consistency", [*rows, said("long one", json.dumps(long))])
    assert "reply has 250 characters, and the task allows 200" in finding.problem


def test_two_spellings_are_told():
    british_ones = [said(f"b {n}", "We apologise. The colour was cancelled.") for n in range(18)]
    rows = [*british_ones, *(said(f"a {n}", "We apologize. The color is fine.") for n in range(2))]
    told = [f for f in found("consistency", rows, TEXT) if "spelt" in f.problem]
    assert "2 examples are spelt the American way (apologize, color), 18 the British way" in told[0].problem


def test_words_of_either_spelling():
    assert british("The labour centre's programme, an apology for the license and the check") == [
        "labour", "centre", "programme",
    ]  # fmt: skip
    assert american("The labor center's program") == ["labor", "center"]


def test_labels_with_mixed_capitals_are_told():
    task = Task(name="t", format="plain", fields=(Field(name="topic", type="label", labels=("card", "loan", "Fee")),))
    (finding,) = found("consistency", [said("a", "card")], task)
    assert "the fewer: Fee" in finding.problem


# Language


def test_a_completion_in_another_language_is_told():
    german = said("Where is it? I have been waiting for it", "Wir prüfen das und melden uns morgen bei Ihnen.")
    findings = found("language_mix", [*replies(), german], TEXT)
    assert [f.examples for f in findings if f.severity == "warning"] == [(german.id,)]


def test_where_answers_follow_the_prompt_only_those_that_do_not_are_told():
    german = [
        said(f"Wo ist denn mein Paket geblieben, Nummer {n}?", "Wir prüfen das und melden uns morgen bei Ihnen.")
        for n in range(10)
    ]
    english = [said(f"Where is my parcel, I have been waiting, number {n}", REPLY.format("Monday")) for n in range(10)]
    wrong = said("Where is my parcel, I have been waiting for it", "Wir prüfen das und melden uns morgen bei Ihnen.")
    findings = found("language_mix", [*german, *english, wrong], TEXT)
    assert [f.examples for f in findings if f.severity == "warning"] == [(wrong.id,)]
    assert [f.severity for f in findings] == ["note", "warning"]


def test_labels_have_no_language():
    task = Task(
        name="t", format="plain", fields=(Field(name="topic", type="label", labels=("Versandkosten und Lieferung",)),)
    )
    rows = [said(f"Where is my parcel, I have been waiting {n}", "Versandkosten und Lieferung") for n in range(5)]
    assert found("language_mix", rows, task) == []


# Files of texts


def test_texts_are_read_from_lines_and_from_json(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "b.jsonl").write_text('{"prompt": "one", "id": "x"}\n{"a": ["two", {"b": "three"}]}\nfour\n')
    assert read_texts(tmp_path / "a.txt") == ["one", "two"]
    assert read_texts(tmp_path / "b.jsonl") == ["one", "two", "three", "four"]
    with pytest.raises(Exception, match=r"under `checks` in tunesmith\.yaml"):
        read_texts(tmp_path / "none.txt")


@pytest.mark.slow
def test_the_planted_wrong_labels_are_doubted_with_the_real_embedder():
    from tests.data.test_checks import DESK as FOLDER
    from tests.data.test_checks import TASK, noisy_rows

    from tunesmith.models.embedder import open_embedder

    rows = noisy_rows()
    line = {row.id: row.origin.line for row in rows}
    findings = run_checks(
        Material(rows, TASK, ChecksConfig(), open_embedder=lambda: open_embedder("minilm")), ["label_noise"]
    )
    told = {line[id_] for f in findings for id_ in f.examples}
    planted = json.loads((Path(FOLDER) / "noisy_faults.json").read_text("utf-8"))["planted"]
    assert {fault["line"] for fault in planted if fault["check"] == "label_noise"} <= told


def test_more_prompts_than_can_be_embedded_are_said_and_not_waited_for(monkeypatch):
    monkeypatch.setattr("tunesmith.data.checks.material.MOST_EMBEDDED", 40)
    found = look(Material(replies(41), TEXT, open_embedder=Ngrams), ["diversity", "empty_prompt"])
    assert found.unmeasured == ["diversity: embedding 41 prompts would take hours. (run it on a part of the rows)"]
