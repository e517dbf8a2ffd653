"""Long documents: passages that lose nothing, and a contender that quotes the one that matters."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contenders.test_contenders import DOCUMENT, TEST, context, known

from tunesmith.contenders import ContendersConfig, contender_kind, open_contender
from tunesmith.contenders.passages import OVERLAP, chunk_words_for, passages
from tunesmith.contenders.retrieval import index_hash
from tunesmith.core.codec import digest
from tunesmith.core.config import read_config
from tunesmith.core.contenders import Contender
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document
from tunesmith.models.embedder import open_embedder

words = st.lists(st.from_regex(r"[a-z]{1,12}", fullmatch=True), min_size=1, max_size=120)
LONG = Document.make(
    "Handbook",
    "\n\n".join(
        " ".join(f"{topic}{n} {topic}" for n in range(40))
        for topic in ("opening", "parcels", "card charged twice", "staff")
    ),
)


def body(document, passage, first):
    return passage.text if first else passage.text.removeprefix(f"{document.title}\n")


@given(words, st.integers(20, 60), st.sampled_from([" ", "\n", "\n\n"]))
def test_passages_hold_every_word_in_order_and_overlap(said, size, gap):
    document = Document.make("T", gap.join(said))
    found = [body(document, p, n == 0).split() for n, p in enumerate(passages(document, size))]
    assert all(len(part) <= size for part in found)
    told = found[0]
    for before, part in pairwise(found):
        shared = size // OVERLAP
        assert part[:shared] == before[-shared:]
        told = told + part[shared:]
    assert told == said


def test_a_document_within_the_limit_is_itself():
    document = Document.make("T", " ".join("abc" for _ in range(180)))
    assert list(passages(document, 180)) == [document]
    assert list(passages(LONG, None)) == [LONG]
    assert chunk_words_for([document], 180) is None
    assert chunk_words_for([document, LONG], 180) == 180


def test_a_passage_ends_with_a_paragraph_where_one_ends_in_its_second_half():
    document = Document.make("T", " ".join(["one"] * 30) + "\n\n" + " ".join(["two"] * 30))
    first, second = passages(document, 40)
    assert first.text == " ".join(["one"] * 30)
    assert second.text.startswith("T\none one")  # the overlap
    assert second.text.endswith("two two")


def test_a_script_without_spaces_is_cut_too():
    document = Document.make("规定", "退货须在三十天内办理。" * 60)
    found = list(passages(document, 100))
    assert len(found) > 5
    assert all(len(p.text) <= 100 + len("规定\n") + 20 for p in found)


def retrieval(documents, **settings):
    made = context(
        known=knowing(documents),
        config=ContendersConfig(retrieval=settings) if settings else ContendersConfig(),
    )
    return contender_kind["retrieval"].make(made), made


def knowing(documents):
    there = known()
    there.documents = tuple(documents)
    return there


def test_the_passage_that_matters_is_quoted_and_not_the_whole_document():
    record, made = retrieval([LONG])
    assert record.settings["chunk_words"] == 180
    head = open_contender(record, made).prepare(TEST).messages[0].content
    assert "card charged twice" in head
    assert len(re.findall(r"\w+", head)) < 220 < len(LONG.text.split())


def test_short_documents_leave_record_and_index_as_they_were():
    record, made = retrieval([DOCUMENT])
    assert record.settings == {"examples": 3, "documents": 1}
    assert record.index == digest([made.known.hash, open_embedder("ngrams").hash])
    assert retrieval([DOCUMENT], chunk_words=90)[0].hash == record.hash


def test_another_size_of_passages_is_another_index():
    small, large = (retrieval([LONG], chunk_words=size)[0] for size in (50, 100))
    assert small.index != large.index
    assert small.hash != large.hash


def test_a_record_from_before_passages_still_quotes_documents_whole():
    _, made = retrieval([LONG])
    old = Contender(
        name="retrieval", kind="retrieval", settings={"examples": 0, "documents": 1}, index=index_hash(made, None),
        inputs={"task": made.task.hash, "train side": made.known.hash},
    )  # fmt: skip
    assert LONG.text in open_contender(old, made).prepare(TEST).messages[0].content


def test_passages_too_small_to_say_anything_are_refused():
    with pytest.raises(TunesmithError, match="chunk_words"):
        read_config(ContendersConfig, {"retrieval": {"chunk_words": 3}}, "tunesmith.yaml")
