import contextlib
import csv
import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data.topics import Topics, rows_by_topic

from tunesmith.core.errors import UnknownName
from tunesmith.core.examples import Example, Message, Origin
from tunesmith.core.task import Field, Task
from tunesmith.data.checks import Material, check, run_checks
from tunesmith.data.config import ChecksConfig

ROOT = Path(__file__).parents[2]
BANKING = ROOT.parent / "shared" / "data" / "banking77"
DESK = ROOT / "src" / "tunesmith" / "examples" / "support_desk"
TASK = Task(
    name="desk",
    fields=(
        Field(
            name="category",
            type="label",
            labels=("returns", "complaint", "product", "shipping", "billing", "account", "other"),
        ),
        Field(name="urgency", type="label", labels=("high", "normal", "low")),
        Field(name="order", type="value", pattern=r"\d{5}", nullable=True),
        Field(
            name="action",
            type="label",
            labels=("escalate", "decline", "start_return", "check_order", "ask_details", "answer"),
        ),
        Field(name="reply", type="text"),
    ),
)
PLAIN = Task(name="topics", format="plain", fields=(Field(name="topic", type="label", labels=("card", "loan", "fee")),))
GOOD = {"category": "shipping", "urgency": "normal", "order": None, "action": "answer", "reply": "We are on it."}


def example(prompt, completion="card", **rest):
    return Example.make((Message(role="user", content=prompt),), completion, **rest)


def desk(prompt, **fields):
    return example(prompt, json.dumps(GOOD | fields))


def found(name, rows, task=TASK, **rest):
    return list(check[name](Material(rows, task, **rest)))


def severities(findings):
    return [finding.severity for finding in findings]


def many(count, **rest):
    return [example(f"question {n} {n * 7919} {n**3}", "card", **rest) for n in range(count)]


# What every check keeps to


def faulty_rows():
    return [
        desk("Where is order 48213? It should have come on Monday and did not."),
        desk("Where is order 48213? It should have come on Monday and did not!", category="billing"),
        desk("Where is order 48213? It should have come on Monday and did not now.", category="product"),
        example("", "{}"),
        example("what", ""),
        example("cafÃ© \ufffd", "not json"),
        example("x", json.dumps({"category": "refund"})),
        desk("Write to ann@shop.de, the password is Gruyere-9."),
    ]


def faulty_material():
    rows = [
        *faulty_rows(),
        *rows_by_topic(),
        desk("parcel lost", reply="WHERE IS IT!! Où est votre commande, monsieur?"),
    ]
    return Material(
        rows,
        TASK,
        count_tokens=lambda row: (5000, 0),
        max_tokens=100,
        open_embedder=Topics,
        production=("how do I lend you money",),
        benchmark=("My invoice number five is the wrong one",),
    )


@pytest.mark.parametrize("name", sorted(check))
def test_a_check_prints_nothing_repeats_itself_and_names_its_findings_and_rows(name):
    material = faulty_material()
    rows = material.examples
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        findings = list(check[name](material))
    assert out.getvalue() == ""
    assert findings, "the faulty rows hold a fault for each check"
    assert findings == list(check[name](faulty_material()))
    for finding in findings:
        assert finding.check == name
        assert finding.mend
        assert set(finding.examples) <= {row.id for row in rows}


@pytest.mark.parametrize("name", sorted(check))
@pytest.mark.parametrize("task", [TASK, PLAIN], ids=["json", "plain"])
def test_a_check_takes_no_examples_at_all(name, task):
    assert all(finding.examples == () for finding in found(name, [], task))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=8), st.sampled_from([TASK, PLAIN]))
def test_no_text_breaks_a_check(texts, task):
    rows = [example(prompt, completion) for prompt, completion in texts]
    for finding in run_checks(Material(rows, task)):
        assert finding.severity in ("error", "warning", "note")


def test_errors_come_first_then_warnings_then_notes():
    order = severities(run_checks(Material(faulty_rows(), TASK)))
    assert order == sorted(order, key=("error", "warning", "note").index)
    assert set(order) >= {"error", "warning"}


def test_one_check_runs_alone():
    assert {f.check for f in run_checks(Material(faulty_rows(), TASK), only=["encoding"])} == {"encoding"}


def test_an_unknown_check_lists_the_near_ones():
    with pytest.raises(UnknownName, match=r"There is no check 'near_duplicate'(.|\n)*did you mean 'near_duplicates'"):
        run_checks(Material([], TASK), only=["quantity", "near_duplicate"])


def test_many_findings_of_a_kind_are_folded_and_none_of_their_rows_is_lost():
    rows = [example(f"question {n}", "not json") for n in range(50)]
    findings = run_checks(Material(rows, TASK, ChecksConfig(findings_per_check=20)), only=["completion_format"])
    assert len(findings) == 21
    assert findings[-1].problem == "30 more of this kind, in 30 examples."
    assert "tunesmith check --only completion_format" in findings[-1].mend
    assert {id_ for finding in findings for id_ in finding.examples} == {row.id for row in rows}


def test_rows_are_named_by_file_and_line():
    row = example("x", "nonsense", origin=Origin(file="train.jsonl", line=41))
    assert found("completion_format", [row])[0].problem.startswith("train.jsonl:41: the completion is not JSON")


# Each check, with a fault planted and without


@pytest.mark.parametrize(
    ("count", "severity"),
    [
        (0, "error"),
        (29, "error"),
        (30, "warning"),
        (99, "warning"),
        (100, "note"),
        (299, "note"),
        (300, "note"),
        (3001, "note"),
    ],
)
def test_quantity_advises_by_the_number_of_different_prompts(count, severity):
    rows = [*many(count), *many(count)[:10]]
    assert severities(found("quantity", rows, PLAIN)) == [severity]


def test_quantity_tells_what_the_test_can_show():
    # 18 test rows: 1.96 * sqrt(0.8 * 0.2 / 18) = 0.1848
    assert "±18 points" in found("quantity", many(100), PLAIN)[0].problem


def test_balance_tells_absent_rare_and_dominant_labels():
    absent, rare, dominant = found("balance", [*many(20), example("a loan", "loan")], PLAIN)
    assert "no example of 'fee'" in absent.problem
    assert "fewer than 3 examples of 'loan' (1)" in rare.problem
    assert "'card' holds 95% of the examples" in dominant.problem
    assert {absent.severity, rare.severity, dominant.severity} == {"warning"}


def test_balance_is_content_with_even_labels():
    assert found("balance", [example(f"question {n}", ("card", "loan", "fee")[n % 3]) for n in range(30)], PLAIN) == []


def test_exact_duplicates_look_past_case_and_punctuation():
    rows = [
        example("Where is my card?"),
        example("how are you"),
        example("where is MY card"),
        example("Where is my card ?!"),
    ]
    (finding,) = found("exact_duplicates", rows, PLAIN)
    assert finding.severity == "warning"
    assert finding.examples == (rows[0].id, rows[2].id, rows[3].id)
    assert found("near_duplicates", rows, PLAIN) == []


def test_near_duplicates_are_told_by_cluster():
    text = "my parcel {} should have come on monday and it is still not here"
    rows = [example(text.format("again")), example("something else"), example(text.format("agian"))]
    (finding,) = found("near_duplicates", rows, PLAIN)
    assert finding.severity == "warning"
    assert finding.examples == (rows[0].id, rows[2].id)
    assert found("exact_duplicates", rows, PLAIN) == []


def test_equal_prompts_with_different_labels_conflict():
    rows = [desk("Where is my parcel?"), desk("where is my parcel", category="billing")]
    (finding,) = found("conflicting_completions", rows)
    assert finding.severity == "error"
    assert "disagree in category ('shipping', 'billing')" in finding.problem
    assert finding.examples == (rows[0].id, rows[1].id)


def test_near_prompts_conflict_with_doubt():
    text = "Wrong house number on order 83047, I placed it twenty minutes ago, {} 14 not 41. Sorry, my {}"
    rows = [desk(text.format("it should be", "mistake")), desk(text.format("should be", "fault"), urgency="low")]
    assert severities(found("conflicting_completions", rows)) == ["warning"]


def test_different_replies_to_the_same_prompt_do_not_conflict():
    assert found("conflicting_completions", [desk("Hello there"), desk("hello there", reply="We greet you.")]) == []


def test_values_that_differ_because_the_prompts_do_are_no_conflict():
    text = "Hello, could you please tell me where my parcel is and when it will finally be delivered to us: order {}"
    rows = [desk(text.format(48213), order="48213"), desk(text.format(48217), order="48217")]
    material = Material(rows, TASK)
    assert material.prompts.similarity(0, 1) >= 0.9
    assert found("conflicting_completions", rows) == []
    rows = [desk(text.format(48213), order="48213"), desk(text.format(48213) + "!", order=None)]
    assert severities(found("conflicting_completions", rows)) == ["error"]


def test_a_conflict_with_an_unreadable_completion_is_not_told_here():
    assert found("conflicting_completions", [desk("Hello there"), example("hello there", "not json")]) == []


def test_labels_of_a_set_conflict_whatever_their_order():
    task = Task(name="t", fields=(Field(name="tags", type="label", labels=("a", "b", "c"), multiple=True),))
    rows = [example("same", '{"tags": ["a", "b"]}'), example("same!", '{"tags": ["b", "a"]}')]
    assert found("conflicting_completions", rows, task) == []
    assert severities(found("conflicting_completions", [*rows, example("same?", '{"tags": ["c"]}')], task)) == ["error"]


@pytest.mark.parametrize("completion", ["{'category': None}", "Sure! {}", '{"category": "ship', "[1]", "null", "{,}"])
def test_completions_that_are_no_json_object_are_errors(completion):
    rows = [desk("fine"), example("faulty", completion)]
    assert [f.examples for f in found("completion_format", rows)] == [(rows[1].id,)]
    assert found("completion_schema", rows) == []
    assert found("completion_format", [example("plain", completion)], PLAIN) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"order": 65902}, "order is 65902, not a text"),
        ({"urgency": None}, "urgency is null"),
        ({"priority": 1}, "unknown key 'priority'"),
        ({"category": "shiping"}, "'shiping', which is not one of its labels"),
        ({"order": "4821"}, "does not match"),
        ({"reply": "", "order": 7}, "order is 7, not a text"),
    ],
)
def test_completions_that_do_not_fit_the_task_are_errors(fields, says):
    rows = [desk("fine"), desk("faulty", **fields)]
    (finding,) = found("completion_schema", rows)
    assert (finding.severity, finding.examples) == ("error", (rows[1].id,))
    assert says in finding.problem


def test_an_unknown_label_is_answered_with_the_near_one():
    assert "did you mean 'shipping'" in found("completion_schema", [desk("x", category="shiping")])[0].mend
    assert "did you mean 'loan'" in found("completion_schema", [example("x", "loans")], PLAIN)[0].mend


def test_empty_rows_are_errors_and_told_once():
    rows = [example(" \n", json.dumps(GOOD)), example("a", "  "), desk("b", reply=" "), desk("c")]
    assert [f.examples for f in found("empty_prompt", rows)] == [(rows[0].id,)]
    assert [f.examples for f in found("empty_completion", rows)] == [(rows[1].id,), (rows[2].id,)]
    assert found("completion_format", rows) == found("completion_schema", rows) == []
    assert found("exact_duplicates", [rows[0], example("", "{}")]) == []


def test_a_plain_value_that_may_be_absent_may_be_empty():
    task = Task(name="t", format="plain", fields=(Field(name="date", type="value", nullable=True),))
    assert found("empty_completion", [example("no date here", "")], task) == []
    assert severities(found("empty_completion", [example("x", "")], PLAIN)) == ["error"]


def test_long_examples_and_those_without_supervised_tokens_are_errors():
    rows = [example("short"), example("long " * 50), example("nothing learnt")]
    counts = {rows[0].id: (10, 2), rows[1].id: (101, 2), rows[2].id: (10, 0)}
    findings = found("truncated", rows, PLAIN, count_tokens=lambda row: counts[row.id], max_tokens=100)
    assert [f.examples for f in findings] == [(rows[1].id,), (rows[2].id,)]
    assert severities(findings) == ["error", "error"]
    assert "101 tokens, and tuning.max_length allows 100" in findings[0].problem
    assert "max_length" in findings[0].mend
    given = {"count_tokens": lambda row: counts[row.id], "max_tokens": 200, "context": 60}
    (longest, _) = found("truncated", rows, PLAIN, **given)
    assert "101 tokens, and the model takes 60" in longest.problem
    assert "max_length" not in longest.mend
    assert found("truncated", rows, PLAIN) == []


def test_edge_cases_are_asked_for():
    assert severities(found("edge_cases", many(30), PLAIN)) == ["warning"]
    kinds = ("ambiguous", "out_of_scope", "decline", "escalate")
    few = [*many(30), example("who are you", edge_case="decline")]
    assert "none of kind ambiguous, out_of_scope, escalate" in found("edge_cases", few, PLAIN)[0].problem
    assert found("edge_cases", [*many(30), *(example(kind, edge_case=kind) for kind in kinds)], PLAIN) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("It doesnâ€™t work", "is '’' read in the wrong encoding"),
        ("cafÃ© au lait", "is 'é' read in the wrong encoding"),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚", "read in the wrong encoding"),
        ("lost \ufffd here", "1 replacement characters (U+FFFD)"),
        ("zero\u200bwidth", "1 invisible characters in the prompt, the first U+200B"),
        ("in\u200dvisible", "the first U+200D"),
        ("bell \x07", "1 control characters in the prompt, the first U+0007"),
    ],
)
def test_broken_characters_are_told(text, says):
    findings = found("encoding", [example(text)], PLAIN)
    assert severities(findings) == ["warning"]
    assert says in findings[0].problem


@pytest.mark.parametrize(
    "text",
    [
        "«\u00a0à\u00a0»", "SÃO PAULO", "São Paulo, Ângela, garçon, Äpfel, naïve",
        "नमस्ते क्\u200dष", "می\u200cخواهم", "👨\u200d👩\u200d👧 family",
        "日本語のテキスト", "Привет", "price: 5 € – 10 £ “quoted”", "tab\tand\nnewline\r\n",
    ],
)  # fmt: skip
def test_good_texts_of_many_languages_are_left_alone(text):
    assert found("encoding", [example(text)], PLAIN) == []


# The bundled noisy file and real data


def noisy_rows():
    rows = []
    for line, text in enumerate((DESK / "noisy.jsonl").read_text("utf-8").splitlines(), start=1):
        row = json.loads(text)
        said = row["completion"]
        completion = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
        rows.append(
            example(row["prompt"], completion, group=row["customer"], origin=Origin(file="noisy.jsonl", line=line))
        )
    return rows


def words(row):
    return len(row.prompt.split()) + len(row.completion.split()), len(row.completion.split())


def test_every_fault_planted_in_the_noisy_file_is_found_and_nothing_else_is_an_error():
    rows = noisy_rows()
    line = {row.id: row.origin.line for row in rows}
    findings = run_checks(Material(rows, TASK, count_tokens=words, max_tokens=2000))
    told = {(finding.check, line[id_]) for finding in findings for id_ in finding.examples}
    planted = json.loads((DESK / "noisy_faults.json").read_text("utf-8"))["planted"]
    assert {fault["check"] for fault in planted} <= set(check)
    mine = [fault for fault in planted if fault["check"] != "label_noise"]  # needs MiniLM: see the slow test
    assert len(mine) == 40
    assert [fault for fault in mine if (fault["check"], fault["line"]) not in told] == []
    faulty = {n for fault in mine for n in (fault["line"], *fault.get("with", []))}
    assert {line[id_] for f in findings if f.severity == "error" for id_ in f.examples} <= faulty


@pytest.mark.skipif(
    not BANKING.exists(), reason=f"the Banking77 data is not at {BANKING}: it is not part of the project"
)
def test_banking77_has_two_contradictions_and_no_other_error():
    with (BANKING / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [example(row["text"], row["category"]) for row in csv.DictReader(file)]
    labels = tuple(sorted({row.completion for row in rows}))
    task = Task(name="b77", format="plain", fields=(Field(name="category", type="label", labels=labels),))
    began = time.perf_counter()
    findings = run_checks(Material(rows, task))
    print(f"\nBanking77 checked in {time.perf_counter() - began:.1f} s")
    # "Has my top up gone through?" stands under two intents, "I transferred some money but it hasn't arrived" too
    assert [f.check for f in findings if f.severity == "error"] == ["conflicting_completions"] * 2
