"""What a teacher is asked for, and which of its replies become examples."""

import json

import pytest

from tunesmith.core.examples import Example, Message
from tunesmith.core.task import Field, Task
from tunesmith.data.synthesis import Want, ask, constraint_of, near_copies, read_draft, wants
from tunesmith.models.embedder import open_embedder

PLAIN = Task(
    name="desk", format="plain", fields=(Field(name="topic", type="label", labels=("card", "fee")),),
    instructions="Name the topic.",
)  # fmt: skip
DESK = Task(
    name="desk",
    format="json",
    fields=(Field(name="topic", type="label", labels=("card", "fee")), Field(name="reply", type="text")),
    instructions="File it.",
)


def example(text, completion="card"):
    return Example.make((Message(role="user", content=text),), completion)


CARDS = [example(f"my card number {n} does not work in shop {n * 7}") for n in range(12)]
FEES = [example("why did you take five euros", "fee"), example("what is this monthly cost", "fee")]
TRAIN = [*CARDS, *FEES]


def vectors(train):
    return open_embedder("ngrams").embed([e.prompt for e in train])


def test_rare_labels_are_asked_for_most_and_lonely_examples_first():
    wanted = wants(TRAIN, vectors(TRAIN), PLAIN, 60, seed=0)
    fees = [w for w in wanted if w.label == ("topic", "fee")]
    assert len(fees) > 45  # it lacks ten to the other's none
    assert {w.seeds[0].prompt for w in fees} == {e.prompt for e in FEES}
    assert all(len(w.seeds) == 3 and len({s.id for s in w.seeds}) == 3 for w in wanted)
    assert wanted == wants(TRAIN, vectors(TRAIN), PLAIN, 60, seed=0)
    assert wanted != wants(TRAIN, vectors(TRAIN), PLAIN, 60, seed=1)


def test_a_single_example_is_enough_to_ask():
    (want,) = wants(CARDS[:1], vectors(CARDS[:1]), PLAIN, 1, seed=0)
    assert want.seeds == (CARDS[0],)


def test_the_teacher_sees_the_task_the_seeds_and_the_label_wanted():
    system, user = ask(Want((CARDS[0], FEES[0]), ("topic", "fee")), PLAIN)
    assert "Name the topic." in system.content
    assert CARDS[0].prompt in user.content
    assert FEES[0].prompt in user.content
    assert "topic is 'fee'" in user.content


WANT = Want((FEES[0],), ("topic", "fee"))


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        ("no idea", "not readable"),
        ('{"prompt": "x"', "not readable"),
        ('["prompt"]', "not readable"),
        ('{"completion": "fee"}', "without a prompt"),
        ('{"prompt": "  ", "completion": "fee"}', "without a prompt"),
        ('{"prompt": "what is that", "completion": "money"}', "does not fit"),
        ('{"prompt": "what is that", "completion": "card"}', "another label"),
    ],
)
def test_what_is_no_new_example_is_refused_by_reason(reply, refused):
    draft = read_draft(reply, WANT, PLAIN)
    assert draft.refused is not None
    assert refused in draft.refused


def test_an_example_is_taken_out_of_the_talk_round_it_and_written_as_the_task_writes_it():
    completion = {"reply": "We look.", "topic": "fee"}
    reply = f"Sure! ```json\n{json.dumps({'prompt': ' what is that ', 'completion': completion})}\n```"
    draft = read_draft(reply, WANT, DESK)
    assert (draft.prompt, draft.refused) == ("what is that", None)
    assert draft.completion == DESK.render(completion)
    assert list(json.loads(draft.completion)) == ["topic", "reply"]


def test_near_copies_of_what_is_there_and_of_each_other_are_told():
    there = [e.prompt for e in FEES]
    new = [
        "Why did you take five euros?",
        "my aunt pays for everything here",
        "My aunt pays for everything here!",
        "ok",
    ]
    assert near_copies(new, there, 0.8) == [True, False, True, False]
    assert near_copies([], there, 0.8) == []
    assert near_copies(["alone"], [], 0.8) == [False]


def test_the_form_binds_the_completion_to_the_task():
    schema = constraint_of(DESK).schema
    assert schema["required"] == ["prompt", "completion"]
    assert schema["properties"]["completion"] == DESK.schema()
