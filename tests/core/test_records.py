import msgspec

from tunesmith.core.codec import canonical, decode, digest, encode
from tunesmith.core.contenders import Contender
from tunesmith.core.examples import Example, Message
from tunesmith.core.splits import Certificate, Split
from tunesmith.core.task import Field, Task

ASKED = (Message(role="system", content="Be kind."), Message(role="user", content="Where is it?"))


def test_the_same_row_is_the_same_example_wherever_it_came_from():
    one = Example.make(ASKED, "On its way.", source="human")
    other = Example.make(ASKED, "On its way.", source="expert", category="shipping")
    assert one.id == other.id


def test_a_pinned_row_is_another_example_than_the_same_row_unpinned():
    assert Example.make(ASKED, "Yes.").id != Example.make(ASKED, "Yes.", side="test").id


def test_the_prompt_leaves_system_messages_out():
    assert Example.make(ASKED, "Yes.").prompt == "Where is it?"


def test_records_survive_the_way_to_bytes_and_back():
    split = Split(
        snapshot="s",
        seed=1,
        settings={"test": 0.18},
        train=("a",),
        validation=("b",),
        test=("c",),
        certificate=Certificate(
            method="m", threshold=0.8, groups=3, clusters=3, largest_cluster=1, max_similarity_across=0.1
        ),
    )
    assert decode(encode(split), Split) == split
    assert split.side_of() == {"a": "train", "b": "validation", "c": "test"}


def test_the_hash_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert canonical({"b": float("nan")}) == b'{"b":null}'


def test_a_record_of_a_later_release_opens_with_its_unknown_fields_left_out():
    line = encode(Example.make(ASKED, "Yes."))[:-1] + b',"from_the_future":1}'
    assert decode(line, Example).completion == "Yes."


def test_a_schema_keeps_the_order_of_its_fields_through_a_file():
    names = ("zeta", "alpha", "mid")
    task = Task(name="t", fields=tuple(Field(name=n, type="label", labels=("a", "b")) for n in names))
    contender = Contender(name="c", kind="prompt", constraint=task.constraint())
    read = decode(canonical(contender), Contender)
    assert read.hash == contender.hash
    assert tuple(read.constraint.schema["properties"]) == names


def test_a_reworded_example_keeps_all_but_what_it_says():
    old = Example.make(
        (Message(role="user", content="a"),), "b", group="g", source="expert", licence="CC0-1.0", edge_case="decline"
    )
    new = old.reworded(old.messages, "c")
    assert new.id != old.id
    assert new.was == (old.id,)
    assert msgspec.structs.replace(new, id=old.id, completion="b", was=()) == old
