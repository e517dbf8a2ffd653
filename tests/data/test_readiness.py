"""The summary counts what was found and puts what is worth most first."""

from tunesmith.core.findings import Finding
from tunesmith.data.checks import check
from tunesmith.data.mends import mend
from tunesmith.data.readiness import DO, readiness


def finding(name, severity, *examples):
    return Finding(check=name, severity=severity, problem="p", mend="m", examples=examples)


def test_errors_come_before_warnings_and_notes_ask_for_nothing():
    told = readiness(
        [
            finding("label_noise", "warning", "a", "b", "c"),
            finding("completion_schema", "error", "a"),
            finding("quantity", "note"),
            finding("diversity", "note", "a"),
        ],
        50,
    )
    assert (told.errors, told.warnings, told.notes) == (1, 1, 2)
    assert [action.checks for action in told.next] == [("completion_schema",), ("label_noise",)]


def test_what_touches_more_comes_first_and_the_whole_data_set_first_of_all():
    told = readiness(
        [
            finding("consistency", "warning", "a"),
            finding("label_noise", "warning", "a", "b"),
            finding("label_noise", "warning", "b", "c"),
            finding("quantity", "warning"),
            finding("language_mix", "warning", "a", "b", "c", "d"),
        ],
        50,
    )
    assert [action.checks[0] for action in told.next] == ["quantity", "language_mix", "label_noise"]
    assert (told.next[2].findings, told.next[2].examples) == (2, 3)


def test_what_one_command_mends_is_one_action_and_the_first_of_its_severity():
    told = readiness(
        [
            finding("encoding", "warning", "a"),
            finding("secrets", "error", "b"),
            finding("completion_schema", "error", "a", "b", "c"),
        ],
        50,
    )
    assert [action.command for action in told.next] == ["tunesmith mend", "tunesmith check --only completion_schema"]
    assert (told.next[0].checks, told.next[0].examples) == (("encoding", "secrets"), 2)


def test_nothing_found_asks_for_nothing():
    assert readiness([], 50).next == ()


def test_each_check_that_can_warn_has_words_for_what_to_do():
    assert set(check) - set(DO) - set(mend) <= {"semantic_duplicates"}
