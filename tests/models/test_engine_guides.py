import json

import pytest
import torch
from tests.models.tiny import build_tiny
from transformers import AutoModelForCausalLM

from tunesmith.core.contenders import Constraint, Decoding, Request
from tunesmith.core.errors import TunesmithError
from tunesmith.core.examples import Message
from tunesmith.core.task import Field, Task
from tunesmith.models.engine import Engine
from tunesmith.models.engine.guides import Guides
from tunesmith.models.pull import pull
from tunesmith.models.template import Template

TRIAGE = Task(
    name="triage",
    fields=(
        Field(name="category", type="label", labels=("billing", "shipping", "other")),
        Field(name="urgency", type="label", labels=("low", "normal", "high")),
        Field(name="tags", type="label", multiple=True, labels=("new", "vip")),
        Field(name="order", type="value", pattern=r"\d{5}", nullable=True),
        Field(name="reply", type="text", max_length=60),
    ),
)
COMPLETIONS = (
    {"category": "shipping", "urgency": "low", "tags": ["new", "vip"], "order": "12345", "reply": "We look into it."},
    {"category": "other", "urgency": "high", "tags": [], "order": None, "reply": 'Größe "L" — ok 👍\n{"a": 1}, \\'},
    {"category": "billing", "urgency": "normal", "tags": ["vip"], "order": "00000", "reply": "null"},
)
CHOICES = ("billing", "bill", "billing and shipping", "other", "no", "refund", "lamp", "{x}", "7", "Grün")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("guides") / "tiny")


@pytest.fixture(scope="module")
def engine(folder):
    return Engine(folder, batch_size=4, dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def guides(folder):
    return Guides(Template.open(folder))


def asks(constraint, text="where is my parcel", **decoding):
    messages = (Message(role="system", content="Sort it. " * 8), Message(role="user", content=text))
    return Request(messages=messages, constraint=constraint, decoding=Decoding(**{"max_tokens": 200, **decoding}))


def choice(*choices):
    return Constraint(kind="choice", choices=choices)


def write(guide, ids):
    """Walk ``guide`` along a completion's ids, taking what it forces; the ids written and how many were free."""
    written, free = guide.forced(), 0
    while not guide.done:
        assert written == ids[: len(written)]
        token = ids[len(written)]
        assert guide.allows(token)
        assert guide.mask(1000)[token]
        free += 1
        if guide.take(token):
            written.append(token)
        written += guide.forced()
    return written, free


def agrees_with_training(template, guides):
    for fields in COMPLETIONS:
        ids = template.completion_ids(TRIAGE.render(fields))[:-1]
        written, free = write(guides.start(TRIAGE.constraint()), ids)
        assert written == ids
        assert free < len(ids) * 0.75


def test_json_is_written_with_the_very_tokens_that_are_trained(folder, guides):
    agrees_with_training(Template.open(folder), guides)


@pytest.mark.slow
def test_json_is_written_with_the_very_tokens_that_the_real_model_is_trained_on():
    template = Template.open(pull("smollm2-135m"))
    guides = Guides(template)
    for fields in COMPLETIONS:
        ids = template.completion_ids(TRIAGE.render(fields))[:-1]
        guide = guides.start(TRIAGE.constraint())
        written = guide.forced()
        while not guide.done:
            guide.take(ids[len(written)])
            written = [*ids[: len(written) + 1], *guide.forced()]
        assert written == ids


@pytest.mark.parametrize("label", CHOICES)
def test_a_choice_is_written_with_the_very_tokens_that_are_trained(folder, guides, label):
    guide = guides.start(choice(*CHOICES))
    written, _ = write(guide, Template.open(folder).completion_ids(label))
    assert written == Template.open(folder).completion_ids(label)[:-1]
    assert guide.text() == label


def test_a_choice_may_be_to_say_nothing(folder, guides, engine):
    guide = guides.start(choice("billing", ""))
    written, _ = write(guide, Template.open(folder).completion_ids(""))
    assert (written, guide.text()) == ([], "")
    said = {r.text for _, r in engine.answers([asks(choice("billing", ""), f"parcel {i}") for i in range(8)])}
    assert said <= {"billing", ""}
    ((_, reply),) = engine.answers([asks(choice(""))])
    assert (reply.text, reply.finish_reason, reply.problem) == ("", "stop", None)


def test_every_constrained_completion_of_a_model_that_knows_nothing_can_be_read(engine):
    requests = [asks(TRIAGE.constraint(), f"parcel {i}", max_tokens=380) for i in range(6)]
    for _, reply in engine.answers(requests):
        parsed = TRIAGE.parse(reply.text)
        assert reply.finish_reason == "stop"
        assert list(json.loads(reply.text)) == [f.name for f in TRIAGE.fields]
        assert parsed.fields is not None or "is empty" in parsed.problem  # a grammar cannot ask for a non-space


def test_free_and_constrained_rows_share_a_batch(engine):
    free = asks(None, "refund", max_tokens=12)
    one = asks(choice("billing", "shipping"), "refund")
    whole = asks(TRIAGE.constraint(), "refund")
    together = dict(engine.answers([free, one, whole, free]))
    assert together[0].text == together[3].text == next(iter(engine.answers([free])))[1].text
    assert together[1].text == next(iter(engine.answers([one])))[1].text
    assert together[2].text == next(iter(engine.answers([whole])))[1].text
    assert together[1].text in ("billing", "shipping")
    assert together[2].text.startswith('{"category": "')


def walk(plain, template, request):
    """The choice that greedy steps over the labels' token ids lead to, by a model of transformers' own."""
    left = {label: template.completion_ids(label) for label in request.constraint.choices}
    ids, depth = template.prompt_ids(request.messages), 0
    while len(left) > 1:
        with torch.inference_mode():
            logits = plain(torch.tensor([ids])).logits[0, -1]
        token = max({path[depth] for path in left.values()}, key=lambda t: float(logits[t]))
        left = {label: path for label, path in left.items() if path[depth] == token}
        ids, depth = [*ids, token], depth + 1
    return next(iter(left))


def test_a_choice_is_the_greedy_walk_over_the_labels_tokens(engine, folder):
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    choices = list(CHOICES)
    while choices:  # what was chosen is taken away, so that each label wins once
        request = asks(choice(*choices))
        reply = next(iter(engine.answers([request])))[1]
        assert reply.text == walk(plain, engine.template, request)
        assert reply.finish_reason == "stop"
        assert reply.completion_tokens == len(engine.template.completion_ids(reply.text)) - 1
        choices.remove(reply.text)


def test_a_single_choice_needs_no_run_of_the_model(engine):
    counted = []
    request = asks(choice("billing"))
    handle = engine.model.register_forward_pre_hook(lambda *args: counted.append(1))
    reply = next(iter(engine.answers([request])))[1]
    handle.remove()
    assert (reply.text, reply.finish_reason, counted) == ("billing", "stop", [])


def test_forced_tokens_are_not_asked_for(engine):
    task = Task(
        name="t", fields=tuple(Field(name=n, type="label", labels=("yes", "no")) for n in ("shipping", "refund"))
    )
    request = asks(task.constraint())
    list(engine.answers([request]))  # the prompt's beginning may be stored from now on
    runs = []
    handle = engine.model.register_forward_pre_hook(
        lambda module, args, kwargs: runs.append(kwargs["input_ids"].numel()), with_kwargs=True
    )
    reply = dict(engine.answers([request]))[0]
    handle.remove()
    assert reply.completion_tokens > 12
    assert len(runs) == 2  # once for each label: all else is forced, the end included


def test_a_constraint_that_does_not_fit_max_tokens_is_cut_and_says_so(engine):
    reply = next(iter(engine.answers([asks(TRIAGE.constraint(), max_tokens=5)])))[1]
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 5)
    label = next(iter(engine.answers([asks(choice("billing and shipping"), max_tokens=1)])))[1]
    assert (label.finish_reason, label.completion_tokens) == ("length", 1)


def test_draws_stay_within_the_constraint(engine):
    requests = [asks(choice(*CHOICES), temperature=3.0, seed=seed) for seed in range(12)]
    texts = {reply.text for _, reply in engine.answers(requests)}
    assert texts <= set(CHOICES)
    assert len(texts) > 1


def test_a_schema_that_cannot_be_compiled_says_what_to_do(engine):
    bad = Constraint(kind="json_schema", schema={"type": "string", "pattern": "(?=a)b"})
    with pytest.raises(TunesmithError, match=r"JSON schema cannot be used.*\n.*simplify it"):
        list(engine.answers([asks(bad)]))


def test_a_token_of_a_padded_vocabulary_is_not_allowed_and_does_no_harm(guides):
    guide = guides.start(TRIAGE.constraint())
    guide.forced()
    assert not guide.allows(5000)
    assert not guide.mask(5001)[5000]
    assert guide.mask(5001).any()
    assert guide.problem is None


def test_a_choice_among_nothing_is_refused(guides):
    with pytest.raises(TunesmithError, match="no choices"):
        guides.start(Constraint(kind="choice"))


def test_several_labels_and_values_with_a_pattern_are_written_as_the_task_reads_them(engine):
    several = Task(
        name="t", format="plain",
        fields=(Field(name="topic", type="label", multiple=True, labels=("a b", "c/d", "(e)")),),
    )  # fmt: skip
    order = Task(name="t", format="plain", fields=(Field(name="order", type="value", pattern=r"[A-Z]{2}-[0-9]{4}"),))
    for task in (several, order):
        drawn = [asks(task.constraint(), f"parcel {i}", temperature=3.0, seed=i, max_tokens=60) for i in range(12)]
        said = {reply.text for _, reply in engine.answers(drawn)}
        assert len(said) > 4
        assert not [text for text in said if task.parse(text).problem]


def test_a_completion_that_is_learnt_is_allowed_by_its_pattern(guides):
    task = Task(
        name="t", format="plain", fields=(Field(name="topic", type="label", multiple=True, labels=("billing", "new")),)
    )
    for labels in ([], ["new"], ["billing", "new"]):
        text = task.render({"topic": labels})
        ids = guides._template.completion_ids(text)
        written, _ = write(guides.start(task.constraint()), ids)
        assert guides._template.decode(written) == text


def test_a_pattern_that_cannot_be_compiled_is_refused(guides):
    with pytest.raises(TunesmithError, match=r"The pattern \(\?=a\)b cannot be used to constrain"):
        guides.start(Constraint(kind="pattern", pattern="(?=a)b"))
