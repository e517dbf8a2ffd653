"""What a search for the best way to ask tries, and how many rows each try sees."""

import json
from itertools import pairwise

import pytest
from tests.contenders.test_contenders import TASK, TEST, TRAIN, context, known, ready

from tunesmith.contenders import ContendersConfig, contender_kind, open_contender
from tunesmith.contenders.config import FewShotConfig
from tunesmith.contenders.halving import Rung, answers_of, rungs
from tunesmith.contenders.proposer import Failed, Refused, proposal_requests, read_proposal
from tunesmith.contenders.rewrites import rewrites
from tunesmith.contenders.shots import choose_by
from tunesmith.core.choices import Proposal
from tunesmith.core.errors import TunesmithError
from tunesmith.core.task import Field, Task
from tunesmith.models.embedder import open_embedder

TOPIC = Task(
    name="topic",
    format="plain",
    instructions="File the message.",
    fields=(Field(name="topic", type="label", labels=("returns", "billing")),),
)


@pytest.mark.parametrize("tries", [1, 2, 5, 12, 24])
@pytest.mark.parametrize("rows", [1, 7, 60])
@pytest.mark.parametrize("calls", [300, 1000, 5000])
def test_no_search_asks_for_more_than_it_may(tries, rows, calls):
    rounds = rungs(tries, rows, calls)
    assert answers_of(rounds) <= calls
    assert rounds[0].tries == tries
    assert all(later.tries < rung.tries and later.rows > rung.rows for rung, later in pairwise(rounds))
    assert rounds[-1].rows <= rows


def test_where_the_calls_suffice_all_tries_see_all_rows():
    assert rungs(10, 30, 300) == (Rung(10, 30),)


def test_halving_is_that_worked_by_hand():
    # 2 rounds of 100 calls: 12 tries see 100 // 12 = 8 rows; of the 104 left, 4 tries see 26 rows more
    assert rungs(12, 40, 200) == (Rung(12, 8), Rung(4, 34))


def test_what_the_last_rounds_leave_over_is_spent_on_the_first():
    # equal shares of 556 would be 10 rows first, and 172 calls left when all rows are seen
    rounds = rungs(18, 45, 600, aside=44)
    assert rounds[-1] == Rung(4, 45)
    assert rounds[0].rows > 10
    assert answers_of(rounds) <= 556


def test_too_few_calls_are_refused_and_enough_are_named():
    with pytest.raises(TunesmithError, match=r"tells nothing(.|\n)*--calls 190") as raised:
        rungs(15, 40, 60, aside=10)
    assert rungs(15, 40, 190, aside=10), raised.value


def test_rewrites_keep_each_label_and_differ():
    made = rewrites(TOPIC, TRAIN)
    texts = [p.instructions for p in made]
    assert len(set(texts)) == len(texts) > 3
    assert TOPIC.instructions not in texts
    assert any("- returns" in text and "- billing" in text for text in texts)


def test_rewrites_of_several_fields_name_the_keys_in_their_order():
    texts = [p.instructions for p in rewrites(TASK, TRAIN)]
    assert any('"category", "order"' in text for text in texts)
    shapes = [text for text in texts if "looks like this" in text]
    assert shapes and all(any(e.completion in text for e in TRAIN) for text in shapes)


def test_words_of_few_rows_are_no_sign_of_a_label():
    """One person's name stands in one row; it must not reach the instructions."""
    assert not any("printer" in p.instructions or "laptop" in p.instructions for p in rewrites(TASK, TRAIN))


@pytest.mark.parametrize("way", ["cover", "diverse", "hard"])
def test_each_way_chooses_train_examples_once_and_alike_each_time(way):
    chosen = [choose_by(way, TASK, TRAIN, 3, 0, lambda: open_embedder("ngrams")) for _ in range(2)]
    assert chosen[0] == chosen[1]
    assert len({e.id for e in chosen[0]}) == len(chosen[0]) == 3
    assert {e.id for e in chosen[0]} <= {e.id for e in TRAIN}


def test_hard_examples_are_those_whose_neighbours_disagree():
    chosen = choose_by("hard", TASK, TRAIN, 2, 0, lambda: open_embedder("ngrams"))
    assert {TASK.parse(e.completion).fields["category"] for e in chosen} == {"returns", "billing"}


def test_the_nearest_examples_stand_last_and_differ_by_message():
    near = ready("few_shot", config=ContendersConfig(few_shot=FewShotConfig(count=1, way="nearest")))
    assert [m.content for m in near.prepare(TEST).messages[1:3]] == [TRAIN[3].prompt, TRAIN[3].completion]
    assert near.record.shots == ()


def test_nearest_refuses_another_train_side():
    made = context(config=ContendersConfig(few_shot=FewShotConfig(count=1, way="nearest")))
    record = contender_kind["few_shot"].make(made)
    with pytest.raises(TunesmithError, match="made from another train side"):
        open_contender(record, context(known=known(train=TRAIN[:3])))


def test_a_choice_stands_in_the_record_and_binds_it_to_the_split():
    made = context(chosen=lambda kind: Proposal(instructions="Better.", count=2))
    for kind in ("prompt", "few_shot"):
        record = contender_kind[kind].make(made)
        assert record.instructions == "Better."
        assert record.inputs["split"] == made.known.split_hash
    assert len(contender_kind["few_shot"].make(made).shots) == 2
    assert "split" not in contender_kind["prompt"].make(context()).inputs


def test_without_a_choice_records_are_as_they_ever_were():
    assert contender_kind["few_shot"].make(context()).settings == {"count": 4, "seed": 0}


def test_the_proposer_sees_the_best_last_and_material_as_json():
    requests = proposal_requests(
        TASK, [("good", 0.9), ("bad", 0.1)], [Failed("ignore all that", "{}", "what?")], "all_correct", 3, 7
    )
    shown = json.loads(requests[0].messages[-1].content)
    assert [t["instructions"] for t in shown["tried"]] == ["bad", "good"]
    assert shown["wrong"][0]["message"] == "ignore all that"
    assert len({r.decoding.seed for r in requests}) == 3


@pytest.mark.parametrize(
    ("reply", "because"),
    [
        ("I would rather not.", "no JSON"),
        ('{"instructions": 3}', "no JSON"),
        ('{"instructions": "  "}', "empty"),
        (json.dumps({"instructions": "x" * 5000}), "longer than"),
        (json.dumps({"instructions": "File it.<|im_end|>"}), "no text"),
        (json.dumps({"instructions": "File\u202eit"}), "no text"),
        ('{"instructions": "known"}', "said before"),
        ('{"a":' * 50_000 + "}", "no JSON"),
    ],
)
def test_a_reply_that_is_no_new_instructions_is_refused(reply, because):
    found = read_proposal(reply, ["known"])
    assert isinstance(found, Refused) and because in found.because


def test_a_reply_with_words_around_it_is_read():
    assert read_proposal('Sure: {"instructions": " File it.\\nBriefly. "}', []) == "File it.\nBriefly."
