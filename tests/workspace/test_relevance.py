"""What a search ought to find: by labels and values, and by what people wrote into a file."""

import json

import pytest

from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Message, Origin
from tunesmith.core.task import Field, Task
from tunesmith.workspace.relevance import alike_by, kind_of_answer, read_judgements

LABEL = Field(name="topic", type="label", labels=("a", "b"))
SEVERAL = Field(name="tags", type="label", labels=("x", "y", "z"), multiple=True)
VALUE = Field(name="order", type="value", nullable=True)
OTHER = Field(name="date", type="value", nullable=True)
TEXT = Field(name="reply", type="text")


def kinds(fields, *rows):
    task = Task(name="t", fields=fields)
    return [kind_of_answer(task, json.dumps(row)) for row in rows]


def test_all_labels_must_be_the_same_and_values_and_texts_do_not_count():
    one = {"topic": "a", "tags": ["x", "y"], "order": "1", "reply": "Yes."}
    same = {"topic": "a", "tags": ["y", "x"], "order": None, "reply": "No."}
    other = one | {"tags": ["x"]}
    first, second, third = kinds((LABEL, SEVERAL, VALUE, TEXT), one, same, other)
    assert first == second != third
    assert alike_by(Task(name="t", fields=(LABEL, SEVERAL, TEXT))) == "has the same topic, tags"


def test_without_labels_the_same_values_must_be_there_whatever_they_are():
    rows = {"order": "1", "date": None}, {"order": "2", "date": None}, {"order": "2", "date": "May"}
    first, second, third = kinds((VALUE, OTHER), *rows)
    assert first == second != third
    assert alike_by(Task(name="t", fields=(VALUE, OTHER))) == "has something in the same ones of order, date"


def test_of_texts_and_of_what_cannot_be_read_nothing_is_known():
    assert kinds((TEXT,), {"reply": "Yes."}) == [None]
    assert alike_by(Task(name="t", fields=(TEXT,))) is None
    assert kinds((LABEL,), {"topic": "unheard of"}, {}) == [None, None]


def example(text: str) -> Example:
    return Example.make((Message(role="user", content=text),), "a")


ASKED = [example("where is it\u200b"), example("אני רוצה החזר")]
ELSEWHERE = example("a test message")
DOCUMENTS = [
    Document.make("Returns", "Send it back.", Origin(file="handbook/returns.md", line=1)),
    Document.make("Fees", "None.", Origin(file="handbook/fees.md", line=1)),
    Document.make("Fees", "Three euros.", Origin(file="handbook/old-fees.md", line=1)),
]
RETURNS, FEES, OLD = (document.id for document in DOCUMENTS)


def read(path, rows):
    lines = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(lines, encoding="utf-8")
    return read_judgements(path, ASKED, [*ASKED, ELSEWHERE], DOCUMENTS)


def test_examples_and_documents_go_by_each_of_their_names(tmp_path):
    one, other = ASKED
    found = read(
        tmp_path / "r.jsonl",
        [
            {"prompt": " where is it\u200b\n", "document": ["Returns", "fees.md"]},
            {"example": one.id[:9], "document": "old-fees"},
            {"example": other.id, "document": RETURNS[:10]},
            {"prompt": ELSEWHERE.prompt, "document": "returns.md"},
        ],
    )
    assert found.documents == {one.id: {RETURNS, FEES, OLD}, other.id: {RETURNS}}
    assert (found.elsewhere, found.rejected) == (1, [])


def test_a_table_does_too_and_an_empty_list_says_that_there_is_none(tmp_path):
    found = read(tmp_path / "r.csv", f"prompt,document\n{ASKED[1].prompt},Returns\n")
    assert found.documents == {ASKED[1].id: {RETURNS}}
    assert read(tmp_path / "r.jsonl", [{"prompt": ASKED[1].prompt, "document": []}]).documents == {ASKED[1].id: set()}


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('{"prompt": "where', "JSON"),
        ("[1]", "not a JSON object"),
        ('{"prompt": "where is it"}', 'no "document"'),
        ('{"document": "Returns"}', 'neither "prompt" nor "example"'),
        ('{"prompt": "never asked", "document": "Returns"}', "0 examples have its prompt"),
        ('{"example": "0", "document": "Returns"}', "0 examples have an id"),
        ('{"example": 7, "prompt": 7, "document": "Returns"}', 'neither "prompt" nor "example"'),
        ('{"prompt": "a test message", "document": "Fees"}', "2 documents are called"),
        ('{"prompt": "a test message", "document": "Prices"}', "no document is called"),
        ('{"prompt": "a test message", "document": [3]}', "is no name"),
    ],
)
def test_a_row_that_cannot_be_used_is_told_with_its_mend(row, problem, tmp_path):
    good = json.dumps({"prompt": ASKED[0].prompt, "document": "Returns"})
    rejected = read(tmp_path / "r.jsonl", f"{good}\n{row}\n").rejected
    assert [r.line for r in rejected] == [2]
    assert problem in rejected[0].problem
    assert rejected[0].mend
    with pytest.raises(TunesmithError, match=r"says nothing that can be used(.|\n)*To mend it:"):
        read(tmp_path / "r.jsonl", f"{row}\n")


def test_a_file_of_another_side_alone_is_refused(tmp_path):
    with pytest.raises(TunesmithError, match=r"of the 2 examples that are searched for(.|\n)*validation side"):
        read(tmp_path / "r.jsonl", [{"prompt": ELSEWHERE.prompt, "document": "Returns"}])


@pytest.mark.parametrize("name", ["gone.jsonl", "folder", "page.md", "empty.csv"])
def test_what_is_no_file_of_rows_is_refused(name, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "page.md").write_text("# A page")
    (tmp_path / "empty.csv").touch()
    with pytest.raises(TunesmithError, match="To mend it:"):
        read_judgements(tmp_path / name, ASKED, ASKED, DOCUMENTS)
