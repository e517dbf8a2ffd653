from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from tunesmith.contenders import ContendersConfig, Context, Known, contender_kind, open_contender
from tunesmith.contenders.few_shot import choose
from tunesmith.contenders.retrieval import Finder
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Document, Example, Message
from tunesmith.core.runs import Run
from tunesmith.core.splits import Certificate, Split
from tunesmith.core.task import Field, Task
from tunesmith.decision.facts import COMPLEXITY
from tunesmith.models.embedder import open_embedder

TASK = Task(
    name="desk",
    instructions="File the message.",
    fields=(
        Field(name="category", type="label", labels=("returns", "billing")),
        Field(name="order", type="value", pattern=r"\d{5}", nullable=True),
    ),
)
ASKING = ("prompt", "few_shot", "retrieval")


def example(text: str, category: str, order: str | None = None) -> Example:
    completion = TASK.render({"category": category, "order": order})
    return Example.make((Message(role="user", content=text),), completion)


TRAIN = [
    example("I want to send the printer back", "returns"),
    example("can i return these shoes", "returns", "11111"),
    example("sending back the laptop please", "returns"),
    example("you charged my card twice", "billing"),
    example("the invoice is wrong", "billing", "22222"),
]
TEST = example("my card was charged two times", "billing")
DOCUMENT = Document.make("Charges", "A card that was charged twice is refunded.")


def known(*, train=TRAIN) -> Known:
    split = Split(
        snapshot="s",
        seed=0,
        settings={},
        train=tuple(e.id for e in train),
        validation=(),
        test=(TEST.id,),
        certificate=Certificate(
            method="m", threshold=0.8, groups=6, clusters=6, largest_cluster=1, max_similarity_across=0.0
        ),
    )
    return Known([*train, TEST], split, [DOCUMENT])


def context(**changes) -> Context:
    rest = {
        "task": TASK,
        "known": known(),
        "config": ContendersConfig(),
        "model": "tiny",
        "model_hash": lambda: "m",
        "embedder": lambda: open_embedder("ngrams"),
        "max_tokens": lambda: 32,
    }
    return Context(**(rest | changes))


def ready(kind: str, **changes):
    made = context(**changes)
    return open_contender(contender_kind[kind].make(made), made)


def test_every_kind_that_decisions_know_is_there():
    assert set(contender_kind) == set(COMPLEXITY)


def test_constant_says_the_most_frequent_value_of_each_field():
    completion = ready("constant").predict([TEST])[0]
    assert TASK.parse(completion).fields == {"category": "returns", "order": None}


def test_classifier_tells_labels_apart_and_its_answers_can_be_read():
    said = [TASK.parse(c).fields for c in ready("classifier").predict([TEST, *TRAIN])]
    assert [s["category"] for s in said] == ["billing", "returns", "returns", "returns", "billing", "billing"]
    assert {s["order"] for s in said} == {None}


@pytest.mark.filterwarnings("error")
def test_a_classifier_of_many_labels_with_few_rows_each_says_nothing_of_regressions():
    labels = tuple(f"l{n}" for n in range(8))
    task = Task(name="many", fields=(Field(name="l", type="label", labels=labels),), format="plain")
    rows = [Example.make((Message(role="user", content=f"text {n}"),), labels[n % 8]) for n in range(12)]
    assert set(ready("classifier", task=task, known=known(train=rows)).predict(rows)) <= set(labels)


def test_a_label_that_may_be_null_is_null_where_that_is_learnt():
    task = replace(TASK, fields=(Field(name="topic", type="label", labels=("late", "broken"), nullable=True),))
    said = {"late": "where is my parcel", "broken": "the kettle does not work", None: "hello and good day"}
    rows = [
        Example.make((Message(role="user", content=f"{text} {n}"),), task.render({"topic": topic}))
        for topic, text in said.items()
        for n in range(5)
    ]
    classifier = ready("classifier", task=task, known=known(train=rows))
    assert [task.parse(c).fields["topic"] for c in classifier.predict(rows)] == [t for t in said for _ in range(5)]
    sure = [one["topic"] for one in classifier.probabilities(rows)]
    assert all(one.keys() == {"late", "broken"} for one in sure)
    assert all(sum(one.values()) < 0.5 for one in sure[10:])
    nothing = [row for row in rows if row.completion == task.render({"topic": None})]
    assert {*ready("classifier", task=task, known=known(train=nothing)).predict(rows)} == {nothing[0].completion}


def test_classifier_needs_a_label():
    task = Task(name="t", fields=(Field(name="reply", type="text"),), format="plain")
    with pytest.raises(TunesmithError, match="nothing to classify"):
        contender_kind["classifier"].make(context(task=task))


def test_prompt_is_the_instructions_and_the_message():
    request = ready("prompt").prepare(TEST)
    assert [(m.role, m.content) for m in request.messages] == [
        ("system", "File the message."),
        ("user", "my card was charged two times"),
    ]
    assert request.decoding.max_tokens == 32
    assert request.constraint is None


def test_an_examples_own_system_message_follows_the_instructions():
    own = Example.make((Message(role="system", content="Shop: Berlin"), *TEST.messages), TEST.completion)
    assert ready("prompt").prepare(own).messages[0].content == "File the message.\n\nShop: Berlin"


def test_few_shot_shows_train_examples_as_finished_turns_and_covers_the_labels():
    request = ready("few_shot").prepare(TEST)
    shown = request.messages[1:-1]
    assert [m.role for m in shown] == ["user", "assistant"] * (len(shown) // 2)
    said = [TASK.parse(m.content).fields["category"] for m in shown if m.role == "assistant"]
    assert {"returns", "billing"} <= set(said)


def test_few_shot_depends_on_seed_and_train_alone():
    assert choose(TASK, TRAIN, 3, 1) == choose(TASK, list(TRAIN), 3, 1)
    assert any(choose(TASK, TRAIN, 2, 0) != choose(TASK, TRAIN, 2, seed) for seed in range(1, 6))


def test_retrieval_shows_the_nearest_example_last_and_quotes_the_nearest_document():
    messages = ready("retrieval").prepare(TEST).messages
    assert "refunded" in messages[0].content
    assert messages[-3].content == "you charged my card twice"


@pytest.mark.parametrize("kind", ASKING)
def test_prepare_is_pure_and_never_looks_at_the_completion(kind):
    contender = ready(kind)
    other = Example.make(TEST.messages, TASK.render({"category": "returns", "order": "99999"}))
    assert contender.prepare(TEST) == contender.prepare(TEST) == contender.prepare(other)


@pytest.mark.parametrize("kind", list(contender_kind))
def test_the_same_context_makes_the_same_record(kind):
    changes = {"run": RUN} if kind == "tuned" else {}
    assert contender_kind[kind].make(context(**changes)).hash == contender_kind[kind].make(context(**changes)).hash


@pytest.mark.parametrize("kind", ASKING)
def test_constrained_twins_differ_by_name_and_constraint_alone(kind):
    free, constrained = (contender_kind[kind].make(context(constrained=c)) for c in (False, True))
    assert constrained.name == f"{kind}+schema"
    assert constrained.constraint.kind == "json_schema"
    assert free.hash != constrained.hash


@pytest.mark.parametrize("kind", list(contender_kind))
def test_a_contender_of_another_train_side_is_refused(kind):
    record = contender_kind[kind].make(context(run=RUN))
    with pytest.raises(TunesmithError, match="another train side"):
        open_contender(record, context(known=known(train=TRAIN[:4]), run=RUN))


def test_no_contender_may_show_a_test_example():
    with pytest.raises(TunesmithError, match="not on the train side"):
        known().example(TEST.id)
    assert TEST.id not in {e.id for e in known().train}


RUN = Run(
    name="r",
    config={},
    seed=0,
    inputs={},
    best_step=1,
    validation_loss=0.1,
    peak_memory_bytes=1,
    examples_per_second=1.0,
    adapter="runs/r/best",
    adapter_hash="h",
    seconds=1.0,
    steps=1,
)


def test_tuned_asks_as_prompt_does_with_its_adapter():
    tuned = ready("tuned", run=RUN, root=Path("/w/.tunesmith"))
    assert tuned.prepare(TEST).adapter == "/w/.tunesmith/runs/r/best"
    assert tuned.prepare(TEST).messages == ready("prompt").prepare(TEST).messages


FINDING = replace(RUN, config={"retrieved_examples": 2, "retrieved_documents": 1})


def test_a_model_tuned_on_what_was_found_is_asked_as_retrieval_asks():
    config = ContendersConfig.model_validate({"retrieval": {"examples": 2, "documents": 1}})
    tuned, retrieval = ready("tuned", run=FINDING), ready("retrieval", config=config)
    assert tuned.prepare(TEST).messages == retrieval.prepare(TEST).messages
    assert tuned.prepare(TEST).adapter == "runs/r/best"


@pytest.mark.parametrize(("kind", "verb"), [("retrieval", "baseline retrieval"), ("tuned", "tune")])
def test_a_record_is_not_opened_where_other_things_are_found(kind, verb):
    record = contender_kind[kind].make(context(run=FINDING))
    other = lambda: SimpleNamespace(hash="another")  # noqa: E731
    with pytest.raises(TunesmithError, match=rf"{kind} searches has changed(.|\n)*tunesmith {verb}`"):
        open_contender(record, context(run=FINDING, embedder=other))


def test_what_is_found_for_learning_never_tells_the_answer():
    card = TRAIN[3]
    mate = Example.make((Message(role="user", content="charged twice on my card again"),), card.completion, group="g")
    copy = Example.make(card.messages, TASK.render({"category": "returns", "order": None}))
    own = replace(card, group="g")
    train = [*TRAIN[:3], own, TRAIN[4], mate, copy]
    found = Finder(known(train=train), lambda: open_embedder("ngrams"), 4, 0)
    shown = [m.content for m in found.messages("", own, learnt=True) if m.role == "user"]
    assert sorted(shown[:-1]) == sorted(e.prompt for e in (*TRAIN[:3], TRAIN[4]))
    assert shown[-1] == own.prompt
    asked = [m.content for m in found.messages("", TEST) if m.role == "user"]
    assert {own.prompt, mate.prompt} < set(asked)
    assert found.messages("", TEST, learnt=True) == found.messages("", TEST)


def test_nothing_is_searched_where_nothing_is_shown():
    plain = Finder(known(), lambda: pytest.fail("the embedder was opened"), 0, 0)
    assert plain.messages("Do it.", TEST) == (Message(role="system", content="Do it."), *TEST.messages)


def test_tuned_without_a_run_says_what_to_do():
    with pytest.raises(TunesmithError, match="tunesmith tune"):
        contender_kind["tuned"].make(context())


def test_a_record_is_not_opened_on_another_model():
    record = contender_kind["prompt"].make(context())
    with pytest.raises(TunesmithError, match=r"made from another model(.|\n)*tunesmith baseline"):
        open_contender(record, context(model_hash=lambda: "another"))


def test_a_record_keeps_the_settings_it_was_made_with():
    few = ContendersConfig.model_validate({"retrieval": {"examples": 1, "documents": 0}})
    record = contender_kind["retrieval"].make(context(config=few))
    opened = open_contender(record, context(config=ContendersConfig()))
    assert sum(m.role == "assistant" for m in opened.prepare(TEST).messages) == 1


def test_a_classifier_is_not_opened_on_another_embedder():
    record = contender_kind["classifier"].make(context())
    other = type("Other", (), {"hash": "another"})()
    with pytest.raises(TunesmithError, match=r"embedder has changed(.|\n)*tunesmith baseline classifier"):
        open_contender(record, context(embedder=lambda: other))
