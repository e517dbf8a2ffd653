"""Four made-up workspaces with scripted answers: each gets the recommendation that its numbers call for, and why.

Everything but the models' answers is real: the verbs, the split, the scores, the intervals, the rules.
"""

import csv
import random

import pytest
from tests.models.tiny import build_tiny
from tests.workspace.toy import write_settings

from tunesmith import Workspace
from tunesmith.core.codec import digest
from tunesmith.core.contenders import Answer
from tunesmith.core.errors import TunesmithError
from tunesmith.workspace.answering import Answering
from tunesmith.workspace.baseline import prepare
from tunesmith.workspace.prepared import prepared

TOPICS = ("returns", "billing", "shipping")
WORDS = """amber basket candle desk eagle fence garden hammer island jacket kettle lantern mirror needle orange
pepper quilt ribbon saddle table umbrella violin window yarn zipper anchor bottle copper dragon engine feather guitar
harbour insect jungle kitchen ladder marble napkin oyster pencil quarry rocket spoon
trumpet urchin velvet walnut"""
BAR = {"metric": "accuracy", "value": 0.8}
HALF = dict.fromkeys(("constant", "prompt", "few_shot", "retrieval"), 0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def desk(tmp_path, model):
    """Makes a workspace of so many rows, split and with the four prompted and constant contenders frozen."""

    def make(rows=600, contradicting=0):
        draw = random.Random(7)
        texts = [" ".join(draw.sample(WORDS.split(), 8)) for _ in range(rows)]
        path = tmp_path / "examples.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "topic"])
            writer.writerows([text, TOPICS[n % 3]] for n, text in enumerate(texts))
            writer.writerows([texts[n], TOPICS[(n + 1) % 3]] for n in range(contradicting))
        Workspace.init(tmp_path / "desk", source=path)
        write_settings(
            tmp_path / "desk",
            bar=BAR,
            model={"base": str(model), "embedder": "ngrams"},
            tuning={"epochs": 0.05, "rank": 2},
            contenders={"constrained": False},
        )
        workspace = Workspace(tmp_path / "desk")
        workspace.check()
        workspace.split()
        for kind in HALF:
            for record in prepare(Answering(workspace.home), kind):
                workspace.home.save("contender", record.name, record, record.inputs)
        return workspace

    return make


def script(workspace, rates):
    """Each contender answers every validation and test example: right at its rate, by the hash of name and example."""
    answering = Answering(workspace.home)
    sides = set(answering.split.validation) | set(answering.split.test)
    for name, record in prepared(workspace.home, answering).items():
        answers = []
        for example in workspace.home.examples():
            if example.id not in sides:
                continue
            right = int(digest([name, example.id]), 16) % 1000 < rates[name] * 1000
            text = example.completion if right else TOPICS[(TOPICS.index(example.completion) + 1) % 3]
            answers.append(
                Answer(
                    contender=record.hash,
                    example=example.id,
                    text=text,
                    fields={"topic": text},
                    seconds=0.01,
                    prompt_tokens=20,
                    completion_tokens=2,
                )
            )
        workspace.home.store.save_answers(answers)


def test_where_the_prompt_suffices_it_ships_and_tuning_is_refused(desk):
    workspace = desk()
    script(workspace, HALF | {"prompt": 0.97, "few_shot": 0.98, "retrieval": 0.98})
    workspace.evaluate(on="validation")
    with pytest.raises(TunesmithError, match="prompt meets the bar already"):
        workspace.tune()
    assert workspace.decide().recommendation == "too_early"
    workspace.evaluate(on="test")
    decision = workspace.decide()
    assert decision.recommendation == "ship:prompt"
    assert decision.passed
    assert "prompt" in decision.because[0]


def test_where_retrieval_suffices_it_ships(desk):
    workspace = desk()
    script(workspace, HALF | {"prompt": 0.55, "few_shot": 0.6, "retrieval": 0.97})
    workspace.evaluate(on="validation")
    workspace.evaluate(on="test")
    decision = workspace.decide()
    assert decision.recommendation == "ship:retrieval"
    assert decision.quality_bar["contenders"]["prompt"] == "missed"


def test_where_the_data_contradicts_itself_it_is_mended_first(desk):
    workspace = desk(contradicting=12)
    script(workspace, HALF)
    workspace.evaluate(on="validation")
    decision = workspace.decide()
    assert decision.recommendation == "mend_data"
    assert any("`tunesmith check`" in reason for reason in decision.because)
    assert not decision.passed


def test_where_there_are_few_examples_they_come_first(desk):
    workspace = desk(rows=90)
    script(workspace, HALF)
    workspace.evaluate(on="validation")
    decision = workspace.decide()
    assert decision.recommendation == "mend_data"
    assert any("100" in reason for reason in decision.because)


def test_where_tuning_pays_it_is_advised_and_then_ships(desk):
    workspace = desk()
    script(workspace, HALF)
    workspace.evaluate(on="validation")
    assert workspace.decide().recommendation == "tune"
    workspace.tune()
    script(workspace, HALF | {"tuned": 0.96})
    workspace.evaluate(on="test")
    decision = workspace.decide()
    assert decision.recommendation == "ship:tuned"
    assert any("accuracy" in reason for reason in decision.because)


def test_where_tuning_brings_nothing_it_stops(desk):
    workspace = desk()
    script(workspace, HALF)
    workspace.evaluate(on="validation")
    workspace.tune()
    script(workspace, HALF | {"tuned": 0.51})
    workspace.evaluate(on="test")
    assert workspace.decide().recommendation == "stop"
