import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Message
from tunesmith.core.preferences import Preference
from tunesmith.core.store import Added, Edit, open_store
from tunesmith.core.store.opening import HEAD
from tunesmith.core.store.tables import metadata


def example(text: str) -> Example:
    return Example.make((Message(role="user", content=text),), "answer")


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "store.db")
    yield store
    store.close()


def test_the_same_row_twice_is_one_example(store):
    assert store.add_examples([example("a"), example("b"), example("a")]) == Added(new=2, duplicates=1)
    assert store.add_examples([example("a")]) == Added(new=0, duplicates=1)
    assert store.counts() == (2, 0)


def test_a_removed_example_leaves_a_tombstone_and_can_come_back(store):
    store.add_examples([example("a")])
    store.changes.make("remove", "ann", [Edit(example("a").id, None)])
    assert store.examples() == []
    assert store.example(example("a").id) == example("a")
    assert store.add_examples([example("a")]) == Added(new=0, duplicates=0, out_of_use=1)
    assert store.examples() == []
    assert store.add_examples([example("a")], again=True) == Added(new=0, duplicates=0, back=1)
    assert store.examples() == [example("a")]


def test_nothing_is_kept_of_rows_whose_source_fails_half_way(store):
    def rows():
        yield from (example(str(n)) for n in range(3000))
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="broke"):
        store.add_examples(rows())
    assert store.counts() == (0, 0)


def test_a_newer_answer_takes_the_place_of_the_older(store):
    for text in ("first", "second"):
        store.save_answers([Answer(contender="c", example="e", text=text)])
    assert store.answers("c")["e"].text == "second"
    assert store.answers("other") == {}


def test_ledger_and_index_keep_their_order(store):
    for n in range(3):
        store.write_ledger("test_look", {"n": n})
        store.save_derived("split", "split", f"hash{n}", {"task": "t"})
    assert [e.detail["n"] for e in store.ledger("test_look")] == [0, 1, 2]
    assert store.derived("split")[-1].hash == "hash2"
    assert store.ledger("override") == []


def test_preferences_are_kept_beside_examples_and_come_back_with_their_file(store):
    asked = (Message(role="user", content="where is it"),)
    pairs = [Preference.make(asked, "here", rejected, source="rating", by="ann") for rejected in ("there", "nowhere")]
    assert store.add_preferences([*pairs, pairs[0]], dry_run=True) == Added(new=2, duplicates=1)
    assert store.preferences() == []
    assert store.add_preferences([*pairs, pairs[0]]) == Added(new=2, duplicates=1)
    assert store.preferences() == sorted(pairs, key=lambda pair: pair.id)
    assert store.remove_preferences([pairs[0].id, "unknown"]) == 1
    assert store.preferences() == [pairs[1]]
    assert store.add_preferences(pairs) == Added(new=1, duplicates=1)
    assert len(store.preferences()) == 2 and store.counts() == (0, 0)


def test_documents_are_kept_beside_examples(store):
    store.add_documents([Document.make("Returns", "30 days")])
    assert [d.title for d in store.documents()] == ["Returns"]


def test_the_migrations_build_the_tables_that_the_code_uses(store):
    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_head_is_the_newest_migration():
    versions = Path(open_store.__code__.co_filename).parent / "migrations" / "versions"
    assert max(p.name[1:5] for p in versions.glob("v*.py")) == HEAD


def test_a_store_of_a_newer_release_is_refused(tmp_path):
    store = open_store(tmp_path / "store.db")
    with store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    store.close()
    with pytest.raises(TunesmithError, match=r"newer release(.|\n)*upgrade"):
        open_store(tmp_path / "store.db")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "store.db").write_text("hello " * 1000)
    with pytest.raises(TunesmithError, match="is not a database"):
        open_store(tmp_path / "store.db")


def _add_some(path: Path, start: int) -> None:
    store = open_store(path)
    for n in range(start, start + 20):
        store.add_examples([example(str(n))])
    store.close()
    os._exit(0)


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "store.db"
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_add_some, args=(path, start)) for start in (0, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0]
    store = open_store(path)
    assert store.counts() == (40, 0)
    store.close()


@pytest.mark.parametrize(
    ("table", "column", "read"),
    [
        ("examples", "record", lambda store: store.examples()),
        ("answers", "record", lambda store: store.answers("c")),
        ("ledger", "detail", lambda store: store.ledger()),
        ("derived", "inputs", lambda store: store.derived("split")),
    ],
)
def test_a_damaged_row_is_named_with_its_table(store, tmp_path, table, column, read):
    store.add_examples([example("a")])
    store.save_answers([Answer(contender="c", example="a", text="b")])
    store.write_ledger("test_look", {"contenders": []})
    store.save_derived("split", "split", "h", {"task": "t"})
    read(store)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute(f"UPDATE {table} SET {column} = '{{\"id\": 3, '")
    with pytest.raises(TunesmithError, match=f"row of the table '{table}' in the store cannot be read") as error:
        read(store)
    assert "restore .tunesmith/store.db from a copy" in error.value.mend


def test_a_damaged_file_is_said_to_be_damaged(store, tmp_path):
    store.add_examples([example(f"message {n} " * 50) for n in range(300)])
    store.close()
    path = tmp_path / "store.db"
    content = bytearray(path.read_bytes())
    content[8192:] = b"\x55" * (len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(TunesmithError, match=r"damaged|not a database|cannot be opened"):
        open_store(path).examples()
